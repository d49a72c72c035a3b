/* SPDX-License-Identifier: Apache-2.0
 * `holm machine set KEY=VALUE...`: all of them or none. machine.json is changed first, then a
 * running machine is asked to follow. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/autostart.h"
#include "cli/machine/beyond.h"
#include "cli/machine/change.h"
#include "cli/machine/convert.h"
#include "cli/machine/make.h"
#include "cli/output.h"
#include "cli/machine/ports.h"
#include "isolation/isolation.h"

enum { LIMITS_MS = 10 * 1000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "the machine", .default_text = "the default machine",
	    .complete = "machine" },
	{ 0 },
};

const struct command_spec command_set = {
	.name = "set",
	.synopsis = "KEY=VALUE...",
	.summary = "change settings of a machine, mostly for its next start",
	.details =
	    "Keys: cpus, memory, disk-size, home-mount, home-private, isolation, kernel, kernel-modules, user, init, "
	    "wait, autostart, auto-ports, share-cache, share-events, share-locks, owner-map, host-access, proxy, ca, "
	    "pids, "
	    "socketcall, "
	    "transport, "
	    "publish and env.NAME. "
	    "An empty value goes back to the default. inspect shows what is set. publish and auto-ports change at "
	    "once, and in "
	    "native isolation cpus and memory; the host must delegate the memory controller of cgroups for memory to "
	    "be a limit there, see holm system info. isolation=vm and isolation=native move the disk of a stopped "
	    "machine when it is made for the other, which takes as long as export and import; isolation=auto "
	    "leaves it as it is.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = -1,
	.target = TARGET_NAMED_OR_DEFAULT,
	.complete = "key",
	.run = run,
};

/* A word without "=": most likely a machine's name. */
static int refuse_word(const char *word, struct error **err)
{
	AUTO_MACHINE struct machine *named = NULL;
	if (machine_name_check(word, NULL) == 0 && machine_load(word, &named, NULL) == 0)
		return error_set(err, EINVAL, "\"%s\" is a machine; did you mean \"set -n %s\"?", word, word);
	return error_set(err, EINVAL, "\"%.80s\": write KEY=VALUE, such as memory=2G", word);
}

/* auto-ports comes last: home-mount changes it. */
static int apply_auto_ports(struct machine *m, const struct strv *pairs, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < pairs->count; i++) {
		const char *value = startswith(pairs->items[i], "auto-ports=");
		r = value ? machine_set(m, "auto-ports", value, err) : 0;
	}
	return r;
}

static int apply(struct machine *m, void *data, struct error **err)
{
	const struct strv *pairs = data;
	for (size_t i = 0; i < pairs->count; i++) {
		const char *equals = strchr(pairs->items[i], '=');
		if (!equals || equals == pairs->items[i])
			return refuse_word(pairs->items[i], err);
		AUTOFREE char *key = xstrndup(pairs->items[i], (size_t)(equals - pairs->items[i]));
		int r = streq(key, "auto-ports") ? 0 : machine_set(m, key, equals + 1, err);
		if (r < 0)
			return r;
	}
	return apply_auto_ports(m, pairs, err);
}

/* The settings before and after the change. */
struct plan {
	struct machine *before, *after;
	int move; /* the disk gets another form */
};

static void plan_done(struct plan *p)
{
	machine_free(p->before);
	machine_free(p->after);
}

/* Checks everything before anything is changed. */
static int make_plan(const char *name, const struct strv *pairs, struct plan *p, struct error **err)
{
	int r;
	if ((r = machine_load(name, &p->before, err)) < 0 || (r = machine_load(name, &p->after, err)) < 0 ||
	    (r = apply(p->after, (void *)pairs, err)) < 0 ||
	    (r = ports_try(p->before, p->after, machine_is_running(name) == 1 ? PORTS_NEEDED_NOW : PORTS_NEEDED_LATER,
		 err)) < 0)
		return r;
	/* auto is what the disk is made for */
	p->move = p->after->isolation != MACHINE_ISOLATION_AUTO && p->after->isolation != p->after->form;
	return 0;
}

static int ask_limits(const char *name, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *limits = json_object_new_object();
	int r = machine_load(name, &m, err);
	if (r < 0)
		return r;
	json_add_u64(limits, "cpus", machine_cpus(m));
	json_add_u64(limits, "memory", machine_memory(m));
	return client_call(name, "PUT", "/v1/limits", limits, clock_deadline(LIMITS_MS), err);
}

/* Ports change at once, limits where the isolation can; everything else waits for the next
 * start. */
static void tell_running(const char *name, const struct machine *m, const struct strv *pairs)
{
	AUTO_ERROR struct error *err = NULL;
	size_t limits = 0, ports = 0, proxies = 0; /* ports: and whatever else no start changes */
	const struct isolation_disk_ops *disk = isolation_disk_table(m->form, NULL);
	if (machine_is_running(name) != 1)
		return;
	for (size_t i = 0; i < pairs->count; i++) {
		limits += startswith(pairs->items[i], "cpus=") || startswith(pairs->items[i], "memory=");
		ports += startswith(pairs->items[i], "publish=") != NULL;
		ports += startswith(pairs->items[i], "autostart=") != NULL;
		ports += startswith(pairs->items[i], "auto-ports=") != NULL;
		/* No start changes what has no effect: beyond_note() says so. */
		ports += disk && !disk->is_sized && startswith(pairs->items[i], "disk-size=");
		proxies += startswith(pairs->items[i], "proxy=") != NULL;
	}
	int r = limits ? ask_limits(name, &err) : 0;
	if (r == -ESRCH)
		return;
	if (r == 0 && proxies && limits + ports + proxies == pairs->count)
		output_note("machine \"%s\" is running: new sessions have the proxy now, services at its next start",
		    name);
	else if (r == -EOPNOTSUPP || r == -ENOENT || (r == 0 && limits + ports < pairs->count))
		output_note("machine \"%s\" is running: this takes effect at its next start", name);
	else if (r < 0)
		output_note("this takes effect at the next start of machine \"%s\", which could not do it now: %s",
		    name, error_text(err, r));
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = options_target(o);
	CLEANUP(plan_done) struct plan plan = { 0 };
	void *pairs = (void *)options_words(o);
	int r = make_plan(name, pairs, &plan, &err);
	if (r == 0)
		r = plan.move ? convert_machine(name, plan.after->isolation, apply, pairs, &err) :
				change_machine(name, apply, pairs, &err);
	if (r > 0)
		return r;
	if (r < 0)
		return client_start_failure(r, err);
	ports_follow(plan.before, plan.after);
	tell_running(name, plan.after, pairs);
	if (!streq(plan.before->proxy, plan.after->proxy))
		make_note_proxy(plan.after);
	beyond_note(plan.before, plan.after);
	autostart_note(plan.before, plan.after);
	output_line("%s", name);
	return 0;
}
