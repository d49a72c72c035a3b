/* SPDX-License-Identifier: Apache-2.0
 * See rights.h. */
#include "docker/rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/path.h"

enum { NAME_LENGTH_MAX = 64, WORDS_MAX = 256 };

const char *const docker_capabilities[DOCKER_CAPABILITIES] = { "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH",
	"CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
	"CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN",
	"CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE" };

#define ALL ((UINT64_C(1) << DOCKER_CAPABILITIES) - 1)
#define BIT(x) (UINT64_C(1) << (x))
/* Docker's fourteen. */
#define DEFAULT                                                                                                        \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) |                 \
	    BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) |               \
	    BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE))

void docker_rights_init(struct docker_rights *r)
{
	*r = (struct docker_rights){ .capabilities = DEFAULT };
}

static int get_words(struct json_object *host, const char *key, struct strv *ret, struct error **err)
{
	int r = json_get_strv(host, key, ret, err);
	if (r < 0 && r != -ENOENT)
		return r;
	return ret->count > WORDS_MAX ? error_set(err, EINVAL, "%s has more than %d entries", key, WORDS_MAX) : 0;
}

/* ---- capabilities ---- */

/* "chown", "CAP_CHOWN": its bit; "ALL": all; 0: unknown. */
static uint64_t capability_bit(const char *name)
{
	AUTOFREE char *upper = xstrdup(name);
	for (char *c = upper; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	if (streq(upper, "ALL"))
		return ALL;
	const char *bare = startswith(upper, "CAP_");
	for (unsigned i = 0; i < DOCKER_CAPABILITIES; i++)
		if (streq(docker_capabilities[i] + strlen("CAP_"), bare ? bare : upper))
			return BIT(i);
	return 0;
}

static int get_capabilities(struct json_object *host, const char *key, uint64_t *ret, int *ret_all, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	int r = get_words(host, key, &names, err);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		uint64_t bit = capability_bit(names.items[i]);
		if (!bit)
			return error_set(err, EINVAL, "invalid %s: unknown capability: \"%.64s\"", key, names.items[i]);
		if (bit == ALL)
			*ret_all = 1;
		else
			*ret |= bit;
	}
	return r;
}

static int parse_capabilities(struct json_object *host, struct docker_rights *r, struct error **err)
{
	uint64_t add = 0, drop = 0;
	int add_all = 0, drop_all = 0;
	int result = get_capabilities(host, "CapAdd", &add, &add_all, err);
	if (result == 0)
		result = get_capabilities(host, "CapDrop", &drop, &drop_all, err);
	uint64_t base = drop_all ? 0 : add_all ? ALL : DEFAULT;
	if (drop_all && add_all)
		base = ALL;
	r->capabilities = r->privileged ? ALL : (base & ~drop) | add;
	return result;
}

/* ---- --security-opt ---- */

static int parse_security(struct json_object *host, struct docker_rights *r, struct error **err)
{
	enum effect { NONE, NO_NEW_PRIVILEGES, UNCONFINED };
	static const struct {
		const char *text;
		enum effect effect;
	} known[] = { { "no-new-privileges", NO_NEW_PRIVILEGES }, { "no-new-privileges:true", NO_NEW_PRIVILEGES },
		{ "no-new-privileges=true", NO_NEW_PRIVILEGES }, { "no-new-privileges:false", NONE },
		{ "no-new-privileges=false", NONE }, { "seccomp=unconfined", UNCONFINED },
		{ "seccomp:unconfined", UNCONFINED }, { "apparmor=unconfined", NONE }, { "apparmor:unconfined", NONE },
		{ "label=disable", NONE }, { "label:disable", NONE } };
	AUTO_STRV struct strv options = { 0 };
	int result = get_words(host, "SecurityOpt", &options, err);
	for (size_t i = 0; result == 0 && i < options.count; i++) {
		size_t k = 0;
		while (k < ARRAY_SIZE(known) && !streq(known[k].text, options.items[i]))
			k++;
		if (k == ARRAY_SIZE(known))
			return error_set(err, EOPNOTSUPP,
			    "SecurityOpt \"%.64s\" (--security-opt) is not supported by holm's engine; leave it out",
			    options.items[i]);
		r->no_new_privileges |= known[k].effect == NO_NEW_PRIVILEGES;
		r->unconfined |= known[k].effect == UNCONFINED;
	}
	return result;
}

/* ---- --ulimit ---- */

#define LIMIT(word, limit)                                                                                             \
	{                                                                                                              \
		word, #limit, limit                                                                                    \
	}
static const struct {
	const char *word, *name;
	int resource;
} limits[] = { LIMIT("core", RLIMIT_CORE), LIMIT("cpu", RLIMIT_CPU), LIMIT("data", RLIMIT_DATA),
	LIMIT("fsize", RLIMIT_FSIZE), LIMIT("locks", RLIMIT_LOCKS), LIMIT("memlock", RLIMIT_MEMLOCK),
	LIMIT("msgqueue", RLIMIT_MSGQUEUE), LIMIT("nice", RLIMIT_NICE), LIMIT("nofile", RLIMIT_NOFILE),
	LIMIT("nproc", RLIMIT_NPROC), LIMIT("rss", RLIMIT_RSS), LIMIT("rtprio", RLIMIT_RTPRIO),
	LIMIT("rttime", RLIMIT_RTTIME), LIMIT("sigpending", RLIMIT_SIGPENDING), LIMIT("stack", RLIMIT_STACK) };
#undef LIMIT

static void find_limit(const char *word, struct docker_ulimit *ret)
{
	ret->name = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (streq(limits[i].word, word)) {
			ret->name = limits[i].name;
			ret->resource = limits[i].resource;
		}
}

int docker_limit_resource(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (streq(limits[i].name, name))
			return limits[i].resource;
	return -1;
}

static int parse_ulimit(struct json_object *o, struct docker_ulimit *ret, struct error **err)
{
	const char *name = "";
	int r = json_object_is_type(o, json_type_object) ? json_get_string(o, "Name", &name, err) : -EINVAL;
	if (r == 0)
		r = json_get_i64(o, "Soft", &ret->soft, err);
	if (r == 0)
		r = json_get_i64(o, "Hard", &ret->hard, err);
	if (r < 0)
		return error_set(err, EINVAL, "an entry of Ulimits has no Name, Soft and Hard");
	find_limit(name, ret);
	if (!ret->name)
		return error_set(err, EINVAL, "invalid ulimit type: %.64s", name);
	if (ret->soft < -1 || ret->hard < -1 || (ret->hard >= 0 && (ret->soft < 0 || ret->soft > ret->hard)))
		return error_set(err, EINVAL, "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
		    (long long)ret->soft, (long long)ret->hard);
	return 0;
}

static int parse_ulimits(struct json_object *host, struct docker_rights *r, struct error **err)
{
	struct json_object *list = NULL;
	int result = json_get_array(host, "Ulimits", &list, err);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	size_t count = json_object_array_length(list);
	if (count > DOCKER_ULIMITS_MAX)
		return error_set(err, EINVAL, "Ulimits has more than %d entries", DOCKER_ULIMITS_MAX);
	for (size_t i = 0; result == 0 && i < count; i++)
		result = parse_ulimit(json_object_array_get_idx(list, i), &r->ulimits[i], err);
	r->ulimit_count = count;
	return result;
}

/* ---- --sysctl ---- */

/* Those that belong to a namespace of the container. */
static int is_own_sysctl(const char *name)
{
	static const char *const names[] = { "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.domainname" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(names[i], name))
			return 1;
	return startswith(name, "net.") || startswith(name, "fs.mqueue.");
}

static int parse_sysctls(struct json_object *host, struct docker_rights *r, struct error **err)
{
	struct json_object *sysctls = NULL;
	int result = json_get_object(host, "Sysctls", &sysctls, err);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	if (json_object_object_length(sysctls) > WORDS_MAX)
		return error_set(err, EINVAL, "Sysctls has more than %d entries", WORDS_MAX);
	json_object_object_foreach(sysctls, key, value)
	{
		if (!json_object_is_type(value, json_type_string) || strlen(key) > NAME_LENGTH_MAX)
			return error_set(err, EINVAL, "the sysctl \"%.64s\" is no text", key);
		if (!is_own_sysctl(key))
			return error_set(err, EINVAL, "sysctl \"%.64s\" is not in a separate kernel namespace", key);
	}
	r->sysctls = json_object_object_length(sysctls) ? sysctls : NULL;
	return 0;
}

/* ---- --device ---- */

static int parse_device(struct json_object *o, struct docker_device *ret, struct error **err)
{
	ret->to = ret->access = "";
	int r = json_object_is_type(o, json_type_object) ? json_get_string(o, "PathOnHost", &ret->from, err) : -EINVAL;
	if (r < 0)
		return error_set(err, EINVAL, "an entry of Devices has no PathOnHost");
	json_get_string(o, "PathInContainer", &ret->to, NULL);
	json_get_string(o, "CgroupPermissions", &ret->access, NULL);
	if (!*ret->to)
		ret->to = ret->from;
	AUTOFREE char *from = path_normalize(ret->from), *to = path_normalize(ret->to);
	if (!startswith(ret->from, "/dev/") || !streq(from, ret->from) || !startswith(ret->to, "/dev/") ||
	    !streq(to, ret->to))
		return error_set(err, EINVAL, "the device \"%.256s\" (--device) has no plain path below /dev",
		    ret->from);
	return 0;
}

static int parse_devices(struct json_object *host, struct docker_rights *r, struct error **err)
{
	struct json_object *list = NULL;
	int result = json_get_array(host, "Devices", &list, err);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	size_t count = json_object_array_length(list);
	if (count > DOCKER_DEVICES_MAX)
		return error_set(err, EINVAL, "Devices has more than %d entries", DOCKER_DEVICES_MAX);
	for (size_t i = 0; result == 0 && i < count; i++)
		result = parse_device(json_object_array_get_idx(list, i), &r->devices[i], err);
	r->device_count = count;
	return result;
}

/* A number or "*"; the text behind it, or NULL. */
static const char *skip_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	return *text == '*' ? text + 1 : digits > 0 && digits <= 10 ? text + digits : NULL;
}

/* "c 7:128 rwm" */
static int is_device_rule(const char *text)
{
	if (!*text || !strchr("abc", *text) || text[1] != ' ')
		return 0;
	const char *at = skip_number(text + 2);
	at = at && *at == ':' ? skip_number(at + 1) : NULL;
	if (!at || *at != ' ')
		return 0;
	size_t size = strlen(at + 1);
	return size > 0 && size <= 3 && strspn(at + 1, "rwm") == size;
}

static int check_device_rules(struct json_object *host, struct error **err)
{
	AUTO_STRV struct strv rules = { 0 };
	int r = json_get_strv(host, "DeviceCgroupRules", &rules, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; i < rules.count; i++)
		if (!is_device_rule(rules.items[i]))
			return error_set(err, EINVAL, "invalid device cgroup rule format: '%.64s'", rules.items[i]);
	return 0;
}

static int get_flag(struct json_object *host, const char *key, int *ret, struct error **err)
{
	int r = json_get_bool(host, key, ret, err);
	return r == -ENOENT ? 0 : r;
}

int docker_rights_parse(struct json_object *host, struct docker_rights *r, struct error **err)
{
	docker_rights_init(r);
	int result = get_flag(host, "Privileged", &r->privileged, err);
	if (result < 0 || (result = get_flag(host, "Init", &r->init, err)) < 0 ||
	    (result = parse_capabilities(host, r, err)) < 0 || (result = parse_security(host, r, err)) < 0 ||
	    (result = parse_ulimits(host, r, err)) < 0 || (result = parse_sysctls(host, r, err)) < 0 ||
	    (result = parse_devices(host, r, err)) < 0 || (result = check_device_rules(host, err)) < 0)
		return result;
	result = json_get_u64(host, "ShmSize", &r->shm_size, err);
	return result == -ENOENT ? 0 : result;
}
