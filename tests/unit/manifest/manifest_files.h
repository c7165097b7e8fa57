/* What the tests of manifests share: small files, and selections of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_MANIFEST_FILES_H
#define TAMIS_TEST_MANIFEST_FILES_H

#include <sys/stat.h>
#include <tamis/manifest.h>

#include "base/digest.h"
#include "harness.h"
#include "import/records.h"

static tamis_error err;

typedef struct bytes {
    char *data;
    size_t size;
} bytes;

static inline void put_bytes(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void put(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

static inline bytes get(const char *path)
{
    struct stat st;
    bytes result = {0};
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "'%s' was not written", path);
    ck_assert_int_eq(fstat(fileno(file), &st), 0);
    result.size = (size_t)st.st_size;
    result.data = malloc(result.size + 1);
    ck_assert_uint_eq(fread(result.data, 1, result.size, file), result.size);
    result.data[result.size] = '\0';
    fclose(file);
    return result;
}

static inline void check_file(const char *path, const char *wanted, size_t size)
{
    bytes found = get(path);
    ck_assert_msg(found.size == size && !memcmp(found.data, wanted, size),
                  "'%s' holds '%s', wanted '%s'", path, found.data, wanted);
    free(found.data);
}

static inline void check_text(const char *path, const char *wanted)
{
    check_file(path, wanted, strlen(wanted));
}

static inline bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* No output and no temporary file. */
static inline void check_nothing_left(void)
{
    static const char *const names[] = {"out",       "out.part",         "rest",
                                        "rest.part", "rest.reasons.csv", "rest.reasons.csv.part",
                                        "out.dvc",   "out.dvc.part"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(!exists(names[i]), "'%s' was left behind", names[i]);
}

/* A selection with one candidate for each character of `keep`: '1' is kept. */
static inline tamis_selection *make_selection(const char *keep, const tamis_examples *examples)
{
    tamis_selection *selection = NULL;
    uint16_t kept, dropped;
    uint64_t rows = strlen(keep), first = 0, rank;
    ck_ok(tamis_selection_create(&selection, rows, examples, &err));
    ck_ok(tamis_selection_reason(selection, "kept: in the top", &kept, &err));
    ck_ok(tamis_selection_reason(selection, "dropped: \"low\", below the top", &dropped, &err));
    for (uint64_t row = 0; row < rows; row++) selection->kept += keep[row] == '1';
    rank = selection->kept;
    for (uint64_t row = 0; row < rows; row++) {
        bool on = keep[row] == '1';
        selection->keep[row] = on;
        selection->rank[row] = on ? first++ : rank++;
        selection->score[row] = on ? 1.5f : -0.25f;
        selection->reason[row] = on ? kept : dropped;
    }
    return selection;
}

/* Digests of the records of a buffer, as a reader of data records them. */
static inline uint64_t *digests_of(tamis__records_kind kind, const char *data, size_t size,
                                   size_t *ret_n)
{
    tamis__records records;
    tamis__record record;
    uint64_t *digest = calloc(size + 1, sizeof *digest);
    tamis__records_init(&records, kind, data, size);
    *ret_n = 0;
    for (;;) {
        ck_ok(tamis__records_next(&records, "buffer", &record, &err));
        if (!record.data) return digest;
        if (record.number >= 0) digest[(*ret_n)++] = tamis__digest(record.data, record.size);
    }
}

/* Write with these parameters to "out"; records come from "in" where no input is given, lists from
 * none. */
static inline tamis_status write_with(tamis_manifest_params p, tamis_manifest_result *result)
{
    static const char *const one[] = {"in"};
    if (!p.inputs && !p.format) p.format = "jsonl";
    bool list = p.format && strcmp(p.format, "jsonl") && strcmp(p.format, "csv");
    if (!p.inputs && !list) p.input = one, p.inputs = 1;
    if (!p.output) p.output = "out";
    p.force = true;
    return tamis_manifest_write(NULL, &p, result, &err);
}

static inline int shell_status(const char *command)
{
    return system(command);
}

static inline tamis_status write_manifest(const tamis_selection *selection, const char *format,
                                          const char *input, const char *dropped)
{
    return tamis_manifest_write(NULL,
                                &(tamis_manifest_params){.selection = selection,
                                                         .format = format,
                                                         .input = (const char *const[]){input},
                                                         .inputs = (input) != NULL,
                                                         .output = "out",
                                                         .dropped = dropped},
                                NULL, &err);
}

#endif
