/* SPDX-License-Identifier: Apache-2.0
 * See namespaces.h. crun finds the namespaces as descriptors in /proc of the engine. */
#include "agent/engine/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/network_join.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#define PREFIX "container:"

/* ---- create ---- */

/* Names can change; the id of the other container cannot. */
static int fix_peer(struct engine *e, struct json_object *host, const char *key, const char *wish,
    const struct container **ret, struct error **err)
{
	const struct container *other = wish ? container_find(e, wish, err) : NULL;
	if (!wish)
		return 0;
	if (!other) /* 404 would have clients fetch the image */
		return -EINVAL;
	AUTOFREE char *mode = xasprintf(PREFIX "%s", other->record.id);
	json_object_object_add(host, key, json_object_new_string(mode));
	*ret = other;
	return 0;
}

/* A container has one user namespace, so one mapping. */
static int check_users(const struct container *other, enum docker_userns own, struct error **err)
{
	int theirs = other && other->record.body.namespaces.userns != DOCKER_USERNS_CONTAINERS;
	return !other || theirs == (own != DOCKER_USERNS_CONTAINERS) ?
		   0 :
		   error_set(err, EINVAL,
		       "container %.12s has %s --userns, and its namespaces cannot be shared without; choose the "
		       "same",
		       other->record.id, theirs ? "another" : "no");
}

/* keep-id without --user: the machine's user, not the image's. */
static int add_user(const struct engine *e, struct json_object *body, enum docker_userns mode, struct error **err)
{
	const char *user = "";
	uint32_t outside;
	if (mode != DOCKER_USERNS_KEEP_ID)
		return 0;
	if (!idmap_outside(e->own_ids.uids, e->own_ids.uid_count, e->uid, &outside) ||
	    !idmap_outside(e->own_ids.gids, e->own_ids.gid_count, e->gid, &outside))
		return error_set(err, EOPNOTSUPP,
		    "UsernsMode keep-id (--userns): the machine has no id %u; leave it out", e->uid);
	int r = json_get_string(body, "User", &user, err);
	if (r < 0 && r != -ENOENT)
		return r;
	AUTOFREE char *own = xasprintf("%u:%u", e->uid, e->gid);
	if (!*user)
		json_object_object_add(body, "User", json_object_new_string(own));
	return 0;
}

int container_shares_check(struct engine *e, struct json_object *body, struct error **err)
{
	struct json_object *host = NULL;
	struct docker_namespaces n = { 0 };
	const char *mode = "";
	const struct container *peers[3] = { NULL };
	int r = json_get_object(body, "HostConfig", &host, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = docker_namespaces_parse(host, &n, err)) < 0 || (r = add_user(e, body, n.userns, err)) < 0)
		return r;
	enum docker_userns userns = n.userns;
	/* A member that is written again takes its text along. */
	AUTOFREE char *ipc = n.ipc_container ? xstrdup(n.ipc_container) : NULL,
		      *pid = n.pid_container ? xstrdup(n.pid_container) : NULL;
	if ((r = fix_peer(e, host, "IpcMode", ipc, &peers[0], err)) < 0 ||
	    (r = fix_peer(e, host, "PidMode", pid, &peers[1], err)) < 0)
		return r;
	if (json_get_string(host, "NetworkMode", &mode, NULL) == 0 && startswith(mode, PREFIX))
		peers[2] = container_find(e, startswith(mode, PREFIX), NULL);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(peers); i++)
		r = check_users(peers[i], userns, err);
	return r;
}

/* ---- start ---- */

int container_take_user(struct container *c, int user, struct error **err)
{
	AUTO_FD int fd = user;
	struct stat own, other;
	if (fd < 0)
		return 0;
	if (c->namespaces.user < 0) {
		c->namespaces.user = TAKE_FD(fd);
		return 0;
	}
	return fstat(c->namespaces.user, &own) == 0 && fstat(fd, &other) == 0 && own.st_ino == other.st_ino ?
		   0 :
		   error_set(err, EINVAL,
		       "--network, --ipc and --pid name containers with different user namespaces; name one of them "
		       "for all");
}

/* A namespace of a container that runs. The number in the path is right if the process is still
 * there afterwards. */
static int open_namespace(const struct container *other, const char *kind)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", other->pid, kind);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return syscall(SYS_pidfd_send_signal, other->process, 0, NULL, 0) < 0 ? -errno : TAKE_FD(fd);
}

/* name: of the namespace, for people. */
static int join(struct container *c, const char *wish, const char *kind, const char *name, int *ret, struct error **err)
{
	const struct container *other = wish ? container_find(c->engine, wish, NULL) : NULL;
	if (!wish)
		return 0;
	if (!other || !other->pid || other->process < 0)
		return error_set(err, EBUSY, "cannot join the %s namespace of a non running container: %s", name, wish);
	if (streq(kind, "ipc") && other->record.body.namespaces.ipc != DOCKER_IPC_SHAREABLE)
		return error_set(err, EINVAL,
		    "container %.12s: non-shareable IPC (hint: use IpcMode:shareable for the donor container)", wish);
	*ret = open_namespace(other, kind);
	int user = *ret < 0 ? *ret : open_namespace(other, "user");
	if (*ret < 0 || user < 0)
		return error_set_errno(err, *ret < 0 ? *ret : user, "cannot join the %s namespace of container %.12s",
		    name, wish);
	return container_take_user(c, user, err);
}

int container_shares_join(struct container *c, struct error **err)
{
	const struct docker_namespaces *n = &c->record.body.namespaces;
	int r = join(c, n->ipc_container, "ipc", "IPC", &c->ipc, err);
	if (r == 0)
		r = join(c, n->pid_container, "pid", "PID", &c->pids, err);
	return r == 0 && n->ipc == DOCKER_IPC_SHAREABLE ? container_shm_make(c, err) : r;
}

void container_shares_leave(struct container *c)
{
	fd_close(TAKE_FD(c->ipc));
	fd_close(TAKE_FD(c->pids));
}

/* ---- ids ---- */

const struct idmap *container_ids(const struct container *c)
{
	return c->record.body.namespaces.userns == DOCKER_USERNS_CONTAINERS ? &c->engine->ids : &c->engine->own_ids;
}

/* ---- /dev/shm ---- */

char *container_shm_path(const struct container *c)
{
	const struct docker_namespaces *n = &c->record.body.namespaces;
	const struct container *owner = n->ipc == DOCKER_IPC_SHAREABLE ? c :
					n->ipc_container ? container_find(c->engine, n->ipc_container, NULL) :
							   NULL;
	return owner ? xasprintf(ENGINE_RUN "/%s/shm", owner->record.id) : NULL;
}

int container_shm_make(const struct container *c, struct error **err)
{
	const struct idmap *ids = container_ids(c);
	unsigned long long wish = c->record.body.rights.shm_size, size = wish ? wish : ENGINE_SHM_SIZE;
	AUTOFREE char *path = container_shm_path(c), *options = xasprintf("mode=1777,size=%llu,uid=%u,gid=%u", size,
							 ids->uids[0].outside, ids->gids[0].outside);
	int r = path_mkdir_all(path, 0755, err);
	if (r < 0)
		return r;
	return mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0 ?
		   error_set_errno(err, errno, "cannot mount the container's /dev/shm") :
		   0;
}

void container_shm_remove(const char *run)
{
	AUTOFREE char *path = path_join(run, "shm");
	umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
}
