// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of the calls on FUSE buffers fails once, the client's and
 * the server's: errors are what is documented, nothing is left behind, and no
 * FUSE_MUNMAP is lost.
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "fuse_faults.h"

#define P	(self->page)

FIXTURE(buffer_fault)
{
	struct server s;
	struct client c;
	uint64_t page;
	int file;
};

FIXTURE_VARIANT(buffer_fault)
{
	enum server_type type;
};

FIXTURE_VARIANT_ADD(buffer_fault, fuse) { .type = SERVER_FUSE };
FIXTURE_VARIANT_ADD(buffer_fault, cuse) { .type = SERVER_CUSE };

FIXTURE_SETUP(buffer_fault)
{
	const char *why;

	P = getpagesize();
	S->type = variant->type;
	why = fixture_start(S, C, FUSE_FEATURE_BUFFERS, "fuse_client");
	if (!why)
		why = faults_try(C);
	SKIP_IF(why);
	self->file = client_open(C, S, O_RDWR);
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(buffer_fault)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

FUSE_TEST(buffer_fault, open)
{
	struct faults f = { };
	int fd;

	while (next_fault(&f)) {
		arm(&f);
		fd = buffer_open(S, BUF(1), 4 * P);
		disarm(&f);
		EXPECT_TRUE(fd >= 0 || no_memory(fd));
		if (fd >= 0)
			close(fd);
		EXPECT_FALSE(buffer_exists(S, BUF(1)));
	}
	EXPECT_LT(0, f.hits);
}

FUSE_TEST(buffer_fault, bind)
{
	struct faults f = { };
	int err;

	while (next_fault(&f)) {
		arm(&f);
		err = buffer_bind(S, 1, 0, P, BUF(1), 0, 4 * P);
		disarm(&f);
		EXPECT_TRUE(!err || no_memory(err));
		EXPECT_EQ(err ? -ENOENT : 0, buffer_unbind(S, 1, 0, -1));
		EXPECT_FALSE(buffer_exists(S, BUF(1)));
	}
	EXPECT_LT(0, f.hits);
}

FUSE_TEST(buffer_fault, store)
{
	int fd = buffer_open(S, BUF(1), 4 * P), err;
	char *data = malloc(4 * P), *seen = malloc(4 * P);
	struct faults f = { };
	uint64_t present;

	ASSERT_LE(0, fd);
	memset(data, 'd', 4 * P);
	while (next_fault(&f)) {
		arm(&f);
		err = store(S, BUF(1), 0, data, 4 * P);
		disarm(&f);
		EXPECT_TRUE(!err || err == -ENOMEM);
		/* the first pages, as a whole, or all of them */
		present = fdinfo(fd, "present");
		EXPECT_TRUE(present == 4 || err);
		ASSERT_EQ(4 * P, pread(fd, seen, 4 * P, 0));
		EXPECT_EQ(0, memcmp(data, seen, present * P));
		EXPECT_TRUE(present == 4 || seen[present * P] == 0);
		EXPECT_EQ(0, inval(S, BUF(1), 0, 0));
	}
	EXPECT_LT(0, f.hits);
}

FUSE_TEST(buffer_fault, pwrite)
{
	int fd = buffer_open(S, BUF(1), 4 * P);
	struct faults f = { };
	char *data = calloc(4, P);
	ssize_t len;

	ASSERT_LE(0, fd);
	while (next_fault(&f)) {
		arm(&f);
		len = pwrite(fd, data, 4 * P, 0);
		disarm(&f);
		EXPECT_EQ(fdinfo(fd, "present") * P, len < 0 ? 0 : len);
		EXPECT_EQ(0, inval(S, BUF(1), 0, 0));
	}
	EXPECT_LT(0, f.hits);
}

FUSE_TEST(buffer_fault, retrieve)
{
	int fd = buffer_open(S, BUF(1), 4 * P), err;
	struct faults f = { };
	struct request *r;

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, P));
	while (next_fault(&f)) {
		arm(&f);
		err = retrieve(S, BUF(1), 0, 4 * P, f.n);
		disarm(&f);
		EXPECT_TRUE(!err || err == -ENOMEM);
		if (!err) {
			r = take(S, FUSE_NOTIFY_REPLY);
			EXPECT_EQ(4 * P, r->retrieve.size);
		}
		quiet(S);
	}
	EXPECT_LT(0, f.hits);
}

FUSE_TEST(buffer_fault, reply_to_mmap)
{
	struct fuse_mmap_out out = { .nodeid = BUF(1), .size = P };
	struct faults f = { };
	struct request *r;
	int64_t p;
	int err;

	while (next_fault(&f)) {
		call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, self->file, 0);
		r = take(S, FUSE_MMAP);
		arm(&f);
		err = reply(S, r, &out, sizeof(out));
		disarm(&f);
		ASSERT_EQ(0, err);
		p = call_end(C);
		EXPECT_TRUE(p > 0 || p == -EIO);
		if (p > 0)
			EXPECT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
		take_munmap(S, S->fh, BUF(1), 0, P);
		quiet(S);
		EXPECT_FALSE(buffer_exists(S, BUF(1)));
	}
	EXPECT_LT(0, f.hits);
}

/* The client's side */

static bool client_done(struct client *c)
{
	return serve_until(c->sock, 1);
}

FUSE_TEST(buffer_fault, mmap)
{
	const struct fuse_mmap_out out = { .nodeid = BUF(1), .size = P };
	int n, last, faults = 0, failed_late = 0;
	struct request *r;
	int64_t p;

	for (n = 1; ; n++) {
		ASSERT_GT(FAULTS_MAX, n);
		S->keep = FUSE_MMAP;
		C->fail_nth = n;
		call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, self->file, 0);
		r = NULL;
		ASSERT_TRUE(eventually(client_done(C) || S->inbox));
		if (S->inbox) {
			r = take(S, FUSE_MMAP);
			ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
		}
		p = call_end(C);
		last = C->answer.fail_nth;
		EXPECT_TRUE(p > 0 || p == -ENOMEM);
		if (p < 0)
			failed_late += !!r;
		if (p > 0)
			EXPECT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
		/* whatever came of it: who was asked and said yes is told */
		if (r)
			take_munmap(S, S->fh, BUF(1), 0, P);
		quiet(S);
		EXPECT_FALSE(buffer_exists(S, BUF(1)));
		if (last)
			break;
		faults++;
	}
	TH_LOG("%d faults, %d after the server's yes", faults, failed_late);
	EXPECT_LT(0, faults);
	EXPECT_LT(0, failed_late);
}

FUSE_TEST(buffer_fault, munmap)
{
	int n, ret;
	int64_t p;

	for (n = 1; n < 20; n++) {
		p = map(C, S, self->file, .len = 3 * P, .prot = RW,
			.flags = MAP_SHARED,
			.out = { .nodeid = BUF(1), .size = 3 * P });
		ASSERT_LT(0, p);
		ASSERT_EQ(3 * P, call(C, CLIENT_FILL, p, 3 * P, 'x'));
		C->fail_nth = n;
		ret = call(C, CLIENT_MUNMAP, p + P, P);
		EXPECT_TRUE(!ret || ret == -ENOMEM);
		quiet(S);
		C->fail_nth = n;
		ret = call(C, CLIENT_MUNMAP, p, 3 * P);
		if (ret) {
			EXPECT_EQ(-ENOMEM, ret);
			quiet(S);
			ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 3 * P));
		}
		take_munmap(S, S->fh, BUF(1), 0, 3 * P);
		quiet(S);
	}
}

FUSE_TEST(buffer_fault, touch)
{
	int n, fd = buffer_open(S, BUF(1), P);
	int64_t p, ret;

	ASSERT_LE(0, fd);
	p = map(C, S, self->file, .len = P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1) });
	ASSERT_LT(0, p);
	for (n = 1; n < 10; n++) {
		ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
		C->fail_nth = n;
		/* a fault in a page fault is retried, or is SIGBUS */
		ret = call(C, CLIENT_FILL, p, P, 'x');
		EXPECT_TRUE(ret == P || ret == CLIENT_FAULT(SIGBUS));
		EXPECT_EQ(ret == P, fdinfo(fd, "present"));
	}
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'y'));
}

TEST_HARNESS_MAIN
