/* SPDX-License-Identifier: Apache-2.0
 * Whether pasta can have /dev/net/tun. Inside of the machine's user namespace it is a subordinate
 * id in no group (the user, where there is only one id), so what others may do decides, not what we
 * may. */
#pragma once

int native_tun_check(int single);     /* 0 or -errno */
const char *native_tun_fix(int code); /* the command that helps */
