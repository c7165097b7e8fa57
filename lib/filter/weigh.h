/* Scores of training texts for the queries by the terms that they share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_FILTER_WEIGH_H
#define TAMIS_FILTER_WEIGH_H

#include "filter/terms.h"
#include "stream/sinks.h"

typedef struct tamis__weighing {
    bool bm25;    /* else tf-idf */
    double k1, b; /* of bm25 */
} tamis__weighing;

/* Every text of the corpus against every query, into the lists. Errors: as tamis__corpus_text(),
 * NOMEM (also when it does not fit the memory limit together with `reserved` bytes), CANCELLED. */
tamis_status tamis__weigh(const tamis__weighing *weighing, const tamis__terms *terms,
                          tamis__corpus *corpus, uint64_t reserved, tamis__top_sink *top,
                          tamis_error *err);

#endif
