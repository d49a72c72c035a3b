/* SPDX-License-Identifier: Apache-2.0
 * The signal that asks an init to stop. */
#include "agent/life/init_signal.h"

#include <signal.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/parse.h"
#include "base/strv.h"

static const struct {
	const char *name;
	int number;
} signal_names[] = {
	{ "HUP", SIGHUP },
	{ "INT", SIGINT },
	{ "QUIT", SIGQUIT },
	{ "KILL", SIGKILL },
	{ "USR1", SIGUSR1 },
	{ "USR2", SIGUSR2 },
	{ "TERM", SIGTERM },
	{ "PWR", SIGPWR },
	{ "WINCH", SIGWINCH },
	{ "ABRT", SIGABRT },
};

/* "SIGRTMIN+3", "RTMIN+3", "SIGTERM", "15" as images write it; 0: not understood. */
static int signal_number(const char *text)
{
	uint32_t n = 0;
	const char *name = startswith(text, "SIG");
	name = name ? name : text;
	const char *offset = startswith(name, "RTMIN");
	if (parse_u32(name, &n) >= 0)
		return n > 0 && n < 65 ? (int)n : 0;
	if (offset && (*offset == '\0' || (*offset == '+' && parse_u32(offset + 1, &n) >= 0 && n <= 30)))
		return SIGRTMIN + (int)n;
	for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++)
		if (streq(name, signal_names[i].name))
			return signal_names[i].number;
	return 0;
}

/* A known init's own signal comes before the image's STOPSIGNAL: that is often meant for the
 * program that the image was made for, and busybox's init takes SIGTERM as "reboot". */
int init_stop_signal(const struct agent *a)
{
	int wanted = a->boot && a->boot->stop_signal ? signal_number(a->boot->stop_signal) : 0;
	switch (a->init_kind) {
	case INIT_SYSTEMD:
		return SIGRTMIN + 3;
	case INIT_BUSYBOX:
		return SIGUSR2;
	case INIT_OWN:
		return SIGTERM;
	default:
		return wanted ? wanted : SIGTERM;
	}
}
