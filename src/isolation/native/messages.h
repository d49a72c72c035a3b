/* SPDX-License-Identifier: Apache-2.0
 * Messages of a native machine's agent on its socket, besides streams (docs/native.md). The agent
 * runs beside the machine's programs, so all of it is checked. */
#pragma once

#include <stdint.h>

enum native_message_kind {
	NATIVE_MESSAGE_USER,    /* the user namespace is made and waits for its mapping */
	NATIVE_MESSAGE_READY,   /* + pidfd of process 1 */
	NATIVE_MESSAGE_NETWORK, /* + pidfd of a process in the network namespace of the next init */
	NATIVE_MESSAGE_INIT,    /* + pidfd of the init */
	NATIVE_MESSAGE_INIT_ENDED,
	NATIVE_MESSAGE_USAGE, /* bytes */
};

struct native_message {
	enum native_message_kind kind;
	uint64_t bytes;
};

/* 0; -EPROTO: it is none that the agent may send. */
int native_message_parse(const char *text, struct native_message *ret);
