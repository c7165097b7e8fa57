/* What a store says its rows are of: projection, function, direction.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_files.h"

#include <tamis/inspect.h>

#include "store/store_file.h"

static tamis_context *context;
static tamis_error err;

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

static const tamis_projection sparse = {.kind = "sparse",
                                        .seed = 0xfedcba9876543210u,
                                        .from = 1000000,
                                        .to = 4,
                                        .nonzeros = 3,
                                        .layers = 0x8000000000000001u};

static tamis_layer layer = {.name = "projected", .out = 1, .in = 4};
static const tamis_checkpoint checkpoint = {1, 0.5};

static tamis_store_spec spec_of(const char *path, const tamis_projection *projection,
                                const char *function, const char *direction)
{
    return (tamis_store_spec){.path = path,
                              .rows = 6,
                              .layer = &layer,
                              .layers = 1,
                              .checkpoint = &checkpoint,
                              .checkpoints = 1,
                              .projection = projection,
                              .function = function,
                              .direction = direction};
}

static void write_store(const tamis_store_spec *spec)
{
    static const float row[24] = {1, 2, 3, 4, 5, 6};
    const float *rows = row;
    tamis_store_writer *writer = NULL;
    ck_ok(tamis_store_writer_open(&writer, context, spec, &err));
    ck_ok(tamis_store_writer_append(writer, 6, &rows, NULL, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
}

static const char *fact(const tamis_inspection *inspection, const char *key)
{
    for (size_t f = 0; f < inspection->facts; f++)
        if (!strcmp(inspection->fact[f].key, key)) return inspection->fact[f].value;
    return NULL;
}

/* --- written and read ------------------------------------------------------------------------- */

START_TEST(all_of_it)
{
    tamis_store_spec spec = spec_of("g", &sparse, "margin", "adam");
    if (_i) spec.shard_rows = 2;
    write_store(&spec);
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, "g", &err));
    const tamis_store_info *info = tamis_store_info_get(store);
    const tamis_projection *p = info->projected_by;
    ck_assert_str_eq(p->kind, "sparse");
    ck_assert(p->seed == sparse.seed && p->from == 1000000 && p->to == 4 && p->nonzeros == 3);
    ck_assert(p->layers == sparse.layers);
    ck_assert_str_eq(info->function, "margin");
    ck_assert_str_eq(info->direction, "adam");
    ck_assert_str_eq(info->projection,
                     "{\"kind\":\"sparse\",\"seed\":18364758544493064720,\"from\":1000000,\"to\":4,"
                     "\"nonzeros\":3,\"layers\":9223372036854775809}");
    tamis_inspection *inspection = NULL;
    ck_ok(tamis_inspect(&inspection, context, "g", 1, &err));
    ck_assert_str_eq(fact(inspection, "projection"), info->projection);
    ck_assert_str_eq(fact(inspection, "function"), "margin");
    ck_assert_str_eq(fact(inspection, "direction"), "adam");
    tamis_inspection_free(&inspection);
    tamis_store_close(&store);
}
END_TEST

START_TEST(none_of_it)
{
    tamis_store_spec spec = spec_of("g", NULL, NULL, NULL);
    write_store(&spec);
    tamis_store *store = NULL;
    tamis__h5 h5;
    ck_ok(tamis_store_open(&store, context, "g", &err));
    const tamis_store_info *info = tamis_store_info_get(store);
    ck_assert(!info->projected_by && !info->projection && !info->function && !info->direction);
    tamis_store_close(&store);
    ck_ok(tamis__h5_open(&h5, "g", TAMIS__STORE_KIND, 1, &err));
    ck_assert(!tamis__h5_has(&h5, "projection") && !tamis__h5_has_attribute(&h5, "/", "function"));
    tamis__h5_close(&h5);
}
END_TEST

/* Without nonzeros there is no attribute of that name. */
START_TEST(a_dense_one)
{
    const tamis_projection dense = {.kind = "rademacher \"x\"", .seed = 7, .from = 9, .to = 4};
    tamis_store_spec spec = spec_of("g", &dense, NULL, NULL);
    write_store(&spec);
    tamis_store *store = NULL;
    ck_ok(tamis_store_open(&store, context, "g", &err));
    ck_assert_str_eq(tamis_store_info_get(store)->projection,
                     "{\"kind\":\"rademacher \\\"x\\\"\",\"seed\":7,\"from\":9,\"to\":4}");
    ck_assert_uint_eq(tamis_store_info_get(store)->projected_by->nonzeros, 0);
    tamis_store_close(&store);
}
END_TEST

START_TEST(texts_refused)
{
    static const char *const bad[] = {
        "", "\xff",
        "a name of more than sixty-three bytes, which is more than any name should have"};
    tamis_projection nameless = sparse;
    tamis_store_writer *writer = NULL;
    for (int i = 0; i < 3; i++) {
        tamis_store_spec spec = spec_of("g", NULL, bad[i], NULL);
        ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
                 "its function is not a text");
        spec = spec_of("g", NULL, NULL, bad[i]);
        ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
                 "its direction is not a text");
        nameless.kind = bad[i];
        spec = spec_of("g", &nameless, NULL, NULL);
        ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG,
                 "its kind of projection is not a text");
    }
    nameless.kind = NULL;
    tamis_store_spec spec = spec_of("g", &nameless, NULL, NULL);
    ck_fails(tamis_store_writer_open(&writer, context, &spec, &err), TAMIS_ERR_ARG, "kind of");
}
END_TEST

/* --- compared --------------------------------------------------------------------------------- */

/* Every way in which another spec may differ, and what is said. */
static const char *changed(int i, tamis_store_spec *spec, tamis_projection *p)
{
    *p = sparse;
    spec->projection = p;
    switch (i) {
    case 0: p->kind = "rademacher"; break;
    case 1: p->seed++; break;
    case 2: p->from++; break;
    case 3: p->to++; break;
    case 4: p->nonzeros++; break;
    case 10: p->layers++; break;
    case 11: p->layers = 0; break;
    case 5: spec->projection = NULL; break;
    case 6: spec->function = "loss"; return "another function";
    case 7: spec->function = NULL; return "another function";
    case 8: spec->direction = NULL; return "another direction";
    default: spec->direction = "gradient"; return "another direction";
    }
    return "another projection";
}

START_TEST(resuming_compares)
{
    tamis_projection p;
    tamis_store_writer *writer = NULL;
    tamis_store_spec spec = spec_of("g", &sparse, "margin", "adam"), now = spec;
    write_store(&spec);
    now.resume = true;
    ck_ok(tamis_store_writer_open(&writer, context, &now, &err));
    ck_assert_uint_eq(tamis_store_writer_next(writer), 6);
    tamis_store_writer_abort(&writer);
    const char *why = changed(_i, &now, &p);
    ck_fails(tamis_store_writer_open(&writer, context, &now, &err), TAMIS_ERR_SHAPE, why);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot resume: 'g' has another"));
}
END_TEST

START_TEST(joining_compares)
{
    tamis_projection p;
    tamis_store *store = NULL;
    tamis_store_spec one = spec_of("g", &sparse, "margin", "adam"), other = one;
    const char *why = changed(_i, &other, &p);
    one.shard_rows = other.shard_rows = 2;
    other.path = "h";
    write_store(&one);
    write_store(&other);
    ck_assert_int_eq(rename("h/00001.h5", "g/00001.h5"), 0);
    ck_fails(tamis_store_open(&store, context, "g", &err), TAMIS_ERR_SHAPE, why);
}
END_TEST

/* --- made by others --------------------------------------------------------------------------- */

static void put_text(hid_t file, const char *object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    (void)H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    hid_t attribute = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT,
                                        H5P_DEFAULT);
    ck_assert(H5Awrite(attribute, type, text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void put_number(hid_t file, const char *object, const char *name, uint64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    (void)H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    hid_t attribute = H5Acreate_by_name(file, object, name, H5T_STD_U64LE, space, H5P_DEFAULT,
                                        H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(H5Awrite(attribute, H5T_NATIVE_UINT64, &value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

START_TEST(files_refused)
{
    static const char *const why[] = {"attribute function of / is not a text",
                                      "attribute function of / is not text",
                                      "attribute direction of / is not a text",
                                      "attribute kind of projection is not a text",
                                      "attribute nonzeros of projection is 4294967296",
                                      "attribute seed of projection is not a whole number"};
    tamis_store *store = NULL;
    tamis_store_spec spec = spec_of("g", &sparse, "margin", "adam");
    write_store(&spec);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fopen("g", H5F_ACC_RDWR, H5P_DEFAULT);
    switch (_i) {
    case 0: put_text(file, "/", "function", ""); break;
    case 1: put_number(file, "/", "function", 3); break;
    case 2: put_text(file, "/", "direction", "\xc3("); break;
    case 3: put_text(file, "projection", "kind", "\xff"); break;
    case 4: put_number(file, "projection", "nonzeros", UINT64_C(1) << 32); break;
    default: put_text(file, "projection", "seed", "seven"); break;
    }
    H5Fclose(file);
    ck_fails(tamis_store_open(&store, context, "g", &err), TAMIS_ERR_FORMAT, why[_i]);
    ck_assert_ptr_nonnull(strstr(err.message, "'g'"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("origin");
    TCase *tc = tcase_create("origin");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, all_of_it, 0, 2);
    tcase_add_test(tc, none_of_it);
    tcase_add_test(tc, a_dense_one);
    tcase_add_test(tc, texts_refused);
    tcase_add_loop_test(tc, resuming_compares, 0, 12);
    tcase_add_loop_test(tc, joining_compares, 0, 12);
    tcase_add_loop_test(tc, files_refused, 0, 6);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
