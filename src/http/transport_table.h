/* SPDX-License-Identifier: Apache-2.0
 * The functions of a kind of transport, whose struct begins with a struct transport. */
#pragma once

#include "http/transport.h"

struct transport_ops {
	int (*open)(struct transport *t, int *ret_fd, struct error **err);
	int (*give)(struct transport *t, int fd, const void *data, size_t size, struct error **err); /* may be NULL */
	void (*free)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
};
