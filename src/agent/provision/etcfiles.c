/* SPDX-License-Identifier: Apache-2.0
 * Files in /etc. holm marks its own text: a whole file begins with MARK_FILE, a line ends with
 * MARK_LINE. Text without a mark belongs to the image or the user, and stays. */
#include "agent/provision/etcfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/path.h"

#define MARK_FILE "# This file follows the host's; written by holm. Remove this line to keep your own.\n"
#define MARK_LINE " # holm"

enum { TEXT_MAX = 1 << 20 };

/* holm's last value of a file that somebody inside may set too (hostnamectl, timedatectl). */
#define LAST_HOSTNAME "/var/lib/holm/hostname"
#define LAST_TIMEZONE "/var/lib/holm/timezone"
#define ZONES "/usr/share/zoneinfo/"

/* The first line of a file, owned; NULL: there is none. */
static char *read_line(int root, const char *path)
{
	AUTOFREE char *text = NULL;
	return rootfs_read(root, path, &text) < 0 ? NULL : xstrndup(text, strcspn(text, "\n"));
}

static int write_line(int root, const char *path, const char *line, struct error **err)
{
	AUTOFREE char *text = xasprintf("%s\n", line);
	return rootfs_write(root, path, 0, text, err);
}

/* Whether somebody inside has replaced the value that holm wrote last. */
static int is_changed(const char *now, const char *last, const char *wanted)
{
	return last && !streq(now ? now : "", last) && !streq(now ? now : "", wanted);
}

static int hostname_is_valid(const char *name)
{
	enum { HOSTNAME_MAX = 64 };
	size_t n = strlen(name);
	return n > 0 && n <= HOSTNAME_MAX && name[0] != '-' && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == n;
}

char *etc_hostname(int root, const char *hostname)
{
	AUTOFREE char *now = read_line(root, "/etc/hostname"), *last = read_line(root, LAST_HOSTNAME);
	int kept = now && hostname_is_valid(now) && is_changed(now, last, hostname);
	return kept ? TAKE_PTR(now) : xstrdup(hostname);
}

int etc_write_hostname(int root, const char *hostname, struct error **err)
{
	AUTOFREE char *name = etc_hostname(root, hostname);
	if (!streq(name, hostname))
		return 0;
	int r = write_line(root, "/etc/hostname", name, err);
	return r < 0 ? r : write_line(root, LAST_HOSTNAME, name, err);
}

static const char hosts_default[] = "127.0.0.1\tlocalhost\n"
				    "::1\tlocalhost ip6-localhost ip6-loopback\n"
				    "ff02::1\tip6-allnodes\n"
				    "ff02::2\tip6-allrouters\n";

int etc_write_hosts(int root, const char *hostname, const char *host_address, struct error **err)
{
	AUTOFREE char *old = NULL;
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, ROOTFS_FILE_MAX);
	int r = rootfs_read(root, "/etc/hosts", &old);
	if (r < 0 && r != -ENOENT)
		return error_set_errno(err, r, "cannot read /etc/hosts in the machine");
	for (const char *line = old ? old : ""; *line;) {
		size_t n = strcspn(line, "\n");
		size_t mark = strlen(MARK_LINE);
		if (n < mark || memcmp(line + n - mark, MARK_LINE, mark) != 0) {
			buffer_append(&b, line, n);
			buffer_append(&b, "\n", 1);
		}
		line += n + (line[n] == '\n');
	}
	if (b.size == 0)
		buffer_append_string(&b, hosts_default);
	buffer_appendf(&b, "127.0.1.1\t%s%s\n", hostname, MARK_LINE);
	if (host_address)
		buffer_appendf(&b, "%s\thost.holm.internal%s\n", host_address, MARK_LINE);
	return rootfs_write(root, "/etc/hosts", 0, buffer_string(&b), err);
}

static void append_words(struct buffer *b, const char *key, const struct strv *words)
{
	AUTOFREE char *joined = strv_join(words, " ");
	if (words->count)
		buffer_appendf(b, "%s%s\n", key, joined);
}

int etc_write_resolv(int root, const struct resolv *resolv, int take, struct error **err)
{
	static const char path[] = "/etc/resolv.conf";
	char target[4096];
	AUTOFREE char *old = NULL;
	AUTO_FD int etc = path_open_in_root(root, "/etc", O_PATH | O_DIRECTORY, 0);
	int is_link = etc >= 0 && readlinkat(etc, "resolv.conf", target, sizeof target) >= 0;
	int found = rootfs_read(root, path, &old);
	/* A symlink was made by something inside that manages the file (systemd-resolved,
	 * resolvconf); only the first boot replaces it. */
	if (!take && (is_link || (found >= 0 && *old && !startswith(old, MARK_FILE))))
		return 0;
	AUTOFREE char *lines = resolv_format(resolv), *text = xasprintf("%s%s", MARK_FILE, lines);
	return rootfs_write(root, path, 0644, text, err);
}

char *etc_resolved_text(const struct resolv *resolv)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, TEXT_MAX);
	buffer_append_string(&b, MARK_FILE "[Resolve]\n");
	append_words(&b, "DNS=", &resolv->nameservers);
	append_words(&b, "Domains=", &resolv->search);
	return buffer_take_string(&b);
}

/* systemd-system.conf(5): the values are quoted, and % begins a specifier. */
char *etc_services_text(const struct strv *env)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, TEXT_MAX);
	if (env->count == 0)
		return NULL;
	buffer_append_string(&b, "# holm machine set proxy=; written by holm.\n[Manager]\nDefaultEnvironment=");
	for (size_t i = 0; i < env->count; i++) {
		buffer_append_string(&b, i ? " \"" : "\"");
		for (const char *c = env->items[i]; *c; c++) {
			if (*c == '%' || *c == '"' || *c == '\\')
				buffer_append(&b, *c == '%' ? "%" : "\\", 1);
			if ((unsigned char)*c >= ' ')
				buffer_append(&b, c, 1);
		}
		buffer_append_string(&b, "\"");
	}
	buffer_append_string(&b, "\n");
	return buffer_take_string(&b);
}

int etc_write_machine_id(int root, const char *id, struct error **err)
{
	AUTOFREE char *old = NULL;
	AUTOFREE char *text = xasprintf("%s\n", id);
	int r = rootfs_read(root, "/etc/machine-id", &old);
	if (r < 0 && r != -ENOENT)
		return 0; /* not a regular file: leave it as it is */
	if (r >= 0 && strcspn(old, "\n") == 32)
		return 0;
	return rootfs_write(root, "/etc/machine-id", 0444, text, err);
}

/* The zone that /etc/localtime leads to, owned; NULL: it is no such link. */
static char *zone_inside(int root)
{
	char target[4096];
	AUTO_FD int etc = path_open_in_root(root, "/etc", O_PATH | O_DIRECTORY, 0);
	ssize_t n = etc < 0 ? -1 : readlinkat(etc, "localtime", target, sizeof target - 1);
	target[MAX(n, (ssize_t)0)] = '\0';
	const char *zones = strstr(target, ZONES);
	return zones ? xstrdup(zones + strlen(ZONES)) : NULL;
}

int etc_write_timezone(int root, const char *zone, struct error **err)
{
	AUTOFREE char *inside = xasprintf(ZONES "%s", zone);
	AUTOFREE char *now = zone_inside(root), *last = read_line(root, LAST_TIMEZONE);
	if (!timezone_is_valid(zone) || !rootfs_exists(root, inside) || is_changed(now, last, zone))
		return 0;
	int r = rootfs_symlink(root, "/etc/localtime", inside, err);
	if (r >= 0 && rootfs_exists(root, "/etc/timezone"))
		r = write_line(root, "/etc/timezone", zone, err);
	return r < 0 ? r : write_line(root, LAST_TIMEZONE, zone, err);
}

void etc_forget(int root)
{
	AUTO_FD int directory = path_open_in_root(root, "/var/lib/holm", O_PATH | O_DIRECTORY, 0);
	if (directory >= 0)
		unlinkat(directory, path_base(LAST_HOSTNAME), 0);
}

int etc_apply(int root, const struct boot_request *b, int first_boot, struct error **err)
{
	int r;
	AUTOFREE char *hostname = etc_hostname(root, b->hostname);
	if ((r = etc_write_hostname(root, b->hostname, err)) < 0 ||
	    (r = etc_write_hosts(root, hostname, b->host_access ? b->network.host : NULL, err)) < 0 ||
	    (r = etc_write_resolv(root, &b->resolv, first_boot, err)) < 0 ||
	    (r = etc_write_machine_id(root, b->id, err)) < 0)
		return r;
	return b->timezone ? etc_write_timezone(root, b->timezone, err) : 0;
}
