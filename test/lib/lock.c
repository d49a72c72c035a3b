/* SPDX-License-Identifier: Apache-2.0
 * lock [-w] FILE r|w|f START LENGTH COMMAND...: runs COMMAND while it has an fcntl(2) lock on a
 * range of the file, for reading or for writing, or with f one of flock(2) on all of it. Ends with
 * 75 when another has it; with -w it waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int wait = argc > 1 && strcmp(argv[1], "-w") == 0, status;
	argv += wait;
	if (argc - wait < 6) {
		fprintf(stderr, "usage: lock [-w] FILE r|w|f START LENGTH COMMAND...\n");
		return 2;
	}
	int writing = *argv[2] == 'w', fd = open(argv[1], (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	struct flock l = { .l_type = writing ? F_WRLCK : F_RDLCK, .l_start = atol(argv[3]), .l_len = atol(argv[4]) };
	if (fd < 0 || (*argv[2] == 'f' ? flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) :
					 fcntl(fd, wait ? F_SETLKW : F_SETLK, &l)) < 0) {
		if (errno == EAGAIN)
			return 75;
		perror(argv[1]);
		return 1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* the command does not outlive its lock */
		execvp(argv[5], argv + 5);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
