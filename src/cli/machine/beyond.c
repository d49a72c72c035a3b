/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/machine/beyond.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/output.h"
#include "isolation/isolation.h"

static void note_cpus(const struct machine *m)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	if (host > 0 && m->cpus > (uint64_t)host)
		output_note("machine \"%s\": cpus=%llu, but this host has %ld; more make it no faster", m->name,
		    (unsigned long long)m->cpus, host);
}

static void note_size(const struct machine *m, const char *key, uint64_t wanted, uint64_t there, const char *where)
{
	AUTOFREE char *size = format_size(wanted), *host = format_size(there);
	if (there > 0 && wanted > there)
		output_note("machine \"%s\": %s=%s, but %s has %s; the machine cannot use more", m->name, key, size,
		    where, host);
}

static void note_memory(const struct machine *m)
{
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	const struct isolation_disk_ops *disk = isolation_disk_table(m->form, NULL);
	note_size(m, "memory", m->memory, host, "this host");
	if (!disk || m->memory >= disk->least_memory)
		return;
	AUTOFREE char *wanted = format_size(m->memory), *least = format_size(disk->least_memory);
	output_note("machine \"%s\": memory=%s is too little for %s isolation, whose kernel may not boot; give %s or "
		    "more",
	    m->name, wanted, disk->name, least);
}

static void note_disk(const struct machine *m)
{
	const struct isolation_disk_ops *disk = isolation_disk_table(m->form, NULL);
	AUTOFREE char *directory = machine_list_dir();
	struct statvfs s;
	if (disk && !disk->is_sized)
		output_note("machine \"%s\": disk-size has no effect in %s isolation; its files have the room that is "
			    "free in %s",
		    m->name, disk->name, directory);
	else if (statvfs(directory, &s) == 0)
		note_size(m, "disk-size", m->disk_size, (uint64_t)s.f_blocks * s.f_frsize, directory);
}

static int is_new(const struct machine *before, uint64_t then, uint64_t now)
{
	return now > 0 && (!before || then != now);
}

void beyond_note(const struct machine *before, const struct machine *m)
{
	static const struct machine none;
	const struct machine *b = before ? before : &none;
	if (is_new(before, b->cpus, m->cpus))
		note_cpus(m);
	if (is_new(before, b->memory, m->memory))
		note_memory(m);
	if (is_new(before, b->disk_size, m->disk_size))
		note_disk(m);
}
