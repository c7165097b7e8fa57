/* tamis - optimal transport between two sets of points: exact, entropic, unbalanced.
 *
 * A side is a set of weighted points. The distance is the least cost sum_ij P_ij C_ij at which the
 * mass of side A [n] can be moved onto side B [m], over plans P >= 0 with row sums a and column
 * sums b.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_H
#define TAMIS_TRANSPORT_H

#include <stdbool.h>
#include <tamis/context.h>

TAMIS_BEGIN

/** What it costs to move a unit of mass from a point x to a point y. Values are pinned. */
typedef enum tamis_transport_cost {
    TAMIS_COST_EUCLIDEAN = 0,   /**< |x - y| */
    TAMIS_COST_SQEUCLIDEAN = 1, /**< |x - y|^2 */
    TAMIS_COST_COSINE = 2       /**< sqrt(|2 - 2 cos(x, y)|): |x - y| of unit rows, in [0, 2] */
} tamis_transport_cost;

/** Costs made on demand: fill cost[m] with the costs of row i of side A. Called from one thread at
 *  a time, the same values for the same i each time. */
typedef void (*tamis_transport_row_fn)(void *cookie, uint64_t i, double *cost);

/** Two sides and the costs between them. Zero-initialise; set exactly one source of costs.
 *  Everything is the caller's and need live only during the call. Costs must be finite. */
typedef struct tamis_transport_problem {
    uint64_t n, m;   /**< points of side A and of side B, > 0 and below 2^31 */
    const double *a; /**< [n] weights >= 0; NULL = uniform, of the mass of B (1 when both are) */
    const double *b; /**< [m] weights >= 0; NULL = uniform, of the mass of A. Sums that differ by at
                          most 1e-6 of themselves are taken as the same, and b is scaled to a's; the
                          unbalanced method takes any sums */
    const double *cost_f64; /**< [n, m] costs, or */
    const float *cost_f32;  /**< [n, m] costs, or */
    size_t cost_stride;     /**< values from row to row of either; 0 = m */
    const float *x, *y;     /**< [n, columns] and [m, columns] points without gaps, or */
    uint64_t columns; /**< > 0 with points. Small problems are done in double; else inner products
                           are taken in float, near pairs in double, and costs are rounded to float:
                           right to about 1e-6 */
    tamis_transport_cost cost;  /**< between points */
    tamis_transport_row_fn row; /**< a function of the caller */
    void *cookie;               /**< for it */
    const double *start; /**< [m] potentials of side B to start from, finite, such as the `g` of a
                              problem with the same side B and other points of side A; NULL = none.
                              Exact and entropic methods get there faster the nearer they are; to
                              the same distance, within what these methods promise. The annealing
                              schedule does not look at them */
} tamis_transport_problem;

/** One entry of a plan. */
typedef struct tamis_transport_entry {
    uint32_t i, j; /**< rows of side A and of side B */
    double mass;   /**< > 0 */
} tamis_transport_entry;

/* --- exact ------------------------------------------------------------------------------------ */

/** An optimal plan and the proof that it is one. Zero-initialise; tamis_transport_exact_fini(). */
typedef struct tamis_transport_exact_result {
    double distance; /**< sum_ij P_ij C_ij of the plan */
    double dual;     /**< sum_i a_i f_i + sum_j b_j g_j: no plan costs less, but for `slack` */
    double gap;   /**< |distance - dual| over the distance, or over 1e-6 of mass times the largest
                          cost in use when that is more; at most 1e-9 */
    double slack; /**< the most by which a pair breaks f_i + g_j <= C_ij: found by looking at all
                          pairs */
    double marginal;  /**< sum of |row sums - a| and |column sums - b| of the plan, over the mass */
    double mass;      /**< of a side */
    uint64_t pivots;  /**< steps of the simplex */
    uint64_t entries; /**< of `plan`, at most n + m - 1 */
    tamis_transport_entry *plan; /**< [entries] by i, then j; owned by the result */
    double *f;                   /**< [n] duals of side A, sum_i a_i f_i = 0; owned by the result */
    double *g;                   /**< [m] duals of side B; owned by the result */
} tamis_transport_exact_result;

/** Solve exactly by the network simplex on the transportation problem: a strongly feasible spanning
 *  tree, masses as whole numbers, so that ties cannot make it cycle (Cunningham 1976; Ahuja,
 *  Magnanti and Orlin 1993, chapter 11). Costs of points, as floats unless the problem is small, or
 *  of a function, as doubles, are held when they fit half of the context's memory limit with the
 *  points, and else are computed whenever they are looked at: the same result either way. One
 *  thread. The plan's marginals are right to 1e-12 of the mass. Errors: ARG (no points, no or
 *  several sources of costs, weights negative, not finite, zero in sum or of different sums),
 *  NUMERIC (a cost or point not finite; a row of zeros with cosine; no certificate), NOMEM,
 *  CANCELLED. Complexity: a pivot looks at O(sqrt(n m)) costs; in practice there are about 17 (n +
 *  m) of them at n = m = 2,000 and 46 (n + m) at 10,000, at worst exponentially many; memory O(n +
 *  m) beside the costs. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_exact(tamis_context *context,
                                                             const tamis_transport_problem *problem,
                                                             tamis_transport_exact_result *ret,
                                                             tamis_error *err);

/** Free what a result owns. Accepts a zeroed struct. */
TAMIS_API void tamis_transport_exact_fini(tamis_transport_exact_result *result);

/* --- entropic --------------------------------------------------------------------------------- */

/** All fields may be zero. */
typedef struct tamis_transport_entropic_params {
    double epsilon;   /**< strength of the entropy, in units of cost; 0 = 0.01 of the mean cost */
    double tolerance; /**< sum of |row sums - a| over the mass, at which it has converged; 0 =
                           1e-6 */
    uint64_t iterations; /**< at most this many, at the last epsilon; 0 = 10,000 */
    double scaling; /**< factor from one epsilon to the next on the way down, in (0, 1); 0 = 0.5 */
    double reach;   /**< unbalanced: the price rho of mass that is not moved, in units of cost, KL
                         divergence of the plan's marginals from a and b; 0 = balanced */
} tamis_transport_entropic_params;

/** Zero-initialise; tamis_transport_entropic_fini(). */
typedef struct tamis_transport_entropic_result {
    double transport;    /**< sum_ij P_ij C_ij */
    double regularised;  /**< transport + epsilon KL(P | a b^T / mass); with `reach` transport +
                             epsilon KL(P | a b^T) + reach KL(P 1 | a) + reach KL(P^T 1 | b) */
    double epsilon;      /**< the one used */
    double marginal;     /**< L1 error of the plan's row sums over the mass (column sums are exact);
                             unbalanced: the last change of the row sums */
    double mass;         /**< of the plan */
    bool converged;      /**< marginal <= tolerance */
    uint64_t iterations; /**< pairs of updates at all epsilons together */
    uint64_t bytes;      /**< held for costs: 0 when the caller's were used in place */
    bool online;         /**< costs were computed anew in each iteration */
    double *f;           /**< [n] potentials; balanced: sum_i a_i f_i = 0. Owned by the result */
    double *
        g; /**< [m] potentials. P_ij = a_i b_j / mass exp((f_i + g_j - C_ij) / epsilon), without the
                    mass when unbalanced. Owned by the result */
} tamis_transport_entropic_result;

/** Solve with entropy in the log domain: alternate updates f = softmin(C - g), g = softmin(C - f),
 *  with epsilon falling from the largest cost, over-relaxed where that converges faster (Cuturi
 *  2013; Schmitzer 2019; Thibault et al. 2021; unbalanced: Chizat et al. 2018 with the translation
 *  of Sejourne et al. 2022). Costs of points are held when they fit half of the memory limit and
 *  else computed by tiles: the same bits either way, and for any number of threads. Errors: as
 *  tamis_transport_exact(), ARG (a parameter out of range), NOMEM also when costs of a function do
 *  not fit. Not having converged is no error: see `converged`. Complexity: O(n m columns) an
 *  iteration online, O(n m) else. */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_transport_entropic(tamis_context *context, const tamis_transport_problem *problem,
                         const tamis_transport_entropic_params *params,
                         tamis_transport_entropic_result *ret, tamis_error *err);

/** Free what a result owns. Accepts a zeroed struct. */
TAMIS_API void tamis_transport_entropic_fini(tamis_transport_entropic_result *result);

/** Rows first_row .. first_row + rows - 1 of the plan that potentials stand for, into out [rows,
 *  m]. `params` and `result` are those of the solution. Errors: ARG, NUMERIC, NOMEM. Complexity:
 *  O(rows * m * columns). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_plan(
    tamis_context *context, const tamis_transport_problem *problem,
    const tamis_transport_entropic_params *params, const tamis_transport_entropic_result *result,
    uint64_t first_row, uint64_t rows, double *out, tamis_error *err);

/** The debiased divergence OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2 of regularised values (Feydy et
 *  al. 2019), 0 between equal sides; with `reach` also + epsilon / 2 (mass of a - mass of b)^2
 *  (Sejourne et al. 2019). `self_a` [n, n] and `self_b` [m, m] are the problems of each side with
 *  itself, NULL = made of the points. Never negative for costs between points: what is below 0 by
 *  no more than the tolerance is 0; anything lower, which costs of the caller can give, is left.
 *  *ret_problem is the solution between the sides, and may be NULL. Errors: as
 *  tamis_transport_entropic(), ARG (no self costs). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_divergence(
    tamis_context *context, const tamis_transport_problem *problem,
    const tamis_transport_problem *self_a, const tamis_transport_problem *self_b,
    const tamis_transport_entropic_params *params, double *ret_divergence,
    tamis_transport_entropic_result *ret_problem, tamis_error *err);

/* --- as released ------------------------------------------------------------------------------ */

/** The annealing schedule of TAROT's released code (geomloss 0.2.6: blur 0.01, scaling 0.5): a dual
 *  value after a dozen averaged updates, which is neither exact nor converged. For comparing with
 *  its numbers. */
typedef struct tamis_transport_annealed_result {
    double value;        /**< sum_i a_i f_i + sum_j b_j g_j */
    double diameter;     /**< diagonal of the box around all points (unit rows with cosine) */
    uint64_t iterations; /**< epsilons in the schedule */
    double *f;           /**< [n]; owned by the result */
    double *g;           /**< [m]; owned by the result */
} tamis_transport_annealed_result;

/** Run the schedule. `diameter` 0 = of the points; it must be given with other costs. Costs in
 *  cost_f32 are taken in float throughout, as the released code takes them, in one pass over them a
 *  step: potentials are right to about 1e-6 of the largest cost, and it is five times as fast as in
 *  double. The same bits for any number of threads. Errors: as tamis_transport_exact(). Complexity:
 *  O(n m) for each of about 12 steps. */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_transport_annealed(tamis_context *context, const tamis_transport_problem *problem,
                         double diameter, tamis_transport_annealed_result *ret, tamis_error *err);

/** Free what a result owns. Accepts a zeroed struct. */
TAMIS_API void tamis_transport_annealed_fini(tamis_transport_annealed_result *result);

/* --- files ------------------------------------------------------------------------------------ */

/** Points of a side: the rows of a gradient store in full form, summed over its checkpoints.
 *  *ret_rows [rows, columns] is allocated; the caller frees it with free(). Errors: those of
 *  tamis_store_open() and tamis_store_read(), NUMERIC (a row is not finite), UNSUPPORTED (factor
 *  form), NOMEM (also when they take more than a quarter of the memory limit: the rest is for the
 *  other side and for what is made of both). */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_transport_read_points(tamis_context *context, const char *path, float **ret_points,
                            uint64_t *ret_rows, uint64_t *ret_columns, tamis_error *err);

/** Weights of a side: text with a number a line ('#' starts a comment). *ret_weights [rows] is
 *  allocated; the caller frees it with free(). Errors: IO, FORMAT (a line that is no number,
 *  negative or not finite: says which), SHAPE (another number of them than rows, zero in sum),
 *  NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_read_weights(tamis_context *context,
                                                                    const char *path, uint64_t rows,
                                                                    double **ret_weights,
                                                                    tamis_error *err);

/** Write a plan as CSV, "i,j,mass" with rows from 0. "-" is standard output. Errors: IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_write_plan(tamis_context *context,
                                                                  const char *path, bool force,
                                                                  const tamis_transport_entry *plan,
                                                                  uint64_t entries,
                                                                  tamis_error *err);

/** Write the entries of an entropic plan that are at least `share` of their row's mass, as
 *  tamis_transport_write_plan(). *ret_entries and *ret_mass say how many they are and what they
 *  weigh together; each may be NULL. Errors: as tamis_transport_plan(), IO. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_write_entropic_plan(
    tamis_context *context, const char *path, bool force, const tamis_transport_problem *problem,
    const tamis_transport_entropic_params *params, const tamis_transport_entropic_result *result,
    double share, uint64_t *ret_entries, double *ret_mass, tamis_error *err);

/** Write potentials as CSV, "side,row,dual" with side a or b and rows from 0. Errors: IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_transport_write_duals(tamis_context *context,
                                                                   const char *path, bool force,
                                                                   const double *f, uint64_t n,
                                                                   const double *g, uint64_t m,
                                                                   tamis_error *err);

TAMIS_END

#endif
