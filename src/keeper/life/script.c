/* SPDX-License-Identifier: Apache-2.0
 * `machine create --script`: a script that runs once as root, at the first boot, before any
 * session.
 *
 * It lies beside machine.json until it has succeeded. It runs as a session of the keeper's own, as
 * the one of init=install does, so with a network and a running init. If it fails, the boot fails
 * with the last lines of its output, and the next start tries again. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/path.h"
#include "keeper/agent/host_facts.h"
#include "keeper/agent/job.h"
#include "keeper/keeper_private.h"

enum { SCRIPT_MS = 10 * 60 * 1000, SPARE_MS = 30 * 1000 };

/* A native machine gets its network while it starts. A script without #! is sh's. */
static const char runner[] =
    "n=0\n"
    "until [ $n = 50 ] || grep -q '^[^[:space:]]*[[:space:]]00000000[[:space:]]' /proc/net/route; do\n"
    "	n=$((n + 1)); sleep 0.1\n"
    "done\n"
    "cd / && f=$(mktemp /tmp/holm-script.XXXXXX) && cat >\"$f\" && chmod 700 \"$f\" || exit 1\n"
    "case $(head -c 2 \"$f\") in '#!') \"$f\" </dev/null ;; *) sh \"$f\" </dev/null ;; esac\n"
    "s=$?\n"
    "rm -f \"$f\"\n"
    "exit $s\n";

static char *script_path(const struct keeper *k)
{
	return machine_file(k->machine->name, MACHINE_SCRIPT);
}

enum keeper_stage script_next_stage(const struct keeper *k)
{
	AUTOFREE char *path = script_path(k);
	return !k->options.rescue && path_exists(path) ? STAGE_SCRIPT : STAGE_READY;
}

static void fail(struct keeper *k, int code, const char *text)
{
	keeper_fail(k, code, NULL,
	    "the script of its creation failed: %s; correct what it needs, or create the machine "
	    "with another one (--replace)",
	    text);
}

static void on_done(struct keeper *k, int status, const char *text)
{
	AUTOFREE char *path = script_path(k), *why = NULL;
	k->job = NULL;
	if (status != 0) {
		why = status > 0 ? xasprintf("it ended with status %d: %s", status, text) : xstrdup(text);
		fail(k, status == -ETIMEDOUT ? ETIMEDOUT : EIO, why);
		return;
	}
	unlink(path);
	if (k->stage != STAGE_SCRIPT) /* the script has powered the machine off */
		return;
	keeper_enter(k, STAGE_READY);
	if (k->install_init_up)
		keeper_enter(k, STAGE_RUNNING);
}

void script_enter(struct keeper *k)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv env = { 0 };
	AUTOFREE char *path = script_path(k), *text = NULL;
	int r = path_read_file(path, MACHINE_SCRIPT_MAX, &text, NULL);
	const struct job_plan plan = { .name = "script",
		.script = runner,
		.input = text,
		.env = &env,
		.timeout_ms = SCRIPT_MS,
		.done = on_done };
	host_proxies(k->machine, &env);
	/* Those of whoever starts the machine, as for a session. */
	for (char **e = environ; !k->machine->proxy && *e; e++)
		if (machine_proxy_is_variable(*e))
			strv_add(&env, *e);
	source_set_timer(k->deadline, clock_deadline(SCRIPT_MS + SPARE_MS));
	if (r == 0)
		r = job_start(k, &plan, &k->job, &err);
	if (r < 0)
		fail(k, -r, error_text(err, r));
}
