// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE_INIT: how the kernel and the server come to terms, and that all that the
 * kernel was told has the effect that it should.
 */
#include "../../kselftest_harness.h"
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fuse_fixture.h"

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID	0x200
#endif

#define DIR_INO		3
#define LINK_INO	4

FUSE_DEV_FIXTURE(init, .manual_init = true, .options = "allow_other");

static struct fuse_init_out good_answer(uint64_t flags)
{
	flags |= FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_BIG_WRITES;
	return (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.flags = flags,
		.flags2 = flags >> 32,
		.max_background = 16,
		.congestion_threshold = 12,
		.max_write = 32 * getpagesize(),
		.max_pages = 32,
	};
}

static void answer_init(struct server *s, const struct fuse_init_out *out)
{
	if (reply(s, server_take(s, FUSE_INIT), out, sizeof(*out)))
		fail("reply to FUSE_INIT");
}

static void answer_flags(struct server *s, uint64_t flags)
{
	struct fuse_init_out out = good_answer(flags);

	answer_init(s, &out);
}

static int64_t stat_of(struct client *c, struct server *s, const char *name)
{
	return sys(c, SYS_newfstatat, AT_FDCWD, path(c, s, name), ARG(0), 0);
}

/* The connection is there, or was never made */
static int64_t stat_root(struct client *c, struct server *s)
{
	return stat_of(c, s, "");
}

/* A number in a file of fusectl */
static long control(struct server *s, const char *name)
{
	char text[32];

	if (read_text(server_control(s, name), text, sizeof(text)) < 0)
		fail("no %s", name);
	return atol(text);
}

FUSE_TEST(init, request)
{
	struct request *r = take(S, FUSE_INIT);
	const struct fuse_init_in *in = BODY(r, struct fuse_init_in);
	uint64_t offered = in->flags | (uint64_t)in->flags2 << 32;
	uint64_t all = FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC |
		FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK |
		FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ |
		FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA |
		FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
		FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT |
		FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL |
		FUSE_ABORT_ERROR | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |
		FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |
		FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT |
		FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP |
		FUSE_HAS_EXPIRE_ONLY | FUSE_DIRECT_IO_ALLOW_MMAP |
		FUSE_NO_EXPORT_SUPPORT | FUSE_HAS_RESEND | FUSE_ALLOW_IDMAP |
		FUSE_REQUEST_TIMEOUT;
	struct fuse_init_out out = good_answer(0);
	size_t i;

	EXPECT_EQ(sizeof(*in), BODY_LEN(r));
	EXPECT_NE(0, r->h.unique);
	EXPECT_EQ(0, r->h.unique & 1);
	EXPECT_EQ(0, r->h.total_extlen);
	EXPECT_EQ(FUSE_KERNEL_VERSION, in->major);
	EXPECT_EQ(FUSE_KERNEL_MINOR_VERSION, in->minor);
	EXPECT_LE(getpagesize(), in->max_readahead);
	EXPECT_EQ(all, offered & all);
	/* for virtiofs alone; FUSE_HAS_INODE_DAX comes with CONFIG_FUSE_DAX */
	EXPECT_EQ(0, offered & (FUSE_MAP_ALIGNMENT | FUSE_SUBMOUNTS));
	for (i = 0; i < sizeof(in->unused) / sizeof(in->unused[0]); i++)
		EXPECT_EQ(0, in->unused[i]);

	/* what the client asks for meanwhile, waits */
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	client_sleeps(C);
	EXPECT_FALSE(server_pending(S));
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
}

/* Killed while FUSE_INIT is not answered */
FUSE_TEST(init, killed_client)
{
	struct request *r = take(S, FUSE_INIT);
	struct fuse_init_out out = good_answer(0);

	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	client_sleeps(C);
	client_kill(C, SIGKILL);
	EXPECT_GT(PROMPT_MS, client_gone(C));
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	quiet(S);
}

FIXTURE(init_refused)
{
	struct server s;
	struct client c;
};

FIXTURE_VARIANT(init_refused)
{
	struct fuse_init_out out;
	int error;
	size_t len;
	int told;
};

FIXTURE_SETUP(init_refused)
{
	self->s = (struct server){ .manual_init = true };
	SKIP_IF(fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT));
}

FIXTURE_TEARDOWN(init_refused)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

#define REFUSED(name, ...)						\
FIXTURE_VARIANT_ADD(init_refused, name) { __VA_ARGS__ }

REFUSED(major_lower, .out = { .major = FUSE_KERNEL_VERSION - 1, .minor = 99 },
	.len = sizeof(struct fuse_init_out));
REFUSED(major_higher, .out = { .major = FUSE_KERNEL_VERSION + 1 },
	.len = sizeof(struct fuse_init_out));
REFUSED(major_only, .out = { .major = FUSE_KERNEL_VERSION + 1 }, .len = 4);
REFUSED(error, .error = -EPROTO);
REFUSED(empty, .len = 0);
REFUSED(too_long, .out = { .major = FUSE_KERNEL_VERSION, .minor = 31 },
	.len = sizeof(struct fuse_init_out) + 1, .told = -EINVAL);
REFUSED(idmap_without_permissions,
	.out = { .major = FUSE_KERNEL_VERSION, .minor = 45,
		 .flags = FUSE_INIT_EXT, .flags2 = FUSE_ALLOW_IDMAP >> 32 },
	.len = sizeof(struct fuse_init_out));

FUSE_TEST(init_refused, then_nothing_works)
{
	struct request *r = take(S, FUSE_INIT);
	char data[sizeof(variant->out) + 1] = "";
	int told;

	memcpy(data, &variant->out, sizeof(variant->out));
	if (variant->error)
		told = reply_error(S, r, variant->error);
	else
		told = reply(S, r, data, variant->len);
	EXPECT_EQ(variant->told, told);
	EXPECT_EQ(-ECONNREFUSED, stat_root(C, S));
	quiet(S);
}

/* Who waited for the answer is not sent either */
FUSE_TEST(init, refused_waiter)
{
	struct request *r = take(S, FUSE_INIT);

	needs_mended(S, "who waits for FUSE_INIT is sent when it was refused");
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	client_sleeps(C);
	EXPECT_EQ(0, reply_error(S, r, -EPROTO));
	EXPECT_EQ(-ECONNREFUSED, call_end(C));
	quiet(S);
}

/* Servers of long ago say less, and are told less */
FUSE_TEST(init, minor_3)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = 3 };
	struct request *r = take(S, FUSE_INIT);
	struct fuse_statfs_out statfs = { .st = { .blocks = 77, .bsize = 512 } };
	struct fuse_attr_out attr = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0700 },
	};
	struct fuse_entry_out entry = {
		.nodeid = FILE_INO,
		.attr = { .ino = FILE_INO, .mode = S_IFREG | 0600, .nlink = 1 },
	};
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	struct statfs64 {
		long type, bsize;
		uint64_t blocks;
	} *st;
	int fd;

	EXPECT_EQ(0, reply(S, r, &out, 8));
	S->manual = 1ULL << FUSE_GETATTR | 1ULL << FUSE_LOOKUP |
		    1ULL << FUSE_STATFS;
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	r = take(S, FUSE_GETATTR);
	EXPECT_EQ(0, reply(S, r, &attr, FUSE_COMPAT_ATTR_OUT_SIZE));
	EXPECT_EQ(0, call_end(C));

	sys_start(C, SYS_statfs, path(C, S, ""), ARG(0));
	r = take(S, FUSE_STATFS);
	EXPECT_EQ(0, reply(S, r, &statfs, FUSE_COMPAT_STATFS_SIZE));
	EXPECT_EQ(0, call_end(C));
	st = out(C, ARG(0));
	EXPECT_EQ(77, st->blocks);

	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "file"), O_RDWR);
	r = take(S, FUSE_LOOKUP);
	EXPECT_EQ(0, reply(S, r, &entry, FUSE_COMPAT_ENTRY_OUT_SIZE));
	fd = call_end(C);
	ASSERT_LE(0, fd);

	/* one page at a time, and shorter */
	sys_start(C, SYS_pwrite64, fd, in(C, (char[4097]){}, 4097), 4097, 0);
	r = take(S, FUSE_WRITE);
	EXPECT_EQ(FUSE_COMPAT_WRITE_IN_SIZE + 4096, BODY_LEN(r));
	EXPECT_EQ(4096, r->write.size);
	EXPECT_EQ(0, reply(S, r, &(struct fuse_write_out){ 4096 }, 8));
	r = take(S, FUSE_WRITE);
	EXPECT_EQ(FUSE_COMPAT_WRITE_IN_SIZE + 1, BODY_LEN(r));
	EXPECT_EQ(0, reply(S, r, &(struct fuse_write_out){ 1 }, 8));
	EXPECT_EQ(4097, call_end(C));

	/* no locks on the server */
	EXPECT_EQ(0, sys(C, SYS_fcntl, fd, F_SETLK, in(C, &lock, sizeof(lock))));
	EXPECT_EQ(0, sys(C, SYS_flock, fd, LOCK_EX));
}

FUSE_TEST(init, minor_8)
{
	struct fuse_init_out out = good_answer(FUSE_POSIX_LOCKS |
					       FUSE_EXPORT_SUPPORT);
	struct fuse_entry_out entry = {
		.nodeid = FILE_INO,
		.attr = { .ino = FILE_INO, .mode = S_IFREG | 0600, .nlink = 1 },
	};
	struct request *r;

	out.minor = 8;
	answer_init(S, &out);
	sys_start(C, SYS_mknodat, AT_FDCWD, path(C, S, "new"), S_IFREG | 0600, 0);
	r = take(S, FUSE_MKNOD);
	EXPECT_EQ(FUSE_COMPAT_MKNOD_IN_SIZE + 4, BODY_LEN(r));
	EXPECT_EQ(0, reply(S, r, &entry, FUSE_COMPAT_ENTRY_OUT_SIZE));
	EXPECT_EQ(0, call_end(C));
}

/* Up to 7.22 there was no FUSE_RENAME2, and up to 7.12 no limits */
FUSE_TEST(init, minor_12)
{
	struct fuse_init_out out = good_answer(0);
	long before = control(S, "max_background");
	struct request *r;

	out.minor = 12;
	answer_init(S, &out);
	EXPECT_EQ(0, stat_root(C, S));
	EXPECT_EQ(before, control(S, "max_background"));
	sys_start(C, SYS_renameat2, AT_FDCWD, path(C, S, "file"), AT_FDCWD,
		  path(C, S, "other"), RENAME_NOREPLACE);
	EXPECT_EQ(-EINVAL, call_end(C));
	sys_start(C, SYS_renameat2, AT_FDCWD, path(C, S, "file"), AT_FDCWD,
		  path(C, S, "other"), 0);
	r = take(S, FUSE_RENAME);
	EXPECT_EQ(0, reply(S, r, NULL, 0));
	EXPECT_EQ(0, call_end(C));
}

/* Locks: since 7.17 those of flock(2) have a flag of their own */
FUSE_TEST(init, minor_16)
{
	struct fuse_init_out out = good_answer(FUSE_POSIX_LOCKS);
	struct request *r;
	int fd;

	out.minor = 16;
	answer_init(S, &out);
	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	sys_start(C, SYS_flock, fd, LOCK_EX | LOCK_NB);
	r = take(S, FUSE_SETLK);
	EXPECT_EQ(FUSE_LK_FLOCK, BODY(r, struct fuse_lk_in)->lk_flags);
	EXPECT_EQ(0, reply(S, r, NULL, 0));
	EXPECT_EQ(0, call_end(C));
	S->checked = false;
}

FUSE_TEST(init, minor_higher)
{
	struct fuse_init_out out = good_answer(0);

	out.minor = FUSE_KERNEL_MINOR_VERSION + 100;
	answer_init(S, &out);
	EXPECT_EQ(0, stat_root(C, S));
}

/* What is not there is zero: of 7.22 and before */
FUSE_TEST(init, short_reply)
{
	struct fuse_init_out out = good_answer(0);

	out.minor = 22;
	EXPECT_EQ(0, reply(S, take(S, FUSE_INIT), &out, FUSE_COMPAT_22_INIT_OUT_SIZE));
	EXPECT_EQ(0, stat_root(C, S));
	EXPECT_EQ(16, control(S, "max_background"));
	EXPECT_EQ(12, control(S, "congestion_threshold"));
}

FUSE_TEST(init, no_limits)
{
	long background = control(S, "max_background");
	long congestion = control(S, "congestion_threshold");
	struct fuse_init_out out = good_answer(0);

	out.max_background = out.congestion_threshold = 0;
	answer_init(S, &out);
	EXPECT_EQ(0, stat_root(C, S));
	EXPECT_EQ(background, control(S, "max_background"));
	EXPECT_EQ(congestion, control(S, "congestion_threshold"));
}

/* Sizes of requests */

static uint32_t first_write(struct client *c, struct server *s, size_t len)
{
	struct fuse_write_out out;
	struct request *r;
	size_t done = 0;
	uint32_t first = 0;
	int fd;

	s->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(c, s, O_RDWR);
	if (len > CLIENT_DATA - CLIENT_OUT)
		fail("write of %zu bytes", len);
	sys_start(c, SYS_pwrite64, fd, ARG(0), len, 0);
	while (done < len) {
		r = server_take(s, FUSE_WRITE);
		out = (struct fuse_write_out){ .size = r->write.size };
		first = first ?: r->write.size;
		done += r->write.size;
		reply(s, r, &out, sizeof(out));
	}
	if (call_end(c) != (int64_t)len)
		fail("write");
	return first;
}

FUSE_TEST(init, max_write_too_small)
{
	struct fuse_init_out out = good_answer(0);

	out.max_write = 1;
	answer_init(S, &out);
	EXPECT_EQ(4096, first_write(C, S, 5000));
}

FUSE_TEST(init, max_write)
{
	struct fuse_init_out out = good_answer(0);

	out.max_write = 5000;
	answer_init(S, &out);
	EXPECT_EQ(5000, first_write(C, S, 6000));
}

FUSE_TEST(init, max_pages)
{
	struct fuse_init_out out = good_answer(0);

	out.max_pages = 0;
	answer_init(S, &out);
	EXPECT_GE(getpagesize(), first_write(C, S, getpagesize() + 100));
}

/* Reads of @len bytes that are with the server at a time */
static int reads_at_once(struct client *c, struct server *s, int fd, size_t len)
{
	struct request *r[8];
	char *data = calloc(1, 64 * getpagesize());
	int n = 0, i, at_once = 0;
	size_t done = 0;

	sys_start(c, SYS_pread64, fd, ARG(0), len, 0);
	do {
		r[0] = server_take(s, FUSE_READ);
		/* the others follow soon, or never */
		for (n = 1; n < 8; n++) {
			struct pollfd pfd = { .fd = s->wait_fd, .events = POLLIN };

			if (done + n * r[0]->read.size >= len &&
			    !server_pending(s))
				break;
			if (poll(&pfd, 1, n + at_once ? 300 : 0) != 1)
				break;
			r[n] = server_take(s, FUSE_READ);
		}
		at_once = at_once ?: n;
		for (i = 0; i < n; i++) {
			done += r[i]->read.size;
			reply(s, r[i], data, r[i]->read.size);
		}
	} while (done < len);
	/* what is read ahead */
	s->io = true;
	if (call_end(c) != (int64_t)len)
		fail("read");
	free(data);
	return at_once;
}

static int read_cached(struct client *c, struct server *s, uint64_t flags)
{
	struct fuse_init_out out = good_answer(flags);

	out.max_readahead = 4 * getpagesize();
	out.max_pages = 1;
	answer_init(s, &out);
	return reads_at_once(c, s, client_open(c, s, O_RDONLY),
			     2 * getpagesize());
}

FUSE_TEST(init, async_read)
{
	EXPECT_LT(1, read_cached(C, S, FUSE_ASYNC_READ));
}

FUSE_TEST(init, no_async_read)
{
	EXPECT_EQ(1, read_cached(C, S, 0));
}

static int direct(struct client *c, struct server *s, uint64_t flags)
{
	struct fuse_init_out out = good_answer(flags);

	out.max_pages = 1;
	answer_init(s, &out);
	return reads_at_once(c, s, client_open(c, s, O_RDONLY | O_DIRECT),
			     2 * getpagesize());
}

FUSE_TEST(init, async_dio)
{
	EXPECT_LT(1, direct(C, S, FUSE_ASYNC_DIO));
}

FUSE_TEST(init, no_async_dio)
{
	EXPECT_EQ(1, direct(C, S, 0));
}

FUSE_TEST(init, max_readahead)
{
	struct fuse_init_out out = good_answer(FUSE_ASYNC_READ);
	struct request *r;
	char *data;
	int fd;

	out.max_readahead = 0;
	answer_init(S, &out);
	fd = client_open(C, S, O_RDONLY);
	sys_start(C, SYS_pread64, fd, ARG(0), 1, 0);
	r = take(S, FUSE_READ);
	EXPECT_EQ(getpagesize(), r->read.size);
	data = calloc(1, r->read.size);
	EXPECT_EQ(0, reply(S, r, data, r->read.size));
	EXPECT_EQ(1, call_end(C));
	free(data);
}

/* Without it a write goes out page by page */
static uint32_t cached_write(struct client *c, struct server *s, bool big)
{
	struct fuse_init_out out = good_answer(0);
	uint32_t len = 2 * getpagesize(), first = 0, done;
	struct request *r;
	int fd;

	if (!big)
		out.flags &= ~FUSE_BIG_WRITES;
	answer_init(s, &out);
	fd = client_open(c, s, O_RDWR);
	sys_start(c, SYS_pwrite64, fd, ARG(0), len, 0);
	for (done = 0; done < len; done += r->write.size) {
		r = server_take(s, FUSE_WRITE);
		first = first ?: r->write.size;
		reply(s, r, (&(struct fuse_write_out){ .size = r->write.size }),
		      sizeof(struct fuse_write_out));
	}
	if (call_end(c) != len)
		fail("write");
	return first;
}

FUSE_TEST(init, big_writes)
{
	EXPECT_EQ(2 * getpagesize(), cached_write(C, S, true));
}

FUSE_TEST(init, no_big_writes)
{
	EXPECT_EQ(getpagesize(), cached_write(C, S, false));
}

/* Locks */

FUSE_TEST(init, posix_locks)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	struct request *r;
	int fd;

	answer_flags(S, FUSE_POSIX_LOCKS);
	fd = client_open(C, S, O_RDWR);
	sys_start(C, SYS_fcntl, fd, F_SETLK, in(C, &lock, sizeof(lock)));
	r = take(S, FUSE_SETLK);
	EXPECT_EQ(0, BODY(r, struct fuse_lk_in)->lk_flags);
	EXPECT_EQ(-EAGAIN, (reply_error(S, r, -EAGAIN), call_end(C)));
	/* flock(2) is not meant by it */
	EXPECT_EQ(0, sys(C, SYS_flock, fd, LOCK_EX));
}

FUSE_TEST(init, flock_locks)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	struct request *r;
	int fd;

	answer_flags(S, FUSE_FLOCK_LOCKS);
	fd = client_open(C, S, O_RDWR);
	EXPECT_EQ(0, sys(C, SYS_fcntl, fd, F_SETLK, in(C, &lock, sizeof(lock))));
	sys_start(C, SYS_flock, fd, LOCK_EX | LOCK_NB);
	r = take(S, FUSE_SETLK);
	EXPECT_EQ(FUSE_LK_FLOCK, BODY(r, struct fuse_lk_in)->lk_flags);
	EXPECT_EQ(-EAGAIN, (reply_error(S, r, -EAGAIN), call_end(C)));
}

/* Opening and creating */

static struct fuse_attr_out file_out(uint32_t mode, uint64_t size)
{
	return (struct fuse_attr_out){
		.attr_valid = 3600,
		.attr = { .ino = FILE_INO, .mode = mode, .size = size,
			  .nlink = 1 },
	};
}

FUSE_TEST(init, atomic_o_trunc)
{
	struct fuse_open_out out = { .fh = 1 };
	struct request *r;

	answer_flags(S, FUSE_ATOMIC_O_TRUNC);
	S->manual = 1ULL << FUSE_OPEN;
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "file"), O_RDWR | O_TRUNC);
	r = take(S, FUSE_OPEN);
	EXPECT_EQ(O_TRUNC, r->open.flags & O_TRUNC);
	EXPECT_EQ(0, r->open.open_flags);
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_LE(0, call_end(C));
}

FUSE_TEST(init, no_atomic_o_trunc)
{
	struct fuse_attr_out attr = file_out(S_IFREG | 0666, 0);
	struct fuse_open_out out = { .fh = 1 };
	struct request *r;

	answer_flags(S, 0);
	S->manual = 1ULL << FUSE_OPEN;
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "file"), O_RDWR | O_TRUNC);
	r = take(S, FUSE_OPEN);
	EXPECT_EQ(0, r->open.flags & O_TRUNC);
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	r = take(S, FUSE_SETATTR);
	EXPECT_NE(0, BODY(r, struct fuse_setattr_in)->valid & FATTR_SIZE);
	EXPECT_EQ(0, BODY(r, struct fuse_setattr_in)->size);
	EXPECT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	EXPECT_LE(0, call_end(C));
}

static struct fuse_entry_out dir_out(void)
{
	return (struct fuse_entry_out){
		.nodeid = DIR_INO,
		.attr = { .ino = DIR_INO, .mode = S_IFDIR | 0755, .nlink = 2 },
	};
}

static struct request *mkdir_start(struct client *c, struct server *s)
{
	sys_start(c, SYS_mkdirat, AT_FDCWD, path(c, s, "dir"), 0777);
	return server_take(s, FUSE_MKDIR);
}

static void mkdir_end(struct client *c, struct server *s, struct request *r)
{
	struct fuse_entry_out out = dir_out();

	if (reply(s, r, &out, sizeof(out)) || call_end(c))
		fail("mkdir");
}

static uint32_t mkdir_mode(struct client *c, struct server *s, uint64_t flags)
{
	struct request *r;

	answer_flags(s, flags);
	sys(c, SYS_umask, 027);
	r = mkdir_start(c, s);
	if (BODY(r, struct fuse_mkdir_in)->umask != 027)
		fail("umask");
	mkdir_end(c, s, r);
	return BODY(r, struct fuse_mkdir_in)->mode;
}

FUSE_TEST(init, dont_mask)
{
	EXPECT_EQ(0777, mkdir_mode(C, S, FUSE_DONT_MASK));
}

FUSE_TEST(init, mask)
{
	EXPECT_EQ(0750, mkdir_mode(C, S, 0));
}

/* Without an LSM that has something to say, the list of contexts is empty */
FUSE_TEST(init, security_ctx)
{
	const struct fuse_secctx_header *h;
	struct request *r;

	answer_flags(S, FUSE_SECURITY_CTX);
	r = mkdir_start(C, S);
	ASSERT_LE(sizeof(struct fuse_mkdir_in) + 4 + sizeof(*h), BODY_LEN(r));
	h = (const void *)(AFTER(r, struct fuse_mkdir_in) + 4);
	EXPECT_EQ(h->size, r->h.total_extlen * 8);
	EXPECT_EQ(sizeof(struct fuse_mkdir_in) + 4 + h->size, BODY_LEN(r));
	if (!h->nr_secctx)
		EXPECT_EQ(sizeof(*h), h->size);
	mkdir_end(C, S, r);
}

FUSE_TEST(init, create_supp_group)
{
	struct {
		struct fuse_ext_header h;
		struct fuse_supp_groups g;
		uint32_t group;
	} *ext;
	struct fuse_attr_out root = {
		.attr_valid = 3600,
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 02777,
			  .gid = 4711, .nlink = 2 },
	};
	uint32_t group = 4711;
	struct request *r;

	answer_flags(S, FUSE_CREATE_SUPP_GROUP);
	/* the directory's group is one of the caller's, but not the first */
	S->manual = 1ULL << FUSE_GETATTR;
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	r = take(S, FUSE_GETATTR);
	EXPECT_EQ(0, reply(S, r, &root, sizeof(root)));
	EXPECT_EQ(0, call_end(C));
	r = mkdir_start(C, S);
	EXPECT_EQ(0, r->h.total_extlen);
	mkdir_end(C, S, r);

	EXPECT_EQ(0, sys(C, SYS_setgroups, 1, in(C, &group, sizeof(group))));
	r = mkdir_start(C, S);
	ASSERT_EQ(FUSE_REC_ALIGN(sizeof(*ext)), r->h.total_extlen * 8);
	ext = (void *)(AFTER(r, struct fuse_mkdir_in) + 4);
	EXPECT_EQ(FUSE_REC_ALIGN(sizeof(*ext)), ext->h.size);
	EXPECT_EQ(FUSE_EXT_GROUPS, ext->h.type);
	EXPECT_EQ(1, ext->g.nr_groups);
	EXPECT_EQ(4711, ext->group);
	mkdir_end(C, S, r);
}

/* Caches */

/* Whether a page that was read is read again after FUSE_GETATTR said @out */
static bool read_again(struct client *c, struct server *s,
		       struct fuse_attr_out *out)
{
	struct fuse_entry_out entry = {
		.nodeid = FILE_INO,
		.attr = { .ino = FILE_INO, .mode = S_IFREG | 0666, .nlink = 1,
			  .size = 2 * getpagesize() },
	};
	unsigned int before;
	int fd;

	s->manual = 1ULL << FUSE_LOOKUP;
	sys_start(c, SYS_openat, AT_FDCWD, path(c, s, "file"), O_RDONLY);
	reply(s, server_take(s, FUSE_LOOKUP), &entry, sizeof(entry));
	fd = call_end(c);
	s->io = true;
	sys(c, SYS_pread64, fd, ARG(0), 1, 0);
	s->manual = 1ULL << FUSE_GETATTR;
	sys_start(c, SYS_newfstatat, fd, str(c, ""), ARG(0), AT_EMPTY_PATH);
	reply(s, server_take(s, FUSE_GETATTR), out, sizeof(*out));
	if (call_end(c))
		fail("stat");
	before = s->requests;
	/* says itself whether it may use its cache */
	sys_start(c, SYS_pread64, fd, ARG(0), 1, 0);
	if (call_end(c) != 1)
		fail("read");
	return s->requests != before;
}

FUSE_TEST(init, auto_inval_data)
{
	struct fuse_attr_out out = file_out(S_IFREG | 0666, 2 * getpagesize());

	answer_flags(S, FUSE_AUTO_INVAL_DATA);
	out.attr.mtime = 12345;
	EXPECT_TRUE(read_again(C, S, &out));
}

FUSE_TEST(init, no_auto_inval_data)
{
	struct fuse_attr_out out = file_out(S_IFREG | 0666, 2 * getpagesize());

	answer_flags(S, 0);
	out.attr.mtime = 12345;
	EXPECT_FALSE(read_again(C, S, &out));
}

FUSE_TEST(init, inval_data_when_size_changes)
{
	struct fuse_attr_out out = file_out(S_IFREG | 0666, 3 * getpagesize());

	answer_flags(S, 0);
	EXPECT_TRUE(read_again(C, S, &out));
}

FUSE_TEST(init, explicit_inval_data)
{
	struct fuse_attr_out out = file_out(S_IFREG | 0666, 3 * getpagesize());

	answer_flags(S, FUSE_EXPLICIT_INVAL_DATA);
	EXPECT_FALSE(read_again(C, S, &out));
}

static int readlinks(struct client *c, struct server *s, uint64_t flags)
{
	struct fuse_entry_out entry = {
		.nodeid = LINK_INO,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = { .ino = LINK_INO, .mode = S_IFLNK | 0777, .nlink = 1,
			  .size = 6 },
	};
	int i, n = 0;

	answer_flags(s, flags);
	s->manual = 1ULL << FUSE_LOOKUP | 1ULL << FUSE_READLINK;
	for (i = 0; i < 2; i++) {
		sys_start(c, SYS_readlinkat, AT_FDCWD, path(c, s, "link"),
			  ARG(0), 100);
		if (!i)
			reply(s, server_take(s, FUSE_LOOKUP), &entry,
			      sizeof(entry));
		/* until it has an answer, from the server or not */
		while (!s->inbox && !serve_until(c->sock, 10))
			;
		if (s->inbox) {
			n++;
			reply(s, server_take(s, FUSE_READLINK), "target", 6);
		}
		if (call_end(c) != 6 || memcmp(out(c, ARG(0)), "target", 6))
			fail("readlink");
	}
	return n;
}

FUSE_TEST(init, cache_symlinks)
{
	EXPECT_EQ(1, readlinks(C, S, FUSE_CACHE_SYMLINKS));
}

FUSE_TEST(init, no_cache_symlinks)
{
	EXPECT_EQ(2, readlinks(C, S, 0));
}

FUSE_TEST(init, writeback_cache)
{
	struct fuse_attr_out attr = file_out(S_IFREG | 0666, FILE_PAGES *
					     getpagesize());
	struct request *r;
	int fd;

	answer_flags(S, FUSE_WRITEBACK_CACHE);
	fd = client_open(C, S, O_RDWR);
	/* a whole page, which needs not be read before */
	EXPECT_EQ(getpagesize(), sys(C, SYS_pwrite64, fd, ARG(0),
				     getpagesize(), 0));
	quiet(S);
	sys_start(C, SYS_fsync, fd);
	r = take(S, FUSE_WRITE);
	EXPECT_EQ(FUSE_WRITE_CACHE, r->write.write_flags & FUSE_WRITE_CACHE);
	EXPECT_EQ(0, reply(S, r, (&(struct fuse_write_out){ r->write.size }), 8));
	/* the kernel's times, then */
	r = take(S, FUSE_SETATTR);
	EXPECT_EQ(FATTR_MTIME | FATTR_CTIME,
		  BODY(r, struct fuse_setattr_in)->valid &
		  (FATTR_MTIME | FATTR_CTIME));
	EXPECT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	EXPECT_EQ(0, call_end(C));
}

/* Directories */

static uint32_t getdents_opcode(struct client *c, struct server *s,
				uint64_t flags)
{
	struct request *r;
	uint32_t opcode;
	int fd;

	answer_flags(s, flags);
	fd = sys(c, SYS_openat, AT_FDCWD, path(c, s, ""), O_RDONLY | O_DIRECTORY);
	s->manual = 1ULL << FUSE_READDIR | 1ULL << FUSE_READDIRPLUS;
	sys_start(c, SYS_getdents64, fd, ARG(0), 4096);
	r = server_take(s, 0);
	opcode = r->h.opcode;
	reply(s, r, NULL, 0);
	if (call_end(c))
		fail("getdents");
	return opcode;
}

FUSE_TEST(init, readdir)
{
	EXPECT_EQ(FUSE_READDIR, getdents_opcode(C, S, FUSE_READDIRPLUS_AUTO));
}

FUSE_TEST(init, readdirplus)
{
	EXPECT_EQ(FUSE_READDIRPLUS, getdents_opcode(C, S, FUSE_DO_READDIRPLUS));
}

FUSE_TEST(init, readdirplus_auto)
{
	/* at the start of a directory it is worth it */
	EXPECT_EQ(FUSE_READDIRPLUS,
		  getdents_opcode(C, S, FUSE_DO_READDIRPLUS |
					FUSE_READDIRPLUS_AUTO));
}

/* Whether two lookups in a directory are with the server at a time */
static bool parallel(struct client *c, struct server *s, uint64_t flags)
{
	struct client other = {};
	struct request *r[2] = {};
	bool both;
	int i;

	answer_flags(s, flags);
	client_fork(c, &other);
	s->manual = 1ULL << FUSE_LOOKUP;
	sys_start(c, SYS_faccessat, AT_FDCWD, path(c, s, "one"), F_OK);
	r[0] = server_take(s, FUSE_LOOKUP);
	sys_start(&other, SYS_faccessat, AT_FDCWD, path(&other, s, "two"), F_OK);
	if (flags)
		r[1] = server_take(s, FUSE_LOOKUP);
	else
		client_sleeps(&other);
	both = r[1] || server_pending(s);
	for (i = 0; i < 2; i++)
		reply_error(s, r[i] ?: server_take(s, FUSE_LOOKUP), -ENOENT);
	if (call_end(c) != -ENOENT || call_end(&other) != -ENOENT)
		fail("faccessat");
	client_exit(&other);
	return both;
}

FUSE_TEST(init, parallel_dirops)
{
	EXPECT_TRUE(parallel(C, S, FUSE_PARALLEL_DIROPS));
}

FUSE_TEST(init, no_parallel_dirops)
{
	EXPECT_FALSE(parallel(C, S, 0));
}

/* Attributes */

FUSE_TEST(init, time_gran)
{
	struct timespec times[2] = { { 1, 123456789 }, { 2, 987654321 } };
	struct fuse_attr_out attr = file_out(S_IFREG | 0666, 0);
	struct fuse_init_out out = good_answer(0);
	struct request *r;

	out.time_gran = 1000000;
	answer_init(S, &out);
	sys_start(C, SYS_utimensat, AT_FDCWD, path(C, S, "file"),
		  in(C, times, sizeof(times)), 0);
	r = take(S, FUSE_SETATTR);
	EXPECT_EQ(123000000, BODY(r, struct fuse_setattr_in)->atimensec);
	EXPECT_EQ(987000000, BODY(r, struct fuse_setattr_in)->mtimensec);
	EXPECT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	EXPECT_EQ(0, call_end(C));
}

/* A write to a file that runs as its owner, which the kernel must end */
static struct request *suid_write(struct client *c, struct server *s,
				  uint64_t flags)
{
	struct fuse_entry_out entry = {
		.nodeid = FILE_INO,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = { .ino = FILE_INO, .mode = S_IFREG | 04777, .nlink = 1 },
	};
	int fd;

	answer_flags(s, flags);
	s->manual = 1ULL << FUSE_LOOKUP;
	sys_start(c, SYS_openat, AT_FDCWD, path(c, s, "file"), O_RDWR);
	reply(s, server_take(s, FUSE_LOOKUP), &entry, sizeof(entry));
	fd = call_end(c);
	s->manual = 1ULL << FUSE_SETATTR | 1ULL << FUSE_WRITE |
		    1ULL << FUSE_GETATTR;
	/* no CAP_FSETID, which would keep it */
	sys(c, SYS_setresuid, -1, 1, -1);
	sys_start(c, SYS_pwrite64, fd, in(c, "x", 1), 1, 0);
	return server_take(s, 0);
}

static void write_end(struct client *c, struct server *s, struct request *r)
{
	struct fuse_write_out out = { .size = 1 };

	if (reply(s, r, &out, sizeof(out)) || call_end(c) != 1)
		fail("write");
	sys(c, SYS_setresuid, -1, 0, -1);
}

FUSE_TEST(init, killpriv)
{
	struct fuse_attr_out attr = file_out(S_IFREG | 04777, 0);
	struct fuse_attr_out clean = file_out(S_IFREG | 0777, 0);
	struct request *r;

	r = suid_write(C, S, 0);
	ASSERT_EQ(FUSE_GETATTR, r->h.opcode);
	EXPECT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	r = take(S, FUSE_SETATTR);
	EXPECT_NE(0, BODY(r, struct fuse_setattr_in)->valid & FATTR_MODE);
	EXPECT_EQ(0, BODY(r, struct fuse_setattr_in)->mode & S_ISUID);
	EXPECT_EQ(0, reply(S, r, &clean, sizeof(clean)));
	r = take(S, FUSE_WRITE);
	EXPECT_EQ(0, r->write.write_flags & FUSE_WRITE_KILL_SUIDGID);
	write_end(C, S, r);
}

/* The mode is the server's to change, with the write that it is told of */
static struct request *mode_is_left(struct client *c, struct server *s,
				    uint64_t flags)
{
	struct fuse_attr_out attr = file_out(S_IFREG | 04777, 0);
	struct request *r = suid_write(c, s, flags);

	if (r->h.opcode == FUSE_SETATTR) {
		if (BODY(r, struct fuse_setattr_in)->valid & FATTR_MODE)
			fail("FUSE_SETATTR of the mode");
		reply(s, r, &attr, sizeof(attr));
		r = server_take(s, FUSE_WRITE);
	}
	return r;
}

FUSE_TEST(init, handle_killpriv)
{
	struct request *r = mode_is_left(C, S, FUSE_HANDLE_KILLPRIV);

	ASSERT_EQ(FUSE_WRITE, r->h.opcode);
	EXPECT_EQ(0, r->write.write_flags & FUSE_WRITE_KILL_SUIDGID);
	write_end(C, S, r);
}

FUSE_TEST(init, handle_killpriv_v2)
{
	struct request *r = mode_is_left(C, S, FUSE_HANDLE_KILLPRIV_V2);

	ASSERT_EQ(FUSE_WRITE, r->h.opcode);
	EXPECT_NE(0, r->write.write_flags & FUSE_WRITE_KILL_SUIDGID);
	write_end(C, S, r);
}

static size_t setxattr_len(struct client *c, struct server *s, uint64_t flags)
{
	struct request *r;

	answer_flags(s, flags);
	sys_start(c, SYS_setxattr, path(c, s, "file"), str(c, "user.x"),
		  in(c, "value", 5), 5, XATTR_REPLACE);
	r = server_take(s, FUSE_SETXATTR);
	if (BODY(r, struct fuse_setxattr_in)->flags != XATTR_REPLACE ||
	    BODY(r, struct fuse_setxattr_in)->size != 5)
		fail("fuse_setxattr_in");
	reply(s, r, NULL, 0);
	if (call_end(c))
		fail("setxattr");
	return BODY_LEN(r) - 7 - 5;
}

FUSE_TEST(init, setxattr_ext)
{
	EXPECT_EQ(sizeof(struct fuse_setxattr_in),
		  setxattr_len(C, S, FUSE_SETXATTR_EXT));
}

FUSE_TEST(init, no_setxattr_ext)
{
	EXPECT_EQ(FUSE_COMPAT_SETXATTR_IN_SIZE, setxattr_len(C, S, 0));
}

/* The mode is the kernel's to judge, with the ACL of the server */
FUSE_TEST(init, posix_acl)
{
	struct fuse_entry_out entry = {
		.nodeid = FILE_INO,
		.attr = { .ino = FILE_INO, .mode = S_IFREG | 0640, .nlink = 1 },
	};
	struct request *r;

	answer_flags(S, FUSE_POSIX_ACL);
	S->manual = 1ULL << FUSE_LOOKUP | 1ULL << FUSE_GETXATTR |
		    1ULL << FUSE_ACCESS;
	sys_start(C, SYS_getxattr, path(C, S, "file"),
		  str(C, "system.posix_acl_access"), ARG(0), 100);
	EXPECT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &entry, sizeof(entry)));
	r = take(S, FUSE_GETXATTR);
	EXPECT_STREQ("system.posix_acl_access",
		     AFTER(r, struct fuse_getxattr_in));
	EXPECT_EQ(-ENODATA, (reply_error(S, r, -ENODATA), call_end(C)));
}

/* What can be mapped, passed through, exported */

static int64_t map_shared_direct(struct client *c, struct server *s,
				 uint64_t flags)
{
	answer_flags(s, flags);
	s->open_flags = FOPEN_DIRECT_IO;
	return call(c, CLIENT_MMAP, 0, getpagesize(), PROT_READ, MAP_SHARED,
		    client_open(c, s, O_RDWR), 0);
}

FUSE_TEST(init, direct_io_allow_mmap)
{
	EXPECT_LT(0, map_shared_direct(C, S, FUSE_DIRECT_IO_ALLOW_MMAP));
}

FUSE_TEST(init, no_direct_io_allow_mmap)
{
	EXPECT_EQ(-ENODEV, map_shared_direct(C, S, 0));
}

static int backing(struct server *s)
{
	struct fuse_backing_map map = {
		.fd = open(test_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
	};

	return counted_ioctl(s->fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
}

FUSE_TEST(init, passthrough)
{
	struct fuse_init_out out = good_answer(FUSE_PASSTHROUGH);

	out.max_stack_depth = 1;
	answer_init(S, &out);
	EXPECT_LT(0, backing(S));
}

FUSE_TEST(init, no_passthrough_depth)
{
	answer_flags(S, FUSE_PASSTHROUGH);
	EXPECT_EQ(-EPERM, backing(S));
}

FUSE_TEST(init, no_passthrough_too_deep)
{
	struct fuse_init_out out = good_answer(FUSE_PASSTHROUGH);

	out.max_stack_depth = 3;
	answer_init(S, &out);
	EXPECT_EQ(-EPERM, backing(S));
}

FUSE_TEST(init, no_passthrough_with_writeback)
{
	struct fuse_init_out out = good_answer(FUSE_PASSTHROUGH |
					       FUSE_WRITEBACK_CACHE);

	out.max_stack_depth = 1;
	answer_init(S, &out);
	EXPECT_EQ(-EPERM, backing(S));
}

/* The second half counts only if it is said to be there */
FUSE_TEST(init, no_init_ext)
{
	struct fuse_init_out out = good_answer(FUSE_PASSTHROUGH);

	out.max_stack_depth = 1;
	out.flags &= ~FUSE_INIT_EXT;
	answer_init(S, &out);
	EXPECT_EQ(-EPERM, backing(S));
}

struct handle {
	struct file_handle h;
	uint32_t f[8];
};

/* Open by a handle of a file that the kernel does not know any more */
static int64_t open_unknown(struct client *c, struct server *s)
{
	struct handle *h, unknown = { .h = { .handle_bytes = 32 } };
	int mnt = sys(c, SYS_openat, AT_FDCWD, path(c, s, ""), O_RDONLY);
	int64_t ret;

	ret = sys(c, SYS_name_to_handle_at, AT_FDCWD, path(c, s, "file"),
		  in(c, &unknown, sizeof(unknown)), ARG(0), 0);
	if (ret)
		return ret;
	h = out(c, ARG(CLIENT_OUT + (strlen(server_path(s, "file")) + 8) / 8 * 8));
	unknown = *h;
	/* nodeid: the high half first */
	unknown.f[1] = 99;
	sys_start(c, SYS_open_by_handle_at, mnt, in(c, &unknown, sizeof(unknown)),
		  O_PATH);
	return 0;
}

FUSE_TEST(init, export_support)
{
	struct fuse_entry_out entry = {
		.nodeid = 99,
		.attr = { .ino = 99, .mode = S_IFREG | 0666, .nlink = 1 },
	};
	struct request *r;

	answer_flags(S, FUSE_EXPORT_SUPPORT);
	if (open_unknown(C, S) == -ENOSYS)
		SKIP(return, "kernel without CONFIG_FHANDLE");
	r = take(S, FUSE_LOOKUP);
	EXPECT_EQ(99, r->h.nodeid);
	EXPECT_STREQ(".", r->body);
	EXPECT_EQ(0, reply(S, r, &entry, sizeof(entry)));
	EXPECT_LE(0, call_end(C));
}

FUSE_TEST(init, no_lookup_of_handles)
{
	answer_flags(S, 0);
	if (open_unknown(C, S) == -ENOSYS)
		SKIP(return, "kernel without CONFIG_FHANDLE");
	EXPECT_EQ(-ESTALE, call_end(C));
}

FUSE_TEST(init, no_export_support)
{
	struct handle unknown = { .h = { .handle_bytes = 32 } };
	int64_t ret;

	answer_flags(S, FUSE_NO_EXPORT_SUPPORT);
	ret = sys(C, SYS_name_to_handle_at, AT_FDCWD, path(C, S, "file"),
		  in(C, &unknown, sizeof(unknown)), ARG(0), 0);
	if (ret == -ENOSYS)
		SKIP(return, "kernel without CONFIG_FHANDLE");
	EXPECT_EQ(-EOPNOTSUPP, ret);
	EXPECT_EQ(0,
		  sys(C, SYS_name_to_handle_at, AT_FDCWD, path(C, S, "file"),
		      in(C, &unknown, sizeof(unknown)), ARG(0), AT_HANDLE_FID));
}

FUSE_TEST(init, allow_idmap)
{
	struct fuse_init_out out = good_answer(FUSE_ALLOW_IDMAP |
					       FUSE_POSIX_ACL);

	answer_init(S, &out);
	EXPECT_EQ(0, stat_root(C, S));
}

/* How the end is told to the server */

FUSE_TEST(init, abort_error)
{
	char *buf = malloc(S->bufsize);

	answer_flags(S, FUSE_ABORT_ERROR);
	EXPECT_EQ(0, stat_root(C, S));
	server_abort(S);
	EXPECT_EQ(-1, read(S->fd, buf, S->bufsize));
	EXPECT_EQ(ECONNABORTED, errno);
	EXPECT_EQ(-ENOTCONN, stat_of(C, S, "file"));
	free(buf);
}

FUSE_TEST(init, no_abort_error)
{
	char *buf = malloc(S->bufsize);

	answer_flags(S, 0);
	EXPECT_EQ(0, stat_root(C, S));
	server_abort(S);
	EXPECT_EQ(-1, read(S->fd, buf, S->bufsize));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-ENOTCONN, stat_of(C, S, "file"));
	free(buf);
}

TEST_HARNESS_MAIN
