/* Shards of a MosaicML StreamingDataset: u32 n, u32 offset[n + 1] from the start of the file, the
 * writer's configuration as JSON, then the samples. All little-endian.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/mds_shards.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/codec.h"

static uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* --- index.json ----------------------------------------------------------------------------- */

static tamis_status load_index(const tamis_context *context, const char *path, json_t **ret_index,
                               tamis_error *err)
{
    tamis__input input;
    json_error_t fault;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    json_t *index = json_loadb((const char *)input.data, input.size, JSON_REJECT_DUPLICATES,
                               &fault);
    tamis__input_close(&input);
    if (!index)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %d: %s", path, fault.line, fault.text);
    if (json_integer_value(json_object_get(index, "version")) != 2 ||
        !json_is_array(json_object_get(index, "shards"))) {
        json_decref(index);
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is no index of a StreamingDataset of version 2", path);
    }
    *ret_index = index;
    return TAMIS_OK;
}

static bool same_columns(const json_t *a, const json_t *b)
{
    static const char *const key[] = {"column_names", "column_encodings", "column_sizes"};
    for (size_t i = 0; i < 3; i++)
        if (!json_equal(json_object_get(a, key[i]), json_object_get(b, key[i]))) return false;
    return true;
}

static bool is_size(const json_t *size)
{
    return json_is_null(size) || (json_is_integer(size) && json_integer_value(size) >= 0 &&
                                  json_integer_value(size) <= UINT32_MAX);
}

static tamis_status check_entry(const json_t *entry, const json_t *first, const char *path,
                                size_t i, tamis_error *err)
{
    const char *format = json_string_value(json_object_get(entry, "format"));
    const json_t *sizes = json_object_get(entry, "column_sizes");
    if (!format || strcmp(format, "mds") != 0)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' shard %zu: the format must be mds, not '%s'", path, i,
                           format ? format : "?");
    bool good = json_is_array(sizes) && json_array_size(sizes) > 0 &&
                json_is_array(json_object_get(entry, "column_names")) &&
                json_is_array(json_object_get(entry, "column_encodings"));
    for (size_t k = 0; good && k < json_array_size(sizes); k++)
        good = is_size(json_array_get(sizes, k));
    if (!good)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' shard %zu: column_names, column_encodings and column_sizes must "
                           "be arrays, and sizes numbers or null",
                           path, i);
    if (!same_columns(entry, first))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' shard %zu has other columns than the first shard: their samples "
                           "cannot be in one",
                           path, i);
    return TAMIS_OK;
}

/* --- one shard ------------------------------------------------------------------------------ */

/* A name in index.json stays in its directory. */
static bool is_inside(const char *name)
{
    if (!*name || *name == '/') return false;
    for (const char *p = name; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2])) return false;
    }
    return true;
}

static tamis_status open_bytes(tamis__mds_shard *shard, const tamis_context *context,
                               bool compressed, const char *beside, uint64_t *ret_stored,
                               tamis_error *err)
{
    if (!compressed) {
        TAMIS_TRY(tamis__input_open_watched(&shard->plain, &shard->watch, false, context,
                                            shard->path, err));
        shard->data = shard->plain.data;
        *ret_stored = shard->size = shard->plain.size;
        return TAMIS_OK;
    }
    TAMIS_TRY(tamis__manifest_source_open(&shard->compressed, context, shard->path, beside, err));
    if (!shard->compressed.expanded.data)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is in a compression other than zstd and gz: decompress it first",
                           shard->path);
    shard->data = shard->compressed.data;
    shard->size = shard->compressed.size;
    *ret_stored = shard->compressed.input.size;
    return TAMIS_OK;
}

static tamis_status open_shard(tamis__mds *mds, size_t i, const json_t *entry,
                               const tamis_context *context, const char *directory,
                               const char *beside, tamis_error *err)
{
    tamis__mds_shard *shard = &mds->shard[i];
    const json_t *zip = json_object_get(entry, "zip_data");
    const json_t *raw = json_object_get(entry, "raw_data");
    bool compressed = json_is_object(zip);
    const char *name = json_string_value(json_object_get(compressed ? zip : raw, "basename"));
    const json_t *bytes = json_object_get(raw, "bytes");
    uint64_t stored = 0;
    if (!name || !is_inside(name) || !json_is_integer(bytes))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s/index.json' shard %zu: raw_data needs bytes, and a basename that "
                           "stays in the directory",
                           directory, i);
    TAMIS_TRY(tamis__join_path(directory, name, &shard->path, err));
    TAMIS_TRY(open_bytes(shard, context, compressed, beside, &stored, err));
    mds->bytes += stored;
    mds->had_compression |= compressed;
    mds->had_hashes |= json_object_size(json_object_get(raw, "hashes")) > 0;
    if ((json_int_t)shard->size != json_integer_value(bytes))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has %zu bytes, index.json says %" JSON_INTEGER_FORMAT
                           ": the shard is truncated or the index is of another one",
                           shard->path, shard->size, json_integer_value(bytes));
    return TAMIS_OK;
}

static tamis_status check_config(tamis__mds *mds, const tamis__mds_shard *shard,
                                 const json_t *entry, size_t first, size_t size, tamis_error *err)
{
    json_t *config = json_loadb((const char *)shard->data + first, size, 0, NULL);
    bool same = config && same_columns(config, entry);
    json_decref(config);
    if (!same)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': the columns in the shard are not those in index.json",
                           shard->path);
    if (!mds->config) {
        mds->config = shard->data + first;
        mds->config_size = size;
    }
    return TAMIS_OK;
}

static const tamis__input *input_of(const tamis__mds_shard *shard)
{
    return shard->compressed.path ? &shard->compressed.expanded : &shard->plain;
}

static tamis_status find_samples(tamis__mds *mds, size_t i, const json_t *entry, tamis_error *err)
{
    const tamis__mds_shard *shard = &mds->shard[i];
    const json_t *samples = json_object_get(entry, "samples");
    uint64_t n = shard->size >= 8 ? u32_at(shard->data) : 0, head = 4 + 4 * (n + 1);
    if (shard->size < head)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is too short to be an MDS shard",
                           shard->path);
    if (!json_is_integer(samples) || (json_int_t)n != json_integer_value(samples))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has %" PRIu64 " samples, index.json says %" JSON_INTEGER_FORMAT,
                           shard->path, n, json_integer_value(samples));
    uint64_t at = u32_at(shard->data + 4);
    if (at < head || at > shard->size)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': offset 0 is outside the shard",
                           shard->path);
    TAMIS_TRY(check_config(mds, shard, entry, (size_t)head, (size_t)(at - head), err));
    tamis__samples_input input = {.bytes = *input_of(shard),
                                  .watch = shard->compressed.path ? shard->compressed.watch
                                                                  : shard->watch,
                                  .path = shard->path};
    TAMIS_TRY(tamis__samples_open(&mds->samples, &input, err));
    for (uint64_t k = 0; k < n; k++) {
        uint64_t next = u32_at(shard->data + 8 + 4 * k);
        if (next < at || next > shard->size)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': offset %" PRIu64 " is outside the shard or out of order",
                               shard->path, k + 1);
        TAMIS_TRY(tamis__samples_add(&mds->samples, err));
        TAMIS_TRY(tamis__samples_extend(&mds->samples, shard->data + at, (size_t)(next - at), err));
        at = next;
    }
    if (at != shard->size)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': bytes follow the last sample",
                           shard->path);
    tamis__input_release(input_of(shard), 0, shard->size);
    return TAMIS_OK;
}

/* --- all ------------------------------------------------------------------------------------ */

/* Those of the first shard, which are those of all. */
static tamis_status read_columns(tamis__mds *mds, const json_t *entry, tamis_error *err)
{
    const json_t *sizes = json_object_get(entry, "column_sizes");
    size_t n = json_array_size(sizes);
    mds->column_size = tamis__malloc(n, sizeof *mds->column_size);
    if (!mds->column_size) return tamis__fail_memory(err, "columns", n * sizeof *mds->column_size);
    mds->columns = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *size = json_array_get(sizes, i);
        mds->column_size[i] = json_is_integer(size) ? json_integer_value(size) : -1;
    }
    return TAMIS_OK;
}

static tamis_status add_shards(tamis__mds *mds, const json_t *list, const char *path,
                               const tamis_context *context, const char *directory,
                               const char *beside, tamis_error *err)
{
    size_t n = json_array_size(list), before = mds->shards;
    tamis__mds_shard *grown = tamis__realloc(mds->shard, before + n, sizeof *grown);
    if (!grown) return tamis__fail_memory(err, "shards", (before + n) * sizeof *grown);
    mds->shard = grown;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        if (!mds->first) mds->first = json_incref(json_array_get(list, 0));
        TAMIS_TRY(check_entry(entry, mds->first, path, i, err));
        if (!mds->column_size) TAMIS_TRY(read_columns(mds, entry, err));
        mds->shard[mds->shards++] = (tamis__mds_shard){0};
        TAMIS_TRY(open_shard(mds, before + i, entry, context, directory, beside, err));
        TAMIS_TRY(find_samples(mds, before + i, entry, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__mds_add(tamis__mds *mds, const tamis_context *context, const char *directory,
                            const char *beside, tamis_error *err)
{
    char *path = NULL;
    json_t *index = NULL;
    TAMIS_TRY(tamis__join_path(directory, "index.json", &path, err));
    tamis_status status = load_index(context, path, &index, err);
    const json_t *list = json_object_get(index, "shards");
    if (status == TAMIS_OK) status = add_shards(mds, list, path, context, directory, beside, err);
    json_decref(index);
    free(path);
    return status;
}

void tamis__mds_close(tamis__mds *mds)
{
    for (size_t i = 0; i < mds->shards; i++) {
        free(mds->shard[i].path);
        if (mds->shard[i].plain.data) tamis__input_close(&mds->shard[i].plain);
        if (mds->shard[i].compressed.path) tamis__manifest_source_close(&mds->shard[i].compressed);
    }
    free(mds->shard);
    free(mds->column_size);
    tamis__samples_fini(&mds->samples);
    json_decref(mds->first);
    *mds = (tamis__mds){0};
}

tamis_status tamis__mds_check_sample(const tamis__mds *mds, uint64_t row, tamis_error *err)
{
    const tamis__sample *sample = &mds->samples.of[row];
    const unsigned char *data = mds->samples.chunk[sample->first].data;
    uint64_t head = 0, sum = 0;
    for (size_t i = 0; i < mds->columns; i++) {
        if (mds->column_size[i] >= 0) {
            sum += (uint64_t)mds->column_size[i];
        } else if (head + 4 <= sample->bytes) {
            sum += u32_at(data + head);
            head += 4;
        } else {
            sum = UINT64_MAX / 2;
        }
    }
    if (head + sum == sample->bytes) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': the columns of sample %" PRIu64
                       " (of the whole set) do not add up to its size: the shard is broken",
                       mds->shard[sample->source].path, row);
}
