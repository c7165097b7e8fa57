/* Parts that several file kinds share: the columns of examples or queries, and the layer table.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_COLUMNS_H
#define TAMIS_STORE_COLUMNS_H

#include <tamis/store.h>

#include "store/h5.h"
#include "store/utf8.h"

/* Write the columns that are there under "<prefix>/": id, digest, label, length, group, group_name,
 * class_name. Makes the group `prefix` ("example", "query") when there is anything to write.
 * `examples` may be NULL. Errors: ARG (an id longer than 4,095 bytes, a group outside group_name, a
 * label outside class_name), IO. */
tamis_status tamis__examples_write(const tamis__h5 *h5, const char *prefix,
                                   const tamis_examples *examples, uint64_t rows, tamis_error *err);

/* Read them; absent ones are NULL. Free with tamis__examples_fini(). */
tamis_status tamis__examples_read(const tamis__h5 *h5, const char *prefix, uint64_t rows,
                                  tamis_examples *ret_examples, tamis_error *err);

/* A deep copy, freed with tamis__examples_fini(). `from` may be NULL. */
tamis_status tamis__examples_copy(tamis_examples *ret_examples, const tamis_examples *from,
                                  uint64_t rows, tamis_error *err);

/* Frees what the two functions above made (each column is one block) and zeroes the struct. */
void tamis__examples_fini(tamis_examples *examples);

/* The id of a row as text: id_text, else id_number, else the row number. */
void tamis__examples_id(const tamis_examples *examples, uint64_t row, char *buffer, size_t size);

/* The compound table "layer". */
tamis_status tamis__layers_write(const tamis__h5 *h5, const tamis_layer *layer, uint32_t layers,
                                 tamis_error *err);
/* Names unique, widths > 0, blocks that follow one another from column 0; the last layer's end is
 * the number of columns. FORMAT otherwise. *ret_layer is freed with free(). */
tamis_status tamis__layers_read(const tamis__h5 *h5, tamis_layer **ret_layer, uint32_t *ret_layers,
                                uint64_t *ret_columns, tamis_error *err);

/* Columns of all layers, first_column filled in. ARG when there is none, a width is 0, a name is
 * empty or used twice, or the sum does not fit. */
tamis_status tamis__layers_check(tamis_layer *layer, uint32_t layers, uint64_t *ret_columns,
                                 tamis_error *err);

/* Columns of the factors: sums over layers of in + bias, and of out. Layers that passed
 * tamis__layers_check(), so that they fit. */
void tamis__layers_factor_columns(const tamis_layer *layer, uint32_t layers, uint64_t *ret_input,
                                  uint64_t *ret_output);

#endif
