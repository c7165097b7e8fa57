/* Inspection of selections.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/selection.h>
#include <tamis/version.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5.h"
#include "store/inspection.h"

static tamis_status check_ranks(tamis_inspection *inspection, const tamis_selection *s,
                                tamis_error *err)
{
    tamis__culprits twice = {0}, late = {0};
    bool *seen = tamis__calloc((size_t)s->rows, sizeof *seen);
    if (!seen) return tamis__fail_memory(err, "checking ranks", s->rows);
    for (uint64_t row = 0; row < s->rows; row++) {
        if (seen[s->rank[row]]) tamis__culprit(&twice, row);
        seen[s->rank[row]] = true;
        if (s->keep[row] && s->rank[row] >= s->kept) tamis__culprit(&late, row);
    }
    free(seen);
    TAMIS_TRY(tamis__finding_rows(inspection, true, "repeated_ranks", &twice, "row",
                                  "a rank that stands at an earlier row too", err));
    return tamis__finding_rows(inspection, true, "rank_order", &late, "row",
                               "kept, but ranked behind a dropped one", err);
}

static tamis_status check_weights(tamis_inspection *inspection, const tamis_selection *s,
                                  tamis_error *err)
{
    tamis__culprits bad = {0}, lost = {0}, kept = {0}, missing = {0};
    for (uint64_t row = 0; row < s->rows; row++) {
        if (!isfinite(s->weight[row]) || s->weight[row] < 0) tamis__culprit(&bad, row);
        if (!s->keep[row] && s->weight[row] > 0) tamis__culprit(&lost, row);
        if (isnan(s->score[row])) tamis__culprit(s->keep[row] ? &kept : &missing, row);
    }
    TAMIS_TRY(tamis__finding_rows(inspection, true, "bad_weight", &bad, "row",
                                  "a weight that is negative or not finite", err));
    TAMIS_TRY(tamis__finding_rows(inspection, true, "not_finite", &kept, "row",
                                  "kept, but with a score that is not a number", err));
    TAMIS_TRY(tamis__finding_rows(inspection, false, "without_score", &missing, "row",
                                  "dropped without a score", err));
    return tamis__finding_rows(inspection, false, "weight_of_dropped", &lost, "row",
                               "dropped, but with a weight", err);
}

/* The attribute is what a reader of the header alone believes. */
static tamis_status check_kept(tamis_inspection *inspection, const tamis_selection *s,
                               const char *path, tamis_error *err)
{
    tamis__h5 h5;
    uint64_t claimed = 0;
    TAMIS_TRY(tamis__h5_open(&h5, path, "selection", TAMIS_FORMAT_VERSION, err));
    tamis_status status = tamis__h5_get_u64(&h5, "/", "kept", &claimed, err);
    tamis__h5_close(&h5);
    TAMIS_TRY(status);
    if (claimed != s->kept)
        TAMIS_TRY(tamis__finding(inspection, true, "kept_mismatch", s->kept, err,
                                 "attribute 'kept' says %" PRIu64 " rows, the table keeps %" PRIu64,
                                 claimed, s->kept));
    if (s->kept == 0)
        return tamis__finding(inspection, true, "nothing_kept", s->rows, err,
                              "none of the %" PRIu64 " rows is kept", s->rows);
    return TAMIS_OK;
}

static tamis_status describe_selection(tamis_inspection *inspection, tamis_selection *s,
                                       tamis_error *err)
{
    TAMIS_TRY(tamis__fact_count(inspection, "rows", s->rows, err));
    TAMIS_TRY(tamis__fact_count(inspection, "kept", s->kept, err));
    TAMIS_TRY(tamis__fact_real(inspection, "kept_percent",
                               100.0 * (double)s->kept / (double)s->rows, err));
    TAMIS_TRY(tamis__fact_text(inspection, "selector", err, "%s", s->selector));
    TAMIS_TRY(tamis__fact_count(inspection, "reasons", s->reasons, err));
    inspection->provenance = s->provenance;
    s->provenance = NULL;
    return TAMIS_OK;
}

tamis_status tamis__inspect_selection(tamis_inspection *inspection, tamis_context *context,
                                      const char *path, bool quick, tamis_error *err)
{
    tamis_selection *selection;
    TAMIS_TRY(tamis_selection_load(&selection, context, path, err));
    tamis_status status = describe_selection(inspection, selection, err);
    if (status == TAMIS_OK) status = check_kept(inspection, selection, path, err);
    if (status == TAMIS_OK && !quick) status = check_ranks(inspection, selection, err);
    if (status == TAMIS_OK && !quick) status = check_weights(inspection, selection, err);
    if (status == TAMIS_OK && !quick)
        status = tamis__finding_ids(inspection, &selection->examples, selection->rows, "row", err);
    tamis_selection_free(&selection);
    return status;
}
