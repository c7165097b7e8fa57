/* IDX: a magic number, dimensions and big-endian data.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/idx.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

static const struct {
    unsigned char code;
    char kind;
    size_t size;
} types[] = {{0x08, 'u', 1}, {0x09, 'i', 1}, {0x0b, 'i', 2},
             {0x0c, 'i', 4}, {0x0d, 'f', 4}, {0x0e, 'f', 8}};

#define TYPES (sizeof types / sizeof *types)

/* TYPES when it is none. */
static size_t type_index(unsigned char code)
{
    size_t i = 0;
    while (i < TYPES && types[i].code != code) i++;
    return i;
}

bool tamis__idx_recognise(const unsigned char *bytes, size_t size)
{
    return size >= 8 && bytes[0] == 0 && bytes[1] == 0 && type_index(bytes[2]) < TYPES &&
           bytes[3] >= 1 && bytes[3] <= 8;
}

static uint64_t big_endian(const unsigned char *bytes)
{
    return (uint64_t)bytes[0] << 24 | (uint64_t)bytes[1] << 16 | (uint64_t)bytes[2] << 8 | bytes[3];
}

/* rows, cols and the bytes of the data. */
static tamis_status read_dimensions(tamis__idx *idx, const unsigned char *bytes, const char *path,
                                    uint64_t *ret_bytes, tamis_error *err)
{
    uint64_t total;
    bool fits = true, empty = false;
    idx->rows = big_endian(bytes);
    idx->cols = 1;
    for (int i = 0; i < idx->dims; i++) empty |= big_endian(bytes + 4 * (size_t)i) == 0;
    for (int i = 1; i < idx->dims; i++)
        fits &= !__builtin_mul_overflow(idx->cols, big_endian(bytes + 4 * (size_t)i), &idx->cols);
    fits = fits && !__builtin_mul_overflow(idx->rows, idx->cols, &total) &&
           !__builtin_mul_overflow(total, (uint64_t)idx->item_size, &total);
    if (!fits && !empty)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' byte 4: the product of the IDX dimensions overflows", path);
    if (!fits) idx->cols = 0;
    *ret_bytes = empty ? 0 : total;
    return TAMIS_OK;
}

tamis_status tamis__idx_view(tamis__idx *ret_idx, const unsigned char *bytes, size_t size,
                             const char *path, tamis_error *err)
{
    if (size < 4 || bytes[0] != 0 || bytes[1] != 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is not an IDX file: it does not start with two zero bytes", path);
    size_t type = type_index(bytes[2]), head = 4 + 4 * (size_t)bytes[3];
    uint64_t wanted = 0;
    if (type == TYPES)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED, "'%s' byte 2: IDX type 0x%02x is not known",
                           path, bytes[2]);
    if (bytes[3] == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' byte 3: an IDX file of no dimensions",
                           path);
    if (size < head)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' ends within its header: %u dimensions need %zu bytes, it has %zu",
                           path, bytes[3], head, size);
    tamis__idx idx = {.kind = types[type].kind,
                      .item_size = types[type].size,
                      .dims = bytes[3],
                      .data = bytes + head};
    TAMIS_TRY(read_dimensions(&idx, bytes + 4, path, &wanted, err));
    if (wanted != size - head)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' %s: its IDX dimensions need %" PRIu64 " bytes of data, it has %zu",
                           path,
                           wanted > size - head ? "is truncated" : "is longer than its header says",
                           wanted, size - head);
    *ret_idx = idx;
    return TAMIS_OK;
}

void tamis__idx_swap(const tamis__idx *idx, uint64_t first, size_t n, unsigned char *out)
{
    size_t size = idx->item_size;
    const unsigned char *in = idx->data + (size_t)first * size;
    if (size == 1) {
        memcpy(out, in, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < size; k++) out[i * size + k] = in[i * size + size - 1 - k];
}
