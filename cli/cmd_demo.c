/* tamis demo: the whole flow on real data.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "demo_report.h"

typedef struct demo_args {
    common_args common;
    const char *directory;
    int data_set;
    const char *source;
    uint64_t seeds;
} demo_args;

enum { DIGITS, FASHION };
static const char *const data_sets[] = {"digits", "fashion-mnist", NULL};

static const demo_plan plans[] = {
    [DIGITS] = {.name = "UCI optical digits, 8x8",
                .train = 1000,
                .validation = 297,
                .test = 500,
                .train_options =
                    " --hidden 64 --epochs 40 --learning-rate 0.02 --checkpoint-every 4",
                .grad_options = "",
                .keep_stores = true},
    [FASHION] =
        {.name = "Fashion-MNIST, 28x28",
         .train = 59000,
         .validation = 1000,
         .test = 10000,
         .fixed_test = true,
         .train_options =
             " --hidden 128,64 --epochs 21 --learning-rate 0.02 --batch 128 --checkpoint-every 7",
         .grad_options = " --layers 1-2 --dtype bf16"},
};

/* --- where the data is -------------------------------------------------------------------- */

/* Beside the program: ../share/tamis when installed, data/ of the source tree when built there. */
static tamis_status find_digits(char *path, size_t size, tamis_error *err)
{
    static const char *const places[] = {"../share/tamis/digits.csv", "../../data/digits.csv",
                                         "../data/digits.csv"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        for (size_t i = 0; slash && i < LEN(places); i++) {
            int used = snprintf(path, size, "%.*s/%s", (int)(slash - self), self, places[i]);
            if (used > 0 && (size_t)used < size && access(path, R_OK) == 0) return TAMIS_OK;
        }
    }
    return fail(err, TAMIS_ERR_IO,
                "the digits data set is not beside the program: name it with --source "
                "data/digits.csv");
}

static tamis_status read_digits(tamis_data **ret_data, tamis_context *context, const char *source,
                                tamis_error *err)
{
    char path[4200];
    if (!source) {
        TRY(find_digits(path, sizeof path, err));
        source = path;
    }
    tamis_data_options options = {.path = source, .label = "label"};
    return tamis_data_read(ret_data, context, &options, err);
}

static tamis_status read_idx(tamis_data **ret_data, tamis_context *context, const char *directory,
                             const char *part, tamis_error *err)
{
    char images[4200], labels[4200];
    snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte.gz", directory, part);
    snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte.gz", directory, part);
    tamis_data_options options = {.path = images, .format = "idx", .labels_path = labels};
    return tamis_data_read(ret_data, context, &options, err);
}

/* Put the rows of `more` after those of `data`; both have the same columns and classes. */
static tamis_status append(tamis_data *data, const tamis_data *more, tamis_error *err)
{
    uint64_t rows = data->rows + more->rows, columns = data->columns;
    if (more->columns != columns || more->classes != data->classes)
        return fail(err, TAMIS_ERR_SHAPE, "training and test files differ in columns or classes");
    float *x = realloc(data->x, rows * columns * sizeof *x);
    if (x) data->x = x;
    int32_t *label = realloc(data->label, rows * sizeof *label);
    if (label) data->label = label;
    if (!x || !label) return fail_memory(err);
    memcpy(x + data->rows * columns, more->x, more->rows * columns * sizeof *x);
    memcpy(label + data->rows, more->label, more->rows * sizeof *label);
    free(data->digest);
    data->digest = NULL;
    data->rows = rows;
    return TAMIS_OK;
}

static tamis_status read_fashion(tamis_data **ret_data, tamis_context *context, const char *source,
                                 tamis_error *err)
{
    tamis_data *test = NULL;
    if (!source) source = "/usr/share/datasets/fashion-mnist";
    if (access(source, R_OK))
        return fail_errno(
            err,
            "cannot open '%s': install the Debian package dataset-fashion-mnist or name "
            "the folder of its files with --source",
            source);
    TRY(read_idx(ret_data, context, source, "train", err));
    tamis_status status = read_idx(&test, context, source, "t10k", err);
    if (status == TAMIS_OK) status = append(*ret_data, test, err);
    tamis_data_free(&test);
    if (status != TAMIS_OK) tamis_data_free(ret_data);
    return status;
}

/* --- the directory ------------------------------------------------------------------------ */

static const char *const seed_files[] = {"train.csv",
                                         "train-clean.csv",
                                         "validation.csv",
                                         "test.csv",
                                         "flips.txt",
                                         "model.h5",
                                         "train.h5",
                                         "validation.h5",
                                         "self.h5",
                                         "influence.h5",
                                         "tamis.h5",
                                         "train.tamis.csv",
                                         "train.tamis.dropped.csv",
                                         "train.tamis.dropped.csv.reasons.csv",
                                         "model.tamis.h5",
                                         "random.h5",
                                         "train.random.csv",
                                         "train.random.dropped.csv",
                                         "train.random.dropped.csv.reasons.csv",
                                         "model.random.h5",
                                         "model.clean.h5",
                                         "query.csv",
                                         "query.h5",
                                         "trace.h5"};

/* Enter seed-N, emptied of what an earlier demo left there. */
static tamis_status enter_seed(uint64_t seed, tamis_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "seed-%llu", (unsigned long long)seed);
    if ((mkdir(name, 0777) && errno != EEXIST) || chdir(name))
        return fail_errno(err, "cannot make the directory '%s'", name);
    for (size_t i = 0; i < LEN(seed_files); i++) (void)unlink(seed_files[i]);
    return TAMIS_OK;
}

static tamis_status enter_directory(const char *path, bool force, tamis_error *err)
{
    if (mkdir(path, 0777)) {
        if (errno != EEXIST) return fail_errno(err, "cannot make the directory '%s'", path);
        if (!force)
            return fail(err, TAMIS_ERR_IO,
                        "'%s' exists: use -f to write the demo's files over those in it, or "
                        "name another directory",
                        path);
    }
    if (chdir(path)) return fail_errno(err, "cannot enter '%s'", path);
    return TAMIS_OK;
}

/* --- running ------------------------------------------------------------------------------ */

static tamis_status run_seeds(const demo_flow *flow, uint64_t seeds, bool speaks,
                              demo_result *result, tamis_error *err)
{
    for (uint64_t seed = 0; seed < seeds; seed++) {
        bool show = speaks && seed == 0;
        TRY(enter_seed(seed, err));
        TRY(demo_seed(flow, seed, show, &result[seed], err));
        if (chdir("..")) return fail_errno(err, "cannot leave '%s'", "seed directory");
        if (show && seeds > 1)
            printf(
                "\nThe same for %llu more seeds (split, flips and initial weights), silently ...\n",
                (unsigned long long)(seeds - 1));
        fflush(stdout);
    }
    return TAMIS_OK;
}

static void introduce(const demo_flow *flow, const char *directory)
{
    const demo_plan *plan = flow->plan;
    char train[32], validation[32], test[32];
    printf("%s: %s training rows, a tenth of their labels flipped; %s clean validation rows;\n"
           "%s test rows. Files and commands of seed 0 are in %s/seed-0.\n\n",
           plan->name, count_text(plan->train, train, sizeof train),
           count_text(plan->validation, validation, sizeof validation),
           count_text(plan->test, test, sizeof test), directory);
}

/* Pages of mapped files count towards the peak as long as the system leaves them in memory. */
static void print_end(const char *directory, double elapsed)
{
    struct rusage usage;
    char peak[32] = "unknown";
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        bytes_text((double)usage.ru_maxrss * 1024, peak, sizeof peak);
    printf("\nWhat each file is: %s/FILES.txt. Took %.1f s; peak resident memory %s.\n", directory,
           elapsed, peak);
}

static tamis_status run_flow(session *s, const demo_args *args, demo_flow *flow, tamis_error *err)
{
    const char *directory = args->directory ? args->directory : "tamis-demo";
    bool speaks = session_speaks(s);
    demo_result *result = calloc(args->seeds, sizeof *result);
    if (!result) return fail_memory(err);
    tamis_status status = enter_directory(directory, args->common.force, err);
    if (status == TAMIS_OK && speaks) introduce(flow, directory);
    if (status == TAMIS_OK) status = run_seeds(flow, args->seeds, speaks, result, err);
    if (status == TAMIS_OK) status = demo_write_note("FILES.txt", flow->plan, args->seeds, err);
    if (status == TAMIS_OK && args->common.json)
        demo_print_json(flow->plan, result, args->seeds);
    else if (status == TAMIS_OK && speaks) {
        printf("\n");
        demo_print_table(result, args->seeds);
        print_end(directory, seconds() - s->started);
    }
    free(result);
    return status;
}

static void hand_options_on(const demo_args *args, demo_flow *flow)
{
    size_t used = 0;
    flow->options[0] = '\0';
    if (args->common.threads)
        used += (size_t)snprintf(flow->options, sizeof flow->options, " --threads %llu",
                                 (unsigned long long)args->common.threads);
    if (args->common.memory)
        snprintf(flow->options + used, sizeof flow->options - used, " --memory %llu",
                 (unsigned long long)args->common.memory);
}

static tamis_status run(session *s, const void *raw, tamis_error *err)
{
    const demo_args *args = raw;
    demo_flow flow = {.plan = &plans[args->data_set], .context = s->context};
    tamis_data *data = NULL;
    const demo_plan *plan = flow.plan;
    if (args->data_set == DIGITS)
        TRY(read_digits(&data, s->context, args->source, err));
    else
        TRY(read_fashion(&data, s->context, args->source, err));
    flow.data = data;
    flow.side = args->data_set == DIGITS ? 8 : 28;
    flow.white = args->data_set == DIGITS ? 16 : 255;
    flow.colour = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
    hand_options_on(args, &flow);
    tamis_status status = TAMIS_OK;
    if (data->rows != plan->train + plan->validation + plan->test ||
        data->columns != flow.side * flow.side)
        status = fail(
            err, TAMIS_ERR_SHAPE, "the data set has %llu rows of %llu columns, not those of %s",
            (unsigned long long)data->rows, (unsigned long long)data->columns, plan->name);
    if (status == TAMIS_OK) status = run_flow(s, args, &flow, err);
    tamis_data_free(&data);
    return status;
}

static const opt options[] = {
    {0, "data-set", "NAME", "which real data to run on", OPT_CHOICE, offsetof(demo_args, data_set),
     .choices = data_sets},
    {0, "source", "PATH", "digits.csv, or the folder of the Fashion-MNIST files", OPT_STRING,
     offsetof(demo_args, source), OPT_FILE, .fallback = "where the program or Debian put them"},
    {0, "seeds", "N", "how many times to repeat it, each with its own split, flips and weights",
     OPT_UINT, offsetof(demo_args, seeds), .min = 1, .max = DEMO_MAX_SEEDS},
};

static const operand operands[] = {
    {"DIR", "directory to write to", 0, 1, offsetof(demo_args, directory), .file = true},
};

static const demo_args defaults = {.data_set = DIGITS, .seeds = 5};

const command cmd_demo = {
    .name = "demo",
    .group = "Start here",
    .summary = "find flipped labels in real data and train a better model without them",
    .synopsis = "[options] [DIR]",
    .description =
        "Flips a tenth of the training labels, trains a multilayer perceptron, stores per-example "
        "gradients, ranks the training rows by self-influence and by influence on a clean "
        "validation "
        "split, drops the worst tenth, trains again, and compares test accuracies. Every tamis "
        "command "
        "is printed before it runs, with its result. One misclassified test picture is traced to "
        "its "
        "five strongest helpers and harmers.\n\n"
        "The files stay in DIR (default: tamis-demo); FILES.txt there says what each is.",
    .examples = "# a minute on the shipped digits\ntamis demo\n"
                "# Fashion-MNIST, 60,000 pictures\ntamis demo --data-set fashion-mnist fashion",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_FORCE | COMMON_ENGINE | COMMON_JSON | COMMON_QUIET,
    .args_size = sizeof(demo_args),
    .defaults = &defaults,
    .run = run,
};
