// SPDX-License-Identifier: GPL-2.0
/*
 * A server without any privilege: a user who mounts in a user namespace.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

#define USER		1000
#define LIMIT_PAGES	16

#define P	(self->page)

FIXTURE(userns)
{
	struct server s;
	struct client c;
	uint64_t page;
};

static const char *become_user(uint64_t page)
{
	struct rlimit limit = { LIMIT_PAGES * page, LIMIT_PAGES * page };

	/* a limit of this user that the tests know */
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return "cannot set RLIMIT_MEMLOCK";
	/* what udev does to /dev/fuse */
	if (mknod("/tmp/fuse", S_IFCHR | 0666, makedev(10, 229)) ||
	    chmod("/tmp/fuse", 0666))
		return "cannot make a device node";
	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		return "cannot change the user";
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return "no user namespaces";
	if (write_text("/proc/self/setgroups", "deny") ||
	    write_text("/proc/self/uid_map", "0 1000 1") ||
	    write_text("/proc/self/gid_map", "0 1000 1"))
		return "cannot map the user";
	return NULL;
}

FIXTURE_SETUP(userns)
{
	const char *why;

	P = getpagesize();
	why = test_begin();
	if (!why)
		why = become_user(P);
	S->device = "/tmp/fuse";
	if (!why)
		why = server_start(S);
	SKIP_IF(why);
	if (server_enable(S, FUSE_FEATURE_BUFFERS) == -ENOTTY)
		SKIP(return, "kernel without FUSE_DEV_IOC_ENABLE");
	client_start(C, "fuse_client");
}

FIXTURE_TEARDOWN(userns)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

/* The fields of FUSE_MMAP that map() checks are those of the namespace */
FUSE_TEST(userns, mmap)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p;
	char *mem;

	ASSERT_LE(0, fd);
	p = map(C, S, fd, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 2 * P });
	ASSERT_LT(0, p);
	buf = buffer_open(S, BUF(1), 0);
	ASSERT_LE(0, buf);
	mem = mmap(NULL, 2 * P, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(P, call(C, CLIENT_FILL, p + P, P, 'c'));
	EXPECT_EQ('c', mem[P]);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(1), 0, 2 * P);
}

FUSE_TEST(userns, bind_store_retrieve_inval)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int64_t p;

	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, P, BUF(1), 0, P));
	p = call(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(0, store(S, BUF(1), 3, "xyz", 3));
	EXPECT_EQ(1, call(C, CLIENT_DIFF, p + 3, 1, 'x'));
	ASSERT_EQ(0, retrieve(S, BUF(1), 4, 1, 9));
	r = take(S, FUSE_NOTIFY_REPLY);
	EXPECT_EQ('y', *(char *)(&r->retrieve + 1));
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 0));
}

/* Unevictable memory is limited by RLIMIT_MEMLOCK, however it is asked for */
FUSE_TEST(userns, rlimit_memlock)
{
	int fd = client_open(C, S, O_RDWR), a, b;
	int64_t p;

	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(1), (LIMIT_PAGES + 1) * P));
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	a = buffer_open(S, BUF(1), (LIMIT_PAGES - 1) * P);
	ASSERT_LE(0, a);
	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(2), 2 * P));
	b = buffer_open(S, BUF(2), P);
	ASSERT_LE(0, b);
	EXPECT_EQ(-ENOMEM, buffer_bind(S, S->fh, 0, P, BUF(3), 0, P));
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(3), .size = P }));
	take_munmap(S, S->fh, BUF(3), 0, P);
	/* the same buffers again cost nothing */
	EXPECT_LE(0, buffer_open(S, BUF(1), 0));

	/* what is given back can be had again, by whatever way */
	close(b);
	p = map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(3), .size = P });
	ASSERT_LT(0, p);
	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(2), P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(3), 0, P);
	ASSERT_EQ(0, buffer_bind(S, S->fh, 0, P, BUF(3), 0, P));
	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(2), P));
	ASSERT_EQ(0, buffer_unbind(S, S->fh, 0, P));
	EXPECT_LE(0, buffer_open(S, BUF(2), P));
}

/* The limit is the user's, not the connection's */
FUSE_TEST(userns, two_connections_one_limit)
{
	struct server other = { .device = "/tmp/fuse" };
	int a;

	ASSERT_EQ(NULL, server_start(&other));
	ASSERT_EQ(0, server_enable(&other, FUSE_FEATURE_BUFFERS));
	a = buffer_open(S, BUF(1), LIMIT_PAGES * P);
	ASSERT_LE(0, a);
	EXPECT_EQ(-ENOMEM, buffer_open(&other, BUF(1), P));
	/* a buffer that outlives its connection counts */
	client_exit(C);
	server_die(S);
	EXPECT_EQ(-ENOMEM, buffer_open(&other, BUF(1), P));
	close(a);
	EXPECT_LE(0, buffer_open(&other, BUF(1), P));
	server_stop(&other);
}

FUSE_TEST(userns, cannot_raise_the_ceiling)
{
	EXPECT_GT(0, write_text(fuse_knob("max_buffer_pages"), "1"));
}

FUSE_TEST(userns, client_is_killed)
{
	struct request *r;
	int fd;

	S->open_flags = FOPEN_NOFLUSH;
	fd = client_open(C, S, O_RDWR);
	call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
	r = take(S, FUSE_MMAP);
	S->deaf = true;
	client_kill(C, SIGKILL);
	client_gone(C);
	EXPECT_EQ(r->h.unique, take(S, FUSE_INTERRUPT)->interrupt.unique);
	EXPECT_EQ(0, reply_error(S, r, -EINTR));
}

TEST_HARNESS_MAIN
