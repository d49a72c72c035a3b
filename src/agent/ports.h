/* SPDX-License-Identifier: Apache-2.0
 * How streams reach the agent: virtio-serial ports, or vsock when the kernel's command line says holm.transport=vsock. */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "http/transport.h"

struct ports_events {
	transport_accept_fn accept; /* the keeper opened a stream; takes fd */
	transport_closed_fn closed;
	void *data;
};
/* Opens both directions. *ret_from: the keeper opens streams on it; *ret_to: we do. */
int ports_open(struct loop *l, const struct ports_events *events, struct transport **ret_from, struct transport **ret_to, struct error **err);
