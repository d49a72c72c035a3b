/* SPDX-License-Identifier: Apache-2.0
 * A client of a unix socket for containers that have no curl:
 *
 *   unix-request SOCKET METHOD TARGET [BODY]    prints the status and the body of the answer */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char answer[1 << 20];
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t size = 0;
	if (argc < 4)
		return 2;
	const char *body = argc > 4 ? argv[4] : "";
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strncpy(to.sun_path, argv[1], sizeof to.sun_path - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		perror(argv[1]);
		return 1;
	}
	dprintf(fd,
	    "%s %s HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/json\r\n"
	    "X-Registry-Auth: eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImIifQ==\r\nContent-Length: %zu\r\n\r\n%s",
	    argv[2], argv[3], strlen(body), body);
	for (ssize_t n; size < sizeof answer - 1 && (n = read(fd, answer + size, sizeof answer - 1 - size)) > 0;)
		size += (size_t)n;
	char *end = strstr(answer, "\r\n\r\n"), *status = strchr(answer, ' ');
	if (!end || !status)
		return 1;
	printf("%.3s ", status + 1);
	fwrite(end + 4, 1, size - (size_t)(end + 4 - answer), stdout);
	puts("");
	return 0;
}
