/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>

#include "base/alloc.h"
#include "base/printable.h"

static int store(struct error **err, int code, char *text)
{
	if (code < 0)
		code = -code;
	if (!err || *err) {
		free(text);
		return -code;
	}
	*err = xnew(struct error);
	(*err)->code = code;
	(*err)->text = printable(text); /* it may quote what came from outside */
	return -code;
}

int error_set(struct error **err, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *text = xvasprintf(format, arguments);
	va_end(arguments);
	return store(err, code, text);
}

int error_set_errno(struct error **err, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	AUTOFREE char *text = xvasprintf(format, arguments);
	va_end(arguments);
	return store(err, code, xasprintf("%s: %s", text, strerror(code < 0 ? -code : code)));
}

int error_prefix(struct error **err, int code, const char *format, ...)
{
	if (!err || !*err)
		return code;
	va_list arguments;
	va_start(arguments, format);
	AUTOFREE char *text = xvasprintf(format, arguments);
	va_end(arguments);
	char *whole = xasprintf("%s: %s", printable(text), (*err)->text);
	free((*err)->text);
	(*err)->text = whole;
	return code;
}

const char *error_text(const struct error *err, int code)
{
	return err ? err->text : strerror(code < 0 ? -code : code);
}

void error_free(struct error *err)
{
	if (!err)
		return;
	free(err->text);
	free(err);
}

void error_clear(struct error **err)
{
	if (!err)
		return;
	error_free(*err);
	*err = NULL;
}

static const struct {
	int code, status;
} http_codes[] = {
	/* The first row of a status is the way back. */
	{ EINVAL, 400 },
	{ EBADMSG, 400 },
	{ ERANGE, 400 },
	{ EACCES, 403 },
	{ EPERM, 403 },
	{ EROFS, 403 },
	{ ENOENT, 404 },
	{ ENODEV, 404 },
	{ ESRCH, 404 },
	{ EOPNOTSUPP, 405 },
	{ EEXIST, 409 },
	{ EBUSY, 409 },
	{ EALREADY, 409 },
	{ EFBIG, 413 },
	{ EMSGSIZE, 413 },
	{ ENOTDIR, 422 },
	{ EIO, 500 },
	{ EPROTO, 502 },
	{ ECONNREFUSED, 502 },
	{ ECONNRESET, 502 },
	{ ENOTCONN, 503 },
	{ EAGAIN, 503 },
	{ ETIMEDOUT, 504 },
	{ ENOSPC, 507 },
	{ EDQUOT, 507 },
};

int error_http_status(int code)
{
	if (code < 0)
		code = -code;
	for (size_t i = 0; i < ARRAY_SIZE(http_codes); i++)
		if (http_codes[i].code == code)
			return http_codes[i].status;
	return 500;
}

int error_from_http_status(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(http_codes); i++)
		if (http_codes[i].status == status)
			return http_codes[i].code;
	return status >= 400 && status < 500 ? EINVAL : EIO;
}
