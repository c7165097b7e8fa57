/* Some rows of a store: the same bits as among all of them, and nothing for the others.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/stores.h"

#include <hdf5.h>

#include "stream/engine.h"
#include "stream/sinks.h"

enum { ROWS = 1500, COLUMNS = 700 };

/* --- a sink in memory ------------------------------------------------------------------------- */

typedef struct grid {
    float *score;
    uint64_t queries, puts, next_row;
    bool end_early;
} grid;

static tamis_status take(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *e)
{
    grid *g = arg;
    ck_assert_uint_eq(first_row, g->next_row % ROWS);
    ck_assert_uint_eq(first_row % 256, 0);
    ck_assert(rows == 256 || first_row + rows == ROWS);
    g->next_row = first_row + rows;
    for (uint64_t i = 0; i < rows; i++)
        memcpy(g->score + (first_row + i) * g->queries + first_query, values + i * stride,
               queries * sizeof *values);
    g->puts++;
    if (!g->end_early || g->puts < 3) return TAMIS_OK;
    snprintf(e->message, sizeof e->message, "enough");
    return TAMIS_ERR_IO;
}

static const double weights[2] = {0.5, 2.0};

typedef struct plan {
    const char *path;
    unsigned threads;
    uint64_t memory;
    const uint64_t *row; /* NULL = all */
    uint64_t listed, first_item, pass;
    bool unit, end_early;
} plan;

static tamis_status run(const plan *p, grid *g)
{
    tamis_context *context = make_context(p->threads, p->memory);
    tamis_store *train = NULL, *query = NULL;
    const float *norm[2];
    tamis__unit_queries unit = {0};
    ck_ok(tamis_store_open(&train, context, p->path, &err));
    ck_ok(tamis_store_open(&query, context, "q.h5", &err));
    ck_ok(tamis__unit_queries_of_store(&unit, query, false, &err));
    for (uint32_t k = 0; k < 2; k++) ck_ok(tamis__finite_norms(train, k, false, &norm[k], &err));
    g->queries = tamis_store_info_get(query)->rows;
    g->puts = g->next_row = 0;
    g->next_row = p->first_item * 256;
    g->end_early = p->end_early;
    if (!g->score) g->score = calloc(ROWS * g->queries, sizeof *g->score);
    tamis__product product = {.context = context,
                              .train = train,
                              .queries = &unit.rows.queries,
                              .weight = weights,
                              .query_scale = p->unit ? unit.scale : NULL,
                              .row_divisor = p->unit ? norm : NULL,
                              .row = p->row,
                              .listed = p->listed,
                              .first_item = p->first_item,
                              .pass = p->pass,
                              .sink = {.arg = g, .put = take}};
    tamis_status status = tamis__product_run(&product, NULL, &err);
    tamis__unit_queries_fini(&unit);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    return status;
}

static void write_stores(tamis_dtype dtype, uint64_t queries)
{
    tamis_context *context = make_context(1, 0);
    store_plan t = {.path = "t.h5",
                    .rows = ROWS,
                    .columns = COLUMNS,
                    .checkpoints = 2,
                    .seed = 3,
                    .dtype = dtype};
    store_plan shards = t, q = t;
    shards.path = "shards", shards.shard_rows = 100;
    q.path = "q.h5", q.rows = queries, q.seed = 4, q.dtype = TAMIS_F32;
    write_store(context, &t);
    write_store(context, &shards);
    write_store(context, &q);
    tamis_context_destroy(&context);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Kinds of lists: none, first, last, all, a run, every 7th, a dense one with holes, blocks'
 * edges. */
enum { KINDS = 8 };

static uint64_t make_list(int kind, uint64_t *row)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        bool edge = i % 256 == 0 || i % 256 == 255;
        bool in[KINDS] = {false,      i == 0,     i == ROWS - 1, true, i >= 300 && i < 800,
                          i % 7 == 3, i % 5 != 2, edge};
        if (in[kind]) row[n++] = i;
    }
    return n;
}

/* Listed rows have the bits that they have among all, and the others are NaN. */
static void ck_listed(const grid *all, const grid *some, const uint64_t *row, uint64_t listed)
{
    for (uint64_t i = 0, at = 0; i < ROWS; i++) {
        const float *wanted = all->score + i * all->queries;
        const float *found = some->score + i * all->queries;
        if (at < listed && row[at] == i) {
            ck_assert_mem_eq(found, wanted, all->queries * sizeof *wanted);
            at++;
            continue;
        }
        for (uint64_t q = 0; q < all->queries; q++) ck_assert(isnan(found[q]));
    }
}

static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

START_TEST(listed_rows_have_the_same_bits)
{
    uint64_t row[ROWS];
    uint64_t queries = _i % 2 ? 3 : 90;
    enter_scratch();
    write_stores(dtypes[_i / 2], queries);
    grid all = {0}, some = {0};
    plan whole = {.path = "t.h5", .threads = 2, .unit = true};
    ck_ok(run(&whole, &all));
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t listed = make_list(kind, row);
        for (int v = 0; v < 4; v++) {
            plan p = {.path = v == 1 ? "shards" : "t.h5",
                      .threads = v == 2 ? 1 : 3,
                      .pass = v == 3 && queries > 8 ? 64 : 0,
                      .row = row,
                      .listed = listed,
                      .unit = true};
            ck_ok(run(&p, &some));
            ck_listed(&all, &some, row, listed);
            /* Queries may come in two passes. */
            ck_assert_uint_eq(some.puts, p.pass ? 12 : 6);
        }
    }
    free(all.score);
    free(some.score);
    leave_scratch();
}
END_TEST

/* The same where rows cannot be mapped. */
static void deflate(const char *path)
{
    float *values = malloc((size_t)ROWS * COLUMNS * sizeof *values);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    ck_assert(file >= 0);
    for (int k = 0; k < 2; k++) {
        char name[40];
        hsize_t shape[2] = {ROWS, COLUMNS}, chunk[2] = {64, COLUMNS};
        snprintf(name, sizeof name, "/checkpoint/%d/gradient", k);
        hid_t old = H5Dopen2(file, name, H5P_DEFAULT);
        ck_assert(H5Dread(old, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        H5Dclose(old);
        H5Ldelete(file, name, H5P_DEFAULT);
        hid_t space = H5Screate_simple(2, shape, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(list, 2, chunk);
        H5Pset_deflate(list, 1);
        hid_t made = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        ck_assert(H5Dwrite(made, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        H5Dclose(made);
        H5Pclose(list);
        H5Sclose(space);
    }
    H5Fclose(file);
    free(values);
}

START_TEST(rows_that_are_not_mapped)
{
    uint64_t row[ROWS], listed = make_list(6, row);
    enter_scratch();
    write_stores(TAMIS_F32, 20);
    grid all = {0}, some = {0};
    plan whole = {.path = "t.h5", .threads = 2};
    ck_ok(run(&whole, &all));
    deflate("t.h5");
    plan p = {.path = "t.h5", .threads = 2, .row = row, .listed = listed};
    ck_ok(run(&p, &some));
    ck_listed(&all, &some, row, listed);
    free(all.score);
    free(some.score);
    leave_scratch();
}
END_TEST

/* Blocks that the sink has are not given again, and the others are the same. */
START_TEST(going_on_after_an_end)
{
    uint64_t row[ROWS], listed = make_list(5, row);
    enter_scratch();
    write_stores(TAMIS_F32, 20);
    grid whole = {0}, parts = {0};
    plan p = {.path = "t.h5", .threads = 2, .row = row, .listed = listed};
    ck_ok(run(&p, &whole));
    p.end_early = true;
    ck_fails(run(&p, &parts), TAMIS_ERR_IO, "enough");
    p.end_early = false;
    p.first_item = 3;
    p.pass = 20;
    ck_ok(run(&p, &parts));
    ck_assert_uint_eq(parts.puts, 3);
    for (uint64_t i = 0; i < ROWS * 20; i++)
        ck_assert(!memcmp(&whole.score[i], &parts.score[i], sizeof(float)) ||
                  (isnan(whole.score[i]) && isnan(parts.score[i])));
    free(whole.score);
    free(parts.score);
    leave_scratch();
}
END_TEST

typedef struct column {
    float value[3];
} column;

static tamis_status take_column(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                                uint64_t queries, const float *values, size_t stride,
                                tamis_error *e)
{
    (void)e;
    ck_assert(rows == 3 && queries == 1 && stride == 1 && first_row == 0 && first_query == 0);
    memcpy(((column *)arg)->value, values, 3 * sizeof *values);
    return TAMIS_OK;
}

/* The largest of several columns is that of the pairs that have a score, in one pass or in
 * three. */
START_TEST(maximum_over_pairs_that_have_a_score)
{
    const float values[] = {NAN, 2, NAN, NAN, NAN, NAN, -3, NAN, -4};
    for (uint64_t width = 1; width <= 3; width += 2) {
        column found = {{0}};
        tamis__max_sink max;
        tamis__max_sink_init(&max, 3, 3, (tamis__sink){.arg = &found, .put = take_column});
        tamis__sink sink = tamis__max_sink_of(&max);
        for (uint64_t q = 0; q < 3; q += width)
            ck_ok(sink.put(sink.arg, 0, 3, q, width, values + q, 3, &err));
        ck_assert(found.value[0] == 2.0f && isnan(found.value[1]) && found.value[2] == -3.0f);
        tamis__max_sink_fini(&max);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("list");
    TCase *tc = tcase_create("list");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, listed_rows_have_the_same_bits, 0, 8);
    tcase_add_test(tc, rows_that_are_not_mapped);
    tcase_add_test(tc, going_on_after_an_end);
    tcase_add_test(tc, maximum_over_pairs_that_have_a_score);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
