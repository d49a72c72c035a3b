/* SPDX-License-Identifier: Apache-2.0
 * See createuser.h. The script sees the machine's /run and the shares. */
#include "agent/provision/createuser.h"

#include <errno.h>

#include "agent/core/rootfs.h"
#include "agent/provision/inside.h"
#include "agent/provision/provision.h"
#include "base/alloc.h"

enum { SCRIPT_MS = 300 * 1000 };

static void script_environment(struct strv *env, int root, const struct boot_request *b)
{
	AUTOFREE char *shell = provision_shell(root);
	strv_add(env, INSIDE_PATH);
	strv_addf(env, "CONTAINER_USER=%s", b->user.name ? b->user.name : "root");
	strv_addf(env, "CONTAINER_UID=%u", b->user.uid);
	strv_addf(env, "CONTAINER_GID=%u", b->user.gid);
	strv_addf(env, "CONTAINER_HOME=%s", b->user.home ? b->user.home : "/root");
	strv_addf(env, "CONTAINER_MACHINE_ID=%s", b->id);
	strv_addf(env, "CONTAINER_SHELL=%s", shell);
}

int createuser_run(const struct platform *p, int root, const struct boot_request *b, struct strv *ret_lines,
    struct error **err)
{
	AUTO_STRV struct strv env = { 0 };
	char *argv[] = { (char *)CREATE_USER_SCRIPT, NULL };
	script_environment(&env, root, b);
	const struct inside_program script = {
		.argv = argv,
		.environment = strv_argv(&env),
		.log_name = "create-user.sh",
		.deadline_ms = SCRIPT_MS,
		.sees_shares = 1,
	};
	int r = inside_run(p, b, &script, ret_lines, err);
	if (r == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "%s did not end within %d s", CREATE_USER_SCRIPT, SCRIPT_MS / 1000);
	if (r < 0)
		return error_prefix(err, r, "cannot run %s", CREATE_USER_SCRIPT);
	if (r > 0)
		return error_set(err, EIO, "%s in the image ended with status %d: %s", CREATE_USER_SCRIPT, r,
		    ret_lines->count ? ret_lines->items[ret_lines->count - 1] : "no output");
	return 0;
}
