/* SPDX-License-Identifier: Apache-2.0
 * What the agent may ask of the keeper: a caller's ssh-agent, and to keep what the console prints. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "keeper/console.h"
#include "keeper/keeper_private.h"
#include "keeper/ssh_agent.h"

static void handle_ssh_agent(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_FD int agent = -1;
	AUTOFREE char *text = http_target_query(http_exchange_head(x)->target, "id");
	uint32_t id = 0;
	int r = text && parse_u32(text, &id) == 0 ? ssh_agent_connect(k, id, &agent) : -EINVAL;
	if (r < 0) {
		error_set_errno(&err, r, "the caller's ssh-agent");
		http_respond_error(x, r, err);
		return;
	}
	struct buffer early;
	int fd;
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	keeper_relay(k, fd, TAKE_FD(agent), &early, 0);
	buffer_done(&early);
}

static void handle_console(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	struct buffer early;
	int fd;
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	console_attach(k->console, fd, &early);
	buffer_done(&early);
}

const struct http_route agent_routes[] = {
	{"POST", "/v1/relay/ssh-agent", handle_ssh_agent, 0},
	{"POST", "/v1/console", handle_console, 0},
	{0},
};
