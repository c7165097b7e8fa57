/* Tests of gzip and Zstandard: read and written beside the programs of these names.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "codec/codec.h"
#include "harness.h"

static tamis_error err;

typedef struct kind {
    tamis__codec codec;
    const char *pack, *unpack, *name;
} kind;

static const kind kinds[] = {
    {TAMIS__CODEC_GZIP, "gzip -nc", "gzip -dc", "out.gz"},
    {TAMIS__CODEC_ZSTD, "zstd -qc", "zstd -qdc", "out.zst"},
};

typedef struct bytes {
    unsigned char *data;
    size_t size;
} bytes;

static bytes get(const char *path)
{
    struct stat st;
    bytes b = {0};
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fstat(fileno(file), &st), 0);
    b.size = (size_t)st.st_size;
    b.data = malloc(b.size + 1);
    ck_assert_uint_eq(fread(b.data, 1, b.size, file), b.size);
    fclose(file);
    return b;
}

static void put(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

TAMIS_PRINTF(1, 2) static void shell(const char *format, ...)
{
    char command[512];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    ck_assert_int_eq(system(command), 0);
}

/* Half repetition, half noise; larger than the pieces. */
static bytes sample(size_t size)
{
    bytes b = {malloc(size + 1), size};
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        b.data[i] = i / 1000 % 2 ? (unsigned char)(state >> 24) : (unsigned char)('a' + i % 7);
    }
    return b;
}

static tamis_status expand(const kind *k, const char *from, const char *to, uint64_t *ret_size)
{
    bytes b = get(from);
    int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(tamis__codec_of_bytes(b.data, b.size), k->codec);
    tamis_status status = tamis__codec_expand(k->codec, NULL, b.data, b.size, from, fd, ret_size,
                                              &err);
    close(fd);
    free(b.data);
    return status;
}

static void pack(const kind *k, const bytes *b, const char *path)
{
    tamis__output output;
    ck_ok(tamis__output_open(&output, NULL, path, true, &err));
    ck_ok(tamis__codec_attach(k->codec, &output, &err));
    for (size_t at = 0; at < b->size;) {
        size_t n = at % 70000 + 1 < b->size - at ? at % 70000 + 1 : b->size - at;
        ck_ok(tamis__output_write(&output, b->data + at, n, &err));
        at += n;
    }
    ck_assert_uint_eq(output.written, b->size);
    ck_ok(tamis__output_commit(&output, &err));
}

START_TEST(their_files_are_read)
{
    static const size_t sizes[] = {0, 1, 1000, 1 << 18, 700001};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            uint64_t size = 9;
            bytes b = sample(sizes[i]);
            put("plain", b.data, b.size);
            shell("%s plain > packed", kinds[k].pack);
            ck_ok(expand(&kinds[k], "packed", "back", &size));
            ck_assert_uint_eq(size, b.size);
            shell("cmp plain back");
            free(b.data);
        }
}
END_TEST

START_TEST(our_files_are_read_by_them)
{
    static const size_t sizes[] = {0, 1, 1 << 18, 700001};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            bytes b = sample(sizes[i]);
            put("plain", b.data, b.size);
            pack(&kinds[k], &b, kinds[k].name);
            shell("%s %s > back && cmp plain back", kinds[k].unpack, kinds[k].name);
            pack(&kinds[k], &b, "again");
            shell("cmp %s again", kinds[k].name);
            free(b.data);
        }
}
END_TEST

START_TEST(members_follow_one_another)
{
    for (size_t k = 0; k < 2; k++) {
        uint64_t size;
        bytes b = sample(300000);
        put("plain", b.data, b.size);
        shell("%s plain > one; cat one one > packed; cat plain plain > two", kinds[k].pack);
        ck_ok(expand(&kinds[k], "packed", "back", &size));
        shell("cmp two back");
        free(b.data);
    }
}
END_TEST

/* pzstd begins its files with a frame to skip; other programs may put one anywhere. */
START_TEST(frames_to_skip_are_skipped)
{
    uint64_t size;
    const kind *zstd = &kinds[1];
    bytes b = sample(300000);
    put("plain", b.data, b.size);
    put("skip", "\x5f\x2a\x4d\x18\x03\0\0\0abc", 11);
    shell("zstd -qc plain > one; cat skip one skip one skip > packed; cat plain plain > two");
    ck_ok(expand(zstd, "packed", "back", &size));
    ck_assert_uint_eq(size, 2 * b.size);
    shell("cmp two back");
    ck_ok(expand(zstd, "skip", "back", &size));
    ck_assert_uint_eq(size, 0);
    put("cut", "\x50\x2a\x4d\x18\x03\0\0\0ab", 10);
    ck_fails(expand(zstd, "cut", "back", &size), TAMIS_ERR_FORMAT, "'cut' is truncated");
    ck_assert_int_eq(tamis__codec_of_bytes("\x60\x2a\x4d\x18", 4), TAMIS__CODEC_NONE);
    ck_assert_int_eq(tamis__codec_of_bytes("\x50\x2a\x4d\x18", 3), TAMIS__CODEC_NONE);
    free(b.data);
}
END_TEST

START_TEST(wide_windows_are_refused)
{
    uint64_t size;
    shell("echo text | zstd -qc --long=28 > wide");
    ck_fails(expand(&kinds[1], "wide", "back", &size), TAMIS_ERR_UNSUPPORTED,
             "'wide' was compressed with a window of more than 128 MiB: expand it first");
}
END_TEST

START_TEST(broken_files_are_refused)
{
    for (size_t k = 0; k < 2; k++) {
        uint64_t size;
        bytes b = sample(400000);
        put("plain", b.data, b.size);
        shell("%s --fast plain > packed || %s plain > packed", kinds[k].pack, kinds[k].pack);
        if (k == 1) shell("zstd -qc --check plain > packed");
        bytes whole = get("packed");
        put("cut", whole.data, whole.size - 3);
        ck_fails(expand(&kinds[k], "cut", "back", &size), TAMIS_ERR_FORMAT, "'cut' is truncated");
        put("cut", whole.data, whole.size / 2);
        ck_fails(expand(&kinds[k], "cut", "back", &size), TAMIS_ERR_FORMAT, "'cut' is truncated");
        whole.data[whole.size / 2] ^= 0x40;
        put("flipped", whole.data, whole.size);
        ck_fails(expand(&kinds[k], "flipped", "back", &size), TAMIS_ERR_FORMAT, "'flipped' byte ");
        whole.data[whole.size / 2] ^= 0x40;
        shell("cat packed plain > tail");
        ck_fails(expand(&kinds[k], "tail", "back", &size), TAMIS_ERR_FORMAT, "'tail' byte ");
        free(whole.data);
        free(b.data);
    }
}
END_TEST

/* Every allocation of ours and every write fails once; nothing is left. */
START_TEST(failures_are_errors)
{
    bytes b = sample(3000000);
    put("plain", b.data, b.size);
    for (size_t k = 0; k < 2; k++)
        for (int what = 0; what < 2; what++)
            for (long n = 0, done = 0; !done; n++) {
                tamis__output output;
                ck_assert_int_lt(n, 1000);
                if (what)
                    tamis__fault_io_after(n);
                else
                    tamis__fault_memory_after(n);
                tamis_status status = tamis__output_open(&output, NULL, "f", true, &err);
                bool open = status == TAMIS_OK;
                if (open) status = tamis__codec_attach(kinds[k].codec, &output, &err);
                if (status == TAMIS_OK) status = tamis__output_write(&output, b.data, b.size, &err);
                if (status == TAMIS_OK)
                    status = tamis__output_commit(&output, &err);
                else if (open)
                    tamis__output_abort(&output);
                tamis__fault_io_after(-1);
                tamis__fault_memory_after(-1);
                done = status == TAMIS_OK;
                ck_assert_int_ne(access("f.part", F_OK), 0);
                if (!done) ck_assert_int_ne(access("f", F_OK), 0);
                unlink("f");
            }
    free(b.data);
}
END_TEST

/* The same of reading: memory fails as memory, files as files, and the size stays as it was. */
START_TEST(failures_of_reading_are_errors)
{
    bytes b = sample(1000000);
    put("plain", b.data, b.size);
    for (size_t k = 0; k < 2; k++) {
        shell("%s plain > packed", kinds[k].pack);
        for (int what = 0; what < 2; what++) {
            tamis_status status = TAMIS_ERR_IO;
            long n = 0;
            for (; status != TAMIS_OK; n++) {
                uint64_t size = 7;
                ck_assert_int_lt(n, 1000);
                if (what)
                    tamis__fault_io_after(n);
                else
                    tamis__fault_memory_after(n);
                status = expand(&kinds[k], "packed", "back", &size);
                tamis__fault_io_after(-1);
                tamis__fault_memory_after(-1);
                if (status == TAMIS_OK) break;
                ck_assert_int_eq(status, what ? TAMIS_ERR_IO : TAMIS_ERR_NOMEM);
                ck_assert_uint_eq(size, 7);
            }
            ck_assert_int_gt(n, 0);
            shell("cmp plain back");
        }
    }
    free(b.data);
}
END_TEST

START_TEST(names_tell_the_codec)
{
    size_t size;
    ck_assert_int_eq(tamis__codec_of_name("a.jsonl.GZ", &size), TAMIS__CODEC_GZIP);
    ck_assert_uint_eq(size, 7);
    ck_assert_int_eq(tamis__codec_of_name("a.zst", &size), TAMIS__CODEC_ZSTD);
    ck_assert_int_eq(tamis__codec_of_name(".gz", &size), TAMIS__CODEC_NONE);
    ck_assert_int_eq(tamis__codec_of_name("a.jsonl", &size), TAMIS__CODEC_NONE);
    ck_assert_uint_eq(size, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_add_test(all, their_files_are_read);
    tcase_add_test(all, our_files_are_read_by_them);
    tcase_add_test(all, members_follow_one_another);
    tcase_add_test(all, frames_to_skip_are_skipped);
    tcase_add_test(all, wide_windows_are_refused);
    tcase_add_test(all, broken_files_are_refused);
    tcase_add_test(all, failures_are_errors);
    tcase_add_test(all, failures_of_reading_are_errors);
    tcase_add_test(all, names_tell_the_codec);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
