/* SPDX-License-Identifier: Apache-2.0
 * The file is bound over the machine's; inotify tells when it was read and closed, and a worker
 * unmounts it in the machine's namespace. */
#include "agent/life/inittab_watch.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>

#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

struct inittab_watch {
	struct agent *agent;
	int watch;
	struct source *source;
};

static int work_unmount(int channel, void *data, struct error **err)
{
	const struct agent *a = data;
	int r = a->platform->enter(a->init_pidfd);
	if (r >= 0 && umount2("/etc/inittab", MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "cannot unmount the inittab") : 0;
}

static void on_read(struct source *s, int fd, uint32_t events, void *data)
{
	static const struct worker_events none = { 0 };
	struct inittab_watch *w = data;
	struct agent *a = w->agent;
	source_free(TAKE_PTR(w->source));
	if (a->init_pidfd >= 0 && worker_start(a->loop, work_unmount, a, &a->init_pidfd, 1, &none, NULL, NULL) < 0)
		log_warning("/etc/inittab stays read-only in the machine");
}

void inittab_watch_start(struct agent *a, int watch, struct inittab_watch **ret)
{
	struct inittab_watch *w = *ret = xnew(struct inittab_watch);
	*w = (struct inittab_watch){ .agent = a, .watch = watch };
	loop_add_io(a->loop, watch, EPOLLIN, on_read, w, &w->source);
}

void inittab_watch_free(struct inittab_watch *w)
{
	if (!w)
		return;
	source_free(w->source);
	fd_close(w->watch);
	free(w);
}
