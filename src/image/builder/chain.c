/* SPDX-License-Identifier: Apache-2.0
 * See chain.h. */
#include "image/builder/chain.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"

enum { LINKS_MAX = 16 }; /* the paths of all of them have to fit into one mount */

const char *build_chain_find(const struct build_chain *c, const char *at)
{
	return c && c->count && c->count < LINKS_MAX && streq(c->at, at) ? c->links[c->count - 1].id : NULL;
}

void build_chain_add(struct build_chain *c, const char *image, const char *at, struct build_link link)
{
	c->links = xrealloc(c->links, c->count + 1, sizeof *c->links);
	c->links[c->count++] = link;
	snprintf(c->image, sizeof c->image, "%s", image);
	snprintf(c->at, sizeof c->at, "%s", at);
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
