// SPDX-License-Identifier: GPL-2.0
/* READ: through the page cache, ahead, directly, by splice */
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define PAGE	((uint64_t)getpagesize())
#define SIZE	(FILE_PAGES * PAGE)
#define LEN	100

static void start_read(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_pread64, fd, ARG(0), LEN, 3);
}

static char data[LEN] = "data";
static const struct op_call read_op = {
	.opcode = FUSE_READ,
	.start = start_read,
	.in_len = sizeof(struct fuse_read_in),
	.out = data,
	.len = sizeof(data),
	.ret = sizeof(data),
	.not_bad = 1 << BAD_SHORT,
};

FUSE_DATA_FIXTURE(read);
VIRTIOFS_VARIANT(read);

FUSE_TEST(read, direct)
{
	uint64_t owner;
	struct request *r;
	int fd;

	S->open_flags = FOPEN_DIRECT_IO | FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDWR | O_APPEND);
	r = op_begin(S, C, fd, &read_op);
	ASSERT_EQ(S->fh, r->read.fh);
	ASSERT_EQ(3, r->read.offset);
	ASSERT_EQ(LEN, r->read.size);
	ASSERT_EQ(FUSE_READ_LOCKOWNER, r->read.read_flags);
	ASSERT_EQ(O_RDWR | O_APPEND, r->read.flags & (O_ACCMODE | O_APPEND));
	ASSERT_EQ(0, r->read.padding);
	owner = r->read.lock_owner;
	reply_data(S, r, LEN);
	ASSERT_EQ(LEN, call_end(C));
	ASSERT_TRUE(right_data(C, LEN, 3));

	all_replies(S, C, fd, &read_op);
	answer_op(S, C, fd, &read_op, -ENOSYS, -ENOSYS);

	/* a short one is the end; there is no page that could be read ahead */
	sys_start(C, SYS_pread64, fd, ARG(0), LEN, SIZE + 5);
	r = take(S, FUSE_READ);
	ASSERT_EQ(SIZE + 5, r->read.offset);
	reply_data(S, r, 40);
	ASSERT_EQ(40, call_end(C));
	sys_start(C, SYS_pread64, fd, ARG(0), LEN, 7);
	ASSERT_EQ(0, reply(S, take(S, FUSE_READ), NULL, 0));
	ASSERT_EQ(0, call_end(C));

	/* the owner is that of the locks */
	sys_start(C, SYS_close, fd);
	r = take(S, FUSE_FLUSH);
	ASSERT_EQ(owner, BODY(r, struct fuse_flush_in)->lock_owner);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/*
 * The kernel may try more than once to read a page: answer all with a bad reply,
 * or BAD_REPLIES, an error; returns what the call does
 */
static int64_t refuse(struct server *s, struct client *c, enum bad_reply how)
{
	char *page = calloc(1, PAGE);
	struct request *r;

	s->manual = 1ULL << FUSE_READ;
	while (!serve_until(c->sock, 5)) {
		if (!s->inbox)
			continue;
		r = take(s, FUSE_READ);
		if (how == BAD_REPLIES)
			reply_error(s, r, -EACCES);
		else
			reply_bad(s, r, how, page, PAGE);
	}
	s->manual = 0;
	free(page);
	return client_wait(c);
}

/* A page at a time, as nothing is read ahead */
FUSE_TEST(read, cached)
{
	enum bad_reply how;
	struct request *r;
	int fd;

	S->open_flags = FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDONLY);
	for (how = 0; how < BAD_REPLIES; how++) {
		if (how == BAD_SHORT)
			continue;
		start_read(S, C, fd);
		ASSERT_EQ(-EIO, refuse(S, C, how));
	}
	needs_mended(S, "a page's read error is EIO, whatever the server says");
	start_read(S, C, fd);
	ASSERT_EQ(-EACCES, refuse(S, C, BAD_REPLIES));

	start_read(S, C, fd);
	r = op_take(S, C, FUSE_READ, 0, sizeof(r->read));
	ASSERT_EQ(S->fh, r->read.fh);
	ASSERT_EQ(0, r->read.offset);
	ASSERT_EQ(PAGE, r->read.size);
	ASSERT_EQ(0, r->read.read_flags);
	ASSERT_EQ(0, r->read.lock_owner);
	ASSERT_EQ(O_RDONLY, r->read.flags & O_ACCMODE);
	reply_data(S, r, PAGE);
	ASSERT_EQ(LEN, call_end(C));
	ASSERT_TRUE(right_data(C, LEN, 3));
	/* it is there by now */
	ASSERT_EQ(LEN, sys(C, SYS_pread64, fd, ARG(0), LEN, 3));
	ASSERT_TRUE(right_data(C, LEN, 3));
}

/* The file is as long as a short reply says */
FUSE_TEST(read, eof)
{
	struct request *r;
	int fd;

	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), PAGE, PAGE);
	r = take(S, FUSE_READ);
	reply_data(S, r, 123);
	ASSERT_EQ(123, call_end(C));
	ASSERT_TRUE(right_data(C, 123, PAGE));
	ASSERT_EQ(PAGE + 123, cached_size(C, fd));
	ASSERT_EQ(0, sys(C, SYS_pread64, fd, ARG(0), 10, PAGE + 123));

	/* it has grown, says the server when it is asked for more */
	ASSERT_EQ(0, inval(S, S->ino, -1, 0));
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 2 * PAGE);
	take_getattr(S, S->ino, 2 * PAGE + 50);
	r = take(S, FUSE_READ);
	ASSERT_EQ(2 * PAGE, r->read.offset);
	reply_data(S, r, 50);
	ASSERT_EQ(50, call_end(C));

	/* or it does not answer */
	ASSERT_EQ(0, inval(S, S->ino, -1, 0));
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 2 * PAGE);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_GETATTR), -EACCES));
	ASSERT_EQ(-EACCES, call_end(C));
}

/* A page that is mapped: an error is SIGBUS */
FUSE_TEST(read, fault)
{
	struct request *r;
	int64_t addr;
	int fd;

	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_LT(0, addr);
	ASSERT_EQ(0, call(C, CLIENT_MADVISE, addr, 4 * PAGE, MADV_RANDOM));
	call_start(C, CLIENT_PEEK, addr + PAGE, 10);
	ASSERT_EQ(CLIENT_FAULT(SIGBUS), refuse(S, C, BAD_REPLIES));
	call_start(C, CLIENT_PEEK, addr + PAGE, 10);
	r = op_take(S, C, FUSE_READ, 0, sizeof(r->read));
	ASSERT_EQ(PAGE, r->read.offset);
	ASSERT_EQ(PAGE, r->read.size);
	reply_data(S, r, PAGE);
	ASSERT_EQ(10, call_end(C));
	ASSERT_TRUE(right_data(C, 10, PAGE));
	/* as read(2) sees it */
	ASSERT_EQ(10, sys(C, SYS_pread64, fd, ARG(0), 10, PAGE));
	ASSERT_TRUE(right_data(C, 10, PAGE));
	ASSERT_EQ(CLIENT_FAULT(SIGBUS),
		  (call(C, CLIENT_MMAP, addr, PAGE, PROT_READ,
			MAP_SHARED | MAP_FIXED, fd, SIZE),
		   call(C, CLIENT_PEEK, addr, 1)));
}

/* The last bytes that a file can have: not a byte more is asked for */
FUSE_TEST(read, last_page)
{
	uint64_t last = INT64_MAX - PAGE + 1;
	struct request *r;
	int64_t addr;
	int fd;

	fd = op_open(S, C, "huge", 7, INT64_MAX, O_RDONLY);
	ASSERT_LE(0, fd);
	addr = call(C, CLIENT_MMAP, 0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_LT(0, addr);
	sys_start(C, SYS_pread64, fd, ARG(0), 10, last);
	r = op_take(S, C, FUSE_READ, 7, sizeof(r->read));
	ASSERT_EQ(last, r->read.offset);
	ASSERT_EQ(PAGE - 1, r->read.size);
	reply_data(S, r, PAGE - 1);
	ASSERT_EQ(10, call_end(C));
	ASSERT_TRUE(right_data(C, 10, last));
}

FUSE_TEST(read, spliced)
{
	struct request *r;
	int fd, i, *ends, to;

	ASSERT_EQ(0, sys(C, SYS_pipe2, ARG(0), 0));
	ends = out(C, ARG(0));
	i = ends[0];
	to = ends[1];
	for (int direct = 0; direct < 2; direct++) {
		S->open_flags = direct ? FOPEN_DIRECT_IO : 0;
		fd = client_open(C, S, O_RDONLY);
		sys_start(C, SYS_splice, fd, 0, to, 0, LEN, 0);
		r = take(S, FUSE_READ);
		reply_data(S, r, r->read.size);
		ASSERT_EQ(LEN, call_end(C));
		ASSERT_EQ(LEN, sys(C, SYS_read, i, ARG(0), LEN));
		ASSERT_TRUE(right_data(C, LEN, 0));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
	}
}

/* The server is asked each time, and for no more than the client has asked for */
FUSE_TEST(read, spliced_directly)
{
	int fd, i, *ends, from, to;
	struct request *r;
	char data[LEN];

	needs_mended(S, "splice from FOPEN_DIRECT_IO files is out of the page cache");
	ASSERT_EQ(0, sys(C, SYS_pipe2, ARG(0), 0));
	ends = out(C, ARG(0));
	from = ends[0];
	to = ends[1];
	S->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(C, S, O_RDONLY);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(5, sys(C, SYS_lseek, fd, 5, SEEK_SET));
		sys_start(C, SYS_splice, fd, 0, to, 0, LEN, 0);
		r = take(S, FUSE_READ);
		ASSERT_EQ(5, r->read.offset);
		ASSERT_EQ(LEN, r->read.size);
		if (i == 2) {
			ASSERT_EQ(0, reply_error(S, r, -EACCES));
			ASSERT_EQ(-EACCES, call_end(C));
			break;
		}
		memset(data, 'a' + i, LEN);
		ASSERT_EQ(0, reply(S, r, data, LEN));
		ASSERT_EQ(LEN, call_end(C));
		ASSERT_EQ(LEN, sys(C, SYS_read, from, ARG(0), LEN));
		ASSERT_EQ(0, memcmp(data, out(C, ARG(0)), LEN));
	}
}

/* A new time of modification is a new content */
FUSE_OP_FIXTURE(auto_inval, .init_flags = FUSE_AUTO_INVAL_DATA);
VIRTIOFS_VARIANT(auto_inval);

FUSE_TEST(auto_inval, mtime)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	struct request *r;
	int fd, i;

	fd = client_open(C, S, O_RDONLY);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, inval(S, S->ino, -1, 0));
		start_read(S, C, fd);
		r = take(S, FUSE_GETATTR);
		op_attr(&out.attr, S->ino, S_IFREG | 0666, SIZE);
		out.attr.mtime = i / 2;
		ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
		if (i != 1)
			reply_data(S, take(S, FUSE_READ), PAGE);
		ASSERT_EQ(LEN, call_end(C));
		ASSERT_TRUE(right_data(C, LEN, 3));
	}
}

/*
 * Reading ahead: requests follow each other, none is longer than max_read; a
 * server that can has many at a time.
 */
FUSE_OP_FIXTURE(ahead, .max_readahead = 128 << 10, .options = "max_read=8192");
FUSE_OP_FIXTURE(ahead_async, .max_readahead = 128 << 10,
		.options = "max_read=8192", .init_flags = FUSE_ASYNC_READ);

static unsigned int take_ahead(struct server *s, struct request **r, bool all)
{
	uint64_t next = 0;
	unsigned int n = 0;

	do {
		r[n] = take(s, FUSE_READ);
		NEED(r[n]->read.offset == next);
		NEED(r[n]->read.size <= 8192);
		NEED(r[n]->read.size % PAGE == 0);
		next += r[n++]->read.size;
	} while (all && next < 4 * PAGE);
	return n;
}

FUSE_TEST(ahead, one_by_one)
{
	struct request *r[16];
	int fd, next = 0;

	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), PAGE, 0);
	while (next < 4 * (int)PAGE) {
		r[0] = op_take(S, C, FUSE_READ, 0, sizeof(r[0]->read));
		ASSERT_EQ(next, r[0]->read.offset);
		ASSERT_LE(r[0]->read.size, 8192);
		server_quiet(S);
		reply_data(S, r[0], r[0]->read.size);
		next += r[0]->read.size;
	}
	S->io = true;
	ASSERT_EQ(PAGE, call_end(C));
	ASSERT_TRUE(right_data(C, PAGE, 0));
}

FUSE_TEST(ahead_async, any_order)
{
	struct request *r[16];
	unsigned int n;
	int fd;

	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), PAGE, 0);
	n = HERE(take_ahead(S, r, true));
	ASSERT_LT(1, n);
	S->io = true;
	while (n--)
		reply_data(S, r[n], r[n]->read.size);
	ASSERT_EQ(PAGE, call_end(C));
	ASSERT_TRUE(right_data(C, PAGE, 0));
	ASSERT_EQ(PAGE, sys(C, SYS_pread64, fd, ARG(0), PAGE, PAGE));
	ASSERT_TRUE(right_data(C, PAGE, PAGE));
}

/* The end of the file is in a page that was read ahead */
FUSE_TEST(ahead_async, eof)
{
	struct request *r[16];
	unsigned int n, i;
	int fd;

	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), PAGE, 0);
	n = HERE(take_ahead(S, r, true));
	for (i = 0; i < n; i++)
		reply_data(S, r[i], i ? 0 : 8192 - 5);
	S->io = true;
	ASSERT_EQ(PAGE, call_end(C));
	ASSERT_EQ(8192 - 5, cached_size(C, fd));
}

/* Who is killed while a page is read, does not wait for the server */
FUSE_TEST(ahead_async, killed)
{
	struct request *r[16];
	struct client child;
	unsigned int n;
	int fd;

	fd = client_open(C, S, O_RDONLY);
	client_fork(C, &child);
	sys_start(&child, SYS_pread64, fd, ARG(0), PAGE, 0);
	n = HERE(take_ahead(S, r, true));
	client_kill(&child, SIGKILL);
	client_gone(&child);
	while (n--)
		reply_data(S, r[n], r[n]->read.size);
	ASSERT_EQ(PAGE, sys(C, SYS_pread64, fd, ARG(0), PAGE, 0));
	ASSERT_TRUE(right_data(C, PAGE, 0));
}

/*
 * No more requests of readahead and its kind than the server has asked for: who
 * wants more waits until one is answered
 */
FUSE_OP_FIXTURE(background, .init_flags = FUSE_ASYNC_READ,
		.max_readahead = 4 * 4096);

FUSE_TEST(background, limit)
{
	struct client other = { };
	struct request *r;
	int fd;

	ASSERT_EQ(0, write_text(server_control(S, "max_background"), "1"));
	fd = client_open(C, S, O_RDONLY);
	client_fork(C, &other);
	S->manual = 1ULL << FUSE_READ;
	sys_start(C, SYS_pread64, fd, ARG(0), LEN, 0);
	r = take(S, FUSE_READ);
	sys_start(&other, SYS_pread64, fd, ARG(0), LEN, SIZE / 2);
	client_sleeps(&other);
	ASSERT_FALSE(serve_until(other.sock, 50));
	quiet(S);
	reply_data(S, r, r->read.size);
	ASSERT_EQ(LEN, call_end(C));
	r = take(S, FUSE_READ);
	ASSERT_LE(SIZE / 2, r->read.offset);
	S->manual = 0;
	S->io = true;
	reply_data(S, r, r->read.size);
	ASSERT_EQ(LEN, call_end(&other));
	client_exit(&other);
}

TEST_HARNESS_MAIN
