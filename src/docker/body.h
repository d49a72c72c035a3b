/* SPDX-License-Identifier: Apache-2.0
 * The body of POST /containers/create: what the engine does with it. The same parser reads it back
 * from a container's record, which root in the machine can change: so both are hostile, and
 * everything is capped here. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"
#include "docker/container_limits.h"
#include "docker/health.h"
#include "docker/namespaces.h"
#include "docker/rights.h"

/* When a container that has ended starts again by itself. */
enum docker_restart {
	DOCKER_RESTART_NO,
	DOCKER_RESTART_ALWAYS,
	DOCKER_RESTART_UNLESS_STOPPED,
	DOCKER_RESTART_ON_FAILURE,
};

struct docker_body {
	char *image;                          /* as the client wrote it */
	char *hostname, *domainname;          /* NULL: not given */
	char *user, *working_dir;             /* the same */
	struct strv env, command, entrypoint; /* env: NAME=VALUE; NAME alone takes a variable away */
	int has_entrypoint;                   /* given, perhaps empty: then the image's and its command count no more */
	struct json_object *labels;           /* an object of strings, or NULL; borrowed from the body */
	struct json_object *annotations;      /* the same, of the runtime */
	int open_stdin, stdin_once, tty;
	uint16_t rows, columns; /* of the terminal; 0: not given */
	int stop_signal;        /* 0: not given */
	int64_t stop_timeout_s; /* -1: not given */
	int auto_remove, read_only;
	struct docker_rights rights;         /* borrows from the body */
	struct docker_limits limits;         /* so does this */
	struct docker_namespaces namespaces; /* and this */
	char *network_mode;                  /* as the client wrote it; NULL: not given */
	struct strv groups, volumes_from;    /* volumes_from: "CONTAINER[:MODE]" */
	uint64_t log_max_size;               /* bytes; UINT64_MAX: not given */
	uint64_t log_max_files;              /* UINT64_MAX: not given */
	int log_none;
	struct docker_health health;
	enum docker_restart restart;
	uint64_t restart_max; /* of DOCKER_RESTART_ON_FAILURE; 0: without end */
};

/* Borrows the labels of `o` (a create body, or {"HostConfig":..} and the members of "Config" of a
 * record). -EINVAL: no such body; -EOPNOTSUPP: it asks for something that the engine does not do.
 * The text names the member and the option of the command line. */
int docker_body_parse(struct json_object *o, struct docker_body *ret, struct error **err);
void docker_body_done(struct docker_body *b);
#define AUTO_DOCKER_BODY CLEANUP(docker_body_done)

/* Reads {"Name":"on-failure","MaximumRetryCount":3} into restart and restart_max; NULL is "no". 0,
 * or -EINVAL and a text. */
int docker_restart_parse(struct json_object *policy, struct docker_body *b, struct error **err);
/* The number of "SIGTERM", "TERM" or "15"; 0: no signal. */
int docker_signal(const char *text);
