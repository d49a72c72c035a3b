/* SPDX-License-Identifier: Apache-2.0
 * Writes config.json of the OCI runtime specification 1.0 (config.md, config-linux.md) for one
 * process in its own namespaces. */
#pragma once

#include <stdint.h>

#include "base/json.h"
#include "base/strv.h"

enum runtime_namespace {
	RUNTIME_PID = 1,
	RUNTIME_MOUNT = 2,
	RUNTIME_UTS = 4,
	RUNTIME_IPC = 8,
	RUNTIME_CGROUP = 16,
	RUNTIME_NETWORK = 32,
	RUNTIME_USER = 64,
};

struct runtime_mount {
	const char *destination, *type, *source;
	const char *options; /* comma-separated */
};

struct runtime_limit {
	const char *name; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

struct runtime_ids {
	uint32_t inside, outside, count;
};

/* Everything is borrowed. */
struct runtime_spec {
	const char *root;                  /* absolute path of the root file system */
	const char *hostname, *domainname; /* NULL: that of the shared UTS namespace; the machine's */
	const struct strv *arguments, *environment;
	const char *working_directory;
	const char *cgroups_path;
	unsigned namespaces; /* runtime_namespace bits: the new ones; the others are shared */
	/* of those bits: paths of namespaces to join instead of new ones, or NULL */
	const char *user_namespace, *network_namespace, *pid_namespace, *ipc_namespace;
	/* of a new user namespace: the runtime writes them; none: it has them */
	const struct runtime_ids *uids, *gids;
	size_t uid_count, gid_count;
	int terminal;
	unsigned rows, columns; /* of the terminal; 0: the runtime's */
	uint32_t uid, gid;      /* of the process */
	const uint32_t *groups;
	size_t group_count;
	int bounding_only; /* the process begins without capabilities: it is not root */
	const struct runtime_limit *limits;
	size_t limit_count;
	struct json_object *sysctls; /* an object of strings, or NULL */
	int64_t oom_score;           /* 0: the runtime's own */
	int no_new_privileges;       /* no set-id bits, no file capabilities */
	int read_only_root;
	const char *propagation; /* of the root file system; NULL: "rshared" */
	const struct runtime_mount *mounts;
	size_t mount_count;
	/* of root inside, also the bounding set; NULL-terminated names; NULL: all there are */
	const char *const *capabilities;
	const char *const *masked_paths, *const *readonly_paths; /* NULL-terminated, or NULL: none */
	/* A program and its arguments (the first: its name) that runs in the container's namespaces
	 * before they become its own root ("createContainer"); NULL-terminated, or NULL: none. */
	char *const *create_hook;
	/* base64 of a filter program (struct sock_filter[]), for crun's annotation
	 * run.oci.seccomp_bpf_data; NULL: none */
	const char *seccomp_filter;
	struct json_object *annotations; /* further ones: an object of strings, or NULL */
};

/* Every device is allowed. Owned. */
struct json_object *runtime_spec_new(const struct runtime_spec *s);
