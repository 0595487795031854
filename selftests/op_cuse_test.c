// SPDX-License-Identifier: GPL-2.0
/* What the processes that use a character device, make its server see */
#include <sys/ioctl.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define PAGE	((uint64_t)getpagesize())
#define LEN	100

CUSE_OP_FIXTURE(cuse, .max_write = 8192);
CUSE_OP_FIXTURE(unrestricted, .max_write = 8192, .unrestricted = true);

static void start_open(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_openat, AT_FDCWD, str(c, s->path), O_RDWR | O_NONBLOCK);
}

static const struct fuse_open_out opened = { .fh = 0xfeedbeef };
static const struct op_call open_op = {
	.opcode = FUSE_OPEN,
	.start = start_open,
	.in_len = sizeof(struct fuse_open_in),
	.out = &opened,
	.len = sizeof(opened),
	.ret = ANY_FD,
	.by_name = true,
};

FUSE_TEST(cuse, open)
{
	const struct fuse_release_in *in;
	struct request *r;
	int fd;

	all_replies(S, C, -1, &open_op);
	r = op_begin(S, C, -1, &open_op);
	ASSERT_EQ(O_RDWR | O_NONBLOCK, BODY(r, struct fuse_open_in)->flags &
		  (O_ACCMODE | O_NONBLOCK));
	ASSERT_EQ(0, BODY(r, struct fuse_open_in)->open_flags);
	ASSERT_EQ(0, reply(S, r, &opened, sizeof(opened)));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	/* nothing to seek, to flush, or to sync */
	ASSERT_EQ(0, sys(C, SYS_lseek, fd, 100, SEEK_SET));
	ASSERT_EQ(0, sys(C, SYS_lseek, fd, 100, SEEK_END));
	ASSERT_EQ(-EINVAL, sys(C, SYS_fsync, fd));
	S->manual = 1ULL << FUSE_FLUSH | 1ULL << FUSE_RELEASE;
	sys_start(C, SYS_close, fd);
	r = op_take(S, NULL, FUSE_RELEASE, 0, 0);
	in = BODY(r, struct fuse_release_in);
	ASSERT_EQ(sizeof(*in), BODY_LEN(r));
	ASSERT_EQ(opened.fh, in->fh);
	ASSERT_EQ(O_RDWR | O_NONBLOCK, in->flags & (O_ACCMODE | O_NONBLOCK));
	ASSERT_EQ(0, in->release_flags);
	ASSERT_EQ(0, in->lock_owner);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/* Devices of a server without FUSE_OPEN */
FUSE_TEST(cuse, open_enosys)
{
	struct request *r;
	int fd;

	r = op_begin(S, C, -1, &open_op);
	ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	S->manual = 1ULL << FUSE_OPEN | 1ULL << FUSE_RELEASE;
	ASSERT_EQ(fd + 1, client_open(C, S, O_RDWR));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_EQ(0, sys(C, SYS_close, fd + 1));
}

static void start_read(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_pread64, fd, ARG(0), LEN, 12345);
}

static char data[LEN] = "data";
static const struct op_call read_op = {
	.opcode = FUSE_READ,
	.start = start_read,
	.in_len = sizeof(struct fuse_read_in),
	.out = data,
	.len = sizeof(data),
	.ret = sizeof(data),
	.not_bad = 1 << BAD_SHORT,
};

FUSE_TEST(cuse, read)
{
	struct request *r;
	int64_t mem;
	int fd, i;

	fd = client_open(C, S, O_RDWR);
	all_replies(S, C, fd, &read_op);
	answer_op(S, C, fd, &read_op, -ENOSYS, -ENOSYS);
	/* there are no positions */
	r = op_begin(S, C, fd, &read_op);
	ASSERT_EQ(S->fh, r->read.fh);
	ASSERT_EQ(0, r->read.offset);
	ASSERT_EQ(LEN, r->read.size);
	ASSERT_EQ(FUSE_READ_LOCKOWNER, r->read.read_flags);
	ASSERT_EQ(O_RDWR, r->read.flags & O_ACCMODE);
	reply_data(S, r, 40);
	ASSERT_EQ(40, call_end(C));
	ASSERT_TRUE(right_data(C, 40, 0));

	/* in parts of max_read, until one is short */
	mem = call(C, CLIENT_MMAP, 0, 4 * PAGE, RW,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	call_start(C, CLIENT_READ_TO, fd, mem, 4 * PAGE);
	for (i = 0; i < 2; i++) {
		r = take(S, FUSE_READ);
		ASSERT_EQ(i * 8192, r->read.offset);
		ASSERT_EQ(8192, r->read.size);
		reply_data(S, r, i ? 5 : 8192);
	}
	ASSERT_EQ(8192 + 5, call_end(C));
	ASSERT_EQ(-EFAULT, sys(C, SYS_pread64, fd, 8, 10, 0));
}

static void start_write(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_pwrite64, fd, in(c, data, LEN), LEN, 12345);
}

static const struct fuse_write_out written = { .size = LEN };
static const struct op_call write_op = {
	.opcode = FUSE_WRITE,
	.start = start_write,
	.in_len = sizeof(struct fuse_write_in) + LEN,
	.out = &written,
	.len = sizeof(written),
	.ret = LEN,
};

FUSE_TEST(cuse, write)
{
	static const uint32_t sizes[] = { 0, 40, LEN, LEN + 1 };
	struct fuse_write_out out;
	struct request *r;
	size_t i;
	int fd;

	fd = client_open(C, S, O_RDWR);
	all_replies(S, C, fd, &write_op);
	answer_op(S, C, fd, &write_op, -ENOSYS, -ENOSYS);
	for (i = 0; i < 4; i++) {
		r = op_begin(S, C, fd, &write_op);
		ASSERT_EQ(S->fh, r->write.fh);
		ASSERT_EQ(0, r->write.offset);
		ASSERT_EQ(LEN, r->write.size);
		ASSERT_EQ(FUSE_WRITE_LOCKOWNER, r->write.write_flags);
		ASSERT_EQ(0, memcmp(data, AFTER(r, struct fuse_write_in), LEN));
		out.size = sizes[i];
		ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
		ASSERT_EQ(sizes[i] > LEN ? -EIO : (int64_t)sizes[i], call_end(C));
	}
}

FUSE_TEST(cuse, no_splice)
{
	int *ends, from, to, fd;

	ASSERT_EQ(0, sys(C, SYS_pipe2, ARG(0), 0));
	ends = out(C, ARG(0));
	from = ends[0];
	to = ends[1];
	fd = client_open(C, S, O_RDWR);
	ASSERT_EQ(LEN, sys(C, SYS_write, to, ARG(0), LEN));
	ASSERT_EQ(-EINVAL, sys(C, SYS_splice, from, 0, fd, 0, LEN, 0));
	ASSERT_EQ(-EINVAL, sys(C, SYS_splice, fd, 0, to, 0, LEN, 0));
}

struct ioctl_answer {
	struct fuse_ioctl_out out;
	union {
		struct fuse_ioctl_iovec iov[FUSE_IOCTL_MAX_IOV + 1];
		struct iovec old[2];
		struct { uint32_t base, len; } old32[2];
		char data[16];
	};
};

#define CMD_WR	_IOWR('x', 1, char[16])

static struct request *check_ioctl(struct server *s, struct client *c,
				   uint32_t cmd, uint64_t arg, uint32_t flags,
				   uint32_t in_size, uint32_t out_size)
{
	struct request *r = op_check(s, c, FUSE_IOCTL, 0,
				     sizeof(r->ioctl) + in_size);

	NEED(r->ioctl.fh == s->fh);
	NEED(r->ioctl.cmd == cmd);
	NEED(r->ioctl.arg == arg);
	NEED(r->ioctl.flags == flags);
	NEED(r->ioctl.in_size == in_size);
	NEED(r->ioctl.out_size == out_size);
	return r;
}

#define take_ioctl(...)	HERE(check_ioctl(__VA_ARGS__))

/* As files have it */
FUSE_TEST(cuse, ioctl)
{
	struct ioctl_answer a = { .out.result = 3, .data = "answer" };
	struct ioctl_answer retry = { .out.flags = FUSE_IOCTL_RETRY };
	struct request *r;
	int64_t mem;
	int fd;

	mem = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(16, call_data(C, CLIENT_POKE, "a question, long", 16, mem));
	fd = client_open(C, S, O_RDWR);
	sys_start(C, SYS_ioctl, fd, CMD_WR, mem);
	r = take_ioctl(S, C, CMD_WR, mem, 0, 16, 16);
	ASSERT_EQ(0, memcmp("a question, long", AFTER(r, struct fuse_ioctl_in), 16));
	ASSERT_EQ(0, reply(S, r, &a, sizeof(a.out) + 16));
	ASSERT_EQ(3, call_end(C));
	ASSERT_EQ(7, call(C, CLIENT_PEEK, mem, 7));
	ASSERT_STREQ("answer", C->answer.data);
	sys_start(C, SYS_ioctl, fd, CMD_WR, mem);
	ASSERT_EQ(0, reply(S, take(S, FUSE_IOCTL), &retry, sizeof(retry.out)));
	ASSERT_EQ(-EIO, call_end(C));
	sys_start(C, SYS_ioctl, fd, CMD_WR, mem);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_IOCTL), -ENOSYS));
	ASSERT_EQ(-ENOTTY, call_end(C));
}

static void start_ioctl(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_ioctl, fd, 0x1234, 0x5678);
}

static const struct fuse_ioctl_out result = { .result = 9 };
static const struct op_call ioctl_op = {
	.opcode = FUSE_IOCTL,
	.start = start_ioctl,
	.in_len = sizeof(struct fuse_ioctl_in),
	.out = &result,
	.len = sizeof(result),
	.ret = 9,
	.not_bad = 1 << BAD_LONG,
};

/* Ask for memory: what for is in the iovecs; the call then comes again */
static void ask(struct server *s, struct request *r, struct ioctl_answer *a,
		unsigned int in, unsigned int out)
{
	a->out.flags = FUSE_IOCTL_RETRY;
	a->out.in_iovs = in;
	a->out.out_iovs = out;
	NEED(!reply(s, r, a, sizeof(a->out) + (in + out) * sizeof(a->iov[0])));
}

FUSE_TEST(unrestricted, retry)
{
	struct ioctl_answer a = { }, last = { .out.result = 4, .data = "out" };
	struct request *r;
	int64_t mem;
	int fd;

	mem = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(16, call_data(C, CLIENT_POKE, "first and second", 16, mem));
	fd = client_open(C, S, O_RDWR);
	all_replies(S, C, fd, &ioctl_op);
	answer_op(S, C, fd, &ioctl_op, -ENOSYS, -ENOTTY);

	/* nothing, then a part, then two and one to be written to */
	sys_start(C, SYS_ioctl, fd, 0x1234, mem);
	r = take_ioctl(S, C, 0x1234, mem, FUSE_IOCTL_UNRESTRICTED, 0, 0);
	a.iov[0] = (struct fuse_ioctl_iovec){ mem, 5 };
	ask(S, r, &a, 1, 0);
	r = take_ioctl(S, C, 0x1234, mem, FUSE_IOCTL_UNRESTRICTED, 5, 0);
	ASSERT_EQ(0, memcmp("first", AFTER(r, struct fuse_ioctl_in), 5));
	a.iov[1] = (struct fuse_ioctl_iovec){ mem + 10, 6 };
	a.iov[2] = (struct fuse_ioctl_iovec){ mem + 100, 4 };
	ask(S, r, &a, 2, 1);
	r = take_ioctl(S, C, 0x1234, mem, FUSE_IOCTL_UNRESTRICTED, 11, 4);
	ASSERT_EQ(0, memcmp("firstsecond", AFTER(r, struct fuse_ioctl_in), 11));
	ASSERT_EQ(0, reply(S, r, &last, sizeof(last.out) + 4));
	ASSERT_EQ(4, call_end(C));
	ASSERT_EQ(4, call(C, CLIENT_PEEK, mem + 100, 4));
	ASSERT_STREQ("out", C->answer.data);
}

/* Of data, whatever max_write is */
#define MOST	(32 * PAGE)

FUSE_TEST(unrestricted, bad_retry)
{
	const struct {
		struct fuse_ioctl_iovec iov[2];
		unsigned int in, out;
		size_t len;	/* 0: of the iovecs */
		int64_t ret;
	} bad[] = {
		{ { { 8, 16 } }, 1, 0, 0, -EFAULT },
		{ { { 0, MOST + 1 } }, 1, 0, 0, -ENOMEM },
		{ { { 0, MOST }, { 0, 1 } }, 2, 0, 0, -ENOMEM },
		{ { { 0, MOST + 1 } }, 0, 1, 0, -ENOMEM },
		{ { }, FUSE_IOCTL_MAX_IOV + 1, 0, 0, -ENOMEM },
		{ { }, 0, FUSE_IOCTL_MAX_IOV + 1, 0, -ENOMEM },
		{ { }, 1, FUSE_IOCTL_MAX_IOV, 0, -ENOMEM },
		{ { }, -1, 1, 16, -ENOMEM },
		{ { }, 1, 0, 8, -EIO },
		{ { }, 1, 0, 32, -EIO },
	};
	struct ioctl_answer a = { }, last = { };
	struct request *r;
	size_t i, len;
	int fd;

	fd = client_open(C, S, O_RDWR);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start_ioctl(S, C, fd);
		r = take(S, FUSE_IOCTL);
		memset(&a, 0, sizeof(a));
		memcpy(a.iov, bad[i].iov, sizeof(bad[i].iov));
		a.out.flags = FUSE_IOCTL_RETRY;
		a.out.in_iovs = bad[i].in;
		a.out.out_iovs = bad[i].out;
		len = bad[i].len ?: (bad[i].in + bad[i].out) * sizeof(a.iov[0]);
		/* all has to fit in a page */
		if (len > PAGE)
			len = PAGE;
		ASSERT_EQ(0, reply(S, r, &a, sizeof(a.out) + len));
		ASSERT_EQ(bad[i].ret, call_end(C));
	}
	/* memory to write to, which is not there, and more than was asked for */
	for (i = 0; i < 2; i++) {
		start_ioctl(S, C, fd);
		a.iov[0] = (struct fuse_ioctl_iovec){ 8, 16 };
		ask(S, take(S, FUSE_IOCTL), &a, 0, 1);
		r = take(S, FUSE_IOCTL);
		ASSERT_EQ(16, r->ioctl.out_size);
		ASSERT_EQ(0, reply(S, r, &last, sizeof(last.out) + 16 + i));
		ASSERT_EQ(i ? -EIO : -EFAULT, call_end(C));
	}
}

/* 32-bit processes have no memory behind 4 GiB */
FUSE_TEST(unrestricted, compat)
{
	static const struct {
		struct fuse_ioctl_iovec iov;
		int64_t ret;
	} bad[] = {
		{ { 1ULL << 32, 1 }, -EIO },
		{ { 0, 1ULL << 32 }, -EIO },
	};
	uint32_t flags = FUSE_IOCTL_UNRESTRICTED | FUSE_IOCTL_COMPAT |
			 FUSE_IOCTL_32BIT;
	struct ioctl_answer a = { };
	struct request *r;
	struct client c;
	size_t i;
	int fd;

	SKIP_IF(client_try(&c, "fuse_client32"));
	fd = client_open(&c, S, O_RDWR);
	for (i = 0; i < 2; i++) {
		call_start(&c, CLIENT_IOCTL, fd, 0x1234);
		r = take(S, FUSE_IOCTL);
		ASSERT_EQ(flags, r->ioctl.flags);
		a.iov[0] = bad[i].iov;
		ask(S, r, &a, 1, 0);
		ASSERT_EQ(bad[i].ret, call_end(&c));
	}
	client_send(&c, CLIENT_IOCTL, (int64_t[7]){ fd, 0x1234 }, "word", 4, -1);
	r = take(S, FUSE_IOCTL);
	a.iov[0] = (struct fuse_ioctl_iovec){ r->ioctl.arg, 4 };
	ask(S, r, &a, 1, 0);
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(flags, r->ioctl.flags);
	ASSERT_EQ(0, memcmp("word", AFTER(r, struct fuse_ioctl_in), 4));
	ASSERT_EQ(0, reply(S, r, &result, sizeof(result)));
	ASSERT_EQ(9, call_end(&c));
	client_exit(&c);
}

/* Before 7.16, iovecs were those of the server's own word size */
CUSE_OP_FIXTURE(old, .manual_init = true, .keep = CUSE_INIT,
		.max_write = 8192);

FUSE_TEST(old, retry)
{
	struct {
		struct cuse_init_out out;
		char info[64];
	} init = {
		.out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = 15,
			.flags = CUSE_UNRESTRICTED_IOCTL,
			.max_read = 8192,
			.max_write = 8192,
		},
	};
	struct ioctl_answer a = { .out = { .flags = FUSE_IOCTL_RETRY } };
	struct request *r;
	struct client c;
	int64_t mem;
	int fd, len;

	len = snprintf(init.info, sizeof(init.info), "DEVNAME=%s", S->name) + 1;
	ASSERT_EQ(0, reply(S, take(S, CUSE_INIT), &init, sizeof(init.out) + len));
	ASSERT_EQ(NULL, cuse_node(S));

	mem = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(4, call_data(C, CLIENT_POKE, "word", 4, mem));
	fd = client_open(C, S, O_RDWR);
	sys_start(C, SYS_ioctl, fd, 0x1234, mem);
	a.out.in_iovs = 1;
	a.old[0] = (struct iovec){ (void *)(uintptr_t)mem, 4 };
	ASSERT_EQ(0, reply(S, take(S, FUSE_IOCTL), &a,
			   sizeof(a.out) + sizeof(a.old[0])));
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(0, memcmp("word", AFTER(r, struct fuse_ioctl_in), 4));
	ASSERT_EQ(0, reply(S, r, &result, sizeof(result)));
	ASSERT_EQ(9, call_end(C));
	/* neither */
	start_ioctl(S, C, fd);
	ASSERT_EQ(0, reply(S, take(S, FUSE_IOCTL), &a, sizeof(a.out) + 7));
	ASSERT_EQ(-EIO, call_end(C));
	/* a 32-bit server has not thought of 64-bit processes */
	start_ioctl(S, C, fd);
	ASSERT_EQ(0, reply(S, take(S, FUSE_IOCTL), &a,
			   sizeof(a.out) + sizeof(a.old32[0])));
	ASSERT_EQ(sizeof(long) == 8 ? -EINVAL : -EIO, call_end(C));

	if (client_try(&c, "fuse_client32"))
		return;
	fd = client_open(&c, S, O_RDWR);
	client_send(&c, CLIENT_IOCTL, (int64_t[7]){ fd, 0x1234 }, "word", 4, -1);
	r = take(S, FUSE_IOCTL);
	a.old32[0].base = r->ioctl.arg;
	a.old32[0].len = 4;
	ASSERT_EQ(0, reply(S, r, &a, sizeof(a.out) + sizeof(a.old32[0])));
	r = take(S, FUSE_IOCTL);
	ASSERT_EQ(0, memcmp("word", AFTER(r, struct fuse_ioctl_in), 4));
	ASSERT_EQ(0, reply(S, r, &result, sizeof(result)));
	ASSERT_EQ(9, call_end(&c));
	client_exit(&c);
}

TEST_HARNESS_MAIN
