// SPDX-License-Identifier: GPL-2.0
/*
 * Files that are created open: CREATE, TMPFILE; and what requests that create
 * say about who does it: groups, security contexts, idmapped mounts
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fuse_fixture.h"
#include "fuse_ops.h"

#define DIR_INO		3
#define NEW_INO		100
#define NEW_FH		0x55aa55aa55aa55aa

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0755 },
	{ }
};

struct created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static const struct created created = {
	ENTRY(NEW_INO, S_IFREG | 0640),
	{ .fh = NEW_FH },
};
static const struct fuse_entry_out new_dir = ENTRY(NEW_INO, S_IFDIR | 0755);

static void start_open(struct client *c, struct server *s, const char *name,
		       int flags)
{
	sys_start(c, SYS_openat, AT_FDCWD, path(c, s, name), flags, 0642);
}

static void check_creation(const struct request *r, uint32_t flags,
			   const char *name)
{
	const struct fuse_create_in *in = BODY(r, struct fuse_create_in);

	CHECK(flags, in->flags & (flags | O_TRUNC | O_NOCTTY | O_ACCMODE));
	CHECK(S_IFREG | 0640, in->mode);
	CHECK(022, in->umask);
	CHECK(0, in->open_flags);
	check_strings(r, sizeof(*in), name, NULL);
}

static void start_create(struct client *c, struct server *s)
{
	start_open(c, s, "new", O_CREAT | O_EXCL | O_RDWR | O_NOCTTY);
}

static void check_create(const struct request *r)
{
	check_creation(r, O_CREAT | O_EXCL | O_RDWR, "new");
}

static void start_tmpfile(struct client *c, struct server *s)
{
	start_open(c, s, "dir", O_TMPFILE | O_WRONLY);
}

static void check_tmpfile(const struct request *r)
{
	check_creation(r, O_TMPFILE | O_WRONLY, "/");
}

static const struct op ops[] = {
	{
		.opcode = FUSE_CREATE,
		.start = start_create,
		.check = check_create,
		REPLY(created),
		.opens = true,
		/* MKNOD and OPEN */
		.enosys = ENOSYS_OTHERWISE,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_TMPFILE,
		.nodeid = DIR_INO,
		.start = start_tmpfile,
		.check = check_tmpfile,
		REPLY(created),
		.opens = true,
		.enosys = ENOSYS_LATCHED,
		.latched = EOPNOTSUPP,
		ESTALE_TWICE,
	},
};

static void set_umask(struct client *c, struct server *s)
{
	(void)s;
	sys(c, SYS_umask, 022);
}

FUSE_OP_FIXTURE(create, .nodes = nodes);
VIRTIOFS_VARIANT(create);

OP_TESTS(create, ops, set_umask)

FUSE_DEV_FIXTURE(create_faults, .nodes = nodes);

OP_FAULTS_TEST(create_faults, ops, set_umask)

FUSE_DEV_FIXTURE(created, .nodes = nodes);
VIRTIOFS_VARIANT(created);

/* The file that is open is the one that was created, with the handle it got */
FUSE_TEST(created, open)
{
	struct request *r;
	int fd;

	start_create(C, S);
	answer(S, FUSE_CREATE, &created, sizeof(created));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	sys_start(C, SYS_ftruncate, fd, 1);
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(NEW_INO, r->h.nodeid);
	ASSERT_EQ(NEW_FH, BODY(r, struct fuse_setattr_in)->fh);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
	/* it is there for others, and opened by OPEN */
	start_open(C, S, "new", O_CREAT | O_RDWR);
	answer(S, FUSE_LOOKUP, &created.entry, sizeof(created.entry));
	answer(S, FUSE_OPEN, &created.open, sizeof(created.open));
	ASSERT_LE(0, call_end(C));
}

/* A name that is there already when it is to be created */
FUSE_TEST(created, exists)
{
	start_open(C, S, "file", O_CREAT | O_EXCL | O_RDWR);
	ASSERT_EQ(-EEXIST, call_end(C));
	start_create(C, S);
	reply_error(S, take(S, FUSE_CREATE), -EEXIST);
	ASSERT_EQ(-EEXIST, call_end(C));
	/* found by the look-up of the open itself */
	start_open(C, S, "other", O_CREAT | O_RDWR);
	answer(S, FUSE_LOOKUP, &created.entry, sizeof(created.entry));
	answer(S, FUSE_OPEN, &created.open, sizeof(created.open));
	ASSERT_LE(0, call_end(C));
}

/* A regular file with a number of its own */
FUSE_TEST(created, bad)
{
	struct created bad[5] = { created, created, created, created, created };
	size_t i;

	bad[0].entry.attr.mode = S_IFDIR | 0755;
	bad[1].entry.attr.mode = 0644;
	bad[2].entry.attr.size = 1ULL << 63;
	bad[3].entry.nodeid = 0;
	bad[4].entry.nodeid = FUSE_ROOT_ID;
	/* what cannot be used is not released either: the server knows */
	S->checked = false;
	for (i = 0; i < 5; i++) {
		start_create(C, S);
		answer(S, FUSE_CREATE, &bad[i], sizeof(bad[i]));
		ASSERT_EQ(-EIO, call_end(C));
	}
	S->files = NULL;
	S->checked = true;
	start_tmpfile(C, S);
	answer(S, FUSE_TMPFILE, &created, sizeof(created));
	ASSERT_LE(0, call_end(C));
}

/* No CREATE: MKNOD, and OPEN, from then on */
FUSE_TEST(created, enosys)
{
	struct request *r;
	int i;

	start_create(C, S);
	reply_error(S, take(S, FUSE_CREATE), -ENOSYS);
	for (i = 0; i < 2; i++) {
		const struct fuse_mknod_in *in;

		r = take(S, FUSE_MKNOD);
		in = BODY(r, struct fuse_mknod_in);
		ASSERT_EQ(S_IFREG, in->mode & S_IFMT);
		check_strings(r, sizeof(*in), "new", NULL);
		ASSERT_EQ(0, reply(S, r, &created.entry, sizeof(created.entry)));
		answer(S, FUSE_OPEN, &created.open, sizeof(created.open));
		ASSERT_LE(0, call_end(C));
		if (!i)
			start_create(C, S);
	}
	start_create(C, S);
	reply_error(S, take(S, FUSE_MKNOD), -ENOSPC);
	ASSERT_EQ(-ENOSPC, call_end(C));
}

/* What was opened for truncation is empty, or the server says what to keep */
FUSE_DEV_FIXTURE(truncating, .init_flags = FUSE_ATOMIC_O_TRUNC |
					    FUSE_HANDLE_KILLPRIV_V2);

FUSE_TEST(truncating, kill_suidgid)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = { 0 };
	const struct fuse_create_in *in;
	struct request *r;
	int64_t at;
	int i;

	for (i = 0; i < 2; i++) {
		start_open(C, S, "new", O_CREAT | O_TRUNC | O_RDWR);
		r = take(S, FUSE_CREATE);
		in = BODY(r, struct fuse_create_in);
		ASSERT_TRUE(in->flags & O_TRUNC);
		ASSERT_EQ(i ? FUSE_OPEN_KILL_SUIDGID : 0, in->open_flags);
		ASSERT_EQ(0, reply(S, r, &created, sizeof(created)));
		ASSERT_LE(0, call_end(C));
		at = in(C, &head, sizeof(head));
		ASSERT_EQ(0, sys(C, SYS_capset, at, in(C, none, sizeof(none))));
	}
}

/* Extensions of requests that create */

struct extension {
	struct fuse_ext_header header;
	struct fuse_supp_groups groups;
	uint32_t gid;
};

static void check_group(const struct request *r, size_t before)
{
	struct extension ext;

	CHECK(before + sizeof(ext), BODY_LEN(r));
	CHECK(sizeof(ext) / 8, r->h.total_extlen);
	memcpy(&ext, r->body + before, sizeof(ext));
	CHECK(sizeof(ext), ext.header.size);
	CHECK(FUSE_EXT_GROUPS, ext.header.type);
	CHECK(1, ext.groups.nr_groups);
	CHECK(55, ext.gid);
}

FUSE_DEV_FIXTURE(groups, .init_flags = FUSE_CREATE_SUPP_GROUP);

/* The directory's group, if the caller is in it but not by its first group */
FUSE_TEST(groups, create)
{
	struct fuse_entry_out dir = {
		.nodeid = DIR_INO,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = {
			.ino = DIR_INO,
			.mode = S_IFDIR | 0775,
			.nlink = 2,
			.gid = 55,
		},
	};
	uint32_t gids[2] = { 44, 55 };
	struct request *r;

	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir/new"), 0700);
	answer(S, FUSE_LOOKUP, &dir, sizeof(dir));
	r = take(S, FUSE_MKDIR);
	ASSERT_EQ(0, r->h.total_extlen);
	check_strings(r, sizeof(struct fuse_mkdir_in), "new", NULL);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));

	ASSERT_EQ(0, sys(C, SYS_setgroups, 2, in(C, gids, sizeof(gids))));
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir/new"), 0700);
	r = take(S, FUSE_MKDIR);
	check_group(r, sizeof(struct fuse_mkdir_in) + 4);
	ASSERT_EQ(0, reply(S, r, &new_dir, sizeof(new_dir)));
	ASSERT_EQ(0, call_end(C));
	start_open(C, S, "dir/file", O_CREAT | O_EXCL | O_RDWR);
	reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
	r = take(S, FUSE_CREATE);
	check_group(r, sizeof(struct fuse_create_in) + 5);
	ASSERT_EQ(0, reply(S, r, &created, sizeof(created)));
	ASSERT_LE(0, call_end(C));
	/* not of the root, which is of another group */
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "new"), 0700);
	r = take(S, FUSE_MKDIR);
	ASSERT_EQ(0, r->h.total_extlen);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
}

FUSE_DEV_FIXTURE(security, .init_flags = FUSE_SECURITY_CTX);

/* What the security module says of the new file; a header if it says nothing */
FUSE_TEST(security, context)
{
	size_t before = sizeof(struct fuse_mkdir_in) + sizeof("new");
	struct fuse_secctx_header head;
	struct fuse_secctx ctx;
	struct request *r;

	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "new"), 0700);
	r = take(S, FUSE_MKDIR);
	memcpy(&head, r->body + before, sizeof(head));
	ASSERT_EQ(before + head.size, BODY_LEN(r));
	ASSERT_EQ(head.size, r->h.total_extlen * 8);
	if (head.nr_secctx) {
		ASSERT_EQ(1, head.nr_secctx);
		before += sizeof(head);
		memcpy(&ctx, r->body + before, sizeof(ctx));
		ASSERT_EQ(0, memcmp(r->body + before + sizeof(ctx), "security.", 9));
		ASSERT_LE(sizeof(head) + sizeof(ctx) + ctx.size, head.size);
	} else {
		ASSERT_EQ(sizeof(head), head.size);
	}
	ASSERT_EQ(0, reply(S, r, &new_dir, sizeof(new_dir)));
	ASSERT_EQ(0, call_end(C));
}

/* Idmapped mounts */

FUSE_DEV_FIXTURE(idmap, .nodes = nodes, .options = "default_permissions,allow_other",
		 .init_flags = FUSE_ALLOW_IDMAP);

/* A user namespace in which 0 is 1000 */
static int userns(void)
{
	int pid = fork(), fd = -1, status;
	char path[64];

	if (!pid) {
		if (unshare(CLONE_NEWUSER))
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	CHECK(0, write_text(path, "0 1000 1"));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	CHECK(0, write_text(path, "0 1000 1"));
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

FUSE_TEST(idmap, requests)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	struct fuse_attr_out owned = {
		.attr_valid = 3600,
		.attr = {
			.ino = FILE_INO,
			.mode = S_IFREG | 0600,
			.nlink = 1,
			.uid = 0,
			.gid = 0,
		},
	};
	int ns = userns(), tree;
	struct request *r;
	struct statx *stx;

	if (ns < 0)
		SKIP(return, "no user namespaces");
	tree = syscall(SYS_open_tree, AT_FDCWD, S->mnt,
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	ASSERT_LE(0, tree);
	attr.userns_fd = ns;
	ASSERT_EQ(0, syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
			     sizeof(attr)));
	client_send(C, CLIENT_RECVFD, (int64_t[7]){ 0 }, NULL, 0, tree);
	tree = call_end(C);
	ASSERT_LE(0, tree);

	/* user 1000 is the server's 0 there */
	ASSERT_EQ(0, sys(C, SYS_setresgid, 1000, 1000, 1000));
	ASSERT_EQ(0, sys(C, SYS_setresuid, 1000, 1000, 1000));
	sys_start(C, SYS_mkdirat, tree, str(C, "new"), 0700);
	r = take(S, FUSE_MKDIR);
	ASSERT_EQ(0, r->h.uid);
	ASSERT_EQ(0, r->h.gid);
	ASSERT_EQ(0, reply(S, r, &new_dir, sizeof(new_dir)));
	ASSERT_EQ(0, call_end(C));
	/* and so is what it owns */
	ASSERT_EQ(0, sys(C, SYS_faccessat, tree, str(C, "file"), R_OK));
	sys_start(C, SYS_statx, tree, str(C, "file"), AT_STATX_FORCE_SYNC,
		  STATX_BASIC_STATS, ARG(0));
	r = take(S, FUSE_GETATTR);
	ASSERT_EQ(FILE_INO, r->h.nodeid);
	ASSERT_EQ(0, reply(S, r, &owned, sizeof(owned)));
	ASSERT_EQ(0, call_end(C));
	stx = out(C, ARG(0));
	ASSERT_EQ(1000, stx->stx_uid);
	ASSERT_EQ(1000, stx->stx_gid);
	sys_start(C, SYS_fchownat, tree, str(C, "file"), 1000, -1, 0);
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(FATTR_UID, BODY(r, struct fuse_setattr_in)->valid & FATTR_UID);
	ASSERT_EQ(0, BODY(r, struct fuse_setattr_in)->uid);
	ASSERT_EQ(0, reply(S, r, &owned, sizeof(owned)));
	ASSERT_EQ(0, call_end(C));
	/* who creates nothing is nobody, by whatever mount */
	sys_start(C, SYS_unlinkat, tree, str(C, "file"), 0);
	r = take(S, FUSE_UNLINK);
	ASSERT_EQ(FUSE_INVALID_UIDGID, r->h.uid);
	ASSERT_EQ(FUSE_INVALID_UIDGID, r->h.gid);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, tree));
}

/* Without the permission checks of the kernel it cannot be had */
FUSE_DEV_FIXTURE(bad_idmap, .init_flags = FUSE_ALLOW_IDMAP);

FUSE_TEST(bad_idmap, refused)
{
	ASSERT_EQ(-ECONNREFUSED, sys(C, SYS_statx, AT_FDCWD, path(C, S, "file"),
				     0, STATX_SIZE, ARG(0)));
}

TEST_HARNESS_MAIN
