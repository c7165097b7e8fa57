/* The gradient store's file: names, types, digests, directories of shards.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/store_writer.h"

#define CHUNK_BYTES (UINT64_C(4) << 20)

tamis__store_name tamis__store_name_of(uint32_t checkpoint, const char *name)
{
    tamis__store_name full;
    snprintf(full.text, sizeof full.text, "checkpoint/%u%s%s", (unsigned)checkpoint,
             name ? "/" : "", name ? name : "");
    return full;
}

const char *tamis__store_factors_name(int which)
{
    static const char *const name[] = {"input", "output_gradient", "input_scale",
                                       "output_gradient_scale"};
    return name[which];
}

/* --- types ------------------------------------------------------------------------------------ */

/* A 16-bit float: the sign on top, then the exponent, then the mantissa. */
static hid_t half_type(size_t exponent, size_t bias)
{
    size_t mantissa = 15 - exponent;
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    if (type < 0) return type;
    if (H5Tset_fields(type, 15, mantissa, exponent, 0, mantissa) >= 0 &&
        H5Tset_size(type, 2) >= 0 && H5Tset_ebias(type, bias) >= 0)
        return type;
    H5Tclose(type);
    return -1;
}

hid_t tamis__store_type(tamis_dtype dtype)
{
    switch (dtype) {
    case TAMIS_F16: return half_type(5, 15);
    case TAMIS_BF16: return half_type(8, 127);
    case TAMIS_I8: return H5Tcopy(H5T_STD_I8LE);
    case TAMIS_F32: break;
    }
    return H5Tcopy(H5T_IEEE_F32LE);
}

/* --- rows ------------------------------------------------------------------------------------- */

uint64_t tamis__store_chunk_rows(uint64_t rows, uint64_t columns, tamis_dtype dtype)
{
    uint64_t row_bytes = columns * tamis_dtype_size(dtype), chunk = 1;
    while (chunk < rows && 2 * chunk * row_bytes <= CHUNK_BYTES) chunk *= 2;
    return chunk;
}

uint64_t tamis__store_rows_digest(const void *rows_stored, const float *scale, uint64_t rows,
                                  uint64_t first_row, uint64_t columns, tamis_dtype dtype,
                                  uint32_t checkpoint)
{
    const unsigned char *row = rows_stored;
    size_t row_bytes = columns * tamis_dtype_size(dtype);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t seed = (first_row + i) * 256 + checkpoint;
        sum += tamis__digest_seeded(row + i * row_bytes, row_bytes, seed);
        if (dtype == TAMIS_I8) sum += tamis__digest_seeded(&scale[i], sizeof *scale, seed);
    }
    return sum;
}

/* --- directories ------------------------------------------------------------------------------ */

/* NNNNN of a name "NNNNN<ending>". */
static bool shard_number(const char *name, const char *ending, uint32_t *ret_number)
{
    uint32_t number = 0;
    for (int i = 0; i < 5; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        number = number * 10 + (uint32_t)(name[i] - '0');
    }
    if (strcmp(name + 5, ending) != 0) return false;
    *ret_number = number;
    return true;
}

static bool push(uint32_t **array, uint32_t *n, uint32_t value)
{
    if ((*n & (*n - 1)) == 0) { /* full at every power of two */
        uint32_t *grown = tamis__realloc(*array, *n ? (size_t)2 * *n : 1, sizeof *grown);
        if (!grown) return false;
        *array = grown;
    }
    (*array)[(*n)++] = value;
    return true;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static tamis_status sort_entry(tamis__shard_list *list, const char *name, tamis_error *err)
{
    uint32_t number;
    bool kept = true;
    if (!strcmp(name, ".") || !strcmp(name, "..")) return TAMIS_OK;
    if (shard_number(name, ".h5", &number))
        kept = push(&list->number, &list->shards, number);
    else if (shard_number(name, ".h5.part", &number))
        kept = push(&list->part, &list->parts, number);
    else if (!list->stranger[0])
        memcpy(list->stranger, name, strnlen(name, sizeof list->stranger - 1));
    return kept ? TAMIS_OK
                : tamis__fail_memory(err, "a list of shards", list->shards * sizeof number);
}

tamis_status tamis__shard_list_read(tamis__shard_list *ret_list, const char *directory,
                                    tamis_error *err)
{
    tamis__shard_list list = {0};
    tamis_status status = TAMIS_OK;
    DIR *dir = tamis__fault_io() ? NULL : opendir(directory);
    if (!dir) return tamis__fail_errno(err, "cannot open '%s'", directory);
    while (status == TAMIS_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry && errno) status = tamis__fail_errno(err, "cannot read '%s'", directory);
        if (!entry) break;
        status = sort_entry(&list, entry->d_name, err);
    }
    closedir(dir);
    if (status != TAMIS_OK) {
        tamis__shard_list_fini(&list);
        return status;
    }
    if (list.shards) qsort(list.number, list.shards, sizeof *list.number, ascending);
    *ret_list = list;
    return TAMIS_OK;
}

void tamis__shard_list_fini(tamis__shard_list *list)
{
    free(list->number);
    free(list->part);
    *list = (tamis__shard_list){0};
}

char *tamis__shard_path(const char *directory, uint32_t number)
{
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') size--;
    char *path = tamis__malloc(size + sizeof "/00000.h5", 1);
    if (!path) return NULL;
    memcpy(path, directory, size);
    snprintf(path + size, sizeof "/00000.h5", "/%05u", (unsigned)(number % TAMIS__SHARDS_MAX));
    memcpy(path + size + 6, ".h5", 4);
    return path;
}
