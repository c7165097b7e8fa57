/* The spanning tree of the network simplex: parents and lists of children.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/tree.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

#define NONE TAMIS__NO_NODE

static void link_child(tamis__tree *t, uint32_t node, uint32_t parent)
{
    uint32_t first = t->child[parent];
    t->parent[node] = parent;
    t->previous[node] = NONE;
    t->next[node] = first;
    if (first != NONE) t->previous[first] = node;
    t->child[parent] = node;
}

static void unlink_child(tamis__tree *t, uint32_t node)
{
    uint32_t before = t->previous[node], after = t->next[node];
    if (before != NONE)
        t->next[before] = after;
    else
        t->child[t->parent[node]] = after;
    if (after != NONE) t->previous[after] = before;
}

tamis_status tamis__tree_init(tamis__tree *ret_tree, uint32_t n, uint32_t m, tamis_error *err)
{
    tamis__tree t = {.n = n, .m = m, .root = n + m};
    size_t nodes = (size_t)n + m + 1;
    t.parent = tamis__malloc(nodes, sizeof *t.parent);
    t.child = tamis__malloc(nodes, sizeof *t.child);
    t.next = tamis__malloc(nodes, sizeof *t.next);
    t.previous = tamis__malloc(nodes, sizeof *t.previous);
    t.depth = tamis__calloc(nodes, sizeof *t.depth);
    t.flow = tamis__calloc(nodes, sizeof *t.flow);
    t.cost = tamis__calloc(nodes, sizeof *t.cost);
    t.potential = tamis__aligned(nodes, sizeof *t.potential);
    t.stack = tamis__malloc(nodes, sizeof *t.stack);
    if (!t.parent || !t.child || !t.next || !t.previous || !t.depth || !t.flow || !t.cost ||
        !t.potential || !t.stack) {
        tamis__tree_fini(&t);
        return tamis__fail_memory(err, "a spanning tree", nodes * 44);
    }
    for (uint32_t i = 0; i <= t.root; i++) t.child[i] = NONE;
    t.parent[t.root] = t.next[t.root] = t.previous[t.root] = NONE;
    for (uint32_t i = 0; i < t.root; i++) {
        link_child(&t, i, t.root);
        t.depth[i] = 1;
    }
    *ret_tree = t;
    return TAMIS_OK;
}

void tamis__tree_fini(tamis__tree *t)
{
    free(t->parent);
    free(t->child);
    free(t->next);
    free(t->previous);
    free(t->depth);
    free(t->flow);
    free(t->cost);
    free(t->potential);
    free(t->stack);
    *t = (tamis__tree){0};
}

void tamis__tree_hang(tamis__tree *t, uint32_t node, uint32_t cut, uint32_t parent, int64_t flow,
                      double cost)
{
    for (bool last = false; !last;) {
        uint32_t above = t->parent[node];
        int64_t old_flow = t->flow[node];
        double old_cost = t->cost[node];
        last = node == cut;
        unlink_child(t, node);
        link_child(t, node, parent);
        t->flow[node] = flow;
        t->cost[node] = cost;
        flow = old_flow;
        cost = old_cost;
        parent = node;
        node = above;
    }
}

void tamis__tree_shift(tamis__tree *t, uint32_t node, double shift)
{
    size_t left = 1;
    t->stack[0] = node;
    while (left > 0) {
        uint32_t at = t->stack[--left];
        t->depth[at] = t->depth[t->parent[at]] + 1;
        t->potential[at] += shift;
        for (uint32_t c = t->child[at]; c != NONE; c = t->next[c]) t->stack[left++] = c;
    }
}

void tamis__tree_refresh(tamis__tree *t)
{
    size_t left = 1;
    t->stack[0] = t->root;
    t->potential[t->root] = 0.0;
    while (left > 0) {
        uint32_t at = t->stack[--left];
        if (at != t->root) {
            double above = t->potential[t->parent[at]];
            t->depth[at] = t->depth[t->parent[at]] + 1;
            t->potential[at] = tamis__tree_up(t, at) ? above + t->cost[at] : above - t->cost[at];
        }
        for (uint32_t c = t->child[at]; c != NONE; c = t->next[c]) t->stack[left++] = c;
    }
}
