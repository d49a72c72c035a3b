/* SPDX-License-Identifier: Apache-2.0
 * See container_io.h. Clients name a disk by its node. A machine without a VM has no nodes of
 * disks, and root in a machine could make others, so the number is that of the kernel's disk of
 * this name (sysfs). */
#include "agent/engine/container_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/container_cgroup.h"
#include "base/alloc.h"
#include "base/path.h"

#define DISKS "/sys/class/block"

enum { NUMBER_MAX = 64 };

/* "MAJOR:MINOR" of /dev/NAME; owned. NULL: there is no such disk. */
static char *number_of(const char *path)
{
	const char *name = startswith(path, "/dev/");
	char *text = NULL;
	if (!name || !*name || *name == '.' || strchr(name, '/'))
		return NULL;
	AUTOFREE char *folder = path_join(DISKS, name), *file = path_join(folder, "dev");
	if (path_read_file(file, NUMBER_MAX, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static int limit_one(const struct container *c, const struct docker_device_limit *l, struct error **err)
{
	AUTOFREE char *number = number_of(l->path);
	if (!number)
		return error_set(err, EINVAL, "cannot limit the container: stat %.256s: no such disk", l->path);
	AUTOFREE char *text = l->rate ? xasprintf("%s %s=%llu", number, l->word, (unsigned long long)l->rate) :
					xasprintf("%s %s=max", number, l->word);
	int r = container_cgroup_write(c, "io.max", text);
	return r == -ENODEV ?
		   error_set(err, EINVAL,
		       "cannot limit the container: %.256s is no whole disk; name the disk that it is on", l->path) :
	       r < 0 ? error_set_errno(err, r, "cannot limit the container: io.max \"%s\"", text) :
		       0;
}

int container_io_limit(const struct container *c, const struct docker_limits *l, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && c->engine->limits & DOCKER_LIMIT_IO && i < l->device_count; i++)
		r = limit_one(c, &l->devices[i], err);
	return r;
}
