/* SPDX-License-Identifier: Apache-2.0
 * finit_module(2) on files of the initial ramfs, and a small modprobe. The kernel runs that one
 * when something inside asks for a feature that is a module (a file system, a netfilter match): it
 * starts with the initial ramfs as its root and first goes to the root of PID 1, where the modules
 * disk is mounted. modules.dep and modules.alias are depmod(8)'s text files. */
#include "agent/platform/vm/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/module.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/strv.h"

enum { INDEX_MAX = 16 * 1024 * 1024, MODPROBE_MAX = 64, NAME_MAX_LENGTH = 256 };

static int load_file(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* "x.ko.xz": the kernel unpacks it (CONFIG_MODULE_DECOMPRESS). */
	unsigned flags = endswith(path, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;
	if (syscall(SYS_finit_module, fd, "", flags) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int modules_load_list(const char *list)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv files = { 0 };
	int result = path_read_file(list, 1 << 20, &text, NULL);
	if (result < 0)
		return result;
	strv_split(&files, text, "\n");
	for (size_t i = 0; i < files.count; i++) {
		int r = load_file(files.items[i]);
		if (r < 0) {
			log_error("cannot load the module %s: %s", files.items[i], strerror(-r));
			/* Hardware that is not there makes a driver fail with ENODEV; the rest
			 * still works. */
			if (r != -ENODEV && result == 0)
				result = r;
		}
	}
	return result;
}

/* Everyone may open these two: their drivers check what is done with them. */
static mode_t node_mode(const char *name)
{
	return streq(name, "fuse") || streq(name, "net/tun") ? 0666 : 0600;
}

static int make_node(const char *name, char type, unsigned major_number, unsigned minor_number)
{
	AUTOFREE char *path = path_join("/dev", name);
	AUTOFREE char *parent = path_parent(path);
	mode_t mode = node_mode(name);
	mkdir(parent, 0755);
	if (mknod(path, mode | (type == 'b' ? S_IFBLK : S_IFCHR), makedev(major_number, minor_number)) < 0 &&
	    errno != EEXIST)
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;
}

int modules_make_nodes(const char *list)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	int result = path_read_file(list, 1 << 20, &text, NULL);
	if (result < 0)
		return result;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		char name[128], type;
		unsigned major_number, minor_number;
		if (*lines.items[i] == '#' ||
		    sscanf(lines.items[i], "%*s %127s %c%u:%u", name, &type, &major_number, &minor_number) != 4)
			continue;
		int r = make_node(name, type, major_number, minor_number);
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

/* "virtio-rng" and "virtio_rng" are one name. */
static void canonical(char *name)
{
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
}

/* Whether the module file of this path has this canonical name. */
static int file_has_name(const char *path, const char *name)
{
	char base[NAME_MAX_LENGTH];
	const char *from = path_base(path);
	size_t n = strcspn(from, ".");
	if (n >= sizeof base)
		return 0;
	memcpy(base, from, n);
	base[n] = '\0';
	canonical(base);
	return streq(base, name);
}

/* Loads the module of this name and first what it needs (modules.dep lists that backwards): 1 when
 * there is such a module. */
static int load_name(const char *directory, const char *dep, const char *name)
{
	for (const char *line = dep; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		AUTOFREE char *copy = xstrndup(line, strcspn(line, "\n"));
		char *colon = strchr(copy, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (!file_has_name(copy, name))
			continue;
		AUTO_STRV struct strv files = { 0 };
		strv_add(&files, copy);
		strv_split(&files, colon + 1, " ");
		for (size_t i = files.count; i-- > 0;) {
			AUTOFREE char *path = path_join(directory, files.items[i]);
			load_file(path);
		}
		return 1;
	}
	return 0;
}

/* "alias PATTERN MODULE" lines: loads every module whose pattern matches; how many. */
static int load_aliases(const char *directory, const char *dep, const char *aliases, const char *wanted)
{
	int count = 0;
	for (const char *line = aliases; *line && count < MODPROBE_MAX;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		char pattern[NAME_MAX_LENGTH], module[NAME_MAX_LENGTH];
		if (sscanf(line, "alias %255s %255s", pattern, module) != 2)
			continue;
		canonical(pattern);
		canonical(module);
		if (fnmatch(pattern, wanted, 0) == 0)
			count += load_name(directory, dep, module);
	}
	return count;
}

/* The folder with modules.dep for the running kernel, owned; NULL: no modules disk. */
static char *modules_directory(void)
{
	struct utsname u;
	uname(&u);
	AUTOFREE char *below = path_join(AGENT_MODULES, u.release);
	const char *places[] = { AGENT_MODULES, below };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTOFREE char *dep = path_join(places[i], "modules.dep");
		if (path_exists(dep))
			return xstrdup(places[i]);
	}
	return NULL;
}

static void enter_root_of_init(void)
{
	AUTO_FD int init = (int)syscall(SYS_pidfd_open, 1, 0);
	if (init >= 0)
		setns(init, CLONE_NEWNS);
}

int modprobe_main(int argc, char **argv)
{
	if (argc < 2 || strlen(argv[argc - 1]) >= NAME_MAX_LENGTH)
		return 1;
	enter_root_of_init();
	return modules_load(argv[argc - 1]) < 0;
}

int modules_load(const char *wanted)
{
	AUTOFREE char *name = xstrdup(wanted);
	canonical(name);
	AUTOFREE char *directory = modules_directory();
	if (!directory)
		return -ENOENT;
	AUTOFREE char *dep_path = path_join(directory, "modules.dep");
	AUTOFREE char *alias_path = path_join(directory, "modules.alias");
	AUTOFREE char *dep = NULL;
	AUTOFREE char *aliases = NULL;
	int r = path_read_file(dep_path, INDEX_MAX, &dep, NULL);
	if (r < 0 || load_name(directory, dep, name))
		return r;
	r = path_read_file(alias_path, INDEX_MAX, &aliases, NULL);
	if (r < 0)
		return r;
	return load_aliases(directory, dep, aliases, name) ? 0 : -ENOENT;
}
