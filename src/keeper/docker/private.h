/* SPDX-License-Identifier: Apache-2.0
 * Private to this folder. */
#pragma once

#include <sys/types.h>

#include "http/http.h"
#include "keeper/docker/docker.h"

/* The head in front of a request to the engine; the agent takes it off. */
#define DOCKER_ENVELOPE "POST /v1/engine HTTP/1.1\r\nHost: holm\r\nConnection: Upgrade\r\nUpgrade: holm-engine\r\n\r\n"

struct resource;

/* A request that is being answered: handlers get the whole, answer once and free it. */
struct docker_request {
	struct keeper *keeper;
	const char *socket;              /* docker.sock; borrowed while the handler runs */
	struct http_exchange *exchange;  /* NULL: the client is gone */
	int inside;                      /* a container of the machine asks */
	char *name;                      /* the star's part of the path, or NULL */
	const struct resource *resource; /* while it waits for the boot */
	struct keeper_waiter *waiter;
	struct json_object *body; /* of create */
	char *reference;
	char *target; /* for the engine, in place of the client's; or NULL */
};
void docker_request_free(struct docker_request *q);
void docker_respond_error(struct docker_request *q, int code, const struct error *err); /* frees q */
void docker_respond_json(struct docker_request *q, int status, struct json_object *o);  /* takes o, frees q */

/* hand_over.c: gives the connection to the engine, with its request as it came, or with another
 * body (borrowed). Frees q. */
void docker_hand_over(struct docker_request *q, struct json_object *body);

/* commit.c */
void docker_commit(struct docker_request *q);

/* given.c: serves connections that another program of the user passes, as `server` serves its
 * own. */
void docker_take_connections(struct docker_request *q, struct http_server *server);
void docker_givers_done(void);

/* grpc.c */
void docker_grpc(struct docker_request *q);
void docker_session(struct docker_request *q);
void docker_grpc_done(void);

/* df.c */
void docker_df(struct docker_request *q);

/* build_cache.c */
void docker_prune_builds(struct docker_request *q);
/* The entry of BuildCache for a volume of builds; owned. NULL: it is another one. */
struct json_object *docker_cache_mount(struct json_object *volume);

/* info.c */
void docker_info(struct docker_request *q);

/* swarm.c */
void docker_list_plugins(struct docker_request *q);
int docker_refuse_swarm(struct http_exchange *x, const char *path); /* whether it has answered */

/* containers.c */
void docker_list_containers(struct docker_request *q);

/* images.c */
void docker_create(struct docker_request *q);

/* images_list.c */
void docker_get_images(struct docker_request *q);
void docker_get_image(struct docker_request *q);
/* Takes the answer of `holm-image ls` or `inspect` apart: an array, owned. 0 or -errno. */
int docker_images_parse(int status, const char *output, const char *errors, struct json_object **ret,
    struct error **err);
/* Docker's list of all of them, owned. */
struct json_object *docker_images_describe(struct json_object *entries);
/* The entry that a client names, by a name or by the beginning of its digest. Borrowed, or NULL. */
struct json_object *docker_images_find(struct json_object *list, const char *wish, int *ret_by_name);

/* registry.c: what asks registries */
void docker_pull(struct docker_request *q);
void docker_push(struct docker_request *q);
void docker_search(struct docker_request *q);
void docker_distribution(struct docker_request *q);
void docker_auth(struct docker_request *q);

/* prepared.c: the answer of an earlier `holm-image prepare` that still holds (borrowed), or
 * NULL. */
const char *docker_prepared_find(const char *reference, int own_ids);

/* ports.c: lets the containers of this machine have the ports that a create request names. 0, or
 * -errno and a text. */
int docker_ports_allow(struct keeper *k, struct json_object *body, struct error **err);
/* POST /networks/create: lets ports that name no address be at the network's, if it has one. */
void docker_create_network(struct docker_request *q);
/* Takes away the ports that no container of the engine's answer to GET /holm/images has, when two
 * answers say so. Whether another answer is wanted. */
int docker_ports_shrink(const struct keeper *k, struct json_object *used);

/* inside.c: lets the machine's engine connect to docker.sock from now on. 0, or -errno and text. */
int docker_inside_allow(const struct keeper *k, struct error **err);
/* 0, or -EACCES and a text when the engine may not. */
int docker_inside_check(const struct keeper *k, struct error **err);

/* binds.c: adds "HolmBinds":{"SOURCE":"PATH"} to a create body: where host paths lead, in a share
 * of the machine. Makes the directories that -v names and that are not there. 0 or -errno. */
int docker_binds_add(const struct keeper *k, struct json_object *body, struct error **err);
/* The same for a request from inside: looks at nothing of the host, allows nothing. */
int docker_binds_add_inside(const struct keeper *k, struct json_object *body, struct error **err);

/* program.c: runs holm-image with these words and calls done(status, stdout, stderr) once; status:
 * its exit status, or -errno. Both texts are bounded, borrowed and NUL-terminated. */
typedef void (*docker_program_fn)(int status, const char *output, const char *errors, void *data);
int docker_program(struct loop *l, const char *const *words, docker_program_fn done, void *data, struct error **err);
/* The same with a descriptor for its stdin, borrowed. */
int docker_program_with(struct loop *l, const char *const *words, int input, docker_program_fn done, void *data,
    struct error **err);
/* The same, with a program that can be asked to end until it has called done(). */
struct program;
int docker_program_fed(struct loop *l, const char *const *words, int input, docker_program_fn done, void *data,
    struct program **ret, struct error **err);
void docker_program_stop(struct program *p);
/* The same, and with `extra` for its descriptor 3. */
int docker_program_two(struct loop *l, const char *const *words, int input, int extra, docker_program_fn done,
    void *data, struct error **err);

/* platform.c: the parameter `platform`, as "linux/arm64", and as an option of holm-image. Owned, or
 * NULL: it is not given. */
char *docker_platform(const char *target);
char *docker_platform_option(const struct docker_request *q);

/* prepared.c: has `holm-image prepare` run for an image, unless it runs for it already, and calls
 * done() later, once. reference: a name, perhaps with a platform behind a line end. own_ids: its
 * files have the ids of the machine. 0 or -errno. */
int docker_prepare(struct keeper *k, const char *reference, int own_ids, docker_program_fn done, void *data,
    struct error **err);

/* A descriptor of memory with the text, at its beginning. -errno. */
int docker_hold_text(const char *text);

/* upload.c: the body of a request whose connection was taken, on its way to a program. raw: taken;
 * client: borrowed. *ret_input (owned): the program's stdin. *ret is set also on errors. */
struct docker_upload;
int docker_upload_new(struct loop *loop, int client, struct buffer *raw, struct docker_upload **ret, int *ret_input,
    struct error **err);
/* Calls on_broken once if the client is gone, or if its body lacks an end: before the program sees
 * an end of its input. */
typedef void docker_upload_fn(void *data);
void docker_upload_watch(struct docker_upload *u, docker_upload_fn *on_broken, void *data);
void docker_upload_free(struct docker_upload *u); /* NULL is fine */

void docker_build(struct docker_request *q); /* build.c */

/* images_stream.c */
/* Adds all values of a parameter, decoded. */
void docker_query_all(const char *target, const char *key, struct strv *to);
void docker_create_image(struct docker_request *q); /* pull, or import */
void docker_load_images(struct docker_request *q);
void docker_save_images(struct docker_request *q);
void docker_save_image(struct docker_request *q);

/* ask.c: asks the engine, and calls done(0 and the answer (borrowed, NULL: none), or -errno) once,
 * unless that is NULL. body: borrowed, or NULL. 0, or -errno: then done is not called. */
typedef void (*docker_answer_fn)(int code, struct json_object *answer, void *data);
int docker_ask(struct keeper *k, const char *method, const char *target, struct json_object *body,
    docker_answer_fn done, void *data);
/* Asks the engine for an object, puts it into q->body, and runs holm-image with these words, which
 * stay valid: `listed` gets what it prints. Answers an error itself. */
void docker_ask_and_list(struct docker_request *q, const char *target, const char *const *words,
    docker_program_fn listed);
/* Tells the engine's listeners what became of an image. */
void docker_tell_event(struct keeper *k, const char *action, const char *id, const char *name);
/* "prune" of images or of the cache of builds (type "image" or "builder"). */
void docker_tell_prune(struct keeper *k, const char *type, uint64_t reclaimed);
/* Tells them that a container is an image now; name may be NULL. */
void docker_tell_commit(struct keeper *k, const char *container, const char *image, const char *name);

char *docker_last_line(const char *errors); /* the last line of holm-image; owned */
int docker_take_reference(struct docker_request *q, const char *text, struct error **err); /* into q->reference */
int64_t docker_created_of(struct json_object *o); /* the member "created" in seconds, or 0 */
/* images.json, as an object; owned. */
struct json_object *docker_images_load(const struct keeper *k);
int docker_images_write(const struct keeper *k, struct json_object *all, struct error **err);

/* images_change.c */
void docker_remove_image(struct docker_request *q);
void docker_tag_image(struct docker_request *q);
void docker_prune_images(struct docker_request *q);
void docker_image_history(struct docker_request *q);

/* images_used.c: images.json follows the containers. */
/* A container of this image is on its way to the engine. */
void docker_images_created(struct keeper *k, const char *id);
/* Containers may have come or gone: asks the engine in a while. */
void docker_images_changed(struct keeper *k);
void docker_images_done(void); /* the service ends */
/* DELETE /holm/images: images.json is right when this is answered; an image without containers is
 * unmounted inside. */
void docker_release_images(struct docker_request *q);
#define DOCKER_USED_IMAGES "/holm/images?release=1"
/* The entry of an image that went; borrowed, or NULL. */
struct json_object *docker_images_dropped(const char *id);
/* Takes away what the engine's answer to GET /holm/images does not name:
 * {"sha256:HEX":[{"Id","Running","Ports"}]}. */
void docker_images_shrink(struct keeper *k, struct json_object *used);
