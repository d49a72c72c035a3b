/* SPDX-License-Identifier: Apache-2.0 */
#include "isolation/bases.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/path.h"
#include "machine/machine.h"

enum { BASES_LOCK_MS = 30 * 1000 };

char *bases_folder(void)
{
	AUTOFREE char *machines = machine_list_dir();
	return path_join(machines, BASES_FOLDER);
}

int bases_lock(const char *folder, struct error **err)
{
	int r = path_mkdir_all(folder, 0700, err);
	if (r < 0)
		return r;
	AUTOFREE char *lock = path_join(folder, "lock");
	r = lock_file(lock, LOCK_EXCLUSIVE, clock_deadline(BASES_LOCK_MS), err);
	return r == -EWOULDBLOCK ? error_set(err, EBUSY, "another clone or removal is going on; try again") : r;
}

char *bases_new_id(struct error **err)
{
	uint64_t id;
	if (getrandom(&id, sizeof id, 0) == sizeof id)
		return xasprintf("%016llx", (unsigned long long)id);
	error_set(err, EIO, "no random numbers");
	return NULL;
}
