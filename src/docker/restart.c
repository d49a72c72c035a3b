/* SPDX-License-Identifier: Apache-2.0
 * Restart policies, as the bodies of create and update have them. */
#include <errno.h>

#include "docker/body.h"

static const char *const names[] = {
	[DOCKER_RESTART_NO] = "no",
	[DOCKER_RESTART_ALWAYS] = "always",
	[DOCKER_RESTART_UNLESS_STOPPED] = "unless-stopped",
	[DOCKER_RESTART_ON_FAILURE] = "on-failure",
};

int docker_restart_parse(struct json_object *policy, struct docker_body *b, struct error **err)
{
	const char *name = "";
	int64_t max = 0;
	b->restart = DOCKER_RESTART_NO;
	b->restart_max = 0;
	if (!policy)
		return 0;
	int r = json_get_string(policy, "Name", &name, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_i64(policy, "MaximumRetryCount", &max, err);
	if (r < 0 && r != -ENOENT)
		return r;
	for (size_t i = 0; *name && i < ARRAY_SIZE(names); i++)
		if (streq(names[i], name))
			b->restart = (enum docker_restart)i;
	if (*name && !streq(names[b->restart], name))
		return error_set(err, EINVAL,
		    "invalid restart policy: unknown policy '%.64s'; use one of 'no', 'always', 'on-failure', or "
		    "'unless-stopped'",
		    name);
	if (max < 0)
		return error_set(err, EINVAL, "invalid restart policy: maximum retry count cannot be negative");
	if (max && b->restart != DOCKER_RESTART_ON_FAILURE)
		return error_set(err, EINVAL,
		    "invalid restart policy: maximum retry count can only be used with 'on-failure'");
	b->restart_max = (uint64_t)max;
	return 0;
}
