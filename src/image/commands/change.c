/* SPDX-License-Identifier: Apache-2.0
 * --change INSTRUCTION.
 *
 * Each instruction has a row: its word, the member of the configuration, and how the value is read.
 * Values stand as they are: nothing is expanded, and quotes are taken off only around a whole value
 * of ENV and LABEL. */
#include "image/commands/change.h"

#include <errno.h>
#include <strings.h>

#include "base/alloc.h"
#include "image/common/expose.h"

enum { VALUE_MAX = 64 << 10 };

struct instruction {
	const char *word, *member;
	int (*apply)(const struct instruction *i, struct json_object *config, const char *value, struct error **err);
};

static int apply_text(const struct instruction *i, struct json_object *config, const char *value, struct error **err)
{
	json_object_object_del(config, i->member);
	json_add_string(config, i->member, value);
	return 0;
}

static char *unquote(const char *value)
{
	size_t n = strlen(value);
	int quoted = n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0];
	return quoted ? xstrndup(value + 1, n - 2) : xstrdup(value);
}

/* "KEY=VALUE", or "KEY VALUE" as old Dockerfiles have it. 0 or -EINVAL. */
static int split(const struct instruction *i, const char *text, char **ret_key, char **ret_value, struct error **err)
{
	size_t n = strcspn(text, "= \t");
	if (n == 0 || text[n] == '\0')
		return error_set(err, EINVAL, "--change \"%s %.80s\": write %s NAME=VALUE", i->word, text, i->word);
	*ret_key = xstrndup(text, n);
	*ret_value = unquote(text + n + 1);
	return 0;
}

static int apply_env(const struct instruction *i, struct json_object *config, const char *value, struct error **err)
{
	AUTO_STRV struct strv env = { 0 };
	AUTOFREE char *key = NULL, *text = NULL;
	int r = split(i, value, &key, &text, err);
	if (r < 0)
		return r;
	(void)json_get_strv(config, i->member, &env, NULL);
	strv_setenv(&env, key, text);
	json_object_object_del(config, i->member);
	json_add_strv(config, i->member, &env);
	return 0;
}

static int apply_label(const struct instruction *i, struct json_object *config, const char *value, struct error **err)
{
	AUTOFREE char *key = NULL, *text = NULL;
	struct json_object *labels = NULL;
	int r = split(i, value, &key, &text, err);
	if (r < 0)
		return r;
	if (json_get_object(config, i->member, &labels, NULL) < 0) {
		labels = json_object_new_object();
		json_add(config, i->member, labels);
	}
	json_object_object_del(labels, key);
	json_add_string(labels, key, text);
	return 0;
}

/* A JSON array, or a text for the shell. */
static int apply_command(const struct instruction *i, struct json_object *config, const char *value, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTO_STRV struct strv words = { 0 };
	struct json_object *array = NULL;
	if (value[0] == '[') {
		int r = json_parse(value, strlen(value), i->word, &array, err);
		if (r < 0)
			return error_prefix(err, r, "--change");
		json_add(o, "words", array);
		r = json_get_strv(o, "words", &words, NULL);
		if (r < 0)
			return error_set(err, EINVAL, "--change \"%s %.80s\" is not an array of strings", i->word,
			    value);
	} else {
		strv_add(&words, "/bin/sh");
		strv_add(&words, "-c");
		strv_add(&words, value);
	}
	json_object_object_del(config, i->member);
	json_add_strv(config, i->member, &words);
	return 0;
}

/* Words as the keys of an object: "80 443/udp". A port is TCP's where it names no protocol. */
static int apply_keys(const struct instruction *i, struct json_object *config, const char *value, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTO_STRV struct strv words = { 0 };
	struct json_object *array = NULL, *keys = NULL;
	if (value[0] == '[' && json_parse(value, strlen(value), i->word, &array, NULL) == 0) {
		json_add(o, "words", array);
		if (json_get_strv(o, "words", &words, NULL) < 0)
			return error_set(err, EINVAL, "--change \"%s %.80s\" is not an array of strings", i->word,
			    value);
	} else {
		strv_split(&words, value, " \t");
	}
	if (json_get_object(config, i->member, &keys, NULL) < 0) {
		keys = json_object_new_object();
		json_object_object_del(config, i->member);
		json_add(config, i->member, keys);
	}
	for (size_t k = 0; k < words.count; k++) {
		if (!streq(i->word, "EXPOSE"))
			json_object_object_add(keys, words.items[k], json_object_new_object());
		else if (expose_add(keys, "--change EXPOSE", words.items[k], err) < 0)
			return -EINVAL;
	}
	return 0;
}

static int apply_onbuild(const struct instruction *i, struct json_object *config, const char *value, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	(void)json_get_strv(config, i->member, &all, NULL);
	strv_add(&all, value);
	json_object_object_del(config, i->member);
	json_add_strv(config, i->member, &all);
	return 0;
}

static const struct instruction instructions[] = {
	{ "ENV", "Env", apply_env },
	{ "LABEL", "Labels", apply_label },
	{ "USER", "User", apply_text },
	{ "WORKDIR", "WorkingDir", apply_text },
	{ "STOPSIGNAL", "StopSignal", apply_text },
	{ "CMD", "Cmd", apply_command },
	{ "ENTRYPOINT", "Entrypoint", apply_command },
	{ "EXPOSE", "ExposedPorts", apply_keys },
	{ "VOLUME", "Volumes", apply_keys },
	{ "ONBUILD", "OnBuild", apply_onbuild },
};

int change_apply(struct json_object *config, const char *instruction, struct error **err)
{
	size_t n = strcspn(instruction, " \t=");
	const char *value = instruction + n + strspn(instruction + n, " \t=");
	if (strlen(instruction) > VALUE_MAX)
		return error_set(err, EFBIG, "--change: an instruction is longer than %d KiB", VALUE_MAX >> 10);
	for (size_t k = 0; k < ARRAY_SIZE(instructions); k++) {
		const struct instruction *i = &instructions[k];
		if (strlen(i->word) != n || strncasecmp(i->word, instruction, n) != 0)
			continue;
		if (!*value)
			return error_set(err, EINVAL, "--change \"%.80s\" lacks a value", instruction);
		return i->apply(i, config, value, err);
	}
	return error_set(err, EINVAL,
	    "--change \"%.80s\": there are ENV, LABEL, USER, WORKDIR, STOPSIGNAL, CMD, ENTRYPOINT, "
	    "EXPOSE, VOLUME and ONBUILD",
	    instruction);
}

int change_apply_all(struct json_object *config, const struct strv *list, struct error **err)
{
	int r = 0;
	for (size_t k = 0; r == 0 && k < list->count; k++)
		r = change_apply(config, list->items[k], err);
	return r;
}
