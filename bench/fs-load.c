/* SPDX-License-Identifier: Apache-2.0
 * Loads a file system and times it: one static program for the host, for a machine's own disk and
 * for shared directories of any kind.
 *
 *   fs-load [-c] [-m MIB] [-n OPERATIONS] [-f FILES] DIR ROW...
 *
 * Carries out the rows, in the order given, in DIR/load, and prints a line each: `ROW SECONDS
 * COUNT`. COUNT is how many MiB, operations or files were gone through. Later rows work on what
 * earlier ones made; `clean` removes everything. A failure ends it with status 1.
 *   -c   as root: before a cold row, outside of its time, everything is synced and this kernel's
 *        caches (pages, names, attributes) are dropped
 *   -m   MiB of the one big file (64)
 *   -n   random reads and writes (2000)
 *   -f   small files (1000): 2 KiB each, 256 in a folder */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, PAGE = 4096, SMALL = 2048, IN_FOLDER = 256, IN_PACKAGE = 12, DEEP = 4, SETTLE_US = 300000 };

static long mib = 64, operations = 2000, files = 1000;
static int make_cold;
static char block[BLOCK];

static void die(const char *what)
{
	fprintf(stderr, "fs-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Always the same sequence: every side meets the same offsets. */
static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252ULL;
	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* Only what is clean can be dropped. A shared directory's server is told of what was forgotten;
 * that is not part of the row either. */
static void drop_caches(void)
{
	sync();
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "3", 1) != 1)
		die("/proc/sys/vm/drop_caches");
	close(fd);
	usleep(SETTLE_US);
}

/* --- one big file --- */

static int open_big(int flags)
{
	int fd = open("big", flags | O_CLOEXEC, 0600);
	if (fd < 0)
		die("big");
	return fd;
}

static void close_synced(int fd)
{
	if (fsync(fd) < 0 || close(fd) < 0)
		die("big");
}

static long row_write(void)
{
	int fd = open_big(O_WRONLY | O_CREAT | O_TRUNC);
	for (long n = 0; n < mib; n++)
		if (write(fd, block, BLOCK) != BLOCK)
			die("writing");
	close_synced(fd);
	return mib;
}

static long row_read(void)
{
	int fd = open_big(O_RDONLY);
	for (long n = 0; n < mib; n++)
		if (read(fd, block, BLOCK) != BLOCK)
			die("reading");
	close(fd);
	return mib;
}

static off_t random_page(void)
{
	return (off_t)(next_random() % ((uint64_t)mib * (BLOCK / PAGE))) * PAGE;
}

static long row_random_read(void)
{
	int fd = open_big(O_RDONLY);
	for (long n = 0; n < operations; n++)
		if (pread(fd, block, PAGE, random_page()) != PAGE)
			die("reading");
	close(fd);
	return operations;
}

static long row_random_write(void)
{
	int fd = open_big(O_WRONLY);
	for (long n = 0; n < operations; n++)
		if (pwrite(fd, block, PAGE, random_page()) != PAGE)
			die("writing");
	close_synced(fd);
	return operations;
}

/* --- many small files --- */

static const char *file_name(long n)
{
	static char name[64];
	snprintf(name, sizeof name, "small/%ld/file-%ld", n / IN_FOLDER, n);
	return name;
}

static const char *folder_name(long n)
{
	static char name[64];
	snprintf(name, sizeof name, "small/%ld", n);
	return name;
}

static long folders(void)
{
	return (files + IN_FOLDER - 1) / IN_FOLDER;
}

static long row_create(void)
{
	if (mkdir("small", 0700) < 0)
		die("small");
	for (long n = 0; n < files; n++) {
		if (n % IN_FOLDER == 0 && mkdir(folder_name(n / IN_FOLDER), 0700) < 0)
			die("making a folder");
		int fd = open(file_name(n), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, block, SMALL) != SMALL || close(fd) < 0)
			die("making a file");
	}
	return files;
}

static long row_open_read(void)
{
	for (long n = 0; n < files; n++) {
		int fd = open(file_name(n), O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, block, PAGE) != SMALL || close(fd) < 0)
			die("reading a file");
	}
	return files;
}

static long row_stat(void)
{
	struct stat st;
	for (long n = 0; n < files; n++)
		if (lstat(file_name(n), &st) < 0)
			die("a file");
	return files;
}

/* As find(1), ls -l and git status go through folders. */
static long row_list(void)
{
	long seen = 0;
	for (long n = 0; n < folders(); n++) {
		struct stat st;
		DIR *d = opendir(folder_name(n));
		if (!d)
			die("a folder");
		for (struct dirent *e; (e = readdir(d));)
			if (e->d_name[0] != '.') {
				if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
					die("a file of a folder");
				seen++;
			}
		closedir(d);
	}
	if (seen != files) {
		errno = ENOENT;
		die("files in the folders");
	}
	return seen;
}

static long row_rename(void)
{
	for (long n = 0; n < files; n++)
		if (rename(file_name(n), "small/renamed") < 0 || rename("small/renamed", file_name(n)) < 0)
			die("renaming a file");
	return files;
}

static long row_unlink(void)
{
	for (long n = 0; n < files; n++)
		if (unlink(file_name(n)) < 0)
			die("removing a file");
	for (long n = 0; n < folders(); n++)
		if (rmdir(folder_name(n)) < 0)
			die("removing a folder");
	if (rmdir("small") < 0)
		die("small");
	return files;
}

/* --- a tree as npm install leaves it: packages in packages, a dozen files each, in folders of two
 * kinds --- */

static void make_folder(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die(path);
}

/* The folder of a package: three of four lie in the node_modules of the one before. */
static const char *package_name(long n)
{
	static char path[256];
	int size = snprintf(path, sizeof path, "packages/node_modules");
	make_folder(path);
	for (long at = n / DEEP * DEEP; at <= n; at++) {
		size += snprintf(path + size, sizeof path - (size_t)size, "%s/package-%ld",
		    at % DEEP ? "/node_modules" : "", at);
		if (at < n) {
			char inner[300];
			snprintf(inner, sizeof inner, "%s/node_modules", path);
			make_folder(inner);
		}
	}
	make_folder(path);
	return path;
}

static void make_package_file(const char *package, long n)
{
	static const char *const names[IN_PACKAGE] = { "package.json", "README.md", "LICENSE", "index.js", "lib/a.js",
		"lib/b.js", "lib/c.js", "lib/d.js", "dist/a.js", "dist/b.js", "dist/a.d.ts", "dist/b.d.ts" };
	struct timespec times[2] = { { .tv_sec = 499162500 }, { .tv_sec = 499162500 } };
	char path[300];
	size_t size = 200 + next_random() % 8000;
	snprintf(path, sizeof path, "%s/%s", package, names[n]);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, block + next_random() % PAGE, size) != (ssize_t)size || futimens(fd, times) < 0 ||
	    close(fd) < 0)
		die(path);
}

static long row_packages(void)
{
	make_folder("packages");
	for (long n = 0; n < files; n++) {
		static char package[256];
		if (n % IN_PACKAGE == 0) {
			char inner[300];
			snprintf(package, sizeof package, "%s", package_name(n / IN_PACKAGE));
			snprintf(inner, sizeof inner, "%s/lib", package);
			make_folder(inner);
			snprintf(inner, sizeof inner, "%s/dist", package);
			make_folder(inner);
		}
		make_package_file(package, n % IN_PACKAGE);
	}
	return files;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	if (access(path, F_OK) == 0 && nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		die(path);
}

static long row_remove_packages(void)
{
	remove_tree("packages");
	return files;
}

static long row_clean(void)
{
	if (unlink("big") < 0 && errno != ENOENT)
		die("big");
	remove_tree("small");
	remove_tree("packages");
	return 0;
}

static const struct row {
	const char *name;
	int cold;
	long (*run)(void);
	int passes; /* each cold; 0: one */
} rows[] = {
	{ "write", 1, row_write },
	{ "read", 1, row_read },
	{ "reread", 0, row_read },
	{ "random-read", 1, row_random_read },
	{ "random-write", 1, row_random_write },
	{ "create", 1, row_create },
	{ "open-read", 1, row_open_read },
	{ "stat", 1, row_stat },
	{ "restat", 0, row_stat },
	{ "list", 1, row_list, 5 }, /* one takes too little time */
	{ "rename", 1, row_rename },
	{ "unlink", 1, row_unlink },
	{ "packages", 1, row_packages },
	{ "remove-packages", 1, row_remove_packages },
	{ "clean", 0, row_clean },
};

enum { ROWS = sizeof rows / sizeof *rows };

static const struct row *find_row(const char *name)
{
	for (size_t n = 0; n < ROWS; n++)
		if (strcmp(rows[n].name, name) == 0)
			return &rows[n];
	errno = EINVAL;
	die(name);
	return NULL;
}

static void run_row(const struct row *row)
{
	double time = 0;
	long count = 0;
	for (int pass = 0; pass < (row->passes ? row->passes : 1); pass++) {
		if (make_cold && row->cold)
			drop_caches();
		double begin = now();
		count += row->run();
		time += now() - begin;
	}
	printf("%s %.6f %ld\n", row->name, time, count);
	fflush(stdout);
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);
	if (*end || n < 1 || n > 1000000) {
		errno = EINVAL;
		die(text);
	}
	return n;
}

int main(int argc, char **argv)
{
	for (int option; (option = getopt(argc, argv, "cm:n:f:")) != -1;)
		switch (option) {
		case 'c':
			make_cold = 1;
			break;
		case 'm':
			mib = number(optarg);
			break;
		case 'n':
			operations = number(optarg);
			break;
		case 'f':
			files = number(optarg);
			break;
		default:
			return 2;
		}
	if (argc - optind < 2)
		return 2;
	for (int n = optind + 1; n < argc; n++)
		find_row(argv[n]);
	for (size_t n = 0; n < sizeof block; n += sizeof(uint64_t)) {
		uint64_t x = next_random();
		memcpy(block + n, &x, sizeof x);
	}
	if (chdir(argv[optind]) < 0 || (mkdir("load", 0700) < 0 && errno != EEXIST) || chdir("load") < 0)
		die(argv[optind]);
	for (int n = optind + 1; n < argc; n++)
		run_row(find_row(argv[n]));
	return 0;
}
