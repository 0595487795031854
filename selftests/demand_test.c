// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers that the server fills when a client first touches a page
 * (FUSE_BUFFER_DEMAND).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_TRANSPORTS_FIXTURE(demand, FUSE_FEATURE_BUFFERS);

#define P	(self->page)
#define SIZE	(64 * P)

/* Map all of the buffer into a client */
#define map_demand(c, fd) \
	map(c, S, fd, .fh = S->fh, .len = SIZE, .prot = RW, .flags = MAP_SHARED, \
	    .out = { .nodeid = BUF(1), .size = SIZE,			\
		     .flags = FUSE_BUFFER_DEMAND })

static int demand_open(struct server *s, uint64_t size, uint32_t flags)
{
	return buffer_open_flags(s, BUF(1), size, flags);
}

/* The client touches a page; that sends a FUSE_READ of @pages from there */
static struct request *touch(struct __test_metadata *_metadata, struct server *s,
			     struct client *c, int64_t addr, uint64_t offset,
			     uint32_t size)
{
	struct request *r;

	call_start(c, CLIENT_PEEK, addr + offset, 1);
	r = take(s, FUSE_READ);
	EXPECT_EQ(BUF(1), r->h.nodeid);
	EXPECT_EQ(c->pid, r->h.pid);
	EXPECT_EQ(offset, r->read.offset);
	EXPECT_EQ(size, r->read.size);
	EXPECT_EQ(0, r->read.fh);
	return r;
}

#define touch(c, addr, offset, size) \
	touch(_metadata, S, c, addr, offset, size)

static int fill(struct server *s, struct request *r, int byte, size_t len)
{
	char data[len + 1];

	memset(data, byte, len);
	return reply(s, r, data, len);
}

#define EXPECT_PEEK(c, byte)			\
	do {					\
		EXPECT_EQ(1, call_end(c));	\
		EXPECT_EQ(byte, (c)->answer.data[0]); \
	} while (0)

FUSE_TEST(demand, first_touch_asks)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	struct request *r;

	ASSERT_LT(0, p);
	r = touch(C, p, 3 * P, P);
	ASSERT_EQ(0, fill(S, r, 'a', P));
	EXPECT_PEEK(C, 'a');
	/* it is there now */
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + 3 * P, P, 'a'));
	quiet(S);
}

FUSE_TEST(demand, write_asks_too)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	struct request *r;

	ASSERT_LT(0, p);
	call_start(C, CLIENT_FILL, p + 5, 1, 'x');
	r = take(S, FUSE_READ);
	ASSERT_EQ(0, fill(S, r, 'a', P));
	ASSERT_EQ(1, call_end(C));
	EXPECT_EQ(5, call(C, CLIENT_DIFF, p, P, 'a'));
	EXPECT_EQ(1, call(C, CLIENT_DIFF, p + 5, 2, 'x'));
	EXPECT_EQ(P - 6, call(C, CLIENT_DIFF, p + 6, P - 6, 'a'));
}

FUSE_TEST(demand, short_replies)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	ASSERT_EQ(0, fill(S, touch(C, p, 8 * P, P), 'a', 100));
	EXPECT_PEEK(C, 'a');
	EXPECT_EQ(100, call(C, CLIENT_DIFF, p + 8 * P, P, 'a'));
	EXPECT_EQ(P - 100, call(C, CLIENT_DIFF, p + 8 * P + 100, P - 100, 0));
	ASSERT_EQ(0, fill(S, touch(C, p, 20 * P, P), 'a', 0));
	EXPECT_PEEK(C, 0);
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + 20 * P, P, 0));
}

/* A page that the server could not fill is asked for at each touch */
FUSE_TEST(demand, error_is_sigbus)
{
	int fd = client_open(C, S, O_RDWR), i;
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, reply_error(S, touch(C, p, 0, P),
					 i ? -ENOMEM : -EIO));
		EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
		quiet(S);
	}
	ASSERT_EQ(0, fill(S, touch(C, p, 0, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	/* too long a reply is one that the server hears about, but on a ring */
	EXPECT_EQ(S->ring ? 0 : -EINVAL,
		  fill(S, touch(C, p, 30 * P, P), 'a', P + 1));
	EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
}

FUSE_TEST(demand, readahead)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	uint64_t page = 1, n = 1;

	ASSERT_LT(0, p);
	ASSERT_EQ(0, fill(S, touch(C, p, 0, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	while (page < 15) {
		n *= 2;
		ASSERT_EQ(0, fill(S, touch(C, p, page * P, n * P), 'a', n * P));
		EXPECT_PEEK(C, 'a');
		page += n;
	}
	EXPECT_EQ(page * P, call(C, CLIENT_DIFF, p, page * P, 'a'));
	quiet(S);
	/* not beyond the end, nor what is there */
	ASSERT_EQ(0, fill(S, touch(C, p, 62 * P, P), 'b', P));
	EXPECT_PEEK(C, 'b');
	ASSERT_EQ(0, fill(S, touch(C, p, 63 * P, P), 'b', P));
	EXPECT_PEEK(C, 'b');
	ASSERT_EQ(0, fill(S, touch(C, p, 60 * P, P), 'b', P));
	EXPECT_PEEK(C, 'b');
	ASSERT_EQ(0, fill(S, touch(C, p, 61 * P, P), 'b', P));
	EXPECT_PEEK(C, 'b');
	/* what the reply does not reach is asked for again */
	ASSERT_EQ(0, fill(S, touch(C, p, 40 * P, P), 'c', P));
	EXPECT_PEEK(C, 'c');
	ASSERT_EQ(0, fill(S, touch(C, p, 41 * P, 2 * P), 'c', P));
	EXPECT_PEEK(C, 'c');
	ASSERT_EQ(0, fill(S, touch(C, p, 42 * P, P), 'd', P));
	EXPECT_PEEK(C, 'd');
}

/* It is the first page's alone; the others are asked for when touched */
FUSE_TEST(demand, error_of_readahead)
{
	int fd = client_open(C, S, O_RDWR), i;
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	ASSERT_EQ(0, fill(S, touch(C, p, 0, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, reply_error(S, touch(C, p, P, i ? P : 2 * P), -EIO));
		EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
	}
	ASSERT_EQ(0, fill(S, touch(C, p, 2 * P, 2 * P), 'b', P));
	EXPECT_PEEK(C, 'b');
	ASSERT_EQ(0, fill(S, touch(C, p, P, P), 'c', P));
	EXPECT_PEEK(C, 'c');
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + 2 * P, P, 'b'));
	quiet(S);
}

FUSE_TEST(demand, store_comes_first)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	char data[P];
	struct request *r;

	memset(data, 's', P);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, store(S, BUF(1), 0, data, P));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 's'));
	quiet(S);

	/* while the reply is due: the client does not wait for it any more */
	r = touch(C, p, 5 * P, P);
	ASSERT_EQ(0, store(S, BUF(1), 5 * P, data, P));
	EXPECT_PEEK(C, 's');
	ASSERT_EQ(0, fill(S, r, 'r', P));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + 5 * P, P, 's'));
	/* a part of a page makes a page */
	ASSERT_EQ(0, store(S, BUF(1), 9 * P + 10, data, 10));
	EXPECT_EQ(10, call(C, CLIENT_DIFF, p + 9 * P, P, 0));
	EXPECT_EQ(10, call(C, CLIENT_DIFF, p + 9 * P + 10, P - 10, 's'));
	quiet(S);
}

FUSE_TEST(demand, inval_asks_again)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd), q;

	ASSERT_LT(0, p);
	q = map_demand(C, fd);
	ASSERT_LT(0, q);
	ASSERT_EQ(0, fill(S, touch(C, p, 0, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	EXPECT_EQ(P, call(C, CLIENT_DIFF, q, P, 'a'));
	ASSERT_EQ(0, inval(S, BUF(1), 0, P));
	ASSERT_EQ(0, fill(S, touch(C, q, 0, P), 'b', P));
	EXPECT_PEEK(C, 'b');
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'b'));
	quiet(S);
}

/* What was read before the INVAL is not seen after it */
FUSE_TEST(demand, inval_overtakes_the_reply)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	struct request *old, *new;

	ASSERT_LT(0, p);
	old = touch(C, p, 0, P);
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	new = take(S, FUSE_READ);
	EXPECT_EQ(0, new->read.offset);
	ASSERT_EQ(0, fill(S, old, 'o', P));
	ASSERT_EQ(0, fill(S, new, 'n', P));
	EXPECT_PEEK(C, 'n');
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'n'));
	quiet(S);
}

/* Nor if it is an error, nor if nobody waits any more */
FUSE_TEST(demand, inval_overtakes_an_error)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	struct request *old, *new;

	ASSERT_LT(0, p);
	old = touch(C, p, 0, P);
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	new = take(S, FUSE_READ);
	ASSERT_EQ(0, reply_error(S, old, -EIO));
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	old = new;
	new = take(S, FUSE_READ);
	ASSERT_EQ(0, fill(S, new, 'n', P));
	EXPECT_PEEK(C, 'n');
	ASSERT_EQ(0, fill(S, old, 'o', P));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'n'));
}

/* It sleeps, and the locks that others need are free */
static void can_be_inspected(struct client *c)
{
	static const char *const names[] = { "maps", "cmdline" };
	char path[64], buf[8192];
	int i;

	client_sleeps(c);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", c->pid, names[i]);
		if (read_text(path, buf, sizeof(buf)) <= 0)
			fail("no %s", path);
	}
}

FUSE_TEST(demand, killed_while_it_waits)
{
	int fd = client_open(C, S, O_RDWR), other;
	int64_t p = map_demand(C, fd), q;
	uint64_t fh = S->fh;
	struct client c2;
	struct request *r;

	ASSERT_LT(0, p);
	client_start(&c2, FUSE_CLIENT);
	other = client_open(&c2, S, O_RDWR);
	q = map_demand(&c2, other);
	ASSERT_LT(0, q);

	r = touch(C, p, 0, P);
	can_be_inspected(C);
	client_kill(C, SIGKILL);
	TH_LOG("gone after %d ms", client_gone(C));
	take_munmap(S, fh, BUF(1), 0, SIZE);

	/* the page is still on its way for somebody else */
	call_start(&c2, CLIENT_PEEK, q, 1);
	client_sleeps(&c2);
	ASSERT_EQ(0, fill(S, r, 'a', P));
	EXPECT_PEEK(&c2, 'a');
	client_exit(&c2);
	take_munmap(S, S->fh, BUF(1), 0, SIZE);
}

FUSE_TEST(demand, two_clients_one_request)
{
	int fd = client_open(C, S, O_RDWR), other;
	int64_t p = map_demand(C, fd), q;
	struct client c2;
	struct request *r;

	ASSERT_LT(0, p);
	client_start(&c2, FUSE_CLIENT);
	other = client_open(&c2, S, O_RDWR);
	q = map_demand(&c2, other);
	ASSERT_LT(0, q);
	r = touch(C, p, 0, P);
	call_start(&c2, CLIENT_PEEK, q, 1);
	client_sleeps(&c2);
	ASSERT_EQ(0, fill(S, r, 'a', P));
	EXPECT_PEEK(C, 'a');
	EXPECT_PEEK(&c2, 'a');
	quiet(S);
	client_exit(&c2);
	take_munmap(S, S->fh, BUF(1), 0, SIZE);
}

/* The kernel touches pages for the client */
FUSE_TEST(demand, read_into_the_mapping)
{
	int fd = client_open(C, S, O_RDWR), zero;
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	zero = call_data(C, CLIENT_OPEN, "/dev/zero", 10, O_RDONLY);
	ASSERT_LE(0, zero);
	call_start(C, CLIENT_READ_TO, zero, p + 10, 10);
	ASSERT_EQ(0, fill(S, take(S, FUSE_READ), 'a', P));
	EXPECT_EQ(10, call_end(C));
	EXPECT_EQ(10, call(C, CLIENT_DIFF, p, P, 'a'));
	EXPECT_EQ(10, call(C, CLIENT_DIFF, p + 10, P - 10, 0));
	/* it may try more than once before it gives up */
	S->manual = 1ULL << FUSE_READ;
	call_start(C, CLIENT_READ_TO, zero, p + 8 * P, 10);
	do {
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_READ), -EIO));
	} while (!serve_until(C->sock, 500));
	EXPECT_EQ(-EFAULT, call_end(C));
}

/*
 * The kernel pins pages for direct I/O: those of a file that the same server
 * has, and that is not opened for buffered I/O.
 */
static int direct_open(struct server *s, struct client *c)
{
	s->open_flags = FOPEN_DIRECT_IO;
	return client_open(c, s, O_RDWR);
}

/* Fill what is asked for of the buffer, until it is asked for the file */
static struct request *fill_until_io(struct server *s, uint32_t opcode, int byte)
{
	struct request *r;

	s->manual = 1ULL << FUSE_READ | 1ULL << FUSE_WRITE;
	for (;;) {
		while (!s->inbox)
			serve_until(-1, 1);
		r = take(s, s->inbox->h.opcode);
		if (r->h.nodeid != BUF(1))
			break;
		if (fill(s, r, byte, r->read.size))
			fail("cannot fill");
	}
	if (r->h.opcode != opcode)
		fail("opcode %u instead of %u", r->h.opcode, opcode);
	return r;
}

FUSE_TEST(demand, direct_io_from_the_mapping)
{
	int fd = direct_open(S, C);
	int64_t p = map_demand(C, fd);
	struct fuse_write_out out = { .size = 3 * P };
	struct fuse_write_in *in;
	struct request *r;
	uint64_t i;
	char *data;

	ASSERT_LT(0, p);
	sys_start(C, SYS_write, fd, p + 7 * P, 3 * P);
	r = fill_until_io(S, FUSE_WRITE, 'a');
	in = (struct fuse_write_in *)r->body;
	ASSERT_EQ(3 * P, in->size);
	data = (char *)(in + 1);
	for (i = 0; i < 3 * P && data[i] == 'a'; i++)
		;
	EXPECT_EQ(3 * P, i);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(3 * P, call_end(C));
}

FUSE_TEST(demand, direct_io_to_the_mapping)
{
	int fd = direct_open(S, C);
	int64_t p = map_demand(C, fd);
	struct request *r;

	ASSERT_LT(0, p);
	call_start(C, CLIENT_READ_TO, fd, p + 7 * P + 100, 2 * P);
	r = fill_until_io(S, FUSE_READ, 'a');
	/* pages that are dropped meanwhile are the client's no longer */
	ASSERT_EQ(0, inval(S, BUF(1), 8 * P, P));
	ASSERT_EQ(2 * P, r->read.size);
	ASSERT_EQ(0, fill(S, r, 'f', 2 * P));
	EXPECT_EQ(2 * P, call_end(C));
	S->manual = 0;
	EXPECT_EQ(100, call(C, CLIENT_DIFF, p + 7 * P, P, 'a'));
	EXPECT_EQ(P - 100, call(C, CLIENT_DIFF, p + 7 * P + 100, P - 100, 'f'));
	call_start(C, CLIENT_DIFF, p + 8 * P, P, 'n');
	r = take(S, FUSE_READ);
	EXPECT_EQ(8 * P, r->read.offset);
	ASSERT_EQ(0, fill(S, r, 'n', P));
	EXPECT_EQ(P, call_end(C));
}

FUSE_TEST(demand, direct_io_fails)
{
	int fd = direct_open(S, C);
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	S->manual = 1ULL << FUSE_READ;
	call_start(C, CLIENT_READ_TO, fd, p, P);
	do {
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_READ), -EIO));
	} while (!serve_until(C->sock, 500));
	EXPECT_EQ(-EFAULT, call_end(C));
}

FUSE_TEST(demand, killed_while_the_kernel_waits)
{
	int fd = direct_open(S, C);
	int64_t p = map_demand(C, fd);
	uint64_t fh = S->fh;

	ASSERT_LT(0, p);
	sys_start(C, SYS_write, fd, p, P);
	take(S, FUSE_READ);
	can_be_inspected(C);
	client_kill(C, SIGKILL);
	TH_LOG("gone after %d ms", client_gone(C));
	take_munmap(S, fh, BUF(1), 0, SIZE);
}

/* Long-term pins are taken with the pages that they need */
FUSE_TEST(demand, io_uring_fixed_buffer)
{
	int fd = client_open(C, S, O_RDWR), zero;
	int64_t p = map_demand(C, fd), ret;

	ASSERT_LT(0, p);
	zero = call_data(C, CLIENT_OPEN, "/dev/zero", 10, O_RDONLY);
	ASSERT_LE(0, zero);
	call_start(C, CLIENT_READ_FIXED, zero, p + 2 * P, 2 * P);
	S->manual = 1ULL << FUSE_READ;
	while (!serve_until(C->sock, 10)) {
		while (S->inbox) {
			struct request *r = take(S, FUSE_READ);

			EXPECT_LE(2 * P, r->read.offset);
			EXPECT_EQ(BUF(1), r->h.nodeid);
			ASSERT_EQ(0, fill(S, r, 'a', r->read.size));
		}
	}
	ret = call_end(C);
	if (ret == -ENOSYS)
		SKIP(return, "no io_uring");
	S->manual = 0;
	EXPECT_EQ(2 * P, ret);
	EXPECT_EQ(2 * P, call(C, CLIENT_DIFF, p + 2 * P, 2 * P, 0));
}

/* Another process looks into the client; the exit status is what it sees */
enum spy { SPY_PTRACE, SPY_VM_READV, SPY_MEM };

static pid_t spy(struct client *c, int64_t addr, enum spy how)
{
	char path[64], byte = 0;
	struct iovec local = { &byte, 1 };
	struct iovec remote = { (void *)(uintptr_t)addr, 1 };
	pid_t pid = fork();
	long word;

	if (pid)
		return pid;
	switch (how) {
	case SPY_PTRACE:
		ptrace(PTRACE_ATTACH, c->pid, NULL, NULL);
		waitpid(c->pid, NULL, __WALL);
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, c->pid, remote.iov_base, NULL);
		_exit(errno ? 1 : word & 0xff);
	case SPY_VM_READV:
		_exit(process_vm_readv(c->pid, &local, 1, &remote, 1, 0) == 1 ?
		      byte : 1);
	case SPY_MEM:
		snprintf(path, sizeof(path), "/proc/%d/mem", c->pid);
		_exit(pread(open(path, O_RDONLY), &byte, 1, addr) == 1 ? byte :
									 1);
	}
	_exit(2);
}

#define EXPECT_SPIED(byte, pid)						\
	do {								\
		int __status;						\
									\
		ASSERT_EQ(pid, waitpid(pid, &__status, 0));		\
		EXPECT_EQ((byte) << 8, __status);			\
	} while (0)

FUSE_TEST(demand, debuggers)
{
	int64_t p = map_demand(C, client_open(C, S, O_RDWR));
	struct request *r;
	enum spy how;
	pid_t pid;

	ASSERT_LT(0, p);
	for (how = SPY_PTRACE; how <= SPY_MEM; how++) {
		pid = spy(C, p + 10 * how * P + 3, how);
		r = take(S, FUSE_READ);
		EXPECT_EQ(10 * how * P, r->read.offset);
		EXPECT_EQ(pid, r->h.pid);
		ASSERT_EQ(0, fill(S, r, 'a' + how, P));
		EXPECT_SPIED('a' + how, pid);

		pid = spy(C, p + (10 * how + 5) * P, how);
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_READ), -EIO));
		S->manual = 1ULL << FUSE_READ;
		EXPECT_SPIED(1, pid);
		S->manual = 0;
	}
	/* it can be killed as it waits, and the client goes on */
	pid = spy(C, p + 50 * P, SPY_MEM);
	r = take(S, FUSE_READ);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	call_start(C, CLIENT_PEEK, p + 50 * P, 1);
	ASSERT_EQ(0, fill(S, r, 'z', P));
	EXPECT_PEEK(C, 'z');
}

FUSE_TEST(demand, bound_ahead)
{
	int fd = client_open(C, S, O_RDWR);
	struct fuse_buffer_bind bind = {
		.ino = S->ino, .fh = S->fh, .len = SIZE, .nodeid = BUF(1),
		.size = SIZE, .flags = FUSE_BUFFER_DEMAND,
	};
	int64_t p;

	ASSERT_EQ(0, ioctl(S->fd, FUSE_DEV_IOC_BUFFER_BIND, &bind));
	p = call(C, CLIENT_MMAP, 0, SIZE, RW, MAP_SHARED, fd, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, fill(S, touch(C, p, 3 * P, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	quiet(S);
}

FUSE_TEST(demand, private_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd), q;
	struct request *r;

	ASSERT_LT(0, p);
	q = map(C, S, fd, .len = SIZE, .prot = RW, .flags = MAP_PRIVATE,
		.out = { .nodeid = BUF(1) });
	ASSERT_LT(0, q);
	call_start(C, CLIENT_FILL, q, 10, 'x');
	r = take(S, FUSE_READ);
	ASSERT_EQ(0, fill(S, r, 'a', P));
	ASSERT_EQ(10, call_end(C));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'a'));
	/* the copy does not go with the page */
	ASSERT_EQ(0, inval(S, BUF(1), 0, P));
	EXPECT_EQ(10, call(C, CLIENT_DIFF, q, P, 'x'));
	EXPECT_EQ(P - 10, call(C, CLIENT_DIFF, q + 10, P - 10, 'a'));
	quiet(S);
}

FUSE_TEST(demand, mremap_and_fork)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd), q;
	struct client child;

	ASSERT_LT(0, p);
	q = call(C, CLIENT_MREMAP, p + 32 * P, 32 * P, 32 * P,
		 MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * SIZE);
	ASSERT_EQ(p + 2 * SIZE, q);
	ASSERT_EQ(0, fill(S, touch(C, q - 32 * P, 40 * P, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	client_fork(C, &child);
	EXPECT_EQ(P, call(&child, CLIENT_DIFF, q + 8 * P, P, 'a'));
	ASSERT_EQ(0, fill(S, touch(&child, p, 4 * P, P), 'b', P));
	EXPECT_PEEK(&child, 'b');
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + 4 * P, P, 'b'));
	quiet(S);
	client_exit(&child);
}

/* Exec ends a thread that waits; what it waited for is not lost on others */
FUSE_TEST(demand, exec_while_a_thread_waits)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	struct request *r;

	ASSERT_LT(0, p);
	/* it may come before the answer to this */
	S->manual = 1ULL << FUSE_READ;
	ASSERT_EQ(0, call(C, CLIENT_TOUCHER, p));
	r = take(S, FUSE_READ);
	client_exec(C);
	take_munmap(S, S->fh, BUF(1), 0, SIZE);
	EXPECT_TRUE(buffer_exists(S, BUF(1)));
	ASSERT_EQ(0, fill(S, r, 'a', P));
	EXPECT_TRUE(eventually(!buffer_exists(S, BUF(1))));
}

/* The client waits on, for the right one */
FUSE_TEST(demand, reply_to_nobody)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);
	struct request *r, wrong;

	ASSERT_LT(0, p);
	r = touch(C, p, 0, P);
	wrong = *r;
	wrong.h.unique += 1000;
	EXPECT_EQ(-ENOENT, fill(S, &wrong, 'w', P));
	ASSERT_EQ(0, fill(S, r, 'a', P));
	EXPECT_PEEK(C, 'a');
	EXPECT_EQ(-ENOENT, fill(S, r, 'b', P));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'a'));
}

static sigjmp_buf sigbus;

static void on_sigbus(int sig)
{
	siglongjmp(sigbus, sig);
}

/* It would wait for itself */
FUSE_TEST(demand, server_does_not_ask_itself)
{
	int64_t p = map_demand(C, client_open(C, S, O_RDWR));
	struct request *r;
	volatile char *mem;
	char data[2 * P];
	int buf;

	ASSERT_LT(0, p);
	buf = demand_open(S, 0, 0);
	ASSERT_LE(0, buf);
	mem = mmap(NULL, SIZE, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	signal(SIGBUS, on_sigbus);
	if (!sigsetjmp(sigbus, 1)) {
		(void)mem[0];
		fail("no SIGBUS");
	}
	signal(SIGBUS, SIG_DFL);
	EXPECT_EQ(-1, pread(buf, data, P, 0));
	EXPECT_EQ(ENODATA, errno);
	ASSERT_EQ(0, retrieve(S, BUF(1), 0, P, 7));
	r = take(S, FUSE_NOTIFY_REPLY);
	EXPECT_EQ(P, r->retrieve.size);

	/* a write makes the page, and reads end where there is none */
	ASSERT_EQ(P, pwrite(buf, memset(data, 'w', P), P, 0));
	EXPECT_EQ('w', mem[0]);
	EXPECT_EQ(P, pread(buf, data, 2 * P, 0));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'w'));
	EXPECT_EQ(1, fdinfo(buf, "present"));
	quiet(S);
}

FUSE_TEST(demand, connection_ends)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	ASSERT_EQ(0, fill(S, touch(C, p, 0, P), 'a', P));
	EXPECT_PEEK(C, 'a');
	touch(C, p, 10 * P, P);
	server_abort(S);
	EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
	EXPECT_EQ(CLIENT_FAULT(SIGBUS), call(C, CLIENT_PEEK, p + 20 * P, 1));
	/* what is there stays */
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 'a'));
}

FUSE_TEST(demand, server_dies)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p = map_demand(C, fd);

	ASSERT_LT(0, p);
	touch(C, p, 0, P);
	server_die(S);
	EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
}

/* Larger than memory; what is present counts, and INVAL makes room */
FUSE_TEST(demand, larger_than_memory)
{
	const uint64_t size = 1ULL << 42;
	int fd = client_open(C, S, O_RDWR), buf, i;
	int64_t p;

	ASSERT_EQ(0, set_sysctl(fuse_knob("max_buffer_pages"), 4));
	buf = demand_open(S, size, FUSE_BUFFER_DEMAND);
	ASSERT_LE(0, buf);
	EXPECT_EQ(-EFBIG, buffer_open(S, BUF(2), size));
	p = map(C, S, fd, .len = 1024 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .offset = size - 1024 * P });
	ASSERT_LT(0, p);
	for (i = 0; i < 6; i++) {
		call_start(C, CLIENT_PEEK, p + 100 * i * P, 1);
		ASSERT_EQ(0, fill(S, take(S, FUSE_READ), 'a' + i, P));
		if (i < 4)
			EXPECT_PEEK(C, 'a' + i);
		else
			EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
	}
	EXPECT_EQ(4, fdinfo(buf, "present"));
	ASSERT_EQ(0, inval(S, BUF(1), size - 1024 * P, 200 * P));
	EXPECT_EQ(2, fdinfo(buf, "present"));
	for (i = 4; i < 6; i++) {
		call_start(C, CLIENT_PEEK, p + 100 * i * P, 1);
		ASSERT_EQ(0, fill(S, take(S, FUSE_READ), 'a' + i, P));
		EXPECT_PEEK(C, 'a' + i);
	}
	EXPECT_EQ(4, fdinfo(buf, "present"));
}

FUSE_TEST(demand, flags_are_the_buffers)
{
	int fd = client_open(C, S, O_RDWR), buf;

	buf = demand_open(S, SIZE, FUSE_BUFFER_DEMAND);
	ASSERT_LE(0, buf);
	EXPECT_EQ(-EEXIST, demand_open(S, SIZE, 0));
	EXPECT_EQ(-EEXIST, demand_open(S, SIZE, FUSE_BUFFER_DEMAND |
						FUSE_BUFFER_LOG));
	EXPECT_EQ(-EINVAL, demand_open(S, SIZE, 1U << 2));
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .size = SIZE }));
	take_munmap(S, S->fh, BUF(1), 0, P);
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .size = SIZE,
				     .flags = 1U << 2 }));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

TEST_HARNESS_MAIN
