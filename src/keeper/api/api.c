/* SPDX-License-Identifier: Apache-2.0
 * The table of routes. */
#include "keeper/api/api.h"

#include "keeper/api/resources.h"
#include "keeper/keeper.h"

void api_get_state(struct http_exchange *x, void *data)
{
	http_respond_json(x, 200, keeper_state(data));
}

static void api_get_settings(struct http_exchange *x, void *data)
{
	http_respond_json(x, 200, keeper_settings(data));
}

const struct http_route api_routes[] = {
	{ "GET", "/v1/state", api_get_state, 0 },
	{ "GET", "/v1/settings", api_get_settings, 0 },
	{ "GET", "/v1/ready", api_get_ready, 0 },
	{ "GET", "/v1/pauses", api_get_pauses, 0 },
	{ "POST", "/v1/sessions", api_post_session, 0 },
	{ "POST", "/v1/stop", api_post_stop, 0 },
	{ "POST", "/v1/auto-ports", api_post_auto_ports, 0 },
	{ "PUT", "/v1/auto-ports", api_put_auto_ports, 0 },
	{ "PUT", "/v1/limits", api_put_limits, 0 },
	{ "POST", "/v1/shares", api_post_share, 0 },
	{ "DELETE", "/v1/shares", api_delete_share, 0 },
	{ "POST", "/v1/ports", api_post_port, 0 },
	{ "DELETE", "/v1/ports", api_delete_port, 0 },
	{ "GET", "/v1/archive", api_hand_over, 1 },
	{ "PUT", "/v1/archive", api_hand_over, 1 },
	{ "POST", "/v1/dial", api_hand_over, 1 },
	{ "POST", "/v1/listen", api_hand_over, 1 },
	{ "POST", "/v1/accept", api_hand_over, 1 },
	{ "POST", "/v1/pause", api_hand_over, 1 },
	{ "GET", "/v1/memory", api_hand_over, 1 },
	{ "GET", "/v1/usage", api_hand_over, 1 },
	{ 0 },
};
