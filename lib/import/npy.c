/* NumPy's .npy, versions 1 to 3.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/npy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/convert.h"
#include "import/npy_header.h"

#define MAGIC      "\x93NUMPY"
#define MAGIC_SIZE 6

static const struct {
    char kind;
    size_t size;
    tamis__npy_type type;
} types[] = {
    {'b', 1, TAMIS__NPY_BOOL}, {'i', 1, TAMIS__NPY_I1}, {'i', 2, TAMIS__NPY_I2},
    {'i', 4, TAMIS__NPY_I4},   {'i', 8, TAMIS__NPY_I8}, {'u', 1, TAMIS__NPY_U1},
    {'u', 2, TAMIS__NPY_U2},   {'u', 4, TAMIS__NPY_U4}, {'u', 8, TAMIS__NPY_U8},
    {'f', 2, TAMIS__NPY_F2},   {'f', 4, TAMIS__NPY_F4}, {'f', 8, TAMIS__NPY_F8},
};

static char kind_of(tamis__npy_type type)
{
    return types[type].kind;
}

static uint64_t little_endian(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

/* Where the header's text is. */
static tamis_status find_header(const unsigned char *data, size_t file_size, const char *path,
                                size_t *ret_start, size_t *ret_size, tamis_error *err)
{
    if (file_size < MAGIC_SIZE + 4 || memcmp(data, MAGIC, MAGIC_SIZE) != 0)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' is not a .npy file: it does not start with \\x93NUMPY (save it with numpy.save)",
            path);
    unsigned major = data[MAGIC_SIZE], minor = data[MAGIC_SIZE + 1];
    if (major < 1 || major > 3)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' byte 6: .npy version %u.%u is not known (1 to 3 are read)", path,
                           major, minor);
    size_t length = major == 1 ? 2 : 4, start = MAGIC_SIZE + 2 + length;
    if (file_size < start)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' ends within its header, after %zu bytes",
                           path, file_size);
    uint64_t size = little_endian(data + MAGIC_SIZE + 2, length);
    if (size > file_size - start)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' byte 8: the header is said to have %" PRIu64
                           " bytes, the file has %zu after it",
                           path, size, file_size - start);
    *ret_start = start;
    *ret_size = (size_t)size;
    return TAMIS_OK;
}

/* "<f4" and the like. */
static tamis_status read_type(tamis__npy *npy, const char *descr, const char *path,
                              tamis_error *err)
{
    char order = descr[0], kind = order ? descr[1] : '\0';
    const char *digits = kind ? descr + 2 : "";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char wanted[4];
        snprintf(wanted, sizeof wanted, "%zu", types[i].size);
        if (types[i].kind != kind || strcmp(digits, wanted) != 0) continue;
        if (order == '>' && types[i].size > 1)
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                               "'%s' is big-endian (dtype '%s'): save it with .astype('<%s')", path,
                               descr, descr + 1);
        if (!strchr("<|=>", order)) break;
        npy->type = types[i].type;
        npy->item_size = types[i].size;
        return TAMIS_OK;
    }
    return tamis__fail(
        err, TAMIS_ERR_UNSUPPORTED,
        "'%s' has dtype '%.32s', which is not read: save it as f2, f4, f8, an integer or bool",
        path, descr);
}

/* rows, cols and the bytes of the array; false when they do not fit 64 bits. */
static bool fold_shape(tamis__npy *npy, uint64_t *ret_bytes)
{
    uint64_t rows = npy->dims > 0 ? npy->shape[0] : 1, cols = 1, bytes = 0;
    bool empty = false, fits = true;
    for (int i = 0; i < npy->dims; i++) empty |= npy->shape[i] == 0;
    for (int i = 1; i < npy->dims; i++) fits &= !__builtin_mul_overflow(cols, npy->shape[i], &cols);
    /* An axis of length 0 makes the array empty whatever the others say. */
    if (!fits && !empty) return false;
    if (!fits) cols = 0;
    if (!empty && __builtin_mul_overflow(rows, cols, &bytes)) return false;
    if (!empty && __builtin_mul_overflow(bytes, (uint64_t)npy->item_size, &bytes)) return false;
    npy->rows = rows;
    npy->cols = cols;
    *ret_bytes = empty ? 0 : bytes;
    return true;
}

static tamis_status check_array(tamis__npy *npy, uint64_t there, const char *path, tamis_error *err)
{
    uint64_t bytes;
    if (npy->fortran && npy->dims > 2)
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "'%s' is a Fortran-ordered array of %d dimensions: save numpy.ascontiguousarray of it",
            path, npy->dims);
    if (!fold_shape(npy, &bytes))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': the product of the shape overflows", path);
    if (bytes > there)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is truncated: the shape needs %" PRIu64
                           " bytes of data, the file has %" PRIu64,
                           path, bytes, there);
    if (bytes < there)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is longer than its header says: the shape needs %" PRIu64
                           " bytes of data, the file has %" PRIu64,
                           path, bytes, there);
    /* With one row or column both orders are the same bytes. */
    if (npy->dims < 2 || npy->rows <= 1 || npy->cols <= 1) npy->fortran = false;
    return TAMIS_OK;
}

tamis_status tamis__npy_view(tamis__npy *ret_npy, const void *bytes, size_t size, const char *path,
                             tamis_error *err)
{
    tamis__npy npy = {0};
    size_t start = 0, length = 0;
    tamis__npy_header header = {0};
    TAMIS_TRY(find_header(bytes, size, path, &start, &length, err));
    TAMIS_TRY(
        tamis__npy_header_parse(&header, (const char *)bytes + start, length, start, path, err));
    TAMIS_TRY(read_type(&npy, header.descr, path, err));
    npy.fortran = header.fortran;
    npy.dims = header.dims;
    memcpy(npy.shape, header.shape, sizeof npy.shape);
    npy.data = (const unsigned char *)bytes + start + length;
    TAMIS_TRY(check_array(&npy, size - start - length, path, err));
    *ret_npy = npy;
    return TAMIS_OK;
}

tamis_status tamis__npy_open(tamis__npy *ret_npy, const tamis_context *context, const char *path,
                             tamis_error *err)
{
    tamis__input input;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis_status status = tamis__npy_view(ret_npy, input.data, input.size, path, err);
    if (status == TAMIS_OK)
        ret_npy->input = input;
    else
        tamis__input_close(&input);
    return status;
}

void tamis__npy_close(tamis__npy *npy)
{
    tamis__input_close(&npy->input);
    *npy = (tamis__npy){0};
}

/* Columns are contiguous: a run of each is taken at a time, so that the lines of the output stay
 * in cache until all columns have been written to them. */
static void fortran_rows(const tamis__npy *npy, uint64_t first_row, uint64_t rows, float *out,
                         size_t stride)
{
    const unsigned char *data = npy->data;
    tamis__convert_fn convert = tamis__convert_for(kind_of(npy->type), npy->item_size);
    const uint64_t run = 64;
    for (uint64_t i = 0; i < rows; i += run) {
        size_t n = (size_t)(rows - i < run ? rows - i : run);
        for (uint64_t j = 0; j < npy->cols; j++)
            convert(out + i * stride + j, stride,
                    data + (size_t)(j * npy->rows + first_row + i) * npy->item_size, n);
    }
}

void tamis__npy_rows(const tamis__npy *npy, uint64_t first_row, uint64_t rows, float *out,
                     size_t stride)
{
    const unsigned char *data = npy->data;
    tamis__convert_fn convert = tamis__convert_for(kind_of(npy->type), npy->item_size);
    size_t row_bytes = (size_t)npy->cols * npy->item_size;
    if (npy->fortran) {
        fortran_rows(npy, first_row, rows, out, stride);
        return;
    }
    for (uint64_t i = 0; i < rows; i++)
        convert(out + i * stride, 1, data + (size_t)(first_row + i) * row_bytes, (size_t)npy->cols);
}

double tamis__npy_double(const tamis__npy *npy, uint64_t row, uint64_t column)
{
    uint64_t at = npy->fortran ? column * npy->rows + row : row * npy->cols + column;
    const unsigned char *in = (const unsigned char *)npy->data + (size_t)at * npy->item_size;
    double value;
    float narrow;
    int fits;
    if (npy->type == TAMIS__NPY_F8) {
        memcpy(&value, in, sizeof value);
        return value;
    }
    if (kind_of(npy->type) == 'f') {
        tamis__convert_for('f', npy->item_size)(&narrow, 1, in, 1);
        return (double)narrow;
    }
    if (npy->type == TAMIS__NPY_U8) {
        uint64_t large;
        memcpy(&large, in, sizeof large);
        return (double)large;
    }
    return (double)tamis__convert_integer(kind_of(npy->type), npy->item_size, in, &fits);
}

static tamis_status whole(const tamis__npy *npy, uint64_t i, int64_t *ret_value, const char *path,
                          tamis_error *err)
{
    const unsigned char *in = (const unsigned char *)npy->data + (size_t)i * npy->item_size;
    double value;
    if (npy->item_size == 8) {
        memcpy(&value, in, sizeof value);
    } else {
        float narrow;
        tamis__convert_for('f', npy->item_size)(&narrow, 1, in, 1);
        value = (double)narrow;
    }
    if (!isfinite(value) || floor(value) != value || fabs(value) >= 0x1p63)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' element %" PRIu64 ": %g is not an integer",
                           path, i, value);
    *ret_value = (int64_t)value;
    return TAMIS_OK;
}

tamis_status tamis__npy_integer(const tamis__npy *npy, uint64_t i, int64_t *ret_value,
                                const char *path, tamis_error *err)
{
    char kind = kind_of(npy->type);
    int fits;
    if (kind == 'f') return whole(npy, i, ret_value, path, err);
    const unsigned char *in = (const unsigned char *)npy->data + (size_t)i * npy->item_size;
    int64_t value = tamis__convert_integer(kind, npy->item_size, in, &fits);
    if (!fits)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' element %" PRIu64 " is over 2^63 - 1", path,
                           i);
    *ret_value = value;
    return TAMIS_OK;
}

tamis_status tamis__npy_write_header(tamis__output *output, const char *descr, int dims,
                                     const uint64_t *shape, tamis_error *err)
{
    char text[192];
    int used = dims == 1
                   ? snprintf(text, sizeof text,
                              "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ",), }",
                              descr, shape[0])
                   : snprintf(text, sizeof text,
                              "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64
                              ", %" PRIu64 "), }",
                              descr, shape[0], shape[1]);
    /* Padded so that the data starts at a multiple of 64. */
    const size_t fixed = MAGIC_SIZE + 4;
    size_t total = (fixed + (size_t)used + 1 + 63) / 64 * 64;
    memset(text + used, ' ', total - fixed - (size_t)used);
    text[total - fixed - 1] = '\n';
    unsigned char head[MAGIC_SIZE + 4] = MAGIC "\x01";
    head[MAGIC_SIZE + 2] = (unsigned char)((total - fixed) & 0xff);
    head[MAGIC_SIZE + 3] = (unsigned char)((total - fixed) >> 8);
    TAMIS_TRY(tamis__output_write(output, head, sizeof head, err));
    return tamis__output_write(output, text, total - fixed, err);
}
