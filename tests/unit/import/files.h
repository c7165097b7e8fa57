/* Files written byte by byte, for the tests of readers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_IMPORT_FILES_H
#define TAMIS_TEST_IMPORT_FILES_H

#include <stdint.h>
#include <tamis/context.h>
#include <tamis/data.h>

#include "harness.h"

/* A buffer that grows at its end. Zero-initialise; free(bytes). */
typedef struct bytes {
    unsigned char *bytes;
    size_t size, room;
} bytes;

static inline void put(bytes *out, const void *data, size_t size)
{
    if (out->size + size + 1 > out->room) {
        out->room = 2 * (out->size + size) + 64;
        out->bytes = realloc(out->bytes, out->room);
        ck_assert_ptr_nonnull(out->bytes);
    }
    if (size) memcpy(out->bytes + out->size, data, size);
    out->size += size;
    out->bytes[out->size] = '\0';
}

static inline void put_text(bytes *out, const char *text)
{
    put(out, text, strlen(text));
}

static inline void put_little(bytes *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        put(out, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static inline void put_big(bytes *out, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0;)
        put(out, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static inline void drop(bytes *b)
{
    free(b->bytes);
    *b = (bytes){0};
}

static inline void write_bytes(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(name, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(size ? fwrite(data, 1, size, file) : 0, size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

/* Write and free. */
static inline void save(const char *name, bytes *b)
{
    write_bytes(name, b->bytes, b->size);
    drop(b);
}

/* A .npy up to its data: version, header text, padding to 64 bytes. */
static inline bytes npy_start(unsigned version, const char *header)
{
    bytes out = {0};
    size_t length = version == 1 ? 2 : 4, fixed = 8 + length;
    size_t total = (fixed + strlen(header) + 1 + 63) / 64 * 64;
    put(&out, "\x93NUMPY", 6);
    put(&out, &(unsigned char){(unsigned char)version}, 1);
    put(&out, "", 1);
    put_little(&out, total - fixed, length);
    put_text(&out, header);
    while (out.size < total - 1) put_text(&out, " ");
    put_text(&out, "\n");
    return out;
}

/* The usual header. `shape` such as "3, 2". */
static inline bytes npy_of(const char *descr, const char *shape)
{
    char header[256];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
             descr, shape);
    return npy_start(1, header);
}

static inline void put_floats(bytes *out, const float *value, size_t n)
{
    put(out, value, n * sizeof *value);
}

/* A safetensors file of this header and data. */
static inline bytes safetensors_of(const char *header, const void *data, size_t size)
{
    bytes out = {0};
    put_little(&out, strlen(header), 8);
    put_text(&out, header);
    put(&out, data, size);
    return out;
}

static inline tamis_context *new_context(uint64_t memory)
{
    tamis_error err = {0};
    tamis_context *context = NULL;
    ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = 1, .memory = memory},
                               &err));
    return context;
}

#endif
