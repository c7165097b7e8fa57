/* The state of a fit that is to be resumed: sums, and how far they go.
 *
 *     header    magic, version, key, first layer, layers, stage, next row, XXH3 of these    8 bytes each
 *     arrays    of the layers before the first, as they will be in the output
 *               of the layers of the group, as they are in memory
 *     digest    XXH3 of the arrays, 8 bytes
 *
 * Numbers are in the machine's order: a state does not travel. The file is written anew each time
 * and appears whole, so that a run may be killed at any moment.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "curvature/fit.h"
#include "linalg/blas.h"

/* Writing takes at most one part in so many of the time. */
#define SHARE 20.0

/* Digested at a time: the digest must not depend on how arrays are given. */
#define BLOCK ((size_t)1 << 20)

typedef struct header {
    char magic[8];
    uint64_t version, key, first, layers, stage, next_row, digest;
} header;

static const char magic[8] = {'t', 'a', 'm', 'i', 's', 's', 'u', 'm'};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- what the state is of --------------------------------------------------------------------- */

static int add_store(char *text, size_t size, const tamis_store *store, uint32_t checkpoint)
{
    if (!store) return snprintf(text, size, " none");
    const tamis_store_info *info = tamis_store_info_get(store);
    return snprintf(text, size, " %016" PRIx64 " %" PRIu64 " %" PRIu64 " %u %u", info->digest,
                    info->rows, info->columns, (unsigned)info->rows_per_example,
                    (unsigned)checkpoint);
}

/* Layers have their names and sizes in it through the digest of the table that precedes. */
static uint64_t key_of(const tamis__fit *fit)
{
    char text[1024];
    const tamis_fit_curvature_params *p = fit->params;
    uint64_t layers = 0, from = p->from ? tamis_curvature_info_get(p->from)->digest : 0;
    for (uint32_t l = 0; l < fit->info.layers; l++) {
        const tamis_layer *layer = &fit->info.layer[l];
        const uint64_t sizes[3] = {layer->out, layer->in, layer->bias};
        layers = tamis__digest_seeded(layer->name, strlen(layer->name), layers);
        layers = tamis__digest_seeded(sizes, sizeof sizes, layers);
    }
    int n = snprintf(text, sizeof text, "%d %d %" PRIu64 " %016" PRIx64 " %016" PRIx64,
                     (int)p->kind, (int)p->until, fit->info.max_block, layers, from);
    n += add_store(text + n, sizeof text - (size_t)n, p->train, fit->train_checkpoint);
    n += add_store(text + n, sizeof text - (size_t)n, fit->second, fit->second_checkpoint);
    snprintf(text + n, sizeof text - (size_t)n, " %.300s", tamis__blas_config());
    return tamis__digest(text, strlen(text));
}

/* --- which arrays ----------------------------------------------------------------------------- */

/* Facts of a file that has the arrays in memory. */
static tamis_curvature_info in_memory(const tamis__fit *fit)
{
    tamis_curvature_info info = fit->info;
    info.stage = fit->at;
    return info;
}

static uint64_t bytes_before(const tamis_curvature_info *info, uint64_t first, uint64_t end)
{
    uint64_t bytes = 0;
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(info, &place, &started);)
        if (place.layer >= first && place.layer < end)
            bytes += tamis__curvature_values(info, &place) * sizeof(double);
    return bytes;
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct flow {
    tamis__output out;
    uint64_t digest;
    unsigned char *piece;
    size_t used;
} flow;

static tamis_status flush(flow *f, tamis_error *err)
{
    f->digest = tamis__digest_seeded(f->piece, f->used, f->digest);
    TAMIS_TRY(tamis__output_write(&f->out, f->piece, f->used, err));
    f->used = 0;
    return TAMIS_OK;
}

static tamis_status pour(flow *f, const void *bytes, uint64_t size, tamis_error *err)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        size_t n = size < BLOCK - f->used ? (size_t)size : BLOCK - f->used;
        memcpy(f->piece + f->used, at, n);
        f->used += n;
        at += n;
        size -= n;
        if (f->used == BLOCK) TAMIS_TRY(flush(f, err));
    }
    return TAMIS_OK;
}

/* Layers that are finished lie in the state that is there. */
static tamis_status pour_finished(const tamis__fit *fit, flow *f, tamis_error *err)
{
    uint64_t size = bytes_before(&fit->info, 0, fit->first);
    tamis__input old;
    if (size == 0) return TAMIS_OK;
    TAMIS_TRY(tamis__input_open(&old, fit->context, fit->state_path, err));
    tamis_status status = old.size >= sizeof(header) + size
                              ? pour(f, old.data + sizeof(header), size, err)
                              : tamis__fail(err, TAMIS_ERR_IO, "'%s' shrank: another run uses it",
                                            fit->state_path);
    tamis__input_close(&old);
    return status;
}

static tamis_status pour_group(const tamis__fit *fit, flow *f, const tamis_curvature_info *info,
                               tamis_error *err)
{
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(info, &place, &started);) {
        bool of_group = place.layer >= fit->first && place.layer < fit->first + fit->n;
        if (place.array != TAMIS__GRAM && !of_group) continue;
        TAMIS_TRY(pour(f, tamis__fit_array(fit, &place),
                       tamis__curvature_values(info, &place) * sizeof(double), err));
    }
    return f->used ? flush(f, err) : TAMIS_OK;
}

static tamis_status write_state(tamis__fit *fit, bool closed, flow *f, tamis_error *err)
{
    header h = {.version = 1,
                .key = fit->key,
                .first = closed ? fit->first + fit->n : fit->first,
                .layers = closed ? 0 : fit->n,
                .stage = closed ? 0 : (uint64_t)fit->at,
                .next_row = closed ? 0 : fit->next_row};
    tamis_curvature_info info = closed ? fit->info : in_memory(fit);
    memcpy(h.magic, magic, sizeof magic);
    h.digest = tamis__digest(&h, offsetof(header, digest));
    TAMIS_TRY(tamis__output_write(&f->out, &h, sizeof h, err));
    TAMIS_TRY(pour_finished(fit, f, err));
    TAMIS_TRY(pour_group(fit, f, &info, err));
    return tamis__output_write(&f->out, &f->digest, sizeof f->digest, err);
}

bool tamis__fit_due(const tamis__fit *fit)
{
    if (!fit->state_path) return false;
    double passed = now() - fit->saved;
    return passed >= fit->interval && passed >= SHARE * fit->took;
}

tamis_status tamis__fit_save(tamis__fit *fit, bool closed, tamis_error *err)
{
    if (!fit->state_path) return TAMIS_OK;
    double start = now();
    flow f = {.piece = tamis__malloc(BLOCK, 1)};
    if (!f.piece) return tamis__fail_memory(err, "the state of a fit", BLOCK);
    tamis_status status = tamis__output_open(&f.out, fit->context, fit->state_path, true, err);
    if (status == TAMIS_OK) {
        status = write_state(fit, closed, &f, err);
        if (status == TAMIS_OK)
            status = tamis__output_commit(&f.out, err);
        else
            tamis__output_abort(&f.out);
    }
    free(f.piece);
    fit->saved = now();
    fit->took = fit->interval > 0 ? fit->saved - start : 0;
    return status;
}

void tamis__fit_forget(const tamis__fit *fit)
{
    if (!fit->state_path) return;
    if (unlink(fit->state_path) && errno != ENOENT)
        tamis__log(fit->context, TAMIS_LOG_WARNING,
                   "'%s' is not needed any more, but cannot be removed", fit->state_path);
}

/* --- reading ---------------------------------------------------------------------------------- */

static tamis_status no_state(const tamis__fit *fit, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "cannot resume: '%s' is damaged, or no state of a fit: remove it to start "
                       "anew",
                       fit->state_path);
}

static tamis_status check_header(const tamis__fit *fit, const header *h, tamis_error *err)
{
    if (memcmp(h->magic, magic, sizeof magic) != 0 ||
        h->digest != tamis__digest(h, offsetof(header, digest)))
        return no_state(fit, err);
    if (h->version != 1 || h->key != fit->key)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' is of another fit, with other stores or options, "
                           "or of another version of tamis: remove it to start anew",
                           fit->state_path);
    if (h->first > fit->info.layers || h->layers > fit->info.layers - h->first ||
        h->stage > TAMIS_STAGE_LAMBDA)
        return no_state(fit, err);
    return TAMIS_OK;
}

/* Sizes and digest of what follows the header. */
static tamis_status check_arrays(const tamis__fit *fit, const tamis__input *in, uint64_t bytes,
                                 tamis_error *err)
{
    uint64_t digest = 0, there;
    const unsigned char *at = in->data + sizeof(header);
    if (in->size != sizeof(header) + bytes + sizeof there) return no_state(fit, err);
    for (uint64_t done = 0; done < bytes; done += BLOCK)
        digest = tamis__digest_seeded(
            at + done, bytes - done < BLOCK ? (size_t)(bytes - done) : BLOCK, digest);
    memcpy(&there, at + bytes, sizeof there);
    return there == digest ? TAMIS_OK : no_state(fit, err);
}

static tamis_status give_finished(tamis__fit *fit, const unsigned char **at, tamis_error *err)
{
    tamis__curvature_place next = fit->place;
    bool started = fit->started;
    while (tamis__curvature_next(&fit->info, &next, &started) && next.layer < fit->first) {
        uint64_t size = tamis__curvature_values(&fit->info, &next) * sizeof(double);
        /* Arrays in the file start at any multiple of 8: the header is one too. */
        const double *values = (const double *)(const void *)*at;
        TAMIS_TRY(tamis__curvature_put(fit->writer, &next, values, err));
        *at += size;
        fit->place = next;
        fit->started = started;
    }
    return TAMIS_OK;
}

static tamis_status take_group(tamis__fit *fit, const header *h, const unsigned char *at,
                               tamis_error *err)
{
    uint32_t n = (uint32_t)h->layers;
    bool gram = fit->info.kind == TAMIS_CURVATURE_GRAM;
    if (n == 0 && !gram) return TAMIS_OK;
    if (gram) {
        uint64_t values = fit->info.columns * fit->info.columns;
        TAMIS_TRY(tamis__memory_check(fit->context, values * sizeof(double), "resuming", err));
        fit->gram = tamis__aligned(values, sizeof *fit->gram);
        if (!fit->gram) return tamis__fail_memory(err, "resuming", values * sizeof *fit->gram);
    } else {
        TAMIS_TRY(tamis__memory_check(fit->context, tamis__fit_bytes(fit, fit->first, n),
                                      "resuming with the layers that were fitted together", err));
        TAMIS_TRY(tamis__fit_open_group(fit, n, err));
    }
    fit->at = (tamis_curvature_stage)h->stage;
    fit->next_row = h->next_row;
    tamis_curvature_info info = in_memory(fit);
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(&info, &place, &started);) {
        if (!gram && (place.layer < fit->first || place.layer >= fit->first + n)) continue;
        uint64_t size = tamis__curvature_values(&info, &place) * sizeof(double);
        memcpy(tamis__fit_array(fit, &place), at, size);
        at += size;
    }
    return TAMIS_OK;
}

static tamis_status take_over(tamis__fit *fit, const tamis__input *in, tamis_error *err)
{
    header h;
    if (in->size < sizeof h) return no_state(fit, err);
    memcpy(&h, in->data, sizeof h);
    TAMIS_TRY(check_header(fit, &h, err));
    tamis_curvature_info info = fit->info;
    info.stage = (tamis_curvature_stage)h.stage;
    bool gram = fit->info.kind == TAMIS_CURVATURE_GRAM;
    uint64_t end = gram ? 1 : h.first + h.layers;
    uint64_t bytes = bytes_before(&fit->info, 0, h.first) + bytes_before(&info, h.first, end);
    TAMIS_TRY(check_arrays(fit, in, bytes, err));
    fit->first = (uint32_t)h.first;
    const unsigned char *at = in->data + sizeof h;
    TAMIS_TRY(give_finished(fit, &at, err));
    return take_group(fit, &h, at, err);
}

tamis_status tamis__fit_resume(tamis__fit *fit, bool *ret_found, tamis_error *err)
{
    struct stat st;
    size_t size = strlen(fit->params->path);
    fit->state_path = tamis__malloc(size + sizeof ".sums", 1);
    if (!fit->state_path) return tamis__fail_memory(err, "a file name", size);
    memcpy(fit->state_path, fit->params->path, size);
    memcpy(fit->state_path + size, ".sums", sizeof ".sums");
    fit->key = key_of(fit);
    fit->saved = now();
    *ret_found = stat(fit->state_path, &st) == 0;
    if (!*ret_found) return TAMIS_OK;
    tamis__input in;
    TAMIS_TRY(tamis__input_open(&in, fit->context, fit->state_path, err));
    tamis_status status = take_over(fit, &in, err);
    tamis__input_close(&in);
    if (status == TAMIS_OK)
        tamis__log(fit->context, TAMIS_LOG_INFO, "going on from '%s'", fit->state_path);
    return status;
}
