/* Lists of layers and checkpoints as users write them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_CHOICE_H
#define TAMIS_MODEL_CHOICE_H

#include <tamis/model.h>

/* Chosen numbers, ascending, each once. */
typedef struct tamis__choice {
    uint32_t *item;
    uint32_t items;
} tamis__choice;

/* "layers.0,2,4-5"; NULL = all. ARG listing the layers when one is not there. */
tamis_status tamis__choose_layers(tamis__choice *ret_choice, const tamis_model_info *info,
                                  const char *text, tamis_error *err);
/* "0,3-5", "last", "all"; NULL = all. */
tamis_status tamis__choose_checkpoints(tamis__choice *ret_choice, const tamis_model_info *info,
                                       const char *text, tamis_error *err);
void tamis__choice_fini(tamis__choice *choice);

#endif
