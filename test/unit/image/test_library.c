/* SPDX-License-Identifier: Apache-2.0
 * The library on disk: names, blobs, resuming, and what the sweep leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/commands/sweep.h"
#include "image/library/blob.h"
#include "image/library/bundle.h"
#include "image/library/image.h"
#include "image/library/summaries.h"
#include "image/registry/pull.h"

static char *top;

static int setup(void **state)
{
	top = folder_new();
	setenv("XDG_DATA_HOME", top, 1);
	return 0;
}

static int teardown(void **state)
{
	folder_remove(top);
	return 0;
}

static void blobs(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *data = NULL;
	size_t size;
	assert_int_equal(library_open(&l, NULL), 0);
	assert_int_equal(blob_write(l, "hello", 5, digest, NULL), 0);
	assert_string_equal(digest, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
	assert_true(library_has_blob(l, digest, 5));
	assert_false(library_has_blob(l, digest, 6));
	assert_int_equal(library_read_blob(l, digest, &data, &size, NULL), 0);
	assert_string_equal(data, "hello");
	/* Damage is seen. */
	AUTO_FD int fd = openat(l->blobs, digest_hex(digest), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "j", 1, 0), 1);
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *other = NULL;
	assert_int_equal(library_read_blob(l, digest, &other, &size, &err), -EBADMSG);
}

static void wrong_blobs(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	char digest[DIGEST_TEXT_SIZE + 1];
	assert_int_equal(library_open(&l, NULL), 0);
	hash_memory("right", 5, digest);
	for (int resume = 0; resume < 2; resume++) {
		AUTO_BLOB_WRITER struct blob_writer w = BLOB_WRITER_NONE;
		assert_int_equal(blob_writer_open(l, digest, 5, resume, &w, NULL), 0);
		assert_int_equal(blob_writer_write(&w, "wrong", 5, NULL), 0);
		assert_int_equal(blob_writer_write(&w, "!", 1, NULL), -EFBIG);
		assert_int_equal(blob_writer_commit(&w, NULL, NULL), -EBADMSG);
		assert_false(library_has_blob(l, digest, UINT64_MAX));
		AUTO_BLOB_WRITER struct blob_writer again = BLOB_WRITER_NONE;
		assert_int_equal(blob_writer_open(l, digest, 5, resume, &again, NULL), 0);
		assert_int_equal(again.size, 0);
		assert_int_equal(blob_writer_write(&again, "rig", 3, NULL), 0);
		assert_int_equal(blob_writer_commit(&again, NULL, NULL), -EBADMSG);
	}
}

static void resumed_blobs(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	char digest[DIGEST_TEXT_SIZE + 1], actual[DIGEST_TEXT_SIZE + 1];
	struct blob_writer w, second;
	assert_int_equal(library_open(&l, NULL), 0);
	hash_memory("first second", 12, digest);
	assert_int_equal(blob_writer_open(l, digest, 12, 1, &w, NULL), 0);
	assert_int_equal(blob_writer_write(&w, "first ", 6, NULL), 0);
	/* Somebody else wants it at the same time: a file of its own. */
	assert_int_equal(blob_writer_open(l, digest, 12, 1, &second, NULL), 0);
	assert_int_equal(second.size, 0);
	assert_int_equal(second.partial, -1);
	blob_writer_abort(&second);
	blob_writer_abort(&w);
	assert_int_equal(blob_writer_open(l, digest, 12, 1, &w, NULL), 0);
	assert_int_equal(w.size, 6);
	assert_int_equal(blob_writer_write(&w, "second", 6, NULL), 0);
	assert_int_equal(blob_writer_commit(&w, actual, NULL), 0);
	assert_string_equal(actual, digest);
	assert_true(library_has_blob(l, digest, 12));
}

/* An image with one (nonsense) layer under a name; its manifest's digest goes to ret. */
static void make_image(struct library *l, const char *name, const char *content, char *ret)
{
	struct layer_writer w;
	struct composed_layer layer;
	AUTO_JSON struct json_object *config = json_object_new_object();
	assert_int_equal(layer_writer_open(l, LAYER_ZSTD, &w, NULL), 0);
	assert_int_equal(layer_writer_write(&w, content, strlen(content), NULL), 0);
	assert_int_equal(layer_writer_finish(&w, &layer, NULL), 0);
	AUTO_JSON struct json_object *labels = json_object_new_object();
	json_add_string(labels, "of", "holm a\nb");
	json_add(config, "Labels", json_object_get(labels));
	const struct compose_facts facts = { .config = config };
	assert_int_equal(compose_image(l, &layer, &facts, ret, NULL), 0);
	assert_int_equal(image_register(l, name, ret, NULL, NULL), 0);
}

static void names(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_OCI_PLATFORM struct oci_platform other = { 0 };
	char one[DIGEST_TEXT_SIZE + 1], two[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *name = NULL, *digest = NULL, *name2 = NULL, *digest2 = NULL, *name3 = NULL, *digest3 = NULL;
	assert_int_equal(library_open(&l, NULL), 0);
	make_image(l, "docker.io/library/b:1", "one", one);
	make_image(l, "docker.io/library/a:1", "one", one);
	make_image(l, "docker.io/library/b:1", "two", two);
	assert_int_equal(library_read_index(l, &index, NULL), 0);
	assert_int_equal(index.count, 2);
	assert_string_equal(index.entries[0].name, "docker.io/library/a:1");
	assert_string_equal(index.entries[1].descriptor.digest, two);
	assert_int_equal(image_find(l, "b:1", NULL, &name, &digest, NULL), 0);
	assert_string_equal(name, "docker.io/library/b:1");
	AUTOFREE char *prefix = xstrndup(digest_hex(two), 12);
	assert_int_equal(image_find(l, prefix, NULL, &name2, &digest2, NULL), 0);
	assert_string_equal(digest2, two);
	assert_int_equal(oci_platform_parse("linux/s390x", &other, NULL), 0);
	assert_int_equal(image_find(l, "b:1", &other, &name3, &digest3, NULL), -ENOENT);
	assert_int_equal(image_find(l, "c:1", NULL, &name3, &digest3, NULL), -ENOENT);
	assert_int_equal(library_remove_name(l, "docker.io/library/b:1", NULL), 0);
	assert_int_equal(library_remove_name(l, "docker.io/library/b:1", NULL), -ENOENT);
}

enum { MANY = 32 };

/* How many images of the library have a summary, from one listing. */
static int listed(struct library *l, const struct library_index *index)
{
	AUTO_SUMMARIES struct summaries *s = NULL;
	int n = 0;
	summaries_open(l, &s);
	for (size_t k = 0; k < index->count; k++) {
		const struct summary *one = summaries_get(s, &index->entries[k]);
		if (!one)
			continue;
		assert_string_equal(one->digest, index->entries[k].descriptor.digest);
		assert_true(one->size > one->config_size);
		assert_true(startswith(one->platform, "linux/") != NULL);
		assert_int_equal(one->layers, 1);
		assert_non_null(strchr(one->created, 'T'));
		assert_string_equal(one->labels, "{\"of\":\"holm a\\nb\"}");
		n++;
	}
	return n;
}

/* Puts text in the place of the file, and lists all images but the damaged one with it. */
static void assert_file_is_no_matter(struct library *l, const struct library_index *index, const char *text)
{
	AUTOFREE char *path = path_join(l->path, "summaries");
	assert_int_equal(atomic_file_write(path, 0600, text, strlen(text), NULL), 0);
	assert_int_equal(listed(l, index), MANY - 1);
}

static void summaries(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	char digest[DIGEST_TEXT_SIZE + 1];
	assert_int_equal(library_open(&l, NULL), 0);
	for (int i = 0; i < MANY; i++) {
		AUTOFREE char *name = xasprintf("docker.io/library/many:%d", i);
		make_image(l, name, name, digest);
	}
	assert_int_equal(library_read_index(l, &index, NULL), 0);
	assert_int_equal(listed(l, &index), MANY);
	AUTOFREE char *path = path_join(l->path, "summaries"), *text = NULL;
	size_t size;
	assert_int_equal(path_read_file(path, 1 << 20, &text, &size), 0);

	/* A manifest that the file knows is not read; one whose size is wrong is damaged. */
	AUTO_FD int fd = openat(l->blobs, digest_hex(digest), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "}", 1, 0), 1);
	assert_int_equal(listed(l, &index), MANY);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(listed(l, &index), MANY - 1);
	assert_int_equal(unlinkat(l->blobs, digest_hex(digest), 0), 0);
	assert_int_equal(listed(l, &index), MANY - 1);

	AUTOFREE char *cut = xstrndup(text, size / 2), *spaces = xasprintf("%s  \n \nsha256:0 1 2 3 4 5\n", text);
	AUTOFREE char *more = xasprintf("%s%s more\n", text, digest), *head = xasprintf("x%s", text);
	assert_file_is_no_matter(l, &index, cut);
	assert_file_is_no_matter(l, &index, spaces);
	assert_file_is_no_matter(l, &index, more);
	assert_file_is_no_matter(l, &index, head);
	assert_file_is_no_matter(l, &index, "");
}

static void assert_indexes(struct library *l, size_t count)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	assert_int_equal(library_read_index(l, &index, NULL), 0);
	assert_int_equal(index.count, 2);
	assert_int_equal(index.index_count, count);
}

static void indexes(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_BUNDLE struct bundle *one = NULL, *same = NULL, *none = NULL;
	AUTO_STRV struct strv blobs = { 0 };
	char a[DIGEST_TEXT_SIZE + 1], b[DIGEST_TEXT_SIZE + 1];
	static const char name[] = "docker.io/library/a:1";
	assert_int_equal(library_open(&l, NULL), 0);
	make_image(l, name, "one", a);
	make_image(l, "docker.io/library/b:1", "two", b);
	assert_int_equal(bundle_of_name(l, name, &one, NULL), 0);
	assert_int_equal(one->count, 1);
	assert_string_equal(one->items[0].descriptor.digest, a);
	bundle_list_blobs(one, &blobs);
	assert_int_equal(blobs.count, 4);
	assert_int_equal(bundle_of_name(l, "docker.io/library/c:1", &none, NULL), -ENOENT);

	/* The index of a name stays until one of its platforms is another image. */
	const struct oci_descriptor d = { .media_type = one->media_type, .digest = one->digest, .size = one->size };
	assert_int_equal(library_set_index(l, name, &d, NULL), 0);
	assert_indexes(l, 1);
	assert_int_equal(image_register(l, name, a, NULL, NULL), 0);
	assert_indexes(l, 1);
	assert_int_equal(bundle_of_name(l, name, &same, NULL), 0);
	assert_string_equal(same->digest, one->digest);
	assert_int_equal(image_register(l, name, b, NULL, NULL), 0);
	assert_indexes(l, 0);
}

/* A file that could not be read again is not written. */
static void full_index(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_ERROR struct error *err = NULL;
	AUTO_BUFFER struct buffer text;
	char digest[DIGEST_TEXT_SIZE + 1], media_type[] = OCI_TYPE_INDEX;
	assert_int_equal(library_open(&l, NULL), 0);
	make_image(l, "docker.io/library/a:1", "one", digest);
	AUTOFREE char *path = path_join(l->path, "index.json");
	const struct oci_descriptor d = { .media_type = media_type, .digest = digest, .size = 1 };
	buffer_init(&text, 4 << 20);
	buffer_append_string(&text, "{\"manifests\":[");
	for (int k = 0; k < OCI_MANIFESTS_MAX; k++)
		buffer_appendf(&text,
		    "%s{\"digest\":\"%s\",\"size\":1,\"annotations\":{\"org.opencontainers.image.ref.name\":"
		    "\"docker.io/library/b:%d\"}}",
		    k ? "," : "", digest, k);
	buffer_append_string(&text, "]}");
	assert_int_equal(atomic_file_write(path, 0600, text.data, text.size, NULL), 0);
	assert_int_equal(image_register(l, "docker.io/library/a:1", digest, NULL, &err), -EFBIG);
	assert_int_equal(library_set_index(l, "docker.io/library/a:1", &d, NULL), -EFBIG);
	assert_int_equal(library_read_index(l, &index, NULL), 0);
	assert_int_equal(index.count, OCI_MANIFESTS_MAX);
	assert_int_equal(library_remove_name(l, "docker.io/library/b:1", NULL), 0);
	assert_int_equal(library_set_index(l, "docker.io/library/b:2", &d, NULL), 0);
}

#define NESTED                                                                                                         \
	"{\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"size\":1,\"digest\":"            \
	"\"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}]}"

static const char *const refused_indexes[] = {
	"{\"manifests\":[]}",
	"{}",
	"[]",
	NESTED,
};

static void wrong_indexes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused_indexes); i++) {
		AUTO_BUNDLE struct bundle *b = NULL;
		AUTO_ERROR struct error *err = NULL;
		char *text = xstrdup(refused_indexes[i]);
		assert_true(bundle_parse(text, strlen(text), NULL, "x", &b, &err) < 0);
		assert_non_null(err);
	}
}

/* All that the reader's end of a stream has now. */
static size_t take(int fd)
{
	char data[256];
	ssize_t n = read(fd, data, sizeof data);
	return n > 0 ? (size_t)n : 0;
}

static void streams(void **state)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_STREAMS struct streams s = { 0 };
	AUTO_BLOB_WRITER struct blob_writer w = BLOB_WRITER_NONE;
	char digest[] = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", have[sizeof digest];
	const struct oci_descriptor hello = { .digest = digest, .size = 5 };
	const struct oci_descriptor layers[] = { hello, { .digest = have, .size = 3 }, hello };
	assert_int_equal(library_open(&l, NULL), 0);
	assert_int_equal(blob_write(l, "has", 3, have, NULL), 0);
	assert_int_equal(streams_init(&s, l, layers, ARRAY_SIZE(layers)), 0);
	assert_int_equal(s.count, 2); /* a layer that an image has twice has two */
	l->streams = &s;
	AUTO_FD int one = library_open_blob(l, digest, NULL, NULL), two = library_open_blob(l, digest, NULL, NULL);
	assert_true(one >= 0 && two >= 0 && one != two);
	AUTO_FD int file = library_open_blob(l, have, NULL, NULL);
	assert_int_equal(take(file), 3);
	assert_int_equal(streams_take(&s, digest), -ENOENT);

	assert_int_equal(blob_writer_open(l, digest, 5, 1, &w, NULL), 0);
	blob_writer_show(&w, &s);
	assert_int_equal(blob_writer_write(&w, "he", 2, NULL), 0);
	assert_int_equal(take(one), 2);
	/* Begun again: for the one who has read that is the end. */
	assert_int_equal(blob_writer_restart(&w, NULL), 0);
	assert_int_equal(take(one), 0);
	assert_int_equal(blob_writer_write(&w, "hello", 5, NULL), 0);
	assert_int_equal(blob_writer_commit(&w, NULL, NULL), 0);
	assert_int_equal(streams_finish(&s, NULL), 0);
	assert_int_equal(take(two), 2); /* it was given the first two bytes as well, and then the end */
	assert_int_equal(take(two), 0);
}

static size_t count_files(int directory, const char *name)
{
	AUTOFREE char *command = xasprintf("/proc/self/fd/%d/%s", directory, name);
	struct stat st;
	return stat(command, &st) == 0;
}

static void touch(int directory, const char *name, time_t age)
{
	AUTO_FD int fd = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct timespec times[2] = { { .tv_sec = time(NULL) - age }, { .tv_sec = time(NULL) - age } };
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, times), 0);
}

static void sweeping(void **state)
{
	struct library *l = NULL, *reader = NULL;
	char kept[DIGEST_TEXT_SIZE + 1], gone[DIGEST_TEXT_SIZE + 1], stray[DIGEST_TEXT_SIZE + 1];
	assert_int_equal(library_open(&l, NULL), 0);
	make_image(l, "docker.io/library/kept:1", "kept", kept);
	make_image(l, "docker.io/library/gone:1", "gone", gone);
	assert_int_equal(blob_write(l, "stray", 5, stray, NULL), 0);
	AUTOFREE char *kept_disk = library_file_name(kept, "-v1.ext4"),
		      *gone_disk = library_file_name(gone, "-v1.ext4"),
		      *stray_disk = library_file_name(stray, "-v1.ext4");
	AUTOFREE char *directory = xasprintf("%s/holm/machines/m", top), *json = path_join(directory, "machine.json");
	AUTOFREE char *text = xasprintf("{\"image_disk\":\"%s/disks/%s\"}", l->path, gone_disk);
	assert_int_equal(path_mkdir_all(directory, 0700, NULL), 0);
	assert_int_equal(atomic_file_write(json, 0600, text, strlen(text), NULL), 0);
	touch(l->disks, kept_disk, 3600);
	touch(l->disks, gone_disk, 3600);
	touch(l->disks, stray_disk, 3600);
	touch(l->disks, "sha256-0000000000000000000000000000000000000000000000000000000000000000-v1.ext4", 0);
	touch(l->partial, "sha256-1", 3600);
	touch(l->partial, "sha256-2", 30 * 24 * 3600);
	assert_int_equal(library_remove_name(l, "docker.io/library/gone:1", NULL), 0);
	/* Nothing happens while somebody reads. */
	assert_int_equal(library_open(&reader, NULL), 0);
	library_free_and_sweep(l, 0);
	assert_true(library_has_blob(reader, stray, 5));
	library_free_and_sweep(reader, 0);
	assert_int_equal(library_open(&l, NULL), 0);
	assert_true(library_has_blob(l, kept, UINT64_MAX));
	assert_false(library_has_blob(l, gone, UINT64_MAX));
	assert_false(library_has_blob(l, stray, UINT64_MAX));
	assert_true(count_files(l->disks, kept_disk)); /* its image has a name */
	assert_true(count_files(l->disks, gone_disk)); /* a machine uses it */
	assert_false(count_files(l->disks, stray_disk));
	/* just handed out */
	assert_true(
	    count_files(l->disks, "sha256-0000000000000000000000000000000000000000000000000000000000000000-v1.ext4"));
	assert_true(count_files(l->partial, "sha256-1"));
	assert_false(count_files(l->partial, "sha256-2"));
	AUTO_IMAGE struct image *i = NULL;
	assert_int_equal(image_load_whole(l, NULL, kept, &i, NULL), 0);
	/* A machine that cannot be read protects all disks. */
	assert_int_equal(atomic_file_write(json, 0600, "{", 1, NULL), 0);
	touch(l->disks, stray_disk, 3600);
	library_free_and_sweep(l, 0);
	assert_int_equal(library_open(&l, NULL), 0);
	assert_true(count_files(l->disks, stray_disk));
	library_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(blobs, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_blobs, setup, teardown),
		cmocka_unit_test_setup_teardown(resumed_blobs, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
		cmocka_unit_test_setup_teardown(summaries, setup, teardown),
		cmocka_unit_test_setup_teardown(indexes, setup, teardown),
		cmocka_unit_test_setup_teardown(full_index, setup, teardown), cmocka_unit_test(wrong_indexes),
		cmocka_unit_test_setup_teardown(streams, setup, teardown),
		cmocka_unit_test_setup_teardown(sweeping, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
