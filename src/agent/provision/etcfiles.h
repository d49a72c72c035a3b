/* SPDX-License-Identifier: Apache-2.0
 * Files of the machine that follow the host or the machine's settings. All work on the tree at
 * `root`. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

int etc_apply(int root, const struct boot_request *b, int first_boot, struct error **err); /* all of these */
/* The hostname that the machine gets, owned: this one, or the one that somebody inside has set
 * since holm wrote its last one. */
char *etc_hostname(int root, const char *hostname);
int etc_write_hostname(int root, const char *hostname, struct error **err);
/* The next hostname is holm's again: the disk has become that of another machine. */
void etc_forget(int root);
/* host_address: of host.holm.internal, or NULL */
int etc_write_hosts(int root, const char *hostname, const char *host_address, struct error **err);
/* Writes resolv.conf if it is missing or has holm's mark, or, with `take`, in any case. 0 or
 * -errno. */
int etc_write_resolv(int root, const struct resolv *resolv, int take, struct error **err);
int etc_write_machine_id(int root, const char *id, struct error **err);
/* Points /etc/localtime at the zone, where the image has it, unless somebody inside has set another
 * one since holm did. */
int etc_write_timezone(int root, const char *zone, struct error **err);
/* The drop-in for systemd that gives services these variables, below the machine's /run; owned
 * text, or NULL if there are none. */
char *etc_services_text(const struct strv *env);
/* The drop-in for systemd-resolved, below the machine's /run; owned text. */
char *etc_resolved_text(const struct resolv *resolv);
