/* tamis - parameter tables: one description drives parsing, range errors, help, man pages,
 * completions and `tamis list --json`.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PARAM_H
#define TAMIS_PARAM_H

#include <tamis/common.h>

TAMIS_BEGIN

/** What a parameter takes. */
typedef enum tamis_param_type {
    TAMIS_PARAM_REAL = 0, /**< a finite number in [min, max] */
    TAMIS_PARAM_INTEGER,  /**< a whole number in [min, max] */
    TAMIS_PARAM_BOOLEAN,  /**< true/false, yes/no, on/off, 1/0; no value means true */
    TAMIS_PARAM_CHOICE,   /**< one of `choices`; the value is its index */
    TAMIS_PARAM_STRING    /**< text, at most TAMIS_PARAM_TEXT_SIZE - 1 bytes */
} tamis_param_type;

/** Room for a value as text, its end included. */
#define TAMIS_PARAM_TEXT_SIZE 128

/** Description of one parameter. Tables are const and static. */
typedef struct tamis_param_desc {
    const char *name;      /**< as written before '=' */
    const char *help;      /**< one line: meaning and unit */
    tamis_param_type type; /**< how the value is read */
    double min, max;       /**< bounds, both included; REAL and INTEGER only */
    double fallback;       /**< default as a number (CHOICE: index; BOOLEAN: 0 or 1; NaN: none) */
    const char *fallback_text;  /**< default of a STRING; NULL = empty */
    const char *const *choices; /**< CHOICE: names ended by NULL; otherwise NULL */
} tamis_param_desc;

/** A parsed value. `number` is set for all types but STRING, `text` for STRING and CHOICE. */
typedef struct tamis_param_value {
    double number;                    /**< the value; CHOICE: its index; BOOLEAN: 0 or 1 */
    int given;                        /**< 1 when the user wrote it, 0 when it is the default */
    char text[TAMIS_PARAM_TEXT_SIZE]; /**< ended by NUL */
} tamis_param_value;

/** Parse "name=value,name=value" against a table of `n` descriptions into `ret_values[n]`,
 *  filling in defaults. `text` may be NULL or empty. `owner` names the scorer or selector in
 *  messages. Numbers are read independently of the locale.
 *  Errors: ARG for an unknown name (with the nearest one suggested), a name given twice, a value
 *  of the wrong type or out of bounds. After an error `ret_values` is not to be
 *  used. Thread-safe. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_params_parse(const tamis_param_desc *table, size_t n,
                                                          const char *owner, const char *text,
                                                          tamis_param_value *ret_values,
                                                          tamis_error *err);

/** Parse one value of any type, without its name and '='. Thread-safe. Errors: ARG (wrong type, out
 *  of bounds, no such choice, text too long). After an error *ret_value is not to be used. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_param_parse_value(const tamis_param_desc *desc,
                                                               const char *owner, const char *text,
                                                               tamis_param_value *ret_value,
                                                               tamis_error *err);

/** The nearest of `n` candidates to `word` by edit distance, or NULL when none is near enough to
 *  be worth suggesting. NULL candidates are skipped and case is ignored. The result is
 *  one of `candidates`, not a copy. Thread-safe. Complexity: O(n), words of at most 63 bytes. */
TAMIS_API const char *tamis_suggest(const char *word, const char *const *candidates, size_t n);

TAMIS_END

#endif
