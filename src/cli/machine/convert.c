/* SPDX-License-Identifier: Apache-2.0
 * A disk goes to the other form as an archive: the old isolation boots the machine without its init
 * and the agent sends the root file system, holm-image makes an image of it in the form that the
 * new isolation needs, and the machine is laid over that image.
 *
 * Which form counts is said by machine.json alone, and that is replaced in one step when the new
 * form is whole; the old form goes after it. A crash before the step leaves the machine as it was,
 * one after it as it shall be; what else lies in its folder goes with the next move or with the
 * machine. Both locks are held from the export on, and whoever used the machine between the two has
 * left a trace in the lock's file. */
#include "cli/machine/convert.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/client.h"
#include "cli/image/program.h"
#include "cli/machine/export.h"
#include "cli/machine/make.h"
#include "cli/output.h"
#include "isolation/isolation.h"

enum { LOCK_MS = 5000 };

struct move {
	const char *name;
	enum machine_isolation from, to;
	int (*change)(struct machine *m, void *data, struct error **err);
	void *data;
};

static int check(const struct move *v, struct error **err)
{
	if (machine_is_running(v->name) == 1)
		return error_set(err, EBUSY,
		    "machine \"%s\" is running; stop it before its disk is moved: holm machine stop %s", v->name,
		    v->name);
	int r = isolation_check(v->to, NULL, err);
	return r < 0 ? error_prefix(err, r, "isolation=%s does not work here", machine_isolation_words[v->to]) : 0;
}

static int lock_unused(const struct move *v, struct client_locks *ret, struct error **err)
{
	ret->config = machine_config_lock(v->name, clock_deadline(LOCK_MS), err);
	if (ret->config < 0)
		return ret->config;
	ret->machine = machine_lock_again(v->name, clock_deadline(LOCK_MS), NULL);
	if (ret->machine < 0)
		return error_set(err, EBUSY,
		    "machine \"%s\" was used by another command while its disk was read; nothing was changed, try "
		    "again",
		    v->name);
	return 0;
}

static int unpack(const struct machine *m, const char *file, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, "unpack");
	strv_take(&words, make_form_option(m));
	strv_add(&words, "--");
	strv_add(&words, file);
	return image_program_run(&words, -1, -1, ret, err);
}

/* The settings as they shall be, over the new image; the name of the image that the machine was
 * made from stays. */
static int prepare(const struct move *v, struct machine *m, const char *file, struct error **err)
{
	AUTO_JSON struct json_object *unpacked = NULL;
	AUTOFREE char *image = xstrdup(m->image);
	m->form = v->to;
	int r = unpack(m, file, &unpacked, err);
	if (r == 0)
		r = make_apply_image(m, unpacked, err);
	if (r != 0)
		return r;
	free(m->image);
	m->image = TAKE_PTR(image);
	return v->change(m, v->data, err);
}

static int swap(const struct move *v, const struct machine *m, struct error **err)
{
	const struct isolation_disk_ops *from = isolation_disk_table(v->from, err),
					*to = isolation_disk_table(v->to, err);
	AUTOFREE char *directory = machine_dir(v->name);
	AUTO_ERROR struct error *later = NULL;
	if (!from || !to)
		return -EOPNOTSUPP;
	int r = to->erase(directory, err); /* the remains of a move that crashed */
	if (r >= 0)
		r = to->create(m, directory, err);
	if (r >= 0)
		r = machine_save(m, err);
	if (r < 0) {
		to->erase(directory, NULL);
		return r;
	}
	r = from->erase(directory, &later);
	if (r >= 0)
		r = from->remove(m, &later);
	if (r < 0)
		output_note("the disk is moved; of the old one something is left: %s", error_text(later, r));
	return 0;
}

static int move_from(const struct move *v, const char *file, struct error **err)
{
	AUTO_LOCKS struct client_locks locks = CLIENT_LOCKS_NONE;
	AUTO_MACHINE struct machine *m = NULL;
	int r;
	if ((r = lock_unused(v, &locks, err)) < 0 || (r = machine_load(v->name, &m, err)) < 0)
		return r;
	if (m->form != v->from)
		return error_set(err, EBUSY, "machine \"%s\" was moved by another command meanwhile", v->name);
	r = prepare(v, m, file, err);
	return r == 0 ? swap(v, m, err) : r;
}

int convert_machine(const char *name, enum machine_isolation to,
    int (*change)(struct machine *m, void *data, struct error **err), void *data, struct error **err)
{
	const enum machine_isolation from =
	    to == MACHINE_ISOLATION_VM ? MACHINE_ISOLATION_NATIVE : MACHINE_ISOLATION_VM;
	const struct move v = { name, from, to, change, data };
	AUTOFREE char *file = machine_file(name, "moving.oci");
	int r = check(&v, err);
	if (r < 0)
		return r;
	r = export_machine(name, file, err);
	if (r == 0)
		r = move_from(&v, file, err);
	unlink(file);
	return r;
}
