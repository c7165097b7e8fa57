/* The part of a Kaldi data directory that belongs to some of its utterances.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/kaldi_dir.h"
#include "manifest/kaldi_files.h"

enum { SHOWN = 60 };

const struct tamis__kaldi_file tamis__kaldi_file[] = {
    {"cmvn.scp", TAMIS__KALDI_SPEAKER},
    {"feats.scp", TAMIS__KALDI_UTTERANCE},
    {"frame_shift", TAMIS__KALDI_WHOLE},
    {"reco2dur", TAMIS__KALDI_RECORDING},
    {"reco2file_and_channel", TAMIS__KALDI_RECORDING},
    {"reco2num_frames", TAMIS__KALDI_RECORDING},
    {"segments", TAMIS__KALDI_UTTERANCE},
    {"spk2gender", TAMIS__KALDI_SPEAKER},
    {"spk2utt", TAMIS__KALDI_REBUILT},
    {"spk2warp", TAMIS__KALDI_SPEAKER},
    {"text", TAMIS__KALDI_UTTERANCE},
    {"utt2dur", TAMIS__KALDI_UTTERANCE},
    {"utt2lang", TAMIS__KALDI_UTTERANCE},
    {"utt2max_frames", TAMIS__KALDI_UTTERANCE},
    {"utt2num_frames", TAMIS__KALDI_UTTERANCE},
    {"utt2spk", TAMIS__KALDI_UTTERANCE},
    {"utt2uniq", TAMIS__KALDI_UTTERANCE},
    {"utt2warp", TAMIS__KALDI_UTTERANCE},
    {"vad.scp", TAMIS__KALDI_UTTERANCE},
    {"wav.scp", TAMIS__KALDI_RECORDING},
};

const size_t tamis__kaldi_files = sizeof tamis__kaldi_file / sizeof *tamis__kaldi_file;
_Static_assert(sizeof tamis__kaldi_file / sizeof *tamis__kaldi_file <= TAMIS__KALDI_FILES,
               "room for the known files");

/* --- the names of a part -------------------------------------------------------------------- */

typedef struct names {
    tamis__name *name;
    size_t n;
} names;

/* A speaker and one of its utterances. */
typedef struct pair {
    tamis__name speaker, utterance;
} pair;

typedef struct part_names {
    names of[3];  /* by key: utterances, recordings, speakers; sorted, each once */
    pair *spoken; /* [of[UTTERANCE].n] by speaker, then by utterance; NULL = no speakers */
} part_names;

static int compare_names(const void *a, const void *b)
{
    return tamis__name_compare(a, b);
}

static int compare_pairs(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    int order = tamis__name_compare(&x->speaker, &y->speaker);
    return order ? order : tamis__name_compare(&x->utterance, &y->utterance);
}

static void sort_unique(names *list)
{
    size_t n = 0;
    qsort(list->name, list->n, sizeof *list->name, compare_names);
    for (size_t i = 0; i < list->n; i++)
        if (!n || tamis__name_compare(&list->name[n - 1], &list->name[i]))
            list->name[n++] = list->name[i];
    list->n = n;
}

static tamis_status collect(const tamis__kaldi_dir *dir, const tamis__name *column,
                            const uint16_t *part, uint16_t wanted, names *list, tamis_error *err)
{
    list->name = tamis__malloc(dir->rows, sizeof *list->name);
    if (!list->name) return tamis__fail_memory(err, "names", dir->rows * sizeof *list->name);
    for (uint64_t row = 0; row < dir->rows; row++)
        if (part[row] == wanted) list->name[list->n++] = column[row];
    return TAMIS_OK;
}

static tamis_status collect_part(const tamis__kaldi_dir *dir, const uint16_t *part, uint16_t wanted,
                                 part_names *p, tamis_error *err)
{
    const tamis__name *column[] = {[TAMIS__KALDI_UTTERANCE] = dir->utterance,
                                   [TAMIS__KALDI_RECORDING] = dir->recording,
                                   [TAMIS__KALDI_SPEAKER] = dir->speaker};
    for (size_t key = 0; key < 3; key++)
        if (column[key]) TAMIS_TRY(collect(dir, column[key], part, wanted, &p->of[key], err));
    if (dir->speaker) {
        size_t n = p->of[TAMIS__KALDI_UTTERANCE].n;
        p->spoken = tamis__malloc(n, sizeof *p->spoken);
        if (!p->spoken) return tamis__fail_memory(err, "names", n * sizeof *p->spoken);
        for (size_t i = 0; i < n; i++)
            p->spoken[i] = (pair){p->of[TAMIS__KALDI_SPEAKER].name[i],
                                  p->of[TAMIS__KALDI_UTTERANCE].name[i]};
        qsort(p->spoken, n, sizeof *p->spoken, compare_pairs);
        sort_unique(&p->of[TAMIS__KALDI_SPEAKER]);
    }
    sort_unique(&p->of[TAMIS__KALDI_RECORDING]);
    return TAMIS_OK;
}

static void free_part(part_names *p)
{
    for (size_t key = 0; key < 3; key++) free(p->of[key].name);
    free(p->spoken);
}

/* --- files ---------------------------------------------------------------------------------- */

typedef struct writer {
    const tamis__kaldi_dir *dir;
    const part_names *part;
    tamis__output *output; /* NULL: only counting */
    uint64_t bytes;
} writer;

static tamis_status put(writer *w, const void *bytes, size_t size, tamis_error *err)
{
    w->bytes += size;
    return w->output && size ? tamis__output_write(w->output, bytes, size, err) : TAMIS_OK;
}

static tamis_status put_line(writer *w, const tamis__kaldi_line *line, tamis_error *err)
{
    TAMIS_TRY(put(w, line->data, line->size + line->ended, err));
    return line->ended ? TAMIS_OK : put(w, "\n", 1, err);
}

/* A recording without its sound is a fault. Features and the like may be missing for some, and the
 * usual scripts put up with that, but whoever counts on them wants to know. */
static tamis_status note_missing(const writer *w, size_t i, size_t missing,
                                 const tamis__name *first, tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    const char *path = w->dir->file_path[i];
    if (!missing) return TAMIS_OK;
    tamis__show(shown, sizeof shown, (const char *)first->data, first->size);
    if (!strcmp(tamis__kaldi_file[i].name, "wav.scp"))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has no line for recording '%s': repair the directory "
                           "(utils/fix_data_dir.sh)",
                           path, shown);
    tamis__log(w->dir->context, TAMIS_LOG_WARNING,
               "'%s' lacks %zu of the names that are written, the first is '%s'", path, missing,
               shown);
    return TAMIS_OK;
}

static tamis_status copy_lines(writer *w, size_t i, const names *wanted, tamis_error *err)
{
    tamis__kaldi_table table;
    tamis__kaldi_line line = {.line = 0};
    size_t missing = 0;
    const tamis__name *first = NULL;
    bool there;
    tamis__kaldi_table_of(w->dir, i, &table);
    for (size_t k = 0; k < wanted->n; k++) {
        TAMIS_TRY(tamis__kaldi_seek(&table, &wanted->name[k], &line, &there, err));
        if (there)
            TAMIS_TRY(put_line(w, &line, err));
        else if (!missing++)
            first = &wanted->name[k];
    }
    return note_missing(w, i, missing, first, err);
}

static tamis_status put_spk2utt(writer *w, tamis_error *err)
{
    const pair *spoken = w->part->spoken;
    for (size_t i = 0; i < w->part->of[TAMIS__KALDI_UTTERANCE].n; i++) {
        bool same = i && !tamis__name_compare(&spoken[i - 1].speaker, &spoken[i].speaker);
        if (i && !same) TAMIS_TRY(put(w, "\n", 1, err));
        if (!same) TAMIS_TRY(put(w, spoken[i].speaker.data, spoken[i].speaker.size, err));
        TAMIS_TRY(put(w, " ", 1, err));
        TAMIS_TRY(put(w, spoken[i].utterance.data, spoken[i].utterance.size, err));
    }
    return w->part->of[TAMIS__KALDI_UTTERANCE].n ? put(w, "\n", 1, err) : TAMIS_OK;
}

/* Files by speaker need utt2spk to tell which speakers are left; spk2utt is made even if it was not
 * there, since every recipe reads it. */
static bool is_written(const tamis__kaldi_dir *dir, size_t i)
{
    enum tamis__kaldi_key key = tamis__kaldi_file[i].key;
    if (key == TAMIS__KALDI_REBUILT) return dir->speaker != NULL;
    return dir->file_path[i] && (key != TAMIS__KALDI_SPEAKER || dir->speaker);
}

static tamis_status write_lines(writer *w, size_t i, tamis_error *err)
{
    enum tamis__kaldi_key key = tamis__kaldi_file[i].key;
    if (key == TAMIS__KALDI_REBUILT) return put_spk2utt(w, err);
    if (key == TAMIS__KALDI_WHOLE) return put(w, w->dir->input[i].data, w->dir->input[i].size, err);
    return copy_lines(w, i, &w->part->of[key], err);
}

static tamis_status write_file(writer *w, size_t i, const tamis__kaldi_sink *sink, tamis_error *err)
{
    tamis__output output = {0};
    if (!sink) return write_lines(w, i, err);
    TAMIS_TRY(sink->open(sink->arg, tamis__kaldi_file[i].name, &output, err));
    w->output = &output;
    tamis_status status = write_lines(w, i, err);
    w->output = NULL;
    if (status == TAMIS_OK) return tamis__output_commit(&output, err);
    tamis__output_abort(&output);
    return status;
}

tamis_status tamis__kaldi_write(const tamis__kaldi_dir *dir, const uint16_t *part, uint16_t wanted,
                                const tamis__kaldi_sink *sink, uint64_t *ret_records,
                                uint64_t *ret_bytes, tamis_error *err)
{
    part_names p = {0};
    writer w = {.dir = dir, .part = &p};
    tamis_status status = collect_part(dir, part, wanted, &p, err);
    for (size_t i = 0; i < tamis__kaldi_files && status == TAMIS_OK; i++)
        if (is_written(dir, i)) status = write_file(&w, i, sink, err);
    if (status == TAMIS_OK) {
        *ret_records = p.of[TAMIS__KALDI_UTTERANCE].n;
        *ret_bytes = w.bytes;
    }
    free_part(&p);
    return status;
}
