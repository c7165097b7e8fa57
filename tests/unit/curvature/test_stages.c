/* Fits in stages: merged, resumed, gone on with; and what is refused.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "pseudo.h"

#include <sys/wait.h>

#include "curvature/fit.h"
#include "curvature/spectra.h"
#include "curvature/spectrum.h"

static const pseudo whole = {.path = "w.h5", .rows = 1300, .seed = 1, .ragged = true};
/* Examples 0 .. 499, 500 .. 509 and the rest. */
static const pseudo parts[3] = {
    {.path = "p0.h5", .rows = 500, .seed = 1, .ragged = true},
    {.path = "p1.h5", .first_row = 500, .rows = 10, .seed = 1, .ragged = true},
    {.path = "p2.h5", .first_row = 510, .rows = 790, .seed = 1, .ragged = true}};

static tamis_context *context;
static tamis_store *store, *part[3];

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    store = make_pseudo(context, &whole);
    for (int i = 0; i < 3; i++) part[i] = make_pseudo(context, &parts[i]);
}

static void teardown(void)
{
    for (int i = 0; i < 3; i++) tamis_store_close(&part[i]);
    tamis_store_close(&store);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_fit_curvature_params params_of(tamis_curvature_kind kind, tamis_curvature_stage until,
                                            tamis_store *train, const char *path)
{
    return (tamis_fit_curvature_params){.kind = kind,
                                        .train = train,
                                        .until = until,
                                        .checkpoint = UINT32_MAX,
                                        .path = path,
                                        .force = true};
}

static tamis_curvature *open_made(const char *path)
{
    tamis_curvature *c = NULL;
    ck_ok(tamis_curvature_open(&c, context, path, &err));
    return c;
}

/* Every array of two files is close, vectors left out: signs are free. */
static void close_files(const char *a, const char *b)
{
    tamis_curvature *x = open_made(a), *y = open_made(b);
    const tamis_curvature_info *info = tamis_curvature_info_get(x);
    ck_assert_uint_eq(info->tokens, tamis_curvature_info_get(y)->tokens);
    ck_assert_uint_eq(info->examples, tamis_curvature_info_get(y)->examples);
    ck_assert_int_eq(info->stage, tamis_curvature_info_get(y)->stage);
    tamis__curvature_place place;
    unsigned arrays = 0;
    for (bool started = false; tamis__curvature_next(info, &place, &started); arrays++) {
        double *p = read_array(x, place.array, place.layer, place.block),
               *q = read_array(y, place.array, place.layer, place.block);
        if (place.array != TAMIS__OUTPUT_VECTORS && place.array != TAMIS__INPUT_VECTORS)
            close_values(p, q, tamis__curvature_values(info, &place), 1e-12);
        free(p);
        free(q);
    }
    ck_assert_uint_ge(arrays, 1);
    tamis_curvature_close(&x);
    tamis_curvature_close(&y);
}

/* --- merging ---------------------------------------------------------------------------------- */

static const char *const sums[3] = {"s0", "s1", "s2"};

static void fit_parts(tamis_curvature_kind kind, tamis_curvature_stage until, const char *from)
{
    for (int i = 0; i < 3; i++) {
        tamis_curvature *c = from ? open_made(from) : NULL;
        tamis_fit_curvature_params params = params_of(kind, until, part[i], sums[i]);
        params.from = c;
        ck_ok(tamis_fit_curvature(context, &params, &err));
        tamis_curvature_close(&c);
    }
}

START_TEST(test_merge)
{
    static const tamis_curvature_kind kinds[] = {TAMIS_CURVATURE_KFAC, TAMIS_CURVATURE_DIAGONAL,
                                                 TAMIS_CURVATURE_GRAM};
    tamis_curvature_kind kind = kinds[_i];
    fit_parts(kind, TAMIS_STAGE_COVARIANCE, NULL);
    for (int finish = 0; finish < 2; finish++) {
        tamis_fit_curvature_params params = params_of(
            kind, finish ? TAMIS_STAGE_FINAL : TAMIS_STAGE_COVARIANCE, store, "one");
        ck_ok(tamis_fit_curvature(context, &params, &err));
        ck_ok(tamis_merge_curvature(context, sums, 3, "merged", finish, NULL, true, NULL, &err));
        close_files("merged", "one");
    }
    /* Sums of sums, and a single part, which comes out as it was. */
    const char *two[2] = {"s01", "s2"};
    ck_ok(tamis_merge_curvature(context, sums, 2, "s01", false, NULL, true, NULL, &err));
    ck_ok(tamis_merge_curvature(context, two, 2, "merged2", true, NULL, true, NULL, &err));
    same_files("merged", "merged2");
    ck_ok(tamis_merge_curvature(context, sums, 1, "s0again", false, NULL, true, NULL, &err));
    same_files("s0", "s0again");
}
END_TEST

START_TEST(test_merge_ekfac)
{
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_COVARIANCE,
                                                  store, "cov");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    fit_parts(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_COVARIANCE, NULL);
    ck_ok(tamis_merge_curvature(context, sums, 3, "merged", false, NULL, true, NULL, &err));
    close_files("merged", "cov");
    ck_fails(tamis_merge_curvature(context, sums, 3, "out", true, NULL, true, NULL, &err),
             TAMIS_ERR_ARG, "no Lambda yet");
    /* Lambda in the basis of the merged covariances, by parts and at once. */
    fit_parts(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_LAMBDA, "merged");
    ck_ok(tamis_merge_curvature(context, sums, 3, "final", true, NULL, true, NULL, &err));
    tamis_curvature *from = open_made("merged");
    params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, store, "one");
    params.from = from;
    ck_ok(tamis_fit_curvature(context, &params, &err));
    close_files("final", "one");
    /* The same as in one go, from one store and from two that are the same. */
    tamis_curvature_close(&from);
    from = open_made("cov");
    params.from = from;
    ck_ok(tamis_fit_curvature(context, &params, &err));
    params.from = NULL;
    params.path = "straight";
    ck_ok(tamis_fit_curvature(context, &params, &err));
    same_files("one", "straight");
    params.lambda = store;
    params.path = "twice";
    ck_ok(tamis_fit_curvature(context, &params, &err));
    same_files("straight", "twice");
    /* Eigenvectors of a finished file, other sums of Lambda. */
    tamis_curvature_close(&from);
    from = open_made("straight");
    params.lambda = NULL;
    params.from = from;
    params.path = "again";
    ck_ok(tamis_fit_curvature(context, &params, &err));
    same_files("straight", "again");
    /* Parts of other eigenvectors do not add up. */
    params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_LAMBDA, part[0], "s1");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_fails(tamis_merge_curvature(context, sums, 3, "out", true, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "different eigenvectors");
    ck_assert_int_ne(access("out", F_OK), 0);
    tamis_curvature_close(&from);
}
END_TEST

START_TEST(test_merge_refused)
{
    const char *two[2] = {"a", "b"};
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_KFAC, TAMIS_STAGE_COVARIANCE,
                                                  part[0], "a");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    params = params_of(TAMIS_CURVATURE_DIAGONAL, TAMIS_STAGE_COVARIANCE, part[0], "b");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_fails(tamis_merge_curvature(context, two, 2, "o", false, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "different kinds");
    params = params_of(TAMIS_CURVATURE_KFAC, TAMIS_STAGE_FINAL, part[0], "b");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_fails(tamis_merge_curvature(context, two, 2, "o", false, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "different stages");
    ck_fails(tamis_merge_curvature(context, two + 1, 1, "o", false, NULL, true, NULL, &err),
             TAMIS_ERR_ARG, "is final");
    params = params_of(TAMIS_CURVATURE_KFAC, TAMIS_STAGE_COVARIANCE, part[0], "b");
    params.max_block = 3;
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_fails(tamis_merge_curvature(context, two, 2, "o", false, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "different blocks");
    const pseudo labelled = {.path = "l.h5", .rows = 20, .seed = 1, .labels = "sampled"};
    tamis_store *other = make_pseudo(context, &labelled);
    params = params_of(TAMIS_CURVATURE_KFAC, TAMIS_STAGE_COVARIANCE, other, "b");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_fails(tamis_merge_curvature(context, two, 2, "o", false, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "different labels");
    ck_fails(tamis_merge_curvature(context, two, 0, "o", false, NULL, true, NULL, &err),
             TAMIS_ERR_ARG, "no file");
    ck_fails(tamis_merge_curvature(context, two, 1, "b", false, NULL, false, NULL, &err),
             TAMIS_ERR_IO, "exists");
    tamis_store_close(&other);
}
END_TEST

/* --- resuming --------------------------------------------------------------------------------- */

/* Asks to stop, or ends the process, at the n-th call. */
typedef struct stopper {
    long left;
    bool kill;
} stopper;

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    stopper *s = cookie;
    (void)phase, (void)done, (void)total, (void)unit, (void)note;
    if (s->left-- > 0) return 0;
    if (s->kill) _exit(3);
    return 1;
}

/* One run in a context of its own, which may be stopped. */
static tamis_status run_once(const tamis_fit_curvature_params *params, stopper *s, uint64_t memory)
{
    tamis_context *c = NULL;
    tamis_context_params cp = {
        .threads = 2, .memory = memory, .progress = s ? stop : NULL, .cookie = s};
    ck_ok(tamis_context_create(&c, &cp, &err));
    tamis_store *again = NULL;
    tamis_fit_curvature_params p = *params;
    ck_ok(tamis_store_open(&again, c, whole.path, &err));
    p.train = again;
    tamis_status status = tamis__fit_curvature(c, &p, 0, &err);
    tamis_store_close(&again);
    tamis_context_destroy(&c);
    return status;
}

/* The least memory that a fit runs with: it takes layers one by one. */
static uint64_t least_memory(const tamis_fit_curvature_params *params)
{
    uint64_t memory = 20000;
    while (run_once(params, NULL, memory) != TAMIS_OK) memory += memory / 4;
    return memory;
}

static const struct {
    tamis_curvature_kind kind;
    tamis_curvature_stage until;
} fits[] = {
    {TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL},      {TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_LAMBDA},
    {TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_COVARIANCE}, {TAMIS_CURVATURE_KFAC, TAMIS_STAGE_FINAL},
    {TAMIS_CURVATURE_DIAGONAL, TAMIS_STAGE_FINAL},   {TAMIS_CURVATURE_GRAM, TAMIS_STAGE_FINAL},
    {TAMIS_CURVATURE_GRAM, TAMIS_STAGE_COVARIANCE}};
enum { N_FITS = sizeof fits / sizeof *fits };

/* ThreadSanitizer starts no threads in a child of a process that has some. */
#if defined(__SANITIZE_THREAD__)
enum { WAYS = 1 };
#else
enum { WAYS = 2 };
#endif

/* Stopped at every place, politely and not, with layers together and one by one. */
START_TEST(test_resume)
{
    tamis_fit_curvature_params params = params_of(fits[_i].kind, fits[_i].until, NULL, "want");
    uint64_t memory[2] = {0, least_memory(&params)};
    params.path = "got";
    params.resume = true;
    for (int small = 0; small < 2; small++)
        for (int kill = 0; kill < WAYS; kill++)
            for (long n = 0;; n++) {
                stopper s = {.left = n, .kill = kill};
                tamis_status status = TAMIS_ERR_CANCELLED;
                (void)unlink("got");
                if (kill) {
                    int how = 0;
                    pid_t child = fork();
                    if (child == 0) _exit(run_once(&params, &s, memory[small]) == TAMIS_OK ? 0 : 1);
                    ck_assert_int_eq(waitpid(child, &how, 0), child);
                    ck_assert(WIFEXITED(how) && (WEXITSTATUS(how) == 3 || WEXITSTATUS(how) == 0));
                    if (WEXITSTATUS(how) == 0) status = TAMIS_OK;
                } else {
                    status = run_once(&params, &s, memory[small]);
                }
                ck_assert_int_eq(access("got", F_OK) == 0, status == TAMIS_OK);
                if (status == TAMIS_OK) break; /* never stopped */
                ck_assert_int_eq(status, TAMIS_ERR_CANCELLED);
                ck_assert_msg(n < 1 || access("got.sums", F_OK) == 0, "no state after %ld", n);
                ck_ok(run_once(&params, NULL, memory[small]));
                same_files("want", "got");
                ck_assert_int_ne(access("got.sums", F_OK), 0);
            }
}
END_TEST

/* What is done is not done again. */
static int count_rows(void *cookie, const char *phase, uint64_t done, uint64_t total,
                      const char *unit, const char *note)
{
    (void)phase, (void)done, (void)total, (void)note;
    *(long *)cookie += !strcmp(unit, "rows");
    return 0;
}

START_TEST(test_resume_goes_on)
{
    stopper s = {.left = 1};
    long blocks = 0;
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, NULL,
                                                  "got");
    params.resume = true;
    ck_assert_int_eq(run_once(&params, &s, 0), TAMIS_ERR_CANCELLED);
    tamis_context *c = NULL;
    const tamis_context_params cp = {.progress = count_rows, .cookie = &blocks};
    ck_ok(tamis_context_create(&c, &cp, &err));
    params.train = store;
    ck_ok(tamis_fit_curvature(c, &params, &err));
    tamis_context_destroy(&c);
    uint64_t all = 0;
    tamis__store_tokens t;
    ck_ok(tamis__tokens_of_store(&t, context, store, 0, &err));
    for (uint64_t row = 0; row < whole.rows; all++) row += tamis__tokens_block(&t.tokens, row).rows;
    tamis__store_tokens_fini(&t);
    ck_assert_uint_ge(all, 2);
    ck_assert_int_eq(blocks, (long)(2 * all) - 2); /* two blocks were done */
}
END_TEST

START_TEST(test_resume_refused)
{
    stopper s = {.left = 1};
    size_t size;
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, NULL,
                                                  "got");
    params.resume = true;
    ck_assert_int_eq(run_once(&params, &s, 0), TAMIS_ERR_CANCELLED);
    params.max_block = 4;
    ck_fails(run_once(&params, NULL, 0), TAMIS_ERR_SHAPE, "'got.sums' is of another fit");
    params.max_block = 0;
    char *bytes = file_bytes("got.sums", &size);
    for (size_t cut = 0; cut <= size; cut += size / 23 + 1) {
        FILE *f = fopen("got.sums", "wb");
        ck_assert_uint_eq(fwrite(bytes, 1, cut, f), cut);
        fclose(f);
        ck_fails(run_once(&params, NULL, 0), TAMIS_ERR_FORMAT, "got.sums");
    }
    bytes[size / 2] ^= 1;
    FILE *f = fopen("got.sums", "wb");
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
    ck_fails(run_once(&params, NULL, 0), TAMIS_ERR_FORMAT, "got.sums");
    free(bytes);
    ck_assert_int_ne(access("got", F_OK), 0);
}
END_TEST

/* --- warnings and refusals -------------------------------------------------------------------- */

static void note_line(void *cookie, tamis_log_level level, const char *line)
{
    char *text = cookie;
    if (level != TAMIS_LOG_WARNING) return;
    snprintf(text + strlen(text), 4000 - strlen(text), "%s\n", line);
}

START_TEST(test_warnings)
{
    char text[4000] = "";
    tamis_context *c = NULL;
    const tamis_context_params cp = {.log = note_line, .cookie = text};
    ck_ok(tamis_context_create(&c, &cp, &err));
    const pseudo few = {.path = "few.h5", .rows = 9, .seed = 3, .labels = "true"};
    tamis_store *small = make_pseudo(c, &few);
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, small,
                                                  "out");
    ck_ok(tamis_fit_curvature(c, &params, &err));
    ck_assert_ptr_nonnull(strstr(text, "'few.h5' has gradients of the true labels"));
    ck_assert_ptr_nonnull(strstr(text, "layer 'third': 9 tokens for a covariance of inputs 12 "
                                       "wide: its rank is at most 9"));
    ck_assert_ptr_null(strstr(text, "layer 'first'")); /* 8 wide */
    text[0] = '\0';
    params.train = store;
    ck_ok(tamis_fit_curvature(c, &params, &err));
    ck_assert_str_eq(text, "");
    tamis_store_close(&small);
    tamis_context_destroy(&c);
}
END_TEST

START_TEST(test_refused)
{
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, store,
                                                  "out");
    const pseudo full = {.path = "full.h5", .rows = 9, .seed = 3, .full = true};
    tamis_store *rows = make_pseudo(context, &full);
    params.train = rows;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "--form factors");
    params.train = store;
    params.checkpoint = 1;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "no checkpoint 1");
    params.checkpoint = 0;
    params.train = NULL;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "no store");
    params = params_of(TAMIS_CURVATURE_KFAC, TAMIS_STAGE_LAMBDA, store, "out");
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "kfac has no stage");
    params.until = TAMIS_STAGE_FINAL;
    params.lambda = store;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "ekfac alone");
    params = params_of(TAMIS_CURVATURE_GRAM, TAMIS_STAGE_FINAL, store, "out");
    params.max_block = 3;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "blocks are for");
    /* A store of one layer that is dead: ekfac, kfac and diagonal have no inverse there. */
    const pseudo dead = {.path = "dead.h5", .rows = 9, .seed = 3, .dead = 2};
    tamis_store *zero = make_pseudo(context, &dead);
    for (int kind = 0; kind < TAMIS_CURVATURE_GRAM; kind++) {
        params = params_of((tamis_curvature_kind)kind, TAMIS_STAGE_FINAL, zero, "out");
        ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_NUMERIC,
                 "layer 'second': every eigenvalue is zero");
    }
    /* Layers that are not the same. */
    tamis_curvature *c = NULL;
    params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_COVARIANCE, store, "cov");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_ok(tamis_curvature_open(&c, context, "cov", &err));
    ck_fails(tamis__curvature_fits(c, store, &err), TAMIS_ERR_ARG, "make it final");
    params.from = c;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "has the covariances");
    params.until = TAMIS_STAGE_FINAL;
    params.lambda = store;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_ARG, "alone");
    tamis_curvature_close(&c);
    ck_assert_int_ne(access("out", F_OK), 0);
    ck_assert_int_ne(access("out.part", F_OK), 0);
    tamis_store_close(&zero);
    tamis_store_close(&rows);
}
END_TEST

/* A file says its step, and is refused where another is known; a step of 0 is not known. */
START_TEST(test_steps)
{
    const pseudo plan[2] = {{.path = "later.h5", .rows = 9, .seed = 3, .step = 5},
                            {.path = "silent.h5", .rows = 9, .seed = 3, .step = -1}};
    tamis_store *later = make_pseudo(context, &plan[0]), *silent = make_pseudo(context, &plan[1]);
    tamis_store *const of[3] = {store, later, silent};
    const char *const path[3] = {"c3", "c5", "c0"};
    tamis_curvature *c[3];
    uint32_t k = 7;
    for (int i = 0; i < 3; i++) {
        tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_COVARIANCE,
                                                      of[i], path[i]);
        ck_ok(tamis_fit_curvature(context, &params, &err));
        c[i] = open_made(path[i]);
        ck_assert(tamis_curvature_info_get(c[i])->step_known);
        ck_assert_uint_eq(tamis_curvature_info_get(c[i])->step, i == 0 ? 3 : i == 1 ? 5 : 0);
    }
    ck_fails(tamis__curvature_checkpoint(c[0], later, &k, &err), TAMIS_ERR_SHAPE,
             "'c3' was fitted at step 3, checkpoint 0 of 'later.h5' is of step 5");
    ck_ok(tamis__curvature_checkpoint(c[1], later, &k, &err));
    ck_ok(tamis__curvature_checkpoint(c[2], later, &k, &err));
    ck_ok(tamis__curvature_checkpoint(c[1], silent, &k, &err));
    ck_assert_uint_eq(k, 0);
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, later,
                                                  "out");
    params.from = c[0];
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_SHAPE, "fitted at step 3");
    ck_fails(tamis_merge_curvature(context, path, 2, "out", false, NULL, true, NULL, &err),
             TAMIS_ERR_SHAPE, "'c3' and 'c5' cannot be merged: they are of different steps");
    ck_ok(tamis_merge_curvature(context, path + 1, 2, "out", false, NULL, true, NULL, &err));
    tamis_curvature *merged = open_made("out");
    ck_assert_uint_eq(tamis_curvature_info_get(merged)->step, 5);
    tamis_curvature_close(&merged);
    for (int i = 0; i < 3; i++) tamis_curvature_close(&c[i]);
    tamis_store_close(&later);
    tamis_store_close(&silent);
}
END_TEST

/* The store of the second pass has other layers: which, and how. */
START_TEST(test_other_layers)
{
    static const tamis_checkpoint checkpoint = {.step = 3, .learning_rate = 0.1};
    tamis_layer layers[LAYERS];
    memcpy(layers, pseudo_layer, sizeof layers);
    layers[1].in = 6;
    const tamis_store_spec spec = {.path = "x.h5",
                                   .rows = 1,
                                   .layer = layers,
                                   .layers = LAYERS,
                                   .checkpoint = &checkpoint,
                                   .checkpoints = 1,
                                   .form = TAMIS_FORM_FACTORS};
    float values[64];
    for (int i = 0; i < 64; i++) values[i] = 1;
    const float *v = values;
    const uint64_t offset[2] = {0, 1};
    tamis_store_writer *w = NULL;
    tamis_store *other = NULL;
    ck_ok(tamis_store_writer_open(&w, context, &spec, &err));
    ck_ok(tamis_store_writer_append_factors(w, 1, offset, &v, &v, NULL, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&w, &err));
    ck_ok(tamis_store_open(&other, context, "x.h5", &err));
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, store,
                                                  "out");
    params.lambda = other;
    ck_fails(tamis_fit_curvature(context, &params, &err), TAMIS_ERR_SHAPE,
             "layer 1 is 'second', 3 x (4 + 0), in 'w.h5', and 'second', 3 x (6 + 0), in 'x.h5'");
    params.lambda = NULL;
    ck_ok(tamis_fit_curvature(context, &params, &err));
    tamis_curvature *c = open_made("out");
    ck_fails(tamis__curvature_fits(c, other, &err), TAMIS_ERR_SHAPE, "not of one model");
    tamis__spectrum s;
    ck_fails(
        tamis__spectrum_load(&s, c, 0, TAMIS_CURVATURE_DIAGONAL, (tamis__damping){1, false}, &err),
        TAMIS_ERR_ARG, "is of kind ekfac");
    ck_fails(
        tamis__spectrum_load(&s, c, 7, TAMIS_CURVATURE_EKFAC, (tamis__damping){1, false}, &err),
        TAMIS_ERR_ARG, "no layer 7");
    tamis_curvature_close(&c);
    tamis_store_close(&other);
}
END_TEST

/* A file that is cut short anywhere does not open, or says so when a layer is read. */
START_TEST(test_damaged)
{
    tamis_fit_curvature_params params = params_of(TAMIS_CURVATURE_EKFAC, TAMIS_STAGE_FINAL, store,
                                                  "out");
    ck_ok(tamis_fit_curvature(context, &params, &err));
    size_t size;
    char *bytes = file_bytes("out", &size);
    for (size_t cut = 0; cut < size; cut += size / 37 + 1) {
        FILE *f = fopen("cut", "wb");
        ck_assert_uint_eq(fwrite(bytes, 1, cut, f), cut);
        fclose(f);
        tamis_curvature *c = NULL;
        ck_fails(tamis_curvature_open(&c, context, "cut", &err), TAMIS_ERR_FORMAT, "cut");
        ck_assert_ptr_null(c);
    }
    tamis_curvature *c = NULL;
    ck_fails(tamis_curvature_open(&c, context, whole.path, &err), TAMIS_ERR_FORMAT,
             "is a gradient-store file: a curvature file is expected");
    ck_fails(tamis_curvature_open(&c, context, "absent", &err), TAMIS_ERR_IO, "'absent'");
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature stages");
    TCase *tc = tcase_create("stages");
    tcase_set_timeout(tc, 240);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_merge, 0, 3);
    tcase_add_test(tc, test_merge_ekfac);
    tcase_add_test(tc, test_merge_refused);
    tcase_add_loop_test(tc, test_resume, 0, N_FITS);
    tcase_add_test(tc, test_resume_goes_on);
    tcase_add_test(tc, test_resume_refused);
    tcase_add_test(tc, test_warnings);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_steps);
    tcase_add_test(tc, test_other_layers);
    tcase_add_test(tc, test_damaged);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
