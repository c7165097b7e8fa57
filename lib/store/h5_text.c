/* HDF5: datasets of texts.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/h5.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5_dataset.h"

/* Texts are padded a part at a time, so that one long id does not cost rows * length of memory. */
#define PART_BYTES ((size_t)1 << 20)

/* --- writing ---------------------------------------------------------------------------------- */

static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, size) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        return type;
    H5Tclose(type);
    return -1;
}

static tamis_status longest(const tamis__h5 *h5, const char *name, const char *const *texts,
                            uint64_t rows, size_t *ret_size, tamis_error *err)
{
    size_t most = 1;
    for (uint64_t i = 0; i < rows; i++) {
        size_t size = strlen(texts[i]);
        if (size > TAMIS__H5_TEXT_MAX)
            return tamis__fail(
                err, TAMIS_ERR_ARG,
                "cannot write '%s': text %llu of '%s' has %zu bytes, at most %u are stored",
                h5->path, (unsigned long long)i, name, size, TAMIS__H5_TEXT_MAX);
        if (size > most) most = size;
    }
    *ret_size = most;
    return TAMIS_OK;
}

static bool write_part(hid_t dataset, hid_t type, uint64_t first, uint64_t rows, const char *bytes)
{
    const hsize_t start = first, count = rows;
    hid_t file = H5Dget_space(dataset), memory = H5Screate_simple(1, &count, NULL);
    bool done = file >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(file, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
                H5Dwrite(dataset, type, memory, file, H5P_DEFAULT, bytes) >= 0;
    if (file >= 0) H5Sclose(file);
    if (memory >= 0) H5Sclose(memory);
    return done;
}

static tamis_status write_parts(const tamis__h5 *h5, const char *name, hid_t dataset, hid_t type,
                                size_t size, const char *const *texts, uint64_t rows,
                                tamis_error *err)
{
    uint64_t at_once = PART_BYTES / size;
    char *bytes = tamis__malloc(at_once, size);
    if (!bytes) return tamis__fail_memory(err, name, at_once * size);
    tamis_status status = TAMIS_OK;
    for (uint64_t first = 0; first < rows && status == TAMIS_OK; first += at_once) {
        uint64_t n = rows - first < at_once ? rows - first : at_once;
        memset(bytes, 0, n * size);
        for (uint64_t i = 0; i < n; i++)
            memcpy(bytes + i * size, texts[first + i], strlen(texts[first + i]));
        if (tamis__fault_io())
            status = tamis__fail_errno(err, "cannot write '%s'", h5->path);
        else if (!write_part(dataset, type, first, n, bytes))
            status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': dataset '%s'", h5->path,
                                    name);
    }
    free(bytes);
    return status;
}

tamis_status tamis__h5_write_text(const tamis__h5 *h5, const char *name, const char *const *texts,
                                  uint64_t rows, tamis_error *err)
{
    tamis__h5_scope scope;
    size_t size = 0;
    hid_t dataset = 0;
    TAMIS_TRY(longest(h5, name, texts, rows, &size, err));
    tamis__h5_enter(&scope);
    hid_t type = text_type(size);
    tamis_status status = type < 0
                              ? tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", h5->path)
                              : tamis__h5_dataset_create(h5, name, type, rows, 0, &dataset, err);
    if (status == TAMIS_OK) status = write_parts(h5, name, dataset, type, size, texts, rows, err);
    tamis__h5_array_close(&dataset);
    if (type >= 0) H5Tclose(type);
    tamis__h5_leave(&scope);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

bool tamis__h5_is_text(const tamis__h5 *h5, const char *name)
{
    tamis__h5_scope scope;
    bool text = false;
    tamis__h5_enter(&scope);
    hid_t dataset = tamis__h5_has(h5, name) ? H5Dopen2(h5->file, name, H5P_DEFAULT) : -1;
    hid_t type = dataset >= 0 ? H5Dget_type(dataset) : -1;
    if (type >= 0) {
        text = H5Tget_class(type) == H5T_STRING;
        H5Tclose(type);
    }
    if (dataset >= 0) H5Dclose(dataset);
    tamis__h5_leave(&scope);
    return text;
}

/* Length of a text in a field of fixed size. */
static size_t field_length(const char *field, size_t size, H5T_str_t padding)
{
    size_t n = strnlen(field, size);
    if (padding == H5T_STR_SPACEPAD)
        while (n > 0 && field[n - 1] == ' ') n--;
    return n;
}

/* Pointers first, then the bytes they point to. */
static char **fields_to_texts(const char *fields, uint64_t rows, size_t size, H5T_str_t padding)
{
    uint64_t bytes = rows * sizeof(char *);
    for (uint64_t i = 0; i < rows; i++) bytes += field_length(fields + i * size, size, padding) + 1;
    char **texts = tamis__malloc(bytes, 1);
    if (!texts) return NULL;
    char *at = (char *)(texts + rows);
    for (uint64_t i = 0; i < rows; i++) {
        size_t n = field_length(fields + i * size, size, padding);
        memcpy(at, fields + i * size, n);
        at[n] = '\0';
        texts[i] = at;
        at += n + 1;
    }
    return texts;
}

static tamis_status read_fixed(const tamis__h5 *h5, const char *name, hid_t dataset, hid_t type,
                               uint64_t rows, char ***ret_texts, tamis_error *err)
{
    size_t size = H5Tget_size(type);
    TAMIS_TRY(tamis__h5_dataset_backed(h5, dataset, name, rows, size, err));
    char *fields = tamis__malloc(rows, size);
    if (!fields) return tamis__fail_memory(err, name, rows * size);
    tamis_status status = TAMIS_OK;
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, fields) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' cannot be read",
                                h5->path, name);
    if (status == TAMIS_OK) {
        *ret_texts = fields_to_texts(fields, rows, size, H5Tget_strpad(type));
        if (!*ret_texts) status = tamis__fail_memory(err, name, rows * size);
    }
    free(fields);
    return status;
}

/* Variable length: HDF5 allocates each text, and takes it back. */
static tamis_status read_variable(const tamis__h5 *h5, const char *name, hid_t dataset, hid_t type,
                                  uint64_t rows, char ***ret_texts, tamis_error *err)
{
    TAMIS_TRY(tamis__h5_dataset_backed(h5, dataset, name, rows, sizeof(char *), err));
    char **loose = tamis__calloc(rows, sizeof *loose);
    if (!loose) return tamis__fail_memory(err, name, rows * sizeof *loose);
    hid_t space = H5Dget_space(dataset);
    tamis_status status = TAMIS_OK;
    if (space < 0 || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, loose) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' cannot be read",
                                h5->path, name);
    if (status == TAMIS_OK) {
        uint64_t bytes = rows * sizeof(char *);
        for (uint64_t i = 0; i < rows; i++) bytes += (loose[i] ? strlen(loose[i]) : 0) + 1;
        char **texts = tamis__malloc(bytes, 1);
        char *at = (char *)(texts + (texts ? rows : 0));
        for (uint64_t i = 0; texts && i < rows; i++) {
            const char *from = loose[i] ? loose[i] : "";
            texts[i] = strcpy(at, from);
            at += strlen(from) + 1;
        }
        if (texts)
            *ret_texts = texts;
        else
            status = tamis__fail_memory(err, name, bytes);
    }
    if (space >= 0) {
        (void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, loose);
        H5Sclose(space);
    }
    free(loose);
    return status;
}

tamis_status tamis__h5_read_text(const tamis__h5 *h5, const char *name, uint64_t rows,
                                 char ***ret_texts, tamis_error *err)
{
    tamis__h5_scope scope;
    uint64_t shape[2];
    hid_t dataset = 0, type = -1;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_open(h5, name, 1, shape, &dataset, err);
    if (status == TAMIS_OK && shape[0] != rows)
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "'%s': dataset '%s' has %llu texts, %llu expected", h5->path, name,
                             (unsigned long long)shape[0], (unsigned long long)rows);
    if (status == TAMIS_OK) type = H5Dget_type(dataset);
    if (status == TAMIS_OK && (type < 0 || H5Tget_class(type) != H5T_STRING))
        status = tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' does not hold texts",
                             h5->path, name);
    if (status == TAMIS_OK)
        status = H5Tis_variable_str(type) > 0
                     ? read_variable(h5, name, dataset, type, rows, ret_texts, err)
                     : read_fixed(h5, name, dataset, type, rows, ret_texts, err);
    if (type >= 0) H5Tclose(type);
    tamis__h5_array_close(&dataset);
    tamis__h5_leave(&scope);
    return status;
}
