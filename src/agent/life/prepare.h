/* SPDX-License-Identifier: Apache-2.0
 * Everything of a boot before the init: disk, network, shares, files, the user. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

struct platform;

/* A worker_fn; data is the struct boot_request. Sends {"stage"} and {"note"} messages; when
 * create-user.sh fails {"log":[lines]}. */
int prepare_run(int channel, void *agent, struct error **err);
/* (worker) Makes the machine's /run for an init. 0 or -errno. */
int prepare_machine_run(const struct platform *p, const struct boot_request *b, struct error **err);
