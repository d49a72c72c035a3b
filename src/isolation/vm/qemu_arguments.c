/* SPDX-License-Identifier: Apache-2.0
 * The virtual machine: a q35 without anything that a paravirtual guest has no use for. Each group
 * of arguments is one function.
 *
 * - The kernel is started directly (PVH when it is an uncompressed ELF file with that note).
 * - Memory is a shared memfd: the share servers map it, free-page reporting gives pages back, and a
 *   later saved state can use it.
 * - File names go in as JSON (-blockdev), where a comma means nothing; everything else that QEMU
 *   opens comes as a descriptor.
 * - Device order is fixed, so the disk is /dev/vda and the modules are /dev/vdb.
 */
#include "isolation/vm/qemu_arguments.h"

#include "base/alloc.h"
#include "base/json.h"
#include "isolation/network.h"

/* Plain x86-64-v2: newer distributions ask for no less, and emulated wider vectors only make
 * programs choose slower code. */
#define EMULATED_CPU "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+lahf-lm,+rdrand"
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

char *qemu_kernel_options(const struct qemu_plan *p)
{
	struct strv words = { 0 };
	/* A kernel that panics ends (panic=-1 with -no-reboot ends QEMU); what it says at the end
	 * is on the serial console. */
	strv_split(&words, "console=ttyS0 8250.nr_uarts=1 quiet loglevel=4 panic=-1", " ");
	strv_split(&words,
	    "random.trust_cpu=on nowatchdog audit=0 cryptomgr.notests no_timer_check rcupdate.rcu_expedited=1", " ");
	/* Nobody shares an emulated processor's caches with the guest: these only cost time there.
	 * Under KVM they stay as the kernel has them. */
	if (!p->kvm)
		strv_split(&words, "mitigations=off init_on_alloc=0 nokaslr tsc=reliable", " ");
	strv_addf(&words, "holm.transport=%s", p->vsock_cid != 0 ? "vsock" : "serial");
	if (p->vsock_cid != 0)
		strv_addf(&words, "holm.vsock-port=%u", p->vsock_port);
	char *line = strv_join(&words, " ");
	strv_done(&words);
	return line;
}

static void add_option(struct strv *argv, const char *option, const char *value)
{
	strv_add(argv, option);
	strv_add(argv, value);
}

static void add_machine(const struct qemu_plan *p, struct strv *argv)
{
	strv_add(argv, "-name");
	strv_addf(argv, "guest=holm-%s,debug-threads=on", p->machine);
	strv_split(argv, "-nodefaults -no-user-config -no-reboot -display none", " ");
	add_option(argv, "-sandbox", SANDBOX);
	add_option(argv, "-machine",
	    "q35,memory-backend=ram,usb=off,vmport=off,smbus=off,sata=off,hpet=off,i8042=off,dump-guest-core=off");
	if (p->kvm) {
		add_option(argv, "-accel", "kvm");
		add_option(argv, "-cpu", "host");
	} else {
		add_option(argv, "-accel", "tcg,thread=multi,tb-size=512");
		add_option(argv, "-cpu", EMULATED_CPU);
	}
	strv_add(argv, "-smp");
	strv_addf(argv, "%u", p->cpus);
	strv_add(argv, "-m");
	strv_addf(argv, "%lluM", (unsigned long long)(p->memory >> 20));
	strv_add(argv, "-object");
	strv_addf(argv, "memory-backend-memfd,id=ram,size=%lluM,share=on", (unsigned long long)(p->memory >> 20));
	add_option(argv, "-rtc", "base=utc,clock=host");
}

static void add_kernel(const struct qemu_plan *p, struct strv *argv)
{
	add_option(argv, "-kernel", p->kernel);
	add_option(argv, "-initrd", p->initramfs);
	strv_add(argv, "-append");
	strv_take(argv, qemu_kernel_options(p));
}

static void add_socket(struct strv *argv, const char *id, int fd)
{
	strv_add(argv, "-chardev");
	strv_addf(argv, "socket,id=%s,fd=%d", id, fd);
}

static void add_channels(const struct qemu_plan *p, struct strv *argv)
{
	add_socket(argv, "qmp", p->qmp_fd);
	add_option(argv, "-mon", "chardev=qmp,mode=control");
	add_socket(argv, "boot", p->boot_log_fd);
	add_option(argv, "-serial", "chardev:boot");
	if (p->vsock_cid != 0) {
		strv_add(argv, "-device");
		strv_addf(argv, "vhost-vsock-pci,id=vsock,guest-cid=%u", p->vsock_cid);
		strv_add(argv, "-fw_cfg"); /* by descriptor: an argument would show in ps(1) */
		strv_addf(argv, "name=opt/org.holm/secret,file=/proc/self/fd/%d", p->vsock_secret_fd);
		return;
	}
	add_option(argv, "-device", "virtio-serial-pci,id=serial,max_ports=3");
	add_socket(argv, "keeper", p->keeper_fd);
	add_option(argv, "-device",
	    "virtserialport,bus=serial.0,nr=1,id=keeper-port,chardev=keeper,name=" VM_PORT_KEEPER);
	add_socket(argv, "agent", p->agent_fd);
	add_option(argv, "-device", "virtserialport,bus=serial.0,nr=2,id=agent-port,chardev=agent,name=" VM_PORT_AGENT);
}

static struct json_object *file_node(const char *path, int read_only)
{
	struct json_object *file = json_object_new_object();
	json_add_string(file, "driver", "file");
	json_add_string(file, "filename", path);
	if (read_only)
		json_add_bool(file, "read-only", 1);
	else
		json_add_string(file, "discard", "unmap");
	return file;
}

static void add_disk(struct strv *argv, const char *id, const char *format, const char *path, int read_only)
{
	AUTO_JSON struct json_object *node = json_object_new_object();
	json_add_string(node, "driver", format);
	json_add_string(node, "node-name", id);
	if (read_only) {
		json_add_bool(node, "read-only", 1);
	} else {
		json_add_string(node, "discard", "unmap");
		json_add_string(node, "detect-zeroes", "unmap");
	}
	json_add(node, "file", file_node(path, read_only));
	strv_add(argv, "-blockdev");
	strv_take(argv, json_to_string(node, 0));
	strv_add(argv, "-device");
	/* A write that fails on the host stops the guest (pause.c). */
	strv_addf(argv, "virtio-blk-pci,id=%s-device,drive=%s%s", id, id,
	    read_only ? "" : ",werror=stop,rerror=report");
}

static void add_devices(const struct qemu_plan *p, struct strv *argv)
{
	add_disk(argv, "disk", "qcow2", p->disk, 0);
	if (p->modules)
		add_disk(argv, "modules", "raw", p->modules, 1);
	add_option(argv, "-object", "rng-builtin,id=entropy");
	add_option(argv, "-device", "virtio-rng-pci,rng=entropy");
	add_option(argv, "-device", "virtio-balloon-pci,id=balloon,free-page-reporting=on");
}

static void add_network(const struct qemu_plan *p, struct strv *argv)
{
	if (p->network == VM_NETWORK_NONE)
		return;
	strv_add(argv, "-netdev");
	if (p->network == VM_NETWORK_PASST) {
		strv_addf(argv, "stream,id=network,server=off,addr.type=fd,addr.str=%d", p->network_fd);
	} else {
		strv_add(argv, "user,id=network,ipv6=off,net=10.77.0.0/24,host=" NETWORK_GATEWAY
			       ",dhcpstart=" NETWORK_ADDRESS ",dns=" NETWORK_DNS);
	}
	add_option(argv, "-device", "virtio-net-pci,netdev=network,mac=52:54:00:0a:4d:02,romfile=");
	if (p->network == VM_NETWORK_USER && p->filter_fd >= 0) {
		/* The guest's frames go through the keeper's filter (user_network.c) and come back
		 * from it. */
		add_socket(argv, "filter-out", p->filter_fd);
		add_socket(argv, "filter-in", p->filter_back_fd);
		/* Frames of the guest pass the filters from the last to the first: what comes back
		 * must not meet the way out again. */
		add_option(argv, "-object", "filter-redirector,id=from-filter,netdev=network,queue=rx,indev=filter-in");
		add_option(argv, "-object", "filter-redirector,id=to-filter,netdev=network,queue=rx,outdev=filter-out");
	}
}

static void add_shares(const struct qemu_plan *p, struct strv *argv)
{
	for (unsigned i = 0; i < p->slots; i++) {
		strv_add(argv, "-device");
		strv_addf(argv, "pcie-root-port,id=slot%u,chassis=%u,slot=%u", i, i + 1, i + 1);
	}
	for (size_t i = 0; i < p->share_count; i++) {
		const struct qemu_share *s = &p->shares[i];
		strv_add(argv, "-chardev");
		strv_addf(argv, "socket,id=share-%s,fd=%d", s->tag, s->fd);
		strv_add(argv, "-device");
		AUTOFREE char *bus = s->slot >= 0 ? xasprintf(",bus=slot%d", s->slot) : xstrdup("");
		strv_addf(argv, "vhost-user-fs-pci,id=device-%s,chardev=share-%s,tag=%s,queue-size=%d%s", s->tag,
		    s->tag, s->tag, VM_SHARE_QUEUE_SIZE, bus);
	}
}

void qemu_arguments(const struct qemu_plan *p, struct strv *argv)
{
	strv_add(argv, p->program);
	add_machine(p, argv);
	add_kernel(p, argv);
	add_channels(p, argv);
	add_devices(p, argv);
	add_network(p, argv);
	add_shares(p, argv);
}
