/* SPDX-License-Identifier: Apache-2.0
 * See chain.h. */
#include "image/builder/chain.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "docker/name.h"
#include "image/builder/leftovers.h"
#include "image/builder/step.h"
#include "oci/layer.h"

enum {
	LINKS_MAX = 16, /* the paths of all of them have to fit into one mount */
	/* More is faster as a part of an image. */
	COPIED_BYTES_MAX = 8 << 20, /* compressed */
	COPIED_FILES_MAX = 512,
};

void build_chain_add(struct build_chain *c, const struct build_state *at, struct build_link link)
{
	c->links = xrealloc(c->links, c->count + 1, sizeof *c->links);
	c->links[c->count++] = link;
	c->layers = at->layer_count;
	snprintf(c->at, sizeof c->at, "%s", at->chain);
}

void build_chain_end(struct build_chain *c, struct build_engine *e)
{
	AUTO_STRV struct strv targets = { 0 };
	for (size_t i = c->count; i-- > 0;)
		strv_addf(&targets, "/containers/%s?force=1&v=1", c->links[i].id);
	if (targets.count)
		build_engine_delete_all(e, &targets);
	for (size_t i = 0; i < c->count; i++) {
		fd_close(c->links[i].hold);
		free(c->links[i].id);
	}
	free(c->links);
	*c = (struct build_chain){ 0 };
}

/* ---- layers without a RUN ---- */

static struct json_object *make_body(const struct build_step *s)
{
	const struct build_chain *c = s->chain;
	struct json_object *o = json_object_new_object(), *host = json_object_new_object(),
			   *labels = json_object_new_object();
	AUTO_STRV struct strv command = { 0 };
	strv_add(&command, "/");
	json_add_string(labels, BUILD_LABEL, s->builder->token);
	json_add_string(host, "NetworkMode", "none");
	json_add_string(o, "Image", c->image);
	json_add_strv(o, "Entrypoint", &command);
	json_add(o, "Labels", labels);
	json_add(o, "HostConfig", host);
	json_add_bool(o, "HolmHeld", 1);
	json_add_string(o, "HolmOn", c->count ? c->links[c->count - 1].id : NULL);
	return o;
}

static int create(struct build_step *s, struct build_link *ret, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL, *body = make_body(s);
	const char *id = NULL;
	int r = build_engine_call(s->builder->engine, "POST", "/containers/create", body, &answer, err);
	if (r == 0)
		r = json_get_string(answer, "Id", &id, err);
	if (r == 0 && !docker_is_id(id))
		r = error_set(err, EPROTO, "the engine's number of the container is none");
	if (r < 0)
		return r;
	AUTOFREE char *hold = xasprintf("/containers/%s/wait?condition=removed&holmHold=1", id);
	*ret = (struct build_link){ xstrdup(id), build_engine_hold(s->builder->engine, "POST", hold, err) };
	return MIN(ret->hold, 0);
}

static int put_layer(struct builder *b, const char *target, const struct build_layer *layer, struct error **err)
{
	CLEANUP(layer_reader_freep) struct layer_reader *reader = NULL;
	AUTO_FD int blob = library_open_blob(b->library, layer->digest, NULL, err);
	int r = blob < 0 ? blob : layer_reader_open(blob, NULL, NULL, &reader, err);
	return r < 0 ? r : build_engine_put_stream(b->engine, target, layer_reader_read, reader, err);
}

/* Adds a container that has the layers behind those of the chain. */
static int add_layers(struct build_step *s, const struct build_state *below, struct error **err)
{
	struct build_link link = { .hold = -1 };
	int r = create(s, &link, err);
	AUTOFREE char *target = link.id ? xasprintf("/containers/%s/layer", link.id) : NULL;
	for (size_t i = s->chain->layers; r == 0 && i < below->layer_count; i++)
		r = put_layer(s->builder, target, &below->layers[i], err);
	if (link.id)
		build_chain_add(s->chain, below, link);
	return r;
}

/* The layers that no step of the stage has copied. */
static size_t count_base(const struct build_state *s)
{
	size_t count = s->layer_count;
	while (count && s->layers[count - 1].is_copied)
		count--;
	return count;
}

/* Whether the layers of a state from `first` on are too much for a container of their own. */
static int is_large(struct library *l, const struct build_state *s, size_t first)
{
	AUTO_BUILD_STATE struct build_state *part = build_state_new(&s->platform);
	const struct build_listing *files = NULL;
	uint64_t size = 0;
	for (size_t i = first; i < s->layer_count; i++) {
		size += s->layers[i].size;
		if (size <= COPIED_BYTES_MAX)
			build_state_add(part, &s->layers[i], "");
	}
	return size > COPIED_BYTES_MAX || build_state_list(l, part, 0, &files, NULL) < 0 ||
	       files->contents.count > COPIED_FILES_MAX;
}

/* Whether the chain's last container has the first layers of this state, and the others can be
 * added. */
static int leads_to(const struct build_chain *c, const struct build_state *below, size_t base)
{
	if (!c->count || c->count + 2 > LINKS_MAX || c->layers < base || c->layers > below->layer_count)
		return 0;
	AUTO_BUILD_STATE struct build_state *first = build_state_copy_below(below, c->layers);
	return streq(first->chain, c->at);
}

/* Begins with an image of the base. */
static int begin(struct build_step *s, const struct build_state *below, size_t base, struct error **err)
{
	struct build_chain *c = s->chain;
	build_chain_end(c, s->builder->engine);
	AUTO_BUILD_STATE struct build_state *first = build_state_copy_below(below, base);
	c->layers = base;
	return build_state_write_layers(s->builder->library, first, c->image, err);
}

/* Makes the chain lead to the state. 0 or -errno: an image has to do. */
static int reach(struct build_step *s, const struct build_state *below, struct error **err)
{
	struct build_chain *c = s->chain;
	struct library *l = s->builder->library;
	size_t base = count_base(below);
	int leads = leads_to(c, below, base), r = 0;
	if (!leads && (!base || base == below->layer_count))
		return -ENOENT;
	if (is_large(l, below, leads ? c->layers : base))
		return -E2BIG;
	if (!leads)
		r = begin(s, below, base, err);
	return r == 0 && c->layers < below->layer_count ? add_layers(s, below, err) : r;
}

int build_chain_reach(struct build_step *s, const struct build_state *below, const char **ret_on, struct error **err)
{
	struct build_chain *c = s->chain;
	AUTO_ERROR struct error *why = NULL;
	int r = reach(s, below, &why);
	*ret_on = NULL;
	if (r == 0)
		*ret_on = c->links[c->count - 1].id;
	else
		build_chain_end(c, s->builder->engine);
	return r == -ECANCELED ? error_set(err, ECANCELED, "%s", error_text(why, r)) : 0;
}
