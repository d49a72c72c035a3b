/* SPDX-License-Identifier: Apache-2.0
 * fs-check DIR [GROUP]...: performs what programs do with files, in a new folder of DIR for each
 * group, and prints what it saw (test/system/complete.bats compares that between a share inside and
 * the same file system on the host). Static, so that it runs in any image: cc -static -o fs-check
 * fs-check/[a-z]*.c */
#include "check.h"

#include <stdarg.h>
#include <sys/wait.h>

static const struct {
	const char *name;
	group_function *run;
} groups[] = {
	{ "open", open_group },
	{ "special", special_group },
	{ "access", access_group },
	{ "names", names_group },
	{ "long-names", long_names_group },
	{ "owners", owners_group },
	{ "permissions", permissions_group },
	{ "data", data_group },
	{ "append", append_group },
	{ "truncate", truncate_group },
	{ "large", large_group },
	{ "direct", direct_group },
	{ "sync", sync_group },
	{ "mmap", mmap_group },
	{ "exec", exec_group },
	{ "links", links_group },
	{ "directories", directories_group },
	{ "rename", rename_group },
	{ "removed", removed_group },
	{ "reading", reading_group },
	{ "big", big_group },
	{ "tmpfile", tmpfile_group },
	{ "times", times_group },
	{ "xattrs", xattrs_group },
	{ "statfs", statfs_group },
	{ "fcntl", fcntl_group },
	{ "flock", flock_group },
	{ "fallocate", fallocate_group },
	{ "holes", holes_group },
	{ "copy", copy_group },
	{ "pipes", pipes_group },
};
static const char *group;

void note(const char *check, const char *format, ...)
{
	va_list arguments;
	printf("%s.%s: ", group, check);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

const char *outcome(int works)
{
	return works ? "ok" : strerrorname_np(errno);
}

long see(const char *check, long result)
{
	if (result == -1)
		note(check, "%s", outcome(0));
	else
		note(check, "%ld", result);
	return result;
}

int see_ok(const char *check, int works)
{
	note(check, "%s", outcome(works));
	return works;
}

int see_fd(const char *check, int fd)
{
	see_ok(check, fd >= 0);
	return fd;
}

void see_and_close(const char *check, int fd)
{
	if (see_fd(check, fd) >= 0)
		close(fd);
}

static void show(const char *check, const struct stat *st)
{
	static const char types[] = "?pc?d?b?-?l?s???";
	if (S_ISDIR(st->st_mode)) /* a directory's size is the file system's business */
		note(check, "d%04o links %lu", st->st_mode & 07777, (unsigned long)st->st_nlink);
	else
		note(check, "%c%04o links %lu size %lld", types[st->st_mode >> 12], st->st_mode & 07777,
		    (unsigned long)st->st_nlink, (long long)st->st_size);
}

void see_file(const char *check, const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		note(check, "%s", outcome(0));
	else
		show(check, &st);
}

void see_stat(const char *check, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		note(check, "%s", outcome(0));
	else
		show(check, &st);
}

uint32_t checksum(uint32_t before, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t sum = before ^ 2166136261U;
	for (size_t n = 0; n < size; n++)
		sum = (sum ^ p[n]) * 16777619U;
	return sum;
}

void see_content(const char *check, const char *path)
{
	static char buffer[MIB];
	uint32_t sum = 0;
	long long size = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		note(check, "%s", outcome(0));
		return;
	}
	while ((n = read(fd, buffer, sizeof buffer)) > 0) {
		sum = checksum(sum, buffer, (size_t)n);
		size += n;
	}
	if (n < 0)
		note(check, "%s", outcome(0));
	else
		note(check, "%lld bytes, sum %08x", size, sum);
	close(fd);
}

int must(const char *what, int result)
{
	if (result < 0) {
		printf("%s: cannot go on: %s: %s\n", group, what, strerrorname_np(errno));
		exit(1);
	}
	return result;
}

int open_new(const char *path, int flags)
{
	return must(path, open(path, O_CREAT | O_TRUNC | flags, 0644));
}

void make(const char *path, const char *text)
{
	int fd = open_new(path, O_WRONLY);
	must(path, write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1);
	close(fd);
}

void fill(int fd, off_t offset, size_t size, unsigned seed)
{
	static unsigned char buffer[MIB];
	for (size_t done = 0, part; done < size; done += part) {
		part = size - done < sizeof buffer ? size - done : sizeof buffer;
		for (size_t n = 0; n < part; n++)
			buffer[n] = (unsigned char)((seed = seed * 1103515245U + 12345U) >> 16);
		must("write", pwrite(fd, buffer, part, offset + (off_t)done) == (ssize_t)part ? 0 : -1);
	}
}

int in_child(int (*run)(void *data), void *data)
{
	int status;
	fflush(stdout);
	pid_t pid = must("fork", fork());
	if (pid == 0) {
		int result = run(data);
		fflush(stdout);
		_exit(result);
	}
	must("waitpid", waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int wanted(const char *name, char **words)
{
	if (!*words)
		return 1;
	for (; *words; words++)
		if (strcmp(*words, name) == 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	group = "start";
	if (argc < 2) {
		fprintf(stderr, "usage: fs-check DIR [GROUP]...\n");
		return 2;
	}
	umask(022);
	int top = must(argv[1], open(argv[1], O_RDONLY | O_DIRECTORY));
	for (size_t n = 0; n < sizeof groups / sizeof *groups; n++) {
		if (!wanted(groups[n].name, argv + 2))
			continue;
		group = groups[n].name;
		must("mkdir", mkdirat(top, group, 0755));
		int fd = must("open", openat(top, group, O_RDONLY | O_DIRECTORY));
		must("chdir", fchdir(fd));
		close(fd);
		groups[n].run();
		must("chdir", fchdir(top));
	}
	return 0;
}
