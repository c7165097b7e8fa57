/* Reasons of the dropped rows, as CSV.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/reasons.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/text.h"

static tamis_status write_id(const tamis_selection *selection, uint64_t row, tamis__output *output,
                             tamis_error *err)
{
    const tamis_examples *examples = &selection->examples;
    if (examples->id_text) return tamis__output_csv(output, examples->id_text[row], err);
    return tamis__output_printf(output, err, "%" PRIu64,
                                examples->id_number ? examples->id_number[row] : row);
}

static tamis_status write_row(const tamis_selection *selection, uint64_t row, tamis__output *output,
                              tamis_error *err)
{
    char score[TAMIS__NUMBER_SIZE];
    tamis__format_float(score, selection->score[row]);
    uint16_t reason = selection->reason[row];
    TAMIS_TRY(tamis__output_printf(output, err, "%" PRIu64 ",", row));
    TAMIS_TRY(write_id(selection, row, output, err));
    TAMIS_TRY(tamis__output_printf(output, err, ",%s,%" PRIu64 ",", score, selection->rank[row]));
    TAMIS_TRY(tamis__output_csv(
        output, reason < selection->reasons ? selection->reason_text[reason] : "", err));
    return tamis__output_write(output, "\n", 1, err);
}

tamis_status tamis__reasons_write(const tamis_selection *selection, tamis__output *output,
                                  tamis_error *err)
{
    static const char header[] = "row,id,score,rank,reason\n";
    TAMIS_TRY(tamis__output_write(output, header, sizeof header - 1, err));
    for (uint64_t row = 0; row < selection->rows; row++)
        if (!selection->keep[row]) TAMIS_TRY(write_row(selection, row, output, err));
    return TAMIS_OK;
}
