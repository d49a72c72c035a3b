/* SPDX-License-Identifier: Apache-2.0
 * See session_start.h. */
#include "cli/machine/session_start.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/client.h"
#include "cli/output.h"

extern char **environ;

int session_boot(const char *machine, const struct machine *m, int wait, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	int r = client_start(machine, CLIENT_SESSION, 0, NULL, &why);
	if (r == 0 && (wait || (m && m->wait == MACHINE_WAIT_INIT)))
		r = client_start(machine, CLIENT_INIT, 0, NULL, &why);
	/* An init that waits for a service for ever does not make the machine unusable. */
	if (r == -ETIMEDOUT && machine_is_running(machine) == 1 && !wait) {
		output_note("%s", error_text(why, r));
		return 0;
	}
	return r < 0 && why ? error_set(err, -r, "%s", why->text) : r;
}

/* Tells whether a session gets this variable of the caller's. m: NULL if it cannot be read. */
static int is_passed(const struct machine *m, const char *variable)
{
	static const char *const names[] = { "TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "NO_COLOR" };
	size_t n = strcspn(variable, "=");
	if (startswith(variable, "LC_"))
		return 1;
	if (machine_proxy_is_variable(variable))
		return !m || !m->proxy;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && strncmp(names[i], variable, n) == 0)
			return 1;
	return 0;
}

void session_caller_environment(const struct machine *m, struct strv *env)
{
	for (char **e = environ; *e; e++)
		if (is_passed(m, *e))
			strv_add(env, *e);
	if (m)
		machine_proxy_variables(m, env);
}

mode_t session_umask(void)
{
	mode_t mask = umask(0);
	umask(mask);
	return mask;
}
