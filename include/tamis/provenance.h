/* tamis - provenance: the JSON text that every output carries about how it was made.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PROVENANCE_H
#define TAMIS_PROVENANCE_H

#include <tamis/context.h>

TAMIS_BEGIN

/** Builds a JSON object
 *  {"program":"tamis","version":"0.1.0","command":"tamis score tracin --train t.h5 --query q.h5",
 *   "options":{...},"inputs":[{"role":"train","path":"t.h5","size":123,"digest":"xxh3-64:..."}]}
 *  No time, host name, thread count or output path is recorded, so that a rerun with the same
 *  inputs and options gives the same bytes. Opaque; one thread at a time. */
typedef struct tamis_provenance tamis_provenance;

/** Start with the program and its version only. Errors: NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_create(tamis_provenance **ret_provenance,
                                                               tamis_error *err);
/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_provenance_destroy(tamis_provenance **provenance);

/** The command as the user would repeat it: the words that decide the result, one space apart. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_command(tamis_provenance *provenance,
                                                                const char *command,
                                                                tamis_error *err);

/** Record an option in force: text, or a number written with %.17g (integers without a point). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_text(tamis_provenance *provenance,
                                                             const char *name, const char *value,
                                                             tamis_error *err);
/** As tamis_provenance_text() for a number. Errors: NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_number(tamis_provenance *provenance,
                                                               const char *name, double value,
                                                               tamis_error *err);

/** Record an input: its path as given, size and digest. A regular file's digest is the XXH3-64 of
 *  its bytes ("xxh3-64:<16 hex>"). A gradient store's is the one stored in it when it was written
 *  ("rows-xxh3-64:<16 hex>"), so that recording a store larger than memory costs nothing; it is
 *  the same for one file and for any sharding. Errors: IO when the path cannot be read. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_input(tamis_provenance *provenance,
                                                              tamis_context *context,
                                                              const char *role, const char *path,
                                                              tamis_error *err);

/** The JSON text, one line, owned by the object and valid until it changes or is destroyed.
 *  NULL only when memory runs out. */
TAMIS_API const char *tamis_provenance_json(tamis_provenance *provenance);

TAMIS_END

#endif
