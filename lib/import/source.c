/* The bytes a reader reads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/source.h"

#include <stdlib.h>

#include "base/error.h"
#include "codec/gzip.h"

tamis_status tamis__source_open(tamis__source *ret_source, tamis_context *context, const char *path,
                                tamis_error *err)
{
    tamis__source source = {.context = context, .path = path};
    TAMIS_TRY(tamis__input_open(&source.input, context, path, err));
    tamis__input_sequential(&source.input);
    source.bytes = source.input.data;
    source.size = source.input.size;
    if (tamis__gzip_recognise(source.bytes, source.size)) {
        tamis_status status = tamis__gzip_expand(source.input.data, source.input.size,
                                                 context->memory, path, &source.memory,
                                                 &source.size, err);
        tamis__input_close(&source.input);
        if (status != TAMIS_OK) return status;
        source.bytes = source.memory;
        source.held = source.size;
    }
    *ret_source = source;
    return TAMIS_OK;
}

void tamis__source_close(tamis__source *source)
{
    free(source->memory);
    tamis__input_close(&source->input);
    *source = (tamis__source){0};
}
