/* Tests of every selector that looks at rows of two stores, on few, equal, doubled and empty rows:
 * what must hold of any selection holds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <math.h>

#include "small_files.h"

enum { MOST = 40, TARGETS = 7, COLUMNS = 6 };

static tamis_context *context;
static tamis_error err;
static tamis_store *train, *query;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}

/* --- selectors and rows ----------------------------------------------------------------------- */

/* As it is written for rows as they are: to whiten equal rows makes no sense. NULL = it looks at
 * scores. */
static const char *written(const tamis_selector_info *info, char text[96])
{
    bool whitens = false;
    if (!(info->flags & TAMIS_SELECTOR_STORES)) return NULL;
    for (size_t i = 0; i < info->n_params; i++) whitens |= !strcmp(info->params[i].name, "whiten");
    snprintf(text, 96, "%s%s", info->name, whitens ? ":whiten=none" : "");
    return text;
}

static float noise(uint64_t row, uint64_t column)
{
    uint64_t x = (row * 31 + column + 1) * 6364136223846793005u;
    return (float)((x ^ x >> 29) >> 40) * 0x1p-23f - 1.0f;
}

static float few_values(uint64_t row, uint64_t column)
{
    return (float)((row * 7 + column * 3) % 3) + 1;
}

static float one_value(uint64_t row, uint64_t column)
{
    (void)row, (void)column;
    return 2.5f;
}

/* Rows i and i + 5 are the same. */
static float duplicates(uint64_t row, uint64_t column)
{
    return noise(row % 5, column);
}

/* Every third row is nothing. */
static float with_zeros(uint64_t row, uint64_t column)
{
    return row % 3 == 2 ? 0 : noise(row, column);
}

static float extremes(uint64_t row, uint64_t column)
{
    return noise(row, column) * (row % 2 ? 1e18f : 1e-18f);
}

static const struct {
    const char *name;
    float (*cell)(uint64_t row, uint64_t column);
} tables[] = {{"noise", noise},           {"few values", few_values}, {"one value", one_value},
              {"duplicates", duplicates}, {"with zeros", with_zeros}, {"extremes", extremes}};

enum { TABLES = sizeof tables / sizeof *tables };

/* Targets are the candidates from the second on. */
static void open_rows(size_t t, uint64_t rows, uint64_t targets)
{
    float value[MOST * COLUMNS];
    tamis_store_close(&train);
    tamis_store_close(&query);
    for (uint64_t i = 0; i < MOST; i++)
        for (uint64_t c = 0; c < COLUMNS; c++) value[i * COLUMNS + c] = tables[t].cell(i, c);
    small_store(context, "c.h5", TAMIS_F32, rows, COLUMNS, 1, value, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, targets, COLUMNS, 1, value + COLUMNS, NULL, 0);
    ck_ok(tamis_store_open(&train, context, "c.h5", &err));
    ck_ok(tamis_store_open(&query, context, "t.h5", &err));
}

/* --- what holds of every selection ------------------------------------------------------------ */

static void check_sound(const tamis_selection *s, const char *what)
{
    bool seen[MOST] = {0};
    uint64_t kept = 0;
    for (uint64_t row = 0; row < s->rows; row++) {
        ck_assert_msg(s->rank[row] < s->rows && !seen[s->rank[row]], "%s: ranks", what);
        seen[s->rank[row]] = true;
        kept += s->keep[row];
    }
    ck_assert_msg(kept == s->kept, "%s: count", what);
    for (uint64_t row = 0; row < s->rows; row++) {
        ck_assert_msg(s->keep[row] == (s->rank[row] < kept), "%s: row %d: kept and rank", what,
                      (int)row);
        ck_assert_msg(s->reason[row] < s->reasons && *s->reason_text[s->reason[row]],
                      "%s: row %d: reason", what, (int)row);
        ck_assert_msg((s->weight[row] != 0) == (s->keep[row] != 0), "%s: weight", what);
    }
}

static tamis_selection *choose(tamis_select_params params, const char *what)
{
    tamis_selection *s = NULL, *again = NULL;
    tamis_store *alone_train = NULL, *alone_query = NULL;
    params.train = train;
    params.query = query;
    tamis_status status = tamis_select(&s, context, &params, &err);
    ck_assert_msg(status == TAMIS_OK, "%s: %s", what, err.message);
    check_sound(s, what);
    tamis_context *alone = small_context(1);
    ck_ok(tamis_store_open(&alone_train, alone, "c.h5", &err));
    ck_ok(tamis_store_open(&alone_query, alone, "t.h5", &err));
    params.train = alone_train;
    params.query = alone_query;
    ck_ok(tamis_select(&again, alone, &params, &err));
    ck_assert_msg(!memcmp(s->rank, again->rank, s->rows * sizeof *s->rank) &&
                      !memcmp(s->score, again->score, s->rows * sizeof *s->score) &&
                      !memcmp(s->reason, again->reason, s->rows * sizeof *s->reason),
                  "%s: another selection with one thread", what);
    tamis_selection_free(&again);
    tamis_store_close(&alone_train);
    tamis_store_close(&alone_query);
    tamis_context_destroy(&alone);
    return s;
}

/* One row, half of them, all; of one, two and more candidates, for one target and for several. */
START_TEST(keeps_as_many_as_asked)
{
    static const uint64_t sizes[] = {1, 2, 5, MOST};
    const tamis_selector_info *info;
    for (size_t n = 0; n < 4; n++)
        for (uint64_t targets = 1; targets <= TARGETS; targets += TARGETS - 1) {
            uint64_t rows = sizes[n];
            const uint64_t budgets[] = {1, (rows + 1) / 2, rows};
            open_rows((size_t)_i, rows, targets);
            for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
                char text[96], what[160], budget[24];
                bool none = info->flags & TAMIS_SELECTOR_NO_BUDGET;
                if (!written(info, text)) continue;
                for (size_t b = 0; b < (none ? 1 : 3); b++) {
                    snprintf(budget, sizeof budget, "%d", (int)budgets[b]);
                    snprintf(what, sizeof what, "%s, %s, %s of %d, %d targets", info->name,
                             tables[_i].name, budget, (int)rows, (int)targets);
                    tamis_selection *s = NULL;
                    tamis_select_params p = {.selector = text, .budget = none ? NULL : budget};
                    /* Nothing in common with any target is an error where nothing has to be
                     * kept. */
                    if (none) {
                        p.train = train;
                        p.query = query;
                        if (tamis_select(&s, context, &p, &err) == TAMIS_ERR_NUMERIC) continue;
                        tamis_selection_free(&s);
                    }
                    s = choose(p, what);
                    if (!none) ck_assert_msg(s->kept == budgets[b], "%s: %d", what, (int)s->kept);
                    ck_assert_msg(s->kept > 0, "%s", what);
                    tamis_selection_free(&s);
                }
            }
        }
}
END_TEST

START_TEST(refuses_none_and_too_many)
{
    static const char *const budgets[] = {"0", "0%", "41", "101%", "", NULL};
    const tamis_selector_info *info;
    open_rows(0, MOST, TARGETS);
    for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
        char text[96];
        if (!written(info, text) || info->flags & TAMIS_SELECTOR_NO_BUDGET) continue;
        for (size_t b = 0; b < 6; b++) {
            tamis_selection *s = NULL;
            tamis_select_params p = {
                .selector = text, .train = train, .query = query, .budget = budgets[b]};
            ck_assert_msg(tamis_select(&s, context, &p, &err) == TAMIS_ERR_ARG, "%s, budget %s",
                          text, budgets[b] ? budgets[b] : "none");
            ck_assert_ptr_null(s);
        }
    }
}
END_TEST

/* Rows that must be kept are, and rows that are barred are not, each told why, where the selector
 * says that it heeds lists; otherwise both are refused. Costs likewise. */
START_TEST(heeds_what_it_says_it_heeds)
{
    static const uint64_t keep[] = {1, 2, 3, 8}, drop[] = {0, 5, 7};
    double column[MOST], cost[MOST];
    const tamis_selector_info *info;
    for (uint64_t row = 0; row < MOST; row++) {
        column[row] = row == 2 ? 99 : row == 18 ? (double)NAN : (double)(row % 9);
        cost[row] = (double)(row % 6);
    }
    tamis_select_filter filter = {.value = column, .name = "length", .low = 1, .high = 98};
    open_rows((size_t)_i, MOST, TARGETS);
    for (size_t i = 0; (info = tamis_selector_at(i)); i++)
        for (int costs = 0; costs < 2; costs++) {
            char text[96], what[160];
            double spent = 0;
            bool none = info->flags & TAMIS_SELECTOR_NO_BUDGET;
            unsigned needed = TAMIS_SELECTOR_LISTS | (costs ? TAMIS_SELECTOR_COSTS : 0);
            if (!written(info, text)) continue;
            tamis_select_params p = {.selector = text,
                                     .train = train,
                                     .query = query,
                                     .budget = none ? NULL : "14",
                                     .cost = costs ? cost : NULL,
                                     .cost_name = "tokens",
                                     .filter = &filter,
                                     .filters = 1,
                                     .must_keep = keep,
                                     .n_must_keep = 4,
                                     .must_drop = drop,
                                     .n_must_drop = 3};
            snprintf(what, sizeof what, "%s, %s, costs %d", info->name, tables[_i].name, costs);
            if ((info->flags & needed) != needed) {
                tamis_selection *refused = NULL;
                ck_assert_msg(tamis_select(&refused, context, &p, &err) == TAMIS_ERR_ARG, "%s",
                              what);
                ck_assert_msg(strstr(err.message, "does not heed") != NULL, "%s: %s", what,
                              err.message);
                continue;
            }
            tamis_selection *s = choose(p, what);
            for (uint64_t row = 0; row < MOST; row++) {
                const char *why = s->reason_text[s->reason[row]];
                bool must = row == 1 || row == 2 || row == 3 || row == 8;
                bool out = row == 0 || row == 5 || row == 7;
                if (must) ck_assert_msg(s->keep[row] && !strcmp(why, "must be kept"), "%s", what);
                if (out)
                    ck_assert_msg(!s->keep[row] && !strcmp(why, "must be dropped"), "%s", what);
                if (row == 18)
                    ck_assert_msg(!s->keep[row] && !strcmp(why, "no value of length"), "%s", what);
                if (row % 9 == 0 && !must && !out && row != 18)
                    ck_assert_msg(!s->keep[row] && !strncmp(why, "fails the filter", 16), "%s: %s",
                                  what, why);
                spent += s->keep[row] ? cost[row] : 0;
            }
            if (costs) ck_assert_msg(spent <= 14, "%s: %g spent", what, spent);
            if (!costs && !none) ck_assert_msg(s->kept == 14, "%s: %d", what, (int)s->kept);
            tamis_selection_free(&s);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("every selector of stores");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, keeps_as_many_as_asked, 0, TABLES);
    tcase_add_test(all, refuses_none_and_too_many);
    tcase_add_loop_test(all, heeds_what_it_says_it_heeds, 0, TABLES);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
