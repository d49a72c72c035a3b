/* SPDX-License-Identifier: Apache-2.0
 * The one place that starts programs. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/macros.h"

struct spawn_fd {
	int from; /* descriptor here */
	int to;   /* its number in the child */
};

struct spawn_options {
	char *const *argv;          /* argv[0] is looked up in PATH when it has no slash */
	char *const *environment;   /* NULL: inherited */
	const struct spawn_fd *fds; /* the child's; 0-2 not named here are /dev/null unless inherit_standard */
	size_t fd_count;
	const char *directory;       /* NULL: inherited */
	int death_signal;            /* PR_SET_PDEATHSIG, checked against a parent that is gone already; 0 none */
	int inherit_standard : 1;    /* 0-2 as here, unless named in fds */
	int new_session : 1;         /* setsid(2) */
	int new_group : 1;           /* setpgid(0, 0) */
	int (*in_child)(void *data); /* runs just before execve: 0 or -errno; async-signal-safe only */
	void *in_child_data;
};

/* 0 and the pid, or -errno when the program could not be started (execve's own error is reported
 * here, e.g. -ENOENT). All other descriptors are closed in the child, signal mask and dispositions
 * are reset. */
int spawn(const struct spawn_options *o, pid_t *ret, struct error **err);
/* Runs to the end and collects stdout (at most max bytes), stderr's last line going into the error
 * when it fails: the exit status (128+n for signals) or -errno; -ETIMEDOUT after killing it at the
 * deadline. */
int spawn_capture(char *const *argv, size_t max, uint64_t deadline_ms, char **ret_output, struct error **err);
int spawn_wait(pid_t pid, int *ret_status); /* waitpid with EINTR: *ret_status 0-255 or 128+signal; 0 or -errno */
int spawn_exit_status(int wait_status);     /* 0-255, 128+n for a signal */
void spawn_reset_signals(void);             /* their actions and the mask, in a child that will execute something */
