/* SPDX-License-Identifier: Apache-2.0
 * Whose the files are that an ordinary user shares: holm-fsd as it is installed, started by root as
 * somebody else, who is in one more group. In its user namespace all ids but two mean nothing. */
#include <grp.h>
#include <time.h>

#include "fake_machine.h"
#include "fsd/files/owners.h"

enum { UID = 41000, GID = 41001, GROUP = 41002, OTHER_UID = 777, OTHER_GROUP = 888, INSIDE = 4242 };

static void become_user(struct machine *m)
{
	gid_t group = GROUP;
	if (chown(m->path, UID, GID) < 0 || setgroups(1, &group) < 0 || setresgid(GID, GID, GID) < 0 ||
	    setresuid(UID, UID, UID) < 0)
		_exit(98);
}

static int setup(void **state)
{
	*state = NULL;
	if (geteuid() != 0)
		return 0;
	umask(0);
	struct machine *m = machine_new();
	machine_init_fuse(m);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	if (*state)
		machine_free(*state);
	return 0;
}

/* Files of others can be made by root alone. */
static struct machine *wanted(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static void make(struct machine *m, const char *name, mode_t type, uid_t uid, gid_t gid)
{
	int r = type == S_IFDIR ? mkdirat(m->directory, name, 0755) :
		type == S_IFLNK ? symlinkat("target", m->directory, name) :
				  mknodat(m->directory, name, S_IFREG | 0640, 0);
	assert_int_equal(r, 0);
	assert_int_equal(fchownat(m->directory, name, uid, gid, AT_SYMLINK_NOFOLLOW), 0);
}

static struct fuse_entry_out look(struct machine *m, uint64_t parent, const char *name)
{
	assert_int_equal(call(m, FUSE_LOOKUP, parent, TEXT(name), NONE, NONE), 0);
	return *(const struct fuse_entry_out *)data_of(m, 0, NULL);
}

static struct fuse_attr attributes(struct machine *m, uint64_t node)
{
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(call(m, FUSE_GETATTR, node, PART(in), NONE, NONE), 0);
	return ((const struct fuse_attr_out *)data_of(m, 0, NULL))->attr;
}

static void check_owner(struct machine *m, const char *name, uint32_t uid, uint32_t gid)
{
	struct fuse_entry_out e = look(m, 1, name);
	assert_int_equal(e.attr.uid, uid);
	assert_int_equal(e.attr.gid, gid);
	struct fuse_attr a = attributes(m, e.nodeid);
	assert_int_equal(a.uid, uid);
	assert_int_equal(a.gid, gid);
}

static int give(struct machine *m, uint64_t node, uint32_t valid, uint32_t uid, uint32_t gid)
{
	struct fuse_setattr_in in = { .valid = valid, .uid = uid, .gid = gid };
	return call(m, FUSE_SETATTR, node, PART(in), NONE, NONE);
}

static gid_t group_of(struct machine *m, const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(m->directory, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_gid;
}

static pid_t owners_of(struct machine *m)
{
	return child_of(holder_of(m), "holm-fsd-owners");
}

/* When it has answered once: it has its name and has confined itself. */
static pid_t owners_at_work(struct machine *m)
{
	make(m, "asked", S_IFREG, OTHER_UID, OTHER_GROUP);
	check_owner(m, "asked", OTHER_UID, OTHER_GROUP);
	pid_t pid = owners_of(m);
	assert_true(pid > 0);
	return pid;
}

static void make_all(struct machine *m)
{
	make(m, "mine", S_IFREG, UID, GID);
	make(m, "root", S_IFREG, 0, 0);
	make(m, "other", S_IFREG, OTHER_UID, OTHER_GROUP);
	make(m, "directory", S_IFDIR, OTHER_UID, GROUP);
	make(m, "link", S_IFLNK, OTHER_UID, OTHER_GROUP);
	make(m, "group", S_IFREG, UID, GROUP);
	make(m, "nobody", S_IFREG, 65534, 65534);
	make(m, "inside", S_IFREG, INSIDE, GID); /* the number that the machine's user has inside */
}

static void check_all(struct machine *m)
{
	check_owner(m, "mine", 4242, 4243);
	check_owner(m, "root", 0, 0);
	check_owner(m, "other", OTHER_UID, OTHER_GROUP);
	check_owner(m, "directory", OTHER_UID, GROUP);
	check_owner(m, "link", OTHER_UID, OTHER_GROUP);
	check_owner(m, "group", 4242, GROUP);
	check_owner(m, "nobody", 65534, 65534);
	check_owner(m, "inside", 65534, 4243);
}

static void test_owners(void **state)
{
	struct machine *m = wanted(state);
	make_all(m);
	check_all(m);
	check_all(m);
	/* A change on the host is seen, also one that is as quick as the clock is coarse. */
	for (uint32_t n = 0; n < 20; n++) {
		assert_int_equal(fchownat(m->directory, "other", OTHER_UID + n, OTHER_GROUP, 0), 0);
		check_owner(m, "other", OTHER_UID + n, OTHER_GROUP);
	}
	struct fuse_open_in open_in = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(call(m, FUSE_OPENDIR, 1, PART(open_in), NONE, NONE), 0);
	struct fuse_read_in in = { .fh = ((const struct fuse_open_out *)data_of(m, 0, NULL))->fh, .size = 8192 };
	assert_int_equal(call(m, FUSE_READDIRPLUS, 1, PART(in), NONE, NONE), 0);
	size_t size = 0, seen = 0;
	const char *data = data_of(m, 0, &size);
	for (size_t at = 0; at < size;) {
		const struct fuse_direntplus *d = (const void *)(data + at);
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + d->dirent.namelen);
		if (d->dirent.namelen != 4 || memcmp(d->dirent.name, "root", 4) != 0)
			continue;
		assert_int_equal(d->entry_out.attr.uid, 0);
		seen++;
	}
	assert_int_equal(seen, 1);
}

static void test_change_of_group(void **state)
{
	struct machine *m = wanted(state);
	make_all(m);
	uint64_t mine = look(m, 1, "mine").nodeid, root = look(m, 1, "root").nodeid;
	assert_int_equal(give(m, mine, FATTR_GID, 0, GROUP), 0);
	assert_int_equal(group_of(m, "mine"), GROUP);
	assert_int_equal(attributes(m, mine).gid, GROUP);
	assert_int_equal(give(m, mine, FATTR_UID | FATTR_GID, 4242, 4243), 0); /* back */
	assert_int_equal(group_of(m, "mine"), GID);
	assert_int_equal(give(m, mine, FATTR_GID, 0, OTHER_GROUP), -EPERM);
	assert_int_equal(give(m, mine, FATTR_GID, 0, 65534), -EPERM);
	assert_int_equal(give(m, mine, FATTR_UID, OTHER_UID, 0), -EPERM);
	assert_int_equal(give(m, root, FATTR_GID, 0, GROUP), -EPERM);
	assert_int_equal(give(m, root, FATTR_UID, 4242, 0), -EPERM);
	assert_int_equal(give(m, root, FATTR_UID | FATTR_GID, 0, 0), 0); /* as it is */
	assert_int_equal(group_of(m, "mine"), GID);
	assert_int_equal(group_of(m, "root"), 0);
	/* A directory of the group gives it to what is made in it. */
	make(m, "shared", S_IFDIR, UID, GROUP);
	assert_int_equal(fchmodat(m->directory, "shared", 02775, 0), 0);
	uint64_t shared = look(m, 1, "shared").nodeid;
	struct fuse_create_in create_in = { .flags = O_RDWR, .mode = S_IFREG | 0664 };
	struct fuse_mkdir_in mkdir_in = { .mode = 0775 };
	assert_int_equal(call(m, FUSE_CREATE, shared, PART(create_in), TEXT("new"), NONE), 0);
	const struct fuse_entry_out *e = data_of(m, 0, NULL);
	assert_int_equal(e->attr.uid, 4242);
	assert_int_equal(e->attr.gid, GROUP);
	assert_int_equal(group_of(m, "shared/new"), GROUP);
	assert_int_equal(call(m, FUSE_MKDIR, shared, PART(mkdir_in), TEXT("sub"), NONE), 0);
	e = data_of(m, 0, NULL);
	assert_int_equal(e->attr.gid, GROUP);
	assert_int_equal(e->attr.mode, S_IFDIR | 02775);
	/* Its setgid bit survives a change of mode inside. */
	struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = S_IFDIR | 02770 };
	assert_int_equal(call(m, FUSE_SETATTR, shared, PART(mode), NONE, NONE), 0);
	assert_int_equal(attributes(m, shared).mode, S_IFDIR | 02770);
}

/* Whichever of the processes dies. */
static void test_deaths(void **state)
{
	struct machine *m = wanted(state);
	make_all(m);
	pid_t owners = owners_at_work(m);
	for (int n = 0; n < 3; n++) {
		pid_t worker = worker_of(m);
		kill(worker, SIGKILL);
		wait_gone(worker);
		check_all(m);
	}
	assert_int_equal(owners_of(m), owners);
	kill(owners, SIGKILL);
	wait_gone(owners);
	make(m, "late", S_IFREG, OTHER_UID, OTHER_GROUP);
	make(m, "own", S_IFREG, UID, GID);
	check_owner(m, "late", 65534, 65534);
	check_owner(m, "own", 4242, 4243);
	assert_int_equal(give(m, look(m, 1, "own").nodeid, FATTR_GID, 0, GROUP), -EPERM);
	kill_worker(m);
	check_owner(m, "late", 65534, 65534);
}

/* A question has a deadline, and the next one does not wait again. */
static void test_no_answer(void **state)
{
	struct machine *m = wanted(state);
	make_all(m);
	pid_t owners = owners_at_work(m);
	kill(owners, SIGSTOP);
	uint64_t before = clock_now_ms();
	check_owner(m, "other", 65534, 65534);
	check_owner(m, "root", 65534, 65534);
	assert_in_range(clock_now_ms() - before, OWNERS_TIMEOUT_MS, 4 * OWNERS_TIMEOUT_MS - 1); /* four questions */
	kill(owners, SIGCONT);
	check_owner(m, "mine", 4242, 4243);
}

static unsigned count_descriptors(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int confine_slowly(int may_change, struct error **err)
{
	struct timespec wait = { .tv_nsec = 100000000 };
	AUTO_FD int fd = open("/", O_PATH | O_CLOEXEC);
	nanosleep(&wait, NULL);
	return fd < 0 ? -errno : 0;
}

/* What it opens while it confines itself is in the common table: nobody may go on before it is
 * gone, and take the number for something else. */
static void test_start(void **state)
{
	struct owners o;
	struct owner owner = { 1, 1 };
	unsigned before = count_descriptors();
	assert_int_equal(owners_start(&o, 0, confine_slowly, NULL), 0);
	assert_int_equal(count_descriptors(), before + 4);
	AUTO_FD int fd = open("/", O_PATH | O_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(owners_ask(&o, fd, &owner), 0);
	assert_int_equal(owner.uid, st.st_uid);
	assert_int_equal(owner.gid, st.st_gid);
	assert_int_equal(owners_ask(&o, 1023, &owner), -EBADF);
	assert_int_equal(owners_change_group(&o, fd, st.st_gid), -EINVAL); /* it was not asked for */
	owners_stop(&o);
	assert_int_equal(count_descriptors(), before + 1);
}

static void test_confinement(void **state)
{
	struct machine *m = wanted(state);
	char path[64], text[8192], own[8192];
	pid_t pid = owners_at_work(m);
	for (int n = 0; n < 2; n++) {
		snprintf(path, sizeof path, n ? "/proc/%d/uid_map" : "/proc/%d/status", pid);
		AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = fd_read_full(fd, text, sizeof text - 1);
		assert_true(size > 0);
		text[size] = 0;
		if (n == 0) {
			assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
			assert_non_null(strstr(text, "NoNewPrivs:\t1"));
			assert_non_null(strstr(text, "Seccomp:\t2"));
		}
	}
	/* The ids are those that we see, not those of the worker. */
	AUTO_FD int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd_read_full(fd, own, sizeof own - 1);
	assert_true(size > 0);
	own[size] = 0;
	assert_string_equal(text, own);
	kill(m->broker, SIGKILL);
	assert_true(WIFSIGNALED(machine_wait_broker(m)));
	wait_gone(pid);
}

/* A question that nobody took in time is not answered later, when the descriptor's number stands
 * for another file. */
static void test_too_late(void **state)
{
	struct owners o;
	struct stat st;
	assert_int_equal(owners_start(&o, 1, NULL, NULL), 0);
	AUTO_FD int fd = open("/", O_PATH | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	kill(o.pid, SIGSTOP);
	assert_int_equal(owners_change_group(&o, fd, st.st_gid), -ETIMEDOUT);
	kill(o.pid, SIGCONT);
	assert_int_equal(fd_wait(o.asking, POLLIN, clock_deadline(500)), 0);
	owners_stop(&o);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_start), cmocka_unit_test(test_too_late),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_of_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confinement, setup, teardown) };
	if (argc != 2)
		return 2;
	fsd_program = argv[1];
	fsd_prepare = become_user;
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
