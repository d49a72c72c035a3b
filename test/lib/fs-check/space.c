/* SPDX-License-Identifier: Apache-2.0
 * Space, holes, and copies that the kernel makes. */
#include "check.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

static void see_blocks(const char *check, int fd)
{
	struct stat st;
	must("fstat", fstat(fd, &st));
	note(check, "size %lld, %lld blocks", (long long)st.st_size, (long long)st.st_blocks);
}

void fallocate_group(void)
{
	int fd = open_new("file", O_RDWR);
	fill(fd, 0, 16 * PAGE, 8);
	must("fsync", fsync(fd)); /* what is not on the disk yet may have no blocks */
	see_blocks("before", fd);
	see("longer", fallocate(fd, 0, 0, 20 * PAGE));
	see_blocks("longer-is", fd);
	see("keep-size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 20 * PAGE, 8 * PAGE));
	see_blocks("keep-size-is", fd);
	see("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, 4 * PAGE));
	see_blocks("punched", fd);
	see_content("punched-content", "file");
	see("punch-odd", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 9 * PAGE + 100, PAGE));
	see_content("punched-odd-content", "file");
	see("punch-without-keep", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE));
	see("zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, 10 * PAGE + 7, 2 * PAGE));
	see_content("zeroed", "file");
	see("zero-longer", fallocate(fd, FALLOC_FL_ZERO_RANGE, 19 * PAGE, 4 * PAGE));
	see_stat("zero-longer-is", fd);
	see("collapse", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE));
	see("insert", fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE));
	see("odd-mode", fallocate(fd, 0x4000, 0, PAGE));
	see("no-length", fallocate(fd, 0, 0, 0));
	see("negative", fallocate(fd, 0, -1, PAGE));
	see("too-far", fallocate(fd, 0, INT64_MAX - PAGE, 2 * PAGE));
	see("posix", posix_fallocate(fd, 0, 30 * PAGE));
	see_stat("posix-is", fd);
	close(fd);
	fd = must("open", open("file", O_RDONLY));
	see("read-only", fallocate(fd, 0, 0, PAGE));
	close(fd);
	fd = must("open", open(".", O_RDONLY | O_DIRECTORY));
	see("directory", fallocate(fd, 0, 0, PAGE));
	close(fd);
}

void holes_group(void)
{
	int fd = open_new("file", O_RDWR);
	must("ftruncate", ftruncate(fd, 64 * PAGE));
	fill(fd, 16 * PAGE, 2 * PAGE, 9);
	fill(fd, 48 * PAGE, PAGE, 10);
	see("data", lseek(fd, 0, SEEK_DATA));
	see("hole", lseek(fd, 0, SEEK_HOLE));
	see("hole-behind-data", lseek(fd, 16 * PAGE, SEEK_HOLE));
	see("data-within", lseek(fd, 17 * PAGE + 5, SEEK_DATA));
	see("next-data", lseek(fd, 20 * PAGE, SEEK_DATA));
	see("last-hole", lseek(fd, 48 * PAGE, SEEK_HOLE));
	see("no-more-data", lseek(fd, 50 * PAGE, SEEK_DATA));
	see("hole-at-end", lseek(fd, 63 * PAGE, SEEK_HOLE));
	see("behind", lseek(fd, 64 * PAGE, SEEK_DATA));
	see("behind-hole", lseek(fd, 64 * PAGE, SEEK_HOLE));
	see("negative", lseek(fd, -1, SEEK_DATA));
	must("fsync", fsync(fd));
	see("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 16 * PAGE, 2 * PAGE));
	see("punched", lseek(fd, 0, SEEK_DATA));
	see("position", lseek(fd, 0, SEEK_CUR));
	see_content("content", "file");
	close(fd);
}

static void see_copy(const char *check, int from, off_t at, int to, off_t where, size_t size)
{
	see(check, copy_file_range(from, &at, to, &where, size, 0));
}

void copy_group(void)
{
	int from = open_new("from", O_RDWR), to = open_new("to", O_RDWR);
	fill(from, 0, 300000, 11);
	see_copy("all", from, 0, to, 0, 300000);
	see_content("all-is", "to");
	see_copy("middle", from, 1000, to, 200001, 5555);
	see_content("middle-is", "to");
	see_copy("behind-end", from, 300000, to, 0, 10);
	see_copy("over-end", from, 299990, to, 400000, 100);
	see_content("over-end-is", "to");
	see_copy("nothing", from, 0, to, 0, 0);
	see_copy("same-apart", from, 0, from, 150000, 1000);
	see_content("same-apart-is", "from");
	see_copy("same-overlapping", from, 0, from, 500, 1000);
	see_copy("negative", from, -5, to, 0, 10);
	see("positions", copy_file_range(from, NULL, to, NULL, 1234, 0));
	note("positions-are", "%ld %ld", (long)lseek(from, 0, SEEK_CUR), (long)lseek(to, 0, SEEK_CUR));
	off_t zero = 0;
	see("odd-flags", copy_file_range(from, &zero, to, &zero, 10, 5));
	int reader = must("open", open("to", O_RDONLY)), appender = must("open", open("to", O_WRONLY | O_APPEND));
	see_copy("to-reader", from, 0, reader, 0, 10);
	see_copy("to-appender", from, 0, appender, 0, 10);
	see_copy("from-writer", appender, 0, to, 0, 10);
	close(appender);
	close(reader);
	reader = must("open", open(".", O_RDONLY | O_DIRECTORY));
	see_copy("from-directory", reader, 0, to, 0, 10);
	close(reader);
	see("clone", ioctl(to, FICLONE, from));
	off_t offset = 100;
	lseek(to, 0, SEEK_SET);
	see("sendfile", sendfile(to, from, &offset, 70000));
	see_content("sendfile-is", "to");
	int memory = open("/dev/zero", O_RDONLY);
	see_copy("from-device", memory, 0, to, 0, 10);
	close(memory);
	close(from);
	close(to);
}

void pipes_group(void)
{
	int pipes[2], fd = open_new("file", O_RDWR);
	off_t at = 10;
	char buffer[32] = "";
	must("pipe", pipe(pipes));
	must("write", (int)write(fd, "0123456789abcdefghij", 20));
	see("splice-out", splice(fd, &at, pipes[1], NULL, 8, 0));
	see("pipe", read(pipes[0], buffer, sizeof buffer));
	note("pipe-is", "%s", buffer);
	must("write", (int)write(pipes[1], "spliced", 7));
	at = 5;
	see("splice-in", splice(pipes[0], NULL, fd, &at, 7, 0));
	see_content("content", "file");
	int flags = 0;
	see("ioctl-odd", ioctl(fd, _IO('X', 250)));
	see("ioctl-flags", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	see("ioctl-readable", ioctl(fd, FIONREAD, &flags));
	note("readable", "%d", flags);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}
