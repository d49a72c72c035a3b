/* SPDX-License-Identifier: Apache-2.0
 * See own_folders.h.
 *
 * Problem. The agent mounts the machine's own folders on places in the shared home, so each place
 * must be a directory there. A home has few of them, and a start may leave nothing in it.
 *
 * Idea. The keeper makes the directories that are missing, as the user, and removes them when the
 * machine has ended. A record says that holm made a directory: a file in DATA/home-places whose
 * name is the directory's path. Each keeper with a place on or below that
 * directory holds a shared lock on the record. A keeper that ends removes the directory if it can
 * lock the record exclusively. A keeper that was killed leaves its records, and the next one with
 * the same place takes over.
 *
 * The machine can write to the home: the way goes by descriptors, beneath the home and without
 * symbolic links. rmdir(2) removes empty directories only, so what anybody has put there stays.
 *
 * Failures. A place that cannot be a directory (a read-only home without it, a symbolic link, a
 * file) stays shared, and a warning names it. */
#include "keeper/shares/own_folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/path.h"

enum { LOCK_MS = 5000, TOLD_MAX = 256 * 1024 };

/* A directory that holm made, and the lock that says that this machine needs it. */
struct made {
	struct made *next; /* the one that was made before, which may hold this one */
	char *path;        /* relative to the home */
	char *record;
	int lock;
};

struct own_folders {
	int home;
	struct made *made;
};

/* ---- records ---- */

static char *records_folder(void)
{
	AUTOFREE char *data = path_data_dir();
	return path_join(data, "home-places");
}

static int lock_records(struct error **err)
{
	AUTOFREE char *folder = records_folder(), *lock = path_join(folder, "lock");
	int r = path_mkdir_all(folder, 0700, err);
	return r < 0 ? r : lock_file(lock, LOCK_EXCLUSIVE, clock_deadline(LOCK_MS), err);
}

static char *record_of(const char *host, const char *path)
{
	AUTOFREE char *folder = records_folder(), *whole = path_join(host, path);
	AUTOFREE char *name = path_flatten(whole);
	return path_join(folder, name);
}

/* Takes the record of a directory, whose file is there, for this machine. 0 or -errno. */
static int hold_record(struct own_folders *p, const char *path, char *record)
{
	AUTOFREE char *owned = record;
	int lock = lock_file(record, LOCK_SHARED, clock_deadline(LOCK_MS), NULL);
	if (lock < 0)
		return lock;
	struct made *made = xnew(struct made);
	*made = (struct made){ .next = p->made, .path = xstrdup(path), .record = TAKE_PTR(owned), .lock = lock };
	p->made = made;
	return 0;
}

static int has_record(const struct own_folders *p, const char *path)
{
	for (const struct made *m = p->made; m; m = m->next)
		if (streq(m->path, path))
			return 1;
	return 0;
}

/* ---- making ---- */

/* Makes the directory `name` in `parent`; path: the same from the home on. The record comes first:
 * a directory without one stays for ever. 0 or -errno. */
static int make_directory(struct own_folders *p, const char *host, int parent, const char *name, const char *path)
{
	AUTOFREE char *record = record_of(host, path);
	AUTO_FD int fd = open(record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (mkdirat(parent, name, 0700) < 0) {
		int r = -errno;
		unlink(record);
		return r;
	}
	return hold_record(p, path, TAKE_PTR(record));
}

/* Opens one directory on the way to a place, and makes it if it is missing. Descriptor or -errno.
 */
static int step_down(struct own_folders *p, const char *host, int parent, const char *name, const char *path,
    int may_make)
{
	int fd = path_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
	AUTOFREE char *record = record_of(host, path);
	if (fd >= 0 && !has_record(p, path) && path_exists(record))
		hold_record(p, path, TAKE_PTR(record)); /* made by holm, for another machine or before a crash */
	if (fd != -ENOENT)
		return fd;
	int r = may_make ? make_directory(p, host, parent, name, path) : -EROFS;
	return r < 0 ? r : path_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Opens the place, and makes what is missing of it. Descriptor or -errno. */
static int open_place(struct own_folders *p, const char *host, const char *place, int may_make)
{
	AUTOFREE char *path = xstrdup(place);
	AUTO_FD int at = openat(p->home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (char *name = path, *slash; at >= 0 && name; name = slash ? slash + 1 : NULL) {
		slash = strchr(name, '/');
		if (slash)
			*slash = '\0';
		int next = step_down(p, host, at, name, path, may_make);
		fd_close(at);
		at = next;
		if (slash)
			*slash = '/';
	}
	return at < 0 ? at : TAKE_FD(at);
}

static int is_empty(int directory)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), empty = 1;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		fd_close(copy);
	for (struct dirent *e; d && empty && (e = readdir(d));)
		empty = streq(e->d_name, ".") || streq(e->d_name, "..");
	if (d)
		closedir(d);
	return empty;
}

/* ---- telling ---- */

/* Warnings: those of earlier starts are lines of a file of the machine. */
struct told {
	char *path;
	struct strv before, now;
	struct strv shared, hidden; /* for people */
};

static void told_done(struct told *t)
{
	free(t->path);
	strv_done(&t->before);
	strv_done(&t->now);
	strv_done(&t->shared);
	strv_done(&t->hidden);
}

static void told_read(struct told *t, const char *machine)
{
	AUTOFREE char *text = NULL;
	t->path = machine_file(machine, "home-private");
	if (path_read_file(t->path, TOLD_MAX, &text, NULL) >= 0)
		strv_split(&t->before, text, "\n");
}

/* Notes a line for this start; 1 if no start before has told it. */
static int is_news(struct told *t, char *line)
{
	strv_take(&t->now, line);
	return !strv_contains(&t->before, line);
}

static const char *reason(int code)
{
	return code == -EROFS ? "the home is read-only and does not have it" :
	       code == -ELOOP ? "a symbolic link is in the way" :
				strerror(-code);
}

static void note_failure(struct told *t, const char *place, int code)
{
	if (is_news(t, xasprintf("shared %s %d", place, -code)))
		strv_addf(&t->shared, "%s (%s)", place, reason(code));
}

static void note_hidden(struct told *t, const char *place)
{
	if (is_news(t, xasprintf("hidden %s", place)))
		strv_add(&t->hidden, place);
}

/* Tells what is new, and keeps what holds now. */
static void tell(struct keeper *k, struct told *t)
{
	AUTOFREE char *shared = strv_join(&t->shared, ", "), *hidden = strv_join(&t->hidden, ", "),
		      *lines = strv_join(&t->now, "\n");
	AUTOFREE char *one = xasprintf("home-private: left shared: %s", shared);
	AUTOFREE char *two =
	    xasprintf("home-private: the machine has its own %s; what your home has there stays on the host", hidden);
	if (t->shared.count)
		keeper_tell_warning(k, one);
	if (t->hidden.count)
		keeper_tell_warning(k, two);
	AUTO_FD int fd = t->now.count || t->before.count ?
			     open(t->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) :
			     -1;
	if (fd >= 0 && fd_write_full(fd, lines, strlen(lines)) < 0)
		log_warning("cannot write %s", t->path);
}

/* ---- from outside ---- */

static void prepare(struct keeper *k, struct keeper_share *s, struct own_folders *p, struct told *t)
{
	AUTO_STRV struct strv places = { 0 };
	machine_home_private(k->machine, &places);
	for (size_t i = 0; i < places.count; i++) {
		const char *place = places.items[i];
		AUTO_FD int fd = open_place(p, s->host, place, !s->read_only);
		if (fd < 0) {
			note_failure(t, place, fd);
			continue;
		}
		if (!is_empty(fd))
			note_hidden(t, place);
		strv_add(&s->private, place);
	}
}

void own_folders_prepare(struct keeper *k, struct keeper_share *s)
{
	AUTO_ERROR struct error *err = NULL;
	CLEANUP(told_done) struct told told = { 0 };
	AUTO_FD int lock = lock_records(&err);
	int home = open(s->host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || home < 0) {
		log_warning("home-private: %s", lock < 0 ? error_text(err, lock) : strerror(errno));
		fd_close(home);
		return;
	}
	struct own_folders *p = xnew(struct own_folders);
	*p = (struct own_folders){ .home = home };
	told_read(&told, k->machine->name);
	prepare(k, s, p, &told);
	tell(k, &told);
	k->own_folders = p;
}

/* Removes the directory if no other machine needs it, and its record with it. */
static void give_back(const struct own_folders *p, struct made *m)
{
	fd_close(TAKE_FD(m->lock));
	AUTO_FD int alone = lock_file(m->record, LOCK_EXCLUSIVE, 0, NULL);
	if (alone >= 0) {
		AUTOFREE char *above = path_parent(m->path);
		AUTO_FD int parent = path_open_beneath(p->home, above, O_RDONLY | O_DIRECTORY, 0);
		if (parent >= 0)
			unlinkat(parent, path_base(m->path), AT_REMOVEDIR);
		unlink(m->record);
	}
	free(m->path);
	free(m->record);
	free(m);
}

void own_folders_done(struct own_folders *p)
{
	if (!p)
		return;
	/* Without the lock the records stay, and the next machine gives back. */
	AUTO_FD int lock = lock_records(NULL);
	for (struct made *m = p->made, *next; m; m = next) {
		next = m->next;
		if (lock >= 0) {
			give_back(p, m);
			continue;
		}
		fd_close(m->lock);
		free(m->path);
		free(m->record);
		free(m);
	}
	fd_close(p->home);
	free(p);
}
