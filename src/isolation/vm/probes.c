/* SPDX-License-Identifier: Apache-2.0
 * The probes of `holm system info` for virtual machines. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "isolation/probes.h"
#include "isolation/vm/landlock.h"
#include "isolation/vm/probe.h"

enum { BUNDLE_JSON_MAX = 64 * 1024 };

static void probe_kvm(struct json_object *probes)
{
	struct probe_result p = probe_cached();
	AUTOFREE char *detail =
	    p.microseconds > 0 ? xasprintf("%s (%llu us)", probe_text(p.verdict), (unsigned long long)p.microseconds) :
				 xasprintf("%s", probe_text(p.verdict));
	const char *fix = probe_fix(p.verdict);
	probe_add(probes, "vm", "kvm", p.verdict == PROBE_WORKS, detail,
	    fix ? fix : "a host, or an outer virtual machine, with hardware virtualization that works");
}

static void probe_bundle(struct json_object *probes)
{
	static const char *const files[] = { "guest/vmlinux", "guest/initramfs.cpio", "guest/modules.ext4" };
	AUTOFREE char *description = path_share("guest/bundle.json");
	AUTO_JSON struct json_object *bundle = NULL;
	AUTO_ERROR struct error *err = NULL;
	const char *kernel = "?", *agent = "?";
	int r = json_parse_file(description, BUNDLE_JSON_MAX, &bundle, &err);
	if (r >= 0) {
		json_get_string(bundle, "kernel", &kernel, NULL);
		json_get_string(bundle, "agent", &agent, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files) && r >= 0; i++) {
		AUTOFREE char *path = path_share(files[i]);
		if (access(path, R_OK) < 0)
			r = error_set_errno(&err, errno, "%s", path);
	}
	AUTOFREE char *detail =
	    r >= 0 ? xasprintf("kernel %s, agent %s, crun", kernel, agent) : xstrdup(error_text(err, r));
	probe_add(probes, "vm", "guest-bundle", r >= 0 && streq(agent, HOLM_VERSION), detail,
	    "build or install holm again");
}

static void probe_landlock(struct json_object *probes)
{
	int version = landlock_version();
	AUTOFREE char *detail = version ? xasprintf("version %d: QEMU can open its own files only", version) :
					  xstrdup("not there: QEMU can open what you can");
	probe_add(probes, "vm", "landlock", version > 0, detail,
	    "Linux 5.13 or newer, with landlock among the modules of its lsm= parameter");
}

static void probe_memory(struct json_object *probes)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE), cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t bytes = (uint64_t)(pages > 0 ? pages : 0) * (uint64_t)size;
	AUTOFREE char *memory = format_size(bytes);
	AUTOFREE char *detail = xasprintf("%s, %ld processors", memory, cpus);
	probe_add(probes, "vm", "memory", bytes >= 1ULL << 30, detail, "a virtual machine needs 1 GiB");
}

void vm_probes_add(struct json_object *probes)
{
	probe_kvm(probes);
	probe_add_program(probes, "vm", "qemu-system-x86_64", "qemu-system-x86", "no virtual machines");
	probe_add_program(probes, "vm", "passt", "passt", "QEMU's slower user network is used");
	probe_bundle(probes);
	probe_landlock(probes);
	probe_memory(probes);
}
