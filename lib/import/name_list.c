/* Lists of column names in options.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/param.h>

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "import/fields.h"
#include "import/registry.h"

ptrdiff_t tamis__name_index(const tamis__strings *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(tamis__strings_at(list, i), name) == 0) return (ptrdiff_t)i;
    return -1;
}

static tamis_status add_names(tamis__fields *fields, tamis__strings *list, const char *option,
                              tamis_error *err)
{
    while (fields->more) {
        tamis__field field;
        TAMIS_TRY(tamis__fields_next(fields, &field, err));
        TAMIS_TRY(tamis__strings_add(list, field.text, field.size, err));
        const char *name = tamis__strings_at(list, list->count - 1);
        if (tamis__name_index(list, name) + 1 < (ptrdiff_t)list->count)
            return tamis__fail(err, TAMIS_ERR_ARG, "%s: '%.100s' is named twice", option, name);
    }
    return TAMIS_OK;
}

tamis_status tamis__name_list(tamis__strings *ret_list, const char *text, const char *option,
                              tamis_error *err)
{
    tamis__strings list = {0};
    tamis__fields fields = {0};
    if (text) tamis__fields_start(&fields, ',', text, strlen(text));
    tamis_status status = add_names(&fields, &list, option, err);
    tamis__fields_fini(&fields);
    if (status != TAMIS_OK) {
        tamis__strings_fini(&list);
        /* What is wrong in a file's field is wrong in the caller's argument here. */
        if (status == TAMIS_ERR_FORMAT) {
            if (err) err->status = TAMIS_ERR_ARG;
            tamis__prefix(err, TAMIS_ERR_ARG, "%s", option);
            status = TAMIS_ERR_ARG;
        }
        return status;
    }
    *ret_list = list;
    return TAMIS_OK;
}

tamis_status tamis__feature_list(tamis__strings *ret_list, const tamis_data_options *options,
                                 tamis_error *err)
{
    tamis__names names = {0};
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; i < options->features_named && status == TAMIS_OK; i++) {
        const char *name = options->feature_name[i];
        int32_t index = -1;
        status = tamis__names_add(&names, name, strlen(name), &index, err);
        if (status == TAMIS_OK && (uint64_t)index != i)
            status = tamis__fail(err, TAMIS_ERR_ARG, "the feature '%.100s' is named twice", name);
    }
    if (status == TAMIS_OK) {
        *ret_list = names.list;
        names.list = (tamis__strings){0};
    }
    tamis__names_fini(&names);
    return status;
}

tamis_status tamis__feature_missing(tamis_status status, tamis_error *err)
{
    if (status != TAMIS_ERR_ARG) return status;
    if (err) err->status = TAMIS_ERR_FORMAT;
    return TAMIS_ERR_FORMAT;
}

tamis_status tamis__no_such_name(const tamis__strings *list, const char *path, const char *what,
                                 const char *name, tamis_error *err)
{
    char **block = tamis__strings_block(list, NULL);
    if (!block) return tamis__fail_memory(err, "column names", list->used);
    const char *near = tamis_suggest(name, (const char *const *)block, list->count);
    tamis_status status = near ? tamis__fail(err, TAMIS_ERR_ARG,
                                             "'%s' has no %s '%.100s': did you mean '%.100s'?",
                                             path, what, name, near)
                               : tamis__fail(
                                     err, TAMIS_ERR_ARG,
                                     "'%s' has no %s '%.100s': the first of its %zu is '%.100s'",
                                     path, what, name, list->count, list->count ? block[0] : "");
    free(block);
    return status;
}
