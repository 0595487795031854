// SPDX-License-Identifier: GPL-2.0
/* WRITE: through the page cache at once, directly, in parallel, by splice */
#include <sys/uio.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define PAGE	((uint64_t)getpagesize())
#define SIZE	(FILE_PAGES * PAGE)
#define LEN	100
#define IN_LEN	sizeof(struct fuse_write_in)

static void start_write(struct server *s, struct client *c, int fd)
{
	char data[LEN];
	int i;

	for (i = 0; i < LEN; i++)
		data[i] = i * 3;
	sys_start(c, SYS_pwrite64, fd, in(c, data, LEN), LEN, 5);
}

static const struct fuse_write_out written = { .size = LEN };
static const struct op_call write_op = {
	.opcode = FUSE_WRITE,
	.start = start_write,
	.in_len = IN_LEN + LEN,
	.out = &written,
	.len = sizeof(written),
	.ret = LEN,
};

static void check_write(struct request *r, uint64_t fh, uint64_t offset,
			uint32_t size, uint32_t flags)
{
	NEED(r->write.fh == fh);
	NEED(r->write.offset == offset);
	NEED(r->write.size == size);
	NEED(r->write.write_flags == flags);
	NEED(!r->write.padding);
}

static void reply_written(struct server *s, struct request *r, uint32_t size)
{
	struct fuse_write_out out = { .size = size };

	NEED(!reply(s, r, &out, sizeof(out)));
}

FUSE_DATA_FIXTURE(write, .max_write = 8192);
VIRTIOFS_VARIANT(write);

/* Both kinds of files see the same replies in the same way */
static void all_writes(struct server *s, struct client *c, int fd)
{
	static const struct {
		uint32_t size;
		int64_t ret;
	} sizes[] = {
		{ LEN, LEN }, { 60, 60 }, { LEN + 1, -EIO }, { -1U, -EIO },
	};
	struct request *r;
	size_t i;

	all_replies(s, c, fd, &write_op);
	answer_op(s, c, fd, &write_op, -ENOSYS, -ENOSYS);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		r = op_begin(s, c, fd, &write_op);
		reply_written(s, r, sizes[i].size);
		NEED(call_end(c) == sizes[i].ret);
	}
}

FUSE_TEST(write, through)
{
	struct request *r;
	int fd, i;

	S->open_flags = FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDWR | O_NONBLOCK);
	r = op_begin(S, C, fd, &write_op);
	check_write(r, S->fh, 5, LEN, 0);
	ASSERT_EQ(0, r->write.lock_owner);
	ASSERT_EQ(O_RDWR | O_NONBLOCK,
		  r->write.flags & (O_ACCMODE | O_NONBLOCK));
	for (i = 0; i < LEN; i++)
		ASSERT_EQ((char)(i * 3), AFTER(r, struct fuse_write_in)[i]);
	reply_written(S, r, LEN);
	ASSERT_EQ(LEN, call_end(C));
	HERE(all_writes(S, C, fd));
	/* nothing at all is an error */
	r = op_begin(S, C, fd, &write_op);
	reply_written(S, r, 0);
	ASSERT_EQ(-EIO, call_end(C));

	/* whole pages are cached, as far as they were written */
	sys_start(C, SYS_pwrite64, fd, ARG(0), PAGE, 0);
	reply_written(S, take(S, FUSE_WRITE), PAGE);
	ASSERT_EQ(PAGE, call_end(C));
	ASSERT_EQ(PAGE, sys(C, SYS_pread64, fd, ARG(0), PAGE, 0));
	ASSERT_EQ(0, sys(C, SYS_pwrite64, fd, ARG(0), 0, 0));
	ASSERT_EQ(-EFAULT, sys(C, SYS_pwrite64, fd, 8, 100, 0));
}

FUSE_TEST(write, direct)
{
	struct request *r;
	uint64_t owner;
	int fd;

	S->open_flags = FOPEN_DIRECT_IO | FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDWR);
	r = op_begin(S, C, fd, &write_op);
	check_write(r, S->fh, 5, LEN, FUSE_WRITE_LOCKOWNER);
	owner = r->write.lock_owner;
	reply_written(S, r, LEN);
	ASSERT_EQ(LEN, call_end(C));
	HERE(all_writes(S, C, fd));
	r = op_begin(S, C, fd, &write_op);
	reply_written(S, r, 0);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(-EFAULT, sys(C, SYS_pwrite64, fd, 8, 100, 0));

	sys_start(C, SYS_close, fd);
	r = take(S, FUSE_FLUSH);
	ASSERT_EQ(owner, BODY(r, struct fuse_flush_in)->lock_owner);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/* More than max_write: parts, of which a short one is the last */
FUSE_TEST(write, parts)
{
	struct request *r;
	int64_t mem;
	int fd, direct, i;

	mem = call(C, CLIENT_MMAP, 0, 5 * PAGE, RW,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (direct = 0; direct < 2; direct++) {
		S->open_flags = direct ? FOPEN_DIRECT_IO : 0;
		fd = client_open(C, S, O_RDWR);
		sys_start(C, SYS_pwrite64, fd, mem, 5 * PAGE, PAGE);
		for (i = 0; i < 3; i++) {
			r = take(S, FUSE_WRITE);
			check_write(r, S->fh, PAGE + i * 8192,
				    i < 2 ? 8192 : 5 * PAGE - 16384,
				    direct ? FUSE_WRITE_LOCKOWNER : 0);
			reply_written(S, r, r->write.size);
		}
		ASSERT_EQ(5 * PAGE, call_end(C));

		sys_start(C, SYS_pwrite64, fd, mem, 5 * PAGE, 0);
		reply_written(S, take(S, FUSE_WRITE), 8192);
		reply_written(S, take(S, FUSE_WRITE), 7);
		ASSERT_EQ(8192 + 7, call_end(C));
		sys_start(C, SYS_pwrite64, fd, mem, 5 * PAGE, 0);
		reply_written(S, take(S, FUSE_WRITE), 8192);
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_WRITE), -ENOSPC));
		ASSERT_EQ(8192, call_end(C));
		/* memory that ends */
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, mem + 2 * PAGE, PAGE));
		sys_start(C, SYS_pwrite64, fd, mem, 5 * PAGE, 0);
		r = take(S, FUSE_WRITE);
		ASSERT_EQ(2 * PAGE, r->write.size);
		reply_written(S, r, r->write.size);
		ASSERT_EQ(2 * PAGE, call_end(C));
		call(C, CLIENT_MMAP, mem + 2 * PAGE, PAGE, RW,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		ASSERT_EQ(0, sys(C, SYS_close, fd));
	}
}

/* The file grows by what was written */
FUSE_TEST(write, grow)
{
	uint64_t size = SIZE;
	struct request *r;
	int fd, direct;

	for (direct = 0; direct < 2; direct++) {
		S->open_flags = direct ? FOPEN_DIRECT_IO : 0;
		fd = client_open(C, S, O_RDWR);
		sys_start(C, SYS_pwrite64, fd, ARG(0), 200, size + 1000);
		r = take(S, FUSE_WRITE);
		check_write(r, S->fh, size + 1000, 200,
			    direct ? FUSE_WRITE_LOCKOWNER : 0);
		reply_written(S, r, 150);
		ASSERT_EQ(150, call_end(C));
		size += 1150;
		ASSERT_EQ(size, cached_size(C, fd));
		ASSERT_EQ(0, sys(C, SYS_close, fd));

		/* O_APPEND: at the end that the kernel believes in */
		fd = client_open(C, S, O_RDWR | O_APPEND);
		sys_start(C, SYS_write, fd, ARG(0), 10);
		r = take(S, FUSE_WRITE);
		check_write(r, S->fh, size, 10,
			    direct ? FUSE_WRITE_LOCKOWNER : 0);
		reply_written(S, r, 10);
		ASSERT_EQ(10, call_end(C));
		size += 10;
		ASSERT_EQ(size, cached_size(C, fd));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
	}
}

/* The server is told what must be on disk, and asked for it */
FUSE_TEST(write, sync)
{
	static const struct {
		int open;
		int rwf;
		uint32_t flags;
		uint32_t datasync;
	} how[] = {
		{ O_DSYNC, 0, O_DSYNC, FUSE_FSYNC_FDATASYNC },
		{ O_SYNC, 0, O_SYNC, 0 },
		{ 0, RWF_DSYNC, O_DSYNC, FUSE_FSYNC_FDATASYNC },
		{ 0, RWF_SYNC, O_SYNC, 0 },
	};
	struct iovec iov = { .iov_len = 64 };
	struct request *r;
	size_t i;
	int fd;

	iov.iov_base = (void *)(uintptr_t)call(C, CLIENT_MMAP, 0, PAGE, RW,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		fd = client_open(C, S, O_RDWR | how[i].open);
		sys_start(C, SYS_pwritev2, fd, in(C, &iov, sizeof(iov)), 1, 0, 0,
			  how[i].rwf);
		r = take(S, FUSE_WRITE);
		ASSERT_EQ(how[i].flags, r->write.flags & O_SYNC);
		reply_written(S, r, 64);
		r = take(S, FUSE_FSYNC);
		ASSERT_EQ(how[i].datasync, BODY(r, struct fuse_fsync_in)->fsync_flags);
		ASSERT_EQ(0, reply_error(S, r, i ? 0 : -ENOSPC));
		ASSERT_EQ(i ? 64 : -ENOSPC, call_end(C));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
	}
}

FUSE_TEST(write, spliced)
{
	struct request *r;
	int *ends, fd, direct, from, to;

	ASSERT_EQ(0, sys(C, SYS_pipe2, ARG(0), 0));
	ends = out(C, ARG(0));
	from = ends[0];
	to = ends[1];
	for (direct = 0; direct < 2; direct++) {
		S->open_flags = direct ? FOPEN_DIRECT_IO : 0;
		fd = client_open(C, S, O_RDWR);
		ASSERT_EQ(6, sys(C, SYS_write, to, str(C, "splice"), 6));
		sys_start(C, SYS_splice, from, 0, fd, 0, 6, 0);
		r = take(S, FUSE_WRITE);
		ASSERT_EQ(6, r->write.size);
		ASSERT_EQ(0, memcmp("splice", AFTER(r, struct fuse_write_in), 6));
		reply_written(S, r, 6);
		ASSERT_EQ(6, call_end(C));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
	}
}

/* What a direct write has changed, is not cached any more */
FUSE_TEST(write, direct_cache)
{
	int cached, direct;

	cached = client_open(C, S, O_RDWR);
	S->open_flags = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE;
	direct = client_open(C, S, O_RDWR);
	ASSERT_EQ(0, store(S, S->ino, 0, server_path(S, ""), 10));
	start_write(S, C, direct);
	reply_written(S, take(S, FUSE_WRITE), LEN);
	ASSERT_EQ(LEN, call_end(C));
	sys_start(C, SYS_pread64, cached, ARG(0), 100, 0);
	reply_data(S, take(S, FUSE_READ), PAGE);
	ASSERT_EQ(100, call_end(C));
	ASSERT_TRUE(right_data(C, 100, 0));
}

/*
 * Two direct writes at a time: if the server says so, if the file does not grow
 * by them, and if nobody has it open for cached I/O.
 */
static void check_parallel(struct server *s, struct client *c, struct client *d,
			   int fd, uint64_t offset, bool parallel)
{
	struct request *r[2];

	/* The second may come before the first one returns */
	s->manual |= 1ULL << FUSE_WRITE;
	sys_start(c, SYS_pwrite64, fd, ARG(0), 100, 0);
	r[0] = take(s, FUSE_WRITE);
	sys_start(d, SYS_pwrite64, fd, ARG(0), 200, offset);
	if (parallel)
		r[1] = take(s, FUSE_WRITE);
	else
		NEED(stuck(d));
	reply_written(s, r[0], 100);
	NEED(call_end(c) == 100);
	if (!parallel)
		r[1] = take(s, FUSE_WRITE);
	NEED(r[1]->write.offset == offset);
	NEED(r[1]->write.size == 200);
	reply_written(s, r[1], 200);
	NEED(client_wait(d) == 200);
}

FUSE_TEST(write, parallel)
{
	struct client other;
	int fd, cached;

	S->open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	fd = client_open(C, S, O_RDWR);
	client_fork(C, &other);
	HERE(check_parallel(S, C, &other, fd, 300, true));
	HERE(check_parallel(S, C, &other, fd, SIZE - 100, false));

	S->open_flags = 0;
	cached = client_open(C, S, O_RDONLY);
	ASSERT_LE(0, cached);
	HERE(check_parallel(S, C, &other, fd, 300, false));
	ASSERT_EQ(0, sys(C, SYS_close, cached));
	HERE(check_parallel(S, C, &other, fd, 300, true));

	/* the flag means nothing to those who use the cache */
	S->open_flags = FOPEN_PARALLEL_DIRECT_WRITES;
	cached = client_open(C, S, O_RDWR);
	ASSERT_EQ(0, sys(C, SYS_close, cached));

	S->open_flags = FOPEN_DIRECT_IO;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	fd = client_open(C, S, O_RDWR);
	client_exit(&other);
	client_fork(C, &other);
	HERE(check_parallel(S, C, &other, fd, 300, false));
	client_exit(&other);
}

/* Who opens a file for cached I/O, waits for the end of parallel writes */
FUSE_TEST(write, open_waits)
{
	struct client other;
	struct request *r;
	int fd;

	S->open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	fd = client_open(C, S, O_RDWR);
	client_fork(C, &other);
	start_write(S, C, fd);
	r = take(S, FUSE_WRITE);
	S->open_flags = 0;
	sys_start(&other, SYS_openat, AT_FDCWD, str(&other, S->path), O_RDWR);
	ASSERT_TRUE(stuck(&other));
	reply_written(S, r, LEN);
	ASSERT_EQ(LEN, call_end(C));
	ASSERT_LE(0, client_wait(&other));
	client_exit(&other);
}

/* Set-user-ID bits: the server's business with FUSE_HANDLE_KILLPRIV_V2 */
FUSE_OP_FIXTURE(killpriv, .init_flags = FUSE_HANDLE_KILLPRIV_V2);
VIRTIOFS_VARIANT(killpriv);

FUSE_TEST(killpriv, v2)
{
	int fd, direct, dropped;
	struct request *r;

	for (dropped = 0; dropped < 2; dropped++) {
		if (dropped)
			HERE(client_drop_cap(C, CAP_FSETID));
		for (direct = 0; direct < 2; direct++) {
			S->open_flags = direct ? FOPEN_DIRECT_IO : 0;
			fd = client_open(C, S, O_RDWR);
			r = op_begin(S, C, fd, &write_op);
			check_write(r, S->fh, 5, LEN,
				    (direct ? FUSE_WRITE_LOCKOWNER : 0) |
				    (dropped ? FUSE_WRITE_KILL_SUIDGID : 0));
			reply_written(S, r, LEN);
			ASSERT_EQ(LEN, call_end(C));
			ASSERT_EQ(0, sys(C, SYS_close, fd));
		}
	}
}

/* and the kernel's without: it asks for the mode and sets it */
FUSE_TEST(write, killpriv)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	struct request *r;
	int fd;

	fd = op_open_mode(S, C, "suid", 5, S_IFREG | S_ISUID | 0777, SIZE, O_RDWR);
	HERE(client_drop_cap(C, CAP_FSETID));
	S->manual = 1ULL << FUSE_GETATTR;
	start_write(S, C, fd);
	r = take(S, FUSE_GETATTR);
	op_attr(&out.attr, 5, S_IFREG | S_ISUID | 0777, SIZE);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(FATTR_MODE, BODY(r, struct fuse_setattr_in)->valid & FATTR_MODE);
	ASSERT_EQ(S_IFREG | 0777, BODY(r, struct fuse_setattr_in)->mode);
	out.attr.mode &= ~S_ISUID;
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(0, r->write.write_flags);
	reply_written(S, r, LEN);
	ASSERT_EQ(LEN, call_end(C));
}

TEST_HARNESS_MAIN
