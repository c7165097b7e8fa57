/* Where the rows of one checkpoint, or its tokens, lie in one file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5_dataset.h"
#include "store/store_rows.h"

/* For rows that HDF5 has to decompress: a whole chunk must fit, or it is done again for each
 * row. */
#define CACHE_MAX ((size_t)256 << 20)

#define NOT_WRITTEN UINT64_MAX

/* What decides how the rows can be read. */
typedef struct layout {
    H5D_layout_t kind;
    hsize_t chunk[2];
    bool filtered, native; /* native: the file's type is the one in memory */
} layout;

static bool read_layout(layout *ret, const tamis__h5 *h5, hid_t dataset, tamis_dtype dtype)
{
    hsize_t user = 0;
    hid_t list = H5Dget_create_plist(dataset), type = H5Dget_type(dataset),
          memory = tamis__store_type(dtype);
    hid_t file = H5Fget_create_plist(h5->file);
    bool known = list >= 0 && type >= 0 && memory >= 0 && file >= 0;
    if (known) {
        ret->kind = H5Pget_layout(list);
        ret->filtered = H5Pget_nfilters(list) != 0;
        /* Addresses count from behind a user block; a file with one is left to HDF5. */
        ret->native = H5Tequal(type, memory) > 0 && H5Pget_userblock(file, &user) >= 0 && user == 0;
        if (ret->kind == H5D_CHUNKED) known = H5Pget_chunk(list, 2, ret->chunk) == 2;
    }
    if (list >= 0) H5Pclose(list);
    if (type >= 0) H5Tclose(type);
    if (memory >= 0) H5Tclose(memory);
    if (file >= 0) H5Pclose(file);
    return known;
}

/* --- rows in place ---------------------------------------------------------------------------- */

static void ask_for_chunks(hid_t dataset, uint64_t span, uint64_t bytes, uint64_t *address,
                           uint64_t chunks)
{
    for (uint64_t i = 0; i < chunks; i++) {
        const hsize_t offset[2] = {i * span, 0};
        hsize_t size = 0;
        haddr_t at = HADDR_UNDEF;
        unsigned filters = 0;
        bool found = H5Dget_chunk_info_by_coord(dataset, offset, &filters, &at, &size) >= 0;
        address[i] = found && at != HADDR_UNDEF && size == bytes && filters == 0 ? at : NOT_WRITTEN;
    }
}

static tamis_status check_addresses(const tamis__store_rows *rows, const tamis__h5 *h5,
                                    const tamis__store_rows_wanted *wanted, uint32_t k,
                                    uint64_t row_bytes, bool *ret_aligned, tamis_error *err)
{
    size_t unit = tamis_dtype_size(wanted->dtype);
    *ret_aligned = true;
    for (uint64_t i = 0; i < rows->spans; i++) {
        uint64_t first = i * rows->span, left = wanted->rows - first;
        uint64_t n = left < rows->span ? left : rows->span;
        if (rows->address[i] == NOT_WRITTEN)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': %s %llu to %llu of checkpoint %u were never written",
                               h5->path, wanted->unit, (unsigned long long)(wanted->first + first),
                               (unsigned long long)(wanted->first + first + n - 1), (unsigned)k);
        if (rows->address[i] > h5->size || n > (h5->size - rows->address[i]) / row_bytes)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': %s of checkpoint %u lie outside the file: it is "
                               "truncated or damaged",
                               h5->path, wanted->unit, (unsigned)k);
        if (rows->address[i] % unit) *ret_aligned = false;
    }
    return TAMIS_OK;
}

static void find_runs(tamis__store_rows *rows, uint64_t bytes)
{
    for (uint64_t i = rows->spans; i-- > 0;) {
        bool joined = i + 1 < rows->spans && rows->address[i] + bytes == rows->address[i + 1];
        rows->run[i] = joined ? rows->run[i + 1] + 1 : 1;
    }
}

static tamis_status place_rows(tamis__store_rows *rows, const tamis__h5 *h5,
                               const tamis__input *input, const tamis__store_rows_wanted *wanted,
                               uint32_t k, hid_t dataset, const layout *how, bool *ret_placed,
                               tamis_error *err)
{
    uint64_t row_bytes = wanted->columns * tamis_dtype_size(wanted->dtype);
    rows->span = how->kind == H5D_CHUNKED ? how->chunk[0] : wanted->rows;
    rows->spans = (wanted->rows - 1) / rows->span + 1;
    /* A span takes some bytes of the file: this bounds what a header can make us allocate. */
    if (row_bytes > h5->size || rows->spans > h5->size)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': %s of checkpoint %u were never written",
                           h5->path, wanted->unit, (unsigned)k);
    rows->address = tamis__malloc(rows->spans, sizeof *rows->address);
    rows->run = tamis__malloc(rows->spans, sizeof *rows->run);
    if (!rows->address || !rows->run)
        return tamis__fail_memory(err, "the places of rows",
                                  rows->spans * 2 * sizeof *rows->address);
    uint64_t bytes = rows->span * row_bytes;
    if (how->kind == H5D_CONTIGUOUS)
        rows->address[0] = H5Dget_offset(dataset);
    else if (!tamis__chunk_index_read(input, dataset, rows->span, bytes, rows->address,
                                      rows->spans))
        ask_for_chunks(dataset, rows->span, bytes, rows->address, rows->spans);
    TAMIS_TRY(check_addresses(rows, h5, wanted, k, row_bytes, ret_placed, err));
    find_runs(rows, bytes);
    return TAMIS_OK;
}

/* --- rows through HDF5 ------------------------------------------------------------------------ */

static tamis_status check_written(const tamis__h5 *h5, hid_t dataset, const char *name,
                                  const tamis__store_rows_wanted *wanted, const layout *how,
                                  tamis_error *err)
{
    hsize_t written = 0;
    uint64_t values, stored = 1;
    if (__builtin_mul_overflow(wanted->rows, wanted->columns, &values)) values = UINT64_MAX;
    TAMIS_TRY(tamis__h5_dataset_backed(h5, dataset, name, values, stored, err));
    if (how->kind != H5D_CHUNKED) return TAMIS_OK;
    uint64_t down = (wanted->rows - 1) / how->chunk[0] + 1,
             across = (wanted->columns - 1) / how->chunk[1] + 1;
    hid_t space = H5Dget_space(dataset);
    bool known = space >= 0 && H5Dget_num_chunks(dataset, space, &written) >= 0;
    if (space >= 0) H5Sclose(space);
    if (!known || written / across < down)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s': some %s were never written",
                           h5->path, name, wanted->unit);
    return TAMIS_OK;
}

/* Open again, with room for the chunks that one row crosses. */
static hid_t open_cached(const tamis__h5 *h5, const char *name,
                         const tamis__store_rows_wanted *wanted, const layout *how)
{
    hid_t list = H5Pcreate(H5P_DATASET_ACCESS), dataset = -1;
    double room = 1 << 20;
    if (how->kind == H5D_CHUNKED)
        room = 8.0 * (double)how->chunk[0] * ((double)wanted->columns + (double)how->chunk[1]);
    size_t cache = room < (double)CACHE_MAX ? (size_t)room : CACHE_MAX;
    if (list >= 0 && H5Pset_chunk_cache(list, 10007, cache, 1.0) >= 0)
        dataset = H5Dopen2(h5->file, name, list);
    if (list >= 0) H5Pclose(list);
    return dataset;
}

/* --- finding ---------------------------------------------------------------------------------- */

static tamis_status find_rows(tamis__store_rows *rows, const tamis__h5 *h5,
                              const tamis__input *input, const tamis__store_rows_wanted *wanted,
                              uint32_t k, const char *name, hid_t dataset, tamis_error *err)
{
    layout how = {.kind = H5D_LAYOUT_ERROR};
    bool placed = false;
    if (!read_layout(&how, h5, dataset, wanted->dtype))
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s'", h5->path, name);
    bool in_place = how.native && !how.filtered &&
                    ((how.kind == H5D_CHUNKED && how.chunk[1] == wanted->columns) ||
                     (how.kind == H5D_CONTIGUOUS && H5Dget_offset(dataset) != HADDR_UNDEF));
    if (in_place) TAMIS_TRY(place_rows(rows, h5, input, wanted, k, dataset, &how, &placed, err));
    if (placed) return TAMIS_OK;
    tamis__store_rows_fini(rows);
    TAMIS_TRY(check_written(h5, dataset, name, wanted, &how, err));
    rows->dataset = open_cached(h5, name, wanted, &how);
    if (rows->dataset >= 0) return TAMIS_OK;
    rows->dataset = 0;
    return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s'", h5->path, name);
}

tamis_status tamis__store_rows_find(tamis__store_rows *ret_rows, const tamis__h5 *h5,
                                    const tamis__input *input,
                                    const tamis__store_rows_wanted *wanted, uint32_t checkpoint,
                                    tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__store_rows rows = {0};
    tamis__store_name name = tamis__store_name_of(checkpoint, wanted->name);
    uint64_t shape[2];
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_open(h5, name.text, 2, shape, &dataset, err);
    if (status == TAMIS_OK && wanted->rows > 0) /* an example may have no token, and so all may */
        status = find_rows(&rows, h5, input, wanted, checkpoint, name.text, dataset, err);
    tamis__h5_array_close(&dataset);
    if (status != TAMIS_OK) {
        tamis__store_rows_fini(&rows);
    } else {
        rows.rows = wanted->rows;
        rows.columns = wanted->columns;
        rows.dtype = wanted->dtype;
        *ret_rows = rows;
    }
    tamis__h5_leave(&scope);
    return status;
}

void tamis__store_rows_fini(tamis__store_rows *rows)
{
    free(rows->address);
    free(rows->run);
    tamis__h5_array_close(&rows->dataset);
    *rows = (tamis__store_rows){0};
}
