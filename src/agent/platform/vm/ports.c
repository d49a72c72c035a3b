/* SPDX-License-Identifier: Apache-2.0
 * A port is found by its name in sysfs, as soon as the driver has both. */
#include "agent/platform/vm/ports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/platform/vm/device.h"
#include "agent/platform/vm/early.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

#define PORTS "/sys/class/virtio-ports"

enum { VSOCK_CONNECT_MS = 5 * 1000 };

/* The device of the port with this name, owned; NULL: not there (yet). */
static char *find_port(const char *name)
{
	DIR *d = opendir(PORTS);
	char *found = NULL;
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		AUTOFREE char *file = xasprintf(PORTS "/%s/name", e->d_name);
		AUTOFREE char *text = NULL;
		if (e->d_name[0] == '.' || path_read_file(file, 256, &text, NULL) < 0)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (streq(text, name))
			found = xasprintf("/dev/%s", e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static int open_port(const char *name, struct error **err)
{
	int fd = device_open(find_port, name, O_RDWR | O_NONBLOCK, NULL);
	if (fd == -ENODEV)
		return error_set(err, ENODEV, "there is no virtio port named %s", name);
	return fd < 0 ? error_set_errno(err, fd, "cannot open the virtio port %s", name) : fd;
}

static int open_serial(int ret[2], struct error **err)
{
	AUTO_FD int from = open_port("org.holm.keeper", err);
	if (from < 0)
		return from;
	int to = open_port("org.holm.agent", err);
	if (to < 0)
		return to;
	ret[0] = TAKE_FD(from);
	ret[1] = to;
	return 0;
}

/* One connection a direction to the host; the first line is the direction and the secret of this
 * boot, which the host handed over by fw_cfg. */
static int connect_vsock(uint32_t port, const char *direction, const char *secret, struct error **err)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port };
	struct timeval limit = { .tv_sec = VSOCK_CONNECT_MS / 1000 };
	AUTO_FD int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return error_set_errno(err, errno, "cannot connect to the host by vsock");
	AUTOFREE char *line = xasprintf("%s %s\n", direction, secret);
	int r = fd_write_full(fd, line, strlen(line));
	if (r < 0 || (r = fd_set_nonblocking(fd, 1)) < 0)
		return error_set_errno(err, r, "cannot write to the host by vsock");
	return TAKE_FD(fd);
}

static int open_vsock(int ret[2], struct error **err)
{
	AUTOFREE char *port_text = early_option("holm.vsock-port");
	AUTOFREE char *secret = NULL;
	uint32_t port = 0;
	if (!port_text || parse_u32(port_text, &port) < 0)
		return error_set(err, EINVAL, "the kernel's command line has no holm.vsock-port");
	if (path_read_file("/sys/firmware/qemu_fw_cfg/by_name/opt/org.holm/secret/raw", 256, &secret, NULL) < 0)
		return error_set(err, ENOENT, "the host gave no secret for vsock (fw_cfg)");
	secret[strcspn(secret, "\n")] = '\0';
	AUTO_FD int from = connect_vsock(port, "keeper", secret, err);
	if (from < 0)
		return from;
	int to = connect_vsock(port, "agent", secret, err);
	if (to < 0)
		return to;
	ret[0] = TAKE_FD(from);
	ret[1] = to;
	return 0;
}

static void refuse(int fd, void *data)
{
	fd_close(fd);
}

int ports_open(struct loop *l, const struct platform_streams *events, struct transport **ret_from,
    struct transport **ret_to, struct error **err)
{
	int fds[2] = { -1, -1 };
	AUTOFREE char *kind = early_option("holm.transport");
	int r = streq(kind, "vsock") ? open_vsock(fds, err) : open_serial(fds, err);
	if (r < 0)
		return r;
	r = transport_mux_new(l, fds[0], MUX_SERVER_INSIDE, events->accept, events->closed, events->data, ret_from);
	if (r < 0) {
		fd_close(fds[1]);
		return error_set_errno(err, r, "cannot serve the keeper's streams");
	}
	r = transport_mux_new(l, fds[1], MUX_CLIENT, refuse, events->closed, events->data, ret_to);
	return r < 0 ? error_set_errno(err, r, "cannot open streams to the keeper") : 0;
}
