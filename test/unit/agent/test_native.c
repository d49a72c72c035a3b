/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/life/init_launch.h"
#include "agent/platform/native/native.h"
#include "tree.h"

static int parse_go(const char *text, struct native_go *ret)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	int r = native_go_parse(o, ret, &err);
	assert_true((r < 0) == (err != NULL));
	return r;
}

static int parse_share(const char *text, struct native_share *ret)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	int r = native_share_parse(o, ret, &err);
	assert_true((r < 0) == (err != NULL));
	return r;
}

#define IDS "\"uids\":[[0,100000,1000],[1000,1000,1],[1001,101000,64535]],\"gids\":[[0,100000,65536]]"

static void test_go(void **state)
{
	struct native_go g;
	assert_int_equal(parse_go("{\"single\":false,\"by_root\":true,\"delegated\":true," IDS
				  ",\"crun\":\"/usr/bin/crun\",\"cpus\":3}",
			     &g),
	    0);
	assert_int_equal(g.ids.uid_count, 3);
	assert_int_equal(g.ids.uids[2].inside, 1001);
	assert_int_equal(g.ids.uids[2].outside, 101000);
	assert_int_equal(g.ids.uids[2].count, 64535);
	assert_int_equal(g.ids.gid_count, 1);
	assert_true(g.ids.by_root && g.delegated && !g.ids.single);
	assert_int_equal(g.cpus, 3);
	assert_string_equal(g.crun, "/usr/bin/crun");
	native_go_done(&g);
}

static void test_bad_go(void **state)
{
	static const char *const bad[] = { "{}", "[]", "{" IDS "}", "{" IDS ",\"crun\":\"crun\"}",
		"{" IDS ",\"crun\":\"\"}", "{" IDS ",\"crun\":\"/c\",\"cpus\":-1}",
		"{\"uids\":[],\"gids\":[[0,1,1]],\"crun\":\"/c\"}",
		"{\"uids\":[[0,1]],\"gids\":[[0,1,1]],\"crun\":\"/c\"}",
		"{\"uids\":[[0,1,0]],\"gids\":[[0,1,1]],\"crun\":\"/c\"}",
		"{\"uids\":[[0,4294967295,1]],\"gids\":[[0,1,1]],\"crun\":\"/c\"}",
		"{\"uids\":[[-1,1,1]],\"gids\":[[0,1,1]],\"crun\":\"/c\"}",
		"{\"uids\":[[\"0\",1,1]],\"gids\":[[0,1,1]],\"crun\":\"/c\"}",
		"{\"uids\":5,\"gids\":[[0,1,1]],\"crun\":\"/c\"}" };
	struct native_go g;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_go(bad[i], &g), -EINVAL);
}

static void test_share(void **state)
{
	struct native_share s;
	assert_int_equal(parse_share("{\"tag\":\"home\",\"host\":\"/home//alice/\",\"read_only\":true,\"hidden\":[\"/"
				     "home/alice/.local/./share/holm\"],\"hidden_ids\":[\"1:2\"]}",
			     &s),
	    0);
	assert_string_equal(s.tag, "home");
	assert_string_equal(s.host, "/home/alice");
	assert_true(s.read_only);
	assert_int_equal(s.hidden.count, 1);
	assert_string_equal(s.hidden.items[0], "/home/alice/.local/share/holm");
	assert_string_equal(s.hidden_ids.items[0], "1:2");
	native_share_done(&s);
	assert_int_equal(parse_share("{\"tag\":\"root\",\"host\":\"/\",\"hidden\":[\"/a\"],\"hidden_ids\":[\"0:0\"]}",
			     &s),
	    0);
	native_share_done(&s);
}

static void test_bad_shares(void **state)
{
	static const char *const bad[] = { "{}", "{\"tag\":\"a\"}", "{\"tag\":\"../a\",\"host\":\"/a\"}",
		"{\"tag\":\"A\",\"host\":\"/a\"}", "{\"tag\":\"a\",\"host\":\"a\"}",
		"{\"tag\":\"a\",\"host\":\"/a\",\"hidden\":[\"/b\"]}",
		"{\"tag\":\"a\",\"host\":\"/a\",\"hidden\":[\"/a/b\"]}",
		"{\"tag\":\"a\",\"host\":\"/a\",\"hidden\":[\"/a/../b\"]}",
		"{\"tag\":\"a\",\"host\":\"/a\",\"hidden\":[\"/a\"]}", "{\"tag\":\"a\",\"host\":\"/a\",\"hidden\":[1]}",
		"{\"tag\":\"a123456789a123456789a123456789ab\",\"host\":\"/a\"}" };
	struct native_share s;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_share(bad[i], &s), -EINVAL);
}

enum { CANNOT = 77 };

static void write_self(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		_exit(CANNOT);
}

/* Namespaces in which this process may mount, with a /run of its own. */
static void enter_namespaces(void)
{
	AUTOFREE char *uids = xasprintf("0 %u 1", (unsigned)getuid()), *gids = xasprintf("0 %u 1", (unsigned)getgid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(CANNOT);
	write_self("/proc/self/setgroups", "deny");
	write_self("/proc/self/uid_map", uids);
	write_self("/proc/self/gid_map", gids);
	if (mount("none", "/run", "tmpfs", 0, NULL) < 0)
		_exit(CANNOT);
}

/* Takes the tree as share "home", with a/secret hidden that was `identity` once. */
static int take_share(struct tree *t, const char *identity)
{
	struct native n = { 0 };
	struct native_share s = { .tag = xstrdup("home"), .host = xstrdup(t->path) };
	strv_addf(&s.hidden, "%s/a/secret", t->path);
	strv_add(&s.hidden_ids, identity);
	AUTO_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, t->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || native_share_put(&n, &s, NULL) < 0)
		_exit(CANNOT);
	int r = native_place_share(&n, "home", tree, NULL);
	native_share_drop(&n, "home");
	free(n.shares);
	return r;
}

static int cover_moved_folders(struct tree *t)
{
	AUTOFREE char *a = path_join(t->path, "a"), *b = path_join(t->path, "b"), *in_a = path_join(a, "secret"),
		      *id = path_identity(AT_FDCWD, in_a);
	enter_namespaces();
	int bad = take_share(t, id) != 0 || access(AGENT_SHARES "/home/a/secret/key", F_OK) == 0;
	umount2(AGENT_SHARES "/home", MNT_DETACH);
	/* Another machine renames the way. */
	bad |= rename(a, b) < 0 || take_share(t, id) != -ESTALE || take_share(t, PATH_NOTHING) != 0;
	umount2(AGENT_SHARES "/home", MNT_DETACH);
	/* And puts something else in its place. */
	bad |= mkdir(a, 0755) < 0 || mkdir(in_a, 0755) < 0 || take_share(t, id) != -ESTALE;
	return bad;
}

static void test_hidden_moved(void **state)
{
	struct tree *t = *state;
	int status;
	tree_put(t, "/a/secret/key", 0600, "k");
	pid_t child = fork();
	if (child == 0)
		_exit(cover_moved_folders(t));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_overlay_options(void **state)
{
	AUTOFREE char *none = native_overlay_options(0);
	AUTOFREE char *three = native_overlay_options(3);
	AUTOFREE char *many = native_overlay_options(BOOT_LAYERS_MAX);
	assert_string_equal(none, "lowerdir=e,upperdir=u,workdir=w,userxattr");
	assert_string_equal(three, "lowerdir=0:1:2,upperdir=u,workdir=w,userxattr");
	assert_non_null(many);
	assert_true(strlen(many) < 4096);
}

/* Everything that root inside must have no power over comes by the program that attaches it, in the
 * init's own namespaces. */
static void test_spec(void **state)
{
	struct boot_share share = { .tag = (char *)"home", .inside = (char *)"/home/alice", .read_only = 1 };
	struct boot_request b = {
		.hostname = (char *)"dev",
		.init = (char *)"/sbin/init",
		.id = (char *)"0",
		.shares = &share,
		.share_count = 1,
	};
	struct native *n = native_self();
	struct platform_container c;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(parse_go("{\"delegated\":true," IDS ",\"crun\":\"/usr/bin/crun\"}", &n->go), 0);
	assert_int_equal(native_container(INIT_SYSTEMD, &c, &err), -EOPNOTSUPP);
	assert_int_equal(native_container(INIT_BUSYBOX, &c, NULL), -ESRCH);
	n->holder = 7; /* any number: nothing is started */
	assert_int_equal(native_container(INIT_BUSYBOX, &c, NULL), 0);
	assert_null(c.cgroups_path);
	n->writable_cgroup = 1;
	assert_int_equal(native_container(INIT_SYSTEMD, &c, NULL), 0);
	AUTO_JSON struct json_object *o =
	    init_launch_spec(&c, &b, &(struct init_program){ b.init, INIT_SYSTEMD, 1, NULL }, "6.1.0", 0);
	AUTOFREE char *text = json_to_string(o, 0);
	assert_non_null(strstr(text,
	    "{\"type\":\"network\",\"path\":\"/proc/7/ns/net\"},{\"type\":\"user\",\"path\":\"/proc/7/ns/user\"}]"));
	assert_non_null(strstr(text, "\"createContainer\":[{\"path\":\"/run/holm/holm-agent\",\"args\":[\"/run/holm/"
				     "holm-agent\",\"--attach\",\"--boot-id\",\"--systemd\",\"/run/holm/"
				     "machine-run\",\"/run\",\"/run/holm/shares/"
				     "home\",\"/home/alice\"]}]"));
	assert_null(strstr(text, "\"destination\":\"/home/alice\""));
	assert_null(strstr(text, "\"destination\":\"/run"));
	assert_non_null(strstr(text, "run.oci.seccomp_bpf_data"));
	native_go_done(&n->go);
}

static int children_hang;

static void in_child(void)
{
	if (children_hang)
		_exit((int)sleep(60));
}

static int ended_by(void)
{
	int status = 0;
	assert_true(waitpid(-1, &status, 0) > 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Here there is no process whose network namespace it could open. */
static void test_gate_ends(void **state)
{
	struct native n = { .gate = -1 };
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(native_gate_start(&n, &err), -ECHILD);
	assert_non_null(err);
	assert_int_equal(n.gate, -1);
	ended_by();
}

/* One that says nothing is waited for with a deadline, and killed. */
static void test_gate_hangs(void **state)
{
	struct native n = { .gate = -1 };
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(pthread_atfork(NULL, NULL, in_child), 0);
	children_hang = 1;
	int r = native_gate_start(&n, &err);
	children_hang = 0;
	assert_int_equal(r, -ETIMEDOUT);
	assert_non_null(err);
	assert_int_equal(n.gate, -1);
	assert_int_equal(ended_by(), SIGKILL);
}

/* The kernel runs the filter on a socket's datagrams as on a device's frames. */
static int passes(int family, const char *destination, size_t size)
{
	const struct sock_fprog program = native_gate_filter();
	unsigned char frame[64] = { [12] = family == AF_INET6 ? 0x86 : 0x08, [13] = family == AF_INET6 ? 0xdd : 0 };
	int ends[2];
	assert_int_equal(inet_pton(family, destination, frame + (family == AF_INET6 ? 38 : 30)), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	AUTO_FD int to = ends[0], from = ends[1];
	assert_int_equal(setsockopt(to, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
	(void)!send(from, frame, size, MSG_DONTWAIT);
	return recv(to, frame, sizeof frame, MSG_DONTWAIT) > 0;
}

static void test_gate_filter(void **state)
{
	static const char *const bad[] = { "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0",
		"::ffff:192.0.2.1", "::ffff:0:127.0.0.1", "fe80::1", "febf::1", "ff01::1", "ff02::1", "ff0e::1" };
	static const char *const good[] = { "2001:db8::1", "64:ff9b::192.0.2.1", "fd00::1", "fec0::1" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(passes(AF_INET6, bad[i], 64));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(passes(AF_INET6, good[i], 64));
	assert_false(passes(AF_INET6, "2001:db8::1", 40));
	assert_true(passes(AF_INET, "192.0.2.1", 64));
	assert_false(passes(AF_INET, "127.0.0.1", 64));
	assert_false(passes(AF_INET, "0.0.0.0", 64));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_go), cmocka_unit_test(test_bad_go),
		cmocka_unit_test(test_share), cmocka_unit_test(test_bad_shares), TREE_TEST(test_hidden_moved),
		cmocka_unit_test(test_overlay_options), cmocka_unit_test(test_spec), cmocka_unit_test(test_gate_ends),
		cmocka_unit_test(test_gate_hangs), cmocka_unit_test(test_gate_filter) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
