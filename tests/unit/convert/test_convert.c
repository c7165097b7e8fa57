/* Conversions: rows against those of the source rounded, cut and projected by other means; what
 * goes along; the same bytes whatever the threads, the memory and the split.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "sources.h"

#include "base/context.h"
#include "kernels/kernels.h"
#include "project/project.h"
#include "store/layers_digest.h"

static void setup(void)
{
    enter_scratch();
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis__fault_io_after(-1);
    leave_scratch();
}

/* --- what goes along -------------------------------------------------------------------------- */

static void check_examples(const tamis_store *made)
{
    const tamis_examples *examples = tamis_store_examples(made);
    char id[32], want[32];
    ck_assert_uint_eq(examples->groups, 2);
    ck_assert_str_eq(examples->group_name[1], "even");
    ck_assert_uint_eq(examples->classes, 4);
    ck_assert_str_eq(examples->class_name[3], "d");
    for (uint64_t i = 0; i < ROWS; i++) {
        tamis_store_id(made, i, id, sizeof id);
        snprintf(want, sizeof want, "row-%d", (int)i);
        ck_assert_str_eq(id, want);
        ck_assert_uint_eq(examples->digest[i], 77 + i);
        ck_assert_int_eq(examples->label[i], (int)(i % 4));
        ck_assert_int_eq(examples->group[i], i % 9 ? (int)(i % 2) : -1);
    }
}

/* Checkpoint `k` of what was made is checkpoint `source` of the source. */
static void check_outputs(const tamis_store *made, uint32_t k, uint32_t source)
{
    static const char *const names[] = {"loss", "margin", "probability"};
    for (int which = 0; which < 3; which++) {
        float *values = NULL;
        ck_ok(tamis_store_outputs(made, k, names[which], &values, &err));
        ck_assert_ptr_nonnull(values);
        for (uint64_t i = 0; i < ROWS * (uint64_t)(which == 2 ? CLASSES : 1); i++)
            ck_assert_double_eq((double)values[i], (double)source_output(which, source, i));
        free(values);
    }
}

static void check_along(const tamis_store *made, const uint32_t *checkpoints, uint32_t n)
{
    const tamis_store_info *info = tamis_store_info_get(made);
    ck_assert_uint_eq(info->rows, ROWS);
    ck_assert_uint_eq(info->checkpoints, n);
    ck_assert_uint_eq(info->classes, CLASSES);
    ck_assert_str_eq(info->function, "loss");
    ck_assert_str_eq(info->direction, "gradient");
    check_examples(made);
    for (uint32_t k = 0; k < n; k++) {
        ck_assert_uint_eq(info->checkpoint[k].step, 10 * (checkpoints[k] + 1));
        check_outputs(made, k, checkpoints[k]);
    }
}

static const uint32_t every_checkpoint[] = {0, 1, 2};

/* --- types ------------------------------------------------------------------------------------ */

static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

/* The norms of what was made are the source's, bit for bit. */
static void check_norms(tamis_store *source, tamis_store *made)
{
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        const float *want = NULL, *got = NULL;
        ck_ok(tamis_store_norms(source, k, &want, &err));
        ck_ok(tamis_store_norms(made, k, &got, &err));
        ck_assert_mem_eq(got, want, ROWS * sizeof *got);
    }
}

START_TEST(copied)
{
    tamis_context *context = make_context(2, 0);
    tamis_store *source = open_source(context, "source", dtypes[_i], 37);
    tamis_convert_params params = {.store = source, .path = "made.h5"};
    tamis_store *made = convert(context, &params, NULL);
    check_along(made, every_checkpoint, CHECKPOINTS);
    check_norms(source, made);
    /* The content digest is over the stored bytes. */
    ck_assert_uint_eq(tamis_store_info_get(made)->digest, tamis_store_info_get(source)->digest);
    ck_assert_uint_eq(tamis_store_info_get(made)->dtype, dtypes[_i]);
    ck_assert_uint_eq(tamis_store_info_get(made)->shards, 1);
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

/* A row of floats as it comes back from a store of this type. */
static void round_row(const tamis__kernels *kernels, tamis_dtype dtype, float *row)
{
    float stored[COLUMNS];
    float scale = tamis__narrow(kernels, dtype, stored, row, COLUMNS);
    if (dtype == TAMIS_I8)
        kernels->widen_i8(row, (const int8_t *)stored, scale, COLUMNS);
    else
        tamis__widen(kernels, dtype, row, stored, COLUMNS);
}

START_TEST(retyped)
{
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    tamis_context *context = make_context(2, 0);
    tamis_store *source = open_source(context, "source.h5", dtypes[_i / 4], 0);
    tamis_convert_params params = {
        .store = source, .path = "made.h5", .retype = true, .dtype = dtypes[_i % 4]};
    tamis_store *made = convert(context, &params, NULL);
    check_along(made, every_checkpoint, CHECKPOINTS);
    check_norms(source, made);
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        float *want = read_all(source, k), *got = read_all(made, k);
        for (uint64_t i = 0; i < ROWS; i++) round_row(&kernels, params.dtype, want + i * COLUMNS);
        ck_assert_mem_eq(got, want, ROWS * COLUMNS * sizeof *got);
        free(want), free(got);
    }
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

/* --- parts ------------------------------------------------------------------------------------ */

START_TEST(cut)
{
    static const uint32_t stayed[] = {0, 2};
    tamis_context *context = make_context(3, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F16, 0);
    tamis_convert_params params = {
        .store = source, .path = "made.h5", .checkpoints = "2,0", .layers = "third,0"};
    tamis_convert_report report;
    tamis_store *made = convert(context, &params, &report);
    const tamis_store_info *info = tamis_store_info_get(made);
    ck_assert(report.dropped && report.layers == 2 && report.checkpoints == 2);
    ck_assert_uint_eq(report.columns, FIRST + THIRD);
    ck_assert_uint_eq(info->layers, 2);
    ck_assert_str_eq(info->layer[0].name, "first");
    ck_assert_str_eq(info->layer[1].name, "third");
    ck_assert_uint_eq(info->layer[1].first_column, FIRST);
    check_along(made, stayed, 2);
    for (uint32_t k = 0; k < 2; k++) {
        const float *norm = NULL;
        float *all = read_all(source, stayed[k]), *got = read_all(made, k);
        ck_ok(tamis_store_norms(made, k, &norm, &err));
        for (uint64_t i = 0; i < ROWS; i++) {
            double sum = 0;
            for (uint64_t c = 0; c < FIRST + THIRD; c++) {
                float want = all[i * COLUMNS + (c < FIRST ? c : c + SECOND)];
                ck_assert_double_eq((double)got[i * (FIRST + THIRD) + c], (double)want);
                sum += (double)want * (double)want;
            }
            ck_assert_double_eq_tol((double)norm[i], sqrt(sum), 1e-6 * sqrt(sum));
        }
        free(all), free(got);
    }
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

/* --- projection ------------------------------------------------------------------------------- */

typedef struct projection_case {
    const char *text, *layers;
    tamis__projection_spec spec;
} projection_case;

static const projection_case projections[] = {
    {"48", NULL, {.seed = 5, .from = COLUMNS, .to = 48, .nonzeros = 2}},
    {"sparse:33,nonzeros=3", NULL, {.seed = 5, .from = COLUMNS, .to = 33, .nonzeros = 3}},
    {"rademacher:70",
     NULL,
     {.kind = TAMIS__PROJECTION_RADEMACHER, .seed = 5, .from = COLUMNS, .to = 70}},
    {"sparse:20", "second", {.seed = 5, .from = SECOND, .to = 20, .nonzeros = 2}},
};

static void check_projected(const tamis_store_info *info, const tamis__projection_spec *spec,
                            uint64_t layers)
{
    const tamis_projection *by = info->projected_by;
    ck_assert_ptr_nonnull(by);
    ck_assert_str_eq(by->kind, tamis__projection_name(spec->kind));
    ck_assert(by->seed == 5 && by->from == spec->from && by->to == spec->to);
    ck_assert_uint_eq(by->nonzeros, spec->nonzeros);
    ck_assert_uint_eq(by->layers, layers);
    ck_assert_uint_eq(info->layers, 1);
    ck_assert_str_eq(info->layer[0].name, "projected");
}

START_TEST(projected)
{
    const projection_case *p = &projections[_i];
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, 0);
    tamis_context *context = make_context(2, 0);
    /* Mapped floats, and types that go through a buffer. */
    tamis_store *source = open_source(context, "source", _i % 2 ? TAMIS_BF16 : TAMIS_F32, 50);
    tamis_convert_params params = {.store = source,
                                   .path = "made.h5",
                                   .project = p->text,
                                   .layers = p->layers,
                                   .seed = 5,
                                   .retype = true,
                                   .dtype = TAMIS_F32};
    tamis_store *made = convert(context, &params, NULL);
    const tamis_layer *all = tamis_store_info_get(source)->layer;
    check_projected(tamis_store_info_get(made), &p->spec,
                    p->layers ? tamis__layers_digest(all + 1, 1) : tamis__layers_digest(all, 3));
    check_along(made, every_checkpoint, CHECKPOINTS);
    tamis__projector *projector = NULL;
    ck_ok(tamis__projector_create(&projector, &p->spec, &kernels, &err));
    void *scratch = tamis__aligned(tamis__projector_scratch(projector, ROWS), 1);
    float *want = malloc(ROWS * p->spec.to * sizeof *want);
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        float *in = read_all(source, k), *got = read_all(made, k);
        tamis__project(projector, scratch, ROWS, in + (p->layers ? FIRST : 0), COLUMNS, want,
                       p->spec.to);
        ck_assert_mem_eq(got, want, ROWS * p->spec.to * sizeof *want);
        free(in), free(got);
    }
    free(want), free(scratch);
    tamis__projector_destroy(&projector);
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

/* --- bytes ------------------------------------------------------------------------------------ */

static char *contents(const char *path, long *ret_size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *ret_size = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t)*ret_size);
    ck_assert_uint_eq(fread(bytes, 1, (size_t)*ret_size, file), (size_t)*ret_size);
    fclose(file);
    return bytes;
}

static void check_same_files(const char *a, const char *b)
{
    long n = 0, m = 0;
    char *x = contents(a, &n), *y = contents(b, &m);
    ck_assert_int_eq(n, m);
    ck_assert_mem_eq(x, y, (size_t)n);
    free(x), free(y);
}

static const tamis_convert_params ways[] = {
    {.retype = true, .dtype = TAMIS_I8},
    {.layers = "second"},
    {.project = "64"},
    {.project = "rademacher:10", .retype = true, .dtype = TAMIS_BF16},
};

/* One file whatever the threads, the memory and the shards of the source; shards likewise. */
START_TEST(same_bytes)
{
    static const unsigned threads[] = {1, 2, 3, 7};
    tamis_context *context = make_context(1, 0);
    write_source(context, "one.h5", TAMIS_F32, 0);
    write_source(context, "many", TAMIS_F32, 29);
    tamis_context_destroy(&context);
    for (int i = 0; i < 4; i++) {
        context = make_context(threads[i], i == 3 ? 4 << 20 : 0);
        tamis_store *source = NULL;
        ck_ok(tamis_store_open(&source, context, i % 2 ? "many" : "one.h5", &err));
        tamis_convert_params params = ways[_i];
        params.store = source;
        params.path = i ? "other.h5" : "first.h5";
        params.force = true;
        ck_ok(tamis_convert(context, &params, NULL, &err));
        check_same_files("first.h5", params.path);
        params.path = i ? "others" : "firsts";
        params.shard_rows = 64;
        ck_ok(tamis_convert(context, &params, NULL, &err));
        check_same_files("firsts/00002.h5", i ? "others/00002.h5" : "firsts/00002.h5");
        tamis_store_close(&source);
        tamis_context_destroy(&context);
    }
}
END_TEST

START_TEST(resumed)
{
    tamis_context *context = make_context(2, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    tamis_convert_params params = {
        .store = source, .path = "made", .project = "40", .shard_rows = 32, .seed = 3};
    ck_ok(tamis_convert(context, &params, NULL, &err));
    ck_assert_int_eq(rename("made/00003.h5", "kept.h5"), 0);
    ck_assert_int_eq(remove("made/00004.h5"), 0);
    params.resume = true;
    ck_ok(tamis_convert(context, &params, NULL, &err));
    check_same_files("made/00003.h5", "kept.h5");
    ck_ok(tamis_convert(context, &params, NULL, &err));
    /* Another projection is another store. */
    params.seed = 4;
    ck_fails(tamis_convert(context, &params, NULL, &err), TAMIS_ERR_SHAPE, "projec");
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

typedef struct refusal {
    tamis_convert_params params;
    tamis_status status;
    const char *text;
} refusal;

static const refusal refusals[] = {
    {{.path = NULL}, TAMIS_ERR_ARG, "output"},
    {{.path = "out.h5", .checkpoints = "3"}, TAMIS_ERR_ARG, "'source.h5': no checkpoint '3'"},
    {{.path = "out.h5", .layers = "fourth"}, TAMIS_ERR_ARG, "first, second, third"},
    {{.path = "out.h5", .project = ""}, TAMIS_ERR_ARG, "no projection ''"},
    {{.path = "out.h5", .project = "many"}, TAMIS_ERR_ARG, "no projection 'many'"},
    {{.path = "out.h5", .project = "gauss:8"}, TAMIS_ERR_ARG, "no projection 'gauss:8'"},
    {{.path = "out.h5", .project = "8,nonzero=2"}, TAMIS_ERR_ARG, "nonzeros=S"},
    {{.path = "out.h5", .project = "8,nonzeros=0"}, TAMIS_ERR_ARG, "at least 1"},
    {{.path = "out.h5", .project = "8,nonzeros=9"}, TAMIS_ERR_ARG, "at most 8"},
    {{.path = "out.h5", .project = "0"}, TAMIS_ERR_ARG, "0 columns"},
    {{.path = "out.h5", .project = "99999999999"}, TAMIS_ERR_ARG, "99999999999 columns"},
    {{.path = "out.h5", .project = "rademacher:8,nonzeros=2"}, TAMIS_ERR_ARG, "no zeros"},
    {{.path = "out.h5", .sample = 1000001}, TAMIS_ERR_ARG, "1000001"},
    {{.path = "source.h5"}, TAMIS_ERR_IO, "source.h5"},
    {{.path = "absent/out.h5"}, TAMIS_ERR_IO, "absent"},
};

START_TEST(refused)
{
    tamis_context *context = make_context(1, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        tamis_convert_params params = refusals[i].params;
        params.store = source;
        ck_fails(tamis_convert(context, &params, NULL, &err), refusals[i].status, refusals[i].text);
        ck_assert_int_ne(access("out.h5", F_OK), 0);
    }
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(refused_of_projected)
{
    tamis_context *context = make_context(1, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    tamis_convert_params params = {.store = source, .path = "made.h5", .project = "30"};
    tamis_store *made = convert(context, &params, NULL);
    params.store = made;
    params.path = "out.h5";
    ck_fails(tamis_convert(context, &params, NULL, &err), TAMIS_ERR_UNSUPPORTED,
             "'made.h5' is projected already");
    params.project = NULL;
    params.layers = "first";
    ck_fails(tamis_convert(context, &params, NULL, &err), TAMIS_ERR_ARG,
             "the layers are projected");
    /* The type can still be changed, and the projection goes along. */
    params.layers = NULL;
    params.retype = true;
    params.dtype = TAMIS_BF16;
    tamis_store *again = convert(context, &params, NULL);
    ck_assert_str_eq(tamis_store_info_get(again)->projection,
                     tamis_store_info_get(made)->projection);
    tamis_store_close(&again);
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(too_little_memory)
{
    tamis_context *context = make_context(1, 0), *small = make_context(2, 40000);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    tamis_convert_params params = {.store = source, .path = "out.h5", .project = "30"};
    ck_fails(tamis_convert(small, &params, NULL, &err), TAMIS_ERR_NOMEM, "--memory");
    ck_assert_int_ne(access("out.h5", F_OK), 0);
    tamis_store_close(&source);
    tamis_context_destroy(&small);
    tamis_context_destroy(&context);
}
END_TEST

static void inject(tamis_context *context, const tamis_convert_params *params, void (*fault)(long))
{
    for (long n = 0;; n++) {
        err = (tamis_error){0};
        fault(n);
        tamis_status status = tamis_convert(context, params, NULL, &err);
        fault(-1);
        if (status == TAMIS_OK) {
            ck_assert_int_gt(n, 3);
            ck_assert_int_eq(remove(params->path), 0);
            return;
        }
        ck_assert_msg(err.message[0] && !strchr(err.message, '\n'), "failure %ld: '%s'", n,
                      err.message);
        ck_assert_int_ne(access("out.h5.part", F_OK), 0);
        if (access("out.h5", F_OK) == 0) remove("out.h5"); /* the comparison failed after it */
        ck_assert_int_lt(n, 5000);
    }
}

START_TEST(failures)
{
    tamis_context *context = make_context(2, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    tamis_convert_params params = {
        .store = source, .path = "out.h5", .project = "30", .layers = "0,1", .sample = 20};
    inject(context, &params, tamis__fault_memory_after);
    inject(context, &params, tamis__fault_io_after);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    (void)done, (void)total, (void)unit, (void)note;
    return !strcmp(phase, cookie);
}

START_TEST(cancelled)
{
    static char phase[] = "converting";
    tamis_context *context = NULL;
    tamis_context_params how = {.threads = 2, .progress = stop, .cookie = phase};
    ck_ok(tamis_context_create(&context, &how, &err));
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    tamis_convert_params params = {.store = source, .path = "out.h5"};
    ck_assert_int_eq(tamis_convert(context, &params, NULL, &err), TAMIS_ERR_CANCELLED);
    ck_assert_int_ne(access("out.h5", F_OK), 0);
    ck_assert_int_ne(access("out.h5.part", F_OK), 0);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

/* Rows that are projected from where they are mapped are looked at first. */
START_TEST(changed_source)
{
    const float *norms;
    tamis_context *context = make_context(2, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    for (uint32_t k = 0; k < CHECKPOINTS; k++) ck_ok(tamis_store_norms(source, k, &norms, &err));
    FILE *file = fopen("source.h5", "ab");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fputc(0, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    tamis_convert_params params = {.store = source, .path = "out.h5", .project = "8"};
    ck_fails(tamis_convert(context, &params, NULL, &err), TAMIS_ERR_IO,
             "'source.h5' was changed while it was read");
    ck_assert_int_ne(access("out.h5", F_OK), 0);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convert");
    TCase *tcase = tcase_create("convert");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, copied, 0, 4);
    tcase_add_loop_test(tcase, retyped, 0, 16);
    tcase_add_test(tcase, cut);
    tcase_add_loop_test(tcase, projected, 0, 4);
    tcase_add_loop_test(tcase, same_bytes, 0, 4);
    tcase_add_test(tcase, resumed);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, refused_of_projected);
    tcase_add_test(tcase, too_little_memory);
    tcase_add_test(tcase, failures);
    tcase_add_test(tcase, cancelled);
    tcase_add_test(tcase, changed_source);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
