/* SPDX-License-Identifier: Apache-2.0
 * Settings of a machine as people write them: `set KEY=VALUE` by a table of keys, and mounts.
 * Everything is checked before anything is changed. */
#include "machine/machine.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

enum { MOUNTS_MAX = 64, ENV_MAX = 1024, ENV_VALUE_MAX = 128 * 1024 };
#define MIB (UINT64_C(1) << 20)

static int set_cpus(struct machine *m, const char *value, struct error **err)
{
	uint64_t n = 0;
	if (*value && (parse_u64(value, &n) < 0 || n < 1 || n > MACHINE_CPUS_MAX))
		return error_set(err, EINVAL, "cpus=%.40s: give a number from 1 to %d", value, MACHINE_CPUS_MAX);
	m->cpus = n;
	return 0;
}

static int parse_bounded_size(const char *key, const char *value, uint64_t least, uint64_t most, uint64_t *ret,
    struct error **err)
{
	uint64_t n = 0;
	int r = *value ? parse_size(value, 1, &n) : 0;
	if (r < 0)
		return error_set(err, EINVAL, "%s=%.40s: give a size such as 512M or 2G", key, value);
	if (*value && (n < least || n > most)) {
		AUTOFREE char *from = format_size(least), *to = format_size(most);
		return error_set(err, EINVAL,
		    "%s=%.40s: give a size from %s to %s, such as 2G (a bare number is bytes)", key, value, from, to);
	}
	*ret = n;
	return 0;
}

static int set_memory(struct machine *m, const char *value, struct error **err)
{
	uint64_t n;
	int r = parse_bounded_size("memory", value, MACHINE_MEMORY_MIN, MACHINE_MEMORY_MAX, &n, err);
	if (r == 0)
		m->memory = (n + MIB - 1) / MIB * MIB;
	return r;
}

static int set_disk_size(struct machine *m, const char *value, struct error **err)
{
	uint64_t n;
	int r = parse_bounded_size("disk-size", value, MACHINE_DISK_MIN, MACHINE_DISK_MAX, &n, err);
	if (r == 0)
		m->disk_size = (n + MIB - 1) / MIB * MIB;
	return r;
}

/* The place of value among words (empty: 0, the default) into *ret. */
static int choose(const char *key, const char *const *words, const char *value, int *ret, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	int at = 0;
	for (; *value && words[at]; at++) {
		if (streq(words[at], value))
			break;
		strv_add(&all, words[at]);
	}
	if (*value && !words[at]) {
		AUTOFREE char *list = strv_join(&all, ", ");
		return error_set(err, EINVAL, "%s=%.40s: choose one of %s", key, value, list);
	}
	*ret = at;
	return 0;
}

static int set_home_mount(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("home-mount", machine_home_words, value, &at, err);
	if (r < 0)
		return r;
	m->home_mount = at;
	/* A machine that is kept from the home is kept from the host's ports, too. */
	m->auto_ports = m->auto_ports && at == MACHINE_HOME_RW;
	return 0;
}

static int set_isolation(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("isolation", machine_isolation_words, value, &at, err);
	if (r == 0)
		m->isolation = at;
	return r;
}

static int set_init(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("init", machine_init_words, value, &at, err);
	if (r == 0)
		m->init = at;
	return r;
}

static int set_ca(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("ca", machine_ca_words, value, &at, err);
	if (r == 0)
		m->ca = at;
	return r;
}

static int set_wait(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("wait", machine_wait_words, value, &at, err);
	if (r == 0)
		m->wait = at;
	return r;
}

static int set_autostart(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("autostart", machine_autostart_words, value, &at, err);
	if (r == 0)
		m->autostart = at;
	return r;
}

static int set_auto_ports(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("auto-ports", machine_auto_ports_words, value, &at, err);
	if (r == 0)
		m->auto_ports = *value ? at : m->home_mount == MACHINE_HOME_RW;
	return r;
}

static int set_transport(struct machine *m, const char *value, struct error **err)
{
	int at, r = choose("transport", machine_transport_words, value, &at, err);
	if (r < 0)
		return r;
	free(m->transport);
	m->transport = at == 0 ? NULL : xstrdup(machine_transport_words[at]);
	return 0;
}

static int set_proxy(struct machine *m, const char *value, struct error **err)
{
	int own = *value && !streq(value, "host"), r = own ? machine_proxy_check(value, err) : 0;
	if (r < 0)
		return r;
	free(m->proxy);
	m->proxy = own ? xstrdup(value) : NULL;
	return 0;
}

static int set_pids(struct machine *m, const char *value, struct error **err)
{
	uint64_t n = 0;
	if (*value && (parse_u64(value, &n) < 0 || n < MACHINE_PIDS_MIN || n > MACHINE_PIDS_MAX))
		return error_set(err, EINVAL, "pids=%.40s: give a number from %d to %llu", value, MACHINE_PIDS_MIN,
		    (unsigned long long)MACHINE_PIDS_MAX);
	m->pids = n;
	return 0;
}

static int set_flag(int *place, const char *key, const char *value, struct error **err)
{
	int on = 0;
	if (*value && parse_bool(value, &on) < 0)
		return error_set(err, EINVAL, "%s=%.40s: give true or false", key, value);
	*place = on;
	return 0;
}

static int set_socketcall(struct machine *m, const char *value, struct error **err)
{
	return set_flag(&m->socketcall, "socketcall", value, err);
}

static int set_host_access(struct machine *m, const char *value, struct error **err)
{
	return set_flag(&m->host_access, "host-access", value, err);
}

/* An existing file or directory, kept as an absolute path. */
static int set_path(char **place, const char *key, const char *value, int directory, struct error **err)
{
	AUTOFREE char *path = NULL;
	struct stat st;
	if (*value) {
		path = realpath(value, NULL);
		if (!path || stat(path, &st) < 0)
			return error_set_errno(err, errno, "%s=%.200s", key, value);
		if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
			return error_set(err, EINVAL, "%s=%.200s: not a %s", key, value,
			    directory ? "directory" : "file");
		if (access(path, R_OK) < 0)
			return error_set_errno(err, errno, "%s=%.200s", key, value);
	}
	free(*place);
	*place = TAKE_PTR(path);
	return 0;
}

/* Returns whether a file begins as a kernel that QEMU boots: 0, -EINVAL or -errno. */
static int check_kernel(const char *path)
{
	static const struct {
		size_t at, size;
		const char *bytes;
	} signs[] = {
		{ 0x202, 4, "HdrS" },   /* x86: Linux's boot protocol, bzImage */
		{ 0, 4, "\177ELF" },    /* vmlinux, by PVH */
		{ 0x38, 4, "ARM\x64" }, /* arm64: Documentation/arch/arm64/booting.rst */
		{ 0, 8, "MZ\0\0zimg" }, /* arm64: compressed, for EFI */
		{ 0, 2, "\037\213" },   /* arm64: Image.gz */
	};
	char head[0x206] = { 0 };
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_full(fd, head, sizeof head) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (memcmp(head + signs[i].at, signs[i].bytes, signs[i].size) == 0)
			return 0;
	return -EINVAL;
}

static int set_kernel(struct machine *m, const char *value, struct error **err)
{
	AUTOFREE char *path = NULL;
	int r = set_path(&path, "kernel", value, 0, err);
	if (r == 0 && path && (r = check_kernel(path)) < 0)
		r = r == -EINVAL ? error_set(err, EINVAL,
				       "kernel=%.200s: not a Linux kernel; give the file that a boot loader starts, "
				       "such as /boot/vmlinuz-VERSION",
				       value) :
				   error_set_errno(err, r, "kernel=%.200s", value);
	if (r < 0)
		return r;
	free(m->kernel);
	m->kernel = TAKE_PTR(path);
	return 0;
}

static int set_kernel_modules(struct machine *m, const char *value, struct error **err)
{
	AUTOFREE char *path = NULL;
	int r = set_path(&path, "kernel-modules", value, 1, err);
	AUTOFREE char *list = r == 0 && path ? path_join(path, "modules.dep") : NULL;
	if (list && !path_exists(list))
		r = error_set(err, ENOENT,
		    "kernel-modules=%.200s: it has no modules.dep; give a folder such as /lib/modules/VERSION, in "
		    "which "
		    "depmod(8) makes one",
		    value);
	if (r < 0)
		return r;
	free(m->kernel_modules);
	m->kernel_modules = TAKE_PTR(path);
	return 0;
}

static int set_user(struct machine *m, const char *value, struct error **err)
{
	int r = *value ? machine_user_check(value, err) : 0;
	if (r == 0 && m->uid != 0 && streq(value, "root"))
		r = error_set(err, EINVAL,
		    "user=root: the machine's user has your id inside, and root is another user; type \"holm machine "
		    "run "
		    "--root\" for root's commands");
	if (r < 0)
		return r;
	free(m->user);
	if (*value) {
		m->user = xstrdup(value);
	} else {
		AUTO_MACHINE struct machine *fresh = machine_new(m->name);
		m->user = TAKE_PTR(fresh->user);
	}
	return 0;
}

static int set_env(struct machine *m, const char *name, const char *value, struct error **err)
{
	size_t n = strlen(name);
	int good = n > 0 && n <= 255 && !isdigit((unsigned char)name[0]);
	for (size_t i = 0; good && i < n; i++)
		good = isalnum((unsigned char)name[i]) || name[i] == '_';
	if (!good)
		return error_set(err, EINVAL, "env.%.80s: use letters, digits and _ in a variable's name", name);
	if (strlen(value) > ENV_VALUE_MAX || (*value && m->env.count >= ENV_MAX))
		return error_set(err, E2BIG, "env.%.80s: too much environment", name);
	strv_setenv(&m->env, name, *value ? value : NULL);
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct machine *m, const char *value, struct error **err);
} setters[] = {
	{ "cpus", set_cpus },
	{ "memory", set_memory },
	{ "disk-size", set_disk_size },
	{ "home-mount", set_home_mount },
	{ "home-private", machine_home_private_set },
	{ "isolation", set_isolation },
	{ "kernel", set_kernel },
	{ "kernel-modules", set_kernel_modules },
	{ "user", set_user },
	{ "init", set_init },
	{ "wait", set_wait },
	{ "autostart", set_autostart },
	{ "auto-ports", set_auto_ports },
	{ "host-access", set_host_access },
	{ "proxy", set_proxy },
	{ "pids", set_pids },
	{ "socketcall", set_socketcall },
	{ "ca", set_ca },
	{ "transport", set_transport },
	{ "publish", machine_publish_set },
};

static const char *const flag_words[] = { "true", "false", NULL }, *const proxy_words[] = { "host", "none", NULL },
			 *const none_words[] = { "none", NULL };

const struct machine_key machine_keys[] = {
	{ "cpus", "number of processors, to which a native machine is bound; default half the host's, in native "
		  "isolation all "
		  "of them" },
	{ "memory",
	    "size of memory, such as 2G; for a native machine a limit, which needs the memory controller of cgroups "
	    "to be delegated; default half the host's" },
	{ "disk-size", "the disk grows on demand up to this; it can only be made larger; default 100G" },
	{ "home-mount", "your home inside: rw, ro or none; default rw", machine_home_words },
	{ "home-private",
	    "paths in the home that are the machine's own, with commas between them, or none; default "
	    ".local/share/containers, .config/systemd and others, see holm-shares(7)",
	    none_words },
	{ "isolation",
	    "what separates it from the host: vm or native moves the disk of a stopped machine there, auto "
	    "leaves it as it is; default auto",
	    machine_isolation_words },
	{ "kernel", "file of another kernel; default the one that comes with holm" },
	{ "kernel-modules", "directory of that kernel's modules" },
	{ "user", "name of the user inside; default your own" },
	{ "init",
	    "which init boots: the image's (image), holm's minimal one (holm), the image's if it has one "
	    "(auto), or one that the next start installs from the distribution's packages (install); default auto",
	    machine_init_words },
	{ "wait",
	    "when a session of a machine that boots begins: session (as soon as commands can run) or init (once "
	    "its init says that booting is done); default session",
	    machine_wait_words },
	{ "autostart",
	    "on: holm-autostart.service of systemd's user manager starts the machine at your login; off; "
	    "default off",
	    machine_autostart_words },
	{ "auto-ports",
	    "on: a TCP port that begins to listen inside opens on the host under the same number, at the "
	    "machine's own address and, if it is free there, at localhost; off; default on where home-mount is rw, "
	    "else off; home-mount=ro and home-mount=none turn it off",
	    machine_auto_ports_words },
	{ "share-cache",
	    "virtual machines: how soon a change of the host's in the home is seen inside: auto (1 s), "
	    "strict (0.1 s) or writeback (files that only the machine changes); default auto",
	    machine_share_cache_words },
	{ "share-locks",
	    "virtual machines: where locks on files in shares hold, guest (inside) or host (on both "
	    "sides); default guest",
	    machine_share_locks_words },
	{ "share-events",
	    "virtual machines: whether inotify inside tells what the host changes in shares, on or off; default on",
	    machine_share_events_words },
	{ "owner-map",
	    "virtual machines: whose your files in shares are inside: user (the machine's user), root, or record (like "
	    "user, and owners and modes that are set inside are kept beside the file); default user",
	    machine_owner_map_words },
	{ "host-access", "true: the host's loopback is host.holm.internal inside; default false", flag_words },
	{ "proxy",
	    "the proxy of sessions and services: host (sessions have the caller's variables, services those of the "
	    "host's /etc/environment), none, or a URL such as http://proxy.example:3128; default host",
	    proxy_words },
	{ "pids", "native machines: how many processes and threads there may be; default a third of what the host can "
		  "have" },
	{ "socketcall",
	    "native machines: true lets 32-bit programs open sockets by socketcall(2), those of the host's "
	    "hypervisor too; see holm-security(7); default false",
	    flag_words },
	{ "ca",
	    "certificate authorities that the machine trusts besides its image's: host (those that the host's "
	    "administrator "
	    "has added) or none; default host",
	    machine_ca_words },
	{ "publish", "ports inside that the host reaches, as create has them and with commas between them, such as "
		     "8080:80,53:53/udp; replaces all; "
		     "default none" },
	{ "transport", "how the keeper speaks to a virtual machine: serial or vsock; default serial",
	    machine_transport_words },
	{ "env.NAME", "a variable for every session" },
	{ NULL, NULL },
};

/* The key as the tables have it: inspect and machine.json write _ for -. Owned. */
static char *dashed(const char *key)
{
	char *copy = xstrdup(key);
	for (char *p = copy; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return copy;
}

int machine_set(struct machine *m, const char *name, const char *value, struct error **err)
{
	AUTOFREE char *key = dashed(name);
	uint64_t disk = machine_disk_size(m), disk_setting = m->disk_size;
	const char *variable = startswith(name, "env.");
	if (variable)
		return set_env(m, variable, value, err);
	for (size_t i = 0; i < ARRAY_SIZE(setters); i++) {
		if (!streq(setters[i].key, key))
			continue;
		int r = setters[i].set(m, value, err);
		/* A machine that exists has a file system of that size inside; a new one has no
		 * disk yet. */
		if (r == 0 && m->image_disk && machine_disk_size(m) < disk) {
			m->disk_size = disk_setting;
			AUTOFREE char *now = format_size(disk);
			return error_set(err, EINVAL, "disk-size=%.40s: the disk has %s and can only be made larger",
			    value, now);
		}
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(machine_share_keys); i++)
		if (streq(machine_share_keys[i].key, key))
			return choose(key, machine_share_keys[i].words, value, &m->share_choices[i], err);
	AUTO_STRV struct strv keys = { 0 };
	for (const struct machine_key *k = machine_keys; k->key; k++)
		strv_add(&keys, k->key);
	AUTOFREE char *list = strv_join(&keys, " ");
	return error_set(err, EINVAL, "no setting \"%.80s\"; there are: %s", name, list);
}

/* ---- mounts ---- */

/* Places that belong to the machine itself: a directory of the host there would break its boot. */
static int inside_is_reserved(const char *inside)
{
	static const char *const reserved[] = { "/proc", "/sys", "/dev", "/run", "/etc", "/usr", "/bin", "/sbin",
		"/lib", "/lib64" };
	if (streq(inside, "/"))
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (streq(inside, reserved[i]))
			return 1;
	return path_is_below(inside, "/proc") || path_is_below(inside, "/sys") || path_is_below(inside, "/dev");
}

/* The parts of a mount as they were written. */
struct mount_words {
	char *host, *inside; /* inside may be NULL: the same place */
	int read_only;
};

static void mount_words_done(struct mount_words *w)
{
	free(w->host);
	free(w->inside);
}

/* HOST[:INSIDE[:ro]] */
static int split_colons(const char *text, struct mount_words *ret)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, text, ":");
	const char *mode = parts.count == 3 ? parts.items[2] : "rw";
	if (parts.count < 1 || parts.count > 3 || text[0] == ':' || endswith(text, ":") || strstr(text, "::") ||
	    (!streq(mode, "ro") && !streq(mode, "rw")))
		return -EINVAL;
	ret->host = xstrdup(parts.items[0]);
	ret->inside = parts.count > 1 ? xstrdup(parts.items[1]) : NULL;
	ret->read_only = streq(mode, "ro");
	return 0;
}

static int take_word(char **place, const char *value)
{
	if (*place || !*value)
		return -EINVAL;
	*place = xstrdup(value);
	return 0;
}

static int take_pair(const char *key, const char *value, struct mount_words *ret)
{
	static const char *const host[] = { "source", "src" }, *const inside[] = { "target", "destination", "dst" };
	if (streq(key, "type"))
		return streq(value, "bind") ? 0 : -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(host); i++)
		if (streq(key, host[i]))
			return take_word(&ret->host, value);
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
		if (streq(key, inside[i]))
			return take_word(&ret->inside, value);
	if (streq(key, "readonly") || streq(key, "ro"))
		return *value ? parse_bool(value, &ret->read_only) : (ret->read_only = 1, 0);
	return -EINVAL;
}

/* type=bind,source=HOST[,target=INSIDE][,readonly], as Docker has it: for paths with a colon. */
static int split_pairs(const char *text, struct mount_words *ret)
{
	AUTO_STRV struct strv pairs = { 0 };
	int r = 0;
	strv_split(&pairs, text, ",");
	for (size_t i = 0; r == 0 && i < pairs.count; i++) {
		const char *equals = strchr(pairs.items[i], '=');
		AUTOFREE char *key = xstrndup(pairs.items[i], strcspn(pairs.items[i], "="));
		r = take_pair(key, equals ? equals + 1 : "", ret);
	}
	return r == 0 && !ret->host ? -EINVAL : r;
}

/* Whether text begins with a key of split_pairs(); type=bind may come later or not at all. */
static int is_pairs(const char *text)
{
	static const char *const keys[] = { "type=", "source=", "src=", "target=", "destination=", "dst=" };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (startswith(text, keys[i]))
			return 1;
	return 0;
}

int machine_mount_parse(const char *text, struct machine_mount *ret, struct error **err)
{
	CLEANUP(mount_words_done) struct mount_words words = { 0 };
	int pairs = is_pairs(text);
	if ((pairs ? split_pairs(text, &words) : split_colons(text, &words)) < 0)
		return error_set(err, EINVAL, "mount \"%.200s\": write %s", text,
		    pairs ? "type=bind,source=HOST[,target=INSIDE][,readonly]" : "HOST[:INSIDE[:ro]]");
	AUTOFREE char *directory = getcwd(NULL, 0), *joined = path_join(directory ? directory : "/", words.host);
	AUTOFREE char *host = path_normalize(joined);
	if (!host)
		return error_set(err, EINVAL, "mount \"%.200s\": the current directory is gone", text);
	AUTOFREE char *inside = words.inside ? path_normalize(words.inside) : xstrdup(host);
	if (!inside)
		return error_set(err, EINVAL, "mount \"%.200s\": the place inside must be an absolute path", text);
	if (!path_is_mount_place(inside))
		return error_set(err, EINVAL,
		    "mount \"%.200s\": the place inside cannot have a colon or a newline; write "
		    "type=bind,source=HOST,target=INSIDE with another place",
		    text);
	if (inside_is_reserved(inside))
		return error_set(err, EINVAL,
		    "mount \"%.200s\": \"%s\" inside belongs to the machine; choose another place", text, inside);
	*ret =
	    (struct machine_mount){ .host = TAKE_PTR(host), .inside = TAKE_PTR(inside), .read_only = words.read_only };
	return 0;
}

int machine_mount_check(const struct machine_mount *mount, struct error **err)
{
	AUTOFREE char *host = path_normalize(mount->host), *inside = path_normalize(mount->inside);
	if (!streq(host, mount->host) || !streq(inside, mount->inside))
		return error_set(err, EINVAL, "mount \"%.200s:%.200s\": write absolute paths without . and ..",
		    mount->host, mount->inside);
	if (inside_is_reserved(inside))
		return error_set(err, EINVAL, "mount \"%.200s\": \"%.200s\" inside belongs to the machine", host,
		    inside);
	return 0;
}

char *machine_mount_format(const struct machine_mount *mount)
{
	if (strchr(mount->host, ':') || strchr(mount->inside, ':'))
		return xasprintf("type=bind,source=%s,target=%s%s", mount->host, mount->inside,
		    mount->read_only ? ",readonly" : "");
	return xasprintf("%s:%s%s", mount->host, mount->inside, mount->read_only ? ":ro" : "");
}

int machine_mount_add(struct machine *m, struct machine_mount *mount, struct error **err)
{
	if (m->mount_count >= MOUNTS_MAX)
		return error_set(err, E2BIG, "a machine can have %d mounts at most", MOUNTS_MAX);
	for (size_t i = 0; i < m->mount_count; i++)
		if (streq(m->mounts[i].inside, mount->inside))
			return error_set(err, EEXIST, "\"%s\" is already mounted at %s; holm machine mount rm %s",
			    m->mounts[i].host, mount->inside, mount->inside);
	m->mounts = xrealloc(m->mounts, m->mount_count + 1, sizeof *m->mounts);
	m->mounts[m->mount_count++] = *mount;
	*mount = (struct machine_mount){ 0 };
	return 0;
}

int machine_mount_remove(struct machine *m, const char *inside, struct error **err)
{
	AUTOFREE char *path = path_normalize(inside);
	for (size_t i = 0; path && i < m->mount_count; i++) {
		if (!streq(m->mounts[i].inside, path))
			continue;
		machine_mount_done(&m->mounts[i]);
		m->mount_count--;
		memmove(&m->mounts[i], &m->mounts[i + 1], (m->mount_count - i) * sizeof *m->mounts);
		return 0;
	}
	return error_set(err, ENOENT, "nothing is mounted at \"%.200s\" in machine \"%s\"; see holm machine mount ls",
	    inside, m->name);
}
