/* SPDX-License-Identifier: Apache-2.0
 * Ports that open by themselves: what listens inside is reached on the host under the same number.
 * Published ports come first: they take a number away from here. */
#pragma once

#include "base/json.h"
#include "keeper/keeper.h"

enum {
	AUTO_PORTS_MAX = 64,      /* of a machine */
	AUTO_PORTS_REPORTED = 256 /* numbers in a report of the agent's; more are not looked at */
};

struct auto_ports;

/* Reads a line of the agent's answer, {"ports":[N,...]}: at most AUTO_PORTS_REPORTED numbers that
 * may open on the host (from `first` on), each once. How many, or -EBADMSG. */
int auto_ports_parse(struct json_object *line, uint32_t first, uint16_t ret[static AUTO_PORTS_REPORTED]);

/* The machine is ready: asks the agent what listens, if the setting says so. Again is fine. */
void auto_ports_start(struct keeper *k);
void auto_ports_free(struct auto_ports *a);
/* Asks the keepers of other machines to give up a port that is to be published: whether one did. */
int auto_ports_ask_others(const struct keeper *k, const struct machine_publish *spec);
/* A published port is about to be bound: closes the sockets that have this number. NULL is fine. */
void auto_ports_yield(struct auto_ports *a, uint16_t number);
/* A published port with this number is gone: it may open by itself now. NULL is fine. */
void auto_ports_retry(struct auto_ports *a, uint16_t number);
/* The numbers that listen inside and are to be open, for GET /v1/state; owned. NULL: it is off. */
struct json_object *auto_ports_describe(const struct auto_ports *a);
