/* SPDX-License-Identifier: Apache-2.0
 * The isolations that can run machines. */
#include <errno.h>

#include "isolation/isolation.h"

const struct isolation_ops *isolation_table(enum machine_isolation resolved, struct error **err)
{
	if (resolved == MACHINE_ISOLATION_VM)
		return &isolation_vm;
	error_set(err, EOPNOTSUPP, "this build of holm has no native isolation; use isolation=vm");
	return NULL;
}
