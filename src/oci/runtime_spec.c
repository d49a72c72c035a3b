/* SPDX-License-Identifier: Apache-2.0
 * See runtime_spec.h. What differs from machine to machine are parameters; the rest is tables. */
#include "oci/runtime_spec.h"

static const char *const all_capabilities[] = { "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
	"CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
	"CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN",
	"CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE", NULL };

static const struct {
	enum runtime_namespace bit;
	const char *name;
} namespace_names[] = {
	{ RUNTIME_PID, "pid" },
	{ RUNTIME_MOUNT, "mount" },
	{ RUNTIME_UTS, "uts" },
	{ RUNTIME_IPC, "ipc" },
	{ RUNTIME_CGROUP, "cgroup" },
	{ RUNTIME_NETWORK, "network" },
	{ RUNTIME_USER, "user" },
};

static struct json_object *user_new(const struct runtime_spec *s)
{
	struct json_object *user = json_object_new_object(), *groups = json_object_new_array();
	json_add_u64(user, "uid", s->uid);
	json_add_u64(user, "gid", s->gid);
	for (size_t i = 0; i < s->group_count; i++)
		json_object_array_add(groups, json_object_new_int64(s->groups[i]));
	if (s->group_count)
		json_add(user, "additionalGids", groups);
	else
		json_object_put(groups);
	return user;
}

static void add_limits(struct json_object *process, const struct runtime_spec *s)
{
	struct json_object *list = s->limit_count ? json_object_new_array() : NULL;
	for (size_t i = 0; i < s->limit_count; i++) {
		struct json_object *o = json_object_new_object();
		json_add_string(o, "type", s->limits[i].name);
		json_add_u64(o, "soft", s->limits[i].soft);
		json_add_u64(o, "hard", s->limits[i].hard);
		json_object_array_add(list, o);
	}
	if (list)
		json_add(process, "rlimits", list);
}

static struct json_object *process_new(const struct runtime_spec *s)
{
	static const char *const sets[] = { "bounding", "effective", "permitted" };
	struct json_object *process = json_object_new_object(), *all = json_object_new_object();
	json_add_bool(process, "terminal", s->terminal);
	if (s->terminal && s->rows && s->columns) {
		struct json_object *size = json_object_new_object();
		json_add_u64(size, "height", s->rows);
		json_add_u64(size, "width", s->columns);
		json_add(process, "consoleSize", size);
	}
	json_add(process, "user", user_new(s));
	json_add_strv(process, "args", s->arguments);
	json_add_strv(process, "env", s->environment);
	json_add_string(process, "cwd", s->working_directory);
	for (size_t i = 0; i < (s->bounding_only ? 1 : ARRAY_SIZE(sets)); i++) {
		struct json_object *list = json_object_new_array();
		for (const char *const *name = s->capabilities ? s->capabilities : all_capabilities; *name; name++)
			json_object_array_add(list, json_object_new_string(*name));
		json_add(all, sets[i], list);
	}
	json_add(process, "capabilities", all);
	json_add_bool(process, "noNewPrivileges", s->no_new_privileges);
	if (s->oom_score)
		json_add_i64(process, "oomScoreAdj", s->oom_score);
	add_limits(process, s);
	return process;
}

static struct json_object *mounts_new(const struct runtime_spec *s)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < s->mount_count; i++) {
		const struct runtime_mount *m = &s->mounts[i];
		struct json_object *o = json_object_new_object();
		AUTO_STRV struct strv options = { 0 };
		json_add_string(o, "destination", m->destination);
		json_add_string(o, "type", m->type);
		json_add_string(o, "source", m->source);
		strv_split(&options, m->options ? m->options : "", ",");
		json_add_strv(o, "options", &options);
		json_object_array_add(list, o);
	}
	return list;
}

static void add_paths(struct json_object *o, const char *key, const char *const *paths)
{
	struct json_object *list = paths ? json_object_new_array() : NULL;
	for (; paths && *paths; paths++)
		json_object_array_add(list, json_object_new_string(*paths));
	if (list)
		json_add(o, key, list);
}

static void add_ids(struct json_object *o, const char *key, const struct runtime_ids *ids, size_t count)
{
	struct json_object *list = count ? json_object_new_array() : NULL;
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_new_object();
		json_add_u64(one, "containerID", ids[i].inside);
		json_add_u64(one, "hostID", ids[i].outside);
		json_add_u64(one, "size", ids[i].count);
		json_object_array_add(list, one);
	}
	if (list)
		json_add(o, key, list);
}

/* The path of a namespace to join, or NULL. */
static const char *namespace_path(const struct runtime_spec *s, enum runtime_namespace which)
{
	switch (which) {
	case RUNTIME_USER:
		return s->user_namespace;
	case RUNTIME_NETWORK:
		return s->network_namespace;
	case RUNTIME_PID:
		return s->pid_namespace;
	case RUNTIME_IPC:
		return s->ipc_namespace;
	default:
		return NULL;
	}
}

static struct json_object *linux_new(const struct runtime_spec *s)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	for (size_t i = 0; i < ARRAY_SIZE(namespace_names); i++) {
		if (!(s->namespaces & namespace_names[i].bit))
			continue;
		struct json_object *one = json_object_new_object();
		json_add_string(one, "type", namespace_names[i].name);
		const char *path = namespace_path(s, namespace_names[i].bit);
		if (path)
			json_add_string(one, "path", path);
		json_object_array_add(list, one);
	}
	json_add(o, "namespaces", list);
	json_add_string(o, "cgroupsPath", s->cgroups_path);
	json_add_string(o, "rootfsPropagation", s->propagation ? s->propagation : "rshared");
	add_ids(o, "uidMappings", s->uids, s->uid_count);
	add_ids(o, "gidMappings", s->gids, s->gid_count);
	struct json_object *resources = json_object_new_object(), *devices = json_object_new_array(),
			   *every = json_object_new_object();
	json_add_bool(every, "allow", 1);
	json_add_string(every, "access", "rwm");
	json_object_array_add(devices, every);
	json_add(resources, "devices", devices);
	json_add(o, "resources", resources);
	if (s->sysctls)
		json_add(o, "sysctl", json_object_get(s->sysctls));
	add_paths(o, "maskedPaths", s->masked_paths);
	add_paths(o, "readonlyPaths", s->readonly_paths);
	return o;
}

static void add_hook(struct json_object *o, char *const *argv)
{
	struct json_object *hooks = json_object_new_object(), *list = json_object_new_array(),
			   *hook = json_object_new_object();
	struct json_object *arguments = json_object_new_array();
	json_add_string(hook, "path", argv[0]);
	for (; *argv; argv++)
		json_object_array_add(arguments, json_object_new_string(*argv));
	json_add(hook, "args", arguments);
	json_object_array_add(list, hook);
	json_add(hooks, "createContainer", list);
	json_add(o, "hooks", hooks);
}

static void add_annotations(struct json_object *o, const struct runtime_spec *s)
{
	struct json_object *annotations = json_object_new_object();
	if (s->annotations) {
		json_object_object_foreach(s->annotations, name, value)
		    json_object_object_add(annotations, name, json_object_get(value));
	}
	if (s->seccomp_filter)
		json_add_string(annotations, "run.oci.seccomp_bpf_data", s->seccomp_filter);
	json_add(o, "annotations", annotations);
}

struct json_object *runtime_spec_new(const struct runtime_spec *s)
{
	struct json_object *o = json_object_new_object(), *root = json_object_new_object();
	json_add_string(o, "ociVersion", "1.0.0");
	json_add(o, "process", process_new(s));
	json_add_string(root, "path", s->root);
	json_add_bool(root, "readonly", s->read_only_root);
	json_add(o, "root", root);
	json_add_string(o, "hostname", s->hostname);
	json_add_string(o, "domainname", s->domainname);
	json_add(o, "mounts", mounts_new(s));
	json_add(o, "linux", linux_new(s));
	if (s->create_hook)
		add_hook(o, s->create_hook);
	add_annotations(o, s);
	return o;
}
