/* tamis - status codes, the caller-owned error, and the macros every public header uses.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_COMMON_H
#define TAMIS_COMMON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TAMIS_BEGIN extern "C" {
#define TAMIS_END   }
#else
#define TAMIS_BEGIN
#define TAMIS_END
#endif

#if defined(__GNUC__)
#define TAMIS_API                           __attribute__((visibility("default")))
#define TAMIS_NODISCARD                     __attribute__((warn_unused_result))
#define TAMIS_PRINTF(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))
#else
#define TAMIS_API
#define TAMIS_NODISCARD
#define TAMIS_PRINTF(format_arg, first_arg)
#endif

TAMIS_BEGIN

/** What a call came to. Values are pinned: new ones are appended, none is renumbered. */
typedef enum tamis_status {
    TAMIS_OK = 0,              /**< the call did what it was asked */
    TAMIS_ERR_NOMEM = 1,       /**< an allocation failed */
    TAMIS_ERR_ARG = 2,         /**< the caller's argument, option or parameter is wrong */
    TAMIS_ERR_IO = 3,          /**< the operating system refused; `sys_errno` says why */
    TAMIS_ERR_FORMAT = 4,      /**< a file's content is not what its format promises */
    TAMIS_ERR_SHAPE = 5,       /**< two inputs do not fit together (rows, columns, layers) */
    TAMIS_ERR_NUMERIC = 6,     /**< a value is not finite, or a computation broke down */
    TAMIS_ERR_UNSUPPORTED = 7, /**< well formed, but not something this version reads or does */
    TAMIS_ERR_CANCELLED = 8,   /**< the progress callback asked to stop */
    TAMIS_ERR_CHECK = 9        /**< the call ran, and what it checked does not hold */
} tamis_status;

/** Room for a message: long enough for two full paths and a reason. */
#define TAMIS_MESSAGE_SIZE 1000

/** An error, owned by the caller and never allocated. Pass NULL where the text is not wanted.
 *  On failure `message` holds one line naming the file, the place, what is wrong and what to do.
 *  On success the struct is left as it was. */
typedef struct tamis_error {
    tamis_status status;              /**< the status that the call returned */
    int sys_errno;                    /**< errno of the failing call, 0 if none */
    char message[TAMIS_MESSAGE_SIZE]; /**< one line, ended by NUL */
} tamis_error;

/** Short English name of a status ("input/output error"). Never NULL. Thread-safe. */
TAMIS_API const char *tamis_status_name(tamis_status status);

/** Storage types of gradient rows. Values are pinned. */
typedef enum tamis_dtype {
    TAMIS_F32 = 0,  /**< IEEE 754 binary32 */
    TAMIS_F16 = 1,  /**< IEEE 754 binary16 */
    TAMIS_BF16 = 2, /**< the upper half of a binary32 */
    TAMIS_I8 = 3    /**< int8 with one f32 scale for each row: the value is scale * int8 */
} tamis_dtype;

/** "f32", "f16", "bf16" or "i8". Never NULL. Thread-safe. */
TAMIS_API const char *tamis_dtype_name(tamis_dtype dtype);

/** Bytes of one value: 4, 2 or 1. Thread-safe. */
TAMIS_API size_t tamis_dtype_size(tamis_dtype dtype);

TAMIS_END

#endif
