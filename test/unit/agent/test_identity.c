/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/provision/identity.h"
#include "tree.h"

#define FIRST "0123456789abcdef0123456789abcdef"
#define SECOND "fedcba9876543210fedcba9876543210"

static void put_identity(struct tree *t)
{
	tree_put(t, "/etc/machine-id", 0444, "11111111111111111111111111111111\n");
	tree_put(t, "/var/lib/dbus/machine-id", 0, "11111111111111111111111111111111\n");
	tree_put(t, "/var/lib/systemd/random-seed", 0600, "seed");
	tree_put(t, "/etc/ssh/ssh_host_ed25519_key", 0600, "key");
	tree_put(t, "/etc/ssh/ssh_host_ed25519_key.pub", 0644, "key");
	tree_put(t, "/etc/ssh/sshd_config", 0644, "config");
	tree_put(t, "/etc/dropbear/dropbear_ed25519_host_key", 0600, "key");
	tree_put(t, "/etc/dropbear/dropbear_rsa_host_key.pub", 0600, "key");
	tree_put(t, "/etc/dropbear/banner", 0600, "text");
	tree_put(t, "/var/lib/systemd/credential.secret", 0400, "secret");
}

static void test_renewed(void **state)
{
	struct tree *t = *state;
	put_identity(t);
	tree_put(t, "/usr/bin/ssh-keygen", 0755, "#!");
	assert_false(identity_is_own(t->root, FIRST));
	assert_int_equal(identity_renew(t->root, FIRST, NULL), IDENTITY_SSHD);
	assert_false(rootfs_exists(t->root, "/var/lib/systemd/credential.secret"));
	tree_expect(t, "/etc/dropbear/dropbear_ed25519_host_key", "key");
	tree_put(t, "/usr/bin/dropbearkey", 0755, "#!");
	assert_int_equal(identity_renew(t->root, FIRST, NULL), IDENTITY_DROPBEAR);
	assert_false(rootfs_exists(t->root, "/etc/dropbear/dropbear_ed25519_host_key"));
	assert_false(rootfs_exists(t->root, "/etc/dropbear/dropbear_rsa_host_key.pub"));
	tree_expect(t, "/etc/dropbear/banner", "text");
	tree_expect(t, "/etc/machine-id", FIRST "\n");
	tree_expect(t, "/var/lib/dbus/machine-id", FIRST "\n");
	tree_expect(t, "/etc/ssh/sshd_config", "config");
	assert_false(rootfs_exists(t->root, "/var/lib/systemd/random-seed"));
	assert_false(rootfs_exists(t->root, "/etc/ssh/ssh_host_ed25519_key"));
	assert_false(rootfs_exists(t->root, "/etc/ssh/ssh_host_ed25519_key.pub"));
	assert_int_equal(identity_mark(t->root, FIRST, NULL), 0);
	assert_true(identity_is_own(t->root, FIRST));
	assert_false(identity_is_own(t->root, SECOND));
}

/* A machine-id that somebody has changed stays; only another machine's disk is renewed. */
static void test_own(void **state)
{
	struct tree *t = *state;
	put_identity(t);
	assert_int_equal(identity_mark(t->root, FIRST, NULL), 0);
	assert_true(identity_is_own(t->root, FIRST));
	assert_false(identity_is_own(t->root, "11111111111111111111111111111111"));
	assert_false(identity_is_own(t->root, "0123"));
}

static void test_without_marker(void **state)
{
	struct tree *t = *state;
	assert_false(identity_is_own(t->root, FIRST));
	put_identity(t);
	assert_true(identity_is_own(t->root, "11111111111111111111111111111111"));
	tree_put(t, "/etc/machine-id", 0, "");
	assert_false(identity_is_own(t->root, FIRST));
}

/* Keys that nothing can make again stay; a link of D-Bus' stays a link. */
static void test_no_keygen(void **state)
{
	struct tree *t = *state;
	put_identity(t);
	assert_int_equal(rootfs_symlink(t->root, "/var/lib/dbus/machine-id", "/etc/machine-id", NULL), 0);
	assert_int_equal(identity_renew(t->root, SECOND, NULL), 0);
	tree_expect(t, "/etc/ssh/ssh_host_ed25519_key", "key");
	AUTOFREE char *path = path_join(t->path, "var/lib/dbus/machine-id");
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

/* A crash after the keys were removed is repaired, if there is an sshd. */
static void test_crashed(void **state)
{
	struct tree *t = *state;
	tree_put(t, "/usr/bin/ssh-keygen", 0755, "#!");
	assert_int_equal(identity_renew(t->root, FIRST, NULL), 0);
	tree_put(t, "/usr/sbin/sshd", 0755, "#!");
	assert_int_equal(identity_renew(t->root, FIRST, NULL), IDENTITY_SSHD);
	tree_put(t, "/usr/bin/dropbearkey", 0755, "#!");
	tree_put(t, "/usr/sbin/dropbear", 0755, "#!");
	assert_int_equal(identity_renew(t->root, FIRST, NULL), IDENTITY_SSHD | IDENTITY_DROPBEAR);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TREE_TEST(test_renewed), TREE_TEST(test_own),
		TREE_TEST(test_without_marker), TREE_TEST(test_no_keygen), TREE_TEST(test_crashed) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
