/* SPDX-License-Identifier: Apache-2.0
 * The host's half of the engine: images. holm-image does the work, as for the command line; what it
 * prints becomes what Docker's clients expect.
 *
 * images.json beside machine.json names the images that containers of the machine were created
 * from. It has two uses: the library keeps their trees (docs/on-disk.md), and the engine, which is
 * as hostile as the machine, may mount these images and no others. A create from inside adds to it,
 * so the engine reaches any image of the library in this way. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/path.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

enum { IMAGES_JSON_MAX = 4 << 20, REFERENCE_MAX = 512 };

/* ---- images.json ---- */

static char *file_of(const struct keeper *k)
{
	return machine_file(k->machine->name, "images.json");
}

struct json_object *docker_images_load(const struct keeper *k)
{
	AUTOFREE char *path = file_of(k);
	struct json_object *o = NULL;
	if (json_parse_file(path, IMAGES_JSON_MAX, &o, NULL) < 0 || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = json_object_new_object();
	}
	return o;
}

int docker_images_write(const struct keeper *k, struct json_object *all, struct error **err)
{
	AUTOFREE char *path = file_of(k), *text = json_to_string(all, 1);
	return atomic_file_write(path, 0600, text, strlen(text), err);
}

#define OWN_TREES "own_trees" /* those with the machine's ids */

/* Copies what the image is made of, a disk or trees, from holm-image's answer. 0, -EPROTO. */
static int copy_parts(struct json_object *answer, int own_ids, struct json_object *to, struct error **err)
{
	static const char *const keys[] = { "disk", "trees" };
	struct json_object *part = NULL;
	int found = 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_object_get_ex(answer, keys[i], &part) && part) {
			json_add(to, own_ids && i ? OWN_TREES : keys[i], json_object_get(part));
			found = 1;
		}
	return found ? 0 : error_set(err, EPROTO, "holm-image named no files of the image");
}

/* An entry with what the answer does not have: the trees with other ids. Owned. */
static struct json_object *entry_new(struct json_object *all, const char *id, int own_ids)
{
	const char *key = own_ids ? "trees" : OWN_TREES;
	struct json_object *one = json_object_new_object(), *before = NULL, *kept = NULL;
	if (json_get_object(all, id, &before, NULL) == 0 && json_object_object_get_ex(before, key, &kept) && kept)
		json_add(one, key, json_object_get(kept));
	return one;
}

static int remember(struct keeper *k, const char *id, int own_ids, struct json_object *answer, struct error **err)
{
	AUTO_JSON struct json_object *all = docker_images_load(k);
	struct json_object *one = entry_new(all, id, own_ids);
	AUTOFREE char *before = json_to_string(all, 1);
	docker_images_created(k, id);
	json_object_object_add(all, id, one);
	int r = copy_parts(answer, own_ids, one, err);
	if (r < 0)
		return r;
	AUTOFREE char *text = json_to_string(all, 1);
	return streq(before, text) ? 0 : docker_images_write(k, all, err);
}

int docker_image_disk(struct keeper *k, const char *id, char **ret)
{
	AUTO_JSON struct json_object *all = docker_images_load(k);
	struct json_object *one = NULL;
	const char *disk = NULL;
	if (json_get_object(all, id, &one, NULL) < 0 && !(one = docker_images_dropped(id)))
		return -ENOENT;
	int r = json_get_string(one, "disk", &disk, NULL);
	if (r == 0)
		*ret = xstrdup(disk);
	return r;
}

int docker_image_lower(struct keeper *k, const char *id, int own_ids, struct strv *ret, struct error **err)
{
	AUTO_JSON struct json_object *all = docker_images_load(k);
	AUTO_STRV struct strv trees = { 0 };
	struct json_object *one = NULL;
	const char *disk = NULL;
	if (json_get_object(all, id, &one, NULL) < 0)
		return error_set(err, ENOENT, "no container of this machine was made from the image %.71s", id);
	int r = k->ops->lend_disk ? json_get_string(one, "disk", &disk, NULL) :
				    json_get_strv(one, own_ids ? OWN_TREES : "trees", &trees, NULL);
	if (r < 0)
		return error_set(err, ENODATA, "the image %.71s is not prepared", id);
	if (disk)
		strv_add(ret, disk);
	for (size_t i = trees.count; i > 0; i--)
		strv_add(ret, trees.items[i - 1]);
	return 0;
}

/* ---- images of containers from elsewhere ---- */

struct preparation {
	struct keeper *keeper;
	char *id;
	int own_ids;
	void (*done)(int code, const char *why, void *data);
	void *data;
};

static void on_made(int status, const char *output, const char *errors, void *data)
{
	struct preparation *p = data;
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *line = docker_last_line(errors), *id = p->id;
	int r = status ?
		    error_set(&err, ENOENT, "the image %.71s of the container is not here (%s); pull it", id, line) :
		    json_parse_bytes(output, strlen(output), "holm-image's answer", &answer, &err);
	if (r == 0)
		r = remember(p->keeper, id, p->own_ids, answer, &err);
	p->done(r, r < 0 ? error_text(err, r) : NULL, p->data);
	free(p);
}

int docker_image_prepare(struct keeper *k, const char *id, int own_ids,
    void (*done)(int code, const char *why, void *data), void *data, struct error **err)
{
	struct preparation *p = xnew(struct preparation);
	*p = (struct preparation){ k, xstrdup(id), own_ids, done, data };
	int r = docker_prepare(k, id, own_ids, on_made, p, err);
	if (r < 0) {
		free(p->id);
		free(p);
	}
	return r;
}

/* ---- create ---- */

/* The last line of what holm-image said, without its name in front. */
char *docker_last_line(const char *errors)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, errors, "\n");
	const char *line = lines.count ? lines.items[lines.count - 1] : "holm-image failed without a word";
	const char *rest = startswith(line, "holm: ");
	return xstrdup(rest ? rest : line);
}

/* Whether the container has the machine's ids (--userns). */
static int has_own_ids(const struct docker_request *q)
{
	struct json_object *host = NULL;
	const char *mode = "";
	if (q->keeper->ops->own_ids_form && json_get_object(q->body, "HostConfig", &host, NULL) == 0)
		json_get_string(host, "UsernsMode", &mode, NULL);
	return *mode != '\0';
}

static int take_prepared(struct docker_request *q, const char *output, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *config = NULL, *image = NULL;
	const char *id = NULL;
	int r = json_parse_bytes(output, strlen(output), "holm-image's answer", &answer, err);
	if (r < 0 || (r = json_get_string(answer, "digest", &id, err)) < 0 ||
	    (r = json_get_object(answer, "config", &config, err)) < 0)
		return r;
	if (!q->inside) /* from inside, any free port is all there is */
		r = docker_ports_allow(q->keeper, q->body, err);
	if (r < 0 || (r = remember(q->keeper, id, has_own_ids(q), answer, err)) < 0)
		return r;
	image = json_object_new_object();
	json_add_string(image, "id", id);
	json_add(image, "config", json_object_get(config));
	json_object_object_add(q->body, "HolmImage", image);
	return 0;
}

static void on_prepared(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *line = docker_last_line(errors);
	int r = status == 0                 ? take_prepared(q, output, &err) :
		strstr(line, "no image \"") ? error_set(&err, ENOENT, "No such image: %s", q->reference) :
					      error_set(&err, EIO, "%s", line);
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		docker_hand_over(q, q->body);
}

int docker_take_reference(struct docker_request *q, const char *text, struct error **err)
{
	if (!text || !*text || text[0] == '-' || strlen(text) > REFERENCE_MAX || strchr(text, '\n'))
		return error_set(err, EINVAL, "invalid reference format");
	q->reference = xstrdup(text);
	return 0;
}

void docker_create(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(q->exchange, &err);
	const char *name = NULL;
	int r = body ? json_get_string(body, "Image", &name, NULL) : -EINVAL;
	if (body)
		r = docker_take_reference(q, name, &err);
	if (r == 0) {
		q->body = json_object_get(body);
		r = (q->inside ? docker_binds_add_inside : docker_binds_add)(q->keeper, q->body, &err);
	}
	AUTOFREE char *platform = docker_platform(http_exchange_head(q->exchange)->target),
		      *wish = r == 0 && platform ? xasprintf("%s\n%s", q->reference, platform) : xstrdup(q->reference);
	const char *prepared = r == 0 ? docker_prepared_find(wish, has_own_ids(q)) : NULL;
	if (prepared) {
		on_prepared(0, prepared, "", q);
		return;
	}
	if (r == 0)
		r = docker_prepare(q->keeper, wish, has_own_ids(q), on_prepared, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}
