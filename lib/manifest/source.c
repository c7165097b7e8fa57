/* Inputs of manifests.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/codec.h"

/* How far the content is looked at to tell what it is. */
#define GUESS_BYTES ((size_t)4096)
/* Mapped bytes to hold, whatever the limit. */
#define LEAST_HELD ((uint64_t)16 << 20)

/* --- opening ---------------------------------------------------------------------------------- */

/* A file without a name in the directory of `beside`, which may be a directory to come and end in
 * slashes. */
static int nameless(const char *beside)
{
    size_t end = strlen(beside), slash;
    while (end > 1 && beside[end - 1] == '/') end--;
    for (slash = end; slash > 0 && beside[slash - 1] != '/';) slash--;
    char *directory = slash ? tamis__strdup(beside) : NULL;
    if (slash && !directory) return -1;
    if (directory) directory[slash > 1 ? slash - 1 : 1] = '\0';
    int fd = tamis__fault_io()
                 ? -1
                 : open(directory ? directory : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    free(directory);
    if (fd >= 0 || errno == EIO || errno == ENOMEM) return fd;
    /* A file system without such files. */
    size_t size = end + sizeof ".XXXXXX";
    char *name = tamis__malloc(size, 1);
    if (!name) return -1;
    snprintf(name, size, "%.*s.XXXXXX", (int)end, beside);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) (void)unlink(name);
    free(name);
    return fd;
}

static tamis_status map(int fd, uint64_t size, tamis__input *ret_input, const char *path,
                        tamis_error *err)
{
    *ret_input = (tamis__input){.data = (const unsigned char *)"", .mapped = true};
    if (size == 0) return TAMIS_OK;
    void *data = tamis__fault_io() ? MAP_FAILED
                                   : mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        *ret_input = (tamis__input){0};
        return tamis__fail_errno(err, "cannot map what '%s' expands to", path);
    }
    ret_input->data = data;
    ret_input->size = (size_t)size;
    return TAMIS_OK;
}

static tamis_status expand(tamis__manifest_source *s, tamis__codec codec,
                           const tamis_context *context, const char *beside, tamis_error *err)
{
    uint64_t size = 0;
    int fd = nameless(strcmp(beside, "-") ? beside : "./tamis");
    if (fd < 0)
        return tamis__fail_errno(err, "cannot write what '%s' expands to beside '%s'", s->path,
                                 beside);
    tamis_status status = tamis__codec_expand(codec, context, s->input.data, s->input.size, s->path,
                                              fd, &size, err);
    if (status == TAMIS_OK) status = map(fd, size, &s->expanded, s->path, err);
    close(fd);
    s->data = s->expanded.data;
    s->size = s->expanded.size;
    return status;
}

/* Content that would be taken for a few odd records. */
static tamis_status check_kind(const tamis__manifest_source *s, tamis_error *err)
{
    static const struct {
        const char *magic, *name;
        size_t size;
    } known[] = {{"\xfd\x37zXZ\0", "xz", 6},
                 {"BZh", "bzip2", 3},
                 {"PK\3\4", "zip", 4},
                 {"\4\x22\x4d\x18", "lz4", 4}};
    const unsigned char *end = s->data + s->size;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (s->size > 10 && !memcmp(s->data, known[i].magic, known[i].size) &&
            (i != 1 || !memcmp(s->data + 4, "1AY&SY", 6)))
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                               "'%s' is compressed with %s: expand it first, or compress it as .gz "
                               "or .zst",
                               s->path, known[i].name);
    if (s->size > 8 && !memcmp(s->data, "PAR1", 4) && !memcmp(end - 4, "PAR1", 4))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is a Parquet file, which is not read: write the row numbers "
                           "(--format index-npy, without an input) and let its reader take these "
                           "rows",
                           s->path);
    return tamis__text_encoding_check(s->data, s->size, s->path, err);
}

tamis_status tamis__manifest_source_open(tamis__manifest_source *ret_source,
                                         const tamis_context *context, const char *path,
                                         const char *beside, tamis_error *err)
{
    tamis__manifest_source s = {.path = path, .line_end = "\n"};
    TAMIS_TRY(tamis__input_open_watched(&s.input, &s.watch, false, context, path, err));
    tamis__input_sequential(&s.input);
    s.data = s.input.data;
    s.size = s.input.size;
    tamis__codec codec = tamis__codec_of_bytes(s.data, s.size);
    tamis_status status = TAMIS_OK;
    if (codec != TAMIS__CODEC_NONE) status = expand(&s, codec, context, beside, err);
    if (status == TAMIS_OK) status = check_kind(&s, err);
    if (status != TAMIS_OK) {
        tamis__manifest_source_close(&s);
        return status;
    }
    s.bom = tamis__records_bom(s.data, s.size);
    *ret_source = s;
    return TAMIS_OK;
}

void tamis__manifest_source_close(tamis__manifest_source *source)
{
    tamis__input_close(&source->expanded);
    tamis__input_close(&source->input);
    tamis__watch_end(&source->watch);
    *source = (tamis__manifest_source){0};
}

tamis_status tamis__manifest_source_check(const tamis__manifest_source *source, tamis_error *err)
{
    return tamis__watch_check(&source->watch, source->path, err);
}

void tamis__manifest_source_release(const tamis__manifest_source *source, size_t first, size_t size)
{
    tamis__input_release(source->expanded.data ? &source->expanded : &source->input, first, size);
}

uint64_t tamis__manifest_held(const tamis_context *context)
{
    uint64_t half = context ? context->memory / 2 : LEAST_HELD;
    return half > LEAST_HELD ? half : LEAST_HELD;
}

/* --- what it holds ---------------------------------------------------------------------------- */

/* Lines that open an object or an array are JSON, a first line with more tabs than commas is
 * TSV. */
tamis_status tamis__manifest_source_guess(const tamis__manifest_source *s,
                                          tamis__records_kind *ret_kind, tamis_error *err)
{
    size_t tabs = 0, commas = 0, at = 0;
    const unsigned char *data = s->data + s->bom;
    size_t size = s->size - s->bom < GUESS_BYTES ? s->size - s->bom : GUESS_BYTES;
    if (memchr(data, '\0', size))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is no text and has no records to compare with the selection: "
                           "give a CSV, TSV or JSON Lines file, or none",
                           s->path);
    while (at < size && memchr(" \t\r\n", data[at], 4)) at++;
    *ret_kind = TAMIS__RECORDS_JSONL;
    if (at < size && (data[at] == '{' || data[at] == '[')) return TAMIS_OK;
    for (; at < size && data[at] != '\n'; at++) {
        tabs += data[at] == '\t';
        commas += data[at] == ',';
    }
    *ret_kind = tabs > commas ? TAMIS__RECORDS_TSV : TAMIS__RECORDS_CSV;
    return TAMIS_OK;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_spaces(tamis__manifest_source *s)
{
    while (s->walk.at < s->size && is_space(s->data[s->walk.at])) s->walk.at++;
}

/* The line of a byte at or behind the last one that was asked for. */
static uint64_t line_of(tamis__manifest_source *s, size_t at)
{
    const unsigned char *newline;
    while (s->counted < at && (newline = memchr(s->data + s->counted, '\n', at - s->counted))) {
        s->line++;
        s->counted = (size_t)(newline - s->data) + 1;
    }
    s->counted = at;
    return s->line;
}

static tamis_status bad_array(tamis__manifest_source *s, const char *bad, tamis_error *err)
{
    uint64_t line = line_of(s, s->walk.at < s->counted ? s->counted : s->walk.at);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %llu (byte %zu): %s in a JSON array of records", s->path,
                       (unsigned long long)line, s->walk.at, bad);
}

bool tamis__manifest_source_is_array(const tamis__manifest_source *s)
{
    size_t at = s->bom;
    while (at < s->size && is_space(s->data[at])) at++;
    return at < s->size && s->data[at] == '[';
}

tamis_status tamis__manifest_source_start(tamis__manifest_source *s, tamis__layout layout,
                                          tamis__records_kind kind, tamis_error *err)
{
    s->layout = layout;
    s->kind = kind;
    if (layout == TAMIS__LAYOUT_LINES) {
        tamis__records_init(&s->records, kind, s->data, s->size);
        return TAMIS_OK;
    }
    s->walk = (tamis__json_walk){.text = s->data, .size = s->size, .at = s->bom};
    s->line = 1;
    if (!tamis__manifest_source_is_array(s))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' does not begin with '[': it is no JSON array of records; for one "
                           "object a line say --format jsonl",
                           s->path);
    skip_spaces(s);
    s->walk.at++;
    return TAMIS_OK;
}

/* To the comma before the next element, or the end; *ret_end true there. */
static tamis_status to_next(tamis__manifest_source *s, bool *ret_end, tamis_error *err)
{
    skip_spaces(s);
    if (s->walk.at == s->size) return bad_array(s, "the file ends", err);
    *ret_end = s->data[s->walk.at] == ']';
    if (*ret_end) {
        s->walk.at++;
        skip_spaces(s);
        return s->walk.at == s->size ? TAMIS_OK : bad_array(s, "something follows ']'", err);
    }
    if (s->number == 0) return TAMIS_OK;
    if (s->data[s->walk.at] != ',') return bad_array(s, "expected ',' or ']'", err);
    s->walk.at++;
    return TAMIS_OK;
}

static tamis_status next_element(tamis__manifest_source *s, tamis__record *ret_record,
                                 tamis_error *err)
{
    bool end = s->walk.at >= s->size && s->number < 0;
    tamis__span value;
    *ret_record = (tamis__record){0};
    if (end) return TAMIS_OK;
    TAMIS_TRY(to_next(s, &end, err));
    if (end) {
        s->number = -1;
        return TAMIS_OK;
    }
    if (!tamis__json_skip(&s->walk, &value)) return bad_array(s, s->walk.bad, err);
    *ret_record = (tamis__record){.data = s->data + value.first,
                                  .size = value.size,
                                  .span = value.size,
                                  .line = line_of(s, value.first),
                                  .number = s->number++};
    return TAMIS_OK;
}

tamis_status tamis__manifest_source_next(tamis__manifest_source *s, tamis__record *ret_record,
                                         tamis_error *err)
{
    return s->layout == TAMIS__LAYOUT_LINES
               ? tamis__records_next(&s->records, s->path, ret_record, err)
               : next_element(s, ret_record, err);
}
