/* Which codec a file is in.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/codec.h"

#include <string.h>
#include <strings.h>

#include "codec/gzip.h"
#include "codec/zstd_frames.h"

tamis__codec tamis__codec_of_bytes(const void *bytes, size_t size)
{
    if (size > 2 && tamis__gzip_recognise(bytes, size)) return TAMIS__CODEC_GZIP;
    if (tamis__zstd_recognise(bytes, size)) return TAMIS__CODEC_ZSTD;
    return TAMIS__CODEC_NONE;
}

tamis__codec tamis__codec_of_name(const char *path, size_t *ret_size)
{
    static const struct {
        const char *ending;
        tamis__codec codec;
    } known[] = {{".gz", TAMIS__CODEC_GZIP}, {".zst", TAMIS__CODEC_ZSTD}};
    size_t size = strlen(path);
    if (ret_size) *ret_size = size;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t ending = strlen(known[i].ending);
        if (size <= ending || strcasecmp(path + size - ending, known[i].ending) != 0) continue;
        if (ret_size) *ret_size = size - ending;
        return known[i].codec;
    }
    return TAMIS__CODEC_NONE;
}

tamis_status tamis__codec_expand(tamis__codec codec, const tamis_context *context,
                                 const void *bytes, size_t size, const char *path, int fd,
                                 uint64_t *ret_size, tamis_error *err)
{
    return codec == TAMIS__CODEC_ZSTD
               ? tamis__zstd_to_file(context, bytes, size, path, fd, ret_size, err)
               : tamis__gzip_to_file(context, bytes, size, path, fd, ret_size, err);
}

tamis_status tamis__codec_attach(tamis__codec codec, tamis__output *output, tamis_error *err)
{
    if (codec == TAMIS__CODEC_NONE) return TAMIS_OK;
    return codec == TAMIS__CODEC_ZSTD ? tamis__zstd_attach(output, err)
                                      : tamis__gzip_attach(output, err);
}
