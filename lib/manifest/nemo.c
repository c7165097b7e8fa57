/* NeMo manifests: the kept lines, or all of them with those marked that are to be left out.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "manifest/filter.h"
#include "manifest/json_record.h"

enum { MODE_LINES, MODE_SKIPME };
static const char *const modes[] = {"lines", "skipme", NULL};

static const tamis_param_desc params[] = {
    {.name = "mode",
     .help = "lines: the kept lines; skipme: every line, dropped ones with \"_skipme\": true",
     .type = TAMIS_PARAM_CHOICE,
     .fallback = MODE_LINES,
     .choices = modes},
};

typedef struct nemo {
    int mode;
    const tamis__manifest_job *job;
    uint64_t contradictions; /* kept records that are marked */
} nemo;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    (void)err;
    ((nemo *)state)->mode = (int)param[0].number;
    return TAMIS_OK;
}

/* A record must be an object in either mode, and a kept one that is marked is noted. */
static tamis_status check_mark(void *arg, uint64_t row, const tamis__record *record,
                               const char *path, bool *ret_same, tamis_error *err)
{
    nemo *n = arg;
    bool marked;
    TAMIS_TRY(tamis__skipme_marked(record, path, &marked, err));
    n->contradictions += marked && n->job->selection->keep[row];
    *ret_same = true;
    return TAMIS_OK;
}

static tamis_status set_mark(void *arg, uint64_t row, const tamis__part *part,
                             const tamis__record *record, const char *path, tamis__bytes *out,
                             tamis_error *err)
{
    const nemo *n = arg;
    tamis__splice s;
    tamis__skipme change;
    (void)part;
    TAMIS_TRY(
        tamis__skipme_edit(record, path, n->job->selection->keep[row] != 0, &s, &change, err));
    TAMIS_TRY(tamis__bytes_add(out, record->data, s.at, err));
    TAMIS_TRY(tamis__bytes_add(out, s.text, s.size, err));
    size_t rest = s.at + s.removed;
    return tamis__bytes_add(out, record->data + rest, record->span - rest, err);
}

static void warn(const nemo *n)
{
    if (n->contradictions)
        tamis__log(n->job->context, TAMIS_LOG_WARNING,
                   n->mode == MODE_SKIPME
                       ? "%" PRIu64 " kept records were marked with _skipme, which is false now"
                       : "%" PRIu64 " kept records are marked with _skipme: trainers that heed it "
                         "leave them out",
                   n->contradictions);
}

/* Lines stay where they are, so there is one output of all rows, whatever is kept. */
static tamis_status write_marked(nemo *n, const tamis__record_hooks *hooks,
                                 tamis_manifest_result *result, tamis_error *err)
{
    const tamis_manifest_params *p = n->job->params;
    tamis__manifest_job job = *n->job;
    if (p->dropped || p->order != TAMIS_MANIFEST_SOURCE || p->splits || p->repeats)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "nemo:mode=skipme keeps every line in its place: leave out the order, "
                           "splits, repeats and the output of dropped records, or take mode=lines");
    tamis__plan plan = {.rows = job.plan->rows, .in_order = true, .parts = 1, .of = job.plan->of};
    plan.part = tamis__calloc(plan.rows, sizeof *plan.part);
    if (!plan.part) return tamis__fail_memory(err, "the plan", plan.rows * sizeof *plan.part);
    plan.of[0].n = plan.rows;
    job.plan = &plan;
    tamis_status status = tamis__filter_records(&job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL,
                                                hooks, result, err);
    free(plan.part);
    return status;
}

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    nemo *n = state;
    n->job = job;
    tamis__record_hooks hooks = {.arg = n, .check = check_mark};
    if (n->mode == MODE_SKIPME) {
        hooks.rewrite = set_mark;
        hooks.lines = true;
        TAMIS_TRY(write_marked(n, &hooks, result, err));
    } else {
        TAMIS_TRY(tamis__filter_records(job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL, &hooks,
                                        result, err));
    }
    warn(n);
    return TAMIS_OK;
}

const tamis__manifest_class tamis__manifest_nemo = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "nemo",
             .summary =
                 "NeMo manifest: the kept lines, or all with the others marked to be skipped",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = 1},
    .state_size = sizeof(nemo),
    .init = init,
    .write = write_records,
};
