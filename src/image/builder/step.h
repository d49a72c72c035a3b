/* SPDX-License-Identifier: Apache-2.0
 * A build, and one instruction of it under way. Private to this folder. */
#pragma once

#include "image/build/dockerfile.h"
#include "image/build/stages.h"
#include "image/builder/chain.h"
#include "image/builder/context.h"
#include "image/builder/engine.h"
#include "image/builder/output.h"
#include "image/builder/report.h"
#include "image/builder/state.h"
#include "image/builder/upload.h"
#include "image/common/progress.h"

enum build_call { BUILD_CALL_BUILD, BUILD_CALL_CHECK, BUILD_CALL_OUTLINE, BUILD_CALL_TARGETS };

struct build_options {
	const char *context, *file, *target, *machine, *socket, *iidfile;
	const struct strv *tags, *args, *labels, *annotations; /* labels, annotations: "NAME=VALUE" */
	const struct oci_platform *platform;                   /* NULL: this machine's */
	int no_cache, pull, quiet;
	int64_t epoch; /* SOURCE_DATE_EPOCH; -1: none */
	enum report_style style;
	const char *network;                /* of RUN; NULL: the default one */
	const struct strv *secrets;         /* "id=NAME,src=FILE" */
	const struct strv *ssh;             /* as ssh.h has them; or NULL */
	const struct strv *hosts, *ulimits; /* "NAME:ADDRESS"; "NAME=SOFT[:HARD]" */
	uint64_t shm_size;                  /* 0: the default */
	struct json_object *limits;         /* of RUN: members of HostConfig; or NULL */
	uint32_t processes;                 /* of a RUN, at most; 0: the engine's default */
	enum build_call call;               /* all but BUILD_CALL_BUILD show something, and build nothing */
	int as_json;                        /* the answer of a call */
	const struct build_outputs *outputs;
	const char *metadata;                     /* a file; or NULL */
	const struct strv *again;                 /* stages whose steps are not looked for in the cache */
	const struct strv *contexts;              /* "NAME=VALUE" (named.h); or NULL */
	int *pruned;                              /* set to 1 if the cache became smaller: a sweep is due */
	const struct strv *cache_to, *cache_from; /* as cache_share.h has them; or NULL */
};

struct cache_records {
	struct cache_record *items;
	size_t count;
};

struct builder {
	const struct build_options *options;
	struct library *library;
	struct dockerfile *file;
	char *file_name;            /* for errors */
	struct build_upload upload; /* of the context "-" */
	const char *context_path;
	struct stages *stages;
	struct build_state **states; /* of each stage, when it is done; NULL: not yet */
	struct build_context *context;
	struct build_engine *engine;
	struct report *report;
	struct progress *progress;
	struct oci_platform platform;
	struct strv platform_args; /* "TARGETARCH=amd64" ... */
	struct strv used_args;     /* names of --build-arg that an ARG asked for */
	size_t total;              /* instructions */
	size_t expand_left;        /* bytes that their words may still become */
	size_t copied;             /* bytes of configuration that stages have from stages */
	struct build_parallel *parallel;
	int worker_fd;       /* of the process of a stage, to the build's own; -1 */
	size_t notes_before; /* bytes of the context's notes when that process began */
	int context_loaded;  /* the notes about its files are read */
	char *token;         /* names this builder to others; NULL: not yet (leftovers.h) */
	int token_lock;      /* -1: none */
	int made;            /* a step was not in the cache */
	struct build_named *named;
	struct build_named *named_before; /* the first one that is another process's; NULL: none */
	struct build_image {
		char *name;
		struct build_state *state;
	} * images; /* of --from */
	size_t image_count;
	struct {
		struct cache_records used, imported; /* imported: sorted */
		size_t before;                       /* used ones when this process began */
	} shared;
};

struct build_step {
	struct builder *builder;
	size_t stage, at; /* at: the instruction's index, that of FROM for its triggers */
	struct build_state *state;
	const struct dockerfile_instruction *instruction;
	struct build_chain *chain; /* of the stage's RUNs */
	int has_command;           /* the stage has set CMD by itself */
	int is_cached;
};

/* The scope of variables for the words of the step. */
struct expand_scope;
void build_step_scope(struct build_step *s, struct expand_scope *ret);
/* Adds a layer (taken) for the step; an empty one is none. */
void build_step_add(struct build_step *s, struct build_layer *layer);
/* A layer that an earlier build has made of the same; not with --no-cache. 1, 0 */
int build_step_find(struct build_step *s, const char *key, struct build_layer *ret);

/* Puts the step's layer into the cache. first: the key that this one stands for, or NULL. */
void build_step_store(struct build_step *s, const char *key, const char *first, const struct build_layer *layer);

/* parallel.c: the step is going to do work. 0: go on; -EINPROGRESS: another process goes on, and
 * this one leaves the stage; or another -errno. */
int build_step_work(struct build_step *s, struct error **err);
/* Whether all of a stage has been made. */
int build_stage_has_ended(const struct builder *b, size_t stage);
/* steps.c: makes a stage. 0, -EINPROGRESS as above, or -errno, and the step was shown by then. */
int build_stage_run(struct builder *b, size_t at, struct error **err);
/* builder.c: the state of an image, which is pulled where it is not here; platform NULL: the
 * build's. */
int build_load_image(struct builder *b, const char *name, const char *platform, struct build_state **ret,
    struct error **err);
/* The same for a name that is not one of --build-context. */
int build_load_plain_image(struct builder *b, const char *name, const char *platform, struct build_state **ret,
    struct error **err);
/* The patterns of the context's .dockerignore; *ret stays NULL where there is none. 0 or -errno. */
int build_read_ignore(const struct builder *b, struct ignore **ret, struct error **err);

/* configure.c: instructions that change the configuration alone. 0 or -errno. */
int build_configure(struct build_step *s, struct error **err);
/* files.c: COPY, ADD, and the directory of WORKDIR */
int build_copy(struct build_step *s, struct error **err);
int build_make_directory(struct build_step *s, const char *path, struct error **err);
/* The files of RUN --mount=type=bind: a key of what they are (ret NULL), or a layer with them,
 * whose media type is owned. from: a stage or image; NULL: the context, whose files must have the
 * same key for the layer. 0 or -errno. */
int build_bind(struct build_step *s, const char *from, const char *source, const char *target, char *key,
    struct build_layer *ret, struct error **err);
/* run.c */
int build_run(struct build_step *s, struct error **err);
/* Whether "NAME" or "NAME=VALUE" is a variable for proxies, which no ARG has to name. */
int build_is_proxy(const char *pair);

/* builder.c: the state that a name of --from stands for: a stage, or an image. Borrowed. */
int build_find_source(struct build_step *s, const char *from, struct build_state **ret, struct error **err);
/* The context of the build, opened when something asks for it first. Borrowed. */
int build_find_context(struct builder *b, struct build_context **ret, struct error **err);
