/* HDF5 as this project uses it: small checked calls. Only lib/store includes this header.
 *
 * Every function here may be called from any thread: a process-wide lock is held inside, because
 * an HDF5 library need not be thread-safe. Raw HDF5 calls elsewhere in this room stand between
 * tamis__h5_enter() and tamis__h5_leave(), which also keep HDF5 from printing its error stack.
 * Names of datasets and groups are full paths without the first slash ("example/id"); "/" is the
 * root.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_H5_H
#define TAMIS_STORE_H5_H

#include <hdf5.h>
#include <stdbool.h>

#include "base/context.h"
#include "store/h5_driver.h"
#include "store/version.h"

/* --- lock, silence, messages ------------------------------------------------------------------ */

/* The automatic error printing that was in force. */
typedef struct tamis__h5_scope {
    H5E_auto2_t print;
    void *cookie;
} tamis__h5_scope;

/* Lock HDF5 and silence it. Calls may nest. */
void tamis__h5_enter(tamis__h5_scope *ret_scope);
/* Put the printing back and unlock. Clears HDF5's error stack: set `err` before. */
void tamis__h5_leave(const tamis__h5_scope *scope);

/* Set the message and append ": <what HDF5 says>", the innermost of its errors. Must come straight
 * after the failing call, inside enter/leave. */
tamis_status tamis__h5_fail(tamis_error *err, tamis_status status, const char *format, ...)
    TAMIS_PRINTF(3, 4);

/* --- files ------------------------------------------------------------------------------------ */

typedef struct tamis__h5 {
    hid_t file;
    char *path;           /* as given; `part` is where it is being written */
    char *part;           /* NULL when reading */
    tamis__h5_sink *sink; /* NULL when reading */
    const tamis_context *context;
    uint64_t size; /* bytes, when reading */
    char kind[32];
    uint32_t version;
} tamis__h5;

/* Open for reading. `kind` NULL accepts every tamis file (h5->kind says which).
 * Errors, each its own: IO absent, a directory, unreadable; FORMAT empty, not HDF5, truncated, no
 * tamis file, another kind; UNSUPPORTED newer version. */
tamis_status tamis__h5_open(tamis__h5 *ret_h5, const char *path, const char *kind, uint32_t version,
                            tamis_error *err);

/* Start "<path>.part" with the root attributes tamis_kind, tamis_version and provenance (NULL =
 * "{}"). An older .part is replaced. Call tamis__output_check() before. */
tamis_status tamis__h5_create(tamis__h5 *ret_h5, const tamis_context *context, const char *path,
                              const char *kind, uint32_t version, const char *provenance,
                              tamis_error *err);

/* IO when a write failed so far. HDF5 calls do not tell: see h5_driver.h. */
tamis_status tamis__h5_written(const tamis__h5 *h5, tamis_error *err);

/* Flush, close, sync, rename. Frees in every case; on failure the .part is gone. */
tamis_status tamis__h5_commit(tamis__h5 *h5, bool force, tamis_error *err);

/* Close and free; a file being written is removed. Accepts a zeroed struct (file must be 0). */
void tamis__h5_close(tamis__h5 *h5);

/* --- groups and attributes -------------------------------------------------------------------- */

/* Create a group; its parents must exist. */
tamis_status tamis__h5_group(const tamis__h5 *h5, const char *name, tamis_error *err);

/* Is there an object of this name (every part of the path)? */
bool tamis__h5_has(const tamis__h5 *h5, const char *name);
bool tamis__h5_has_attribute(const tamis__h5 *h5, const char *object, const char *name);

tamis_status tamis__h5_put_u64(const tamis__h5 *h5, const char *object, const char *name,
                               uint64_t value, tamis_error *err);
tamis_status tamis__h5_put_u32(const tamis__h5 *h5, const char *object, const char *name,
                               uint32_t value, tamis_error *err);
tamis_status tamis__h5_put_f64(const tamis__h5 *h5, const char *object, const char *name,
                               double value, tamis_error *err);
tamis_status tamis__h5_put_text(const tamis__h5 *h5, const char *object, const char *name,
                                const char *value, tamis_error *err);

/* Any integer type that holds a value of 0 .. 2^64-1; FORMAT when missing or of another type. */
tamis_status tamis__h5_get_u64(const tamis__h5 *h5, const char *object, const char *name,
                               uint64_t *ret_value, tamis_error *err);
/* Any number. */
tamis_status tamis__h5_get_f64(const tamis__h5 *h5, const char *object, const char *name,
                               double *ret_value, tamis_error *err);
/* A string, of fixed or variable length; freed with free(). */
tamis_status tamis__h5_get_text(const tamis__h5 *h5, const char *object, const char *name,
                                char **ret_value, tamis_error *err);

/* --- datasets --------------------------------------------------------------------------------- */

typedef enum tamis__h5_type {
    TAMIS__H5_U64,
    TAMIS__H5_I64,
    TAMIS__H5_U32,
    TAMIS__H5_I32,
    TAMIS__H5_U16,
    TAMIS__H5_U8,
    TAMIS__H5_F32,
    TAMIS__H5_F64
} tamis__h5_type;

/* Bytes of one value in memory. */
size_t tamis__h5_type_size(tamis__h5_type type);

/* Rank and shape of a dataset. FORMAT when it is missing, no dataset, or not of `rank`
 * dimensions (1 or 2). */
tamis_status tamis__h5_shape(const tamis__h5 *h5, const char *name, unsigned rank,
                             uint64_t ret_shape[2], tamis_error *err);

/* A whole contiguous dataset, little-endian. columns = 0 means one dimension. rows > 0. */
tamis_status tamis__h5_write(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                             const void *values, uint64_t rows, uint64_t columns, tamis_error *err);

/* Read a whole dataset that must have exactly this shape (columns = 0: one dimension) into memory
 * freed with free(). Integers are converted and refused when they do not fit; floats to floats.
 * Sizes are checked against the file before anything is allocated. */
tamis_status tamis__h5_read(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                            uint64_t rows, uint64_t columns, void **ret_values, tamis_error *err);

/* As tamis__h5_read(); *ret_values is NULL when there is no such dataset. */
tamis_status tamis__h5_read_optional(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                     uint64_t rows, uint64_t columns, void **ret_values,
                                     tamis_error *err);

/* UTF-8 texts, written with fixed length and padded with NUL. At most 4,095 bytes each. */
#define TAMIS__H5_TEXT_MAX 4095u
tamis_status tamis__h5_write_text(const tamis__h5 *h5, const char *name, const char *const *texts,
                                  uint64_t rows, tamis_error *err);

/* Is the dataset one of strings? False when it is missing. */
bool tamis__h5_is_text(const tamis__h5 *h5, const char *name);

/* Texts of fixed or variable length, `rows` of them. One block freed with one free(). */
tamis_status tamis__h5_read_text(const tamis__h5 *h5, const char *name, uint64_t rows,
                                 char ***ret_texts, tamis_error *err);

/* --- datasets by parts ------------------------------------------------------------------------ */

/* A contiguous [rows, columns] dataset to be filled by parts. Close with
 * tamis__h5_array_close(). */
tamis_status tamis__h5_array_create(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                    uint64_t rows, uint64_t columns, hid_t *ret_dataset,
                                    tamis_error *err);
/* Open a dataset that must have exactly this shape and be of this class of number. */
tamis_status tamis__h5_array_open(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                  uint64_t rows, uint64_t columns, hid_t *ret_dataset,
                                  tamis_error *err);
/* Close and set to 0; accepts 0. */
void tamis__h5_array_close(hid_t *dataset);

/* Rows and columns of a 2-D dataset, and where its part lies in memory. */
typedef struct tamis__h5_part {
    uint64_t first_row, rows, first_column, columns;
    size_t stride; /* values from row to row in memory, >= columns */
} tamis__h5_part;

tamis_status tamis__h5_array_write(const tamis__h5 *h5, hid_t dataset, tamis__h5_type type,
                                   const tamis__h5_part *part, const void *values,
                                   tamis_error *err);
tamis_status tamis__h5_array_read(const tamis__h5 *h5, hid_t dataset, tamis__h5_type type,
                                  const tamis__h5_part *part, void *values, tamis_error *err);

/* Where an uncompressed, little-endian, contiguous dataset of exactly this type lies in the file;
 * HADDR_UNDEF when it must be read through HDF5. */
haddr_t tamis__h5_array_address(const tamis__h5 *h5, hid_t dataset, tamis__h5_type type);

#endif
