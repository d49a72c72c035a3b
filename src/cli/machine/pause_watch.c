/* SPDX-License-Identifier: Apache-2.0
 * See pause_watch.h. Without an answer the session goes on as it is. */
#include "cli/machine/pause_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/client.h"

enum { BEGIN_MS = 1500, ANSWER_MS = 1000 };

void pause_watch_init(struct pause_watch *w, const char *machine)
{
	*w = (struct pause_watch){ .machine = machine, .begin_ms = clock_deadline(BEGIN_MS), .fd = -1 };
}

static void stop(struct pause_watch *w)
{
	http_response_done(&w->response);
	w->response = (struct http_response){ .fd = -1 };
	fd_close(TAKE_FD(w->fd));
}

void pause_watch_done(struct pause_watch *w)
{
	if (w->fd >= 0)
		stop(w);
	free(TAKE_PTR(w->why));
}

int pause_watch_step(struct pause_watch *w)
{
	if (clock_now_ms() < w->begin_ms)
		return 0;
	w->begin_ms = UINT64_MAX;
	w->fd = client_connect(w->machine, NULL);
	if (w->fd >= 0 &&
	    http_request(w->fd, "GET", "/v1/pauses", NULL, NULL, clock_deadline(ANSWER_MS), &w->response, NULL) < 0)
		stop(w);
	return w->fd >= 0;
}

int pause_watch_read(struct pause_watch *w)
{
	int r, changes = 0;
	do {
		AUTO_JSON struct json_object *line = NULL;
		const char *why = NULL;
		r = http_response_line(&w->response, 0, &line, NULL);
		if (r <= 0)
			break;
		json_get_string(line, "paused", &why, NULL);
		free(w->why);
		w->why = why ? xstrdup(why) : NULL;
		changes++;
	} while (r > 0);
	if (r != -ETIMEDOUT && r != -EAGAIN)
		stop(w);
	return changes;
}
