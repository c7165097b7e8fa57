/* The demo's data: a seeded split, flipped labels, CSV files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "fail.h"

/* POSIX's 48-bit generator with its state in our hands: the same numbers everywhere. */
typedef struct demo_random {
    unsigned short state[3];
} demo_random;

static demo_random random_from(uint64_t seed)
{
    demo_random r = {{0x330e, (unsigned short)seed, (unsigned short)(seed >> 16)}};
    for (int i = 0; i < 16; i++) (void)nrand48(r.state);
    return r;
}

/* Uniform below n; the bias of n / 2^31 does not matter to a demo. */
static uint64_t below(demo_random *r, uint64_t n)
{
    return (uint64_t)nrand48(r->state) % n;
}

static void shuffle(demo_random *r, uint64_t *order, uint64_t n)
{
    for (uint64_t i = n; i > 1; i--) {
        uint64_t j = below(r, i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* The first flips of a second shuffle, each to one of the other classes. */
static void flip(demo_random *r, demo_split *split, const tamis_data *data, uint64_t *scratch)
{
    for (uint64_t i = 0; i < split->train; i++) scratch[i] = i;
    shuffle(r, scratch, split->train);
    for (uint64_t i = 0; i < split->flips; i++) {
        uint64_t row = scratch[i];
        uint64_t step = 1 + below(r, data->classes - 1);
        split->label[row] = (int32_t)(((uint64_t)split->label[row] + step) % data->classes);
        split->flipped[row] = 1;
    }
}

tamis_status demo_split_make(demo_split *ret_split, const tamis_data *data, uint64_t train,
                             uint64_t validation, uint64_t test, bool fixed_test, double noise,
                             uint64_t seed, tamis_error *err)
{
    uint64_t n = train + validation + test;
    demo_split split = {.train = train, .validation = validation, .test = test};
    uint64_t *scratch = malloc(train * sizeof *scratch);
    split.order = malloc(n * sizeof *split.order);
    split.label = malloc(train * sizeof *split.label);
    split.flipped = calloc(train, 1);
    if (!scratch || !split.order || !split.label || !split.flipped) {
        free(scratch);
        demo_split_free(&split);
        return fail_memory(err);
    }
    demo_random r = random_from(seed);
    for (uint64_t i = 0; i < n; i++) split.order[i] = i;
    shuffle(&r, split.order, fixed_test ? train + validation : n);
    for (uint64_t i = 0; i < train; i++) split.label[i] = data->label[split.order[i]];
    split.flips = (uint64_t)((double)train * noise + 0.5);
    flip(&r, &split, data, scratch);
    free(scratch);
    *ret_split = split;
    return TAMIS_OK;
}

void demo_split_free(demo_split *split)
{
    free(split->order);
    free(split->label);
    free(split->flipped);
    *split = (demo_split){0};
}

static tamis_status finish(FILE *file, const char *path, tamis_error *err)
{
    int failed = ferror(file);
    if (fclose(file) || failed) return fail_errno(err, "cannot write '%s'", path);
    return TAMIS_OK;
}

tamis_status demo_write_csv(const char *path, const tamis_data *data, const uint64_t *order,
                            uint64_t rows, const int32_t *label, tamis_error *err)
{
    FILE *file = fopen(path, "w");
    if (!file) return fail_errno(err, "cannot write '%s'", path);
    for (uint64_t j = 0; j < data->columns; j++) {
        if (data->feature_name)
            fprintf(file, "%s,", data->feature_name[j]);
        else
            fprintf(file, "p%llu,", (unsigned long long)j);
    }
    fputs("label\n", file);
    for (uint64_t i = 0; i < rows; i++) {
        const float *x = data->x + order[i] * data->columns;
        /* Pixels are whole numbers. */
        for (uint64_t j = 0; j < data->columns; j++) fprintf(file, "%d,", (int)x[j]);
        int32_t c = label ? label[i] : data->label[order[i]];
        fprintf(file, "%s\n", data->class_name[c]);
    }
    return finish(file, path, err);
}

tamis_status demo_write_flips(const char *path, const tamis_data *data, const demo_split *split,
                              tamis_error *err)
{
    FILE *file = fopen(path, "w");
    if (!file) return fail_errno(err, "cannot write '%s'", path);
    fputs("# rows of train.csv whose label was flipped, and: true label -> label in the file\n",
          file);
    for (uint64_t i = 0; i < split->train; i++) {
        if (!split->flipped[i]) continue;
        fprintf(file, "%llu # %s -> %s\n", (unsigned long long)i,
                data->class_name[data->label[split->order[i]]], data->class_name[split->label[i]]);
    }
    return finish(file, path, err);
}
