/* SPDX-License-Identifier: Apache-2.0
 * `holm system df`: the room that holm's folder takes on the host. Trees belong to subordinate ids,
 * so a child that is root of the user's mapping measures them; what is in them comes from images:
 * no name is followed, and the depth is capped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "cli/system/df.h"
#include "docker/name.h"
#include "idmap/idmap.h"
#include "isolation/isolation.h"

enum { DEPTH_MAX = 256, INDEX_MAX = 16 << 20, ANSWER_MS = 5000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL,
	    "also list what builds have kept, and of a running machine each image, container and volume" },
	FORMAT_OPTION("table"),
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_system_df = {
	.name = "df",
	.summary = "show how much room images and machines take",
	.details =
	    "ACTIVE counts the images, disks and trees that a machine stands on, the machines and containers that "
	    "run, and the volumes of running machines that containers have. Containers and volumes of a virtual "
	    "machine are on its disk: they are counted while it runs, and their size is the machine's. Bases are the "
	    "frozen disks that a machine and its clones share. The build cache is what earlier builds have kept and no "
	    "image has; their cache mounts are volumes. holm image rm, holm image prune, holm builder prune, "
	    "holm machine rm and holm rm give room back.",
	.options = options,
	.run = run,
};

/* ---- measuring ---- */

/* Shared with the child that measures. */
struct total {
	uint64_t bytes;
	int directory;
	const char *part; /* of the directory */
};

/* Adds what is below a directory (taken). A file with several names counts by its share. */
static void add_below(struct total *t, int directory, unsigned depth)
{
	DIR *d = fdopendir(directory);
	if (!d)
		fd_close(directory);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct stat st;
		if (streq(e->d_name, ".") || streq(e->d_name, "..") ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		t->bytes += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) ? 1 : MAX(st.st_nlink, 1));
		int below = S_ISDIR(st.st_mode) && depth < DEPTH_MAX ?
				openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) :
				-1;
		if (below >= 0)
			add_below(t, below, depth + 1);
	}
	if (d)
		closedir(d);
}

static int measure(void *data, struct error **err)
{
	struct total *t = data;
	(void)err;
	int copy = openat(t->directory, t->part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (copy >= 0)
		add_below(t, copy, 0);
	return 0;
}

/* The room of all that is below a part of a directory, whoever it belongs to: 0 or -errno. */
static int room_of_part(const char *path, const char *part, int foreign, uint64_t *ret)
{
	struct idmap map;
	AUTO_FD int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*ret = 0;
	if (directory < 0)
		return errno == ENOENT ? 0 : -errno;
	struct total *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		return -errno;
	t->directory = directory;
	t->part = part;
	int r = !foreign || geteuid() == 0 ? measure(t, NULL) : idmap_of_user_or_single(&map, NULL);
	if (r == 0 && foreign && geteuid() != 0)
		r = idmap_run(&map, measure, t, NULL);
	*ret = t->bytes;
	munmap(t, sizeof *t);
	return r;
}

static int room_below(const char *path, int foreign, uint64_t *ret)
{
	return room_of_part(path, ".", foreign, ret);
}

/* Entries of a folder with the name's end, directories or files. */
static uint64_t count_entries(const char *path, const char *end, int directories)
{
	uint64_t count = 0;
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct stat st;
		if (e->d_name[0] != '.' && endswith(e->d_name, end) &&
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) == !directories)
			count++;
	}
	if (d)
		closedir(d);
	return count;
}

/* Containers have folders, as the volumes of all have one. */
static uint64_t count_containers(const char *path)
{
	uint64_t count = 0;
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		count += docker_is_id(e->d_name) != 0;
	if (d)
		closedir(d);
	return count;
}

/* ---- rows ---- */

/* The parts of images that machines stand on, each once. */
struct in_use {
	struct strv images, disks, trees;
	uint64_t machines, running, bytes;
};

static void in_use_done(struct in_use *u)
{
	strv_done(&u->images);
	strv_done(&u->disks);
	strv_done(&u->trees);
}

static void add_once(struct strv *v, const char *s)
{
	if (s && !strv_contains(v, s))
		strv_add(v, s);
}

static int look_at_machines(struct in_use *u, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	int r = machine_list(&names, err);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		AUTO_MACHINE struct machine *m = NULL;
		uint64_t bytes = 0;
		int64_t when;
		u->machines++;
		u->running += machine_is_running(names.items[i]) == 1;
		if (machine_load(names.items[i], &m, NULL) < 0)
			continue;
		add_once(&u->images, m->image_digest);
		add_once(&u->disks, m->image_disk);
		for (size_t k = 0; k < m->image_trees.count; k++)
			add_once(&u->trees, m->image_trees.items[k]);
		const struct isolation_disk_ops *disk = isolation_disk_table(m->form, NULL);
		if (disk && disk->disk_usage(m, &bytes, &when) == 0)
			u->bytes += bytes;
	}
	return r;
}

static uint64_t count_images(const char *images)
{
	AUTOFREE char *path = path_join(images, "index.json");
	AUTO_JSON struct json_object *index = NULL;
	struct json_object *list = NULL;
	if (json_parse_file(path, INDEX_MAX, &index, NULL) < 0 || json_get_array(index, "manifests", &list, NULL) < 0)
		return 0;
	return json_object_array_length(list);
}

/* known: bytes is right; else the size is null. */
static void add_row(struct json_object *rows, const char *type, uint64_t total, uint64_t active, int known,
    uint64_t bytes)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "type", type);
	json_add_u64(o, "total", total);
	json_add_u64(o, "active", active);
	json_add(o, "size", known ? json_object_new_uint64(bytes) : NULL);
	json_object_array_add(rows, o);
}

static void add_folder(struct json_object *rows, const char *type, const char *path, uint64_t total, uint64_t active,
    int foreign)
{
	uint64_t bytes;
	int r = room_below(path, foreign, &bytes);
	add_row(rows, type, total, active, r == 0, bytes);
}

/* Containers, or volumes, of all machines. */
struct amount {
	uint64_t total, active, bytes;
	int unknown; /* bytes is not all */
};

/* The items of a list that a running machine's engine gives; 0 for one that does not answer at
 * once. member NULL: the answer is the list. */
static uint64_t ask_count(const char *name, const char *target, const char *member)
{
	const struct api a = { .machine = (char *)name, .timeout_ms = ANSWER_MS };
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *list = NULL;
	if (api_call(&a, "GET", target, NULL, &answer, NULL) < 0)
		return 0;
	if (member)
		json_get_array(answer, member, &list, NULL);
	else if (json_object_is_type(answer, json_type_array))
		list = answer;
	return list ? json_object_array_length(list) : 0;
}

/* Adds a machine's. Those of a VM are on its disk, so they are counted while it runs, and their
 * bytes are the machine's. */
static void add_amounts(const char *name, struct amount *containers, struct amount *volumes)
{
	AUTOFREE char *folder = machine_file(name, "containers"), *below = path_join(folder, "volumes");
	uint64_t all = 0, of_volumes = 0, here = count_containers(folder), here_volumes = count_entries(below, "", 1);
	int native = path_exists(folder), runs = machine_is_running(name) == 1;
	if (native && (room_below(folder, 1, &all) < 0 || room_of_part(folder, "volumes", 1, &of_volumes) < 0))
		containers->unknown = volumes->unknown = 1;
	containers->bytes += all - MIN(all, of_volumes);
	volumes->bytes += of_volumes;
	if (runs && (!native || here || here_volumes)) {
		here = native ? here : ask_count(name, "/containers/json?all=1", NULL);
		here_volumes = ask_count(name, "/volumes", "Volumes");
		containers->active += here ? ask_count(name, "/containers/json", NULL) : 0;
		if (here_volumes)
			volumes->active +=
			    ask_count(name, "/volumes?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D", "Volumes");
	}
	containers->total += here;
	volumes->total += here_volumes;
}

static int add_containers(struct json_object *rows, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	struct amount containers = { 0 }, volumes = { 0 };
	int r = machine_list(&names, err);
	for (size_t i = 0; r == 0 && i < names.count; i++)
		add_amounts(names.items[i], &containers, &volumes);
	if (r < 0)
		return r;
	add_row(rows, "containers", containers.total, containers.active, !containers.unknown, containers.bytes);
	add_row(rows, "volumes", volumes.total, volumes.active, !volumes.unknown, volumes.bytes);
	return 0;
}

/* The cache of builds, whose layers are among the blobs. verbose: with its entries. */
static int add_library(struct json_object *rows, const char *images, uint64_t in_use, int verbose, struct error **err)
{
	AUTO_DF_CACHE struct df_cache cache = { 0 };
	AUTOFREE char *blobs = path_join(images, "blobs");
	uint64_t bytes = 0;
	int known = room_below(blobs, 0, &bytes) == 0, r = df_cache_read(images, &cache, err);
	if (r < 0)
		return r;
	add_row(rows, "images", count_images(images), in_use, known, bytes - MIN(bytes, cache.layers));
	add_row(rows, "build cache", cache.entries ? json_object_array_length(cache.entries) : 0, 0, 1, cache.bytes);
	if (verbose)
		json_add(json_object_array_get_idx(rows, json_object_array_length(rows) - 1), "entries",
		    cache.entries ? json_object_get(cache.entries) : json_object_new_array());
	return 0;
}

static int collect(struct json_object *rows, int verbose, struct error **err)
{
	CLEANUP(in_use_done) struct in_use u = { 0 };
	AUTOFREE char *data = path_data_dir(), *images = path_join(data, "images"), *disks = path_join(images, "disks"),
		      *trees = path_join(images, "trees"), *partial = path_join(images, "partial"),
		      *machines = machine_list_dir(), *bases = path_join(machines, ".bases");
	int r = look_at_machines(&u, err);
	if (r < 0)
		return r;
	r = add_library(rows, images, u.images.count, verbose, err);
	if (r < 0)
		return r;
	add_folder(rows, "downloads", partial, count_entries(partial, "", 0), 0, 0);
	add_folder(rows, "disks", disks, count_entries(disks, ".ext4", 0), u.disks.count, 0);
	add_folder(rows, "trees", trees, count_entries(trees, "", 1), u.trees.count, 1);
	add_row(rows, "machines", u.machines, u.running, 1, u.bytes);
	r = add_containers(rows, err);
	if (r < 0)
		return r;
	add_folder(rows, "bases", bases, count_entries(bases, ".qcow2", 0) + count_entries(bases, "", 1), 0, 1);
	return 0;
}

static void print_table(struct json_object *rows)
{
	static const char *const headers[] = { "TYPE", "TOTAL", "ACTIVE", "SIZE", NULL };
	AUTO_TABLE struct output_table t = { .headers = headers };
	AUTOFREE char *data = path_data_dir();
	struct statvfs s;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		uint64_t bytes;
		strv_add(&t.cells, json_object_get_string(json_object_object_get(row, "type")));
		strv_add(&t.cells, json_object_get_string(json_object_object_get(row, "total")));
		strv_add(&t.cells, json_object_get_string(json_object_object_get(row, "active")));
		strv_take(&t.cells, json_get_u64(row, "size", &bytes, NULL) == 0 ? format_size(bytes) : xstrdup("-"));
	}
	output_table_print(&t);
	AUTOFREE char *left = statvfs(data, &s) == 0 ? format_size((uint64_t)s.f_bavail * s.f_frsize) : NULL;
	if (left)
		output_line("%s has %s left.", data, left);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_FORMAT struct format format = { 0 };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	int verbose = options_given(o, "verbose"),
	    r = format_parse(options_string(o, "format"), "table", &format, &err);
	if (r == 0 && options_given(o, "machine") && !(verbose && format.kind == FORMAT_OWN))
		r = error_set(&err, EINVAL, "--machine is for the tables of --verbose");
	if (r == 0)
		r = collect(rows, verbose, &err);
	if (r < 0)
		return output_failure(r, err);
	if (format.kind != FORMAT_OWN)
		return output_rows(&format, rows);
	print_table(rows);
	if (!verbose)
		return 0;
	df_cache_print(rows);
	return df_details_print(c, o);
}
