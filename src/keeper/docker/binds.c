/* SPDX-License-Identifier: Apache-2.0
 * Host paths that containers mount: they have to lie in a share of the machine.
 *
 * At the creation, which the user's own client asks for, a path is followed to where it leads, and
 * a directory is made where -v names none. The engine's record has the result. At a start, for
 * which the engine asks, the keeper looks at its list of shares alone and not at the host: the
 * engine, which may name any path, learns nothing about the host, and the agent opens the path
 * below the share without symlinks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "docker/mounts.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"
#include "keeper/shares/walk.h"

/* The innermost share that has the path; NULL: none. */
static const struct keeper_share *find_share(const struct keeper *k, const char *path)
{
	const struct keeper_share *found = NULL;
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		if (path_is_below(path, s->host) && (!found || strlen(s->host) > strlen(found->host)))
			found = s;
	return found;
}

/* given: as the client has written it. */
static int find(const struct keeper *k, const char *path, const char *given, const struct keeper_share **ret,
    struct error **err)
{
	const struct keeper_share *s = find_share(k, path);
	if (!s)
		return error_set(err, EINVAL,
		    "%s is not shared with the machine \"%s\"; share it: holm machine mount add --name %s %s", given,
		    k->machine->name, k->machine->name, given);
	for (size_t i = 0; i < s->hidden.count; i++)
		if (path_is_below(path, s->hidden.items[i]))
			return error_set(err, EACCES, "%s cannot be mounted in a container: it belongs to holm itself",
			    given);
	*ret = s;
	return 0;
}

int docker_bind_find(const struct keeper *k, const char *path, const char **ret_tag, char **ret_relative,
    struct error **err)
{
	AUTOFREE char *normal = path_normalize(path);
	const struct keeper_share *s = NULL;
	if (!streq(normal, path))
		return error_set(err, EINVAL, "%.128s is no path of the host", path);
	int r = find(k, normal, path, &s, err);
	if (r < 0)
		return r;
	const char *rest = path + strlen(s->host);
	*ret_tag = s->tag;
	*ret_relative = xstrdup(rest + strspn(rest, "/"));
	return 0;
}

/* ---- a create request ---- */

/* Follows the path: a descriptor of its end, and the share in which that lies.
 * -ENOENT without a text. */
static int look(const struct keeper *k, const char *path, const char *given, const struct keeper_share **ret,
    char **ret_real, struct error **err)
{
	AUTO_STRV struct strv writable = { 0 };
	AUTOFREE char *link = NULL;
	shares_list_writable(k, &writable);
	AUTO_FD int fd = walk_path(path, &writable, &link);
	if (fd < 0 && link)
		return error_set(err, EACCES, "%s: \"%s\" is a symbolic link in a folder that the machine can write to",
		    path, link);
	if (fd < 0)
		return fd == -ENOENT ? -ENOENT : error_set_errno(err, fd, "%s", path);
	AUTOFREE char *real = walk_path_of(fd);
	int r = real ? find(k, real, given, ret, err) : error_set_errno(err, ENAMETOOLONG, "%s", path);
	if (r < 0)
		return r;
	*ret_real = TAKE_PTR(real);
	return TAKE_FD(fd);
}

/* The directory, which is made with those above it below the first one that is there: by the user,
 * in a share that the machine may write to. A descriptor. */
static int make(const struct keeper *k, const char *path, const char *given, struct error **err)
{
	const struct keeper_share *s = NULL;
	AUTOFREE char *real = NULL, *parent = NULL;
	int r = look(k, path, given, &s, &real, err);
	if (r >= 0 && s->read_only) {
		fd_close(r);
		return error_set(err, EROFS, "bind source path does not exist in %s, which is shared read-only", real);
	}
	if (r != -ENOENT || streq(path, "/"))
		return r;
	parent = path_parent(path);
	AUTO_FD int above = make(k, parent, given, err);
	if (above < 0)
		return above;
	if (mkdirat(above, path_base(path), 0755) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "error while creating mount source path '%s'", path);
	int fd = openat(above, path_base(path), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "error while creating mount source path '%s'", path) : fd;
}

static int resolve(const struct keeper *k, const struct docker_mount *m, char **ret, struct error **err)
{
	const struct keeper_share *s = NULL;
	AUTO_FD int there = look(k, m->source, m->source, &s, ret, err);
	if (there != -ENOENT)
		return there < 0 ? there : 0;
	AUTO_FD int made = m->make ? make(k, m->source, m->source, err) : -ENOENT;
	if (!m->make)
		return error_set(err, EINVAL,
		    "invalid mount config for type \"bind\": bind source path does not exist: %s", m->source);
	if (made < 0)
		return made;
	fd_close(look(k, m->source, m->source, &s, ret, err));
	return *ret ? 0 : error_set(err, ENOENT, "bind source path does not exist: %s", m->source);
}

/* Whether the source is docker.sock: where clients look for it, this machine's own, or the one that
 * systemd listens on, which leads to the default machine. */
static int is_docker_socket(const struct keeper *k, const char *source)
{
	AUTOFREE char *api = machine_socket_path(k->machine->name, NULL), *folder = api ? path_parent(api) : NULL,
		      *own = folder ? path_join(folder, "docker.sock") : NULL,
		      *above = folder ? path_parent(folder) : NULL,
		      *systemds = above ? path_join(above, "docker.sock") : NULL;
	return streq(source, "/var/run/docker.sock") || streq(source, "/run/docker.sock") || streq(source, own) ||
	       streq(source, systemds);
}

typedef int (*resolve_fn)(const struct keeper *k, const struct docker_mount *m, char **ret, struct error **err);

static int add_all(const struct keeper *k, struct json_object *body, resolve_fn find_path, struct error **err)
{
	AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 };
	struct json_object *binds = json_object_new_object();
	json_object_object_del(body, "HolmMounts");
	json_object_object_add(body, "HolmBinds", binds);
	int r = docker_mounts_of_body(&list, body, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		AUTOFREE char *path = NULL;
		if (list.items[i].type != DOCKER_MOUNT_BIND)
			continue;
		if (!is_docker_socket(k, list.items[i].source)) {
			r = find_path(k, &list.items[i], &path, err);
		} else {
			path = xstrdup(DOCKER_MOUNT_SOCKET);
			r = find_path == resolve ? docker_inside_allow(k, err) : 0;
		}
		if (r == 0)
			json_add_string(binds, list.items[i].source, path);
	}
	return r;
}

int docker_binds_add(const struct keeper *k, struct json_object *body, struct error **err)
{
	return add_all(k, body, resolve, err);
}

/* By the list of shares alone: what is there shows at the start, with the machine's rights. */
static int resolve_inside(const struct keeper *k, const struct docker_mount *m, char **ret, struct error **err)
{
	const char *tag = NULL;
	AUTOFREE char *relative = NULL;
	int r = docker_bind_find(k, m->source, &tag, &relative, err);
	if (r == 0)
		*ret = xstrdup(m->source);
	return r;
}

int docker_binds_add_inside(const struct keeper *k, struct json_object *body, struct error **err)
{
	return add_all(k, body, resolve_inside, err);
}
