/* SPDX-License-Identifier: Apache-2.0
 * `init=install`: a machine whose image has no init of its own gets one from its distribution.
 *
 * The script below runs once as root, while the machine starts: after its first boot with holm's
 * init, because only then there is a network. If it has installed an init, holm's init restarts and
 * the agent finds the new one. The setting becomes `auto`, so the script does not run again. If it
 * fails, the machine is ready with the init that it has, a warning says why, and the next start
 * tries again. holm-images(7) describes the script. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/agent/host_facts.h"
#include "keeper/agent/job.h"
#include "keeper/keeper_private.h"

enum { SCRIPT_MS = 10 * 60 * 1000, RESTART_MS = 60 * 1000, LOCK_MS = 2000, STATUS_HAS_ONE = 3 };

/* The wait is for the network, which a native machine gets while it starts. */
static const char script[] =
    "has() { command -v \"$1\" >/dev/null 2>&1; }\n"
    "has_init() {\n"
    "	for f in /lib/systemd/systemd /usr/lib/systemd/systemd /sbin/openrc; do [ ! -x $f ] || return 0; done\n"
    "	[ -x /sbin/init ] && [ \"$(readlink -f /sbin/init)\" != /bin/busybox ]\n"
    "}\n"
    "has_init && exit 3\n"
    "for tool in apt-get dnf microdnf zypper pacman apk none; do has $tool && break; done\n"
    "n=0\n"
    "until [ $tool = none ] || [ $n = 50 ] ||\n"
    "	grep -q '^[^[:space:]]*[[:space:]]00000000[[:space:]]' /proc/net/route; do\n"
    "	n=$((n + 1)); sleep 0.1\n"
    "done\n"
    "export DEBIAN_FRONTEND=noninteractive\n"
    "case $tool in\n"
    "apt-get) apt-get -qy update && apt-get -qy --no-install-recommends install systemd systemd-sysv libpam-systemd "
    "dbus "
    "dbus-user-session sudo iproute2 ;;\n"
    "dnf) dnf -y --setopt=install_weak_deps=False install systemd dbus sudo iproute ;;\n"
    "microdnf) microdnf -y install systemd dbus sudo iproute ;;\n"
    "zypper) zypper --non-interactive install --no-recommends systemd dbus-1 sudo iproute2 ;;\n"
    "pacman) pacman -Sy --noconfirm --needed systemd systemd-sysvcompat sudo iproute2 ;;\n"
    "apk) apk add openrc sudo ;;\n"
    "*) echo 'no package manager that holm knows: apt-get, dnf, microdnf, zypper, pacman or apk'; false ;;\n"
    "esac || exit 1\n"
    "has_init || { echo 'the packages have brought no init'; exit 1; }\n";

/* Process 1 is holm's init, or the busybox of an image without services. */
static const char restart[] = "case $(readlink /proc/1/exe) in */busybox) kill -TERM 1 ;; *) kill -HUP 1 ;; esac\n";

int install_is_wanted(const struct keeper *k)
{
	return k->machine->init == MACHINE_INIT_INSTALL && !k->install_tried && !k->options.rescue;
}

static void go_on(struct keeper *k)
{
	job_cancel(TAKE_PTR(k->job));
	keeper_enter(k, script_next_stage(k));
	if (k->stage == STAGE_READY && k->install_init_up)
		keeper_enter(k, STAGE_RUNNING);
}

void install_give_up(struct keeper *k, const char *why)
{
	AUTOFREE char *text =
	    xasprintf("no init was installed (%s), so there are no services; see holm machine logs --boot "
		      "%s; the next start tries again",
		why, k->machine->name);
	keeper_tell_warning(k, text);
	go_on(k);
}

/* The machine has what init=install asked for. */
static void settle_setting(struct keeper *k)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_FD int lock = machine_config_lock(k->machine->name, clock_deadline(LOCK_MS), &err);
	int r = lock < 0 ? lock : machine_load(k->machine->name, &m, &err);
	if (r == 0 && m->init == MACHINE_INIT_INSTALL) {
		m->init = MACHINE_INIT_AUTO;
		r = machine_save(m, &err);
	}
	k->install_settled = r == 0;
	if (r < 0)
		log_warning("init=install stays set: %s", error_text(err, r));
}

static void on_restarted(struct keeper *k, int status, const char *text)
{
	k->job = NULL; /* the restart ends this script too; the agent's line says that it has begun */
}

static void on_installed(struct keeper *k, int status, const char *text)
{
	static const struct job_plan plan = { .name = "restart",
		.script = restart,
		.timeout_ms = RESTART_MS,
		.done = on_restarted };
	AUTO_ERROR struct error *err = NULL;
	k->job = NULL;
	if (status == 0 || status == STATUS_HAS_ONE)
		settle_setting(k);
	if (status == STATUS_HAS_ONE) {
		go_on(k);
	} else if (status != 0) {
		install_give_up(k, text);
	} else {
		source_set_timer(k->deadline, clock_deadline(RESTART_MS));
		int r = job_start(k, &plan, &k->job, &err);
		if (r < 0)
			install_give_up(k, error_text(err, r));
	}
}

void install_enter(struct keeper *k)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv env = { 0 };
	const struct job_plan plan = { .name = "install",
		.script = script,
		.env = &env,
		.timeout_ms = SCRIPT_MS,
		.done = on_installed };
	k->install_tried = 1;
	k->install_init_up = 0;
	host_proxies(k->machine, &env);
	/* Those of whoever starts the machine, as for a session. */
	for (char **e = environ; !k->machine->proxy && *e; e++)
		if (machine_proxy_is_variable(*e))
			strv_add(&env, *e);
	source_set_timer(k->deadline, clock_deadline(SCRIPT_MS + RESTART_MS));
	int r = job_start(k, &plan, &k->job, &err);
	if (r < 0)
		install_give_up(k, error_text(err, r));
}
