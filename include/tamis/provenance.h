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

/** Start an object with program and version, an empty command, no options and no inputs. The caller
 *  frees it with tamis_provenance_destroy(). Errors: NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_create(tamis_provenance **ret_provenance,
                                                               tamis_error *err);

/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_provenance_destroy(tamis_provenance **provenance);

/** The command as the user would repeat it: the words that decide the result, one space apart.
 *  It replaces an earlier one; the text is copied. Errors: NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_command(tamis_provenance *provenance,
                                                                const char *command,
                                                                tamis_error *err);

/** Record an option in force as text. A name recorded before is replaced. Name and value are
 *  copied; bytes that are not UTF-8 become U+FFFD. Errors: NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_provenance_text(tamis_provenance *provenance,
                                                             const char *name, const char *value,
                                                             tamis_error *err);

/** Record an option in force as a number, written with %.17g (integers without a point); infinities
 *  and NaN become the texts "inf", "-inf" and "nan". Otherwise as tamis_provenance_text(). */
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
