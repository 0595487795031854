// SPDX-License-Identifier: GPL-2.0
/*
 * virtiofs with DAX: files whose contents the client maps, range by range, from
 * a window of shared memory that is smaller than they are (fs/fuse/dax.c), and
 * the requests that ask for it.
 *
 * The server is a file system of its own here: what it serves unless the test
 * takes it, see serve().
 */
#define _GNU_SOURCE
#include <linux/falloc.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"
#include "fuse_virtio.h"

#define RANGE		VIRTIOFS_RANGE
#define WINDOW		(16ULL << 20)
#define SLOTS		(WINDOW / RANGE)
#define RANGES		24

/* A file; its contents are at @base of the device's memory */
struct file {
	const char *name;
	uint64_t ino;
	uint64_t base;
	uint64_t size;
	uint32_t flags;		/* FUSE_ATTR_* */
	uint32_t mtime;
	bool gone;
	uint64_t parent;	/* 0: the root */
};

#define SUB		500	/* "sub", a directory that is a file system */

static struct file files[] = {
	{ "file", FILE_INO, 0, RANGES * RANGE, FUSE_ATTR_DAX },
	{ "other", 3, RANGES * RANGE, 2 * RANGE, FUSE_ATTR_DAX },
	{ "small", 4, (RANGES + 4) * RANGE, 6000, 0 },
	{ "inner", 5, (RANGES + 5) * RANGE, 2 * RANGE, FUSE_ATTR_DAX, .parent = SUB },
	{ }
};

/* What is in the window, and how it came there */
static struct {
	uint64_t ino;		/* 0: nothing */
	uint64_t offset;
	bool writable;
} slots[SLOTS];

static int setups, upgrades, removals;
static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "sub", SUB, S_IFDIR | 0755, FUSE_ATTR_SUBMOUNT },
	{ }
};

static uint64_t attr_valid;

static struct file *file_of(uint64_t ino)
{
	struct file *f;

	for (f = files; f->name; f++)
		if (f->ino == ino)
			return f;
	return NULL;
}

static void fill_attr(struct fuse_attr *attr, const struct file *f)
{
	op_attr(attr, f->ino, S_IFREG | 0666, f->size);
	attr->flags = f->flags;
	attr->mtime = f->mtime;
}

static bool serve_lookup(struct server *s, struct request *r)
{
	struct fuse_entry_out out = { .entry_valid = 3600 };
	struct file *f;

	for (f = files; f->name; f++)
		if (r->h.nodeid == (f->parent ?: FUSE_ROOT_ID) &&
		    !strcmp(f->name, r->body))
			break;
	if (!f->name)
		return false;
	if (f->gone) {
		reply_error(s, r, -ENOENT);
		return true;
	}
	out.attr_valid = attr_valid;
	out.nodeid = f->ino;
	fill_attr(&out.attr, f);
	reply(s, r, &out, sizeof(out));
	return true;
}

static void serve_attr(struct server *s, struct request *r, struct file *f)
{
	struct fuse_attr_out out = { .attr_valid = attr_valid };

	fill_attr(&out.attr, f);
	reply(s, r, &out, sizeof(out));
}

static void resize(struct server *s, struct file *f, uint64_t size)
{
	if (size < f->size)
		virtiofs_zero(s, f->base + size, f->size - size);
	f->size = size;
}

static void check_setup(const struct request *r)
{
	const struct fuse_setupmapping_in *in =
		BODY(r, struct fuse_setupmapping_in);

	CHECK(sizeof(*in), BODY_LEN(r));
	CHECK(UINT64_MAX, in->fh);
	CHECK(RANGE, in->len);
	CHECK(0, in->foffset % RANGE);
	CHECK(0, in->moffset % RANGE);
	NEED(in->moffset < WINDOW);
	NEED(in->flags & FUSE_SETUPMAPPING_FLAG_READ);
	CHECK(0, in->flags & ~(FUSE_SETUPMAPPING_FLAG_READ |
			       FUSE_SETUPMAPPING_FLAG_WRITE));
}

static void serve_setup(struct server *s, struct request *r, struct file *f)
{
	const struct fuse_setupmapping_in *in =
		BODY(r, struct fuse_setupmapping_in);
	unsigned int slot = in->moffset / RANGE;
	bool writable = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE;

	check_setup(r);
	/* what is used is never given away, but becomes writable */
	if (slots[slot].ino) {
		CHECK(f->ino, slots[slot].ino);
		CHECK(in->foffset, slots[slot].offset);
		NEED(writable && !slots[slot].writable);
		upgrades++;
	} else {
		setups++;
	}
	slots[slot].ino = f->ino;
	slots[slot].offset = in->foffset;
	slots[slot].writable = writable;
	reply_error(s, r, virtiofs_map(s, in->moffset, f->base + in->foffset,
				       in->len));
}

static void serve_removal(struct server *s, struct request *r)
{
	const struct fuse_removemapping_in *in =
		BODY(r, struct fuse_removemapping_in);
	const struct fuse_removemapping_one *one =
		(const void *)AFTER(r, struct fuse_removemapping_in);
	uint32_t i;

	CHECK(sizeof(*in) + in->count * sizeof(*one), BODY_LEN(r));
	for (i = 0; i < in->count; i++, one++) {
		CHECK(RANGE, one->len);
		CHECK(0, one->moffset % RANGE);
		NEED(one->moffset < WINDOW);
		CHECK(r->h.nodeid, slots[one->moffset / RANGE].ino);
		slots[one->moffset / RANGE].ino = 0;
		removals++;
		NEED(!virtiofs_unmap(s, one->moffset, one->len));
	}
	reply(s, r, NULL, 0);
}

static void serve_read(struct server *s, struct request *r, struct file *f)
{
	uint64_t left = r->read.offset < f->size ? f->size - r->read.offset : 0;
	uint32_t len = r->read.size < left ? r->read.size : left;
	char *data = malloc(len + 1);

	if (len)
		virtiofs_peek(s, f->base + r->read.offset, data, len);
	reply(s, r, data, len);
	free(data);
}

static void serve_write(struct server *s, struct request *r, struct file *f)
{
	struct fuse_write_out out = { .size = r->write.size };

	virtiofs_poke(s, f->base + r->write.offset,
		      AFTER(r, struct fuse_write_in), r->write.size);
	if (f->size < r->write.offset + r->write.size)
		f->size = r->write.offset + r->write.size;
	reply(s, r, &out, sizeof(out));
}

static void serve_copy(struct server *s, struct request *r, struct file *f)
{
	const struct fuse_copy_file_range_in *in =
		BODY(r, struct fuse_copy_file_range_in);
	struct fuse_copy_file_range_out out = { .bytes_copied = in->len };
	struct file *to = file_of(in->nodeid_out);
	char data[8192];

	NEED(to && in->len <= sizeof(data) && !in->flags);
	virtiofs_peek(s, f->base + in->off_in, data, in->len);
	virtiofs_poke(s, to->base + in->off_out, data, in->len);
	reply(s, r, &out, sizeof(out));
}

static bool serve(struct server *s, struct request *r)
{
	const struct fuse_setattr_in *setattr = BODY(r, struct fuse_setattr_in);
	const struct fuse_fallocate_in *falloc =
		BODY(r, struct fuse_fallocate_in);
	struct file *f = file_of(r->h.nodeid);

	switch (r->h.opcode) {
	case FUSE_LOOKUP:
		return serve_lookup(s, r);
	case FUSE_REMOVEMAPPING:
		serve_removal(s, r);
		return true;
	case FUSE_SYNCFS:
	case FUSE_DESTROY:
		reply(s, r, NULL, 0);
		return true;
	}
	if (!f)
		return false;
	switch (r->h.opcode) {
	case FUSE_GETATTR:
		serve_attr(s, r, f);
		return true;
	case FUSE_SETATTR:
		if (setattr->valid & FATTR_SIZE)
			resize(s, f, setattr->size);
		serve_attr(s, r, f);
		return true;
	case FUSE_READ:
		serve_read(s, r, f);
		return true;
	case FUSE_WRITE:
		serve_write(s, r, f);
		return true;
	case FUSE_FALLOCATE:
		virtiofs_zero(s, f->base + falloc->offset, falloc->length);
		reply(s, r, NULL, 0);
		return true;
	case FUSE_COPY_FILE_RANGE_64:
		serve_copy(s, r, f);
		return true;
	case FUSE_SETUPMAPPING:
		serve_setup(s, r, f);
		return true;
	}
	return false;
}

/* What the contents of each range begin with */
static uint64_t word(const struct file *f, unsigned int range)
{
	return f->ino << 32 | (range + 1);
}

static void fill_files(struct server *s)
{
	struct file *f;
	unsigned int i;
	uint64_t w;

	for (f = files; f->name; f++)
		for (i = 0; i * RANGE < f->size; i++) {
			w = word(f, i);
			virtiofs_poke(s, f->base + i * RANGE, &w, sizeof(w));
		}
}

#define BIG	(&files[0])
#define OTHER	(&files[1])
#define SMALL	(&files[2])
#define INNER	(&files[3])

static int open_file(struct client *c, struct server *s, const char *name,
		     int flags)
{
	int fd = sys(c, SYS_openat, AT_FDCWD, path(c, s, name), flags, 0);

	if (fd < 0)
		fail("open of %s: %s", name, strerror(-fd));
	return fd;
}

static uint64_t get_word(struct client *c)
{
	uint64_t w;

	memcpy(&w, out(c, ARG(0)), sizeof(w));
	return w;
}

/* read(2) and write(2) of a word */
static void check_read(struct client *c, int fd, uint64_t offset, uint64_t w)
{
	CHECK(sizeof(w), sys(c, SYS_pread64, fd, ARG(0), sizeof(w), offset));
	CHECK(w, get_word(c));
}

static void do_write(struct client *c, int fd, uint64_t offset, uint64_t w)
{
	CHECK(sizeof(w), sys(c, SYS_pwrite64, fd, in(c, &w, sizeof(w)),
			     sizeof(w), offset));
}

/* Access to a mapping */
static void check_mem(struct client *c, int64_t addr, uint64_t w)
{
	uint64_t seen;

	CHECK(sizeof(w), call(c, CLIENT_PEEK, addr, sizeof(w)));
	memcpy(&seen, c->answer.data, sizeof(seen));
	CHECK(w, seen);
}

static void do_poke(struct client *c, int64_t addr, uint64_t w)
{
	CHECK(sizeof(w), call_data(c, CLIENT_POKE, &w, sizeof(w), addr));
}

static void check_file(struct server *s, struct file *f, uint64_t offset,
		       uint64_t w)
{
	uint64_t seen;

	virtiofs_peek(s, f->base + offset, &seen, sizeof(seen));
	CHECK(w, seen);
}

static void check_bus_error(struct client *c, int64_t addr)
{
	CHECK(CLIENT_FAULT(SIGBUS), call(c, CLIENT_PEEK, addr, 8));
}

/* stat(2) that asks the server */
static void look_again(struct client *c, int fd, uint64_t size)
{
	struct statx *stx;

	CHECK(0, sys(c, SYS_statx, fd, str(c, ""), AT_EMPTY_PATH |
		     AT_STATX_FORCE_SYNC, STATX_SIZE, ARG(0)));
	stx = out(c, ARG(0));
	CHECK(size, stx->stx_size);
}

static int64_t map_file(struct client *c, int fd, uint64_t len, int prot,
			int flags, uint64_t offset)
{
	int64_t addr = call(c, CLIENT_MMAP, 0, len, prot, flags, fd, offset);

	if (addr < 0)
		fail("mmap: %s", strerror(-addr));
	return addr;
}

#define check_read(...)	HERE(check_read(__VA_ARGS__))
#define do_write(...)	HERE(do_write(__VA_ARGS__))
#define check_mem(...)	HERE(check_mem(__VA_ARGS__))
#define do_poke(...)	HERE(do_poke(__VA_ARGS__))
#define check_file(...)	HERE(check_file(__VA_ARGS__))
#define check_bus_error(...) HERE(check_bus_error(__VA_ARGS__))
#define look_again(...)	HERE(look_again(__VA_ARGS__))
#define map_file(...)	HERE(map_file(__VA_ARGS__))
#define open_file(...)	HERE(open_file(__VA_ARGS__))

FIXTURE(dax)
{
	struct server s;
	struct client c;
};

FIXTURE_SETUP(dax)
{
	self->s = (struct server){
		.transport = &virtiofs_transport,
		.options = "dax",
		.serve = serve,
		.nodes = nodes,
		.init_flags = FUSE_HAS_INODE_DAX | FUSE_MAP_ALIGNMENT |
			      FUSE_ATOMIC_O_TRUNC | FUSE_SUBMOUNTS,
	};
	attr_valid = 3600;
	SKIP_IF(fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT));
	fill_files(S);
}

FIXTURE_TEARDOWN(dax)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

/* One request for 2 MiB, none for what follows there */
FUSE_TEST(dax, read)
{
	int fd = open_file(C, S, "file", O_RDONLY);

	check_read(C, fd, 0, word(BIG, 0));
	ASSERT_EQ(1, setups);
	check_read(C, fd, 0, word(BIG, 0));
	check_read(C, fd, RANGE - 8, 0);
	ASSERT_EQ(1, setups);
	check_read(C, fd, RANGE, word(BIG, 1));
	ASSERT_EQ(2, setups);
	ASSERT_FALSE(slots[0].writable || slots[1].writable);
	/* behind the end */
	ASSERT_EQ(0, sys(C, SYS_pread64, fd, ARG(0), 8, BIG->size));
	ASSERT_EQ(2, setups);
}

/* A range that was read becomes writable, which is asked for once */
FUSE_TEST(dax, upgrade)
{
	int fd = open_file(C, S, "file", O_RDWR);

	check_read(C, fd, 0, word(BIG, 0));
	ASSERT_EQ(1, setups);
	do_write(C, fd, 8, 0xfeed);
	ASSERT_EQ(1, upgrades);
	do_write(C, fd, 16, 0xbeef);
	ASSERT_EQ(1, upgrades);
	check_file(S, BIG, 8, 0xfeed);
	check_file(S, BIG, 16, 0xbeef);
	check_read(C, fd, 8, 0xfeed);
	/* first written to */
	do_write(C, fd, RANGE + 8, 0xf00d);
	ASSERT_EQ(2, setups);
	ASSERT_EQ(1, upgrades);
	check_file(S, BIG, RANGE + 8, 0xf00d);
}

/* Shared mappings, read(2) and the server see the same bytes at once */
FUSE_TEST(dax, coherent)
{
	int fd = open_file(C, S, "file", O_RDWR);
	int64_t addr = map_file(C, fd, 2 * RANGE, RW, MAP_SHARED, RANGE);
	uint64_t w = 0x1234;

	check_mem(C, addr, word(BIG, 1));
	ASSERT_EQ(1, setups);
	do_poke(C, addr + 8, 0xabcd);
	ASSERT_EQ(1, upgrades);
	check_read(C, fd, RANGE + 8, 0xabcd);
	check_file(S, BIG, RANGE + 8, 0xabcd);
	do_write(C, fd, RANGE + 16, 0x5678);
	check_mem(C, addr + 16, 0x5678);
	virtiofs_poke(S, RANGE + 24, &w, sizeof(w));
	check_mem(C, addr + 24, w);
	check_read(C, fd, RANGE + 24, w);
	check_mem(C, addr + RANGE, word(BIG, 2));
	ASSERT_EQ(0, call(C, CLIENT_MSYNC, addr, 2 * RANGE, MS_SYNC));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, 2 * RANGE));
}

FUSE_TEST(dax, private_and_fork)
{
	int fd = open_file(C, S, "file", O_RDWR);
	int64_t shared = map_file(C, fd, RANGE, RW, MAP_SHARED, 0);
	int64_t private = map_file(C, fd, RANGE, RW, MAP_PRIVATE, 0);
	struct client child;

	check_mem(C, private, word(BIG, 0));
	do_poke(C, private, 1);
	check_mem(C, private, 1);
	check_mem(C, shared, word(BIG, 0));
	check_file(S, BIG, 0, word(BIG, 0));
	/* a page that was not copied shows what is written */
	check_mem(C, private + 8192, 0);
	do_poke(C, shared + 8192, 2);
	check_mem(C, private + 8192, 2);

	client_fork(C, &child);
	do_poke(&child, shared + 16384, 3);
	check_mem(C, shared + 16384, 3);
	check_file(S, BIG, 16384, 3);
	do_poke(&child, private + 8, 4);
	check_mem(C, private + 8, 0);
	client_exit(&child);
	do_poke(C, shared + 16384, 5);
	check_file(S, BIG, 16384, 5);
}

/* Three times as much as the window holds, by read(2) and write(2) */
FUSE_TEST(dax, reclaim_rw)
{
	int fd = open_file(C, S, "file", O_RDWR), i;

	for (i = 0; i < RANGES; i++)
		check_read(C, fd, i * RANGE, word(BIG, i));
	ASSERT_LE(RANGES - (int)SLOTS, removals);
	for (i = 0; i < RANGES; i++)
		do_write(C, fd, i * RANGE + 8, i);
	for (i = 0; i < RANGES; i++) {
		check_file(S, BIG, i * RANGE + 8, i);
		check_read(C, fd, i * RANGE, word(BIG, i));
		check_read(C, fd, i * RANGE + 8, i);
	}
}

/* The same through a mapping of all of it */
FUSE_TEST(dax, reclaim_mmap)
{
	int fd = open_file(C, S, "file", O_RDWR), i;
	int64_t addr = map_file(C, fd, BIG->size, RW, MAP_SHARED, 0);

	for (i = 0; i < RANGES; i++)
		check_mem(C, addr + i * RANGE, word(BIG, i));
	ASSERT_LE(RANGES - (int)SLOTS, removals);
	for (i = RANGES - 1; i >= 0; i--)
		do_poke(C, addr + i * RANGE + 8, i);
	for (i = 0; i < RANGES; i++) {
		check_mem(C, addr + i * RANGE, word(BIG, i));
		check_mem(C, addr + i * RANGE + 8, i);
		check_file(S, BIG, i * RANGE + 8, i);
	}
}

/* What a submount has in the window is free for others when it ends */
FUSE_TEST(dax, submount)
{
	int fd = open_file(C, S, "sub/inner", O_RDWR), i;

	check_read(C, fd, RANGE, word(INNER, 1));
	do_write(C, fd, 8, 1);
	ASSERT_EQ(2, setups);
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_EQ(0, sys(C, SYS_umount2, path(C, S, "sub"), 0));
	ASSERT_EQ(2, removals);
	check_file(S, INNER, 8, 1);

	/* all of the window, and then some, for another file */
	fd = open_file(C, S, "file", O_RDONLY);
	for (i = 0; i < RANGES; i++)
		check_read(C, fd, i * RANGE, word(BIG, i));
	fd = open_file(C, S, "sub/inner", O_RDONLY);
	check_read(C, fd, 8, 1);
}

#define TAKEN_OUT	"what is mapped with DAX is taken out of the page cache"

/*
 * Others open a file that is mapped, without FOPEN_KEEP_CACHE, or learn that it
 * has changed: the mapping stays as it is.
 */
FUSE_TEST(dax, open_mapped)
{
	int fd = open_file(C, S, "file", O_RDONLY);
	int64_t addr = map_file(C, fd, RANGE, PROT_READ, MAP_SHARED, 0);

	needs_mended(S, TAKEN_OUT);
	check_mem(C, addr, word(BIG, 0));
	open_file(C, S, "file", O_RDONLY);
	check_mem(C, addr, word(BIG, 0));
	ASSERT_EQ(1, setups);
}

FUSE_TEST(dax, grown_while_mapped)
{
	int fd = open_file(C, S, "other", O_RDONLY);
	int64_t addr = map_file(C, fd, RANGE, PROT_READ, MAP_SHARED, 0);

	needs_mended(S, TAKEN_OUT);
	check_mem(C, addr, word(OTHER, 0));
	OTHER->size += RANGE;
	look_again(C, fd, OTHER->size);
	check_mem(C, addr, word(OTHER, 0));
	ASSERT_EQ(1, setups);
	check_read(C, fd, 2 * RANGE, 0);
}

/* By chmod(2), whose answer has attributes, too */
static void change_mode(struct client *c, int fd, uint64_t size)
{
	CHECK(0, sys(c, SYS_fchmod, fd, 0600));
	CHECK(size, sys(c, SYS_lseek, fd, 0, SEEK_END));
}

static void shrink(struct server *s, struct client *c,
		   void (*look)(struct client *c, int fd, uint64_t size))
{
	int fd = open_file(c, s, "other", O_RDWR);
	int64_t addr = map_file(c, fd, 2 * RANGE, RW, MAP_SHARED, 0);
	int64_t private = map_file(c, fd, 2 * RANGE, RW, MAP_PRIVATE, 0);

	needs_mended(s, TAKEN_OUT);
	check_mem(c, addr, word(OTHER, 0));
	do_poke(c, addr + 4096, 1);
	check_mem(c, addr + RANGE, word(OTHER, 1));
	do_poke(c, private + RANGE, 2);
	resize(s, OTHER, 4096);
	look(c, fd, 4096);
	check_mem(c, addr, word(OTHER, 0));
	check_bus_error(c, addr + 4096);
	check_bus_error(c, addr + RANGE);
	check_bus_error(c, private + RANGE);
	CHECK(0, sys(c, SYS_pread64, fd, ARG(0), 8, 4096));
	/* and longer again */
	resize(s, OTHER, 2 * RANGE);
	look(c, fd, 2 * RANGE);
	check_mem(c, addr + 4096, 0);
	check_mem(c, addr + RANGE, 0);
	check_mem(c, private + RANGE, 0);
	do_poke(c, addr + RANGE, 3);
	check_file(s, OTHER, RANGE, 3);
}

/* The server's attributes say that others have truncated it */
FUSE_TEST(dax, shrunk_while_mapped)
{
	HERE(shrink(S, C, look_again));
}

FUSE_TEST(dax, shrunk_while_mapped_by_chmod)
{
	HERE(shrink(S, C, change_mode));
}

/* O_CREAT finds what another mapping shows already */
FUSE_TEST(dax, created_while_mapped)
{
	int fd = open_file(C, S, "other", O_RDWR), again;
	int64_t addr = map_file(C, fd, RANGE, RW, MAP_SHARED, 0);
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = {
		.entry = { .nodeid = OTHER->ino, .attr_valid = 3600 },
		.open = { .fh = 1234 },
	};

	needs_mended(S, TAKEN_OUT);
	check_mem(C, addr, word(OTHER, 0));
	S->manual = 1ULL << FUSE_CREATE;
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "new"), O_CREAT | O_RDWR,
		  0666);
	fill_attr(&out.entry.attr, OTHER);
	reply(S, take(S, FUSE_CREATE), &out, sizeof(out));
	again = call_end(C);
	ASSERT_LE(0, again);
	check_mem(C, addr, word(OTHER, 0));

	/* that it is truncated, too, is said in one request */
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "newer"),
		  O_CREAT | O_TRUNC | O_RDWR, 0666);
	resize(S, OTHER, 0);
	fill_attr(&out.entry.attr, OTHER);
	out.open.fh++;
	reply(S, take(S, FUSE_CREATE), &out, sizeof(out));
	ASSERT_LE(0, call_end(C));
	check_bus_error(C, addr);
	do_write(C, again, 0, 7);
	check_mem(C, addr, 7);
}

FUSE_TEST(dax, copied_while_mapped)
{
	int from = open_file(C, S, "file", O_RDONLY);
	int to = open_file(C, S, "other", O_RDWR);
	int64_t addr = map_file(C, to, 2 * RANGE, RW, MAP_SHARED, 0);

	needs_mended(S, TAKEN_OUT);
	check_mem(C, addr, word(OTHER, 0));
	check_mem(C, addr + RANGE, word(OTHER, 1));
	ASSERT_EQ(8192, sys(C, SYS_copy_file_range, from, 0, to, 0, 8192, 0));
	check_mem(C, addr, word(BIG, 0));
	check_mem(C, addr + RANGE, word(OTHER, 1));
	check_read(C, to, 0, word(BIG, 0));
}

/* Behind the new end there is nothing, and zeros when it moves up again */
FUSE_TEST(dax, truncate)
{
	int fd = open_file(C, S, "file", O_RDWR);
	int64_t addr = map_file(C, fd, 2 * RANGE, RW, MAP_SHARED, 0);

	do_poke(C, addr + 4096, 7);
	do_poke(C, addr + RANGE, 8);
	ASSERT_EQ(0, sys(C, SYS_ftruncate, fd, 4096));
	ASSERT_EQ(4096, BIG->size);
	check_mem(C, addr, word(BIG, 0));
	check_bus_error(C, addr + 4096);
	check_bus_error(C, addr + RANGE);
	ASSERT_EQ(0, sys(C, SYS_ftruncate, fd, 2 * RANGE));
	check_mem(C, addr, word(BIG, 0));
	check_mem(C, addr + 4096, 0);
	check_mem(C, addr + RANGE, 0);
}

/* The same by open(2), which asks the server */
FUSE_TEST(dax, open_truncates)
{
	int fd = open_file(C, S, "other", O_RDWR), again;
	int64_t addr = map_file(C, fd, 2 * RANGE, RW, MAP_SHARED, 0);
	struct fuse_open_out out = { .fh = 1234 };
	struct request *r;

	do_poke(C, addr, 7);
	check_mem(C, addr + RANGE, word(OTHER, 1));
	S->manual = 1ULL << FUSE_OPEN;
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "other"),
		  O_TRUNC | O_RDWR, 0);
	r = take(S, FUSE_OPEN);
	ASSERT_EQ(O_TRUNC, BODY(r, struct fuse_open_in)->flags & O_TRUNC);
	resize(S, OTHER, 0);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	again = call_end(C);
	ASSERT_LE(0, again);
	check_bus_error(C, addr);
	check_bus_error(C, addr + RANGE);
	do_write(C, again, 0, 9);
	check_mem(C, addr, 9);
	check_mem(C, addr + 8, 0);
}

/* A write that makes a file longer is a message, and is seen in mappings */
FUSE_TEST(dax, extend)
{
	int fd = open_file(C, S, "other", O_RDWR);
	int64_t addr = map_file(C, fd, 4 * RANGE, RW, MAP_SHARED, 0);
	uint64_t end = OTHER->size;
	struct request *r;

	check_mem(C, addr + end - 8, 0);
	S->manual = 1ULL << FUSE_WRITE;
	sys_start(C, SYS_pwrite64, fd, in(C, "12345678", 8), 8, end);
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(end, r->write.offset);
	serve(S, r);
	ASSERT_EQ(8, call_end(C));
	check_file(S, OTHER, end, 0x3837363534333231);
	check_mem(C, addr + end, 0x3837363534333231);
	/* inside there are no messages */
	do_write(C, fd, end, 1);
	check_mem(C, addr + end, 1);
}

FUSE_TEST(dax, punch)
{
	int fd = open_file(C, S, "file", O_RDWR);
	int64_t addr = map_file(C, fd, RANGE, RW, MAP_SHARED, 0);

	do_poke(C, addr + 4096, 9);
	do_poke(C, addr + 8192, 10);
	ASSERT_EQ(0, sys(C, SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE |
			 FALLOC_FL_KEEP_SIZE, 4096, 4096));
	check_mem(C, addr + 4096, 0);
	check_mem(C, addr + 8192, 10);
	check_read(C, fd, 4096, 0);
}

/* The server's errors: to whoever reads or writes, a SIGBUS to who touches */
FUSE_TEST(dax, setup_errors)
{
	static const int errors[] = { EIO, ENOMEM, EPERM, ENOSYS };
	int fd = open_file(C, S, "file", O_RDWR);
	/* too small for a huge page, which would be asked for first */
	int64_t addr = map_file(C, fd, 4096, RW, MAP_SHARED, 0);
	uint64_t w = 1;
	size_t i;

	S->manual = 1ULL << FUSE_SETUPMAPPING;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		sys_start(C, SYS_pread64, fd, ARG(0), 8, 0);
		reply_error(S, take(S, FUSE_SETUPMAPPING), -errors[i]);
		ASSERT_EQ(-errors[i], call_end(C));
		sys_start(C, SYS_pwrite64, fd, in(C, &w, 8), 8, 0);
		reply_error(S, take(S, FUSE_SETUPMAPPING), -errors[i]);
		ASSERT_EQ(-errors[i], call_end(C));
	}
	call_start(C, CLIENT_PEEK, addr, 8);
	reply_error(S, take(S, FUSE_SETUPMAPPING), -EIO);
	ASSERT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));

	/* what could be read remains so when it cannot be written to */
	S->manual = 0;
	check_read(C, fd, 0, word(BIG, 0));
	S->manual = 1ULL << FUSE_SETUPMAPPING;
	sys_start(C, SYS_pwrite64, fd, in(C, &w, 8), 8, 8);
	reply_error(S, take(S, FUSE_SETUPMAPPING), -EACCES);
	ASSERT_EQ(-EACCES, call_end(C));
	S->manual = 0;
	check_read(C, fd, 0, word(BIG, 0));
	check_read(C, fd, 8, 0);
	do_write(C, fd, 8, 2);
	check_file(S, BIG, 8, 2);
}

FUSE_TEST(dax, setup_malformed)
{
	int fd = open_file(C, S, "file", O_RDWR);
	enum bad_reply how;

	S->manual = 1ULL << FUSE_SETUPMAPPING;
	for (how = 0; how < BAD_REPLIES; how++) {
		struct request *r;
		int err;

		if (how == BAD_SHORT)
			continue;
		sys_start(C, SYS_pread64, fd, ARG(0), 8, 0);
		r = take(S, FUSE_SETUPMAPPING);
		err = reply_bad(S, r, how, NULL, 0);
		ASSERT_EQ(err, call_end(C));
	}
	S->manual = 0;
	check_read(C, fd, 0, word(BIG, 0));
}

/* A range whose removal fails is used again nevertheless */
FUSE_TEST(dax, removal_errors)
{
	int fd = open_file(C, S, "file", O_RDONLY), i;

	S->manual = 1ULL << FUSE_REMOVEMAPPING;
	for (i = 0; i < RANGES; i++) {
		sys_start(C, SYS_pread64, fd, ARG(0), 8, i * RANGE);
		while (!serve_until(C->sock, 50)) {
			struct request *r;
			unsigned int slot;

			if (!S->inbox)
				continue;
			r = take(S, FUSE_REMOVEMAPPING);
			slot = ((const struct fuse_removemapping_one *)
				AFTER(r, struct fuse_removemapping_in))->moffset /
				RANGE;
			slots[slot].ino = 0;
			removals++;
			reply_error(S, r, -EIO);
		}
		ASSERT_EQ(8, call_end(C));
		ASSERT_EQ(word(BIG, i), get_word(C));
	}
	ASSERT_LE(RANGES - (int)SLOTS, removals);
	/* and the worker's */
	while (serve_until(-1, 200), S->inbox) {
		removals++;
		reply_error(S, take(S, FUSE_REMOVEMAPPING), -EIO);
	}
}

/* A page of the first range, that then is in a pipe: its end to read from */
static int pin_first(struct client *c, int fd)
{
	int64_t addr = map_file(c, fd, 4096, RW, MAP_SHARED, 0);
	struct iovec iov = { (void *)addr, 4096 };
	int *ends, from, to;

	check_mem(c, addr, word(BIG, 0));
	CHECK(0, sys(c, SYS_pipe2, ARG(0), 0));
	ends = out(c, ARG(0));
	from = ends[0];
	to = ends[1];
	CHECK(4096, sys(c, SYS_vmsplice, to, in(c, &iov, sizeof(iov)), 1, 0));
	return from;
}

static void unpin(struct client *c, int from)
{
	CHECK(4096, sys(c, SYS_read, from, ARG(0), 4096));
	CHECK(word(BIG, 0), get_word(c));
}

#define USED_TWICE	"a range of the window is used twice"

/* Read ranges, from that of number @i on, until it has to wait: for which one? */
static int read_until_stuck(struct client *c, int fd, int i)
{
	for (; i < RANGES; i++) {
		sys_start(c, SYS_pread64, fd, ARG(0), 8, i * RANGE);
		if (!serve_until(c->sock, 1000))
			break;
		CHECK(8, call_end(c));
	}
	NEED(i < RANGES);
	return i;
}

#define pin_first(...)	HERE(pin_first(__VA_ARGS__))
#define unpin(...)	HERE(unpin(__VA_ARGS__))
#define read_until_stuck(...) HERE(read_until_stuck(__VA_ARGS__))

/*
 * A page of the window that is in a pipe: its range is not given to another, and
 * the file not truncated, before it has left the pipe.  Who waits for that can be
 * killed.
 */
FUSE_TEST(dax, pinned)
{
	int fd = open_file(C, S, "file", O_RDWR), from = pin_first(C, fd), i;
	struct client child;

	needs_mended(S, USED_TWICE);
	client_fork(C, &child);
	S->keep = FUSE_SETATTR;
	sys_start(&child, SYS_ftruncate, fd, 0);
	client_sleeps(&child);
	ASSERT_FALSE(serve_until(child.sock, 100));
	client_kill(&child, SIGKILL);
	client_gone(&child);
	quiet(S);
	S->keep = 0;

	client_fork(C, &child);
	i = read_until_stuck(&child, fd, 1);
	/* it wants the first range */
	ASSERT_LE((int)SLOTS, i);
	client_kill(&child, SIGKILL);
	client_gone(&child);
	ASSERT_EQ(FILE_INO, slots[0].ino);
	ASSERT_EQ(0, slots[0].offset);

	client_fork(C, &child);
	sys_start(&child, SYS_pread64, fd, ARG(0), 8, i * RANGE);
	unpin(C, from);
	ASSERT_EQ(8, call_end(&child));
	ASSERT_EQ(word(BIG, i), get_word(&child));
	client_exit(&child);
	for (i = 0; i < RANGES; i++)
		check_read(C, fd, i * RANGE, word(BIG, i));
}

/* Two wait for such a range: one gets it, and the other one another */
FUSE_TEST(dax, pinned_for_two)
{
	int fd = open_file(C, S, "file", O_RDWR), from = pin_first(C, fd);
	struct client child[2];
	int i, stuck[2];

	needs_mended(S, USED_TWICE);
	for (i = 0; i < 2; i++) {
		client_fork(C, &child[i]);
		stuck[i] = read_until_stuck(&child[i], fd, i ? stuck[0] + 1 : 1);
	}
	unpin(C, from);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(8, call_end(&child[i]));
		ASSERT_EQ(word(BIG, stuck[i]), get_word(&child[i]));
		client_exit(&child[i]);
	}
	for (i = 0; i < RANGES; i++)
		check_read(C, fd, i * RANGE, word(BIG, i));
}

/* What is in the window remains readable when the server is gone */
FUSE_TEST(dax, dies)
{
	int fd = open_file(C, S, "file", O_RDWR);
	int64_t addr = map_file(C, fd, 2 * RANGE, RW, MAP_SHARED, 0);
	uint64_t w = 1;

	check_mem(C, addr, word(BIG, 0));
	/* in the middle of a request */
	S->manual = 1ULL << FUSE_SETUPMAPPING;
	sys_start(C, SYS_pread64, fd, ARG(0), 8, 2 * RANGE);
	take(S, FUSE_SETUPMAPPING);
	virtiofs_retire(S);
	S->checked = false;
	ASSERT_EQ(-ENOTCONN, call_end(C));
	check_mem(C, addr, word(BIG, 0));
	check_read(C, fd, 0, word(BIG, 0));
	check_bus_error(C, addr + RANGE);
	ASSERT_EQ(-ENOTCONN, sys(C, SYS_pwrite64, fd, in(C, &w, 8), 8,
				 3 * RANGE));
	ASSERT_EQ(-ENOTCONN, sys(C, SYS_openat, AT_FDCWD,
				 path(C, S, "other"), O_RDONLY, 0));
}

/* dax=never and dax=inode; what a device without a window makes of all */
FIXTURE(mode)
{
	struct server s;
	struct client c;
};

FIXTURE_VARIANT(mode)
{
	const char *tag;
	const char *options;
	const char *dax;	/* the file that is */
};

FIXTURE_VARIANT_ADD(mode, never) {
	.tag = VIRTIOFS_DAX, .options = "dax=never",
};

FIXTURE_VARIANT_ADD(mode, inode) {
	.tag = VIRTIOFS_DAX, .options = "dax=inode", .dax = "file",
};

FIXTURE_VARIANT_ADD(mode, none) {
	.tag = VIRTIOFS_DAX, .dax = "file",
};

FIXTURE_VARIANT_ADD(mode, plain) {
	.tag = VIRTIOFS_PLAIN, .options = "dax=inode",
};

FIXTURE_SETUP(mode)
{
	self->s = (struct server){
		.transport = &virtiofs_transport,
		.tag = variant->tag,
		.options = variant->options,
		.serve = serve,
		.init_flags = FUSE_HAS_INODE_DAX | FUSE_MAP_ALIGNMENT,
	};
	attr_valid = 3600;
	SKIP_IF(fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT));
	fill_files(S);
}

FIXTURE_TEARDOWN(mode)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

/* "file" has FUSE_ATTR_DAX, "small" has not */
FUSE_TEST(mode, read)
{
	int fd = open_file(C, S, "file", O_RDWR);
	int small = open_file(C, S, "small", O_RDWR);

	check_read(C, fd, RANGE, word(BIG, 1));
	ASSERT_EQ(!!variant->dax, setups);
	do_write(C, fd, RANGE + 8, 77);
	check_read(C, fd, RANGE + 8, 77);
	ASSERT_EQ(!!variant->dax, setups);
	check_read(C, small, 0, word(SMALL, 0));
	ASSERT_EQ(!!variant->dax, setups);
}

/* The server changes its mind: that counts when nobody has the file open */
FUSE_TEST(mode, changed)
{
	int fd = open_file(C, S, "file", O_RDONLY), before;

	check_read(C, fd, 0, word(BIG, 0));
	BIG->flags ^= FUSE_ATTR_DAX;
	look_again(C, fd, BIG->size);
	check_read(C, fd, RANGE, word(BIG, 1));
	ASSERT_EQ(variant->dax ? 2 : 0, setups);
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_EQ(setups, removals);
	before = setups;
	fd = open_file(C, S, "file", O_RDONLY);
	check_read(C, fd, 0, word(BIG, 0));
	ASSERT_EQ(before, setups);
	BIG->flags ^= FUSE_ATTR_DAX;
	look_again(C, fd, BIG->size);
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	fd = open_file(C, S, "file", O_RDONLY);
	check_read(C, fd, 0, word(BIG, 0));
	ASSERT_EQ(before + !!variant->dax, setups);
}

/* mount(2) refuses what it does not know or the device has not */
FUSE_TEST(mode, refused)
{
	static const char *const options[] = {
		"dax=sometimes", "dax=", "nodax", "rootmode=40000", "fd=3",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		ASSERT_EQ(-EINVAL, sys(C, SYS_mount, str(C, variant->tag),
				       path(C, S, ""), str(C, "virtiofs"), 0,
				       str(C, options[i])));
	ASSERT_EQ(-EINVAL, sys(C, SYS_mount, str(C, "no such tag"),
			       path(C, S, ""), str(C, "virtiofs"), 0, 0));
}

/* What is said of DAX in FUSE_INIT */
FIXTURE(init)
{
	struct server s;
	struct client c;
};

FIXTURE_VARIANT(init)
{
	const char *tag;
	const char *options;
	uint64_t offered;
};

FIXTURE_VARIANT_ADD(init, always) {
	.tag = VIRTIOFS_DAX, .options = "dax=always",
	.offered = FUSE_MAP_ALIGNMENT,
};

FIXTURE_VARIANT_ADD(init, inode) {
	.tag = VIRTIOFS_DAX, .options = "dax=inode",
	.offered = FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX,
};

FIXTURE_VARIANT_ADD(init, never) {
	.tag = VIRTIOFS_DAX, .options = "dax=never",
};

FIXTURE_VARIANT_ADD(init, plain) {
	.tag = VIRTIOFS_PLAIN,
	.offered = FUSE_HAS_INODE_DAX,
};

FIXTURE_SETUP(init)
{
	self->s = (struct server){
		.transport = &virtiofs_transport,
		.tag = variant->tag,
		.options = variant->options,
		.serve = serve,
		.manual_init = true,
	};
	attr_valid = 3600;
	SKIP_IF(fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT));
	fill_files(S);
}

FIXTURE_TEARDOWN(init)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

static void answer_init(struct server *s, uint64_t offered, uint16_t alignment)
{
	const uint64_t all = FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX |
			     FUSE_SUBMOUNTS;
	struct request *r = server_take(s, FUSE_INIT);
	const struct fuse_init_in *in = BODY(r, struct fuse_init_in);
	const uint64_t flags = FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
		.flags = flags,
		.flags2 = flags >> 32,
		.map_alignment = alignment,
	};

	CHECK(offered | FUSE_SUBMOUNTS,
	      (in->flags | (uint64_t)in->flags2 << 32) & all);
	NEED(!reply(s, r, &out, sizeof(out)));
}

FUSE_TEST(init, request)
{
	answer_init(S, variant->offered, 21);
	check_read(C, open_file(C, S, "small", O_RDONLY), 0, word(SMALL, 0));
}

/* Coarser than ranges are */
FUSE_TEST(init, alignment)
{
	int64_t ret = variant->offered & FUSE_MAP_ALIGNMENT ? -ECONNREFUSED : 0;

	answer_init(S, variant->offered, 22);
	S->checked = false;
	/* what waits for FUSE_INIT may be sent in any case */
	sys(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	ASSERT_EQ(ret, sys(C, SYS_newfstatat, AT_FDCWD, path(C, S, "small"),
			   ARG(0), 0));
}

TEST_HARNESS_MAIN
