/* SPDX-License-Identifier: Apache-2.0
 * Resolving a machine's isolation setting on this host. */
#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"
#include "isolation/find.h"
#include "isolation/isolation.h"
#include "isolation/native/probe.h"
#include "isolation/vm/probe.h"

static const struct isolation_disk_ops *const disk_tables[] = {
	[MACHINE_ISOLATION_VM] = &isolation_vm_disk,
	[MACHINE_ISOLATION_NATIVE] = &isolation_native_disk,
};

static int check_vm(char **ret_warning, struct error **err)
{
	AUTOFREE char *qemu = isolation_find_program("qemu-system-x86_64");
	if (!qemu)
		return error_set(err, ENOENT, "qemu-system-x86_64 is missing; install the package qemu-system-x86");
	struct probe_result p;
	if (!vm_kvm_works(&p) && ret_warning) {
		const char *fix = probe_fix(p.verdict);
		*ret_warning = xasprintf("machines run slowly, under emulation: %s%s%s", probe_text(p.verdict),
		    fix ? "; " : "", fix ? fix : "");
	}
	return 0;
}

static int check_native(char **ret_warning, int *ret_single, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	struct idmap map;
	int r = native_works(&map, err);
	if (r < 0)
		return r;
	*ret_single = map.single;
	if (map.single && ret_warning) {
		int missing = idmap_of_user(&map, &why);
		*ret_warning = xasprintf("only one user id is there inside, which most images cannot live with: %s",
		    error_text(why, missing));
	}
	return 0;
}

int isolation_check(enum machine_isolation which, char **ret_warning, struct error **err)
{
	int single;
	if (which == MACHINE_ISOLATION_VM)
		return check_vm(ret_warning, err);
	return check_native(ret_warning, &single, err);
}

/* Virtualization that works, then namespaces, then what is slow or lacks ids. */
static int choose(enum machine_isolation *ret, char **ret_warning, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	AUTOFREE char *vm_warning = NULL, *native_warning = NULL;
	int single = 0, vm = check_vm(&vm_warning, &why);
	int native = vm >= 0 && !vm_warning ? -ECANCELED : check_native(&native_warning, &single, NULL);
	if (vm < 0 && native < 0)
		return error_set(err, -vm, "%s", error_text(why, vm));
	*ret = native >= 0 && (vm < 0 || !single) ? MACHINE_ISOLATION_NATIVE : MACHINE_ISOLATION_VM;
	if (ret_warning)
		*ret_warning = *ret == MACHINE_ISOLATION_NATIVE ? TAKE_PTR(native_warning) : TAKE_PTR(vm_warning);
	return 0;
}

/* The image's files belong to ids of the mapping that they were unpacked with: with another one
 * they would belong to strangers. */
static int check_mapping(const struct machine *m, struct error **err)
{
	struct idmap map;
	if (m->form != MACHINE_ISOLATION_NATIVE || m->image_trees.count == 0)
		return 0;
	int r = idmap_of_user_or_single(&map, err);
	if (r < 0)
		return r;
	AUTOFREE char *tag = idmap_tag(&map), *part = xasprintf("-%s-", tag);
	for (size_t i = 0; i < m->image_trees.count; i++)
		if (!strstr(path_base(m->image_trees.items[i]), part))
			return error_set(err, EPERM,
			    "machine \"%s\" was made with other subordinate ids than /etc/subuid and /etc/subgid give "
			    "you now; put the old ranges back",
			    m->name);
	return 0;
}

int isolation_resolve(const struct machine *m, enum machine_isolation *ret, char **ret_warning, struct error **err)
{
	enum machine_isolation wanted = m ? m->isolation : MACHINE_ISOLATION_AUTO;
	if (m && m->form != MACHINE_ISOLATION_AUTO) {
		if (wanted != MACHINE_ISOLATION_AUTO && wanted != m->form)
			return error_set(err, EINVAL,
			    "machine \"%s\" has a disk for isolation=%s; holm machine set -n %s isolation=%s moves it",
			    m->name, machine_isolation_words[m->form], m->name, machine_isolation_words[wanted]);
		wanted = m->form;
	}
	if (wanted == MACHINE_ISOLATION_AUTO)
		return choose(ret, ret_warning, err);
	int r = isolation_check(wanted, ret_warning, err);
	if (r < 0)
		return error_prefix(err, r, "isolation=%s does not work here", machine_isolation_words[wanted]);
	*ret = wanted;
	return m && wanted == MACHINE_ISOLATION_NATIVE ? check_mapping(m, err) : 0;
}

const struct isolation_disk_ops *isolation_disk_table(enum machine_isolation resolved, struct error **err)
{
	if ((size_t)resolved < ARRAY_SIZE(disk_tables) && disk_tables[resolved])
		return disk_tables[resolved];
	error_set(err, EOPNOTSUPP, "this build of holm does not have that isolation");
	return NULL;
}

int isolation_erase(const char *directory, struct error **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(disk_tables); i++) {
		int r = disk_tables[i] ? disk_tables[i]->erase(directory, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}
