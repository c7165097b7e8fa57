/* The options that every command shares.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "command.h"

#define AT(field) offsetof(common_args, field)

/* Each with those it builds on: naming the highest is enough. */
static const struct {
    const char *name;
    unsigned bits;
} features[] = {
    {"avx2", TAMIS_CPU_AVX2},
    {"avx512", TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512},
    {"avx512bf16", TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512 | TAMIS_CPU_AVX512BF16},
    {"vnni", TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512 | TAMIS_CPU_VNNI},
};

static tamis_status set_feature(common_args *args, const char *name, size_t size, tamis_error *err)
{
    if (size == 4 && !memcmp(name, "none", 4)) return TAMIS_OK;
    for (size_t i = 0; i < LEN(features); i++)
        if (strlen(features[i].name) == size && !memcmp(features[i].name, name, size)) {
            args->cpu_mask |= features[i].bits;
            return TAMIS_OK;
        }
    return fail(err, TAMIS_ERR_ARG,
                "--cpu '%.*s' is not known: none, avx2, avx512, avx512bf16 or vnni is wanted",
                (int)(size < 40 ? size : 40), name);
}

static tamis_status set_cpu(void *cookie, const char *value, tamis_error *err)
{
    common_args *args = cookie;
    args->limit_cpu = true;
    args->cpu_mask = 0;
    for (;;) {
        size_t size = strcspn(value, ",");
        TRY(set_feature(args, value, size, err));
        if (!value[size]) return TAMIS_OK;
        value += size + 1;
    }
}

static const char *const progress_names[] = {"auto", "never", "plain", "json", NULL};

static const struct {
    unsigned bit;
    opt option;
} shared[] = {
    {COMMON_OUTPUT,
     {.letter = 'o',
      .name = "output",
      .value = "FILE",
      .help = "write the result here; appears only when whole",
      .type = OPT_STRING,
      .at = AT(output),
      .flags = OPT_NEUTRAL | OPT_REQUIRED | OPT_FILE}},
    {COMMON_FORCE,
     {.letter = 'f',
      .name = "force",
      .help = "overwrite an existing output",
      .type = OPT_FLAG,
      .at = AT(force),
      .flags = OPT_NEUTRAL}},
    {COMMON_SEED,
     {.name = "seed",
      .value = "N",
      .help = "seed of everything drawn at random",
      .type = OPT_UINT,
      .at = AT(seed)}},
    {COMMON_ENGINE,
     {.letter = 't',
      .name = "threads",
      .value = "N",
      .help = "worker threads; results do not depend on it",
      .type = OPT_UINT,
      .at = AT(threads),
      .flags = OPT_NEUTRAL,
      .min = 0,
      .max = 1024,
      .fallback = "every processor this process may use"}},
    {COMMON_ENGINE,
     {.letter = 'm',
      .name = "memory",
      .value = "SIZE",
      .help = "limit of buffers; K, M, G, T are powers of 1024",
      .type = OPT_SIZE,
      .at = AT(memory),
      .flags = OPT_NEUTRAL,
      .fallback = "1G",
      .more = "Inputs that must be held whole and do not fit are refused with the size that is "
              "needed."}},
    {COMMON_ENGINE,
     {.name = "progress",
      .value = "HOW",
      .help = "how progress is shown on standard error",
      .type = OPT_CHOICE,
      .at = AT(progress),
      .flags = OPT_NEUTRAL,
      .choices = progress_names,
      .more = "auto draws a bar on a terminal and nothing elsewhere; plain prints a line every 30 "
              "seconds; "
              "json prints one object a line."}},
    {COMMON_ENGINE,
     {.name = "cpu",
      .value = "LIST",
      .help = "use only these processor features",
      .type = OPT_CALL,
      .flags = OPT_ADVANCED,
      .set = set_cpu,
      .fallback = "all that the processor has",
      .more = "A comma-separated list of avx2, avx512, avx512bf16 and vnni, each with those it "
              "builds on, or none."}},
    {COMMON_JSON,
     {.name = "json",
      .help = "print one JSON object on standard output",
      .type = OPT_FLAG,
      .at = AT(json),
      .flags = OPT_NEUTRAL}},
    {COMMON_QUIET,
     {.letter = 'q',
      .name = "quiet",
      .help = "print nothing but warnings, errors and --json",
      .type = OPT_FLAG,
      .at = AT(quiet),
      .flags = OPT_NEUTRAL}},
};

const opt *command_option(const command *cmd, size_t i)
{
    if (i < cmd->n_options) return &cmd->options[i];
    i -= cmd->n_options;
    for (size_t k = 0; k < LEN(shared); k++)
        if ((cmd->common & shared[k].bit) && i-- == 0) return &shared[k].option;
    return NULL;
}
