/* SPDX-License-Identifier: Apache-2.0
 * See machine_tree.h. The list follows what src/agent/provision writes at a boot. */
#include "image/archive/machine_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/path.h"
#include "image/archive/machine_accounts.h"

/* Written at each boot, or an identity that each machine makes for itself. */
static const char *const left_out[] = {
	"/etc/doas.d/holm.conf",
	"/etc/hostname",
	"/etc/hosts",
	"/etc/localtime",
	"/etc/machine-id",
	"/etc/resolv.conf",
	"/etc/sudoers.d/zz-holm",
	"/etc/timezone",
	"/var/lib/dbus/machine-id",
	"/var/lib/holm",
	"/var/lib/misc/random-seed",
	"/var/lib/random-seed",
	"/var/lib/seedrng",
	"/var/lib/systemd/credential.secret",
	"/var/lib/systemd/random-seed",
	"/var/lib/urandom/random-seed",
};

void machine_facts_done(struct machine_facts *f)
{
	strv_done(&f->places);
	*f = (struct machine_facts){ 0 };
}

int machine_facts_read(struct json_object *machine, struct machine_facts *ret, struct error **err)
{
	struct json_object *mounts = NULL;
	uint64_t gid = 0;
	int r;
	if ((r = json_get_string(machine, "user", &ret->user, err)) < 0 ||
	    (r = json_get_string(machine, "home", &ret->home, err)) < 0 ||
	    (r = json_get_u64(machine, "gid", &gid, err)) < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "the machine's settings are incomplete") : r;
	ret->gid = (uint32_t)gid;
	strv_add(&ret->places, ret->home);
	r = json_get_array(machine, "mounts", &mounts, err);
	for (size_t i = 0; r >= 0 && i < json_object_array_length(mounts); i++) {
		const char *inside = NULL;
		r = json_get_string(json_object_array_get_idx(mounts, i), "inside", &inside, err);
		if (r >= 0)
			strv_add(&ret->places, inside);
	}
	return r == -ENOENT ? 0 : r;
}

static int is_host_key(const char *path)
{
	const char *ssh = startswith(path, "/etc/ssh/ssh_host_"), *dropbear = startswith(path, "/etc/dropbear/");
	return (ssh && (endswith(path, "_key") || endswith(path, "_key.pub"))) ||
	       (dropbear && endswith(path, "_host_key"));
}

int machine_tree_leaves_out(const struct machine_facts *f, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (path_is_below(path, left_out[i]))
			return 1;
	for (size_t i = 0; i < f->places.count; i++)
		if (path_is_below(path, f->places.items[i]))
			return 1;
	const char *linger = startswith(path, "/var/lib/systemd/linger/");
	return is_host_key(path) || streq(linger, f->user);
}

void machine_tree_clean(const struct machine_facts *f, const struct contents *base, struct contents *now)
{
	struct machine_owner owner = { .user = f->user, .gid = f->gid };
	for (const char *const *path = machine_account_files; *path; path++) {
		struct content **c = contents_find(now, *path), **old = contents_find(base, *path);
		const char *image = old ? (*old)->text : NULL;
		if (c && (*c)->text)
			content_set_text(*c, machine_accounts_filter(*path, &owner, image, (*c)->text));
	}
	strv_done(&owner.groups);
}
