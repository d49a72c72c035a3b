/* SPDX-License-Identifier: Apache-2.0
 * The device: the vhost-user connection, the queues and the worker threads on the event loop. It
 * passes requests to the share. */
#pragma once

#include "base/loop.h"
#include "fsd/request/ledger.h"
#include "fsd/request/share.h"

struct device;
/* socket (borrowed) leads to QEMU, or to the broker. The share is borrowed. The device continues
 * from the ledger (borrowed; NULL: none) and records its state there. The loop exits with 0 when
 * the connection ends, with 1 when it breaks. 0 or -errno. */
int device_new(struct loop *l, struct share *s, struct ledger *ledger, int socket, struct device **ret,
    struct error **err);
void device_free(struct device *d);
DEFINE_CLEANUP(struct device, device_free)
