/* Zstandard. The only file that includes zstd.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/zstd_frames.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/pieces.h"

/* --- reading ---------------------------------------------------------------------------------- */

/* A file may begin with a frame to skip, as those of pzstd do: its first byte is any from 0x50 to
 * 0x5f. */
bool tamis__zstd_recognise(const unsigned char *bytes, size_t size)
{
    if (size < 4) return false;
    return !memcmp(bytes, "\x28\xb5\x2f\xfd", 4) ||
           (bytes[0] >> 4 == 5 && !memcmp(bytes + 1, "\x2a\x4d\x18", 3));
}

static tamis_status broken(size_t code, const char *path, size_t at, tamis_error *err)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' was compressed with a window of more than 128 MiB: expand it "
                           "first (zstd -d --long=31)",
                           path);
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' byte %zu: broken Zstandard data (%s)", path, at,
                       ZSTD_getErrorName(code));
}

static tamis_status expand_all(ZSTD_DStream *stream, unsigned char *piece,
                               const tamis_context *context, ZSTD_inBuffer in, const char *path,
                               int fd, uint64_t *ret_size, tamis_error *err)
{
    size_t left = 1;
    while (in.pos < in.size || left > 0) {
        ZSTD_outBuffer out = {.dst = piece, .size = TAMIS__CODEC_PIECE};
        size_t before = in.pos;
        left = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(left)) return broken(left, path, in.pos, err);
        TAMIS_TRY(tamis__pieces_write(fd, piece, out.pos, path, err));
        *ret_size += out.pos;
        TAMIS_TRY(tamis__progress(context, "expanding", in.pos, in.size, "bytes", NULL, err));
        if (left > 0 && in.pos == before && out.pos == 0)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' is truncated: the Zstandard data ends at byte %zu", path,
                               in.size);
    }
    return TAMIS_OK;
}

tamis_status tamis__zstd_to_file(const tamis_context *context, const unsigned char *bytes,
                                 size_t size, const char *path, int fd, uint64_t *ret_size,
                                 tamis_error *err)
{
    uint64_t found = 0;
    unsigned char *piece = tamis__malloc(TAMIS__CODEC_PIECE, 1);
    ZSTD_DStream *stream = piece ? ZSTD_createDStream() : NULL;
    tamis_status status = stream ? expand_all(stream, piece, context,
                                              (ZSTD_inBuffer){.src = bytes, .size = size}, path, fd,
                                              &found, err)
                                 : tamis__fail_memory(err, "a decompressor", TAMIS__CODEC_PIECE);
    ZSTD_freeDStream(stream);
    free(piece);
    if (status == TAMIS_OK) *ret_size = found;
    return status;
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct packer {
    ZSTD_CCtx *stream;
    unsigned char piece[TAMIS__CODEC_PIECE];
} packer;

static tamis_status pack(packer *p, tamis__output *output, const void *bytes, size_t size,
                         ZSTD_EndDirective end, tamis_error *err)
{
    ZSTD_inBuffer in = {.src = bytes, .size = size};
    for (size_t left = 1; end == ZSTD_e_end ? left > 0 : in.pos < in.size;) {
        ZSTD_outBuffer out = {.dst = p->piece, .size = TAMIS__CODEC_PIECE};
        left = ZSTD_compressStream2(p->stream, &out, &in, end);
        if (ZSTD_isError(left))
            return tamis__fail(err, TAMIS_ERR_NOMEM, "cannot compress '%s': %s", output->path,
                               ZSTD_getErrorName(left));
        TAMIS_TRY(tamis__output_put(output, p->piece, out.pos, err));
    }
    return TAMIS_OK;
}

static tamis_status write_some(void *state, tamis__output *output, const void *bytes, size_t size,
                               tamis_error *err)
{
    return pack(state, output, bytes, size, ZSTD_e_continue, err);
}

static tamis_status finish(void *state, tamis__output *output, tamis_error *err)
{
    return pack(state, output, NULL, 0, ZSTD_e_end, err);
}

static void fini(void *state)
{
    packer *p = state;
    ZSTD_freeCCtx(p->stream);
    free(p);
}

tamis_status tamis__zstd_attach(tamis__output *output, tamis_error *err)
{
    packer *p = tamis__malloc(1, sizeof *p);
    if (p) p->stream = ZSTD_createCCtx();
    if (!p || !p->stream) {
        free(p);
        return tamis__fail_memory(err, "a compressor", sizeof *p);
    }
    (void)ZSTD_CCtx_setParameter(p->stream, ZSTD_c_compressionLevel, 3);
    (void)ZSTD_CCtx_setParameter(p->stream, ZSTD_c_checksumFlag, 1);
    output->filter = (tamis__output_filter){p, write_some, finish, fini};
    return TAMIS_OK;
}
