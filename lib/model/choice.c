/* Lists of layers and checkpoints as users write them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/choice.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* Numbers first .. last of a list of n; false when they are not all there. */
static bool parse_range(const char *text, size_t size, uint32_t n, uint32_t *ret_first,
                        uint32_t *ret_last)
{
    const char *dash = memchr(text, '-', size);
    size_t head = dash ? (size_t)(dash - text) : size;
    uint64_t first = 0, last = 0;
    if (!tamis__parse_uint64(text, head, &first)) return false;
    last = first;
    if (dash && !tamis__parse_uint64(dash + 1, size - head - 1, &last)) return false;
    if (first > last || last >= n) return false;
    *ret_first = (uint32_t)first;
    *ret_last = (uint32_t)last;
    return true;
}

static bool find_layer(const tamis_model_info *info, const char *text, size_t size,
                       uint32_t *ret_layer)
{
    for (uint32_t l = 0; l < info->layers; l++) {
        if (strlen(info->layer[l].name) != size || memcmp(info->layer[l].name, text, size) != 0)
            continue;
        *ret_layer = l;
        return true;
    }
    return false;
}

/* Names separated by commas, as many as fit. */
static void list_layers(const tamis_model_info *info, char *buffer, size_t size)
{
    size_t used = 0;
    for (uint32_t l = 0; l < info->layers && used < size; l++) {
        int n = snprintf(buffer + used, size - used, "%s%s", l ? ", " : "", info->layer[l].name);
        used += n > 0 ? (size_t)n : size;
    }
}

static tamis_status unknown_layer(const tamis_model_info *info, const char *text, size_t size,
                                  tamis_error *err)
{
    char names[500];
    list_layers(info, names, sizeof names);
    return tamis__fail(
        err, TAMIS_ERR_ARG,
        "no layer '%.*s': the layers are %s (or their numbers, or ranges such as 0-%" PRIu32 ")",
        (int)(size < 200 ? size : 200), text, names, info->layers - 1);
}

/* One word of a list: marks what it names. */
typedef tamis_status (*word_fn)(const tamis_model_info *info, const char *text, size_t size,
                                bool *chosen, tamis_error *err);

static tamis_status layer_word(const tamis_model_info *info, const char *text, size_t size,
                               bool *chosen, tamis_error *err)
{
    uint32_t first = 0, last = 0;
    if (find_layer(info, text, size, &first))
        last = first;
    else if (!parse_range(text, size, info->layers, &first, &last))
        return unknown_layer(info, text, size, err);
    for (uint32_t l = first; l <= last; l++) chosen[l] = true;
    return TAMIS_OK;
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static tamis_status checkpoint_word(const tamis_model_info *info, const char *text, size_t size,
                                    bool *chosen, tamis_error *err)
{
    uint32_t n = info->checkpoints, first = 0, last = n - 1;
    if (is_word(text, size, "last"))
        first = last;
    else if (!is_word(text, size, "all") && !parse_range(text, size, n, &first, &last))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "no checkpoint '%.*s': there are %" PRIu32
                           ", numbered from 0 (also \"all\", \"last\" and ranges such as 0-1)",
                           (int)(size < 200 ? size : 200), text, n);
    for (uint32_t k = first; k <= last; k++) chosen[k] = true;
    return TAMIS_OK;
}

static tamis_status mark_words(const tamis_model_info *info, const char *text, word_fn word,
                               bool *chosen, tamis_error *err)
{
    for (;;) {
        size_t size = strcspn(text, ",");
        TAMIS_TRY(word(info, text, size, chosen, err));
        if (text[size] == '\0') return TAMIS_OK;
        text += size + 1;
    }
}

static tamis_status choose(tamis__choice *ret_choice, const tamis_model_info *info, uint32_t n,
                           const char *text, word_fn word, tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    tamis__choice choice = {.item = tamis__calloc(n, sizeof *choice.item)};
    bool *chosen = tamis__calloc(n, sizeof *chosen);
    if (!choice.item || !chosen)
        status = tamis__fail_memory(err, "a list of layers or checkpoints",
                                    n * sizeof *choice.item);
    if (status == TAMIS_OK && text) status = mark_words(info, text, word, chosen, err);
    for (uint32_t i = 0; status == TAMIS_OK && i < n; i++)
        if (!text || chosen[i]) choice.item[choice.items++] = i;
    free(chosen);
    if (status == TAMIS_OK)
        *ret_choice = choice;
    else
        free(choice.item);
    return status;
}

tamis_status tamis__choose_layers(tamis__choice *ret_choice, const tamis_model_info *info,
                                  const char *text, tamis_error *err)
{
    return choose(ret_choice, info, info->layers, text, layer_word, err);
}

tamis_status tamis__choose_checkpoints(tamis__choice *ret_choice, const tamis_model_info *info,
                                       const char *text, tamis_error *err)
{
    return choose(ret_choice, info, info->checkpoints, text, checkpoint_word, err);
}

void tamis__choice_fini(tamis__choice *choice)
{
    free(choice->item);
    *choice = (tamis__choice){0};
}
