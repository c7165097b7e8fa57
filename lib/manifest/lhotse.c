/* lhotse: the kept cuts, or a JSON array of their ids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "manifest/filter.h"
#include "manifest/json_record.h"

/* --- cuts ----------------------------------------------------------------------------------- */

static bool is_the_id(const tamis__manifest_job *job, uint64_t row, const tamis__record *record,
                      tamis__span id)
{
    const char *const *wanted = job->selection->examples.id_text;
    return !wanted || tamis__json_string_is(record->data, id, wanted[row], strlen(wanted[row]));
}

static tamis_status check_id(void *arg, uint64_t row, const tamis__record *record, const char *path,
                             bool *ret_same, tamis_error *err)
{
    const tamis__manifest_job *job = arg;
    tamis__span id;
    TAMIS_TRY(tamis__json_record_id(record, path, &id, err));
    *ret_same = is_the_id(job, row, record, id);
    return TAMIS_OK;
}

static tamis_status write_cuts(void *state, const tamis__manifest_job *job,
                               tamis_manifest_result *result, tamis_error *err)
{
    tamis__manifest_job copy = *job;
    (void)state;
    tamis__record_hooks hooks = {.arg = &copy, .check = check_id};
    TAMIS_TRY(
        tamis__filter_records(job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL, &hooks, result, err));
    result->ids_checked |= job->selection->examples.id_text != NULL;
    return TAMIS_OK;
}

const tamis__manifest_class tamis__manifest_lhotse = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "lhotse",
             .summary = "lhotse cuts, the kept lines byte for byte, ids compared",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL},
    .write = write_cuts,
};

/* --- ids ------------------------------------------------------------------------------------ */

typedef struct row_digest {
    uint64_t digest, row;
} row_digest;

typedef struct id_list {
    const tamis__manifest_job *job;
    row_digest *seen; /* [n] of the ids read */
    size_t n;
    bool *begun; /* [parts] has the part's array an entry? */
    char *decoded;
    size_t room;
} id_list;

/* Escapes may be written in several ways, so it is the string that is digested. */
static tamis_status note_id(id_list *list, uint64_t row, const tamis__record *record,
                            tamis__span id, tamis_error *err)
{
    if (id.size > list->room) {
        char *grown = tamis__realloc(list->decoded, 2 * id.size, 1);
        if (!grown) return tamis__fail_memory(err, "an id", 2 * id.size);
        list->decoded = grown;
        list->room = 2 * id.size;
    }
    size_t size = tamis__json_string_decode(record->data, id, list->decoded);
    list->seen[list->n++] = (row_digest){tamis__digest(list->decoded, size), row};
    return TAMIS_OK;
}

static tamis_status take_id(void *arg, uint64_t row, const tamis__record *record, const char *path,
                            bool *ret_same, tamis_error *err)
{
    id_list *list = arg;
    tamis__span id;
    TAMIS_TRY(tamis__json_record_id(record, path, &id, err));
    *ret_same = is_the_id(list->job, row, record, id);
    return list->n < list->job->plan->rows ? note_id(list, row, record, id, err) : TAMIS_OK;
}

static tamis_status put_id(void *arg, uint64_t row, const tamis__part *part,
                           const tamis__record *record, const char *path, tamis__bytes *out,
                           tamis_error *err)
{
    id_list *list = arg;
    tamis__span id;
    bool *begun = &list->begun[part - list->job->plan->of];
    (void)row;
    TAMIS_TRY(tamis__json_record_id(record, path, &id, err));
    TAMIS_TRY(tamis__bytes_add(out, *begun ? ",\n  " : "[\n  ", 4, err));
    *begun = true;
    return tamis__bytes_add(out, record->data + id.first, id.size, err);
}

static int compare_digests(const void *a, const void *b)
{
    const row_digest *x = a, *y = b;
    if (x->digest != y->digest) return x->digest < y->digest ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* An id that two cuts have would take both. */
static tamis_status check_unique(id_list *list, tamis_error *err)
{
    qsort(list->seen, list->n, sizeof *list->seen, compare_digests);
    for (size_t i = 1; i < list->n; i++)
        if (list->seen[i].digest == list->seen[i - 1].digest)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s'%s: the cuts of rows %" PRIu64 " and %" PRIu64
                               " have one id, which a list of ids cannot tell apart: write the "
                               "cuts themselves (format lhotse)",
                               list->job->params->input[0],
                               list->job->params->inputs > 1 ? " and the inputs after it" : "",
                               list->seen[i - 1].row, list->seen[i].row);
    return TAMIS_OK;
}

static tamis_status end_arrays(const id_list *list, tamis_error *err)
{
    for (size_t k = 0; k < list->job->plan->parts; k++) {
        tamis__part *part = &list->job->plan->of[k];
        const char *end = list->begun[k] ? "\n]\n" : "[]\n";
        part->bytes += 3;
        if (part->output) TAMIS_TRY(tamis__output_write(part->output, end, 3, err));
    }
    return TAMIS_OK;
}

static tamis_status write_lists(id_list *list, tamis_manifest_result *result, tamis_error *err)
{
    tamis__record_hooks hooks = {.arg = list, .no_bom = true, .check = take_id, .rewrite = put_id};
    const tamis__plan *plan = list->job->plan;
    list->seen = tamis__malloc(plan->rows, sizeof *list->seen);
    list->begun = tamis__calloc(plan->parts, sizeof *list->begun);
    if (!list->seen || !list->begun)
        return tamis__fail_memory(err, "ids", plan->rows * sizeof *list->seen);
    TAMIS_TRY(tamis__filter_records(list->job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL, &hooks,
                                    result, err));
    TAMIS_TRY(check_unique(list, err));
    return end_arrays(list, err);
}

static tamis_status write_ids(void *state, const tamis__manifest_job *job,
                              tamis_manifest_result *result, tamis_error *err)
{
    id_list list = {.job = job};
    (void)state;
    if (job->params->repeats)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a list of ids takes each cut once: leave out repeats, or take the "
                           "format lhotse");
    tamis_status status = write_lists(&list, result, err);
    if (status == TAMIS_OK) result->ids_checked |= job->selection->examples.id_text != NULL;
    free(list.seen);
    free(list.begun);
    free(list.decoded);
    return status;
}

const tamis__manifest_class tamis__manifest_lhotse_ids = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "lhotse-ids",
             .summary = "JSON array of the ids of the kept lhotse cuts",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL},
    .write = write_ids,
};
