/* SPDX-License-Identifier: Apache-2.0
 * The clean-up behind a container: its mounts and the files of its run go, and all of it if it was
 * removed. A child does this, as the last unmount of an overlay writes a whole file system out. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/engine/container_cgroup.h"
#include "agent/engine/events.h"
#include "agent/engine/gone.h"
#include "agent/engine/lent_sockets.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/stack.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/path.h"

/* (child) */
static _Noreturn void clean(struct container *c, pid_t parent, int remove)
{
	AUTOFREE char *run = path_join(ENGINE_RUN, c->record.id), *root = path_join(run, "root"),
		      *state = path_join(ENGINE_CRUN_STATE, c->record.id);
	int r = 0;
	/* The next engine does it again, and must not meet this one. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	container_cgroup_remove(c);
	mounts_undo(c);
	container_shm_remove(run);
	umount2(root, MNT_DETACH | UMOUNT_NOFOLLOW);
	path_remove_tree(AT_FDCWD, run);
	path_remove_tree(AT_FDCWD, state);
	if (remove && (r = gone_hide(c->engine->folders, c->record.id, c->record.id)) == 0)
		r = gone_remove(c->engine->folders, c->record.id);
	_exit(r < 0);
}

static void refuse_starter(struct container *c)
{
	AUTO_ERROR struct error *err = NULL;
	struct http_exchange *x = TAKE_PTR(c->starter);
	if (!x)
		return;
	http_exchange_on_closed(x, NULL, NULL);
	error_set(&err, ENOENT, "No such container: %s", c->record.id);
	engine_error(x, -ENOENT, err);
}

static void on_cleaned(struct source *s, pid_t pid, int status, void *data)
{
	struct container *c = data;
	AUTOFREE char *id = xstrdup(c->record.id);
	struct engine *engine = c->engine;
	source_free(TAKE_PTR(c->cleaning));
	if (c->remove && !c->removing) { /* asked for in the meantime */
		container_clean(c);
		return;
	}
	if (!c->remove) {
		waiters_tell(c, 0);
		if (c->starter || c->again)
			container_start(c, c->starter);
		else
			policy_go_on(c);
		stack_cleaned(engine, id);
		engine_tell_stopped(engine);
		return;
	}
	if (status != 0)
		log_warning("container %.12s: some of its files could not be removed", c->record.id);
	record_remove(c->engine->records, c->record.id);
	event_container(c, "destroy", NULL, NULL);
	if (c->drop_volumes || c->record.body.auto_remove)
		mounts_drop_volumes(c);
	waiters_tell(c, 1);
	prune_gone(c);
	refuse_starter(c);
	int marked = c->record.body.restart != DOCKER_RESTART_NO;
	container_free(c);
	if (marked)
		policy_mark(engine);
	stack_cleaned(engine, id);
	engine_tell_stopped(engine);
}

void container_clean(struct container *c)
{
	lent_sockets_free(c);
	pid_t parent = getpid(), pid = fork();
	c->removing = c->remove;
	if (pid == 0)
		clean(c, parent, c->remove);
	if (pid < 0 || loop_add_child(c->engine->loop, pid, on_cleaned, c, &c->cleaning) < 0)
		log_error("container %.12s: cannot clean up behind it", c->record.id);
}
