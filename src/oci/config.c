/* SPDX-License-Identifier: Apache-2.0
 * An image's configuration. */
#include "oci/config.h"

#include <errno.h>

#include "base/alloc.h"
#include "oci/digest.h"

enum { LIST_MAX = 4096, STRING_MAX = 128 << 10, LABELS_MAX = 4096 };

const char *const oci_init_paths[] = { "/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd",
	"/usr/lib/systemd/systemd", "/init", "/bin/init", NULL };

void oci_config_free(struct oci_config *c)
{
	if (!c)
		return;
	oci_platform_done(&c->platform);
	free(c->created);
	strv_done(&c->env);
	strv_done(&c->odd_env);
	strv_done(&c->entrypoint);
	strv_done(&c->cmd);
	free(c->working_dir);
	free(c->user);
	free(c->stop_signal);
	json_object_put(c->labels);
	json_object_put(c->healthcheck);
	strv_done(&c->diff_ids);
	free(c);
}

static int get_string(struct json_object *o, const char *key, char **ret, struct error **err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);
	if (r == -ENOENT || (r == 0 && !*s))
		return 0;
	if (r < 0)
		return r;
	if (strlen(s) > STRING_MAX)
		return error_set(err, EFBIG, "\"%s\" is longer than %d KiB", key, STRING_MAX >> 10);
	*ret = xstrdup(s);
	return 0;
}

static int get_word(struct json_object *o, const char *key, char **ret, struct error **err)
{
	int r = get_string(o, key, ret, err);
	if (r == 0 && *ret && !oci_platform_word(*ret))
		return error_set(err, EINVAL,
		    "\"%s\" is \"%.64s\", not a word of letters, digits, \".\", \"_\" and \"-\"", key, *ret);
	return r;
}

/* Matches the beginning of text with a form, in which `0` is any digit, `T` also t, `+` also -.
 * Returns the rest of text, or NULL. */
static const char *after_form(const char *text, const char *form)
{
	for (; *form; form++, text++) {
		int fits = *form == '0' ? *text >= '0' && *text <= '9' :
			   *form == 'T' ? *text == 'T' || *text == 't' :
			   *form == '+' ? *text == '+' || *text == '-' :
					  *text == *form;
		if (!fits)
			return NULL;
	}
	return text;
}

/* Matches RFC 3339, section 5.6, with any number for a day: Go writes year 1 for "not known". */
static int is_time(const char *text)
{
	const char *rest = after_form(text, "0000-00-00T00:00:00");
	if (rest && *rest == '.') {
		size_t digits = strspn(rest + 1, "0123456789");
		rest = digits ? rest + 1 + digits : NULL;
	}
	if (rest && (*rest == 'Z' || *rest == 'z'))
		return rest[1] == '\0';
	rest = rest ? after_form(rest, "+00:00") : NULL;
	return rest && *rest == '\0';
}

static int get_time(struct json_object *o, const char *key, char **ret, struct error **err)
{
	int r = get_string(o, key, ret, err);
	if (r == 0 && *ret && !is_time(*ret))
		return error_set(err, EINVAL, "\"%s\" is \"%.40s\", not a time such as 2025-01-31T12:00:00Z (RFC 3339)",
		    key, *ret);
	return r;
}

static int get_list(struct json_object *o, const char *key, struct strv *ret, struct error **err)
{
	int r = json_get_strv(o, key, ret, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (ret->count > LIST_MAX)
		return error_set(err, EFBIG, "\"%s\" has more than %d entries", key, LIST_MAX);
	for (size_t i = 0; i < ret->count; i++)
		if (strlen(ret->items[i]) > STRING_MAX)
			return error_set(err, EFBIG, "an entry of \"%s\" is longer than %d KiB", key, STRING_MAX >> 10);
	return 0;
}

static int get_labels(struct json_object *o, struct json_object *labels, struct error **err)
{
	struct json_object *from = NULL;
	int r = json_get_object(o, "Labels", &from, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (json_object_object_length(from) > LABELS_MAX)
		return error_set(err, EFBIG, "more than %d labels", LABELS_MAX);
	json_object_object_foreach(from, key, value) if (json_object_is_type(value, json_type_string))
	    json_add(labels, key, json_object_get(value));
	return 0;
}

/* Moves what is not NAME=VALUE to odd_env, as other engines run such images. */
static void drop_odd_env(struct oci_config *c)
{
	struct strv all = c->env;
	c->env = (struct strv){ 0 };
	for (size_t i = 0; i < all.count; i++) {
		const char *equals = strchr(all.items[i], '=');
		strv_add(equals && equals > all.items[i] ? &c->env : &c->odd_env, all.items[i]);
	}
	strv_done(&all);
}

/* The inner "config" object: how to run it. */
static int parse_execution(struct json_object *o, struct oci_config *c, struct error **err)
{
	struct json_object *config = NULL;
	int r = json_get_object(o, "config", &config, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = get_list(config, "Env", &c->env, err)) < 0 ||
	    (r = get_list(config, "Entrypoint", &c->entrypoint, err)) < 0 ||
	    (r = get_list(config, "Cmd", &c->cmd, err)) < 0 ||
	    (r = get_string(config, "WorkingDir", &c->working_dir, err)) < 0 ||
	    (r = get_string(config, "User", &c->user, err)) < 0 ||
	    (r = get_string(config, "StopSignal", &c->stop_signal, err)) < 0 ||
	    (r = get_labels(config, c->labels, err)) < 0)
		return r;
	if (json_get_object(config, "Healthcheck", &config, NULL) == 0)
		c->healthcheck = json_object_get(config);
	drop_odd_env(c);
	return 0;
}

static int parse_rootfs(struct json_object *o, struct oci_config *c, struct error **err)
{
	struct json_object *rootfs = NULL;
	int r = json_get_object(o, "rootfs", &rootfs, err);
	if (r == 0)
		r = json_get_strv(rootfs, "diff_ids", &c->diff_ids, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "no rootfs.diff_ids") : r;
	if (c->diff_ids.count > OCI_LAYERS_MAX)
		return error_set(err, EFBIG, "it has more than %d layers", OCI_LAYERS_MAX);
	for (size_t i = 0; r == 0 && i < c->diff_ids.count; i++)
		r = digest_check(c->diff_ids.items[i], "an entry of rootfs.diff_ids", err);
	return r;
}

static int parse_config(struct json_object *o, struct oci_config *c, struct error **err)
{
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	int r;
	if ((r = get_word(o, "os", &c->platform.os, err)) < 0 ||
	    (r = get_word(o, "architecture", &c->platform.architecture, err)) < 0 ||
	    (r = get_word(o, "variant", &c->platform.variant, err)) < 0 ||
	    (r = get_time(o, "created", &c->created, err)) < 0 || (r = parse_execution(o, c, err)) < 0)
		return r;
	return parse_rootfs(o, c, err);
}

int oci_config_parse(const char *data, size_t size, const char *name, struct oci_config **ret, struct error **err)
{
	if (size > OCI_DOCUMENT_MAX)
		return error_set(err, EFBIG, "configuration of image \"%s\" is bigger than %d MiB", name,
		    OCI_DOCUMENT_MAX >> 20);
	AUTOFREE char *what = xasprintf("configuration of image \"%s\"", name);
	AUTO_JSON struct json_object *o = NULL;
	int r = json_parse(data, size, what, &o, err);
	if (r < 0)
		return r;
	AUTO_OCI_CONFIG struct oci_config *c = xnew(struct oci_config);
	c->labels = json_object_new_object();
	r = parse_config(o, c, err);
	if (r < 0)
		return error_prefix(err, r, "%s", what);
	*ret = TAKE_PTR(c);
	return 0;
}

struct json_object *oci_config_to_machine_json(const struct oci_config *c)
{
	struct json_object *o = json_object_new_object();
	json_add_strv(o, "Env", &c->env);
	json_add_string(o, "WorkingDir", c->working_dir);
	json_add_string(o, "User", c->user);
	json_add_string(o, "StopSignal", c->stop_signal);
	json_add(o, "Labels", json_object_get(c->labels));
	return o;
}

struct json_object *oci_config_to_container_json(const struct oci_config *c)
{
	struct json_object *o = oci_config_to_machine_json(c);
	json_add_strv(o, "Entrypoint", &c->entrypoint);
	json_add_strv(o, "Cmd", &c->cmd);
	if (c->healthcheck)
		json_add(o, "Healthcheck", json_object_get(c->healthcheck));
	return o;
}
