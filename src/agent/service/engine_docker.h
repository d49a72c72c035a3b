/* SPDX-License-Identifier: Apache-2.0
 * Connections to the engine's socket for containers, on their way to the keeper. */
#pragma once

#include "agent/core/agent.h"

/* Connects it (taken) with the keeper's docker.sock, as a request from inside. What is no socket,
 * or too many at a time, is closed. */
void engine_docker_connect(struct agent *a, int fd);
