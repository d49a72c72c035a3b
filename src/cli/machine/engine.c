/* SPDX-License-Identifier: Apache-2.0
 * The image lies in the installation as an OCI archive (guest/engine-image). Its name in the
 * library has holm's version, so that another version brings its own. */
#include "cli/machine/engine.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/image/program.h"
#include "cli/machine/make.h"
#include "cli/output.h"

#define IMAGE_NAME "localhost/holm-engine"
#define IMAGE IMAGE_NAME ":" HOLM_VERSION

static int load(struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *archive = path_share("guest/engine.tar");
	if (access(archive, R_OK) < 0)
		return error_set(err, errno, "%s: %s; is holm installed completely?", archive, strerror(errno));
	strv_add(&words, "load");
	strv_add(&words, "--progress=none");
	strv_add(&words, "--tag=" IMAGE);
	strv_add(&words, archive);
	return image_program_run(&words, -1, -1, NULL, err);
}

static int prepare(const struct machine *m, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, "prepare");
	strv_take(&words, make_form_option(m));
	strv_add(&words, "--pull=never");
	strv_add(&words, "--progress=none");
	strv_add(&words, "--");
	strv_add(&words, IMAGE);
	return image_program_run(&words, -1, -1, ret, err);
}

int engine_prepare(struct machine *m, struct error **err)
{
	AUTO_JSON struct json_object *prepared = NULL;
	int r = load(err); /* the library stores no blob twice */
	if (r == 0)
		r = prepare(m, &prepared, err);
	return r == 0 ? make_apply_image(m, prepared, err) : r;
}

void engine_settings(struct machine *m)
{
	m->init = MACHINE_INIT_HOLM;
}

int engine_is_machine(const struct machine *m)
{
	return m->image && startswith(m->image, IMAGE_NAME ":");
}

static int make(struct error **err)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO_MACHINE struct machine *m = machine_new(ENGINE_MACHINE_NAME);
	int r;
	if ((r = settings_load(&settings, err)) < 0 || (r = make_apply_settings(m, &settings, err)) < 0)
		return r;
	engine_settings(m);
	make_open_ports(m);
	if ((r = make_choose_form(m, err)) < 0)
		return r;
	if (geteuid() == 0 && m->form == MACHINE_ISOLATION_NATIVE)
		return error_set(err, EOPNOTSUPP,
		    "there is no machine, and native ones of root have no containers; run holm as an ordinary user");
	output_note("there is no machine yet; making \"%s\" for containers", m->name);
	r = engine_prepare(m, err);
	if (r > 0)
		return error_set(err, EIO, "machine \"%s\" was not made", m->name);
	return r < 0 ? r : make_store(m, 1, err);
}

int engine_make_first(char **ret_name, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	int r = machine_list(&names, err);
	/* Another command may have made it, and not yet the default machine. */
	int made = names.count == 1 && streq(names.items[0], ENGINE_MACHINE_NAME);
	if (r < 0 || (names.count && !made))
		return r < 0 ? r : 0;
	r = made ? 0 : make(err);
	if (r == -EEXIST) /* another command made it in the meantime */
		error_clear(err);
	if (r < 0 && r != -EEXIST)
		return r;
	*ret_name = xstrdup(ENGINE_MACHINE_NAME);
	return 1;
}

void engine_note_ready(const char *name)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTOFREE char *api = machine_socket_path(name, NULL), *folder = api ? path_parent(api) : NULL;
	if (!folder || machine_load(name, &m, NULL) < 0 || !engine_is_machine(m))
		return;
	output_note("machine \"%s\" is ready for containers: holm run IMAGE; for Docker's clients:", name);
	output_note("export DOCKER_HOST=unix://%s/docker.sock", folder);
}
