/* SPDX-License-Identifier: Apache-2.0
 * A resolver for each enum command_target. It adds names to a list and returns how many words it
 * took, or -errno. */
#include "cli/target.h"

#include <errno.h>

#include "base/alloc.h"
#include "machine/machine.h"

/* The host's $HOLM_MACHINE, or NULL. Inside a machine the variable says which one it is, and the
 * machines of a holm inside have other names. */
static const char *machine_of_environment(void)
{
	const char *name = getenv("HOLM_MACHINE");
	return name && *name && !streq(getenv("container"), "holm") ? name : NULL;
}

int target_default(char **ret, struct error **err)
{
	const char *name = machine_of_environment();
	if (!name)
		return machine_default_get(ret, err);
	*ret = xstrdup(name);
	return 0;
}

int target_machine(const char *given, char **ret, struct error **err)
{
	AUTOFREE char *name = xstrdup(given);
	AUTO_MACHINE struct machine *m = NULL;
	int r = name ? 0 : target_default(&name, err);
	if (r == 0)
		r = machine_load(name, &m, err);
	if (r < 0)
		return !given && machine_of_environment() ? error_prefix(err, r, "HOLM_MACHINE in the environment") : r;
	*ret = TAKE_PTR(name);
	return 0;
}

static int add_machine(const char *given, struct strv *names, struct error **err)
{
	char *name = NULL;
	int r = target_machine(given, &name, err);
	if (r == 0)
		strv_take(names, name);
	return r;
}

static int machine_or_default(const struct command_spec *c, struct options *o, struct strv *names, struct error **err)
{
	const struct strv *words = options_words(o);
	int r = add_machine(words->count ? words->items[0] : NULL, names, err);
	return r < 0 ? r : words->count > 0;
}

static int named_or_default(const struct command_spec *c, struct options *o, struct strv *names, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_ERROR struct error *why = NULL;
	const struct strv *words = options_words(o);
	const char *given = options_string(o, "name");
	int r = add_machine(given, names, &why);
	if (r >= 0)
		return 0;
	if (!given && words->count && machine_load(words->items[0], &m, NULL) == 0)
		return error_set(err, -r, "%s; did you mean \"%s -n %s\"?", error_text(why, r), c->name,
		    words->items[0]);
	return error_set(err, -r, "%s", error_text(why, r));
}

static int machine_or_command(const struct command_spec *c, struct options *o, struct strv *names, struct error **err)
{
	AUTO_ERROR struct error *unknown = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	const struct strv *words = options_words(o);
	const char *word = words->count ? words->items[0] : NULL;
	int is_machine = word && machine_name_check(word, NULL) == 0 && machine_load(word, &m, &unknown) != -ENOENT;
	int r = add_machine(is_machine ? word : NULL, names, err);
	/* Without a default machine, a single word was most likely meant as a name. */
	if (r == -ENOENT && words->count == 1 && unknown) {
		error_clear(err);
		return error_set(err, ENOENT, "%s", error_text(unknown, -ENOENT));
	}
	return r < 0 ? r : is_machine;
}

static int has_flag(const struct options *o, const char *name)
{
	return options_has(o, name) && options_given(o, name);
}

static int all_of(const struct options *o)
{
	return has_flag(o, "all");
}

/* Those with autostart=on. One whose settings cannot be read is none of them. */
static int machines_of_login(struct options *o, struct strv *names, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	if (all_of(o) || options_words(o)->count)
		return error_set(err, EINVAL, "--autostart excludes --all and names");
	int r = machine_list(&all, err);
	for (size_t i = 0; r == 0 && i < all.count; i++) {
		AUTO_MACHINE struct machine *m = NULL;
		if (machine_load(all.items[i], &m, NULL) == 0 && m->autostart)
			strv_add(names, all.items[i]);
	}
	return r;
}

static int machines(const struct command_spec *c, struct options *o, struct strv *names, struct error **err)
{
	const struct strv *words = options_words(o);
	int all = all_of(o);
	if (all && words->count)
		return error_set(err, EINVAL, "--all and names exclude each other");
	if (all)
		return machine_list(names, err);
	if (!words->count)
		return error_set(err, EINVAL, "%s needs NAME... or --all; see holm machine %s --help", c->name,
		    c->name);
	strv_add_all(names, words);
	return (int)words->count;
}

static int machines_or_default(const struct command_spec *c, struct options *o, struct strv *names, struct error **err)
{
	const struct strv *words = options_words(o);
	if (has_flag(o, "autostart"))
		return machines_of_login(o, names, err);
	if (all_of(o) || !words->count)
		return all_of(o) ? machines(c, o, names, err) : machine_or_default(c, o, names, err);
	/* All of them exist, or nothing is done. */
	for (size_t i = 0; i < words->count; i++) {
		int r = add_machine(words->items[i], names, err);
		if (r < 0)
			return r;
	}
	return (int)words->count;
}

static int machines_or_running(const struct command_spec *c, struct options *o, struct strv *names, struct error **err)
{
	const struct strv *words = options_words(o);
	if (all_of(o) && words->count)
		return error_set(err, EINVAL, "--all and names exclude each other");
	return words->count ? machines_or_default(c, o, names, err) : 0;
}

int target_resolve(const struct command_spec *c, struct options *o, struct error **err)
{
	static int (*const resolvers[])(const struct command_spec *c, struct options *o, struct strv *names,
	    struct error **err) = {
		[TARGET_MACHINE] = machine_or_default, /* there is a word: min_arguments */
		[TARGET_MACHINE_OR_DEFAULT] = machine_or_default,
		[TARGET_NAMED_OR_DEFAULT] = named_or_default,
		[TARGET_MACHINE_OR_COMMAND] = machine_or_command,
		[TARGET_MACHINES] = machines,
		[TARGET_MACHINES_OR_DEFAULT] = machines_or_default,
		[TARGET_MACHINES_OR_RUNNING] = machines_or_running,
	};
	AUTO_STRV struct strv names = { 0 };
	if (!resolvers[c->target])
		return 0;
	int r = resolvers[c->target](c, o, &names, err);
	if (r < 0)
		return r;
	options_set_targets(o, &names, (size_t)r);
	return c->target == TARGET_MACHINE_OR_COMMAND && r > 0 ? options_resume(o, err) : 0;
}
