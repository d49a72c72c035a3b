/* SPDX-License-Identifier: Apache-2.0
 * Attempts of somebody inside a machine that busybox has no program for (test/system/native.bats;
 * static, so that it runs in any image):
 *
 *   attempt setattr-rw MOUNT          takes "read-only" off a mount and all below it
 *   attempt clone-rw MOUNT FILE       makes a writable copy of the mount and writes FILE in it
 *   attempt abstract NAME             connects to a unix socket in the abstract name space
 *   attempt unix PATH                 sends stdin to a unix socket, prints the answer
 *   attempt tcp ADDRESS PORT          connects within two seconds
 *   attempt module                    asks for loading a kernel module
 *   attempt socketcall FAMILY         opens a socket as 32-bit programs do, by socketcall(2)
 *   attempt xattr FILE NAME=VALUE     sets an extended attribute
 *   attempt xattrs FILE...            prints all of them, one a line
 *
 * Exits with 0 when it was let, with 1 and the reason when not, with 2 when the words are wrong. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static int refused(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int make_writable(int fd, const char *path, unsigned flags)
{
	struct mount_attr a = { .attr_clr = MOUNT_ATTR_RDONLY };
	return mount_setattr(fd, path, flags | AT_RECURSIVE, &a, sizeof(a));
}

static int clone_rw(const char *path, const char *file)
{
	int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return refused("open_tree");
	int changed = make_writable(tree, "", AT_EMPTY_PATH);
	int fd = openat(tree, file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return refused(changed < 0 ? "mount_setattr did not work; open" : "open");
	return 0;
}

static int connect_abstract(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", name);
	if (s < 0 || connect(s, (void *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0)
		return refused("connect");
	return 0;
}

/* Copies to the end. 0 or -1 with errno. */
static int copy(int from, int to)
{
	char bytes[65536];
	ssize_t n, done;
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		for (ssize_t at = 0; at < n; at += done)
			if ((done = write(to, bytes + at, (size_t)(n - at))) < 0)
				return -1;
	return (int)n;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (s < 0 || connect(s, (void *)&a, sizeof(a)) < 0)
		return refused("connect");
	if (copy(STDIN_FILENO, s) < 0 || shutdown(s, SHUT_WR) < 0 || copy(s, STDOUT_FILENO) < 0)
		return refused("copy");
	return 0;
}

static int connect_tcp(const char *address, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	struct timeval limit = { .tv_sec = 2 };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		return 2;
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(s, (void *)&a, sizeof(a)) < 0)
		return refused("connect");
	return 0;
}

/* By the 32-bit table, which int 0x80 asks for from a 64-bit program too. */
static int open_by_socketcall(int family)
{
#ifdef __x86_64__
	enum { SOCKETCALL = 102, MAKE = 1 };
	unsigned *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result = SOCKETCALL;
	if (words == MAP_FAILED)
		return 2;
	words[0] = (unsigned)family;
	words[1] = SOCK_STREAM;
	words[2] = 0;
	__asm__ volatile("int $0x80" : "+a"(result) : "b"((long)MAKE), "c"(words) : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
#else
	long result = -1;
	errno = ENOSYS;
#endif
	return result < 0 ? refused("socketcall") : 0;
}

static int set_xattr(const char *file, char *pair)
{
	char *value = strchr(pair, '=');
	if (!value)
		return 2;
	*value++ = '\0';
	return lsetxattr(file, pair, value, strlen(value), 0) < 0 ? refused(pair) : 0;
}

static int print_xattrs(const char *file)
{
	char names[4096], value[1024];
	ssize_t size = llistxattr(file, names, sizeof(names));
	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t n = lgetxattr(file, name, value, sizeof(value));
		printf("%s %s=", file, name);
		for (ssize_t i = 0; i < n; i++)
			printf("%02x", (unsigned char)value[i]);
		printf("\n");
	}
	return size < 0 ? refused(file) : 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int result = 2;
	if (!strcmp(what, "setattr-rw") && argc == 3)
		result = make_writable(AT_FDCWD, argv[2], 0) < 0 ? refused("mount_setattr") : 0;
	else if (!strcmp(what, "clone-rw") && argc == 4)
		result = clone_rw(argv[2], argv[3]);
	else if (!strcmp(what, "abstract") && argc == 3)
		result = connect_abstract(argv[2]);
	else if (!strcmp(what, "unix") && argc == 3)
		result = connect_unix(argv[2]);
	else if (!strcmp(what, "tcp") && argc == 4)
		result = connect_tcp(argv[2], argv[3]);
	else if (!strcmp(what, "module"))
		result = syscall(SYS_init_module, "", 0UL, "") < 0 ? refused("init_module") : 0;
	else if (!strcmp(what, "socketcall") && argc == 3)
		result = open_by_socketcall(atoi(argv[2]));
	else if (!strcmp(what, "xattr") && argc == 4)
		result = set_xattr(argv[2], argv[3]);
	else if (!strcmp(what, "xattrs"))
		for (int i = 2; i < argc && (result == 2 || result == 0); i++)
			result = print_xattrs(argv[i]);
	return result;
}
