/* SPDX-License-Identifier: Apache-2.0
 * Images: the trees of their layers, and root file systems made of them.
 *
 * The engine cannot name a folder of the host. It asks the agent for an image by its digest, and
 * gets a detached mount for each tree, which is read-only and locked so: root in the machine cannot
 * make it writable (src/agent/service/engine.c). The mounts stay while a container of the image is
 * there, and UNUSED_MS more: then the engine unmounts them and tells the agent.
 *
 * The mounts outlive the engine. HEX.ready, a symlink to a number, says that so many layers of an
 * image are mounted. Layers that a killed engine had asked for may still come; a tag tells them
 * apart. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/engine/engine.h"
#include "agent/engine/stack.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "idmap/storage.h"
#include "oci/digest.h"
#include "oci/layer.h"

#define OWN "own-"

enum { OPTIONS_MAX = 4095, IMAGES_MAX = 1024, UNUSED_MS = 10 * 1000 };

struct wish {
	struct wish *next;
	image_ready_fn ready;
	void *data;
};

struct image {
	struct image *next;
	char id[DIGEST_TEXT_SIZE + 1];
	int own_ids;             /* its files have the machine's ids (--userns), not those of containers */
	unsigned count, mounted; /* trees */
	int ready;
	struct wish *wishes;
	struct engine *engine;
	struct source *unused; /* runs while no container is made of it */
};

static int has_own_ids(const struct container *c)
{
	return c->record.body.namespaces.userns != DOCKER_USERNS_CONTAINERS;
}

static struct image *find(const struct engine *e, const char *id, int own_ids)
{
	for (struct image *i = e->images; i; i = i->next)
		if (streq(i->id, id) && i->own_ids == own_ids)
			return i;
	return NULL;
}

static struct image *find_of(const struct container *c)
{
	return find(c->engine, c->record.image_id, has_own_ids(c));
}

/* The folder of its trees in ENGINE_IMAGES; owned. */
static char *folder_of(const struct image *i)
{
	return xasprintf(ENGINE_IMAGES "/%s%s", i->own_ids ? OWN : "", digest_hex(i->id));
}

static void image_free(struct image *i)
{
	struct image **at = &i->engine->images;
	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	source_free(i->unused);
	free(i);
}

static void settle(struct image *i, int code, const char *text)
{
	struct wish *wishes = TAKE_PTR(i->wishes);
	if (code < 0)
		image_free(i);
	while (wishes) {
		struct wish *w = wishes;
		wishes = w->next;
		w->ready(code, text, w->data);
		free(w);
	}
}

/* Of what this engine asks this agent for. */
static int64_t tag_of(const struct engine *e)
{
	return (int64_t)e->agents << 32 | getpid();
}

static void ask(struct image *i)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "image", i->id);
	json_add_i64(o, "tag", tag_of(i->engine));
	json_add_bool(o, "own_ids", i->own_ids);
	int r = channel_send(ENGINE_CHANNEL, o, -1);
	if (r < 0)
		settle(i, r, "the agent cannot be asked for the image");
}

static char *ready_path(const struct image *i)
{
	AUTOFREE char *folder = folder_of(i);
	return xasprintf("%s.ready", folder);
}

/* Unmounts the layers that a killed engine had begun with. */
static void unmount_begun(const struct image *i)
{
	AUTOFREE char *folder = folder_of(i);
	for (unsigned n = 0; n < ENGINE_LAYERS_MAX; n++) {
		AUTOFREE char *tree = xasprintf("%s/%u", folder, n);
		if (umount2(tree, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			break;
	}
}

static struct image *image_new(struct engine *e, const char *id, int own_ids)
{
	struct image *i = xnew(struct image);
	snprintf(i->id, sizeof i->id, "%s", id);
	i->own_ids = own_ids;
	i->engine = e;
	i->next = e->images;
	e->images = i;
	return i;
}

void image_want(const struct container *c, image_ready_fn ready, void *data)
{
	struct image *i = find_of(c);
	if (i)
		source_free(TAKE_PTR(i->unused));
	if (i && i->ready) {
		ready(0, NULL, data);
		return;
	}
	struct wish *w = xnew(struct wish);
	int is_new = !i;
	if (is_new) {
		i = image_new(c->engine, c->record.image_id, has_own_ids(c));
		unmount_begun(i);
	}
	*w = (struct wish){ .ready = ready, .data = data, .next = i->wishes };
	i->wishes = w;
	if (is_new)
		ask(i);
}

static int mount_tree(const struct image *i, int tree)
{
	AUTOFREE char *folder = folder_of(i), *path = xasprintf("%s/%u", folder, i->mounted);
	int r = path_mkdir_all(path, 0700, NULL);
	if (r < 0)
		return r;
	return syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static void maybe_unused(struct image *i);

void image_message(struct engine *e, struct json_object *o, int fd)
{
	AUTO_FD int tree = fd;
	const char *id = NULL, *text = NULL;
	uint64_t count = 0;
	int64_t tag = 0;
	int own_ids = 0;
	json_get_bool(o, "own_ids", &own_ids, NULL);
	if (json_get_i64(o, "tag", &tag, NULL) < 0 || tag != tag_of(e))
		return;
	struct image *i = json_get_string(o, "image", &id, NULL) == 0 ? find(e, id, own_ids) : NULL;
	if (!i || i->ready)
		return;
	if (json_get_string(o, "error", &text, NULL) == 0) {
		settle(i, -EIO, text);
		return;
	}
	json_get_u64(o, "count", &count, NULL);
	i->count = (unsigned)MIN(count, ENGINE_LAYERS_MAX);
	int r = tree < 0 ? -EPROTO : mount_tree(i, tree);
	if (r < 0)
		settle(i, r, "cannot mount the image's layers");
	else if (++i->mounted == i->count) {
		AUTOFREE char *number = xasprintf("%u", i->count), *path = ready_path(i);
		(void)!symlink(number, path);
		i->ready = 1;
		settle(i, 0, NULL);
		maybe_unused(i); /* its container may be gone by now */
	}
}

void images_ask_again(struct engine *e)
{
	for (struct image *i = e->images, *next; i; i = next) {
		next = i->next;
		if (i->ready)
			continue;
		unmount_begun(i);
		i->count = i->mounted = 0;
		ask(i);
	}
}

/* ---- images without containers ---- */

static int is_used(const struct image *i)
{
	for (const struct container *c = i->engine->containers; c; c = c->next)
		if (streq(c->record.image_id, i->id) && has_own_ids(c) == i->own_ids)
			return 1;
	return 0;
}

/* 0 or -errno; what is busy is left. */
static int unmount(const struct image *i)
{
	AUTOFREE char *place = folder_of(i), *ready = ready_path(i);
	unlink(ready);
	for (unsigned n = 0; n < i->count; n++) {
		AUTOFREE char *path = xasprintf("%s/%u", place, n);
		if (umount2(path, 0) < 0 && errno != EINVAL)
			return -errno;
		rmdir(path);
	}
	return rmdir(place) < 0 ? -errno : 0;
}

/* In a VM both forms are one disk. */
static void tell_unused(const struct image *i)
{
	if (find(i->engine, i->id, !i->own_ids))
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "unused", i->id);
	channel_send(ENGINE_CHANNEL, o, -1);
}

/* Whether it is unmounted, and i gone. */
static int release(struct image *i)
{
	source_free(TAKE_PTR(i->unused));
	if (is_used(i) || i->wishes)
		return 0;
	int r = unmount(i);
	if (r < 0) {
		log_warning("the image %.19s cannot be unmounted: %s", i->id, strerror(-r));
		return 0;
	}
	tell_unused(i);
	image_free(i);
	return 1;
}

static void on_unused(struct source *s, void *data)
{
	(void)release(data);
}

static void maybe_unused(struct image *i)
{
	if (!i->ready || is_used(i))
		return;
	source_free(TAKE_PTR(i->unused));
	loop_add_timer(i->engine->loop, clock_deadline(UNUSED_MS), on_unused, i, &i->unused);
}

void image_maybe_unused(const struct container *c)
{
	struct image *i = find_of(c);
	if (i)
		maybe_unused(i);
}

static void load(struct engine *e, const char *hex)
{
	char number[16];
	uint32_t count = 0;
	const char *own = startswith(hex, OWN);
	AUTOFREE char *path = xasprintf(ENGINE_IMAGES "/%s.ready", hex), *id = xasprintf("sha256:%s", own ? own : hex);
	ssize_t size = readlink(path, number, sizeof number - 1);
	number[MAX(size, 0)] = '\0';
	if (digest_check(id, "an image", NULL) < 0 || parse_u32(number, &count) < 0 || count > ENGINE_LAYERS_MAX)
		return;
	struct image *i = image_new(e, id, own != NULL);
	i->count = i->mounted = count;
	i->ready = 1;
	maybe_unused(i);
}

void images_load(struct engine *e)
{
	DIR *d = opendir(ENGINE_IMAGES);
	for (struct dirent *entry; d && (entry = readdir(d));) {
		const char *end = strchr(entry->d_name, '.');
		if (!end || !streq(end, ".ready"))
			continue;
		AUTOFREE char *hex = xstrndup(entry->d_name, (size_t)(end - entry->d_name));
		load(e, hex);
	}
	if (d)
		closedir(d);
}

/* GET /holm/images, for the keeper: {"sha256:HEX":[{"Id","Running","Ports":["8080:80"]}]} of all
 * containers; an image without one is there as long as it is mounted. With release=1 such images
 * are unmounted first. */
void engine_images(struct engine *e, struct http_exchange *x, const char *name)
{
	struct json_object *all = json_object_new_object();
	int releases = engine_flag(x, "release", 0);
	for (struct image *i = e->images, *next; i; i = next) {
		AUTOFREE char *id = xstrdup(i->id);
		next = i->next;
		if (!releases || !i->ready || !release(i))
			json_add(all, id, json_object_new_array());
	}
	for (const struct container *c = e->containers; c; c = c->next) {
		struct json_object *list = NULL, *one = json_object_new_object();
		if (!json_object_object_get_ex(all, c->record.image_id, &list)) {
			list = json_object_new_array();
			json_add(all, c->record.image_id, list);
		}
		json_add_string(one, "Id", c->record.id);
		json_add_bool(one, "Running", c->pid != 0);
		json_add(one, "Ports", container_ports_wanted(c));
		json_object_array_add(list, one);
	}
	http_respond_json(x, 200, all);
}

/* ---- root file systems ---- */

/* The directory whose mode and owner "/" has: the topmost layer that describes "/". */
static unsigned root_layer(int trees, unsigned count)
{
	char value[1];
	for (unsigned n = 0; n < count; n++) {
		AUTOFREE char *name = xasprintf("%u", n);
		AUTO_FD int tree = openat(trees, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (tree >= 0 && fgetxattr(tree, LAYER_XATTR_ROOT, value, sizeof value) > 0)
			return n;
	}
	return 0;
}

static int is_temporary(const struct container *c)
{
	return c->record.body.auto_remove || c->record.held;
}

/* A mount without syncs leaves a mark that the next mount refuses. Its reason is a host that lost
 * its power, and then the container is removed. */
static void clear_mark(int folder)
{
	AUTO_FD int work = path_open_beneath(folder, "work/work", O_RDONLY | O_DIRECTORY, 0);
	if (work >= 0)
		path_remove_tree(work, "incompat");
}

static const char *upper_name(const struct container *c)
{
	return has_own_ids(c) ? STORAGE_OWN_UPPER : "upper";
}

char *image_upper(const struct container *c)
{
	return path_join(c->record.id, upper_name(c));
}

/* The directory whose mode and owner the root of a new container has. */
static int stat_root(const struct container *c, int trees, const struct image *i, struct stat *ret)
{
	const struct container *below = stack_below(c);
	AUTOFREE char *name = below ? image_upper(below) : xasprintf("%u", root_layer(trees, i->count));
	return fstatat(below ? c->engine->folders : trees, name, ret, AT_SYMLINK_NOFOLLOW);
}

static int make_upper(struct container *c, int trees, const struct image *i, struct error **err)
{
	struct stat st;
	const char *upper = upper_name(c);
	AUTO_FD int folder = openat(c->engine->folders, c->record.id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || stat_root(c, trees, i, &st) < 0)
		return error_set_errno(err, errno, "cannot open the container's folder");
	if (mkdirat(folder, "work", 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make the container's folder");
	if (is_temporary(c))
		clear_mark(folder);
	if (faccessat(folder, upper, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if ((mkdirat(folder, "upper.new", 0755) < 0 && errno != EEXIST) ||
	    fchownat(folder, "upper.new", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(folder, "upper.new", st.st_mode & 07777, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat(folder, "upper.new", folder, upper) < 0)
		return error_set_errno(err, errno, "cannot make the container's folder");
	return 0;
}

/* Lower directories are named relative to the image's directory: mount(2) takes one page of
 * options. The last unmount of an overlay writes the whole file system below out, and so does
 * fsync(2) in it. Nobody needs that for files that go with their container (--rm). */
static int make_options(const struct container *c, unsigned count, struct buffer *b)
{
	buffer_append_string(b, "userxattr,lowerdir=");
	int r = stack_append(c, b);
	for (unsigned n = 0; n < count; n++)
		buffer_appendf(b, "%s%u", n ? ":" : "", n);
	buffer_appendf(b, ",upperdir=" ENGINE_CONTAINERS "/%s/%s,workdir=" ENGINE_CONTAINERS "/%s/work", c->record.id,
	    upper_name(c), c->record.id);
	if (is_temporary(c))
		buffer_append_string(b, ",volatile");
	return r < 0 ? r : b->size > OPTIONS_MAX ? -E2BIG : 0;
}

int image_make_upper(struct container *c, struct error **err)
{
	const struct image *i = find_of(c);
	if (!i || !i->ready)
		return error_set(err, ENOENT, "the image is not mounted");
	AUTOFREE char *place = folder_of(i);
	AUTO_FD int trees = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return trees < 0 ? error_set_errno(err, errno, "cannot open the image's layers") : make_upper(c, trees, i, err);
}

/* Mounts all layers, at least two, as overlayfs wants them. */
static int mount_layers(const struct container *c, const struct image *i, const char *images, const char *place,
    struct error **err)
{
	AUTO_BUFFER struct buffer options;
	buffer_init(&options, OPTIONS_MAX);
	buffer_append_string(&options, "userxattr,lowerdir=");
	int r = path_mkdir_all(place, 0700, err);
	if (r == 0 && stack_append(c, &options) < 0)
		return error_set(err, ENOENT, "the container is gone on which this one stands");
	for (unsigned n = 0; r == 0 && n < i->count; n++)
		r = buffer_appendf(&options, "%s%u", n ? ":" : "", n);
	if (r == 0 && (chdir(images) < 0 || mount("holm", place, "overlay", MS_RDONLY, buffer_string(&options)) < 0))
		r = error_set_errno(err, errno, "cannot mount the image's files");
	(void)!chdir("/");
	return r;
}

int image_open_files(const struct container *c, const char *place, struct error **err)
{
	const struct image *i = find_of(c);
	if (!i || !i->ready)
		return error_set(err, ENOENT, "the image is not mounted");
	AUTOFREE char *images = folder_of(i), *only = path_join(images, "0");
	int several = i->count > 1 || c->record.on, r = several ? mount_layers(c, i, images, place, err) : 0;
	if (r < 0)
		return r;
	int fd = open(several ? place : only, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "cannot open the image's files") : fd;
}

int image_mount_root(struct container *c, struct error **err)
{
	AUTOFREE char *root = xasprintf(ENGINE_RUN "/%s/root", c->record.id);
	return image_mount_root_at(c, root, err);
}

int image_mount_root_at(struct container *c, const char *root, struct error **err)
{
	struct image *i = find_of(c);
	AUTO_BUFFER struct buffer options;
	buffer_init(&options, 2 * OPTIONS_MAX);
	if (!i || !i->ready)
		return error_set(err, ENOENT, "the image is not mounted");
	AUTOFREE char *place = folder_of(i);
	AUTO_FD int trees = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r =
	    trees < 0 ? error_set_errno(err, errno, "cannot open the image's layers") : make_upper(c, trees, i, err);
	if (r < 0 || (r = path_mkdir_all(root, 0711, err)) < 0)
		return r;
	if ((r = make_options(c, i->count, &options)) < 0)
		return r == -ENOENT ? error_set(err, ENOENT, "the container is gone on which this one stands") :
				      error_set(err, E2BIG, "the image has too many layers");
	if (fchdir(trees) < 0 || mount("holm", root, "overlay", 0, buffer_string(&options)) < 0)
		r = error_set_errno(err, errno, "cannot mount the container's root file system");
	(void)!chdir("/");
	return r;
}
