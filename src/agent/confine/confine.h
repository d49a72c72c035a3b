/* SPDX-License-Identifier: Apache-2.0
 * The confinement of a native machine. Root inside has these capabilities, in the machine's own
 * user namespace. All processes have these system calls. The init gets both through crun, and
 * sessions get them through confine_apply(), from the same lists and the same filter program. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* STRICT: no 32-bit program opens a socket by socketcall(2), because no filter sees which family it
 * asks for. SOCKETCALL: it may. */
enum confine_choice { CONFINE_STRICT, CONFINE_SOCKETCALL };

/* Chooses the filter of this process and of what it starts; CONFINE_STRICT until then. */
void confine_choose(enum confine_choice choice);
/* For the runtime's specification: NULL-terminated, static. */
const char *const *confine_capabilities(void);
/* The filter's program (struct sock_filter[]) in base64, for crun's annotation
 * run.oci.seccomp_bpf_data. Static. */
const char *confine_filter_base64(void);

/* The filters of containers, whose processes have the machine's filter already. PLAIN: Docker's.
 * FURTHER: with calls for which the kernel asks for a capability that only some containers have.
 * ADMIN: those, mounts and namespaces, too (CAP_SYS_ADMIN). */
enum confine_container { CONFINE_PLAIN, CONFINE_FURTHER, CONFINE_ADMIN };
/* The filter for a container whose root has these capabilities (bits by number). */
enum confine_container confine_container_choose(uint64_t capabilities);
const char *confine_container_filter_base64(enum confine_container which);
/* Loads this filter for the calling process, for good. 0 or -errno. */
int confine_container_filter(enum confine_container which);
/* Takes all capabilities but these (bits by number) out of the bounding set. 0 or -errno. */
int confine_bound(uint64_t capabilities);
/* Has these capabilities from now on and no others; none are inherited or ambient. 0 or -errno. */
int confine_have(uint64_t capabilities);

/* Confines the calling process for good, and what it executes: the filter, the bounding set, its
 * own capabilities; none are inherited or ambient. no_new_privs stays as it is, so that sudo works.
 * To be called as root of the machine's user namespace (with CAP_SYS_ADMIN and CAP_SETPCAP in it),
 * before becoming another user. seccomp(2), capabilities(7). */
int confine_apply(struct error **err);
