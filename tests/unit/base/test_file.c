/* Inputs mapped whole; outputs that appear whole or not at all.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/mem.h"

static tamis_error err;

/* How many temporary files the library says there are. */
static int temporaries;

static void count_temporary(void *cookie, const char *path, bool exists)
{
    (void)cookie;
    ck_assert_ptr_nonnull(strstr(path, ".part"));
    temporaries += exists ? 1 : -1;
}

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    temporaries = 0;
    tamis_context_params params = {.threads = 1, .memory = 1u << 20, .temporary = count_temporary};
    ck_ok(tamis_context_create(&context, &params, &err));
}

static void teardown(void)
{
    ck_assert_int_eq(temporaries, 0);
    tamis_context_destroy(&context);
    leave_scratch();
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void has(const char *path, const char *text)
{
    char found[200] = "";
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s is missing", path);
    size_t n = fread(found, 1, sizeof found - 1, f);
    found[n] = '\0';
    fclose(f);
    ck_assert_str_eq(found, text);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static int files_here(void)
{
    int n = 0;
    DIR *here = opendir(".");
    for (struct dirent *e; (e = readdir(here));) n += *e->d_name != '.';
    closedir(here);
    return n;
}

/* --- input ---------------------------------------------------------------------------------- */

START_TEST(input_regular)
{
    tamis__input input = {0};
    put("a", "some bytes");
    ck_ok(tamis__input_open(&input, context, "a", &err));
    ck_assert(input.mapped && input.size == 10);
    ck_assert_int_eq(memcmp(input.data, "some bytes", 10), 0);
    tamis__input_sequential(&input);
    tamis__input_close(&input);
    ck_assert_ptr_null(input.data);
    tamis__input_close(&input);
    put("empty", "");
    ck_ok(tamis__input_open(&input, NULL, "empty", &err));
    ck_assert(input.data != NULL && input.size == 0);
    tamis__input_sequential(&input);
    tamis__input_close(&input);
}
END_TEST

START_TEST(input_refused)
{
    tamis__input input = {0};
    mkdir("d", 0777);
    ck_fails(tamis__input_open(&input, context, "absent", &err), TAMIS_ERR_IO,
             "cannot open 'absent': No such file or directory");
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_fails(tamis__input_open(&input, context, "d", &err), TAMIS_ERR_IO, "is a directory");
    ck_fails(tamis__input_open(&input, context, "", &err), TAMIS_ERR_IO, "cannot open");
    ck_assert_ptr_null(input.data);
}
END_TEST

typedef struct feeder {
    int fd;
    size_t size;
} feeder;

static void *feed(void *arg)
{
    feeder *f = arg;
    unsigned char bytes[1000];
    for (size_t at = 0; at < f->size;) {
        size_t n = f->size - at < sizeof bytes ? f->size - at : sizeof bytes;
        for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)((at + i) * 7);
        ssize_t put_now = write(f->fd, bytes, n);
        if (put_now < 0) break; /* the reader has had enough */
        at += (size_t)put_now;
    }
    close(f->fd);
    return NULL;
}

/* Read a pipe of `size` bytes as /dev/fd/N. */
static tamis_status read_pipe(size_t size, tamis__input *ret_input)
{
    int ends[2];
    char path[40];
    pthread_t thread;
    ck_assert_int_eq(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    feeder f = {ends[1], size};
    ck_assert_int_eq(pthread_create(&thread, NULL, feed, &f), 0);
    tamis_status status = tamis__input_open(ret_input, context, path, &err);
    close(ends[0]);
    pthread_join(thread, NULL);
    return status;
}

/* Up to the memory limit to the byte, and no further. */
START_TEST(input_pipe)
{
    static const size_t fits[] = {0, 1, 65535, 65536, 65537, 400000, (1u << 20) - 1};
    tamis__input input = {0};
    if (!exists("/dev/fd")) return;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        ck_ok(read_pipe(fits[i], &input));
        ck_assert(!input.mapped && input.data != NULL);
        ck_assert_uint_eq(input.size, fits[i]);
        for (size_t k = 0; k < input.size; k++)
            ck_assert_uint_eq(input.data[k], (unsigned char)(k * 7));
        tamis__input_close(&input);
    }
    ck_fails(read_pipe(3u << 20, &input), TAMIS_ERR_NOMEM, "not a regular file and does not fit");
    ck_assert_ptr_null(input.data);
    tamis__fault_memory_after(1);
    tamis_status status = read_pipe(1u << 19, &input);
    tamis__fault_memory_after(-1);
    ck_fails(status, TAMIS_ERR_NOMEM, "raise --memory");
    signal(SIGPIPE, SIG_DFL);
}
END_TEST

START_TEST(input_faults)
{
    tamis__input input = {0};
    put("a", "bytes");
    long n = 0;
    for (;; n++) {
        tamis__fault_io_after(n);
        tamis_status status = tamis__input_open(&input, context, "a", &err);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) break;
        ck_fails(status, TAMIS_ERR_IO, "'a'");
        ck_assert_ptr_null(input.data);
    }
    ck_assert_int_ge(n, 2);
    tamis__input_close(&input);
}
END_TEST

/* --- output --------------------------------------------------------------------------------- */

static tamis_status write_text(const char *path, const char *text, bool force)
{
    tamis__output output;
    tamis_status status = tamis__output_open(&output, context, path, force, &err);
    if (status != TAMIS_OK) return status;
    status = tamis__output_write(&output, text, strlen(text), &err);
    if (status == TAMIS_OK) return tamis__output_commit(&output, &err);
    tamis__output_abort(&output);
    return status;
}

START_TEST(output_appears_at_commit)
{
    tamis__output output;
    ck_ok(tamis__output_open(&output, context, "out", false, &err));
    ck_assert_int_eq(temporaries, 1);
    ck_ok(tamis__output_write(&output, "one ", 4, &err));
    ck_ok(tamis__output_printf(&output, &err, "%d %s", 2, "three"));
    ck_assert(!exists("out") && exists("out.part"));
    ck_assert_uint_eq(output.written, 11);
    ck_ok(tamis__output_commit(&output, &err));
    has("out", "one 2 three");
    ck_assert(!exists("out.part"));
    tamis__output_abort(&output);
    has("out", "one 2 three");
}
END_TEST

START_TEST(output_abort)
{
    tamis__output output;
    put("out", "old");
    ck_ok(tamis__output_open(&output, context, "out", true, &err));
    ck_ok(tamis__output_write(&output, "new", 3, &err));
    tamis__output_abort(&output);
    tamis__output_abort(&output);
    has("out", "old");
    ck_assert_int_eq(files_here(), 1);
    tamis__output zeroed = {0};
    tamis__output_abort(&zeroed);
}
END_TEST

/* Sizes around the buffer's, in one piece and in many. */
START_TEST(output_large)
{
    static const size_t sizes[] = {0, 1, (1u << 20) - 1, 1u << 20, (1u << 20) + 1, 5000000};
    static const size_t pieces[] = {1000, (1u << 20) - 3, 8u << 20};
    unsigned char *bytes = tamis__malloc(5000000, 1);
    for (size_t i = 0; i < 5000000; i++) bytes[i] = (unsigned char)(i * 31 >> 3);
    for (size_t s = 0; s < 6; s++)
        for (size_t p = 0; p < 3; p++) {
            tamis__output output;
            tamis__input input = {0};
            ck_ok(tamis__output_open(&output, context, "big", true, &err));
            for (size_t at = 0; at < sizes[s]; at += pieces[p]) {
                size_t n = sizes[s] - at < pieces[p] ? sizes[s] - at : pieces[p];
                ck_ok(tamis__output_write(&output, bytes + at, n, &err));
            }
            ck_ok(tamis__output_commit(&output, &err));
            ck_ok(tamis__input_open(&input, context, "big", &err));
            ck_assert_uint_eq(input.size, sizes[s]);
            ck_assert_int_eq(memcmp(input.data, bytes, sizes[s]), 0);
            tamis__input_close(&input);
        }
    free(bytes);
}
END_TEST

START_TEST(output_exists)
{
    put("out", "old");
    ck_fails(write_text("out", "new", false), TAMIS_ERR_IO, "'out' exists: use -f");
    has("out", "old");
    ck_ok(write_text("out", "new", true));
    has("out", "new");
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(output_refused)
{
    mkdir("d", 0777);
    put("file", "x");
    ck_fails(write_text("d", "new", true), TAMIS_ERR_IO, "it is a directory");
    ck_fails(write_text("", "new", true), TAMIS_ERR_ARG, "empty name");
    ck_fails(write_text("absent/out", "new", true), TAMIS_ERR_IO, "No such file");
    ck_fails(write_text("file/out", "new", true), TAMIS_ERR_IO, "Not a directory");
    ck_fails(tamis__output_check("/dev/null", true, false, &err), TAMIS_ERR_IO, "regular file");
    ck_ok(tamis__output_check("/dev/null", false, true, &err));
    ck_ok(tamis__output_check("new", false, false, &err));
    ck_assert_int_eq(files_here(), 2);
}
END_TEST

/* A file that appears while ours is being written is never replaced without force. */
START_TEST(output_race)
{
    tamis__output output;
    ck_ok(tamis__output_open(&output, context, "out", false, &err));
    ck_ok(tamis__output_write(&output, "ours", 4, &err));
    put("out", "theirs");
    ck_fails(tamis__output_commit(&output, &err), TAMIS_ERR_IO,
             "'out' appeared while it was being written");
    has("out", "theirs");
    ck_assert_int_eq(files_here(), 1);
    ck_ok(tamis__output_open(&output, context, "out", true, &err));
    ck_ok(tamis__output_write(&output, "ours", 4, &err));
    put("out", "theirs again");
    ck_ok(tamis__output_commit(&output, &err));
    has("out", "ours");
}
END_TEST

/* What a killed run left is no obstacle and leaves no trace, even when it is longer. */
START_TEST(output_stale_part)
{
    put("out.part", "a long left-over of a killed run");
    ck_ok(write_text("out", "new", false));
    has("out", "new");
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

/* Two runs with one output: the second one stops, and the first one's file is untouched. */
START_TEST(output_of_two_runs)
{
    tamis__output first, second;
    ck_ok(tamis__output_open(&first, context, "out", false, &err));
    ck_ok(tamis__output_write(&first, "first", 5, &err));
    ck_fails(tamis__output_open(&second, context, "out", false, &err), TAMIS_ERR_IO,
             "'out' is being written by another run");
    ck_assert(exists("out.part"));
    ck_ok(tamis__output_commit(&first, &err));
    has("out", "first");
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(output_device)
{
    ck_ok(write_text("/dev/null", "gone", false));
    ck_assert(!exists("/dev/null.part"));
    if (!exists("/dev/full")) return;
    ck_fails(write_text("/dev/full", "no room", false), TAMIS_ERR_IO,
             "cannot write '/dev/full': No space left on device");
    ck_assert_int_eq(err.sys_errno, ENOSPC);
    ck_assert(exists("/dev/full") && !exists("/dev/full.part"));
}
END_TEST

/* A full disk is met at the first flush, not only at the end. */
START_TEST(output_full_early)
{
    if (!exists("/dev/full")) return;
    tamis__output output;
    unsigned char *bytes = tamis__calloc(3u << 20, 1);
    ck_ok(tamis__output_open(&output, context, "/dev/full", false, &err));
    ck_fails(tamis__output_write(&output, bytes, 3u << 20, &err), TAMIS_ERR_IO, "No space left");
    tamis__output_abort(&output);
    free(bytes);
}
END_TEST

START_TEST(output_pipe)
{
    ck_assert_int_eq(mkfifo("pipe", 0666), 0);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    ck_ok(write_text("pipe", "through", false));
    char found[20] = "";
    ck_assert_int_eq(read(reader, found, sizeof found), 7);
    ck_assert_str_eq(found, "through");
    close(reader);
    struct stat st;
    ck_assert(stat("pipe", &st) == 0 && S_ISFIFO(st.st_mode) && !exists("pipe.part"));
}
END_TEST

/* In a child, since standard output is where the results of this test go. */
static int as_child_stdout(const char *target)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(target, O_WRONLY | O_CREAT, 0666);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) _exit(99);
        tamis_status status = write_text("-", "to standard output", false);
        if (status != TAMIS_OK && !strstr(err.message, "'standard output'")) _exit(98);
        _exit((int)status);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how));
    return WEXITSTATUS(how);
}

START_TEST(output_standard)
{
    ck_assert_int_eq(as_child_stdout("caught"), TAMIS_OK);
    has("caught", "to standard output");
    ck_assert_int_eq(files_here(), 1);
    if (exists("/dev/full")) ck_assert_int_eq(as_child_stdout("/dev/full"), TAMIS_ERR_IO);
}
END_TEST

START_TEST(output_long_line)
{
    tamis__output output;
    char line[5000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    ck_ok(tamis__output_open(&output, context, "out", false, &err));
    ck_fails(tamis__output_printf(&output, &err, "%s", line), TAMIS_ERR_IO, "too long");
    tamis__output_abort(&output);
    ck_assert_int_eq(files_here(), 0);
}
END_TEST

/* The mode is what the user's mask leaves, as for any program. */
START_TEST(output_mode)
{
    mode_t old = umask(027);
    ck_ok(write_text("out", "x", false));
    umask(old);
    struct stat st;
    ck_assert_int_eq(stat("out", &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(part_path)
{
    static const char *const cases[][2] = {
        {"a", "a.part"}, {"d/a.h5", "d/a.h5.part"}, {"d//", "d.part"}, {"/", "/.part"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *part = tamis__part_path(cases[i][0]);
        ck_assert_str_eq(part, cases[i][1]);
        free(part);
    }
}
END_TEST

START_TEST(publish)
{
    put("x.part", "new");
    put("x", "old");
    tamis__temporary(context, "x.part", true);
    int fd = open("x.part", O_RDWR);
    ck_fails(tamis__output_publish(context, fd, "x.part", "x", false, &err), TAMIS_ERR_IO,
             "appeared");
    has("x", "old");
    ck_assert(!exists("x.part"));
    put("x.part", "new");
    tamis__temporary(context, "x.part", true);
    ck_ok(tamis__output_publish(context, open("x.part", O_RDWR), "x.part", "x", true, &err));
    has("x", "new");
    put("x.part", "gone");
    fd = open("x.part", O_RDWR);
    ck_assert_int_eq(unlink("x.part"), 0);
    tamis__temporary(context, "x.part", true);
    ck_fails(tamis__output_publish(context, fd, "x.part", "x", true, &err), TAMIS_ERR_IO,
             "cannot rename");
    has("x", "new");
}
END_TEST

/* --- faults --------------------------------------------------------------------------------- */

/* Each operation in turn fails: an error that names the file, the old file untouched, no
 * left-over. */
static void inject(void (*fault)(long), tamis_status wanted, long at_least)
{
    put("out", "old");
    long n = 0;
    for (;; n++) {
        fault(n);
        tamis_status status = write_text("out", "new", true);
        fault(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, wanted);
        ck_assert_uint_gt(strlen(err.message), 10);
        if (wanted == TAMIS_ERR_IO) ck_assert_ptr_nonnull(strstr(err.message, "out"));
        has("out", "old");
        ck_assert_int_eq(files_here(), 1);
        ck_assert_int_eq(temporaries, 0);
        ck_assert_int_lt(n, 100);
    }
    ck_assert_int_ge(n, at_least);
    has("out", "new");
}

START_TEST(memory_faults)
{
    inject(tamis__fault_memory_after, TAMIS_ERR_NOMEM, 3);
}
END_TEST

START_TEST(io_faults)
{
    inject(tamis__fault_io_after, TAMIS_ERR_IO, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file");
    TCase *tests = tcase_create("file");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, input_regular);
    tcase_add_test(tests, input_refused);
    tcase_add_test(tests, input_pipe);
    tcase_add_test(tests, input_faults);
    tcase_add_test(tests, output_appears_at_commit);
    tcase_add_test(tests, output_abort);
    tcase_add_test(tests, output_large);
    tcase_add_test(tests, output_exists);
    tcase_add_test(tests, output_refused);
    tcase_add_test(tests, output_race);
    tcase_add_test(tests, output_stale_part);
    tcase_add_test(tests, output_of_two_runs);
    tcase_add_test(tests, output_device);
    tcase_add_test(tests, output_full_early);
    tcase_add_test(tests, output_pipe);
    tcase_add_test(tests, output_standard);
    tcase_add_test(tests, output_long_line);
    tcase_add_test(tests, output_mode);
    tcase_add_test(tests, part_path);
    tcase_add_test(tests, publish);
    tcase_add_test(tests, memory_faults);
    tcase_add_test(tests, io_faults);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
