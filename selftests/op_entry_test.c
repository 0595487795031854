// SPDX-License-Identifier: GPL-2.0
/*
 * Names of directories: LOOKUP, FORGET, BATCH_FORGET, READLINK, SYMLINK, MKNOD,
 * MKDIR, UNLINK, RMDIR, RENAME, RENAME2, LINK
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fuse_fixture.h"
#include "fuse_ops.h"

#define DIR_INO		3
#define LINK_INO	4
#define SUB_INO		5
#define OTHER_INO	6
#define NEW_INO		100

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0755 },
	{ FUSE_ROOT_ID, "link", LINK_INO, S_IFLNK | 0777 },
	{ FUSE_ROOT_ID, "other", OTHER_INO, S_IFREG | 0644 },
	{ DIR_INO, "sub", SUB_INO, S_IFDIR | 0755 },
	{ }
};

static const struct fuse_entry_out new_file = ENTRY(NEW_INO, S_IFREG | 0644);
static const struct fuse_entry_out new_dir = ENTRY(NEW_INO, S_IFDIR | 0755);
static const struct fuse_entry_out new_link = ENTRY(NEW_INO, S_IFLNK | 0777);
static const struct fuse_entry_out new_device = {
	.nodeid = NEW_INO,
	.attr_valid = 3600,
	.attr = {
		.ino = NEW_INO,
		.mode = S_IFCHR | 0640,
		.rdev = 0x12300045,
	},
};
static const struct fuse_entry_out the_file = ENTRY(FILE_INO, S_IFREG | 0666);

/* A name that was not looked up before */
static const char *fresh_name(bool next)
{
	static unsigned int number;
	static char name[16];

	number += next;
	snprintf(name, sizeof(name), "fresh%u", number);
	return name;
}

/* To be taken by the test */
#define FORGETS	(1ULL << FUSE_FORGET | 1ULL << FUSE_BATCH_FORGET)

static void start_stat(struct client *c, struct server *s, const char *name)
{
	sys_start(c, SYS_statx, AT_FDCWD, path(c, s, name), AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS, ARG(0));
}

static void start_lookup(struct client *c, struct server *s)
{
	start_stat(c, s, fresh_name(true));
}

static void check_lookup(const struct request *r)
{
	check_strings(r, 0, fresh_name(false), NULL);
}

static void start_readlink(struct client *c, struct server *s)
{
	sys_start(c, SYS_readlinkat, AT_FDCWD, path(c, s, "link"), ARG(0), 4096);
}

static void check_nothing(const struct request *r)
{
	check_len(r, 0);
}

static void start_symlink(struct client *c, struct server *s)
{
	sys_start(c, SYS_symlinkat, str(c, "to/target"), AT_FDCWD,
		  path(c, s, "new"));
}

static void check_symlink(const struct request *r)
{
	check_strings(r, 0, "new", "to/target");
}

static void start_mknod(struct client *c, struct server *s)
{
	sys_start(c, SYS_mknodat, AT_FDCWD, path(c, s, "new"), S_IFCHR | 0642,
		  0x12300045);
}

static void check_mknod(const struct request *r)
{
	const struct fuse_mknod_in *in = BODY(r, struct fuse_mknod_in);

	CHECK(S_IFCHR | 0640, in->mode);
	CHECK(0x12300045, in->rdev);
	CHECK(022, in->umask);
	CHECK(0, in->padding);
	check_strings(r, sizeof(*in), "new", NULL);
}

static void start_mkdir(struct client *c, struct server *s)
{
	sys_start(c, SYS_mkdirat, AT_FDCWD, path(c, s, "dir/new"), 01773);
}

static void check_mkdir(const struct request *r)
{
	const struct fuse_mkdir_in *in = BODY(r, struct fuse_mkdir_in);

	CHECK(01751, in->mode);
	CHECK(022, in->umask);
	check_strings(r, sizeof(*in), "new", NULL);
}

static void start_unlink(struct client *c, struct server *s)
{
	sys_start(c, SYS_unlinkat, AT_FDCWD, path(c, s, "file"), 0);
}

static void check_unlink(const struct request *r)
{
	check_strings(r, 0, "file", NULL);
}

static void start_rmdir(struct client *c, struct server *s)
{
	sys_start(c, SYS_unlinkat, AT_FDCWD, path(c, s, "dir/sub"), AT_REMOVEDIR);
}

static void check_rmdir(const struct request *r)
{
	check_strings(r, 0, "sub", NULL);
}

static void start_rename_to(struct client *c, struct server *s, const char *to,
			    unsigned int flags)
{
	int64_t old = path(c, s, "file");

	sys_start(c, SYS_renameat2, AT_FDCWD, old, AT_FDCWD, path(c, s, to),
		  flags);
}

static void start_rename(struct client *c, struct server *s)
{
	start_rename_to(c, s, "dir/new", 0);
}

static void check_rename(const struct request *r)
{
	const struct fuse_rename_in *in = BODY(r, struct fuse_rename_in);

	CHECK(DIR_INO, in->newdir);
	check_strings(r, sizeof(*in), "file", "new");
}

static void start_rename2(struct client *c, struct server *s)
{
	start_rename_to(c, s, "dir/new", RENAME_NOREPLACE);
}

static void check_rename2(const struct request *r)
{
	const struct fuse_rename2_in *in = BODY(r, struct fuse_rename2_in);

	CHECK(DIR_INO, in->newdir);
	CHECK(RENAME_NOREPLACE, in->flags);
	CHECK(0, in->padding);
	check_strings(r, sizeof(*in), "file", "new");
}

static void start_link_to(struct client *c, struct server *s, const char *to)
{
	int64_t old = path(c, s, "file");

	sys_start(c, SYS_linkat, AT_FDCWD, old, AT_FDCWD, path(c, s, to), 0);
}

static void start_link(struct client *c, struct server *s)
{
	start_link_to(c, s, "dir/new");
}

static void check_link(const struct request *r)
{
	const struct fuse_link_in *in = BODY(r, struct fuse_link_in);

	CHECK(FILE_INO, in->oldnodeid);
	check_strings(r, sizeof(*in), "new", NULL);
}

static const struct op ops[] = {
	{
		.opcode = FUSE_LOOKUP,
		.start = start_lookup,
		.check = check_lookup,
		REPLY(new_file),
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_READLINK,
		.nodeid = LINK_INO,
		.start = start_readlink,
		.check = check_nothing,
		.reply = "over there",
		.len = 10,
		.max = 4095,
		.ret = 10,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_SYMLINK,
		.start = start_symlink,
		.check = check_symlink,
		REPLY(new_link),
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_MKNOD,
		.start = start_mknod,
		.check = check_mknod,
		REPLY(new_device),
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_MKDIR,
		.nodeid = DIR_INO,
		.start = start_mkdir,
		.check = check_mkdir,
		REPLY(new_dir),
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_UNLINK,
		.start = start_unlink,
		.check = check_unlink,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_RMDIR,
		.nodeid = DIR_INO,
		.start = start_rmdir,
		.check = check_rmdir,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_RENAME,
		.start = start_rename,
		.check = check_rename,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_RENAME2,
		.start = start_rename2,
		.check = check_rename2,
		.enosys = ENOSYS_LATCHED,
		.latched = EINVAL,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_LINK,
		.nodeid = DIR_INO,
		.start = start_link,
		.check = check_link,
		REPLY(the_file),
		.enosys = ENOSYS_LATCHED,
		.latched = EPERM,
		ESTALE_TWICE,
	},
};

static void set_umask(struct client *c, struct server *s)
{
	(void)s;
	sys(c, SYS_umask, 022);
}

FUSE_OP_FIXTURE(entry, .nodes = nodes);
VIRTIOFS_VARIANT(entry);

OP_TESTS(entry, ops, set_umask)

FUSE_DEV_FIXTURE(entry_faults, .nodes = nodes);

OP_FAULTS_TEST(entry_faults, ops, set_umask)

FUSE_DEV_FIXTURE(dentry, .nodes = nodes);

/* stat(2) of "new", for which LOOKUP is answered with @out */
static int64_t lookup(struct client *c, struct server *s,
		      const struct fuse_entry_out *out)
{
	struct request *r;

	start_stat(c, s, "new");
	r = take(s, FUSE_LOOKUP);
	CHECK(0, reply(s, r, out, sizeof(*out)));
	free(r);
	return call_end(c);
}

static int64_t stat_name(struct client *c, struct server *s, const char *name)
{
	start_stat(c, s, name);
	return call_end(c);
}

/* All that statx(2) tells comes with the entry, and stays valid as told */
FUSE_TEST(dentry, lookup_attributes)
{
	struct fuse_entry_out out = {
		.nodeid = NEW_INO,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = {
			.ino = 0x1234567890,
			.size = 0x100000001,
			.blocks = 77,
			.atime = 1000000001,
			.mtime = 1000000002,
			.ctime = 1000000003,
			.atimensec = 4,
			.mtimensec = 5,
			.ctimensec = 0xffffffff,
			.mode = S_IFREG | S_ISVTX | 0640,
			.nlink = 3,
			.uid = 11,
			.gid = 12,
			.blksize = 8192,
		},
	};
	struct statx *stx;
	int i;

	S->keep = FUSE_GETATTR;
	ASSERT_EQ(0, lookup(C, S, &out));
	for (i = 0; i < 2; i++) {
		stx = out(C, ARG(0));
		check_told(&out.attr, stx);
		/* the second time without asking */
		S->manual = 1ULL << FUSE_LOOKUP;
		ASSERT_EQ(0, stat_name(C, S, "new"));
	}
}

/* What is no node, or none that may be there, is EIO */
FUSE_TEST(dentry, lookup_bad)
{
	struct fuse_entry_out out = new_file;

	out.attr.mode = 0644;
	ASSERT_EQ(-EIO, lookup(C, S, &out));
	out.attr.mode = S_IFMT;
	ASSERT_EQ(-EIO, lookup(C, S, &out));
	out.attr = new_file.attr;
	out.attr.size = 1ULL << 63;
	ASSERT_EQ(-EIO, lookup(C, S, &out));
	out = new_dir;
	out.nodeid = FUSE_ROOT_ID;
	ASSERT_EQ(-EIO, lookup(C, S, &out));
	ASSERT_EQ(0, lookup(C, S, &new_file));
}

/* No node: as ENOENT, but it may be remembered */
FUSE_TEST(dentry, negative)
{
	struct fuse_entry_out out = { .nodeid = 0 };

	ASSERT_EQ(-ENOENT, lookup(C, S, &out));
	out.entry_valid = 3600;
	ASSERT_EQ(-ENOENT, lookup(C, S, &out));
	S->manual = 1ULL << FUSE_LOOKUP;
	ASSERT_EQ(-ENOENT, stat_name(C, S, "new"));
	quiet(S);
	/* but who wants to create looks again */
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "new"), 0700);
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &new_dir, sizeof(new_dir)));
	ASSERT_EQ(-EEXIST, call_end(C));
}

/* A name that is known is looked up again when its time is over */
FUSE_TEST(dentry, revalidate)
{
	struct fuse_entry_out out = new_file;
	int error[] = { ENOMEM, EINTR };
	struct request *r;
	size_t i;

	ASSERT_EQ(0, lookup(C, S, &out));
	/* the same node: its attributes are those of the reply */
	out.attr_valid = 3600;
	out.attr.size = 4711;
	ASSERT_EQ(0, lookup(C, S, &out));
	ASSERT_EQ(4711, ((struct statx *)out(C, ARG(0)))->stx_size);

	for (i = 0; i < 2; i++) {
		start_stat(C, S, "new");
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_LOOKUP), -error[i]));
		ASSERT_EQ(-error[i], call_end(C));
	}

	/* what says that it is another one is asked once more */
	start_stat(C, S, "new");
	out.nodeid = NEW_INO + 1;
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
	r = take(S, FUSE_LOOKUP);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));

	/* gone, in the two ways to say it */
	start_stat(C, S, "new");
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_LOOKUP), -ENOENT));
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_LOOKUP), -ENOENT));
	ASSERT_EQ(-ENOENT, call_end(C));
	out.nodeid = 0;
	ASSERT_EQ(-ENOENT, lookup(C, S, &out));
	quiet(S);
}

/* The number of a node is that of a file; with another generation, of another */
FUSE_TEST(dentry, stale)
{
	struct fuse_entry_out out = new_file;
	int fd;

	ASSERT_EQ(0, lookup(C, S, &out));
	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "other"), O_PATH);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sys(C, SYS_statx, fd, str(C, ""), AT_EMPTY_PATH,
			 STATX_BASIC_STATS, ARG(0)));
	/* the file that is open now has the number of the other's name */
	out.nodeid = OTHER_INO;
	out.generation = 7;
	start_stat(C, S, "new");
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(-EIO, sys(C, SYS_statx, fd, str(C, ""), AT_EMPTY_PATH,
			    STATX_BASIC_STATS, ARG(0)));

	/* a change of the type is another file, too; told by the name itself */
	out = new_dir;
	out.nodeid = OTHER_INO;
	out.generation = 7;
	start_stat(C, S, "new");
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(S_IFDIR | 0755, ((struct statx *)out(C, ARG(0)))->stx_mode);
}

/* Names may be as long as paths */
FUSE_TEST(dentry, name_max)
{
	char name[3001];
	struct request *r;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	start_stat(C, S, name);
	r = take(S, FUSE_LOOKUP);
	check_strings(r, 0, name, NULL);
	ASSERT_EQ(0, reply(S, r, &new_file, sizeof(new_file)));
	ASSERT_EQ(0, call_end(C));
}

/* ... if a request can have pages enough */
FUSE_DEV_FIXTURE(one_page, .max_write = 4096);

FUSE_TEST(one_page, name_max)
{
	char name[1026];
	struct request *r;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	ASSERT_EQ(-ENAMETOOLONG, stat_name(C, S, name));
	name[1024] = 0;
	start_stat(C, S, name);
	r = take(S, FUSE_LOOKUP);
	check_strings(r, 0, name, NULL);
	ASSERT_EQ(0, reply(S, r, &new_file, sizeof(new_file)));
	ASSERT_EQ(0, call_end(C));
}

/* One FORGET for all the look-ups of a node, and many nodes at a time */
FUSE_TEST(dentry, forget)
{
	struct fuse_entry_out out = new_file;
	struct fuse_notify_inval_entry_out gone = { .parent = FUSE_ROOT_ID };
	const struct fuse_batch_forget_in *in;
	const struct fuse_forget_one *one;
	const char name[][2] = { "a", "b", "c" };
	struct request *r;
	uint32_t i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, lookup(C, S, &out));
	quiet(S);
	S->manual = FORGETS;
	sys_start(C, SYS_unlinkat, AT_FDCWD, path(C, S, "new"), 0);
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
	ASSERT_EQ(0, reply(S, take(S, FUSE_UNLINK), NULL, 0));
	ASSERT_EQ(0, call_end(C));
	take_forget(S, NEW_INO, 4);

	for (i = 0; i < 3; i++) {
		out.nodeid = NEW_INO + i;
		start_stat(C, S, name[i]);
		ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &out, sizeof(out)));
		ASSERT_EQ(0, call_end(C));
	}
	/* nobody reads while they are dropped */
	for (i = 0; i < 3; i++) {
		gone.namelen = 1;
		ASSERT_EQ(0, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &gone,
					   sizeof(gone), name[i], 2));
	}
	r = take(S, FUSE_BATCH_FORGET);
	in = BODY(r, struct fuse_batch_forget_in);
	ASSERT_EQ(3, in->count);
	ASSERT_EQ(0, in->dummy);
	ASSERT_EQ(0, r->h.nodeid);
	check_len(r, sizeof(*in) + 3 * sizeof(*one));
	one = (const void *)(in + 1);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(NEW_INO + i, one[i].nodeid);
		ASSERT_EQ(1, one[i].nlookup);
	}
}

static int64_t read_link(struct client *c, struct server *s, const char *text,
			 size_t len)
{
	struct request *r;

	start_readlink(c, s);
	r = take(s, FUSE_READLINK);
	CHECK(0, reply(s, r, text, len));
	free(r);
	return call_end(c);
}

/* What a link holds is read each time; and ends at the first NUL */
FUSE_TEST(dentry, readlink)
{
	char text[4096];

	memset(text, 'l', sizeof(text));
	ASSERT_EQ(4, read_link(C, S, "dir/", 4));
	ASSERT_EQ(0, memcmp("dir/", out(C, ARG(0)), 4));
	ASSERT_EQ(3, read_link(C, S, "dir\0file", 8));
	ASSERT_EQ(4095, read_link(C, S, text, 4095));
	ASSERT_EQ(0, memcmp(text, out(C, ARG(0)), 4095));

	/* on the way */
	start_stat(C, S, "link/sub");
	ASSERT_EQ(0, reply(S, take(S, FUSE_READLINK), "dir", 3));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(SUB_INO, ((struct statx *)out(C, ARG(0)))->stx_ino);
}

FUSE_DEV_FIXTURE(cached_link, .nodes = nodes,
		 .init_flags = FUSE_CACHE_SYMLINKS);
VIRTIOFS_VARIANT(cached_link);

/* FUSE_CACHE_SYMLINKS: read once, until it is invalidated */
FUSE_TEST(cached_link, readlink)
{
	start_readlink(C, S);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_READLINK), -EIO));
	ASSERT_EQ(-EIO, call_end(C));
	ASSERT_EQ(4, read_link(C, S, "dir/", 4));
	start_readlink(C, S);
	ASSERT_EQ(4, call_end(C));
	ASSERT_EQ(0, memcmp("dir/", out(C, ARG(0)), 4));
	ASSERT_EQ(0, inval(S, LINK_INO, 0, 0));
	ASSERT_EQ(5, read_link(C, S, "other", 5));
}

/* All types of files, each with its mode */
FUSE_TEST(dentry, mknod_types)
{
	static const uint32_t type[] = {
		S_IFREG, S_IFIFO, S_IFSOCK, S_IFBLK, S_IFCHR
	};
	struct fuse_entry_out out = new_file;
	const struct fuse_mknod_in *in;
	struct request *r;
	uint64_t dev;
	size_t i;

	sys(C, SYS_umask, 077);
	for (i = 0; i < 5; i++) {
		dev = type[i] == S_IFBLK || type[i] == S_IFCHR ? 0x704 : 0;
		sys_start(C, SYS_mknodat, AT_FDCWD, path(C, S, "new"),
			  type[i] | 06666, dev);
		r = take(S, FUSE_MKNOD);
		in = BODY(r, struct fuse_mknod_in);
		ASSERT_EQ(type[i] | 06600, in->mode);
		ASSERT_EQ(dev, in->rdev);
		ASSERT_EQ(077, in->umask);
		out.nodeid++;
		out.attr.mode = in->mode;
		out.attr.rdev = in->rdev;
		ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
		ASSERT_EQ(0, call_end(C));
		ASSERT_EQ(0, lookup(C, S, &out));
		ASSERT_EQ(out.attr.mode, ((struct statx *)out(C, ARG(0)))->stx_mode);
		ASSERT_EQ(4 * !!dev,
			  ((struct statx *)out(C, ARG(0)))->stx_rdev_minor);
	}
}

/* A new entry must be a node of its own, and of the type that was made */
FUSE_TEST(dentry, create_bad)
{
	struct fuse_entry_out out[4] = { new_dir, new_dir, new_dir, new_dir };
	struct request *r;
	size_t i;

	out[0].nodeid = 0;
	out[1].nodeid = FUSE_ROOT_ID;
	out[2].attr.mode = S_IFREG | 0755;
	out[3].attr.size = 1ULL << 63;
	for (i = 0; i < 4; i++) {
		start_mkdir(C, S);
		r = take(S, FUSE_MKDIR);
		ASSERT_EQ(0, reply(S, r, &out[i], sizeof(out[i])));
		ASSERT_EQ(-EIO, call_end(C));
	}
	/* a link to a file that is another */
	out[0] = the_file;
	out[0].attr.mode = S_IFLNK | 0777;
	start_link(C, S);
	ASSERT_EQ(0, reply(S, take(S, FUSE_LINK), &out[0], sizeof(out[0])));
	ASSERT_EQ(-EIO, call_end(C));
}

/* FUSE_DONT_MASK: the server has the umask, and applies it */
FUSE_DEV_FIXTURE(dont_mask, .nodes = nodes,
		 .init_flags = FUSE_DONT_MASK);

FUSE_TEST(dont_mask, umask)
{
	struct request *r;

	sys(C, SYS_umask, 027);
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "new"), 0777);
	r = take(S, FUSE_MKDIR);
	ASSERT_EQ(0777, BODY(r, struct fuse_mkdir_in)->mode);
	ASSERT_EQ(027, BODY(r, struct fuse_mkdir_in)->umask);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
	start_mknod(C, S);
	r = take(S, FUSE_MKNOD);
	ASSERT_EQ(S_IFCHR | 0642, BODY(r, struct fuse_mknod_in)->mode);
	ASSERT_EQ(027, BODY(r, struct fuse_mknod_in)->umask);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
}

/* An error that says what the kernel did not know makes it forget the name */
FUSE_TEST(dentry, error_invalidates)
{
	static const struct {
		int error;
		bool forgets;
	} removal[] = { { EPERM, false }, { ENOENT, true }, { EINTR, true } };
	size_t i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, stat_name(C, S, "other"));
		S->manual = 1ULL << FUSE_LOOKUP;
		sys_start(C, SYS_unlinkat, AT_FDCWD, path(C, S, "other"), 0);
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_UNLINK),
					 -removal[i].error));
		ASSERT_EQ(-removal[i].error, call_end(C));
		start_stat(C, S, "other");
		if (removal[i].forgets)
			reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
		ASSERT_EQ(removal[i].forgets ? -ENOENT : 0, call_end(C));
		S->manual = 0;
	}

	/* of a rename, both names */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, stat_name(C, S, "other"));
		ASSERT_EQ(0, stat_name(C, S, "file"));
		start_rename_to(C, S, "other", 0);
		ASSERT_EQ(0, reply_error(S, take(S, FUSE_RENAME),
					 -removal[i].error));
		ASSERT_EQ(-removal[i].error, call_end(C));
		S->manual = 1ULL << FUSE_LOOKUP;
		start_stat(C, S, "file");
		if (removal[i].forgets)
			reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
		ASSERT_EQ(removal[i].forgets ? -ENOENT : 0, call_end(C));
		start_stat(C, S, "other");
		if (removal[i].forgets)
			reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
		ASSERT_EQ(removal[i].forgets ? -ENOENT : 0, call_end(C));
		S->manual = 0;
	}

	/* an interrupted link may have been made: the count is asked again */
	ASSERT_EQ(0, stat_name(C, S, "file"));
	start_link(C, S);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_LINK), -EINTR));
	ASSERT_EQ(-EINTR, call_end(C));
	start_stat(C, S, "file");
	reply_error(S, take(S, FUSE_GETATTR), -EACCES);
	ASSERT_EQ(-EACCES, call_end(C));
}

/* The flags of renameat2(2) */
FUSE_TEST(dentry, rename_flags)
{
	static const unsigned int flags[] = {
		RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT,
		RENAME_NOREPLACE | RENAME_WHITEOUT,
	};
	const struct fuse_rename2_in *in;
	struct request *r;
	size_t i;

	for (i = 0; i < 4; i++) {
		bool swap = flags[i] & RENAME_EXCHANGE;

		start_rename_to(C, S, swap ? "other" : "new", flags[i]);
		r = take(S, FUSE_RENAME2);
		in = BODY(r, struct fuse_rename2_in);
		ASSERT_EQ(flags[i], in->flags);
		ASSERT_EQ(FUSE_ROOT_ID, in->newdir);
		check_strings(r, sizeof(*in), "file", swap ? "other" : "new");
		ASSERT_EQ(0, reply(S, r, NULL, 0));
		ASSERT_EQ(0, call_end(C));
		if (swap) {
			/* the names have changed their nodes */
			S->manual = 1ULL << FUSE_LOOKUP;
			ASSERT_EQ(0, stat_name(C, S, "file"));
			ASSERT_EQ(OTHER_INO,
				  ((struct statx *)out(C, ARG(0)))->stx_ino);
			S->manual = 0;
			start_rename_to(C, S, "other", RENAME_EXCHANGE);
			reply(S, take(S, FUSE_RENAME2), NULL, 0);
			ASSERT_EQ(0, call_end(C));
		}
	}
	/* replaced: the node has a name less */
	ASSERT_EQ(0, stat_name(C, S, "other"));
	start_rename_to(C, S, "other", 0);
	ASSERT_EQ(0, reply(S, take(S, FUSE_RENAME), NULL, 0));
	ASSERT_EQ(0, call_end(C));
	S->manual = 1ULL << FUSE_LOOKUP;
	ASSERT_EQ(0, stat_name(C, S, "other"));
	ASSERT_EQ(FILE_INO, ((struct statx *)out(C, ARG(0)))->stx_ino);
}

/* A directory, too, has no name afterwards */
FUSE_TEST(dentry, rmdir_open)
{
	int fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "dir/sub"), O_PATH);

	ASSERT_LE(0, fd);
	start_rmdir(C, S);
	ASSERT_EQ(0, reply(S, take(S, FUSE_RMDIR), NULL, 0));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(-ENOENT, sys(C, SYS_mkdirat, fd, str(C, "new"), 0700));
}

TEST_HARNESS_MAIN
