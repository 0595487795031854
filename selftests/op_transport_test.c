// SPDX-License-Identifier: GPL-2.0
/* The ways that requests and replies travel */
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_DATA_FIXTURE(transport);

/* The transport is the one that it is said to be, and carries all kinds */
FUSE_TEST(transport, request)
{
	bool ring = variant->transport->init_flags & FUSE_OVER_IO_URING;
	struct fuse_entry_out out = {
		.nodeid = 3,
		.attr = { .ino = 3, .mode = S_IFDIR | 0755, .nlink = 2 },
	};
	enum bad_reply how;
	struct request *r;
	int err;

	for (how = 0; how < BAD_REPLIES; how++) {
		sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir"), 0751);
		r = take(S, FUSE_MKDIR);
		ASSERT_EQ(ring, !!r->from);
		ASSERT_EQ(FUSE_ROOT_ID, r->h.nodeid);
		ASSERT_EQ(sizeof(struct fuse_mkdir_in) + 4, BODY_LEN(r));
		ASSERT_EQ(0751, BODY(r, struct fuse_mkdir_in)->mode);
		ASSERT_STREQ("dir", AFTER(r, struct fuse_mkdir_in));
		err = reply_bad(S, r, how, &out, sizeof(out));
		ASSERT_EQ(err, call_end(C));
	}
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir"), 0751);
	r = take(S, FUSE_MKDIR);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
}

FUSE_TEST(transport, read_write)
{
	size_t len = 3 * getpagesize() / 2, i;
	struct fuse_write_out written = { .size = len };
	struct request *r;
	char *data;
	int fd;

	S->open_flags = FOPEN_DIRECT_IO | FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	data = malloc(len);
	for (i = 0; i < len; i++)
		data[i] = i * 7 + i / 256;

	sys_start(C, SYS_pwrite64, fd, in(C, data, len), len, 0);
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(len, r->write.size);
	ASSERT_EQ(0, memcmp(data, AFTER(r, struct fuse_write_in), len));
	ASSERT_EQ(0, reply(S, r, &written, sizeof(written)));
	ASSERT_EQ(len, call_end(C));

	sys_start(C, SYS_pread64, fd, ARG(0), len, 0);
	r = take(S, FUSE_READ);
	ASSERT_EQ(len, r->read.size);
	ASSERT_EQ(0, reply(S, r, data, len));
	ASSERT_EQ(len, call_end(C));
	ASSERT_EQ(0, memcmp(data, out(C, ARG(0)), len));

	/* through the page cache */
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	S->open_flags = FOPEN_IO_URING_ZERO_COPY;
	fd = client_open(C, S, O_RDWR);
	sys_start(C, SYS_pread64, fd, ARG(0), len, 0);
	r = take(S, FUSE_READ);
	free(data);
	data = calloc(1, r->read.size);
	for (i = 0; i < r->read.size; i++)
		data[i] = i * 5 + i / 256;
	ASSERT_EQ(0, reply(S, r, data, r->read.size));
	if (r->read.size < len) {
		r = take(S, FUSE_READ);
		ASSERT_EQ(0, reply(S, r, data, r->read.size));
	}
	ASSERT_EQ(len, call_end(C));
	ASSERT_EQ(0, memcmp(data, out(C, ARG(0)), getpagesize()));
	ASSERT_EQ(variant->transport == &uring_zero_copy_transport,
		  S->zero_copied > 2);
	free(data);
}

TEST_HARNESS_MAIN
