/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/signals.h"

#include <signal.h>

#include "base/macros.h"

static const struct {
	int number;
	const char *name;
} signals[] = {
	{ SIGABRT, "ABRT" },
	{ SIGALRM, "ALRM" },
	{ SIGFPE, "FPE" },
	{ SIGHUP, "HUP" },
	{ SIGILL, "ILL" },
	{ SIGINT, "INT" },
	{ SIGKILL, "KILL" },
	{ SIGPIPE, "PIPE" },
	{ SIGQUIT, "QUIT" },
	{ SIGSEGV, "SEGV" },
	{ SIGTERM, "TERM" },
	{ SIGUSR1, "USR1" },
	{ SIGUSR2, "USR2" },
};

int signal_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (streq(signals[i].name, name))
			return signals[i].number;
	return 0;
}

const char *signal_name(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].number == number)
			return signals[i].name;
	return NULL;
}
