/* SPDX-License-Identifier: Apache-2.0
 * Opening and making files, what names may be, whose files they are and what may be done with
 * them. */
#include "check.h"

#include <dirent.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

void open_group(void)
{
	char buffer[8];
	see_and_close("missing", open("none", O_RDONLY));
	see_and_close("create", open("file", O_CREAT | O_EXCL | O_WRONLY, 0666));
	see_file("created", "file");
	see_and_close("create-again", open("file", O_CREAT | O_EXCL | O_WRONLY, 0666));
	see_and_close("create-existing", open("file", O_CREAT | O_WRONLY, 0600));
	see_file("mode-stays", "file");
	make("file", "content");
	see_and_close("read-only-truncate", open("file", O_RDONLY | O_TRUNC));
	see_file("truncated", "file");
	see_and_close("file-as-directory", open("file", O_RDONLY | O_DIRECTORY));
	see_and_close("below-file", open("file/x", O_RDONLY));
	see_and_close("slash-behind-file", open("file/", O_RDONLY));
	see_and_close("slash-behind-new", open("new/", O_CREAT | O_WRONLY, 0644));
	see_and_close("empty-name", open("", O_RDONLY));
	must("mkdir", mkdir("dir", 0755));
	see_and_close("directory-for-writing", open("dir", O_WRONLY));
	see_and_close("directory-create", open("dir", O_CREAT | O_RDONLY, 0644));
	see_and_close("directory-create-exclusively", open("dir", O_CREAT | O_EXCL | O_RDONLY, 0644));
	int fd = must("open", open("dir", O_RDONLY));
	see("read-directory", read(fd, buffer, sizeof buffer));
	close(fd);
	must("symlink", symlink("file", "link"));
	must("symlink", symlink("gone", "dangling"));
	must("symlink", symlink("loop", "loop"));
	see_and_close("symlink-not-followed", open("link", O_RDONLY | O_NOFOLLOW));
	see_and_close("symlink-itself", open("link", O_PATH | O_NOFOLLOW));
	see_and_close("symlink-exclusively", open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0644));
	see_and_close("symlink-loop", open("loop", O_RDONLY));
	see_and_close("symlink-create", open("dangling", O_CREAT | O_WRONLY, 0644));
	see_file("symlink-created", "gone");
	see_and_close("no-directory", open("nowhere/file", O_CREAT | O_WRONLY, 0644));
	fd = must("open", open("file", O_PATH));
	see("path-read", read(fd, buffer, sizeof buffer));
	see("path-chmod", fchmod(fd, 0600));
	see_stat("path-stat", fd);
	close(fd);
	umask(0);
	see_and_close("mode-7777", open("all-bits", O_CREAT | O_WRONLY, 01777));
	see_file("mode-7777-is", "all-bits");
	umask(0777);
	see_and_close("mode-none", open("no-bits", O_CREAT | O_RDWR, 0666));
	see_file("mode-none-is", "no-bits");
	umask(022);
}

void special_group(void)
{
	see("fifo", mkfifo("fifo", 0640));
	see_file("fifo-is", "fifo");
	see_and_close("fifo-no-reader", open("fifo", O_WRONLY | O_NONBLOCK));
	int fd = must("open", open("fifo", O_RDWR | O_NONBLOCK));
	char buffer[8] = "";
	see("fifo-write", write(fd, "through", 7));
	see("fifo-read", read(fd, buffer, sizeof buffer));
	see("fifo-seek", lseek(fd, 0, SEEK_SET));
	close(fd);
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int listener = must("socket", socket(AF_UNIX, SOCK_STREAM, 0)),
	    client = must("socket", socket(AF_UNIX, SOCK_STREAM, 0));
	see("bind", bind(listener, (struct sockaddr *)&address, sizeof address));
	see_file("socket-is", "socket");
	see("bind-again", bind(client, (struct sockaddr *)&address, sizeof address));
	see("listen", listen(listener, 1));
	see("connect", connect(client, (struct sockaddr *)&address, sizeof address));
	see_and_close("open-socket", open("socket", O_RDONLY));
	close(listener);
	close(client);
	see("node-file", mknod("node", S_IFREG | 0644, 0));
	see_file("node-file-is", "node");
	see("node-again", mknod("node", S_IFREG | 0644, 0));
	see("node-directory", mknod("node-dir", S_IFDIR | 0755, 0));
	see("device", mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	see("remove-fifo", unlink("fifo"));
	see("remove-socket", unlink("socket"));
}

void access_group(void)
{
	make("file", "x");
	see("exists", access("file", F_OK));
	see("missing", access("none", F_OK));
	see("write", access("file", R_OK | W_OK));
	see("execute", access("file", X_OK));
	must("chmod", chmod("file", 0755));
	see("execute-755", access("file", X_OK));
	see("directory", access(".", R_OK | W_OK | X_OK));
	see("odd", access("file", 64));
	must("symlink", symlink("none", "link"));
	see("dangling", access("link", F_OK));
	see("dangling-itself", faccessat(AT_FDCWD, "link", F_OK, AT_SYMLINK_NOFOLLOW));
}

/* How many names the directory has, with a sum that does not depend on their order. */
static void see_names(const char *check, const char *path)
{
	DIR *d = opendir(path);
	unsigned count = 0;
	uint32_t sum = 0;
	for (struct dirent *e; d && (e = readdir(d)); count++)
		sum += checksum(0, e->d_name, strlen(e->d_name));
	note(check, "%u names, sum %08x", count, sum);
	if (d)
		closedir(d);
}

void names_group(void)
{
	char name[8];
	int made = 0, found = 0, opened = 0;
	must("mkdir", mkdir("bytes", 0755));
	must("chdir", chdir("bytes"));
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		snprintf(name, sizeof name, "n%cm", c);
		int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		made += fd >= 0;
		close(fd);
	}
	for (int c = 1; c < 256; c++) {
		struct stat st;
		snprintf(name, sizeof name, "n%cm", c);
		found += lstat(name, &st) == 0 && S_ISREG(st.st_mode);
		int fd = open(name, O_RDONLY);
		opened += fd >= 0;
		close(fd);
	}
	must("chdir", chdir(".."));
	note("every-byte", "%d made, %d found, %d opened", made, found, opened);
	see_names("every-byte-listed", "bytes");
	static const char *const odd[] = { " ", "...", "..x", "-", "\\", "\n", "a\tb", "~", "\xff\xfe", "*", "CON",
		"file:stream", "\xc3\xa9", "e\xcc\x81" };
	must("mkdir", mkdir("odd", 0755));
	must("chdir", chdir("odd"));
	for (size_t n = 0; n < sizeof odd / sizeof *odd; n++)
		make(odd[n], odd[n]);
	make("case", "lower");
	make("CASE", "upper");
	see_content("case", "case");
	see_content("case-other", "CASE");
	see_content("composed", "\xc3\xa9");
	must("chdir", chdir(".."));
	see_names("odd-listed", "odd");
	see("rename-odd", rename("odd/\n", "odd/\x01\x7f"));
	see("make-dot", mkdir(".", 0755));
	see("make-dot-dot", mkdir("..", 0755));
	see("make-below-dot", mkdir("odd/./../odd/sub/", 0755));
	see_and_close("dots", open("odd/../odd/./sub/../case", O_RDONLY));
}

/* Folders with names of 200 bytes, so that the path has `size` bytes with a last name "/f" in
 * it. */
static void make_path(char *path, size_t size)
{
	size_t length = 0;
	while (length + 4 < size) {
		size_t part = size - length - 3;
		part = part > 200 ? (part < 210 ? 100 : 200) : part;
		memset(path + length, 'p', part);
		path[length += part] = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			must(path, -1);
		path[length++] = '/';
	}
	memset(path + length, 'f', size - length);
	path[size] = 0;
}

void long_names_group(void)
{
	char name[300], path[PATH_MAX + 1];
	struct stat st;
	memset(name, 'n', sizeof name);
	name[255] = 0;
	see_and_close("255", open(name, O_CREAT | O_WRONLY, 0644));
	see_file("255-is", name);
	see("255-rename", rename(name, "short"));
	see("255-rename-back", rename("short", name));
	see("255-link", link(name, "link"));
	see("255-remove", unlink(name));
	see("255-mkdir", mkdir(name, 0755));
	see("255-rmdir", rmdir(name));
	see("255-symlink", symlink("x", name));
	see_names("255-listed", ".");
	name[255] = 'n';
	name[256] = 0;
	see_and_close("256", open(name, O_CREAT | O_WRONLY, 0644));
	see("256-stat", lstat(name, &st));
	see("256-mkdir", mkdir(name, 0755));
	see("256-symlink", symlink("x", name));
	see("256-link", link("link", name));
	see("256-rename", rename("link", name));
	see("256-remove", unlink(name));
	make_path(path, PATH_MAX - 1);
	see_and_close("path-4095", open(path, O_CREAT | O_WRONLY, 0644));
	see_file("path-4095-is", path);
	see("path-4095-remove", unlink(path));
	memcpy(path + PATH_MAX - 1, "f", sizeof "f");
	see_and_close("path-4096", open(path, O_CREAT | O_WRONLY, 0644));
	static char cwd[3 * PATH_MAX];
	int depth = 0;
	memset(name, 'd', 250);
	name[250] = 0;
	while (depth < 24 && mkdir(name, 0755) == 0 && chdir(name) == 0)
		depth++;
	note("deeper-than-paths", "%d", depth);
	see_ok("getcwd", getcwd(cwd, sizeof cwd) != NULL);
	make("at-the-bottom", "deep");
	see_content("bottom", "at-the-bottom");
}

void owners_group(void)
{
	struct stat st;
	make("file", "x");
	must("stat", stat("file", &st));
	note("mine", "%s", st.st_uid == geteuid() ? "yes" : "no");
	note("group-mine", "%s", st.st_gid == getegid() ? "yes" : "no");
	see("to-same", chown("file", st.st_uid, st.st_gid));
	see("to-nobody-named", chown("file", (uid_t)-1, (gid_t)-1));
	see("to-another", chown("file", 54321, (gid_t)-1));
	see("to-another-group", chown("file", (uid_t)-1, 54321));
	must("symlink", symlink("none", "link"));
	see("symlink-itself", lchown("link", st.st_uid, st.st_gid));
	see("symlink-followed", chown("link", st.st_uid, st.st_gid));
	see("by-descriptor", fchownat(AT_FDCWD, "file", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW));
	must("stat", stat("file", &st));
	note("still-mine", "%s", st.st_uid == geteuid() ? "yes" : "no");
	see("set-uid", chmod("file", 04755));
	see_file("set-uid-is", "file");
	see("set-gid", chmod("file", 02755));
	see_file("set-gid-is", "file");
	must("chmod", chmod("file", 0644));
	must("mkdir", mkdir("dir", 0755));
	see("directory-bits", chmod("dir", 03775));
	see_file("directory-bits-are", "dir");
	must("mkdir", mkdir("dir/sub", 0755));
	see_file("set-gid-inherited", "dir/sub");
	see("symlink-chmod", fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
}

void permissions_group(void)
{
	char path[32];
	make("read-only", "content");
	must("chmod", chmod("read-only", 0444));
	see_and_close("read-only-write", open("read-only", O_WRONLY));
	see_and_close("read-only-truncate", open("read-only", O_RDONLY | O_TRUNC));
	see("read-only-truncate-by-name", truncate("read-only", 1));
	see_content("read-only-read", "read-only");
	see("read-only-utime", utimensat(AT_FDCWD, "read-only", NULL, 0));
	see("read-only-access", access("read-only", W_OK));
	see("read-only-rename", rename("read-only", "renamed"));
	see("read-only-remove", unlink("renamed"));
	make("none", "content");
	must("chmod", chmod("none", 0));
	see_and_close("none-read", open("none", O_RDONLY));
	see_and_close("none-write", open("none", O_WRONLY));
	see_file("none-stat", "none");
	see("none-link", link("none", "none-too"));
	see_and_close("made-read-only", open("made", O_CREAT | O_WRONLY, 0444));
	int fd = must("open", open("made-none", O_CREAT | O_RDWR, 0));
	see("made-none-write", write(fd, "abc", 3));
	see("made-none-chmod", fchmod(fd, 0444));
	see("made-none-write-again", write(fd, "def", 3));
	see("made-none-truncate", ftruncate(fd, 4));
	close(fd);
	see_content("made-none-content", "made-none");
	must("mkdir", mkdir("closed", 0755));
	make("closed/file", "x");
	must("chmod", chmod("closed", 0500));
	see_and_close("closed-create", open("closed/new", O_CREAT | O_WRONLY, 0644));
	see("closed-remove", unlink("closed/file"));
	see("closed-rename", rename("closed/file", "file"));
	see_and_close("closed-write", open("closed/file", O_WRONLY));
	must("chmod", chmod("closed", 0600));
	see_and_close("no-x-open", open("closed/file", O_RDONLY));
	see_names("no-x-list", "closed");
	must("chmod", chmod("closed", 0300));
	see_and_close("no-r-open", open("closed/file", O_RDONLY));
	see_and_close("no-r-list", open("closed", O_RDONLY | O_DIRECTORY));
	must("chmod", chmod("closed", 0755));
	must("mkdir", mkdir("shut", 0755));
	fd = must("open", open("shut/open", O_CREAT | O_RDWR, 0644));
	must("chmod", chmod("shut", 0));
	see_stat("shut-stat", fd);
	see("shut-chmod", fchmod(fd, 0600));
	see("shut-utime", futimens(fd, NULL));
	see("shut-truncate", ftruncate(fd, 10));
	see("shut-xattr", fsetxattr(fd, "user.x", "1", 1, 0));
	see("shut-xattr-read", fgetxattr(fd, "user.x", NULL, 0));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	see_and_close("shut-open-again", open(path, O_RDWR));
	see_and_close("shut-open", open("shut/open", O_RDWR));
	close(fd);
	must("chmod", chmod("shut", 0755));
	see_file("shut-file", "shut/open");
}
