/* SPDX-License-Identifier: Apache-2.0
 * Errors: a function that can fail returns 0 (or a count) or a negative errno, and takes struct
 * error **err last where there is something to say. The text is one line, names the object, and
 * says what to do. It is logged or shown once, by the outermost caller. err may be NULL everywhere:
 * then only the code travels. */
#pragma once

#include "base/macros.h"

struct error {
	int code;   /* positive errno */
	char *text; /* one line, no trailing newline */
};

/* Sets *err (which must be empty; an earlier error is kept and the new one dropped) and returns
 * -code. */
int error_set(struct error **err, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same with ": " and strerror(code) appended. code may be given negative. */
int error_set_errno(struct error **err, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " in front of an error that is already set; returns code unchanged, for `return
 * error_prefix(...)`. */
int error_prefix(struct error **err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* The text, or strerror(code) where no text was set. Borrowed until the error is freed. */
const char *error_text(const struct error *err, int code);
void error_free(struct error *err);
void error_clear(struct error **err);
DEFINE_CLEANUP(struct error, error_free)
#define AUTO_ERROR CLEANUP(error_freep)

/* The one place where codes become what a person or a client sees. */
enum { EXIT_HOLM = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };
/* ENOENT 404, EEXIST/EBUSY 409, EINVAL 400, EACCES/EPERM 403, ETIMEDOUT 504, ... else 500 */
int error_http_status(int code);
int error_from_http_status(int status); /* the way back; a positive errno */
