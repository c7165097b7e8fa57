/* tamis explain: why examples are in or out of a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select.h"

typedef struct explain_args {
    common_args common;
    const char *selection;
    opt_list id;
} explain_args;

#define AT(field) offsetof(explain_args, field)

static const operand operands[] = {
    {.name = "SEL.h5",
     .help = "a selection",
     .min = 1,
     .max = 1,
     .at = AT(selection),
     .file = true},
    {.name = "ID",
     .help = "an example: its id, or the number of its row where there are no ids",
     .min = 1,
     .max = 10000,
     .at = AT(id)},
};

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const explain_args *args = cookie;
    tamis_selection *sel = NULL;
    report r;
    TRY(tamis_selection_load(&sel, s->context, args->selection, err));
    tamis_status status = select_check_ids(&sel->examples, sel->rows, &args->id, err);
    if (status == TAMIS_OK) {
        report_begin(&r, s);
        report_text(&r, "selector", sel->selector);
        status = select_explain(&r, sel, &args->id, err);
        report_end(&r);
    }
    tamis_selection_free(&sel);
    return status;
}

const command cmd_explain = {
    .name = "explain",
    .group = "Helpers",
    .summary = "say why examples are in or out of a selection",
    .synopsis = "SEL.h5 ID... [OPTIONS]",
    .description = "For each example: whether it is kept and why, its rank and score beside the "
                   "score of the last "
                   "kept one, what became of its group, and another example with the same record, "
                   "if there is one. "
                   "'tamis select --explain ID' says the same of a selection that is being made.",
    .examples = "tamis explain keep.h5 17 1204",
    .options = NULL,
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_READS,
    .args_size = sizeof(explain_args),
    .run = run,
};
