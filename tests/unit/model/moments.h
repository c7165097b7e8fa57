/* Models with Adam's moments, stores of their rows, and moments as files, for the tests of
 * directions.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_MODEL_MOMENTS_H
#define TAMIS_TEST_MODEL_MOMENTS_H

#include <sys/stat.h>

#include "fixture.h"

static tamis_context *context;

static inline void setup(void)
{
    enter_scratch();
    context = fixture_context(2);
}

static inline void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static inline bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static inline void assert_same_file(const char *a, const char *b)
{
    char command[200];
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    ck_assert_msg(system(command) == 0, "%s and %s differ", a, b);
}

static inline void write_store(const tamis_model *model, const tamis_data *data,
                               tamis_gradient_params params)
{
    tamis_error err = {0};
    ck_ok(tamis_gradients(model, context, data, &params, &err));
}

/* A store's rows and norms at a checkpoint. */
typedef struct store_rows {
    tamis_store *store;
    const tamis_store_info *info;
    float *value;
    const float *norm;
} store_rows;

static inline store_rows read_rows(const char *path, uint32_t checkpoint)
{
    tamis_error err = {0};
    store_rows r = {0};
    ck_ok(tamis_store_open(&r.store, context, path, &err));
    r.info = tamis_store_info_get(r.store);
    r.value = calloc(r.info->rows * r.info->columns, sizeof *r.value);
    ck_ok(tamis_store_read(r.store, checkpoint, 0, r.info->rows, 0, r.info->columns, r.value,
                           r.info->columns, &err));
    ck_ok(tamis_store_norms(r.store, checkpoint, &r.norm, &err));
    return r;
}

static inline void free_rows(store_rows *r)
{
    free(r->value);
    tamis_store_close(&r->store);
}

/* --- a model with moments --------------------------------------------------------------------- */

static const fixture_spec spec = {.layers = 3,
                                  .width = {5, 7, 4, 3},
                                  .activation = TAMIS_TANH,
                                  .no_bias = 2,
                                  .checkpoints = 2,
                                  .standardise = true,
                                  .seed = 41};

/* Moments about as large as gradients are; some squares are 0, as for inputs that never move. */
static inline tamis_model *model_with_moments(const fixture_spec *of)
{
    fixture_rng rng = {of->seed + 5};
    tamis_model *model = fixture_model(of);
    tamis__model_file *file = &model->file;
    size_t blocks = (size_t)file->checkpoints * file->layers;
    file->first = calloc(blocks, sizeof *file->first);
    file->second = calloc(blocks, sizeof *file->second);
    for (size_t b = 0; b < blocks; b++) {
        uint64_t n = tamis_layer_columns(&file->layer[b % file->layers]);
        file->first[b] = calloc(n, sizeof(float));
        file->second[b] = calloc(n, sizeof(float));
        for (uint64_t i = 0; i < n; i++) {
            double m = 0.3 * fixture_uniform(&rng), v = fixture_uniform(&rng);
            file->first[b][i] = (float)m;
            file->second[b][i] = i % 5 == 3 ? 0.0f : (float)(0.1 * v * v);
        }
    }
    model->info.moments = true;
    model->info.beta1 = file->beta1 = 0.85;
    model->info.beta2 = file->beta2 = 0.98;
    model->info.epsilon = file->epsilon = 1e-4;
    return model;
}

/* --- moments from safetensors ----------------------------------------------------------------- */

typedef struct tensors {
    char header[8192];
    size_t used, size;
    unsigned char data[16384];
} tensors;

static inline void begin(tensors *t, const char *metadata)
{
    *t = (tensors){0};
    t->used = (size_t)snprintf(t->header, sizeof t->header, "{\"__metadata__\":{%s}", metadata);
}

/* dims 0: a single number. */
static inline void add(tensors *t, const char *name, int dims, uint64_t rows, uint64_t columns,
                       const float *value)
{
    char shape[64] = "";
    if (dims == 1) snprintf(shape, sizeof shape, "%d", (int)rows);
    if (dims == 2) snprintf(shape, sizeof shape, "%d,%d", (int)rows, (int)columns);
    size_t bytes = rows * columns * sizeof(float);
    t->used += (size_t)snprintf(
        t->header + t->used, sizeof t->header - t->used,
        ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", name, shape,
        t->size, t->size + bytes);
    ck_assert_uint_lt(t->size + bytes, sizeof t->data);
    memcpy(t->data + t->size, value, bytes);
    t->size += bytes;
}

static inline void finish(tensors *t, const char *path)
{
    ck_assert_uint_lt(t->used + 2, sizeof t->header);
    t->header[t->used++] = '}';
    uint64_t length = t->used;
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fwrite(&length, 8, 1, f);
    fwrite(t->header, 1, length, f);
    fwrite(t->data, 1, t->size, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* What one file does otherwise. */
typedef struct wrong {
    const char *leave_out, *rename_from, *rename_to;
    double spoil; /* the first value of tensor leave_out instead of leaving it out; 0 = none */
    const char *metadata;
    const char *extra; /* one more tensor, of one number */
} wrong;

static inline void add_moment(tensors *t, const wrong *w, const char *name, int dims, uint64_t rows,
                              uint64_t columns, const float *value)
{
    float values[64];
    uint64_t n = rows * columns;
    ck_assert_uint_le(n, 64);
    memcpy(values, value, n * sizeof *values);
    if (w->leave_out && strcmp(name, w->leave_out) == 0) {
        if (w->spoil == 0.0) return;
        values[0] = (float)w->spoil;
    }
    if (w->rename_from && strcmp(name, w->rename_from) == 0) name = w->rename_to;
    add(t, name, dims, rows, columns, values);
}

/* The moments of a checkpoint as a file, by name or by position, in another order than the
 * layers'. */
static inline void write_moments(const tamis_model *model, uint32_t k, bool by_position,
                                 const char *path, const wrong *w)
{
    tensors t;
    begin(&t, w->metadata ? w->metadata : "");
    const tamis_model_info *info = &model->info;
    for (uint32_t back = info->layers; back > 0; back--) {
        uint32_t l = back - 1;
        uint64_t in = info->layer[l].in, out = info->layer[l].out;
        int position = 0;
        for (uint32_t before = 0; before < l; before++)
            position += 1 + (int)info->layer[before].bias;
        for (int kind = 0; kind < 2; kind++) {
            float weight[64], bias[16];
            const float *moment[2] = {NULL, NULL};
            ck_assert(tamis_model_moments(model, k, l, &moment[0], &moment[1]));
            for (uint64_t o = 0; o < out; o++) {
                uint64_t width = in + info->layer[l].bias;
                memcpy(weight + o * in, moment[kind] + o * width, in * sizeof *weight);
                if (info->layer[l].bias) bias[o] = moment[kind][o * width + in];
            }
            const char *suffix = kind ? "exp_avg_sq" : "exp_avg";
            char name[2][64];
            for (int part = 0; part < 2; part++)
                if (by_position)
                    snprintf(name[part], 64, "%d.%s", position + part, suffix);
                else
                    snprintf(name[part], 64, "layers.%d.%s.%s", (int)l, part ? "bias" : "weight",
                             suffix);
            if (info->layer[l].bias) add_moment(&t, w, name[1], 1, out, 1, bias);
            add_moment(&t, w, name[0], 2, out, in, weight);
        }
    }
    if (w->extra) add(&t, w->extra, 0, 1, 1, (const float[]){7});
    finish(&t, path);
}

static const wrong nothing;

#endif
