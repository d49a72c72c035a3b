/* SPDX-License-Identifier: Apache-2.0
 * Watches: changes of the host, from inotify(7) to events for the guest.
 *
 * The first watched inode opens the inotify instance. A watch names its inode by a descriptor
 * ("/proc/self/fd/N"), never by a path, and goes with the guest's FORGET. An event reports
 * directory and name, for a watched file too. So the directory above a watched inode is watched as
 * well, for names alone, and only the names of watched files count there.
 *
 * inotify reports a rename in two halves that share a cookie. If only one of the two directories
 * is watched, the rename is a removal, or a new file.
 *
 * The guest may watch an inode whose name leads to another file by then, because it believes a
 * name for a while (attributes.c). Nothing would ever happen to that inode, so the server reports
 * its removal at once. Names that the share hides are never reported. With share-cache=writeback,
 * content and attributes are not reported: a guest that looks at a file again could lose the data
 * that it has not written yet. */
#include "fsd/events/watch.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "fsd/events/echo.h"

enum { BUFFER_SIZE = 64 << 10, READS_MAX = 64 /* in a row, so that a busy host does not delay the guest */ };
#define EVENT_SIZE_MAX (sizeof(struct inotify_event) + SHARE_NAME_MAX + 1)

void watch_table_init(struct watch_table *t, struct share *s, void (*happened)(struct event *e, void *data),
    int (*is_pending)(uint64_t node, const char *name, const void *data), void *data)
{
	*t = (struct watch_table){
		.share = s,
		.inotify = -1,
		.happened = happened,
		.is_pending = is_pending,
		.data = data,
	};
}

/* --- the table --- */

static struct watch **bucket_of(struct watch_table *t, int wd)
{
	return &t->buckets[(unsigned)wd % WATCH_BUCKETS];
}

static struct watch *find(struct watch_table *t, int wd)
{
	struct watch *w = wd > 0 ? *bucket_of(t, wd) : NULL;
	while (w && w->wd != wd)
		w = w->next;
	return w;
}

static void set_wd(struct watch_table *t, struct watch *w, int wd)
{
	if (w->wd > 0) {
		struct watch **p = bucket_of(t, w->wd);
		while (*p != w)
			p = &(*p)->next;
		*p = w->next;
	}
	w->wd = wd;
	if (wd > 0) {
		struct watch **p = bucket_of(t, wd);
		w->next = *p;
		*p = w;
	}
}

/* Makes w depend on parent, which reports changes of w's name. */
static void add_dependant(struct watch *w, struct watch *parent)
{
	w->parent = parent;
	w->next_dependant = parent->dependants;
	parent->dependants = w;
}

/* Detaches w from its parent. Returns the parent if nothing needs it any more, else NULL. */
static struct watch *remove_dependant(struct watch *w)
{
	struct watch *parent = w->parent;
	if (!parent)
		return NULL;
	struct watch **p = &parent->dependants;
	while (*p != w)
		p = &(*p)->next_dependant;
	*p = w->next_dependant;
	w->parent = NULL;
	return !parent->dependants && parent->mask == 0 ? parent : NULL;
}

/* Removes w and detaches its dependants. Returns w's parent if nothing needs it any more, else
 * NULL. */
static struct watch *detach(struct watch_table *t, struct watch *w)
{
	struct watch *parent = remove_dependant(w);
	while (w->dependants)
		(void)remove_dependant(w->dependants);
	if (w->wd > 0)
		(void)inotify_rm_watch(t->inotify, w->wd); /* the kernel may have done so */
	set_wd(t, w, -1);
	w->inode->watch = NULL;
	t->items[w->index] = t->items[--t->count];
	t->items[w->index]->index = w->index;
	free(w);
	return parent;
}

static void drop(struct watch_table *t, struct watch *w)
{
	while (w)
		w = detach(t, w);
}

static void on_inode_gone(struct watch *w, void *data)
{
	drop(data, w);
}

static void depend_on_directory(struct watch_table *t, struct watch *w);

/* Another directory reports changes of the name now. */
static void on_inode_moved(struct watch *w, void *data)
{
	drop(data, remove_dependant(w));
	if (w->mask)
		depend_on_directory(data, w);
}

void watch_table_clear(struct watch_table *t)
{
	while (t->count > 0) {
		struct watch *w = t->items[--t->count];
		w->inode->watch = NULL;
		free(w);
	}
	memset(t->buckets, 0, sizeof t->buckets);
	t->moved.cookie = 0;
	fd_close(t->inotify);
	t->inotify = -1;
}

void watch_table_done(struct watch_table *t)
{
	watch_table_clear(t);
	free(t->items);
	free(t->buffer);
}

/* Opens the inotify instance, for the first watch. 0 or -errno. */
static int start(struct watch_table *t)
{
	if (t->inotify >= 0)
		return 0;
	t->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (t->inotify < 0)
		return -errno;
	if (!t->buffer)
		t->buffer = xmalloc(BUFFER_SIZE);
	t->share->inodes.watched_gone = on_inode_gone;
	t->share->inodes.watched_moved = on_inode_moved;
	t->share->inodes.watched_data = t;
	return 0;
}

static uint32_t host_mask(const struct watch *w)
{
	uint32_t mask = w->mask & WATCH_STATES;
	if (w->mask & WATCH_NAMES)
		mask |= WATCH_NAMES;
	if (w->dependants)
		mask |= IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
	return mask ? mask | IN_EXCL_UNLINK : 0;
}

/* Sets the host's watch to the present mask. 0 or -errno. */
static int apply(struct watch_table *t, struct watch *w)
{
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int fd = inode_path_fd(&t->share->inodes, w->inode, &owned);
	if (fd < 0)
		return fd;
	uint32_t mask = host_mask(w);
	int wd = inotify_add_watch(t->inotify, share_proc_path(t->share, fd, path), mask ? mask : IN_DELETE_SELF);
	if (wd < 0)
		return -errno;
	struct watch *other = find(t, wd);
	if (other != w) {
		if (other) { /* two records of one file: the older one is of a deleted file with the same number */
			set_wd(t, other, -1);
			while (other && other != w) /* but never w itself */
				other = detach(t, other);
		}
		set_wd(t, w, wd);
	}
	return 0;
}

static struct watch *add(struct watch_table *t, struct inode *i)
{
	if (t->count >= SHARE_WATCHES_MAX)
		return NULL;
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->items = xrealloc(t->items, t->room, sizeof(struct watch *));
	}
	struct watch *w = xnew(struct watch);
	*w = (struct watch){ .wd = -1, .inode = i, .index = t->count };
	t->items[t->count++] = w;
	i->watch = w;
	return w;
}

/* Adds a watch of the directory above. Without it only changes of w's name go unreported. */
static void depend_on_directory(struct watch_table *t, struct watch *w)
{
	struct inode *above = w->inode->parent;
	if (w->parent || !above)
		return;
	struct watch *p = above->watch ? above->watch : add(t, above);
	if (!p)
		return;
	int is_first = !p->dependants;
	add_dependant(w, p);
	if (is_first && apply(t, p) < 0)
		drop(t, remove_dependant(w));
}

static void say_limit(struct watch_table *t, int error)
{
	if (!t->said_limit)
		log_debug("share events: some changes of the host are not reported to the machine: %s",
		    error < 0 ? strerror(-error) : "too many watches inside");
	t->said_limit = 1;
}

static void unset(struct watch_table *t, struct watch *w)
{
	w->mask = 0;
	if (!w->dependants || apply(t, w) < 0)
		drop(t, w);
}

static void report(struct watch_table *t, enum share_operation operation, int directory, uint64_t node,
    const char *name)
{
	struct event *e = event_new(operation, node, name, 0, NULL);
	e->directory = directory;
	t->happened(e, t->data);
}

/* Reports the removal of an inode whose name already leads elsewhere. The guest believes a name for
 * a while (attributes.c), and the host will never report that inode again. */
static void report_if_gone(struct watch_table *t, const struct watch *w)
{
	struct inode *i = w->inode, *above = i->parent;
	struct statx st;
	if (!above || !i->place || share_check_name(t->share, above, inode_name(i), HIDDEN_LOOK) < 0)
		return;
	int directory = inode_directory_fd(&t->share->inodes, above),
	    r = directory < 0 ? directory : inode_statx(directory, inode_name(i), &st);
	int replaced = r == 0 && inode_check(i, &st) < 0;
	if ((!replaced && r != -ENOENT && r != -ESTALE) || t->is_pending(above->nodeid, inode_name(i), t->data))
		return;
	report(t, SHARE_REMOVE, i->type == S_IFDIR, above->nodeid, inode_name(i));
	if (replaced && above->watch && (above->watch->mask & WATCH_NAMES))
		report(t, SHARE_CREATE, S_ISDIR(st.stx_mode), above->nodeid, inode_name(i));
}

void watch_set(struct watch_table *t, uint64_t node, uint32_t mask)
{
	struct inode *i = inode_find(&t->share->inodes, node);
	mask &= IN_ALL_EVENTS;
	if (!i || (i->type != S_IFDIR && i->type != S_IFREG))
		return;
	if (mask == 0) {
		if (i->watch)
			unset(t, i->watch);
		return;
	}
	int r = start(t);
	struct watch *w = i->watch || r < 0 ? i->watch : add(t, i);
	if (!w) {
		say_limit(t, r);
		return;
	}
	w->mask = mask;
	r = apply(t, w);
	if (r == -ESTALE)
		set_wd(t, w, -1);
	else if (r < 0) {
		if (r == -ENOSPC)
			say_limit(t, r);
		drop(t, w);
		return;
	}
	depend_on_directory(t, w);
	report_if_gone(t, w);
}

struct inode *watch_named(const struct watch_table *t, const struct inode *directory, const char *name)
{
	if (!directory->watch || !directory->watch->dependants)
		return NULL;
	for (size_t n = 0; n < t->count; n++)
		if (inode_is_named(t->items[n]->inode, directory, name))
			return t->items[n]->inode;
	return NULL;
}

/* As watch_named(), but among the dependants of one directory alone: this runs for each event. */
static const struct inode *dependant_named(const struct watch *directory, const char *name)
{
	const struct watch *w = directory->dependants;
	while (w && !inode_is_named(w->inode, directory->inode, name))
		w = w->next_dependant;
	return w ? w->inode : NULL;
}

/* --- from inotify to events --- */

/* Content or attributes of the watched inode, or of a file in it. */
static void on_state(struct watch_table *t, const struct watch *w, uint32_t mask, const char *name)
{
	const struct inode *directory = name ? w->inode : w->inode->parent;
	uint64_t file = name ? 0 : w->inode->nodeid;
	if (!(w->mask & mask & WATCH_STATES) || !directory)
		return;
	if (!name)
		name = inode_name(w->inode);
	/* A guest with a write-back cache could lose its dirty pages if it looked at the file
	 * again. */
	if (t->share->settings.cache == SHARE_CACHE_WRITEBACK ||
	    share_check_name(t->share, directory, name, HIDDEN_LOOK) < 0)
		return;
	struct event *e = event_new((mask & IN_MODIFY) ? SHARE_MODIFY :
				    (mask & IN_ATTRIB) ? SHARE_ATTRIB :
							 SHARE_CLOSE_WRITE,
	    directory->nodeid, name, 0, NULL);
	e->directory = !!(mask & IN_ISDIR);
	e->file = file;
	t->happened(e, t->data);
}

/* The second half of the rename did not come: for the guest the file is gone. */
void watch_expire(struct watch_table *t)
{
	if (t->moved.cookie && t->moved.wanted)
		report(t, SHARE_REMOVE, t->moved.directory, t->moved.node, t->moved.name);
	t->moved.cookie = 0;
}

uint64_t watch_deadline(const struct watch_table *t)
{
	return t->moved.cookie ? t->moved.until_ms : UINT64_MAX;
}

static int is_hidden(const struct watch_table *t, const struct inode *directory, const char *name)
{
	return share_check_name(t->share, directory, name, HIDDEN_LOOK) < 0;
}

static void on_moved_from(struct watch_table *t, const struct watch *w, const struct inotify_event *e, int wanted)
{
	watch_expire(t);
	if (is_hidden(t, w->inode, e->name) || e->cookie == 0)
		return;
	t->moved = (struct watch_moved){
		.cookie = e->cookie,
		.node = w->inode->nodeid,
		.until_ms = clock_deadline(WATCH_PAIR_MS),
		.directory = !!(e->mask & IN_ISDIR),
		.wanted = wanted,
	};
	memcpy(t->moved.name, e->name, strnlen(e->name, SHARE_NAME_MAX));
}

static void on_moved_to(struct watch_table *t, const struct watch *w, const struct inotify_event *e, int wanted)
{
	int is_pair = t->moved.cookie && t->moved.cookie == e->cookie;
	if (is_hidden(t, w->inode, e->name)) {
		if (is_pair)
			watch_expire(t);
		return;
	}
	if (!is_pair) {
		const struct inode *replaced = dependant_named(w, e->name);
		if (replaced)
			report(t, SHARE_REMOVE, replaced->type == S_IFDIR, w->inode->nodeid, e->name);
		if (w->mask & WATCH_NAMES)
			report(t, SHARE_CREATE, !!(e->mask & IN_ISDIR), w->inode->nodeid, e->name);
		return;
	}
	wanted |= t->moved.wanted;
	t->moved.cookie = 0;
	if (!wanted)
		return;
	struct event *rename = event_new(SHARE_RENAME, t->moved.node, t->moved.name, w->inode->nodeid, e->name);
	rename->directory = t->moved.directory;
	t->happened(rename, t->data);
}

static void on_name(struct watch_table *t, const struct watch *w, const struct inotify_event *e)
{
	int directory = !!(e->mask & IN_ISDIR), wanted = (w->mask & WATCH_NAMES) || dependant_named(w, e->name);
	if (e->mask & IN_MOVED_FROM)
		on_moved_from(t, w, e, wanted);
	else if (e->mask & IN_MOVED_TO)
		on_moved_to(t, w, e, wanted);
	else if (wanted && !is_hidden(t, w->inode, e->name))
		report(t, (e->mask & IN_CREATE) ? SHARE_CREATE : SHARE_REMOVE, directory, w->inode->nodeid, e->name);
}

static void take_in(struct watch_table *t, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		if (!t->said_overflow)
			log_debug("share events: the host changes files faster than inotify can report them");
		t->said_overflow = 1;
		return;
	}
	struct watch *w = find(t, e->wd);
	if (!w)
		return;
	if (e->mask & IN_IGNORED) { /* the file is gone; its directory's watch reports that */
		set_wd(t, w, -1);
		return;
	}
	const char *name = e->len > 0 && *e->name ? e->name : NULL;
	if (name && strnlen(name, e->len) > SHARE_NAME_MAX)
		return; /* the guest cannot have looked it up (place.h) */
	if (echo_explains(t, w, e->mask, name))
		return;
	if (e->mask & WATCH_STATES)
		on_state(t, w, e->mask, name);
	else if (name && (e->mask & WATCH_NAMES))
		on_name(t, w, e);
}

void watch_read(struct watch_table *t)
{
	for (int reads = 0; t->inotify >= 0 && reads < READS_MAX; reads++) {
		ssize_t n = read(t->inotify, t->buffer, BUFFER_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(t->buffer + at);
			at += (ssize_t)(sizeof *e + e->len);
			take_in(t, e);
		}
		if (n < (ssize_t)(BUFFER_SIZE - EVENT_SIZE_MAX))
			return; /* the queue is empty */
	}
}
