/* Tests of provenance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/provenance.h>

#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <tamis/version.h>

#include "base/digest.h"
#include "base/json.h"
#include "small_files.h"

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(1);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

START_TEST(keeps_what_it_is_told_in_order)
{
    tamis_error err = {0};
    tamis_provenance *p = NULL;
    ck_ok(tamis_provenance_create(&p, &err));
    ck_assert_str_eq(tamis_provenance_json(p), "{\"program\":\"tamis\",\"version\":\"" TAMIS_VERSION
                                               "\",\"command\":\"\",\"options\":{},\"inputs\":[]}");
    ck_ok(tamis_provenance_command(p, "tamis score tracin", &err));
    ck_ok(tamis_provenance_number(p, "seed", 18, &err));
    ck_ok(tamis_provenance_text(p, "by", "a \"total\"", &err));
    ck_ok(tamis_provenance_number(p, "damping", 0.1, &err));
    ck_ok(tamis_provenance_number(p, "limit", HUGE_VAL, &err));
    ck_ok(tamis_provenance_number(p, "below", -3, &err));
    ck_assert_str_eq(
        tamis_provenance_json(p),
        "{\"program\":\"tamis\",\"version\":\"" TAMIS_VERSION
        "\",\"command\":\"tamis score tracin\",\"options\":{\"seed\":18,\"by\":\"a \\\"total\\\"\","
        "\"damping\":0.10000000000000001,\"limit\":\"inf\",\"below\":-3},\"inputs\":[]}");
    tamis_provenance_destroy(&p);
    ck_assert_ptr_null(p);
    tamis_provenance_destroy(&p);
}
END_TEST

/* The one input, as an object that belongs to *ret_root. */
static json_t *record(const char *path, json_t **ret_root)
{
    tamis_error err = {0};
    tamis_provenance *p = NULL;
    ck_ok(tamis_provenance_create(&p, &err));
    ck_ok(tamis_provenance_input(p, context, "train", path, &err));
    *ret_root = json_loads(tamis_provenance_json(p), 0, NULL);
    ck_assert_ptr_nonnull(*ret_root);
    tamis_provenance_destroy(&p);
    return json_array_get(json_object_get(*ret_root, "inputs"), 0);
}

START_TEST(records_a_file)
{
    json_t *root, *input;
    char digest[64];
    spill("plain.csv", "a,b\n1,2\n", 8);
    input = record("plain.csv", &root);
    snprintf(digest, sizeof digest, "xxh3-64:%016" PRIx64, tamis__digest("a,b\n1,2\n", 8));
    ck_assert_str_eq(json_string_value(json_object_get(input, "role")), "train");
    ck_assert_str_eq(json_string_value(json_object_get(input, "path")), "plain.csv");
    ck_assert_int_eq(json_integer_value(json_object_get(input, "size")), 8);
    ck_assert_str_eq(json_string_value(json_object_get(input, "digest")), digest);
    json_decref(root);
}
END_TEST

/* The digest of the rows does not depend on how they are sharded; the sizes are those on disk. */
START_TEST(records_a_store)
{
    json_t *one_root, *many_root;
    float values[3000];
    for (int i = 0; i < 3000; i++) values[i] = (float)i;
    small_store(context, "one.h5", TAMIS_F32, 1000, 3, 1, values, NULL, 0);
    small_store(context, "many", TAMIS_F32, 1000, 3, 1, values, NULL, 256);
    json_t *one = record("one.h5", &one_root), *many = record("many", &many_root);
    const char *digest = json_string_value(json_object_get(one, "digest"));
    ck_assert_msg(strncmp(digest, "rows-xxh3-64:", 13) == 0, "%s", digest);
    ck_assert_str_eq(digest, json_string_value(json_object_get(many, "digest")));
    struct stat st;
    ck_assert_int_eq(stat("one.h5", &st), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(one, "size")), st.st_size);
    ck_assert_int_gt(json_integer_value(json_object_get(many, "size")), 12000);
    json_decref(one_root);
    json_decref(many_root);
}
END_TEST

/* Other HDF5 files are files like any other. */
START_TEST(records_scores_as_a_file)
{
    const float values[] = {1, 2};
    json_t *root;
    small_scores(context, "s.h5", 2, 1, values, NULL, NULL);
    const char *digest = json_string_value(json_object_get(record("s.h5", &root), "digest"));
    ck_assert_msg(strncmp(digest, "xxh3-64:", 8) == 0, "%s", digest);
    json_decref(root);
}
END_TEST

START_TEST(odd_paths)
{
    tamis_error err = {0};
    tamis_provenance *p = NULL;
    json_t *root;
    spill("caf\xe9", "x", 1);
    ck_assert_str_eq(json_string_value(json_object_get(record("caf\xe9", &root), "path")),
                     "caf\xef\xbf\xbd");
    json_decref(root);
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    json_t *digest = json_object_get(record("pipe", &root), "digest");
    ck_assert(json_is_null(digest));
    json_decref(root);
    ck_ok(tamis_provenance_create(&p, &err));
    ck_fails(tamis_provenance_input(p, context, "train", "absent", &err), TAMIS_ERR_IO, "absent");
    ck_assert_int_eq(mkdir("empty", 0700), 0);
    ck_assert_int_ne(tamis_provenance_input(p, context, "train", "empty", &err), TAMIS_OK);
    ck_assert_str_eq(strstr(tamis_provenance_json(p), "\"inputs\""), "\"inputs\":[]}");
    tamis_provenance_destroy(&p);
}
END_TEST

static tamis_status build(tamis_error *err)
{
    tamis_provenance *p = NULL;
    tamis_status status = tamis_provenance_create(&p, err);
    if (status == TAMIS_OK) status = tamis_provenance_command(p, "tamis", err);
    if (status == TAMIS_OK) status = tamis_provenance_text(p, "a", "b", err);
    if (status == TAMIS_OK) status = tamis_provenance_number(p, "c", 1, err);
    if (status == TAMIS_OK) status = tamis_provenance_input(p, context, "train", "plain.csv", err);
    if (status == TAMIS_OK && !tamis_provenance_json(p)) {
        snprintf(err->message, sizeof err->message, "no text");
        status = TAMIS_ERR_NOMEM;
    }
    tamis_provenance_destroy(&p);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    spill("plain.csv", "a,b\n1,2\n", 8);
    ck_survives(tamis__fault_memory_after, build(&err), "plain.csv");
    ck_survives(tamis__fault_io_after, build(&err), "plain.csv");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("provenance");
    TCase *tcase = tcase_create("provenance");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, keeps_what_it_is_told_in_order);
    tcase_add_test(tcase, records_a_file);
    tcase_add_test(tcase, records_a_store);
    tcase_add_test(tcase, records_scores_as_a_file);
    tcase_add_test(tcase, odd_paths);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
