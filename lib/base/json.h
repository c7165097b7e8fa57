/* JSON, through jansson. Other rooms include this header, so that the library is named once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_JSON_H
#define TAMIS_BASE_JSON_H

#include <jansson.h>

#endif
