/* Do candidates and targets fit together?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/pair.h"

#include "base/error.h"
#include "curvature/match.h"

tamis_status tamis__pair_check(const tamis_select_params *p, tamis_error *err)
{
    tamis__columns_of train = tamis__columns_of_store(p->train),
                      query = tamis__columns_of_store(p->query);
    uint32_t there = tamis_store_info_get(p->train)->checkpoints,
             here = tamis_store_info_get(p->query)->checkpoints;
    TAMIS_TRY(tamis__match_columns(&train, &query, err));
    if (here != there)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "there are %u checkpoints in '%s' and %u in '%s': rows are summed over "
                           "them, so both must have the same ones",
                           (unsigned)there, train.path, (unsigned)here, query.path);
    if (!p->curvature) return TAMIS_OK;
    tamis__columns_of curvature = tamis__columns_of_curvature(p->curvature);
    return tamis__match_columns(&curvature, &train, err);
}
