/* Writing some sequences or documents of indexed data sets of Megatron-LM as another one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_MEGATRON_WRITE_H
#define TAMIS_MANIFEST_MEGATRON_WRITE_H

#include "manifest/megatron_index.h"
#include "manifest/registry.h"
#include "manifest/walk.h"

typedef enum tamis__megatron_mode {
    TAMIS__MEGATRON_COPY,    /* the sequences' bytes, one after another */
    TAMIS__MEGATRON_SYMLINK, /* the .bin is a symbolic link to that of an input */
    TAMIS__MEGATRON_HARDLINK /* the same file under another name */
} tamis__megatron_mode;

typedef struct tamis__megatron_job {
    const tamis__manifest_job *job;
    tamis__megatron_mode mode;
    bool by_document;     /* rows are documents, not sequences */
    size_t sets;          /* inputs: the rows of one follow those of the one before */
    tamis__megatron *set; /* [sets] */
    uint64_t *first;      /* [sets + 1] the row that each begins with, and the number of rows */
} tamis__megatron_job;

typedef struct tamis__megatron_written {
    uint64_t records, tokens, bytes;
    const char *gaps; /* a .bin in which the sequences do not follow each other; NULL = none */
} tamis__megatron_written;

/* --- megatron_inputs.c ---------------------------------------------------------------------- */

/* Open the inputs of job->job; mode and by_document are set. The caller closes, also after an
 * error. Errors: those of tamis__megatron_open(), and FORMAT (inputs that are to be copied into one
 * have tokens of different types, or only some have modes). */
tamis_status tamis__megatron_inputs(tamis__megatron_job *job, tamis_error *err);
void tamis__megatron_inputs_close(tamis__megatron_job *job);

/* Compare all rows with the selection, count them and the inputs' bytes into the result. A row's
 * digest is that of its sequences' bytes, one after another. Errors: SHAPE, FORMAT, NOMEM,
 * CANCELLED. */
tamis_status tamis__megatron_compare(const tamis__megatron_job *job, tamis_manifest_result *result,
                                     tamis_error *err);

/* --- megatron_write.c ----------------------------------------------------------------------- */

#define TAMIS__MEGATRON_ALL SIZE_MAX

/* Write the rows of a walk that are of this input, or of all, to `<prefix>.bin` and `<prefix>.idx`,
 * or in a dry run count them. With rows of sequences a document goes on as long as its next
 * sequence written is a later one of it. Nothing is written of an input that has none of the rows.
 * Links can lead to one input only: `input` is all only where there is one. Errors: ARG (the input
 * itself), IO, NOMEM, CANCELLED. */
tamis_status tamis__megatron_write(const tamis__megatron_job *job, const tamis__walk *rows,
                                   size_t input, const char *prefix, const char *what,
                                   tamis__megatron_written *ret_written, tamis_error *err);

#endif
