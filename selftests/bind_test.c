// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE_DEV_IOC_BUFFER_BIND and FUSE_DEV_IOC_BUFFER_UNBIND: mmap(2) that does
 * not ask the server.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_FIXTURE(bind, FUSE_FEATURE_BUFFERS);

#define P	(self->page)

#define mmap_bound(fd, pages, offset) \
	call(C, CLIENT_MMAP, 0, (pages) * P, RW, MAP_SHARED, fd, offset)

FUSE_TEST(bind, mmap_asks_nobody)
{
	int fd = client_open(C, S, O_RDWR), buf;
	unsigned int requests;
	int64_t p;
	char *mem;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 2 * P, 4 * P, BUF(1), 3 * P, 8 * P));
	buf = buffer_open(S, BUF(1), 8 * P);
	ASSERT_LE(0, buf);
	mem = mmap(NULL, 8 * P, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	mem[4 * P] = 's';

	requests = S->requests;
	p = mmap_bound(fd, 2, 3 * P);
	ASSERT_LT(0, p);
	EXPECT_EQ(1, fdinfo(buf, "mappings"));
	ASSERT_EQ(1, call(C, CLIENT_PEEK, p, 1));
	EXPECT_EQ('s', C->answer.data[0]);
	ASSERT_EQ(P, call(C, CLIENT_FILL, p + P, P, 'c'));
	EXPECT_EQ('c', mem[5 * P]);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	EXPECT_EQ(0, fdinfo(buf, "mappings"));

	/* from the first byte to the last one */
	p = mmap_bound(fd, 4, 2 * P);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, call(C, CLIENT_PEEK, p + P, 1));
	EXPECT_EQ('s', C->answer.data[0]);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 4 * P));
	quiet(S);
	EXPECT_EQ(requests, S->requests);
}

FUSE_TEST(bind, mmap_does_not_wait)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, P, BUF(1), 0, P));
	S->deaf = true;
	p = mmap_bound(fd, 1, 0);
	ASSERT_LT(0, p);
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 0));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	EXPECT_FALSE(server_pending(S));
}

/* A part of a mapping is not enough */
FUSE_TEST(bind, outside_of_the_range_asks)
{
	const struct { uint64_t offset, pages; } outside[] = {
		{ 0, 1 }, { 0, 3 }, { P, 2 }, { 5 * P, 2 }, { 6 * P, 1 },
		{ 1ULL << 40, 1 }, { 0, 16 }, { 2 * P, 5 },
	};
	int fd = client_open(C, S, O_RDWR);
	int64_t p;
	size_t i;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 2 * P, 4 * P, BUF(1), 0, 4 * P));
	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		p = map(C, S, fd, .len = outside[i].pages * P,
			.offset = outside[i].offset, .prot = RW,
			.flags = MAP_SHARED,
			.out = { .nodeid = BUF(2), .size = 16 * P });
		ASSERT_LT(0, p);
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, outside[i].pages * P));
		take_munmap(S, S->fh, BUF(2), 0, outside[i].pages * P);
	}
	/* two bindings side by side are not one range */
	ASSERT_EQ(0, buffer_bind(S, S->fh, 6 * P, P, BUF(1), 0, 0));
	EXPECT_EQ(-EBUSY, map(C, S, fd, .len = 2 * P, .offset = 5 * P,
			      .prot = RW, .flags = MAP_SHARED,
			      .error = -EBUSY));
	quiet(S);
}

FUSE_TEST(bind, other_files_ask)
{
	struct fuse_buffer_bind arg;
	int a = client_open(C, S, O_RDWR);
	uint64_t fh = S->fh;
	int b = client_open(C, S, O_RDWR);

	ASSERT_EQ(0, buffer_bind(S, fh, 0, P, BUF(1), 0, P));
	/* another file handle; a nodeid that is not the file's */
	EXPECT_EQ(-EBUSY, map(C, S, b, .len = P, .prot = RW,
			      .flags = MAP_SHARED, .error = -EBUSY));
	arg = (struct fuse_buffer_bind){
		.ino = S->ino + 1, .fh = S->fh, .len = P, .nodeid = BUF(1),
	};
	ASSERT_EQ(0, ioctl(S->fd, FUSE_DEV_IOC_BUFFER_BIND, &arg));
	EXPECT_EQ(-EBUSY, map(C, S, b, .len = P, .prot = RW,
			      .flags = MAP_SHARED, .error = -EBUSY));
	ASSERT_LT(0, mmap_bound(a, 1, 0));
}

FUSE_TEST(bind, private_and_read_only)
{
	int fd = client_open(C, S, O_RDONLY), buf;
	int64_t p;
	char *mem;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, P, BUF(1), 0, P));
	buf = buffer_open(S, BUF(1), 0);
	mem = mmap(NULL, P, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(-EACCES, mmap_bound(fd, 1, 0));
	p = call(C, CLIENT_MMAP, 0, P, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_LT(0, p);
	EXPECT_EQ(-EACCES, call(C, CLIENT_MPROTECT, p, P, RW));
	p = call(C, CLIENT_MMAP, 0, P, RW, MAP_PRIVATE, fd, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'p'));
	EXPECT_EQ(0, mem[0]);
}

FUSE_TEST(bind, whatever_becomes_of_the_mapping)
{
	int fd = client_open(C, S, O_RDWR);
	struct client child = { 0 };
	int64_t p, q;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, 4 * P, BUF(1), 0, 4 * P));
	p = mmap_bound(fd, 4, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "x", 1, p + 3 * P));
	client_fork(C, &child);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p + P, P));
	q = call(C, CLIENT_MREMAP, p + 2 * P, 2 * P, 2 * P,
		 MREMAP_MAYMOVE | MREMAP_FIXED, p);
	ASSERT_EQ(p, q);
	ASSERT_EQ(1, call(C, CLIENT_PEEK, p + P, 1));
	EXPECT_EQ('x', C->answer.data[0]);
	client_exec(C);
	ASSERT_EQ(1, call(&child, CLIENT_PEEK, p + 3 * P, 1));
	EXPECT_EQ('x', child.answer.data[0]);
	client_exit(&child);
	quiet(S);
}

FUSE_TEST(bind, keeps_the_buffer)
{
	uint64_t fh = 5;

	ASSERT_EQ(0, buffer_bind(S, fh, 0, P, BUF(1), 0, 2 * P));
	EXPECT_TRUE(buffer_exists(S, BUF(1)));
	ASSERT_EQ(0, store(S, BUF(1), 0, "x", 1));
	ASSERT_EQ(0, buffer_unbind(S, fh, 0, P));
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_EQ(-ENOENT, store(S, BUF(1), 0, "x", 1));
}

/* Before the client can know the file: in OPEN */
FUSE_TEST(bind, before_open_returns)
{
	struct fuse_open_out out = { .fh = 0xabcdef };
	struct request *r;
	int64_t fd;

	S->manual = 1 << FUSE_OPEN;
	client_send(C, CLIENT_OPEN, (int64_t[7]){ O_RDWR }, S->path,
		    strlen(S->path) + 1, -1);
	r = take(S, FUSE_OPEN);
	ASSERT_EQ(0, buffer_bind(S, out.fh, 0, P, BUF(1), 0, P));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, mmap_bound(fd, 1, 0));
	client_exit(C);
	ASSERT_TRUE(eventually(!S->files));
	quiet(S);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
}

FUSE_TEST(bind, overlap)
{
	static const struct { int start, len, err; } ranges[] = {
		{ 4, 4, EEXIST }, { 4, 1, EEXIST }, { 7, 1, EEXIST },
		{ 5, 2, EEXIST }, { 3, 2, EEXIST }, { 7, 2, EEXIST },
		{ 3, 6, EEXIST }, { 0, 16, EEXIST }, { 0, 4, 0 }, { 8, 8, 0 },
		{ 0, 1, EEXIST }, { 15, 1, EEXIST }, { 16, 1, 0 },
	};
	size_t i;

	ASSERT_EQ(0, buffer_bind(S, 1, 4 * P, 4 * P, BUF(1), 0, 16 * P));
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		EXPECT_EQ(-ranges[i].err,
			  buffer_bind(S, 1, ranges[i].start * P,
				      ranges[i].len * P, BUF(1), 0, 0))
			TH_LOG("%d+%d", ranges[i].start, ranges[i].len);
	/* other files have ranges of their own */
	EXPECT_EQ(0, buffer_bind(S, 0, 4 * P, 4 * P, BUF(1), 0, 0));
	EXPECT_EQ(0, buffer_bind(S, 2, 4 * P, 4 * P, BUF(1), 0, 0));
}

static int bind_raw(struct server *s, struct fuse_buffer_bind arg)
{
	return ioctl(s->fd, FUSE_DEV_IOC_BUFFER_BIND, &arg) ? -errno : 0;
}

FUSE_TEST(bind, errors)
{
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, 0, BUF(1), 0, P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 1, P, BUF(1), 0, P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, P + 1, BUF(1), 0, 2 * P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, P, BUF(1), 1, 2 * P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, P, BUF(1), 0, P + 1));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, P, 1, 0, P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, 2 * P, BUF(1), 0, P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, P, BUF(1), P, P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, P, BUF(1), -P, P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, -P, 2 * P, BUF(1), 0, 2 * P));
	EXPECT_EQ(-EINVAL, buffer_bind(S, 1, 0, -P, BUF(1), 0, P));
	EXPECT_EQ(-EINVAL, bind_raw(S, (struct fuse_buffer_bind){
			.len = P, .nodeid = BUF(1), .size = P, .flags = 1U << 31 }));
	EXPECT_EQ(-EINVAL, bind_raw(S, (struct fuse_buffer_bind){
			.len = P, .nodeid = BUF(1), .size = P, .padding = 1 }));
	EXPECT_EQ(-1, ioctl(S->fd, FUSE_DEV_IOC_BUFFER_BIND, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-ENOENT, buffer_bind(S, 1, 0, P, BUF(1), 0, 0));
	EXPECT_EQ(-EFBIG, buffer_bind(S, 1, 0, P, BUF(1), 0, 1ULL << 62));
	/* none of that has made the buffer, or a binding */
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_EQ(-ENOENT, buffer_unbind(S, 1, 0, -1));
	ASSERT_EQ(0, buffer_bind(S, 1, 0, P, BUF(1), 0, P));
	EXPECT_EQ(-EEXIST, buffer_bind(S, 1, P, P, BUF(1), 0, 2 * P));
}

FUSE_TEST(bind, unbind_what_lies_inside)
{
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, buffer_bind(S, 1, i * 2 * P, 2 * P, BUF(i), 0,
					 2 * P));
	ASSERT_EQ(0, buffer_bind(S, 2, 0, 2 * P, BUF(9), 0, 2 * P));

	EXPECT_EQ(-EINVAL, buffer_unbind(S, 1, 0, 0));
	EXPECT_EQ(-EINVAL, buffer_unbind(S, 1, 2, -1));
	EXPECT_EQ(-ENOENT, buffer_unbind(S, 1, 8 * P, 100 * P));
	EXPECT_EQ(-ENOENT, buffer_unbind(S, 3, 0, 100 * P));
	/* parts of one, of two */
	EXPECT_EQ(-ENOENT, buffer_unbind(S, 1, 0, P));
	EXPECT_EQ(-ENOENT, buffer_unbind(S, 1, P, 2 * P));
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(buffer_exists(S, BUF(i)));
	/* two, and a part of those beside */
	EXPECT_EQ(0, buffer_unbind(S, 1, P, 6 * P));
	EXPECT_TRUE(buffer_exists(S, BUF(0)));
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_FALSE(buffer_exists(S, BUF(2)));
	EXPECT_TRUE(buffer_exists(S, BUF(3)));
	EXPECT_EQ(0, buffer_unbind(S, 1, 0, -1));
	EXPECT_FALSE(buffer_exists(S, BUF(0)));
	EXPECT_FALSE(buffer_exists(S, BUF(3)));
	EXPECT_TRUE(buffer_exists(S, BUF(9)));
	EXPECT_EQ(-1, ioctl(S->fd, FUSE_DEV_IOC_BUFFER_UNBIND, NULL));
	EXPECT_EQ(EFAULT, errno);
}

FUSE_TEST(bind, mappings_outlive_unbind)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, P, BUF(1), 0, P));
	p = mmap_bound(fd, 1, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, buffer_unbind(S, S->fh, 0, P));
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'x'));
	EXPECT_TRUE(buffer_exists(S, BUF(1)));
	/* the next one asks */
	EXPECT_EQ(-EBUSY, map(C, S, fd, .len = P, .prot = RW,
			      .flags = MAP_SHARED, .error = -EBUSY));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	quiet(S);
}

FUSE_TEST(bind, ends_with_the_file)
{
	int fd = client_open(C, S, O_RDWR);
	uint64_t fh = S->fh;
	struct request *r;
	int64_t p;

	ASSERT_EQ(0, buffer_bind(S, fh, 0, P, BUF(1), 0, P));
	ASSERT_EQ(0, buffer_bind(S, fh, 4 * P, P, BUF(2), 0, P));
	ASSERT_EQ(0, buffer_bind(S, fh + 1000, 0, P, BUF(3), 0, P));
	p = mmap_bound(fd, 1, 0);
	ASSERT_LT(0, p);
	S->manual = 1 << FUSE_RELEASE;
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	quiet(S);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "x", 1, p));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	r = take(S, FUSE_RELEASE);
	EXPECT_EQ(fh, r->release.fh);
	/* the handle is free already, for whatever the server makes of it */
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	EXPECT_FALSE(buffer_exists(S, BUF(2)));
	EXPECT_TRUE(buffer_exists(S, BUF(3)));
	EXPECT_EQ(0, buffer_bind(S, fh, 0, P, BUF(4), 0, P));
	EXPECT_EQ(0, reply(S, r, NULL, 0));
	EXPECT_TRUE(buffer_exists(S, BUF(4)));
}

FUSE_TEST(bind, after_abort)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, P, BUF(1), 0, P));
	p = mmap_bound(fd, 1, 0);
	ASSERT_LT(0, p);
	server_abort(S);
	EXPECT_EQ(-ENOTCONN, buffer_bind(S, S->fh, P, P, BUF(1), 0, 0));
	EXPECT_EQ(-ENOTCONN, buffer_bind(S, S->fh, P, P, BUF(2), 0, P));
	EXPECT_EQ(-ENOTCONN, mmap_bound(fd, 1, 0));
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'x'));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
}

/* Bindings that are there when the connection ends */
FUSE_TEST(bind, end_of_the_connection)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p;
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, buffer_bind(S, S->fh, i * P, P, BUF(1), i * P,
					 8 * P));
	buf = buffer_open(S, BUF(1), 0);
	p = mmap_bound(fd, 1, P);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "x", 1, p));
	server_die(S);
	client_exit(C);
	EXPECT_EQ(0, fdinfo(buf, "mappings"));
	EXPECT_EQ(1, fdinfo(buf, "present"));
}

FUSE_TEST(bind, many)
{
	int fd = client_open(C, S, O_RDWR), i, n = 97;
	int64_t p;

	/* 97 is prime: every range once, out of order */
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, buffer_bind(S, S->fh, i * 31 % n * 2 * P, P,
					 BUF(i), 0, P));
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, store(S, BUF(i), 0, &(char){ i + 1 }, 1));
	for (i = 0; i < n; i++) {
		p = mmap_bound(fd, 1, i * 31 % n * 2 * P);
		ASSERT_LT(0, p);
		ASSERT_EQ(1, call(C, CLIENT_DIFF, p, 1, i + 1));
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	}
	quiet(S);
	ASSERT_EQ(0, buffer_unbind(S, S->fh, 0, -1));
	for (i = 0; i < n; i++)
		EXPECT_FALSE(buffer_exists(S, BUF(i)));
}

TEST_HARNESS_MAIN
