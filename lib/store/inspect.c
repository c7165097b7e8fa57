/* What a file is: its kind, its provenance, and which inspection it gets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/inspect.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/h5.h"
#include "store/inspection.h"
#include "store/model_file.h"
#include "store/store_file.h"

/* Of features and classes. */
#define NAMES_SHOWN 6

/* --- path and kind ---------------------------------------------------------------------------- */

static tamis_status directory_size(const char *path, uint64_t *ret_size, tamis_error *err)
{
    uint64_t size = 0;
    tamis_status status = TAMIS_OK;
    DIR *directory = opendir(path);
    if (!directory) return tamis__fail_errno(err, "cannot read '%s'", path);
    for (struct dirent *entry; status == TAMIS_OK && (entry = readdir(directory));) {
        struct stat st;
        size_t length = strlen(entry->d_name);
        if (length < 3 || strcmp(entry->d_name + length - 3, ".h5") != 0) continue;
        if (fstatat(dirfd(directory), entry->d_name, &st, 0))
            status = tamis__fail_errno(err, "cannot read '%s/%s'", path, entry->d_name);
        else if (S_ISREG(st.st_mode))
            size += (uint64_t)st.st_size;
    }
    closedir(directory);
    if (status == TAMIS_OK) *ret_size = size;
    return status;
}

tamis_status tamis__path_size(const char *path, uint64_t *ret_size, tamis_error *err)
{
    struct stat st;
    if (stat(path, &st)) return tamis__fail_errno(err, "cannot read '%s'", path);
    if (S_ISDIR(st.st_mode)) return directory_size(path, ret_size, err);
    *ret_size = (uint64_t)st.st_size;
    return TAMIS_OK;
}

static tamis_status kind_of_file(const char *path, char ret_kind[32], tamis_error *err)
{
    tamis__h5 h5;
    TAMIS_TRY(tamis__h5_open(&h5, path, NULL, TAMIS__STORE_VERSION, err));
    snprintf(ret_kind, 32, "%s", h5.kind);
    tamis__h5_close(&h5);
    return TAMIS_OK;
}

/* A directory is a store when its first shard is one. */
static tamis_status kind_of_directory(const char *path, char ret_kind[32], tamis_error *err)
{
    struct stat st;
    size_t size = strlen(path) + sizeof "/00000.h5";
    char *shard = tamis__malloc(size, 1);
    if (!shard) return tamis__fail_memory(err, "a file name", size);
    snprintf(shard, size, "%s/00000.h5", path);
    tamis_status status;
    if (stat(shard, &st))
        status = tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' is a directory without a first shard 00000.h5: no gradient store", path);
    else
        status = kind_of_file(shard, ret_kind, err);
    free(shard);
    return status;
}

tamis_status tamis_file_kind(const char *path, char ret_kind[32], tamis_error *err)
{
    struct stat st;
    if (stat(path, &st)) return tamis__fail_errno(err, "cannot open '%s'", path);
    return S_ISDIR(st.st_mode) ? kind_of_directory(path, ret_kind, err)
                               : kind_of_file(path, ret_kind, err);
}

/* --- provenance ------------------------------------------------------------------------------- */

static tamis_status tell_value(tamis_inspection *inspection, const char *prefix, const char *name,
                               json_t *value, tamis_error *err)
{
    char key[160];
    snprintf(key, sizeof key, "%s_%.120s", prefix, name);
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return tamis__fact_count(inspection, key, (uint64_t)json_integer_value(value), err);
    if (json_is_number(value))
        return tamis__fact_real(inspection, key, json_number_value(value), err);
    if (json_is_string(value))
        return tamis__fact_text(inspection, key, err, "%s", json_string_value(value));
    return TAMIS_OK;
}

static tamis_status tell_provenance(tamis_inspection *inspection, json_t *root, tamis_error *err)
{
    const char *name, *command = json_string_value(json_object_get(root, "command"));
    json_t *value;
    size_t i;
    if (command) TAMIS_TRY(tamis__fact_text(inspection, "command", err, "%s", command));
    json_object_foreach(json_object_get(root, "options"), name, value)
    {
        TAMIS_TRY(tell_value(inspection, "option", name, value, err));
    }
    json_array_foreach(json_object_get(root, "inputs"), i, value)
    {
        const char *role = json_string_value(json_object_get(value, "role"));
        if (role)
            TAMIS_TRY(tell_value(inspection, "input", role, json_object_get(value, "path"), err));
    }
    return TAMIS_OK;
}

static tamis_status describe_provenance(tamis_inspection *inspection, tamis_error *err)
{
    json_t *root = inspection->provenance ? json_loads(inspection->provenance, 0, NULL) : NULL;
    if (!json_is_object(root)) {
        json_decref(root);
        return tamis__finding(inspection, false, "no_provenance", 0, err,
                              "how the file was made is not recorded");
    }
    tamis_status status = tell_provenance(inspection, root, err);
    json_decref(root);
    return status;
}

/* --- models ----------------------------------------------------------------------------------- */

/* The first names, as many as a fact has room for; a name is shown whole or not at all. */
static tamis_status tell_names(tamis_inspection *inspection, const char *key, char *const *names,
                               uint64_t n, tamis_error *err)
{
    char text[200] = "";
    size_t used = 0;
    if (!names) return TAMIS_OK;
    for (uint64_t i = 0; i < n; i++) {
        if (i == NAMES_SHOWN || used + strlen(names[i]) + sizeof ", , ..." > sizeof text) {
            snprintf(text + used, sizeof text - used, "%s...", i ? ", " : "");
            break;
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", names[i]);
    }
    return tamis__fact_text(inspection, key, err, "%s", text);
}

static tamis_status tell_model(tamis_inspection *inspection, const tamis__model_file *file,
                               tamis_error *err)
{
    uint64_t parameters = 0;
    for (uint32_t l = 0; l < file->layers; l++) parameters += tamis_layer_columns(&file->layer[l]);
    TAMIS_TRY(tamis__fact_text(inspection, "activation", err, "%s", file->activation));
    TAMIS_TRY(tamis__fact_count(inspection, "inputs", file->layer[0].in, err));
    TAMIS_TRY(tell_names(inspection, "feature_names", file->feature_name, file->layer[0].in, err));
    TAMIS_TRY(tamis__fact_count(inspection, "classes", file->classes, err));
    TAMIS_TRY(tell_names(inspection, "class_names", file->class_name, file->classes, err));
    TAMIS_TRY(tamis__fact_count(inspection, "parameters", parameters, err));
    TAMIS_TRY(tamis__fact_text(inspection, "standardised", err, "%s", file->mean ? "yes" : "no"));
    if (file->first)
        TAMIS_TRY(tamis__fact_text(inspection, "adam_moments", err,
                                   "yes, beta1 %g, beta2 %g, epsilon %g", file->beta1, file->beta2,
                                   file->epsilon));
    TAMIS_TRY(tamis__fact_layers(inspection, file->layer, file->layers, err));
    return tamis__fact_checkpoints(inspection, file->checkpoint, file->checkpoints, err);
}

tamis_status tamis__inspect_model(tamis_inspection *inspection, tamis_context *context,
                                  const char *path, bool quick, tamis_error *err)
{
    (void)context;
    (void)quick;
    tamis_error why = {TAMIS_OK, 0, ""};
    tamis__model_file file;
    tamis_status status = tamis__model_file_read(&file, path, &why);
    if (status == TAMIS_ERR_NUMERIC)
        return tamis__finding(inspection, true, "not_finite", 1, err, "%.255s", why.message);
    if (status != TAMIS_OK) {
        if (err) *err = why;
        return status;
    }
    inspection->provenance = file.provenance;
    file.provenance = NULL;
    status = tell_model(inspection, &file, err);
    tamis__model_file_fini(&file);
    return status;
}

/* --- the driver ------------------------------------------------------------------------------- */

typedef struct kind_entry {
    const char *name;
    tamis_status (*inspect)(tamis_inspection *, tamis_context *, const char *, bool, tamis_error *);
} kind_entry;

static const kind_entry kinds[] = {
    {"gradient-store", tamis__inspect_store}, {"scores", tamis__inspect_scores},
    {"selection", tamis__inspect_selection},  {"model", tamis__inspect_model},
    {"curvature", tamis__inspect_curvature},
};

static tamis_status inspect(tamis_inspection *inspection, tamis_context *context, const char *path,
                            bool quick, tamis_error *err)
{
    uint64_t bytes;
    TAMIS_TRY(tamis_file_kind(path, inspection->kind, err));
    TAMIS_TRY(tamis__path_size(path, &bytes, err));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, inspection->kind) != 0) continue;
        TAMIS_TRY(tamis__fact_count(inspection, "bytes", bytes, err));
        TAMIS_TRY(kinds[i].inspect(inspection, context, path, quick, err));
        TAMIS_TRY(describe_provenance(inspection, err));
        inspection->healthy = 1;
        for (size_t j = 0; j < inspection->findings; j++)
            if (inspection->finding[j].severe) inspection->healthy = 0;
        return TAMIS_OK;
    }
    return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                       "'%s' is a %s file, which this program does not inspect", path,
                       inspection->kind);
}

tamis_status tamis_inspect(tamis_inspection **ret_inspection, tamis_context *context,
                           const char *path, int quick, tamis_error *err)
{
    tamis_inspection *inspection = tamis__calloc(1, sizeof *inspection);
    if (!inspection) return tamis__fail_memory(err, "an inspection", sizeof *inspection);
    tamis_status status = inspect(inspection, context, path, quick != 0, err);
    if (status == TAMIS_OK)
        *ret_inspection = inspection;
    else
        tamis_inspection_free(&inspection);
    return status;
}

void tamis_inspection_free(tamis_inspection **inspection)
{
    if (!inspection || !*inspection) return;
    tamis_inspection *i = *inspection;
    for (size_t f = 0; f < i->facts; f++) free((void *)(uintptr_t)i->fact[f].key);
    free(i->fact);
    free(i->finding);
    free(i->provenance);
    free(i);
    *inspection = NULL;
}
