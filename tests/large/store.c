/* Write a gradient store of any size: numbers that are the same on every machine.
 *
 * Usage: store PATH ROWS COLUMNS CHECKPOINTS LAYERS DTYPE SHARD_ROWS SEED [OUT TOKENS]
 * COLUMNS are those of each layer; DTYPE is f32, f16, bf16 or i8; SHARD_ROWS 0 makes one file. With
 * OUT the store has factor form: layers of COLUMNS inputs and OUT outputs, TOKENS tokens a row.
 * Rows belong to four groups. One batch of rows is made at random and written over and over, each
 * time with other leading columns: no two rows are alike, and writing is all that takes time.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/tamis.h>

enum { BATCH = 64, CHECKPOINTS = 8, LAYERS = 16, GROUPS = 4, FRESH = 16 };

static void check(tamis_status status, const tamis_error *err)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "store: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static float number(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state * 0x1p-31f;
}

static tamis_dtype dtype_of(const char *name)
{
    for (int dtype = TAMIS_F32; dtype <= TAMIS_I8; dtype++)
        if (!strcmp(name, tamis_dtype_name((tamis_dtype)dtype))) return (tamis_dtype)dtype;
    fprintf(stderr, "store: no type '%s'\n", name);
    exit(EXIT_FAILURE);
}

static void write_rows(tamis_store_writer *writer, const tamis_store_spec *spec, uint64_t columns,
                       uint32_t seed)
{
    static const char *const names[GROUPS] = {"a", "b", "c", "d"};
    tamis_error err;
    int32_t group[BATCH];
    const float *values[CHECKPOINTS];
    float *batch = malloc(sizeof *batch * BATCH * columns);
    tamis_examples examples = {.group = group, .group_name = names, .groups = GROUPS};
    if (!batch) exit(EXIT_FAILURE);
    for (uint64_t i = 0; i < BATCH * columns; i++) batch[i] = number(&seed);
    for (int i = 0; i < BATCH; i++) group[i] = i % GROUPS;
    for (uint32_t k = 0; k < spec->checkpoints; k++) values[k] = batch;
    for (uint64_t first = 0; first < spec->rows; first += BATCH) {
        uint64_t n = spec->rows - first < BATCH ? spec->rows - first : BATCH;
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t c = 0; c < FRESH && c < columns; c++)
                batch[i * columns + c] = number(&seed);
        check(tamis_store_writer_append(writer, n, values, &examples, NULL, NULL, NULL, &err),
              &err);
    }
    free(batch);
}

/* The same in factor form, at one checkpoint. */
static void write_factors(tamis_store_writer *writer, const tamis_store_spec *spec, uint64_t inputs,
                          uint64_t outputs, uint64_t tokens, uint32_t seed)
{
    tamis_error err;
    uint64_t offset[BATCH + 1];
    float *input = malloc(sizeof *input * BATCH * tokens * inputs);
    float *output = malloc(sizeof *output * BATCH * tokens * outputs);
    if (!input || !output) exit(EXIT_FAILURE);
    for (uint64_t i = 0; i < BATCH * tokens * inputs; i++) input[i] = number(&seed);
    for (uint64_t i = 0; i < BATCH * tokens * outputs; i++) output[i] = number(&seed);
    for (uint64_t i = 0; i <= BATCH; i++) offset[i] = i * tokens;
    for (uint64_t first = 0; first < spec->rows; first += BATCH) {
        uint64_t n = spec->rows - first < BATCH ? spec->rows - first : BATCH;
        for (uint64_t i = 0; i < n * tokens; i++)
            for (uint64_t c = 0; c < FRESH && c < inputs; c++)
                input[i * inputs + c] = number(&seed);
        const float *in[] = {input}, *out[] = {output};
        check(tamis_store_writer_append_factors(writer, n, offset, in, out, NULL, NULL, NULL, NULL,
                                                &err),
              &err);
    }
    free(input);
    free(output);
}

int main(int argc, char **argv)
{
    tamis_error err;
    tamis_context *context = NULL;
    tamis_store_writer *writer = NULL;
    tamis_layer layer[LAYERS];
    tamis_checkpoint checkpoint[CHECKPOINTS];
    if (argc != 9 && argc != 11) {
        fprintf(stderr, "usage: store PATH ROWS COLUMNS CHECKPOINTS LAYERS DTYPE SHARD_ROWS SEED "
                        "[OUT TOKENS]\n");
        return EXIT_FAILURE;
    }
    uint64_t out = argc == 11 ? strtoull(argv[9], NULL, 10) : 0;
    uint64_t tokens = argc == 11 ? strtoull(argv[10], NULL, 10) : 0;
    uint64_t columns = strtoull(argv[3], NULL, 10);
    tamis_store_spec spec = {.path = argv[1],
                             .dtype = dtype_of(argv[6]),
                             .rows = strtoull(argv[2], NULL, 10),
                             .layer = layer,
                             .layers = (uint32_t)strtoul(argv[5], NULL, 10),
                             .checkpoint = checkpoint,
                             .checkpoints = (uint32_t)strtoul(argv[4], NULL, 10),
                             .form = out ? TAMIS_FORM_FACTORS : TAMIS_FORM_FULL,
                             .shard_rows = strtoull(argv[7], NULL, 10)};
    uint32_t seed = (uint32_t)strtoul(argv[8], NULL, 10);
    if (out && spec.checkpoints != 1) return EXIT_FAILURE;
    if (spec.checkpoints > CHECKPOINTS || spec.layers > LAYERS) return EXIT_FAILURE;
    for (uint32_t l = 0; l < spec.layers; l++) {
        layer[l] = (tamis_layer){.out = out ? out : 1, .in = columns};
        snprintf(layer[l].name, sizeof layer[l].name, "layers.%u", (unsigned)l);
    }
    for (uint32_t k = 0; k < spec.checkpoints; k++)
        checkpoint[k] = (tamis_checkpoint){.step = k + 1, .learning_rate = 0.1};
    check(tamis_context_create(&context, NULL, &err), &err);
    check(tamis_store_writer_open(&writer, context, &spec, &err), &err);
    if (out)
        write_factors(writer, &spec, columns * spec.layers, out * spec.layers, tokens, seed);
    else
        write_rows(writer, &spec, columns * spec.layers, seed);
    check(tamis_store_writer_commit(&writer, &err), &err);
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
