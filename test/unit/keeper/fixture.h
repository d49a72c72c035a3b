/* SPDX-License-Identifier: Apache-2.0
 * A keeper over the fake isolation, with its API, and askers: what each test of the keeper starts
 * from. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "fake.h"
#include "keeper/api/api.h"
#include "keeper/keeper.h"

enum { ASKERS = 24 };

/* One request to the API and what came of it. */
struct asker {
	int taken, done, code;
	struct strv lines;
	char *error, *body;
	int fd; /* after an upgrade */
	struct buffer early;
};

struct fixture {
	struct loop *loop;
	struct machine *machine;
	struct fake *fake;
	struct keeper *keeper;
	struct http_server *api;
	int ended, end_code;
	struct asker askers[ASKERS];
};

extern char *root; /* a temporary folder for all */

/* Around a program's tests, and around each. */
int fixture_group_setup(void **state);
int fixture_group_teardown(void **state);
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define KEEPER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int try_new(struct fixture *f, uint64_t boot_timeout_ms, struct error **err);
void begin(struct fixture *f, uint64_t boot_timeout_ms); /* it works, and is started */
void run_until(struct fixture *f, const int *flag);
void settle(struct fixture *f);
/* One request to the API; lines are kept of /v1/ready alone. */
struct asker *ask(struct fixture *f, const char *method, const char *target, const char *body);
/* For requests from inside: the data is an asker. */
void on_done(int code, struct json_object *body, const struct error *err, void *data);
void on_upgraded(int fd, struct buffer *early, void *data);
const char *last_line(const struct asker *a);
void expect_state(struct fixture *f, const char *state);
void wait_ready(struct fixture *f);
void expect_welcome(struct fixture *f, struct asker *a);
