/* SPDX-License-Identifier: Apache-2.0
 * The isolations that can run machines. */
#include <errno.h>

#include "isolation/isolation.h"

const struct isolation_ops *isolation_table(enum machine_isolation resolved, struct error **err)
{
	if (resolved == MACHINE_ISOLATION_VM)
		return &isolation_vm;
	if (resolved == MACHINE_ISOLATION_NATIVE)
		return &isolation_native;
	error_set(err, EINVAL, "what isolation the machine has is not decided");
	return NULL;
}
