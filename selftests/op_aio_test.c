// SPDX-License-Identifier: GPL-2.0
/*
 * READ and WRITE of asynchronous direct I/O: parts of it are underway at a time.
 * The client has what io_submit(2) wants to be pointed to in memory of its own.
 */
#include <linux/aio_abi.h>
#include <stddef.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define PAGE	((uint64_t)getpagesize())
#define SIZE	(FILE_PAGES * PAGE)

#define AIO_BUF		4096	/* after the iocb */

FUSE_OP_FIXTURE(aio, .init_flags = FUSE_ASYNC_DIO, .max_write = 8192,
		.options = "max_read=8192");

struct aio {
	uint64_t ctx;
	int64_t mem;
};

static void aio_begin(struct server *s, struct client *c, struct aio *a)
{
	/* requests may be there before who submits has returned */
	s->manual = 1ULL << FUSE_READ | 1ULL << FUSE_WRITE;
	NEED(!sys(c, SYS_io_setup, 4, ARG(0)));
	a->ctx = *(uint64_t *)out(c, ARG(0));
	a->mem = call(c, CLIENT_MMAP, 0, 32 * PAGE, RW,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(a->mem > 0);
}

static void aio_submit(struct client *c, struct aio *a, int op, int fd,
		       size_t len, uint64_t offset)
{
	struct {
		struct iocb cb;
		uint64_t ptr;
	} io = {
		.cb = {
			.aio_lio_opcode = op,
			.aio_fildes = fd,
			.aio_buf = a->mem + AIO_BUF,
			.aio_nbytes = len,
			.aio_offset = offset,
		},
		.ptr = a->mem,
	};

	NEED(call_data(c, CLIENT_POKE, &io, sizeof(io), a->mem) == sizeof(io));
	sys_start(c, SYS_io_submit, a->ctx, 1,
		  a->mem + offsetof(typeof(io), ptr));
}

static int64_t aio_result(struct client *c, struct aio *a)
{
	NEED(sys(c, SYS_io_getevents, a->ctx, 1, 1, ARG(0), 0) == 1);
	return ((struct io_event *)out(c, ARG(0)))->res;
}

FUSE_TEST(aio, read)
{
	static const struct {
		int first, second;	/* length of the reply or error */
		int64_t res;
	} how[] = {
		{ 8192, 8192, 16384 },
		{ 8192, 100, 8292 },
		{ 100, 8192, 100 },
		{ 0, 100, 0 },
		{ -EACCES, 8192, -EACCES },
		{ 100, -EPERM, -EPERM },
	};
	struct request *r[2];
	struct aio a;
	int fd, j, n;
	size_t i;

	S->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(C, S, O_RDWR);
	HERE(aio_begin(S, C, &a));
	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		HERE(aio_submit(C, &a, IOCB_CMD_PREAD, fd, 16384, 4096));
		/* nobody waits */
		ASSERT_EQ(1, call_end(C));
		for (j = 0; j < 2; j++) {
			r[j] = op_take(S, C, FUSE_READ, 0, sizeof(r[j]->read));
			ASSERT_EQ(4096 + j * 8192, r[j]->read.offset);
			ASSERT_EQ(8192, r[j]->read.size);
			ASSERT_EQ(FUSE_READ_LOCKOWNER, r[j]->read.read_flags);
		}
		for (j = 1; j >= 0; j--) {
			n = j ? how[i].second : how[i].first;
			if (n < 0)
				reply_error(S, r[j], n);
			else
				reply_data(S, r[j], n);
		}
		ASSERT_EQ(how[i].res, aio_result(C, &a));
		if (how[i].res > 0) {
			ASSERT_EQ(100, call(C, CLIENT_PEEK, a.mem + AIO_BUF, 100));
			ASSERT_TRUE(right_data(C, 100, 4096));
		}
	}
	/* behind the end there is nothing to ask for, across it no more than is */
	HERE(aio_submit(C, &a, IOCB_CMD_PREAD, fd, 4096, SIZE));
	ASSERT_EQ(1, call_end(C));
	ASSERT_EQ(0, aio_result(C, &a));
	HERE(aio_submit(C, &a, IOCB_CMD_PREAD, fd, 16384, SIZE - 100));
	ASSERT_EQ(1, call_end(C));
	r[0] = take(S, FUSE_READ);
	ASSERT_EQ(8192, r[0]->read.size);
	reply_data(S, r[0], 100);
	ASSERT_EQ(100, aio_result(C, &a));
}

/* What the server says of the file meanwhile counts */
FUSE_TEST(aio, read_beside_attributes)
{
	struct fuse_attr_out attr = { .attr_valid = 3600 };
	struct request *r, *g;
	struct client other;
	struct statx *stx;
	struct aio a;
	int fd;

	needs_mended(S, "an asynchronous direct read outdates attributes");
	fd = client_open(C, S, O_RDWR | O_DIRECT);
	HERE(aio_begin(S, C, &a));
	client_fork(C, &other);
	ASSERT_EQ(0, inval(S, S->ino, -1, 0));
	HERE(aio_submit(C, &a, IOCB_CMD_PREAD, fd, 4096, 0));
	ASSERT_EQ(1, call_end(C));
	r = take(S, FUSE_READ);
	S->manual |= 1ULL << FUSE_GETATTR;
	sys_start(&other, SYS_statx, fd, str(&other, ""), AT_EMPTY_PATH,
		  STATX_MTIME, ARG(0));
	g = take(S, FUSE_GETATTR);
	reply_data(S, r, 4096);
	ASSERT_EQ(4096, aio_result(C, &a));
	op_attr(&attr.attr, S->ino, S_IFREG | 0666, SIZE);
	attr.attr.mtime = 77;
	ASSERT_EQ(0, reply(S, g, &attr, sizeof(attr)));
	ASSERT_EQ(0, call_end(&other));
	/* and goes on doing so, as long as it said */
	ASSERT_EQ(0, sys(&other, SYS_statx, fd, str(&other, ""),
			 AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MTIME, ARG(0)));
	stx = out(&other, ARG(0));
	ASSERT_EQ(77, stx->stx_mtime.tv_sec);
	client_exit(&other);
}

FUSE_TEST(aio, write)
{
	static const struct {
		int first, second;
		int64_t res;
	} how[] = {
		{ 8192, 8192, 16384 },
		{ 8192, 100, -EIO },
		{ 8193, 8192, -EIO },
		{ -ENOSPC, 8192, -ENOSPC },
	};
	struct fuse_write_out out = { };
	struct request *r[2];
	struct aio a;
	int fd, j, n;
	size_t i;

	fd = client_open(C, S, O_RDWR | O_DIRECT);
	HERE(aio_begin(S, C, &a));
	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		ASSERT_EQ(16384, call(C, CLIENT_FILL, a.mem + AIO_BUF, 16384, 'a'));
		HERE(aio_submit(C, &a, IOCB_CMD_PWRITE, fd, 16384, 0));
		ASSERT_EQ(1, call_end(C));
		for (j = 0; j < 2; j++) {
			r[j] = op_take(S, C, FUSE_WRITE, 0,
				       sizeof(r[j]->write) + 8192);
			ASSERT_EQ(j * 8192, r[j]->write.offset);
			ASSERT_EQ(8192, r[j]->write.size);
			ASSERT_EQ('a', AFTER(r[j], struct fuse_write_in)[8191]);
		}
		for (j = 1; j >= 0; j--) {
			n = j ? how[i].second : how[i].first;
			out.size = n;
			ASSERT_EQ(0, n < 0 ? reply_error(S, r[j], n) :
				     reply(S, r[j], &out, sizeof(out)));
		}
		ASSERT_EQ(how[i].res, aio_result(C, &a));
	}

	/* what was cached is not any more */
	ASSERT_EQ(0, store(S, S->ino, 0, "old", 4));
	HERE(aio_submit(C, &a, IOCB_CMD_PWRITE, fd, 4096, 0));
	ASSERT_EQ(1, call_end(C));
	out.size = 4096;
	r[0] = take(S, FUSE_WRITE);
	ASSERT_EQ(0, store(S, S->ino, 0, "old", 4));
	ASSERT_EQ(0, reply(S, r[0], &out, sizeof(out)));
	ASSERT_EQ(4096, aio_result(C, &a));
	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 0);
	reply_data(S, take(S, FUSE_READ), PAGE);
	ASSERT_EQ(100, call_end(C));
}

/* A file does not grow behind the back of who submits */
FUSE_TEST(aio, grow)
{
	struct fuse_write_out out = { .size = 4096 };
	struct request *r;
	struct aio a;
	int fd;

	fd = client_open(C, S, O_RDWR | O_DIRECT);
	HERE(aio_begin(S, C, &a));
	HERE(aio_submit(C, &a, IOCB_CMD_PWRITE, fd, 4096, SIZE));
	r = take(S, FUSE_WRITE);
	client_sleeps(C);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(1, call_end(C));
	ASSERT_EQ(4096, aio_result(C, &a));
	ASSERT_EQ(SIZE + 4096, cached_size(C, fd));

	/* if it failed, what may be there of it is cut off */
	HERE(aio_submit(C, &a, IOCB_CMD_PWRITE, fd, 4096, SIZE + 4096));
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_WRITE), -ENOSPC));
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(SIZE + 4096, BODY(r, struct fuse_setattr_in)->size);
	ASSERT_EQ(FATTR_SIZE | FATTR_FH, BODY(r, struct fuse_setattr_in)->valid &
		  (FATTR_SIZE | FATTR_FH));
	ASSERT_EQ(0, reply_error(S, r, -EIO));
	ASSERT_EQ(1, call_end(C));
	ASSERT_EQ(-ENOSPC, aio_result(C, &a));
}

/* O_DIRECT: parts at a time here too, but the caller waits for all */
FUSE_TEST(aio, waiting)
{
	struct request *r[2];
	struct aio a;
	int fd;

	fd = client_open(C, S, O_RDWR | O_DIRECT);
	HERE(aio_begin(S, C, &a));
	call_start(C, CLIENT_READ_TO, fd, a.mem + AIO_BUF, 16384);
	r[0] = take(S, FUSE_READ);
	r[1] = take(S, FUSE_READ);
	reply_data(S, r[1], 8192);
	reply_data(S, r[0], 8192);
	ASSERT_EQ(16384, call_end(C));
	ASSERT_EQ(100, call(C, CLIENT_PEEK, a.mem + AIO_BUF, 100));
	ASSERT_TRUE(right_data(C, 100, 0));
}

TEST_HARNESS_MAIN
