/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container/change.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/output.h"

enum { AT_ONCE = 50 }; /* requests on their way */

static int send_change(const struct api *a, const char *name, const struct change *what, struct error **err)
{
	AUTOFREE char *path = api_path(what->before, name, what->after), *target = xasprintf("%s%s", path, what->query);
	AUTO_FD int fd = api_connect(a, err);
	int r =
	    fd < 0 ? fd : http_send_request(fd, what->method, target, NULL, NULL, clock_deadline(a->timeout_ms), err);
	return r < 0 ? r : TAKE_FD(fd);
}

/* Reads the answer of a sent request, or reports why it was not sent (fd < 0). The exit status. */
static int finish_change(const struct api *a, const char *name, const struct change *what, int fd, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	int r = fd < 0 ? fd : http_answer(fd, clock_deadline(a->timeout_ms), &response, err);
	if (r == -ENOENT && what->missing_is_fine) {
		api_explain(a, what->kind, name, r, err);
		output_note("%s", error_text(*err, r));
		return 0;
	}
	if (r < 0)
		return api_failure(a, what->kind, name, r, err);
	output_line("%s", name);
	fflush(stdout);
	return 0;
}

/* For AT_ONCE names at most. */
static int change_some(const struct api *a, char *const *names, size_t count, const struct change *what)
{
	int fds[AT_ONCE], status = 0;
	struct error *errors[AT_ONCE] = { 0 };
	for (size_t i = 0; i < count; i++)
		fds[i] = send_change(a, names[i], what, &errors[i]);
	for (size_t i = 0; i < count; i++) {
		int failed = finish_change(a, names[i], what, fds[i], &errors[i]);
		status = failed ? failed : status;
		error_clear(&errors[i]);
		fd_close(fds[i]);
	}
	return status;
}

int change_each(const struct api *a, const struct strv *names, const struct change *what)
{
	int status = 0;
	for (size_t i = 0; i < names->count; i += AT_ONCE) {
		int failed = change_some(a, names->items + i, MIN(names->count - i, (size_t)AT_ONCE), what);
		status = failed ? failed : status;
	}
	return status;
}
