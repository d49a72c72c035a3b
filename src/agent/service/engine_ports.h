/* SPDX-License-Identifier: Apache-2.0
 * The engine's requests about published ports, on their way to the keeper. */
#pragma once

#include "agent/core/agent.h"

struct engine_ports;

/* answer: for the engine, taken. */
struct engine_ports *engine_ports_new(struct agent *a, void (*answer)(struct json_object *o, void *data), void *data);
/* A message of the engine, borrowed: {"ports":"bind"|"open"|"close","container":ID,...}. */
void engine_ports_message(struct engine_ports *p, struct json_object *o);
/* The engine has ended: no more answers; the keeper closes all ports. NULL is fine. */
void engine_ports_end(struct engine_ports *p);
