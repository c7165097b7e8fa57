/* What the two TAROT selectors share: whitened unit rows of candidates and targets, the candidates
 * nearest to each target, distances of transport, weights.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_TAROT_H
#define TAMIS_SELECT_TAROT_H

#include "curvature/whitening.h"
#include "kernels/product.h"
#include "kernels/softmin.h"
#include "select/registry.h"
#include "stream/engine.h"

/* --- parameters (tarot.c) --------------------------------------------------------------------- */

/* How rows are whitened. As released: rows times L^-1 in place of L^-T, which does not whiten. */
typedef enum tamis__tarot_whiten {
    TAMIS__TAROT_CHOLESKY,
    TAMIS__TAROT_PLAIN,
    TAMIS__TAROT_RELEASED
} tamis__tarot_whiten;

typedef enum tamis__tarot_weights {
    TAMIS__TAROT_EQUAL,
    TAMIS__TAROT_POTENTIAL,
    TAMIS__TAROT_MARGINAL
} tamis__tarot_weights;

/* The first parameters of both selectors, in this order. */
enum {
    TAMIS__TAROT_COMPAT,
    TAMIS__TAROT_WHITEN,
    TAMIS__TAROT_NEIGHBOURS,
    TAMIS__TAROT_WEIGHTS,
    TAMIS__TAROT_REPEATS,
    TAMIS__TAROT_SHARED
};

extern const char *const tamis__tarot_compat_names[], *const tamis__tarot_whiten_names[],
                                                          *const tamis__tarot_weights_names[];

/* clang-format off */
#define TAMIS__TAROT_PARAMS \
    {.name = "compat", \
     .help = "as that release computes, defects included", \
     .type = TAMIS_PARAM_CHOICE, \
     .choices = tamis__tarot_compat_names}, \
    {.name = "whiten", \
     .help = "of rows: true whitening, none, or rows times the wrong factor as released", \
     .type = TAMIS_PARAM_CHOICE, \
     .choices = tamis__tarot_whiten_names}, \
    {.name = "neighbours", \
     .help = "candidates in the list of a target, at most; 0: as many as are needed", \
     .type = TAMIS_PARAM_INTEGER, \
     .max = 1e9}, \
    {.name = "weights", \
     .help = "of kept rows: equal, by potential (dear to move), by mass that targets send", \
     .type = TAMIS_PARAM_CHOICE, \
     .choices = tamis__tarot_weights_names}, \
    {.name = "repeats", \
     .help = "round weights to whole numbers of this sum; 0: leave them, their mean is 1", \
     .type = TAMIS_PARAM_INTEGER, \
     .max = 16777216}
/* clang-format on */

typedef struct tamis__tarot_options {
    bool compat;
    tamis__tarot_whiten whiten;
    bool whiten_given;
    uint64_t neighbours; /* 0 = as many as are needed */
    tamis__tarot_weights weights;
    uint64_t repeats; /* 0 = not rounded */
} tamis__tarot_options;

/* From the shared parameters. Errors: ARG. */
tamis_status tamis__tarot_read(const char *name, const tamis_param_value *param,
                               tamis__tarot_options *ret_options, tamis_error *err);

/* Costs sqrt(|2 - 2 <x, y>|) between candidates and all targets (tarot_costs.c). */
typedef struct tamis__tarot_costs {
    const tamis__multiplier *multiplier;
    tamis__softmin_kernels softmin;
    char *panels; /* targets as panels of the multiplier; NULL = not opened */
    size_t panel_bytes;
    uint64_t width;  /* targets to whole panels */
    double *square;  /* [width] */
    double *inner;   /* [worker] of [rows, width] */
    uint32_t *place; /* [n] where a candidate's costs are held, from 1; 0 = nowhere */
    float **page;    /* [pages] of [rows of a page, m] */
    uint64_t pages, held;
} tamis__tarot_costs;

/* --- rows and lists (tarot_rows.c, tarot_lists.c) --------------------------------------------- */

typedef struct tamis__tarot {
    tamis_context *context;
    tamis_store *train, *query;
    tamis__tarot_options options;
    uint64_t n, m, columns;     /* candidates, targets */
    const uint8_t *standing;    /* [n] the candidates'; NULL = all are free */
    unsigned char *skip;        /* [n] 1 = barred, in no list; NULL = none is */
    uint64_t required;          /* candidates that must be kept */
    tamis__whitening whitening; /* zeroed = none */
    double *inverse;            /* [columns, columns] as released: (L^-1)^T; NULL otherwise */
    tamis__held_queries target; /* values[0] [m, columns]: unit rows */
    float *held;                /* [n, columns] unit rows of candidates; NULL = made when wanted */
    uint64_t bytes;             /* that all this takes */
    unsigned workers;
    tamis__feature_scratch *scratch; /* [worker] */
    double **product; /* [worker] of [TAMIS__FEATURE_ROWS, columns]; with `inverse` */
    /* The nearest candidates of each target. */
    uint64_t k;    /* of a list */
    uint64_t *row; /* [m, k] best first */
    float *score;  /* [m, k] cosines */
    float
        *best; /* [n] the largest cosine of a candidate with any target; -infinity of barred ones */
    bool has_best;
    tamis__tarot_costs costs;
} tamis__tarot;

/* Check the stores, find the whitening and make what fits memory; zeroed again when it fails. Do
 * not copy the struct. Errors: SHAPE, ARG (lists with compat too), NUMERIC (a row
 * is not finite, no covariance), NOMEM, IO, CANCELLED. */
tamis_status tamis__tarot_open(tamis__tarot *tarot, const tamis__candidates *candidates,
                               const tamis__tarot_options *options, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__tarot_close(tamis__tarot *tarot);

/* At most TAMIS__FEATURE_ROWS unit rows of candidates into `out` [rows, columns], made anew. On the
 * calling thread, which is this worker; between tamis__blas_begin() and _end(). */
tamis_status tamis__tarot_make(const tamis__tarot *tarot, uint64_t first, uint64_t rows,
                               unsigned worker, float *out, tamis_error *err);

/* Unit rows of candidates `row` [n], ascending, into out [n, columns], by all threads; between
 * tamis__blas_begin() and _end(). */
tamis_status tamis__tarot_take(const tamis__tarot *tarot, const uint64_t *row, uint64_t n,
                               float *out, tamis_error *err);

/* Lists of length k <= n, in place of those there are: ties go to the lower row, barred candidates
 * are in none. A list that has no more ends in UINT64_MAX. */
tamis_status tamis__tarot_lists(tamis__tarot *tarot, uint64_t k, tamis_error *err);

/* Unit rows of all candidates times `queries`, which are such rows too: cosines, for the sink.
 * `reserved`: bytes that the caller holds beside t->bytes. */
tamis_status tamis__tarot_multiply(tamis__tarot *tarot, const tamis__queries *queries,
                                   uint64_t reserved, tamis__sink sink, tamis_error *err);

/* --- distances (tarot_sides.c) ---------------------------------------------------------------- */

typedef enum tamis__tarot_solver {
    TAMIS__TAROT_ANNEALED,
    TAMIS__TAROT_SINKHORN,
    TAMIS__TAROT_EXACT
} tamis__tarot_solver;

/* Candidates whose costs are asked for at once, at most. */
enum { TAMIS__TAROT_BATCH = 256 };

/* Costs of candidates `row` [n] with all targets: ret_cost[i] points to [m] of them, held by
 * `tarot` or in `spare` [n, m]. `unit` [n, columns] are their rows, and are used up. The same bits
 * whatever rows come together. Between tamis__blas_begin() and _end(). Errors: NOMEM. */
tamis_status tamis__tarot_costs_of(tamis__tarot *tarot, const uint64_t *row, uint64_t n,
                                   float *unit, float *spare, const float **ret_cost,
                                   tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__tarot_costs_fini(tamis__tarot_costs *costs);

/* Candidates, which become more, against targets, which stay. */
typedef struct tamis__tarot_sides {
    tamis__tarot *tarot;
    uint64_t m;
    const uint64_t *target; /* [m] which targets, ascending; NULL = all */
    uint64_t n, room;
    uint64_t *row;     /* [room] in the order in which they came */
    float *cost;       /* [room, m] */
    float *low, *high; /* [2, columns]: the box around all points */
    float *unit;       /* [TAMIS__TAROT_BATCH, columns] */
    float *spare;      /* [TAMIS__TAROT_BATCH, targets] */
    double *potential; /* [m] of targets, when they were last solved for; NULL = not yet */
} tamis__tarot_sides;

/* `target` [m], which is the caller's and stays: which ones, ascending; NULL = all of them. */
tamis_status tamis__tarot_sides_init(tamis__tarot_sides *ret_sides, tamis__tarot *tarot,
                                     const uint64_t *target, uint64_t m, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__tarot_sides_fini(tamis__tarot_sides *sides);
/* More candidates: `row` [n], ascending, none of which is there. */
tamis_status tamis__tarot_sides_add(tamis__tarot_sides *sides, const uint64_t *row, uint64_t n,
                                    tamis_error *err);
/* The distance between all of them and the targets, both of equal weights. The solvers that
 * converge start from the potentials of the last time. */
tamis_status tamis__tarot_sides_value(tamis__tarot_sides *sides, tamis__tarot_solver solver,
                                      double *ret_value, tamis_error *err);
/* Potentials of the candidates by the annealing schedule into `out` [n]. */
tamis_status tamis__tarot_sides_potentials(const tamis__tarot_sides *sides, double *out,
                                           tamis_error *err);

/* --- the selection (tarot_weights.c, tarot.c) ------------------------------------------------- */

/* Weights of the kept rows, as the options say. */
tamis_status tamis__tarot_weigh(tamis__tarot *tarot, tamis_selection *selection, tamis_error *err);

/* Must the candidate be kept? */
static inline bool tamis__tarot_required(const tamis__tarot *tarot, uint64_t row)
{
    return tarot->standing && tarot->standing[row] == TAMIS__MUST_KEEP;
}

/* `step` [n] is 0 for rows that are dropped, and otherwise says which were chosen first. Among
 * those of a step, and the dropped, nearer ones come first. Sets keep, rank, score and reasons;
 * `reason` is by step. */
tamis_status tamis__tarot_give(const tamis__tarot *tarot, const uint8_t *step,
                               const char *const *reason, tamis_selection *selection,
                               tamis_error *err);

#endif
