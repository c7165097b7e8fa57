/* tamis inspect: what a file is, and whether it is healthy.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "report.h"

typedef struct inspect_args {
    common_args common;
    const char *path;
    bool quick, provenance;
} inspect_args;

#define AT(field) offsetof(inspect_args, field)

static const opt options[] = {
    {.name = "quick",
     .help = "only what can be told without reading the rows",
     .type = OPT_FLAG,
     .at = AT(quick)},
    {.name = "provenance",
     .help = "show how the file was made, too",
     .type = OPT_FLAG,
     .at = AT(provenance)},
};

static const operand operands[] = {
    {.name = "FILE",
     .help = "a model, gradient store (file or directory), curvature, scores or selection",
     .min = 1,
     .max = 1,
     .at = AT(path),
     .file = true},
};

/* Lines for people that JSON has in its "provenance", where an input may come more than once. */
static bool from_provenance(const char *key)
{
    return !strcmp(key, "command") || !strncmp(key, "option_", 7) || !strncmp(key, "input_", 6);
}

static void json_facts(json *j, const tamis_inspection *in)
{
    json_put_object(j, "facts");
    for (size_t i = 0; i < in->facts; i++) {
        const tamis_fact *fact = &in->fact[i];
        if (from_provenance(fact->key)) continue;
        if (fact->is_number)
            json_put_raw(j, fact->key, fact->value);
        else
            json_put_text(j, fact->key, fact->value);
    }
    json_close(j);
}

static void json_findings(json *j, const tamis_inspection *in)
{
    json_put_array(j, "findings");
    for (size_t i = 0; i < in->findings; i++) {
        const tamis_finding *finding = &in->finding[i];
        json_put_object(j, NULL);
        json_put_text(j, "key", finding->key);
        json_put_bool(j, "severe", finding->severe);
        json_put_uint(j, "count", finding->count);
        json_put_text(j, "text", finding->text);
        json_close(j);
    }
    json_close(j);
}

static void report_inspection(const session *s, const inspect_args *args,
                              const tamis_inspection *in)
{
    report r;
    report_begin(&r, s);
    for (size_t i = 0; i < in->facts; i++)
        if ((int)strlen(in->fact[i].key) + 2 > r.width) r.width = (int)strlen(in->fact[i].key) + 2;
    report_text(&r, "file", args->path);
    report_text(&r, "kind", in->kind);
    if (r.machine) {
        json_put_bool(&r.j, "healthy", in->healthy);
        json_put_bool(&r.j, "quick", args->quick);
        json_facts(&r.j, in);
        json_findings(&r.j, in);
        json_put_raw(&r.j, "provenance", in->provenance);
    }
    for (size_t i = 0; i < in->facts; i++)
        report_labelled(&r, in->fact[i].key, "%s", in->fact[i].value);
    if (args->provenance)
        report_labelled(&r, "provenance", "%s", in->provenance ? in->provenance : "none");
    for (size_t i = 0; i < in->findings; i++)
        report_labelled(&r, in->finding[i].severe ? "PROBLEM" : "remark", "%s",
                        in->finding[i].text);
    report_labelled(&r, "healthy", "%s",
                    !in->healthy  ? "no"
                    : args->quick ? "yes, as far as --quick looks"
                                  : "yes");
    report_end(&r);
}

static size_t count_severe(const tamis_inspection *in)
{
    size_t n = 0;
    for (size_t i = 0; i < in->findings; i++) n += in->finding[i].severe != 0;
    return n;
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const inspect_args *args = cookie;
    tamis_inspection *in = NULL;
    TRY(tamis_inspect(&in, s->context, args->path, args->quick, err));
    progress_end(&s->progress);
    report_inspection(s, args, in);
    tamis_status status = TAMIS_OK;
    if (!in->healthy) {
        size_t n = count_severe(in);
        status = fail(err, TAMIS_ERR_CHECK, "'%s' is not healthy: %zu %s", args->path, n,
                      n == 1 ? "problem" : "problems");
    }
    tamis_inspection_free(&in);
    return status;
}

const command cmd_inspect = {
    .name = "inspect",
    .group = "Look",
    .summary = "describe a file and check its health",
    .synopsis = "FILE [--quick] [OPTIONS]",
    .description = "Describes a file of tamis and checks it: digests against rows, values that are "
                   "not finite, rows "
                   "that are zero or occur twice, norms that disagree with rows. Exits with 0 when "
                   "the file is healthy, with 5 when it can be read and is not, and with 3 when it "
                   "cannot be read at all (truncated, unfinished, no file of tamis).",
    .examples = "# everything\ntamis inspect train.h5\n"
                "# in a script: may this store be used?\ntamis inspect -q train.h5 && echo yes",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_READS,
    .args_size = sizeof(inspect_args),
    .run = run,
};
