/* SPDX-License-Identifier: Apache-2.0
 * holm-fsd serves one directory to one virtual machine. The keeper starts it with one end of a
 * socket whose other end QEMU has; it ends with that connection. It runs as several processes: the
 * broker (this one) talks to QEMU, the holder keeps the open files, and a worker serves the guest
 * and is replaced when it dies. For an ordinary user there is also the owner lookup process
 * (owners.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/options.h"
#include "base/parse.h"
#include "base/path.h"
#include "fsd/events/events.h"
#include "fsd/files/hide.h"
#include "fsd/files/owners.h"
#include "fsd/process/broker.h"
#include "fsd/process/confine.h"
#include "fsd/process/holder.h"
#include "fsd/process/takeover.h"
#include "fsd/request/ledger.h"
#include "fsd/request/share.h"
#include "fsd/vhost/device.h"

enum {
	LOG_MAX = 1024 * 1024, /* bytes of log that a guest can cause */
	FDS_RESERVE = 64,      /* for all other than the share's inodes and handles */
	FDS_MIN = 256,
	FDS_MAX = 1 << 20,
	GROUPS_MAX = 1 << 16, /* the kernel's NGROUPS_MAX */
};

static const char *const owner_map_words[] = { "user", "root", "record", NULL };  /* in the order of enum owner_map */
static const char *const cache_words[] = { "auto", "strict", "writeback", NULL }; /* in the order of enum share_cache */

static const char *const lock_words[] = { "guest", "host", NULL };

static const struct option_spec options[] = {
	{ "fd", 0, OPTION_STRING, "N", "Connected vhost-user socket to serve", NULL, NULL, NULL },
	{ "root", 0, OPTION_STRING, "DIR", "Directory to share", NULL, NULL, "directory" },
	{ "file", 0, OPTION_FLAG, NULL, "--root is a single file: serve a directory that has only this file", NULL,
	    NULL, NULL },
	{ "read-only", 0, OPTION_FLAG, NULL, "Refuse every change", NULL, NULL, NULL },
	{ "hide", 0, OPTION_LIST, "PATH", "Path beneath the directory that the machine cannot see", NULL, NULL,
	    "directory" },
	{ "hidden-id", 0, OPTION_LIST, "DEVICE:INODE", "Directory that must be hidden; else it was moved", NULL, NULL,
	    NULL },
	{ "inside-uid", 0, OPTION_STRING, "U", "Owner inside of the files that are yours", NULL, NULL, NULL },
	{ "owner-map", 0, OPTION_STRING, "user|root|record", "Owner of your files inside, and the effect of chown",
	    "user", owner_map_words, NULL },
	{ "share-cache", 0, OPTION_STRING, "auto|strict|writeback", "How long the machine may cache", "auto",
	    cache_words, NULL },
	{ "events", 0, OPTION_STRING, "N", "Socket to the machine's agent, for the host's changes", NULL, NULL, NULL },
	{ "share-locks", 0, OPTION_STRING, "guest|host", "Where the machine's locks hold", "guest", lock_words, NULL },
	{ "inside-gid", 0, OPTION_STRING, "G", "Group inside of the files of your group", NULL, NULL, NULL },
	{ 0 },
};

static const struct command_spec command = {
	.name = "holm-fsd",
	.synopsis = "",
	.summary = "Serve a directory to a virtual machine (vhost-user-fs); holm starts this program by itself",
	.options = options,
};

enum owner_map { OWNER_MAP_USER, OWNER_MAP_ROOT, OWNER_MAP_RECORD };

struct arguments {
	uint32_t fd, uid, gid;
	int events; /* -1: none */
	const char *root;
	int file, read_only;
	enum share_cache cache;
	enum owner_map owner_map;
	int host_locks;
	const struct strv *hide, *hidden_ids;
};

static int take_number(const struct options *o, const char *name, uint32_t *ret, struct error **err)
{
	const char *text = options_string(o, name);
	if (!text || parse_u32(text, ret) < 0)
		return error_set(err, EINVAL, "--%s wants a number", name);
	return 0;
}

/* The index of an option's value among its words, which options_parse() has checked; 0, the
 * default, without the option. */
static int take_choice(const struct options *o, const char *name, const char *const *words)
{
	const char *value = options_string(o, name);
	int at = 0;
	for (int i = 0; value && words[i]; i++)
		if (streq(words[i], value))
			at = i;
	return at;
}

/* Reads an optional descriptor: -1 without the option. 0 or -errno. */
static int take_socket(const struct options *o, const char *name, int *ret, struct error **err)
{
	uint32_t n = 0;
	*ret = -1;
	if (!options_given(o, name))
		return 0;
	int r = take_number(o, name, &n, err);
	if (r < 0 || n > INT_MAX)
		return r < 0 ? r : error_set(err, EINVAL, "--%s %u is no descriptor", name, n);
	*ret = (int)n;
	return 0;
}

static int take_arguments(const struct options *o, struct arguments *a, struct error **err)
{
	int r;
	if ((r = take_number(o, "fd", &a->fd, err)) < 0 || (r = take_number(o, "inside-uid", &a->uid, err)) < 0 ||
	    (r = take_number(o, "inside-gid", &a->gid, err)) < 0 || (r = take_socket(o, "events", &a->events, err)) < 0)
		return r;
	a->root = options_string(o, "root");
	a->file = options_given(o, "file");
	a->read_only = options_given(o, "read-only");
	a->cache = (enum share_cache)take_choice(o, "share-cache", cache_words);
	a->owner_map = (enum owner_map)take_choice(o, "owner-map", owner_map_words);
	a->host_locks = take_choice(o, "share-locks", lock_words);
	a->hide = options_list(o, "hide");
	a->hidden_ids = options_list(o, "hidden-id");
	if (!a->root || a->root[0] != '/' || a->fd > INT_MAX)
		return error_set(err, EINVAL, "--root (an absolute path) and --fd say what to serve to whom");
	return 0;
}

/* Raises the limit of descriptors to the hard limit. The number of descriptors. */
static unsigned raise_fd_limit(void)
{
	struct rlimit limit = { 0 };
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	rlim_t usable = limit.rlim_cur > FDS_RESERVE ? limit.rlim_cur - FDS_RESERVE : 0;
	return (unsigned)MIN(MAX(usable, (rlim_t)FDS_MIN), (rlim_t)FDS_MAX);
}

static int confine_owners(int may_change, struct error **err)
{
	int r = confine_nothing_to_see(err);
	return r < 0 ? r : may_change ? confine_calls_changing_groups(err) : confine_calls(CONFINE_OWNERS, err);
}

/* Descriptors of the shared directory or file. */
struct served {
	int directory; /* of the file; -1: the share is a directory */
	int root;
};

static void served_done(struct served *p)
{
	fd_close(p->directory);
	fd_close(p->root);
}

/* Opens the directory or file. The keeper has resolved the path, so a symlink in it is new, and an
 * error. 0 or -errno. */
static int served_open(const struct arguments *a, struct served *ret, struct error **err)
{
	struct stat st;
	AUTOFREE char *above = path_parent(a->root);
	const char *directory = a->file ? above : a->root;
	AUTO_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd =
	    path_open_beneath(top, directory[1] ? directory + 1 : ".", O_DIRECTORY | (a->file ? O_PATH : O_RDONLY), 0);
	if (fd < 0)
		return error_set_errno(err, fd, "the shared directory %s", directory);
	if (!a->file) {
		ret->root = TAKE_FD(fd);
		return 0;
	}
	AUTO_FD int file = path_open_beneath(fd, path_base(a->root), O_PATH, 0);
	if (file < 0 || fstat(file, &st) < 0)
		return error_set_errno(err, file < 0 ? file : errno, "the shared file %s", a->root);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ESTALE, "the shared file %s is no regular file any more", a->root);
	*ret = (struct served){ .directory = TAKE_FD(fd), .root = TAKE_FD(file) };
	return 0;
}

/* Confines this process to the directory or file. For an ordinary user it starts the owner lookup
 * process first, because the namespace hides other owners. 0 or -errno. */
static int enter_served(const struct arguments *a, struct served *p, struct owners *owners, struct confinement *c,
    struct error **err)
{
	int ordinary = geteuid() != 0;
	int r = ordinary ? owners_start(owners, !a->read_only, confine_owners, err) : 0;
	if (r == 0)
		r = a->file ? confine_to_file(p->directory, path_base(a->root), a->read_only, &p->root, c, err) :
			      confine_to_directory(&p->root, a->read_only, c, err);
	if (ordinary && (r < 0 || !c->namespaced))
		owners_stop(owners);
	return r;
}

/* Makes the share and confines this process to its directory. 0 or -errno. */
static int prepare(const struct arguments *a, struct share *s, struct owners *owners, struct confinement *c,
    struct error **err)
{
	gid_t groups[GROUPS_MAX];
	/* as ids of the host: before this process enters a namespace */
	int count = getgroups(ARRAY_SIZE(groups), groups);
	struct share_settings settings = {
		.read_only = a->read_only,
		.cache = a->cache,
		.inside_uid = a->owner_map == OWNER_MAP_ROOT ? 0 : a->uid,
		.inside_gid = a->owner_map == OWNER_MAP_ROOT ? 0 : a->gid,
		.keep_records = a->owner_map == OWNER_MAP_RECORD,
		.host_locks = a->host_locks,
		.file = a->file ? CONFINE_FILE : NULL,
		.host_uid = geteuid(),
		.host_gid = getegid(),
		.groups = groups,
		.group_count = count > 0 ? (size_t)count : 0,
		.max_inodes = SHARE_INODES_MAX,
		.max_fds = raise_fd_limit(),
		.proc_prefix = "",
	};
	CLEANUP(hide_list_done) struct hide_list hidden = { 0 };
	CLEANUP(served_done) struct served served = { -1, -1 };
	int r = hide_list_resolve(&hidden, a->root, a->hide, err);
	if (r == 0)
		r = served_open(a, &served, err);
	if (r == 0)
		r = enter_served(a, &served, owners, c, err);
	if (r < 0)
		return r;
	int kept = served.root;
	settings.owners = owners->pid > 0 ? owners : NULL;
	r = share_init(s, &settings, TAKE_FD(served.root), err);
	for (size_t n = 0; n < hidden.count && r == 0; n++)
		r = share_hide(s, &hidden.paths[n], err);
	for (size_t n = 0; n < a->hidden_ids->count && r == 0; n++)
		r = share_hides(s, a->hidden_ids->items[n], err);
	if (r == 0)
		r = confine_privileges(kept, a->read_only, c, err);
	s->settings.ignore_modes = r == 0 && c->namespaced && geteuid() != 0 ? confine_ignore_modes : NULL;
	return r;
}

/* The state that a worker inherits from the holder. */
struct inheritance {
	struct share *share;
	struct ledger *ledger;
	const struct owners *owners;
	const struct confinement *confinement;
	int control, events; /* events: -1 none */
};

static int make_loop(const struct inheritance *h, struct loop **ret, struct error **err)
{
	int r = confine_own_descriptors(h->confinement);
	if (r < 0)
		return error_set_errno(err, r, "/proc/self/fd");
	r = loop_new(ret);
	return r < 0 ? error_set_errno(err, r, "cannot make an event loop") : 0;
}

static int make_events(const struct inheritance *h, struct loop *l, struct events **ret, struct error **err)
{
	int r = h->events >= 0 ? events_new(l, h->share, h->events, ret) : 0;
	return r < 0 ? error_set_errno(err, r, "descriptor %d does not lead to an agent", h->events) : 0;
}

/* A worker's main function. Its exit status. */
static int work(int socket, void *data)
{
	const struct inheritance *h = data;
	AUTO_ERROR struct error *err = NULL;
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(events_freep) struct events *e = NULL;
	CLEANUP(device_freep) struct device *d = NULL;
	const struct owners *o = h->owners;
	int kept[] = { h->control, socket, o->asking, o->answering, o->process, o->parent, h->confinement->proc,
		h->events };
	share_take_over(h->share, kept, ARRAY_SIZE(kept));
	int r;
	if ((r = make_loop(h, &l, &err)) < 0 || (r = make_events(h, l, &e, &err)) < 0 ||
	    (r = device_new(l, h->share, h->ledger, socket, &d, &err)) < 0 ||
	    (r = confine_calls(CONFINE_WORKER, &err)) < 0) {
		log_error("%s", error_text(err, r));
		return EXIT_HOLM;
	}
	return loop_run(l);
}

/* The holder's main function. 0 when the broker has ended, or -errno. */
static int hold(const struct arguments *a, int control, struct error **err)
{
	struct confinement c = { .proc = -1 };
	CLEANUP(share_done) struct share s = { 0 };
	struct owners owners = { .asking = -1, .answering = -1, .process = -1, .parent = -1 };
	struct inheritance h = {
		.share = &s,
		.ledger = ledger_new(),
		.owners = &owners,
		.confinement = &c,
		.control = control,
		.events = a->events,
	};
	if (!h.ledger)
		return error_set(err, ENOMEM, "out of memory for the ledger of requests");
	int r = prepare(a, &s, &owners, &c, err);
	if (r == 0)
		r = confine_calls(CONFINE_HOLDER, err);
	if (r < 0)
		return r;
	log_debug("serving %s%s: namespace %s, Landlock %d", a->root, a->read_only ? " read-only" : "",
	    c.namespaced ? "yes" : "no", c.landlock);
	return holder_run(control, work, &h, err);
}

/* Starts the holder. The other end of its socket, or -errno. */
static int start_holder(const struct arguments *a, struct error **err)
{
	int pair[2];
	pid_t self = getpid();
	int r = fd_socketpair(SOCK_SEQPACKET, pair);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a socket");
	pid_t pid = fork();
	if (pid < 0)
		return error_set_errno(err, errno, "cannot start a process");
	if (pid > 0) {
		fd_close(pair[1]);
		fd_close(a->events);
		return pair[0];
	}
	fd_close(pair[0]);
	fd_close((int)a->fd);
	(void)prctl(PR_SET_NAME, "holm-fsd-holder");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != self)
		_exit(EXIT_HOLM);
	r = hold(a, pair[1], err);
	if (r < 0)
		log_error("%s", error_text(err ? *err : NULL, r));
	_exit(r < 0 ? EXIT_HOLM : 0);
}

static int confine_broker(struct error **err)
{
	int r = confine_nothing_to_see(err);
	return r < 0 ? r : confine_calls(CONFINE_BROKER, err);
}

static int serve(const struct arguments *a, struct error **err)
{
	AUTO_FD int control = start_holder(a, err);
	if (control < 0)
		return control;
	return broker_run((int)a->fd, control, confine_broker, err);
}

int main(int argc, char **argv)
{
	AUTO_ERROR struct error *err = NULL;
	CLEANUP(options_freep) struct options *o = NULL;
	struct arguments a = { 0 };
	fd_fix_standard();
	log_set_program("holm-fsd");
	log_set_times(1);
	log_set_limit(LOG_MAX);
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is EFBIG, not the end of the process */
	int r = options_parse(&command, argc - 1, argv + 1, &o, &err);
	if (r == 0 && options_help(o)) {
		options_print_help(stdout, "", &command);
		return 0;
	}
	if (r == 0)
		r = take_arguments(o, &a, &err);
	if (r == 0)
		r = serve(&a, &err);
	if (r < 0)
		log_error("%s", error_text(err, r));
	return r < 0 ? EXIT_HOLM : r;
}
