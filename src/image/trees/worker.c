/* SPDX-License-Identifier: Apache-2.0
 * One process per layer: reads the blob, checks its digest, writes the tree. A layer that needs
 * those below says so, and waits for the word. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "idmap/storage.h"
#include "image/trees/jobs_internal.h"
#include "image/trees/write.h"
#include "oci/layer.h"

enum { REPORT_EVERY = 1 << 20 };

struct worker {
	const struct tree_jobs *jobs;
	size_t layer;
	int socket;
	struct layer_reader *reader;
	uint64_t reported;
	int *lower; /* topmost first */
};

int tree_send(int socket, enum tree_word word, int64_t value)
{
	struct tree_message m = { .word = word, .value = value };
	while (send(socket, &m, offsetof(struct tree_message, text), MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int tree_receive(int socket, struct tree_message *ret)
{
	for (;;) {
		ssize_t n = recv(socket, ret, sizeof *ret, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? 0 : -errno;
		if (n < (ssize_t)offsetof(struct tree_message, text))
			return n == 0 ? 0 : -EBADMSG;
		ret->text[n == sizeof *ret ? sizeof ret->text - 1 : n - offsetof(struct tree_message, text)] = '\0';
		return 1;
	}
}

static int send_failure(int socket, int code, const char *text)
{
	struct tree_message m = { .word = TREE_FAILED, .value = code };
	snprintf(m.text, sizeof m.text, "%s", text);
	return send(socket, &m, sizeof m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static ssize_t read_layer(void *data, const void **ret, struct error **err)
{
	struct worker *w = data;
	ssize_t n = layer_reader_read(w->reader, ret, err);
	uint64_t position = layer_reader_position(w->reader);
	if (n > 0 && position >= w->reported + REPORT_EVERY) {
		w->reported = position;
		if (tree_send(w->socket, TREE_READ, (int64_t)position) < 0)
			return error_set(err, ECANCELED, "interrupted");
	}
	return n;
}

static int wait_for_lower(void *data, struct tree_view *ret, struct error **err)
{
	struct worker *w = data;
	struct tree_message m;
	if (w->layer > 0 &&
	    (tree_send(w->socket, TREE_WAITING, 0) < 0 || tree_receive(w->socket, &m) != 1 || m.word != TREE_GO))
		return error_set(err, ECANCELED, "interrupted");
	w->lower = xcalloc(w->layer + 1, sizeof *w->lower);
	for (size_t i = 0; i < w->layer; i++)
		w->lower[i] = w->jobs->layers[w->layer - 1 - i].tree;
	*ret = (struct tree_view){ .trees = w->lower, .count = w->layer };
	return 0;
}

static int write_facts(const struct tree_layer *l, const struct tree_write *t, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_bool(o, "alone", !t->needs_lower);
	json_add_strv(o, "skipped", &t->skipped);
	if (t->skipped_more)
		json_add_u64(o, "skipped_more", t->skipped_more);
	if (t->strangers)
		json_add_u64(o, "strangers", t->strangers);
	AUTOFREE char *text = json_to_string(o, 0);
	int r = fd_write_full(l->facts, text, strlen(text));
	return r < 0 ? error_set_errno(err, r, "cannot write") : 0;
}

static int write_tree(struct worker *w, struct tree_write *t, struct error **err)
{
	const struct tree_layer *l = &w->jobs->layers[w->layer];
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(read_layer, w, NULL);
	const struct idmap *ids = w->jobs->ids;
	struct idmap own, storage;
	idmap_onto_itself(ids, &own);
	own.single = ids->single;
	idmap_for_containers(&own, ids->uid, ids->gid, &storage);
	tar_reader_set_own(tar, storage_ids_from_archive, &storage);
	int r = tree_write_layer(t, tar, err);
	if (r < 0)
		return r;
	const char *digest = layer_reader_digest(w->reader);
	if (!streq(digest, l->diff_id))
		return error_set(err, EBADMSG,
		    "its content is not what the image says it is (%s instead of %s); remove the image and pull it "
		    "again",
		    digest, l->diff_id);
	return write_facts(l, t, err);
}

int tree_worker_run(const struct tree_jobs *j, size_t layer, int socket)
{
	AUTO_ERROR struct error *err = NULL;
	struct worker w = { .jobs = j, .layer = layer, .socket = socket };
	struct tree_write t = { .directory = j->layers[layer].tree, .lower = wait_for_lower, .data = &w };
	umask(0);
	int r = layer_reader_open(j->layers[layer].blob, NULL, NULL, &w.reader, &err);
	if (r == 0)
		r = write_tree(&w, &t, &err);
	if (r < 0)
		send_failure(socket, r, error_text(err, r));
	else
		r = tree_send(socket, TREE_DONE, 0);
	layer_reader_free(w.reader);
	tree_write_done(&t);
	free(w.lower);
	return r;
}
