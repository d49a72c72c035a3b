/* SPDX-License-Identifier: Apache-2.0
 * Writes config.json of the OCI runtime specification 1.0 (config.md, config-linux.md) for one process in its own namespaces. */
#pragma once

#include "base/json.h"
#include "base/strv.h"

enum runtime_namespace { RUNTIME_PID = 1, RUNTIME_MOUNT = 2, RUNTIME_UTS = 4, RUNTIME_IPC = 8, RUNTIME_CGROUP = 16, RUNTIME_NETWORK = 32 };

struct runtime_mount {
	const char *destination, *type, *source;
	const char *options; /* comma-separated */
};

/* Everything is borrowed. */
struct runtime_spec {
	const char *root;          /* absolute path of the root file system */
	const char *hostname;
	const struct strv *arguments, *environment;
	const char *working_directory;
	const char *cgroups_path;
	unsigned namespaces;       /* runtime_namespace bits: the new ones; the others are shared */
	int terminal;
	const struct runtime_mount *mounts;
	size_t mount_count;
};

/* Root inside has every capability and every device; no seccomp, nothing masked. Owned. */
struct json_object *runtime_spec_new(const struct runtime_spec *s);
