/* SPDX-License-Identifier: Apache-2.0
 * Looking for a program in a disk that is not mounted: libext2fs resolves the path, symlinks
 * included. */
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <sys/stat.h>

#include "disk/ext4.h"

static int is_program(ext2_filsys fs, const char *path)
{
	ext2_ino_t number = 0;
	struct ext2_inode inode;
	if (ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &number) != 0 ||
	    ext2fs_read_inode(fs, number, &inode) != 0)
		return 0;
	return LINUX_S_ISREG(inode.i_mode) && (inode.i_mode & 0111) != 0;
}

int disk_find_first(const char *disk_path, const char *const *paths, const char **ret, struct error **err)
{
	ext2_filsys fs = NULL;
	errcode_t code = ext2fs_open(disk_path, EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs);
	if (code)
		return error_set(err, EBADMSG, "cannot read the disk \"%s\": %s", disk_path, error_message(code));
	int r = -ENOENT;
	for (size_t i = 0; r < 0 && paths[i]; i++) {
		if (!is_program(fs, paths[i]))
			continue;
		*ret = paths[i];
		r = 0;
	}
	ext2fs_free(fs);
	return r;
}
