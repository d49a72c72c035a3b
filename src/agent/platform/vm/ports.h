/* SPDX-License-Identifier: Apache-2.0
 * How streams reach the agent: virtio-serial ports, or vsock when the kernel's command line says
 * holm.transport=vsock. */
#pragma once

#include "agent/core/platform.h"
#include "base/error.h"
#include "base/loop.h"
#include "http/transport.h"

/* Opens both directions. *ret_from: the keeper opens streams on it; *ret_to: we do. */
int ports_open(struct loop *l, const struct platform_streams *events, struct transport **ret_from,
    struct transport **ret_to, struct error **err);
