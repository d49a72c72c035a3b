/* SPDX-License-Identifier: Apache-2.0
 * The commands of docker.sock for registries, besides pull and push: `distribution` describes what
 * a name is there, `try-login` tries a login. The login comes on stdin. Nothing is kept. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/commands/command.h"
#include "image/registry/login.h"
#include "image/registry/registry.h"
#include "oci/config.h"

enum { LOGIN_MAX = 64 << 10 };

int command_read_login(struct credentials *ret, char **ret_server, struct error **err)
{
	AUTOFREE char *text = NULL;
	AUTO_JSON struct json_object *o = NULL;
	const char *server = NULL;
	size_t size;
	int r = fd_read_all(STDIN_FILENO, LOGIN_MAX, &text, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the login");
	if (!size)
		return 0;
	r = json_parse(text, size, "the login", &o, NULL);
	explicit_bzero(text, size);
	if (r < 0 || !json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "the login is no JSON object");
	if (ret_server && json_get_string(o, "serveraddress", &server, NULL) == 0 && *server)
		*ret_server = xstrdup(server);
	return credentials_from_entry(o, ret, err);
}

/* ---- distribution ---- */

static struct json_object *platform_to_json(const struct oci_platform *p)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "architecture", p->architecture ? p->architecture : "");
	json_add_string(o, "os", p->os ? p->os : "");
	if (p->variant)
		json_add_string(o, "variant", p->variant);
	return o;
}

static int add_own_platform(struct registry *g, const struct document *d, const char *name, struct json_object *list,
    struct error **err)
{
	AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
	AUTO_OCI_CONFIG struct oci_config *config = NULL;
	AUTO_DOCUMENT struct document text = { 0 };
	int r;
	if ((r = oci_manifest_parse(d->data, d->size, name, &m, err)) < 0 ||
	    (r = registry_get_config(g, m->config.digest, &text, err)) < 0 ||
	    (r = oci_config_parse(text.data, text.size, name, &config, err)) < 0)
		return r;
	json_object_array_add(list, platform_to_json(&config->platform));
	return 0;
}

static int add_platforms(struct registry *g, const struct document *d, const char *name, struct json_object *list,
    struct error **err)
{
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	enum oci_document kind;
	int r = oci_document_kind(d->data, d->size, d->media_type, name, &kind, err);
	if (r < 0)
		return r;
	if (kind != OCI_DOCUMENT_INDEX)
		return add_own_platform(g, d, name, list, err);
	r = oci_index_parse(d->data, d->size, name, &index, err);
	for (size_t i = 0; r == 0 && i < index->count; i++)
		json_object_array_add(list, platform_to_json(&index->manifests[i].platform));
	return r;
}

/* {"Descriptor":{"mediaType","digest","size"},"Platforms":[...]} */
static int distribution(struct registry *g, const struct reference *ref, struct error **err)
{
	AUTO_DOCUMENT struct document d = { 0 };
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *descriptor = json_object_new_object(), *platforms = json_object_new_array();
	AUTOFREE char *name = reference_to_string(ref);
	json_add(o, "Descriptor", descriptor);
	json_add(o, "Platforms", platforms);
	int r = registry_get_manifest(g, ref->digest ? ref->digest : ref->tag, &d, err);
	if (r < 0)
		return r;
	json_add_string(descriptor, "mediaType", d.media_type ? d.media_type : OCI_TYPE_MANIFEST);
	json_add_string(descriptor, "digest", d.digest);
	json_add_u64(descriptor, "size", d.size);
	r = add_platforms(g, &d, name, platforms, err);
	return r < 0 ? r : command_print_json(o, 0, err);
}

int command_distribution(struct options *o, struct error **err)
{
	AUTO_CREDENTIALS struct credentials login = { 0 };
	AUTO_REFERENCE struct reference *ref = NULL;
	AUTO_PROGRESS struct progress *p = command_progress(o);
	AUTO_REGISTRY struct registry *g = NULL;
	int insecure, given = command_read_login(&login, NULL, err), r = given;
	if (r >= 0)
		r = reference_parse(options_words(o)->items[0], &ref, err);
	if (r == 0)
		r = command_insecure(o, &insecure, err);
	if (r == 0)
		r = registry_open(ref, insecure, p, &g, err);
	if (r == 0 && given)
		registry_set_login(g, &login);
	return r < 0 ? r : distribution(g, ref, err);
}

/* ---- try-login ---- */

int command_try_login(struct options *o, struct error **err)
{
	AUTO_CREDENTIALS struct credentials login = { 0 };
	AUTO_PROGRESS struct progress *p = command_progress(o);
	AUTOFREE char *server = NULL;
	int insecure, r = command_read_login(&login, &server, err);
	if (r == 0)
		return error_set(err, EINVAL, "a login needs a user and a password");
	AUTOFREE char *key = credentials_key_name(server ? server : "docker.io");
	key[strcspn(key, "/")] = '\0';
	if (r > 0)
		r = command_insecure(o, &insecure, err);
	if (r == 0)
		r = login_try(key, &login, insecure, p, err);
	return r < 0 ? r : command_print("Login Succeeded", err);
}
