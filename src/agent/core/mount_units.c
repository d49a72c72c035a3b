/* SPDX-License-Identifier: Apache-2.0
 * See mount_units.h. */
#include "agent/core/mount_units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/machine_run.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/path.h"

/* Without the default dependencies nothing takes the mount away at the end. */
static const char drop_in[] = "# The machine's own mount, which holm takes away.\n"
			      "[Unit]\n"
			      "DefaultDependencies=no\n";

enum { UNIT_NAME_MAX = 255, ESCAPED_MAX = 4 * 4096, MOUNT_POINT = 4, MOUNTINFO_MAX = 4 << 20 };

static int is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(":_.", c);
}

char *mount_units_name(const char *path)
{
	AUTO_BUFFER struct buffer b;
	const char *first = path + 1;
	buffer_init(&b, ESCAPED_MAX);
	for (const char *at = first; *at; at++) {
		if (*at == '/')
			buffer_append(&b, "-", 1);
		else if (is_plain(*at) && !(*at == '.' && at == first))
			buffer_append(&b, at, 1);
		else
			buffer_appendf(&b, "\\x%02x", (unsigned char)*at);
	}
	buffer_append_string(&b, ".mount");
	return buffer_take_string(&b);
}

static int leave(const char *path)
{
	AUTOFREE char *name = mount_units_name(path), *directory = xasprintf("systemd/system/%s.d", name);
	if (strlen(name) > UNIT_NAME_MAX - strlen(".d"))
		return 0; /* systemd has no unit of such a name either */
	AUTO_FD int place = machine_run_mkdir(directory, 0755, NULL);
	if (place < 0)
		return place;
	AUTO_FD int fd = openat(place, "holm.conf", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_full(fd, drop_in, sizeof drop_in - 1);
}

int mount_units_leave_share(const struct boot_share *s)
{
	int r = leave(s->inside);
	for (size_t i = 0; r >= 0 && i < s->private.count; i++) {
		AUTOFREE char *path = path_join(s->inside, s->private.items[i]);
		r = leave(path);
	}
	return r;
}

/* The path inside of a line's mount point (proc(5), mountinfo), owned; NULL: it is outside. */
static char *mount_inside(const char *line)
{
	AUTO_STRV struct strv words = { 0 };
	strv_split(&words, line, " ");
	const char *from = words.count > MOUNT_POINT ? startswith(words.items[MOUNT_POINT], AGENT_ROOT) : NULL;
	if (!from || *from != '/')
		return NULL;
	char *path = xstrdup(from), *to = path;
	for (; *from; from++) {
		unsigned code;
		int is_code = *from == '\\' && sscanf(from + 1, "%3o", &code) == 1;
		*to++ = is_code ? (char)code : *from;
		from += is_code ? 3 : 0;
	}
	*to = '\0';
	return path;
}

static int is_runtimes(const char *path)
{
	static const char *const below[] = { "/proc", "/sys", "/dev", "/tmp", "/run/lock" };
	for (size_t i = 0; i < ARRAY_SIZE(below); i++)
		if (path_is_below(path, below[i]))
			return 1;
	return path_is_below(path, "/run") && strlen(path) == strlen("/run");
}

int mount_units_leave_all(struct error **err)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *text = NULL;
	int r = path_read_file("/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);
	if (r >= 0)
		strv_split(&lines, text, "\n");
	for (size_t i = 0; r >= 0 && i < lines.count; i++) {
		AUTOFREE char *path = mount_inside(lines.items[i]);
		r = path && !is_runtimes(path) ? leave(path) : 0;
	}
	return r < 0 ? error_set_errno(err, r, "cannot tell systemd about the machine's mounts") : 0;
}
