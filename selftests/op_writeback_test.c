// SPDX-License-Identifier: GPL-2.0
/*
 * WRITE of what was dirty in the page cache, and what must wait for it: mmap(2)
 * and FUSE_WRITEBACK_CACHE against SETATTR, FSYNC, FLUSH, READ and each other
 */
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define PAGE	((uint64_t)getpagesize())
#define SIZE	(FILE_PAGES * PAGE)

static void reply_written(struct server *s, struct request *r)
{
	struct fuse_write_out out = { .size = r->write.size };

	NEED(!reply(s, r, &out, sizeof(out)));
}

/* It comes from nobody */
static struct request *check_writeback(struct server *s, uint64_t offset,
				       uint32_t size)
{
	struct request *r = op_check(s, NULL, FUSE_WRITE, 0, 0);

	NEED(BODY_LEN(r) == sizeof(r->write) + size);
	NEED(r->write.fh == s->fh);
	NEED(r->write.offset == offset);
	NEED(r->write.size == size);
	NEED(r->write.write_flags == FUSE_WRITE_CACHE);
	NEED(!r->write.lock_owner && !r->write.padding && !r->write.flags);
	return r;
}

#define take_writeback(s, offset, size) \
	HERE(check_writeback(s, offset, size))

/* Times that the kernel has kept are for the server, too */
static void take_times(struct server *s, uint64_t size)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	struct request *r = server_take(s, FUSE_SETATTR);
	const struct fuse_setattr_in *in = BODY(r, struct fuse_setattr_in);

	NEED((in->valid & ~(uint32_t)FATTR_FH) == (FATTR_MTIME | FATTR_CTIME));
	NEED(!(in->valid & FATTR_FH) || in->fh == s->fh);
	NEED(in->mtime && in->ctime);
	op_attr(&out.attr, s->ino, S_IFREG | 0666, size);
	out.attr.mtime = in->mtime;
	out.attr.ctime = in->ctime;
	NEED(!reply(s, r, &out, sizeof(out)));
}

/* The call of @c ends; its file's times may be due before that */
static int64_t settle(struct server *s, struct client *c, uint64_t size)
{
	s->keep = FUSE_SETATTR;
	while (!serve_until(c->sock, 5))
		if (s->inbox)
			take_times(s, size);
	s->keep = 0;
	return client_wait(c);
}

FUSE_DATA_FIXTURE(writeback, .init_flags = FUSE_WRITEBACK_CACHE,
		  .max_write = 8192);
VIRTIOFS_VARIANT(writeback);

/* Dirty whole pages */
static void dirty(struct client *c, int fd, uint64_t first, unsigned int n)
{
	while (n--)
		NEED(sys(c, SYS_pwrite64, fd, ARG(0), PAGE,
			 PAGE * (first + n)) == (int64_t)PAGE);
}

FUSE_TEST(writeback, fsync)
{
	struct request *r[3];
	int fd, i;

	S->open_flags = FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDWR);
	dirty(C, fd, 0, 5);
	dirty(C, fd, 7, 1);
	server_quiet(S);
	sys_start(C, SYS_fsync, fd);
	/* as much at a time as there may be, and all before FUSE_FSYNC */
	r[0] = take_writeback(S, 0, 8192);
	r[1] = take_writeback(S, 8192, 8192);
	r[2] = take_writeback(S, 16384, 5 * PAGE - 16384);
	reply_written(S, take_writeback(S, 7 * PAGE, PAGE));
	server_quiet(S);
	for (i = 2; i >= 0; i--)
		reply_written(S, r[i]);
	HERE(take_times(S, SIZE));
	r[0] = op_take(S, C, FUSE_FSYNC, 0, sizeof(struct fuse_fsync_in));
	ASSERT_EQ(0, reply(S, r[0], NULL, 0));
	ASSERT_EQ(0, call_end(C));
	/* once */
	ASSERT_EQ(0, sys(C, SYS_fsync, fd));
}

/* A part of a page: the rest is read first; not so at the end of the file */
FUSE_TEST(writeback, part)
{
	struct request *r;
	char *data;
	int fd;

	fd = client_open(C, S, O_RDWR);
	sys_start(C, SYS_pwrite64, fd, str(C, "new"), 3, 10);
	r = op_take(S, C, FUSE_READ, 0, sizeof(r->read));
	ASSERT_EQ(0, r->read.offset);
	ASSERT_EQ(0, reply_error(S, r, -EIO));
	ASSERT_EQ(-EIO, call_end(C));
	sys_start(C, SYS_pwrite64, fd, str(C, "new"), 3, 10);
	r = take(S, FUSE_READ);
	data = calloc(1, r->read.size);
	strcpy(data, "what is here");
	ASSERT_EQ(0, reply(S, r, data, r->read.size));
	free(data);
	/* on both sides of it, it may ask for the second separately */
	S->io = true;
	ASSERT_EQ(3, call_end(C));
	S->io = false;
	ASSERT_EQ(13, sys(C, SYS_pread64, fd, ARG(0), 13, 0));
	ASSERT_EQ(0, memcmp("what is henew", out(C, ARG(0)), 13));

	ASSERT_EQ(4, sys(C, SYS_pwrite64, fd, str(C, "more"), 4, SIZE));
	ASSERT_EQ(SIZE + 4, cached_size(C, fd));
	ASSERT_EQ(4, sys(C, SYS_pread64, fd, ARG(0), 100, SIZE));
	S->io = true;
	sys_start(C, SYS_fsync, fd);
	ASSERT_EQ(0, settle(S, C, SIZE + 4));
}

/* An error of a write that nobody waits for: whoever asks next is told, once */
FUSE_TEST(writeback, errors)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT };
	enum bad_reply how;
	struct request *r;
	int fd, other, i;

	fd = client_open(C, S, O_RDWR);
	other = sys(C, SYS_dup, fd);
	for (i = 0; i < 3; i++) {
		dirty(C, fd, 0, 1);
		sys_start(C, SYS_fsync, fd);
		reply_error(S, take_writeback(S, 0, PAGE), errors[i]);
		ASSERT_EQ(errors[i], call_end(C));
		sys_start(C, SYS_fsync, fd);
		ASSERT_EQ(0, settle(S, C, SIZE));
	}
	for (how = 0; how < BAD_REPLIES; how++) {
		struct fuse_write_out out = { .size = PAGE };

		dirty(C, fd, 0, 1);
		sys_start(C, SYS_fsync, fd);
		r = take_writeback(S, 0, PAGE);
		i = reply_bad(S, r, how, &out, sizeof(out));
		ASSERT_EQ(i, call_end(C));
	}
	/* close(2) writes, too */
	dirty(C, fd, 0, 1);
	sys_start(C, SYS_close, other);
	reply_error(S, take_writeback(S, 0, PAGE), -ENOSPC);
	ASSERT_EQ(-ENOSPC, settle(S, C, SIZE));
	sys_start(C, SYS_close, fd);
	ASSERT_EQ(0, settle(S, C, SIZE));
}

static void start_truncate(struct client *c, int fd, uint64_t size)
{
	sys_start(c, SYS_ftruncate, fd, size);
}

static void reply_truncated(struct server *s, struct request *r, uint64_t size)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	const struct fuse_setattr_in *in = BODY(r, struct fuse_setattr_in);

	NEED((in->valid & (FATTR_SIZE | FATTR_FH)) == (FATTR_SIZE | FATTR_FH));
	NEED(in->size == size);
	op_attr(&out.attr, s->ino, S_IFREG | 0666, size);
	NEED(!reply(s, r, &out, sizeof(out)));
}

/* Truncation waits for writes that the server has, and holds up the others */
FUSE_TEST(writeback, truncate)
{
	struct client other;
	struct request *r;
	int64_t addr;
	int fd;

	fd = client_open(C, S, O_RDWR);
	client_fork(C, &other);
	dirty(C, fd, 0, 2);
	sys_start(&other, SYS_sync_file_range, fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	r = take_writeback(S, 0, 8192);
	ASSERT_EQ(0, client_wait(&other));
	start_truncate(C, fd, PAGE + 100);
	ASSERT_TRUE(stuck(C));
	server_quiet(S);
	reply_written(S, r);
	r = op_take(S, C, FUSE_SETATTR, 0, sizeof(struct fuse_setattr_in));
	HERE(reply_truncated(S, r, PAGE + 100));
	ASSERT_EQ(0, call_end(C));

	/* from mapped memory, as write(2) would wait by itself */
	S->io = true;
	addr = call(C, CLIENT_MMAP, 0, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_EQ(2 * PAGE, call(C, CLIENT_FILL, addr, 2 * PAGE, 'x'));
	S->io = false;
	start_truncate(C, fd, 10);
	/* the pages are dirty still, and not written while the size is changed */
	r = op_take(S, C, FUSE_SETATTR, 0, sizeof(struct fuse_setattr_in));
	sys_start(&other, SYS_sync_file_range, fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	ASSERT_EQ(0, client_wait(&other));
	server_quiet(S);
	HERE(reply_truncated(S, r, 10));
	/* of the two pages there are 10 bytes left */
	r = take_writeback(S, 0, 10);
	ASSERT_EQ(0, memcmp("xxxxxxxxxx", AFTER(r, struct fuse_write_in), 10));
	reply_written(S, r);
	ASSERT_EQ(0, call_end(C));

	/* refused: all is as before */
	start_truncate(C, fd, 5);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_SETATTR), -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
	ASSERT_EQ(10, cached_size(C, fd));
	sys_start(C, SYS_fsync, fd);
	ASSERT_EQ(0, settle(S, C, 10));
	client_exit(&other);
}

/* A page that is being written, is not written to */
FUSE_TEST(writeback, stable)
{
	struct client other;
	struct request *r;
	int64_t addr;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "a", 1, addr));
	S->io = false;
	/* What follows the reply may come before the other one's store returns */
	S->keep = FUSE_SETATTR;
	client_fork(C, &other);
	call_start(&other, CLIENT_MSYNC, addr, PAGE, MS_SYNC);
	r = take_writeback(S, 0, PAGE);
	client_send(C, CLIENT_POKE, (int64_t[7]){ addr }, "b", 1, -1);
	ASSERT_TRUE(stuck(C));
	ASSERT_EQ('a', *AFTER(r, struct fuse_write_in));
	reply_written(S, r);
	ASSERT_EQ(1, call_end(C));
	ASSERT_EQ(0, settle(S, &other, SIZE));
	call_start(C, CLIENT_MSYNC, addr, PAGE, MS_SYNC);
	r = take_writeback(S, 0, PAGE);
	ASSERT_EQ('b', *AFTER(r, struct fuse_write_in));
	reply_written(S, r);
	ASSERT_EQ(0, settle(S, C, SIZE));
	client_exit(&other);
}

/* Shared mappings without FUSE_WRITEBACK_CACHE */
FUSE_DATA_FIXTURE(mapped);
VIRTIOFS_VARIANT(mapped);

/* What is mapped is what is read and written */
FUSE_TEST(mapped, coherent)
{
	int64_t shared, private;
	struct request *r;
	int fd;

	S->open_flags = FOPEN_IO_URING_ZERO_COPY;
	S->io = true;
	fd = client_open(C, S, O_RDWR);
	shared = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, PAGE);
	private = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_PRIVATE, fd, PAGE);
	ASSERT_EQ(PAGE, call(C, CLIENT_DIFF, shared, PAGE, 2));
	ASSERT_EQ(PAGE, call(C, CLIENT_DIFF, private, PAGE, 2));
	S->io = false;
	/* mapped, then read */
	ASSERT_EQ(3, call_data(C, CLIENT_POKE, "abc", 3, shared));
	ASSERT_EQ(3, sys(C, SYS_pread64, fd, ARG(0), 3, PAGE));
	ASSERT_EQ(0, memcmp("abc", out(C, ARG(0)), 3));
	ASSERT_EQ(3, call(C, CLIENT_PEEK, private, 3));
	ASSERT_EQ(0, memcmp("abc", C->answer.data, 3));
	/* written, then seen where it is mapped */
	sys_start(C, SYS_pwrite64, fd, str(C, "def"), 3, PAGE + 3);
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(0, r->write.write_flags);
	reply_written(S, r);
	ASSERT_EQ(3, call_end(C));
	ASSERT_EQ(6, call(C, CLIENT_PEEK, shared, 6));
	ASSERT_EQ(0, memcmp("abcdef", C->answer.data, 6));
	/* private is private */
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "X", 1, private));
	ASSERT_EQ(1, call(C, CLIENT_PEEK, shared, 1));
	ASSERT_EQ('a', C->answer.data[0]);

	/* the last chance to write it */
	call_start(C, CLIENT_MUNMAP, shared, PAGE);
	r = take_writeback(S, PAGE, PAGE);
	ASSERT_EQ(0, memcmp("abcdef", AFTER(r, struct fuse_write_in), 6));
	reply_written(S, r);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, private, PAGE));
}

/* FUSE_RELEASE waits for the end of a mapping */
FUSE_TEST(mapped, release)
{
	int64_t addr;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
	S->manual = 1ULL << FUSE_RELEASE;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "a", 1, addr));
	server_quiet(S);
	S->io = false;
	call_start(C, CLIENT_MUNMAP, addr, PAGE);
	reply_written(S, take_writeback(S, 0, PAGE));
	reply(S, op_take(S, NULL, FUSE_RELEASE, 0, 0), NULL, 0);
	ASSERT_EQ(0, call_end(C));
}

/* An open file without FOPEN_KEEP_CACHE drops the pages: dirty ones are written */
FUSE_TEST(mapped, launder)
{
	struct client other;
	struct request *r;
	int64_t addr;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "a", 1, addr));
	S->io = false;
	client_fork(C, &other);
	sys_start(&other, SYS_openat, AT_FDCWD, str(&other, S->path), O_RDONLY);
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(FUSE_WRITE_CACHE, r->write.write_flags);
	ASSERT_EQ('a', *AFTER(r, struct fuse_write_in));
	ASSERT_TRUE(stuck(&other));
	reply_written(S, r);
	ASSERT_LE(0, client_wait(&other));
	client_exit(&other);
	call_start(C, CLIENT_PEEK, addr, 1);
	reply_data(S, take(S, FUSE_READ), PAGE);
	ASSERT_EQ(1, call_end(C));
}

/* The server says that what it is asked to write cannot be: msync(2) tells */
FUSE_TEST(mapped, error)
{
	int64_t addr;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "a", 1, addr));
	S->io = false;
	call_start(C, CLIENT_MSYNC, addr, PAGE, MS_SYNC);
	reply_error(S, take_writeback(S, 0, PAGE), -ENOSPC);
	ASSERT_EQ(-ENOSPC, call_end(C));
	ASSERT_EQ(0, call(C, CLIENT_MSYNC, addr, PAGE, MS_SYNC));
}

/* Files without a cache can be mapped privately, and shared if the server says */
FUSE_TEST(mapped, direct)
{
	int64_t addr;
	int fd;

	S->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(C, S, O_RDWR);
	ASSERT_EQ(-ENODEV, call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0));
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_PRIVATE, fd, 0);
	ASSERT_LT(0, addr);
	call_start(C, CLIENT_PEEK, addr, 10);
	reply_data(S, take(S, FUSE_READ), PAGE);
	ASSERT_EQ(10, call_end(C));
	ASSERT_TRUE(right_data(C, 10, 0));
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "a", 1, addr));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
}

FUSE_OP_FIXTURE(direct_map, .init_flags = FUSE_DIRECT_IO_ALLOW_MMAP);

FUSE_TEST(direct_map, coherent)
{
	struct request *r;
	int64_t addr;
	int fd;

	S->open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_LT(0, addr);
	S->io = true;
	ASSERT_EQ(3, call_data(C, CLIENT_POKE, "abc", 3, addr));
	S->io = false;

	/* a direct read: the server has to have the mapped data first */
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 0);
	r = take_writeback(S, 0, PAGE);
	ASSERT_EQ(0, memcmp("abc", AFTER(r, struct fuse_write_in), 3));
	reply_written(S, r);
	reply_data(S, take(S, FUSE_READ), 100);
	ASSERT_EQ(100, call_end(C));
	ASSERT_TRUE(right_data(C, 100, 0));

	/* a direct write: what is mapped is read anew */
	ASSERT_EQ(3, call_data(C, CLIENT_POKE, "def", 3, addr));
	sys_start(C, SYS_pwrite64, fd, ARG(0), 100, 0);
	r = take_writeback(S, 0, PAGE);
	ASSERT_EQ(0, memcmp("def", AFTER(r, struct fuse_write_in), 3));
	reply_written(S, r);
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(FUSE_WRITE_LOCKOWNER, r->write.write_flags);
	reply_written(S, r);
	ASSERT_EQ(100, call_end(C));
	call_start(C, CLIENT_PEEK, addr, 100);
	reply_data(S, take(S, FUSE_READ), PAGE);
	ASSERT_EQ(100, call_end(C));
	ASSERT_TRUE(right_data(C, 100, 0));

	/* that cannot be written, is the reader's error */
	ASSERT_EQ(3, call_data(C, CLIENT_POKE, "ghi", 3, addr));
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 0);
	reply_error(S, take_writeback(S, 0, PAGE), -EIO);
	ASSERT_EQ(-EIO, call_end(C));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
}

TEST_HARNESS_MAIN
