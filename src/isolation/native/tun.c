/* SPDX-License-Identifier: Apache-2.0
 * See tun.h. */
#include "isolation/native/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"

int native_tun_check(int single)
{
	struct stat st;
	AUTO_FD int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tun < 0 || fstat(tun, &st) < 0)
		return -errno;
	return single || (st.st_mode & 06) == 06 ? 0 : -EACCES;
}

const char *native_tun_fix(int code)
{
	return code == -EACCES || code == -EPERM ? "sudo chmod 666 /dev/net/tun" : "sudo modprobe tun";
}
