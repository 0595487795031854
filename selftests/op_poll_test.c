// SPDX-License-Identifier: GPL-2.0
/* POLL and FUSE_NOTIFY_POLL, of files and of devices */
#include <poll.h>
#include <sys/epoll.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define ALWAYS	(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

FUSE_OP_FIXTURE(poll);
CUSE_OP_FIXTURE(cuse_poll);

/* Returns the number of the file that notifications tell */
static uint64_t check_poll(struct server *s, struct request *r, uint32_t events,
			   uint32_t flags)
{
	const struct fuse_poll_in *in = &r->poll;

	NEED(in->fh == s->fh);
	NEED(in->kh);
	NEED((in->events & ~(POLLERR | POLLHUP)) == events);
	NEED(in->flags == flags);
	return in->kh;
}

static void reply_poll(struct server *s, struct request *r, uint32_t revents)
{
	struct fuse_poll_out out = { .revents = revents };

	NEED(!reply(s, r, &out, sizeof(out)));
}

static int notify_poll(struct server *s, uint64_t kh)
{
	struct fuse_notify_poll_wakeup_out out = { .kh = kh };

	return server_notify(s, FUSE_NOTIFY_POLL, &out, sizeof(out), NULL, 0);
}

#define take_poll(s, c) op_take(s, c, FUSE_POLL, 0, sizeof(struct fuse_poll_in))

/* Every error is POLLERR to who polls */
static void check_replies(struct server *s, struct client *c)
{
	static const int errors[] = { -EPERM, -EIO, -EAGAIN, -EINTR };
	static const uint32_t revents[] = { 0, POLLIN, POLLOUT | POLLHUP };
	struct fuse_poll_out out = { .revents = POLLIN };
	struct client child;
	enum bad_reply how;
	struct request *r;
	uint64_t kh, kh2;
	size_t i;
	int fd;

	fd = client_open(c, s, O_RDWR);
	for (i = 0; i < 3; i++) {
		call_start(c, CLIENT_POLL, fd, POLLIN | POLLOUT | POLLPRI, 0);
		r = take_poll(s, c);
		kh = check_poll(s, r, POLLIN | POLLOUT | POLLPRI, 0);
		reply_poll(s, r, revents[i]);
		NEED(call_end(c) == revents[i]);
	}
	for (how = 0; how < BAD_REPLIES; how++) {
		call_start(c, CLIENT_POLL, fd, POLLIN, 0);
		reply_bad(s, take_poll(s, c), how, &out, sizeof(out));
		NEED(call_end(c) == POLLERR);
	}
	for (i = 0; i < 4; i++) {
		call_start(c, CLIENT_POLL, fd, POLLIN, -1);
		reply_error(s, take_poll(s, c), errors[i]);
		NEED(call_end(c) == POLLERR);
	}
	/* interrupted and killed while the server is asked */
	call(c, CLIENT_SIGACTION, SIGUSR1, 0);
	call_start(c, CLIENT_POLL, fd, POLLIN, -1);
	r = take_poll(s, c);
	client_kill(c, SIGUSR1);
	NEED(take(s, FUSE_INTERRUPT)->interrupt.unique == r->h.unique);
	reply_poll(s, r, POLLIN);
	NEED(call_end(c) == POLLIN);
	client_fork(c, &child);
	call_start(&child, CLIENT_POLL, fd, POLLIN, -1);
	r = take_poll(s, &child);
	client_kill(&child, SIGKILL);
	NEED(take(s, FUSE_INTERRUPT)->interrupt.unique == r->h.unique);
	reply_poll(s, r, 0);
	client_gone(&child);

	/* another file, another number */
	fd = client_open(c, s, O_RDWR);
	call_start(c, CLIENT_POLL, fd, POLLIN, 0);
	r = take_poll(s, c);
	kh2 = check_poll(s, r, POLLIN, 0);
	NEED(kh2 != kh);
	reply_poll(s, r, 0);
	NEED(call_end(c) == 0);

	/* without FUSE_POLL all is always ready */
	call_start(c, CLIENT_POLL, fd, ALWAYS | POLLPRI, -1);
	reply_error(s, take_poll(s, c), -ENOSYS);
	NEED(call_end(c) == ALWAYS);
	NEED(call(c, CLIENT_POLL, fd, ALWAYS, -1) == ALWAYS);
}

/* Who waits, is woken by a notification, and the server is asked again */
static void check_notify(struct server *s, struct client *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1234 };
	uint64_t kh, files[3];
	struct request *r;
	int fd, i, ep;

	for (i = 0; i < 3; i++) {
		fd = client_open(c, s, O_RDWR);
		call_start(c, CLIENT_POLL, fd, POLLIN, -1);
		r = take_poll(s, c);
		kh = files[i] = check_poll(s, r, POLLIN,
					   FUSE_POLL_SCHEDULE_NOTIFY);
		reply_poll(s, r, 0);
		client_sleeps(c);
		/* not for this one */
		NEED(!notify_poll(s, kh + 1000));
		NEED(!i || !notify_poll(s, files[i - 1]));
		server_quiet(s);
		NEED(!notify_poll(s, kh));
		r = take_poll(s, c);
		NEED(check_poll(s, r, POLLIN, FUSE_POLL_SCHEDULE_NOTIFY) == kh);
		/* a false alarm */
		reply_poll(s, r, 0);
		client_sleeps(c);
		NEED(!notify_poll(s, kh));
		reply_poll(s, take_poll(s, c), POLLIN);
		NEED(call_end(c) == POLLIN);
	}

	ep = sys(c, SYS_epoll_create1, 0);
	sys_start(c, SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd,
		  in(c, &event, sizeof(event)));
	r = take_poll(s, c);
	check_poll(s, r, POLLIN, FUSE_POLL_SCHEDULE_NOTIFY);
	reply_poll(s, r, 0);
	NEED(!call_end(c));
	sys_start(c, SYS_epoll_wait, ep, ARG(0), 1, -1);
	NEED(!notify_poll(s, kh));
	reply_poll(s, take_poll(s, c), POLLIN);
	NEED(call_end(c) == 1);
	NEED(((struct epoll_event *)out(c, ARG(0)))->data.u64 == 0x1234);
	NEED(!sys(c, SYS_close, ep));
	NEED(!sys(c, SYS_close, fd));
	/* it is not there any more */
	server_quiet(s);
	NEED(!notify_poll(s, kh));
	server_quiet(s);

	/* the end of the connection is an event, too */
	fd = client_open(c, s, O_RDWR);
	call_start(c, CLIENT_POLL, fd, POLLIN, -1);
	reply_poll(s, take_poll(s, c), 0);
	client_sleeps(c);
	server_abort(s);
	NEED(call_end(c) & POLLERR);
}

FUSE_TEST(poll, replies)
{
	HERE(check_replies(S, C));
}

FUSE_TEST(poll, notify)
{
	HERE(check_notify(S, C));
}

FUSE_TEST(cuse_poll, replies)
{
	HERE(check_replies(S, C));
}

FUSE_TEST(cuse_poll, notify)
{
	HERE(check_notify(S, C));
}

TEST_HARNESS_MAIN
