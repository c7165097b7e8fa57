/* Completions for bash, zsh and fish, from the command tables.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "help.h"

/* The i-th word that an option may take, NULL past the end. */
static const char *value_at(const opt *option, size_t i)
{
    if (option->choices) return option->choices[i];
    return option->name_at ? option->name_at(i, NULL) : NULL;
}

static void option_values(FILE *file, const opt *option)
{
    const char *value;
    for (size_t i = 0; (value = value_at(option, i)); i++)
        fprintf(file, "%s%s", i ? " " : "", value);
}

static void operand_names(FILE *file, const operand *o)
{
    const char *name;
    for (size_t i = 0; o->name_at && (name = o->name_at(i, NULL)); i++)
        fprintf(file, "%s%s", i ? " " : "", name);
}

static void all_commands(FILE *file)
{
    const command *cmd;
    for (size_t i = 0; (cmd = command_at(i)); i++) fprintf(file, "%s%s", i ? " " : "", cmd->name);
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_option(FILE *file, const command *cmd, const opt *option)
{
    if (option->type == OPT_FLAG) return;
    fprintf(file, "    %s:--%s", cmd->name, option->name);
    if (option->letter) fprintf(file, " | %s:-%c", cmd->name, option->letter);
    fputs(")\n        ", file);
    if (value_at(option, 0)) {
        fputs("_tamis_words \"", file);
        option_values(file, option);
        fputs("\" \"$cur\"", file);
    } else {
        fputs(option->flags & OPT_FILE ? "_tamis_files \"$cur\"" : ":", file);
    }
    fputs("\n        return\n        ;;\n", file);
}

static void bash_command(FILE *file, const command *cmd)
{
    const opt *option;
    fprintf(file, "    %s)\n        options=\"", cmd->name);
    for (size_t i = 0; (option = command_option(cmd, i)); i++) fprintf(file, "--%s ", option->name);
    fputs("--help\"\n        names=\"", file);
    if (cmd->n_operands) operand_names(file, &cmd->operands[0]);
    fputs("\"\n        ;;\n", file);
}

static void bash_write(FILE *file)
{
    const command *cmd;
    const opt *option;
    fputs("# bash completion for tamis\n\n"
          "_tamis_words()\n{\n    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$2\")\n}\n\n"
          "_tamis_files()\n{\n    mapfile -t COMPREPLY < <(compgen -f -- \"$1\")\n"
          "    compopt -o filenames 2>/dev/null\n}\n\n"
          "_tamis()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local options=\"\" names=\"\"\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n        _tamis_words \"",
          file);
    all_commands(file);
    fputs(
        " --help --version\" \"$cur\"\n        return\n    fi\n"
        "    # --option=value arrives as three words\n"
        "    if [[ $cur == \"=\" ]]; then\n        cur=\"\"\n"
        "    elif [[ $prev == \"=\" ]]; then\n        prev=${COMP_WORDS[COMP_CWORD - 2]}\n    fi\n"
        "    case ${COMP_WORDS[1]}:$prev in\n",
        file);
    for (size_t i = 0; (cmd = command_at(i)); i++)
        for (size_t k = 0; (option = command_option(cmd, k)); k++) bash_option(file, cmd, option);
    fputs("    esac\n    case ${COMP_WORDS[1]} in\n", file);
    for (size_t i = 0; (cmd = command_at(i)); i++) bash_command(file, cmd);
    fputs("    esac\n"
          "    if [[ $cur == -* ]]; then\n        _tamis_words \"$options\" \"$cur\"\n"
          "    elif ((COMP_CWORD == 2)) && [[ -n $names ]]; then\n        _tamis_words \"$names\" "
          "\"$cur\"\n"
          "    else\n        _tamis_files \"$cur\"\n    fi\n}\n\ncomplete -F _tamis tamis\n",
          file);
}

/* --- zsh -------------------------------------------------------------------------------------- */

/* Inside single quotes and the brackets of an _arguments specification. */
static void zsh_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", file);
        else if (strchr("[]:\\", *text))
            fprintf(file, "\\%c", *text);
        else
            putc(*text, file);
    }
}

static void zsh_option(FILE *file, const command *cmd, const opt *option, const char *spelling)
{
    bool repeats = option->type == OPT_LIST || option->type == OPT_CALL;
    fputs("            '", file);
    if (repeats)
        putc('*', file);
    else if (option->letter)
        fprintf(file, "(-%c --%s)", option->letter, option->name);
    fputs(spelling, file);
    if (option->type != OPT_FLAG) putc(spelling[1] == '-' ? '=' : '+', file);
    putc('[', file);
    zsh_text(file, option->help);
    putc(']', file);
    if (option->type != OPT_FLAG) {
        putc(':', file);
        zsh_text(file, option_value(cmd, option));
        putc(':', file);
        if (value_at(option, 0)) {
            putc('(', file);
            option_values(file, option);
            putc(')', file);
        } else if (option->flags & OPT_FILE) {
            fputs("_files", file);
        }
    }
    fputs("' \\\n", file);
}

static void zsh_operand(FILE *file, const operand *o)
{
    fprintf(file, "            '%s%s:",
            o->max > 1 ? "*"
            : o->min   ? ""
                       : ":",
            o->max > 1 ? ":" : ":");
    zsh_text(file, o->name);
    putc(':', file);
    if (o->name_at) {
        putc('(', file);
        operand_names(file, o);
        putc(')', file);
    } else if (o->file) {
        fputs("_files", file);
    }
    fputs("' \\\n", file);
}

static void zsh_command(FILE *file, const command *cmd)
{
    const opt *option;
    fprintf(file, "    %s)\n        _arguments -s -S \\\n", cmd->name);
    for (size_t i = 0; (option = command_option(cmd, i)); i++) {
        char spelling[64];
        snprintf(spelling, sizeof spelling, "--%s", option->name);
        zsh_option(file, cmd, option, spelling);
        if (!option->letter) continue;
        snprintf(spelling, sizeof spelling, "-%c", option->letter);
        zsh_option(file, cmd, option, spelling);
    }
    for (size_t i = 0; i < cmd->n_operands; i++) zsh_operand(file, &cmd->operands[i]);
    fputs("            '(- *)'{-h,--help}'[help]'\n        ;;\n", file);
}

static void zsh_write(FILE *file)
{
    const command *cmd;
    fputs("#compdef tamis\n\n_tamis() {\n    local -a commands\n    commands=(\n", file);
    for (size_t i = 0; (cmd = command_at(i)); i++) {
        fprintf(file, "        '%s:", cmd->name);
        zsh_text(file, cmd->summary);
        fputs("'\n", file);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        "
          "return\n    fi\n"
          "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n",
          file);
    for (size_t i = 0; (cmd = command_at(i)); i++) zsh_command(file, cmd);
    fputs("    esac\n}\n\n_tamis \"$@\"\n", file);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') putc('\\', file);
        putc(*text, file);
    }
}

static void fish_option(FILE *file, const command *cmd, const opt *option)
{
    fprintf(file, "complete -c tamis -n '__fish_seen_subcommand_from %s' -l %s", cmd->name,
            option->name);
    if (option->letter) fprintf(file, " -s %c", option->letter);
    fputs(" -d '", file);
    fish_text(file, option->help);
    putc('\'', file);
    if (option->type != OPT_FLAG) {
        fputs(option->flags & OPT_FILE ? " -r -F" : " -x", file);
        if (value_at(option, 0)) {
            fputs(" -a '", file);
            option_values(file, option);
            putc('\'', file);
        }
    }
    putc('\n', file);
}

static void fish_write(FILE *file)
{
    const command *cmd;
    const opt *option;
    fputs("# fish completion for tamis\n", file);
    fputs("complete -c tamis -n __fish_use_subcommand -f -l version -d 'print the version'\n",
          file);
    for (size_t i = 0; (cmd = command_at(i)); i++) {
        fprintf(file, "complete -c tamis -n __fish_use_subcommand -f -a %s -d '", cmd->name);
        fish_text(file, cmd->summary);
        fputs("'\n", file);
        for (size_t k = 0; (option = command_option(cmd, k)); k++) fish_option(file, cmd, option);
        fprintf(file,
                "complete -c tamis -n '__fish_seen_subcommand_from %s' -s h -l help -d 'help'\n",
                cmd->name);
        if (!cmd->n_operands || !cmd->operands[0].name_at) continue;
        fprintf(file, "complete -c tamis -n '__fish_seen_subcommand_from %s' -f -a '", cmd->name);
        operand_names(file, &cmd->operands[0]);
        fputs("'\n", file);
    }
}

bool completion_write(FILE *file, const char *shell)
{
    static const struct {
        const char *name;
        void (*write)(FILE *);
    } shells[] = {{"bash", bash_write}, {"zsh", zsh_write}, {"fish", fish_write}};
    for (size_t i = 0; i < LEN(shells); i++) {
        if (strcmp(shell, shells[i].name)) continue;
        shells[i].write(file);
        return true;
    }
    return false;
}
