/* SPDX-License-Identifier: Apache-2.0
 * From the options of `run` and `create` to the body of POST /containers/create. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/options.h"

/* clang-format off */
/* The rows that `update` has, too. */
#define LIMIT_OPTIONS \
	{ "blkio-weight", 0, OPTION_STRING, "N", "its weight for disks, 10 to 1000" }, \
	{ "cpu-period", 0, OPTION_STRING, "MICROSECONDS", "the time that --cpu-quota is a part of", \
	  .default_text = "100000" }, \
	{ "cpu-quota", 0, OPTION_STRING, "MICROSECONDS", "processor time at most in each period" }, \
	{ "cpu-rt-period", 0, OPTION_STRING, "MICROSECONDS", "a real-time limit, which the engine refuses" }, \
	{ "cpu-rt-runtime", 0, OPTION_STRING, "MICROSECONDS", "a real-time limit, which the engine refuses" }, \
	{ "cpu-shares", 'c', OPTION_STRING, "N", "its weight among containers" }, \
	{ "cpus", 0, OPTION_STRING, "N", "processors at most, such as 1.5" }, \
	{ "cpuset-cpus", 0, OPTION_STRING, "LIST", "processors that it may use, such as 0-2" }, \
	{ "cpuset-mems", 0, OPTION_STRING, "LIST", "memory nodes that it may use" }, \
	{ "memory", 'm', OPTION_STRING, "SIZE", "memory at most, such as 512m" }, \
	{ "memory-reservation", 0, OPTION_STRING, "SIZE", "memory that is kept for it when memory is short" }, \
	{ "memory-swap", 0, OPTION_STRING, "SIZE", "memory and swap at most; -1 for no limit" }, \
	{ "pids-limit", 0, OPTION_STRING, "N", "processes at most; -1 for no limit" }

/* The rows that `run` and `create` have. */
#define CREATE_OPTIONS \
	LIMIT_OPTIONS, \
	{ "add-host", 0, OPTION_LIST, "HOST:IP", "add a line to /etc/hosts" }, \
	{ "annotation", 0, OPTION_LIST, "KEY=VALUE", "a note in the runtime's configuration" }, \
	{ "attach", 'a', OPTION_LIST, "stdin|stdout|stderr", "attach these alone", \
	  .default_text = "stdout and stderr, and with -i stdin", .complete = "choices stdin stdout stderr" }, \
	{ "blkio-weight-device", 0, OPTION_LIST, "DEVICE:N", "its weight for one disk" }, \
	{ "cap-add", 0, OPTION_LIST, "CAPABILITY", "add a capability" }, \
	{ "cap-drop", 0, OPTION_LIST, "CAPABILITY", "take a capability away; ALL takes all" }, \
	{ "cgroup-parent", 0, OPTION_STRING, "PATH", "make its cgroup below this one, beside the engine's" }, \
	{ "cgroupns", 0, OPTION_STRING, "host|private", "the cgroup namespace", \
	  .complete = "choices host private" }, \
	{ "cidfile", 0, OPTION_STRING, "FILE", "write the container's identity to a new file", .complete = "file" }, \
	{ "device", 0, OPTION_LIST, "PATH[:INSIDE][:rwm]", "give it a device of the machine" }, \
	{ "device-cgroup-rule", 0, OPTION_LIST, "RULE", "accepted with a warning: a container makes no devices" }, \
	{ "device-read-bps", 0, OPTION_LIST, "DISK:SIZE", "bytes a second at most that it reads from a disk" }, \
	{ "device-read-iops", 0, OPTION_LIST, "DISK:N", "reads a second at most" }, \
	{ "device-write-bps", 0, OPTION_LIST, "DISK:SIZE", "bytes a second at most that it writes to a disk" }, \
	{ "device-write-iops", 0, OPTION_LIST, "DISK:N", "writes a second at most" }, \
	{ "disable-content-trust", 0, OPTION_SWITCH, NULL, "has no effect: holm has no content trust" }, \
	{ "dns", 0, OPTION_LIST, "IP", "a name server" }, \
	{ "dns-option", 0, OPTION_LIST, "OPTION", "an option of the resolver" }, \
	{ "dns-search", 0, OPTION_LIST, "DOMAIN", "a domain to search names in" }, \
	{ "domainname", 0, OPTION_STRING, "NAME", "the NIS domain name, also in /etc/hosts" }, \
	{ "entrypoint", 0, OPTION_STRING, "PROGRAM", "run this in place of the image's; \"\" for none" }, \
	{ "env", 'e', OPTION_LIST, "K=V|K", "set a variable; K alone takes its value from here" }, \
	{ "env-file", 0, OPTION_LIST, "FILE", "read variables from a file, one K=V or K a line", .complete = "file" }, \
	{ "expose", 0, OPTION_LIST, "PORT[/udp]", "a port that -P publishes" }, \
	{ "gpus", 0, OPTION_STRING, "all|N", "GPUs, which the engine refuses" }, \
	{ "group-add", 0, OPTION_LIST, "GROUP", "a further group of the user" }, \
	{ "hostname", 'h', OPTION_STRING, "NAME", "the host name inside", .default_text = "made from its identity" }, \
	{ "init", 0, OPTION_SWITCH, NULL, "run a small init as process 1" }, \
	{ "interactive", 'i', OPTION_SWITCH, NULL, "pass stdin on, and keep it open" }, \
	{ "ip", 0, OPTION_STRING, "ADDRESS", "a fixed address on its network" }, \
	{ "ip6", 0, OPTION_STRING, "ADDRESS", "a fixed IPv6 address" }, \
	{ "ipc", 0, OPTION_STRING, "private|shareable|none|container:NAME", "the IPC namespace, and /dev/shm", \
	  .default_text = "private", .complete = "choices private shareable none" }, \
	{ "isolation", 0, OPTION_STRING, "default", "taken for docker's sake" }, \
	{ "kernel-memory", 0, OPTION_STRING, "SIZE", "accepted with a warning: cgroup 2 has nothing like it" }, \
	{ "label", 'l', OPTION_LIST, "KEY=VALUE", "a label" }, \
	{ "label-file", 0, OPTION_LIST, "FILE", "read labels from a file, one a line", .complete = "file" }, \
	{ "link", 0, OPTION_LIST, "CONTAINER[:ALIAS]", "a further name of another container, for this one alone" }, \
	{ "link-local-ip", 0, OPTION_LIST, "ADDRESS", "a link-local address, which the engine refuses" }, \
	{ "log-driver", 0, OPTION_STRING, "json-file|local|none", "how its output is kept", \
	  .default_text = "json-file", .complete = "choices json-file local none" }, \
	{ "log-opt", 0, OPTION_LIST, "KEY=VALUE", "max-size or max-file of the log" }, \
	{ "mac-address", 0, OPTION_STRING, "MAC", "the address of its interface" }, \
	{ "mount", 0, OPTION_LIST, "type=bind|volume|tmpfs,source=...,target=...", "mount something" }, \
	{ "name", 0, OPTION_STRING, "NAME", "the container's name", .default_text = "one is made up" }, \
	{ "net", 0, OPTION_LIST, "NETWORK", "the same as --network" }, \
	{ "network", 0, OPTION_LIST, "NETWORK|host|none|container:NAME", \
	  "a network, also as name=NAME,alias=NAME,ip=ADDRESS; host is the machine's own", \
	  .default_text = "bridge", .complete = "choices bridge host none" }, \
	{ "network-alias", 0, OPTION_LIST, "NAME", "a further name in its network" }, \
	{ "health-cmd", 0, OPTION_STRING, "COMMAND", "a shell command that says whether the container is healthy" }, \
	{ "health-interval", 0, OPTION_STRING, "TIME", "between two checks: 30s, 1m30s" }, \
	{ "health-retries", 0, OPTION_STRING, "N", "failures in a row that make it unhealthy" }, \
	{ "health-start-interval", 0, OPTION_STRING, "TIME", "between two checks in the start period" }, \
	{ "health-start-period", 0, OPTION_STRING, "TIME", "a time in which failures do not count" }, \
	{ "health-timeout", 0, OPTION_STRING, "TIME", "for one check" }, \
	{ "no-healthcheck", 0, OPTION_SWITCH, NULL, "leave the image's health check out" }, \
	{ "memory-swappiness", 0, OPTION_STRING, "N", "accepted with a warning: cgroup 2 has nothing like it" }, \
	{ "oom-kill-disable", 0, OPTION_SWITCH, NULL, "accepted with a warning: cgroup 2 has nothing like it" }, \
	{ "oom-score-adj", 0, OPTION_STRING, "N", "how soon the kernel kills it when memory is short" }, \
	{ "pid", 0, OPTION_STRING, "container:NAME", "the PID namespace of another container" }, \
	{ "platform", 0, OPTION_STRING, "OS/ARCH", "which of an image's platforms", .default_text = "the host's" }, \
	{ "privileged", 0, OPTION_SWITCH, NULL, "every right that the container's user namespace can have" }, \
	{ "publish", 'p', OPTION_LIST, "[[IP:]HOST:]INSIDE[/udp]", "make a port inside reachable on the host" }, \
	{ "publish-all", 'P', OPTION_SWITCH, NULL, "publish each exposed port on a free one of the host" }, \
	{ "pull", 0, OPTION_STRING, "missing|always|never", "when to fetch the image", .default_text = "missing", \
	  .choices = body_pull_words }, \
	{ "quiet", 'q', OPTION_SWITCH, NULL, "show no progress of fetching" }, \
	{ "read-only", 0, OPTION_SWITCH, NULL, "mount its root file system read-only" }, \
	{ "restart", 0, OPTION_STRING, "no|always|unless-stopped|on-failure[:N]", "when it is started again", \
	  .default_text = "no", .complete = "choices no always unless-stopped on-failure" }, \
	{ "rm", 0, OPTION_SWITCH, NULL, "remove it when it has ended" }, \
	{ "runtime", 0, OPTION_STRING, "crun", "the OCI runtime; the engine has one", .default_text = "crun", \
	  .complete = "choices crun" }, \
	{ "security-opt", 0, OPTION_LIST, "OPTION", "such as no-new-privileges" }, \
	{ "shm-size", 0, OPTION_STRING, "SIZE", "the size of /dev/shm", .default_text = "64m" }, \
	{ "stop-signal", 0, OPTION_STRING, "SIGNAL", "what stops it", .default_text = "the image's, else SIGTERM" }, \
	{ "stop-timeout", 0, OPTION_STRING, "SECONDS", "how long a stop waits", .default_text = "10" }, \
	{ "storage-opt", 0, OPTION_LIST, "KEY=VALUE", "an option of the storage driver, which the engine refuses" }, \
	{ "sysctl", 0, OPTION_LIST, "KEY=VALUE", "a setting of its own kernel namespaces" }, \
	{ "tmpfs", 0, OPTION_LIST, "DIR[:OPTIONS]", "mount a file system in memory" }, \
	{ "tty", 't', OPTION_SWITCH, NULL, "give it a terminal" }, \
	{ "ulimit", 0, OPTION_LIST, "NAME=SOFT[:HARD]", "a resource limit" }, \
	{ "use-api-socket", 0, OPTION_SWITCH, NULL, "mount docker.sock; no logins of registries go along" }, \
	{ "user", 'u', OPTION_STRING, "NAME|UID[:GROUP|GID]", "the user inside", .default_text = "the image's" }, \
	{ "userns", 0, OPTION_STRING, "host|keep-id", "its ids are the machine's; keep-id: run as the machine's user", \
	  .complete = "choices host keep-id" }, \
	{ "uts", 0, OPTION_STRING, "host", "the machine's host name", .complete = "choices host" }, \
	{ "volume", 'v', OPTION_LIST, "[SOURCE:]DIR[:ro]", "mount a path of a share, or a volume", \
	  .complete = "directory" }, \
	{ "volume-driver", 0, OPTION_STRING, "DRIVER", "the driver of volumes; the engine has local alone" }, \
	{ "volumes-from", 0, OPTION_LIST, "CONTAINER", "mount the volumes of another container" }, \
	{ "workdir", 'w', OPTION_STRING, "DIR", "the directory to run in", .default_text = "the image's" }
/* clang-format on */

extern const char *const body_pull_words[];

/* Which standard streams the command line stays with. */
struct body_streams {
	int in, out, err;
};
/* Makes the body. `detached`: -d of `run`; `ret_streams`: what is to be attached. The words are
 * IMAGE and the command. 0 or -errno. */
int body_make(struct options *o, int detached, struct json_object **ret, struct body_streams *ret_streams,
    struct error **err);
/* Adds the values of LIMIT_OPTIONS that were given to host. 0 or -EINVAL. */
int body_add_limits(struct options *o, struct json_object *host, struct error **err);
/* [rows, columns] of the terminal, owned; NULL: there is none. */
struct json_object *body_console_size(void);
/* Adds the variables of files and of texts ("K=V", or K with the caller's value) to env. */
int body_add_env(struct strv *env, const struct strv *files, const struct strv *texts, struct error **err);
