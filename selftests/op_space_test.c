// SPDX-License-Identifier: GPL-2.0
/* FSYNC, FALLOCATE, LSEEK and both forms of COPY_FILE_RANGE */
#define _GNU_SOURCE
#include <linux/falloc.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

FUSE_OP_FIXTURE(space);
VIRTIOFS_VARIANT(space);

#define OTHER_INO	3
#define SIZE		((uint64_t)FILE_PAGES * getpagesize())

static void start_fsync(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_fsync, fd);
}

FUSE_TEST(space, fsync)
{
	static const struct op_call op = {
		.opcode = FUSE_FSYNC,
		.start = start_fsync,
		.in_len = sizeof(struct fuse_fsync_in),
	};
	int fd = client_open(C, S, O_RDWR), datasync;
	struct request *r;

	for (datasync = 0; datasync < 2; datasync++) {
		sys_start(C, datasync ? SYS_fdatasync : SYS_fsync, fd);
		r = op_take(S, C, FUSE_FSYNC, 0, op.in_len);
		ASSERT_EQ(S->fh, BODY(r, struct fuse_fsync_in)->fh);
		ASSERT_EQ(datasync ? FUSE_FSYNC_FDATASYNC : 0,
			  BODY(r, struct fuse_fsync_in)->fsync_flags);
		ASSERT_EQ(0, BODY(r, struct fuse_fsync_in)->padding);
		reply(S, r, NULL, 0);
		ASSERT_EQ(0, call_end(C));
	}
	all_replies(S, C, fd, &op);
	answer_op(S, C, fd, &op, -ENOSYS, 0);
	/* nobody is asked again */
	S->manual = 1ULL << FUSE_FSYNC;
	ASSERT_EQ(0, sys(C, SYS_fsync, fd));
	ASSERT_EQ(0, sys(C, SYS_fdatasync, fd));
}

static void start_lseek(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_lseek, fd, 4711, SEEK_HOLE);
}

FUSE_TEST(space, lseek)
{
	static const struct fuse_lseek_out out = { .offset = 9999 };
	static const struct op_call op = {
		.opcode = FUSE_LSEEK,
		.start = start_lseek,
		.in_len = sizeof(struct fuse_lseek_in),
		.out = &out,
		.len = sizeof(out),
		.ret = 9999,
	};
	struct fuse_lseek_out far;
	struct request *r;
	int fd, i;

	fd = client_open(C, S, O_RDWR);
	for (i = 0; i < 2; i++) {
		sys_start(C, SYS_lseek, fd, 7, i ? SEEK_DATA : SEEK_HOLE);
		r = op_take(S, C, FUSE_LSEEK, 0, op.in_len);
		ASSERT_EQ(S->fh, BODY(r, struct fuse_lseek_in)->fh);
		ASSERT_EQ(7, BODY(r, struct fuse_lseek_in)->offset);
		ASSERT_EQ(i ? SEEK_DATA : SEEK_HOLE,
			  BODY(r, struct fuse_lseek_in)->whence);
		ASSERT_EQ(0, BODY(r, struct fuse_lseek_in)->padding);
		ASSERT_EQ(0, reply_error(S, r, -ENXIO));
		ASSERT_EQ(-ENXIO, call_end(C));
	}
	all_replies(S, C, fd, &op);
	ASSERT_EQ(9999, sys(C, SYS_lseek, fd, 0, SEEK_CUR));

	/* where no offset can be */
	far.offset = -5ULL;
	for (i = 0; i < 2; i++) {
		start_lseek(S, C, fd);
		r = take(S, FUSE_LSEEK);
		ASSERT_EQ(0, reply(S, r, &far, sizeof(far)));
		ASSERT_EQ(-EINVAL, call_end(C));
	}
	ASSERT_EQ(9999, sys(C, SYS_lseek, fd, 0, SEEK_CUR));

	/* without the server: all is data, up to a size that it is asked for */
	answer_op(S, C, fd, &op, -ENOSYS, SIZE);
	ASSERT_EQ(4711, sys(C, SYS_lseek, fd, 4711, SEEK_DATA));
	ASSERT_EQ(-ENXIO, sys(C, SYS_lseek, fd, SIZE, SEEK_DATA));
	ASSERT_EQ(11, sys(C, SYS_lseek, fd, 11, SEEK_SET));
	ASSERT_EQ(SIZE - 1, sys(C, SYS_lseek, fd, -1, SEEK_END));
}

/* SEEK_END and, without FUSE_LSEEK, SEEK_HOLE want to know the size */
FUSE_TEST(space, lseek_size)
{
	int fd = client_open(C, S, O_RDWR);
	struct request *r;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, inval(S, S->ino, -1, 0));
		sys_start(C, SYS_lseek, fd, 0, i == 2 ? SEEK_HOLE : SEEK_END);
		if (i == 2) {
			r = take(S, FUSE_LSEEK);
			ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
		}
		if (i == 1) {
			take_getattr(S, S->ino, 123456);
			ASSERT_EQ(123456, call_end(C));
			continue;
		}
		r = take(S, FUSE_GETATTR);
		ASSERT_EQ(0, reply_error(S, r, -EACCES));
		ASSERT_EQ(-EACCES, call_end(C));
	}
}

static void start_fallocate(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_fallocate, fd, 0, 100, 200);
}

static const struct op_call fallocate_op = {
	.opcode = FUSE_FALLOCATE,
	.start = start_fallocate,
	.in_len = sizeof(struct fuse_fallocate_in),
};

FUSE_TEST(space, fallocate)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	static const int refused[] = {
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_PUNCH_HOLE,
	};
	uint64_t page = getpagesize(), size = SIZE;
	const struct fuse_fallocate_in *in;
	struct rlimit limit = { .rlim_cur = 4 * SIZE, .rlim_max = 4 * SIZE };
	struct request *r;
	char *data;
	size_t i;
	int fd;

	data = calloc(1, page);
	fd = client_open(C, S, O_RDWR);
	for (i = 0; i < 5; i++) {
		bool grows = !(modes[i] & FALLOC_FL_KEEP_SIZE);
		bool clears = modes[i] & ~FALLOC_FL_KEEP_SIZE;

		/* the last page of the file is in the cache */
		ASSERT_EQ(0, store(S, S->ino, size - page, data, page));
		sys_start(C, SYS_fallocate, fd, modes[i], size - page, 3 * page);
		r = op_take(S, C, FUSE_FALLOCATE, 0, sizeof(*in));
		in = BODY(r, struct fuse_fallocate_in);
		ASSERT_EQ(S->fh, in->fh);
		ASSERT_EQ(size - page, in->offset);
		ASSERT_EQ(3 * page, in->length);
		ASSERT_EQ(modes[i], in->mode);
		ASSERT_EQ(0, in->padding);
		ASSERT_EQ(0, reply(S, r, NULL, 0));
		ASSERT_EQ(0, call_end(C));
		if (grows)
			size += 2 * page;
		ASSERT_EQ(size, cached_size(C, fd));

		/* and is not any more, if its content has changed */
		sys_start(C, SYS_pread64, fd, ARG(0), 16,
			  (grows ? size - 2 * page : size) - page);
		if (clears) {
			r = take(S, FUSE_READ);
			ASSERT_EQ(0, reply(S, r, data, r->read.size));
		}
		ASSERT_EQ(16, call_end(C));
	}
	free(data);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(-EOPNOTSUPP,
			  sys(C, SYS_fallocate, fd, refused[i], 0, page));

	all_replies(S, C, fd, &fallocate_op);
	ASSERT_EQ(size, cached_size(C, fd));

	/* what may not be so long, the server is not asked for */
	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGXFSZ, 0));
	ASSERT_EQ(0, sys(C, SYS_prlimit64, 0, RLIMIT_FSIZE,
			 in(C, &limit, sizeof(limit)), 0));
	ASSERT_EQ(-EFBIG, sys(C, SYS_fallocate, fd, 0, 4 * SIZE, page));
	sys_start(C, SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 4 * SIZE, page);
	r = take(S, FUSE_FALLOCATE);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));

	answer_op(S, C, fd, &fallocate_op, -ENOSYS, -EOPNOTSUPP);
	ASSERT_EQ(-EOPNOTSUPP, sys(C, SYS_fallocate, fd, 0, 100, 200));
}

/* The file that client_open() opens is the source, from 4096 to 12288 */
static int copy_target;

static void start_copy(struct server *s, struct client *c, int fd)
{
	int64_t from = 4096, to = 12288;

	sys_start(c, SYS_copy_file_range, fd, in(c, &from, sizeof(from)),
		  copy_target, in(c, &to, sizeof(to)), 100, 0);
}

static const struct fuse_copy_file_range_out copied_64 = { .bytes_copied = 60 };
static const struct op_call copy_64_op = {
	.opcode = FUSE_COPY_FILE_RANGE_64,
	.start = start_copy,
	.in_len = sizeof(struct fuse_copy_file_range_in),
	.out = &copied_64,
	.len = sizeof(copied_64),
	.ret = 60,
};

static const struct fuse_write_out copied = { .size = 70 };
static const struct op_call copy_op = {
	.opcode = FUSE_COPY_FILE_RANGE,
	.start = start_copy,
	.in_len = sizeof(struct fuse_copy_file_range_in),
	.out = &copied,
	.len = sizeof(copied),
	.ret = 70,
};

static void check_copy(struct server *s, struct request *r, uint64_t fh_in,
		       uint64_t len)
{
	const struct fuse_copy_file_range_in *in =
		BODY(r, struct fuse_copy_file_range_in);

	NEED(in->fh_in == fh_in);
	NEED(in->off_in == 4096);
	NEED(in->nodeid_out == OTHER_INO);
	NEED(in->fh_out == s->fh);
	NEED(in->off_out == 12288);
	NEED(in->len == len);
	NEED(in->flags == 0);
}

FUSE_TEST(space, copy_file_range)
{
	struct fuse_copy_file_range_out much = { .bytes_copied = 101 };
	struct fuse_write_out much_old = { .size = 101 };
	struct request *r;
	uint64_t fh_in;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDWR);
	fh_in = S->fh;
	copy_target = op_open(S, C, "other", OTHER_INO, 12288, O_RDWR);

	r = op_begin(S, C, fd, &copy_64_op);
	check_copy(S, r, fh_in, 100);
	ASSERT_EQ(0, reply(S, r, &copied_64, sizeof(copied_64)));
	ASSERT_EQ(60, call_end(C));
	ASSERT_EQ(12288 + 60, cached_size(C, copy_target));
	all_replies(S, C, fd, &copy_64_op);
	start_copy(S, C, fd);
	r = take(S, FUSE_COPY_FILE_RANGE_64);
	ASSERT_EQ(0, reply(S, r, &much, sizeof(much)));
	ASSERT_EQ(-EIO, call_end(C));

	/* nothing copied is nothing changed */
	start_copy(S, C, fd);
	much.bytes_copied = 0;
	r = take(S, FUSE_COPY_FILE_RANGE_64);
	ASSERT_EQ(0, reply(S, r, &much, sizeof(much)));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(12288 + 60, cached_size(C, copy_target));

	/* the older form, in the same call and ever after */
	start_copy(S, C, fd);
	r = take(S, FUSE_COPY_FILE_RANGE_64);
	ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
	r = op_take(S, C, FUSE_COPY_FILE_RANGE, 0, copy_op.in_len);
	check_copy(S, r, fh_in, 100);
	ASSERT_EQ(0, reply(S, r, &copied, sizeof(copied)));
	ASSERT_EQ(70, call_end(C));
	ASSERT_EQ(12288 + 70, cached_size(C, copy_target));
	all_replies(S, C, fd, &copy_op);
	start_copy(S, C, fd);
	r = take(S, FUSE_COPY_FILE_RANGE);
	ASSERT_EQ(0, reply(S, r, &much_old, sizeof(much_old)));
	ASSERT_EQ(-EIO, call_end(C));

	/* neither: the kernel copies by FUSE_READ and FUSE_WRITE */
	answer_op(S, C, fd, &copy_op, -ENOSYS, 100);
	start_copy(S, C, fd);
	ASSERT_EQ(100, call_end(C));
}

/* Lengths that have no room in 32 bits are for the newer form */
FUSE_TEST(space, copy_long)
{
	uint64_t huge = 6ULL << 30;
	int64_t from = 4096, to = 12288;
	struct request *r;
	uint64_t fh_in;
	int fd;

	fd = op_open(S, C, "huge", 7, huge, O_RDWR);
	fh_in = S->fh;
	copy_target = op_open(S, C, "other", OTHER_INO, 0, O_RDWR);
	sys_start(C, SYS_copy_file_range, fd, in(C, &from, 8), copy_target,
		  in(C, &to, 8), huge - 4096, 0);
	r = op_take(S, C, FUSE_COPY_FILE_RANGE_64, 7, copy_op.in_len);
	check_copy(S, r, fh_in, huge - 4096);
	ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
	r = op_take(S, C, FUSE_COPY_FILE_RANGE, 7, copy_op.in_len);
	check_copy(S, r, fh_in, UINT32_MAX & ~(getpagesize() - 1ULL));
	ASSERT_EQ(0, reply(S, r, &copied, sizeof(copied)));
	ASSERT_EQ(70, call_end(C));
}

/* What was cached of the target is read anew; dirty data comes first */
FUSE_TEST(space, copy_cache)
{
	struct fuse_copy_file_range_out out = { .bytes_copied = 100 };
	char old[32] = "old";
	struct request *r;
	char *page;
	int fd;

	page = calloc(1, SIZE);
	fd = client_open(C, S, O_RDWR);
	copy_target = op_open(S, C, "other", OTHER_INO, SIZE, O_RDWR);
	ASSERT_EQ(0, store(S, OTHER_INO, 12288, page, getpagesize()));
	ASSERT_EQ(sizeof(old), sys(C, SYS_pread64, copy_target, ARG(0),
				   sizeof(old), 12288));
	start_copy(S, C, fd);
	r = take(S, FUSE_COPY_FILE_RANGE_64);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(100, call_end(C));
	sys_start(C, SYS_pread64, copy_target, ARG(0), sizeof(old), 12288);
	r = op_take(S, C, FUSE_READ, OTHER_INO, sizeof(r->read));
	strcpy(page, "new");
	ASSERT_EQ(0, reply(S, r, page, r->read.size));
	ASSERT_EQ(sizeof(old), call_end(C));
	ASSERT_STREQ("new", out(C, ARG(0)));
	free(page);
}

/* Between file systems the kernel copies, and asks neither server to */
FUSE_TEST(space, copy_across)
{
	struct server there = { .transport = variant->transport, .io = true };
	int fd, to;

	if (S->transport == &virtiofs_transport)
		SKIP(return, "one server at a time");
	S->io = true;
	ASSERT_EQ(NULL, server_start(&there));
	fd = client_open(C, S, O_RDWR);
	to = client_open(C, &there, O_RDWR);
	ASSERT_EQ(100, sys(C, SYS_copy_file_range, fd, 0, to, 0, 100, 0));
	client_exit(C);
	server_stop(&there);
}

TEST_HARNESS_MAIN
