/* SPDX-License-Identifier: Apache-2.0
 * glibc has a locale as a directory of /usr/lib/locale, or as a name in the hash table of
 * /usr/lib/locale/locale-archive (glibc, locale/locarchive.h). Other C libraries take any name, and
 * their images have no C.UTF-8 there. */
#include "agent/session/locale.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/fd.h"

#define LOCALES "/usr/lib/locale"

enum { NAME_MAX_LENGTH = 64, ARCHIVE_MAGIC = 0xde020109, PROBES_MAX = 64 };

struct archive_head {
	uint32_t magic, serial, hash_offset, hash_used, hash_size;
};

struct archive_entry {
	uint32_t hash, name_offset, record_offset;
};

/* en_US.UTF-8 is en_US.utf8 on disk. */
static char *normalized(const char *name)
{
	size_t before = strcspn(name, ".@"), codeset = name[before] == '.' ? strcspn(name + before, "@") : 0;
	AUTOFREE char *text = xstrdup(name);
	size_t at = before;
	for (size_t i = before; i < before + codeset; i++)
		if (name[i] == '.' || isalnum((unsigned char)name[i]))
			text[at++] = (char)tolower((unsigned char)name[i]);
	text[at] = '\0';
	return xasprintf("%s%s", text, name + before + codeset);
}

static uint32_t archive_hash(const char *name)
{
	uint32_t hash = (uint32_t)strlen(name);
	for (; *name; name++) {
		hash = hash << 9 | hash >> 23;
		hash += (unsigned char)*name;
	}
	return hash ? hash : ~UINT32_C(0);
}

static int is_named(int fd, uint32_t offset, const char *name)
{
	char text[NAME_MAX_LENGTH + 1];
	size_t n = strlen(name) + 1;
	return pread(fd, text, n, offset) == (ssize_t)n && memcmp(text, name, n) == 0;
}

static int archive_has(int root, const char *name)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT };
	struct archive_head head;
	AUTO_FD int fd = (int)syscall(SYS_openat2, root, LOCALES "/locale-archive", &how, sizeof how);
	if (fd < 0 || pread(fd, &head, sizeof head, 0) != sizeof head || head.magic != ARCHIVE_MAGIC ||
	    head.hash_size < 3)
		return 0;
	uint32_t hash = archive_hash(name), at = hash % head.hash_size, step = 1 + hash % (head.hash_size - 2);
	for (int i = 0; i < PROBES_MAX; i++) {
		struct archive_entry e;
		off_t offset = head.hash_offset + (off_t)at * (off_t)sizeof e;
		if (pread(fd, &e, sizeof e, offset) != sizeof e || (e.hash == 0 && e.name_offset == 0))
			return 0;
		if (e.hash == hash && e.record_offset && is_named(fd, e.name_offset, name))
			return 1;
		at = (uint32_t)(((uint64_t)at + step) % head.hash_size);
	}
	return 0;
}

static int has_directory(int root, const char *name)
{
	AUTOFREE char *path = xasprintf(LOCALES "/%s", name);
	return rootfs_exists(root, path);
}

static int has_locale(int root, const char *name)
{
	static const char *const built_in[] = { "", "C", "POSIX", "C.UTF-8", "C.utf8" };
	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		if (streq(built_in[i], name))
			return 1;
	if (strlen(name) > NAME_MAX_LENGTH || strchr(name, '/'))
		return 0;
	AUTOFREE char *on_disk = normalized(name);
	return has_directory(root, on_disk) || has_directory(root, name) || archive_has(root, on_disk);
}

static int has_terminal(int root, const char *name)
{
	static const char *const places[] = { "/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo" };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTOFREE char *path = xasprintf("%s/%c/%s", places[i], *name, name);
		if (rootfs_exists(root, path))
			return 1;
	}
	return 0;
}

/* Puts the entry under its name, in place of an older one. 0 or -errno. */
static int bring_terminal(int root, const struct session_terminal *t)
{
	AUTOFREE char *folder = xasprintf(SESSION_TERMINFO "/%c", *t->name);
	AUTOFREE char *temporary = xasprintf(".%s.%d", t->name, (int)getpid());
	AUTO_FD int at = rootfs_mkdir(root, folder, 0755, NULL);
	if (at < 0)
		return at;
	AUTO_FD int fd = openat(at, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, t->entry, t->size);
	if (r == 0 && renameat(at, temporary, at, t->name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(at, temporary, 0);
	return r;
}

/* Whether holm's folder has the entry now, from this session or one before. */
static int has_brought(int root, const char *term, const struct session_terminal *t)
{
	AUTOFREE char *path = xasprintf(SESSION_TERMINFO "/%c/%s", *term, term);
	return (t && t->name && streq(t->name, term) && bring_terminal(root, t) == 0) || rootfs_exists(root, path);
}

static void fit_terminal(int root, const struct session_terminal *t, struct strv *env)
{
	static const char *const known = "xterm-256color";
	const char *term = strv_getenv(env, "TERM");
	if (!term || !isalnum((unsigned char)*term) || strchr(term, '/') || strlen(term) > NAME_MAX_LENGTH)
		return;
	if (has_terminal(root, term))
		return;
	if (has_brought(root, term, t))
		strv_setenv(env, "TERMINFO", SESSION_TERMINFO);
	else if (has_terminal(root, known))
		strv_setenv(env, "TERM", known);
}

void session_fit_locale(int root, const struct session_terminal *terminal, struct strv *env)
{
	int has_utf8 = -1; /* not known */
	fit_terminal(root, terminal, env);
	for (size_t i = 0; i < env->count; i++) {
		AUTOFREE char *key = xstrndup(env->items[i], strcspn(env->items[i], "="));
		const char *value = strv_getenv(env, key);
		if (!(streq(key, "LANG") || startswith(key, "LC_")) || !value || has_locale(root, value))
			continue;
		if (has_utf8 < 0)
			has_utf8 = has_directory(root, "C.utf8") || has_directory(root, "C.UTF-8");
		if (has_utf8)
			strv_setenv(env, key, "C.UTF-8");
	}
}
