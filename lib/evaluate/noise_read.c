/* Lists of rows known to be bad: text or .npy.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/evaluate.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/npy.h"

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* One line without its end: a row number, a comment or nothing. */
static tamis_status read_line(const char *line, size_t size, uint64_t number, const char *path,
                              uint64_t rows, uint8_t *bad, tamis_error *err)
{
    const char *comment = memchr(line, '#', size);
    uint64_t row;
    char shown[TAMIS__SHOWN_SIZE(64)];
    if (comment) size = (size_t)(comment - line);
    while (size > 0 && is_space((unsigned char)line[size - 1])) size--;
    while (size > 0 && is_space((unsigned char)*line)) {
        line++;
        size--;
    }
    if (size == 0) return TAMIS_OK;
    if (!tamis__parse_uint64(line, size, &row))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": '%s' is not a row number",
                           path, number,
                           tamis__show(shown, sizeof shown, line, size < 64 ? size : 64));
    if (row >= rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' line %" PRIu64 ": there is no row %" PRIu64
                           ": rows are 0 to %" PRIu64,
                           path, number, row, rows - 1);
    bad[row] = 1;
    return TAMIS_OK;
}

static tamis_status read_text(const tamis__input *input, const char *path, uint64_t rows,
                              uint8_t *bad, tamis_error *err)
{
    const char *at = (const char *)input->data, *end = at + input->size;
    for (uint64_t number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        TAMIS_TRY(read_line(at, (size_t)(stop - at), number, path, rows, bad, err));
        at = stop < end ? stop + 1 : end;
    }
    return TAMIS_OK;
}

static tamis_status mark(const tamis__npy *npy, const char *path, uint64_t rows, uint8_t *bad,
                         tamis_error *err)
{
    if (npy->cols != 1)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has %" PRIu64 " columns: one is expected",
                           path, npy->cols);
    if (npy->type == TAMIS__NPY_BOOL) {
        const uint8_t *flag = npy->data;
        if (npy->rows != rows)
            return tamis__fail(err, TAMIS_ERR_SHAPE,
                               "'%s' has %" PRIu64 " flags for %" PRIu64 " rows", path, npy->rows,
                               rows);
        for (uint64_t i = 0; i < rows; i++) bad[i] = flag[i] != 0;
        return TAMIS_OK;
    }
    for (uint64_t i = 0; i < npy->rows; i++) {
        int64_t row;
        TAMIS_TRY(tamis__npy_integer(npy, i, &row, path, err));
        if (row < 0 || (uint64_t)row >= rows)
            return tamis__fail(err, TAMIS_ERR_SHAPE,
                               "'%s' element %" PRIu64 ": there is no row %" PRId64
                               ": rows are 0 to %" PRIu64,
                               path, i, row, rows - 1);
        bad[row] = 1;
    }
    return TAMIS_OK;
}

static tamis_status read_npy(const tamis_context *context, const char *path, uint64_t rows,
                             uint8_t *bad, tamis_error *err)
{
    tamis__npy npy;
    TAMIS_TRY(tamis__npy_open(&npy, context, path, err));
    tamis_status status = mark(&npy, path, rows, bad, err);
    tamis__npy_close(&npy);
    return status;
}

tamis_status tamis_noise_read(tamis_context *context, const char *path, uint64_t rows,
                              uint8_t **ret_bad, tamis_error *err)
{
    tamis__input input;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    bool npy = input.size >= 6 && memcmp(input.data, "\x93NUMPY", 6) == 0;
    uint8_t *bad = tamis__calloc((size_t)rows, 1);
    tamis_status status = bad ? TAMIS_OK
                              : tamis__fail_memory(err, "the rows known to be bad", rows);
    if (status == TAMIS_OK && !npy) status = read_text(&input, path, rows, bad, err);
    tamis__input_close(&input);
    if (status == TAMIS_OK && npy) status = read_npy(context, path, rows, bad, err);
    if (status == TAMIS_OK && !memchr(bad, 1, (size_t)rows))
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' marks none of the rows: list the rows known to be bad", path);
    if (status == TAMIS_OK)
        *ret_bad = bad;
    else
        free(bad);
    return status;
}
