/* SPDX-License-Identifier: Apache-2.0
 * One static program, several lives: the name that it is called by says which. As first process of
 * a VM it is the reaper. */
#include <stdio.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/engine/main.h"
#include "agent/engine/monitor.h"
#include "agent/engine/starter.h"
#include "agent/life/attach.h"
#include "agent/life/container_init.h"
#include "agent/life/minimal_init.h"
#include "agent/platform/native/start.h"
#include "agent/platform/vm/modules.h"
#include "agent/platform/vm/reaper.h"
#include "base/fd.h"
#include "base/path.h"

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? path_base(argv[0]) : "";
	if (streq(name, "holm-init"))
		return minimal_init_main();
	if (streq(name, "docker-init"))
		return container_init_main(argc, argv);
	if (streq(name, "modprobe"))
		return modprobe_main(argc, argv);
	if (argc > 2 && streq(argv[1], "--native-first"))
		return native_first_main(argv[2]);
	if (argc > 4 && streq(argv[1], "--start"))
		return starter_main(argv[2], argv[3], argv[4], argc > 5 ? argv[5] : NULL);
	if (argc > 2 && streq(argv[1], "--monitor"))
		return monitor_main(argv[2]);
	if (argc > 2 && streq(argv[1], "--engine"))
		return engine_main(argv[2]);
	if (getpid() == 1)
		return reaper_run();
	if (argc > 1 && streq(argv[1], "--version")) {
		puts("holm-agent " HOLM_VERSION);
		return 0;
	}
	fd_fix_standard();
	if (argc > 1 && streq(argv[1], "--attach"))
		return attach_main(argc, argv);
	if (argc > 1 && streq(argv[1], "--native"))
		return native_main();
	return agent_run(&platform_vm);
}
