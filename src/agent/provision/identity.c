/* SPDX-License-Identifier: Apache-2.0
 * See identity.h. The marker comes last, so that a crash repeats all of it. */
#include "agent/provision/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

#define MARKER "/var/lib/holm/identity"

const char *const identity_dropbear_types[] = { "rsa", "ecdsa", "ed25519", NULL };

/* The random seeds of systemd, Debian's and Red Hat's init scripts, OpenRC and seedrng; the secret
 * that systemd-creds(1) encrypts with and makes where it is missing. */
static const char *const secrets[] = { "/var/lib/systemd/credential.secret", "/var/lib/systemd/random-seed",
	"/var/lib/urandom/random-seed", "/var/lib/random-seed", "/var/lib/misc/random-seed",
	"/var/lib/seedrng/seed.credit", "/var/lib/seedrng/seed.no-credit" };

static int has_line(int root, const char *path, const char *line)
{
	AUTOFREE char *text = NULL;
	size_t n = strlen(line);
	return rootfs_read(root, path, &text) >= 0 && strncmp(text, line, n) == 0 && (text[n] == '\n' || !text[n]);
}

int identity_is_own(int root, const char *id)
{
	if (rootfs_exists(root, MARKER))
		return has_line(root, MARKER, id);
	return has_line(root, "/etc/machine-id", id);
}

int identity_mark(int root, const char *id, struct error **err)
{
	AUTOFREE char *text = xasprintf("%s\n", id);
	return has_line(root, MARKER, id) ? 0 : rootfs_write(root, MARKER, 0644, text, err);
}

/* Opens the directory of a path inside. A descriptor or -errno. */
static int open_directory_of(int root, const char *path)
{
	AUTOFREE char *directory = path_parent(path);
	return path_open_in_root(root, directory, O_PATH | O_DIRECTORY, 0);
}

static void remove_secret(int root, const char *path)
{
	AUTO_FD int directory = open_directory_of(root, path);
	if (directory >= 0 && unlinkat(directory, path_base(path), 0) < 0 && errno != ENOENT)
		log_warning("cannot remove %s in the machine: %s", path, strerror(errno));
}

/* D-Bus has a copy of machine-id(5), or a link to it, which stays. */
static int write_bus_id(int root, const char *text, struct error **err)
{
	static const char path[] = "/var/lib/dbus/machine-id";
	struct stat st;
	AUTO_FD int directory = open_directory_of(root, path);
	if (directory < 0 || fstatat(directory, path_base(path), &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return rootfs_write(root, path, 0, text, err);
}

/* Also the public keys, and the certificates of such keys. */
static int is_host_key(const char *name)
{
	const char *dropbear = startswith(name, "dropbear_");
	return dropbear ? strstr(dropbear, "_host_key") != NULL : startswith(name, "ssh_host_") && strstr(name, "_key");
}

/* Removes the host keys in a directory. Returns their number. */
static int remove_host_keys(int root, const char *directory)
{
	int fd = path_open_in_root(root, directory, O_RDONLY | O_DIRECTORY, 0), count = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		count += is_host_key(e->d_name) && unlinkat(dirfd(d), e->d_name, 0) == 0;
	if (d)
		closedir(d);
	else
		fd_close(fd);
	return count;
}

static const struct server {
	const char *keygen, *keys, *program;
	enum identity_keys flag;
} servers[] = {
	{ IDENTITY_KEYGEN, "/etc/ssh", "/usr/sbin/sshd", IDENTITY_SSHD },
	{ IDENTITY_DROPBEARKEY, "/etc/dropbear", "/usr/sbin/dropbear", IDENTITY_DROPBEAR },
};

/* Removes the keys of all servers. Returns those to make again. */
static int renew_keys(int root)
{
	int wanted = 0;
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		const struct server *s = &servers[i];
		/* A server that could not get keys again keeps what it has. */
		if (rootfs_is_program(root, s->keygen) &&
		    (remove_host_keys(root, s->keys) > 0 || rootfs_is_program(root, s->program)))
			wanted |= s->flag;
	}
	return wanted;
}

int identity_renew(int root, const char *id, struct error **err)
{
	AUTOFREE char *text = xasprintf("%s\n", id);
	int keys = renew_keys(root);
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		remove_secret(root, secrets[i]);
	int r = rootfs_write(root, "/etc/machine-id", 0444, text, err);
	if (r >= 0)
		r = write_bus_id(root, text, err);
	return r < 0 ? r : keys;
}
