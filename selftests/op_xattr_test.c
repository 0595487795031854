// SPDX-License-Identifier: GPL-2.0
/*
 * Extended attributes, ACLs and flags of inodes: SETXATTR, GETXATTR, LISTXATTR,
 * REMOVEXATTR; FUSE_IOCTL as sent by the kernel for FS_IOC_GETFLAGS and its kind
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include <sys/stat.h>

#include "fuse_fixture.h"
#include "fuse_ops.h"

#define DIR_INO		3
#define GROUP_INO	4
#define ACL		"system.posix_acl_access"
#define DEFAULT_ACL	"system.posix_acl_default"

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0755 },
	{ FUSE_ROOT_ID, "group", GROUP_INO, S_IFREG | 0640 },
	{ }
};

static const struct fuse_getxattr_out size_out = { .size = 17 };

static int fd = -1;

static void start_setxattr(struct client *c, struct server *s)
{
	int64_t file = path(c, s, "file"), name = str(c, "user.name");

	sys_start(c, SYS_setxattr, file, name, str(c, "value"), 5, XATTR_CREATE);
}

static void check_setxattr(const struct request *r)
{
	const struct fuse_setxattr_in *in = BODY(r, struct fuse_setxattr_in);
	size_t size = FUSE_COMPAT_SETXATTR_IN_SIZE;

	CHECK(size + sizeof("user.name") + 5, BODY_LEN(r));
	CHECK(5, in->size);
	CHECK(XATTR_CREATE, in->flags);
	CHECK(0, memcmp(r->body + size, "user.name\0value", 15));
}

static void check_setxattr_ext(const struct request *r)
{
	const struct fuse_setxattr_in *in = BODY(r, struct fuse_setxattr_in);

	CHECK(sizeof(*in) + sizeof("user.name") + 5, BODY_LEN(r));
	CHECK(5, in->size);
	CHECK(XATTR_CREATE, in->flags);
	CHECK(0, in->setxattr_flags);
	CHECK(0, in->padding);
	CHECK(0, memcmp(in + 1, "user.name\0value", 15));
}

static void start_get(struct client *c, struct server *s, const char *name,
		      size_t size)
{
	int64_t file = path(c, s, "file");

	sys_start(c, SYS_getxattr, file, str(c, name), size ? ARG(0) : 0, size);
}

static void check_get(const struct request *r, uint32_t size)
{
	const struct fuse_getxattr_in *in = BODY(r, struct fuse_getxattr_in);

	CHECK(size, in->size);
	CHECK(0, in->padding);
	check_strings(r, sizeof(*in), "user.name", NULL);
}

static void start_getxattr(struct client *c, struct server *s)
{
	start_get(c, s, "user.name", 64);
}

static void check_getxattr(const struct request *r)
{
	check_get(r, 64);
}

static void start_getxattr_size(struct client *c, struct server *s)
{
	start_get(c, s, "user.name", 0);
}

static void check_getxattr_size(const struct request *r)
{
	check_get(r, 0);
}

static void check_list(const struct request *r, uint32_t size)
{
	const struct fuse_getxattr_in *in = BODY(r, struct fuse_getxattr_in);

	check_len(r, sizeof(*in));
	CHECK(size, in->size);
	CHECK(0, in->padding);
}

static void start_listxattr(struct client *c, struct server *s)
{
	sys_start(c, SYS_listxattr, path(c, s, "file"), ARG(0), 64);
}

static void check_listxattr(const struct request *r)
{
	check_list(r, 64);
}

static void start_listxattr_size(struct client *c, struct server *s)
{
	sys_start(c, SYS_listxattr, path(c, s, "file"), 0, 0);
}

static void check_listxattr_size(const struct request *r)
{
	check_list(r, 0);
}

static void start_removexattr(struct client *c, struct server *s)
{
	int64_t file = path(c, s, "file");

	sys_start(c, SYS_removexattr, file, str(c, "user.name"));
}

static void check_removexattr(const struct request *r)
{
	check_strings(r, 0, "user.name", NULL);
}

static const struct op ops[] = {
	{
		.opcode = FUSE_SETXATTR,
		.nodeid = FILE_INO,
		.start = start_setxattr,
		.check = check_setxattr,
		.enosys = ENOSYS_LATCHED,
		.latched = EOPNOTSUPP,
		ESTALE_TWICE,
	}, {
		.name = "FUSE_GETXATTR of the size",
		.opcode = FUSE_GETXATTR,
		.nodeid = FILE_INO,
		.start = start_getxattr_size,
		.check = check_getxattr_size,
		REPLY(size_out),
		.ret = 17,
		.enosys = ENOSYS_OTHERWISE,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_GETXATTR,
		.nodeid = FILE_INO,
		.start = start_getxattr,
		.check = check_getxattr,
		.reply = "value",
		.len = 5,
		.max = 64,
		.ret = 5,
		.enosys = ENOSYS_LATCHED,
		.latched = EOPNOTSUPP,
		ESTALE_TWICE,
	}, {
		.name = "FUSE_LISTXATTR of the size",
		.opcode = FUSE_LISTXATTR,
		.nodeid = FILE_INO,
		.start = start_listxattr_size,
		.check = check_listxattr_size,
		REPLY(size_out),
		.ret = 17,
		.enosys = ENOSYS_OTHERWISE,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_LISTXATTR,
		.nodeid = FILE_INO,
		.start = start_listxattr,
		.check = check_listxattr,
		.reply = "user.name\0user.b",
		.len = 17,
		.max = 64,
		.ret = 17,
		.enosys = ENOSYS_LATCHED,
		.latched = EOPNOTSUPP,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_REMOVEXATTR,
		.nodeid = FILE_INO,
		.start = start_removexattr,
		.check = check_removexattr,
		.enosys = ENOSYS_LATCHED,
		.latched = EOPNOTSUPP,
		ESTALE_TWICE,
	},
};

FUSE_OP_FIXTURE(xattr);
VIRTIOFS_VARIANT(xattr);

OP_TESTS(xattr, ops, NULL)

FUSE_DEV_FIXTURE(xattr_faults);

OP_FAULTS_TEST(xattr_faults, ops, NULL)

static const struct op ext_op[] = {
	{
		.name = "FUSE_SETXATTR with FUSE_SETXATTR_EXT",
		.opcode = FUSE_SETXATTR,
		.nodeid = FILE_INO,
		.start = start_setxattr,
		.check = check_setxattr_ext,
		ESTALE_TWICE,
	}
};

FUSE_OP_FIXTURE(xattr_ext, .init_flags = FUSE_SETXATTR_EXT);
VIRTIOFS_VARIANT(xattr_ext);

OP_TEST(xattr_ext, success, ext_op, NULL)
OP_TEST(xattr_ext, errors, ext_op, NULL)

FUSE_DEV_FIXTURE(attributes, .nodes = nodes);
VIRTIOFS_VARIANT(attributes);

/* What is in the reply reaches the caller; sizes have limits */
FUSE_TEST(attributes, values)
{
	struct fuse_getxattr_out huge = { .size = 0xffffffff };

	start_getxattr(C, S);
	answer(S, FUSE_GETXATTR, "va\0ue", 5);
	ASSERT_EQ(5, call_end(C));
	ASSERT_EQ(0, memcmp("va\0ue", out(C, ARG(0)), 5));
	start_getxattr(C, S);
	answer(S, FUSE_GETXATTR, NULL, 0);
	ASSERT_EQ(0, call_end(C));
	start_getxattr(C, S);
	reply_error(S, take(S, FUSE_GETXATTR), -ENODATA);
	ASSERT_EQ(-ENODATA, call_end(C));
	start_getxattr(C, S);
	reply_error(S, take(S, FUSE_GETXATTR), -ERANGE);
	ASSERT_EQ(-ERANGE, call_end(C));
	start_getxattr_size(C, S);
	answer(S, FUSE_GETXATTR, &huge, sizeof(huge));
	ASSERT_EQ(XATTR_SIZE_MAX, call_end(C));

	start_listxattr_size(C, S);
	answer(S, FUSE_LISTXATTR, &huge, sizeof(huge));
	ASSERT_EQ(XATTR_LIST_MAX, call_end(C));
	start_listxattr(C, S);
	answer(S, FUSE_LISTXATTR, "user.a\0user.b", 14);
	ASSERT_EQ(14, call_end(C));
	ASSERT_EQ(0, memcmp("user.a\0user.b", out(C, ARG(0)), 14));
	start_listxattr(C, S);
	answer(S, FUSE_LISTXATTR, NULL, 0);
	ASSERT_EQ(0, call_end(C));
}

/* Names that do not end, or that are none */
FUSE_TEST(attributes, bad_list)
{
	start_listxattr(C, S);
	answer(S, FUSE_LISTXATTR, "user.a\0user.b", 13);
	ASSERT_EQ(-EIO, call_end(C));
	start_listxattr(C, S);
	answer(S, FUSE_LISTXATTR, "user.a\0\0user.b", 15);
	ASSERT_EQ(-EIO, call_end(C));
}

/* A value, and the change of the ctime that it is */
FUSE_TEST(attributes, set)
{
	const struct fuse_setxattr_in *in;
	int64_t file, name;
	char value[4000];
	struct request *r;

	memset(value, 'v', sizeof(value));
	sys(C, SYS_statx, AT_FDCWD, path(C, S, "file"), 0, STATX_CTIME, ARG(0));
	file = path(C, S, "file");
	name = str(C, "trusted.large");
	sys_start(C, SYS_setxattr, file, name, in(C, value, sizeof(value)),
		  sizeof(value), XATTR_REPLACE);
	r = take(S, FUSE_SETXATTR);
	in = BODY(r, struct fuse_setxattr_in);
	ASSERT_EQ(sizeof(value), in->size);
	ASSERT_EQ(XATTR_REPLACE, in->flags);
	ASSERT_STREQ("trusted.large", r->body + FUSE_COMPAT_SETXATTR_IN_SIZE);
	ASSERT_EQ(0, memcmp(r->body + BODY_LEN(r) - sizeof(value), value,
			    sizeof(value)));
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	sys_start(C, SYS_statx, AT_FDCWD, path(C, S, "file"), 0, STATX_CTIME,
		  ARG(0));
	reply_error(S, take(S, FUSE_GETATTR), -EACCES);
	ASSERT_EQ(-EACCES, call_end(C));
}

/* The file has become another: nothing is sent */
FUSE_TEST(attributes, bad_inode)
{
	struct fuse_attr_out dir = { .attr.mode = S_IFDIR | 0755 };

	fd = client_open(C, S, O_RDWR);
	ASSERT_EQ(0, inval(S, FILE_INO, -1, 0));
	sys_start(C, SYS_statx, fd, str(C, ""), AT_EMPTY_PATH, STATX_SIZE, ARG(0));
	answer(S, FUSE_GETATTR, &dir, sizeof(dir));
	ASSERT_EQ(-EIO, call_end(C));
	ASSERT_EQ(-EIO, sys(C, SYS_fgetxattr, fd, str(C, "trusted.a"), 0, 0));
	ASSERT_EQ(-EIO, sys(C, SYS_fremovexattr, fd, str(C, "trusted.a")));
	ASSERT_EQ(-EIO, sys(C, SYS_flistxattr, fd, 0, 0));
	ASSERT_EQ(-EIO, sys(C, SYS_fgetxattr, fd, str(C, ACL), 0, 0));
	ASSERT_EQ(-EIO, sys(C, SYS_fremovexattr, fd, str(C, ACL)));
	ASSERT_EQ(-EIO, sys(C, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0)));
	ASSERT_EQ(-EIO, sys(C, SYS_ioctl, fd, _IO('x', 1), ARG(0)));
}

/* ACLs */

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[5];
};

/* rw for user 1000; r for the owner, none for others */
static const struct acl acl = {
	.header = { POSIX_ACL_XATTR_VERSION },
	.entries = {
		{ ACL_USER_OBJ, ACL_READ, -1 },
		{ ACL_USER, ACL_READ | ACL_WRITE, 1000 },
		{ ACL_GROUP_OBJ, ACL_READ, -1 },
		{ ACL_MASK, ACL_READ | ACL_WRITE, -1 },
		{ ACL_OTHER, 0, -1 },
	},
};

static void start_set_acl(struct client *c, struct server *s, const char *file,
			  const char *name, const void *value, size_t len)
{
	int64_t at = path(c, s, file), key = str(c, name);

	sys_start(c, SYS_setxattr, at, key, in(c, value, len), len, 0);
}

static const struct fuse_setxattr_in *check_set_acl(struct request *r,
						    size_t size,
						    const char *name)
{
	size_t len = size + strlen(name) + 1;

	CHECK(len + sizeof(acl), BODY_LEN(r));
	if (strcmp(name, r->body + size))
		fail("%s is %s", name, r->body + size);
	CHECK(0, memcmp(r->body + len, &acl, sizeof(acl)));
	return BODY(r, struct fuse_setxattr_in);
}

FUSE_DEV_FIXTURE(acl, .nodes = nodes, .options = "allow_other",
		 .init_flags = FUSE_POSIX_ACL | FUSE_SETXATTR_EXT);

FUSE_TEST(acl, set)
{
	const struct fuse_setxattr_in *in;
	struct request *r;

	start_set_acl(C, S, "file", ACL, &acl, sizeof(acl));
	r = take(S, FUSE_SETXATTR);
	in = check_set_acl(r, sizeof(*in), ACL);
	ASSERT_EQ(sizeof(acl), in->size);
	ASSERT_EQ(0, in->flags);
	ASSERT_EQ(0, in->setxattr_flags);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	/* the mode may have changed with it */
	sys_start(C, SYS_statx, AT_FDCWD, path(C, S, "file"), 0, STATX_MODE,
		  ARG(0));
	reply_error(S, take(S, FUSE_GETATTR), -EACCES);
	ASSERT_EQ(-EACCES, call_end(C));

	start_set_acl(C, S, "dir", DEFAULT_ACL, &acl, sizeof(acl));
	r = take(S, FUSE_SETXATTR);
	check_set_acl(r, sizeof(*in), DEFAULT_ACL);
	ASSERT_EQ(0, reply_error(S, r, -ENOSPC));
	ASSERT_EQ(-ENOSPC, call_end(C));

	sys_start(C, SYS_removexattr, path(C, S, "file"), str(C, ACL));
	r = take(S, FUSE_REMOVEXATTR);
	check_strings(r, 0, ACL, NULL);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/* Who may not keep the bit of a foreign group, loses it */
FUSE_TEST(acl, kill_sgid)
{
	struct fuse_entry_out out = {
		.nodeid = 7,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = {
			.ino = 7,
			.mode = S_IFREG | S_ISGID | 0755,
			.nlink = 1,
			.uid = 1000,
			.gid = 55,
		},
	};
	const struct fuse_setxattr_in *in;
	struct request *r;

	CHECK(0, sys(C, SYS_setresuid, 1000, 1000, 1000));
	start_set_acl(C, S, "theirs", ACL, &acl, sizeof(acl));
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	r = take(S, FUSE_SETXATTR);
	in = check_set_acl(r, sizeof(*in), ACL);
	ASSERT_EQ(FUSE_SETXATTR_ACL_KILL_SGID, in->setxattr_flags);
	ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
	ASSERT_EQ(-EOPNOTSUPP, call_end(C));
	/* remembered */
	start_set_acl(C, S, "theirs", ACL, &acl, sizeof(acl));
	ASSERT_EQ(-EOPNOTSUPP, call_end(C));
}

FUSE_TEST(acl, too_large)
{
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[604];
	} large = { .header = { POSIX_ACL_XATTR_VERSION } };
	int i;

	for (i = 0; i < 604; i++)
		large.entries[i] = (struct posix_acl_xattr_entry){
			ACL_USER, ACL_READ, i };
	large.entries[0] = acl.entries[0];
	memcpy(&large.entries[601], &acl.entries[2], 3 * sizeof(*acl.entries));
	if (sizeof(large) <= (size_t)getpagesize())
		SKIP(return, "pages of %d bytes", getpagesize());
	start_set_acl(C, S, "file", ACL, &large, sizeof(large));
	ASSERT_EQ(-E2BIG, call_end(C));
}

/* Asked for once, as long as the attributes are valid */
FUSE_TEST(acl, get)
{
	static const int error[][2] = { { ERANGE, E2BIG }, { EIO, EIO } };
	struct request *r;
	int i;

	for (i = 0; i < 2; i++) {
		start_get(C, S, ACL, 64);
		r = take(S, FUSE_GETXATTR);
		ASSERT_EQ(getpagesize(), BODY(r, struct fuse_getxattr_in)->size);
		check_strings(r, sizeof(struct fuse_getxattr_in), ACL, NULL);
		ASSERT_EQ(0, reply_error(S, r, -error[i][0]));
		ASSERT_EQ(-error[i][1], call_end(C));
	}
	/* no ACL at all */
	start_get(C, S, ACL, 64);
	reply_error(S, take(S, FUSE_GETXATTR), -ENODATA);
	ASSERT_EQ(-ENODATA, call_end(C));
	S->keep = FUSE_GETXATTR;
	start_get(C, S, ACL, 64);
	ASSERT_EQ(-ENODATA, call_end(C));
	quiet(S);

	ASSERT_EQ(0, inval(S, FILE_INO, -1, 0));
	start_get(C, S, ACL, 64);
	answer(S, FUSE_GETXATTR, "garbage", 7);
	ASSERT_EQ(-EOPNOTSUPP, call_end(C));
	start_get(C, S, ACL, 64);
	answer(S, FUSE_GETXATTR, &acl, sizeof(acl));
	ASSERT_EQ(sizeof(acl), call_end(C));
	ASSERT_EQ(0, memcmp(&acl, out(C, ARG(0)), sizeof(acl)));
	start_get(C, S, ACL, 64);
	ASSERT_EQ(sizeof(acl), call_end(C));
	quiet(S);

	/* of a directory, for its files */
	sys_start(C, SYS_getxattr, path(C, S, "dir"), str(C, DEFAULT_ACL), ARG(0),
		  64);
	r = take(S, FUSE_GETXATTR);
	check_strings(r, sizeof(struct fuse_getxattr_in), DEFAULT_ACL, NULL);
	ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
	ASSERT_EQ(-ENODATA, call_end(C));
	sys_start(C, SYS_getxattr, path(C, S, "dir"), str(C, ACL), ARG(0), 64);
	ASSERT_EQ(-ENODATA, call_end(C));
	quiet(S);
}

/* The kernel judges by it */
FUSE_TEST(acl, permission)
{
	struct request *r;

	CHECK(0, sys(C, SYS_setresgid, 1000, 1000, 1000));
	CHECK(0, sys(C, SYS_setresuid, 1000, 1000, 1000));
	S->manual = 1ULL << FUSE_GETXATTR;
	sys_start(C, SYS_faccessat, AT_FDCWD, path(C, S, "group"), R_OK);
	/* of the root, which has none */
	r = take(S, FUSE_GETXATTR);
	ASSERT_EQ(FUSE_ROOT_ID, r->h.nodeid);
	ASSERT_EQ(0, reply_error(S, r, -ENODATA));
	answer(S, FUSE_GETXATTR, &acl, sizeof(acl));
	ASSERT_EQ(0, call_end(C));
	sys_start(C, SYS_faccessat, AT_FDCWD, path(C, S, "group"), X_OK);
	needs_mended(S, "the ACLs of the root are not cached");
	/* that of the root is cached; denied only after another look */
	answer(S, FUSE_GETXATTR, &acl, sizeof(acl));
	ASSERT_EQ(-EACCES, call_end(C));
}

/* Without FUSE_POSIX_ACL they are attributes like others, whatever they say */
FUSE_TEST(attributes, acl)
{
	struct request *r;
	int i;

	for (i = 0; i < 2; i++) {
		start_get(C, S, ACL, 64);
		answer(S, FUSE_GETXATTR, &acl, sizeof(acl));
		ASSERT_EQ(sizeof(acl), call_end(C));
	}
	start_set_acl(C, S, "file", ACL, &acl, sizeof(acl));
	r = take(S, FUSE_SETXATTR);
	check_set_acl(r, FUSE_COMPAT_SETXATTR_IN_SIZE, ACL);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/* Flags of inodes: OPEN, IOCTL, RELEASE, whoever has the file open */

struct flags_reply {
	struct fuse_ioctl_out out;
	uint32_t flags;
};

struct fsxattr_reply {
	struct fuse_ioctl_out out;
	struct fsxattr fsx;
} __attribute__((packed));

static const struct flags_reply flags_reply = { .flags = FS_NOATIME_FL };
static const struct fsxattr_reply fsxattr_reply = {
	.fsx = {
		.fsx_xflags = FS_XFLAG_NOATIME,
		.fsx_extsize = 11,
		.fsx_nextents = 12,
		.fsx_projid = 13,
		.fsx_cowextsize = 14,
	},
};

static void check_ioctl(const struct request *r, uint32_t cmd, uint32_t flags,
			uint32_t in_size, uint32_t out_size)
{
	CHECK(flags, r->ioctl.flags);
	CHECK(cmd, r->ioctl.cmd);
	CHECK(0, r->ioctl.arg);
	CHECK(in_size, r->ioctl.in_size);
	CHECK(out_size, r->ioctl.out_size);
	check_len(r, sizeof(r->ioctl) + in_size);
}

static void start_getflags(struct client *c, struct server *s)
{
	(void)s;
	sys_start(c, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0));
}

static void check_getflags(const struct request *r)
{
	check_ioctl(r, FS_IOC_GETFLAGS, 0, 0, sizeof(uint32_t));
}

static void start_fsgetxattr(struct client *c, struct server *s)
{
	(void)s;
	sys_start(c, SYS_ioctl, fd, FS_IOC_FSGETXATTR, ARG(0));
}

static void check_fsgetxattr(const struct request *r)
{
	check_ioctl(r, FS_IOC_FSGETXATTR, 0, 0, sizeof(struct fsxattr));
}

static const int notty[][2] = { { ENOSYS, ENOTTY }, { } };

static const struct op flag_ops[] = {
	{
		.name = "FS_IOC_GETFLAGS",
		.opcode = FUSE_IOCTL,
		.nodeid = FILE_INO,
		.start = start_getflags,
		.check = check_getflags,
		REPLY(flags_reply),
		.errors = notty,
	}, {
		.name = "FS_IOC_FSGETXATTR",
		.opcode = FUSE_IOCTL,
		.nodeid = FILE_INO,
		.start = start_fsgetxattr,
		.check = check_fsgetxattr,
		REPLY(fsxattr_reply),
		.errors = notty,
	},
};

static void open_file(struct client *c, struct server *s)
{
	fd = client_open(c, s, O_RDWR);
}

FUSE_OP_FIXTURE(flags, .nodes = nodes);
VIRTIOFS_VARIANT(flags);

OP_TESTS(flags, flag_ops, open_file)

FUSE_DEV_FIXTURE(flags_faults, .nodes = nodes);

OP_FAULTS_TEST(flags_faults, flag_ops, open_file)

FUSE_TEST(attributes, getflags)
{
	struct fuse_ioctl_out error = { .result = -ENOSYS };
	struct flags_reply retry = flags_reply;
	struct request *r;
	uint64_t fh;

	fd = client_open(C, S, O_RDWR);
	fh = S->fh;
	start_getflags(C, S);
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(fh + 1, r->ioctl.fh);
	ASSERT_EQ(0, reply(S, r, &flags_reply, sizeof(flags_reply)));
	r = take(S, FUSE_RELEASE);
	ASSERT_EQ(fh + 1, r->release.fh);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(FS_NOATIME_FL, *(uint32_t *)out(C, ARG(0)));

	/* the result is the driver's, as it were */
	retry.out.flags = FUSE_IOCTL_RETRY;
	start_getflags(C, S);
	answer(S, FUSE_IOCTL, &retry, sizeof(retry));
	ASSERT_EQ(-EIO, call_end(C));
	retry.out = error;
	start_getflags(C, S);
	answer(S, FUSE_IOCTL, &retry, sizeof(retry));
	ASSERT_EQ(-ENOTTY, call_end(C));

	/* it cannot be opened */
	start_getflags(C, S);
	reply_error(S, take(S, FUSE_OPEN), -EACCES);
	ASSERT_EQ(-EACCES, call_end(C));
}

FUSE_TEST(attributes, setflags)
{
	struct fsxattr fsx = fsxattr_reply.fsx;
	struct fuse_ioctl_out out = { .result = 0 };
	uint32_t flags = FS_APPEND_FL;
	struct request *r;

	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "dir"), O_DIRECTORY);
	ASSERT_LE(0, fd);
	/* what was before is asked first */
	sys_start(C, SYS_ioctl, fd, FS_IOC_SETFLAGS, in(C, &flags, sizeof(flags)));
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(DIR_INO, r->h.nodeid);
	check_ioctl(r, FS_IOC_FSGETXATTR, FUSE_IOCTL_DIR, 0, sizeof(fsx));
	ASSERT_EQ(0, reply(S, r, &fsxattr_reply, sizeof(fsxattr_reply)));
	r = take(S, FUSE_IOCTL);
	check_ioctl(r, FS_IOC_SETFLAGS, FUSE_IOCTL_DIR, 4, 0);
	ASSERT_EQ(0, memcmp(AFTER(r, struct fuse_ioctl_in), &flags, 4));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));

	fsx.fsx_projid = 99;
	sys_start(C, SYS_ioctl, fd, FS_IOC_FSSETXATTR, in(C, &fsx, sizeof(fsx)));
	answer(S, FUSE_IOCTL, &fsxattr_reply, sizeof(fsxattr_reply));
	r = take(S, FUSE_IOCTL);
	check_ioctl(r, FS_IOC_FSSETXATTR, FUSE_IOCTL_DIR, sizeof(fsx), 0);
	ASSERT_EQ(99, ((struct fsxattr *)AFTER(r, struct fuse_ioctl_in))->fsx_projid);
	out.result = -EPERM;
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(-EPERM, call_end(C));
}

/* Only files and directories have them */
FUSE_TEST(attributes, flags_of_fifo)
{
	struct fuse_entry_out out = ENTRY(9, S_IFIFO | 0600);

	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "fifo"),
		  O_RDWR | O_NONBLOCK);
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	ASSERT_EQ(-ENOTTY, (start_getflags(C, S), call_end(C)));
}

TEST_HARNESS_MAIN
