/* Help and man pages, from the command tables.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "help.h"

#include <string.h>

#include "doc.h"
#include "report.h"

#define HELP_COLUMN 30

const char *option_term(const opt *option, char *buffer, size_t size)
{
    if (option->letter)
        snprintf(buffer, size, "-%c, --%s", option->letter, option->name);
    else
        snprintf(buffer, size, "--%s", option->name);
    return buffer;
}

const char *option_value(const command *cmd, const opt *option)
{
    if (option->letter == 'o' && cmd->output) return cmd->output;
    return option->value;
}

/* --- short ------------------------------------------------------------------------------------ */

static void short_line(FILE *file, const char *left, const char *text)
{
    size_t width = (size_t)fprintf(file, "  %s", left);
    if (width + 2 > HELP_COLUMN) {
        putc('\n', file);
        width = 0;
    }
    doc_wrap(file, text, HELP_COLUMN, width);
}

static void short_option(FILE *file, const command *cmd, const opt *option)
{
    char term[64], left[128], fallback[128], text[512];
    const char *value = option_value(cmd, option);
    option_term(option, term, sizeof term);
    snprintf(left, sizeof left, "%s%s%s%s", option->letter ? "" : "    ", term, value ? " " : "",
             value ? value : "");
    bool shown = opt_default_text(option, cmd->defaults, fallback, sizeof fallback);
    snprintf(text, sizeof text, shown ? "%s (default: %s)" : "%s", option->help, fallback);
    short_line(file, left, text);
}

/* The title above the i-th option, NULL = none. */
static const char *title_above(const command *cmd, size_t i, const opt *option)
{
    if (option->section && i < cmd->n_options) return option->section;
    if (i == cmd->n_options) return "Common options";
    return i == 0 ? "Options" : NULL;
}

static void usage_line(FILE *file, const command *cmd)
{
    char line[512];
    snprintf(line, sizeof line, "tamis %s %s", cmd->name, cmd->synopsis);
    fputs("Usage: ", file);
    doc_wrap(file, line, 11, 11);
}

void help_short(FILE *file, const command *cmd)
{
    const opt *option;
    fprintf(file, "tamis %s: %s\n\n", cmd->name, cmd->summary);
    usage_line(file, cmd);
    if (cmd->n_operands) fputs("\nArguments:\n", file);
    for (size_t i = 0; i < cmd->n_operands; i++)
        short_line(file, cmd->operands[i].name, cmd->operands[i].help);
    for (size_t i = 0; (option = command_option(cmd, i)); i++) {
        const char *title = title_above(cmd, i, option);
        if (title) fprintf(file, "\n%s:\n", title);
        if (!(option->flags & OPT_ADVANCED)) short_option(file, cmd, option);
    }
    if (!command_option(cmd, 0)) fputs("\nOptions:\n", file);
    short_line(file, "-h, --help", "this summary; --help tells everything, with examples");
}

/* --- complete --------------------------------------------------------------------------------- */

/* `help` is lower case without a full stop; here it becomes a sentence. */
static void sentence(char *buffer, size_t size, const char *text)
{
    snprintf(buffer, size, "%s.", text);
    if (*buffer >= 'a' && *buffer <= 'z') *buffer = (char)(*buffer - 'a' + 'A');
}

static void append(char *buffer, size_t size, const char *before, const char *text,
                   const char *after)
{
    size_t used = strlen(buffer);
    snprintf(buffer + used, size - used, "%s%s%s", before, text, after);
}

static void option_text(const command *cmd, const opt *option, char *text, size_t size)
{
    char part[256];
    sentence(text, size, option->help);
    if (option->more) append(text, size, " ", option->more, "");
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        append(text, size, i ? ", " : " One of ", option->choices[i],
               option->choices[i + 1] ? "" : ".");
    const char *name;
    for (size_t i = 0; option->name_at && (name = option->name_at(i, NULL)); i++)
        append(text, size, i ? ", " : " One of ", name, option->name_at(i + 1, NULL) ? "" : ".");
    opt_range_text(option, part, sizeof part);
    if (*part) append(text, size, " Takes ", part, ".");
    if (opt_default_text(option, cmd->defaults, part, sizeof part))
        append(text, size, " Default: ", part, ".");
    if (option->flags & OPT_REQUIRED) append(text, size, "", " Required.", "");
    if (option->type == OPT_LIST) append(text, size, "", " May be repeated.", "");
}

static void write_names(doc *d, const operand *o)
{
    const char *name, *summary;
    char text[4096];
    for (size_t i = 0; o->name_at && (name = o->name_at(i, &summary)); i++) {
        size_t n = 0;
        const tamis_param_desc *params = o->params_at ? o->params_at(i, &n) : NULL;
        sentence(text, sizeof text, summary ? summary : "");
        for (size_t k = 0; k < n; k++) {
            char about[512];
            param_text(&params[k], about, sizeof about);
            append(text, sizeof text, k ? "; " : " Parameters: ", params[k].name, ": ");
            append(text, sizeof text, "", params[k].help, " (");
            append(text, sizeof text, "", about, k + 1 < n ? ")" : ").");
        }
        doc_subitem(d, name, text);
    }
}

static void write_options(doc *d, const command *cmd)
{
    const opt *option;
    char term[64], text[2048];
    for (size_t i = 0; (option = command_option(cmd, i)); i++) {
        const char *title = title_above(cmd, i, option);
        if (title) doc_heading(d, title);
        option_text(cmd, option, text, sizeof text);
        doc_item(d, option_term(option, term, sizeof term), option_value(cmd, option), text);
    }
    if (!command_option(cmd, 0)) doc_heading(d, "Options");
    doc_item(d, "-h, --help", NULL, "A summary with -h, this text with --help.");
}

static void write_exit_codes(doc *d)
{
    doc_heading(d, "Exit status");
    doc_entry(d, "0", "Done.");
    doc_entry(d, "1",
              "A failure of the system: a file cannot be read or written, memory runs out.");
    doc_entry(d, "2", "The command line is wrong.");
    doc_entry(d, "3", "An input's content is wrong, or inputs do not fit together.");
    doc_entry(d, "4", "A value is not finite, or a computation broke down.");
    doc_entry(d, "5", "The command ran, and what it checked does not hold.");
    doc_entry(d, "128+n", "Ended by signal n.");
}

static void write_body(doc *d, const command *cmd)
{
    char text[512];
    doc_heading(d, "Description");
    doc_text(d, cmd->description);
    if (cmd->examples) {
        doc_heading(d, "Examples");
        doc_examples(d, cmd->examples);
    }
    if (cmd->n_operands) doc_heading(d, "Arguments");
    for (size_t i = 0; i < cmd->n_operands; i++) {
        sentence(text, sizeof text, cmd->operands[i].help);
        doc_item(d, cmd->operands[i].name, NULL, text);
        write_names(d, &cmd->operands[i]);
    }
    write_options(d, cmd);
    write_exit_codes(d);
}

void help_complete(FILE *file, const command *cmd)
{
    doc d = {.file = file};
    fprintf(file, "tamis %s: %s\n\n", cmd->name, cmd->summary);
    usage_line(file, cmd);
    write_body(&d, cmd);
}

/* --- the whole program ------------------------------------------------------------------------ */

static const char about[] = "From stored per-example gradients tamis answers two questions: which "
                            "training examples drove this "
                            "prediction, and which training examples should I train on? Every step "
                            "is a command, and everything "
                            "between two steps is one self-describing HDF5 file.";

static const char orientation[] =
    "Scores are positive when training more on an example helps the query (lowers its loss).";

void help_overview(FILE *file)
{
    const command *cmd;
    const char *group = "";
    fprintf(file, "tamis %s: training-data influence and selection\n\n", tamis_version());
    doc_wrap(file, about, 0, 0);
    fputs("\nUsage: tamis COMMAND [ARGUMENTS] [OPTIONS]\n", file);
    for (size_t i = 0; (cmd = command_at(i)); i++) {
        if (strcmp(group, cmd->group)) fprintf(file, "\n%s:\n", cmd->group);
        group = cmd->group;
        fprintf(file, "  %-12s%s\n", cmd->name, cmd->summary);
    }
    fputs("\n'tamis COMMAND -h' is a summary, 'tamis COMMAND --help' tells everything.\n", file);
}

static void man_head(doc *d, const char *page, const char *summary)
{
    fputs(".TH ", d->file);
    for (const char *c = page; *c; c++) putc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, d->file);
    fprintf(d->file, " 1 \"\" \"tamis %s\" \"tamis manual\"\n", tamis_version());
    fprintf(d->file, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", page, summary);
}

static void man_program(doc *d)
{
    const command *cmd;
    char page[64];
    man_head(d, "tamis", "training\\-data influence and selection");
    doc_line(d, "tamis COMMAND [ARGUMENTS] [OPTIONS]");
    doc_heading(d, "Description");
    doc_text(d, about);
    doc_text(d, orientation);
    doc_heading(d, "Commands");
    for (size_t i = 0; (cmd = command_at(i)); i++) {
        char text[256];
        sentence(text, sizeof text, cmd->summary);
        snprintf(page, sizeof page, "tamis-%s(1)", cmd->name);
        doc_item(d, page, NULL, text);
    }
    doc_heading(d, "Options");
    doc_item(d, "-h, --help", NULL, "The list of commands.");
    doc_item(d, "--version", NULL, "The version. tamis version tells more.");
    doc_item(d, "--man", "COMMAND", "The manual page of a command, or of tamis, as roff.");
    doc_item(d, "--completion", "bash|zsh|fish", "The completions for a shell.");
    write_exit_codes(d);
}

void man_write(FILE *file, const command *cmd)
{
    doc d = {.file = file, .roff = true};
    char text[512];
    if (!cmd) {
        man_program(&d);
        return;
    }
    snprintf(text, sizeof text, "tamis-%s", cmd->name);
    man_head(&d, text, cmd->summary);
    snprintf(text, sizeof text, "tamis %s %s", cmd->name, cmd->synopsis);
    doc_line(&d, text);
    write_body(&d, cmd);
    doc_heading(&d, "See also");
    doc_line(&d, "tamis(1)");
}
