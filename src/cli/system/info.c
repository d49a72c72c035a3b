/* SPDX-License-Identifier: Apache-2.0
 * `holm system info`: what was probed on this host, which parts of holm are there, and what to
 * install where something is missing. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "docker/route.h"
#include "isolation/isolation.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	FORMAT_OPTION_SHORT('f', "text|json|TEMPLATE", "text json", "text"),
	{ 0 },
};

const struct command_spec command_system_info = {
	.name = "info",
	.summary = "show what holm found on this host, and what is missing",
	.options = options,
	.run = run,
};

/* ---- programs of the host that only some commands need; the isolation's probes cover the
 * rest ---- */

static void add_probe(struct json_object *probes, const char *name, int ok, const char *detail, const char *fix)
{
	struct json_object *probe = json_object_new_object();
	json_add_string(probe, "name", name);
	json_add_string(probe, "for", "images");
	json_add_bool(probe, "ok", ok);
	json_add_string(probe, "detail", detail);
	json_add_string(probe, "fix", ok ? NULL : fix);
	json_object_array_add(probes, probe);
}

/* Whether a probe of that name is there already. */
static int has_probe(struct json_object *probes, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(probes); i++) {
		const char *text;
		if (json_get_string(json_object_array_get_idx(probes, i), "name", &text, NULL) == 0 &&
		    streq(text, name))
			return 1;
	}
	return 0;
}

static char *find_program(const char *name)
{
	AUTO_STRV struct strv directories = { 0 };
	const char *path = getenv("PATH");
	strv_split(&directories, path ? path : "/usr/local/bin:/usr/bin:/bin", ":");
	for (size_t i = 0; i < directories.count; i++) {
		AUTOFREE char *file = path_join(directories.items[i], name);
		if (access(file, X_OK) == 0)
			return TAKE_PTR(file);
	}
	return NULL;
}

static void add_host_programs(struct json_object *probes)
{
	static const struct {
		const char *name, *purpose, *fix;
	} programs[] = {
		{ "mmdebstrap", "holm image debootstrap needs it", "apt install mmdebstrap" },
		{ "newuidmap", "holm image debootstrap needs it", "apt install uidmap" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		AUTOFREE char *found = find_program(programs[i].name);
		if (!has_probe(probes, programs[i].name))
			add_probe(probes, programs[i].name, found != NULL, found ? found : programs[i].purpose,
			    programs[i].fix);
	}
}

/* ---- the whole ---- */

static void add_host(struct json_object *o)
{
	struct json_object *host = json_object_new_object();
	struct utsname names;
	uname(&names);
	json_add_string(host, "kernel", names.release);
	json_add_string(host, "arch", names.machine);
	json_add_u64(host, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	json_add_u64(host, "memory", (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
	json_add(o, "host", host);
}

static void add_places(struct json_object *o)
{
	struct json_object *places = json_object_new_object();
	AUTOFREE char *data = path_data_dir(), *config = path_config_dir(), *file = path_join(config, "config"),
		      *runtime = NULL;
	path_runtime_dir(&runtime, NULL);
	json_add_string(places, "data", data);
	json_add_string(places, "config", file);
	json_add_string(places, "runtime", runtime);
	json_add(o, "places", places);
}

static void add_machines(struct json_object *o)
{
	AUTO_STRV struct strv names = { 0 };
	AUTOFREE char *name = NULL, *warning = NULL;
	enum machine_isolation resolved;
	uint64_t running = 0;
	machine_list(&names, NULL);
	for (size_t i = 0; i < names.count; i++)
		running += machine_is_running(names.items[i]) == 1;
	machine_default_get(&name, NULL);
	json_add_u64(o, "machines", names.count);
	json_add_u64(o, "running", running);
	int r = isolation_resolve(NULL, &resolved, &warning, NULL);
	json_add_string_or_null(o, "default_machine", name);
	json_add_string_or_null(o, "isolation", r == 0 ? machine_isolation_words[resolved] : NULL);
	json_add_string_or_null(o, "warning", warning);
}

static struct json_object *collect(void)
{
	struct json_object *o = json_object_new_object(), *probes;
	json_add_string(o, "version", HOLM_VERSION);
	json_add_string(o, "server_version", DOCKER_SERVER_VERSION);
	json_add_string(o, "api_version", DOCKER_API_VERSION);
	add_host(o);
	add_places(o);
	add_machines(o);
	isolation_probe_all(o);
	if (json_get_array(o, "probes", &probes, NULL) < 0) {
		probes = json_object_new_array();
		json_add(o, "probes", probes);
	}
	add_host_programs(probes);
	return o;
}

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text;
	return json_get_string(o, key, &text, NULL) == 0 ? text : "-";
}

static void print_probes(struct json_object *probes)
{
	static const char *const headers[] = { "PART", "FOR", "OK", "WHAT", NULL };
	AUTO_TABLE struct output_table t = { .headers = headers };
	for (size_t i = 0; i < json_object_array_length(probes); i++) {
		struct json_object *probe = json_object_array_get_idx(probes, i);
		const char *fix = NULL;
		int ok = 0;
		json_get_bool(probe, "ok", &ok, NULL);
		json_get_string(probe, "fix", &fix, NULL);
		strv_add(&t.cells, text_of(probe, "name"));
		strv_add(&t.cells, text_of(probe, "for"));
		strv_add(&t.cells, ok ? "yes" : "no");
		strv_addf(&t.cells, "%s%s%s", text_of(probe, "detail"), fix && !ok ? "; to have it: " : "",
		    fix && !ok ? fix : "");
	}
	output_table_print(&t);
}

static void print_text(struct json_object *o)
{
	struct json_object *host = NULL, *places = NULL, *probes = NULL;
	uint64_t cpus = 0, memory = 0, machines = 0, running = 0;
	json_get_object(o, "host", &host, NULL);
	json_get_object(o, "places", &places, NULL);
	json_get_array(o, "probes", &probes, NULL);
	json_get_u64(host, "cpus", &cpus, NULL);
	json_get_u64(host, "memory", &memory, NULL);
	json_get_u64(o, "machines", &machines, NULL);
	json_get_u64(o, "running", &running, NULL);
	AUTOFREE char *size = format_size(memory);
	output_line("version:    %s", text_of(o, "version"));
	output_line("host:       Linux %s, %s, %llu processors, %s of memory", text_of(host, "kernel"),
	    text_of(host, "arch"), (unsigned long long)cpus, size);
	output_line("isolation:  %s", text_of(o, "isolation"));
	output_line("machines:   %llu, %llu running, default %s", (unsigned long long)machines,
	    (unsigned long long)running, text_of(o, "default_machine"));
	output_line("containers: Docker's API %s, by holm docker-host", text_of(o, "api_version"));
	output_line("data:       %s", text_of(places, "data"));
	output_line("config:     %s", text_of(places, "config"));
	output_line("runtime:    %s", text_of(places, "runtime"));
	if (!streq(text_of(o, "warning"), "-"))
		output_line("note:       %s", text_of(o, "warning"));
	output_line("%s", "");
	print_probes(probes);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_FORMAT struct format format = { 0 };
	int r = format_parse(options_string(o, "format"), "text", &format, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTO_JSON struct json_object *info = collect(), *rows = json_object_new_array();
	json_object_array_add(rows, json_object_get(info));
	if (format.kind == FORMAT_TEMPLATE)
		return output_rows(&format, rows);
	if (format.kind == FORMAT_JSON)
		output_json(info);
	else
		print_text(info);
	return 0;
}
