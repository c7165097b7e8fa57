/* Lists of rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/lists.h"

#include <string.h>

#include "base/error.h"
#include "import/npy.h"

tamis__list_item tamis__list_number(uint64_t number)
{
    tamis__list_item item;
    unsigned char *p = item.bytes + sizeof item.bytes;
    *--p = '\n';
    do {
        *--p = (unsigned char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    item.size = (size_t)(item.bytes + sizeof item.bytes - p);
    memmove(item.bytes, p, item.size);
    return item;
}

tamis__list_item tamis__list_int64(uint64_t number)
{
    tamis__list_item item = {.size = 8};
    for (unsigned i = 0; i < 8; i++) item.bytes[i] = (unsigned char)(number >> (8 * i));
    return item;
}

/* A dry run counts what the header would take: 128 bytes hold it for any number of rows. */
static tamis_status put_header(tamis__part *part, const char *npy, uint64_t n, tamis_error *err)
{
    if (!npy) return TAMIS_OK;
    part->bytes += 128;
    return part->output ? tamis__npy_write_header(part->output, npy, 1, &n, err) : TAMIS_OK;
}

static tamis_status put(tamis__part *part, const tamis__list_item *item, tamis_error *err)
{
    part->records++;
    part->bytes += item->size;
    return part->output ? tamis__output_write(part->output, item->bytes, item->size, err)
                        : TAMIS_OK;
}

static tamis_status list_part(const tamis__manifest_job *job, size_t which, const char *npy,
                              tamis__list_item (*item)(uint64_t row), tamis_error *err)
{
    const tamis__plan *plan = job->plan;
    tamis__part *part = &plan->of[which];
    TAMIS_TRY(put_header(part, npy, part->n, err));
    for (uint64_t i = 0; part->row && i < part->n; i++) {
        tamis__list_item one = item(part->row[i]);
        TAMIS_TRY(put(part, &one, err));
    }
    for (uint64_t row = 0; !part->row && row < plan->rows; row++) {
        if (plan->part[row] != which) continue;
        tamis__list_item one = item(row);
        for (uint32_t k = tamis__plan_times(plan, row); k > 0; k--) TAMIS_TRY(put(part, &one, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__list_rows(const tamis__manifest_job *job, const char *npy,
                              tamis__list_item (*item)(uint64_t row), tamis_manifest_result *result,
                              tamis_error *err)
{
    for (size_t i = 0; i < job->plan->parts; i++) TAMIS_TRY(list_part(job, i, npy, item, err));
    result->records = job->plan->rows;
    return TAMIS_OK;
}

tamis_status tamis__list_all(const tamis__manifest_job *job, const char *npy, bool repeats,
                             tamis__list_item (*item)(const tamis__manifest_job *job, size_t part,
                                                      uint64_t row),
                             tamis_manifest_result *result, tamis_error *err)
{
    const tamis__plan *plan = job->plan;
    if (!plan->in_order)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "a value for every row is in the order of the rows: leave out the order, "
            "or write an index");
    if (plan->times && !repeats)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "this list does not say how often a row is repeated: leave out the "
                           "repeats, or write counts or an index");
    for (size_t i = 0; i < plan->parts; i++) {
        TAMIS_TRY(put_header(&plan->of[i], npy, plan->rows, err));
        for (uint64_t row = 0; row < plan->rows; row++) {
            tamis__list_item one = item(job, i, row);
            TAMIS_TRY(put(&plan->of[i], &one, err));
        }
        plan->of[i].records = plan->of[i].n;
    }
    result->records = plan->rows;
    return TAMIS_OK;
}
