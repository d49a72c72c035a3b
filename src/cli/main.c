/* SPDX-License-Identifier: Apache-2.0
 * holm: the command line. It is short-lived and links little (libc and json-c): what pulls images,
 * keeps machines and shares directories are programs of their own below libexec/holm. */
#include <signal.h>

#include "base/fd.h"
#include "cli/commands.h"
#include "cli/output.h"

int main(int argc, char **argv)
{
	fd_fix_standard();
	int status = command_main(argc - 1, argv + (argc > 0));
	return output_finish(status);
}
