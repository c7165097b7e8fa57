/* What the rows of a store are of, and how they came to be: function, direction, labels,
 * projection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_origin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/utf8.h"

/* Bytes of a name that ends up in messages and in JSON. */
#define NAME_MAX_SIZE 63u

static bool is_name(const char *text)
{
    size_t size = strlen(text);
    bool good = size > 0 && size <= NAME_MAX_SIZE;
    for (size_t i = 0, step = 1; good && i < size; i += step) {
        step = tamis__utf8_sequence(text + i, size - i);
        good = step > 0;
    }
    return good;
}

/* --- a writer's ------------------------------------------------------------------------------- */

static tamis_status copy_text(char **ret_copy, const char *text, const char *what, const char *path,
                              tamis_error *err)
{
    if (!text) return TAMIS_OK;
    if (!is_name(text))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "cannot write '%s': its %s is not a text of 1 to %u bytes in UTF-8",
                           path, what, NAME_MAX_SIZE);
    *ret_copy = tamis__strdup(text);
    return *ret_copy ? TAMIS_OK : tamis__fail_memory(err, what, strlen(text));
}

static tamis_status copy(tamis__store_origin *origin, const tamis_store_spec *spec,
                         tamis_error *err)
{
    TAMIS_TRY(copy_text(&origin->function, spec->function, "function", spec->path, err));
    TAMIS_TRY(copy_text(&origin->direction, spec->direction, "direction", spec->path, err));
    TAMIS_TRY(tamis__store_whitening_copy(&origin->whitening, spec->whitening, spec->path, err));
    TAMIS_TRY(copy_text(&origin->labels, spec->labels, "kind of labels", spec->path, err));
    origin->label_seed = spec->label_seed;
    origin->rows_per_example = spec->rows_per_example ? spec->rows_per_example : 1;
    if (!spec->projection) return TAMIS_OK;
    const char *kind = spec->projection->kind ? spec->projection->kind : "";
    TAMIS_TRY(copy_text(&origin->kind, kind, "kind of projection", spec->path, err));
    origin->projection = *spec->projection;
    origin->projection.kind = origin->kind;
    return TAMIS_OK;
}

tamis_status tamis__store_origin_copy(tamis__store_origin *ret_origin, const tamis_store_spec *spec,
                                      tamis_error *err)
{
    tamis__store_origin origin = {0};
    tamis_status status = copy(&origin, spec, err);
    if (status != TAMIS_OK)
        tamis__store_origin_fini(&origin);
    else
        *ret_origin = origin;
    return status;
}

tamis_status tamis__store_origin_write(const tamis__store_origin *origin, const tamis__h5 *h5,
                                       tamis_error *err)
{
    static const char group[] = "projection";
    const tamis_projection *p = &origin->projection;
    if (origin->function) TAMIS_TRY(tamis__h5_put_text(h5, "/", "function", origin->function, err));
    if (origin->direction)
        TAMIS_TRY(tamis__h5_put_text(h5, "/", "direction", origin->direction, err));
    TAMIS_TRY(tamis__store_whitening_write(&origin->whitening, h5, err));
    if (origin->labels) TAMIS_TRY(tamis__h5_put_text(h5, "/", "labels", origin->labels, err));
    if (origin->label_seed)
        TAMIS_TRY(tamis__h5_put_u64(h5, "/", "label_seed", origin->label_seed, err));
    if (origin->rows_per_example > 1)
        TAMIS_TRY(tamis__h5_put_u32(h5, "/", "rows_per_example", origin->rows_per_example, err));
    if (!origin->kind) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_group(h5, group, err));
    TAMIS_TRY(tamis__h5_put_text(h5, group, "kind", p->kind, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, group, "seed", p->seed, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, group, "from", p->from, err));
    TAMIS_TRY(tamis__h5_put_u64(h5, group, "to", p->to, err));
    if (p->nonzeros) TAMIS_TRY(tamis__h5_put_u32(h5, group, "nonzeros", p->nonzeros, err));
    return p->layers ? tamis__h5_put_u64(h5, group, "layers", p->layers, err) : TAMIS_OK;
}

/* --- a file's --------------------------------------------------------------------------------- */

/* The text being made: room for a kind of which every byte is escaped, and five numbers. Jansson's
 * integers have no room for a seed of 64 bits. */
typedef struct members {
    char text[640];
    int used;
} members;

static tamis_status take_kind(tamis__store_origin *origin, members *list, const tamis__h5 *h5,
                              tamis_error *err)
{
    bool there = tamis__h5_has_attribute(h5, "projection", "kind");
    if (!there) {
        origin->kind = tamis__strdup("");
        return origin->kind ? TAMIS_OK : tamis__fail_memory(err, "a projection", 1);
    }
    TAMIS_TRY(tamis__h5_get_text(h5, "projection", "kind", &origin->kind, err));
    if (!is_name(origin->kind))
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s': attribute kind of projection is not a text of 1 to %u bytes in UTF-8", h5->path,
            NAME_MAX_SIZE);
    json_t *kind = json_string(origin->kind);
    char *quoted = kind ? json_dumps(kind, JSON_ENCODE_ANY) : NULL;
    json_decref(kind);
    if (!quoted) return tamis__fail_memory(err, "a projection", sizeof list->text);
    list->used = snprintf(list->text, sizeof list->text, "\"kind\":%s", quoted);
    free(quoted);
    return TAMIS_OK;
}

static tamis_status take_number(uint64_t *ret_value, members *list, const tamis__h5 *h5,
                                const char *name, uint64_t most, tamis_error *err)
{
    if (!tamis__h5_has_attribute(h5, "projection", name)) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_u64(h5, "projection", name, ret_value, err));
    if (*ret_value > most)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute %s of projection is %llu",
                           h5->path, name, (unsigned long long)*ret_value);
    list->used += snprintf(list->text + list->used, sizeof list->text - (size_t)list->used,
                           "%s\"%s\":%llu", list->used ? "," : "", name,
                           (unsigned long long)*ret_value);
    return TAMIS_OK;
}

static tamis_status read_projection(tamis__store_origin *origin, const tamis__h5 *h5,
                                    tamis_error *err)
{
    members list = {.used = 0};
    uint64_t nonzeros = 0;
    tamis_projection *p = &origin->projection;
    if (!tamis__h5_has(h5, "projection")) return TAMIS_OK;
    TAMIS_TRY(take_kind(origin, &list, h5, err));
    TAMIS_TRY(take_number(&p->seed, &list, h5, "seed", UINT64_MAX, err));
    TAMIS_TRY(take_number(&p->from, &list, h5, "from", UINT64_MAX, err));
    TAMIS_TRY(take_number(&p->to, &list, h5, "to", UINT64_MAX, err));
    TAMIS_TRY(take_number(&nonzeros, &list, h5, "nonzeros", UINT32_MAX, err));
    TAMIS_TRY(take_number(&p->layers, &list, h5, "layers", UINT64_MAX, err));
    p->kind = origin->kind;
    p->nonzeros = (uint32_t)nonzeros;
    size_t size = (size_t)list.used + sizeof "{}";
    origin->text = tamis__malloc(size, 1);
    if (!origin->text) return tamis__fail_memory(err, "a projection", size);
    snprintf(origin->text, size, "{%s}", list.text);
    return TAMIS_OK;
}

static tamis_status read_text(char **ret_text, const tamis__h5 *h5, const char *name,
                              tamis_error *err)
{
    if (!tamis__h5_has_attribute(h5, "/", name)) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_get_text(h5, "/", name, ret_text, err));
    if (is_name(*ret_text)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': attribute %s of / is not a text of 1 to %u bytes in UTF-8", h5->path,
                       name, NAME_MAX_SIZE);
}

static tamis_status read_labels(tamis__store_origin *origin, const tamis__h5 *h5, tamis_error *err)
{
    uint64_t together = 1;
    TAMIS_TRY(read_text(&origin->labels, h5, "labels", err));
    if (tamis__h5_has_attribute(h5, "/", "label_seed"))
        TAMIS_TRY(tamis__h5_get_u64(h5, "/", "label_seed", &origin->label_seed, err));
    if (tamis__h5_has_attribute(h5, "/", "rows_per_example"))
        TAMIS_TRY(tamis__h5_get_u64(h5, "/", "rows_per_example", &together, err));
    if (together == 0 || together > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': attribute rows_per_example of / is %llu: it must be at least 1",
                           h5->path, (unsigned long long)together);
    origin->rows_per_example = (uint32_t)together;
    return TAMIS_OK;
}

tamis_status tamis__store_origin_read(tamis__store_origin *ret_origin, const tamis__h5 *h5,
                                      tamis_error *err)
{
    tamis__store_origin origin = {0};
    tamis_status status = read_text(&origin.function, h5, "function", err);
    if (status == TAMIS_OK) status = read_text(&origin.direction, h5, "direction", err);
    if (status == TAMIS_OK) status = read_labels(&origin, h5, err);
    if (status == TAMIS_OK) status = read_projection(&origin, h5, err);
    if (status == TAMIS_OK) status = tamis__store_whitening_read(&origin.whitening, h5, err);
    if (status != TAMIS_OK)
        tamis__store_origin_fini(&origin);
    else
        *ret_origin = origin;
    return status;
}

/* --- either's --------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

const char *tamis__store_origin_difference(const tamis__store_origin *a,
                                           const tamis__store_origin *b)
{
    const tamis_projection *p = &a->projection, *q = &b->projection;
    if (!same_text(a->kind, b->kind) || p->seed != q->seed || p->from != q->from ||
        p->to != q->to || p->nonzeros != q->nonzeros || p->layers != q->layers)
        return "another projection";
    if (!tamis__store_whitening_same(&a->whitening, &b->whitening)) return "another whitening";
    if (!same_text(a->function, b->function)) return "another function";
    if (!same_text(a->direction, b->direction)) return "another direction";
    bool labels = same_text(a->labels, b->labels) && a->label_seed == b->label_seed &&
                  a->rows_per_example == b->rows_per_example;
    return labels ? NULL : "labels of another kind";
}

void tamis__store_origin_fini(tamis__store_origin *origin)
{
    free(origin->function);
    free(origin->direction);
    free(origin->kind);
    free(origin->text);
    tamis__store_whitening_fini(&origin->whitening);
    free(origin->labels);
    *origin = (tamis__store_origin){0};
}
