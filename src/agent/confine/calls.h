/* SPDX-License-Identifier: Apache-2.0
 * The system calls of a native machine, by name: one table. The program that makes the filter out
 * of it (generate.c) runs at build time, so a start costs nothing and the agent does not carry
 * libseccomp. */
#pragma once

#include <stddef.h>

/* REFUSED: EPERM. The other two are allowed in these filters of containers (confine.h) and those
 * that allow more, and refused in others. */
enum confine_verdict { CONFINE_ALLOWED, CONFINE_REFUSED, CONFINE_FURTHER_ONLY, CONFINE_ADMIN_ONLY };

struct confine_group {
	enum confine_verdict verdict;
	/* NULL-terminated; a call that an architecture, or the library of the build, does not know
	 * is left out there */
	const char *const *names;
};

extern const struct confine_group confine_groups[];
extern const size_t confine_group_count;

/* The calls of containers, in addition to the machine's filter, which they have, too: those that
 * Docker's default profile gives a container by its capabilities. A name counts in the first group
 * that has it. */
extern const struct confine_group confine_container_groups[];
extern const size_t confine_container_group_count;
