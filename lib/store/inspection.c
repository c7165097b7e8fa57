/* Facts and findings: how they are gathered and worded.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/inspection.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* Room for item n of an array whose room is always the next power of two. NULL when out of memory.
 */
static void *room_for(void *array, size_t n, size_t size)
{
    return n & (n - 1) ? array : tamis__realloc(array, n ? 2 * n : 1, size);
}

/* --- facts ------------------------------------------------------------------------------------ */

static tamis_status add_fact(tamis_inspection *inspection, const char *key, tamis_fact **ret_fact,
                             tamis_error *err)
{
    tamis_fact *grown = room_for(inspection->fact, inspection->facts, sizeof *grown);
    if (grown) inspection->fact = grown;
    char *copy = grown ? tamis__strdup(key) : NULL;
    if (!copy) return tamis__fail_memory(err, "an inspection", sizeof *grown);
    tamis_fact *fact = &inspection->fact[inspection->facts++];
    *fact = (tamis_fact){.key = copy};
    *ret_fact = fact;
    return TAMIS_OK;
}

tamis_status tamis__fact_text(tamis_inspection *inspection, const char *key, tamis_error *err,
                              const char *format, ...)
{
    tamis_fact *fact = NULL;
    va_list args;
    TAMIS_TRY(add_fact(inspection, key, &fact, err));
    va_start(args, format);
    vsnprintf(fact->value, sizeof fact->value, format, args);
    va_end(args);
    return TAMIS_OK;
}

tamis_status tamis__fact_count(tamis_inspection *inspection, const char *key, uint64_t value,
                               tamis_error *err)
{
    TAMIS_TRY(tamis__fact_text(inspection, key, err, "%" PRIu64, value));
    inspection->fact[inspection->facts - 1].is_number = 1;
    return TAMIS_OK;
}

tamis_status tamis__fact_real(tamis_inspection *inspection, const char *key, double value,
                              tamis_error *err)
{
    char number[TAMIS__NUMBER_SIZE];
    tamis__format_double(number, value);
    TAMIS_TRY(tamis__fact_text(inspection, key, err, "%s", number));
    inspection->fact[inspection->facts - 1].is_number = isfinite(value) != 0;
    return TAMIS_OK;
}

tamis_status tamis__fact_layers(tamis_inspection *inspection, const tamis_layer *layer,
                                uint32_t layers, tamis_error *err)
{
    char key[32];
    TAMIS_TRY(tamis__fact_count(inspection, "layers", layers, err));
    for (uint32_t l = 0; l < layers; l++) {
        snprintf(key, sizeof key, "layer_%" PRIu32, l);
        TAMIS_TRY(tamis__fact_text(
            inspection, key, err,
            "%.100s: %" PRIu64 " x %" PRIu64 "%s, columns %" PRIu64 " to %" PRIu64, layer[l].name,
            layer[l].out, layer[l].in, layer[l].bias ? " + bias" : "", layer[l].first_column,
            layer[l].first_column + tamis_layer_columns(&layer[l]) - 1));
    }
    return TAMIS_OK;
}

tamis_status tamis__fact_checkpoints(tamis_inspection *inspection,
                                     const tamis_checkpoint *checkpoint, uint32_t checkpoints,
                                     tamis_error *err)
{
    char key[48];
    TAMIS_TRY(tamis__fact_count(inspection, "checkpoints", checkpoints, err));
    for (uint32_t k = 0; k < checkpoints; k++) {
        snprintf(key, sizeof key, "checkpoint_%" PRIu32 "_step", k);
        TAMIS_TRY(tamis__fact_count(inspection, key, checkpoint[k].step, err));
        snprintf(key, sizeof key, "checkpoint_%" PRIu32 "_learning_rate", k);
        TAMIS_TRY(tamis__fact_real(inspection, key, checkpoint[k].learning_rate, err));
    }
    return TAMIS_OK;
}

/* --- findings --------------------------------------------------------------------------------- */

tamis_status tamis__finding(tamis_inspection *inspection, bool severe, const char *key,
                            uint64_t count, tamis_error *err, const char *format, ...)
{
    va_list args;
    tamis_finding *grown = room_for(inspection->finding, inspection->findings, sizeof *grown);
    if (!grown) return tamis__fail_memory(err, "an inspection", sizeof *grown);
    inspection->finding = grown;
    tamis_finding *finding = &grown[inspection->findings++];
    *finding = (tamis_finding){.severe = severe, .key = key, .count = count};
    va_start(args, format);
    vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
    return TAMIS_OK;
}

static const char *plural(const char *unit, uint64_t count)
{
    if (!strcmp(unit, "query")) return count == 1 ? "query" : "queries";
    return count == 1 ? "row" : "rows";
}

tamis_status tamis__finding_rows(tamis_inspection *inspection, bool severe, const char *key,
                                 const tamis__culprits *culprits, const char *unit,
                                 const char *what, tamis_error *err)
{
    char list[160];
    size_t used = 0;
    uint64_t count = culprits->count;
    if (count == 0) return TAMIS_OK;
    for (uint64_t i = 0; i < count && i < TAMIS__NAMED_ROWS; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%" PRIu64, i ? ", " : "",
                                 culprits->first[i]);
    return tamis__finding(inspection, severe, key, count, err, "%s: %" PRIu64 " %s (%s%s)", what,
                          count, plural(unit, count), list,
                          count > TAMIS__NAMED_ROWS ? " ..." : "");
}

/* --- repeats ---------------------------------------------------------------------------------- */

typedef struct keyed_row {
    uint64_t key, row;
} keyed_row;

static int by_key_and_row(const void *left, const void *right)
{
    const keyed_row *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* The repeats with the lowest rows, kept in order. */
typedef struct repeats {
    uint64_t count;
    struct {
        uint64_t row, of;
    } first[TAMIS__NAMED_ROWS];
} repeats;

static void add_repeat(repeats *r, uint64_t row, uint64_t of)
{
    size_t n = r->count < TAMIS__NAMED_ROWS ? (size_t)r->count : TAMIS__NAMED_ROWS, at = n;
    r->count++;
    while (at > 0 && r->first[at - 1].row > row) at--;
    if (at == TAMIS__NAMED_ROWS) return;
    size_t last = n < TAMIS__NAMED_ROWS ? n : TAMIS__NAMED_ROWS - 1;
    memmove(&r->first[at + 1], &r->first[at], (last - at) * sizeof r->first[0]);
    r->first[at].row = row;
    r->first[at].of = of;
}

static tamis_status tell_repeats(tamis_inspection *inspection, bool severe, const char *key,
                                 const repeats *r, const char *unit, const char *what,
                                 tamis_error *err)
{
    char list[256];
    size_t used = 0;
    if (r->count == 0) return TAMIS_OK;
    for (uint64_t i = 0; i < r->count && i < TAMIS__NAMED_ROWS; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%" PRIu64 " as %" PRIu64,
                                 i ? ", " : "", r->first[i].row, r->first[i].of);
    return tamis__finding(inspection, severe, key, r->count, err, "%s: %" PRIu64 " %s (%s%s)", what,
                          r->count, plural(unit, r->count), list,
                          r->count > TAMIS__NAMED_ROWS ? " ..." : "");
}

tamis_status tamis__finding_repeats(tamis_inspection *inspection, bool severe,
                                    const char *finding_key, const uint64_t *key, const bool *skip,
                                    uint64_t rows, const char *unit, const char *what,
                                    tamis_error *err)
{
    repeats found = {0};
    uint64_t n = 0, first = 0;
    keyed_row *pair = tamis__malloc((size_t)rows, sizeof *pair);
    if (!pair) return tamis__fail_memory(err, "looking for repeats", rows * sizeof *pair);
    for (uint64_t row = 0; row < rows; row++)
        if (!skip || !skip[row]) pair[n++] = (keyed_row){key[row], row};
    qsort(pair, (size_t)n, sizeof *pair, by_key_and_row);
    for (uint64_t i = 1; i < n; i++) {
        if (pair[i].key == pair[first].key)
            add_repeat(&found, pair[i].row, pair[first].row);
        else
            first = i;
    }
    free(pair);
    return tell_repeats(inspection, severe, finding_key, &found, unit, what, err);
}

tamis_status tamis__finding_ids(tamis_inspection *inspection, const tamis_examples *examples,
                                uint64_t rows, const char *unit, tamis_error *err)
{
    const char *what = "an id that stands at an earlier one too";
    bool severe = true;
    if (examples->id_number)
        return tamis__finding_repeats(inspection, severe, "repeated_ids", examples->id_number, NULL,
                                      rows, unit, what, err);
    if (!examples->id_text) return TAMIS_OK;
    uint64_t *key = tamis__malloc((size_t)rows, sizeof *key);
    if (!key) return tamis__fail_memory(err, "looking for repeats", rows * sizeof *key);
    for (uint64_t row = 0; row < rows; row++)
        key[row] = tamis__digest(examples->id_text[row], strlen(examples->id_text[row]));
    tamis_status status = tamis__finding_repeats(inspection, severe, "repeated_ids", key, NULL,
                                                 rows, unit, what, err);
    free(key);
    return status;
}
