/* SPDX-License-Identifier: Apache-2.0
 * pivot_root(2) is refused while the root is the initial ramfs, and crun uses it. Nothing is copied
 * to get away from it: the ramfs is bound onto a directory of its own and that mount is moved over
 * "/", which makes the root an ordinary mount of the same files. */
#include "agent/platform/vm/early.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/cgroup.h"
#include "agent/platform/vm/modules.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/strv.h"

struct early_mount {
	const char *type, *target;
	unsigned long flags;
	const char *data;
};

static const struct early_mount mounts[] = {
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755" },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666,gid=5" },
	{ "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "memory_recursiveprot" },
};

static int change_root(void)
{
	mkdir("/newroot", 0755);
	if (mount("/", "/newroot", NULL, MS_BIND, NULL) < 0 || chdir("/newroot") < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int mount_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		const struct early_mount *m = &mounts[i];
		mkdir(m->target, 0755);
		/* devtmpfs may have been mounted by the kernel itself. */
		if (mount(m->type, m->target, m->type, m->flags, m->data) < 0 && errno != EBUSY) {
			int r = -errno;
			log_error("cannot mount %s: %s", m->target, strerror(-r));
			return r;
		}
	}
	return 0;
}

/* The agent writes its log to the kernel's, which the console carries to the host. */
static void open_log(void)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		log_set_kmsg(fd);
}

char *early_option(const char *key)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv words = { 0 };
	if (path_read_file("/proc/cmdline", 64 * 1024, &text, NULL) < 0)
		return NULL;
	strv_split(&words, text, " \n");
	const char *value = strv_getenv(&words, key);
	return xstrdup(value);
}

int early_prepare(void)
{
	fd_fix_standard();
	log_set_program("holm-agent");
	int r = change_root();
	if (r < 0)
		log_error("cannot leave the initial ramfs: %s", strerror(-r));
	int mounted = mount_all();
	open_log();
	AUTOFREE char *transport = early_option("holm.transport");
	int loaded = modules_load_list("/lib/holm/modules.list");
	if (streq(transport, "vsock"))
		modules_load_list("/lib/holm/modules-vsock.list");
	int nodes = modules_make_nodes("/lib/holm/modules.devname");
	if (nodes < 0)
		log_warning("not every device node could be made: %s", strerror(-nodes));
	/* The kernel runs /sbin/modprobe: this program, under that name. */
	mkdir("/sbin", 0755);
	if (symlink("/init", "/sbin/modprobe") < 0 && errno != EEXIST)
		log_warning("kernel modules will not be loaded on demand: %s", strerror(errno));
	cgroup_enable_controllers();
	path_mkdir_all(AGENT_RUN, 0700, NULL);
	return r < 0 ? r : mounted < 0 ? mounted : loaded == -ENOENT ? 0 : loaded;
}
