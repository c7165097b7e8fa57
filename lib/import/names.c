/* Distinct names, and their order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/texts.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* The slot of a name, or the free one where it belongs. Slots are a power of two, never all
 * full. */
static size_t find_slot(const tamis__names *names, const char *text, size_t size)
{
    size_t mask = names->slots - 1, at = (size_t)tamis__digest(text, size) & mask;
    for (; names->slot[at]; at = (at + 1) & mask) {
        size_t start = names->list.start[names->slot[at] - 1];
        const char *there = names->list.bytes + start;
        if (size < names->list.used - start && memcmp(there, text, size) == 0 &&
            there[size] == '\0')
            break;
    }
    return at;
}

static tamis_status enlarge(tamis__names *names, tamis_error *err)
{
    tamis__names larger = {.list = names->list, .slots = names->slots ? 2 * names->slots : 64};
    larger.slot = tamis__calloc(larger.slots, sizeof *larger.slot);
    if (!larger.slot)
        return tamis__fail_memory(err, "a table of names", larger.slots * sizeof *larger.slot);
    for (size_t i = 0; i < names->list.count; i++) {
        const char *text = tamis__strings_at(&names->list, i);
        larger.slot[find_slot(&larger, text, strlen(text))] = (uint32_t)i + 1;
    }
    free(names->slot);
    *names = larger;
    return TAMIS_OK;
}

int32_t tamis__names_find(const tamis__names *names, const char *text, size_t size)
{
    if (names->slots == 0) return -1;
    size_t at = find_slot(names, text, size);
    return (int32_t)names->slot[at] - 1;
}

tamis_status tamis__names_add(tamis__names *names, const char *text, size_t size,
                              int32_t *ret_index, tamis_error *err)
{
    if (2 * (names->list.count + 1) > names->slots) TAMIS_TRY(enlarge(names, err));
    size_t at = find_slot(names, text, size);
    if (!names->slot[at]) {
        if (names->list.count == INT32_MAX - 1)
            return tamis__fail(err, TAMIS_ERR_FORMAT, "there are over %d different names",
                               INT32_MAX - 1);
        TAMIS_TRY(tamis__strings_add(&names->list, text, size, err));
        names->slot[at] = (uint32_t)names->list.count;
    }
    *ret_index = (int32_t)names->slot[at] - 1;
    return TAMIS_OK;
}

/* What is sorted. */
typedef struct entry {
    const char *text;
    int64_t number;
    uint32_t index;
} entry;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->text, ((const entry *)b)->text);
}

/* "7" and "07" are different names of one number. */
static int by_number(const void *a, const void *b)
{
    int64_t x = ((const entry *)a)->number, y = ((const entry *)b)->number;
    if (x != y) return x < y ? -1 : 1;
    return by_text(a, b);
}

static void sort_entries(const tamis__names *names, entry *list)
{
    bool numbers = true;
    for (size_t i = 0; i < names->list.count; i++) {
        const char *text = tamis__strings_at(&names->list, i);
        list[i] = (entry){.text = text, .index = (uint32_t)i};
        numbers = numbers && tamis__parse_int64(text, strlen(text), &list[i].number);
    }
    qsort(list, names->list.count, sizeof *list, numbers ? by_number : by_text);
}

tamis_status tamis__names_sort(const tamis__names *names, int32_t *index, uint64_t n,
                               char ***ret_block, tamis_error *err)
{
    size_t count = names->list.count;
    entry *list = tamis__malloc(count, sizeof *list);
    uint32_t *order = tamis__malloc(count, sizeof *order);
    int32_t *place = tamis__malloc(count, sizeof *place);
    char **block = NULL;
    if (list && order && place) {
        sort_entries(names, list);
        for (size_t i = 0; i < count; i++) {
            order[i] = list[i].index;
            place[list[i].index] = (int32_t)i;
        }
        block = tamis__strings_block(&names->list, order);
    }
    for (uint64_t i = 0; block && i < n; i++)
        if (index[i] >= 0) index[i] = place[index[i]];
    free(list);
    free(order);
    free(place);
    if (!block) return tamis__fail_memory(err, "a table of names", count * sizeof *list);
    *ret_block = block;
    return TAMIS_OK;
}

void tamis__names_fini(tamis__names *names)
{
    tamis__strings_fini(&names->list);
    free(names->slot);
    *names = (tamis__names){0};
}
