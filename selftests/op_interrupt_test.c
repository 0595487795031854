// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE_INTERRUPT: when it is sent, what the server can say to it, and what a
 * killed client leaves behind.
 */
#include "../../kselftest_harness.h"
#include <sys/stat.h>

#include "fuse_fixture.h"

FUSE_OP_FIXTURE(intr);

/* What the server says of an interrupt, the request being in a ring */
static void needs_reply(struct server *s)
{
	if (s->transport == &uring_transport)
		needs_mended(s, "replies to FUSE_INTERRUPT find nothing in a ring");
}

/* mkdir(2), which a signal does not restart */
static void mkdir_start(struct client *c, struct server *s)
{
	sys_start(c, SYS_mkdirat, AT_FDCWD, path(c, s, "dir"), 0700);
}

/* The client sleeps in mkdir(2), which @r is, and has got a signal */
static struct request *interrupted(struct client *c, struct server *s)
{
	struct request *r;

	call(c, CLIENT_SIGACTION, SIGUSR1, 0);
	mkdir_start(c, s);
	r = server_take(s, FUSE_MKDIR);
	client_kill(c, SIGUSR1);
	return r;
}

static struct request *take_interrupt(struct server *s, struct request *of)
{
	struct request *r = server_take(s, FUSE_INTERRUPT);

	if (r->interrupt.unique != of->h.unique ||
	    r->h.unique != (of->h.unique | 1) ||
	    BODY_LEN(r) != sizeof(r->interrupt))
		fail("FUSE_INTERRUPT of %llu",
		     (unsigned long long)r->interrupt.unique);
	return r;
}

static int mkdir_reply(struct server *s, struct request *r)
{
	struct fuse_entry_out out = {
		.nodeid = 5,
		.attr = { .ino = 5, .mode = S_IFDIR | 0700, .nlink = 2 },
	};

	return reply(s, r, &out, sizeof(out));
}

FUSE_TEST(intr, answered_by_eintr)
{
	struct request *r = interrupted(C, S);

	free(take_interrupt(S, r));
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
	EXPECT_EQ(1, call(C, CLIENT_SIGNALS, 0));
}

/* It is the server's to decide */
FUSE_TEST(intr, ignored)
{
	struct request *r = interrupted(C, S);

	free(take_interrupt(S, r));
	EXPECT_EQ(0, mkdir_reply(S, r));
	EXPECT_EQ(0, call_end(C));
}

/* A second signal while it waits for the server sends nothing more */
FUSE_TEST(intr, once)
{
	struct request *r = interrupted(C, S);

	free(take_interrupt(S, r));
	client_kill(C, SIGUSR1);
	client_sleeps(C);
	quiet(S);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
}

/* Interrupted before the server reads it: the interrupt follows it */
FUSE_TEST(intr, queued)
{
	struct request *r;

	if (variant->transport == &uring_transport)
		SKIP(return, "a ring has the request at once");
	S->deaf = true;
	call(C, CLIENT_SIGACTION, SIGUSR1, 0);
	mkdir_start(C, S);
	server_wait_pending(S);
	/* the name, first */
	if (!S->inbox) {
		S->deaf = false;
		S->manual = 1ULL << FUSE_LOOKUP;
		r = take(S, FUSE_LOOKUP);
		S->deaf = true;
		EXPECT_EQ(0, reply_error(S, r, -ENOENT));
		server_wait_pending(S);
	}
	client_kill(C, SIGUSR1);
	client_sleeps(C);
	S->deaf = false;
	r = take(S, FUSE_MKDIR);
	free(take_interrupt(S, r));
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
}

/* Killed before the server reads it: there is nothing to read */
FUSE_TEST(intr, killed_while_queued)
{
	struct request *r;

	if (variant->transport == &uring_transport)
		SKIP(return, "a ring has the request at once");
	S->manual = 1ULL << FUSE_LOOKUP;
	mkdir_start(C, S);
	r = take(S, FUSE_LOOKUP);
	S->deaf = true;
	EXPECT_EQ(0, reply_error(S, r, -ENOENT));
	server_wait_pending(S);
	client_kill(C, SIGKILL);
	EXPECT_GT(PROMPT_MS, client_gone(C));
	EXPECT_FALSE(server_pending(S));
}

/* Killed after that: it waits for the server, who is told */
FUSE_TEST(intr, killed_while_served)
{
	struct request *r;

	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	client_kill(C, SIGKILL);
	free(take_interrupt(S, r));
	EXPECT_FALSE(serve_until(C->pidfd, 100));
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_GT(PROMPT_MS, client_gone(C));
}

/* EAGAIN: not yet; it comes again */
FUSE_TEST(intr, requeued)
{
	struct request *r = interrupted(C, S), *i;
	int n;

	needs_reply(S);
	for (n = 0; n < 3; n++) {
		i = take_interrupt(S, r);
		EXPECT_EQ(0, reply_error(S, i, -EAGAIN));
		free(i);
	}
	free(take_interrupt(S, r));
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
	quiet(S);
}

/* The request was answered: there is nothing to interrupt */
FUSE_TEST(intr, reply_comes_late)
{
	struct request *r = interrupted(C, S), *i = take_interrupt(S, r);

	EXPECT_EQ(0, mkdir_reply(S, r));
	EXPECT_EQ(0, call_end(C));
	EXPECT_EQ(-ENOENT, reply_error(S, i, -EAGAIN));
	quiet(S);
}

FUSE_TEST(intr, reply_of_a_length)
{
	struct request *r = interrupted(C, S), *i = take_interrupt(S, r);

	needs_reply(S);
	EXPECT_EQ(-EINVAL, reply_raw(S, i, sizeof(struct fuse_out_header) + 8,
				     0, "12345678", 8));
	EXPECT_EQ(0, mkdir_reply(S, r));
	EXPECT_EQ(0, call_end(C));
}

/* A reply to the interrupt of what was not interrupted */
FUSE_TEST(intr, reply_to_what_was_not_sent)
{
	struct request *r, i;

	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	i = *r;
	i.h.opcode = FUSE_INTERRUPT;
	i.h.unique |= 1;
	i.from = NULL;
	needs_reply(S);
	EXPECT_EQ(-EINVAL, reply_error(S, &i, -EAGAIN));
	EXPECT_EQ(0, mkdir_reply(S, r));
	EXPECT_EQ(0, call_end(C));
}

/* ENOSYS: never again */
FUSE_TEST(intr, not_implemented)
{
	struct request *r = interrupted(C, S), *i = take_interrupt(S, r);

	needs_reply(S);
	EXPECT_EQ(0, reply_error(S, i, -ENOSYS));
	EXPECT_EQ(0, mkdir_reply(S, r));
	EXPECT_EQ(0, call_end(C));

	r = interrupted(C, S);
	client_sleeps(C);
	quiet(S);
	EXPECT_EQ(0, mkdir_reply(S, r));
	EXPECT_EQ(0, call_end(C));
}

TEST_HARNESS_MAIN
