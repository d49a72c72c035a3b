/* SPDX-License-Identifier: Apache-2.0
 * A machine's identity: machine-id(5), the host keys of sshd and dropbear, its random seeds,
 * the secret of systemd-creds(1). Clones,
 * machines of one archive and machines of an image with such files would share it. A marker on the
 * disk names the machine whose identity the disk has. */
#pragma once

#include "base/error.h"

/* Whether the disk has the identity of the machine with this id. A disk without the marker has it
 * if its machine-id is this one: an earlier version of holm has set it up. */
int identity_is_own(int root, const char *id);
/* Gives the disk the identity of this machine, as far as files do: machine-id, no random seeds, no
 * host keys. The enum identity_keys that programs of the machine have to make now, or -errno. It
 * may run again after a crash. */
enum identity_keys { IDENTITY_SSHD = 1, IDENTITY_DROPBEAR = 2 };
int identity_renew(int root, const char *id, struct error **err);
/* Writes the marker. 0 or -errno. */
int identity_mark(int root, const char *id, struct error **err);

#define IDENTITY_KEYGEN "/usr/bin/ssh-keygen"
#define IDENTITY_DROPBEARKEY "/usr/bin/dropbearkey"
/* The name of a key of dropbear's, and the types of keys. */
#define IDENTITY_DROPBEAR_KEY "/etc/dropbear/dropbear_%s_host_key"
extern const char *const identity_dropbear_types[]; /* NULL-terminated */
