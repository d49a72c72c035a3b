/* SPDX-License-Identifier: Apache-2.0
 * holm image debootstrap: a bootable Debian from its package archive. mmdebstrap does the work and
 * writes one tar stream, which becomes the image's one layer while it comes. */
#include <errno.h>

#include "base/alloc.h"
#include "image/archive/compose.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/debian/mmdebstrap.h"
#include "image/library/image.h"
#include "oci/reference.h"

static int suite_is_valid(const char *s)
{
	return *s && strlen(s) <= 40 && s[0] != '-' && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(s);
}

static struct json_object *make_config(const char *suite)
{
	struct json_object *o = json_object_new_object(), *labels = json_object_new_object();
	AUTO_STRV struct strv env = { 0 }, cmd = { 0 };
	strv_add(&env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strv_add(&env, "LANG=C.UTF-8");
	strv_add(&cmd, "/sbin/init");
	json_add_string(labels, "org.opencontainers.image.title", "Debian");
	json_add_string(labels, "org.opencontainers.image.version", suite);
	json_add_strv(o, "Env", &env);
	json_add_strv(o, "Cmd", &cmd);
	json_add_string(o, "StopSignal", "SIGRTMIN+3");
	json_add(o, "Labels", labels);
	return o;
}

static int on_output(const void *tar, size_t size, void *data, struct error **err)
{
	return layer_writer_write(data, tar, size, err);
}

static int make_layer(struct library *l, struct options *o, struct progress *p, struct composed_layer *ret,
    struct error **err)
{
	struct layer_writer w;
	const char *given = options_string(o, "keyring");
	AUTOFREE char *keyring = given ? realpath(given, NULL) : NULL; /* mmdebstrap works in another directory */
	if (given && !keyring)
		return error_set_errno(err, errno, "--keyring %.200s", given);
	int r = layer_writer_open(l, LAYER_ZSTD, &w, err);
	if (r < 0)
		return r;
	struct mmdebstrap m = {
		.suite = options_words(o)->items[0],
		.mirror = options_string(o, "mirror"),
		.include = options_list(o, "include"),
		.keyring = keyring,
		.takes_expired = options_given(o, "no-check-valid-until"),
		.progress = p,
		.bar = progress_add(p, options_words(o)->items[0], 0),
		.on_output = on_output,
		.data = &w,
	};
	r = mmdebstrap_run(&m, err);
	if (r < 0) {
		layer_writer_abort(&w);
		return r;
	}
	r = layer_writer_finish(&w, ret, err);
	if (r == 0)
		progress_finish(p, m.bar, "made");
	return r;
}

static int debootstrap(struct library *l, struct options *o, const char *name, struct error **err)
{
	AUTO_PROGRESS struct progress *p = command_progress(o);
	AUTO_JSON struct json_object *config = make_config(options_words(o)->items[0]);
	const struct compose_facts facts = { .config = config };
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	progress_note(p, "making %s with mmdebstrap; this takes a minute or more", name);
	int r;
	if ((r = make_layer(l, o, p, &layer, err)) < 0 || (r = compose_image(l, &layer, &facts, digest, err)) < 0 ||
	    (r = image_register(l, name, digest, NULL, err)) < 0)
		return r;
	progress_free(TAKE_PTR(p));
	return command_print(name, err);
}

int command_debootstrap(struct options *o, struct error **err)
{
	const char *suite = options_words(o)->items[0], *tag = options_string(o, "tag");
	AUTOFREE char *text = tag ? xstrdup(tag) : xasprintf("debian:%s", suite);
	AUTO_REFERENCE struct reference *reference = NULL;
	struct library *l = NULL;
	if (!suite_is_valid(suite))
		return error_set(err, EINVAL, "\"%.40s\" is not the name of a Debian suite; write bookworm or trixie",
		    suite);
	int r = reference_parse(text, &reference, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0) {
		AUTOFREE char *name = reference_to_local_string(reference);
		r = debootstrap(l, o, name, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
