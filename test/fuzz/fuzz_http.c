/* SPDX-License-Identifier: Apache-2.0
 * HTTP/1.1 as a guest or a client may send it: heads of both kinds, chunks in pieces, targets. */
#include <stdint.h>

#include "base/alloc.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_chunks(const char *data, size_t size, size_t piece)
{
	struct http_chunks c = { 0 };
	int r = 0;
	for (size_t at = 0; at < size && r == 0;) {
		const char *run;
		size_t used, n, give = MIN(piece, size - at);
		r = http_chunks_feed(&c, data + at, give, &used, &run, &n);
		if (r < 0)
			return;
		if (used > give || (n && (run < data + at || run + n > data + at + give)))
			abort();
		if (used == 0)
			abort();
		at += used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_HTTP_HEAD struct http_head request, response;
	const char *text = (const char *)data;
	ssize_t n = http_parse_request(text, size, &request, NULL);
	if (n > (ssize_t)size)
		abort();
	if (n > 0) {
		AUTOFREE char *path = http_target_path(request.target), *value = http_target_query(request.target, "a");
		AUTOFREE char *encoded = http_encode_query(value ? value : path);
		if (strlen(encoded) < strlen(value ? value : path))
			abort();
		feed_chunks(text + n, size - (size_t)n, 7);
	}
	if (http_parse_response(text, size, &response, NULL) > (ssize_t)size)
		abort();
	feed_chunks(text, size, 1);
	feed_chunks(text, size, 4096);
	return 0;
}
