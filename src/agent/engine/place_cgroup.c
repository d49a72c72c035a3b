/* SPDX-License-Identifier: Apache-2.0
 * See place_cgroup.h.
 *
 * Problem. cgroup 2 wants processes in leaves only, and the engine makes a leaf for each container.
 * A systemd in the machine regards the machine's cgroup as its own. A process that leave() leaves
 * outside of the engine's pid namespace waits for the end, and nobody inside can move it.
 *
 * Idea. holm-containers lies beside the machine's cgroup, and nothing of the machine manages it.
 * The process that waits goes to holm-containers/engine before leave(). Process 1 inside visits
 * holm-containers, where it makes its cgroup namespace, and comes back.
 *
 * The descriptors are opened before leave(): where cgroup2 is mounted with nsdelegate, a process
 * reaches only what lies below the cgroup namespace in which it opened the file. */
#include "agent/engine/place_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/cgroup.h"
#include "base/fd.h"
#include "base/log.h"

#define ENGINE_GROUP AGENT_CONTAINERS_CGROUP "/engine"

void place_cgroup_done(struct place_cgroup *g)
{
	fd_close(g->outer);
	fd_close(g->engine);
	*g = PLACE_CGROUP_NONE;
}

static int make(struct place_cgroup *g)
{
	cgroup_remove_containers(); /* of an engine before this one */
	if (mkdir(AGENT_CONTAINERS_CGROUP, 0755) < 0 || mkdir(ENGINE_GROUP, 0755) < 0)
		return -errno;
	g->outer = open(AGENT_CONTAINERS_CGROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);
	g->engine = open(ENGINE_GROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);
	return g->outer < 0 || g->engine < 0 ? -errno : fd_write_full(g->engine, "0", 1);
}

void place_cgroup_make(struct place_cgroup *g)
{
	*g = PLACE_CGROUP_NONE;
	if (access(AGENT_CGROUP, F_OK) < 0)
		return;
	int r = make(g);
	if (r < 0) {
		log_warning("containers get no cgroups: %s", strerror(-r));
		place_cgroup_done(g);
	}
}

int place_cgroup_enter(struct place_cgroup *g)
{
	if (g->outer < 0)
		return 0;
	int r = fd_write_full(g->outer, "0", 1);
	if (r == 0 && unshare(CLONE_NEWCGROUP) < 0)
		r = -errno;
	int back = fd_write_full(g->engine, "0", 1);
	if (r == 0)
		r = back;
	if (r < 0)
		log_warning("containers get no cgroups: %s", strerror(-r));
	return r == 0;
}
