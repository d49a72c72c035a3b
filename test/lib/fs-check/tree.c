/* SPDX-License-Identifier: Apache-2.0
 * Names: links, directories, moving and removing them. */
#include "check.h"

#include <dirent.h>
#include <limits.h>

void links_group(void)
{
	static char target[PATH_MAX + 8];
	char back[PATH_MAX + 8];
	make("file", "linked");
	see("link", link("file", "second"));
	see_file("link-is", "second");
	see("link-again", link("file", "second"));
	see("link-missing", link("none", "third"));
	must("mkdir", mkdir("dir", 0755));
	see("link-directory", link("dir", "dir2"));
	see("link-into", link("file", "dir/third"));
	make("second", "changed");
	see_content("other-name", "file");
	see("unlink-one", unlink("file"));
	see_file("left", "second");
	see("symlink", symlink("second", "symlink"));
	see_file("symlink-is", "symlink");
	see_content("symlink-content", "symlink");
	see("symlink-exists", symlink("x", "symlink"));
	see("symlink-empty", symlink("", "empty"));
	see("readlink", readlink("symlink", back, sizeof back));
	see("readlink-short", readlink("symlink", back, 3));
	see("readlink-file", readlink("second", back, sizeof back));
	memset(target, 't', sizeof target);
	target[4095] = 0;
	see("symlink-4095", symlink(target, "long"));
	ssize_t n = readlink("long", back, sizeof back);
	note("symlink-4095-is", "%zd %s", n, n == 4095 && memcmp(back, target, 4095) == 0 ? "same" : "another");
	target[4095] = 't';
	target[4096] = 0;
	see("symlink-4096", symlink(target, "longer"));
	see("link-symlink", link("symlink", "symlink2"));
	see_file("link-symlink-is", "symlink2");
	see("link-followed", linkat(AT_FDCWD, "symlink", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	see_file("link-followed-is", "followed");
	must("symlink", symlink("dir", "dirlink"));
	see_content("through-directory", "dirlink/third");
	see("rmdir-symlink", rmdir("dirlink"));
	see("unlink-symlink", unlink("dirlink"));
	int many = 0;
	char name[16];
	for (; many < 200; many++) {
		snprintf(name, sizeof name, "many%d", many);
		if (link("second", name) < 0)
			break;
	}
	see_file("many", "second");
}

void directories_group(void)
{
	char cwd[PATH_MAX];
	see("mkdir", mkdir("dir", 0777));
	see_file("is", "dir");
	see("again", mkdir("dir", 0777));
	see("below-missing", mkdir("none/dir", 0777));
	see("mkdir-slash", mkdir("slash/", 0700));
	see("sub", mkdir("dir/sub", 0700));
	see_file("links", "dir");
	make("dir/file", "x");
	see("not-empty", rmdir("dir"));
	see("rmdir-file", rmdir("dir/file"));
	see("unlink-directory", unlink("dir/sub"));
	see("rmdir-missing", rmdir("dir/none"));
	see("rmdir-dot", rmdir("dir/."));
	see("rmdir-dot-dot", rmdir("dir/sub/.."));
	see("rmdir-sub", rmdir("dir/sub"));
	see_file("links-after", "dir");
	int fd = must("open", open("dir", O_RDONLY | O_DIRECTORY));
	see("unlink-file", unlink("dir/file"));
	see("rmdir", rmdir("dir"));
	see_stat("removed-is", fd);
	see_and_close("create-in-removed", openat(fd, "new", O_CREAT | O_WRONLY, 0644));
	see("mkdir-in-removed", mkdirat(fd, "new", 0755));
	must("chdir", chdir("slash"));
	must("rmdir", rmdir("../slash"));
	see_ok("getcwd-removed", getcwd(cwd, sizeof cwd) != NULL);
	see_and_close("create-in-removed-cwd", open("new", O_CREAT | O_WRONLY, 0644));
	see("up-from-removed", chdir(".."));
	close(fd);
}

static void see_move(const char *check, const char *from, const char *to, unsigned flags)
{
	see(check, renameat2(AT_FDCWD, from, AT_FDCWD, to, flags));
}

void rename_group(void)
{
	struct stat before, after;
	make("a", "content of a");
	make("b", "b");
	must("stat", stat("a", &before));
	see_move("over", "a", "b", 0);
	see_content("over-is", "b");
	must("stat", stat("b", &after));
	note("same-file", "%s", before.st_ino == after.st_ino ? "yes" : "no");
	see_file("old-name", "a");
	see_move("missing", "a", "c", 0);
	must("link", link("b", "b2"));
	see_move("same-file-two-names", "b", "b2", 0);
	see_file("both-stay", "b");
	see_move("to-itself", "b", "b", 0);
	must("mkdir", mkdir("dir", 0755));
	must("mkdir", mkdir("dir/sub", 0755));
	must("mkdir", mkdir("empty", 0755));
	see_move("file-over-directory", "b", "dir", 0);
	see_move("directory-over-file", "dir", "b", 0);
	see_move("over-not-empty", "empty", "dir", 0);
	see_move("into-itself", "dir", "dir/sub/x", 0);
	see_move("parent-over-child", "dir/sub", "dir", 0);
	see_move("directory-over-empty", "dir", "empty", 0);
	see_file("moved-directory", "empty/sub");
	see_file("links", "empty");
	see_move("up", "empty/sub", "sub", 0);
	see_file("links-after", "empty");
	see_move("dot", "sub/.", "x", 0);
	see_move("dot-dot", "sub", "sub/..", 0);
	see_move("slash", "b", "x/", 0);
	see_move("directory-slash", "sub/", "sub2/", 0);
	make("c", "content of c, longer");
	see_move("noreplace", "b", "c", RENAME_NOREPLACE);
	see_move("noreplace-free", "b2", "d", RENAME_NOREPLACE);
	see_move("exchange", "b", "c", RENAME_EXCHANGE);
	see_content("exchanged", "b");
	see_content("exchanged-other", "c");
	see_move("exchange-missing", "b", "none", RENAME_EXCHANGE);
	make("sub2/file", "x");
	see_move("exchange-directory", "b", "sub2", RENAME_EXCHANGE);
	see_file("exchanged-directory", "b");
	see_content("exchanged-file", "sub2");
	see_content("exchanged-inside", "b/file");
	see_move("exchange-and-noreplace", "b", "c", RENAME_EXCHANGE | RENAME_NOREPLACE);
	make("w", "w");
	see_move("whiteout", "w", "w2", RENAME_WHITEOUT);
	see_move("odd-flag", "c", "e", 1U << 20);
	int fd = must("open", open("c", O_RDWR));
	must("rename", rename("sub2", "c"));
	see_stat("replaced-is", fd);
	see("replaced-write", pwrite(fd, "still", 5, 0));
	close(fd);
	must("symlink", symlink("none", "link"));
	see_move("symlink", "link", "link2", 0);
	see_move("over-symlink", "d", "link2", 0);
	see_file("over-symlink-is", "link2");
}

void removed_group(void)
{
	char back[16] = "", path[64];
	struct timespec times[2] = { { 1000, 1 }, { 2000, 2 } };
	struct stat st;
	make("file", "content");
	int fd = must("open", open("file", O_RDWR));
	see("unlink", unlink("file"));
	see_stat("is", fd);
	see("read", pread(fd, back, sizeof back, 0));
	see("write", pwrite(fd, "more and more", 13, 4));
	see("truncate", ftruncate(fd, 10));
	see("chmod", fchmod(fd, 0600));
	see("times", futimens(fd, times));
	must("fstat", fstat(fd, &st));
	note("times-are", "%ld.%09ld %ld.%09ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec,
	    st.st_mtim.tv_nsec);
	see("allocate", fallocate(fd, 0, 0, 20));
	see("sync", fsync(fd));
	see_stat("then", fd);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	see("link-again", linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
	see_content("open-again", path);
	see_and_close("open-for-writing", open(path, O_WRONLY | O_APPEND));
	make("file", "another");
	see_content("new-one", "file");
	see_stat("old-one", fd);
	close(fd);
	make("first", "shared content");
	must("link", link("first", "second"));
	fd = must("open", open("first", O_RDONLY));
	see("unlink-one-of-two", unlink("first"));
	see_stat("one-left", fd);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	see("link-back", linkat(AT_FDCWD, path, AT_FDCWD, "first", AT_SYMLINK_FOLLOW));
	see_file("two-again", "first");
	close(fd);
	int kept[40];
	char name[16];
	for (int n = 0; n < 40; n++) {
		snprintf(name, sizeof name, "t%d", n);
		kept[n] = open_new(name, O_RDWR);
		must("write", (int)write(kept[n], name, strlen(name)));
		must("unlink", unlink(name));
	}
	int good = 0;
	for (int n = 0; n < 40; n++) {
		snprintf(name, sizeof name, "t%d", n);
		good += pread(kept[n], back, sizeof back, 0) == (ssize_t)strlen(name) &&
			memcmp(back, name, strlen(name)) == 0;
		close(kept[n]);
	}
	note("forty-at-once", "%d", good);
}

enum { STABLE = 400, MOVING = 200 };

/* Names are made and removed while others, which stay, are read: each of these must be seen
 * once. */
static void read_while_changing(void)
{
	char name[32];
	int seen[STABLE] = { 0 }, number, twice = 0, missing = 0, read = 0;
	must("mkdir", mkdir("changing", 0755));
	for (int n = 0; n < STABLE; n++) {
		snprintf(name, sizeof name, "changing/s%04d", n);
		make(name, "");
	}
	DIR *d = opendir("changing");
	for (struct dirent *e; (e = readdir(d)); read++) {
		if (sscanf(e->d_name, "s%d", &number) == 1)
			twice += seen[number]++ > 0;
		if (read < MOVING) {
			snprintf(name, sizeof name, "changing/m%04d", read);
			make(name, "");
		} else if (read < 2 * MOVING) {
			snprintf(name, sizeof name, "changing/m%04d", read - MOVING);
			must("unlink", unlink(name));
		}
	}
	for (int n = 0; n < STABLE; n++)
		missing += !seen[n];
	note("while-changing", "%d twice, %d missing", twice, missing);
	rewinddir(d);
	int removed = 0;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			removed += unlinkat(dirfd(d), e->d_name, 0) == 0;
	note("removed-while-reading", "%s", removed >= STABLE ? "all" : "some");
	see("empty-then", rmdir("changing"));
	closedir(d);
}

void reading_group(void)
{
	char name[256];
	struct stat st, up;
	int types = 0, inodes = 0, count = 0;
	must("mkdir", mkdir("dir", 0755));
	must("mkdir", mkdir("dir/d", 0755));
	make("dir/f", "");
	must("symlink", symlink("x", "dir/l"));
	must("mkfifo", mkfifo("dir/p", 0600));
	DIR *d = opendir("dir");
	must("stat", lstat(".", &up));
	for (struct dirent *e; (e = readdir(d)); count++) {
		must("stat", fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
		types += IFTODT(st.st_mode) == e->d_type;
		inodes += e->d_ino == st.st_ino;
		if (strcmp(e->d_name, "..") == 0)
			note("dot-dot", "%s", e->d_ino == up.st_ino ? "the directory above" : "something else");
	}
	note("entries", "%d, %d of the right type, %d of the right number", count, types, inodes);
	make("dir/late", "");
	rewinddir(d);
	for (count = 0; readdir(d);)
		count++;
	note("rewound", "%d", count);
	rewinddir(d);
	(void)readdir(d);
	(void)readdir(d);
	long at = telldir(d);
	struct dirent *e = readdir(d);
	snprintf(name, sizeof name, "%s", e ? e->d_name : "");
	while (readdir(d))
		;
	seekdir(d, at);
	e = readdir(d);
	note("told-place", "%s", e && strcmp(e->d_name, name) == 0 ? "same" : "another");
	closedir(d);
	read_while_changing();
}

/* A directory with many names, if one was prepared as ../../many: all are there, also when some are
 * removed and made while it is read. */
void big_group(void)
{
	DIR *d = opendir("../../many");
	unsigned count = 0, made = 0, gone = 0;
	uint32_t sum = 0;
	char name[64];
	if (!see_ok("open", d != NULL))
		return;
	for (struct dirent *e; (e = readdir(d)); count++) {
		if (e->d_name[0] != 'k')
			continue;
		sum += checksum(0, e->d_name, strlen(e->d_name));
		if (count % 997 == 0) {
			snprintf(name, sizeof name, "x%u", made++);
			int fd = openat(dirfd(d), name, O_CREAT | O_WRONLY, 0644);
			gone += fd >= 0 && close(fd) == 0 && unlinkat(dirfd(d), name, 0) == 0;
		}
	}
	note("names", "sum %08x, %u made, %u removed", sum, made, gone);
	closedir(d);
}

void tmpfile_group(void)
{
	char path[64];
	int fd = see_fd("open", open(".", O_TMPFILE | O_RDWR, 0640));
	if (fd >= 0) {
		see_stat("is", fd);
		see("write", write(fd, "no name yet", 11));
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		see("link", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
		see("link-exists", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
		close(fd);
	}
	see_content("content", "named");
	see_file("named-is", "named");
	see_and_close("read-only", open(".", O_TMPFILE | O_RDONLY, 0640));
	fd = see_fd("exclusive", open(".", O_TMPFILE | O_EXCL | O_RDWR, 0640));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	see("exclusive-link", linkat(AT_FDCWD, path, AT_FDCWD, "exclusive", AT_SYMLINK_FOLLOW));
	close(fd);
}
