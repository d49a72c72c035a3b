/* SPDX-License-Identifier: Apache-2.0
 * The last rights that a process gives up before it is a program of a container. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct become {
	uint32_t uid, gid;
	const uint32_t *groups;
	size_t group_count;
	int single;            /* the container has one id, and may set no groups */
	uint64_t capabilities; /* of root; for others the limit of what they can get */
	int filter;            /* enum confine_container; -1: none */
	int no_new_privileges;
};

/* Marks this process as one that nobody in the container may look into. A change of credentials
 * sets the mark to what the host's fs.suid_dumpable says, so it is made after each. 0 or -errno. */
int become_hidden(void);
/* The kernel's keys are in no namespace: this process gets a keyring of its own in the place of the
 * engine's. Natively there are none. */
void become_keyless(void);
/* Becomes this user with these rights, as root of the container with all capabilities there. 0 or
 * -errno. */
int become_user(const struct become *b);
