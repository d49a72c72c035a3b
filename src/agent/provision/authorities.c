/* SPDX-License-Identifier: Apache-2.0
 * NODE_EXTRA_CA_CERTS adds to a store. SSL_CERT_FILE and REQUESTS_CA_BUNDLE replace one, so they
 * name the whole bundle that the image's tool has made, or nothing. */
#include "agent/provision/authorities.h"

#include <errno.h>

#include "agent/core/rootfs.h"
#include "agent/provision/inside.h"
#include "base/alloc.h"

enum { SCRIPT_MS = 120 * 1000 };

static char script[] =
    "for folder in /usr/local/share/ca-certificates /etc/pki/trust/anchors /etc/pki/ca-trust/source/anchors "
    "/etc/ca-certificates/trust-source/anchors; do rm -f $folder/holm-host-*.crt; done\n"
    "if command -v update-ca-certificates >/dev/null; then\n"
    "	update-ca-certificates --fresh\n"
    "elif command -v update-ca-trust >/dev/null; then\n"
    "	update-ca-trust\n"
    "fi || exit 1\n"
    "rm -f " AUTHORITIES_SET "\n";

int authorities_leave_out(const struct platform *p, const struct boot_request *b, int root, struct error **err)
{
	char shell[] = "/bin/sh", option[] = "-c", path[] = INSIDE_PATH;
	char *argv[] = { shell, option, script, NULL }, *environment[] = { path, NULL };
	AUTO_STRV struct strv lines = { 0 };
	const struct inside_program program = {
		.argv = argv,
		.environment = environment,
		.log_name = "authorities",
		.deadline_ms = SCRIPT_MS,
	};
	if (!rootfs_exists(root, AUTHORITIES_SET))
		return 0;
	int r = inside_run(p, b, &program, &lines, err);
	if (r > 0)
		return error_set(err, EIO, "the host's certificate authorities cannot be left out: %s",
		    lines.count ? lines.items[lines.count - 1] : "the image's tool failed");
	return r;
}

void authorities_environment(int root, struct strv *env)
{
	static const char *const bundles[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem" };
	if (!rootfs_exists(root, AUTHORITIES_SET))
		return;
	strv_setenv(env, "NODE_EXTRA_CA_CERTS", AUTHORITIES_SET);
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
		if (!rootfs_exists(root, bundles[i]))
			continue;
		strv_setenv(env, "SSL_CERT_FILE", bundles[i]);
		strv_setenv(env, "REQUESTS_CA_BUNDLE", bundles[i]);
		return;
	}
}
