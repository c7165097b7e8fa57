/* The spanning tree of the network simplex on a transportation problem.
 *
 * Nodes are the points of side a, then those of side b, then a root that no mass passes through. An
 * arc goes from a point of a to a point of b, or from a point to the root; the latter only hold the
 * tree together. The tree is strongly feasible: an arc without flow points to the root, so every
 * node can send more that way.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_TREE_H
#define TAMIS_TRANSPORT_TREE_H

#include <stdbool.h>
#include <tamis/common.h>

#define TAMIS__NO_NODE UINT32_MAX

typedef struct tamis__tree {
    uint32_t n, m, root;
    uint32_t *parent;
    uint32_t *child, *next, *previous; /* first child; siblings */
    uint32_t *depth;
    int64_t *flow; /* on the arc to the parent */
    double *cost;  /* of that arc; 0 to the root */
    double
        *potential; /* f of a point of a, minus g of a point of b: f_i - (-g_j) = C_ij along arcs */
    uint32_t *stack; /* [n + m + 1] for walks */
} tamis__tree;

/* All nodes hang from the root by arcs without flow. Errors: NOMEM. */
tamis_status tamis__tree_init(tamis__tree *ret_tree, uint32_t n, uint32_t m, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__tree_fini(tamis__tree *tree);

/* Hang `node`, with all below it, from `parent` by another arc: the nodes on the way from it to
 * `cut`, which is above it or itself, turn round, and the arc above `cut` is gone. */
void tamis__tree_hang(tamis__tree *tree, uint32_t node, uint32_t cut, uint32_t parent, int64_t flow,
                      double cost);

/* Give `node` and all below it their depths, and add `shift` to their potentials. */
void tamis__tree_shift(tamis__tree *tree, uint32_t node, double shift);

/* Take all depths and potentials from the arcs, with what rounding had been gathered gone. */
void tamis__tree_refresh(tamis__tree *tree);

/* Does the arc to the parent point to the root? */
static inline bool tamis__tree_up(const tamis__tree *tree, uint32_t node)
{
    return node < tree->n || tree->parent[node] == tree->root;
}

#endif
