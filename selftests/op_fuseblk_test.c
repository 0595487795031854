// SPDX-License-Identifier: GPL-2.0
/* What only file systems on block devices have: BMAP, blocks of any size */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

FUSE_OP_FIXTURE(fuseblk, .block = true, .options = "blksize=512");

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

FUSE_DEV_FIXTURE(moved, .block = true, .options = "blksize=512");

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

	needs_mended(S, "a page with private data that cannot be replaced is a WARN");
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
