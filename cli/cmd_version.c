/* tamis version: what this program is built on and runs on.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "report.h"

static const struct {
    unsigned bit;
    const char *name;
} features[] = {
    {TAMIS_CPU_AVX2, "avx2"},
    {TAMIS_CPU_AVX512, "avx512"},
    {TAMIS_CPU_AVX512BF16, "avx512bf16"},
    {TAMIS_CPU_VNNI, "vnni"},
};

static void report_cpu(report *r, unsigned cpu)
{
    char text[128] = "";
    if (r->machine) json_put_array(&r->j, "cpu");
    for (size_t i = 0; i < LEN(features); i++) {
        if (!(cpu & features[i].bit)) continue;
        if (r->machine) json_put_text(&r->j, NULL, features[i].name);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "", features[i].name);
    }
    if (r->machine) json_close(&r->j);
    report_labelled(r, "cpu", "%s", *text ? text : "none");
}

static tamis_status run(session *s, const void *args, tamis_error *err)
{
    (void)args, (void)err;
    tamis_build_info info;
    tamis_build_info_get(&info);
    report r;
    report_begin(&r, s);
    report_text(&r, "tamis", tamis_version());
    report_count(&r, "file_format", TAMIS_FORMAT_VERSION);
    report_text(&r, "compiler", info.compiler);
    report_text(&r, "hdf5", info.hdf5);
    report_text(&r, "blas", info.blas);
    report_text(&r, "blas_threading", info.blas_threading);
    report_text(&r, "gsl", info.gsl);
    report_cpu(&r, tamis_context_cpu(s->context));
    report_count(&r, "threads", tamis_context_threads(s->context));
    report_text(&r, "licence", "GPL-3.0-or-later");
    report_end(&r);
    return TAMIS_OK;
}

const command cmd_version = {
    .name = "version",
    .group = "About",
    .summary = "tell the version, the libraries and the processor features in use",
    .synopsis = "[OPTIONS]",
    .description =
        "Tells what tamis is built on and runs on. 'tamis --version' prints the version alone.",
    .common = COMMON_READS,
    .args_size = sizeof(common_args),
    .run = run,
};
