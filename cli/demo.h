/* Pieces of `tamis demo`: data made ready, digits drawn.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_DEMO_H
#define TAMIS_CLI_DEMO_H

#include <stdbool.h>
#include <tamis/tamis.h>

/* How the rows of a data set are divided for one seed. */
typedef struct demo_split {
    uint64_t train, validation, test; /* rows of each part */
    uint64_t *order;                  /* [train + validation + test] row of the source */
    int32_t *label;   /* [train] label used in training: the source's or a flipped one */
    uint8_t *flipped; /* [train] 1 = flipped */
    uint64_t flips;
} demo_split;

/* Shuffle `data` and flip the labels of a `noise` share of the training part to another class,
 * both decided by `seed`. When `fixed_test` is set the last `test` rows are the test part and only
 * the others are shuffled. */
tamis_status demo_split_make(demo_split *ret_split, const tamis_data *data, uint64_t train,
                             uint64_t validation, uint64_t test, bool fixed_test, double noise,
                             uint64_t seed, tamis_error *err);
void demo_split_free(demo_split *split);

/* Write rows order[first .. first+rows) as CSV with a header, the label last; `label` [rows] NULL =
 * the source's. */
tamis_status demo_write_csv(const char *path, const tamis_data *data, const uint64_t *order,
                            uint64_t rows, const int32_t *label, tamis_error *err);

/* Write the training rows whose label was flipped, one number a line, with the labels as
 * comment. */
tamis_status demo_write_flips(const char *path, const tamis_data *data, const demo_split *split,
                              tamis_error *err);

/* One picture in a row of pictures. */
typedef struct demo_picture {
    const float *pixel;  /* [side, side] */
    char caption[3][32]; /* lines under the picture; cut to its width */
} demo_picture;

/* Draw up to five square pictures side by side on standard output with half-block characters, in
 * shades of grey when `colour`. Values run from 0 to `white`. Pictures wider than 14 pixels are
 * halved until they fit. */
void demo_draw(const demo_picture *picture, size_t n, unsigned side, float white, bool colour);

#endif
