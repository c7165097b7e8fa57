/* Tar headers: ustar, and the long names of GNU and POSIX.1-2001 (pax).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/tar_member.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "manifest/tar_samples.h"

/* A field's place in a header. */
enum { NAME = 0, SIZE = 124, CHECKSUM = 148, TYPE = 156, MAGIC = 257, PREFIX = 345 };
enum { NAME_SIZE = 100, SIZE_SIZE = 12, CHECKSUM_SIZE = 8, PREFIX_SIZE = 155 };

typedef struct reader {
    const unsigned char *data;
    size_t size;
    const char *path;
    bool has_size; /* said by a pax header */
    uint64_t pax_size;
} reader;

static tamis_status fail_at(const reader *r, size_t at, const char *what, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' byte %zu: %s", r->path, at, what);
}

/* Octal digits with spaces around them, or, with the top bit set, a binary number (GNU). */
static bool parse_number(const unsigned char *field, size_t size, uint64_t *ret_number)
{
    uint64_t x = 0;
    size_t i = 0;
    if (field[0] & 0x80) {
        x = field[0] & 0x7f;
        for (i = 1; i < size; i++) {
            if (x >> 55) return false;
            x = x << 8 | field[i];
        }
        *ret_number = x;
        return true;
    }
    while (i < size && field[i] == ' ') i++;
    size_t digits = i;
    for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) x = x * 8 + (field[i] - '0');
    if (i == digits) return false;
    for (; i < size; i++)
        if (field[i] != ' ' && field[i] != 0) return false;
    *ret_number = x;
    return true;
}

/* The sum of the header's bytes with spaces in place of the sum; old programs added them signed. */
static bool checksum_is_right(const unsigned char *header)
{
    uint64_t wanted, sum = 0;
    int64_t signed_sum = 0;
    if (!parse_number(header + CHECKSUM, CHECKSUM_SIZE, &wanted)) return false;
    for (size_t i = 0; i < TAMIS__TAR_BLOCK; i++) {
        unsigned char c = i >= CHECKSUM && i < CHECKSUM + CHECKSUM_SIZE ? ' ' : header[i];
        sum += c;
        signed_sum += (signed char)c;
    }
    return wanted == sum || (int64_t)wanted == signed_sum;
}

static bool is_zero(const unsigned char *block)
{
    for (size_t i = 0; i < TAMIS__TAR_BLOCK; i++)
        if (block[i]) return false;
    return true;
}

static tamis_status set_name(const reader *r, size_t at, const unsigned char *text, size_t size,
                             tamis__tar_member *m, tamis_error *err)
{
    if (size >= TAMIS__TAR_NAME || size == 0 || memchr(text, 0, size))
        return fail_at(r, at, "a name that is empty, has a NUL or more than 4095 bytes", err);
    memcpy(m->name, text, size);
    m->name[size] = '\0';
    return TAMIS_OK;
}

static void name_of_header(const unsigned char *header, tamis__tar_member *m)
{
    size_t prefix = memcmp(header + MAGIC, "ustar", 6) == 0
                        ? strnlen((const char *)header + PREFIX, PREFIX_SIZE)
                        : 0;
    size_t size = strnlen((const char *)header + NAME, NAME_SIZE);
    memcpy(m->name, header + PREFIX, prefix);
    if (prefix) m->name[prefix++] = '/';
    memcpy(m->name + prefix, header + NAME, size);
    m->name[prefix + size] = '\0';
}

static bool key_is(const unsigned char *text, size_t size, const char *key)
{
    return size > strlen(key) && !memcmp(text, key, strlen(key));
}

/* One record of a pax header, "<key>=<value>". */
static tamis_status read_pax_record(reader *r, size_t at, const unsigned char *text, size_t size,
                                    tamis__tar_member *m, tamis_error *err)
{
    if (key_is(text, size, "path=")) return set_name(r, at, text + 5, size - 5, m, err);
    if (key_is(text, size, "GNU.sparse."))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' byte %zu: sparse members are not read: pack the files anew",
                           r->path, at);
    if (!key_is(text, size, "size=")) return TAMIS_OK;
    r->has_size = tamis__parse_uint64((const char *)text + 5, size - 5, &r->pax_size);
    return r->has_size ? TAMIS_OK : fail_at(r, at, "a pax size that is no number", err);
}

/* Records are "<length> <key>=<value>\n", the length of all of it. */
static tamis_status read_pax(reader *r, size_t at, size_t size, tamis__tar_member *m,
                             tamis_error *err)
{
    const unsigned char *p = r->data + at, *end = p + size;
    while (p < end && *p) {
        uint64_t length;
        const unsigned char *space = memchr(p, ' ', (size_t)(end - p));
        if (!space || !tamis__parse_uint64((const char *)p, (size_t)(space - p), &length) ||
            length > (uint64_t)(end - p) || length < (uint64_t)(space - p) + 2 ||
            p[length - 1] != '\n')
            return fail_at(r, at, "a broken pax header", err);
        TAMIS_TRY(
            read_pax_record(r, at, space + 1, (size_t)(p + length - 1 - (space + 1)), m, err));
        p += length;
    }
    return TAMIS_OK;
}

/* A header and the size of what follows it, up to whole blocks in *ret_span. */
static tamis_status read_header(const reader *r, size_t at, uint64_t *ret_size, size_t *ret_span,
                                tamis_error *err)
{
    const unsigned char *header = r->data + at;
    if (r->size - at < TAMIS__TAR_BLOCK)
        return fail_at(r, at, "the file ends without the end of an archive: it is truncated", err);
    if (!checksum_is_right(header))
        return fail_at(r, at, "a header whose checksum is wrong: broken, or no tar file", err);
    if (!parse_number(header + SIZE, SIZE_SIZE, ret_size))
        return fail_at(r, at, "a header without a size", err);
    char type = (char)header[TYPE];
    if (r->has_size && type != 'x' && type != 'L' && type != 'K') *ret_size = r->pax_size;
    /* Links, devices and directories have no data, whatever their size says. */
    if (type >= '1' && type <= '6') *ret_size = 0;
    uint64_t left = r->size - at - TAMIS__TAR_BLOCK;
    if (*ret_size > left || left - *ret_size < (-*ret_size & (TAMIS__TAR_BLOCK - 1)))
        return fail_at(r, at, "a member that goes past the end of the file: it is truncated", err);
    *ret_span = TAMIS__TAR_BLOCK + (size_t)*ret_size +
                (size_t)(-*ret_size & (TAMIS__TAR_BLOCK - 1));
    return TAMIS_OK;
}

static tamis_status read_extension(reader *r, size_t at, char type, size_t size,
                                   tamis__tar_member *m, tamis_error *err)
{
    const unsigned char *data = r->data + at + TAMIS__TAR_BLOCK;
    if (type == 'x') return read_pax(r, at + TAMIS__TAR_BLOCK, size, m, err);
    if (type == 'L') return set_name(r, at, data, strnlen((const char *)data, size), m, err);
    return TAMIS_OK; /* K: where a link points */
}

tamis_status tamis__tar_member_at(const unsigned char *data, size_t size, size_t at,
                                  const char *path, tamis__tar_member *ret_member, tamis_error *err)
{
    reader r = {.data = data, .size = size, .path = path};
    tamis__tar_member *m = ret_member;
    m->first = at;
    m->name[0] = '\0';
    for (;;) {
        uint64_t bytes = 0;
        size_t span = 0;
        if (size - at >= TAMIS__TAR_BLOCK && at == m->first && is_zero(data + at)) {
            m->size = 0;
            return TAMIS_OK;
        }
        TAMIS_TRY(read_header(&r, at, &bytes, &span, err));
        char type = (char)data[at + TYPE];
        if (type == 'g' || type == 'S')
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                               "'%s' byte %zu: %s are not read: pack the files anew", path, at,
                               type == 'g' ? "global extended headers" : "sparse members");
        if (type == 'x' || type == 'L' || type == 'K') {
            TAMIS_TRY(read_extension(&r, at, type, (size_t)bytes, m, err));
            at += span;
            continue;
        }
        if (!m->name[0]) name_of_header(data + at, m);
        if (!m->name[0]) return fail_at(&r, at, "a member without a name", err);
        m->regular = type == '0' || type == '\0' || type == '7';
        m->size = at + span - m->first;
        return TAMIS_OK;
    }
}
