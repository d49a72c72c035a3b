/* SPDX-License-Identifier: Apache-2.0
 * Messages between the agent and its own children: one JSON object a packet, with a descriptor
 * beside it where one goes along. */
#pragma once

#include "base/json.h"

enum { CHANNEL_MESSAGE_MAX = 96 * 1024 };

int channel_new(int ret[2]); /* two ends, close-on-exec; 0 or -errno */
int channel_send(int socket, struct json_object *o,
    int fd); /* o: taken; fd: borrowed, -1 none; 0, -EMSGSIZE or -errno */
int channel_send_string(int socket, const char *key, const char *value);
/* 1 and *ret (owned), *ret_fd (owned, -1 none); 0 when the other side has ended; -EAGAIN on a
 * non-blocking socket; -errno. */
int channel_receive(int socket, struct json_object **ret, int *ret_fd);
