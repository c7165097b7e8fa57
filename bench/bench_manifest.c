/* Filtering speed: records of about 1 kB, half of them kept at random, digests compared; by one
 * thread and by two, warm: JSON Lines, CSV whose text is quoted and has line ends (every 400 bytes)
 * and doubled quotes in it, CSV without quotes, and a JSON array. Beside JSON Lines: cp of the same
 * file, a scan that only looks for line ends, the time of a plain write of the kept bytes, and grep
 * and jq taking the same lines out by a mark in them, one run each, which compare nothing. "sync"
 * says whether the time to bring the output to the disk (fsync, which every tamis output gets
 * before it appears under its name) is in the figure; without it the figure is of the processor and
 * the page cache, which is what the floor of 2 GB/s with two threads is about.
 * One JSON object a line; rates are bytes of input over seconds.
 * Usage: bench_manifest [DIRECTORY [MEGABYTES]]; up to twice that much is there for a while.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tamis/manifest.h>
#include <time.h>
#include <unistd.h>

/* The digest of records is XXH3-64; in the header alone, so that nothing more is linked. */
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { REPEATS = 5, LINE_MIN = 768, LINE_SPREAD = 512 };

/* --- fsync, switched off for the warm figures ------------------------------------------------- */

static bool sync_is_on = true;

/* In place of the C library's, so that the library's own code path is measured both ways. */
int fsync(int fd)
{
    return sync_is_on ? (int)syscall(SYS_fsync, fd) : 0;
}

int sync_file_range(int fd, off_t at, off_t size, unsigned flags)
{
    return sync_is_on ? (int)syscall(SYS_sync_file_range, fd, at, size, flags) : 0;
}

/* --- small things ----------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void check(tamis_status status, const tamis_error *err)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_manifest: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

typedef struct timing {
    double best, median;
} timing;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef void (*measured)(void *cookie);

static timing measure(measured call, void *cookie)
{
    double seconds[REPEATS];
    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        call(cookie);
        seconds[i] = now() - start;
    }
    qsort(seconds, REPEATS, sizeof *seconds, compare);
    return (timing){.best = seconds[0], .median = seconds[REPEATS / 2]};
}

static void print(const char *name, bool sync, size_t in, size_t out, timing t)
{
    printf("{\"bench\":\"manifest\",\"case\":\"%s\",\"sync\":%s,\"bytes_in\":%zu,\"bytes_out\":%zu,"
           "\"seconds\":%.4f,\"median_seconds\":%.4f,\"gb_per_s\":%.3f}\n",
           name, sync ? "true" : "false", in, out, t.best, t.median, (double)in / t.best * 1e-9);
    fflush(stdout);
}

/* --- the source file -------------------------------------------------------------------------- */

typedef struct source {
    const char *path, *name, *format;
    bool quotes;
    size_t size, lines;
    tamis_selection *selection;
    size_t written; /* by the last filter */
    tamis_context *context;
} source;

/* Without its line end. */
static size_t make_record(const source *s, char *line, uint32_t *state, bool keep)
{
    static const char words[] =
        "the quick brown fox jumps over a lazy dog and sees that it is good ";
    bool csv = !strcmp(s->format, "csv");
    int size = LINE_MIN + (int)(next_random(state) % LINE_SPREAD);
    unsigned id = next_random(state);
    int used = csv ? sprintf(line, "%u,%d,", id, keep)
                   : sprintf(line, "{\"id\":%u,\"keep\":%d,\"text\":", id, keep);
    if (s->quotes) line[used++] = '"';
    for (; used < size; used++) {
        line[used] = words[((unsigned)used + (*state & 15)) % (sizeof words - 1)];
        if (!csv || !s->quotes) continue;
        if (used % 400 == 0) line[used] = '\n';
        if (used % 300 == 0 && used + 1 < size) line[used++] = '"', line[used] = '"';
    }
    return (size_t)(used + sprintf(line + used, "%s%s", s->quotes ? "\"" : "", csv ? "" : "}"));
}

static void make_source(source *s, size_t wanted)
{
    char line[LINE_MIN + LINE_SPREAD + 64];
    uint32_t state = 1;
    tamis_error err = {0};
    size_t room = wanted / LINE_MIN + 2;
    uint64_t *digest = calloc(room, sizeof *digest);
    uint8_t *keep = calloc(room, 1);
    FILE *file = fopen(s->path, "wb");
    if (!file || !digest || !keep) die(s->path);
    bool array = !strcmp(s->format, "json");
    const char *head = array ? "[" : !strcmp(s->format, "csv") ? "id,keep,text\n" : "";
    s->size = strlen(head);
    s->lines = 0;
    fputs(head, file);
    while (s->size < wanted) {
        keep[s->lines] = next_random(&state) & 1;
        size_t size = make_record(s, line, &state, keep[s->lines]);
        digest[s->lines++] = XXH3_64bits(line, size);
        if (array && s->size + size < wanted) line[size++] = ',';
        line[size++] = '\n';
        if (fwrite(line, 1, size, file) != size) die(s->path);
        s->size += size;
    }
    fputs(array ? "]" : "", file);
    if (fclose(file)) die(s->path);
    s->size += array;
    tamis_examples examples = {.digest = digest};
    check(tamis_selection_create(&s->selection, s->lines, &examples, &err), &err);
    for (size_t i = 0; i < s->lines; i++) {
        s->selection->keep[i] = keep[i];
        s->selection->kept += s->selection->keep[i];
    }
    free(digest);
    free(keep);
}

/* --- what is measured ------------------------------------------------------------------------- */

static volatile size_t lines_seen;

static void scan(void *cookie)
{
    source *s = cookie;
    int fd = open(s->path, O_RDONLY);
    char *data = fd < 0 ? MAP_FAILED : mmap(NULL, s->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) die(s->path);
    size_t lines = 0;
    for (const char *at = data; (at = memchr(at, '\n', (size_t)(data + s->size - at))); at++)
        lines++;
    lines_seen = lines;
    munmap(data, s->size);
    close(fd);
}

static void filter(void *cookie)
{
    source *s = cookie;
    tamis_error err = {0};
    tamis_manifest_result result;
    tamis_manifest_params params = {.selection = s->selection,
                                    .format = s->format,
                                    .input = (const char *const[]){s->path},
                                    .inputs = 1,
                                    .output = "bench-manifest-out.jsonl",
                                    .force = true};
    check(tamis_manifest_write(s->context, &params, &result, &err), &err);
    s->written = result.bytes_out;
    tamis_manifest_result_fini(&result);
    unlink(params.output);
}

/* A command that reads the source and writes the output, to its standard output or by itself,
 * through to the disk. */
static void command(const char *const *words, bool prints)
{
    int status;
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        const char *path = prints ? "bench-manifest-out.jsonl" : "/dev/null";
        int fd = open(path, O_WRONLY | O_CREAT, 0666);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) _exit(127);
        execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    if (waitpid(child, &status, 0) != child || status != 0) die(words[0]);
    int fd = open("bench-manifest-out.jsonl", O_RDONLY);
    if (fd < 0 || fsync(fd)) die(words[0]);
    close(fd);
    unlink("bench-manifest-out.jsonl");
}

static void copy(void *cookie)
{
    /* --reflink=never: a clone copies nothing. */
    source *s = cookie;
    command(
        (const char *const[]){"cp", "--reflink=never", s->path, "bench-manifest-out.jsonl", NULL},
        false);
}

static void grep(void *cookie)
{
    source *s = cookie;
    command((const char *const[]){"grep", "-F", "\"keep\":1", s->path, NULL}, true);
}

static void jq(void *cookie)
{
    source *s = cookie;
    command((const char *const[]){"jq", "-c", "select(.keep == 1)", s->path, NULL}, true);
}

/* The bytes that the filter writes, from memory: what the output alone costs. */
static void write_half(void *cookie)
{
    source *s = cookie;
    enum { PIECE = 1 << 20 };
    static char piece[PIECE];
    int fd = open("bench-manifest-out.jsonl", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (size_t left = s->written; left > 0;) {
        ssize_t put = write(fd, piece, left < PIECE ? left : PIECE);
        if (put <= 0) die("write");
        left -= (size_t)put;
    }
    if (fsync(fd)) die("fsync");
    close(fd);
    unlink("bench-manifest-out.jsonl");
}

static void measure_both(const char *name, measured call, source *s, const size_t *out)
{
    for (int sync = 0; sync < 2; sync++) {
        sync_is_on = sync;
        timing t = measure(call, s);
        print(name, sync, s->size, *out, t);
    }
}

static void measure_once(const char *name, measured call, source *s)
{
    double start = now();
    sync_is_on = false;
    call(s);
    double seconds = now() - start;
    print(name, false, s->size, s->written, (timing){.best = seconds, .median = seconds});
}

static void measure_filter(source *s)
{
    for (unsigned threads = 1; threads <= 2; threads++) {
        tamis_error err = {0};
        char name[60];
        snprintf(name, sizeof name, "%s%s", s->name, threads == 1 ? "" : "-2-threads");
        check(tamis_context_create(&s->context, &(tamis_context_params){.threads = threads}, &err),
              &err);
        measure_both(name, filter, s, &s->written);
        tamis_context_destroy(&s->context);
    }
}

int main(int argc, char **argv)
{
    static source all[] = {
        {.name = "filter-half", .format = "jsonl", .quotes = true},
        {.name = "filter-half-csv-quoted", .format = "csv", .quotes = true},
        {.name = "filter-half-csv", .format = "csv"},
        {.name = "filter-half-array", .format = "json", .quotes = true},
    };
    size_t none = 0;
    if (argc > 1 && chdir(argv[1])) die(argv[1]);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        source *s = &all[i];
        s->path = "bench-manifest-in";
        make_source(s, (argc > 2 ? strtoul(argv[2], NULL, 10) : 512) << 20);
        if (i == 0) print("memchr", false, s->size, none, measure(scan, s));
        measure_filter(s);
        if (i == 0) {
            measure_both("cp", copy, s, &s->size);
            measure_both("write-half", write_half, s, &s->written);
            measure_once("grep-half", grep, s);
            measure_once("jq-half", jq, s);
        }
        tamis_selection_free(&s->selection);
        unlink(s->path);
    }
    return EXIT_SUCCESS;
}
