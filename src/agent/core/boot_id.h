/* SPDX-License-Identifier: Apache-2.0
 * A boot id of the machine's own. The kernel's is that of the host, or of the whole time that a VM
 * runs, while the machine's init starts several times: journalctl(1) would see one boot. */
#pragma once

#include "base/error.h"

/* (worker) Makes a new id, in a file on a read-only mount, which a native machine cannot make
 * writable. 0 or -errno. */
int boot_id_make(struct error **err);
/* (in the init's namespaces, before the machine's tree `root` becomes their root) Puts it over the
 * kernel's. And mounts a second /proc: the kernel gives a nested user namespace a /proc of its own
 * only next to one that nothing covers (mount_namespaces(7)). 0 or -errno. */
int boot_id_attach(int root, struct error **err);
