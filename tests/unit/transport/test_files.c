/* Points and weights from files, plans and potentials into them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "points.h"

static tamis_context *context;
static tamis_error err;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
    err = (tamis_error){0};
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Checkpoint k holds the rows times k + 1: their sum is 6 times the first of three. */
START_TEST(points)
{
    enum { ROWS = 7, COLUMNS = 5 };
    gsl_rng *rng = random_of(1);
    float *x = random_points(rng, ROWS, COLUMNS), *found = NULL;
    uint64_t rows, columns;
    for (uint32_t checkpoints = 1; checkpoints <= 3; checkpoints += 2) {
        small_store(context, "x.h5", TAMIS_F32, ROWS, COLUMNS, checkpoints, x, NULL, 0);
        ck_ok(tamis_transport_read_points(context, "x.h5", &found, &rows, &columns, &err));
        ck_assert(rows == ROWS && columns == COLUMNS);
        for (int i = 0; i < ROWS * COLUMNS; i++)
            ck_assert_double_eq_tol((double)found[i], (checkpoints == 1 ? 1 : 6) * (double)x[i],
                                    1e-6);
        free(found);
        found = NULL;
    }
    ck_survives(tamis__fault_memory_after,
                tamis_transport_read_points(context, "x.h5", &found, &rows, &columns, &err),
                "none");
    free(found);
    ck_fails(tamis_transport_read_points(context, "absent.h5", &found, &rows, &columns, &err),
             TAMIS_ERR_IO, "absent.h5");
    tamis_context *small = NULL;
    tamis_context_params tight = {.threads = 1, .memory = 100};
    ck_ok(tamis_context_create(&small, &tight, &err));
    ck_fails(tamis_transport_read_points(small, "x.h5", &found, &rows, &columns, &err),
             TAMIS_ERR_NOMEM, "--memory");
    tamis_context_destroy(&small);
    gsl_rng_free(rng);
    free(x);
}
END_TEST

static tamis_status weigh(const char *text, uint64_t rows, double **ret_weights)
{
    spill("w.txt", text, strlen(text));
    return tamis_transport_read_weights(context, "w.txt", rows, ret_weights, &err);
}

START_TEST(weights)
{
    double *w = NULL;
    ck_ok(weigh("# weights\n 1\r\n2.5e-1 # small\n\n0", 3, &w));
    ck_assert(w[0] == 1 && w[1] == 0.25 && w[2] == 0);
    free(w);
    ck_fails(weigh("1\n2\n", 3, &w), TAMIS_ERR_SHAPE, "2 weights for 3 points");
    ck_fails(weigh("1\n2\n3\n4\n", 3, &w), TAMIS_ERR_SHAPE, "4 weights for 3 points");
    ck_fails(weigh("1\n-2\n3", 3, &w), TAMIS_ERR_FORMAT, "line 2: '-2'");
    ck_fails(weigh("1\n2\nnan", 3, &w), TAMIS_ERR_FORMAT, "line 3: 'nan'");
    ck_fails(weigh("1\n2\ninf", 3, &w), TAMIS_ERR_FORMAT, "line 3");
    ck_fails(weigh("weight\n1\n2\n3", 3, &w), TAMIS_ERR_FORMAT, "line 1: 'weight'");
    ck_fails(weigh("0\n0\n0", 3, &w), TAMIS_ERR_SHAPE, "the sum 0");
    ck_fails(weigh("", 3, &w), TAMIS_ERR_SHAPE, "0 weights");
    ck_survives(tamis__fault_memory_after, weigh("1\n2\n3", 3, &w), "none");
    free(w);
}
END_TEST

static void ck_text(const char *path, const char *wanted)
{
    char *found = slurp(path, NULL);
    ck_assert_str_eq(found, wanted);
    free(found);
}

START_TEST(written)
{
    const tamis_transport_entry plan[] = {{0, 3, 0.25}, {7, 1, 0.1}};
    const double f[] = {-1, 0.5}, g[] = {3};
    ck_ok(tamis_transport_write_plan(context, "p.csv", false, plan, 2, &err));
    ck_text("p.csv", "i,j,mass\n0,3,0.25\n7,1,0.1\n");
    ck_fails(tamis_transport_write_plan(context, "p.csv", false, plan, 2, &err), TAMIS_ERR_IO,
             "exists");
    ck_ok(tamis_transport_write_duals(context, "d.csv", false, f, 2, g, 1, &err));
    ck_text("d.csv", "side,row,dual\na,0,-1\na,1,0.5\nb,0,3\n");
    ck_survives(tamis__fault_io_after,
                tamis_transport_write_plan(context, "q.csv", true, plan, 2, &err), "q.csv");
    ck_survives(tamis__fault_io_after,
                tamis_transport_write_duals(context, "e.csv", true, f, 2, g, 1, &err), "e.csv");
    ck_survives(tamis__fault_memory_after,
                tamis_transport_write_plan(context, "r.csv", true, plan, 2, &err), "r.csv");
}
END_TEST

/* What is written adds up to what is told; without a share, to the whole mass. */
START_TEST(entropic_plan)
{
    gsl_rng *rng = random_of(2);
    float *x = random_points(rng, 20, 3);
    tamis_transport_problem p = {.n = 12, .m = 8, .x = x, .y = x + 36, .columns = 3};
    tamis_transport_entropic_params params = {.epsilon = 0.1, .tolerance = 1e-10};
    tamis_transport_entropic_result r = {0};
    uint64_t entries;
    double mass;
    ck_ok(tamis_transport_entropic(context, &p, &params, &r, &err));
    for (double share = 0; share < 0.5; share += 0.2) {
        double sum = 0, value;
        uint64_t lines = 0;
        unsigned i, j;
        ck_ok(tamis_transport_write_entropic_plan(context, "p.csv", true, &p, &params, &r, share,
                                                  &entries, &mass, &err));
        char *text = slurp("p.csv", NULL);
        for (char *at = strchr(text, '\n') + 1; sscanf(at, "%u,%u,%lf", &i, &j, &value) == 3;
             at = strchr(at, '\n') + 1, lines++) {
            ck_assert(i < 12 && j < 8 && value >= share / 12 * 0.999);
            sum += value;
        }
        ck_assert_uint_eq(lines, entries);
        ck_assert_double_eq_tol(sum, mass, 1e-12);
        ck_assert(share > 0 ? entries < 96 && mass < 1 : entries == 96 && fabs(mass - 1) < 1e-9);
        free(text);
    }
    ck_survives(tamis__fault_memory_after,
                tamis_transport_write_entropic_plan(context, "q.csv", true, &p, &params, &r, 0.1,
                                                    NULL, NULL, &err),
                "q.csv");
    ck_survives(tamis__fault_io_after,
                tamis_transport_write_entropic_plan(context, "r.csv", true, &p, &params, &r, 0.1,
                                                    NULL, NULL, &err),
                "r.csv");
    tamis_transport_entropic_fini(&r);
    gsl_rng_free(rng);
    free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport files");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, points);
    tcase_add_test(c, weights);
    tcase_add_test(c, written);
    tcase_add_test(c, entropic_plan);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
