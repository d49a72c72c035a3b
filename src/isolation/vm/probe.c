/* SPDX-License-Identifier: Apache-2.0
 * The probe forks once. The child may hang in KVM, so the parent waits for its answer on a pipe
 * until a deadline, and then kills it. It measures processor time, so a busy host does not look
 * like a slow one. The runtime folder caches an answer about the hardware until the host reboots.
 * The device and its permissions, which an administrator can change at any time, are checked each
 * time. */
#include "isolation/vm/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"
#include "isolation/find.h"
#include "isolation/vm/kvm_guest.h"

enum { CACHE_MAX = 512, ATTEMPTS = 2 };

struct verdict_text {
	const char *name, *text, *fix;
};

static const struct verdict_text verdicts[] = {
	[PROBE_WORKS] = { "works", "a test guest ran at full speed", NULL },
	[PROBE_NO_DEVICE] = { "no-device", "there is no /dev/kvm",
	    "switch on virtualization in the firmware, or load the kernel module kvm_intel or kvm_amd" },
	[PROBE_NO_PERMISSION] = { "no-permission", "no permission for /dev/kvm",
	    "sudo usermod -aG kvm $USER, then log in again" },
	[PROBE_BROKEN] = { "broken", "/dev/kvm is there but cannot run a guest", NULL },
	[PROBE_WRONG] = { "wrong", "/dev/kvm runs a test guest with a wrong result", NULL },
	[PROBE_SLOW] = { "slow", "/dev/kvm runs a test guest, but far too slowly", NULL },
};
_Static_assert(ARRAY_SIZE(verdicts) == PROBE_VERDICT_COUNT, "a text for every verdict");

const char *probe_text(enum probe_verdict v)
{
	return verdicts[v].text;
}

const char *probe_fix(enum probe_verdict v)
{
	return verdicts[v].fix;
}

static struct probe_result judge(void)
{
	uint64_t result = 0;
	struct probe_result p = { .verdict = PROBE_BROKEN };
	int r = kvm_guest_run(PROBE_ITERATIONS, &result, &p.microseconds);
	if (r < 0)
		return p;
	if (result != (uint64_t)PROBE_ITERATIONS * (PROBE_ITERATIONS + 1) / 2)
		p.verdict = PROBE_WRONG;
	else
		p.verdict = p.microseconds <= PROBE_LIMIT_MS * 1000 ? PROBE_WORKS : PROBE_SLOW;
	return p;
}

static struct probe_result run_once(void)
{
	struct probe_result p = { .verdict = PROBE_BROKEN };
	int pipe_fds[2], status;
	if (fd_pipe(pipe_fds) < 0)
		return p;
	AUTO_FD int from = pipe_fds[0], to = pipe_fds[1];
	pid_t pid = fork();
	if (pid == 0) {
		p = judge();
		fd_write_full(to, &p, sizeof(p));
		_exit(0);
	}
	fd_close(TAKE_FD(to));
	if (pid < 0)
		return p;
	int ready = fd_wait(from, POLLIN, clock_deadline(PROBE_DEADLINE_MS));
	if (ready > 0 && fd_read_full(from, &p, sizeof(p)) != sizeof(p))
		p = (struct probe_result){ .verdict = PROBE_BROKEN };
	else if (ready <= 0)
		p.verdict = PROBE_SLOW;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return p;
}

struct probe_result probe_run(void)
{
	if (access("/dev/kvm", F_OK) < 0)
		return (struct probe_result){ .verdict = PROBE_NO_DEVICE };
	AUTO_FD int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return (struct probe_result){
			.verdict = errno == EACCES || errno == EPERM ? PROBE_NO_PERMISSION : PROBE_BROKEN,
		};
	struct probe_result p = run_once();
	/* A verdict lasts until the next boot: one moment of bad luck must not make it. */
	for (int i = 1; i < ATTEMPTS && p.verdict == PROBE_SLOW; i++)
		p = run_once();
	return p;
}

char *probe_cache_format(const char *key, struct probe_result result)
{
	return xasprintf("v1 %s %s %llu\n", key, verdicts[result.verdict].name,
	    (unsigned long long)result.microseconds);
}

int probe_cache_parse(const char *line, const char *key, struct probe_result *ret)
{
	AUTO_STRV struct strv words = { 0 };
	strv_split(&words, line, " \n");
	if (words.count != 4 || !streq(words.items[0], "v1") || !streq(words.items[1], key))
		return -EINVAL;
	for (size_t i = 0; i < PROBE_VERDICT_COUNT; i++) {
		if (streq(words.items[2], verdicts[i].name) && parse_u64(words.items[3], &ret->microseconds) == 0) {
			ret->verdict = (enum probe_verdict)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The key of a cached verdict: this boot and this QEMU. Owned. */
static char *cache_key(void)
{
	AUTOFREE char *boot = NULL;
	AUTOFREE char *qemu = isolation_find_program("qemu-system-x86_64");
	struct stat st = { 0 };
	if (path_read_file("/proc/sys/kernel/random/boot_id", 64, &boot, NULL) < 0)
		return NULL;
	boot[strcspn(boot, "\n")] = '\0';
	if (qemu && stat(qemu, &st) < 0)
		st.st_size = 0;
	return xasprintf("%s:%llx:%llx", boot, (unsigned long long)st.st_mtim.tv_sec, (unsigned long long)st.st_size);
}

static int read_cache(const char *path, const char *key, struct probe_result *ret)
{
	AUTOFREE char *line = NULL;
	int r = path_read_file(path, CACHE_MAX, &line, NULL);
	return r < 0 ? r : probe_cache_parse(line, key, ret);
}

struct probe_result probe_cached(void)
{
	struct probe_result p;
	AUTOFREE char *directory = NULL;
	const char *forced = getenv("HOLM_KVM");
	if (streq(forced, "0"))
		return (struct probe_result){ .verdict = PROBE_BROKEN };
	if (access("/dev/kvm", R_OK | W_OK) < 0 || path_runtime_dir(&directory, NULL) < 0)
		return probe_run();
	AUTOFREE char *path = path_join(directory, "kvm-probe");
	AUTOFREE char *key = cache_key();
	if (key && read_cache(path, key, &p) == 0)
		return p;
	p = probe_run();
	if (key) {
		AUTOFREE char *line = probe_cache_format(key, p);
		atomic_file_write(path, 0600, line, strlen(line), NULL);
	}
	return p;
}

int vm_kvm_works(struct probe_result *ret)
{
	struct probe_result p = probe_cached();
	if (ret)
		*ret = p;
	return p.verdict == PROBE_WORKS;
}
