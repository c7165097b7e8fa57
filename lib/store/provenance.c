/* Provenance: how an output was made, as JSON.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/provenance.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tamis/inspect.h>
#include <tamis/store.h>
#include <tamis/version.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/inspection.h"
#include "store/utf8.h"

struct tamis_provenance {
    json_t *root;
    char *text; /* what tamis_provenance_json() last gave */
};

static tamis_status no_memory(tamis_error *err)
{
    return tamis__fail_memory(err, "provenance", 4096);
}

/* Takes the reference of `value`. */
static tamis_status put(json_t *object, const char *name, json_t *value, tamis_error *err)
{
    char *clean = tamis__utf8_repair(name);
    /* jansson steals the reference even when it fails. */
    bool failed = clean ? json_object_set_new(object, clean, value) != 0 : true;
    if (!clean) json_decref(value);
    free(clean);
    return failed ? no_memory(err) : TAMIS_OK;
}

/* Paths may be any bytes; JSON may not. NULL when out of memory. */
static json_t *text_of(const char *text)
{
    char *clean = tamis__utf8_repair(text);
    json_t *value = clean ? json_string(clean) : NULL;
    free(clean);
    return value;
}

static json_t *number_of(double value)
{
    if (!isfinite(value)) return json_string(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    if (value == floor(value) && fabs(value) <= 9007199254740992.0)
        return json_integer((json_int_t)value);
    return json_real(value);
}

tamis_status tamis_provenance_create(tamis_provenance **ret_provenance, tamis_error *err)
{
    tamis_provenance *provenance = tamis__calloc(1, sizeof *provenance);
    if (!provenance) return no_memory(err);
    provenance->root = json_object();
    tamis_status status = put(provenance->root, "program", json_string("tamis"), err);
    if (status == TAMIS_OK)
        status = put(provenance->root, "version", json_string(TAMIS_VERSION), err);
    if (status == TAMIS_OK) status = put(provenance->root, "command", json_string(""), err);
    if (status == TAMIS_OK) status = put(provenance->root, "options", json_object(), err);
    if (status == TAMIS_OK) status = put(provenance->root, "inputs", json_array(), err);
    if (status == TAMIS_OK)
        *ret_provenance = provenance;
    else
        tamis_provenance_destroy(&provenance);
    return status;
}

void tamis_provenance_destroy(tamis_provenance **provenance)
{
    if (!provenance || !*provenance) return;
    json_decref((*provenance)->root);
    free((*provenance)->text);
    free(*provenance);
    *provenance = NULL;
}

tamis_status tamis_provenance_command(tamis_provenance *provenance, const char *command,
                                      tamis_error *err)
{
    return put(provenance->root, "command", text_of(command), err);
}

tamis_status tamis_provenance_text(tamis_provenance *provenance, const char *name,
                                   const char *value, tamis_error *err)
{
    return put(json_object_get(provenance->root, "options"), name, text_of(value), err);
}

tamis_status tamis_provenance_number(tamis_provenance *provenance, const char *name, double value,
                                     tamis_error *err)
{
    return put(json_object_get(provenance->root, "options"), name, number_of(value), err);
}

/* --- inputs --------------------------------------------------------------------------------- */

/* What is recorded of an input. */
typedef struct input_facts {
    bool known; /* false: a pipe, whose bytes are gone once looked at */
    uint64_t size;
    char digest[40];
} input_facts;

static tamis_status store_facts(tamis_context *context, const char *path, input_facts *facts,
                                tamis_error *err)
{
    tamis_store *store;
    TAMIS_TRY(tamis_store_open(&store, context, path, err));
    snprintf(facts->digest, sizeof facts->digest, "rows-xxh3-64:%016" PRIx64,
             tamis_store_info_get(store)->digest);
    tamis_store_close(&store);
    return TAMIS_OK;
}

static tamis_status file_facts(tamis_context *context, const char *path, input_facts *facts,
                               tamis_error *err)
{
    tamis__input input;
    uint64_t digest = 0;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis__input_sequential(&input);
    facts->size = input.size;
    bool done = tamis__digest_input(&input, &digest);
    tamis__input_close(&input);
    if (!done) return tamis__fail_memory(err, "a digest", 0);
    snprintf(facts->digest, sizeof facts->digest, "xxh3-64:%016" PRIx64, digest);
    return TAMIS_OK;
}

static bool is_store(const char *path)
{
    char kind[32];
    return tamis_file_kind(path, kind, NULL) == TAMIS_OK && !strcmp(kind, "gradient-store");
}

static tamis_status look_at(tamis_context *context, const char *path, input_facts *facts,
                            tamis_error *err)
{
    struct stat st;
    *facts = (input_facts){.known = false};
    if (!strcmp(path, "-")) return TAMIS_OK;
    if (stat(path, &st)) return tamis__fail_errno(err, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return TAMIS_OK;
    facts->known = true;
    facts->size = (uint64_t)st.st_size;
    if (S_ISDIR(st.st_mode)) {
        TAMIS_TRY(tamis__path_size(path, &facts->size, err));
        return store_facts(context, path, facts, err);
    }
    return is_store(path) ? store_facts(context, path, facts, err)
                          : file_facts(context, path, facts, err);
}

static tamis_status describe(json_t *entry, const char *role, const char *path,
                             const input_facts *facts, tamis_error *err)
{
    TAMIS_TRY(put(entry, "role", text_of(role), err));
    TAMIS_TRY(put(entry, "path", text_of(path), err));
    TAMIS_TRY(put(entry, "size", facts->known ? json_integer((json_int_t)facts->size) : json_null(),
                  err));
    return put(entry, "digest", facts->known ? json_string(facts->digest) : json_null(), err);
}

tamis_status tamis_provenance_input(tamis_provenance *provenance, tamis_context *context,
                                    const char *role, const char *path, tamis_error *err)
{
    input_facts facts;
    TAMIS_TRY(look_at(context, path, &facts, err));
    json_t *entry = json_object();
    tamis_status status = entry ? describe(entry, role, path, &facts, err) : no_memory(err);
    if (status != TAMIS_OK) {
        json_decref(entry);
        return status;
    }
    if (json_array_append_new(json_object_get(provenance->root, "inputs"), entry))
        return no_memory(err);
    return TAMIS_OK;
}

const char *tamis_provenance_json(tamis_provenance *provenance)
{
    char *dumped = json_dumps(provenance->root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    char *text = dumped ? tamis__strdup(dumped) : NULL;
    free(dumped);
    if (!text) return NULL;
    free(provenance->text);
    provenance->text = text;
    return text;
}
