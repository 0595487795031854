// SPDX-License-Identifier: GPL-2.0
/*
 * mmap(2) of FUSE and CUSE files when somebody dies, hangs, is interrupted or
 * aborted: at no stage may a client be at its server's mercy.
 *
 * "Gone" means that the kernel has given back all that the process had, see
 * client_gone(), which fails if that takes longer than PROMPT_MS.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_FIXTURE(mmap_kill, FUSE_FEATURE_BUFFERS);

#define P	(self->page)

#define OUT	(&(struct fuse_mmap_out){ .nodeid = BUF(1), .size = P })
#define start_mmap(fd) \
	call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0)
#define map_shared(fd) \
	map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED, .out = *OUT)

/* A file whose close(2) does not wait for the server in mainline either */
static int open_file(struct client *c, struct server *s)
{
	s->open_flags = FOPEN_NOFLUSH;
	return client_open(c, s, O_RDWR);
}

static void kill_now(struct __test_metadata *_metadata, struct client *c)
{
	client_kill(c, SIGKILL);
	TH_LOG("gone after %d ms", client_gone(c));
}

/* As after a kill, with nothing that the server would have to know */
static void expect_release(struct __test_metadata *_metadata, struct server *s)
{
	struct request *r;

	s->manual = 1 << FUSE_RELEASE;
	r = take(s, FUSE_RELEASE);
	EXPECT_EQ(s->fh, r->release.fh);
	EXPECT_EQ(0, reply(s, r, NULL, 0));
	quiet(s);
	EXPECT_FALSE(buffer_exists(s, BUF(1)));
}

FUSE_TEST(mmap_kill, before_the_server_takes_it)
{
	int fd = open_file(C, S);

	start_mmap(fd);
	server_wait_pending(S);
	S->deaf = true;
	kill_now(_metadata, C);
	/* the request is taken back */
	expect_release(_metadata, S);
}

/* The INTERRUPT of the request @r, if the kernel sends one for a kill */
static void take_interrupt(struct __test_metadata *_metadata, struct server *s,
			   struct request *r)
{
	struct request *i = take(s, FUSE_INTERRUPT);

	EXPECT_EQ(r->h.unique, i->interrupt.unique);
}

FUSE_TEST(mmap_kill, reply_comes_late)
{
	int fd = open_file(C, S);
	struct request *r;

	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	S->deaf = true;
	kill_now(_metadata, C);
	take_interrupt(_metadata, S, r);
	EXPECT_FALSE(server_pending(S));
	/* the server cannot know: it maps, and is told at once */
	EXPECT_EQ(0, reply(S, r, OUT, sizeof(*OUT)));
	take_munmap(S, S->fh, BUF(1), 0, P);
	expect_release(_metadata, S);
}

FUSE_TEST(mmap_kill, error_comes_late)
{
	static const int errors[] = { EINTR, EIO, ENOSYS };
	struct client c[3] = { *C };
	struct request *r;
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		if (i)
			client_start(&c[i], "fuse_client");
		fd = open_file(&c[i], S);
		call_start(&c[i], CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
		r = take(S, FUSE_MMAP);
		kill_now(_metadata, &c[i]);
		take_interrupt(_metadata, S, r);
		EXPECT_EQ(0, reply_error(S, r, -errors[i]));
		expect_release(_metadata, S);
		S->manual = 0;
	}
	C->pidfd = -1;
}

FUSE_TEST(mmap_kill, malformed_reply_comes_late)
{
	struct fuse_mmap_out bad = { .nodeid = BUF(1), .size = 1 };
	int fd = open_file(C, S);
	struct request *r;

	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	kill_now(_metadata, C);
	take_interrupt(_metadata, S, r);
	EXPECT_EQ(0, reply(S, r, &bad, sizeof(bad)));
	take_munmap(S, S->fh, BUF(1), 0, P);
	expect_release(_metadata, S);
}

FUSE_TEST(mmap_kill, reply_never_comes)
{
	int fd = open_file(C, S);
	struct request *r;

	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	kill_now(_metadata, C);
	take_interrupt(_metadata, S, r);
	quiet(S);
	/* the teardown closes the device with the request in it */
	server_die(S);
}

/* The kill and the reply at the same time, many times */
FUSE_TEST(mmap_kill, reply_races_with_kill)
{
	struct client c[CLIENT_MAX - 1];
	struct request *r;
	int i, fd, status;
	pid_t pid;

	for (i = 0; i < CLIENT_MAX - 1; i++) {
		memset(&c[i], 0, sizeof(c[i]));
		client_fork(C, &c[i]);
		fd = open_file(&c[i], S);
		call_start(&c[i], CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
		r = take(S, FUSE_MMAP);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			client_kill(&c[i], SIGKILL);
			_exit(0);
		}
		EXPECT_EQ(0, reply(S, r, OUT, sizeof(*OUT)));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		client_gone(&c[i]);
		/* an INTERRUPT or none, but one MUNMAP */
		serve_until(-1, 0);
		if (S->inbox && S->inbox->h.opcode == FUSE_INTERRUPT)
			take_interrupt(_metadata, S, r);
		take_munmap(S, S->fh, BUF(1), 0, P);
	}
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
}

/* Another thread of the client waits for its mmap_lock */
FUSE_TEST(mmap_kill, with_mmap_lock_contended)
{
	int fd = open_file(C, S);
	struct request *r;
	int64_t p;

	p = call(C, CLIENT_MMAP, 0, P, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, call(C, CLIENT_TOUCHER, p));
	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	S->deaf = true;
	kill_now(_metadata, C);
	take_interrupt(_metadata, S, r);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	expect_release(_metadata, S);
}

FUSE_TEST(mmap_kill, with_a_mapping)
{
	int fd = open_file(C, S);

	ASSERT_LT(0, map_shared(fd));
	S->deaf = true;
	kill_now(_metadata, C);
	take_munmap(S, S->fh, BUF(1), 0, P);
	expect_release(_metadata, S);
}

/* munmap(2), close(2), exit(2): no matter what the server does */
FUSE_TEST(mmap_kill, server_hangs)
{
	int fd = open_file(C, S);
	int64_t p;

	p = map_shared(fd);
	ASSERT_LT(0, p);
	ASSERT_LT(0, map_shared(fd));
	S->deaf = true;
	EXPECT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	EXPECT_EQ(0, call(C, CLIENT_CLOSE, fd));
	client_exit(C);
	take_munmap(S, S->fh, BUF(1), 0, P);
	take_munmap(S, S->fh, BUF(1), 0, P);
	expect_release(_metadata, S);
}

FUSE_TEST(mmap_kill, in_close)
{
	int fd = open_file(C, S);

	S->deaf = true;
	call_start(C, CLIENT_CLOSE, fd);
	kill_now(_metadata, C);
	expect_release(_metadata, S);
}

/* Signals */

static void interrupt(struct __test_metadata *_metadata, struct server *s,
		      struct client *c, struct request *r)
{
	client_kill(c, SIGUSR1);
	take_interrupt(_metadata, s, r);
	quiet(s);
}

FUSE_TEST(mmap_kill, signal_and_eintr)
{
	int fd = open_file(C, S);
	struct request *r;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	interrupt(_metadata, S, C, r);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
	EXPECT_EQ(1, call(C, CLIENT_SIGNALS));
	quiet(S);
}

/* A server may as well go on */
FUSE_TEST(mmap_kill, signal_and_success)
{
	int fd = open_file(C, S);
	struct request *r;
	int64_t p;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, 0));
	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	interrupt(_metadata, S, C, r);
	EXPECT_EQ(0, reply(S, r, OUT, sizeof(*OUT)));
	p = call_end(C);
	ASSERT_LT(0, p);
	EXPECT_EQ(1, call(C, CLIENT_SIGNALS));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* The signal comes first: the request is read with its INTERRUPT */
FUSE_TEST(mmap_kill, signal_before_the_server_takes_it)
{
	int fd = open_file(C, S);
	struct request *r;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, 0));
	start_mmap(fd);
	server_wait_pending(S);
	client_sleeps(C);
	client_kill(C, SIGUSR1);
	r = take(S, FUSE_MMAP);
	take_interrupt(_metadata, S, r);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));
}

/* EAGAIN to an INTERRUPT asks for it again, ENOSYS for no more of them */
FUSE_TEST(mmap_kill, answers_to_interrupt)
{
	int fd = open_file(C, S);
	struct request *r, *i;

	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, 0));
	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	client_kill(C, SIGUSR1);
	i = take(S, FUSE_INTERRUPT);
	EXPECT_EQ(0, reply_error(S, i, -EAGAIN));
	i = take(S, FUSE_INTERRUPT);
	EXPECT_EQ(r->h.unique, i->interrupt.unique);
	EXPECT_EQ(0, reply_error(S, i, -ENOSYS));
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
	EXPECT_EQ(-EINTR, call_end(C));

	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	client_sleeps(C);
	client_kill(C, SIGUSR1);
	/* and yet it can be killed */
	kill_now(_metadata, C);
	quiet(S);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
}

FUSE_TEST(mmap_kill, stop_and_continue)
{
	int fd = open_file(C, S);
	struct request *r;
	int64_t p;

	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	client_kill(C, SIGSTOP);
	take_interrupt(_metadata, S, r);
	client_kill(C, SIGCONT);
	EXPECT_EQ(0, reply(S, r, OUT, sizeof(*OUT)));
	p = call_end(C);
	ASSERT_LT(0, p);
	client_kill(C, SIGSTOP);
	client_kill(C, SIGKILL);
	client_gone(C);
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* The server ends: it dies, or the administrator ends it, at each stage */

FIXTURE(mmap_end)
{
	struct server s;
	struct client c;
	uint64_t page;
};

FIXTURE_VARIANT(mmap_end)
{
	enum server_type type;
	void (*end)(struct server *s);
};

FIXTURE_VARIANT_ADD(mmap_end, fuse_dies) {
	.type = SERVER_FUSE,
	.end = server_die,
};

FIXTURE_VARIANT_ADD(mmap_end, fuse_aborted) {
	.type = SERVER_FUSE,
	.end = server_abort,
};

FIXTURE_VARIANT_ADD(mmap_end, cuse_dies) {
	.type = SERVER_CUSE,
	.end = server_die,
};

FIXTURE_VARIANT_ADD(mmap_end, cuse_aborted) {
	.type = SERVER_CUSE,
	.end = server_abort,
};

FIXTURE_SETUP(mmap_end)
{
	self->page = getpagesize();
	S->type = variant->type;
	SKIP_IF(fixture_start(S, C, FUSE_FEATURE_BUFFERS, "fuse_client"));
}

FIXTURE_TEARDOWN(mmap_end)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

static bool ended(int64_t ret)
{
	return ret == -ENOTCONN || ret == -ECONNABORTED || ret == -ENODEV;
}

/* A client, and the kernel, after the end */
static void afterwards(struct __test_metadata *_metadata, struct server *s,
		       struct client *c, int fd, uint64_t page)
{
	int64_t ret;

	ret = call(c, CLIENT_MMAP, 0, page, RW, MAP_SHARED, fd, 0);
	EXPECT_TRUE(ended(ret))
		TH_LOG("mmap: %lld", (long long)ret);
	ret = call(c, CLIENT_IOCTL, fd, _IO('x', 1));
	EXPECT_TRUE(ended(ret))
		TH_LOG("ioctl: %lld", (long long)ret);
	if (s->fd >= 0)
		EXPECT_EQ(-ENOTCONN, buffer_open(s, BUF(1), page));
	call(c, CLIENT_CLOSE, fd);
	client_exit(c);
}

FUSE_TEST(mmap_end, before_mmap)
{
	int fd = client_open(C, S, O_RDWR);

	variant->end(S);
	afterwards(_metadata, S, C, fd, P);
}

FUSE_TEST(mmap_end, request_not_taken)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t ret;

	start_mmap(fd);
	server_wait_pending(S);
	variant->end(S);
	ret = call_end(C);
	EXPECT_TRUE(ended(ret))
		TH_LOG("mmap: %lld", (long long)ret);
	afterwards(_metadata, S, C, fd, P);
}

FUSE_TEST(mmap_end, request_taken)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t ret;

	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	variant->end(S);
	ret = call_end(C);
	EXPECT_TRUE(ended(ret))
		TH_LOG("mmap: %lld", (long long)ret);
	if (S->fd >= 0)
		EXPECT_EQ(-ENOENT, reply(S, r, OUT, sizeof(*OUT)));
	afterwards(_metadata, S, C, fd, P);
}

FUSE_TEST(mmap_end, killed_and_not_answered)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;

	S->open_flags = FOPEN_NOFLUSH;
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	fd = client_open(C, S, O_RDWR);
	start_mmap(fd);
	r = take(S, FUSE_MMAP);
	kill_now(_metadata, C);
	take_interrupt(_metadata, S, r);
	variant->end(S);
	if (S->fd >= 0)
		EXPECT_EQ(-ENOENT, reply(S, r, OUT, sizeof(*OUT)));
}

FUSE_TEST(mmap_end, mapped)
{
	int fd = client_open(C, S, O_RDWR), buf;
	struct client child = { 0 };
	int64_t p;

	buf = buffer_open(S, BUF(1), P);
	ASSERT_LE(0, buf);
	p = map_shared(fd);
	ASSERT_LT(0, p);
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "x", 1, p + 10));
	client_fork(C, &child);
	variant->end(S);
	/* the memory stays, and shared */
	ASSERT_EQ(1, call(&child, CLIENT_PEEK, p + 10, 1));
	EXPECT_EQ('x', child.answer.data[0]);
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'y'));
	EXPECT_EQ(P, call(&child, CLIENT_DIFF, p, P, 'y'));
	EXPECT_EQ(1, fdinfo(buf, "mappings"));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	EXPECT_EQ(1, fdinfo(buf, "mappings"));
	client_exit(&child);
	EXPECT_EQ(0, fdinfo(buf, "mappings"));
	afterwards(_metadata, S, C, fd, P);
}

FUSE_TEST(mmap_end, mapped_untouched)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	p = map_shared(fd);
	ASSERT_LT(0, p);
	variant->end(S);
	/* its memory needs no server */
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 0));
	ASSERT_EQ(P, call(C, CLIENT_FILL, p, P, 'y'));
	afterwards(_metadata, S, C, fd, P);
}

/* FUSE_MUNMAP is in the queue, and its file is closed */
FUSE_TEST(mmap_end, munmap_not_taken)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	S->open_flags = FOPEN_NOFLUSH;
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	fd = client_open(C, S, O_RDWR);
	p = map_shared(fd);
	ASSERT_LT(0, p);
	S->deaf = true;
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	variant->end(S);
	client_exit(C);
}

FUSE_TEST(mmap_end, client_dies_afterwards)
{
	int fd = client_open(C, S, O_RDWR);

	ASSERT_LT(0, map_shared(fd));
	variant->end(S);
	kill_now(_metadata, C);
}

/* A server that is a process of its own, and is killed with what it has */

FUSE_FIXTURE(server_kill, FUSE_FEATURE_BUFFERS);

FUSE_TEST(server_kill, server_is_killed)
{
	int fd = client_open(C, S, O_RDWR), status;
	pid_t pid;
	int64_t p;
	char *mem;

	p = map_shared(fd);
	ASSERT_LT(0, p);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int buf = buffer_open(S, BUF(1), 0);

		mem = mmap(NULL, P, RW, MAP_SHARED, buf, 0);
		mem[0] = 's';
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	/* the other process has the device now, alone */
	server_die(S);
	ASSERT_EQ(1, call(C, CLIENT_PEEK, p, 1));
	EXPECT_EQ('s', C->answer.data[0]);
	start_mmap(fd);
	client_sleeps(C);
	kill(pid, SIGKILL);
	EXPECT_TRUE(ended(call_end(C)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(1, call(C, CLIENT_PEEK, p, 1));
	EXPECT_EQ('s', C->answer.data[0]);
}

TEST_HARNESS_MAIN
