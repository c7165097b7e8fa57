/* Several Kaldi data directories as one.
 *
 * What becomes of files that only some have is as Kaldi's utils/combine_data.sh decides it, so that
 * users find what they would have made by hand. Where that script keeps the first of two lines that
 * disagree, this is an error.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/kaldi_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/kaldi_files.h"

enum { SHOWN = 60 };

static const char *name_of(char *buffer, size_t room, const tamis__name *name)
{
    return tamis__show(buffer, room, (const char *)name->data, name->size);
}

/* --- utterances ----------------------------------------------------------------------------- */

typedef struct owned {
    tamis__name name;
    const tamis__kaldi_dir *dir;
} owned;

static int compare_owned(const void *a, const void *b)
{
    const owned *x = a, *y = b;
    int order = tamis__name_compare(&x->name, &y->name);
    return order ? order : (x->dir > y->dir) - (x->dir < y->dir);
}

static tamis_status fail_shared(const owned *first, const owned *second, tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' has an utterance '%s', and so has '%s': one directory cannot hold "
                       "both; rename those of one (utils/copy_data_dir.sh --utt-prefix)",
                       tamis__kaldi_listing(second->dir),
                       name_of(shown, sizeof shown, &second->name),
                       tamis__kaldi_listing(first->dir));
}

/* Each directory has a name once, which its tables were checked for. */
static tamis_status check_unique(const tamis__kaldi_set *set, tamis_error *err)
{
    uint64_t n = 0;
    tamis_status status = TAMIS_OK;
    if (set->n == 1) return TAMIS_OK;
    owned *all = tamis__malloc((size_t)set->rows, sizeof *all);
    if (!all) return tamis__fail_memory(err, "names", set->rows * sizeof *all);
    for (size_t d = 0; d < set->n; d++)
        for (uint64_t row = 0; row < set->dir[d].rows; row++)
            all[n++] = (owned){set->dir[d].utterance[row], &set->dir[d]};
    qsort(all, (size_t)n, sizeof *all, compare_owned);
    for (uint64_t i = 1; i < n && status == TAMIS_OK; i++)
        if (!tamis__name_compare(&all[i - 1].name, &all[i].name))
            status = fail_shared(&all[i - 1], &all[i], err);
    free(all);
    return status;
}

tamis_status tamis__kaldi_set_open(tamis__kaldi_set *set, const tamis_context *context,
                                   const char *const *path, size_t n, const char *listing,
                                   tamis_error *err)
{
    *set = (tamis__kaldi_set){.context = context, .dir = tamis__calloc(n, sizeof *set->dir)};
    if (!set->dir) return tamis__fail_memory(err, "directories", n * sizeof *set->dir);
    while (set->n < n) {
        tamis__kaldi_dir *dir = &set->dir[set->n];
        TAMIS_TRY(tamis__kaldi_open(dir, context, path[set->n++], listing, err));
        listing = tamis__kaldi_file[dir->listing].name;
        set->rows += dir->rows;
        set->bytes += dir->bytes;
    }
    return check_unique(set, err);
}

void tamis__kaldi_set_close(tamis__kaldi_set *set)
{
    for (size_t i = 0; i < set->n; i++) tamis__kaldi_close(&set->dir[i]);
    free(set->dir);
    *set = (tamis__kaldi_set){.n = 0};
}

const tamis__name *tamis__kaldi_utterance(const tamis__kaldi_set *set, uint64_t row)
{
    const tamis__kaldi_dir *dir = set->dir;
    while (row >= dir->rows) row -= dir++->rows;
    return &dir->utterance[row];
}

/* --- ids ------------------------------------------------------------------------------------ */

static bool is_the_id(const tamis_examples *examples, uint64_t row, const tamis__name *name)
{
    uint64_t number;
    if (examples->id_text)
        return strlen(examples->id_text[row]) == name->size &&
               !memcmp(examples->id_text[row], name->data, name->size);
    return tamis__parse_uint64((const char *)name->data, name->size, &number) &&
           number == examples->id_number[row];
}

static tamis_status compare_ids(const tamis__kaldi_dir *dir, const tamis_examples *examples,
                                uint64_t first, tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    for (uint64_t row = 0; row < dir->rows; row++)
        if (!is_the_id(examples, first + row, &dir->utterance[row]))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' line %" PRIu64
                               ": utterance '%s' is not the selection's row %" PRIu64
                               ", which has another id: give the directory that the gradients were "
                               "made from",
                               tamis__kaldi_listing(dir), row + 1,
                               name_of(shown, sizeof shown, &dir->utterance[row]), first + row);
    return TAMIS_OK;
}

tamis_status tamis__kaldi_compare(const tamis__kaldi_set *set, const tamis_selection *selection,
                                  bool *ret_ids, tamis_error *err)
{
    const tamis_examples *examples = &selection->examples;
    char more[48] = "";
    uint64_t first = 0;
    if (set->n > 1) snprintf(more, sizeof more, " and %zu more", set->n - 1);
    if (set->rows != selection->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s'%s %s %" PRIu64 " utterances, the selection %" PRIu64
                           " candidates: give %s that the gradients were made from",
                           tamis__kaldi_listing(set->dir), more, set->n > 1 ? "have" : "has",
                           set->rows, selection->rows,
                           set->n > 1 ? "the directories" : "the directory");
    *ret_ids = examples->id_text || examples->id_number;
    for (size_t d = 0; *ret_ids && d < set->n; first += set->dir[d++].rows)
        TAMIS_TRY(compare_ids(&set->dir[d], examples, first, err));
    return TAMIS_OK;
}

/* --- which files ---------------------------------------------------------------------------- */

/* The first directory that has file i, or with `there` false lacks it; NULL = none does. */
static const tamis__kaldi_dir *first_with(const tamis__kaldi_set *set, size_t i, bool there)
{
    for (size_t d = 0; d < set->n; d++)
        if ((set->dir[d].file_path[i] != NULL) == there) return &set->dir[d];
    return NULL;
}

static tamis_status make_segments(tamis__kaldi_set *set, tamis_error *err)
{
    size_t segments = tamis__kaldi_index("segments"), durations = tamis__kaldi_index("utt2dur");
    for (size_t d = 0; d < set->n; d++) {
        const tamis__kaldi_dir *dir = &set->dir[d];
        if (dir->file_path[segments]) continue;
        if (!dir->file_path[durations])
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' has no segments, but '%s' has, and no utt2dur to make them "
                               "of: make one (utils/data/get_utt2dur.sh)",
                               dir->path, first_with(set, segments, true)->path);
        TAMIS_TRY(tamis__kaldi_column(dir, durations, 2, 2, "<utterance> <seconds>", NULL, err));
        tamis__log(set->context, TAMIS_LOG_INFO,
                   "'%s' has no segments: each of its utterances is one of all its utt2dur",
                   dir->path);
    }
    return TAMIS_OK;
}

/* Bytes without the line end. */
static tamis__name text_of(const tamis__input *input)
{
    tamis__name text = {input->data, input->size};
    while (text.size && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == ' '))
        text.size--;
    return text;
}

static tamis_status check_whole(const tamis__kaldi_set *set, size_t i, tamis_error *err)
{
    const tamis__kaldi_dir *first = first_with(set, i, true), *without = first_with(set, i, false);
    tamis__name text = text_of(&first->input[i]);
    for (const tamis__kaldi_dir *dir = first; dir < set->dir + set->n; dir++) {
        tamis__name other = text_of(&dir->input[i]);
        if (dir->file_path[i] && tamis__name_compare(&text, &other))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' and '%s' differ: features of two kinds cannot be in one "
                               "directory",
                               first->file_path[i], dir->file_path[i]);
    }
    if (without)
        tamis__log(set->context, TAMIS_LOG_WARNING,
                   "'%s' has no %s, and that of '%s' is taken for its own", without->path,
                   tamis__kaldi_file[i].name, first->path);
    return TAMIS_OK;
}

/* *ret_written: the directory that is written has file i, which some directories have. */
static tamis_status join_file(tamis__kaldi_set *set, size_t i, bool *ret_written, tamis_error *err)
{
    const tamis__kaldi_dir *with = first_with(set, i, true), *without = first_with(set, i, false);
    const char *name = tamis__kaldi_file[i].name;
    *ret_written = true;
    if (tamis__kaldi_file[i].key == TAMIS__KALDI_WHOLE) return check_whole(set, i, err);
    if (!without || i == tamis__kaldi_index("utt2uniq")) return TAMIS_OK;
    if (i == tamis__kaldi_index("segments")) return make_segments(set, err);
    if (i == tamis__kaldi_index("utt2spk"))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has no utt2spk, but '%s' has: every directory needs one (names of "
                           "utterances will do for speakers)",
                           without->path, with->path);
    *ret_written = false;
    tamis__log(set->context, TAMIS_LOG_WARNING,
               "'%s' has no %s, but '%s' has: none is written (utils/combine_data.sh)",
               without->path, name, with->path);
    return TAMIS_OK;
}

/* Files by speaker need utt2spk to tell which speakers are left; spk2utt is made even if it was not
 * there, since every recipe reads it. */
tamis_status tamis__kaldi_join(tamis__kaldi_set *set, tamis_error *err)
{
    for (size_t i = 0; i < tamis__kaldi_files; i++) {
        enum tamis__kaldi_key key = tamis__kaldi_file[i].key;
        bool speakers = set->dir->speaker != NULL;
        set->written[i] = key == TAMIS__KALDI_REBUILT && speakers;
        if (key == TAMIS__KALDI_REBUILT || (key == TAMIS__KALDI_SPEAKER && !speakers)) continue;
        if (first_with(set, i, true)) TAMIS_TRY(join_file(set, i, &set->written[i], err));
    }
    return TAMIS_OK;
}
