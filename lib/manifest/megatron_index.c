/* Reading Megatron-LM's index, and checking all of it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/megatron_index.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

/* Bytes of a token by code: u8, i8, i16, i32, i64, f64, f32, u16. */
static const uint8_t item_size[] = {0, 1, 1, 2, 4, 8, 8, 4, 2};

static bool ends_in(const char *path, size_t size, const char *ending)
{
    size_t length = strlen(ending);
    return size > length && !memcmp(path + size - length, ending, length);
}

char *tamis__megatron_path(const char *path, const char *ending)
{
    size_t size = strlen(path);
    if (ends_in(path, size, ".idx") || ends_in(path, size, ".bin")) size -= 4;
    char *joined = tamis__malloc(size + strlen(ending) + 1, 1);
    if (!joined) return NULL;
    memcpy(joined, path, size);
    memcpy(joined + size, ending, strlen(ending) + 1);
    return joined;
}

/* --- checks --------------------------------------------------------------------------------- */

static tamis_status check_header(tamis__megatron *set, tamis_error *err)
{
    const unsigned char *data = set->idx.data;
    if (set->idx.size < TAMIS__MEGATRON_HEADER || memcmp(data, TAMIS__MEGATRON_MAGIC, 9) != 0)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' is no index of Megatron-LM: it does not begin with MMIDIDX and the "
            "counts; name the prefix that preprocess_data.py was given",
            set->idx_path);
    uint64_t version = tamis__megatron_u64(data + 9, 0);
    if (version != 1)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s': version %" PRIu64 " of the index is not known, 1 is",
                           set->idx_path, version);
    set->type = data[17];
    if (set->type == 0 || set->type >= sizeof item_size)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' byte 17: there is no type of tokens %u (1 to 8)", set->idx_path,
                           (unsigned)set->type);
    set->item = item_size[set->type];
    return TAMIS_OK;
}

/* The arrays fill the file, with or without modes. */
static tamis_status check_counts(tamis__megatron *set, tamis_error *err)
{
    const unsigned char *data = set->idx.data;
    uint64_t n = tamis__megatron_u64(data + 18, 0), ends = tamis__megatron_u64(data + 26, 0);
    uint64_t room = set->idx.size - TAMIS__MEGATRON_HEADER;
    bool fits = n <= room / 12 && ends > 0 && ends <= (room - 12 * n) / 8;
    uint64_t rest = fits ? room - 12 * n - 8 * ends : 0;
    if (!fits || (rest != 0 && rest != n))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has %zu bytes, which is not what %" PRIu64
                           " sequences and %" PRIu64
                           " ends of documents take: it is truncated or damaged",
                           set->idx_path, set->idx.size, n, ends);
    set->sequences = n;
    set->documents = ends - 1;
    set->length = data + TAMIS__MEGATRON_HEADER;
    set->offset = set->length + 4 * n;
    set->document = set->offset + 8 * n;
    set->mode = rest > 0 ? set->document + 8 * ends : NULL;
    return TAMIS_OK;
}

static tamis_status check_sequences(const tamis__megatron *set, tamis_error *err)
{
    for (uint64_t i = 0; i < set->sequences; i++) {
        uint64_t tokens = tamis__megatron_length(set, i), at = tamis__megatron_offset(set, i);
        if (tokens <= INT32_MAX && at <= set->bin.size && tokens * set->item <= set->bin.size - at)
            continue;
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': sequence %" PRIu64 " is %" PRId32 " tokens from byte %" PRId64
                           ", and '%s' has %zu bytes: one of the two is truncated, or of another "
                           "data set",
                           set->idx_path, i, (int32_t)tokens, (int64_t)at, set->bin_path,
                           set->bin.size);
    }
    return TAMIS_OK;
}

static tamis_status check_documents(const tamis__megatron *set, tamis_error *err)
{
    uint64_t last = 0;
    for (uint64_t i = 0; i <= set->documents; i++) {
        uint64_t first = tamis__megatron_first(set, i);
        uint64_t wanted = i == 0 ? 0 : i == set->documents ? set->sequences : first;
        if (first != wanted || first < last || first > set->sequences)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': end %" PRIu64 " of documents is sequence %" PRIu64
                               ", but they must ascend from 0 to %" PRIu64 ": the index is damaged",
                               set->idx_path, i, first, set->sequences);
        last = first;
    }
    return TAMIS_OK;
}

/* --- opening -------------------------------------------------------------------------------- */

static tamis_status open_all(tamis__megatron *set, const tamis_context *context, const char *name,
                             bool keep, tamis_error *err)
{
    set->idx_path = tamis__megatron_path(name, ".idx");
    set->bin_path = tamis__megatron_path(name, ".bin");
    if (!set->idx_path || !set->bin_path) return tamis__fail_memory(err, "a file name", 1);
    TAMIS_TRY(
        tamis__input_open_watched(&set->idx, &set->idx_watch, keep, context, set->idx_path, err));
    TAMIS_TRY(
        tamis__input_open_watched(&set->bin, &set->bin_watch, keep, context, set->bin_path, err));
    TAMIS_TRY(check_header(set, err));
    TAMIS_TRY(check_counts(set, err));
    TAMIS_TRY(check_sequences(set, err));
    return check_documents(set, err);
}

tamis_status tamis__megatron_open(tamis__megatron *ret_set, const tamis_context *context,
                                  const char *name, bool keep, tamis_error *err)
{
    tamis__megatron set = {0};
    tamis_status status = open_all(&set, context, name, keep, err);
    if (status == TAMIS_OK)
        *ret_set = set;
    else
        tamis__megatron_close(&set);
    return status;
}

void tamis__megatron_close(tamis__megatron *set)
{
    tamis__input_close(&set->idx);
    tamis__input_close(&set->bin);
    tamis__watch_end(&set->idx_watch);
    tamis__watch_end(&set->bin_watch);
    free(set->idx_path);
    free(set->bin_path);
    *set = (tamis__megatron){0};
}
