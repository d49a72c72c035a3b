/* SPDX-License-Identifier: Apache-2.0
 * A place for Kerberos tickets where the kernel's keys are closed to the machine. */
#pragma once

#include <stdint.h>

#include "base/strv.h"

/* Sets KRB5CCNAME in env to a file of the user's, if the tree at `root` has its tickets in the
 * kernel's keyring (krb5.conf(5), default_ccache_name). An own value in env stays. */
void session_fit_kerberos(int root, uint32_t uid, struct strv *env);
/* Whether this process can use keyctl(2). */
int session_has_keys(void);
