/* SPDX-License-Identifier: Apache-2.0
 * vmlinux: takes the uncompressed kernel out of a bzImage, so that QEMU can start it directly (PVH)
 * and the guest need not decompress itself, which costs 0.4 s under emulation.
 *
 * Usage: vmlinux BZIMAGE OUTPUT
 *
 * The boot protocol (Documentation/arch/x86/boot.rst of the kernel) says where: setup_sects at
 * 0x1f1, payload_offset at 0x248 and payload_length at 0x24c, counted from the end of the setup
 * sectors. The payload is one compressed ELF file; its last four bytes are its length unpacked.
 * Understood: LZ4 in the "legacy" frame (magic 0x184c2102, blocks of at most 8 MiB) and zstd, which
 * are what Debian's cloud kernels use. The ELF file must carry the PVH entry note
 * (XEN_ELFNOTE_PHYS32_ENTRY, 18).
 */
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

enum { KERNEL_MAX = 256 * 1024 * 1024, LZ4_LEGACY = 0x184c2102, LZ4_BLOCK = 8 * 1024 * 1024, PVH_NOTE = 18 };

struct bytes {
	uint8_t *data;
	size_t size;
};

static int die(const char *text)
{
	fprintf(stderr, "vmlinux: %s\n", text);
	return -1;
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int read_file(const char *path, struct bytes *ret)
{
	FILE *f = fopen(path, "rbe");
	struct stat st;
	if (!f || fstat(fileno(f), &st) < 0 || st.st_size > KERNEL_MAX) {
		fprintf(stderr, "vmlinux: cannot read %s: %s\n", path, strerror(errno));
		if (f)
			fclose(f);
		return -1;
	}
	ret->size = (size_t)st.st_size;
	ret->data = malloc(ret->size + 1);
	int r = ret->data && fread(ret->data, 1, ret->size, f) == ret->size ? 0 : die("short read");
	fclose(f);
	return r;
}

/* A length that continues in further bytes while they are 255 (LZ4 block format). */
static int lz4_length(const uint8_t **in, const uint8_t *end, size_t *length)
{
	uint8_t byte;
	do {
		if (*in >= end || *length > KERNEL_MAX)
			return -1;
		byte = *(*in)++;
		*length += byte;
	} while (byte == 255);
	return 0;
}

/* One LZ4 block: bytes written to out, or -1. */
static ssize_t lz4_block(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
	const uint8_t *end = in + in_size;
	size_t at = 0;
	while (in < end) {
		uint8_t token = *in++;
		size_t literals = token >> 4, match = token & 15;
		if (literals == 15 && lz4_length(&in, end, &literals) < 0)
			return -1;
		if (literals > (size_t)(end - in) || literals > out_size - at)
			return -1;
		memcpy(out + at, in, literals);
		at += literals;
		in += literals;
		if (in == end)
			return (ssize_t)at;
		if (end - in < 2)
			return -1;
		size_t offset = in[0] | (size_t)in[1] << 8;
		in += 2;
		if (match == 15 && lz4_length(&in, end, &match) < 0)
			return -1;
		match += 4;
		if (offset == 0 || offset > at || match > out_size - at)
			return -1;
		for (size_t i = 0; i < match; i++, at++)
			out[at] = out[at - offset];
	}
	return -1;
}

static int unpack_lz4(const uint8_t *in, size_t size, struct bytes *out)
{
	size_t at = 0, used = 4;
	while (used + 4 <= size && at < out->size) {
		size_t block = le32(in + used);
		used += 4;
		if (block > size - used)
			return die("LZ4 block is cut off");
		ssize_t n = lz4_block(in + used, block, out->data + at,
		    out->size - at < LZ4_BLOCK ? out->size - at : LZ4_BLOCK);
		if (n < 0)
			return die("LZ4 block is broken");
		at += (size_t)n;
		used += block;
	}
	return at == out->size ? 0 : die("the kernel is shorter than it says");
}

static int unpack(const uint8_t *payload, size_t size, struct bytes *ret)
{
	if (size < 12)
		return die("no payload");
	ret->size = le32(payload + size - 4);
	if (ret->size > KERNEL_MAX)
		return die("the kernel says that it is larger than 256 MiB");
	ret->data = malloc(ret->size + 1);
	if (!ret->data)
		return die("out of memory");
	if (le32(payload) == LZ4_LEGACY)
		return unpack_lz4(payload, size - 4, ret);
	if (le32(payload) != ZSTD_MAGICNUMBER)
		return die("compressed by something else than LZ4 or zstd");
	size_t n = ZSTD_decompress(ret->data, ret->size, payload, ZSTD_findFrameCompressedSize(payload, size));
	return n == ret->size ? 0 : die("zstd data is broken");
}

static int has_pvh_note(const struct bytes *kernel)
{
	const Elf64_Ehdr *h = (const void *)kernel->data;
	if (kernel->size < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 ||
	    h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff > kernel->size ||
	    (kernel->size - h->e_phoff) / sizeof(Elf64_Phdr) < h->e_phnum)
		return 0;
	const Elf64_Phdr *p = (const void *)(kernel->data + h->e_phoff);
	for (unsigned i = 0; i < h->e_phnum; i++) {
		if (p[i].p_type != PT_NOTE || p[i].p_offset > kernel->size ||
		    p[i].p_filesz > kernel->size - p[i].p_offset)
			continue;
		size_t at = 0;
		while (p[i].p_filesz - at >= sizeof(Elf64_Nhdr)) {
			const Elf64_Nhdr *n = (const void *)(kernel->data + p[i].p_offset + at);
			if (n->n_type == PVH_NOTE && n->n_namesz == 4 && memcmp(n + 1, "Xen", 4) == 0)
				return 1;
			size_t step = sizeof(*n) + (((size_t)n->n_namesz + 3) & ~(size_t)3) +
				      (((size_t)n->n_descsz + 3) & ~(size_t)3);
			if (step > p[i].p_filesz - at)
				break;
			at += step;
		}
	}
	return 0;
}

static int extract(const struct bytes *image, struct bytes *kernel)
{
	if (image->size < 0x250 || memcmp(image->data + 0x202, "HdrS", 4) != 0)
		return die("not a bzImage");
	size_t setup = ((image->data[0x1f1] ? image->data[0x1f1] : 4) + 1U) * 512;
	size_t offset = setup + le32(image->data + 0x248), length = le32(image->data + 0x24c);
	if (offset > image->size || length > image->size - offset)
		return die("the payload lies outside of the file");
	return unpack(image->data + offset, length, kernel);
}

int main(int argc, char **argv)
{
	struct bytes image = { 0 }, kernel = { 0 };
	FILE *out = NULL;
	int status = 1;
	if (argc != 3) {
		fprintf(stderr, "usage: vmlinux BZIMAGE OUTPUT\n");
		return 1;
	}
	if (read_file(argv[1], &image) < 0 || extract(&image, &kernel) < 0)
		goto out;
	if (!has_pvh_note(&kernel)) {
		die("the kernel has no PVH note (CONFIG_PVH)");
		goto out;
	}
	out = fopen(argv[2], "wbe");
	if (!out || fwrite(kernel.data, 1, kernel.size, out) != kernel.size || fflush(out) != 0)
		fprintf(stderr, "vmlinux: cannot write %s: %s\n", argv[2], strerror(errno));
	else
		status = 0;
out:
	if (out)
		fclose(out);
	free(image.data);
	free(kernel.data);
	return status;
}
