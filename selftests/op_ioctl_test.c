// SPDX-License-Identifier: GPL-2.0
/* IOCTL of files: data by the number of the command, flags and fs-verity */
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

FUSE_OP_FIXTURE(ioctl, .max_write = 4096);

struct data {
	char text[16];
};

#define CMD_WR	_IOWR('x', 1, struct data)
#define CMD_R	_IOR('x', 2, struct data)
#define CMD_W	_IOW('x', 3, struct data)
#define CMD	_IO('x', 4)
#define CMD_BIG	_IOC(_IOC_READ, 'x', 5, 8192)

struct answer {
	struct fuse_ioctl_out out;
	struct data data;
};

static void start_ioctl(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_ioctl, fd, CMD_WR, ARG(0));
}

static const struct answer good = { .out.result = 5, .data = { "answer" } };
static const struct op_call ioctl_op = {
	.opcode = FUSE_IOCTL,
	.start = start_ioctl,
	.in_len = sizeof(struct fuse_ioctl_in) + sizeof(struct data),
	.out = &good,
	.len = sizeof(good),
	.ret = 5,
	/* there is always room for a page of iovecs, see more() */
	.not_bad = 1 << BAD_SHORT | 1 << BAD_LONG,
};

static void check_ioctl(struct request *r, uint64_t fh, uint32_t cmd,
			uint32_t flags, uint32_t in_size, uint32_t out_size)
{
	NEED(r->ioctl.fh == fh);
	NEED(r->ioctl.cmd == cmd);
	NEED(r->ioctl.flags == flags);
	NEED(r->ioctl.in_size == in_size);
	NEED(r->ioctl.out_size == out_size);
	NEED(BODY_LEN(r) == sizeof(r->ioctl) + in_size);
}

FUSE_TEST(ioctl, sizes)
{
	static const struct {
		unsigned int cmd;
		uint32_t in, out;
	} cmds[] = {
		{ CMD_WR, 16, 16 }, { CMD_R, 0, 16 }, { CMD_W, 16, 0 }, { CMD },
	};
	struct answer a;
	struct request *r;
	size_t i, len;
	int fd;

	fd = client_open(C, S, O_RDWR);
	for (i = 0; i < 4; i++) {
		sys_start(C, SYS_ioctl, fd, cmds[i].cmd,
			  in(C, &(struct data){ "question" }, sizeof(struct data)));
		r = op_take(S, C, FUSE_IOCTL, 0, sizeof(r->ioctl) + cmds[i].in);
		check_ioctl(r, S->fh, cmds[i].cmd, 0, cmds[i].in, cmds[i].out);
		ASSERT_NE(0, r->ioctl.arg);
		if (cmds[i].in)
			ASSERT_STREQ("question", AFTER(r, struct fuse_ioctl_in));
		a = good;
		len = sizeof(a.out) + cmds[i].out;
		ASSERT_EQ(0, reply(S, r, &a, len));
		ASSERT_EQ(5, call_end(C));
		ASSERT_STREQ(cmds[i].out ? "answer" : "question",
			     out(C, ARG(CLIENT_OUT)));
	}
	/* no pointer, but a number */
	sys_start(C, SYS_ioctl, fd, CMD, 0x123456789);
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(0x123456789, r->ioctl.arg);
	ASSERT_EQ(0, reply(S, r, &good, sizeof(good.out)));
	ASSERT_EQ(5, call_end(C));
}

FUSE_TEST(ioctl, replies)
{
	static const struct {
		struct fuse_ioctl_out out;
		int64_t ret;
	} outs[] = {
		{ { .result = 0 }, 0 },
		{ { .result = 77 }, 77 },
		{ { .result = -EPERM }, -EPERM },
		{ { .result = -ENOSYS }, -ENOTTY },
		/* not for servers of files */
		{ { .flags = FUSE_IOCTL_RETRY, .in_iovs = 1 }, -EIO },
	};
	char more[sizeof(struct answer) + 1] = { };
	struct answer a = { };
	struct request *r;
	size_t i;
	int fd;

	fd = client_open(C, S, O_RDWR);
	all_replies(S, C, fd, &ioctl_op);
	/* nothing is latched */
	answer_op(S, C, fd, &ioctl_op, -ENOSYS, -ENOTTY);
	for (i = 0; i < sizeof(outs) / sizeof(outs[0]); i++) {
		a.out = outs[i].out;
		r = op_begin(S, C, fd, &ioctl_op);
		ASSERT_EQ(0, reply(S, r, &a, sizeof(a)));
		ASSERT_EQ(outs[i].ret, call_end(C));
	}
	/* less than asked for, more, and less than a reply */
	r = op_begin(S, C, fd, &ioctl_op);
	ASSERT_EQ(0, reply(S, r, &good, sizeof(good.out) + 2));
	ASSERT_EQ(5, call_end(C));
	ASSERT_STREQ("an", out(C, ARG(0)));
	r = op_begin(S, C, fd, &ioctl_op);
	ASSERT_EQ(0, reply(S, r, more, sizeof(more)));
	ASSERT_EQ(-EIO, call_end(C));
	r = op_begin(S, C, fd, &ioctl_op);
	i = reply_bad(S, r, BAD_SHORT, &good, sizeof(good.out));
	ASSERT_EQ((int)i, call_end(C));
}

/* Memory that is not there, and more than a request can have */
FUSE_TEST(ioctl, memory)
{
	struct request *r;
	int fd;

	fd = client_open(C, S, O_RDWR);
	ASSERT_EQ(-EFAULT, sys(C, SYS_ioctl, fd, CMD_W, 8));
	ASSERT_EQ(-ENOMEM, sys(C, SYS_ioctl, fd, CMD_BIG, ARG(0)));
	sys_start(C, SYS_ioctl, fd, CMD_R, 8);
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(0, reply(S, r, &good, sizeof(good)));
	ASSERT_EQ(-EFAULT, call_end(C));
}

/* 32-bit programs are told apart */
FUSE_TEST(ioctl, compat)
{
	struct data question = { "question" };
	struct client c;
	struct request *r;
	int fd;

	SKIP_IF(client_try(&c, "fuse_client32"));
	fd = client_open(&c, S, O_RDWR);
	client_send(&c, CLIENT_IOCTL, (int64_t[7]){ fd, CMD_WR }, &question,
		    sizeof(question), -1);
	r = op_take(S, &c, FUSE_IOCTL, 0, ioctl_op.in_len);
	check_ioctl(r, S->fh, CMD_WR, FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT, 16, 16);
	ASSERT_STREQ("question", AFTER(r, struct fuse_ioctl_in));
	ASSERT_EQ(0, reply(S, r, &good, sizeof(good)));
	ASSERT_EQ(5, call_end(&c));
	ASSERT_STREQ("answer", c.answer.data);
	client_exit(&c);
}

FUSE_TEST(ioctl, directory)
{
	struct request *r;
	struct client c;
	int fd;

	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, ""), O_DIRECTORY);
	ASSERT_LE(0, fd);
	start_ioctl(S, C, fd);
	r = op_take(S, C, FUSE_IOCTL, FUSE_ROOT_ID, ioctl_op.in_len);
	check_ioctl(r, r->ioctl.fh, CMD_WR, FUSE_IOCTL_DIR, 16, 16);
	ASSERT_EQ(0, reply(S, r, &good, sizeof(good)));
	ASSERT_EQ(5, call_end(C));
	ASSERT_STREQ("answer", out(C, ARG(0)));

	if (client_try(&c, "fuse_client32"))
		return;
	fd = call_data(&c, CLIENT_OPEN, S->mnt, strlen(S->mnt) + 1, O_DIRECTORY);
	client_send(&c, CLIENT_IOCTL, (int64_t[7]){ fd, CMD }, NULL, 0, -1);
	r = op_take(S, &c, FUSE_IOCTL, FUSE_ROOT_ID, sizeof(r->ioctl));
	check_ioctl(r, r->ioctl.fh, CMD, FUSE_IOCTL_DIR | FUSE_IOCTL_COMPAT |
		    FUSE_IOCTL_32BIT, 0, 0);
	ASSERT_EQ(0, reply_error(S, r, -EPERM));
	ASSERT_EQ(-EPERM, call_end(&c));
	client_exit(&c);
}

/*
 * chattr(1) and its kind: by whoever has the file open or not, the kernel opens
 * it for the purpose.
 */
struct attr_answer {
	struct fuse_ioctl_out out;
	union {
		uint32_t flags;
		struct fsxattr x;
	};
};

static void take_attr(struct server *s, struct client *c, uint64_t nodeid,
		      uint32_t cmd, const struct attr_answer *a, size_t size,
		      int error)
{
	bool reads = _IOC_DIR(cmd) & _IOC_READ;
	struct request *r = op_check(s, c, FUSE_IOCTL, nodeid,
				     sizeof(r->ioctl) + (reads ? 0 : size));

	/* no user's address, and the size that it really has */
	check_ioctl(r, r->ioctl.fh, cmd,
		    nodeid == FUSE_ROOT_ID ? FUSE_IOCTL_DIR : 0,
		    reads ? 0 : size, reads ? size : 0);
	NEED(r->ioctl.arg == 0);
	if (!reads)
		NEED(!memcmp(AFTER(r, struct fuse_ioctl_in), &a->flags, size));
	if (error)
		NEED(!reply_error(s, r, error));
	else
		NEED(!reply(s, r, a, sizeof(a->out) + (reads ? size : 0)));
}

FUSE_TEST(ioctl, fileattr)
{
	struct attr_answer flags = { .flags = FS_APPEND_FL };
	struct attr_answer x = {
		.x = { .fsx_xflags = FS_XFLAG_APPEND, .fsx_projid = 44 },
	};
	struct attr_answer bad = { .out.result = -EPERM };
	struct attr_answer retry = { .out.flags = FUSE_IOCTL_RETRY };
	uint64_t nodeid;
	int fd, dir;

	for (dir = 0; dir < 2; dir++) {
		nodeid = dir ? FUSE_ROOT_ID : S->ino;
		fd = dir ? (int)sys(C, SYS_openat, AT_FDCWD, path(C, S, ""),
				    O_DIRECTORY) : client_open(C, S, O_RDWR);
		ASSERT_LE(0, fd);
		sys_start(C, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0));
		take_attr(S, C, nodeid, FS_IOC_GETFLAGS, &flags, 4, 0);
		ASSERT_EQ(0, call_end(C));
		ASSERT_EQ(FS_APPEND_FL, *(uint32_t *)out(C, ARG(0)));

		/* what it is, comes before what it shall be */
		sys_start(C, SYS_ioctl, fd, FS_IOC_SETFLAGS,
			  in(C, &flags.flags, 4));
		take_attr(S, C, nodeid, FS_IOC_FSGETXATTR, &x, sizeof(x.x), 0);
		take_attr(S, C, nodeid, FS_IOC_SETFLAGS, &flags, 4, 0);
		ASSERT_EQ(0, call_end(C));

		sys_start(C, SYS_ioctl, fd, FS_IOC_FSGETXATTR, ARG(0));
		take_attr(S, C, nodeid, FS_IOC_FSGETXATTR, &x, sizeof(x.x), 0);
		ASSERT_EQ(0, call_end(C));
		ASSERT_EQ(44, ((struct fsxattr *)out(C, ARG(0)))->fsx_projid);

		sys_start(C, SYS_ioctl, fd, FS_IOC_FSSETXATTR,
			  in(C, &x.x, sizeof(x.x)));
		take_attr(S, C, nodeid, FS_IOC_FSGETXATTR, &x, sizeof(x.x), 0);
		take_attr(S, C, nodeid, FS_IOC_FSSETXATTR, &x, sizeof(x.x), 0);
		ASSERT_EQ(0, call_end(C));
	}
	fd = client_open(C, S, O_RDWR);
	nodeid = S->ino;
	sys_start(C, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0));
	take_attr(S, C, nodeid, FS_IOC_GETFLAGS, &bad, 4, 0);
	ASSERT_EQ(-EPERM, call_end(C));
	sys_start(C, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0));
	take_attr(S, C, nodeid, FS_IOC_GETFLAGS, &retry, 4, 0);
	ASSERT_EQ(-EIO, call_end(C));
	sys_start(C, SYS_ioctl, fd, FS_IOC_FSGETXATTR, ARG(0));
	take_attr(S, C, nodeid, FS_IOC_FSGETXATTR, NULL, sizeof(x.x), -EACCES);
	ASSERT_EQ(-EACCES, call_end(C));
	sys_start(C, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0));
	take_attr(S, C, nodeid, FS_IOC_GETFLAGS, NULL, 4, -ENOSYS);
	ASSERT_EQ(-ENOTTY, call_end(C));
	sys_start(C, SYS_ioctl, fd, FS_IOC_SETFLAGS, in(C, &flags.flags, 4));
	take_attr(S, C, nodeid, FS_IOC_FSGETXATTR, &x, sizeof(x.x), 0);
	take_attr(S, C, nodeid, FS_IOC_SETFLAGS, &flags, 4, -EROFS);
	ASSERT_EQ(-EROFS, call_end(C));

	/* the kernel must open it for that, which may not be */
	sys_start(C, SYS_ioctl, fd, FS_IOC_GETFLAGS, ARG(0));
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_OPEN), -EMFILE));
	ASSERT_EQ(-EMFILE, call_end(C));
}

/* fs-verity: structures that point to more, or that are as long as they say */
FUSE_TEST(ioctl, verity)
{
	struct fuse_ioctl_out out = { };
	struct fsverity_enable_arg enable = {
		.version = 1, .salt_size = 4, .sig_size = 6,
	};
	struct digest {
		struct fsverity_digest d;
		char digest[32];
	} measure = { .d.digest_size = 32 };
	struct {
		struct fuse_ioctl_out out;
		struct digest measure;
	} measured = { .measure = { .d = { 1, 32 }, .digest = "digest" } };
	const char *data;
	struct request *r;
	int64_t mem;
	int fd;

	mem = call(C, CLIENT_MMAP, 0, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(16, call_data(C, CLIENT_POKE, "saltsignatureetc", 16, mem));
	fd = client_open(C, S, O_RDWR);
	enable.salt_ptr = mem;
	enable.sig_ptr = mem + 4;
	sys_start(C, SYS_ioctl, fd, FS_IOC_ENABLE_VERITY,
		  in(C, &enable, sizeof(enable)));
	r = take(S, FUSE_IOCTL);
	check_ioctl(r, S->fh, FS_IOC_ENABLE_VERITY, 0, sizeof(enable) + 10, 0);
	data = AFTER(r, struct fuse_ioctl_in);
	ASSERT_EQ(0, memcmp(&enable, data, sizeof(enable)));
	ASSERT_EQ(0, memcmp("saltsignat", data + sizeof(enable), 10));
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));

	enable.sig_size = enable.salt_size = 0;
	sys_start(C, SYS_ioctl, fd, FS_IOC_ENABLE_VERITY,
		  in(C, &enable, sizeof(enable)));
	r = take(S, FUSE_IOCTL);
	check_ioctl(r, S->fh, FS_IOC_ENABLE_VERITY, 0, sizeof(enable), 0);
	ASSERT_EQ(0, reply_error(S, r, -EEXIST));
	ASSERT_EQ(-EEXIST, call_end(C));
	enable.sig_size = 2 << 20;
	ASSERT_EQ(-ENOMEM, sys(C, SYS_ioctl, fd, FS_IOC_ENABLE_VERITY,
			       in(C, &enable, sizeof(enable))));
	ASSERT_EQ(-EFAULT, sys(C, SYS_ioctl, fd, FS_IOC_ENABLE_VERITY, 8));

	sys_start(C, SYS_ioctl, fd, FS_IOC_MEASURE_VERITY,
		  in(C, &measure, sizeof(measure)));
	r = take(S, FUSE_IOCTL);
	check_ioctl(r, S->fh, FS_IOC_MEASURE_VERITY, 0, sizeof(measure),
		    sizeof(measure));
	ASSERT_EQ(0, reply(S, r, &measured, sizeof(measured)));
	ASSERT_EQ(0, call_end(C));
	ASSERT_STREQ("digest", (char *)out(C, ARG(CLIENT_OUT)) +
		     sizeof(struct fsverity_digest));
	ASSERT_EQ(-EFAULT, sys(C, SYS_ioctl, fd, FS_IOC_MEASURE_VERITY, 8));
}

TEST_HARNESS_MAIN
