/* SPDX-License-Identifier: Apache-2.0
 * Prints what inotify(7) tells about directories and files, one event a line: names of bits, path,
 * size (test/system/events.bats and bench/rows/share-events.bash; static, so that it runs in any
 * image):
 *
 *   watcher PATH...
 *
 * Says "ready" first; ends when something named "enough" is made in one of them, or after five
 * minutes. Who only reads is not told. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATHS_MAX = 64, SECONDS_MAX = 300 };

static const struct {
	uint32_t bit;
	const char *name;
} bits[] = {
	{ IN_CREATE, "CREATE" },
	{ IN_MODIFY, "MODIFY" },
	{ IN_ATTRIB, "ATTRIB" },
	{ IN_CLOSE_WRITE, "CLOSE_WRITE" },
	{ IN_MOVED_FROM, "MOVED_FROM" },
	{ IN_MOVED_TO, "MOVED_TO" },
	{ IN_DELETE, "DELETE" },
	{ IN_DELETE_SELF, "DELETE_SELF" },
	{ IN_MOVE_SELF, "MOVE_SELF" },
	{ IN_Q_OVERFLOW, "OVERFLOW" },
	{ IN_IGNORED, "IGNORED" },
	{ IN_ISDIR, "DIR" },
};

/* Whether it was the one that ends the program. */
static int print(const struct inotify_event *e, const char *watched)
{
	char path[PATH_MAX];
	struct stat st;
	const char *name = e->len ? e->name : "";
	int is_known = snprintf(path, sizeof path, "%s%s%s", watched, *name ? "/" : "", name) < (int)sizeof path &&
		       lstat(path, &st) == 0;
	for (size_t i = 0, n = 0; i < sizeof bits / sizeof *bits; i++)
		if (e->mask & bits[i].bit)
			printf("%s%s", n++ ? "," : "", bits[i].name);
	printf(" %s %lld\n", path, is_known ? (long long)st.st_size : -1LL);
	return strcmp(name, "enough") == 0;
}

int main(int argc, char **argv)
{
	_Alignas(struct inotify_event) char data[64 * 1024];
	const char *paths[PATHS_MAX + 1] = { NULL };
	int fd = inotify_init1(IN_CLOEXEC);
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(SECONDS_MAX);
	for (int i = 1; i < argc && i <= PATHS_MAX; i++) {
		int wd =
		    inotify_add_watch(fd, argv[i], IN_ALL_EVENTS & ~(uint32_t)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE));
		if (wd < 0 || wd > PATHS_MAX) {
			perror(argv[i]);
			return 2;
		}
		paths[wd] = argv[i];
	}
	puts("ready");
	for (ssize_t n; (n = read(fd, data, sizeof data)) > 0;)
		for (char *at = data; at < data + n;) {
			const struct inotify_event *e = (const void *)at;
			if (print(e, e->wd > 0 ? paths[e->wd] : ""))
				return 0;
			at += sizeof *e + e->len;
		}
	return 1;
}
