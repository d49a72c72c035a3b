/* SPDX-License-Identifier: Apache-2.0
 * Everything of a boot before the init: disk, network, shares, files, the user. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

/* A worker_fn; data is the struct boot_request. Sends {"stage"} and {"note"} messages; when
 * create-user.sh fails {"log":[lines]}. */
int prepare_run(int channel, void *agent, struct error **err);
