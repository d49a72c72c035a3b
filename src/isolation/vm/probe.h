/* SPDX-License-Identifier: Apache-2.0
 * Does hardware virtualization really work here? /dev/kvm may exist, open, make a virtual machine,
 * and still run it a thousand times too slow. So a tiny guest of our own is run and timed, in a
 * child that can be killed. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum {
	PROBE_ITERATIONS = 1000000,
	PROBE_LIMIT_MS = 50,     /* for the guest's loop */
	PROBE_DEADLINE_MS = 300, /* for the child */
};

enum probe_verdict {
	PROBE_WORKS,
	PROBE_NO_DEVICE,
	PROBE_NO_PERMISSION,
	PROBE_BROKEN,
	PROBE_WRONG,
	PROBE_SLOW,
	PROBE_VERDICT_COUNT,
};

struct probe_result {
	enum probe_verdict verdict;
	uint64_t microseconds; /* the loop took; 0 where it did not end */
};

/* One line for a person, borrowed. */
const char *probe_text(enum probe_verdict v);
const char *probe_fix(enum probe_verdict v); /* the remedy, or NULL */
/* Runs the guest, in a child; never longer than PROBE_DEADLINE_MS. */
struct probe_result probe_run(void);
/* The cached line of a result, and back: "v1 BOOT-ID DEVICE VERDICT MICROSECONDS\n". 0 or -EINVAL
 * (not ours, another boot, another device state). */
char *probe_cache_format(const char *key, struct probe_result result); /* owned */
int probe_cache_parse(const char *line, const char *key, struct probe_result *ret);
/* The cached result, or a new one. HOLM_KVM=0 in the environment says no without looking. */
struct probe_result probe_cached(void);
/* 1 when virtual machines can use KVM. ret (may be NULL): why not. */
int vm_kvm_works(struct probe_result *ret);
