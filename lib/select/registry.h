/* The selectors of this build, and what each of them is.
 *
 * A new selector is one file that defines `const tamis__selector_class tamis__selector_<name>`, its
 * name in the list below (alphabetical) and its file in meson.build.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_REGISTRY_H
#define TAMIS_SELECT_REGISTRY_H

#include <stdbool.h>
#include <tamis/select.h>

#define TAMIS__SELECTOR_ABI 1

/* More parameters than any selector has; the driver parses into an array of this length. */
#define TAMIS__SELECTOR_PARAMS 16

/* What is settled of a row before it is judged. */
enum {
    TAMIS__FREE = 0,
    TAMIS__MUST_KEEP = 1,
    TAMIS__BARRED = 2 /* must be dropped, fails a filter, or has no score */
};

/* Which group each of `n` things is in, in [0, groups), or -1 = in none. */
typedef struct tamis__groups {
    uint64_t n;
    uint32_t groups;
    const int32_t *of;       /* [n] */
    const char *const *name; /* [groups]; NULL = their numbers */
} tamis__groups;

/* What a selector chooses from. */
typedef struct tamis__candidates {
    tamis_context *context;
    uint64_t rows;
    const double *value;    /* [rows]; NaN = no score: such a row is never kept, and stands behind
                                all others, where tamis__order() puts it. NULL for
                                TAMIS_SELECTOR_NO_VALUE, unless there are such rows, and for
                                TAMIS_SELECTOR_STORES */
    const char *value_name; /* "total score", "loss": for reasons; never NULL */
    uint64_t budget; /* rows to keep, in [1, rows that may be kept]; 0 for TAMIS_SELECTOR_NO_BUDGET.
                        With costs: as many rows as could be kept at most */
    const char *budget_text; /* as the user wrote it; NULL for TAMIS_SELECTOR_NO_BUDGET */
    uint64_t seed;
    /* What every row is to be told apart from its value: a tamis__standing. NULL = all are free.
     * Rows that are not free have no say: `value` of those that must not be kept is NaN, and those
     * that must be kept come first whatever their value. */
    const uint8_t *standing;
    const double *cost; /* [rows] >= 0; NULL = every row costs 1 */
    double allowance;   /* most that kept rows may cost together; the budget when costs are NULL */
    /* For TAMIS_SELECTOR_MATRIX: the scores of all queries, normalised. See matrix.h. */
    const struct tamis__query_matrix *matrix;
    const tamis__groups *group; /* of candidates; NULL = there are none */
    const tamis__groups
        *query_group; /* of queries, for TAMIS_SELECTOR_MATRIX; never NULL there: where
                                         none are given all queries are one group */
    const tamis_select_params
        *source; /* scores or stores, for selectors that look at more than a value */
} tamis__candidates;

typedef struct tamis__selector_class {
    uint32_t abi; /* TAMIS__SELECTOR_ABI */
    tamis_selector_info info;
    size_t state_size; /* zeroed memory for the three calls below; may be 0 */
    /* Read `param` [info.n_params] into the state; NULL = nothing to read. */
    tamis_status (*init)(void *state, const tamis_param_value *param, tamis_error *err);
    /* Set keep, rank and reason of every row; `score` too with TAMIS_SELECTOR_NO_VALUE,
     * TAMIS_SELECTOR_MATRIX and TAMIS_SELECTOR_STORES (otherwise it holds the value already),
     * `weight` where it is not 1 for kept and 0 for dropped, and `provenance`, a JSON object, for
     * what was found on the way. */
    tamis_status (*select)(void *state, const tamis__candidates *candidates,
                           tamis_selection *selection, tamis_error *err);
    void (*fini)(void *state); /* accepts a half-initialised state; NULL = nothing to free */
} tamis__selector_class;

/* clang-format off */
#define TAMIS__SELECTORS(X) \
    X(bids) \
    X(bottom) \
    X(doubly_greedy) \
    X(fid) \
    X(gumbel_top_k) \
    X(instance_max) \
    X(knn_kde) \
    X(knn_uniform) \
    X(random) \
    X(round_robin) \
    X(stratified) \
    X(sum) \
    X(tarot_fixed) \
    X(tarot_otm) \
    X(task_max) \
    X(threshold) \
    X(top)
/* clang-format on */

#define TAMIS__DECLARE_SELECTOR(name) extern const tamis__selector_class tamis__selector_##name;
TAMIS__SELECTORS(TAMIS__DECLARE_SELECTOR)
#undef TAMIS__DECLARE_SELECTOR

/* Take the budget from the high or the low end of the values. In values.c. */
tamis_status tamis__take_end(const tamis__candidates *candidates, bool highest,
                             tamis_selection *selection, tamis_error *err);

#endif
