// SPDX-License-Identifier: GPL-2.0
/*
 * File systems as a whole: options of the mount, remount, umount -f, SYNCFS, file
 * handles, epochs, and names that expire
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include <linux/mount.h>
#include <linux/stat.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fuse_fixture.h"
#include "fuse_ops.h"

#define DIR_INO		3
#define SUB_INO		4
#define NEW_INO		100

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0755 },
	{ DIR_INO, "sub", SUB_INO, S_IFDIR | 0755 },
	{ }
};

static const struct fuse_entry_out new_file = ENTRY(NEW_INO, S_IFREG | 0644);

static void start_stat(struct client *c, struct server *s, const char *name)
{
	sys_start(c, SYS_statx, AT_FDCWD, path(c, s, name), 0, STATX_BASIC_STATS,
		  ARG(0));
}

/* The line of /proc/self/mountinfo about the mount */
static const char *mount_line(struct server *s)
{
	static char line[512];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (fgets(line, sizeof(line), f))
		if (strstr(line, s->mnt))
			break;
	fclose(f);
	return line;
}

FUSE_DEV_FIXTURE(plain, .nodes = nodes);
FUSE_DEV_FIXTURE(optional, .options =
	"default_permissions,allow_other,max_read=8192,subtype=kind");

FUSE_TEST(plain, options)
{
	const char *line = mount_line(S);

	ASSERT_NE(NULL, strstr(line, ",user_id=0,group_id=0"));
	ASSERT_EQ(NULL, strstr(line, "default_permissions"));
	ASSERT_EQ(NULL, strstr(line, "allow_other"));
	ASSERT_EQ(NULL, strstr(line, "max_read"));
}

FUSE_TEST(optional, options)
{
	const char *line = mount_line(S);

	ASSERT_NE(NULL, strstr(line, " fuse.kind "));
	ASSERT_NE(NULL, strstr(line, ",default_permissions,allow_other,max_read=8192"));
}

static int context(const char *type)
{
	return syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static int config(int fd, unsigned int cmd, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fd, cmd, key, value, 0) ? -errno : 0;
}

static int set(int fd, const char *key, const char *value)
{
	return config(fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
		      value);
}

/* What a mount cannot be told, each refused by itself */
FUSE_TEST(plain, bad_options)
{
	static const char *const bad[][2] = {
		{ "no_such_option", NULL }, { "fd", "99" }, { "fd", "x" },
		{ "rootmode", "777" }, { "blksize", "4096" },
		{ "user_id", "x" }, { "group_id", "x" },
	};
	static const char *const good[][2] = {
		{ "rootmode", "40000" }, { "user_id", "0" }, { "group_id", "0" },
		{ "max_read", "4096" }, { "allow_other", NULL },
		{ "default_permissions", NULL }, { "source", "it" },
		{ "subtype", "kind" },
	};
	char dev[16], null[16];
	int fd = context("fuse"), other;
	size_t i;

	ASSERT_LE(0, fd);
	for (i = 0; i < 7; i++) {
		EXPECT_GT(0, set(fd, bad[i][0], bad[i][1])) {
			TH_LOG("%s", bad[i][0]);
		}
	}
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(0, set(fd, good[i][0], good[i][1])) {
			TH_LOG("%s", good[i][0]);
		}
	}
	EXPECT_EQ(-EINVAL, set(fd, "source", "twice"));
	EXPECT_EQ(-EINVAL, set(fd, "subtype", "twice"));
	/* no server */
	EXPECT_EQ(-EINVAL, config(fd, FSCONFIG_CMD_CREATE, NULL, NULL));
	close(fd);

	fd = context("fuse");
	snprintf(null, sizeof(null), "%d", open("/dev/null", O_RDWR));
	EXPECT_EQ(-EINVAL, set(fd, "fd", null));
	other = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(dev, sizeof(dev), "%d", other);
	EXPECT_EQ(0, set(fd, "fd", dev));
	EXPECT_EQ(-EINVAL, set(fd, "fd", dev));
	/* who it is for was not said */
	EXPECT_EQ(-EINVAL, config(fd, FSCONFIG_CMD_CREATE, NULL, NULL));
	close(fd);

	/* mandatory locks */
	fd = context("fuse");
	EXPECT_EQ(0, set(fd, "fd", dev));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, set(fd, good[i][0], good[i][1]));
	EXPECT_EQ(0, set(fd, "mand", NULL));
	EXPECT_EQ(-EINVAL, config(fd, FSCONFIG_CMD_CREATE, NULL, NULL));
	close(fd);
	close(other);
}

/* A context of a user namespace in which there is nobody but root */
static int context_of_user(void)
{
	int ready[2], pid, fd, pidfd;
	int64_t number = -1;

	if (pipe(ready))
		fail("pipe");
	pid = fork();
	if (!pid) {
		if (!unshare(CLONE_NEWUSER | CLONE_NEWNS) &&
		    !write_text("/proc/self/uid_map", "0 0 1") &&
		    !write_text("/proc/self/setgroups", "deny") &&
		    !write_text("/proc/self/gid_map", "0 0 1"))
			number = context("fuse");
		if (write(ready[1], &number, sizeof(number)) < 0)
			_exit(1);
		pause();
	}
	if (read(ready[0], &number, sizeof(number)) != sizeof(number))
		fail("no child");
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	fd = syscall(SYS_pidfd_getfd, pidfd, (int)number, 0);
	close(pidfd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

/* The device and the users are those of the namespace that is to mount it */
FUSE_TEST(plain, namespace)
{
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int fd = context_of_user();

	if (fd < 0)
		SKIP(return, "no user namespaces");
	EXPECT_EQ(-1, syscall(SYS_fsconfig, fd, FSCONFIG_SET_FD, "fd", NULL, device));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EINVAL, set(fd, "user_id", "1"));
	EXPECT_EQ(-EINVAL, set(fd, "group_id", "1"));
	EXPECT_EQ(0, set(fd, "user_id", "0"));
	EXPECT_EQ(0, set(fd, "group_id", "0"));
	close(fd);

	fd = context("fuse");
	EXPECT_EQ(0, syscall(SYS_fsconfig, fd, FSCONFIG_SET_FD, "fd", NULL, device));
	EXPECT_EQ(-1, syscall(SYS_fsconfig, fd, FSCONFIG_SET_FD, "fd", NULL, device));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
	close(device);
}

/* The server is gone before it is mounted */
FUSE_TEST(plain, closed_device)
{
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC), fd = context("fuse");
	size_t i;
	static const char *const options[][2] = {
		{ "rootmode", "40000" }, { "user_id", "0" }, { "group_id", "0" },
	};

	EXPECT_EQ(0, syscall(SYS_fsconfig, fd, FSCONFIG_SET_FD, "fd", NULL, device));
	close(device);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, set(fd, options[i][0], options[i][1]));
	EXPECT_EQ(-ENOTCONN, config(fd, FSCONFIG_CMD_CREATE, NULL, NULL));
	close(fd);
}

/* What a look-up cannot find: the root, what is above, and nothing for open(2) */
FUSE_TEST(plain, odd_lookups)
{
	struct fuse_entry_out out = ENTRY(FUSE_ROOT_ID, S_IFDIR | 0755);

	out.generation = 1;
	start_stat(C, S, "new");
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(-EIO, call_end(C));
	out.generation = 0;
	out.nodeid = DIR_INO;
	start_stat(C, S, "dir/new");
	S->keep = FUSE_LOOKUP;
	/* the first is that of dir itself */
	out.entry_valid = 3600;
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(-ELOOP, call_end(C));
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "new"), O_RDONLY);
	reply_error(S, take(S, FUSE_LOOKUP), -ENOENT);
	ASSERT_EQ(-ENOENT, call_end(C));
	S->keep = 0;
}

/* The device of a connection mounts the same file system again; or none */
FUSE_TEST(plain, same_device)
{
	char dev[16], mnt[64];
	int fd = context("fuse"), tree;

	snprintf(dev, sizeof(dev), "%d", S->fd);
	snprintf(mnt, sizeof(mnt), "%s/again", test_dir());
	ASSERT_EQ(0, mkdir(mnt, 0755));
	EXPECT_EQ(0, set(fd, "fd", dev));
	EXPECT_EQ(0, config(fd, FSCONFIG_CMD_CREATE, NULL, NULL));
	tree = syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0);
	ASSERT_LE(0, tree);
	ASSERT_EQ(0, syscall(SYS_move_mount, tree, "", AT_FDCWD, mnt,
			     MOVE_MOUNT_F_EMPTY_PATH));
	close(fd);
	close(tree);
	strcat(mnt, "/dir");
	ASSERT_EQ(0, sys(C, SYS_statx, AT_FDCWD, str(C, mnt), 0, STATX_INO,
			 ARG(0)));
	ASSERT_EQ(DIR_INO, ((struct statx *)out(C, ARG(0)))->stx_ino);
	*strrchr(mnt, '/') = 0;
	ASSERT_EQ(0, umount2(mnt, MNT_DETACH));
}

FUSE_TEST(plain, remount)
{
	struct request *r;
	int fd;

	/* options of old are ignored; but not what is no option */
	ASSERT_EQ(0, mount("none", S->mnt, NULL, MS_REMOUNT | MS_RDONLY,
			   "max_read=1,no_such_option"));
	ASSERT_EQ(-EROFS, sys(C, SYS_mkdirat, AT_FDCWD, path(C, S, "new"), 0700));
	ASSERT_EQ(0, mount("none", S->mnt, NULL, MS_REMOUNT, NULL));
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "new"), 0700);
	r = take(S, FUSE_MKDIR);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(C));

	fd = syscall(SYS_fspick, AT_FDCWD, S->mnt, FSPICK_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(-EINVAL, set(fd, "max_read", "4096"));
	ASSERT_EQ(0, set(fd, "mand", NULL));
	ASSERT_EQ(-EINVAL, config(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL));
	close(fd);
}

/* umount -f ends what waits, and the connection; the mount goes when it is idle */
FUSE_TEST(plain, force)
{
	int fd = client_open(C, S, O_RDWR);

	start_stat(C, S, "new");
	take(S, FUSE_LOOKUP);
	ASSERT_EQ(-1, umount2(S->mnt, MNT_FORCE));
	ASSERT_EQ(EBUSY, errno);
	ASSERT_EQ(-ECONNABORTED, call_end(C));
	S->checked = false;
	ASSERT_EQ(-ENOTCONN, sys(C, SYS_statx, fd, str(C, ""),
				 AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
				 STATX_SIZE, ARG(0)));
	/* FLUSH says so, too */
	ASSERT_EQ(-ENOTCONN, call(C, CLIENT_CLOSE, fd));
	ASSERT_EQ(0, umount2(S->mnt, MNT_FORCE));
}

/* Without a block device, or virtiofs, there is no SYNCFS */
FUSE_TEST(plain, syncfs)
{
	int fd = client_open(C, S, O_RDWR);

	S->keep = FUSE_SYNCFS;
	ASSERT_EQ(0, sys(C, SYS_syncfs, fd));
	quiet(S);
}

/* fuseblk, on a file of the test */

static int root_fd = -1;

FUSE_OP_FIXTURE(block, .block = true, .options = "blksize=1024",
		.nodes = nodes);

static void start_syncfs(struct client *c, struct server *s)
{
	(void)s;
	sys_start(c, SYS_syncfs, root_fd);
}

static void check_syncfs(const struct request *r)
{
	const struct fuse_syncfs_in *in = BODY(r, struct fuse_syncfs_in);

	check_len(r, sizeof(*in));
	CHECK(0, in->padding);
}

static const struct op block_ops[] = {
	{
		.opcode = FUSE_SYNCFS,
		.start = start_syncfs,
		.check = check_syncfs,
		.enosys = ENOSYS_LATCHED,
	},
};

static void open_root(struct client *c, struct server *s)
{
	root_fd = sys(c, SYS_openat, AT_FDCWD, path(c, s, ""), O_DIRECTORY);
}

OP_TESTS(block, block_ops, open_root)

FUSE_TEST(block, options)
{
	ASSERT_NE(NULL, strstr(mount_line(S), ",blksize=1024"));
}

/* Handles of files */

struct handle {
	unsigned int bytes;
	int type;
	uint32_t words[8];
};

static int64_t get_handle(struct client *c, struct server *s, const char *name,
			  int flags, struct handle *h)
{
	struct handle want = { .bytes = sizeof(want.words) };
	int64_t file = path(c, s, name), at = in(c, &want, sizeof(want)), ret;

	ret = sys(c, SYS_name_to_handle_at, AT_FDCWD, file, at, ARG(0), flags);
	memcpy(h, out(c, at), sizeof(*h));
	return ret;
}

static void start_open_handle(struct client *c, const struct handle *h, int flags)
{
	sys_start(c, SYS_open_by_handle_at, root_fd, in(c, h, sizeof(*h)), flags);
}

/* The kernel forgets the names */
static void drop(struct server *s, uint64_t parent, const char *name)
{
	struct fuse_notify_inval_entry_out out = {
		.parent = parent,
		.namelen = strlen(name),
	};

	CHECK(0, server_notify(s, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out),
			       name, strlen(name) + 1));
}

static struct request *take_lookup(struct server *s, uint64_t parent,
				   const char *name)
{
	struct request *r = take(s, FUSE_LOOKUP);

	CHECK(parent, r->h.nodeid);
	check_strings(r, 0, name, NULL);
	return r;
}

FUSE_DEV_FIXTURE(export, .nodes = nodes, .init_flags = FUSE_EXPORT_SUPPORT);

FUSE_TEST(export, file)
{
	struct fuse_entry_out out = ENTRY(FILE_INO, S_IFREG | 0644);
	struct handle h, other;
	int error[] = { ENOENT, EIO }, i;

	if (get_handle(C, S, "file", 0, &h) == -ENOSYS)
		SKIP(return, "kernel without file handles");
	ASSERT_EQ(12, h.bytes);
	ASSERT_EQ(0x81, h.type);
	ASSERT_EQ(0, h.words[0]);
	ASSERT_EQ(FILE_INO, h.words[1]);
	ASSERT_EQ(0, h.words[2]);
	open_root(C, S);
	/* known: nobody is asked */
	S->manual = 1ULL << FUSE_LOOKUP;
	start_open_handle(C, &h, O_PATH);
	ASSERT_LE(0, call(C, CLIENT_CLOSE, call_end(C)));
	/* else the server, by number */
	drop(S, FUSE_ROOT_ID, "file");
	start_open_handle(C, &h, O_PATH);
	ASSERT_EQ(0, reply(S, take_lookup(S, FILE_INO, "."), &out, sizeof(out)));
	ASSERT_LE(0, call(C, CLIENT_CLOSE, call_end(C)));
	/* which may have lost it */
	for (i = 0; i < 2; i++) {
		start_open_handle(C, &h, O_PATH);
		reply_error(S, take_lookup(S, FILE_INO, "."), -error[i]);
		ASSERT_EQ(-ESTALE, call_end(C));
	}
	out.nodeid = 0;
	start_open_handle(C, &h, O_PATH);
	ASSERT_EQ(0, reply(S, take_lookup(S, FILE_INO, "."), &out, sizeof(out)));
	ASSERT_EQ(-ESTALE, call_end(C));
	/* or made another file of the number, or says another number */
	out.nodeid = FILE_INO;
	out.generation = 1;
	start_open_handle(C, &h, O_PATH);
	ASSERT_EQ(0, reply(S, take_lookup(S, FILE_INO, "."), &out, sizeof(out)));
	ASSERT_EQ(-ESTALE, call_end(C));
	out.nodeid = NEW_INO;
	start_open_handle(C, &h, O_PATH);
	ASSERT_EQ(0, reply(S, take_lookup(S, FILE_INO, "."), &out, sizeof(out)));
	ASSERT_EQ(-ESTALE, call_end(C));

	/* what is no handle of FUSE */
	other = h;
	other.words[1] = 0;
	start_open_handle(C, &other, O_PATH);
	ASSERT_EQ(-ESTALE, call_end(C));
	other = h;
	other.type = 1;
	start_open_handle(C, &other, O_PATH);
	ASSERT_EQ(-ESTALE, call_end(C));
	other = h;
	other.bytes = 8;
	start_open_handle(C, &other, O_PATH);
	ASSERT_EQ(-ESTALE, call_end(C));
	/* room for less than it needs: how much that is */
	other.bytes = 4;
	i = sys(C, SYS_name_to_handle_at, AT_FDCWD, path(C, S, ""),
		in(C, &other, sizeof(other)), ARG(0), 0);
	ASSERT_EQ(-EOVERFLOW, i);
}

/* A directory in which the kernel looks for the name of a node */
static void answer_name(struct server *s, uint64_t parent, const char *name,
			const struct fuse_entry_out *out)
{
	struct {
		struct fuse_dirent d;
		char name[8];
	} list = { { .ino = out->attr.ino, .off = 1, .namelen = strlen(name) } };
	struct request *r = take(s, FUSE_READDIR);

	CHECK(parent, r->h.nodeid);
	memcpy(list.d.name, name, list.d.namelen);
	CHECK(0, reply(s, r, &list, FUSE_DIRENT_SIZE(&list.d)));
	CHECK(0, reply(s, take_lookup(s, parent, name), out, sizeof(*out)));
}

static const struct fuse_entry_out sub = ENTRY(SUB_INO, S_IFDIR | 0755);
static const struct fuse_entry_out dir = ENTRY(DIR_INO, S_IFDIR | 0755);
static const struct fuse_entry_out root = ENTRY(FUSE_ROOT_ID, S_IFDIR | 0755);

/* A directory is connected to the root, by its parent and the name there */
FUSE_TEST(export, directory)
{
	int error[] = { ENOENT, EIO }, i;
	struct handle h;

	for (i = 0; i < 3; i++) {
		S->manual = 0;
		if (get_handle(C, S, "dir/sub", 0, &h) == -ENOSYS)
			SKIP(return, "kernel without file handles");
		open_root(C, S);
		S->manual = 1ULL << FUSE_LOOKUP;
		drop(S, DIR_INO, "sub");
		drop(S, FUSE_ROOT_ID, "dir");
		start_open_handle(C, &h, O_RDONLY);
		ASSERT_EQ(0, reply(S, take_lookup(S, SUB_INO, "."), &sub,
				   sizeof(sub)));
		if (i == 2)
			break;
		reply_error(S, take_lookup(S, SUB_INO, ".."), -error[i]);
		ASSERT_EQ(-ESTALE, call_end(C));
	}
	ASSERT_EQ(0, reply(S, take_lookup(S, SUB_INO, ".."), &dir, sizeof(dir)));
	answer_name(S, DIR_INO, "sub", &sub);
	ASSERT_EQ(0, reply(S, take_lookup(S, DIR_INO, ".."), &root, sizeof(root)));
	answer_name(S, FUSE_ROOT_ID, "dir", &dir);
	ASSERT_LE(0, call_end(C));
}

/* With the parent in it, a file has a path again, too */
FUSE_TEST(export, connectable)
{
	struct fuse_entry_out file = ENTRY(FILE_INO, S_IFREG | 0644);
	struct handle h;
	int64_t ret;

	ret = get_handle(C, S, "dir/file", 0x002 /* AT_HANDLE_CONNECTABLE */, &h);
	if (ret == -ENOSYS)
		SKIP(return, "kernel without file handles");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(24, h.bytes);
	ASSERT_EQ(0x82, h.type & 0xff);
	ASSERT_EQ(FILE_INO, h.words[1]);
	ASSERT_EQ(DIR_INO, h.words[4]);
	open_root(C, S);
	drop(S, DIR_INO, "file");
	drop(S, FUSE_ROOT_ID, "dir");
	S->manual = 1ULL << FUSE_LOOKUP;
	start_open_handle(C, &h, O_PATH);
	ASSERT_EQ(0, reply(S, take_lookup(S, FILE_INO, "."), &file, sizeof(file)));
	ASSERT_EQ(0, reply(S, take_lookup(S, DIR_INO, "."), &dir, sizeof(dir)));
	ASSERT_EQ(0, reply(S, take_lookup(S, DIR_INO, ".."), &root, sizeof(root)));
	answer_name(S, FUSE_ROOT_ID, "dir", &dir);
	answer_name(S, DIR_INO, "file", &file);
	ASSERT_LE(0, call_end(C));
}

/* No FUSE_EXPORT_SUPPORT: only what the kernel still has */
FUSE_TEST(plain, no_export)
{
	struct handle h;
	int fd;

	if (get_handle(C, S, "dir/sub", 0, &h) == -ENOSYS)
		SKIP(return, "kernel without file handles");
	open_root(C, S);
	S->keep = FUSE_LOOKUP;
	start_open_handle(C, &h, O_PATH);
	fd = call_end(C);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
	drop(S, DIR_INO, "sub");
	start_open_handle(C, &h, O_PATH);
	ASSERT_EQ(-ESTALE, call_end(C));
	quiet(S);
}

FUSE_DEV_FIXTURE(fid, .nodes = nodes, .init_flags = FUSE_NO_EXPORT_SUPPORT);

/* FUSE_NO_EXPORT_SUPPORT: handles tell files apart, and open none */
FUSE_TEST(fid, no_handles)
{
	struct handle h;
	int64_t ret = get_handle(C, S, "file", 0, &h);

	if (ret == -ENOSYS)
		SKIP(return, "kernel without file handles");
	ASSERT_EQ(-EOPNOTSUPP, ret);
	ASSERT_EQ(0, get_handle(C, S, "file", AT_REMOVEDIR /* AT_HANDLE_FID */, &h));
	ASSERT_EQ(FILE_INO, h.words[1]);
}

/* An automatic mount is virtiofs': an entry that says so is looked up again */
FUSE_TEST(plain, no_submounts)
{
	struct fuse_entry_out out = ENTRY(NEW_INO, S_IFDIR | 0755);
	int i;

	out.attr.flags = FUSE_ATTR_SUBMOUNT;
	start_stat(C, S, "new");
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(S->dev, ((struct statx *)out(C, ARG(0)))->stx_dev_minor);
	start_stat(C, S, "new");
	for (i = 0; i < 2; i++)
		answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(0, call_end(C));
}

#define INVAL_WQ	fuse_knob("inval_wq")

/* A new epoch ends the time of all names; if the administrator wants, at once */
FUSE_TEST(plain, epoch)
{
	struct fuse_entry_out out = new_file;

	out.entry_valid = 3600;
	start_stat(C, S, "new");
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(0, call_end(C));
	S->manual = 1ULL << FUSE_LOOKUP;
	start_stat(C, S, "new");
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(0, server_notify(S, FUSE_NOTIFY_INC_EPOCH, NULL, 0, NULL, 0));
	start_stat(C, S, "new");
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(0, call_end(C));
	quiet(S);

	if (!access(INVAL_WQ, W_OK)) {
		ASSERT_EQ(0, set_sysctl(INVAL_WQ, 5));
		ASSERT_EQ(0, server_notify(S, FUSE_NOTIFY_INC_EPOCH, NULL, 0,
					   NULL, 0));
		take_forget(S, NEW_INO, 1);
	}
	S->manual = 0;
}

/* Expired names are dropped without being asked for, if the administrator wants */
FUSE_TEST(plain, expiry)
{
	struct fuse_entry_out out = new_file;
	int64_t end;

	if (access(INVAL_WQ, W_OK))
		SKIP(return, "kernel without inval_wq");
	ASSERT_EQ(-EINVAL, write_text(INVAL_WQ, "4"));
	ASSERT_EQ(-EINVAL, write_text(INVAL_WQ, "65536"));
	ASSERT_EQ(-EINVAL, write_text(INVAL_WQ, "x"));
	ASSERT_EQ(0, set_sysctl(INVAL_WQ, 5));
	out.entry_valid_nsec = 1;
	start_stat(C, S, "new");
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(0, call_end(C));
	/* another that is valid, and stays */
	out.entry_valid = 3600;
	out.nodeid = NEW_INO + 1;
	start_stat(C, S, "stays");
	answer(S, FUSE_LOOKUP, &out, sizeof(out));
	ASSERT_EQ(0, call_end(C));
	S->manual = 1ULL << FUSE_FORGET;
	end = now_ms();
	ASSERT_EQ(NEW_INO, take(S, FUSE_FORGET)->h.nodeid);
	ASSERT_LE(1000, now_ms() - end);
	S->manual = 1ULL << FUSE_LOOKUP;
	start_stat(C, S, "stays");
	ASSERT_EQ(0, call_end(C));
	S->manual = 0;
}

/*
 * Of many names, some expire; what is open is dropped by its last user then, and
 * the others stay
 */
FUSE_TEST(plain, expiry_of_many)
{
	const uint64_t forgets = 1ULL << FUSE_FORGET | 1ULL << FUSE_BATCH_FORGET;
	struct fuse_entry_out out = new_file;
	uint32_t forgotten = 0;
	int64_t opened = 0, ret;
	struct request *r;
	char name[16];
	int i;

	if (access(INVAL_WQ, W_OK))
		SKIP(return, "kernel without inval_wq");
	ASSERT_EQ(0, set_sysctl(INVAL_WQ, 5));
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		out.nodeid = NEW_INO + i;
		out.attr.ino = out.nodeid;
		/* those that are even; and in another order than they came */
		out.entry_valid = i % 2 ? 3600 - i : 0;
		out.entry_valid_nsec = i % 2 ? 0 : 900000000 - 1000000 * i;
		if (i)
			start_stat(C, S, name);
		else
			sys_start(C, SYS_openat, AT_FDCWD, path(C, S, name), O_PATH);
		answer(S, FUSE_LOOKUP, &out, sizeof(out));
		ret = call_end(C);
		ASSERT_LE(0, ret);
		if (!i)
			opened = ret;
	}
	S->manual = forgets;
	while (forgotten < 49) {
		r = take(S, 0);
		forgotten += r->h.opcode == FUSE_FORGET ? 1 :
			     BODY(r, struct fuse_batch_forget_in)->count;
	}
	EXPECT_EQ(49, forgotten);
	quiet(S);
	EXPECT_EQ(0, call(C, CLIENT_CLOSE, opened));
	take_forget(S, NEW_INO, 1);
	S->manual = 1ULL << FUSE_LOOKUP;
	for (i = 1; i < 100; i += 2) {
		snprintf(name, sizeof(name), "n%d", i);
		start_stat(C, S, name);
		ASSERT_EQ(0, call_end(C));
	}
	S->manual = 0;
}

TEST_HARNESS_MAIN
