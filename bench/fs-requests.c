/* SPDX-License-Identifier: Apache-2.0
 * Times the server of a shared directory alone, without a virtual machine: this program is QEMU
 * (vhost-user's front end) and the guest's driver at once. It asks for what Linux 6.1 asks for when
 * a program creates, lists, reads and removes small files, one request after the other; it sleeps
 * until the server interrupts it, as a guest does.
 *
 *   fs-requests [-n FILES] [-m MIB] [-l] COMMAND...
 *
 * COMMAND is the server, of an empty directory; `{}` in its words is the number of the descriptor
 * that it gets: a connected socket, or with -l one that listens. A line each is printed: `ROW
 * SECONDS COUNT`. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One region of memory: rings, then a buffer of one request for each slot. Linux never waits until
 * what it forgets is taken, so there are many slots for that. */
enum {
	QUEUE_SIZE = 1024,
	RING_BYTES = 32768,
	SLOTS = 8,
	DATA = 1 << 20,
	SLOT_BYTES = 16384 + DATA,
	PARTS = 6,
	FORGET_PARTS = 2,
};
enum {
	FORGET_SLOTS = QUEUE_SIZE / FORGET_PARTS,
	FORGET_BYTES = 256,
	MEMORY = 2 * RING_BYTES + SLOTS * SLOT_BYTES + FORGET_SLOTS * FORGET_BYTES,
};
enum { SMALL = 2048, ENTRIES = 4096, WAIT_MS = 30000 };
#define USER 0x100000ULL /* where the region is for the front end, and for the guest, as far as the server knows */

struct queue {
	struct vring ring;
	int kick, call;
	uint16_t seen, slot;
};

static struct queue queues[2]; /* high priority (forgets), requests */
static char *memory;
static int memory_fd, connection;
static uint64_t features, unique;
static long files = 5000, mib = 512;
static char *const folder = "small";

static void die(const char *what)
{
	fprintf(stderr, "fs-requests: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- vhost-user (QEMU's docs/interop/vhost-user.rst) --- */

static void say(uint32_t request, const void *payload, uint32_t size, int fd)
{
	char bytes[12 + 256];
	uint32_t header[3] = { request, 1, size };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { bytes, sizeof header + size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	memcpy(bytes, header, sizeof header);
	if (size)
		memcpy(bytes + sizeof header, payload, size);
	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof control.bytes;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof fd),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	if (sendmsg(connection, &m, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
		die("sending a message");
}

static void say_number(uint32_t request, uint64_t number, int fd)
{
	say(request, &number, sizeof number, fd);
}

static uint64_t ask_number(uint32_t request)
{
	char reply[20];
	uint64_t number;
	say(request, NULL, 0, -1);
	if (recv(connection, reply, sizeof reply, MSG_WAITALL) != sizeof reply)
		die("a reply of the server");
	memcpy(&number, reply + 12, sizeof number);
	return number;
}

static void start_queue(uint32_t index)
{
	struct queue *q = &queues[index];
	uint64_t at = USER + index * RING_BYTES;
	vring_init(&q->ring, QUEUE_SIZE, memory + index * RING_BYTES, 4096);
	uint32_t size[2] = { index, QUEUE_SIZE }, base[2] = { index, 0 }, enable[2] = { index, 1 };
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} address = { index, 0, at, at + (uint64_t)((char *)q->ring.used - (char *)q->ring.desc),
		at + (uint64_t)((char *)q->ring.avail - (char *)q->ring.desc), 0 };
	q->kick = eventfd(0, EFD_CLOEXEC);
	q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	say(8, size, sizeof size, -1);
	say(10, base, sizeof base, -1);
	say(9, &address, sizeof address, -1);
	say_number(13, index, q->call);
	say_number(12, index, q->kick);
	say(18, enable, sizeof enable, -1);
}

static void connect_device(void)
{
	struct {
		uint32_t count, padding;
		uint64_t guest, size, user, offset;
	} table = { 1, 0, USER, MEMORY, USER, 0 };
	features = ask_number(1) & (1ULL << 32 | 1ULL << 30 | 1ULL << VIRTIO_RING_F_EVENT_IDX);
	say(3, NULL, 0, -1);
	(void)ask_number(15);
	say_number(16, 0, -1);
	say_number(2, features, -1);
	say(5, &table, sizeof table, memory_fd);
	start_queue(0);
	start_queue(1);
}

/* --- the driver --- */

struct part {
	void *data;
	uint32_t size;
	int reply;
};

static char *slot_memory(const struct queue *q, unsigned slot)
{
	char *first = memory + 2 * RING_BYTES;
	return q == &queues[0] ? first + SLOTS * SLOT_BYTES + (size_t)slot * FORGET_BYTES :
				 first + (size_t)slot * SLOT_BYTES;
}

/* Puts a request of these parts into the ring (data of the readable ones is copied) and tells the
 * server, where it wants to be told. */
static void submit(struct queue *q, struct part *parts, unsigned count)
{
	unsigned forgets = q == &queues[0], slot = q->slot++ % (forgets ? FORGET_SLOTS : SLOTS),
		 first = slot * (forgets ? FORGET_PARTS : PARTS);
	char *at = slot_memory(q, slot);
	for (unsigned n = 0; n < count; n++) {
		struct vring_desc *d = &q->ring.desc[first + n];
		if (!parts[n].reply && parts[n].data)
			memcpy(at, parts[n].data, parts[n].size);
		*d = (struct vring_desc){
			.addr = USER + (uint64_t)(at - memory),
			.len = parts[n].size,
			.flags = (uint16_t)((parts[n].reply ? VRING_DESC_F_WRITE : 0) |
					    (n + 1 < count ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(first + n + 1),
		};
		parts[n].data = at;
		at += (parts[n].size + 63) / 64 * 64;
	}
	uint16_t old = q->ring.avail->idx;
	q->ring.avail->ring[old % QUEUE_SIZE] = (uint16_t)first;
	__atomic_store_n(&q->ring.avail->idx, (uint16_t)(old + 1), __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	uint16_t event = __atomic_load_n((uint16_t *)&vring_avail_event(&q->ring), __ATOMIC_RELAXED);
	int wanted = (features & 1ULL << VIRTIO_RING_F_EVENT_IDX) ? vring_need_event(event, (uint16_t)(old + 1), old) :
								    !(q->ring.used->flags & VRING_USED_F_NO_NOTIFY);
	uint64_t one = 1;
	if (wanted && write(q->kick, &one, sizeof one) < 0)
		die("a kick");
}

/* Sleeps until the server has given back all that it was asked for. */
static void finish(struct queue *q)
{
	uint64_t count;
	for (;;) {
		uint16_t used = __atomic_load_n(&q->ring.used->idx, __ATOMIC_ACQUIRE);
		if (used == q->ring.avail->idx)
			break;
		vring_used_event(&q->ring) = used;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q->ring.used->idx, __ATOMIC_ACQUIRE) != used)
			continue;
		struct pollfd p = { q->call, POLLIN, 0 };
		if (poll(&p, 1, WAIT_MS) != 1)
			die("the server does not answer");
		if (read(q->call, &count, sizeof count) < 0 && errno != EAGAIN)
			die("an interrupt");
	}
}

static struct fuse_in_header header(uint32_t opcode, uint64_t node, size_t body)
{
	return (struct fuse_in_header){
		.len = (uint32_t)(sizeof(struct fuse_in_header) + body),
		.opcode = opcode,
		.unique = unique += 2,
		.nodeid = node,
	};
}

/* A request with up to two parts of body; the reply's data is copied to `reply`. How many bytes
 * they are, or -errno of the answer. */
static int ask(uint32_t opcode, uint64_t node, struct part first, struct part second, struct part reply)
{
	struct fuse_in_header h = header(opcode, node, first.size + second.size);
	struct part parts[PARTS] = { { &h, sizeof h, 0 } };
	unsigned count = 1;
	if (first.size)
		parts[count++] = first;
	if (second.size)
		parts[count++] = second;
	unsigned out = count;
	parts[count++] = (struct part){ NULL, sizeof(struct fuse_out_header), 1 };
	if (reply.size)
		parts[count++] = (struct part){ NULL, reply.size, 1 };
	submit(&queues[1], parts, count);
	finish(&queues[1]);
	struct fuse_out_header *answer = parts[out].data;
	if (reply.data)
		memcpy(reply.data, parts[out + 1].data, reply.size);
	if (answer->unique != h.unique)
		die("an answer to something else");
	errno = -answer->error;
	return answer->error < 0 ? answer->error : (int)(answer->len - sizeof *answer);
}

#define NONE ((struct part){ 0 })
#define PART(value) ((struct part){ &(value), sizeof(value), 0 })
#define TEXT(string) ((struct part){ (void *)(string), (uint32_t)strlen(string) + 1, 0 })

static int must(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static void init(void)
{
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 36,
		.max_readahead = 131072,
		.flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
			 FUSE_READDIRPLUS_AUTO | FUSE_AUTO_INVAL_DATA | FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 |
			 FUSE_MAX_PAGES | FUSE_ASYNC_DIO,
	};
	struct fuse_init_out out;
	must(ask(FUSE_INIT, 0, PART(in), NONE, PART(out)), "INIT");
}

static const char *file_name(long n)
{
	static char name[32];
	snprintf(name, sizeof name, "file-%ld", n);
	return name;
}

static uint64_t parent; /* node of the folder */
static uint64_t *nodes;

static struct fuse_entry_out look_up(long n, int expected)
{
	struct fuse_entry_out entry = { 0 };
	int r = ask(FUSE_LOOKUP, parent, TEXT(file_name(n)), NONE, PART(entry));
	if ((r < 0 || !entry.nodeid) == expected)
		die("LOOKUP");
	nodes[n] = entry.nodeid;
	return entry;
}

/* virtiofs waits for it. */
static void close_file(uint32_t opcode, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };
	must(ask(opcode, node, PART(in), NONE, NONE), "RELEASE");
}

/* By way of the other queue, without an answer. */
static void forget(uint64_t node)
{
	struct fuse_forget_in in = { 1 };
	struct fuse_in_header h = header(FUSE_FORGET, node, sizeof in);
	struct part parts[] = { { &h, sizeof h, 0 }, PART(in) };
	if ((uint16_t)(queues[0].ring.avail->idx - __atomic_load_n(&queues[0].ring.used->idx, __ATOMIC_ACQUIRE)) >=
	    FORGET_SLOTS)
		finish(&queues[0]);
	submit(&queues[0], parts, 2);
}

static void forget_all(void)
{
	for (long n = 0; n < files; n++)
		forget(nodes[n]);
	finish(&queues[0]);
}

static long row_create(void)
{
	static char data[SMALL];
	struct fuse_attr_out attributes;
	struct fuse_getattr_in get = { 0 };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} made;
	struct fuse_create_in create = { .flags = O_WRONLY | O_CREAT | O_EXCL, .mode = S_IFREG | 0600 };
	struct fuse_write_out written;
	for (long n = 0; n < files; n++) {
		must(ask(FUSE_GETATTR, parent, PART(get), NONE, PART(attributes)), "GETATTR");
		look_up(n, 0);
		must(ask(FUSE_CREATE, parent, PART(create), TEXT(file_name(n)), PART(made)), "CREATE");
		nodes[n] = made.entry.nodeid;
		struct fuse_write_in write = { .fh = made.open.fh, .size = SMALL };
		must(ask(FUSE_WRITE, nodes[n], PART(write), PART(data), PART(written)), "WRITE");
		close_file(FUSE_RELEASE, nodes[n], made.open.fh);
	}
	return files;
}

static long row_stat(void)
{
	for (long n = 0; n < files; n++)
		look_up(n, 1);
	return files;
}

static long row_open_read(void)
{
	static char data[4096];
	struct fuse_open_out opened;
	for (long n = 0; n < files; n++) {
		struct fuse_open_in in = { .flags = O_RDONLY };
		look_up(n, 1);
		must(ask(FUSE_OPEN, nodes[n], PART(in), NONE, PART(opened)), "OPEN");
		struct fuse_read_in read = { .fh = opened.fh, .size = sizeof data };
		if (ask(FUSE_READ, nodes[n], PART(read), NONE, PART(data)) != SMALL)
			die("READ");
		close_file(FUSE_RELEASE, nodes[n], opened.fh);
	}
	return files;
}

static long row_list(void)
{
	static _Alignas(8) char data[ENTRIES];
	struct fuse_open_in in = { .flags = O_RDONLY | O_DIRECTORY };
	struct fuse_open_out opened;
	long seen = 0;
	must(ask(FUSE_OPENDIR, parent, PART(in), NONE, PART(opened)), "OPENDIR");
	struct fuse_read_in read = { .fh = opened.fh, .size = sizeof data };
	for (int size; (size = must(ask(FUSE_READDIRPLUS, parent, PART(read), NONE, PART(data)), "READDIRPLUS")) > 0;)
		for (struct fuse_direntplus *e = (void *)data; (char *)e < data + size;
		     e = (void *)((char *)e + FUSE_DIRENTPLUS_SIZE(e))) {
			read.offset = e->dirent.off;
			if (e->dirent.name[0] != '.')
				nodes[seen++ % files] = e->entry_out.nodeid;
		}
	close_file(FUSE_RELEASEDIR, parent, opened.fh);
	if (seen != files)
		die("the folder's entries");
	return files;
}

static long row_rename(void)
{
	struct fuse_attr_out attributes;
	struct fuse_getattr_in get = { 0 };
	char names[64];
	for (long n = 0; n < files; n++)
		for (int back = 0; back < 2; back++) {
			struct fuse_rename2_in in = { .newdir = parent };
			int first = snprintf(names, sizeof names, "%s", back ? "renamed" : file_name(n)) + 1;
			int size = first +
				   snprintf(names + first, sizeof names - (size_t)first, "%s",
				       back ? file_name(n) : "renamed") +
				   1;
			must(ask(FUSE_GETATTR, parent, PART(get), NONE, PART(attributes)), "GETATTR");
			must(ask(FUSE_RENAME2, parent, PART(in), (struct part){ names, (uint32_t)size, 0 }, NONE),
			    "RENAME2");
		}
	return files;
}

static long row_unlink(void)
{
	struct fuse_attr_out attributes;
	struct fuse_getattr_in get = { 0 };
	for (long n = 0; n < files; n++) {
		must(ask(FUSE_GETATTR, parent, PART(get), NONE, PART(attributes)), "GETATTR");
		look_up(n, 1);
		must(ask(FUSE_UNLINK, parent, TEXT(file_name(n)), NONE, NONE), "UNLINK");
		forget(nodes[n]);
	}
	finish(&queues[0]);
	return files;
}

static struct fuse_open_out big;
static uint64_t big_node;

static long row_write(void)
{
	struct fuse_create_in create = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0600 };
	struct fuse_write_out written;
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} made;
	static char data[DATA];
	memset(data, 'x', sizeof data);
	must(ask(FUSE_CREATE, FUSE_ROOT_ID, PART(create), TEXT("big"), PART(made)), "CREATE");
	big = made.open;
	big_node = made.entry.nodeid;
	for (long n = 0; n < mib; n++) {
		struct fuse_write_in write = { .fh = big.fh, .offset = (uint64_t)n * DATA, .size = DATA };
		must(ask(FUSE_WRITE, big_node, PART(write), PART(data), PART(written)), "WRITE");
	}
	return mib;
}

/* READs of this many bytes each. */
static long read_big(uint32_t size)
{
	for (uint64_t at = 0; at < (uint64_t)mib * DATA; at += size) {
		struct fuse_read_in read = { .fh = big.fh, .offset = at, .size = size };
		if (ask(FUSE_READ, big_node, PART(read), NONE, (struct part){ NULL, size, 0 }) != (int)size)
			die("READ");
	}
	return mib;
}

static long row_read_128k(void)
{
	return read_big(128 << 10);
}

static long row_read_1m(void)
{
	return read_big(1 << 20);
}

static void run(const char *name, long (*row)(void))
{
	double begin = now();
	long count = row();
	printf("%s %.6f %ld\n", name, now() - begin, count);
	fflush(stdout);
}

static void run_all(void)
{
	struct fuse_mkdir_in in = { .mode = 0700 };
	struct fuse_entry_out entry;
	must(ask(FUSE_MKDIR, FUSE_ROOT_ID, PART(in), TEXT(folder), PART(entry)), "MKDIR");
	parent = entry.nodeid;
	run("create", row_create);
	forget_all();
	run("stat", row_stat);
	forget_all();
	run("open-read", row_open_read);
	forget_all();
	run("list", row_list);
	run("rename", row_rename);
	run("unlink", row_unlink);
	run("write", row_write);
	run("read-128k", row_read_128k);
	run("read-1m", row_read_1m);
	close_file(FUSE_RELEASE, big_node, big.fh);
	must(ask(FUSE_UNLINK, FUSE_ROOT_ID, TEXT("big"), NONE, NONE), "UNLINK");
}

/* --- the server --- */

static int make_socket(int listening, struct sockaddr_un *name)
{
	int pair[2];
	if (!listening) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			die("a socket");
		connection = pair[0];
		return pair[1];
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof *name;
	*name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (fd < 0 || bind(fd, (struct sockaddr *)name, sizeof name->sun_family) < 0 ||
	    getsockname(fd, (struct sockaddr *)name, &size) < 0 || listen(fd, 1) < 0)
		die("a socket");
	connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0 || connect(connection, (struct sockaddr *)name, size) < 0)
		die("connecting");
	return fd;
}

static pid_t start(char **argv, int fd)
{
	char number[16];
	snprintf(number, sizeof number, "%d", fd);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(fd, F_SETFD, 0);
	for (char **word = argv; *word; word++) {
		char *at = strstr(*word, "{}"), *made;
		if (at && asprintf(&made, "%.*s%s%s", (int)(at - *word), *word, number, at + 2) > 0)
			*word = made;
	}
	execvp(argv[0], argv);
	_exit(127);
}

int main(int argc, char **argv)
{
	int listening = 0;
	struct sockaddr_un name;
	for (int option; (option = getopt(argc, argv, "+n:m:l")) != -1;)
		switch (option) {
		case 'n':
			files = atol(optarg);
			break;
		case 'm':
			mib = atol(optarg);
			break;
		case 'l':
			listening = 1;
			break;
		default:
			return 2;
		}
	if (argc - optind < 1 || files < 1 || files > 1000000 || mib < 1 || mib > 100000)
		return 2;
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (memory_fd < 0 || ftruncate(memory_fd, MEMORY) < 0)
		die("memory");
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	nodes = calloc((size_t)files, sizeof *nodes);
	if (memory == MAP_FAILED || !nodes)
		die("memory");
	int fd = make_socket(listening, &name);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = start(argv + optind, fd);
	close(fd);
	connect_device();
	init();
	run_all();
	close(connection);
	kill(pid, SIGTERM);
	/* All of its processes: the file system is unmounted next. */
	alarm(WAIT_MS / 1000);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return 0;
}
