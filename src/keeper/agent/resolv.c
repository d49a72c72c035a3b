/* SPDX-License-Identifier: Apache-2.0
 * The host's resolv.conf is replaced, rewritten in place, or a link that is pointed elsewhere: so
 * its directory and that of its target are watched, and a change is looked at a moment later, when
 * whoever writes has finished. If another file is mounted there, as in a container, the directory
 * reports no write: so the file is watched, too. The time zone, in the same directory, is followed
 * in the same way. */
#include "keeper/agent/resolv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "keeper/agent/host_facts.h"
#include "keeper/keeper_private.h"

enum { SETTLE_MS = 300 };

struct resolv_watch {
	struct keeper *keeper;
	int fd, file; /* file: the watch of the file itself */
	struct source *source, *timer;
	char *told, *told_zone;
};

static void watch_directories(struct resolv_watch *w)
{
	static const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE;
	char real[PATH_MAX];
	inotify_add_watch(w->fd, "/etc", mask | IN_ONLYDIR);
	w->file = inotify_add_watch(w->fd, "/etc/resolv.conf", IN_CLOSE_WRITE);
	if (realpath("/etc/resolv.conf", real)) {
		AUTOFREE char *directory = path_parent(real);
		inotify_add_watch(w->fd, directory, mask | IN_ONLYDIR);
	}
}

void resolv_watch_push(struct resolv_watch *w)
{
	if (!w || !w->keeper->session_ready)
		return;
	AUTO_JSON struct json_object *now = host_resolv();
	AUTOFREE char *text = json_to_string(now, 0);
	if (streq(text, w->told))
		return;
	free(w->told);
	w->told = TAKE_PTR(text);
	if (w->keeper->ops->resolv)
		w->keeper->ops->resolv(w->keeper->run, now);
	agent_tell(w->keeper, "PUT", "/v1/resolv", TAKE_PTR(now));
}

static void push_zone(struct resolv_watch *w)
{
	AUTOFREE char *now = host_timezone();
	if (!w->keeper->session_ready || !now || streq(now, w->told_zone))
		return;
	struct json_object *body = json_object_new_object();
	json_add_string(body, "name", now);
	free(w->told_zone);
	w->told_zone = TAKE_PTR(now);
	agent_tell(w->keeper, "PUT", "/v1/timezone", body);
}

static void on_settled(struct source *s, void *data)
{
	watch_directories(data);
	resolv_watch_push(data);
	push_zone(data);
}

static void on_change(struct source *s, int fd, uint32_t events, void *data)
{
	char bytes[4096] __attribute__((aligned(8)));
	struct resolv_watch *w = data;
	ssize_t n = read(fd, bytes, sizeof bytes);
	for (ssize_t at = 0; n > 0 && at < n;) {
		struct inotify_event *e = (void *)(bytes + at);
		int is_file = e->wd == w->file && e->mask & IN_CLOSE_WRITE;
		if (is_file || (e->len && (startswith(e->name, "resolv") || streq(e->name, "localtime") ||
					      streq(e->name, "timezone"))))
			source_set_timer(w->timer, clock_deadline(SETTLE_MS));
		at += (ssize_t)(sizeof *e + e->len);
	}
}

int resolv_watch_new(struct keeper *k, struct resolv_watch **ret)
{
	struct resolv_watch *w = xnew(struct resolv_watch);
	AUTO_JSON struct json_object *now = host_resolv();
	w->keeper = k;
	w->told = json_to_string(now, 0); /* the boot request had both */
	w->told_zone = host_timezone();
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0 || loop_add_io(k->loop, w->fd, EPOLLIN, on_change, w, &w->source) < 0 ||
	    loop_add_timer(k->loop, UINT64_MAX, on_settled, w, &w->timer) < 0) {
		resolv_watch_free(w);
		return -EIO;
	}
	watch_directories(w);
	*ret = w;
	return 0;
}

void resolv_watch_free(struct resolv_watch *w)
{
	if (!w)
		return;
	source_free(w->source);
	source_free(w->timer);
	fd_close(w->fd);
	free(w->told);
	free(w->told_zone);
	free(w);
}
