/* SPDX-License-Identifier: Apache-2.0
 * The init of a container (--init): it runs the program as its child, gives it each signal that it
 * gets, reaps what is left behind, and ends as the program does. */
#include "agent/life/container_init.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

/* The program gets the terminal's foreground, as a shell's job does. */
static _Noreturn void run(char **argv, const sigset_t *before)
{
	setpgid(0, 0);
	(void)tcsetpgrp(STDIN_FILENO, getpid());
	sigprocmask(SIG_SETMASK, before, NULL);
	execvp(argv[0], argv);
	int code = errno;
	log_error("exec: \"%s\": %s", argv[0], strerror(code));
	_exit(code == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

/* Reaps whatever has ended. The program's status, or -1 while it runs. */
static int reap(pid_t program)
{
	int status, found = -1;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR);)
		if (pid == program)
			found = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return found;
}

int container_init_main(int argc, char **argv)
{
	sigset_t all, before;
	int status = -1;
	if (argc < 3 || strcmp(argv[1], "--") != 0)
		return NOT_EXECUTABLE;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid_t program = fork();
	if (program < 0)
		return NOT_EXECUTABLE;
	if (program == 0)
		run(argv + 2, &before);
	while (status < 0) {
		int n = sigwaitinfo(&all, NULL);
		if (n == SIGCHLD)
			status = reap(program);
		else if (n > 0 && n != SIGTTIN && n != SIGTTOU)
			kill(program, n);
	}
	return status;
}
