/* SPDX-License-Identifier: Apache-2.0 */
#include "isolation/bases.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
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

static int collect_used(const struct bases_kind *kind, struct strv *used)
{
	AUTOFREE char *machines = machine_list_dir();
	DIR *d = opendir(machines);
	if (!d)
		return -errno;
	int r = 0;
	for (struct dirent *e; r >= 0 && (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, "..") || streq(e->d_name, BASES_FOLDER))
			continue;
		AUTOFREE char *directory = path_join(machines, e->d_name);
		r = kind->collect(directory, used);
	}
	closedir(d);
	return r;
}

int bases_sweep(const struct bases_kind *kind, struct error **err)
{
	AUTOFREE char *bases = bases_folder();
	AUTO_STRV struct strv used = { 0 };
	if (!path_exists(bases))
		return 0;
	AUTO_FD int lock = bases_lock(bases, err);
	if (lock < 0)
		return lock;
	if (collect_used(kind, &used) < 0)
		return 0;
	int r = 0;
	DIR *d = opendir(bases);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (!kind->is_base(e->d_name) || strv_contains(&used, e->d_name))
			continue;
		AUTOFREE char *base = path_join(bases, e->d_name);
		int erased = kind->erase(base, r < 0 ? NULL : err);
		r = r < 0 ? r : erased;
	}
	if (d)
		closedir(d);
	return r;
}
