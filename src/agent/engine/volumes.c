/* SPDX-License-Identifier: Apache-2.0
 * See volumes.h. volume.json is the machine's own, so it is read as hostile: a broken one is a
 * volume without labels. */
#include "agent/engine/volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/gone.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "docker/name.h"

#define FOLDER "volumes"

enum { JSON_MAX = 256 * 1024, LIST_MAX = 65536, DEPTH_MAX = 128, BLOCK = 512 };

/* ---- folders ---- */

static int open_all(const struct engine *e)
{
	int fd = openat(e->folders, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_or_make_all(const struct engine *e)
{
	if (mkdirat(e->folders, FOLDER, 0711) < 0 && errno != EEXIST)
		return -errno;
	return open_all(e);
}

static int open_one(const struct engine *e, const char *name)
{
	AUTO_FD int all = docker_is_name(name) ? open_all(e) : -ENOENT;
	int fd = all < 0 ? all : openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 && all >= 0 ? -errno : fd;
}

int volume_open(const struct engine *e, const char *name, const char *subpath, int flags)
{
	AUTO_FD int one = open_one(e, name);
	AUTO_FD int data = one < 0 ? one : path_open_beneath(one, "data", O_PATH | O_DIRECTORY, 0);
	return data < 0 ? TAKE_FD(data) : path_open_beneath(data, subpath ? subpath : ".", flags, 0);
}

/* ---- making ---- */

/* Written last: its sync takes the volume's directories along. */
static int write_json(int one, struct json_object *labels)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTOFREE char *created = clock_format_rfc3339(container_now());
	AUTO_ERROR struct error *err = NULL;
	if (faccessat(one, "volume.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	json_add_string(o, "CreatedAt", created);
	json_add(o, "Labels", labels ? json_object_get(labels) : json_object_new_object());
	AUTOFREE char *text = json_to_string(o, 0);
	return atomic_file_write_at(one, "volume.json", 0600, text, strlen(text), 1, &err);
}

struct owner {
	uint32_t uid, gid; /* in a container */
	unsigned mode;
};

/* "UID:GID:MODE" of a label, or root's of a container, which is the machine's user. */
static struct owner read_owner(struct json_object *labels)
{
	struct owner o = { .mode = 0755 };
	AUTO_STRV struct strv parts = { 0 };
	const char *text = NULL;
	uint32_t mode;
	if (!labels || json_get_string(labels, VOLUME_OWNER, &text, NULL) < 0)
		return o;
	strv_split(&parts, text, ":");
	if (parts.count == 3 && parse_u32(parts.items[0], &o.uid) == 0 && parse_u32(parts.items[1], &o.gid) == 0 &&
	    parse_octal(parts.items[2], &mode) == 0 && mode <= 07777)
		o.mode = mode;
	return o;
}

static int make_data(const struct engine *e, int one, struct json_object *labels)
{
	const struct owner o = read_owner(labels);
	uint32_t uid, gid;
	if (!idmap_outside(e->ids.uids, e->ids.uid_count, o.uid, &uid) ||
	    !idmap_outside(e->ids.gids, e->ids.gid_count, o.gid, &gid))
		return -EINVAL;
	if (mkdirat(one, "data", 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	AUTO_FD int data = openat(one, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return data < 0 || fchown(data, uid, gid) < 0 || fchmod(data, o.mode) < 0 ? -errno : 0;
}

int volume_make(const struct engine *e, const char *name, struct json_object *labels, struct error **err)
{
	AUTO_FD int all = open_or_make_all(e);
	int r = all < 0 ? all : 0;
	if (r == 0 && mkdirat(all, name, 0711) < 0 && errno != EEXIST)
		r = -errno;
	AUTO_FD int one = r < 0 ? r : open_one(e, name);
	if (one < 0 || (r = make_data(e, one, labels)) < 0 || (r = write_json(one, labels)) < 0)
		return error_set_errno(err, one < 0 ? one : r, "cannot make the volume \"%s\"", name);
	return 0;
}

/* ---- reading ---- */

char *volume_place(const char *name)
{
	return xasprintf("/var/lib/holm/volumes/%s/_data", name);
}

static struct json_object *read_json(int one)
{
	AUTO_FD int fd = openat(one, "volume.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTOFREE char *text = NULL;
	struct json_object *o = NULL;
	size_t size = 0;
	if (fd >= 0 && fd_read_all(fd, JSON_MAX, &text, &size) == 0 &&
	    json_parse_bytes(text, size, "volume.json", &o, NULL) == 0 && json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	return json_object_new_object();
}

static struct json_object *labels_of(struct json_object *from)
{
	struct json_object *labels = NULL, *to = json_object_new_object();
	if (json_get_object(from, "Labels", &labels, NULL) == 0) {
		json_object_object_foreach(labels, key, value)
		{
			if (json_object_is_type(value, json_type_string))
				json_object_object_add(to, key, json_object_get(value));
		}
	}
	return to;
}

void volume_touch(const struct engine *e, const char *name)
{
	AUTO_FD int one = open_one(e, name);
	if (one >= 0 && futimens(one, NULL) < 0)
		log_debug("the volume %s: %s", name, strerror(errno));
}

static void add_use(int one, struct json_object *volume)
{
	struct json_object *status = json_object_new_object();
	struct stat st = { 0 };
	(void)fstat(one, &st);
	AUTOFREE char *used = clock_format_rfc3339((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
	json_add_string(status, "LastUsedAt", used);
	json_add(volume, "Status", status);
}

struct json_object *volume_describe(const struct engine *e, const char *name)
{
	AUTO_FD int one = open_one(e, name);
	if (one < 0)
		return NULL;
	AUTO_JSON struct json_object *from = read_json(one);
	struct json_object *o = json_object_new_object();
	AUTOFREE char *place = volume_place(name);
	const char *created = "";
	json_get_string(from, "CreatedAt", &created, NULL);
	json_add_string(o, "CreatedAt", created);
	json_add_string(o, "Driver", "local");
	struct json_object *labels = labels_of(from);
	json_add(o, "Labels", labels);
	json_add_string(o, "Mountpoint", place);
	json_add_string(o, "Name", name);
	json_add(o, "Options", NULL);
	json_add_string(o, "Scope", "local");
	if (json_object_object_get_ex(labels, VOLUME_BUILD_CACHE, NULL))
		add_use(one, o);
	return o;
}

/* Calls of readdir(3) on a directory's own descriptor, which is taken. */
static DIR *list(int fd)
{
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		fd_close(fd);
	return d;
}

void volumes_list(const struct engine *e, struct strv *to)
{
	DIR *d = list(open_all(e));
	for (struct dirent *entry; d && (entry = readdir(d)) && to->count < LIST_MAX;)
		if (docker_is_name(entry->d_name))
			strv_add(to, entry->d_name);
	if (d)
		closedir(d);
	strv_sort(to);
}

const struct container *volume_user(const struct engine *e, const char *name, const struct container *except)
{
	for (const struct container *c = e->containers; c; c = c->next)
		for (size_t i = 0; c != except && i < c->record.mounts.count; i++) {
			const struct docker_mount *m = &c->record.mounts.items[i];
			if (m->type == DOCKER_MOUNT_VOLUME && streq(m->source, name))
				return c;
		}
	return NULL;
}

static uint64_t size_of(int directory, int depth)
{
	uint64_t sum = 0;
	DIR *d = list(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (struct dirent *entry; d && depth < DEPTH_MAX && (entry = readdir(d));) {
		struct stat st;
		if (streq(entry->d_name, ".") || streq(entry->d_name, "..") ||
		    fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		sum += (uint64_t)st.st_blocks * BLOCK;
		AUTO_FD int below = S_ISDIR(st.st_mode) ? openat(directory, entry->d_name,
							      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) :
							  -1;
		if (below >= 0)
			sum += size_of(below, depth + 1);
	}
	if (d)
		closedir(d);
	return sum;
}

uint64_t volume_tree_size(int directory)
{
	return size_of(directory, 0);
}

uint64_t volume_size(const struct engine *e, const char *name)
{
	AUTO_FD int data = volume_open(e, name, NULL, O_PATH | O_DIRECTORY);
	return data < 0 ? 0 : size_of(data, 0);
}

/* ---- removing ---- */

void volumes_sweep(const struct engine *e)
{
	AUTO_FD int all = open_all(e);
	if (all >= 0)
		gone_sweep(e, all);
}

int volume_remove(const struct engine *e, const char *name)
{
	AUTO_FD int all = docker_is_name(name) ? open_all(e) : -ENOENT;
	AUTOFREE char *id = docker_new_id();
	if (all >= 0 && faccessat(all, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	int r = all < 0 ? all : gone_hide(all, name, id);
	if (r == 0)
		gone_sweep(e, all);
	return r;
}
