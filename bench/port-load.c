/* SPDX-License-Identifier: Apache-2.0
 * Loads a TCP port, and serves what is loaded; the same static program on the host and inside.
 *
 *   port-load serve PORT                     serves on all addresses
 *   port-load up|down ADDRESS PORT MS        one connection's bytes to the server or from it:
 *                                            MiB a second
 *   port-load connections ADDRESS PORT MS N  N at once: connect, a byte there and back, closed by
 *                                            the server: connections a second
 *   port-load latency ADDRESS PORT COUNT     a byte there and back on one connection: p50 and p99,
 *                                            microseconds
 *
 * A client's first byte says what it wants: d the server discards, and answers at the end; b it
 * sends until the client has enough; e it echoes; q it answers with one byte and closes. Prints one
 * line; anything that fails or comes back wrong ends the run with status 1. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024, EVENTS = 64, AT_ONCE_MAX = 1024, BACKLOG = 1024 };

static char block[BLOCK];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the server ---- */

static char wanted[1 << 20]; /* by descriptor; 0: not said yet */

static void finish(int fd)
{
	wanted[fd] = 0;
	close(fd);
}

static void serve_bytes(int fd)
{
	ssize_t n;
	if (wanted[fd] == 'b') {
		while ((n = send(fd, block, BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
			;
		if (errno != EAGAIN)
			finish(fd);
		return;
	}
	n = recv(fd, block, BLOCK, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (n == 0 && wanted[fd] == 'd')
			(void)!send(fd, "d", 1, MSG_NOSIGNAL);
		finish(fd);
	} else if (wanted[fd] == 'e')
		(void)!send(fd, block, (size_t)n, MSG_NOSIGNAL);
}

static void serve_first(int epoll, int fd)
{
	char first;
	if (recv(fd, &first, 1, MSG_DONTWAIT) != 1) {
		if (errno != EAGAIN)
			finish(fd);
		return;
	}
	wanted[fd] = first;
	if (first == 'q') {
		(void)!send(fd, "q", 1, MSG_NOSIGNAL);
		finish(fd);
	} else if (first == 'b')
		epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &(struct epoll_event){ .events = EPOLLOUT, .data.fd = fd });
}

static void accept_all(int epoll, int listening)
{
	int fd;
	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.fd = fd });
}

static void serve(uint16_t port)
{
	int one = 1, epoll = epoll_create1(0);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(listening, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(listening, (struct sockaddr *)&any, sizeof any) < 0 || listen(listening, BACKLOG) < 0)
		die("port-load: serve");
	epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &(struct epoll_event){ .events = EPOLLIN, .data.fd = listening });
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listening)
				accept_all(epoll, listening);
			else if (wanted[fd])
				serve_bytes(fd);
			else
				serve_first(epoll, fd);
		}
	}
}

/* ---- clients ---- */

static struct sockaddr_in target;

static int open_one(char want, int flags)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&target, sizeof target) < 0)
		die("port-load: connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (send(fd, &want, 1, flags | MSG_NOSIGNAL) != 1)
		die("port-load: send");
	return fd;
}

static void move(int up, uint64_t ms)
{
	int fd = open_one(up ? 'd' : 'b', 0);
	uint64_t begin = now_ns(), end = begin + ms * 1000000, bytes = 0;
	ssize_t n;
	while (now_ns() < end) {
		n = up ? send(fd, block, BLOCK, MSG_NOSIGNAL) : recv(fd, block, BLOCK, 0);
		if (n <= 0)
			die("port-load: move");
		bytes += (uint64_t)n;
	}
	if (up && (shutdown(fd, SHUT_WR) < 0 || recv(fd, block, 1, 0) != 1))
		die("port-load: end");
	printf("%.1f\n", (double)bytes / (1 << 20) / ((double)(now_ns() - begin) / 1e9));
}

/* Each of the connections that are open at once waits for its byte, then for the end. */
static void connections(uint64_t ms, int at_once)
{
	uint64_t begin = now_ns(), end = begin + ms * 1000000, count = 0;
	int epoll = epoll_create1(0), open = 0;
	while (open || now_ns() < end) {
		struct epoll_event events[EVENTS];
		for (; open < at_once && now_ns() < end; open++) {
			int fd = open_one('q', 0);
			epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.fd = fd });
		}
		int n = epoll_wait(epoll, events, EVENTS, 10000);
		if (n <= 0)
			die("port-load: wait");
		for (int i = 0; i < n; i++) {
			char bytes[2];
			ssize_t got = recv(events[i].data.fd, bytes, sizeof bytes, MSG_DONTWAIT);
			if (got == 1)
				continue;
			if (got < 0)
				die("port-load: answer");
			close(events[i].data.fd);
			open--;
			count++;
		}
	}
	printf("%.0f\n", (double)count / ((double)(now_ns() - begin) / 1e9));
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void latency(size_t count)
{
	double *us = calloc(count, sizeof *us);
	int fd = open_one('e', 0);
	char byte = 'x';
	if (!us)
		die("port-load");
	for (size_t i = 0; i < count; i++) {
		uint64_t begin = now_ns();
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
			die("port-load: echo");
		us[i] = (double)(now_ns() - begin) / 1000;
	}
	qsort(us, count, sizeof *us, compare);
	printf("%.1f %.1f\n", us[count / 2], us[count * 99 / 100]);
	free(us);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "serve"))
		serve((uint16_t)atoi(argv[2]));
	if (argc < 5 || inet_pton(AF_INET, argv[2], &target.sin_addr) != 1) {
		fprintf(stderr,
		    "usage: port-load serve PORT | up|down|connections|latency ADDRESS PORT AMOUNT [AT-ONCE]\n");
		return 2;
	}
	target.sin_family = AF_INET;
	target.sin_port = htons((uint16_t)atoi(argv[3]));
	uint64_t amount = strtoull(argv[4], NULL, 10);
	int at_once = argc > 5 ? atoi(argv[5]) : 1;
	if (!strcmp(what, "up") || !strcmp(what, "down"))
		move(what[0] == 'u', amount);
	else if (!strcmp(what, "connections"))
		connections(amount, at_once > 0 && at_once <= AT_ONCE_MAX ? at_once : 1);
	else if (!strcmp(what, "latency") && amount)
		latency(amount);
	else
		return 2;
	return 0;
}
