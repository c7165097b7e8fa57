/* The manifest formats of this build, and what each of them is.
 *
 * A new format is one file that defines `const tamis__manifest_class tamis__manifest_<name>`, its
 * name in the list below (alphabetical by the name users write) and its file in meson.build.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_REGISTRY_H
#define TAMIS_MANIFEST_REGISTRY_H

#include <tamis/manifest.h>

#include "manifest/outputs.h"
#include "manifest/plan.h"

#define TAMIS__MANIFEST_ABI    2
#define TAMIS__MANIFEST_PARAMS 16

typedef struct tamis__manifest_job {
    tamis_context *context; /* may be NULL */
    const tamis_selection *selection;
    const tamis_manifest_params *params;
    tamis__plan *plan;
    tamis__outputs *outputs; /* to add further files and directories to; not in a dry run */
    bool check_digests;
} tamis__manifest_job;

typedef struct tamis__manifest_class {
    uint32_t abi; /* TAMIS__MANIFEST_ABI */
    tamis_manifest_info info;
    size_t state_size; /* zeroed memory for the calls below; may be 0 */
    /* `param` [info.n_params] lives as long as the state. NULL = nothing to read. */
    tamis_status (*init)(void *state, const tamis_param_value *param, tamis_error *err);
    /* Read the inputs and write the parts. With params->dry_run everything is read, checked and
     * counted and nothing written. Sets `records`, and what it read in `bytes_in` and
     * `input_records`. */
    tamis_status (*write)(void *state, const tamis__manifest_job *job,
                          tamis_manifest_result *result, tamis_error *err);
    void (*fini)(void *state);
} tamis__manifest_class;

/* clang-format off */
#define TAMIS__MANIFESTS(X) \
    X(axolotl) \
    X(counts) \
    X(csv) \
    X(index) \
    X(index_npy) \
    X(json) \
    X(jsonl) \
    X(kaldi) \
    X(lhotse) \
    X(lhotse_ids) \
    X(llama_factory) \
    X(mask) \
    X(mask_npy) \
    X(mds) \
    X(megatron) \
    X(megatron_blend) \
    X(nemo) \
    X(tsv) \
    X(webdataset) \
    X(weights) \
    X(weights_npy)
/* clang-format on */

#define TAMIS__DECLARE_MANIFEST(name) extern const tamis__manifest_class tamis__manifest_##name;
TAMIS__MANIFESTS(TAMIS__DECLARE_MANIFEST)
#undef TAMIS__DECLARE_MANIFEST

#endif
