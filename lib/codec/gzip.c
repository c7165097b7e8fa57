/* gzip files. The only file that includes zlib.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/gzip.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/pieces.h"

/* zlib's word for "gzip, and nothing else". */
#define GZIP_WINDOW (15 + 16)

/* zlib counts in 32 bits. */
#define STEP ((size_t)1 << 30)

typedef struct expansion {
    const unsigned char *bytes;
    size_t size, used;
    unsigned char *data;
    size_t filled, room;
    uint64_t limit;
    const char *path;
    const tamis_context *context; /* with to_file */
    bool to_file;                 /* `data` is a piece, and goes to `fd` when it is full */
    int fd;
    uint64_t written;
} expansion;

static void *take(void *opaque, unsigned n, unsigned size)
{
    (void)opaque;
    return tamis__calloc(n, size);
}

static void give(void *opaque, void *block)
{
    (void)opaque;
    free(block);
}

bool tamis__gzip_recognise(const unsigned char *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

static tamis_status empty_piece(expansion *e, tamis_error *err)
{
    TAMIS_TRY(tamis__pieces_write(e->fd, e->data, e->filled, e->path, err));
    e->written += e->filled;
    e->filled = 0;
    return tamis__progress(e->context, "expanding", e->used, e->size, "bytes", NULL, err);
}

/* Room for more output. */
static tamis_status enlarge(expansion *e, tamis_error *err)
{
    if (e->filled < e->room) return TAMIS_OK;
    if (e->to_file) return empty_piece(e, err);
    if (e->room >= e->limit)
        return tamis__fail(
            err, TAMIS_ERR_NOMEM,
            "'%s' expands to more than the memory limit of %.0f MiB (%.0f times its size): raise "
            "--memory, if the file is to be trusted",
            e->path, (double)e->limit / 1048576.0, (double)e->room / (double)e->size);
    uint64_t wanted = e->room ? 2 * (uint64_t)e->room : 4 * (uint64_t)e->size + 4096;
    if (wanted > e->limit) wanted = e->limit;
    unsigned char *grown = tamis__realloc(e->data, (size_t)wanted, 1);
    if (!grown) return tamis__fail_memory(err, "a decompressed file", wanted);
    e->data = grown;
    e->room = (size_t)wanted;
    return TAMIS_OK;
}

static tamis_status broken(const expansion *e, int code, const z_stream *z, tamis_error *err)
{
    if (code == Z_MEM_ERROR) return tamis__fail_memory(err, "a decompressor", 1u << 16);
    if (code == Z_BUF_ERROR || code == Z_OK)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' is truncated: the gzip data ends at byte %zu", e->path, e->size);
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' byte %zu: broken gzip data (%s)", e->path,
                       e->used, z->msg ? z->msg : "no reason given");
}

/* To the end of one member. */
static tamis_status expand_member(expansion *e, z_stream *z, tamis_error *err)
{
    for (int code = Z_OK; code != Z_STREAM_END;) {
        TAMIS_TRY(enlarge(e, err));
        size_t in = e->size - e->used < STEP ? e->size - e->used : STEP;
        size_t out = e->room - e->filled < STEP ? e->room - e->filled : STEP;
        z->next_in = (unsigned char *)(uintptr_t)(e->bytes + e->used); /* zlib only reads it */
        z->avail_in = (unsigned)in;
        z->next_out = e->data + e->filled;
        z->avail_out = (unsigned)out;
        code = inflate(z, Z_NO_FLUSH);
        e->used += in - z->avail_in;
        e->filled += out - z->avail_out;
        bool stuck = z->avail_in == in && z->avail_out == out;
        bool starved = code == Z_OK && e->used == e->size && z->avail_out > 0;
        if (code != Z_STREAM_END && (code != Z_OK || stuck || starved))
            return broken(e, code, z, err);
    }
    return TAMIS_OK;
}

/* gzip allows members one after another, and zeros behind them (tapes). */
static tamis_status expand_all(expansion *e, z_stream *z, tamis_error *err)
{
    do {
        TAMIS_TRY(expand_member(e, z, err));
        if (inflateReset(z) != Z_OK) return broken(e, Z_STREAM_ERROR, z, err);
    } while (tamis__gzip_recognise(e->bytes + e->used, e->size - e->used));
    for (size_t i = e->used; i < e->size; i++)
        if (e->bytes[i] != 0)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' byte %zu: something that is not gzip follows the gzip data",
                               e->path, i);
    return TAMIS_OK;
}

tamis_status tamis__gzip_to_file(const tamis_context *context, const unsigned char *bytes,
                                 size_t size, const char *path, int fd, uint64_t *ret_size,
                                 tamis_error *err)
{
    expansion e = {.bytes = bytes,
                   .size = size,
                   .room = TAMIS__CODEC_PIECE,
                   .path = path,
                   .context = context,
                   .to_file = true,
                   .fd = fd};
    z_stream z = {.zalloc = take, .zfree = give};
    e.data = tamis__malloc(e.room, 1);
    if (!e.data || inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        free(e.data);
        return tamis__fail_memory(err, "a decompressor", e.room);
    }
    tamis_status status = expand_all(&e, &z, err);
    if (status == TAMIS_OK) status = empty_piece(&e, err);
    inflateEnd(&z);
    free(e.data);
    if (status == TAMIS_OK) *ret_size = e.written;
    return status;
}

tamis_status tamis__gzip_expand(const unsigned char *bytes, size_t size, uint64_t limit,
                                const char *path, unsigned char **ret_data, size_t *ret_size,
                                tamis_error *err)
{
    expansion e = {.bytes = bytes, .size = size, .limit = limit, .path = path};
    z_stream z = {.zalloc = take, .zfree = give};
    int code = inflateInit2(&z, GZIP_WINDOW);
    if (code != Z_OK) return tamis__fail_memory(err, "a decompressor", 1u << 16);
    tamis_status status = expand_all(&e, &z, err);
    inflateEnd(&z);
    if (status != TAMIS_OK) {
        free(e.data);
        return status;
    }
    *ret_data = e.data;
    *ret_size = e.filled;
    return TAMIS_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct packer {
    z_stream z;
    unsigned char piece[TAMIS__CODEC_PIECE];
} packer;

static tamis_status pack(packer *p, tamis__output *output, const unsigned char *bytes, size_t size,
                         int flush, tamis_error *err)
{
    int code = Z_OK;
    do {
        size_t in = size < STEP ? size : STEP;
        p->z.next_in = (unsigned char *)(uintptr_t)bytes;
        p->z.avail_in = (unsigned)in;
        p->z.next_out = p->piece;
        p->z.avail_out = TAMIS__CODEC_PIECE;
        code = deflate(&p->z, flush);
        bytes += in - p->z.avail_in;
        size -= in - p->z.avail_in;
        TAMIS_TRY(tamis__output_put(output, p->piece, TAMIS__CODEC_PIECE - p->z.avail_out, err));
    } while (size > 0 || p->z.avail_out == 0 || (flush == Z_FINISH && code != Z_STREAM_END));
    return TAMIS_OK;
}

static tamis_status write_some(void *state, tamis__output *output, const void *bytes, size_t size,
                               tamis_error *err)
{
    return size ? pack(state, output, bytes, size, Z_NO_FLUSH, err) : TAMIS_OK;
}

static tamis_status finish(void *state, tamis__output *output, tamis_error *err)
{
    return pack(state, output, (const unsigned char *)"", 0, Z_FINISH, err);
}

static void fini(void *state)
{
    packer *p = state;
    deflateEnd(&p->z);
    free(p);
}

tamis_status tamis__gzip_attach(tamis__output *output, tamis_error *err)
{
    packer *p = tamis__malloc(1, sizeof *p);
    if (!p) return tamis__fail_memory(err, "a compressor", sizeof *p);
    p->z = (z_stream){.zalloc = take, .zfree = give};
    if (deflateInit2(&p->z, 6, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(p);
        return tamis__fail_memory(err, "a compressor", sizeof *p);
    }
    output->filter = (tamis__output_filter){p, write_some, finish, fini};
    return TAMIS_OK;
}
