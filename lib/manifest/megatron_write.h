/* Writing some sequences or documents of an indexed data set of Megatron-LM as another one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_MEGATRON_WRITE_H
#define TAMIS_MANIFEST_MEGATRON_WRITE_H

#include "manifest/megatron_index.h"
#include "manifest/registry.h"
#include "manifest/walk.h"

typedef enum tamis__megatron_mode {
    TAMIS__MEGATRON_COPY,    /* the sequences' bytes, one after another */
    TAMIS__MEGATRON_SYMLINK, /* the .bin is a symbolic link to that of the input */
    TAMIS__MEGATRON_HARDLINK /* the same file under another name */
} tamis__megatron_mode;

typedef struct tamis__megatron_job {
    const tamis__manifest_job *job;
    const tamis__megatron *set;
    tamis__megatron_mode mode;
    bool by_document; /* rows are documents, not sequences */
} tamis__megatron_job;

typedef struct tamis__megatron_written {
    uint64_t records, tokens, bytes;
    bool gaps; /* sequences do not follow each other in the .bin */
} tamis__megatron_written;

/* Number of rows. */
uint64_t tamis__megatron_rows(const tamis__megatron_job *job);

/* Compare all rows with the selection, count them and the input's bytes into the result. A row's
 * digest is that of its sequences' bytes, one after another. Errors: SHAPE, FORMAT, NOMEM,
 * CANCELLED. */
tamis_status tamis__megatron_compare(const tamis__megatron_job *job, tamis_manifest_result *result,
                                     tamis_error *err);

/* Write the rows of a walk to `<prefix>.bin` and `<prefix>.idx`, or in a dry run count them. With
 * rows of sequences a document goes on as long as its next sequence written is a later one of it.
 * Errors: ARG (the input itself), IO, NOMEM, CANCELLED. */
tamis_status tamis__megatron_write(const tamis__megatron_job *job, const tamis__walk *rows,
                                   const char *prefix, const char *what,
                                   tamis__megatron_written *ret_written, tamis_error *err);

#endif
