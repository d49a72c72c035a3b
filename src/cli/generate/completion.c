/* SPDX-License-Identifier: Apache-2.0
 * `holm completion`: prints a shell's script, and the words that the scripts ask for. Nothing here
 * boots a machine, and a machine that does not answer soon has no words. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/spawn.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/generate/generate.h"
#include "cli/output.h"
#include "cli/target.h"
#include "machine/machine.h"

enum { ANSWER_MS = 2000, LIST_MAX = 1 << 20 };

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_completion = {
	.name = "completion",
	.synopsis = "bash|zsh|fish",
	.summary = "print the completion script for a shell",
	.details =
	    "The package installs the scripts. Elsewhere: source <(holm completion bash) in ~/.bashrc, the same "
	    "with zsh in ~/.zshrc behind compinit, or: holm completion fish > ~/.config/fish/completions/holm.fish.",
	.min_arguments = 1,
	.max_arguments = 3,
	.complete = "choices bash zsh fish",
	.run = run,
};

/* ---- names ---- */

static void list_machines(const char *word, struct strv *ret)
{
	(void)word;
	(void)machine_list(ret, NULL);
}

/* An answer of the engine of the machine that a command without --machine means; owned, or NULL. */
static struct json_object *ask_engine(const char *target)
{
	AUTOFREE char *name = NULL;
	struct json_object *answer = NULL;
	if (target_machine(NULL, &name, NULL) < 0 || machine_is_running(name) != 1)
		return NULL;
	const struct api a = { .machine = name, .timeout_ms = ANSWER_MS };
	if (api_call(&a, "GET", target, NULL, &answer, NULL) < 0)
		return NULL;
	return answer;
}

/* Adds a member of each item of the list. */
static void add_members(struct json_object *list, const char *member, struct strv *ret)
{
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		const char *text = NULL;
		if (json_get_string(json_object_array_get_idx(list, i), member, &text, NULL) == 0)
			strv_add(ret, text);
	}
}

static void list_containers(const char *word, struct strv *ret)
{
	AUTO_JSON struct json_object *list = ask_engine("/containers/json?all=1");
	(void)word;
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		AUTO_STRV struct strv names = { 0 };
		json_get_strv(json_object_array_get_idx(list, i), "Names", &names, NULL);
		if (names.count && names.items[0][0] == '/')
			strv_add(ret, names.items[0] + 1);
	}
}

static void list_volumes(const char *word, struct strv *ret)
{
	AUTO_JSON struct json_object *answer = ask_engine("/volumes");
	struct json_object *list = NULL;
	(void)word;
	if (answer && json_get_array(answer, "Volumes", &list, NULL) == 0)
		add_members(list, "Name", ret);
}

static void list_networks(const char *word, struct strv *ret)
{
	AUTO_JSON struct json_object *list = ask_engine("/networks");
	(void)word;
	add_members(list, "Name", ret);
}

/* The lines that a command prints in time. */
static void capture(char *const *argv, struct strv *ret)
{
	AUTOFREE char *output = NULL;
	if (spawn_capture(argv, LIST_MAX, clock_deadline(ANSWER_MS), &output, NULL) == 0)
		strv_split(ret, output, "\n");
}

/* Short names, unless the word has begun with a long one. */
static void list_images(const char *word, struct strv *ret)
{
	static const char *const prefixes[] = { "docker.io/library/", "docker.io/", "localhost/" };
	AUTOFREE char *program = path_libexec("holm-image");
	char *const argv[] = { program, (char *)"ls", (char *)"-q", NULL };
	AUTO_STRV struct strv names = { 0 };
	capture(argv, &names);
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];
		for (size_t k = 0; k < ARRAY_SIZE(prefixes); k++) {
			const char *rest = startswith(name, prefixes[k]);
			if (rest && !startswith(word, prefixes[k])) {
				name = rest;
				break;
			}
		}
		strv_add(ret, name);
	}
}

/* ---- settings ---- */

static void list_keys(const char *word, struct strv *ret)
{
	size_t size = strcspn(word, "=");
	for (const struct machine_key *k = machine_keys; k->key; k++) {
		if (!word[size] && endswith(k->key, ".NAME"))
			strv_add(ret, "env.");
		else if (!word[size])
			strv_addf(ret, "%s=", k->key);
		else if (strlen(k->key) == size && strncmp(k->key, word, size) == 0)
			for (const char *const *w = k->words; w && *w; w++)
				strv_addf(ret, "%s=%s", k->key, *w);
	}
}

/* ---- NAME:PATH ---- */

typedef void names_fn(const char *word, struct strv *ret);

/* Adds NAME: for each name, or the entries of the directory that the word has come to. list: an
 * argv to which the directory is added. */
static void add_paths(const char *word, names_fn *names, struct strv *list, struct strv *ret)
{
	const char *colon = strchr(word, ':'), *slash = colon ? strrchr(colon, '/') : NULL;
	AUTO_STRV struct strv entries = { 0 }, all = { 0 };
	if (!colon) {
		names(word, &all);
		for (size_t i = 0; i < all.count; i++)
			strv_addf(ret, "%s:", all.items[i]);
		return;
	}
	AUTOFREE char *folder = slash ? xstrndup(colon + 1, (size_t)(slash - colon)) : xstrdup("");
	const char *last = slash ? slash + 1 : colon + 1;
	strv_add(list, folder);
	capture(strv_argv(list), &entries);
	for (size_t i = 0; i < entries.count; i++)
		if (*entries.items[i] && (entries.items[i][0] != '.' || *last == '.'))
			strv_addf(ret, "%.*s%s", (int)(last - word), word, entries.items[i]);
}

/* Lists "$1" from the directory where such paths begin; ./ and ../ come along. */
#define LIST_HOME "cd && case \"$1\" in '~/'*) cd \"./${1#??}\" ;; '') ;; *) cd \"$1\" ;; esac && ls -1ap"
#define LIST_ROOT "cd / && cd \"${1:-/}\" && ls -1ap"

static void list_machine_paths(const char *word, struct strv *ret)
{
	AUTOFREE char *program = path_program("holm"), *name = xstrndup(word, strcspn(word, ":"));
	AUTO_STRV struct strv argv = { 0 };
	const char *const words[] = { program, "machine", "run", "--no-stdin", "--no-tty", "--name", name, "--", "sh",
		"-c", LIST_HOME, "sh" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	if (!strchr(word, ':') || machine_is_running(name) == 1)
		add_paths(word, list_machines, &argv, ret);
}

static void list_container_paths(const char *word, struct strv *ret)
{
	AUTOFREE char *program = path_program("holm"), *name = xstrndup(word, strcspn(word, ":")), *machine = NULL;
	AUTO_STRV struct strv argv = { 0 };
	const char *const words[] = { program, "exec", name, "sh", "-c", LIST_ROOT, "sh" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	if (target_machine(NULL, &machine, NULL) == 0 && machine_is_running(machine) == 1)
		add_paths(word, list_containers, &argv, ret);
}

/* ---- the command ---- */

/* Whether a shell takes the word as it is. Names of containers, volumes and networks, and of files
 * inside, come from a machine, which may choose them so that a shell runs a part of them as a
 * command: bash puts names on the command line as they are, and files with most of such characters
 * quoted. */
static int is_harmless(const char *word, int is_path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:@=,+%";
	if (*word == '-')
		return 0;
	if (!is_path)
		return word[strspn(word, plain)] == '\0';
	for (const char *at = word; *at; at++)
		if ((unsigned char)*at < ' ' || strchr("`$!\177", *at))
			return 0;
	return 1;
}

static const struct {
	const char *kind;
	names_fn *list;
} kinds[] = {
	{ "machine", list_machines },
	{ "container", list_containers },
	{ "volume", list_volumes },
	{ "network", list_networks },
	{ "image", list_images },
	{ "key", list_keys },
	{ "machine-path", list_machine_paths },
	{ "container-path", list_container_paths },
};

static int print_words(const char *kind, const char *word)
{
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (streq(kinds[i].kind, kind))
			kinds[i].list(word, &all);
	for (size_t i = 0; i < all.count; i++)
		if (startswith(all.items[i], word) && is_harmless(all.items[i], endswith(kind, "-path")))
			output_line("%s", all.items[i]);
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	static const struct {
		const char *name;
		void (*generate)(FILE *out);
	} shells[] = { { "bash", generate_bash }, { "zsh", generate_zsh }, { "fish", generate_fish } };
	const struct strv *words = options_words(o);
	(void)c;
	if (streq(words->items[0], "words") && words->count > 1)
		return print_words(words->items[1], words->count > 2 ? words->items[2] : "");
	for (size_t i = 0; words->count == 1 && i < ARRAY_SIZE(shells); i++) {
		if (streq(shells[i].name, words->items[0])) {
			shells[i].generate(stdout);
			return 0;
		}
	}
	output_error("completion: there are scripts for bash, zsh and fish; write one of them");
	return EXIT_HOLM;
}
