/* SPDX-License-Identifier: Apache-2.0
 * QEMU speaks with the guest, which may find a flaw in it. So it can open what it needs and nothing
 * else of the user's: its disk to read and write; the disks below that one, and what boots, to
 * read; the host's programs and their data and settings. The rest comes by descriptor: sockets, and
 * everything that is attached while it runs. */
#include "isolation/vm/qemu_rules.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "disk/qcow2.h"
#include "isolation/find.h"
#include "isolation/vm/landlock.h"

/* The folders in which distributions have programs, libraries and QEMU's firmware. */
static const char *const programs[] = { "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store",
	"/opt" };
/* The host's settings, and what it says about itself. Of other processes Landlock hides what
 * ptrace(2) would show. */
static const char *const settings[] = { "/etc", "/proc", "/sys" };
static const char *const devices[] = { "/dev/kvm", "/dev/vhost-vsock", "/dev/null", "/dev/zero", "/dev/random",
	"/dev/urandom" };

struct rules {
	int fd, result;
	struct error **err;
};

static void allow(struct rules *r, const char *path, enum landlock_use use)
{
	if (r->result >= 0 && path)
		r->result = landlock_allow(r->fd, path, use, r->err);
}

static void allow_all(struct rules *r, const char *const *paths, size_t count, enum landlock_use use)
{
	for (size_t i = 0; i < count; i++)
		allow(r, paths[i], use);
}

static int allow_backing(const char *backing, const char *format, void *data)
{
	struct rules *r = data;
	allow(r, backing, LANDLOCK_READ);
	return r->result;
}

/* QEMU's user network asks the host's name servers; resolv.conf is often a link to elsewhere. */
static void allow_names(struct rules *r, const struct qemu_plan *p)
{
	AUTOFREE char *real = p->network == VM_NETWORK_USER ? realpath("/etc/resolv.conf", NULL) : NULL;
	AUTOFREE char *folder = real && !path_is_below(real, "/etc") ? path_parent(real) : NULL;
	allow(r, folder, LANDLOCK_READ);
}

static int is_among_programs(const char *program)
{
	AUTOFREE char *found = isolation_find_program(program), *real = found ? realpath(found, NULL) : NULL;
	for (size_t i = 0; real && i < ARRAY_SIZE(programs); i++)
		if (path_is_below(real, programs[i]))
			return 1;
	return 0;
}

int qemu_rules(const struct qemu_plan *p, struct error **err)
{
	struct rules r = { .err = err };
	if (!is_among_programs(p->program))
		return error_set(err, EOPNOTSUPP, "%s lies outside of the host's folders for programs", p->program);
	AUTO_FD int fd = r.fd = landlock_new(p->network == VM_NETWORK_USER, err);
	if (fd < 0)
		return fd;
	allow_all(&r, programs, ARRAY_SIZE(programs), LANDLOCK_PROGRAMS);
	allow_all(&r, settings, ARRAY_SIZE(settings), LANDLOCK_READ);
	allow_all(&r, devices, ARRAY_SIZE(devices), LANDLOCK_WRITE);
	allow_names(&r, p);
	allow(&r, p->kernel, LANDLOCK_READ);
	allow(&r, p->initramfs, LANDLOCK_READ);
	allow(&r, p->modules, LANDLOCK_READ);
	allow(&r, p->disk, LANDLOCK_WRITE);
	if (r.result >= 0)
		r.result = qcow2_walk_chain(p->disk, allow_backing, &r, err);
	return r.result < 0 ? r.result : TAKE_FD(fd);
}
