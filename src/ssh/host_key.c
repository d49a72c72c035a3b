/* SPDX-License-Identifier: Apache-2.0
 * See host_key.h. Whoever connects first makes a key; a lock lets two first ones make one. */
#include "ssh/host_key.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/path.h"
#include "cli/ssh/place.h"

enum { LOCK_MS = 10 * 1000, KEY_BYTES_MAX = 64 * 1024, KNOWN_BYTES_MAX = 64 * 1024 };

/* The files, and the name that ssh(1) looks up for a host key (HostKeyAlias). */
static const struct {
	const char *file, *known_hosts, *alias;
} places[] = {
	[OWN_HOST_KEY] = { "host_key", "known_hosts", SSH_HOST_ALIAS },
	[OWN_SSHD_HOST_KEY] = { SSH_SSHD_HOST_KEY, SSH_SSHD_KNOWN_HOSTS, SSH_SSHD_ALIAS },
	[OWN_CLIENT_KEY] = { SSH_CLIENT_KEY, NULL, NULL },
};

static int export(ssh_key key, const char *path, struct error **err)
{
	char *text = NULL;
	if (ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &text) != SSH_OK)
		return error_set(err, EIO, "cannot write the key %s", path);
	int r = atomic_file_write(path, 0600, text, strlen(text), err);
	explicit_bzero(text, strlen(text));
	ssh_string_free_char(text);
	return r;
}

static int make(const char *path, ssh_key *ret, struct error **err)
{
	if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, ret) != SSH_OK)
		return error_set(err, EIO, "cannot make a key for ssh");
	return export(*ret, path, err);
}

static int read_key(const char *path, ssh_key *ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size = 0;
	int r = path_read_file(path, KEY_BYTES_MAX, &text, &size);
	if (r == -ENOENT)
		return r;
	if (r < 0)
		return error_set_errno(err, r, "key %s", path);
	if (ssh_pki_import_privkey_base64(text, NULL, NULL, NULL, ret) != SSH_OK)
		r = error_set(err, EBADMSG, "key %s: it is damaged; delete it, and a new one is made", path);
	explicit_bzero(text, size);
	return r;
}

/* Writes the file unless it says the same already: each connection comes by here. */
static int write_known_hosts(enum own_key which, ssh_key key, struct error **err)
{
	AUTOFREE char *path = ssh_place(places[which].known_hosts), *old = NULL;
	char *base64 = NULL;
	if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return error_set(err, EIO, "cannot read the host key");
	AUTOFREE char *text = xasprintf("%s ssh-ed25519 %s\n", places[which].alias, base64);
	ssh_string_free_char(base64);
	if (path_read_file(path, KNOWN_BYTES_MAX, &old, NULL) == 0 && streq(old, text))
		return 0;
	return atomic_file_write(path, 0600, text, strlen(text), err);
}

static int make_or_read(const char *path, ssh_key *ret, struct error **err)
{
	AUTOFREE char *folder = ssh_place(NULL), *lock_path = ssh_place("lock");
	int r = path_mkdir_all(folder, 0700, err);
	if (r < 0)
		return r;
	AUTO_FD int lock = lock_file(lock_path, LOCK_EXCLUSIVE, clock_deadline(LOCK_MS), err);
	if (lock < 0)
		return error_set_errno(err, lock, "cannot lock %s", lock_path);
	r = read_key(path, ret, err);
	return r == -ENOENT ? make(path, ret, err) : r;
}

int host_key_load(enum own_key which, ssh_key *ret, struct error **err)
{
	AUTOFREE char *path = ssh_place(places[which].file);
	int r = read_key(path, ret, err);
	if (r == -ENOENT)
		r = make_or_read(path, ret, err);
	return r < 0 || !places[which].alias ? r : write_known_hosts(which, *ret, err);
}
