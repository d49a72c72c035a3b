/* SPDX-License-Identifier: Apache-2.0
 * The device: vhost-user connection, queues and worker threads on the event loop, requests handed
 * to the share. */
#pragma once

#include "base/loop.h"
#include "fsd/request/ledger.h"
#include "fsd/request/share.h"

struct device;
/* socket (borrowed) is connected to QEMU, or to the broker; share is borrowed, and so is the
 * ledger, from which the device goes on and in which it notes what the next one has to know (NULL:
 * neither). The loop exits with 0 when the connection ends, with 1 when it breaks. */
int device_new(struct loop *l, struct share *s, struct ledger *ledger, int socket, struct device **ret,
    struct error **err);
void device_free(struct device *d);
DEFINE_CLEANUP(struct device, device_free)
