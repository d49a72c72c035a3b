/* SPDX-License-Identifier: Apache-2.0
 * Machines on disk. A machine's directory appears and vanishes whole: it is built as ".new-XXXXXX"
 * and renamed into place, and renamed to ".old-XXXXXX" before its files are deleted. The process
 * that builds or deletes one of those holds its config.lock, so a sweep at the next creation knows
 * which of them a crash has left behind. A new config.lock gets that name once it is locked.
 *
 * A lock is taken on a file that may just be deleted or renamed with its machine: after taking it,
 * the file must still be the one of that name. */
#include "machine/machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/suggest.h"

enum {
	MACHINE_JSON_MAX = 4 << 20,
	DEFAULT_FILE_MAX = 256,
	HALF_MADE_SECONDS = 60,
	LOCK_FILE_MAX = 256,
	STOPS_FILE_MAX = 4096
};

char *machine_list_dir(void)
{
	AUTOFREE char *data = path_data_dir();
	return path_join(data, "machines");
}

char *machine_dir(const char *name)
{
	AUTOFREE char *machines = machine_list_dir();
	return path_join(machines, name);
}

char *machine_file(const char *name, const char *file)
{
	AUTOFREE char *directory = machine_dir(name);
	return path_join(directory, file);
}

static int no_such_machine(const char *name, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	struct suggestion near = SUGGESTION(name);
	machine_list(&names, NULL);
	for (size_t i = 0; i < names.count; i++)
		suggestion_offer(&near, names.items[i]);
	if (near.near)
		return error_set(err, ENOENT, "no machine \"%s\" (did you mean \"%s\"?); see holm machine ls", name,
		    near.near);
	return error_set(err, ENOENT, "no machine \"%s\"; see holm machine ls", name);
}

/* ---- reading and writing ---- */

int machine_load(const char *name, struct machine **ret, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *why = NULL;
	int r = machine_name_check(name, err);
	if (r < 0)
		return r;
	AUTOFREE char *file = machine_file(name, "machine.json");
	r = json_parse_file(file, MACHINE_JSON_MAX, &o, &why);
	if (r == -ENOENT)
		return no_such_machine(name, err);
	if (r == 0)
		r = machine_from_json(o, &m, &why);
	if (r < 0)
		return error_set(err, -r, "machine \"%s\" is damaged (%s): %s", name, file, error_text(why, r));
	/* The directory's name counts: a rename that a crash cut short is complete all the same. */
	free(m->name);
	m->name = xstrdup(name);
	*ret = TAKE_PTR(m);
	return 0;
}

/* Refuses to write a text that could not be read back: the machine would be lost. 0 or -errno. */
static int check_readable(const char *text, struct error **err)
{
	AUTO_MACHINE struct machine *copy = NULL;
	AUTO_JSON struct json_object *o = NULL;
	size_t size = strlen(text);
	if (size > MACHINE_JSON_MAX)
		return error_set(err, E2BIG, "the machine's settings are larger than %d MiB; set less environment",
		    MACHINE_JSON_MAX >> 20);
	if (json_parse(text, size, "settings", &o, NULL) < 0)
		return error_set(err, EINVAL, "the machine's settings can only hold text in UTF-8");
	int r = machine_from_json(o, &copy, err);
	return r < 0 ? error_prefix(err, r, "the machine's settings") : 0;
}

static int save_into(const struct machine *m, const char *directory, struct error **err)
{
	AUTO_JSON struct json_object *o = machine_to_json(m);
	AUTOFREE char *text = json_to_string(o, 1), *line = xasprintf("%s\n", text),
		      *file = path_join(directory, "machine.json");
	int r = check_readable(line, err);
	return r < 0 ? r : atomic_file_write(file, 0600, line, strlen(line), err);
}

int machine_save(const struct machine *m, struct error **err)
{
	AUTOFREE char *directory = machine_dir(m->name);
	return save_into(m, directory, err);
}

int machine_list(struct strv *names, struct error **err)
{
	AUTOFREE char *path = machine_list_dir();
	DIR *directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "%s", path);
	for (struct dirent *e; (e = readdir(directory));)
		if (machine_name_check(e->d_name, NULL) == 0)
			strv_add(names, e->d_name);
	closedir(directory);
	strv_sort(names);
	return 0;
}

/* ---- locks ---- */

static int take_lock(const char *name, const char *file, uint64_t deadline_ms, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	struct stat mine, there;
	int r = machine_name_check(name, err);
	if (r < 0)
		return r;
	AUTOFREE char *path = machine_file(name, file);
	AUTO_FD int fd = lock_file(path, LOCK_EXCLUSIVE, deadline_ms, &why);
	if (fd == -ENOENT || (fd >= 0 && (fstat(fd, &mine) < 0 || stat(path, &there) < 0 ||
					     mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)))
		return no_such_machine(name, err);
	if (fd == -EWOULDBLOCK)
		return error_set(err, EWOULDBLOCK, "machine \"%s\" is in use by another command", name);
	if (fd < 0)
		return error_set(err, -fd, "%s", error_text(why, fd));
	return TAKE_FD(fd);
}

/* Reads a line of the lock's file: its holder's process id, then its socket's path. Owned; NULL
 * if there is none. */
static char *lock_file_line(const char *name, int line)
{
	AUTOFREE char *path = machine_file(name, "lock"), *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	if (path_read_file(path, LOCK_FILE_MAX, &text, NULL) < 0)
		return NULL;
	strv_split(&lines, text, "\n");
	return (size_t)line < lines.count ? xstrdup(lines.items[line]) : NULL;
}

/* The process that a lock's file names, 0 where it names none. */
static pid_t named_owner(const char *name)
{
	AUTOFREE char *text = lock_file_line(name, 0);
	uint32_t pid;
	return text && parse_u32(text, &pid) == 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

int machine_lock_again(const char *name, uint64_t deadline_ms, struct error **err)
{
	AUTO_FD int fd = take_lock(name, "lock", deadline_ms, err);
	if (fd >= 0 && named_owner(name) != getpid())
		return -ESTALE;
	return TAKE_FD(fd);
}

static int write_lock_file(int fd, const char *socket)
{
	AUTOFREE char *text = xasprintf("%d\n%s%s", (int)getpid(), socket ? socket : "", socket ? "\n" : "");
	ssize_t length = (ssize_t)strlen(text);
	if (length > LOCK_FILE_MAX)
		return -ENAMETOOLONG;
	return ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)length, 0) != length ? -errno : 0;
}

static char *socket_folder(const char *name);

/* Removes the socket that a killed keeper left. A copy of a machine's folder names the original's
 * socket, which stays. */
static void remove_stale_socket(const char *name)
{
	AUTOFREE char *path = lock_file_line(name, 1), *own = socket_folder(name),
		      *directory = path ? path_parent(path) : NULL;
	if (!path || *path != '/' || !streq(path_base(path), "api") || !streq(path_base(directory), own))
		return;
	unlink(path);
	rmdir(directory);
}

int machine_lock(const char *name, uint64_t deadline_ms, struct error **err)
{
	int fd = take_lock(name, "lock", deadline_ms, err);
	if (fd < 0)
		return fd;
	remove_stale_socket(name);
	/* The holder's process id, for machine_lock_owner(): these locks belong to open file
	 * descriptions, which have none. */
	int r = write_lock_file(fd, NULL);
	if (r < 0) {
		fd_close(fd);
		return error_set_errno(err, r, "machine \"%s\"", name);
	}
	return fd;
}

int machine_lock_announce(int lock, const char *socket, struct error **err)
{
	int r = write_lock_file(lock, socket);
	return r < 0 ? error_set_errno(err, r, "cannot write down the place of the socket %s", socket) : 0;
}

char *machine_socket_find(const char *name)
{
	struct sockaddr_un address;
	if (machine_is_running(name) != 1)
		return NULL;
	AUTOFREE char *path = lock_file_line(name, 1);
	return path && *path == '/' && strlen(path) < sizeof address.sun_path ? TAKE_PTR(path) : NULL;
}

pid_t machine_lock_owner(const char *name)
{
	return machine_is_running(name) == 1 ? named_owner(name) : 0;
}

int machine_config_lock(const char *name, uint64_t deadline_ms, struct error **err)
{
	return take_lock(name, "config.lock", deadline_ms, err);
}

int machine_is_running(const char *name)
{
	AUTOFREE char *path = machine_file(name, "lock");
	return lock_is_held(path);
}

/* ---- the keeper's socket ---- */

/* FNV-1a, 64 bits: names folders of sockets; it is not a secret, and a clash is caught by the
 * machine's lock. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *at = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

/* The name of the machine's own folder among the sockets. It stands for the data folder itself,
 * because a path may be spelled in several ways. Owned. */
static char *socket_folder(const char *name)
{
	AUTOFREE char *data = path_data_dir();
	struct stat st;
	uint64_t identity[2] = { 0 }, hash = UINT64_C(0xcbf29ce484222325);
	if (stat(data, &st) == 0) {
		identity[0] = st.st_dev;
		identity[1] = st.st_ino;
	}
	hash = hash_bytes(hash_bytes(hash, identity, sizeof identity), name, strlen(name));
	return xasprintf("%016llx", (unsigned long long)hash);
}

char *machine_socket_path(const char *name, struct error **err)
{
	AUTOFREE char *runtime = NULL, *folder = socket_folder(name);
	struct sockaddr_un address;
	if (path_runtime_dir(&runtime, err) < 0)
		return NULL;
	AUTOFREE char *directory = path_join(runtime, folder), *path = path_join(directory, "api");
	if (strlen(path) >= sizeof address.sun_path) {
		error_set(err, ENAMETOOLONG, "%s: too long for a socket; set XDG_RUNTIME_DIR to a shorter path", path);
		return NULL;
	}
	if (path_mkdir_all(directory, 0700, err) < 0)
		return NULL;
	return TAKE_PTR(path);
}

/* ---- stops ---- */

int64_t machine_stops(const char *name)
{
	AUTOFREE char *path = machine_file(name, "stops");
	struct stat st;
	return stat(path, &st) < 0 ? 0 : st.st_size;
}

int machine_stops_add(const char *name, struct error **err)
{
	AUTOFREE char *path = machine_file(name, "stops");
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? no_such_machine(name, err) : error_set_errno(err, errno, "%s", path);
	if (machine_stops(name) >= STOPS_FILE_MAX && ftruncate(fd, 0) < 0)
		return error_set_errno(err, errno, "%s", path);
	return write(fd, "s", 1) != 1 ? error_set_errno(err, errno, "%s", path) : 0;
}

/* ---- creating and deleting ---- */

static void erase_and_remove(int machines, const char *path, const char *name, machine_erase *erase)
{
	AUTOFREE char *directory = path_join(path, name);
	if (!erase || erase(directory, NULL) >= 0)
		path_remove_tree(machines, name);
}

void machine_sweep(machine_erase *erase)
{
	AUTOFREE char *path = machine_list_dir();
	DIR *directory = opendir(path);
	for (struct dirent *e; directory && (e = readdir(directory));) {
		struct stat st;
		if (!startswith(e->d_name, ".new-") && !startswith(e->d_name, ".old-"))
			continue;
		AUTOFREE char *lock = xasprintf("%s/%s/config.lock", path, e->d_name);
		/* One without a lock file is just being made, unless it is old. */
		int young = fstatat(dirfd(directory), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			    time(NULL) - st.st_mtime < HALF_MADE_SECONDS;
		if (!path_exists(lock) && young)
			continue;
		AUTO_FD int fd = lock_file(lock, LOCK_EXCLUSIVE, 0, NULL);
		if (fd >= 0)
			erase_and_remove(dirfd(directory), path, e->d_name, erase);
	}
	if (directory)
		closedir(directory);
}

static char *temporary_name(const char *prefix)
{
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint64_t)getpid();
	return xasprintf("%s%016llx", prefix, (unsigned long long)random);
}

/* Opens the machines' directory, making it where it is missing. */
static int open_machines(char **ret_path, struct error **err)
{
	AUTOFREE char *path = machine_list_dir();
	int r = path_mkdir_all(path, 0700, err);
	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "%s", path);
	*ret_path = TAKE_PTR(path);
	return fd;
}

static int name_taken(const char *name, struct error **err)
{
	return error_set(err, EEXIST,
	    "there is a machine \"%s\" already; choose another name, or remove it: holm machine rm %s", name, name);
}

int machine_name_free(const char *name, struct error **err)
{
	int r = machine_name_check(name, err);
	if (r < 0)
		return r;
	AUTOFREE char *directory = machine_dir(name);
	return path_exists(directory) ? name_taken(name, err) : 0;
}

/* Makes config.lock in a new directory, locked at its first sight. Its descriptor or -errno. */
static int lock_new(const char *directory, struct error **err)
{
	AUTOFREE char *path = path_join(directory, "config.lock"), *early = path_join(directory, "config.lock.new");
	AUTO_FD int fd = lock_file(early, LOCK_EXCLUSIVE, 0, err);
	if (fd >= 0 && rename(early, path) < 0)
		return error_set_errno(err, errno, "%s", path);
	return TAKE_FD(fd);
}

int machine_create(const struct machine *m,
    int (*fill)(const struct machine *m, const char *directory, void *data, struct error **err), void *data,
    struct error **err)
{
	AUTOFREE char *path = NULL, *temporary = temporary_name(".new-");
	int r = machine_name_check(m->name, err);
	if (r < 0)
		return r;
	AUTO_FD int machines = open_machines(&path, err);
	if (machines < 0)
		return machines;
	if (faccessat(machines, m->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return name_taken(m->name, err);
	AUTOFREE char *directory = path_join(path, temporary);
	if (mkdirat(machines, temporary, 0700) < 0)
		return error_set_errno(err, errno, "%s", directory);
	AUTO_FD int lock = lock_new(directory, err);
	r = lock < 0 ? lock : 0;
	if (r == 0 && fill)
		r = fill(m, directory, data, err);
	if (r == 0)
		r = save_into(m, directory, err);
	if (r == 0 && renameat2(machines, temporary, machines, m->name, RENAME_NOREPLACE) < 0)
		r = errno == EEXIST ? name_taken(m->name, err) : error_set_errno(err, errno, "%s/%s", path, m->name);
	if (r < 0) {
		path_remove_tree(machines, temporary);
		return r;
	}
	if (fsync(machines) < 0)
		return error_set_errno(err, errno, "%s", path);
	return 0;
}

int machine_rename(const char *from, const char *to, struct error **err)
{
	AUTOFREE char *path = NULL, *current = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	int r = machine_name_check(to, err);
	if (r == 0)
		r = machine_load(from, &m, err);
	if (r < 0)
		return r;
	AUTO_FD int machines = open_machines(&path, err);
	if (machines < 0)
		return machines;
	if (renameat2(machines, from, machines, to, RENAME_NOREPLACE) < 0)
		return errno == EEXIST ? name_taken(to, err) : error_set_errno(err, errno, "%s/%s", path, from);
	free(m->name);
	m->name = xstrdup(to);
	r = machine_save(m, err);
	if (machine_default_get(&current, NULL) == 0 && streq(current, from) && r == 0)
		r = machine_default_set(to, err);
	fsync(machines);
	return r;
}

int machine_delete(const char *name, machine_erase *erase, struct error **err)
{
	AUTOFREE char *path = NULL, *temporary = temporary_name(".old-"), *current = NULL;
	AUTO_FD int machines = open_machines(&path, err);
	if (machines < 0)
		return machines;
	if (renameat2(machines, name, machines, temporary, RENAME_NOREPLACE) < 0)
		return errno == ENOENT ? no_such_machine(name, err) : error_set_errno(err, errno, "%s/%s", path, name);
	if (machine_default_get(&current, NULL) == 0 && streq(current, name))
		machine_default_set(NULL, NULL);
	AUTOFREE char *directory = path_join(path, temporary);
	int r = erase ? erase(directory, err) : 0;
	if (r < 0)
		return r;
	r = path_remove_tree(machines, temporary);
	if (r < 0)
		return error_set_errno(err, r, "%s/%s", path, temporary);
	fsync(machines);
	return 0;
}

/* ---- the default machine ---- */

static char *default_file(void)
{
	AUTOFREE char *data = path_data_dir();
	return path_join(data, "default");
}

int machine_default_get(char **ret, struct error **err)
{
	static const char none[] = "there is no default machine; name one, set one (holm machine set-default NAME), or "
				   "make one (holm machine create IMAGE)";
	AUTOFREE char *file = default_file(), *text = NULL;
	int r = path_read_file(file, DEFAULT_FILE_MAX, &text, NULL);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "%s", none);
	if (r < 0)
		return error_set_errno(err, r, "%s", file);
	text[strcspn(text, "\n")] = 0;
	if (machine_name_check(text, NULL) < 0)
		return error_set(err, ENOENT, "%s", none);
	*ret = TAKE_PTR(text);
	return 0;
}

int machine_default_set(const char *name, struct error **err)
{
	AUTOFREE char *file = default_file(), *line = xasprintf("%s\n", name ? name : ""),
		      *directory = path_parent(file);
	if (!name)
		return unlink(file) < 0 && errno != ENOENT ? error_set_errno(err, errno, "%s", file) : 0;
	int r = path_mkdir_all(directory, 0700, err);
	return r < 0 ? r : atomic_file_write(file, 0600, line, strlen(line), err);
}
