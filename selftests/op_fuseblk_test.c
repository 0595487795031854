// SPDX-License-Identifier: GPL-2.0
/* What only file systems on block devices have: BMAP and DESTROY */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

FIXTURE(fuseblk)
{
	struct server s;
	struct client c;
};

FIXTURE_VARIANT(fuseblk)
{
	const struct transport *transport;
};

static const char *start(struct server *s, struct client *c,
			 const struct transport *transport)
{
	const char *why = test_begin();

	if (!why) {
		s->source = loop_device();
		why = s->source ? NULL : "no loop device";
	}
	s->transport = transport;
	s->options = "blksize=512";
	if (!why)
		why = server_start(s);
	if (!why)
		why = client_try(c, "fuse_client");
	if (why)
		test_end();
	return why;
}

FIXTURE_SETUP(fuseblk)
{
	const char *why = start(S, C, variant->transport);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(fuseblk)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

FIXTURE_VARIANT_ADD(fuseblk, dev) { .transport = &dev_transport };
FIXTURE_VARIANT_ADD(fuseblk, splice) { .transport = &splice_transport };
/*
 * Not over io_uring: the server unmounts, and the DESTROY that it then waits for
 * is on a ring that it alone would read.
 */

static void start_bmap(struct server *s, struct client *c, int fd)
{
	int block = 7;

	sys_start(c, SYS_ioctl, fd, FIBMAP, in(c, &block, sizeof(block)));
}

FUSE_TEST(fuseblk, bmap)
{
	struct fuse_bmap_out out = { .block = 4711 };
	static const int errors[] = { -EPERM, -EIO, -EINVAL, -ENOSYS };
	enum bad_reply how;
	struct request *r;
	size_t i;
	int fd;

	fd = client_open(C, S, O_RDONLY);
	start_bmap(S, C, fd);
	r = op_take(S, C, FUSE_BMAP, 0, sizeof(struct fuse_bmap_in));
	ASSERT_EQ(7, BODY(r, struct fuse_bmap_in)->block);
	ASSERT_EQ(512, BODY(r, struct fuse_bmap_in)->blocksize);
	ASSERT_EQ(0, BODY(r, struct fuse_bmap_in)->padding);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(4711, *(int *)out(C, ARG(CLIENT_OUT)));
	/* more than the ioctl can say */
	out.block = 1ULL << 40;
	start_bmap(S, C, fd);
	ASSERT_EQ(0, reply(S, take(S, FUSE_BMAP), &out, sizeof(out)));
	ASSERT_EQ(-ERANGE, call_end(C));

	/* anything else is a hole */
	for (how = 0; how < BAD_REPLIES; how++) {
		start_bmap(S, C, fd);
		reply_bad(S, take(S, FUSE_BMAP), how, &out, sizeof(out));
		ASSERT_EQ(0, call_end(C));
		ASSERT_EQ(0, *(int *)out(C, ARG(CLIENT_OUT)));
	}
	for (i = 0; i < 4; i++) {
		start_bmap(S, C, fd);
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_BMAP), errors[i]));
		ASSERT_EQ(0, call_end(C));
		ASSERT_EQ(0, *(int *)out(C, ARG(CLIENT_OUT)));
	}
	/* after ENOSYS nobody is asked */
	start_bmap(S, C, fd);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(0, *(int *)out(C, ARG(CLIENT_OUT)));
}

/* The last that the server hears, and umount(2) waits for its reply */
static void check_destroy(struct server *s, struct client *c, int error)
{
	struct request *r;

	sys_start(c, SYS_umount2, str(c, s->mnt), 0);
	r = take(s, FUSE_DESTROY);
	NEED(BODY_LEN(r) == 0);
	NEED(r->h.nodeid == 0);
	client_sleeps(c);
	NEED(!(error ? reply_error(s, r, error) : reply(s, r, NULL, 0)));
	NEED(call_end(c) == 0);
	NEED(eventually((server_quiet(s), s->gone)));
}

FUSE_TEST(fuseblk, destroy)
{
	HERE, check_destroy(S, C, 0);
}

FUSE_TEST(fuseblk, destroy_error)
{
	HERE, check_destroy(S, C, -EIO);
}

FIXTURE(moved)
{
	struct server s;
	struct client c;
};

FIXTURE_SETUP(moved)
{
	const char *why = start(S, C, &dev_transport);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(moved)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

/*
 * Blocks smaller than a page: a page of the cache has private data and cannot be
 * replaced by one of a pipe.  That is no reason to complain on the console.
 */
FUSE_TEST(moved, read)
{
	size_t page = getpagesize();
	struct fuse_out_header h = { .len = sizeof(h) + page };
	char *data = malloc(page);
	int ends[2], fd;

	memset(data, 'd', page);
	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 0);
	h.unique = take(S, FUSE_READ)->h.unique;
	/* a page to each write(2) */
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC | O_DIRECT));
	ASSERT_EQ(sizeof(h), write(ends[1], &h, sizeof(h)));
	ASSERT_EQ(page, write(ends[1], data, page));
	ASSERT_EQ(h.len, splice(ends[0], NULL, S->fd, NULL, h.len, SPLICE_F_MOVE));
	ASSERT_EQ(100, call_end(C));
	ASSERT_EQ(0, memcmp(data, out(C, ARG(0)), 100));
	close(ends[0]);
	close(ends[1]);
	free(data);
}

/* Others have no blocks to ask for */
FUSE_OP_FIXTURE(plain);

FUSE_TEST(plain, bmap)
{
	int fd = client_open(C, S, O_RDONLY);

	start_bmap(S, C, fd);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(0, *(int *)out(C, ARG(CLIENT_OUT)));
}

TEST_HARNESS_MAIN
