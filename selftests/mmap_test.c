// SPDX-License-Identifier: GPL-2.0
/*
 * mmap(2) of FUSE files and CUSE devices: FUSE_MMAP and FUSE_MUNMAP.
 *
 * That each FUSE_MMAP gets exactly one FUSE_MUNMAP, and that before the
 * FUSE_RELEASE, is checked by the server in every test.
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_FIXTURE(mmap, FUSE_FEATURE_BUFFERS);

#define P	(self->page)

/* mmap(2) that the server answers with buffer @n of @pages pages */
#define map_shared(fd, n, pages) \
	map(C, S, fd, .len = (pages) * P, .prot = RW, .flags = MAP_SHARED, \
	    .out = { .nodeid = BUF(n), .size = (pages) * P })

static int64_t peek(struct client *c, int64_t addr)
{
	int64_t ret = call(c, CLIENT_PEEK, addr, 1);

	return ret == 1 ? (unsigned char)c->answer.data[0] : ret;
}

static int64_t poke(struct client *c, int64_t addr, char value)
{
	return call_data(c, CLIENT_POKE, &value, 1, addr);
}

FUSE_TEST(mmap, one_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	ASSERT_LE(0, fd);
	p = map_shared(fd, 1, 4);
	ASSERT_LT(0, p);
	EXPECT_EQ(4 * P, call(C, CLIENT_DIFF, p, 4 * P, 0));
	EXPECT_EQ(1, poke(C, p + P, 'x'));
	EXPECT_EQ('x', peek(C, p + P));
	quiet(S);

	/* it is queued when munmap(2) returns */
	S->deaf = true;
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 4 * P));
	EXPECT_TRUE(server_pending(S));
	S->deaf = false;
	take_munmap(S, S->fh, BUF(1), 0, 4 * P);
	quiet(S);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_EQ(CLIENT_FAULT(SIGSEGV), peek(C, p));
}

FUSE_TEST(mmap, server_shares_it)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p;
	char *q;

	buf = buffer_open(S, BUF(1), 4 * P);
	ASSERT_LE(0, buf);
	q = mmap(NULL, 4 * P, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, q);
	strcpy(q, "from the server");

	p = map_shared(fd, 1, 4);
	ASSERT_LT(0, p);
	ASSERT_EQ(16, call(C, CLIENT_PEEK, p, 16));
	EXPECT_STREQ("from the server", C->answer.data);
	ASSERT_EQ(1, poke(C, p + 3 * P, 'c'));
	EXPECT_EQ('c', q[3 * P]);
	/* without delay, both ways */
	q[5] = 'T';
	EXPECT_EQ('T', peek(C, p + 5));
	EXPECT_EQ(1, fdinfo(buf, "mappings"));

	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 4 * P));
	take_munmap(S, S->fh, BUF(1), 0, 4 * P);
	EXPECT_EQ(0, fdinfo(buf, "mappings"));
	EXPECT_EQ('c', q[3 * P]);
}

FUSE_TEST(mmap, equal_nodeids_share)
{
	int a = client_open(C, S, O_RDWR);
	uint64_t fh_a = S->fh;
	int b = client_open(C, S, O_RDWR);
	uint64_t fh_b = S->fh;
	int64_t p, q, r;

	p = map(C, S, a, fh_a, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 2 * P });
	ASSERT_LT(0, p);
	/* of the same file, of another one; with and without its size */
	q = map(C, S, a, fh_a, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 2 * P });
	ASSERT_LT(0, q);
	r = map(C, S, b, fh_b, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1) });
	ASSERT_LT(0, r);

	ASSERT_EQ(1, poke(C, p + P, 'x'));
	EXPECT_EQ('x', peek(C, q + P));
	EXPECT_EQ('x', peek(C, r + P));

	/* the buffer lives until the last one is gone */
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, fh_a, BUF(1), 0, 2 * P);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, r, 2 * P));
	take_munmap(S, fh_b, BUF(1), 0, 2 * P);
	EXPECT_EQ('x', peek(C, q + P));
	EXPECT_TRUE(buffer_exists(S, BUF(1)));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, q, 2 * P));
	take_munmap(S, fh_a, BUF(1), 0, 2 * P);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
}

FUSE_TEST(mmap, different_nodeids_are_separate)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p, q;

	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	q = map_shared(fd, 2, 1);
	ASSERT_LT(0, q);
	ASSERT_EQ(1, poke(C, p, 'p'));
	EXPECT_EQ(0, peek(C, q));
	ASSERT_EQ(1, poke(C, q, 'q'));
	EXPECT_EQ('p', peek(C, p));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, q, P));
	take_munmap(S, S->fh, BUF(2), 0, P);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* Adjacent mappings of one buffer must not become one */
FUSE_TEST(mmap, neighbours_do_not_merge)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t at, p, q;

	at = call(C, CLIENT_MMAP, 0, 4 * P, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_LT(0, at);
	p = map(C, S, fd, .addr = at, .len = P, .offset = 0, .prot = RW,
		.flags = MAP_SHARED | MAP_FIXED,
		.out = { .nodeid = BUF(1), .offset = 0, .size = 2 * P });
	ASSERT_EQ(at, p);
	q = map(C, S, fd, .addr = at + P, .len = P, .offset = P, .prot = RW,
		.flags = MAP_SHARED | MAP_FIXED,
		.out = { .nodeid = BUF(1), .offset = P, .size = 2 * P });
	ASSERT_EQ(at + P, q);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, at, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, at + P, P));
	take_munmap(S, S->fh, BUF(1), P, P);
}

FUSE_TEST(mmap, one_munmap_call_ends_two_mappings)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t at;

	at = call(C, CLIENT_MMAP, 0, 2 * P, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_LT(0, at);
	ASSERT_EQ(at, map(C, S, fd, .addr = at, .len = P, .prot = RW,
			  .flags = MAP_SHARED | MAP_FIXED,
			  .out = { .nodeid = BUF(1), .size = P }));
	ASSERT_EQ(at + P, map(C, S, fd, .addr = at + P, .len = P, .prot = RW,
			      .flags = MAP_SHARED | MAP_FIXED,
			      .out = { .nodeid = BUF(2), .size = P }));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, at, 2 * P));
	/* in whatever order */
	r = take(S, FUSE_MUNMAP);
	take_munmap(S, S->fh, r->munmap.nodeid == BUF(1) ? BUF(2) : BUF(1), 0,
		    P);
	quiet(S);
}

FUSE_TEST(mmap, offset_and_size)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p;
	char *q;

	buf = buffer_open(S, BUF(1), 8 * P);
	ASSERT_LE(0, buf);
	q = mmap(NULL, 8 * P, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, q);
	q[3 * P] = 3;
	q[4 * P] = 4;

	/* the file's offset and the buffer's have nothing to do with each other */
	p = map(C, S, fd, .len = 2 * P, .offset = 5 * P, .prot = RW,
		.flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .offset = 3 * P, .size = 8 * P });
	ASSERT_LT(0, p);
	EXPECT_EQ(3, peek(C, p));
	EXPECT_EQ(4, peek(C, p + P));
	ASSERT_EQ(1, poke(C, p + P + 1, 'x'));
	EXPECT_EQ('x', q[4 * P + 1]);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 3 * P, 2 * P);

	/* the last page, from an offset beyond 4 GiB */
	p = map(C, S, fd, .len = P, .offset = 1ULL << 36, .prot = RW,
		.flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .offset = 7 * P });
	ASSERT_LT(0, p);
	ASSERT_EQ(1, poke(C, p, 'y'));
	EXPECT_EQ('y', q[7 * P]);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 7 * P, P);
}

/* mmap(2) rounds up; the server sees whole pages */
FUSE_TEST(mmap, odd_length)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map(C, S, fd, .len = P + 1, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 2 * P });
	ASSERT_LT(0, p);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P + 1));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

FUSE_TEST(mmap, private)
{
	int fd = client_open(C, S, O_RDONLY), buf;
	int64_t p;
	char *q;

	buf = buffer_open(S, BUF(1), 2 * P);
	ASSERT_LE(0, buf);
	q = mmap(NULL, 2 * P, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, q);

	p = map(C, S, fd, .len = 2 * P, .prot = RW, .flags = MAP_PRIVATE,
		.out = { .nodeid = BUF(1), .size = 2 * P });
	ASSERT_LT(0, p);
	q[0] = 's';
	EXPECT_EQ('s', peek(C, p));
	ASSERT_EQ(1, poke(C, p, 'p'));
	EXPECT_EQ('s', q[0]);
	/* the page is the client's own now, the other one is not */
	q[0] = 't';
	q[P] = 't';
	EXPECT_EQ('p', peek(C, p));
	EXPECT_EQ('t', peek(C, p + P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

FUSE_TEST(mmap, prot)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE,
		PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	int fd = client_open(C, S, O_RDWR);
	size_t i;
	int64_t p;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		p = map(C, S, fd, .len = P, .prot = prots[i],
			.flags = MAP_SHARED,
			.out = { .nodeid = BUF(1), .size = P });
		ASSERT_LT(0, p);
		EXPECT_EQ(prots[i] ? 0 : CLIENT_FAULT(SIGSEGV), peek(C, p));
		EXPECT_EQ(prots[i] & PROT_WRITE ? 1 : CLIENT_FAULT(SIGSEGV),
			  poke(C, p, 0));
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
		take_munmap(S, S->fh, BUF(1), 0, P);
	}
}

FUSE_TEST(mmap, mprotect)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map(C, S, fd, .len = 3 * P, .prot = PROT_READ, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 3 * P });
	ASSERT_LT(0, p);
	EXPECT_EQ(CLIENT_FAULT(SIGSEGV), poke(C, p + P, 1));
	/* the mapping is three now, and one again */
	ASSERT_EQ(0, call(C, CLIENT_MPROTECT, p + P, P, RW));
	EXPECT_EQ(1, poke(C, p + P, 1));
	EXPECT_EQ(CLIENT_FAULT(SIGSEGV), poke(C, p, 1));
	ASSERT_EQ(0, call(C, CLIENT_MPROTECT, p, 3 * P, PROT_READ));
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 3 * P));
	take_munmap(S, S->fh, BUF(1), 0, 3 * P);
}

/* A read-only file must not become a way to write into the buffer */
FUSE_TEST(mmap, read_only_open)
{
	int fd = client_open(C, S, O_RDONLY);
	int64_t p;

	/* refused before the server is asked */
	EXPECT_EQ(-EACCES, call(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0));
	quiet(S);
	p = map(C, S, fd, .len = P, .prot = PROT_READ, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = P });
	ASSERT_LT(0, p);
	EXPECT_EQ(0, peek(C, p));
	EXPECT_EQ(-EACCES, call(C, CLIENT_MPROTECT, p, P, RW));
	EXPECT_EQ(CLIENT_FAULT(SIGSEGV), poke(C, p, 1));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

FUSE_TEST(mmap, write_only_open)
{
	int fd = client_open(C, S, O_WRONLY);

	EXPECT_EQ(-EACCES, call(C, CLIENT_MMAP, 0, P, PROT_WRITE, MAP_SHARED,
				fd, 0));
	quiet(S);
}

FUSE_TEST(mmap, close_before_munmap)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t p;

	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	S->manual = 1 << FUSE_RELEASE;
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	EXPECT_EQ(1, poke(C, p, 'x'));
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
	r = take(S, FUSE_RELEASE);
	EXPECT_EQ(S->fh, r->release.fh);
	EXPECT_EQ(0, reply(S, r, NULL, 0));
	quiet(S);
}

FUSE_TEST(mmap, munmap_before_close)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t p;

	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	S->manual = 1 << FUSE_RELEASE;
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	r = take(S, FUSE_RELEASE);
	EXPECT_EQ(S->fh, r->release.fh);
	EXPECT_EQ(0, reply(S, r, NULL, 0));
	quiet(S);
}

FUSE_TEST(mmap, partial_munmap)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map_shared(fd, 1, 5);
	ASSERT_LT(0, p);
	ASSERT_EQ(5 * P, call(C, CLIENT_FILL, p, 5 * P, 'x'));
	/* in the middle, at the start, at the end */
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p + 2 * P, P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p + 4 * P, P));
	quiet(S);
	EXPECT_EQ('x', peek(C, p + P));
	EXPECT_EQ('x', peek(C, p + 3 * P));
	EXPECT_EQ(CLIENT_FAULT(SIGSEGV), peek(C, p + 2 * P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p + P, P));
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p + 3 * P, P));
	take_munmap(S, S->fh, BUF(1), 0, 5 * P);
	quiet(S);
}

FUSE_TEST(mmap, fork)
{
	int fd = client_open(C, S, O_RDWR);
	struct client child = { 0 };
	int64_t p;

	p = map_shared(fd, 1, 2);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, poke(C, p, 'a'));
	client_fork(C, &child);
	EXPECT_EQ('a', peek(&child, p));
	ASSERT_EQ(1, poke(&child, p + P, 'b'));
	EXPECT_EQ('b', peek(C, p + P));

	/* gone when it is gone from both */
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	quiet(S);
	EXPECT_EQ('a', peek(&child, p));
	ASSERT_EQ(0, call(&child, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
	client_exit(&child);
	quiet(S);
}

FUSE_TEST(mmap, parent_exits_first)
{
	int fd = client_open(C, S, O_RDWR);
	struct client child = { 0 };
	int64_t p;

	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	client_fork(C, &child);
	client_exit(C);
	quiet(S);
	ASSERT_EQ(1, poke(&child, p, 'x'));
	EXPECT_EQ('x', peek(&child, p));
	client_exit(&child);
	take_munmap(S, S->fh, BUF(1), 0, P);
}

FUSE_TEST(mmap, exit_unmaps)
{
	int fd = client_open(C, S, O_RDWR);

	ASSERT_LT(0, map_shared(fd, 1, 3));
	ASSERT_LT(0, map_shared(fd, 2, 1));
	client_exit(C);
	take(S, FUSE_MUNMAP);
	take(S, FUSE_MUNMAP);
	quiet(S);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_FALSE(buffer_exists(S, BUF(2)));
}

FUSE_TEST(mmap, exec_unmaps)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map_shared(fd, 1, 3);
	ASSERT_LT(0, p);
	client_exec(C);
	take_munmap(S, S->fh, BUF(1), 0, 3 * P);
	/* the file is open still */
	p = map_shared(fd, 1, 3);
	ASSERT_LT(0, p);
	EXPECT_EQ(0, peek(C, p));
	client_exit(C);
	take_munmap(S, S->fh, BUF(1), 0, 3 * P);
}

FUSE_TEST(mmap, mremap_moves)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p, q, to;

	p = map_shared(fd, 1, 3);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, poke(C, p + 2 * P, 'x'));
	to = call(C, CLIENT_MMAP, 0, 3 * P, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_LT(0, to);
	q = call(C, CLIENT_MREMAP, p, 3 * P, 3 * P,
		 MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_EQ(to, q);
	quiet(S);
	EXPECT_EQ('x', peek(C, q + 2 * P));
	EXPECT_EQ(CLIENT_FAULT(SIGSEGV), peek(C, p));
	/* a part of it */
	ASSERT_EQ(p, call(C, CLIENT_MREMAP, q + 2 * P, P, P,
			  MREMAP_MAYMOVE | MREMAP_FIXED, p));
	quiet(S);
	EXPECT_EQ('x', peek(C, p));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, q, 2 * P));
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, 3 * P);
	quiet(S);
}

/* The target of a move is a mapping itself */
FUSE_TEST(mmap, mremap_over_a_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p, q;

	p = map_shared(fd, 1, 1);
	q = map_shared(fd, 2, 1);
	ASSERT_LT(0, p);
	ASSERT_LT(0, q);
	ASSERT_EQ(1, poke(C, p, 'p'));
	ASSERT_EQ(q, call(C, CLIENT_MREMAP, p, P, P,
			  MREMAP_MAYMOVE | MREMAP_FIXED, q));
	take_munmap(S, S->fh, BUF(2), 0, P);
	EXPECT_EQ('p', peek(C, q));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, q, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* The server has agreed to this length and no other */
FUSE_TEST(mmap, mremap_cannot_grow)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map(C, S, fd, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 8 * P });
	ASSERT_LT(0, p);
	EXPECT_EQ(-EFAULT, call(C, CLIENT_MREMAP, p, 2 * P, 4 * P, 0));
	EXPECT_EQ(-EFAULT, call(C, CLIENT_MREMAP, p, 2 * P, 4 * P,
				MREMAP_MAYMOVE));
	ASSERT_EQ(p, call(C, CLIENT_MREMAP, p, 2 * P, P, 0));
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

FUSE_TEST(mmap, mremap_dontunmap)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p, q;

	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, poke(C, p, 'x'));
	q = call(C, CLIENT_MREMAP, p, P, P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	/* where it is allowed, both are pieces of the one mapping */
	if (q > 0) {
		EXPECT_EQ('x', peek(C, q));
		EXPECT_EQ('x', peek(C, p));
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, q, P));
	}
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
	quiet(S);
}

FUSE_TEST(mmap, fixed_over_old_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map_shared(fd, 1, 3);
	ASSERT_LT(0, p);
	/* over a part by something else: no end yet */
	ASSERT_EQ(p + P, call(C, CLIENT_MMAP, p + P, P, RW, MAP_PRIVATE |
			      MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	quiet(S);
	/* over all of it, by another buffer */
	ASSERT_EQ(p, map(C, S, fd, .addr = p, .len = 3 * P, .prot = RW,
			 .flags = MAP_SHARED | MAP_FIXED,
			 .out = { .nodeid = BUF(2), .size = 3 * P }));
	take_munmap(S, S->fh, BUF(1), 0, 3 * P);
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 3 * P));
	take_munmap(S, S->fh, BUF(2), 0, 3 * P);
}

/* The same buffer over itself: its data stays, there is always a mapping */
FUSE_TEST(mmap, fixed_over_itself)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p;

	buf = buffer_open(S, BUF(1), P);
	ASSERT_LE(0, buf);
	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, poke(C, p, 'x'));
	ASSERT_EQ(p, map(C, S, fd, .addr = p, .len = P, .prot = RW,
			 .flags = MAP_SHARED | MAP_FIXED,
			 .out = { .nodeid = BUF(1), .size = P }));
	EXPECT_EQ('x', peek(C, p));
	take_munmap(S, S->fh, BUF(1), 0, P);
	EXPECT_EQ(1, fdinfo(buf, "mappings"));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* A STORE directly after the reply finds the buffer, whatever the client does */
FUSE_TEST(mmap, made_by_the_reply)
{
	struct fuse_mmap_out out = { .nodeid = BUF(1), .size = P };
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t p;

	call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
	r = take(S, FUSE_MMAP);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(0, store(S, BUF(1), 10, "stored", 6));
	p = call_end(C);
	ASSERT_LT(0, p);
	EXPECT_EQ('s', peek(C, p + 10));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

FUSE_TEST(mmap, madvise_and_msync)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map_shared(fd, 1, 2);
	ASSERT_LT(0, p);
	ASSERT_EQ(2 * P, call(C, CLIENT_FILL, p, 2 * P, 'x'));
	EXPECT_EQ(0, call(C, CLIENT_MSYNC, p, 2 * P, MS_SYNC));
	EXPECT_EQ(0, call(C, CLIENT_MADVISE, p, 2 * P, MADV_DONTNEED));
	call(C, CLIENT_MADVISE, p, 2 * P, MADV_PAGEOUT);
	/* a client cannot drop what belongs to all */
	EXPECT_GT(0, call(C, CLIENT_MADVISE, p, 2 * P, MADV_REMOVE));
	EXPECT_EQ(2 * P, call(C, CLIENT_DIFF, p, 2 * P, 'x'));
	quiet(S);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

/* Its mapping as the target of a request to the same server */
FUSE_TEST(mmap, read_into_the_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t p;
	char *data;

	S->open_flags = FOPEN_DIRECT_IO;
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	fd = client_open(C, S, O_RDWR);
	p = map_shared(fd, 1, 2);
	ASSERT_LT(0, p);
	call_start(C, CLIENT_READ_TO, fd, p, 2 * P);
	r = take(S, FUSE_READ);
	ASSERT_EQ(2 * P, r->read.size);
	data = malloc(2 * P);
	memset(data, 'r', 2 * P);
	EXPECT_EQ(0, reply(S, r, data, 2 * P));
	EXPECT_EQ(2 * P, call_end(C));
	EXPECT_EQ(2 * P, call(C, CLIENT_DIFF, p, 2 * P, 'r'));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

FUSE_TEST(mmap, many_mappings)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p[64];
	int i;

	for (i = 0; i < 64; i++) {
		p[i] = map_shared(fd, i, 1);
		ASSERT_LT(0, p[i]);
		ASSERT_EQ(1, poke(C, p[i], i));
	}
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(i, peek(C, p[i]));
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p[i], P));
		take_munmap(S, S->fh, BUF(i), 0, P);
	}
	quiet(S);
}

/* Errors */

FUSE_TEST(mmap, errors_are_passed_on)
{
	static const int errors[] = {
		EPERM, ENOENT, EINTR, EIO, EAGAIN, ENOMEM, EACCES, EBUSY,
		ENODEV, EINVAL, ENOSPC, EOPNOTSUPP, EOVERFLOW, 511,
	};
	int fd = client_open(C, S, O_RDWR);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		EXPECT_EQ(-errors[i], map(C, S, fd, .len = P, .prot = RW,
					  .flags = MAP_SHARED,
					  .error = -errors[i]));
		quiet(S);
	}
}

/* A failed mmap(2) leaves the place as it was, even with MAP_FIXED */
FUSE_TEST(mmap, error_over_old_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	EXPECT_EQ(-EBUSY, map(C, S, fd, .addr = p, .len = P, .prot = RW,
			      .flags = MAP_SHARED | MAP_FIXED,
			      .error = -EBUSY));
	/*
	 * mmap(2) may have unmapped already what was there; if so, the server
	 * is told, now, and else when it is unmapped.
	 */
	call(C, CLIENT_MUNMAP, p, P);
	take_munmap(S, S->fh, BUF(1), 0, P);
	quiet(S);
}

/* ENOSYS and nodeid 0: as if the feature was off */
static void expect_mainline(struct __test_metadata *_metadata,
			    struct server *s, struct client *c, int fd,
			    uint64_t page, int64_t p)
{
	if (s->type == SERVER_CUSE) {
		EXPECT_EQ(-ENODEV, p);
		return;
	}
	ASSERT_LT(0, p);
	/* page n of the file is full of n + 1 */
	s->io = true;
	EXPECT_EQ(2, peek(c, p));
	s->io = false;
	ASSERT_EQ(0, call(c, CLIENT_MUNMAP, p, page));
	quiet(s);
}

FUSE_TEST(mmap, enosys_is_final)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map(C, S, fd, .len = P, .offset = P, .prot = PROT_READ,
		.flags = MAP_PRIVATE, .error = -ENOSYS);
	expect_mainline(_metadata, S, C, fd, P, p);
	p = call(C, CLIENT_MMAP, 0, P, PROT_READ, MAP_PRIVATE, fd, P);
	expect_mainline(_metadata, S, C, fd, P, p);
	/* any file of the connection */
	fd = client_open(C, S, O_RDWR);
	p = call(C, CLIENT_MMAP, 0, P, PROT_READ, MAP_PRIVATE, fd, P);
	expect_mainline(_metadata, S, C, fd, P, p);
}

FUSE_TEST(mmap, nodeid_0)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;
	int i;

	/* not final, unlike ENOSYS */
	for (i = 0; i < 2; i++) {
		p = map(C, S, fd, .len = P, .offset = P, .prot = PROT_READ,
			.flags = MAP_PRIVATE);
		expect_mainline(_metadata, S, C, fd, P, p);
	}
	p = map_shared(fd, 1, 1);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

FUSE_TEST(mmap, malformed_replies)
{
	struct {
		const char *what;
		struct fuse_mmap_out out;
	} bad[] = {
		{ "nodeid of an inode", { 1, 0, P } },
		{ "nodeid of an inode", { ~FUSE_BUFFER_NODEID, 0, P } },
		{ "offset not aligned", { BUF(1), 1, 8 * P } },
		{ "offset not aligned", { BUF(1), P / 2, 8 * P } },
		{ "size not aligned", { BUF(1), 0, 8 * P + 1 } },
		{ "size not aligned", { BUF(1), 0, 1 } },
		{ "too small", { BUF(1), 0, P } },
		{ "offset at the end", { BUF(1), 2 * P, 2 * P } },
		{ "runs over the end", { BUF(1), P, 2 * P } },
		{ "offset wraps", { BUF(1), -P, 2 * P } },
		{ "offset wraps", { BUF(1), -2 * P, 2 * P } },
		{ "no size and no such buffer", { BUF(1), 0, 0 } },
		{ "huge", { BUF(1), 0, 1ULL << 62 } },
		{ "huge", { BUF(1), 0, -P } },
		{ "flags", { BUF(1), 0, 2 * P, 1U << 2 } },
		{ "flags", { BUF(1), 0, 2 * P, 1U << 31 } },
		{ "padding", { BUF(1), 0, 2 * P, 0, 1 } },
	};
	int fd = client_open(C, S, O_RDWR);
	int64_t p;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		p = map(C, S, fd, .len = 2 * P, .prot = RW,
			.flags = MAP_SHARED, .out = bad[i].out);
		EXPECT_EQ(-EIO, p)
			TH_LOG("%s", bad[i].what);
		/* the server believes that it mapped */
		take_munmap(S, S->fh, bad[i].out.nodeid, bad[i].out.offset,
			    2 * P);
		quiet(S);
		EXPECT_FALSE(buffer_exists(S, BUF(1)))
			TH_LOG("%s", bad[i].what);
	}
	/* and all is well afterwards */
	p = map_shared(fd, 1, 2);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

FUSE_TEST(mmap, another_size_than_the_buffer)
{
	int fd = client_open(C, S, O_RDWR), buf;

	buf = buffer_open(S, BUF(1), 4 * P);
	ASSERT_LE(0, buf);
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW,
			    .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .size = 5 * P }));
	take_munmap(S, S->fh, BUF(1), 0, P);
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW,
			    .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .size = P }));
	take_munmap(S, S->fh, BUF(1), 0, P);
	/* size 0: that of the buffer, and no more than that */
	EXPECT_EQ(-EIO, map(C, S, fd, .len = 2 * P, .prot = RW,
			    .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .offset = 3 * P }));
	take_munmap(S, S->fh, BUF(1), 3 * P, 2 * P);
	EXPECT_EQ(4 * P, fdinfo(buf, "size"));
	EXPECT_EQ(0, fdinfo(buf, "mappings"));
}

/* nodeid 0 and all else 0, or else malformed */
FUSE_TEST(mmap, nodeid_0_with_more)
{
	const struct fuse_mmap_out bad[] = {
		{ .size = P }, { .offset = P }, { .flags = 1 }, { .padding = 1 },
	};
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = PROT_READ,
				    .flags = MAP_PRIVATE, .out = bad[i]));
		/* it may believe that it mapped nothing, or something */
		S->checked = false;
		if (server_pending(S)) {
			r = take(S, FUSE_MUNMAP);
			EXPECT_EQ(0, r->munmap.nodeid);
			EXPECT_EQ(bad[i].offset, r->munmap.offset);
		}
		S->checked = true;
		quiet(S);
	}
}

/* The write(2) of the reply fails, so the server knows that nothing is mapped */
FUSE_TEST(mmap, replies_of_wrong_length)
{
	static const size_t lengths[] = { 1, 8, 24, sizeof(struct fuse_mmap_out) - 1,
					  sizeof(struct fuse_mmap_out) + 1, 64 };
	char out[64] = { 0 };
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	size_t i;

	memcpy(out, &(struct fuse_mmap_out){ .nodeid = BUF(1), .size = P },
	       sizeof(struct fuse_mmap_out));
	for (i = 0; i < ARRAY_SIZE(lengths) + 1; i++) {
		size_t len = i ? lengths[i - 1] : 0;

		call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
		r = take(S, FUSE_MMAP);
		EXPECT_EQ(-EINVAL, reply(S, r, out, len));
		EXPECT_EQ(-EIO, call_end(C));
		quiet(S);
		EXPECT_FALSE(buffer_exists(S, BUF(1)));
	}
	/* an error with data */
	call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
	r = take(S, FUSE_MMAP);
	EXPECT_EQ(-EINVAL, server_reply(S, r, -EBUSY, out,
					sizeof(struct fuse_mmap_out)));
	EXPECT_EQ(-EIO, call_end(C));
	quiet(S);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
}

/* Two connections */

FUSE_TEST(mmap, two_connections_one_nodeid)
{
	struct server other = { .type = variant->type };
	int a, b, buf_a, buf_b;
	int64_t p, q;
	char c;

	ASSERT_EQ(NULL, server_start(&other));
	ASSERT_EQ(0, server_enable(&other, FUSE_FEATURE_BUFFERS));
	a = client_open(C, S, O_RDWR);
	b = client_open(C, &other, O_RDWR);
	ASSERT_LE(0, b);
	p = map_shared(a, 1, 1);
	ASSERT_LT(0, p);
	/* another size, which would be an error were it the same buffer */
	q = map(C, &other, b, .len = P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 2 * P });
	ASSERT_LT(0, q);
	ASSERT_EQ(1, poke(C, p, 'p'));
	ASSERT_EQ(1, poke(C, q, 'q'));
	EXPECT_EQ('p', peek(C, p));

	EXPECT_EQ(0, store(S, BUF(1), 0, "P", 1));
	EXPECT_EQ('q', peek(C, q));
	buf_a = buffer_open(S, BUF(1), 0);
	buf_b = buffer_open(&other, BUF(1), 0);
	EXPECT_EQ(P, fdinfo(buf_a, "size"));
	EXPECT_EQ(2 * P, fdinfo(buf_b, "size"));
	ASSERT_EQ(1, pread(buf_b, &c, 1, 0));
	EXPECT_EQ('q', c);

	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
	close(buf_a);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_EQ('q', peek(C, q));
	/* one ends, the other does not notice */
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, q, P));
	take_munmap(&other, other.fh, BUF(1), 0, P);
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, b));
	server_stop(&other);
	p = map_shared(a, 1, 1);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* One process maps a buffer over itself through the other connection */
FUSE_TEST(mmap, fixed_over_another_connection)
{
	struct server other = { .type = variant->type };
	int a, b;
	int64_t p;

	ASSERT_EQ(NULL, server_start(&other));
	ASSERT_EQ(0, server_enable(&other, FUSE_FEATURE_BUFFERS));
	a = client_open(C, S, O_RDWR);
	b = client_open(C, &other, O_RDWR);
	p = map_shared(a, 1, 1);
	ASSERT_LT(0, p);
	ASSERT_EQ(p, map(C, &other, b, .addr = p, .len = P, .prot = RW,
			 .flags = MAP_SHARED | MAP_FIXED,
			 .out = { .nodeid = BUF(1), .size = P }));
	take_munmap(S, S->fh, BUF(1), 0, P);
	quiet(&other);
	client_exit(C);
	take_munmap(&other, other.fh, BUF(1), 0, P);
	server_stop(&other);
}

/* Kernels with and without the series, servers that have switched nothing on */

FUSE_ONLY_FIXTURE(mmap_off_fuse, NEEDS_NOTHING);
CUSE_ONLY_FIXTURE(mmap_off_cuse, NEEDS_NOTHING);

static void expect_log(struct __test_metadata *_metadata, struct server *s,
		       const uint32_t *expected, size_t n)
{
	size_t i;

	EXPECT_EQ(n, s->requests);
	for (i = 0; i < n && i < s->requests; i++)
		EXPECT_EQ(expected[i], s->log[i]);
}

#define EXPECT_LOG(...) do {						\
	const uint32_t __ops[] = { __VA_ARGS__ };			\
	expect_log(_metadata, S, __ops, ARRAY_SIZE(__ops));		\
} while (0)

FUSE_TEST(mmap_off_fuse, page_cache)
{
	int64_t p;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	p = call(C, CLIENT_MMAP, 0, P, PROT_READ, MAP_SHARED, fd, P);
	ASSERT_LT(0, p);
	EXPECT_EQ(2, peek(C, p));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	ASSERT_TRUE(eventually(!S->files));
	EXPECT_LOG(FUSE_INIT, FUSE_LOOKUP, FUSE_OPEN, FUSE_READ, FUSE_FLUSH,
		   FUSE_RELEASE);
}

FUSE_TEST(mmap_off_fuse, page_cache_written)
{
	struct request *r;
	int64_t p;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	p = call(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, P);
	ASSERT_LT(0, p);
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'w'));
	S->manual = 1 << FUSE_WRITE;
	call_start(C, CLIENT_MSYNC, p, P, MS_SYNC);
	r = take(S, FUSE_WRITE);
	EXPECT_EQ(P, r->write.offset);
	EXPECT_EQ(P, r->write.size);
	EXPECT_EQ('w', ((char *)(&r->write + 1))[0]);
	reply(S, r, &(struct fuse_write_out){ .size = P },
	      sizeof(struct fuse_write_out));
	EXPECT_EQ(0, call_end(C));
	S->manual = 0;
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
}

FUSE_TEST(mmap_off_fuse, direct_io)
{
	int64_t p;
	int fd;

	S->io = true;
	S->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(C, S, O_RDWR);
	EXPECT_EQ(-ENODEV, call(C, CLIENT_MMAP, 0, P, PROT_READ, MAP_SHARED,
				fd, P));
	p = call(C, CLIENT_MMAP, 0, P, PROT_READ, MAP_PRIVATE, fd, P);
	ASSERT_LT(0, p);
	EXPECT_EQ(2, peek(C, p));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
}

FUSE_TEST(mmap_off_cuse, enodev)
{
	int fd;

	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENODEV, call(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(-ENODEV, call(C, CLIENT_MMAP, 0, P, RW, MAP_PRIVATE, fd, 0));
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	ASSERT_TRUE(eventually(!S->files));
	EXPECT_LOG(CUSE_INIT, FUSE_OPEN, FUSE_RELEASE);
}

TEST_HARNESS_MAIN
