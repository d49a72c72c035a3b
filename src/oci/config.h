/* SPDX-License-Identifier: Apache-2.0
 * An image's configuration (OCI image specification 1.1, config.md; Docker's is the same): what a
 * machine takes from it. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"
#include "oci/manifest.h"

struct oci_config {
	struct oci_platform platform;
	char *created; /* RFC 3339 as written, or NULL */
	struct strv env, entrypoint, cmd;
	struct strv odd_env;                    /* entries of Env that are not NAME=VALUE; nobody sets them */
	char *working_dir, *user, *stop_signal; /* or NULL */
	struct json_object *labels;             /* an object of strings; never NULL */
	struct json_object *healthcheck;        /* an object as it is, unchecked; or NULL */
	struct strv diff_ids;                   /* digests of the uncompressed layers, first applied first */
};

/* The paths of an image's or a machine's init, in the order of the search; NULL-terminated. */
extern const char *const oci_init_paths[];

/* Checks everything it takes: sizes and counts are capped, env has K=V without NUL,
 * digests are valid. */
int oci_config_parse(const char *data, size_t size, const char *name, struct oci_config **ret, struct error **err);
void oci_config_free(struct oci_config *c);
DEFINE_CLEANUP(struct oci_config, oci_config_free)
#define AUTO_OCI_CONFIG CLEANUP(oci_config_freep)

/* {"Env":[],"WorkingDir","User","StopSignal","Labels":{}}: what machine.json keeps of it. Owned. */
struct json_object *oci_config_to_machine_json(const struct oci_config *c);
/* The same with "Entrypoint", "Cmd" and "Healthcheck": what a container takes of it. Owned. */
struct json_object *oci_config_to_container_json(const struct oci_config *c);
