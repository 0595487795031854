// SPDX-License-Identifier: GPL-2.0
/*
 * 32-bit clients of a 64-bit kernel and server: all tests of mmap(2), and what
 * is different for them.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>

#include "../../kselftest_harness.h"
#define FUSE_CLIENT	"fuse_client32"
#include "fuse_fixture.h"

FUSE_FIXTURE(compat, FUSE_FEATURE_NONBLOCK | FUSE_FEATURE_RESTART);

FUSE_TEST(compat, client_has_32_bits)
{
	EXPECT_EQ(32, self->c.wordsize);
	EXPECT_EQ(64, 8 * sizeof(long));
}

FUSE_TEST(compat, ioctl)
{
	const uint32_t flags = FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT;
	struct server *s = &self->s;
	struct client *c = &self->c;
	struct fuse_ioctl_out out = { .result = 3 };
	int fd = client_open(c, s, O_RDWR);
	struct request *r;

	call_start(c, CLIENT_IOCTL, fd, _IO('x', 1));
	r = take(s, FUSE_IOCTL);
	EXPECT_EQ(flags, r->ioctl.flags);
	EXPECT_EQ(0, reply(s, r, &out, sizeof(out)));
	EXPECT_EQ(3, call_end(c));

	/* the features are for them too */
	ASSERT_EQ(0, call(c, CLIENT_FCNTL, fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, call(c, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	call_start(c, CLIENT_IOCTL, fd, _IO('x', 1));
	r = take(s, FUSE_IOCTL);
	EXPECT_EQ(flags | FUSE_IOCTL_NONBLOCK, r->ioctl.flags);
	client_kill(c, SIGUSR1);
	take(s, FUSE_INTERRUPT);
	EXPECT_EQ(0, reply_error(s, r, -EINTR));
	r = take(s, FUSE_IOCTL);
	EXPECT_EQ(flags | FUSE_IOCTL_NONBLOCK, r->ioctl.flags);
	EXPECT_EQ(0, reply(s, r, &out, sizeof(out)));
	EXPECT_EQ(3, call_end(c));
}

#include "mmap_test.c"
