/* tamis transport: how far two sets of points are from each other.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "report.h"

typedef struct transport_args {
    common_args common;
    const char *a, *b, *weights_a, *weights_b, *plan, *duals;
    double epsilon, tolerance, reach, plan_share;
    uint64_t iterations;
    int method, cost;
    bool divergence;
} transport_args;

enum { EXACT = 0, SINKHORN = 1, UNBALANCED = 2, ANNEALED = 3 };

static const transport_args defaults = {.epsilon = (double)NAN,
                                        .tolerance = 1e-6,
                                        .reach = (double)NAN,
                                        .plan_share = 1e-3,
                                        .iterations = 10000};

#define AT(field) offsetof(transport_args, field)

static const char *const method_names[] = {"exact", "sinkhorn", "unbalanced", "annealed", NULL};
/* By tamis_transport_cost. */
static const char *const cost_names[] = {"euclidean", "sqeuclidean", "cosine", NULL};

static const opt options[] = {
    {.name = "method",
     .value = "METHOD",
     .help = "how the distance is found",
     .type = OPT_CHOICE,
     .at = AT(method),
     .choices = method_names,
     .more = "exact is the network simplex. sinkhorn adds entropy and takes millions of points; "
             "unbalanced is the same where mass need not all be moved. annealed repeats the "
             "unconverged schedule of TAROT's released code, to compare with its numbers."},
    {.name = "cost",
     .value = "COST",
     .help = "what it costs to move a unit of mass between two rows",
     .type = OPT_CHOICE,
     .at = AT(cost),
     .choices = cost_names,
     .more = "cosine is sqrt(2 - 2 cos): the euclidean distance of rows of length 1."},
    {.name = "weights-a",
     .value = "FILE",
     .help = "weights of A's rows, a number a line",
     .type = OPT_STRING,
     .at = AT(weights_a),
     .flags = OPT_FILE,
     .fallback = "all the same"},
    {.name = "weights-b",
     .value = "FILE",
     .help = "weights of B's rows, a number a line",
     .type = OPT_STRING,
     .at = AT(weights_b),
     .flags = OPT_FILE,
     .fallback = "all the same"},
    {.name = "plan",
     .value = "OUT.csv",
     .help = "write what is moved where: i,j,mass",
     .type = OPT_STRING,
     .at = AT(plan),
     .flags = OPT_FILE},
    {.name = "duals",
     .value = "OUT.csv",
     .help = "write the potentials: side,row,dual",
     .type = OPT_STRING,
     .at = AT(duals),
     .flags = OPT_FILE},
    {.name = "epsilon",
     .value = "E",
     .help = "strength of the entropy, in units of cost",
     .type = OPT_REAL,
     .at = AT(epsilon),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 1e30,
     .fallback = "0.01 of the mean cost",
     .section = "With entropy"},
    {.name = "tolerance",
     .value = "T",
     .help = "error of the plan's row sums at which it has converged, summed up",
     .type = OPT_REAL,
     .at = AT(tolerance),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 0.5},
    {.name = "iterations",
     .value = "N",
     .help = "iterations at most",
     .type = OPT_UINT,
     .at = AT(iterations),
     .min = 1,
     .max = 1e9},
    {.name = "reach",
     .value = "R",
     .help = "unbalanced: price of mass that is not moved, in units of cost",
     .type = OPT_REAL,
     .at = AT(reach),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 1e30},
    {.name = "divergence",
     .help = "also the debiased divergence, which is 0 between equal sets",
     .type = OPT_FLAG,
     .at = AT(divergence)},
    {.name = "plan-share",
     .value = "S",
     .help = "entries of the plan below this share of their row are left out",
     .type = OPT_REAL,
     .at = AT(plan_share),
     .min = 0,
     .max = 1},
};

static const operand operands[] = {
    {.name = "A.h5", .help = "rows of one side", .min = 1, .max = 1, .at = AT(a), .file = true},
    {.name = "B.h5", .help = "rows of the other", .min = 1, .max = 1, .at = AT(b), .file = true},
};

/* All that a run holds. */
typedef struct job {
    session *s;
    const transport_args *args;
    float *x, *y;
    double *a, *b;
    tamis_transport_problem problem;
    tamis_transport_entropic_params params;
    tamis_transport_exact_result exact;
    tamis_transport_entropic_result entropic;
    tamis_transport_annealed_result annealed;
    double divergence;
    uint64_t entries; /* of an entropic plan that was written, and their mass */
    double written;
} job;

/* --- what is asked for ------------------------------------------------------------------------ */

static tamis_status check(const session *s, const transport_args *args, tamis_error *err)
{
    static const char *const entropic[] = {"epsilon", "tolerance", "iterations", "divergence",
                                           "plan-share"};
    bool has_entropy = args->method == SINKHORN || args->method == UNBALANCED;
    for (size_t i = 0; i < LEN(entropic) && !has_entropy; i++)
        if (invocation_has(s->invocation, entropic[i]))
            return fail(err, TAMIS_ERR_ARG, "--%s comes with --method sinkhorn or unbalanced only",
                        entropic[i]);
    if (args->method == UNBALANCED && isnan(args->reach))
        return fail(err, TAMIS_ERR_ARG,
                    "--method unbalanced wants --reach, the price of mass that is not moved");
    if (args->method != UNBALANCED && !isnan(args->reach))
        return fail(err, TAMIS_ERR_ARG, "--reach comes with --method unbalanced only");
    if (args->method == ANNEALED && args->plan)
        return fail(err, TAMIS_ERR_ARG,
                    "--method annealed has no plan: leave --plan out or take another method");
    return TAMIS_OK;
}

/* --- both sides ------------------------------------------------------------------------------- */

/* Projected by different matrices, rows of the same width have nothing to do with each other. */
static tamis_status compare(const job *j, const tamis_store *a, const tamis_store *b,
                            tamis_error *err)
{
    const tamis_store_info *x = tamis_store_info_get(a), *y = tamis_store_info_get(b);
    if (x->columns != y->columns)
        return fail(err, TAMIS_ERR_SHAPE,
                    "'%s' has %llu columns and '%s' %llu: take rows of the same kind", j->args->a,
                    (unsigned long long)x->columns, j->args->b, (unsigned long long)y->columns);
    if (!x->projection && !y->projection) return TAMIS_OK;
    if (!x->projection || !y->projection)
        return fail(err, TAMIS_ERR_SHAPE, "'%s' is projected and '%s' is not: project both alike",
                    x->projection ? j->args->a : j->args->b,
                    x->projection ? j->args->b : j->args->a);
    if (!strcmp(x->projection, y->projection)) return TAMIS_OK;
    return fail(err, TAMIS_ERR_SHAPE, "'%s' and '%s' are projected differently: %s and %s",
                j->args->a, j->args->b, x->projection, y->projection);
}

static tamis_status compare_files(const job *j, tamis_error *err)
{
    tamis_store *a = NULL, *b = NULL;
    tamis_status status = tamis_store_open(&a, j->s->context, j->args->a, err);
    if (status == TAMIS_OK) status = tamis_store_open(&b, j->s->context, j->args->b, err);
    if (status == TAMIS_OK) status = compare(j, a, b, err);
    tamis_store_close(&a);
    tamis_store_close(&b);
    return status;
}

/* Both sums become 1, unless what they are matters. */
static void normalise(double *weights, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += weights[i];
    for (uint64_t i = 0; i < n; i++) weights[i] /= sum;
}

static tamis_status read_weights(const job *j, const char *path, uint64_t n, double **ret_weights,
                                 tamis_error *err)
{
    if (!path) return TAMIS_OK;
    TRY(tamis_transport_read_weights(j->s->context, path, n, ret_weights, err));
    if (j->args->method != UNBALANCED) normalise(*ret_weights, n);
    return TAMIS_OK;
}

static tamis_status read_sides(job *j, tamis_error *err)
{
    const transport_args *args = j->args;
    tamis_transport_problem *p = &j->problem;
    TRY(compare_files(j, err));
    TRY(tamis_transport_read_points(j->s->context, args->a, &j->x, &p->n, &p->columns, err));
    TRY(tamis_transport_read_points(j->s->context, args->b, &j->y, &p->m, &p->columns, err));
    TRY(read_weights(j, args->weights_a, p->n, &j->a, err));
    TRY(read_weights(j, args->weights_b, p->m, &j->b, err));
    p->x = j->x;
    p->y = j->y;
    p->a = j->a;
    p->b = j->b;
    p->cost = (tamis_transport_cost)args->cost;
    j->params = (tamis_transport_entropic_params){
        .epsilon = isnan(args->epsilon) ? 0 : args->epsilon,
        .tolerance = args->tolerance,
        .iterations = args->iterations,
        .reach = isnan(args->reach) ? 0 : args->reach,
    };
    return TAMIS_OK;
}

/* --- solving and writing ---------------------------------------------------------------------- */

static tamis_status solve(job *j, tamis_error *err)
{
    tamis_context *context = j->s->context;
    if (j->args->method == EXACT)
        return tamis_transport_exact(context, &j->problem, &j->exact, err);
    if (j->args->method == ANNEALED)
        return tamis_transport_annealed(context, &j->problem, 0, &j->annealed, err);
    if (j->args->divergence)
        return tamis_transport_divergence(context, &j->problem, NULL, NULL, &j->params,
                                          &j->divergence, &j->entropic, err);
    return tamis_transport_entropic(context, &j->problem, &j->params, &j->entropic, err);
}

static tamis_status write_files(job *j, tamis_error *err)
{
    const transport_args *args = j->args;
    tamis_context *context = j->s->context;
    const double *f = args->method == EXACT      ? j->exact.f
                      : args->method == ANNEALED ? j->annealed.f
                                                 : j->entropic.f;
    const double *g = args->method == EXACT      ? j->exact.g
                      : args->method == ANNEALED ? j->annealed.g
                                                 : j->entropic.g;
    bool force = args->common.force;
    if (args->duals)
        TRY(tamis_transport_write_duals(context, args->duals, force, f, j->problem.n, g,
                                        j->problem.m, err));
    if (!args->plan) return TAMIS_OK;
    if (args->method == EXACT)
        return tamis_transport_write_plan(context, args->plan, force, j->exact.plan,
                                          j->exact.entries, err);
    return tamis_transport_write_entropic_plan(context, args->plan, force, &j->problem, &j->params,
                                               &j->entropic, args->plan_share, &j->entries,
                                               &j->written, err);
}

/* --- the report ------------------------------------------------------------------------------- */

static void report_number(report *r, const char *key, double value, int digits)
{
    if (r->machine) json_put_real(&r->j, key, value);
    report_labelled(r, key, "%.*g", digits, value);
}

static void report_exact(report *r, const job *j)
{
    report_number(r, "distance", j->exact.distance, 10);
    report_number(r, "dual", j->exact.dual, 10);
    report_number(r, "gap", j->exact.gap, 2);
    report_number(r, "slack", j->exact.slack, 2);
    report_number(r, "marginal_error", j->exact.marginal, 2);
    report_count(r, "pivots", j->exact.pivots);
    report_count(r, "plan_entries", j->exact.entries);
}

static void report_entropic(report *r, const job *j)
{
    const tamis_transport_entropic_result *e = &j->entropic;
    report_number(r, "distance", e->transport, 10);
    report_number(r, "regularised", e->regularised, 10);
    if (j->args->divergence) report_number(r, "divergence", j->divergence, 10);
    report_number(r, "epsilon", e->epsilon, 6);
    if (j->args->method == UNBALANCED) report_number(r, "mass", e->mass, 6);
    report_text(r, "converged", e->converged ? "yes" : "no");
    report_number(r, "marginal_error", e->marginal, 2);
    report_count(r, "iterations", e->iterations);
    report_text(r, "costs", e->online ? "computed" : "held");
    if (!j->args->plan) return;
    report_count(r, "plan_entries", j->entries);
    report_share(r, "plan_share", e->mass > 0 ? j->written / e->mass : 0);
}

static void report_job(const job *j)
{
    report r;
    report_begin(&r, j->s);
    report_text(&r, "method", method_names[j->args->method]);
    report_text(&r, "cost", cost_names[j->args->cost]);
    report_count(&r, "rows_a", j->problem.n);
    report_count(&r, "rows_b", j->problem.m);
    report_count(&r, "columns", j->problem.columns);
    if (j->args->method == EXACT) {
        report_exact(&r, j);
    } else if (j->args->method == ANNEALED) {
        report_number(&r, "value", j->annealed.value, 10);
        report_number(&r, "diameter", j->annealed.diameter, 6);
        report_count(&r, "iterations", j->annealed.iterations);
    } else {
        report_entropic(&r, j);
    }
    if (j->args->plan) report_text(&r, "plan", j->args->plan);
    if (j->args->duals) report_text(&r, "duals", j->args->duals);
    report_seconds(&r, seconds() - j->s->started);
    report_end(&r);
}

static tamis_status transport(job *j, tamis_error *err)
{
    const transport_args *args = j->args;
    TRY(check(j->s, args, err));
    TRY(session_add_input(j->s, "a", args->a, err));
    TRY(session_add_input(j->s, "b", args->b, err));
    TRY(session_add_input(j->s, "weights-a", args->weights_a, err));
    TRY(session_add_input(j->s, "weights-b", args->weights_b, err));
    TRY(session_add_output(j->s, args->plan, 0, err));
    TRY(session_add_output(j->s, args->duals, 0, err));
    TRY(read_sides(j, err));
    TRY(solve(j, err));
    return write_files(j, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    job j = {.s = s, .args = cookie};
    tamis_status status = transport(&j, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK) report_job(&j);
    tamis_transport_exact_fini(&j.exact);
    tamis_transport_entropic_fini(&j.entropic);
    tamis_transport_annealed_fini(&j.annealed);
    free(j.x);
    free(j.y);
    free(j.a);
    free(j.b);
    return status;
}

const command cmd_transport = {
    .name = "transport",
    .group = "Look",
    .summary = "measure how far two sets of rows are from each other",
    .synopsis = "A.h5 B.h5 [--method METHOD] [--cost COST] [OPTIONS]",
    .description =
        "The optimal-transport distance between the rows of two gradient stores: the least cost at "
        "which the mass of one can be moved onto the other. Rows are summed over checkpoints. "
        "Weights "
        "are scaled to the sum 1 on each side, but for the unbalanced method, whose sums count.\n\n"
        "The exact method proves its result: gap is the relative difference between the cost of "
        "the "
        "plan and what the duals prove no plan can go below, at most 1e-9; slack is the most by "
        "which a "
        "pair of rows breaks the duals. Methods with entropy say how far the plan's row sums are "
        "from "
        "the weights, as marginal_error, and whether that is within --tolerance.",
    .examples =
        "# exact, with plan and duals\n"
        "tamis transport chosen.h5 target.h5 --cost cosine --plan plan.csv --duals duals.csv\n"
        "# many rows\n"
        "tamis transport pool.h5 target.h5 --method sinkhorn --divergence",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_READS | COMMON_FORCE,
    .args_size = sizeof(transport_args),
    .defaults = &defaults,
    .run = run,
};
