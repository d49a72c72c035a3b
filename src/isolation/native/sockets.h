/* SPDX-License-Identifier: Apache-2.0
 * Sockets in a machine's network, for the keeper to connect.
 *
 * Problem. The keeper moves the bytes of published ports by splice(2), which blocks if the socket
 * is in blocking mode. Whoever has a descriptor of the same socket can set that mode. So a socket
 * that the agent made and handed over could stop the keeper.
 *
 * Idea. A child of the keeper enters the machine's user and network namespaces, makes sockets there
 * and hands them over. It runs no program and takes no word from inside, and no process of the
 * machine can name it. It starts when sockets run short, and ends when none were asked for in some
 * seconds. */
#pragma once

#include "isolation/isolation.h"

struct native_sockets;
/* The machine has this init now (pidfd, borrowed; -1: none): sockets are those of its network, and
 * the ones of the init before are closed. */
void native_sockets_follow(struct isolation_run *run, int init);
int native_open_socket(struct isolation_run *run, enum isolation_socket kind); /* as struct isolation_ops has it */
void native_sockets_done(struct isolation_run *run);
