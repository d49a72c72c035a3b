/* SPDX-License-Identifier: Apache-2.0
 * A client of an ssh agent for containers that have none (draft-miller-ssh-agent):
 *
 *   ssh-request SOCKET TYPE...    sends a request of each type without contents on one connection,
 *                                 and prints the type of each answer; of a list of keys also their
 *                                 number and the size of the answer */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int read_all(int fd, unsigned char *to, size_t size)
{
	for (ssize_t n; size; to += n, size -= (size_t)n)
		if ((n = read(fd, to, size)) <= 0)
			return -1;
	return 0;
}

static unsigned number(const unsigned char *at)
{
	return (unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3];
}

int main(int argc, char **argv)
{
	static unsigned char answer[1 << 18];
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	if (argc < 3)
		return 2;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strncpy(to.sun_path, argv[1], sizeof to.sun_path - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		const unsigned char request[] = { 0, 0, 0, 1, (unsigned char)atoi(argv[i]) };
		if (write(fd, request, sizeof request) != sizeof request || read_all(fd, answer, 4) < 0 ||
		    number(answer) > sizeof answer || read_all(fd, answer, number(answer)) < 0) {
			puts("closed");
			return 1;
		}
		printf("%d", answer[0]);
		if (answer[0] == 12)
			printf(":%u", number(answer + 1));
		printf(" ");
	}
	puts("");
	return 0;
}
