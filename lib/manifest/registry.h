/* The manifest formats of this build, and what each of them is.
 *
 * A new format is one file that defines `const tamis__manifest_class tamis__manifest_<name>`, its
 * name in the list below (alphabetical by the name users write) and its file in meson.build.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_REGISTRY_H
#define TAMIS_MANIFEST_REGISTRY_H

#include <tamis/manifest.h>

#include "base/file.h"

#define TAMIS__MANIFEST_ABI 1

/* What a format writes from and to. The driver opens and commits the files. */
typedef struct tamis__manifest_job {
    const tamis_context *context;
    const tamis_selection *selection;
    const char *input;      /* NULL where a format that copies no records is given none */
    tamis__output *kept;    /* NULL = not wanted; only for formats that copy records */
    tamis__output *dropped; /* NULL = not wanted */
    bool check_digests;
} tamis__manifest_job;

typedef struct tamis__manifest_class {
    uint32_t abi; /* TAMIS__MANIFEST_ABI */
    tamis_manifest_info info;
    /* Write the kept rows and the others. Sets `records` of the result and, when it reads the
     * input, `bytes_in`; the driver sets the rest. Formats that copy records compare them with the
     * selection on the way; for the others the driver has done that. */
    tamis_status (*write)(const tamis__manifest_job *job, tamis_manifest_result *result,
                          tamis_error *err);
} tamis__manifest_class;

/* clang-format off */
#define TAMIS__MANIFESTS(X) \
    X(csv) \
    X(index) \
    X(index_npy) \
    X(jsonl) \
    X(mask) \
    X(mask_npy) \
    X(tsv)
/* clang-format on */

#define TAMIS__DECLARE_MANIFEST(name) extern const tamis__manifest_class tamis__manifest_##name;
TAMIS__MANIFESTS(TAMIS__DECLARE_MANIFEST)
#undef TAMIS__DECLARE_MANIFEST

#endif
