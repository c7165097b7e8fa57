/* Samples in tar files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/tar_samples.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/tar_member.h"

/* Bytes between two progress reports. */
#define PROGRESS_BYTES ((size_t)16 << 20)

enum { SHOWN = 100 };

/* Length of the key, 0 = WebDataset passes over the file. Of "a/.b" the key is "a/", unless "a" has
 * a dot: that is how its regular expression falls out. */
static size_t key_size(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    const char *dot = strchr(base, '.');
    size_t size = strlen(name);
    if (!dot) return 0;
    if (dot == base && memchr(name, '.', (size_t)(base - name))) return 0;
    if (size >= 4 && !strncmp(name, "__", 2) && !strcmp(name + size - 2, "__")) return 0;
    return (size_t)(dot - name);
}

static tamis_status put_text(tamis__tar_set *set, const char *text, size_t size, tamis_error *err)
{
    if (set->text_size + size > set->text_room) {
        uint64_t room = 2 * set->text_room + size + 1024;
        char *grown = tamis__realloc(set->text, (size_t)room, 1);
        if (!grown) return tamis__fail_memory(err, "keys", room);
        set->text = grown;
        set->text_room = room;
    }
    memcpy(set->text + set->text_size, text, size);
    set->text_size += size;
    return TAMIS_OK;
}

static tamis_status start_sample(tamis__tar_set *set, const char *name, size_t size,
                                 tamis_error *err)
{
    uint64_t row = set->samples.n;
    if (row == set->keys_room) {
        uint64_t room = row ? 2 * row : 64;
        tamis__tar_key *grown = tamis__realloc(set->key, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "keys", room * sizeof *grown);
        set->key = grown;
        set->keys_room = room;
    }
    TAMIS_TRY(tamis__samples_add(&set->samples, err));
    set->key[row] = (tamis__tar_key){.first = set->text_size, .size = size, .row = row};
    return put_text(set, name, size, err);
}

/* Endings of the sample that is being read lie behind its key, each with its NUL; WebDataset
 * compares them in lower case. */
static tamis_status add_ending(tamis__tar_set *set, const char *ending, const char *name,
                               const char *path, tamis_error *err)
{
    const tamis__tar_key *key = &set->key[set->samples.n - 1];
    for (uint64_t at = key->first + key->size; at < set->text_size;
         at += strlen(set->text + at) + 1) {
        char shown[TAMIS__SHOWN_SIZE(SHOWN)];
        if (strcasecmp(set->text + at, ending) != 0) continue;
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': '%s' is there twice in one sample: readers refuse it", path,
                           tamis__show(shown, sizeof shown, name, strlen(name)));
    }
    return put_text(set, ending, strlen(ending) + 1, err);
}

static tamis_status add_member(tamis__tar_set *set, const tamis__tar_member *m, size_t source,
                               bool *open, tamis_error *err)
{
    const tamis__manifest_source *s = &set->source[source];
    size_t size = m->regular ? key_size(m->name) : 0;
    if (!size) {
        set->skipped++;
        return TAMIS_OK;
    }
    const tamis__tar_key *key = *open ? &set->key[set->samples.n - 1] : NULL;
    if (!key || key->size != size || memcmp(set->text + key->first, m->name, size) != 0) {
        if (key) set->text_size = key->first + key->size;
        TAMIS_TRY(start_sample(set, m->name, size, err));
        *open = true;
    }
    TAMIS_TRY(add_ending(set, m->name + size, m->name, s->path, err));
    return tamis__samples_extend(&set->samples, s->data + m->first, m->size, err);
}

/* So many bytes more were looked at: pages stay for the copy to come, as long as the limit has
 * room. */
static void let_go(tamis__tar_set *set, size_t bytes, const tamis_context *context)
{
    set->held += bytes;
    if (set->held < tamis__manifest_held(context)) return;
    for (size_t i = 0; i < set->samples.inputs; i++)
        tamis__input_release(&set->samples.input[i].bytes, 0, set->samples.input[i].bytes.size);
    set->held = 0;
}

tamis_status tamis__tar_set_add(tamis__tar_set *set, const tamis_context *context, const char *path,
                                const char *beside, tamis_error *err)
{
    size_t source = set->sources, seen = 0;
    tamis__tar_member m;
    bool open = false;
    tamis__manifest_source *grown = tamis__realloc(set->source, set->sources + 1,
                                                   sizeof *set->source);
    if (!grown) return tamis__fail_memory(err, "inputs", (set->sources + 1) * sizeof *grown);
    set->source = grown;
    TAMIS_TRY(tamis__manifest_source_open(&grown[source], context, path, beside, err));
    set->sources++;
    const tamis__manifest_source *s = &grown[source];
    tamis__samples_input input = {
        .bytes = s->expanded.data ? s->expanded : s->input, .watch = s->watch, .path = path};
    TAMIS_TRY(tamis__samples_open(&set->samples, &input, err));
    for (size_t at = 0;; at += m.size) {
        TAMIS_TRY(tamis__tar_member_at(s->data, s->size, at, path, &m, err));
        if (!m.size) break;
        TAMIS_TRY(add_member(set, &m, source, &open, err));
        if (at - seen < PROGRESS_BYTES) continue;
        let_go(set, at - seen, context);
        seen = at;
        TAMIS_TRY(tamis__progress(context, "reading headers", at, s->size, "bytes", NULL, err));
    }
    let_go(set, s->size - seen, context);
    if (open)
        set->text_size = set->key[set->samples.n - 1].first + set->key[set->samples.n - 1].size;
    return TAMIS_OK;
}

static int by_key(const void *a, const void *b, void *arg)
{
    const tamis__tar_set *set = arg;
    const tamis__tar_key *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(set->text + x->first, set->text + y->first, size);
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

tamis_status tamis__tar_set_check_keys(const tamis__tar_set *set, tamis_error *err)
{
    uint64_t n = set->samples.n;
    tamis__tar_key *key = tamis__malloc((size_t)n, sizeof *key);
    if (!key) return tamis__fail_memory(err, "keys", n * sizeof *key);
    tamis_status status = TAMIS_OK;
    if (n) memcpy(key, set->key, (size_t)n * sizeof *key);
    qsort_r(key, (size_t)n, sizeof *key, by_key, (void *)(uintptr_t)set);
    for (uint64_t i = 1; i < n && status == TAMIS_OK; i++) {
        char shown[TAMIS__SHOWN_SIZE(SHOWN)];
        const tamis__tar_key *a = &key[i - 1], *b = &key[i];
        if (a->size != b->size || memcmp(set->text + a->first, set->text + b->first, a->size) != 0)
            continue;
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "the key '%s' is that of two samples, row %" PRIu64
                             " in '%s' and row %" PRIu64
                             " in '%s': files of a sample must be neighbours, and keys differ",
                             tamis__show(shown, sizeof shown, set->text + a->first, a->size),
                             a->row, set->source[set->samples.of[a->row].source].path, b->row,
                             set->source[set->samples.of[b->row].source].path);
    }
    free(key);
    return status;
}

void tamis__tar_set_close(tamis__tar_set *set)
{
    for (size_t i = 0; i < set->sources; i++) tamis__manifest_source_close(&set->source[i]);
    free(set->source);
    free(set->key);
    free(set->text);
    tamis__samples_fini(&set->samples);
    *set = (tamis__tar_set){0};
}
