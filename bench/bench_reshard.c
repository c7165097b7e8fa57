/* Re-sharding speed: MosaicML's MDS (samples of about 4 kB) and WebDataset's tar (members of about
 * 64 kB and 1 kB), half of the samples kept at random, by one thread and by two, warm. The floor is
 * copying as many bytes as the output has, from a file beside the input to a new one: the program
 * cp, its start included, and read() and write() by turns; "over_cp" is the time over that of cp,
 * best over best, and has to be 1.5 at most, "over_copy" that over the loop. Every round times each
 * of them once, so that a busy machine slows all. "sync" says whether the output is brought to the
 * disk (fsync), which then it is in all of them; "cpu_seconds" are the processor's, of all threads,
 * the least of the rounds.
 * One JSON object a line; rates are bytes of output over seconds.
 * Usage: bench_reshard [DIRECTORY [MEGABYTES [CASE]]]; up to three times that much is there for a
 * while.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <tamis/manifest.h>
#include <time.h>
#include <unistd.h>

enum { REPEATS = 7, PIECE = 1 << 20, THREADS = 2, MDS_SAMPLES = 16000 };
enum { CP = THREADS, COPY, CASES };

#define TAR_BYTES ((size_t)128 << 20)

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

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of all threads, and of programs that ended. */
static double cpu_seconds(void)
{
    struct rusage ended;
    getrusage(RUSAGE_CHILDREN, &ended);
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID) +
           (double)(ended.ru_utime.tv_sec + ended.ru_stime.tv_sec) +
           1e-6 * (double)(ended.ru_utime.tv_usec + ended.ru_stime.tv_usec);
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void check(tamis_status status, const tamis_error *err)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_reshard: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static unsigned char noise[2 * PIECE];

static void put(FILE *f, const void *bytes, size_t size)
{
    if (fwrite(bytes, 1, size, f) != size) die("write");
}

/* --- inputs ----------------------------------------------------------------------------------- */

typedef struct set {
    const char *name, *format;
    char path[64][32]; /* of inputs */
    size_t inputs, size, samples, written;
    tamis_selection *selection;
    tamis_context *context[THREADS];
} set;

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f) die(path);
    return f;
}

static void end(FILE *f)
{
    if (fclose(f)) die("write");
}

static size_t mds_size(uint32_t *state)
{
    return 2048 + next_random(state) % 4096;
}

static size_t put_mds(const char *path, const char *config, uint32_t *state)
{
    uint32_t n = MDS_SAMPLES, again = *state;
    uint32_t at = (uint32_t)(4 + 4 * (n + 1) + strlen(config) + 1);
    FILE *f = create(path);
    put(f, &n, 4);
    for (uint32_t i = 0; i <= n; i++) {
        put(f, &at, 4);
        if (i < n) at += (uint32_t)(mds_size(state) + 4);
    }
    put(f, config, strlen(config));
    put(f, "}", 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t size = (uint32_t)mds_size(&again);
        put(f, &size, 4);
        put(f, noise + i % PIECE, size);
    }
    end(f);
    return at;
}

/* Shards as MDSWriter makes them, of one column. */
static void make_mds(set *s, size_t wanted)
{
    static const char config[] =
        "{\"column_encodings\": [\"bytes\"], \"column_names\": [\"x\"], \"column_sizes\": [null], "
        "\"compression\": null, \"format\": \"mds\", \"hashes\": [], \"size_limit\": 67108864, "
        "\"version\": 2";
    uint32_t state = 1;
    char path[64];
    snprintf(s->path[s->inputs++], sizeof s->path[0], "bench-reshard/mds");
    if (mkdir(s->path[0], 0777)) die(s->path[0]);
    FILE *index = create("bench-reshard/mds/index.json");
    fprintf(index, "{\"shards\": [");
    for (unsigned shard = 0; s->size < wanted; shard++) {
        snprintf(path, sizeof path, "bench-reshard/mds/shard.%05u.mds", shard);
        size_t size = put_mds(path, config, &state);
        fprintf(index,
                "%s%s, \"raw_data\": {\"basename\": \"%s\", \"bytes\": %zu, \"hashes\": {}}, "
                "\"samples\": %u, \"zip_data\": null}",
                shard ? ", " : "", config, strrchr(path, '/') + 1, size, MDS_SAMPLES);
        s->size += size;
        s->samples += MDS_SAMPLES;
    }
    fprintf(index, "], \"version\": 2}");
    end(index);
}

static size_t put_member(FILE *f, size_t number, const char *ending, const unsigned char *bytes,
                         size_t size)
{
    static const char numbers[] = "0000644\0000000000\0000000000";
    unsigned char block[512] = {0};
    unsigned sum = 0;
    snprintf((char *)block, 100, "%08zu.%s", number, ending);
    memcpy(block + 100, numbers, sizeof numbers);
    snprintf((char *)block + 124, 12, "%011zo", size);
    snprintf((char *)block + 136, 12, "%011o", 0);
    memcpy(block + 148, "        0", 9);
    memcpy(block + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof block; i++) sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
    put(f, block, sizeof block);
    put(f, bytes, size);
    memset(block, 0, sizeof block);
    put(f, block, (512 - size % 512) % 512);
    return 512 + (size + 511) / 512 * 512;
}

static void make_tar(set *s, size_t wanted)
{
    static const unsigned char zeros[1024];
    uint32_t state = 2;
    for (; s->size < wanted && s->inputs < 64; s->inputs++) {
        char *path = s->path[s->inputs];
        size_t size = sizeof zeros;
        snprintf(path, sizeof s->path[0], "bench-reshard/x-%06zu.tar", s->inputs);
        FILE *f = create(path);
        for (; size < TAR_BYTES && s->size + size < wanted; s->samples++) {
            size += put_member(f, s->samples, "jpg", noise + s->samples % PIECE,
                               32768 + next_random(&state) % 65536);
            size += put_member(f, s->samples, "json", noise, 1000);
        }
        put(f, zeros, sizeof zeros);
        end(f);
        s->size += size;
    }
}

static void select_half(set *s)
{
    uint32_t state = 9;
    tamis_error err = {0};
    check(tamis_selection_create(&s->selection, s->samples, NULL, &err), &err);
    for (size_t i = 0; i < s->samples; i++) {
        s->selection->keep[i] = next_random(&state) & 1;
        s->selection->kept += s->selection->keep[i];
    }
}

/* --- what is measured ------------------------------------------------------------------------- */

static void reshard(set *s, unsigned threads)
{
    const char *input[64];
    tamis_error err = {0};
    tamis_manifest_result result;
    for (size_t i = 0; i < s->inputs; i++) input[i] = s->path[i];
    tamis_manifest_params params = {.selection = s->selection,
                                    .format = s->format,
                                    .input = input,
                                    .inputs = s->inputs,
                                    .output = "bench-reshard/out"};
    check(tamis_manifest_write(s->context[threads - 1], &params, &result, &err), &err);
    s->written = result.bytes_out;
    tamis_manifest_result_fini(&result);
}

static void clear(const char *path)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", path);
    if (system(command)) die(command);
}

static void run_cp(void)
{
    if (system("cp bench-reshard/from bench-reshard/out")) die("cp");
    int to = open("bench-reshard/out", O_WRONLY);
    if (to < 0 || fsync(to)) die("fsync");
    close(to);
}

static void copy(const set *s)
{
    static unsigned char piece[PIECE];
    int from = open("bench-reshard/from", O_RDONLY);
    int to = open("bench-reshard/out", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (from < 0 || to < 0) die("bench-reshard");
    for (size_t left = s->written; left > 0;) {
        size_t size = left < PIECE ? left : PIECE;
        if (read(from, piece, size) != (ssize_t)size || write(to, piece, size) != (ssize_t)size)
            die("copying");
        left -= size;
    }
    if (fsync(to)) die("fsync");
    close(from);
    close(to);
}

/* What copies copy from. */
static void make_from(const set *s)
{
    FILE *f = create("bench-reshard/from");
    for (size_t left = s->written; left > 0;) {
        size_t size = left < PIECE ? left : PIECE;
        put(f, noise, size);
        left -= size;
    }
    end(f);
}

static void print(const set *s, const char *what, const double *seconds, const double *cpu,
                  const double *floor)
{
    printf("{\"bench\":\"reshard\",\"case\":\"%s-%s\",\"sync\":%s,\"bytes_in\":%zu,"
           "\"bytes_out\":%zu,\"seconds\":%.4f,\"median_seconds\":%.4f,\"cpu_seconds\":%.4f,"
           "\"gb_per_s\":%.3f",
           s->name, what, sync_is_on ? "true" : "false", s->size, s->written, seconds[0],
           seconds[REPEATS / 2], cpu[0], (double)s->written / seconds[0] * 1e-9);
    if (floor)
        printf(",\"over_cp\":%.2f,\"over_copy\":%.2f", seconds[0] / floor[CP],
               seconds[0] / floor[COPY]);
    printf("}\n");
    fflush(stdout);
}

static void run_case(set *s, unsigned i)
{
    if (i < THREADS)
        reshard(s, i + 1);
    else if (i == CP)
        run_cp();
    else
        copy(s);
}

static void measure(set *s)
{
    static const char *const name[CASES] = {"half", "half-2-threads", "cp", "copy"};
    double seconds[CASES][REPEATS], cpu[CASES][REPEATS], best[CASES];
    for (int r = 0; r < REPEATS; r++)
        for (unsigned i = 0; i < CASES; i++) {
            clear("bench-reshard/out");
            double start = seconds_of(CLOCK_MONOTONIC), cpu_start = cpu_seconds();
            run_case(s, i);
            seconds[i][r] = seconds_of(CLOCK_MONOTONIC) - start;
            cpu[i][r] = cpu_seconds() - cpu_start;
        }
    for (unsigned i = 0; i < CASES; i++) {
        qsort(seconds[i], REPEATS, sizeof *seconds[i], compare);
        qsort(cpu[i], REPEATS, sizeof *cpu[i], compare);
        best[i] = seconds[i][0];
    }
    for (unsigned i = 0; i < CASES; i++)
        print(s, name[i], seconds[i], cpu[i], i < THREADS ? best : NULL);
}

static void run(set *s, void (*make)(set *, size_t), size_t wanted)
{
    if (mkdir("bench-reshard", 0777)) die("bench-reshard");
    make(s, wanted);
    select_half(s);
    for (unsigned i = 0; i < THREADS; i++) {
        tamis_error err = {0};
        tamis_context_params params = {.threads = i + 1};
        check(tamis_context_create(&s->context[i], &params, &err), &err);
    }
    reshard(s, 1);
    make_from(s);
    for (int sync = 0; sync < 2; sync++) {
        sync_is_on = sync;
        measure(s);
    }
    for (unsigned i = 0; i < THREADS; i++) tamis_context_destroy(&s->context[i]);
    tamis_selection_free(&s->selection);
    clear("bench-reshard");
}

int main(int argc, char **argv)
{
    set mds = {.name = "mds", .format = "mds"};
    set tar[] = {{.name = "tar", .format = "webdataset"},
                 {.name = "tar-16-files", .format = "webdataset:max-bytes=14000000"},
                 {.name = "tar-md5-1-file", .format = "webdataset:md5"},
                 {.name = "tar-md5-16-files", .format = "webdataset:md5,max-bytes=14000000"}};
    if (argc > 1 && chdir(argv[1])) die(argv[1]);
    size_t wanted = (argc > 2 ? strtoul(argv[2], NULL, 10) : 400) << 20;
    for (uint32_t i = 0, state = 5; i < sizeof noise; i++)
        noise[i] = (unsigned char)next_random(&state);
    const char *only = argc > 3 ? argv[3] : NULL;
    if (!only || strcmp(only, mds.name) == 0) run(&mds, make_mds, wanted);
    for (size_t i = 0; i < sizeof tar / sizeof *tar; i++)
        if (!only || strcmp(only, tar[i].name) == 0) run(&tar[i], make_tar, wanted);
    return EXIT_SUCCESS;
}
