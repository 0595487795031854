// SPDX-License-Identifier: GPL-2.0
/*
 * How connections end: FUSE_DESTROY, umount -f, requests that the server never
 * answers (fs.fuse.default_request_timeout and its kind).
 */
#include "../../kselftest_harness.h"
#include <sys/mount.h>
#include <sys/stat.h>

#include "fuse_fixture.h"

#define DEFAULT_TIMEOUT	fuse_knob("default_request_timeout")
#define MAX_TIMEOUT	fuse_knob("max_request_timeout")
/* The kernel looks every 15 s, and takes no less for a timeout */
#define EXPIRED_MS	(PROMPT_MS + 2 * 15000)

FUSE_OP_FIXTURE(end, .options = "allow_other");

FUSE_OP_FIXTURE(block, .block = true);

/* A file system on a block device is told, and umount(2) waits for it */
static struct request *umount_start(struct client *c, struct server *s)
{
	struct request *r;

	sys_start(c, SYS_umount2, str(c, s->mnt), 0);
	r = server_take(s, FUSE_DESTROY);
	if (BODY_LEN(r) || r->h.nodeid)
		fail("FUSE_DESTROY of %zu bytes", BODY_LEN(r));
	if (serve_until(c->sock, 50))
		fail("umount did not wait");
	return r;
}

FUSE_TEST(block, destroy)
{
	struct request *r = umount_start(C, S);

	EXPECT_EQ(0, reply(S, r, NULL, 0));
	EXPECT_EQ(0, call_end(C));
	S->checked = false;
}

/* Whatever it says */
FUSE_TEST(block, destroy_error)
{
	struct request *r = umount_start(C, S);

	EXPECT_EQ(0, reply_error(S, r, -EIO));
	EXPECT_EQ(0, call_end(C));
	S->checked = false;
}

FUSE_TEST(block, destroy_too_long)
{
	struct request *r = umount_start(C, S);

	reply_bad(S, r, BAD_LONG, NULL, 0);
	EXPECT_EQ(0, call_end(C));
	S->checked = false;
}

FUSE_TEST(block, destroy_of_the_dead)
{
	umount_start(C, S);
	server_die(S);
	EXPECT_EQ(0, call_end(C));
}

/* Others are not told */
FUSE_TEST(end, umount)
{
	EXPECT_EQ(0, sys(C, SYS_umount2, str(C, S->mnt), 0));
	S->checked = false;
	EXPECT_TRUE(eventually(S->gone || server_pending(S)));
	while (!S->gone && server_pending(S))
		serve_until(-1, 10);
	EXPECT_TRUE(S->gone);
}

/* umount -f: what waits is told that there is no answer */
FUSE_TEST(end, umount_force)
{
	struct client other = {};
	struct request *r;

	client_fork(C, &other);
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir"), 0700);
	r = take(S, FUSE_MKDIR);
	/* busy, but all requests end */
	sys_start(&other, SYS_umount2, str(&other, S->mnt), MNT_FORCE);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
	call_end(&other);
	EXPECT_NE(0, reply_error(S, r, -EIO));
	S->checked = false;
	client_exit(&other);
}

/* The server's death is the end of what it has, and of what it has not read */
FUSE_TEST(end, server_dies)
{
	struct client other = {};

	client_fork(C, &other);
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "one"), 0700);
	take(S, FUSE_MKDIR);
	S->deaf = true;
	sys_start(&other, SYS_statfs, path(&other, S, ""), ARG(0));
	client_sleeps(&other);
	server_die(S);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
	EXPECT_EQ(-ECONNABORTED, call_end(&other));
	EXPECT_EQ(-ENOTCONN, sys(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir"), 0700));
	client_exit(&other);
}

FUSE_TEST(end, timeout_sysctls)
{
	const char * const paths[] = { DEFAULT_TIMEOUT, MAX_TIMEOUT };
	size_t i;

	for (i = 0; i < 2; i++) {
		if (set_sysctl(paths[i], 65535))
			SKIP(return, "kernel without %s", paths[i]);
		EXPECT_EQ(-EINVAL, write_text(paths[i], "65536"));
		EXPECT_EQ(-EINVAL, write_text(paths[i], "-1"));
		EXPECT_EQ(-EINVAL, write_text(paths[i], "x"));
	}
}

FIXTURE(timeouts) {
};

FIXTURE_SETUP(timeouts)
{
}

FIXTURE_TEARDOWN(timeouts)
{
}

/*
 * Requests that are not read, that are not answered, and whose answer is not
 * committed to a ring: all at a time, since each takes 15 to 30 s.
 */
FUSE_TEST(timeouts, all)
{
	struct server s[4] = {
		/* as the server says, but no less than the kernel's least */
		{ .init_flags = FUSE_REQUEST_TIMEOUT, .request_timeout = 1 },
		/* as the system says */
		{ .deaf = true },
		{ .transport = &uring_transport },
		/* as the server says, but no more than the system's most */
		{ .init_flags = FUSE_REQUEST_TIMEOUT, .request_timeout = 60000 },
	};
	struct client c[4] = {};
	const char *why = test_begin();
	int64_t start, ret;
	int i;

	if (!why && (set_sysctl(DEFAULT_TIMEOUT, 5) || set_sysctl(MAX_TIMEOUT, 15)))
		why = "kernel without request timeouts";
	for (i = 0; i < 4 && !why; i++) {
		bool deaf = s[i].deaf;

		s[i].deaf = false;
		why = server_start(&s[i]);
		s[i].deaf = deaf;
	}
	SKIP_IF(why);
	for (i = 0; i < 4; i++) {
		client_start(&c[i], FUSE_CLIENT);
		s[i].checked = false;
		s[i].manual = 1ULL << FUSE_GETATTR;
		sys_start(&c[i], SYS_newfstatat, AT_FDCWD, path(&c[i], &s[i], ""),
			  ARG(0), 0);
		if (!s[i].deaf)
			take(&s[i], FUSE_GETATTR);
	}
	start = now_ms();
	for (i = 0; i < 4; i++) {
		ret = call_end(&c[i]);
		EXPECT_EQ(-ECONNABORTED, ret);
		EXPECT_LT(10000, now_ms() - start);
		EXPECT_GT(EXPIRED_MS, now_ms() - start);
		client_exit(&c[i]);
		server_stop(&s[i]);
	}
	test_end();
}

TEST_HARNESS_MAIN
