/* SPDX-License-Identifier: Apache-2.0
 * PUT /v1/limits {"cpus","memory"}: what "set" changed takes effect in the running machine, where
 * its isolation can do that. */
#include <errno.h>

#include "keeper/api/resources.h"
#include "keeper/keeper.h"

static int optional_number(struct json_object *body, const char *key, uint64_t *ret, struct error **err)
{
	int r = json_get_u64(body, key, ret, err);
	return r == -ENOENT ? 0 : r;
}

void api_put_limits(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	uint64_t cpus = 0, memory = 0;
	int r = body ? optional_number(body, "cpus", &cpus, &err) : -EINVAL;
	if (r == 0)
		r = optional_number(body, "memory", &memory, &err);
	if (r == 0)
		r = keeper_set_limits(data, cpus, memory, &err);
	if (r < 0)
		http_respond_error(x, r, err);
	else
		http_respond_json(x, 200, NULL);
}
