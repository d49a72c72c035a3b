/* SPDX-License-Identifier: Apache-2.0
 * What a machine's isolation setting means on this host. */
#include <errno.h>

#include "base/alloc.h"
#include "isolation/isolation.h"
#include "isolation/vm/find.h"
#include "isolation/vm/probe.h"

int isolation_resolve(const struct machine *m, enum machine_isolation *ret, char **ret_warning, struct error **err)
{
	if (m && m->isolation == MACHINE_ISOLATION_NATIVE)
		return error_set(err, EOPNOTSUPP, "this build of holm has no native isolation; use isolation=vm");
	AUTOFREE char *qemu = vm_find_program("qemu-system-x86_64");
	if (!qemu)
		return error_set(err, ENOENT, "qemu-system-x86_64 is missing; install the package qemu-system-x86");
	struct probe_result p;
	if (!vm_kvm_works(&p) && ret_warning) {
		const char *fix = probe_fix(p.verdict);
		*ret_warning = xasprintf("machines run slowly, under emulation: %s%s%s", probe_text(p.verdict), fix ? "; " : "", fix ? fix : "");
	}
	*ret = MACHINE_ISOLATION_VM;
	return 0;
}

const struct isolation_disk_ops *isolation_disk_table(enum machine_isolation resolved, struct error **err)
{
	if (resolved == MACHINE_ISOLATION_VM)
		return &isolation_vm_disk;
	error_set(err, EOPNOTSUPP, "this build of holm has no native isolation; use isolation=vm");
	return NULL;
}
