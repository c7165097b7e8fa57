/* Data sets of Megatron-LM for tests: made, and read back by a plain reader made from the format's
 * description.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_MEGATRON_FILES_H
#define TAMIS_TEST_MEGATRON_FILES_H

#include "manifest_files.h"

/* --- a data set in memory, and its two files ------------------------------------------------ */

enum { MAX = 64 };

typedef struct set {
    unsigned type, item;
    uint64_t sequences, documents;
    int32_t length[MAX];
    int64_t offset[MAX], document[MAX];
    int8_t mode[MAX];
    bool modes;
} set;

static const unsigned items[] = {0, 1, 1, 2, 4, 8, 8, 4, 2};

/* Sequences of documents of 0 to 3, each token's bytes different from those of the others. */
static inline set make_set(unsigned type, bool modes)
{
    set s = {.type = type, .item = items[type], .documents = 6, .modes = modes};
    static const unsigned of[] = {2, 1, 0, 3, 1, 2};
    int64_t at = 0;
    for (unsigned d = 0; d < 6; d++) {
        s.document[d] = (int64_t)s.sequences;
        for (unsigned k = 0; k < of[d]; k++, s.sequences++) {
            s.length[s.sequences] = (int32_t)((d * 5 + k * 3) % 7 + (d != 4));
            s.offset[s.sequences] = at;
            s.mode[s.sequences] = (int8_t)(d + 10 * k);
            at += s.length[s.sequences] * (int64_t)s.item;
        }
    }
    s.document[6] = (int64_t)s.sequences;
    return s;
}

static inline void put_index(const char *path, const set *s)
{
    FILE *f = fopen(path, "wb");
    uint64_t version = 1, ends = s->documents + 1;
    fwrite("MMIDIDX\0", 1, 9, f);
    fwrite(&version, 8, 1, f);
    fputc((int)s->type, f);
    fwrite(&s->sequences, 8, 1, f);
    fwrite(&ends, 8, 1, f);
    fwrite(s->length, 4, s->sequences, f);
    fwrite(s->offset, 8, s->sequences, f);
    fwrite(s->document, 8, ends, f);
    if (s->modes) fwrite(s->mode, 1, s->sequences, f);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void put_set(const char *prefix, const set *s)
{
    char path[64];
    unsigned char tokens[4096];
    size_t size = 0;
    for (uint64_t i = 0; i < s->sequences; i++) size += (size_t)s->length[i] * s->item;
    for (size_t i = 0; i < size; i++) tokens[i] = (unsigned char)(i * 37 + i / 256 + 1);
    snprintf(path, sizeof path, "%s.bin", prefix);
    put_bytes(path, tokens, size);
    snprintf(path, sizeof path, "%s.idx", prefix);
    put_index(path, s);
}

/* The reader: numbers one after another from the file, no checks. */
static inline set get_set(const char *prefix, bytes *ret_tokens)
{
    char path[64];
    set s = {0};
    uint64_t version, ends;
    snprintf(path, sizeof path, "%s.bin", prefix);
    *ret_tokens = get(path);
    snprintf(path, sizeof path, "%s.idx", prefix);
    bytes idx = get(path);
    const char *p = idx.data;
    ck_assert_int_eq(memcmp(p, "MMIDIDX\0", 9), 0);
    memcpy(&version, p + 9, 8);
    ck_assert_uint_eq(version, 1);
    s.type = (unsigned char)p[17];
    s.item = items[s.type];
    memcpy(&s.sequences, p + 18, 8);
    memcpy(&ends, p + 26, 8);
    ck_assert(s.sequences <= MAX && ends >= 1 && ends <= MAX);
    s.documents = ends - 1;
    p += 34;
    memcpy(s.length, p, 4 * s.sequences);
    memcpy(s.offset, p += 4 * s.sequences, 8 * s.sequences);
    memcpy(s.document, p += 8 * s.sequences, 8 * ends);
    p += 8 * ends;
    s.modes = p < idx.data + idx.size;
    if (s.modes) memcpy(s.mode, p, s.sequences);
    ck_assert_ptr_eq(p + (s.modes ? s.sequences : 0), idx.data + idx.size);
    free(idx.data);
    return s;
}

static inline void check_same(const char *a, const char *b)
{
    bytes one = get(a), two = get(b);
    ck_assert_msg(one.size == two.size && !memcmp(one.data, two.data, one.size), "%s and %s differ",
                  a, b);
    free(one.data);
    free(two.data);
}

/* Sequence `i` of `written` is sequence `k` of `source`. */
static inline void check_sequence(const set *written, const bytes *tokens, uint64_t i,
                                  const set *source, const bytes *all, uint64_t k)
{
    size_t size = (size_t)source->length[k] * source->item;
    ck_assert_int_eq(written->length[i], source->length[k]);
    ck_assert_uint_le((size_t)written->offset[i] + size, tokens->size);
    ck_assert_int_eq(memcmp(tokens->data + written->offset[i], all->data + source->offset[k], size),
                     0);
    if (source->modes) ck_assert_int_eq(written->mode[i], source->mode[k]);
}

/* The data set at `prefix` has these sequences of that at "in", and these ends of documents. */
static inline void check_set(const char *prefix, const char *sequences, const char *documents)
{
    bytes tokens, all;
    set source = get_set("in", &all), written = get_set(prefix, &tokens);
    ck_assert_uint_eq(written.type, source.type);
    if (written.sequences > 0) ck_assert(written.modes == source.modes);
    ck_assert_uint_eq(written.sequences, strlen(sequences));
    ck_assert_uint_eq(written.documents + 1, strlen(documents));
    for (uint64_t i = 0; i < written.sequences; i++)
        check_sequence(&written, &tokens, i, &source, &all, (uint64_t)(sequences[i] - '0'));
    for (uint64_t i = 0; i <= written.documents; i++)
        ck_assert_int_eq(written.document[i], documents[i] - '0');
    free(all.data);
    free(tokens.data);
}

#endif
