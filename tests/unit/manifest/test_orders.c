/* In which order records are written, how often, and to which of several outputs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>

#include "manifest_files.h"

/* --- orders ----------------------------------------------------------------------------------- */

START_TEST(order_of_scores)
{
    tamis_selection *s = make_selection("110101", NULL);
    put("in", "a\nb\nc\nd\ne\nf");
    s->rank[0] = 2, s->rank[1] = 0, s->rank[3] = 3, s->rank[5] = 1;
    tamis_manifest_params p = {.selection = s, .order = TAMIS_MANIFEST_SCORE, .dropped = "rest"};
    ck_ok(write_with(p, NULL));
    check_text("out", "b\nf\na\nd\n");
    check_text("rest", "c\ne\n");
    p.format = "index";
    ck_ok(write_with(p, NULL));
    check_text("out", "1\n5\n0\n3\n");
    check_text("rest", "2\n4\n");
    for (int row = 0; row < 6; row++) s->rank[row] = 0; /* equal ranks: by row */
    ck_ok(write_with(p, NULL));
    check_text("out", "0\n1\n3\n5\n");
    s->rank[0] = 2, s->rank[1] = 0, s->rank[3] = 3, s->rank[5] = 1;
    p.format = "mask";
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "leave out the order");
    p.format = "csv";
    p.dropped = NULL;
    put("in", "h\na\nb\nc\nd\n\"e\ne\"\nf");
    ck_ok(write_with(p, NULL));
    check_text("out", "h\nb\nf\na\nd\n");
    tamis_selection_free(&s);
}
END_TEST

/* The same records whatever the seed, the same order for the same seed, all orders about as
 * often. */
START_TEST(order_of_a_shuffle)
{
    tamis_selection *s = make_selection("11011", NULL);
    unsigned first[256] = {0}, draws = 400;
    put("in", "a\nb\nc\nd\ne\n");
    for (unsigned seed = 0; seed < draws; seed++) {
        tamis_manifest_params p = {
            .selection = s, .order = TAMIS_MANIFEST_SHUFFLE, .shuffle_seed = seed};
        ck_ok(write_with(p, NULL));
        bytes once = get("out");
        ck_assert_uint_eq(once.size, 8);
        for (const char *c = "abde"; *c; c++) ck_assert_ptr_nonnull(strchr(once.data, *c));
        first[(unsigned char)once.data[0]]++;
        if (seed < 20) {
            ck_ok(write_with(p, NULL));
            check_file("out", once.data, once.size);
        }
        free(once.data);
    }
    /* 100 expected each, standard deviation 9. */
    for (const char *c = "abde"; *c; c++)
        ck_assert_msg(first[(unsigned char)*c] > 60 && first[(unsigned char)*c] < 140, "%c: %u", *c,
                      first[(unsigned char)*c]);
    tamis_selection_free(&s);
}
END_TEST

/* --- repeats ---------------------------------------------------------------------------------- */

START_TEST(weights_become_repeats)
{
    tamis_selection *s = make_selection("110111", NULL);
    static const float weight[] = {1, 2, 0, 0.5f, 0, 1.5f};
    memcpy(s->weight, weight, sizeof weight);
    put("in", "a\nb\nc\nd\ne\nf\n");
    tamis_manifest_result r;
    tamis_manifest_params p = {.selection = s, .repeats = 10, .dropped = "rest"};
    ck_ok(write_with(p, &r)); /* 2, 4, 1, 0, 3 */
    check_text("out", "a\na\nb\nb\nb\nb\nd\nf\nf\nf\n");
    check_text("rest", "c\n");
    ck_assert_uint_eq(r.kept, 5);
    ck_assert_uint_eq(r.written, 10);
    tamis_manifest_result_fini(&r);
    p.repeats =
        4; /* 0.8, 1.6, 0.4, 0, 1.2: the wholes are 0 1 0 0 1, the rest to the largest remainders */
    p.format = "counts";
    p.dropped = NULL;
    ck_ok(write_with(p, NULL));
    check_text("out", "1\n2\n0\n0\n0\n1\n");
    p.format = "index";
    p.order = TAMIS_MANIFEST_SCORE;
    s->rank[5] = 0, s->rank[1] = 1, s->rank[0] = 2;
    ck_ok(write_with(p, NULL));
    check_text("out", "5\n1\n1\n0\n");
    memset(s->weight, 0, sizeof weight);
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "weights of the kept rows are all zero");
    s->weight[3] = -1;
    ck_fails(write_with(p, NULL), TAMIS_ERR_NUMERIC, "row 3");
    s->weight[3] = NAN;
    ck_fails(write_with(p, NULL), TAMIS_ERR_NUMERIC, "row 3 of the selection has the weight nan");
    memset(s->keep, 0, 6);
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "keeps no row: there is nothing to repeat");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(weights_as_lists)
{
    tamis_selection *s = make_selection("101", NULL);
    s->weight[0] = 0.25f, s->weight[2] = 1;
    put("in", "a\nb\nc\n");
    ck_ok(write_with((tamis_manifest_params){.selection = s, .format = "weights-npy"}, NULL));
    bytes file = get("out");
    ck_assert_uint_eq(file.size % 64, 12);
    ck_assert_ptr_nonnull(
        strstr(file.data + 10, "'descr': '<f4', 'fortran_order': False, 'shape': (3,)"));
    ck_assert_int_eq(memcmp(file.data + file.size - 12, "\0\0\x80\x3e\0\0\0\0\0\0\x80\x3f", 12), 0);
    ck_ok(write_with((tamis_manifest_params){.selection = s, .format = "weights"}, NULL));
    check_text("out", "0.25\n0\n1\n");
    ck_ok(write_with((tamis_manifest_params){.selection = s, .format = "counts"}, NULL));
    check_text("out", "1\n0\n1\n");
    static const char *const once[] = {"mask", "mask-npy", "weights", "weights-npy"};
    for (size_t i = 0; i < 4; i++)
        ck_fails(
            write_with((tamis_manifest_params){.selection = s, .format = once[i], .repeats = 9},
                       NULL),
            TAMIS_ERR_ARG, "does not say how often a row is repeated");
    free(file.data);
    tamis_selection_free(&s);
}
END_TEST

START_TEST(numbers_of_repeats_are_read)
{
    uint64_t n = 0;
    ck_ok(tamis_repeats_parse("7", 10, &n, &err));
    ck_assert_uint_eq(n, 7);
    ck_ok(tamis_repeats_parse("150%", 10, &n, &err));
    ck_assert_uint_eq(n, 15);
    ck_ok(tamis_repeats_parse("25%", 10, &n, &err)); /* 2.5 is 3 */
    ck_assert_uint_eq(n, 3);
    static const char *const bad[] = {"", "%", "0", "-1", "1.5", "x", "1e10", "nan", "0.001%"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_fails(tamis_repeats_parse(bad[i], 10, &n, &err), TAMIS_ERR_ARG, "repeats '");
}
END_TEST

/* --- splits ----------------------------------------------------------------------------------- */

static void count_lines(const char *path, unsigned *count, char *lines)
{
    bytes file = get(path);
    for (size_t i = 0; i + 1 < file.size; i += 2) {
        ck_assert_int_eq(file.data[i + 1], '\n');
        count[0]++;
        lines[(unsigned char)file.data[i]]++;
    }
    free(file.data);
}

START_TEST(rows_are_split)
{
    static const tamis_manifest_split split[] = {{"train", 6}, {"valid", 3}, {"x", 1}};
    tamis_selection *s = make_selection("1111101111111111", NULL);
    put("in", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\n");
    unsigned in_train = 0;
    for (unsigned seed = 0; seed < 100; seed++) {
        tamis_manifest_params p = {.selection = s,
                                   .split = split,
                                   .splits = 3,
                                   .split_seed = seed,
                                   .output = "o-{}",
                                   .dropped = "rest"};
        char seen[256] = "";
        unsigned n[3] = {0};
        ck_ok(write_with(p, NULL));
        for (int k = 0; k < 3 && seed < 3; k++)
            ck_assert_int_eq(
                shell_status(k ? k > 1 ? "sort -c o-x" : "sort -c o-valid" : "sort -c o-train"), 0);
        count_lines("o-train", &n[0], seen);
        in_train += seen['a'] != 0;
        count_lines("o-valid", &n[1], seen);
        count_lines("o-x", &n[2], seen);
        ck_assert_uint_eq(n[0], 9); /* 15 rows: 9, 4.5, 1.5; the first of equal remainders */
        ck_assert_uint_eq(n[1], 5);
        ck_assert_uint_eq(n[2], 1);
        for (char c = 'a'; c <= 'p'; c++) ck_assert_int_eq(seen[(unsigned char)c], c != 'f');
    }
    check_text("rest", "f\n");
    ck_assert(in_train > 40 && in_train < 80); /* 60 expected, standard deviation 5 */
    tamis_selection_free(&s);
}
END_TEST

START_TEST(groups_are_not_torn)
{
    enum { ROWS = 300, GROUPS = 30 };
    static int32_t group[ROWS];
    static char name[GROUPS][8], keep[ROWS + 1];
    const char *names[GROUPS];
    unsigned seed = 7;
    for (int g = 0; g < GROUPS; g++) names[g] = name[g], snprintf(name[g], 8, "g%d", g);
    FILE *file = fopen("in", "wb");
    for (int i = 0; i < ROWS; i++) {
        group[i] = rand_r(&seed) % GROUPS;
        keep[i] = rand_r(&seed) % 4 ? '1' : '0';
        fprintf(file, "%d\n", i);
    }
    fclose(file);
    tamis_selection *s = make_selection(
        keep, &(tamis_examples){.group = group, .group_name = names, .groups = GROUPS});
    static const tamis_manifest_split split[] = {{"train", 0.8}, {"valid", 0.2}};
    for (unsigned draw = 0; draw < 20; draw++) {
        tamis_manifest_params p = {.selection = s,
                                   .split = split,
                                   .splits = 2,
                                   .split_by_group = true,
                                   .split_seed = draw,
                                   .output = "{}.out"};
        tamis_manifest_result r;
        int where[GROUPS] = {0};
        ck_ok(write_with(p, &r));
        for (int k = 0; k < 2; k++) {
            int row;
            FILE *part = fopen(k ? "valid.out" : "train.out", "r");
            while (fscanf(part, "%d", &row) == 1) where[group[row]] |= 1 << k;
            fclose(part);
        }
        for (int g = 0; g < GROUPS; g++) ck_assert_int_ne(where[g], 3);
        ck_assert_uint_eq(r.written, s->kept);
        double valid = 0;
        for (size_t i = 0; i < r.files; i++)
            if (!strcmp(r.file[i].what, "valid")) valid = (double)r.file[i].records;
        /* Off by no more than a group, which have 7.5 kept rows on average. */
        ck_assert_double_eq_tol(valid, 0.2 * (double)s->kept, 16);
        tamis_manifest_result_fini(&r);
    }
    tamis_selection_free(&s);
}
END_TEST

/* A row in no group is drawn by itself, like a group of one. */
START_TEST(rows_in_no_group_are_drawn_singly)
{
    enum { ROWS = 60 };
    static const tamis_manifest_split split[] = {{"a", 1}, {"b", 1}};
    static char keep[ROWS + 1];
    const char *name = "g";
    int32_t group[ROWS];
    memset(keep, '1', ROWS);
    for (int some = 0; some < 2; some++) {
        int rows[2] = {0};
        unsigned differ = 0;
        for (int i = 0; i < ROWS; i++) group[i] = some && i % 3 == 0 ? 0 : -1;
        tamis_selection *s = make_selection(
            keep, &(tamis_examples){.group = group, .group_name = &name, .groups = 1});
        for (unsigned seed = 0; seed < 10; seed++) {
            tamis_manifest_params p = {.selection = s,
                                       .format = "index",
                                       .split = split,
                                       .splits = 2,
                                       .split_by_group = true,
                                       .split_seed = seed,
                                       .output = "{}.out"};
            int where[ROWS], row;
            ck_ok(write_with(p, NULL));
            for (int k = 0; k < 2; k++) {
                FILE *part = fopen(k ? "b.out" : "a.out", "r");
                for (rows[k] = 0; fscanf(part, "%d", &row) == 1; rows[k]++) where[row] = k;
                fclose(part);
            }
            /* Half of them, or off by half of the largest group. */
            ck_assert_int_eq(rows[0] + rows[1], ROWS);
            ck_assert_int_le(abs(rows[0] - rows[1]), some ? ROWS / 3 : 0);
            for (int i = 0; some && i < ROWS; i += 3) ck_assert_int_eq(where[i], where[0]);
            for (int i = 1; i < ROWS - 1; i += 3) differ += where[i] != where[i + 1];
        }
        ck_assert_uint_gt(differ, 40); /* of 190 pairs; about half of them */
        tamis_selection_free(&s);
    }
}
END_TEST

/* What a split lacks counts as a part of what it should have: of two groups of 10 rows, shares of 3
 * and 1, the first goes to the first split and the second to the other, which has nothing. */
START_TEST(small_splits_get_their_group)
{
    static const tamis_manifest_split split[] = {{"a", 3}, {"b", 1}};
    int32_t group[20];
    for (int i = 0; i < 20; i++) group[i] = i / 10;
    tamis_selection *s = make_selection(
        "11111111111111111111",
        &(tamis_examples){.group = group, .group_name = (const char *[]){"x", "y"}, .groups = 2});
    for (unsigned seed = 0; seed < 5; seed++) {
        tamis_manifest_result r;
        tamis_manifest_params p = {.selection = s,
                                   .format = "index",
                                   .split = split,
                                   .splits = 2,
                                   .split_by_group = true,
                                   .split_seed = seed,
                                   .output = "{}.out"};
        ck_ok(write_with(p, &r));
        ck_assert_uint_eq(r.files, 2);
        for (size_t i = 0; i < 2; i++) ck_assert_uint_eq(r.file[i].records, 10);
        tamis_manifest_result_fini(&r);
    }
    tamis_selection_free(&s);
}
END_TEST

/* Rows 0 to 9 and 10 to 19 are shuffled apart: not by one permutation. */
START_TEST(splits_are_shuffled_apart)
{
    static const tamis_manifest_split split[] = {{"a", 1}, {"b", 1}};
    int32_t group[20];
    for (int i = 0; i < 20; i++) group[i] = i / 10;
    tamis_selection *s = make_selection(
        "11111111111111111111",
        &(tamis_examples){.group = group, .group_name = (const char *[]){"x", "y"}, .groups = 2});
    unsigned same = 0;
    for (unsigned seed = 0; seed < 5; seed++) {
        tamis_manifest_params p = {.selection = s,
                                   .format = "index",
                                   .order = TAMIS_MANIFEST_SHUFFLE,
                                   .shuffle_seed = seed,
                                   .split = split,
                                   .splits = 2,
                                   .split_by_group = true,
                                   .output = "{}.out"};
        ck_ok(write_with(p, NULL));
        FILE *a = fopen("a.out", "r"), *b = fopen("b.out", "r");
        int x, y;
        while (fscanf(a, "%d", &x) == 1 && fscanf(b, "%d", &y) == 1) same += x % 10 == y % 10;
        fclose(a);
        fclose(b);
    }
    ck_assert_uint_lt(same, 25); /* 5 of 50 expected */
    tamis_selection_free(&s);
}
END_TEST

START_TEST(splits_are_checked)
{
    static const tamis_manifest_split good[] = {{"a", 1}, {"b", 1}}, twice[] = {{"a", 1}, {"a", 1}},
                                      none[] = {{"a", 1}, {"b", 0}}, path[] = {{"a/b", 1}};
    tamis_selection *s = make_selection("11", NULL);
    put("in", "a\nb\n");
    tamis_manifest_params p = {.selection = s, .split = good, .splits = 2, .output = "out"};
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "must hold {} once");
    p.output = "{}{}";
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "must hold {} once");
    p.output = "{}.x";
    p.split_by_group = true;
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "group");
    p.split_by_group = false;
    p.split = twice;
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "two splits named 'a'");
    p.split = none;
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "share of split 'b'");
    p.split = path;
    p.splits = 1;
    ck_fails(write_with(p, NULL), TAMIS_ERR_ARG, "split 1");
    tamis_selection_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("orders of manifests");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, order_of_scores);
    tcase_add_test(all, order_of_a_shuffle);
    tcase_add_test(all, weights_become_repeats);
    tcase_add_test(all, weights_as_lists);
    tcase_add_test(all, numbers_of_repeats_are_read);
    tcase_add_test(all, rows_are_split);
    tcase_add_test(all, groups_are_not_torn);
    tcase_add_test(all, rows_in_no_group_are_drawn_singly);
    tcase_add_test(all, small_splits_get_their_group);
    tcase_add_test(all, splits_are_shuffled_apart);
    tcase_add_test(all, splits_are_checked);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
