/* SPDX-License-Identifier: Apache-2.0
 * The machine in memory: a new one, its end, what its empty settings mean, and how a machine may be
 * called. */
#include "machine/machine.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/path.h"

enum { NAME_MAX_LENGTH = 63, USER_MAX_LENGTH = 255, DEFAULT_DISK_GIB = 100, NUMBER_MAX = 64 };

const char *const machine_isolation_words[] = { "auto", "vm", "native", NULL };
const char *const machine_home_words[] = { "rw", "ro", "none", NULL };
const char *const machine_init_words[] = { "auto", "image", "holm", "install", NULL };
const char *const machine_ca_words[] = { "host", "none", NULL };
const char *const machine_wait_words[] = { "session", "init", NULL };
const char *const machine_autostart_words[] = { "off", "on", NULL };
const char *const machine_auto_ports_words[] = { "off", "on", NULL };
const char *const machine_transport_words[] = { "serial", "vsock", NULL };
const char *const machine_share_cache_words[] = { "auto", "strict", "writeback", NULL };
const char *const machine_share_events_words[] = { "on", "off", NULL };
const char *const machine_owner_map_words[] = { "user", "root", "record", NULL };
const char *const machine_share_locks_words[] = { "guest", "host", NULL };
const struct machine_share_spec machine_share_keys[MACHINE_SHARE_KEYS] = {
	[MACHINE_SHARE_CACHE] = { "share-cache", "share_cache", machine_share_cache_words, 1 },
	[MACHINE_SHARE_EVENTS] = { "share-events", "share_events", machine_share_events_words, 0 },
	[MACHINE_OWNER_MAP] = { "owner-map", "owner_map", machine_owner_map_words, 1 },
	[MACHINE_SHARE_LOCKS] = { "share-locks", "share_locks", machine_share_locks_words, 1 },
};

static char *random_id(void)
{
	uint8_t bytes[16];
	size_t got = 0;
	while (got < sizeof bytes) {
		ssize_t n = getrandom(bytes + got, sizeof bytes - got, 0);
		if (n < 0 && errno != EINTR)
			abort();
		got += n > 0 ? (size_t)n : 0;
	}
	/* A version 4 UUID without dashes, as machine-id(5) wants it. */
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	char *id = xmalloc(2 * sizeof bytes + 1);
	for (size_t i = 0; i < sizeof bytes; i++) {
		id[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		id[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	id[2 * sizeof bytes] = 0;
	return id;
}

/* The name of the calling user: the password database's, else $USER, else one made of the
 * number. */
static char *own_user_name(void)
{
	struct passwd *entry = getpwuid(getuid());
	const char *name = entry ? entry->pw_name : getenv("USER");
	if (name && machine_user_check(name, NULL) == 0)
		return xstrdup(name);
	return xasprintf("user%u", (unsigned)getuid());
}

struct machine *machine_new(const char *name)
{
	struct machine *m = xnew(struct machine);
	m->name = xstrdup(name);
	m->id = random_id();
	m->address = machine_address_from(m->id);
	m->created = clock_format_rfc3339(clock_realtime_ns());
	m->user = own_user_name();
	m->uid = getuid();
	m->gid = getgid();
	m->home = path_home_dir();
	return m;
}

void machine_mount_done(struct machine_mount *mount)
{
	free(mount->host);
	free(mount->inside);
	*mount = (struct machine_mount){ 0 };
}

void machine_publish_done(struct machine_publish *publish)
{
	free(publish->ip);
	*publish = (struct machine_publish){ 0 };
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	strv_done(&m->image_trees);
	char *strings[] = { m->name, m->id, m->created, m->image, m->image_digest, m->image_disk, m->platform,
		m->init_path, m->home, m->user, m->kernel, m->kernel_modules, m->transport, m->proxy, m->address };
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	json_object_put(m->image_config);
	strv_done(&m->env);
	strv_done(&m->home_private);
	for (size_t i = 0; i < m->mount_count; i++)
		machine_mount_done(&m->mounts[i]);
	free(m->mounts);
	machine_publish_clear(m);
	free(m);
}

int machine_name_check(const char *name, struct error **err)
{
	size_t n = strlen(name);
	int good = n > 0 && n <= NAME_MAX_LENGTH && name[0] != '-';
	for (size_t i = 0; good && i < n; i++)
		good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-';
	if (good)
		return 0;
	return error_set(err, EINVAL,
	    "\"%.80s\" is no name for a machine: use a-z, 0-9 and -, not - first, at most %d characters", name,
	    NAME_MAX_LENGTH);
}

int machine_user_check(const char *user, struct error **err)
{
	size_t n = strlen(user), digits = strspn(user, "0123456789");
	int good = n > 0 && n <= USER_MAX_LENGTH && digits < n && !strchr("-+# ", user[0]) && user[n - 1] != ' ' &&
		   !streq(user, ".") && !streq(user, "..");
	for (size_t i = 0; good && i < n; i++)
		good = !iscntrl((unsigned char)user[i]) && !strchr(":,/", user[i]);
	if (good)
		return 0;
	return error_set(err, EINVAL,
	    "\"%.80s\" is no user name: use no : , / or control characters, none of - + # first, not only digits, at "
	    "most %d bytes",
	    user, USER_MAX_LENGTH);
}

char *machine_name_from_image(const char *reference)
{
	AUTOFREE char *text = xstrdup(path_base(reference));
	char *digest = strchr(text, '@');
	if (digest)
		*digest = 0;
	if (endswith(text, ":latest"))
		text[strlen(text) - strlen(":latest")] = 0;
	char *name = xmalloc(NAME_MAX_LENGTH + 1);
	size_t n = 0;
	for (const char *p = text; *p && n < NAME_MAX_LENGTH; p++) {
		int c = tolower((unsigned char)*p);
		int plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (plain)
			name[n++] = c;
		else if (n > 0 && name[n - 1] != '-')
			name[n++] = '-';
	}
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = 0;
	if (n > 0)
		return name;
	free(name);
	return xstrdup("machine");
}

uint64_t machine_cpus(const struct machine *m)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	/* A VM's processors are threads beside the host's own; a native machine's processes
	 * share those. */
	long wanted = m->form == MACHINE_ISOLATION_NATIVE ? host : host / 2;
	return m->cpus ? m->cpus : (uint64_t)MAX(wanted, 1);
}

uint64_t machine_memory(const struct machine *m)
{
	struct sysinfo info;
	if (m->memory)
		return m->memory;
	uint64_t host = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
	/* Whole MiB: what virtual machines are built of. */
	return MAX(host / 2, UINT64_C(1) << 30) >> 20 << 20;
}

/* A number of /proc/sys/kernel, or `most`. */
static uint64_t kernel_number(const char *name, uint64_t most)
{
	AUTOFREE char *path = path_join("/proc/sys/kernel", name), *text = NULL;
	uint64_t n = most;
	if (path_read_file(path, NUMBER_MAX, &text, NULL) < 0)
		return most;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, &n) < 0 ? most : n;
}

uint64_t machine_pids(const struct machine *m)
{
	if (m->pids)
		return m->pids;
	/* As much as systemd gives to all sessions of a user (user-.slice, TasksMax=33%). */
	uint64_t host = MIN(kernel_number("threads-max", MACHINE_PIDS_MAX), kernel_number("pid_max", MACHINE_PIDS_MAX));
	return MAX(host / 3, (uint64_t)MACHINE_PIDS_MIN);
}

uint64_t machine_disk_size(const struct machine *m)
{
	return m->disk_size ? m->disk_size : (uint64_t)DEFAULT_DISK_GIB << 30;
}
