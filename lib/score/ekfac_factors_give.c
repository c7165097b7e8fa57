/* From the scores of tokens to those of rows, and to whoever wants them.
 *
 * A row's tokens are added up in their order, in double, whatever spans they came in.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "score/ekfac_factors_state.h"

/* --- rows ------------------------------------------------------------------------------------- */

static bool skipped(const tamis__factor_run *run, uint64_t row)
{
    const unsigned char *skip = run->p->skip;
    if (!skip) return false;
    if (run->p->train->first) return skip[row];
    /* Rows are tokens: of which example? */
    const uint64_t *offset = run->p->train->offset;
    uint64_t low = 0, high = tamis_store_info_get(run->p->train->store)->rows;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (offset[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return skip[low];
}

static tamis_status refuse(const tamis__factor_run *run, uint64_t row, uint64_t column,
                           tamis_error *err)
{
    const tamis_store *store = run->p->train->store;
    const char *what = run->p->train->first ? "row" : "token";
    char id[256] = "";
    if (run->p->train->first) tamis_store_id(store, row, id, sizeof id);
    return tamis__fail(
        err, TAMIS_ERR_NUMERIC,
        "'%s': %s %llu%s%s%s has no finite score for query %llu: raise the damping, or "
        "make the store again without it",
        tamis_store_path(store), what, (unsigned long long)row, *id ? " (id " : "", id,
        *id ? ")" : "", (unsigned long long)(run->first_query + column / run->columns));
}

static tamis_status check(const tamis__factor_run *run, uint64_t first, uint64_t columns,
                          tamis_error *err)
{
    for (uint64_t r = 0; r < run->filled; r++) {
        float *row = run->out + r * columns;
        bool skip = skipped(run, first + r);
        for (uint64_t c = 0; c < columns; c++) {
            if (skip) row[c] = NAN;
            if (!skip && !isfinite(row[c])) return refuse(run, first + r, c, err);
        }
    }
    return TAMIS_OK;
}

static tamis_status put(tamis__factor_run *run, tamis_error *err)
{
    const tamis__sink *sink = &run->p->sink;
    uint64_t columns = run->queries * run->columns, first = run->next_row - run->filled;
    if (run->filled == 0) return TAMIS_OK;
    TAMIS_TRY(check(run, first, columns, err));
    TAMIS_TRY(sink->put(sink->arg, first, run->filled, run->first_query * run->columns, columns,
                        run->out, columns, err));
    run->filled = 0;
    return TAMIS_OK;
}

/* Rows next_row .. next_row + n - 1 end within the span; the first of them may have begun before
 * it. */
static void add_rows(tamis__factor_run *run, uint64_t n)
{
    const tamis__factor_tokens *t = run->p->train;
    uint64_t columns = run->queries * run->columns;
    for (uint64_t c = 0; c < columns; c++) {
        const double *acc = run->acc + c * run->span;
        for (uint64_t r = 0; r < n; r++) {
            uint64_t at = tamis__factor_tokens_first(t, run->next_row + r);
            uint64_t end = tamis__factor_tokens_first(t, run->next_row + r + 1);
            double sum = r == 0 ? run->carry[c] : 0.0;
            if (at < run->first_token) at = run->first_token;
            for (; at < end; at++) sum += acc[at - run->first_token];
            run->out[(run->filled + r) * columns + c] = (float)sum;
        }
    }
    memset(run->carry, 0, columns * sizeof *run->carry);
    run->filled += n;
    run->next_row += n;
}

/* The span ends within a row. */
static void keep_rest(tamis__factor_run *run)
{
    uint64_t columns = run->queries * run->columns, end = run->first_token + run->tokens;
    uint64_t at = tamis__factor_tokens_first(run->p->train, run->next_row);
    if (at < run->first_token) at = run->first_token;
    for (uint64_t c = 0; c < columns; c++)
        for (uint64_t i = at; i < end; i++)
            run->carry[c] += run->acc[c * run->span + i - run->first_token];
}

tamis_status tamis__factor_give(tamis__factor_run *run, tamis_error *err)
{
    const tamis__factor_tokens *t = run->p->train;
    uint64_t end = run->first_token + run->tokens;
    for (;;) {
        uint64_t n = 0, most = TAMIS__GIVE_ROWS - run->filled;
        while (n < most && run->next_row + n < t->items &&
               tamis__factor_tokens_first(t, run->next_row + n + 1) <= end)
            n++;
        if (n) add_rows(run, n);
        if (run->filled < TAMIS__GIVE_ROWS) break;
        TAMIS_TRY(put(run, err));
    }
    if (run->next_row == t->items) return put(run, err);
    keep_rest(run);
    return TAMIS_OK;
}

/* --- listed rows ------------------------------------------------------------------------------ */

static void mark(tamis__factor_run *run, uint64_t at, uint64_t end)
{
    for (; at < end; at++) run->wanted[(at - run->first_token) / TAMIS__TOKEN_CHUNK] = 1;
}

bool tamis__factor_want(tamis__factor_run *run)
{
    const uint64_t *offset = run->p->train->offset, *row = run->p->row;
    uint64_t last = run->first_token + run->tokens, low = 0, high = run->p->listed;
    bool any = false;
    if (!row) return true;
    memset(run->wanted, 0, run->span / TAMIS__TOKEN_CHUNK);
    while (low < high) { /* the first that ends within or behind the span */
        uint64_t middle = low + (high - low) / 2;
        if (offset[row[middle] + 1] <= run->first_token)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < run->p->listed && offset[row[low]] < last; low++) {
        uint64_t at = offset[row[low]], end = offset[row[low] + 1];
        mark(run, at < run->first_token ? run->first_token : at, end > last ? last : end);
        any = any || at < end;
    }
    return any;
}

/* --- pairs ------------------------------------------------------------------------------------ */

/* Tokens of a row within the span. */
static void clip(const tamis__factor_run *run, uint64_t row, uint64_t *ret_at, uint64_t *ret_end)
{
    uint64_t at = tamis__factor_tokens_first(run->p->train, row);
    uint64_t end = tamis__factor_tokens_first(run->p->train, row + 1);
    uint64_t last = run->first_token + run->tokens;
    *ret_at = at < run->first_token ? run->first_token : at;
    *ret_end = end > last ? last : end;
    if (*ret_end < *ret_at) *ret_end = *ret_at;
}

void tamis__factor_pairs_begin(tamis__factor_run *run)
{
    const tamis__factor_pairs *p = run->p->pairs;
    memset(run->wanted, 0, run->span / TAMIS__TOKEN_CHUNK);
    run->place[0] = 0;
    for (uint64_t q = 0; q < run->queries; q++) {
        uint64_t end = p->first[run->first_query + q + 1], n = 0, from, to;
        for (uint64_t i = run->cursor[q]; i < end; i++) {
            clip(run, p->row[i], &from, &to);
            if (tamis__factor_tokens_first(run->p->train, p->row[i]) >=
                run->first_token + run->tokens)
                break;
            mark(run, from, to);
            n += to - from;
        }
        run->place[q + 1] = run->place[q] + n;
    }
    memset(run->acc, 0, run->place[run->queries] * sizeof *run->acc);
}

void tamis__factor_pairs_end(tamis__factor_run *run)
{
    const tamis__factor_pairs *p = run->p->pairs;
    uint64_t last = run->first_token + run->tokens;
    for (uint64_t q = 0; q < run->queries; q++) {
        uint64_t end = p->first[run->first_query + q + 1], i = run->cursor[q], from, to;
        const double *acc = run->acc + run->place[q];
        for (; i < end; i++) {
            if (tamis__factor_tokens_first(run->p->train, p->row[i]) >= last) break;
            clip(run, p->row[i], &from, &to);
            for (; from < to; from++) p->value[i] += *acc++;
            if (tamis__factor_tokens_first(run->p->train, p->row[i] + 1) > last) break;
        }
        run->cursor[q] = i;
    }
}

tamis_status tamis__factor_pairs_score(const tamis__factor_run *run, uint64_t query,
                                       tamis__factor_worker *worker, tamis_error *err)
{
    const tamis__factor_pairs *p = run->p->pairs;
    const tamis__factor_bundle bundle = {query, 1};
    uint64_t i = run->cursor[query], from = 0, to = 0, x = run->now->x, y = run->now->y;
    for (uint64_t at = run->place[query]; at < run->place[query + 1];) {
        uint64_t n = 0, most = tamis__least(TAMIS__GATHER, run->place[query + 1] - at);
        while (n < most) {
            if (from == to) {
                clip(run, p->row[i++], &from, &to);
                continue;
            }
            uint64_t some = tamis__least(to - from, most - n), place = from - run->first_token;
            memcpy(worker->gather[0] + n * x, run->train_x + place * x, some * x * sizeof(float));
            memcpy(worker->gather[1] + n * y, run->train_y + place * y, some * y * sizeof(float));
            from += some;
            n += some;
        }
        TAMIS_TRY(tamis__factor_bundle_score(run, &bundle, worker, worker->gather[0],
                                             worker->gather[1], n, run->acc + at, 0, err));
        at += n;
    }
    return TAMIS_OK;
}
