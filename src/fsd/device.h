/* SPDX-License-Identifier: Apache-2.0
 * The device: vhost-user connection, queues and worker threads on the event loop, requests handed to the share. */
#pragma once

#include "base/loop.h"
#include "fsd/share.h"

struct device;
/* socket (borrowed) is connected to QEMU; share is borrowed. The loop exits with 0 when the connection ends, with 1 when it breaks. */
int device_new(struct loop *l, struct share *s, int socket, struct device **ret, struct error **err);
void device_free(struct device *d);
DEFINE_CLEANUP(struct device, device_free)
