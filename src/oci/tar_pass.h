/* SPDX-License-Identifier: Apache-2.0
 * Passes chosen entries of a tar stream on, byte for byte as they came. */
#pragma once

#include "oci/tar.h"
#include "oci/tar_write.h"

struct tar_pass {
	/* Whether the entry goes on: 1, 0 or -errno and an error. It may write another one in its
	 * place. */
	int (*choose)(void *data, const struct tar_entry *e, struct error **err);
	tar_sink sink; /* takes the bytes of entries that go on, and says of its failure by itself */
	void *data;
	size_t headers_max; /* of one entry, in bytes */
};

/* Reads the whole stream, and checks it as any archive (tar.h). The end of an archive is not passed
 * on. 0 or -errno; -EBADMSG for a broken archive or for headers beyond headers_max. */
int tar_pass(tar_source *source, void *source_data, const struct tar_pass *p, struct error **err);
