/* The part of Kaldi data directories that belongs to some of their utterances.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "manifest/kaldi_files.h"
#include "manifest/kaldi_set.h"

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

/* A name, and the directory that uses it. */
typedef struct used {
    tamis__name name;
    size_t dir;
} used;

typedef struct names {
    used *of;
    size_t n;
} names;

/* A speaker and one of its utterances. */
typedef struct pair {
    tamis__name speaker, utterance;
} pair;

typedef struct part_names {
    names by[3];  /* by key: utterances, recordings, speakers; sorted, each once for a directory */
    pair *spoken; /* [by[UTTERANCE].n] by speaker, then by utterance; NULL = no speakers */
} part_names;

static int compare_used(const void *a, const void *b)
{
    const used *x = a, *y = b;
    int order = tamis__name_compare(&x->name, &y->name);
    return order ? order : (x->dir > y->dir) - (x->dir < y->dir);
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
    bool sorted = true;
    for (size_t i = 1; i < list->n && sorted; i++)
        sorted = compare_used(&list->of[i - 1], &list->of[i]) < 0;
    if (sorted) return;
    qsort(list->of, list->n, sizeof *list->of, compare_used);
    for (size_t i = 0; i < list->n; i++)
        if (!n || compare_used(&list->of[n - 1], &list->of[i])) list->of[n++] = list->of[i];
    list->n = n;
}

static const tamis__name *column_of(const tamis__kaldi_dir *dir, size_t key)
{
    return key == TAMIS__KALDI_UTTERANCE   ? dir->utterance
           : key == TAMIS__KALDI_RECORDING ? dir->recording
                                           : dir->speaker;
}

/* In the order of rows. */
static tamis_status collect(const tamis__kaldi_set *set, size_t key, const uint16_t *part,
                            uint16_t wanted, names *list, tamis_error *err)
{
    list->of = tamis__malloc((size_t)set->rows, sizeof *list->of);
    if (!list->of) return tamis__fail_memory(err, "names", set->rows * sizeof *list->of);
    for (size_t d = 0; d < set->n; part += set->dir[d++].rows) {
        const tamis__name *column = column_of(&set->dir[d], key);
        for (uint64_t row = 0; row < set->dir[d].rows; row++)
            if (part[row] == wanted) list->of[list->n++] = (used){column[row], d};
    }
    return TAMIS_OK;
}

static tamis_status pair_up(part_names *p, tamis_error *err)
{
    const names *utterances = &p->by[TAMIS__KALDI_UTTERANCE];
    const names *speakers = &p->by[TAMIS__KALDI_SPEAKER];
    p->spoken = tamis__malloc(utterances->n, sizeof *p->spoken);
    if (!p->spoken) return tamis__fail_memory(err, "names", utterances->n * sizeof *p->spoken);
    for (size_t i = 0; i < utterances->n; i++)
        p->spoken[i] = (pair){speakers->of[i].name, utterances->of[i].name};
    qsort(p->spoken, utterances->n, sizeof *p->spoken, compare_pairs);
    return TAMIS_OK;
}

static tamis_status collect_part(const tamis__kaldi_set *set, const uint16_t *part, uint16_t wanted,
                                 part_names *p, tamis_error *err)
{
    bool speakers = set->dir->speaker != NULL;
    for (size_t key = 0; key < 3; key++)
        if (key != TAMIS__KALDI_SPEAKER || speakers)
            TAMIS_TRY(collect(set, key, part, wanted, &p->by[key], err));
    if (speakers) TAMIS_TRY(pair_up(p, err));
    for (size_t key = 0; key < 3; key++)
        if (p->by[key].of) sort_unique(&p->by[key]);
    return TAMIS_OK;
}

static void free_part(part_names *p)
{
    for (size_t key = 0; key < 3; key++) free(p->by[key].of);
    free(p->spoken);
}

/* Each directory may be in the order of its speakers, and all of them together not. Kaldi wants
 * names of utterances to begin with those of speakers for this reason. */
static void note_order(const tamis__kaldi_set *set, const part_names *p)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    for (size_t i = 1; set->n > 1 && p->spoken && i < p->by[TAMIS__KALDI_UTTERANCE].n; i++) {
        const pair *now = &p->spoken[i];
        if (tamis__name_compare(&now[-1].utterance, &now->utterance) < 0) continue;
        tamis__log(set->context, TAMIS_LOG_WARNING,
                   "utt2spk is not in the order of speakers, which utils/fix_data_dir.sh asks for: "
                   "'%s' comes too early; make speakers' names prefixes of their utterances'",
                   tamis__show(shown, sizeof shown, (const char *)now->utterance.data,
                               now->utterance.size));
        return;
    }
}

/* --- files ---------------------------------------------------------------------------------- */

typedef struct writer {
    const tamis__kaldi_set *set;
    const part_names *part;
    tamis__output *output; /* NULL: only counting */
    uint64_t bytes;
    tamis__kaldi_line before; /* of the file at hand, copied last */
    size_t before_dir;
} writer;

/* A directory's place in the file at hand. */
typedef struct reader {
    tamis__kaldi_table table;
    tamis__kaldi_line line;
    size_t missing; /* names without a line */
    const tamis__name *first;
} reader;

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

/* "<name> <name><between><rest>". */
static tamis_status put_made(writer *w, const tamis__name *name, const char *between,
                             const tamis__name *rest, tamis_error *err)
{
    TAMIS_TRY(put(w, name->data, name->size, err));
    TAMIS_TRY(put(w, " ", 1, err));
    TAMIS_TRY(put(w, name->data, name->size, err));
    TAMIS_TRY(put(w, between, strlen(between), err));
    TAMIS_TRY(put(w, rest->data, rest->size, err));
    return put(w, "\n", 1, err);
}

/* A recording without its sound is a fault. Features and the like may be missing for some, and the
 * usual scripts put up with that, but whoever counts on them wants to know. */
static tamis_status note_missing(const tamis__kaldi_dir *dir, size_t i, const reader *r,
                                 tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    if (!r->missing) return TAMIS_OK;
    tamis__show(shown, sizeof shown, (const char *)r->first->data, r->first->size);
    if (!strcmp(tamis__kaldi_file[i].name, "wav.scp"))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has no line for recording '%s': repair the directory "
                           "(utils/fix_data_dir.sh)",
                           dir->file_path[i], shown);
    tamis__log(dir->context, TAMIS_LOG_WARNING,
               "'%s' lacks %zu of the names that are written, the first is '%s'", dir->file_path[i],
               r->missing, shown);
    return TAMIS_OK;
}

/* Directories that share a recording or a speaker have to say the same of it. */
static tamis_status put_once(writer *w, size_t i, size_t dir, const tamis__kaldi_line *line,
                             tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(SHOWN)];
    const tamis__kaldi_line before = w->before;
    size_t other = w->before_dir;
    w->before = *line;
    w->before_dir = dir;
    if (!before.data || tamis__name_compare(&before.name, &line->name) != 0)
        return put_line(w, line, err);
    if (before.size == line->size && !memcmp(before.data, line->data, line->size)) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' line %" PRIu64 ": '%s' differs from that of '%s' line %" PRIu64
        ": one directory cannot hold both; rename one, or make the file anew "
        "afterwards and leave it out here",
        w->set->dir[dir].file_path[i], line->line,
        tamis__show(shown, sizeof shown, (const char *)line->name.data, line->name.size),
        w->set->dir[other].file_path[i], before.line);
}

/* What a directory's lines of file i are made of: the file, or where it has none durations or
 * (tamis__kaldi_files) nothing. */
static size_t file_read(const tamis__kaldi_dir *dir, size_t i)
{
    if (dir->file_path[i]) return i;
    return i == tamis__kaldi_index("segments") ? tamis__kaldi_index("utt2dur") : tamis__kaldi_files;
}

static tamis_status put_name(writer *w, size_t i, const used *u, reader *r, tamis_error *err)
{
    bool there;
    const tamis__name nothing = {(const unsigned char *)"", 0};
    size_t from = file_read(&w->set->dir[u->dir], i);
    if (from == tamis__kaldi_files) return put_made(w, &u->name, "", &nothing, err);
    TAMIS_TRY(tamis__kaldi_seek(&r->table, &u->name, &r->line, &there, err));
    if (!there) {
        if (!r->missing++) r->first = &u->name;
        return TAMIS_OK;
    }
    if (from == i) return put_once(w, i, u->dir, &r->line, err);
    tamis__name seconds = tamis__kaldi_field(&r->line, 1);
    return put_made(w, &u->name, " 0 ", &seconds, err);
}

static tamis_status copy_lines(writer *w, size_t i, const names *wanted, tamis_error *err)
{
    const tamis__kaldi_set *set = w->set;
    tamis_status status = TAMIS_OK;
    reader *r = tamis__calloc(set->n, sizeof *r);
    if (!r) return tamis__fail_memory(err, "directories", set->n * sizeof *r);
    w->before = (tamis__kaldi_line){.line = 0};
    for (size_t d = 0; d < set->n; d++) {
        size_t from = file_read(&set->dir[d], i);
        if (from < tamis__kaldi_files) tamis__kaldi_table_of(&set->dir[d], from, &r[d].table);
    }
    for (size_t k = 0; k < wanted->n && status == TAMIS_OK; k++)
        status = put_name(w, i, &wanted->of[k], &r[wanted->of[k].dir], err);
    for (size_t d = 0; d < set->n && status == TAMIS_OK; d++)
        status = note_missing(&set->dir[d], i, &r[d], err);
    free(r);
    return status;
}

static tamis_status put_spk2utt(writer *w, tamis_error *err)
{
    const pair *spoken = w->part->spoken;
    for (size_t i = 0; i < w->part->by[TAMIS__KALDI_UTTERANCE].n; i++) {
        bool same = i && !tamis__name_compare(&spoken[i - 1].speaker, &spoken[i].speaker);
        if (i && !same) TAMIS_TRY(put(w, "\n", 1, err));
        if (!same) TAMIS_TRY(put(w, spoken[i].speaker.data, spoken[i].speaker.size, err));
        TAMIS_TRY(put(w, " ", 1, err));
        TAMIS_TRY(put(w, spoken[i].utterance.data, spoken[i].utterance.size, err));
    }
    return w->part->by[TAMIS__KALDI_UTTERANCE].n ? put(w, "\n", 1, err) : TAMIS_OK;
}

/* The same in all directories that have it. */
static tamis_status put_whole(writer *w, size_t i, tamis_error *err)
{
    const tamis__kaldi_dir *dir = w->set->dir;
    while (!dir->file_path[i]) dir++;
    return put(w, dir->input[i].data, dir->input[i].size, err);
}

static tamis_status write_lines(writer *w, size_t i, tamis_error *err)
{
    enum tamis__kaldi_key key = tamis__kaldi_file[i].key;
    if (key == TAMIS__KALDI_REBUILT) return put_spk2utt(w, err);
    if (key == TAMIS__KALDI_WHOLE) return put_whole(w, i, err);
    return copy_lines(w, i, &w->part->by[key], err);
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

tamis_status tamis__kaldi_write(const tamis__kaldi_set *set, const uint16_t *part, uint16_t wanted,
                                const tamis__kaldi_sink *sink, uint64_t *ret_records,
                                uint64_t *ret_bytes, tamis_error *err)
{
    part_names p = {0};
    writer w = {.set = set, .part = &p};
    tamis_status status = collect_part(set, part, wanted, &p, err);
    if (status == TAMIS_OK) note_order(set, &p);
    for (size_t i = 0; i < tamis__kaldi_files && status == TAMIS_OK; i++)
        if (set->written[i]) status = write_file(&w, i, sink, err);
    if (status == TAMIS_OK) {
        *ret_records = p.by[TAMIS__KALDI_UTTERANCE].n;
        *ret_bytes = w.bytes;
    }
    free_part(&p);
    return status;
}
