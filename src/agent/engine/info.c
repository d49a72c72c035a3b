/* SPDX-License-Identifier: Apache-2.0
 * GET /info: the members that are the same for each engine of this kind. */
#include "agent/engine/engine.h"
#include "base/alloc.h"

/* Members that clients read and that are always the same. */
static const char constants[] =
    "{\"DockerRootDir\":\"/var/lib/holm\",\"InitBinary\":\"docker-init\","
    "\"Debug\":false,\"NFd\":0,\"NGoroutines\":0,\"NEventsListener\":0,"
    "\"RegistryConfig\":{\"IndexConfigs\":{},\"InsecureRegistryCIDRs\":[],\"Mirrors\":[]},"
    "\"HttpProxy\":\"\",\"HttpsProxy\":\"\",\"NoProxy\":\"\",\"LiveRestoreEnabled\":true,"
    "\"ContainerdCommit\":{\"ID\":\"\"},\"RuncCommit\":{\"ID\":\"\"},\"InitCommit\":{\"ID\":\"\"},"
    "\"DriverStatus\":[],\"Labels\":[],\"Isolation\":\"\",\"ExperimentalBuild\":false,"
    "\"Runtimes\":{\"crun\":{\"path\":\"crun\"},\"runc\":{\"path\":\"crun\"}},"
    "\"SecurityOptions\":[\"name=seccomp,profile=builtin\",\"name=rootless\"]}";

void engine_info_add_constants(struct json_object *o)
{
	AUTO_JSON struct json_object *from = NULL;
	if (json_parse(constants, strlen(constants), "constants", &from, NULL) < 0)
		return;
	json_object_object_foreach(from, key, value) json_add(o, key, json_object_get(value));
}
