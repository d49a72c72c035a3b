/* SPDX-License-Identifier: Apache-2.0
 * The agent's view of the host: shares, and the directories below the machine's own.
 *
 * An ordinary user's agent takes a share from the path: the user's id is its own. Root's has none
 * of the host's ids; so each share comes as a detached mount that shows id 0 of the disk as id 0
 * inside (mount_setattr(2), MOUNT_ATTR_IDMAP), and that is private: a clone of a shared mount is
 * its peer (mount_namespaces(7)), and what the agent mounts in it would appear on the host. For
 * holm's own folders see view.c. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "isolation/native/run.h"

enum { BASES_MAX = 1024 * 1024 };

/* ---- mounts (root) ---- */

static int clone_mount(const char *path, int recursive, struct error **err)
{
	int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
	int fd = open_tree(AT_FDCWD, path, (unsigned)flags);
	return fd < 0 ? error_set_errno(err, errno, "cannot take a mount of %s", path) : fd;
}

/* statfs(2) knows numbers only; these are what refuses and is common. */
static const char *file_system_name(const char *path)
{
	static const struct {
		long type;
		const char *name;
	} names[] = {
		{ 0x794c7630, "overlayfs" },
		{ 0x65735546, "FUSE" },
		{ 0x6969, "NFS" },
		{ 0x01021997, "9p" },
		{ 0xff534d42, "CIFS" },
		{ 0x2fc12fc1, "ZFS" },
	};
	struct statfs fs;
	for (size_t i = 0; statfs(path, &fs) == 0 && i < ARRAY_SIZE(names); i++)
		if ((long)fs.f_type == names[i].type)
			return names[i].name;
	return "its file system";
}

static int idmapped_mount(struct isolation_run *run, const char *path, int recursive, struct error **err)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_IDMAP,
		.propagation = MS_PRIVATE,
		.userns_fd = (uint64_t)run->share_mapping,
	};
	AUTO_FD int fd = clone_mount(path, recursive, err);
	if (fd < 0)
		return fd;
	if (mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes) < 0)
		return error_set(err, EOPNOTSUPP,
		    "%s cannot be shared by root: %s refuses idmapped mounts (%s); start the machine as an ordinary "
		    "user, or with --home none and directories on another file system",
		    path, file_system_name(path), strerror(errno));
	return TAKE_FD(fd);
}

/* *ret_whole: with what is mounted below. */
static int share_mount(struct isolation_run *run, const char *path, int *ret_whole, struct error **err)
{
	int fd = idmapped_mount(run, path, 1, NULL);
	*ret_whole = fd >= 0;
	if (fd >= 0)
		return fd;
	/* Something mounted below it refuses: without that, then. */
	fd = idmapped_mount(run, path, 0, err);
	if (fd >= 0)
		log_warning("what is mounted below %s cannot be shared by root", path);
	return fd;
}

/* ---- shares ---- */

/* whole: hidden folders are what they were when the keeper looked. */
static char *share_message(const struct isolation_share *s, int whole)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *share = json_object_new_object(), *hidden = json_object_new_array(),
			   *ids = json_object_new_array();
	json_add_string(share, "tag", s->tag);
	json_add_string(share, "host", s->host);
	json_add_bool(share, "read_only", s->read_only);
	for (size_t i = 0; s->hidden && s->hidden[i]; i++) {
		json_object_array_add(hidden, json_object_new_string(s->hidden[i]));
		json_object_array_add(ids, json_object_new_string(whole ? s->hidden_ids[i] : PATH_NOTHING));
	}
	json_add(share, "hidden", hidden);
	json_add(share, "hidden_ids", ids);
	json_add(o, "share", share);
	return json_to_string(o, 0);
}

static struct native_share **find(struct isolation_run *run, const char *tag)
{
	struct native_share **at = &run->shares;
	while (*at && !streq((*at)->tag, tag))
		at = &(*at)->next;
	return at;
}

static void share_free(struct native_share *s)
{
	fd_close(s->mount);
	free(s->tag);
	free(s->message);
	free(s);
}

static int share_send(struct isolation_run *run, struct native_share *s, struct error **err)
{
	int result = run->transport ? transport_fds_send(run->transport, s->message, s->mount) : -ECONNRESET;
	fd_close(TAKE_FD(s->mount));
	return result < 0 ? error_set_errno(err, result, "cannot tell the agent of a share") : 0;
}

int native_share_announce(struct isolation_run *run, const struct isolation_share *s, struct error **err)
{
	int whole = 1, mount = run->ids.by_root ? share_mount(run, s->host, &whole, err) : -1;
	if (run->ids.by_root && mount < 0)
		return mount;
	struct native_share *share = xnew(struct native_share), **at = &run->shares;
	*share = (struct native_share){ .tag = xstrdup(s->tag), .message = share_message(s, whole), .mount = mount };
	while (*at)
		at = &(*at)->next;
	*at = share;
	return run->stage == NATIVE_CONNECTED ? share_send(run, share, err) : 0;
}

static void drop(struct native_share **at)
{
	struct native_share *s = *at;
	*at = s->next;
	share_free(s);
}

int native_add_share(struct isolation_run *run, const struct isolation_share *s,
    void (*done)(int, const char *, void *), void *data, struct error **err)
{
	int result = run->stage == NATIVE_CONNECTED && !run->end.begun ?
			 native_share_announce(run, s, err) :
			 error_set(err, EOPNOTSUPP, "the machine is not running yet");
	if (result < 0) {
		if (*find(run, s->tag))
			drop(find(run, s->tag));
		return result;
	}
	done(0, NULL, data);
	return 0;
}

int native_remove_share(struct isolation_run *run, const char *tag, void (*done)(int, const char *, void *), void *data,
    struct error **err)
{
	struct native_share **at = find(run, tag);
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *which = json_object_new_object();
	if (!*at) {
		json_object_put(which);
		return error_set(err, ENOENT, "there is no share \"%s\"", tag);
	}
	json_add_string(which, "tag", tag);
	json_add(o, "unshare", which);
	AUTOFREE char *text = json_to_string(o, 0);
	int result = run->transport ? transport_fds_send(run->transport, text, -1) : -ECONNRESET;
	if (result < 0)
		return error_set_errno(err, result, "cannot tell the agent of a share");
	drop(at);
	done(0, NULL, data);
	return 0;
}

void native_shares_done(struct isolation_run *run)
{
	while (run->shares)
		drop(&run->shares);
	fd_close(TAKE_FD(run->share_mapping));
}

/* ---- the directories below ---- */

/* machines/NAME/native/bases: one absolute directory a line, topmost first. */
static int read_bases(const char *folder, struct strv *ret, struct error **err)
{
	AUTOFREE char *path = path_join(folder, "bases"), *text = NULL;
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot read %s", path);
	struct stat st;
	int result = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -EINVAL : fd_read_all(fd, BASES_MAX, &text, NULL);
	if (result < 0)
		return error_set_errno(err, result, "cannot read %s", path);
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTOFREE char *joined = path_join(folder, lines.items[i]);
		char *plain = path_normalize(joined);
		strv_take(ret, plain);
	}
	return 0;
}

int native_lower(const struct machine *m, struct strv *ret, struct error **err)
{
	AUTOFREE char *folder = machine_file(m->name, "native");
	int result = read_bases(folder, ret, err);
	for (size_t i = m->image_trees.count; i-- > 0;)
		strv_add(ret, m->image_trees.items[i]);
	return result;
}

int native_shares_send(struct isolation_run *run, struct error **err)
{
	int result = 0;
	for (struct native_share *s = run->shares; s && result >= 0; s = s->next)
		result = share_send(run, s, err);
	return result;
}
