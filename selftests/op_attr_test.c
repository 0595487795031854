// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes and who may have them: GETATTR, SETATTR, STATX, STATFS, ACCESS
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "fuse_fixture.h"
#include "fuse_ops.h"

#define DIR_INO		3
#define OTHER_INO	4
#define SUID_INO	5

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0700 },
	{ FUSE_ROOT_ID, "other", OTHER_INO, S_IFREG | 0644 },
	{ FUSE_ROOT_ID, "suid", SUID_INO, S_IFREG | S_ISUID | S_ISGID | 0755 },
	{ }
};

#define ATTR {								\
	.ino = FILE_INO,						\
	.size = 4711,							\
	.blocks = 77,							\
	.atime = 1000000001,						\
	.mtime = 1000000002,						\
	.ctime = 1000000003,						\
	.atimensec = 4,							\
	.mtimensec = 5,							\
	.ctimensec = 0xffffffff,					\
	.mode = S_IFREG | S_ISVTX | 0640,				\
	.nlink = 3,							\
	.uid = 11,							\
	.gid = 12,							\
	.blksize = 8192,						\
}

static const struct fuse_attr_out attr = { .attr = ATTR };
static const struct fuse_statx_out statx_out = {
	.attr_valid = 3600,
	.stat = {
		.mask = STATX_BASIC_STATS | STATX_BTIME,
		.blksize = 8192,
		.nlink = 3,
		.uid = 11,
		.gid = 12,
		.mode = S_IFREG | 0640,
		.ino = FILE_INO,
		.size = 4711,
		.blocks = 77,
		.atime = { .tv_sec = 1000000001, .tv_nsec = 4 },
		.btime = { .tv_sec = 1000000004, .tv_nsec = 0xffffffff },
		.ctime = { .tv_sec = 1000000003, .tv_nsec = 6 },
		.mtime = { .tv_sec = 1000000002, .tv_nsec = 5 },
	},
};
static const struct fuse_statfs_out statfs_out = {
	.st = {
		.blocks = 1000001,
		.bfree = 100002,
		.bavail = 10003,
		.files = 1004,
		.ffree = 105,
		.bsize = 4096,
		.namelen = 177,
		.frsize = 512,
	},
};

static int fd = -1;
static uint64_t fh;

static void start_statx(struct client *c, struct server *s, const char *name,
			int flags, unsigned int mask)
{
	sys_start(c, SYS_statx, AT_FDCWD, path(c, s, name), flags, mask, ARG(0));
}

static void start_getattr(struct client *c, struct server *s)
{
	start_statx(c, s, "file", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS);
}

static void check_getattr(const struct request *r)
{
	const struct fuse_getattr_in *in = BODY(r, struct fuse_getattr_in);

	check_len(r, sizeof(*in));
	CHECK(0, in->getattr_flags);
	CHECK(0, in->dummy);
	CHECK(0, in->fh);
}

/* Who knows the file that is open, tells */
static void start_getattr_fh(struct client *c, struct server *s)
{
	CHECK(0, inval(s, FILE_INO, -1, 0));
	sys_start(c, SYS_lseek, fd, 0, SEEK_END);
}

static void check_getattr_fh(const struct request *r)
{
	const struct fuse_getattr_in *in = BODY(r, struct fuse_getattr_in);

	check_len(r, sizeof(*in));
	CHECK(FUSE_GETATTR_FH, in->getattr_flags);
	CHECK(0, in->dummy);
	CHECK(fh, in->fh);
}

static void check_setattr(const struct request *r,
			  const struct fuse_setattr_in *expected)
{
	const struct fuse_setattr_in *in = BODY(r, struct fuse_setattr_in);

	check_len(r, sizeof(*in));
	CHECK(expected->valid, in->valid);
	CHECK(0, in->padding);
	CHECK(expected->fh, in->fh);
	CHECK(expected->size, in->size);
	/* scrambled */
	CHECK(!!(in->valid & FATTR_LOCKOWNER), !!in->lock_owner);
	if (!(in->valid & FATTR_ATIME_NOW)) {
		CHECK(expected->atime, in->atime);
		CHECK(expected->atimensec, in->atimensec);
	}
	if (!(in->valid & FATTR_MTIME_NOW)) {
		CHECK(expected->mtime, in->mtime);
		CHECK(expected->mtimensec, in->mtimensec);
	}
	CHECK(0, in->ctime);
	CHECK(0, in->ctimensec);
	CHECK(expected->mode, in->mode);
	CHECK(0, in->unused4);
	CHECK(expected->uid, in->uid);
	CHECK(expected->gid, in->gid);
	CHECK(0, in->unused5);
}

#define SETATTR_ROW(what)						\
static void check_##what(const struct request *r)			\
{									\
	check_setattr(r, &set_##what);					\
}									\
static void start_##what(struct client *c, struct server *s)

static const struct fuse_setattr_in set_mode = {
	.valid = FATTR_MODE,
	.mode = S_IFREG | 04641,
};

SETATTR_ROW(mode)
{
	sys_start(c, SYS_fchmodat, AT_FDCWD, path(c, s, "file"), 04641);
}

static const struct fuse_setattr_in set_owner = {
	.valid = FATTR_UID | FATTR_GID,
	.uid = 1234,
	.gid = 5678,
};

SETATTR_ROW(owner)
{
	sys_start(c, SYS_fchownat, AT_FDCWD, path(c, s, "file"), 1234, 5678, 0);
}

static const struct fuse_setattr_in set_size = {
	.valid = FATTR_SIZE | FATTR_LOCKOWNER,
	.size = 0x123456789a,
};

SETATTR_ROW(size)
{
	sys_start(c, SYS_truncate, path(c, s, "file"), 0x123456789a);
}

static struct fuse_setattr_in set_open_size = {
	.valid = FATTR_SIZE | FATTR_LOCKOWNER | FATTR_FH,
	.size = 17,
};

SETATTR_ROW(open_size)
{
	(void)s;
	set_open_size.fh = fh;
	sys_start(c, SYS_ftruncate, fd, 17);
}

static const struct fuse_setattr_in set_times = {
	.valid = FATTR_ATIME | FATTR_MTIME,
	.atime = 1000000001,
	.mtime = 1000000002,
	.atimensec = 3,
	.mtimensec = 4,
};

SETATTR_ROW(times)
{
	const int64_t times[4] = { 1000000001, 3, 1000000002, 4 };

	sys_start(c, SYS_utimensat, AT_FDCWD, path(c, s, "file"),
		  in(c, times, sizeof(times)), 0);
}

static const struct fuse_setattr_in set_now = {
	.valid = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW,
};

SETATTR_ROW(now)
{
	sys_start(c, SYS_utimensat, AT_FDCWD, path(c, s, "file"), 0, 0);
}

static const struct fuse_setattr_in set_mtime = {
	.valid = FATTR_MTIME,
	.mtime = -5,
	.mtimensec = 6,
};

SETATTR_ROW(mtime)
{
	const int64_t times[4] = { 0, UTIME_OMIT, -5, 6 };

	sys_start(c, SYS_utimensat, AT_FDCWD, path(c, s, "file"),
		  in(c, times, sizeof(times)), 0);
}

static void start_btime(struct client *c, struct server *s)
{
	start_statx(c, s, "file", AT_STATX_FORCE_SYNC,
		    STATX_BASIC_STATS | STATX_BTIME);
}

static void check_statx(const struct request *r)
{
	const struct fuse_statx_in *in = BODY(r, struct fuse_statx_in);

	check_len(r, sizeof(*in));
	CHECK(0, in->getattr_flags);
	CHECK(0, in->reserved);
	CHECK(0, in->fh);
	CHECK(0, in->sx_flags);
	CHECK(STATX_BASIC_STATS | STATX_BTIME, in->sx_mask);
}

static void start_statfs(struct client *c, struct server *s)
{
	sys_start(c, SYS_statfs, path(c, s, "file"), ARG(0));
}

static void check_statfs(const struct request *r)
{
	check_len(r, 0);
}

static void start_access(struct client *c, struct server *s)
{
	sys_start(c, SYS_faccessat, AT_FDCWD, path(c, s, "file"), R_OK | W_OK);
}

static void check_access(const struct request *r)
{
	const struct fuse_access_in *in = BODY(r, struct fuse_access_in);

	check_len(r, sizeof(*in));
	CHECK(R_OK | W_OK, in->mask);
	CHECK(0, in->padding);
}

#define SETATTR(what)							\
	.name = "FUSE_SETATTR of " #what,				\
	.opcode = FUSE_SETATTR,						\
	.nodeid = FILE_INO,						\
	.start = start_##what,						\
	.check = check_##what,						\
	REPLY(attr)

static const struct op ops[] = {
	{
		.opcode = FUSE_GETATTR,
		.nodeid = FILE_INO,
		.start = start_getattr,
		.check = check_getattr,
		REPLY(attr),
		ESTALE_TWICE,
	}, {
		.name = "FUSE_GETATTR of an open file",
		.opcode = FUSE_GETATTR,
		.nodeid = FILE_INO,
		.start = start_getattr_fh,
		.check = check_getattr_fh,
		REPLY(attr),
		.ret = 4711,
	},
	{ SETATTR(mode), ESTALE_TWICE },
	{ SETATTR(owner), ESTALE_TWICE },
	{ SETATTR(size), ESTALE_TWICE },
	{ SETATTR(open_size) },
	{ SETATTR(times), ESTALE_TWICE },
	{ SETATTR(now), ESTALE_TWICE },
	{ SETATTR(mtime), ESTALE_TWICE },
	{
		.opcode = FUSE_STATX,
		.nodeid = FILE_INO,
		.start = start_btime,
		.check = check_statx,
		REPLY(statx_out),
		.enosys = ENOSYS_OTHERWISE,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_STATFS,
		.nodeid = FILE_INO,
		.start = start_statfs,
		.check = check_statfs,
		REPLY(statfs_out),
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_ACCESS,
		.nodeid = FILE_INO,
		.start = start_access,
		.check = check_access,
		.enosys = ENOSYS_LATCHED,
		ESTALE_TWICE,
	},
};

static void open_file(struct client *c, struct server *s)
{
	fd = client_open(c, s, O_RDWR);
	fh = s->fh;
}

FUSE_OP_FIXTURE(attr, .nodes = nodes);

OP_TESTS(attr, ops, open_file)

FUSE_DEV_FIXTURE(attr_faults, .nodes = nodes);

OP_FAULTS_TEST(attr_faults, ops, open_file)

FUSE_DEV_FIXTURE(getattr, .nodes = nodes);

#define ANSWER(s, opcode, data) answer(s, opcode, &(data), sizeof(data))

/* statx(2) of what the kernel holds */
static struct statx *cached(struct client *c, struct server *s, const char *name)
{
	start_statx(c, s, name, AT_STATX_DONT_SYNC,
		    STATX_BASIC_STATS | STATX_BTIME);
	CHECK(0, call_end(c));
	return out(c, ARG(0));
}

/* All that is in the reply reaches the caller, also later */
FUSE_TEST(getattr, fields)
{
	struct statx *stx;
	int i;

	start_getattr(C, S);
	ANSWER(S, FUSE_GETATTR, attr);
	ASSERT_EQ(0, call_end(C));
	for (i = 0, stx = out(C, ARG(0)); i < 2; i++, stx = cached(C, S, "file"))
		check_told(&attr.attr, stx);
}

/* Asked when the time is over, or something was invalidated; or who insists */
FUSE_TEST(getattr, validity)
{
	struct fuse_attr_out out = attr;

	ASSERT_EQ(0, sys(C, SYS_statx, AT_FDCWD, path(C, S, "file"), 0,
			 STATX_BASIC_STATS, ARG(0)));
	S->manual = 1ULL << FUSE_GETATTR | 1ULL << FUSE_LOOKUP;
	start_statx(C, S, "file", 0, STATX_BASIC_STATS);
	ASSERT_EQ(0, call_end(C));
	quiet(S);
	start_getattr(C, S);
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
	/* it was for no time: asked again, but not for nothing */
	start_statx(C, S, "file", 0, STATX_SIZE);
	out.attr_valid_nsec = 1;
	out.attr.blksize = 0;
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(getpagesize(), ((struct statx *)out(C, ARG(0)))->stx_blksize);
	start_statx(C, S, "file", 0, 0);
	ASSERT_EQ(0, call_end(C));
	/* two ticks of the clock are more than a nanosecond */
	usleep(30000);
	ASSERT_EQ(4711, cached(C, S, "file")->stx_size);
	start_statx(C, S, "file", 0, STATX_SIZE);
	out.attr_valid = 3600;
	out.attr_valid_nsec = 0xffffffff;
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
	start_statx(C, S, "file", 0, STATX_SIZE);
	ASSERT_EQ(0, call_end(C));
	quiet(S);
}

/* A file does not become another one: what says so is EIO until looked up anew */
FUSE_TEST(getattr, bad)
{
	struct fuse_attr_out bad[3] = { attr, attr, attr };
	int fd, i;

	bad[0].attr.mode = S_IFDIR | 0755;
	bad[1].attr.mode = 0755;
	bad[2].attr.size = 1ULL << 63;
	for (i = 0; i < 6; i++) {
		struct fuse_attr_out *out = &bad[i / 2];

		fd = client_open(C, S, O_RDWR);
		ASSERT_LE(0, fd);
		if (i % 2) {
			sys_start(C, SYS_ftruncate, fd, 1);
			ANSWER(S, FUSE_SETATTR, *out);
		} else {
			start_getattr(C, S);
			ANSWER(S, FUSE_GETATTR, *out);
		}
		ASSERT_EQ(-EIO, call_end(C));
		ASSERT_EQ(-EIO, sys(C, SYS_ftruncate, fd, 0));
		ASSERT_EQ(-EIO, sys(C, SYS_statx, fd, str(C, ""), AT_EMPTY_PATH,
				    STATX_SIZE, ARG(0)));
		/* it is gone when the last one who has it open is */
		S->manual = 1ULL << FUSE_RELEASE;
		/* as FLUSH says */
		ASSERT_EQ(-EIO, call(C, CLIENT_CLOSE, fd));
		answer(S, FUSE_RELEASE, NULL, 0);
		S->manual = 0;
	}
	ASSERT_EQ(FILE_PAGES * getpagesize(), cached(C, S, "file")->stx_size);
}

/* The time of birth needs STATX; with it come the others */
FUSE_TEST(getattr, statx)
{
	struct fuse_statx_out out = statx_out;
	struct statx *stx;
	int i;

	start_btime(C, S);
	ANSWER(S, FUSE_STATX, statx_out);
	ASSERT_EQ(0, call_end(C));
	for (i = 0, stx = out(C, ARG(0)); i < 2; i++, stx = cached(C, S, "file")) {
		EXPECT_EQ(STATX_BASIC_STATS | STATX_BTIME,
			  stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
		EXPECT_EQ(1000000001, stx->stx_atime.tv_sec);
		EXPECT_EQ(1000000002, stx->stx_mtime.tv_sec);
		EXPECT_EQ(1000000003, stx->stx_ctime.tv_sec);
		EXPECT_EQ(1000000004, stx->stx_btime.tv_sec);
		EXPECT_EQ(999999999, stx->stx_btime.tv_nsec);
		EXPECT_EQ(4711, stx->stx_size);
		EXPECT_EQ(77, stx->stx_blocks);
		EXPECT_EQ(S_IFREG | 0640, stx->stx_mode);
		EXPECT_EQ(FILE_INO, stx->stx_ino);
		EXPECT_EQ(8192, stx->stx_blksize);
		EXPECT_EQ(11, stx->stx_uid);
		EXPECT_EQ(12, stx->stx_gid);
		EXPECT_EQ(3, stx->stx_nlink);
	}
	/* a server that knows less says so */
	out.stat.mask = STATX_TYPE | STATX_BTIME;
	start_btime(C, S);
	ANSWER(S, FUSE_STATX, out);
	ASSERT_EQ(0, call_end(C));
	stx = out(C, ARG(0));
	EXPECT_EQ(STATX_TYPE | STATX_BTIME,
		  stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
	/* a file does not become another one */
	out.stat.mode = S_IFDIR | 0755;
	start_btime(C, S);
	ANSWER(S, FUSE_STATX, out);
	ASSERT_EQ(-EIO, call_end(C));
	out = statx_out;
	out.stat.size = 1ULL << 63;
	start_btime(C, S);
	ANSWER(S, FUSE_STATX, out);
	ASSERT_EQ(-EIO, call_end(C));
}

/* No STATX: GETATTR, from then on */
FUSE_TEST(getattr, statx_enosys)
{
	int i;

	start_btime(C, S);
	reply_error(S, take(S, FUSE_STATX), -ENOSYS);
	for (i = 0; i < 2; i++) {
		ANSWER(S, FUSE_GETATTR, attr);
		ASSERT_EQ(0, call_end(C));
		ASSERT_EQ(0, ((struct statx *)out(C, ARG(0)))->stx_mask &
			  STATX_BTIME);
		if (!i)
			start_btime(C, S);
	}
}

FUSE_TEST(getattr, statfs)
{
	struct statfs *st;

	start_statfs(C, S);
	ANSWER(S, FUSE_STATFS, statfs_out);
	ASSERT_EQ(0, call_end(C));
	st = out(C, ARG(0));
	EXPECT_EQ(FUSE_SUPER_MAGIC, st->f_type);
	EXPECT_EQ(1000001, st->f_blocks);
	EXPECT_EQ(100002, st->f_bfree);
	EXPECT_EQ(10003, st->f_bavail);
	EXPECT_EQ(1004, st->f_files);
	EXPECT_EQ(105, st->f_ffree);
	EXPECT_EQ(4096, st->f_bsize);
	EXPECT_EQ(177, st->f_namelen);
	EXPECT_EQ(512, st->f_frsize);
}

/* SETATTR's reply holds the attributes from then on */
FUSE_TEST(getattr, setattr_reply)
{
	struct fuse_attr_out out = attr;
	struct request *r;

	out.attr_valid = 3600;
	start_mode(C, S);
	ANSWER(S, FUSE_SETATTR, out);
	ASSERT_EQ(0, call_end(C));
	S->manual = 1ULL << FUSE_GETATTR;
	start_statx(C, S, "file", 0, STATX_BASIC_STATS);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(out.attr.mode, ((struct statx *)out(C, ARG(0)))->stx_mode);
	/* but not if something else came in between */
	start_mode(C, S);
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(0, inval(S, FILE_INO, -1, 0));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
	start_statx(C, S, "file", 0, STATX_BASIC_STATS);
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
	/* an interrupted one may have happened */
	start_mode(C, S);
	reply_error(S, take(S, FUSE_SETATTR), -EINTR);
	ASSERT_EQ(-EINTR, call_end(C));
	start_statx(C, S, "file", 0, STATX_BASIC_STATS);
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
	/* the mode of a directory is about its names: they are looked up */
	ASSERT_EQ(DIR_INO, cached(C, S, "dir")->stx_ino);
	sys_start(C, SYS_fchmodat, AT_FDCWD, path(C, S, "dir"), 0711);
	out.attr.mode = S_IFDIR | 0711;
	out.attr.ino = DIR_INO;
	ANSWER(S, FUSE_SETATTR, out);
	ASSERT_EQ(0, call_end(C));
	start_statx(C, S, "dir", 0, STATX_BASIC_STATS);
	reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
	reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
	ASSERT_EQ(-ENOENT, call_end(C));
}

/* A GETATTR that began before a change says nothing about what is after it */
FUSE_TEST(getattr, overtaken)
{
	struct fuse_attr_out out = attr;
	struct request *r;

	out.attr_valid = 3600;
	start_getattr(C, S);
	r = take(S, FUSE_GETATTR);
	ASSERT_EQ(0, inval(S, FILE_INO, -1, 0));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
	start_statx(C, S, "file", 0, STATX_BASIC_STATS);
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
}

static struct fuse_setattr_in take_setattr(struct server *s, uint64_t ino)
{
	struct fuse_attr_out out = { .attr = ATTR };
	struct request *r = take(s, FUSE_SETATTR);

	CHECK(ino, r->h.nodeid);
	out.attr.ino = ino;
	out.attr_valid = 3600;
	CHECK(0, reply(s, r, &out, sizeof(out)));
	return *BODY(r, struct fuse_setattr_in);
}

static void start_chown(struct client *c, struct server *s)
{
	sys_start(c, SYS_fchownat, AT_FDCWD, path(c, s, "suid"), 5, -1, 0);
}

/* Who kills the privileges: the kernel, for servers that do not */
FUSE_TEST(getattr, kill_privileges)
{
	struct fuse_setattr_in in;
	struct fuse_attr_out out = attr;

	start_chown(C, S);
	/* looked at anew */
	out.attr.mode = S_IFREG | S_ISUID | S_ISGID | 0771;
	ANSWER(S, FUSE_GETATTR, out);
	in = take_setattr(S, SUID_INO);
	ASSERT_EQ(FATTR_UID | FATTR_MODE, in.valid);
	ASSERT_EQ(S_IFREG | 0771, in.mode);
	ASSERT_EQ(5, in.uid);
	ASSERT_EQ(0, call_end(C));

	start_chown(C, S);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_GETATTR), -EIO));
	ASSERT_EQ(-EIO, call_end(C));
}

FUSE_DEV_FIXTURE(killpriv, .nodes = nodes, .init_flags = FUSE_HANDLE_KILLPRIV);

FUSE_TEST(killpriv, chown)
{
	S->keep = FUSE_GETATTR;
	start_chown(C, S);
	ASSERT_EQ(FATTR_UID, take_setattr(S, SUID_INO).valid);
	ASSERT_EQ(0, call_end(C));
	quiet(S);
}

FUSE_DEV_FIXTURE(killpriv_v2, .nodes = nodes,
		 .init_flags = FUSE_HANDLE_KILLPRIV_V2);

FUSE_TEST(killpriv_v2, chown_and_truncate)
{
	struct request *r;

	S->keep = FUSE_GETATTR;
	start_chown(C, S);
	ASSERT_EQ(FATTR_UID | FATTR_KILL_SUIDGID, take_setattr(S, SUID_INO).valid);
	ASSERT_EQ(0, call_end(C));
	start_size(C, S);
	ASSERT_EQ(FATTR_SIZE | FATTR_LOCKOWNER, take_setattr(S, FILE_INO).valid);
	ASSERT_EQ(0, call_end(C));
	client_drop_cap(C, CAP_FSETID);
	start_size(C, S);
	ASSERT_EQ(FATTR_SIZE | FATTR_LOCKOWNER | FATTR_KILL_SUIDGID,
		  take_setattr(S, FILE_INO).valid);
	ASSERT_EQ(0, call_end(C));
	/* a directory has no such bits */
	sys_start(C, SYS_fchownat, AT_FDCWD, path(C, S, "dir"), 5, -1, 0);
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(FATTR_UID, BODY(r, struct fuse_setattr_in)->valid);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
}

/* O_TRUNC is a SETATTR, unless OPEN does it */
FUSE_TEST(getattr, open_truncates)
{
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "file"), O_RDWR | O_TRUNC);
	ASSERT_EQ(FATTR_SIZE | FATTR_LOCKOWNER, take_setattr(S, FILE_INO).valid);
	ASSERT_LE(0, call_end(C));
}

FUSE_DEV_FIXTURE(atomic_trunc, .init_flags = FUSE_ATOMIC_O_TRUNC);

FUSE_TEST(atomic_trunc, open_truncates)
{
	struct fuse_open_out out = { .fh = 5 };
	const struct fuse_open_in *in;
	struct request *r;

	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "file"), O_RDWR | O_TRUNC);
	r = take(S, FUSE_OPEN);
	in = BODY(r, struct fuse_open_in);
	ASSERT_EQ(O_RDWR | O_TRUNC, in->flags & (O_ACCMODE | O_TRUNC));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_LE(0, call_end(C));
	ASSERT_EQ(0, cached(C, S, "file")->stx_size);
}

/* With a writeback cache the times are the kernel's, which tells them */
FUSE_DEV_FIXTURE(writeback, .init_flags = FUSE_WRITEBACK_CACHE);

FUSE_TEST(writeback, times)
{
	struct fuse_setattr_in in;
	struct request *r;
	int fd = client_open(C, S, O_RDWR);

	start_mode(C, S);
	in = take_setattr(S, FILE_INO);
	ASSERT_EQ(FATTR_MODE | FATTR_CTIME, in.valid);
	ASSERT_LT(0, in.ctime);
	ASSERT_EQ(0, call_end(C));

	sys_start(C, SYS_ftruncate, fd, 17);
	in = take_setattr(S, FILE_INO);
	ASSERT_EQ(FATTR_SIZE | FATTR_LOCKOWNER | FATTR_FH | FATTR_CTIME |
		  FATTR_MTIME, in.valid);
	ASSERT_EQ(in.ctime, in.mtime);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(in.mtime, cached(C, S, "file")->stx_mtime.tv_sec);

	/* a change of the ctime alone is told, too */
	sys_start(C, SYS_fremovexattr, fd, str(C, "user.a"));
	ASSERT_EQ(0, reply(S, take(S, FUSE_REMOVEXATTR), NULL, 0));
	r = take(S, FUSE_SETATTR);
	in = *BODY(r, struct fuse_setattr_in);
	ASSERT_EQ(FATTR_CTIME | FATTR_MTIME | FATTR_FH, in.valid);
	ASSERT_EQ(S->fh, in.fh);
	ASSERT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	ASSERT_EQ(0, call_end(C));
}

/* access(2) and chdir(2) ask; and nobody else */
FUSE_TEST(getattr, access)
{
	struct request *r;

	sys_start(C, SYS_chdir, path(C, S, "dir"));
	r = take(S, FUSE_ACCESS);
	ASSERT_EQ(DIR_INO, r->h.nodeid);
	ASSERT_EQ(X_OK, BODY(r, struct fuse_access_in)->mask);
	ASSERT_EQ(0, reply_error(S, r, -EACCES));
	ASSERT_EQ(-EACCES, call_end(C));
	S->keep = FUSE_ACCESS;
	ASSERT_LE(0, client_open(C, S, O_RDONLY));
	quiet(S);
}

/* To be executed, it must say that it can */
FUSE_TEST(getattr, execute)
{
	struct fuse_attr_out out = attr;
	struct request *r;

	S->keep = FUSE_ACCESS;
	sys_start(C, SYS_execve, path(C, S, "other"), 0, 0);
	/* it may have changed */
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(-EACCES, call_end(C));
	/* the attributes are not valid: asked at once, and once */
	sys_start(C, SYS_execve, path(C, S, "other"), 0, 0);
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(-EACCES, call_end(C));
	sys_start(C, SYS_execve, path(C, S, "other"), 0, 0);
	reply_error(S, take(S, FUSE_GETATTR), -EIO);
	ASSERT_EQ(-EIO, call_end(C));
	/* the kernel reads it, into memory of its own */
	out.attr.mode |= 0111;
	S->open_flags = FOPEN_DIRECT_IO;
	S->manual |= 1ULL << FUSE_READ;
	sys_start(C, SYS_execve, path(C, S, "other"), 0, 0);
	ANSWER(S, FUSE_GETATTR, out);
	r = take(S, FUSE_READ);
	ASSERT_EQ(256, r->read.size);
	ASSERT_EQ(0, reply(S, r, "no program", 10));
	ASSERT_EQ(-ENOEXEC, call_end(C));
	quiet(S);
}

FUSE_DEV_FIXTURE(permissions, .nodes = nodes,
		 .options = "default_permissions,allow_other");

static void become(struct client *c, int id)
{
	CHECK(0, sys(c, SYS_setresgid, id, id, id));
	CHECK(0, sys(c, SYS_setresuid, id, id, id));
}

/* default_permissions: the kernel judges by mode and owner, asking if it must */
FUSE_TEST(permissions, mode)
{
	struct fuse_attr_out out = attr;

	S->keep = FUSE_ACCESS;
	become(C, 1000);
	/* 0644 of root */
	ASSERT_EQ(0, sys(C, SYS_faccessat, AT_FDCWD, path(C, S, "other"), R_OK));
	/* denied only after another look */
	sys_start(C, SYS_faccessat, AT_FDCWD, path(C, S, "other"), W_OK);
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(-EACCES, call_end(C));
	sys_start(C, SYS_faccessat, AT_FDCWD, path(C, S, "other"), W_OK);
	out.attr.uid = 1000;
	ANSWER(S, FUSE_GETATTR, out);
	ASSERT_EQ(0, call_end(C));
	sys_start(C, SYS_faccessat, AT_FDCWD, path(C, S, "other"), W_OK);
	reply_error(S, take(S, FUSE_GETATTR), -EIO);
	ASSERT_EQ(-EIO, call_end(C));
	quiet(S);
	/* only the owner may */
	sys_start(C, SYS_fchmodat, AT_FDCWD, path(C, S, "file"), 0600);
	ASSERT_EQ(-EPERM, call_end(C));
}

/* Others than who mounted it have no access, and nobody is told of them */
FUSE_TEST(getattr, others)
{
	const char *admin = fuse_knob("allow_sys_admin_access");
	int file = client_open(C, S, O_RDWR), dir;
	struct statx *stx;

	dir = sys(C, SYS_openat, AT_FDCWD, path(C, S, ""), O_DIRECTORY);
	ASSERT_LE(0, dir);
	/* a process of root, but not of the group */
	CHECK(0, sys(C, SYS_setresgid, 7, 7, 7));
	S->keep = FUSE_GETATTR;
	ASSERT_EQ(-EACCES, sys(C, SYS_statx, file, str(C, ""), AT_EMPTY_PATH,
			       STATX_SIZE, ARG(0)));
	ASSERT_EQ(0, sys(C, SYS_statx, file, str(C, ""), AT_EMPTY_PATH, 0, ARG(0)));
	stx = out(C, ARG(0));
	ASSERT_EQ(S->dev, stx->stx_dev_minor);
	ASSERT_EQ(-EACCES, sys(C, SYS_fchmod, file, 0600));
	ASSERT_EQ(-EACCES, sys(C, SYS_flistxattr, file, ARG(0), 0));
	ASSERT_EQ(-EACCES, sys(C, SYS_ioctl, file, FS_IOC_GETFLAGS, ARG(0)));
	ASSERT_EQ(-EACCES, sys(C, SYS_ioctl, file, _IO('x', 1), ARG(0)));
	ASSERT_EQ(-EACCES, sys(C, SYS_openat, dir, str(C, "file"), O_RDONLY));
	S->manual = 1ULL << FUSE_STATFS;
	ASSERT_EQ(0, sys(C, SYS_fstatfs, file, ARG(0)));
	ASSERT_EQ(FUSE_SUPER_MAGIC, ((struct statfs *)out(C, ARG(0)))->f_type);
	quiet(S);
	S->keep = 0;

	ASSERT_EQ(0, set_sysctl(admin, 1));
	S->manual = 1ULL << FUSE_GETATTR;
	sys_start(C, SYS_statx, file, str(C, ""),
		  AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, ARG(0));
	ANSWER(S, FUSE_GETATTR, attr);
	ASSERT_EQ(0, call_end(C));
}

FUSE_DEV_FIXTURE(allow_other, .options = "allow_other");

FUSE_TEST(allow_other, others)
{
	struct request *r;

	become(C, 1000);
	start_getattr(C, S);
	r = take(S, FUSE_GETATTR);
	ASSERT_EQ(1000, r->h.uid);
	ASSERT_EQ(1000, r->h.gid);
	ASSERT_EQ(C->pid, r->h.pid);
	ASSERT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	ASSERT_EQ(0, call_end(C));
}

TEST_HARNESS_MAIN
