/* SPDX-License-Identifier: Apache-2.0
 * First-boot provisioning: the host's user gets an account in the machine. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

/* Whether the machine was provisioned for this user already. */
int provision_is_done(int root, const struct boot_user *u);
/* The built-in steps on the tree at `root`. Each is idempotent, each file is replaced atomically;
 * the marker is written last. */
int provision_apply(int root, const struct boot_user *u, struct error **err);
int provision_mark_done(int root, const struct boot_user *u, struct error **err);
/* Makes and fills a home of the machine's own where there is none but an empty mount point;
 * provision_apply() has done it. */
int provision_home(int root, const struct boot_user *u, struct error **err);
/* Corrects the user's subordinate ids where there are none such, as on a disk that was made in
 * another isolation; provision_apply() has done it. */
int provision_subids(int root, const struct boot_user *u, struct error **err);
/* Makes the user a member of the groups that it is in on the host by now; provision_apply() has
 * done it. */
int provision_groups(int root, const struct boot_user *u, struct error **err);
/* Lets the user's manager run from boot on where logind was installed since; provision_apply() has
 * done it. */
int provision_linger(int root, const struct boot_user *u, struct error **err);
/* Keeps sudo's rules of the user behind all others; provision_apply() has written them. */
int provision_sudo(int root, const struct boot_user *u, struct error **err);
/* The login shell of new users as the image wants it: owned, always something. */
char *provision_shell(int root);
