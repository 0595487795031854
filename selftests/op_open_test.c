// SPDX-License-Identifier: GPL-2.0
/* OPEN, FLUSH, RELEASE, and what the flags of an open file mean */
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

FUSE_OP_FIXTURE(open);
VIRTIOFS_VARIANT(open);

static int open_how = O_RDWR;

static void start_open(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_openat, AT_FDCWD, str(c, s->path), open_how, 0600);
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

/* RELEASE comes from nobody in particular */
FUSE_TEST(open, released_by_nobody)
{
	struct request *r;
	int fd;

	if (S->transport == &virtiofs_transport)
		SKIP(return, "virtiofs waits for RELEASE");
	needs_mended(S, "requests that name no user name a process");
	fd = client_open(C, S, O_RDONLY);
	S->manual = 1ULL << FUSE_RELEASE;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	r = take(S, FUSE_RELEASE);
	EXPECT_EQ(0, r->h.uid);
	EXPECT_EQ(0, r->h.gid);
	EXPECT_EQ(0, r->h.pid);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
}

/* The server is not told of the flags that are not its business */
FUSE_TEST(open, fields)
{
	static const int how[] = {
		O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND | O_NONBLOCK,
		O_RDWR | O_CREAT | O_NOCTTY, O_RDONLY | O_SYNC, O_RDWR | O_DIRECT,
	};
	const struct fuse_release_in *out;
	struct request *r;
	uint32_t flags;
	size_t i;
	int fd;

	if (S->transport == &virtiofs_transport)
		SKIP(return, "virtiofs waits for RELEASE");
	/* it knows the file */
	ASSERT_EQ(0, sys(C, SYS_close, client_open(C, S, O_RDONLY)));
	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		open_how = how[i];
		r = op_begin(S, C, -1, &open_op);
		flags = BODY(r, struct fuse_open_in)->flags;
		ASSERT_EQ(how[i] & ~(O_CREAT | O_NOCTTY),
			  flags & ~0100000 /* O_LARGEFILE */);
		ASSERT_EQ(0, BODY(r, struct fuse_open_in)->open_flags);
		ASSERT_EQ(0, reply(S, r, &opened, sizeof(opened)));
		fd = call_end(C);
		ASSERT_LE(0, fd);

		/* a copy is not another file */
		S->manual = 1ULL << FUSE_RELEASE;
		ASSERT_EQ(fd + 1, sys(C, SYS_dup, fd));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
		server_quiet(S);
		/* nobody waits for the reply */
		ASSERT_EQ(0, sys(C, SYS_close, fd + 1));
		r = op_take(S, NULL, FUSE_RELEASE, 0, 0);
		out = BODY(r, struct fuse_release_in);
		ASSERT_EQ(sizeof(*out), BODY_LEN(r));
		ASSERT_EQ(opened.fh, out->fh);
		ASSERT_EQ(flags & ~(O_CREAT | O_NOCTTY),
			  out->flags & ~(O_CREAT | O_NOCTTY));
		ASSERT_EQ(0, out->release_flags);
		ASSERT_EQ(0, out->lock_owner);
		/* whatever it says */
		ASSERT_EQ(0, i & 1 ? reply_error(S, r, -EIO) :
				     reply(S, r, NULL, 0));
		S->manual = 0;
	}
}

FUSE_TEST(open, replies)
{
	struct request *r;
	int fd;

	fd = client_open(C, S, O_RDONLY);
	open_how = O_RDWR;
	all_replies(S, C, -1, &open_op);

	/* a stale handle: the name is looked up anew, once */
	start_open(S, C, -1);
	r = take(S, FUSE_OPEN);
	ASSERT_EQ(0, reply_error(S, r, -ESTALE));
	r = take(S, FUSE_OPEN);
	ASSERT_EQ(0, reply_error(S, r, -ESTALE));
	ASSERT_EQ(-ESTALE, call_end(C));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
}

/* A server without FUSE_OPEN: it is not told of releases either */
FUSE_TEST(open, enosys)
{
	struct request *r;
	int fd;

	ASSERT_EQ(-ENOENT, sys(C, SYS_access, path(C, S, "no"), F_OK));
	r = op_begin(S, C, -1, &open_op);
	ASSERT_EQ(0, reply_error(S, r, -ENOSYS));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	sys_start(C, SYS_fsync, fd);
	r = take(S, FUSE_FSYNC);
	ASSERT_EQ(0, BODY(r, struct fuse_fsync_in)->fh);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	S->manual = 1ULL << FUSE_OPEN | 1ULL << FUSE_RELEASE;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	/* its pages are kept, and it can be mapped */
	S->io = true;
	ASSERT_LT(0, call(C, CLIENT_MMAP, 0, 4096, RW, MAP_SHARED, fd, 0));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
}

static void start_flush(struct server *s, struct client *c, int fd)
{
	fd = sys(c, SYS_dup, fd);
	sys_start(c, SYS_close, fd);
}

static const struct op_call flush_op = {
	.opcode = FUSE_FLUSH,
	.start = start_flush,
	.in_len = sizeof(struct fuse_flush_in),
};

FUSE_TEST(open, flush)
{
	int fd = client_open(C, S, O_RDWR);
	const struct fuse_flush_in *in;
	struct client other;
	struct request *r;
	uint64_t owner;

	r = op_begin(S, C, fd, &flush_op);
	in = BODY(r, struct fuse_flush_in);
	ASSERT_EQ(S->fh, in->fh);
	ASSERT_EQ(0, in->unused);
	ASSERT_EQ(0, in->padding);
	owner = in->lock_owner;
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	all_replies(S, C, fd, &flush_op);

	/* another process is another owner */
	client_fork(C, &other);
	r = op_begin(S, &other, fd, &flush_op);
	ASSERT_NE(owner, BODY(r, struct fuse_flush_in)->lock_owner);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, client_wait(&other));
	client_exit(&other);

	answer_op(S, C, fd, &flush_op, -ENOSYS, 0);
	S->manual = 1ULL << FUSE_FLUSH;
	start_flush(S, C, fd);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
}

FUSE_TEST(open, noflush)
{
	int fd;

	S->open_flags = FOPEN_NOFLUSH;
	fd = client_open(C, S, O_RDWR);
	S->manual = 1ULL << FUSE_FLUSH;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
}

/* Reading at no given position: the positions that the server is asked for */
static void check_positions(struct server *s, struct client *c, int fd,
			    uint64_t second)
{
	struct request *r;
	int i;

	for (i = 0; i < 2; i++) {
		sys_start(c, SYS_read, fd, ARG(0), 100);
		r = take(s, FUSE_READ);
		NEED(r->read.offset == (i ? second : 0));
		NEED(r->read.size == 100);
		reply(s, r, s->path, 100);
		NEED(call_end(c) == 100);
	}
}

FUSE_TEST(open, seekable)
{
	static const struct {
		uint32_t flags;
		int64_t seek;	/* and pread */
		uint64_t second;
	} how[] = {
		{ FOPEN_DIRECT_IO, 0, 100 },
		{ FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE, -ESPIPE, 100 },
		{ FOPEN_DIRECT_IO | FOPEN_STREAM, -ESPIPE, 0 },
		{ FOPEN_DIRECT_IO | FOPEN_STREAM | FOPEN_NONSEEKABLE, -ESPIPE, 0 },
	};
	size_t i;
	int fd;

	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		S->open_flags = how[i].flags;
		fd = client_open(C, S, O_RDWR);
		ASSERT_LE(0, fd);
		check_positions(S, C, fd, how[i].second);
		ASSERT_EQ(how[i].seek, sys(C, SYS_lseek, fd, 0, SEEK_SET));
		if (how[i].seek)
			ASSERT_EQ(-ESPIPE, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
	}
}

/* What is cached stays for the next open file, or does not */
FUSE_TEST(open, keep_cache)
{
	char *page = calloc(1, getpagesize());
	struct request *r;
	int fd, i;

	fd = client_open(C, S, O_RDWR);
	for (i = 0; i < 2; i++) {
		strcpy(page, "old");
		ASSERT_EQ(0, store(S, S->ino, 0, page, getpagesize()));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
		S->open_flags = i ? 0 : FOPEN_KEEP_CACHE;
		fd = client_open(C, S, O_RDWR);
		sys_start(C, SYS_pread64, fd, ARG(0), 4, 0);
		if (i) {
			r = take(S, FUSE_READ);
			strcpy(page, "new");
			ASSERT_EQ(0, reply(S, r, page, r->read.size));
		}
		ASSERT_EQ(4, call_end(C));
		ASSERT_STREQ(i ? "new" : "old", out(C, ARG(0)));
	}
	free(page);
}

/* O_TRUNC, without FUSE_ATOMIC_O_TRUNC: a FUSE_SETATTR of its own */
FUSE_TEST(open, truncate)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	const struct fuse_setattr_in *in;
	struct request *r;
	int fd;

	start_open(S, C, open_how = O_RDWR | O_TRUNC);
	r = take(S, FUSE_OPEN);
	ASSERT_EQ(0, BODY(r, struct fuse_open_in)->flags & O_TRUNC);
	ASSERT_EQ(0, reply(S, r, &opened, sizeof(opened)));
	r = op_take(S, C, FUSE_SETATTR, 0, sizeof(*in));
	in = BODY(r, struct fuse_setattr_in);
	ASSERT_EQ(FATTR_SIZE, in->valid & FATTR_SIZE);
	ASSERT_EQ(0, in->size);
	op_attr(&out.attr, S->ino, S_IFREG | 0666, 0);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	fd = call_end(C);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, cached_size(C, fd));
}

FUSE_OP_FIXTURE(atomic, .init_flags = FUSE_ATOMIC_O_TRUNC |
				      FUSE_HANDLE_KILLPRIV_V2);
VIRTIOFS_VARIANT(atomic);

FUSE_TEST(atomic, truncate)
{
	const struct fuse_open_in *in;
	struct request *r;
	int fd, i;

	fd = client_open(C, S, O_RDONLY);
	open_how = O_RDWR | O_TRUNC;
	for (i = 0; i < 2; i++) {
		/* without the capability, S_ISUID must go */
		if (i)
			HERE(client_drop_cap(C, CAP_FSETID));
		r = op_begin(S, C, -1, &open_op);
		in = BODY(r, struct fuse_open_in);
		ASSERT_EQ(O_TRUNC, in->flags & O_TRUNC);
		ASSERT_EQ(i ? FUSE_OPEN_KILL_SUIDGID : 0, in->open_flags);
		ASSERT_EQ(0, i ? reply_error(S, r, -EPERM) :
				 reply(S, r, &opened, sizeof(opened)));
		ASSERT_EQ(i ? -EPERM : fd + 1, call_end(C));
		ASSERT_EQ(0, cached_size(C, fd));
	}
}

/* The same with data that is not written yet */
FUSE_OP_FIXTURE(atomic_writeback, .init_flags = FUSE_ATOMIC_O_TRUNC |
						FUSE_WRITEBACK_CACHE);
VIRTIOFS_VARIANT(atomic_writeback);

FUSE_TEST(atomic_writeback, truncate)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	struct request *r;
	int fd;

	fd = client_open(C, S, O_RDWR);
	ASSERT_EQ(4096, sys(C, SYS_pwrite64, fd, ARG(0), 4096, 0));
	open_how = O_RDWR | O_TRUNC;
	r = op_begin(S, C, -1, &open_op);
	ASSERT_EQ(0, reply(S, r, &opened, sizeof(opened)));
	ASSERT_LE(0, call_end(C));
	ASSERT_EQ(0, cached_size(C, fd));
	/* nothing is left to be written but times */
	sys_start(C, SYS_fsync, fd);
	r = take(S, FUSE_SETATTR);
	ASSERT_EQ(FATTR_MTIME | FATTR_CTIME,
		  BODY(r, struct fuse_setattr_in)->valid & ~FATTR_FH);
	op_attr(&out.attr, S->ino, S_IFREG | 0666, 0);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(0, call_end(C));
}

/* The server changed its mind on what this is: nobody uses it any more */
FUSE_TEST(open, bad_inode)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	struct request *r;
	int64_t addr;
	int fd;

	fd = client_open(C, S, O_RDWR);
	addr = call(C, CLIENT_MMAP, 0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_LT(0, addr);
	ASSERT_EQ(0, inval(S, S->ino, -1, 0));
	sys_start(C, SYS_fstat, fd, ARG(0));
	r = take(S, FUSE_GETATTR);
	op_attr(&out.attr, S->ino, S_IFDIR | 0755, 0);
	ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
	ASSERT_EQ(-EIO, call_end(C));
	ASSERT_EQ(-EIO, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	ASSERT_EQ(-EIO, sys(C, SYS_pwrite64, fd, str(C, "x"), 1, 0));
	ASSERT_EQ(-EIO, sys(C, SYS_fsync, fd));
	ASSERT_EQ(-EIO, sys(C, SYS_ioctl, fd, 1234, 0));
	ASSERT_EQ(CLIENT_FAULT(SIGBUS), call(C, CLIENT_PEEK, addr, 1));
	ASSERT_EQ(-EIO, sys(C, SYS_close, fd));
}

TEST_HARNESS_MAIN
