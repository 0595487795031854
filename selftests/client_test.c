// SPDX-License-Identifier: GPL-2.0
/*
 * What unmodified clients of a device need beyond mmap(2): that the server
 * knows of O_NONBLOCK, that interrupted ioctls are restarted, and that close(2)
 * does not wait for the server.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/ioctl.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_FIXTURE(nonblock, FUSE_FEATURE_NONBLOCK);
FUSE_FIXTURE(nonblock_off, NEEDS_NOTHING);

#define P	(self->page)

#define CMD	_IOWR('x', 1, uint32_t)

static void ioctl_start(struct client *c, int fd, uint32_t value)
{
	client_send(c, CLIENT_IOCTL, (int64_t[7]){ fd, CMD }, &value,
		    sizeof(value), -1);
}

static int reply_ioctl(struct server *s, struct request *r, int result,
		       uint32_t value)
{
	struct {
		struct fuse_ioctl_out out;
		uint32_t value;
	} reply = { .out = { .result = result }, .value = value };

	/* no padding behind the value */
	return reply(s, r, &reply, sizeof(reply.out) + sizeof(reply.value));
}

/* The FUSE_IOCTL of ioctl_start(), with @flags besides those of a 32-bit one */
static struct request *take_ioctl(struct __test_metadata *_metadata,
				  struct server *s, struct client *c,
				  uint32_t value, uint32_t flags)
{
	struct request *r = take(s, FUSE_IOCTL);

	if (c->wordsize == 32)
		flags |= FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT;
	EXPECT_EQ(s->ino, r->h.nodeid);
	EXPECT_EQ(c->pid, r->h.pid);
	EXPECT_EQ(s->fh, r->ioctl.fh);
	EXPECT_EQ(flags, r->ioctl.flags);
	EXPECT_EQ(CMD, r->ioctl.cmd);
	EXPECT_NE(0, r->ioctl.arg);
	EXPECT_EQ(sizeof(value), r->ioctl.in_size);
	EXPECT_EQ(sizeof(value), r->ioctl.out_size);
	EXPECT_EQ(0, memcmp(&r->ioctl + 1, &value, sizeof(value)));
	return r;
}

static void ioctl_flags(struct __test_metadata *_metadata, struct server *s,
			struct client *c, int fd, uint32_t flags)
{
	struct request *r;
	uint32_t value = 0;

	ioctl_start(c, fd, 0x1234);
	r = take_ioctl(_metadata, s, c, 0x1234, flags);
	EXPECT_EQ(0, reply_ioctl(s, r, 42, 0x5678));
	EXPECT_EQ(42, call_end(c));
	memcpy(&value, c->answer.data, sizeof(value));
	EXPECT_EQ(0x5678, value);
}

static void poll_flags(struct __test_metadata *_metadata, struct server *s,
		       struct client *c, int fd, uint32_t flags)
{
	struct fuse_poll_out out = { .revents = POLLIN };
	struct request *r;

	call_start(c, CLIENT_POLL, fd, POLLIN, 0);
	r = take(s, FUSE_POLL);
	EXPECT_EQ(s->fh, r->poll.fh);
	EXPECT_EQ(flags, r->poll.flags);
	EXPECT_EQ(POLLIN, r->poll.events & POLLIN);
	EXPECT_EQ(0, reply(s, r, &out, sizeof(out)));
	EXPECT_EQ(POLLIN, call_end(c));
}

/* poll(2) that waits has other flags too */
static void poll_waiting(struct __test_metadata *_metadata, struct server *s,
			 struct client *c, int fd, uint32_t flags)
{
	struct fuse_poll_out out = { 0 };
	struct request *r;

	call_start(c, CLIENT_POLL, fd, POLLIN, WAIT_MS);
	r = take(s, FUSE_POLL);
	EXPECT_EQ(FUSE_POLL_SCHEDULE_NOTIFY | flags, r->poll.flags);
	EXPECT_EQ(0, reply(s, r, &out, sizeof(out)));
	client_sleeps(c);
	EXPECT_EQ(0, server_notify(s, FUSE_NOTIFY_POLL,
		&(struct fuse_notify_poll_wakeup_out){ .kh = r->poll.kh },
		sizeof(struct fuse_notify_poll_wakeup_out), NULL, 0));
	r = take(s, FUSE_POLL);
	EXPECT_EQ(flags, r->poll.flags & ~FUSE_POLL_SCHEDULE_NOTIFY);
	out.revents = POLLIN;
	EXPECT_EQ(0, reply(s, r, &out, sizeof(out)));
	EXPECT_EQ(POLLIN, call_end(c));
}

FUSE_TEST(nonblock, ioctl)
{
	int fd = client_open(C, S, O_RDWR);

	ioctl_flags(_metadata, S, C, fd, 0);
	ASSERT_EQ(0, call(C, CLIENT_FCNTL, fd, F_SETFL, O_NONBLOCK));
	ioctl_flags(_metadata, S, C, fd, FUSE_IOCTL_NONBLOCK);
	ASSERT_EQ(0, call(C, CLIENT_FCNTL, fd, F_SETFL, 0));
	ioctl_flags(_metadata, S, C, fd, 0);
}

FUSE_TEST(nonblock, ioctl_opened_so)
{
	int fd = client_open(C, S, O_RDWR | O_NONBLOCK);

	ioctl_flags(_metadata, S, C, fd, FUSE_IOCTL_NONBLOCK);
	ASSERT_EQ(0, call(C, CLIENT_FCNTL, fd, F_SETFL, 0));
	ioctl_flags(_metadata, S, C, fd, 0);
}

FUSE_TEST(nonblock, poll)
{
	int fd = client_open(C, S, O_RDWR);

	poll_flags(_metadata, S, C, fd, 0);
	ASSERT_EQ(0, call(C, CLIENT_FCNTL, fd, F_SETFL, O_NONBLOCK));
	poll_flags(_metadata, S, C, fd, FUSE_POLL_NONBLOCK);
	poll_waiting(_metadata, S, C, fd, FUSE_POLL_NONBLOCK);
	ASSERT_EQ(0, call(C, CLIENT_FCNTL, fd, F_SETFL, 0));
	poll_flags(_metadata, S, C, fd, 0);
	poll_waiting(_metadata, S, C, fd, 0);
}

FUSE_TEST(nonblock_off, ioctl)
{
	int fd = client_open(C, S, O_RDWR);

	ioctl_flags(_metadata, S, C, fd, 0);
	ASSERT_EQ(0, call(C, CLIENT_FCNTL, fd, F_SETFL, O_NONBLOCK));
	ioctl_flags(_metadata, S, C, fd, 0);
}

FUSE_TEST(nonblock_off, poll)
{
	int fd = client_open(C, S, O_RDWR | O_NONBLOCK);

	poll_flags(_metadata, S, C, fd, 0);
	poll_waiting(_metadata, S, C, fd, 0);
}

/* Interrupted ioctls */

FUSE_FIXTURE(restart, FUSE_FEATURE_RESTART);
FUSE_FIXTURE(restart_off, NEEDS_NOTHING);

/* An ioctl that a signal interrupts, of which the server is told */
static struct request *interrupted_ioctl(struct __test_metadata *_metadata,
					 struct server *s, struct client *c,
					 int fd, int sig)
{
	struct request *r, *i;

	ioctl_start(c, fd, 7);
	r = take_ioctl(_metadata, s, c, 7, 0);
	client_kill(c, sig);
	i = take(s, FUSE_INTERRUPT);
	EXPECT_EQ(r->h.unique, i->interrupt.unique);
	return r;
}

FUSE_TEST(restart, sa_restart)
{
	int fd = client_open(C, S, O_RDWR), i;
	struct request *r;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	r = interrupted_ioctl(_metadata, S, C, fd, SIGUSR1);
	/* as often as it is interrupted */
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, reply_error(S, r, -EINTR));
		r = take_ioctl(_metadata, S, C, 7, 0);
		if (i)
			break;
		client_kill(C, SIGUSR1);
		EXPECT_EQ(r->h.unique,
			  take(S, FUSE_INTERRUPT)->interrupt.unique);
	}
	EXPECT_EQ(0, reply_ioctl(S, r, 5, 8));
	EXPECT_EQ(5, call_end(C));
	EXPECT_EQ(8, C->answer.data[0]);
	EXPECT_EQ(2, call(C, CLIENT_SIGNALS));
	quiet(S);
}

/* EINTR in the result instead of in the header */
FUSE_TEST(restart, sa_restart_result)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	r = interrupted_ioctl(_metadata, S, C, fd, SIGUSR1);
	EXPECT_EQ(0, reply_ioctl(S, r, -EINTR, 7));
	r = take_ioctl(_metadata, S, C, 7, 0);
	EXPECT_EQ(0, reply_ioctl(S, r, 0, 8));
	EXPECT_EQ(0, call_end(C));
}

FUSE_TEST(restart, no_sa_restart)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, 0));
	r = interrupted_ioctl(_metadata, S, C, fd, SIGUSR1);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
	EXPECT_EQ(1, call(C, CLIENT_SIGNALS));
	quiet(S);
}

FUSE_TEST(restart, stop_and_continue)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	r = interrupted_ioctl(_metadata, S, C, fd, SIGSTOP);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	client_kill(C, SIGCONT);
	r = take_ioctl(_metadata, S, C, 7, 0);
	EXPECT_EQ(0, reply_ioctl(S, r, 5, 8));
	EXPECT_EQ(5, call_end(C));
}

/* Without a signal, and with another answer, nothing is restarted */
FUSE_TEST(restart, other_answers)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	ioctl_start(C, fd, 7);
	r = take_ioctl(_metadata, S, C, 7, 0);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	r = interrupted_ioctl(_metadata, S, C, fd, SIGUSR1);
	EXPECT_EQ(0, reply_error(S, r, -EAGAIN));
	EXPECT_EQ(-EAGAIN, call_end(C));
	r = interrupted_ioctl(_metadata, S, C, fd, SIGUSR1);
	EXPECT_EQ(0, reply_ioctl(S, r, 3, 4));
	EXPECT_EQ(3, call_end(C));
	quiet(S);
}

FUSE_TEST(restart, killed)
{
	int fd;
	struct request *r;

	S->open_flags = FOPEN_NOFLUSH;
	fd = client_open(C, S, O_RDWR);
	r = interrupted_ioctl(_metadata, S, C, fd, SIGKILL);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	client_gone(C);
	quiet(S);
}

FUSE_TEST(restart_off, sa_restart)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	r = interrupted_ioctl(_metadata, S, C, fd, SIGUSR1);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
	EXPECT_EQ(1, call(C, CLIENT_SIGNALS));
	quiet(S);
}

FUSE_TEST(restart_off, stop_and_continue)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	r = interrupted_ioctl(_metadata, S, C, fd, SIGSTOP);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	client_kill(C, SIGCONT);
	EXPECT_EQ(-EINTR, call_end(C));
	quiet(S);
}

/* close(2) of a device */

CUSE_ONLY_FIXTURE(cuse_release, NEEDS_SERIES);

static void take_release(struct __test_metadata *_metadata, struct server *s,
			 uint32_t flags, int answer)
{
	struct request *r;

	s->manual = 1 << FUSE_RELEASE;
	r = take(s, FUSE_RELEASE);
	EXPECT_EQ(0, r->h.nodeid);
	EXPECT_EQ(s->fh, r->release.fh);
	EXPECT_EQ(flags, r->release.flags & (O_ACCMODE | O_NONBLOCK));
	EXPECT_EQ(0, r->release.release_flags);
	EXPECT_EQ(0, reply_error(s, r, answer));
	quiet(s);
}

FUSE_TEST(cuse_release, close_does_not_wait)
{
	int fd = client_open(C, S, O_RDWR | O_NONBLOCK);

	S->deaf = true;
	EXPECT_EQ(0, call(C, CLIENT_CLOSE, fd));
	take_release(_metadata, S, O_RDWR | O_NONBLOCK, 0);
	S->deaf = false;
	fd = client_open(C, S, O_RDONLY);
	S->deaf = true;
	EXPECT_EQ(0, call(C, CLIENT_CLOSE, fd));
	/* its answer is nobody's business */
	take_release(_metadata, S, O_RDONLY, -EIO);
}

FUSE_TEST(cuse_release, exit_does_not_wait)
{
	client_open(C, S, O_RDWR);
	S->deaf = true;
	client_exit(C);
	take_release(_metadata, S, O_RDWR, 0);
}

FUSE_TEST(cuse_release, kill_does_not_wait)
{
	client_open(C, S, O_RDWR);
	S->deaf = true;
	client_kill(C, SIGKILL);
	client_gone(C);
	take_release(_metadata, S, O_RDWR, 0);
}

FUSE_TEST(cuse_release, after_the_last_close)
{
	struct client child = { 0 };
	int fd = client_open(C, S, O_RDWR);

	client_fork(C, &child);
	EXPECT_EQ(0, call(C, CLIENT_CLOSE, fd));
	S->manual = 1 << FUSE_RELEASE;
	quiet(S);
	EXPECT_EQ(0, call(&child, CLIENT_CLOSE, fd));
	take_release(_metadata, S, O_RDWR, 0);
	client_exit(&child);
}

/* RELEASEs in the queue when the device goes away, and in the server's hands */
FUSE_TEST(cuse_release, server_dies_with_it)
{
	int i, fd;

	S->manual = 1 << FUSE_RELEASE;
	for (i = 0; i < 8; i++) {
		fd = client_open(C, S, O_RDWR);
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, call(C, CLIENT_CLOSE, fd));
		if (i < 4)
			take(S, FUSE_RELEASE);
	}
	server_die(S);
}

FUSE_TEST(cuse_release, close_after_the_server)
{
	int fd = client_open(C, S, O_RDWR);

	server_die(S);
	EXPECT_EQ(0, call(C, CLIENT_CLOSE, fd));
}

TEST_HARNESS_MAIN
