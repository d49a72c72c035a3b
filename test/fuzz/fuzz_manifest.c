/* SPDX-License-Identifier: Apache-2.0
 * Indexes, manifests, configurations and histories, and the choice of a platform. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "oci/config.h"
#include "oci/digest.h"
#include "oci/history.h"
#include "oci/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_index(const struct oci_index *i)
{
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	AUTO_ERROR struct error *err = NULL;
	const struct oci_descriptor *d;
	oci_platform_host(&host);
	if (oci_index_choose(i, &host, "fuzz", &d, &err) == 0 && !digest_is_valid(d->digest))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	AUTO_OCI_MANIFEST struct oci_manifest *manifest = NULL;
	AUTO_OCI_CONFIG struct oci_config *config = NULL;
	AUTO_OCI_HISTORY struct oci_history history = { 0 };
	enum oci_document kind;
	(void)oci_document_kind(text, size, NULL, "fuzz", &kind, NULL);
	if (oci_index_parse(text, size, "fuzz", &index, NULL) == 0)
		use_index(index);
	if (oci_manifest_parse(text, size, "fuzz", &manifest, NULL) == 0)
		for (size_t i = 0; i < manifest->layer_count; i++)
			if (!digest_is_valid(manifest->layers[i].digest) ||
			    manifest->layers[i].size > OCI_LAYER_SIZE_MAX)
				abort();
	(void)oci_history_parse(text, size, "fuzz", &history, NULL);
	if (oci_config_parse(text, size, "fuzz", &config, NULL) == 0) {
		AUTO_JSON struct json_object *o = oci_config_to_machine_json(config);
		free(json_to_string(o, 0));
	}
	return 0;
}
