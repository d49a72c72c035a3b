/* SPDX-License-Identifier: Apache-2.0
 * `holm machine restart [NAME...]`: stop, then start. A stopped machine is started. */
#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/machine/make.h"
#include "cli/machine/power.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "time", 't', OPTION_STRING, "SECONDS", "how long the stop may take before it is killed; 0 kills at once",
	    .default_text = "30" },
	{ "wait", 0, OPTION_FLAG, NULL, "wait until its init says that booting is done",
	    .default_text = "until commands can run" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine that runs" },
	{ 0 },
};

const struct command_spec command_restart = {
	.name = "restart",
	.synopsis = "[NAME...]",
	.summary = "stop machines and boot them again; a stopped one is booted",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

/* A machine whose start would fail for a mount of the host goes on running. */
static int check_sources(const char *name, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_ERROR struct error *why = NULL;
	int r = machine_load(name, &m, err);
	for (size_t i = 0; r == 0 && i < m->mount_count; i++) {
		r = make_check_mount(&m->mounts[i], &why);
		if (r < 0)
			error_set(err, -r,
			    "%s, or take it away with \"holm machine mount rm -n %s %s\"; machine \"%s\" "
			    "is left as it is",
			    error_text(why, r), name, m->mounts[i].inside, name);
	}
	return r;
}

static int stop(const char *name, uint64_t timeout_ms)
{
	AUTO_ERROR struct error *err = NULL;
	int r = check_sources(name, &err);
	return r < 0 ? output_failure(r, err) : power_stop(name, timeout_ms);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv stopped = { 0 };
	const struct strv *names = options_targets(o);
	uint64_t timeout_ms;
	int status = 0, all = options_given(o, "all"), r = power_time(o, &timeout_ms, &err);
	if (r < 0)
		return output_failure(r, err);
	for (size_t i = 0; i < names->count; i++) {
		if (all && machine_is_running(names->items[i]) != 1)
			continue;
		if (stop(names->items[i], timeout_ms) == 0)
			strv_add(&stopped, names->items[i]);
		else
			status = EXIT_HOLM;
	}
	int started = power_start_all(&stopped, options_given(o, "wait") ? CLIENT_INIT : CLIENT_SESSION);
	return started ? started : status;
}
