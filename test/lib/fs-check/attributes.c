/* SPDX-License-Identifier: Apache-2.0
 * What there is to know about a file besides its content, and locks. */
#include "check.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

static void see_times(const char *check, const char *path)
{
	struct stat st;
	must("stat", lstat(path, &st));
	note(check, "%lld.%09ld %lld.%09ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
	    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static int later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* Which of mtime and ctime went on since the last time this was asked about the file; waits so that
 * clocks tick before the next change. */
static void see_moved(const char *check, const char *path, struct stat *last)
{
	struct stat now;
	must("stat", lstat(path, &now));
	note(check, "%s%s", later(&now.st_mtim, &last->st_mtim) ? "mtime " : "",
	    later(&now.st_ctim, &last->st_ctim) ? "ctime" : "");
	*last = now;
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void see_what_moves(void)
{
	struct stat file, dir;
	must("mkdir", mkdir("dir", 0755));
	int fd = open_new("dir/file", O_RDWR);
	must("stat", stat("dir/file", &file));
	must("stat", stat("dir", &dir));
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	must("write", (int)write(fd, "x", 1));
	see_moved("write", "dir/file", &file);
	must("chmod", fchmod(fd, 0600));
	see_moved("chmod", "dir/file", &file);
	must("truncate", ftruncate(fd, 100));
	see_moved("truncate", "dir/file", &file);
	must("truncate", ftruncate(fd, 100));
	see_moved("truncate-same", "dir/file", &file);
	see_moved("directory-of-changed", "dir", &dir);
	must("link", link("dir/file", "dir/link"));
	see_moved("linked", "dir/file", &file);
	see_moved("directory-link", "dir", &dir);
	must("rename", rename("dir/link", "dir/moved"));
	see_moved("renamed", "dir/file", &file);
	see_moved("directory-rename", "dir", &dir);
	must("unlink", unlink("dir/moved"));
	see_moved("unlinked", "dir/file", &file);
	see_moved("directory-unlink", "dir", &dir);
	must("mkdir", mkdir("dir/sub", 0755));
	see_moved("directory-mkdir", "dir", &dir);
	must("rmdir", rmdir("dir/sub"));
	see_moved("directory-rmdir", "dir", &dir);
	close(open_new("dir/file", O_WRONLY));
	see_moved("open-truncate", "dir/file", &file);
	must("fallocate", fallocate(fd, 0, 0, 8192));
	see_moved("fallocate", "dir/file", &file);
	close(fd);
}

void times_group(void)
{
	static const struct {
		const char *check;
		struct timespec at, mt;
	} values[] = {
		{ "exact", { 1234567890, 123456789 }, { 987654321, 999999999 } },
		{ "zero", { 0, 0 }, { 0, 1 } },
		{ "before-1970", { -1, 5 }, { -1000000000, 999999999 } },
		{ "after-2038", { 2147483648, 1 }, { 5000000000, 2 } },
		{ "only-mtime", { 0, UTIME_OMIT }, { 77, 7 } },
		{ "only-atime", { 88, 8 }, { 0, UTIME_OMIT } },
		{ "none", { 0, UTIME_OMIT }, { 0, UTIME_OMIT } },
	};
	struct stat st;
	make("file", "x");
	for (size_t n = 0; n < sizeof values / sizeof *values; n++) {
		struct timespec t[2] = { values[n].at, values[n].mt };
		must(values[n].check, utimensat(AT_FDCWD, "file", t, 0));
		see_times(values[n].check, "file");
	}
	struct timespec now[2] = { { 0, UTIME_NOW }, { 55, 5 } }, odd[2] = { { 0, 1000000000 }, { 0, 0 } };
	see("now", utimensat(AT_FDCWD, "file", now, 0));
	must("stat", stat("file", &st));
	note("now-is", "%s %lld.%09ld", st.st_atim.tv_sec > 1600000000 ? "recent" : "old", (long long)st.st_mtim.tv_sec,
	    st.st_mtim.tv_nsec);
	see("odd", utimensat(AT_FDCWD, "file", odd, 0));
	see("missing", utimensat(AT_FDCWD, "none", NULL, 0));
	must("symlink", symlink("file", "link"));
	struct timespec of_link[2] = { { 333, 3 }, { 444, 4 } };
	see("symlink", utimensat(AT_FDCWD, "link", of_link, AT_SYMLINK_NOFOLLOW));
	must("lstat", lstat("link", &st));
	note("symlink-is", "%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	must("mkdir", mkdir("folder", 0755));
	see("directory", utimensat(AT_FDCWD, "folder", of_link, 0));
	must("lstat", lstat("folder", &st));
	note("directory-is", "%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	int fd = must("open", open("file", O_RDWR));
	must("write", (int)write(fd, "y", 1));
	struct timespec set[2] = { { 11, 1 }, { 22, 2 } };
	see("after-write", futimens(fd, set));
	close(fd);
	see_times("after-close", "file");
	see_what_moves();
}

static void see_value(const char *check, const char *path, const char *name)
{
	char value[300];
	ssize_t n = getxattr(path, name, value, sizeof value);
	if (n < 0)
		note(check, "%s", outcome(0));
	else
		note(check, "%zd bytes, sum %08x", n, checksum(0, value, (size_t)n));
}

/* The user's own: a security module of the host's may have added others. */
static void see_list(const char *check, const char *path)
{
	char list[4096];
	uint32_t sum = 0;
	int count = 0;
	ssize_t n = listxattr(path, list, sizeof list);
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
		if (strncmp(list + at, "user.", 5) == 0) {
			count++;
			sum += checksum(0, list + at, strlen(list + at));
		}
	note(check, "%s, %d names, sum %08x", outcome(n >= 0), count, sum);
}

void xattrs_group(void)
{
	static char value[70000], name[300];
	make("file", "x");
	see_value("none", "file", "user.a");
	see("set", setxattr("file", "user.a", "value", 5, 0));
	see_value("is", "file", "user.a");
	see("create-exists", setxattr("file", "user.a", "v", 1, XATTR_CREATE));
	see("replace", setxattr("file", "user.a", "other value", 11, XATTR_REPLACE));
	see("replace-missing", setxattr("file", "user.b", "v", 1, XATTR_REPLACE));
	see("create", setxattr("file", "user.b", "\0\xff", 2, XATTR_CREATE));
	see("empty", setxattr("file", "user.empty", "", 0, 0));
	see_value("empty-is", "file", "user.empty");
	see("size", getxattr("file", "user.a", NULL, 0));
	see("short-buffer", getxattr("file", "user.a", value, 3));
	see("short-list", listxattr("file", value, 3));
	see_list("list", "file");
	see("no-namespace", setxattr("file", "plain", "v", 1, 0));
	see("only-namespace", setxattr("file", "user.", "v", 1, 0));
	memset(name, 'n', sizeof name);
	memcpy(name, "user.", 5);
	name[255] = 0;
	see("name-255", setxattr("file", name, "v", 1, 0));
	see_value("name-255-is", "file", name);
	name[255] = 'n';
	name[256] = 0;
	see("name-256", setxattr("file", name, "v", 1, 0));
	see("value-3000", setxattr("file", "user.big", value, 3000, 0));
	see("value-65537", setxattr("file", "user.huge", value, 65537, 0));
	see("odd-flags", setxattr("file", "user.c", "v", 1, 64));
	see("remove", removexattr("file", "user.a"));
	see("remove-again", removexattr("file", "user.a"));
	see_list("list-after", "file");
	must("mkdir", mkdir("dir", 0755));
	see("directory", setxattr("dir", "user.d", "v", 1, 0));
	see_value("directory-is", "dir", "user.d");
	must("symlink", symlink("file", "link"));
	see("symlink", lsetxattr("link", "user.l", "v", 1, 0));
	see("symlink-read", lgetxattr("link", "user.l", value, 10));
	must("mkfifo", mkfifo("fifo", 0600));
	see("fifo", setxattr("fifo", "user.f", "v", 1, 0));
	see("trusted", setxattr("file", "trusted.t", "v", 1, 0));
	see("trusted-read", getxattr("file", "trusted.t", value, 10));
	see("capability", getxattr("file", "security.capability", value, 10));
	see("acl-read", getxattr("file", "system.posix_acl_access", value, 100));
	see("acl-set", setxattr("file", "system.posix_acl_access", "\2\0\0\0", 4, 0));
	see("system-odd", setxattr("file", "system.odd", "v", 1, 0));
	int fd = must("open", open("file", O_RDONLY));
	see("by-descriptor", fsetxattr(fd, "user.fd", "v", 1, 0));
	must("unlink", unlink("file"));
	see("unlinked", fsetxattr(fd, "user.fd", "w", 1, XATTR_REPLACE));
	see("unlinked-read", fgetxattr(fd, "user.fd", value, 10));
	close(fd);
}

void statfs_group(void)
{
	struct statvfs fs;
	struct stat st;
	must("statvfs", statvfs(".", &fs));
	note("sizes", "%lu %lu names %lu", fs.f_bsize, fs.f_frsize, fs.f_namemax);
	note("in-all", "%llu blocks, %llu files", (unsigned long long)fs.f_blocks, (unsigned long long)fs.f_files);
	make("file", "x");
	int fd = must("open", open("file", O_RDONLY));
	see("by-descriptor", fstatvfs(fd, &fs));
	must("fstat", fstat(fd, &st));
	note("file", "block size %ld, %lld blocks", (long)st.st_blksize, (long long)st.st_blocks);
	close(fd);
	see("pathconf-name", pathconf(".", _PC_NAME_MAX));
	see("pathconf-path", pathconf(".", _PC_PATH_MAX));
}

struct lock_try {
	const char *path;
	int flags, command;
	short type;
	off_t start, length;
};

static struct flock lock_of(short type, off_t start, off_t length)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
}

/* In another process: 0, an errno, or for F_GETLK the type that is in the way. */
static int try_lock(void *data)
{
	const struct lock_try *t = data;
	struct flock l = lock_of(t->type, t->start, t->length);
	int fd = open(t->path, t->flags);
	if (fd < 0 || fcntl(fd, t->command, &l) < 0)
		return errno;
	if (t->command == F_GETLK)
		return l.l_type == F_UNLCK ? 100 : l.l_type == F_WRLCK ? 101 : 102;
	return 0;
}

static void see_other(const char *check, int command, short type, off_t start, off_t length)
{
	struct lock_try t = { "file", O_RDWR, command, type, start, length };
	int r = in_child(try_lock, &t);
	note(check, "%s",
	    r >= 100 ? (r == 100    ? "free" :
			   r == 101 ? "write lock" :
				      "read lock") :
	    r        ? strerrorname_np(r) :
		       "ok");
}

static long set_lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock l = lock_of(type, start, length);
	return fcntl(fd, command, &l);
}

void fcntl_group(void)
{
	int fd = open_new("file", O_RDWR);
	see("write-lock", set_lock(fd, F_SETLK, F_WRLCK, 10, 10));
	see_other("other-write", F_SETLK, F_WRLCK, 15, 1);
	see_other("other-read", F_SETLK, F_RDLCK, 19, 5);
	see_other("other-beside", F_SETLK, F_WRLCK, 20, 5);
	see_other("other-asks", F_GETLK, F_WRLCK, 0, 0);
	see_other("other-asks-beside", F_GETLK, F_WRLCK, 0, 10);
	see("own-asks", set_lock(fd, F_GETLK, F_WRLCK, 0, 0));
	see("to-read", set_lock(fd, F_SETLK, F_RDLCK, 12, 4));
	see_other("other-read-now", F_SETLK, F_RDLCK, 12, 4);
	see_other("other-read-edge", F_SETLK, F_RDLCK, 11, 4);
	see("unlock-part", set_lock(fd, F_SETLK, F_UNLCK, 10, 4));
	see_other("other-write-part", F_SETLK, F_WRLCK, 10, 4);
	see_other("other-write-rest", F_SETLK, F_WRLCK, 10, 5);
	int second = must("open", open("file", O_RDWR));
	see("same-process", set_lock(second, F_SETLK, F_WRLCK, 0, 0));
	close(second);
	see_other("gone-by-close", F_SETLK, F_WRLCK, 0, 0);
	int reader = must("open", open("file", O_RDONLY));
	see("write-lock-of-reader", set_lock(reader, F_SETLK, F_WRLCK, 0, 1));
	see("read-lock-of-reader", set_lock(reader, F_SETLK, F_RDLCK, 0, 1));
	see("odd-type", set_lock(fd, F_SETLK, 17, 0, 1));
	see("odd-range", set_lock(fd, F_SETLK, F_WRLCK, -5, 1));
	see("wait", set_lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	see_other("waited", F_SETLK, F_RDLCK, 1000000, 1);
	close(reader);
	second = must("open", open("file", O_RDWR));
	see("ofd", set_lock(second, F_OFD_SETLK, F_WRLCK, 0, 10));
	reader = must("open", open("file", O_RDWR));
	see("ofd-other", set_lock(reader, F_OFD_SETLK, F_WRLCK, 5, 1));
	see("ofd-shared", set_lock(reader, F_OFD_SETLK, F_WRLCK, 10, 1));
	close(second);
	see("ofd-closed", set_lock(reader, F_OFD_SETLK, F_WRLCK, 5, 1));
	close(reader);
	close(fd);
}

static int try_flock(void *data)
{
	int fd = open("file", O_RDWR);
	return flock(fd, *(int *)data) < 0 ? errno : 0;
}

static void see_other_flock(const char *check, int how)
{
	int r = in_child(try_flock, &how);
	note(check, "%s", r ? strerrorname_np(r) : "ok");
}

void flock_group(void)
{
	int fd = open_new("file", O_RDWR);
	see("exclusive", flock(fd, LOCK_EX | LOCK_NB));
	see_other_flock("other", LOCK_SH | LOCK_NB);
	see("to-shared", flock(fd, LOCK_SH | LOCK_NB));
	see_other_flock("other-shared", LOCK_SH | LOCK_NB);
	see_other_flock("other-exclusive", LOCK_EX | LOCK_NB);
	int copy = dup(fd);
	close(fd);
	see_other_flock("copy-holds", LOCK_EX | LOCK_NB);
	see("unlock", flock(copy, LOCK_UN));
	see_other_flock("free", LOCK_EX | LOCK_NB);
	close(copy);
	fd = must("open", open("file", O_RDONLY));
	see("of-reader", flock(fd, LOCK_EX | LOCK_NB));
	see("odd", flock(fd, 0));
	close(fd);
	fd = must("open", open(".", O_RDONLY | O_DIRECTORY));
	see("directory", flock(fd, LOCK_EX | LOCK_NB));
	close(fd);
	int ready[2];
	must("pipe", pipe(ready));
	fflush(stdout);
	pid_t pid = must("fork", fork());
	if (pid == 0) {
		int own = open("file", O_RDWR);
		(void)!write(ready[1], flock(own, LOCK_EX) ? "n" : "y", 1);
		pause();
	}
	char answer;
	must("read", (int)read(ready[0], &answer, 1));
	fd = must("open", open("file", O_RDWR));
	see("held", flock(fd, LOCK_EX | LOCK_NB));
	kill(pid, SIGKILL);
	must("waitpid", waitpid(pid, NULL, 0));
	see("holder-killed", flock(fd, LOCK_EX));
	close(fd);
}
