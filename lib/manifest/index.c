/* Index lists: the numbers of the kept rows, ascending, as text or as an int64 array.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "import/npy.h"
#include "manifest/registry.h"

typedef tamis_status (*write_row)(tamis__output *output, uint64_t row, tamis_error *err);

static tamis_status write_text(tamis__output *output, uint64_t row, tamis_error *err)
{
    char line[24], *p = line + sizeof line;
    *--p = '\n';
    do {
        *--p = (char)('0' + row % 10);
        row /= 10;
    } while (row > 0);
    return tamis__output_write(output, p, (size_t)(line + sizeof line - p), err);
}

static tamis_status write_binary(tamis__output *output, uint64_t row, tamis_error *err)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < 8; i++) bytes[i] = (unsigned char)(row >> (8 * i));
    return tamis__output_write(output, bytes, sizeof bytes, err);
}

static tamis_status write_rows(const tamis__manifest_job *job, write_row write,
                               tamis_manifest_result *result, tamis_error *err)
{
    const tamis_selection *selection = job->selection;
    for (uint64_t row = 0; row < selection->rows; row++) {
        tamis__output *output = selection->keep[row] ? job->kept : job->dropped;
        if (output) TAMIS_TRY(write(output, row, err));
    }
    result->records = selection->rows;
    return TAMIS_OK;
}

static tamis_status write_index(const tamis__manifest_job *job, tamis_manifest_result *result,
                                tamis_error *err)
{
    return write_rows(job, write_text, result, err);
}

static tamis_status write_index_npy(const tamis__manifest_job *job, tamis_manifest_result *result,
                                    tamis_error *err)
{
    uint64_t kept = 0;
    for (uint64_t row = 0; row < job->selection->rows; row++)
        kept += job->selection->keep[row] != 0;
    uint64_t dropped = job->selection->rows - kept;
    TAMIS_TRY(tamis__npy_write_header(job->kept, "<i8", 1, &kept, err));
    if (job->dropped) TAMIS_TRY(tamis__npy_write_header(job->dropped, "<i8", 1, &dropped, err));
    return write_rows(job, write_binary, result, err);
}

const tamis__manifest_class tamis__manifest_index = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "index",
             .summary = "numbers of the kept rows, one a line, ascending",
             .extensions = ".txt .index"},
    .write = write_index,
};

const tamis__manifest_class tamis__manifest_index_npy = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "index-npy",
             .summary = "numbers of the kept rows, ascending, as an int64 .npy array",
             .extensions = ".npy"},
    .write = write_index_npy,
};
