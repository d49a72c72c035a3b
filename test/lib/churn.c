/* SPDX-License-Identifier: Apache-2.0
 * churn DIR PREFIX SEED COUNT: makes, fills, moves, lists and removes names that start with PREFIX
 * in a few folders of DIR, and compares what is there with what should be. Several may work in one
 * DIR, on one side of a share or on both, each with a prefix of its own. At the first difference it
 * says so and ends with 1. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"

enum { NAMES = 60, FOLDERS = 3 };
enum kind { NOTHING, A_FILE, A_FOLDER, A_LINK };

static struct name {
	enum kind kind;
	unsigned content;
} names[FOLDERS][NAMES];
static const char *prefix;
static unsigned long operation, seed;

static void fail(const char *what, const char *name)
{
	printf("churn: prefix %s, seed %lu, operation %lu: %s %s (%s)\n", prefix, seed, operation, what, name,
	    strerror(errno));
	exit(1);
}

static const char *path_of(int folder, int n)
{
	static char paths[2][64];
	static int which;
	char *path = paths[which ^= 1];
	snprintf(path, sizeof *paths, "d%d/%s-%d", folder, prefix, n);
	return path;
}

static void write_file(const char *path, unsigned content, int flags)
{
	char text[32];
	int fd = open(path, O_WRONLY | flags, 0644), n = snprintf(text, sizeof text, "%s %u", prefix, content);
	if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0)
		fail("write", path);
}

/* That the name stands for what it should. */
static void check(int folder, int n)
{
	const struct name *m = &names[folder][n];
	const char *path = path_of(folder, n);
	char text[32] = "", wanted[32];
	struct stat st;
	errno = 0;
	int r = lstat(path, &st);
	enum kind kind = r < 0 ? NOTHING : S_ISREG(st.st_mode) ? A_FILE : S_ISDIR(st.st_mode) ? A_FOLDER : A_LINK;
	if (kind != m->kind)
		fail("is another kind of thing:", path);
	if (kind == A_LINK && (readlink(path, text, sizeof text - 1) < 0 || strtoul(text, NULL, 10) != m->content))
		fail("leads elsewhere:", path);
	if (kind != A_FILE)
		return;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || close(fd) < 0)
		fail("read", path);
	snprintf(wanted, sizeof wanted, "%s %u", prefix, m->content);
	if (strcmp(text, wanted) != 0)
		fail(text, path);
}

static void make(int folder, int n)
{
	struct name *m = &names[folder][n];
	const char *path = path_of(folder, n);
	char target[16];
	m->kind = A_FILE + (enum kind)number(3);
	m->content = number(1000000);
	snprintf(target, sizeof target, "%u", m->content);
	if (m->kind == A_FILE)
		write_file(path, m->content, O_CREAT | O_EXCL);
	else if ((m->kind == A_FOLDER ? mkdir(path, 0755) : symlink(target, path)) < 0)
		fail("make", path);
}

static void change(int folder, int n)
{
	struct name *m = &names[folder][n];
	const char *path = path_of(folder, n);
	if (m->kind == A_FILE && number(2)) {
		m->content = number(1000000);
		write_file(path, m->content, O_TRUNC);
		return;
	}
	if ((m->kind == A_FOLDER ? rmdir(path) : unlink(path)) < 0)
		fail("remove", path);
	m->kind = NOTHING;
}

/* To another name, over what is there. */
static void move(int folder, int n)
{
	int to_folder = (int)number(FOLDERS), to = (int)number(NAMES);
	struct name *from = &names[folder][n], *target = &names[to_folder][to];
	if (from == target || (target->kind != NOTHING && (from->kind == A_FOLDER) != (target->kind == A_FOLDER)))
		return;
	const char *path = path_of(folder, n);
	if (rename(path, path_of(to_folder, to)) < 0)
		fail("move", path);
	*target = *from;
	from->kind = NOTHING;
	check(to_folder, to);
}

static void list(int folder)
{
	int seen[NAMES] = { 0 };
	size_t length = strlen(prefix);
	char path[16];
	snprintf(path, sizeof path, "d%d", folder);
	DIR *d = opendir(path);
	if (!d)
		fail("open", path);
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, prefix, length) != 0 || e->d_name[length] != '-')
			continue;
		char *end;
		unsigned long n = strtoul(e->d_name + length + 1, &end, 10);
		if (*end || n >= NAMES)
			fail("a name that nobody made:", e->d_name);
		seen[n]++;
	}
	closedir(d);
	errno = 0;
	for (int n = 0; n < NAMES; n++)
		if (seen[n] != (names[folder][n].kind != NOTHING))
			fail(seen[n] ? "is listed:" : "is not listed:", path_of(folder, n));
}

int main(int argc, char **argv)
{
	if (argc != 5 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: churn DIR PREFIX SEED COUNT\n");
		return 2;
	}
	prefix = argv[2];
	seed = strtoul(argv[3], NULL, 10);
	seed_random(seed);
	unsigned long count = strtoul(argv[4], NULL, 10);
	for (int n = 0; n < FOLDERS; n++) {
		char path[16];
		snprintf(path, sizeof path, "d%d", n);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			fail("make", path);
	}
	for (operation = 0; operation < count; operation++) {
		int folder = (int)number(FOLDERS), n = (int)number(NAMES);
		check(folder, n);
		if (operation % 25 == 0)
			list(folder);
		if (names[folder][n].kind == NOTHING)
			make(folder, n);
		else if (number(2))
			change(folder, n);
		else
			move(folder, n);
		check(folder, n);
	}
	for (int folder = 0; folder < FOLDERS; folder++)
		list(folder);
	printf("churn: prefix %s, seed %lu, %lu operations: as expected\n", prefix, seed, count);
	return 0;
}
