/* --labels: which labels gradients are of.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "labels_arg.h"

#include <math.h>
#include <string.h>

#include "command.h"

/* By tamis_labels. */
static const char *const words[] = {"true", "sampled", "expected"};

static tamis_status find(const char *text, data_args *from, labels_choice *choice, tamis_error *err)
{
    static const char prefix[] = "given:";
    bool given = strncmp(text, prefix, sizeof prefix - 1) == 0;
    for (size_t i = 0; i < LEN(words); i++) {
        if (strcmp(text, words[i]) != 0) continue;
        choice->labels = (tamis_labels)i;
        return TAMIS_OK;
    }
    if (!given && !from->label) {
        from->labels = text;
        return TAMIS_OK;
    }
    choice->labels = TAMIS_LABELS_GIVEN;
    choice->path = given ? text + sizeof prefix - 1 : text;
    if (*choice->path) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG, "--labels '%s': a file's name is missing", text);
}

static tamis_status find_seed(session *s, double seed, labels_choice *choice, tamis_error *err)
{
    if (choice->labels != TAMIS_LABELS_SAMPLED) {
        if (isnan(seed)) return TAMIS_OK;
        return fail(err, TAMIS_ERR_ARG,
                    "--label-seed is of labels that are drawn: use it with --labels sampled");
    }
    choice->seed = isnan(seed) ? s->common->seed : (uint64_t)seed;
    if (isnan(seed)) return session_note_number(s, "label-seed", (double)choice->seed, err);
    if (seed > floor(seed))
        return fail(err, TAMIS_ERR_ARG, "--label-seed %g is not valid: a whole number is wanted",
                    seed);
    return TAMIS_OK;
}

tamis_status labels_choose(session *s, const char *text, double seed, data_args *from,
                           labels_choice *ret_choice, tamis_error *err)
{
    labels_choice c = {0};
    TRY(find(text, from, &c, err));
    if (c.labels == TAMIS_LABELS_TRUE) TRY(data_check_labels(from, err));
    TRY(find_seed(s, seed, &c, err));
    *ret_choice = c;
    return TAMIS_OK;
}
