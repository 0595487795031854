// SPDX-License-Identifier: GPL-2.0
/*
 * The window: ranges of files in memory that the server fills.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "../../kselftest_harness.h"
#include "fsx.h"
#include "fuse_fixture.h"
#include "window_server.h"

#define TIMEOUT_S	180
#define WORK_MS		(TIMEOUT_S / 3 * 1000)
#define WINDOW_TEST(name)	TEST_F_TIMEOUT(window, name, TIMEOUT_S)

#define RW		(PROT_READ | PROT_WRITE)
#define P		((uint64_t)getpagesize())
#define S		(&self->s)
#define CTL		(self->s.ctl)
#define DISK(n)		(CTL->file[n].data)
#define COUNT(op)	((unsigned int)CTL->count[op])

FIXTURE(window)
{
	struct window_server s;
	unsigned char *buf;
	unsigned char *want;
};

FIXTURE_VARIANT(window)
{
	const struct transport *transport;
};

FIXTURE_VARIANT_ADD(window, dev) { .transport = &dev_transport };
FIXTURE_VARIANT_ADD(window, uring) { .transport = &uring_transport };

/* What a file has at the beginning: never 0 */
static void pattern(unsigned char *p, int file, uint64_t from, uint64_t len)
{
	unsigned int c = 0;
	uint64_t i;

	/* no division for each byte, which are many */
	for (i = from; i < from + len; i++) {
		if (i == from || i % 4096 == 0)
			c = (i * 7 + i / 4096 * 13 + file * 50) % 251;
		p[i - from] = 1 + c;
		c += 7;
		if (c >= 251)
			c -= 251;
	}
}

static void put_file(struct window_server *s, int file, uint64_t size)
{
	struct disk_file *f = &s->ctl->file[file];

	/* at first there are no pages */
	if (f->put)
		memset(f->data, 0, FILE_MAX);
	f->put = true;
	f->size = size;
	pattern(f->data, file, 0, size);
}

static const char *setup(struct window_server *s)
{
	const char *why = test_begin();

	return why ?: window_start(s);
}

FIXTURE_SETUP(window)
{
	int i;

	S->transport = variant->transport;
	SKIP_IF(setup(S));
	self->buf = malloc(FILE_MAX);
	self->want = malloc(FILE_MAX);
	for (i = 0; i < FILES; i++)
		put_file(S, i, 4 * RANGE);
}

FIXTURE_TEARDOWN(window)
{
	if (!CTL)
		return;
	EXPECT_STREQ("", CTL->violation);
	window_stop(S);
	test_end();
}

static int open_file(struct window_server *s, int file, int flags)
{
	return open(s->path[file], flags | O_CLOEXEC, 0600);
}

static unsigned char *map_file(int fd, uint64_t len, int flags)
{
	return mmap(NULL, len, RW, flags, fd, 0);
}

/* Does @fd have @len bytes of @want at @pos? */
static bool has(int fd, const void *want, uint64_t len, uint64_t pos)
{
	unsigned char *p = malloc(len);
	bool same = pread(fd, p, len, pos) == (ssize_t)len &&
		    !memcmp(p, want, len);

	free(p);
	return same;
}

static bool all(const unsigned char *p, unsigned char byte, uint64_t len)
{
	while (len && *p == byte)
		p++, len--;
	return !len;
}

/* The signal that an access raises, or 0 */
static int touch(volatile unsigned char *p, bool store)
{
	int status, pid = fork();

	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		if (store)
			*p = 'x';
		else
			(void)*p;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static uint64_t ranges_of(struct window_server *s, const char *what)
{
	return fdinfo(s->fd, what);
}

/* Fill the window with other files, so that what is in it is removed */
static void displace(struct window_server *s, int file)
{
	uint64_t pos, size = 2 * s->size < FILE_MAX ? 2 * s->size : FILE_MAX;
	unsigned char *p;
	int fd, i;

	s->ctl->file[file].size = size;
	fd = open_file(s, file, O_RDONLY);
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	for (i = 0; i < 2; i++)
		for (pos = 0; pos < size; pos += 4096)
			(void)*(volatile unsigned char *)(p + pos);
	munmap(p, size);
	close(fd);
}

/* Is that in @fd, from the beginning, if it is read in pieces of @step? */
static bool reads(int fd, const unsigned char *want, uint64_t len, uint64_t step)
{
	uint64_t pos;

	for (pos = 0; pos < len; pos += step)
		if (!has(fd, want + pos, step, pos))
			return false;
	return true;
}

/* A process that does one thing, and may be killed meanwhile */
#define SPAWN(what) ({							\
	int __pid = fork();						\
									\
	if (!__pid) {							\
		signal(SIGBUS, SIG_DFL);				\
		_exit(({ what; }));					\
	}								\
	__pid; })

static int status_of(int pid, int ms)
{
	int64_t end = now_ms() + ms;
	int status, ret;

	while (!(ret = waitpid(pid, &status, WNOHANG))) {
		if (now_ms() > end)
			fail("process %d does not end", pid);
		poll(NULL, 0, 2);
	}
	if (ret < 0)
		fail("waitpid: %s", strerror(errno));
	return status;
}

static bool killed(int pid)
{
	kill(pid, SIGKILL);
	return WIFSIGNALED(status_of(pid, PROMPT_MS));
}

static bool ended(int pid, int code)
{
	int status = status_of(pid, WORK_MS);

	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static void sleeps(int pid)
{
	struct client c = { .pid = pid };

	client_sleeps(&c);
}

/* Attaching */

static const char *mounted(struct window_server *s)
{
	const char *why = test_begin() ?: window_mount(s);

	if (!why && window_attach(s, RANGE, RANGE, 0) == -ENOTTY)
		why = "kernel without the window";
	return why;
}

TEST(attach_errors)
{
	struct window_server s = {};

	SKIP_IF(mounted(&s));
	EXPECT_EQ(-EOPNOTSUPP, window_attach(&s, RANGE, RANGE, 0));
	ASSERT_EQ(0, window_enable(&s));
	EXPECT_EQ(-EINVAL, window_attach(&s, 0, RANGE, 0));
	EXPECT_EQ(-EINVAL, window_attach(&s, RANGE + 4096, RANGE, 0));
	EXPECT_EQ(-EINVAL, window_attach(&s, RANGE, RANGE / 2, 0));
	EXPECT_EQ(-EINVAL, window_attach(&s, 8 * RANGE, 0, 0));
	EXPECT_EQ(-EINVAL, window_attach(&s, 9 * RANGE, 3 * RANGE, 0));
	EXPECT_EQ(-EINVAL, window_attach(&s, 4 << 20, 4 << 20, 0));
	EXPECT_EQ(-EINVAL, window_attach(&s, RANGE, RANGE, 2));
	ASSERT_EQ(0, set_sysctl(fuse_knob("max_buffer_pages"),
				2 * RANGE / P));
	EXPECT_EQ(-EFBIG, window_attach(&s, 3 * RANGE, RANGE, 0));
	EXPECT_EQ(-EFBIG, window_attach(&s, 1ULL << 62, 2 << 20, 0));
	s.fd = window_attach(&s, 2 * RANGE, RANGE, O_CLOEXEC);
	ASSERT_LE(0, s.fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(s.fd, F_GETFD));
	EXPECT_EQ(-EEXIST, window_attach(&s, RANGE, RANGE, 0));
	EXPECT_EQ(2, fdinfo(s.fd, "ranges"));
	EXPECT_EQ(2, fdinfo(s.fd, "free"));
	EXPECT_EQ(RANGE, fdinfo(s.fd, "range_size"));
	/* it shares its limit with the buffers */
	ASSERT_EQ(0, ioctl(s.dev, FUSE_DEV_IOC_ENABLE, &(struct fuse_enable){
		.features = FUSE_FEATURE_BUFFERS }));
	EXPECT_EQ(-1, ioctl(s.dev, FUSE_DEV_IOC_BUFFER_OPEN,
			    &(struct fuse_buffer_open){
				.nodeid = BUF(1), .size = P }));
	EXPECT_EQ(ENOSPC, errno);
	/* the server's view */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, RANGE, RW, MAP_PRIVATE, s.fd, 0));
	EXPECT_EQ(EINVAL, errno);
	s.win = mmap(NULL, 3 * RANGE, RW, MAP_SHARED, s.fd, 0);
	ASSERT_NE(MAP_FAILED, s.win);
	EXPECT_EQ(0, touch(s.win, true));
	EXPECT_EQ(SIGBUS, touch(s.win + 2 * RANGE, false));
	EXPECT_EQ(-1, ioctl(s.fd, FUSE_DEV_IOC_CLONE, 0));
	EXPECT_EQ(ENOTTY, errno);
	window_stop(&s);
	test_end();
}

TEST(attach_unprivileged)
{
	struct window_server s = {};

	SKIP_IF(mounted(&s));
	EXPECT_TRUE(ended(SPAWN(set_caps(~0U, false) || window_enable(&s) ||
				window_attach(&s, RANGE, RANGE, 0) < 0), 0));
	EXPECT_EQ(-EEXIST, window_attach(&s, RANGE, RANGE, 0));
	window_stop(&s);
	test_end();
}

TEST(attach_memlock)
{
	struct rlimit limit = { 3 * RANGE, 3 * RANGE };
	struct window_server s = {};

	SKIP_IF(mounted(&s));
	ASSERT_EQ(0, window_enable(&s));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, set_caps(1U << CAP_IPC_LOCK, false));
	EXPECT_EQ(-ENOMEM, window_attach(&s, 4 * RANGE, RANGE, 0));
	/* what failed is not charged */
	s.fd = window_attach(&s, 3 * RANGE, RANGE, 0);
	EXPECT_LE(0, s.fd);
	window_stop(&s);
	test_end();
}

WINDOW_TEST(dirty_errors)
{
	struct fuse_buffer_range r[4];
	struct fuse_window_dirty arg, good = {
		.len = RANGE, .ranges = (uintptr_t)r, .count = 4,
	};
	int fd = open_file(S, 0, O_RDWR);

#define DIRTY(...) ({ arg = good; __VA_ARGS__; \
		      -counted_ioctl(self->s.fd, FUSE_WINDOW_IOC_DIRTY, &arg); })
	EXPECT_EQ(0, DIRTY());
	EXPECT_EQ(0, arg.count);
	EXPECT_EQ(EINVAL, DIRTY(arg.count = 0));
	EXPECT_EQ(EINVAL, DIRTY(arg.padding = 1));
	EXPECT_EQ(EINVAL, DIRTY(arg.start = 1));
	EXPECT_EQ(EINVAL, DIRTY(arg.len = P - 1));
	EXPECT_EQ(EINVAL, DIRTY(arg.len = self->s.size + P));
	EXPECT_EQ(EINVAL, DIRTY(arg.start = P, arg.len = self->s.size));
	/* three pieces, one at a time */
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	ASSERT_EQ(2, pwrite(fd, "xx", 2, 3 * P - 1));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 9 * P));
	/* what could not be told is told again */
	EXPECT_EQ(EFAULT, DIRTY(arg.ranges = 8));
	EXPECT_EQ(0, DIRTY(arg.count = 1));
	EXPECT_EQ(1, arg.count);
	EXPECT_EQ(0, r[0].start);
	EXPECT_EQ(P, r[0].len);
	EXPECT_EQ(2 * P, arg.start);
	EXPECT_EQ(RANGE - 2 * P, arg.len);
	EXPECT_EQ(0, ioctl(self->s.fd, FUSE_WINDOW_IOC_DIRTY, &arg));
	EXPECT_EQ(2 * P, r[0].start);
	EXPECT_EQ(2 * P, r[0].len);
	EXPECT_EQ(1ULL << 9, window_dirty(self->s.fd, 0, RANGE));
	EXPECT_EQ(0, window_dirty(self->s.fd, 0, self->s.size));
	close(fd);
}

/* Which files use the window */

WINDOW_TEST(open_modes)
{
	int fd, fd2;

	/* not both with and without */
	fd = open_file(S, 0, O_RDONLY);
	ASSERT_LE(0, fd);
	CTL->file[0].open_flags = FOPEN_KEEP_CACHE;
	EXPECT_EQ(-1, open_file(S, 0, O_RDONLY));
	EXPECT_EQ(EIO, errno);
	CTL->file[0].open_flags = FOPEN_DIRECT_IO;
	EXPECT_EQ(-1, open_file(S, 0, O_RDONLY));
	CTL->file[0].open_flags = FOPEN_DIRECT_IO | FOPEN_WINDOW;
	EXPECT_EQ(-1, open_file(S, 0, O_RDONLY));
	close(fd);
	CTL->file[1].open_flags = 0;
	fd = open_file(S, 1, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, pread(fd, self->buf, 1, 0));
	EXPECT_EQ(0, COUNT(FUSE_SETUPMAPPING));
	CTL->file[1].open_flags = FOPEN_WINDOW;
	EXPECT_EQ(-1, open_file(S, 1, O_RDONLY));
	EXPECT_EQ(EIO, errno);
	close(fd);
	/* what the page cache has is not seen any more */
	pattern(DISK(1), 3, 0, 4 * RANGE);
	fd = open_file(S, 1, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(has(fd, DISK(1), 100, 0));
	EXPECT_EQ(1, COUNT(FUSE_SETUPMAPPING));
	/* O_DIRECT is what the window does */
	fd2 = open_file(S, 1, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, fd2);
	EXPECT_TRUE(has(fd2, DISK(1) + 1, 100, 1));
	EXPECT_EQ(1, COUNT(FUSE_SETUPMAPPING));
	close(fd2);
	close(fd);
}

/* What the kernel is told when it learns of an inode counts, later replies do not */
WINDOW_TEST(attributes)
{
	static const struct {
		uint32_t attr_flags;
		uint32_t open_flags;
		bool window;
	} cases[FILES] = {
		{ 0, FOPEN_KEEP_CACHE, false },
		{ FUSE_ATTR_DAX, FOPEN_DIRECT_IO, false },
		{ FUSE_ATTR_DAX, FOPEN_KEEP_CACHE, true },
		/* it does not want to hear of opens */
		{ FUSE_ATTR_DAX, 0, true },
	};
	unsigned int n;
	int fd, i;

	for (i = 0; i < FILES; i++) {
		CTL->file[i].open_flags = cases[i].open_flags;
		CTL->file[i].attr_flags = cases[i].attr_flags;
		ASSERT_EQ(0, access(self->s.path[i], R_OK));
		CTL->file[i].attr_flags ^= FUSE_ATTR_DAX;
		ASSERT_EQ(0, chmod(self->s.path[i], 0640));
		if (i == FILES - 1)
			CTL->error[FUSE_OPEN] = -ENOSYS;
		n = COUNT(FUSE_SETUPMAPPING);
		fd = open_file(S, i, O_RDONLY);
		ASSERT_LE(0, fd);
		EXPECT_TRUE(has(fd, DISK(i), 100, 0));
		EXPECT_EQ(n + cases[i].window, COUNT(FUSE_SETUPMAPPING));
		close(fd);
	}
}

TEST(open_without_window)
{
	struct window_server s = {};
	int fd;

	SKIP_IF(mounted(&s));
	put_file(&s, 0, RANGE);
	ASSERT_EQ(0, window_enable(&s));
	EXPECT_EQ(NULL, window_serve(&s));
	EXPECT_EQ(-1, open_file(&s, 0, O_RDONLY));
	EXPECT_EQ(EIO, errno);
	s.ctl->file[0].open_flags = 0;
	fd = open_file(&s, 0, O_RDONLY);
	EXPECT_LE(0, fd);
	close(fd);
	window_stop(&s);
	test_end();
}

TEST(whole_mount)
{
	struct window_server s = {
		.flags = FUSE_WINDOW_ALL,
		.open_flags = FOPEN_KEEP_CACHE,
	};
	char c;
	int fd;

	SKIP_IF(setup(&s));
	put_file(&s, 0, RANGE);
	put_file(&s, 1, RANGE);
	fd = open_file(&s, 0, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, pread(fd, &c, 1, 0));
	EXPECT_EQ(1, s.ctl->count[FUSE_SETUPMAPPING]);
	s.ctl->file[1].open_flags = FOPEN_DIRECT_IO;
	fd = open_file(&s, 1, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, pread(fd, &c, 1, 0));
	EXPECT_EQ(1, s.ctl->count[FUSE_SETUPMAPPING]);
	EXPECT_EQ(1, s.ctl->count[FUSE_READ]);
	EXPECT_STREQ("", s.ctl->violation);
	window_stop(&s);
	test_end();
}

/* Inside */

WINDOW_TEST(read)
{
	int fd = open_file(S, 0, O_RDONLY);
	unsigned int n;
	struct log_entry *e;

	ASSERT_LE(0, fd);
	EXPECT_TRUE(has(fd, DISK(0) + 5, 100, 5));
	e = &CTL->log[(CTL->log_count - 1) % LOG];
	EXPECT_EQ(FUSE_SETUPMAPPING, e->opcode);
	EXPECT_EQ(0, e->offset);
	EXPECT_EQ(FUSE_SETUPMAPPING_FLAG_READ, e->flags);
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	EXPECT_EQ(4, COUNT(FUSE_SETUPMAPPING));
	EXPECT_EQ(self->s.size / RANGE - 4, ranges_of(S, "free"));
	/* all is there: not one request more */
	n = CTL->log_count;
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	EXPECT_TRUE(has(fd, DISK(0) + RANGE - 1, 2, RANGE - 1));
	EXPECT_EQ(0, pread(fd, self->buf, 10, 4 * RANGE));
	EXPECT_EQ(3, pread(fd, self->buf, 10, 4 * RANGE - 3));
	EXPECT_EQ(n, CTL->log_count);
	close(fd);
}

WINDOW_TEST(write)
{
	int fd = open_file(S, 0, O_RDWR);
	struct log_entry *e;
	unsigned int n;

	ASSERT_LE(0, fd);
	memcpy(self->want, DISK(0), 4 * RANGE);
	EXPECT_TRUE(has(fd, DISK(0), 100, 0));
	/* an upgrade: the same place, and it need not be filled */
	ASSERT_EQ(3, pwrite(fd, "abc", 3, 2 * P - 1));
	memcpy(self->want + 2 * P - 1, "abc", 3);
	e = &CTL->log[(CTL->log_count - 1) % LOG];
	EXPECT_EQ(FUSE_SETUPMAPPING, e->opcode);
	EXPECT_EQ(FUSE_SETUPMAPPING_FLAG_WRITE, e->flags);
	EXPECT_EQ(e[-1].moffset, e->moffset);
	/* for writing at once */
	ASSERT_EQ(3, pwrite(fd, "def", 3, RANGE + 5));
	memcpy(self->want + RANGE + 5, "def", 3);
	e = &CTL->log[(CTL->log_count - 1) % LOG];
	EXPECT_EQ(FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE,
		  e->flags);
	n = CTL->log_count;
	ASSERT_EQ(1, pwrite(fd, "g", 1, 7));
	self->want[7] = 'g';
	EXPECT_TRUE(has(fd, self->want, 2 * RANGE, 0));
	EXPECT_EQ(n, CTL->log_count);
	EXPECT_EQ(0, COUNT(FUSE_WRITE));
	EXPECT_NE(0, memcmp(self->want, DISK(0), 4 * RANGE));
	/* by page, and once */
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(4, CTL->written_back);
	EXPECT_EQ(0, memcmp(self->want, DISK(0), 4 * RANGE));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(4, CTL->written_back);
	close(fd);
	/* the attributes are the server's, so they are asked for again */
	n = COUNT(FUSE_GETATTR);
	fd = open_file(S, 0, O_RDWR);
	ASSERT_EQ(1, pwrite(fd, "h", 1, 7));
	ASSERT_EQ(0, fstat(fd, &(struct stat){}));
	EXPECT_EQ(n + 1, COUNT(FUSE_GETATTR));
	close(fd);
}

WINDOW_TEST(o_sync)
{
	int fd = open_file(S, 0, O_RDWR | O_SYNC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(3, pwrite(fd, "abc", 3, 5));
	EXPECT_EQ(0, memcmp("abc", DISK(0) + 5, 3));
	close(fd);
}

/* There is nothing between the client and the window anyway */
WINDOW_TEST(o_direct)
{
	int fd = open_file(S, 0, O_RDWR | O_DIRECT);
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	memcpy(self->want, DISK(0), RANGE);
	ASSERT_EQ(3, pwrite(fd, "abc", 3, P - 1));
	memcpy(self->want + P - 1, "abc", 3);
	EXPECT_EQ(0, memcmp(p, self->want, RANGE));
	p[2 * P] = self->want[2 * P] = 'd';
	EXPECT_TRUE(has(fd, self->want, RANGE, 0));
	EXPECT_EQ(0, COUNT(FUSE_READ) + COUNT(FUSE_WRITE));
	/* into the window, out of it */
	ASSERT_EQ(2 * P, pread(fd, p + 4 * P, 2 * P, P - 1));
	memcpy(self->want + 4 * P, self->want + P - 1, 2 * P);
	ASSERT_EQ(P, pwrite(fd, p + 1, P, 8 * P));
	memcpy(self->want + 8 * P, self->want + 1, P);
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(DISK(0), self->want, RANGE));
	munmap(p, RANGE);
	close(fd);
}

WINDOW_TEST(mmap_shared)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);
	unsigned int n;

	ASSERT_NE(MAP_FAILED, p);
	memcpy(self->want, DISK(0), 4 * RANGE);
	EXPECT_EQ(0, memcmp(p, self->want, 4 * RANGE));
	EXPECT_EQ(4, COUNT(FUSE_SETUPMAPPING));
	/* both ways */
	p[5] = 'a';
	p[RANGE] = 'b';
	EXPECT_EQ(6, COUNT(FUSE_SETUPMAPPING));
	self->want[5] = 'a';
	self->want[RANGE] = 'b';
	/* the first write(2) asks for privileges to be removed */
	ASSERT_EQ(1, pwrite(fd, "b", 1, 6));
	n = CTL->log_count;
	ASSERT_EQ(1, pwrite(fd, "c", 1, 6));
	self->want[6] = 'c';
	EXPECT_EQ('c', p[6]);
	EXPECT_TRUE(has(fd, self->want, 4 * RANGE, 0));
	p[P] = 'd';
	self->want[P] = 'd';
	EXPECT_EQ(n, CTL->log_count);
	ASSERT_EQ(0, msync(p, 4 * RANGE, MS_SYNC));
	EXPECT_EQ(3, CTL->written_back);
	EXPECT_EQ(0, memcmp(self->want, DISK(0), 4 * RANGE));
	/* write-protected again: the next store is not missed */
	p[P + 1] = 'e';
	self->want[P + 1] = 'e';
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(4, CTL->written_back);
	EXPECT_EQ(0, memcmp(self->want, DISK(0), 4 * RANGE));
	/* nor is one that was unmapped since */
	p[2 * P] = 'f';
	self->want[2 * P] = 'f';
	munmap(p, 4 * RANGE);
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(self->want, DISK(0), 4 * RANGE));
	close(fd);
}

/* T13 */
WINDOW_TEST(mmap_private)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	memcpy(self->want, DISK(0), 4 * RANGE);
	p[0] = 'a';
	EXPECT_EQ(DISK(0)[P], p[P]);
	p[P] = 'b';
	EXPECT_TRUE(has(fd, self->want, 4 * RANGE, 0));
	/* nobody has asked for more than to read */
	EXPECT_EQ(4, COUNT(FUSE_SETUPMAPPING));
	EXPECT_EQ(0, window_dirty(self->s.fd, 0, self->s.size));
	displace(S, 1);
	EXPECT_EQ('a', p[0]);
	EXPECT_EQ(self->want[1], p[1]);
	EXPECT_EQ('b', p[P]);
	EXPECT_EQ(0, memcmp(p + 2 * P, self->want + 2 * P, RANGE - 2 * P));
	munmap(p, 4 * RANGE);
	close(fd);
}

WINDOW_TEST(fork)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 2 * RANGE, MAP_SHARED);
	int pid;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'a';
	pid = SPAWN(p[1] = p[0] + 1; p[RANGE] = 'c'; 0);
	EXPECT_TRUE(ended(pid, 0));
	EXPECT_EQ('b', p[1]);
	EXPECT_EQ('c', p[RANGE]);
	/* what the parent could write to, its child can, without a fault */
	ASSERT_EQ(0, fsync(fd));
	pid = SPAWN(p[2] = 'd'; 0);
	EXPECT_TRUE(ended(pid, 0));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp("abd", DISK(0), 3));
	munmap(p, 2 * RANGE);
	close(fd);
}

WINDOW_TEST(splice_and_copy)
{
	int in = open_file(S, 0, O_RDWR), out = open_file(S, 1, O_RDWR);
	int pipefd[2];
	loff_t from = 10, to = 20;
	unsigned int n;

	ASSERT_EQ(0, pipe(pipefd));
	memcpy(self->want, DISK(0), 4 * RANGE);
	EXPECT_TRUE(has(in, self->want, 4 * RANGE, 0));
	ASSERT_EQ(1, pwrite(in, "x", 1, 10));
	self->want[10] = 'x';
	ASSERT_EQ(1, pwrite(out, "y", 1, 0));
	n = CTL->log_count;
	/* all in the window: without a request */
	EXPECT_EQ(P, copy_file_range(in, &from, out, &to, P, 0));
	EXPECT_TRUE(has(out, self->want + 10, P, 20));
	from = 0;
	EXPECT_EQ(P, splice(in, &from, pipefd[1], NULL, P, 0));
	to = 2 * P + 1;
	EXPECT_EQ(P, splice(pipefd[0], NULL, out, &to, P, 0));
	EXPECT_TRUE(has(out, self->want, P, 2 * P + 1));
	from = 5;
	EXPECT_EQ(100, sendfile(pipefd[1], in, &from, 100));
	EXPECT_EQ(100, read(pipefd[0], self->buf, 100));
	EXPECT_EQ(0, memcmp(self->buf, self->want + 5, 100));
	EXPECT_EQ(n, CTL->log_count);
	ASSERT_EQ(0, fsync(out));
	EXPECT_EQ(0, memcmp(DISK(1) + 20, self->want + 10, P));
	close(in);
	close(out);
}

/* Size */

WINDOW_TEST(sigbus)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 8 * RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ftruncate(fd, RANGE + P + 10));
	EXPECT_EQ(0, touch(p + RANGE + P, false));
	EXPECT_EQ(0, touch(p + RANGE + P, true));
	EXPECT_EQ(SIGBUS, touch(p + RANGE + 2 * P, false));
	EXPECT_EQ(SIGBUS, touch(p + RANGE + 2 * P, true));
	EXPECT_EQ(SIGBUS, touch(p + 5 * RANGE, false));
	munmap(p, 8 * RANGE);
	p = map_file(fd, 8 * RANGE, MAP_PRIVATE);
	EXPECT_EQ(SIGBUS, touch(p + RANGE + 2 * P, true));
	munmap(p, 8 * RANGE);
	close(fd);
}

/* T1: what was stored behind the end is not part of the file */
WINDOW_TEST(extend)
{
	uint64_t size = RANGE + 100, i;
	unsigned char *p;
	int fd;

	for (i = 0; i < 3; i++) {
		put_file(S, i, size);
		fd = open_file(S, i, O_RDWR);
		p = map_file(fd, 2 * RANGE, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		memcpy(self->want, DISK(i), size);
		memset(self->want + size, 0, RANGE);
		memset(p + size, 'x', 200);
		p[0] = self->want[0] = 'a';
		if (i == 0)
			ASSERT_EQ(0, ftruncate(fd, size + 1000));
		if (i == 1) {
			ASSERT_EQ(3, pwrite(fd, "end", 3, size + 997));
			memcpy(self->want + size + 997, "end", 3);
		}
		if (i == 2)
			ASSERT_EQ(0, fallocate(fd, 0, size + 900, 100));
		EXPECT_TRUE(has(fd, self->want, size + 1000, 0));
		EXPECT_EQ(0, memcmp(p, self->want, size + 1000));
		EXPECT_EQ(0, pread(fd, self->buf, 1, size + 1000));
		ASSERT_EQ(0, fsync(fd));
		EXPECT_EQ(size + 1000, CTL->file[i].size);
		EXPECT_EQ(0, memcmp(DISK(i), self->want, size + 1000));
		munmap(p, 2 * RANGE);
		close(fd);
	}
}

WINDOW_TEST(append)
{
	int fd = open_file(S, 0, O_RDWR | O_APPEND | O_TRUNC);
	uint64_t i, size = 0;

	ASSERT_LE(0, fd);
	for (i = 0; i < 40; i++) {
		uint64_t n = 1 + i * 313 % 9000;

		pattern(self->want + size, 3, size, n);
		ASSERT_EQ(n, write(fd, self->want + size, n));
		size += n;
		if (i % 8 == 0)
			EXPECT_TRUE(has(fd, self->want, size, 0));
	}
	EXPECT_EQ(40, COUNT(FUSE_WRITE));
	EXPECT_TRUE(has(fd, self->want, size, 0));
	EXPECT_EQ(size, CTL->file[0].size);
	EXPECT_EQ(0, memcmp(self->want, DISK(0), size));
	/* more than fits into a request, and from the middle */
	pattern(self->want + size, 2, 0, 8 * RANGE);
	ASSERT_EQ(8 * RANGE, write(fd, self->want + size, 8 * RANGE));
	size += 8 * RANGE;
	EXPECT_TRUE(has(fd, self->want, size, 0));
	close(fd);
	fd = open_file(S, 0, O_RDWR);
	pattern(self->want + size - 100, 1, 0, 300);
	ASSERT_EQ(300, pwrite(fd, self->want + size - 100, 300, size - 100));
	EXPECT_TRUE(has(fd, self->want, size + 200, 0));
	close(fd);
}

WINDOW_TEST(shrink)
{
	uint64_t size = 4 * RANGE, cut = RANGE + P + 10;
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, size, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	memcpy(self->want, DISK(0), size);
	memset(p, 'a', size);
	memset(self->want, 'a', cut);
	memset(self->want + cut, 0, size - cut);
	ASSERT_EQ(0, ftruncate(fd, cut));
	EXPECT_EQ(cut, pread(fd, self->buf, size, 0));
	EXPECT_EQ(0, memcmp(self->buf, self->want, cut));
	EXPECT_TRUE(all(p + cut, 0, 2 * P - cut % P - P));
	EXPECT_EQ(SIGBUS, touch(p + 2 * RANGE, false));
	ASSERT_EQ(0, ftruncate(fd, size));
	EXPECT_TRUE(has(fd, self->want, size, 0));
	EXPECT_EQ(0, memcmp(p, self->want, size));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(DISK(0), self->want, size));
	munmap(p, size);
	close(fd);
}

WINDOW_TEST(o_trunc)
{
	int fd = open_file(S, 0, O_RDWR), fd2;
	unsigned char *p = map_file(fd, 2 * RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'a', 2 * RANGE);
	fd2 = open_file(S, 0, O_RDWR | O_TRUNC);
	ASSERT_LE(0, fd2);
	EXPECT_EQ(SIGBUS, touch(p, false));
	EXPECT_EQ(0, pread(fd, self->buf, 1, 0));
	ASSERT_EQ(0, ftruncate(fd, RANGE));
	EXPECT_TRUE(all(p, 0, RANGE));
	munmap(p, 2 * RANGE);
	close(fd);
	close(fd2);
}

WINDOW_TEST(punch)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);
	const int keep = FALLOC_FL_KEEP_SIZE;

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'a', 4 * RANGE);
	memset(self->want, 'a', 4 * RANGE);
	ASSERT_EQ(0, fallocate(fd, keep | FALLOC_FL_PUNCH_HOLE, 100, RANGE));
	memset(self->want + 100, 0, RANGE);
	EXPECT_EQ(0, memcmp(p, self->want, 4 * RANGE));
	p[200] = self->want[200] = 'b';
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_ZERO_RANGE, 3 * RANGE, P));
	memset(self->want + 3 * RANGE, 0, P);
	EXPECT_EQ(0, memcmp(p, self->want, 4 * RANGE));
	EXPECT_TRUE(has(fd, self->want, 4 * RANGE, 0));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(DISK(0), self->want, 4 * RANGE));
	munmap(p, 4 * RANGE);
	close(fd);
}

/* Removal */

WINDOW_TEST(reclaim)
{
	uint64_t pos, size = FILE_MAX;
	int fd, i;

	put_file(S, 0, size);
	fd = open_file(S, 0, O_RDWR);
	memcpy(self->want, DISK(0), size);
	/* one pass by read(2), one that writes, then a mapping of it all */
	EXPECT_TRUE(reads(fd, self->want, size, P));
	EXPECT_LE(size / RANGE, COUNT(FUSE_SETUPMAPPING));
	/* what is only read is dropped without a word */
	EXPECT_EQ(0, COUNT(FUSE_REMOVEMAPPING));
	for (pos = 0; pos < size; pos += P + 10) {
		ASSERT_EQ(1, pwrite(fd, "w", 1, pos));
		self->want[pos] = 'w';
	}
	EXPECT_NE(0, COUNT(FUSE_REMOVEMAPPING));
	EXPECT_TRUE(has(fd, self->want, size, 0));
	for (i = 0; i < 2; i++) {
		unsigned char *p = map_file(fd, size, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p);
		for (pos = i; pos < size; pos += 2 * P) {
			ASSERT_EQ(self->want[pos], p[pos]);
			p[pos] = self->want[pos] = 'm' + i;
		}
		EXPECT_EQ(0, memcmp(p, self->want, size));
		munmap(p, size);
	}
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(DISK(0), self->want, size));
	EXPECT_EQ(0, ranges_of(S, "lost"));
	close(fd);
}

/* T7: a page that is still held when its range is removed */
WINDOW_TEST(held_pages)
{
	int fd = open_file(S, 0, O_RDWR), fd2, pipefd[2], round;
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);
	struct iovec iov = { p + P, P };

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe(pipefd));
	memcpy(self->want, DISK(0), RANGE);
	for (round = 0; round < 8; round++) {
		p[P] = self->want[P] = round;
		ASSERT_EQ(P, vmsplice(pipefd[1], &iov, 1, 0));
		/*
		 * The whole window comes to belong to others.  That they begin
		 * with zeros the server checks at every set-up.
		 */
		displace(S, 1 + round % 3);
		fd2 = open_file(S, 1 + round % 3, O_RDWR);
		EXPECT_TRUE(has(fd2, DISK(1 + round % 3), self->s.size, 0));
		ASSERT_EQ(1, pwrite(fd2, "z", 1, P));
		close(fd2);
		/* a store now is one to another page */
		p[P + 1] = self->want[P + 1] = 'n';
		ASSERT_EQ(P, read(pipefd[0], self->buf, P));
		EXPECT_EQ(round, self->buf[0]);
		EXPECT_EQ(0, memcmp(self->buf + 2, self->want + P + 2, P - 2));
		EXPECT_EQ(0, memcmp(p, self->want, RANGE));
	}
	munmap(p, RANGE);
	close(fd);
}

/* T7: and one that is written to by others than the CPU */
WINDOW_TEST(pinned_pages)
{
	int fd = open_file(S, 0, O_RDWR), fd2, from, pid, i;
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	CTL->file[3].open_flags = FOPEN_DIRECT_IO;
	from = open_file(S, 3, O_RDONLY);
	memcpy(self->want, DISK(0), RANGE);
	for (i = 0; i < 2; i++) {
		window_hold(S, FUSE_READ);
		pid = SPAWN(pread(from, p + P, P, i * P) - (ssize_t)P);
		ASSERT_TRUE(window_held(S, 1));
		if (i == 0) {
			/* it is not taken out to make room */
			displace(S, 1);
			EXPECT_EQ(0, COUNT(FUSE_REMOVEMAPPING));
			memcpy(self->want + P, DISK(3), P);
			/* and dirty, whenever that is asked */
			ASSERT_EQ(0, fsync(fd));
		} else {
			/* unless the server wants it: then it is nobody's */
			window_inval(S, 0, 0, 0);
			displace(S, 1);
			EXPECT_TRUE(eventually(COUNT(FUSE_REMOVEMAPPING) == 1));
			EXPECT_EQ(0, memcmp(p, self->want, RANGE));
		}
		window_go(S, FUSE_READ);
		EXPECT_TRUE(ended(pid, 0));
		EXPECT_EQ(0, memcmp(p, self->want, RANGE));
		ASSERT_EQ(0, fsync(fd));
		EXPECT_EQ(0, memcmp(DISK(0), self->want, RANGE));
	}
	fd2 = open_file(S, 1, O_RDONLY);
	EXPECT_TRUE(reads(fd2, DISK(1), self->s.size, P));
	close(fd2);
	munmap(p, RANGE);
	close(from);
	close(fd);
}

/* What would keep a range in the window is not to be had */
WINDOW_TEST(not_for_ever)
{
	struct io_uring_params params = {};
	int fd = open_file(S, 0, O_RDWR), ring;
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);
	struct iovec iov = { p, P };

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'a';
	EXPECT_EQ(0, mlock(p, P));
	ASSERT_LT(0, read_text("/proc/self/status", (char *)self->buf, FILE_MAX));
	EXPECT_NE(NULL, strstr((char *)self->buf, "VmLck:\t       0 kB"));
	ring = syscall(SYS_io_uring_setup, 4, &params);
	ASSERT_LE(0, ring);
	EXPECT_EQ(-1, syscall(SYS_io_uring_register, ring,
			      IORING_REGISTER_BUFFERS, &iov, 1));
	EXPECT_EQ(EFAULT, errno);
	close(ring);
	munmap(p, RANGE);
	close(fd);
}

WINDOW_TEST(invalidation)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'a', 4 * RANGE);
	window_inval(S, 0, RANGE + 5, 10);
	EXPECT_TRUE(eventually(ranges_of(S, "free") == 5));
	EXPECT_EQ(1, COUNT(FUSE_REMOVEMAPPING));
	EXPECT_TRUE(all(DISK(0) + RANGE, 'a', RANGE));
	/* the server has changed the file */
	memset(DISK(0) + RANGE, 'b', RANGE);
	EXPECT_TRUE(all(p + RANGE, 'b', RANGE));
	EXPECT_TRUE(all(p, 'a', RANGE));
	window_inval(S, 0, 0, 0);
	EXPECT_TRUE(eventually(ranges_of(S, "free") == 8));
	EXPECT_TRUE(all(p, 'a', RANGE));
	munmap(p, 4 * RANGE);
	close(fd);
}

/* What the server was asked for before it said so, it is asked for again */
WINDOW_TEST(invalidation_during_setup)
{
	int fd = open_file(S, 0, O_RDWR), pid, i;
	unsigned int n;

	for (i = 0; i < 2; i++) {
		window_hold(S, FUSE_SETUPMAPPING);
		pid = SPAWN(char c;
			    (i ? pwrite(fd, "x", 1, 0) : pread(fd, &c, 1, 0)) - 1);
		ASSERT_TRUE(window_held(S, 1));
		n = COUNT(FUSE_SETUPMAPPING);
		window_inval(S, 0, 0, 0);
		window_go(S, FUSE_SETUPMAPPING);
		EXPECT_TRUE(ended(pid, 0));
		if (i == 0) {
			EXPECT_EQ(n + 1, COUNT(FUSE_SETUPMAPPING));
			continue;
		}
		EXPECT_TRUE(eventually(COUNT(FUSE_REMOVEMAPPING) == 1));
	}
	EXPECT_TRUE(has(fd, "x", 1, 0));
	close(fd);
}

/* T11: who comes next waits until it is removed */
WINDOW_TEST(removal_then_setup)
{
	int fd = open_file(S, 0, O_RDWR), pid;
	unsigned int n;

	ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
	window_hold(S, FUSE_REMOVEMAPPING);
	window_inval(S, 0, 0, 1);
	ASSERT_TRUE(window_held(S, 1));
	n = COUNT(FUSE_SETUPMAPPING);
	pid = SPAWN(char c = 0; pread(fd, &c, 1, 0); c);
	sleeps(pid);
	EXPECT_EQ(n, COUNT(FUSE_SETUPMAPPING));
	/* others do not */
	EXPECT_TRUE(has(fd, DISK(0) + RANGE, 10, RANGE));
	window_go(S, FUSE_REMOVEMAPPING);
	EXPECT_TRUE(ended(pid, 'a'));
	close(fd);
}

/* fsync(2) is about what is being written back, too */
WINDOW_TEST(removal_then_fsync)
{
	static const int errors[] = { 0, EIO, EINTR };
	int fd = open_file(S, 0, O_RDWR), pid, i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
		window_hold(S, FUSE_REMOVEMAPPING);
		window_inval(S, 0, 0, 1);
		ASSERT_TRUE(window_held(S, 1));
		pid = SPAWN(fsync(fd) ? errno : 0);
		sleeps(pid);
		EXPECT_EQ(i > 0, COUNT(FUSE_FSYNC));
		if (errors[i] == EINTR)
			EXPECT_TRUE(killed(pid));
		CTL->error[FUSE_REMOVEMAPPING] = errors[i] == EIO ? -EIO : 0;
		window_go(S, FUSE_REMOVEMAPPING);
		if (errors[i] != EINTR)
			EXPECT_TRUE(ended(pid, errors[i]));
	}
	/* it was not sent, when that had failed */
	EXPECT_EQ(1, COUNT(FUSE_FSYNC));
	close(fd);
}

/* Nor what a WRITE is changing, before that is done */
WINDOW_TEST(write_then_setup)
{
	int fd, pid[2];
	unsigned int n;

	put_file(S, 0, RANGE + 100);
	fd = open_file(S, 0, O_RDWR);
	window_hold(S, FUSE_WRITE);
	pid[0] = SPAWN(pwrite(fd, "xx", 2, RANGE + 200) == 2);
	ASSERT_TRUE(window_held(S, 1));
	n = COUNT(FUSE_SETUPMAPPING);
	pid[1] = SPAWN(char c = 0; pread(fd, &c, 1, RANGE) == 1);
	sleeps(pid[1]);
	EXPECT_EQ(n, COUNT(FUSE_SETUPMAPPING));
	window_go(S, FUSE_WRITE);
	EXPECT_TRUE(ended(pid[0], 1));
	EXPECT_TRUE(ended(pid[1], 1));
	close(fd);
}

static void drop_caches(void)
{
	write_text("/proc/sys/vm/drop_caches", "2");
}

/* T8: the node is not forgotten before what it has in the window is removed */
WINDOW_TEST(forget_after_removal)
{
	int fd = open_file(S, 0, O_RDWR);

	ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
	close(fd);
	window_hold(S, FUSE_REMOVEMAPPING);
	drop_caches();
	ASSERT_TRUE(window_held(S, 1));
	EXPECT_NE(0, CTL->file[0].nlookup);
	window_go(S, FUSE_REMOVEMAPPING);
	EXPECT_TRUE(eventually(!CTL->file[0].nlookup));
	EXPECT_EQ('a', DISK(0)[0]);
	EXPECT_EQ(8, ranges_of(S, "free"));
}

/* T8: nor is it set up again, or cut, if it comes back before that */
WINDOW_TEST(back_before_removal)
{
	int fd, pid, i;
	char c;

	for (i = 0; i < 2; i++) {
		fd = open_file(S, i, O_RDWR);
		ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
		close(fd);
		window_hold(S, FUSE_REMOVEMAPPING);
		drop_caches();
		ASSERT_TRUE(window_held(S, 1));
		if (i)
			pid = SPAWN(truncate(self->s.path[i], P));
		else
			pid = SPAWN(fd = open_file(S, i, O_RDWR);
				    pread(fd, &c, 1, 0); c);
		sleeps(pid);
		EXPECT_EQ(1 + 2 * i, COUNT(FUSE_SETUPMAPPING));
		EXPECT_EQ(0, COUNT(FUSE_READ));
		EXPECT_EQ(0, COUNT(FUSE_SETATTR));
		window_go(S, FUSE_REMOVEMAPPING);
		EXPECT_TRUE(ended(pid, i ? 0 : 'a'));
		EXPECT_EQ('a', DISK(i)[0]);
		/* it is known still, by its second look-up */
		EXPECT_EQ(1, CTL->file[i].nlookup);
		if (!i)
			continue;
		EXPECT_EQ(P, CTL->file[i].size);
		drop_caches();
		EXPECT_TRUE(eventually(!CTL->file[i].nlookup));
	}
}

/* T10: the inode goes while a set-up is under way */
WINDOW_TEST(evict_during_setup)
{
	int i, pid;

	for (i = 0; i < 2; i++) {
		window_hold(S, FUSE_SETUPMAPPING);
		pid = SPAWN(int fd = open_file(S, i, O_RDWR);
			    i ? pread(fd, self->buf, 1, 0) :
				pwrite(fd, "x", 1, 0));
		ASSERT_TRUE(window_held(S, 1));
		EXPECT_TRUE(killed(pid));
		drop_caches();
		EXPECT_TRUE(eventually(COUNT(FUSE_RELEASE) == i + 1U));
		drop_caches();
		window_go(S, FUSE_SETUPMAPPING);
		EXPECT_TRUE(eventually(!CTL->file[i].nlookup));
		EXPECT_TRUE(eventually(ranges_of(S, "free") == 8));
	}
	EXPECT_EQ(1, COUNT(FUSE_REMOVEMAPPING));
}

/* Waiting */

/* T18: many can be set up at once, whatever max_background says (1 here) */
WINDOW_TEST(parallel_setups)
{
	int fd = open_file(S, 0, O_RDONLY), pid[4], i;

	window_hold(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 4; i++)
		pid[i] = SPAWN(char c; pread(fd, &c, 1, i * RANGE) - 1);
	EXPECT_TRUE(window_held(S, 4));
	window_go(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(ended(pid[i], 0));
	close(fd);
}

/* One request, however many wait for it */
WINDOW_TEST(shared_setup)
{
	int fd = open_file(S, 0, O_RDWR), pid[4], i;
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);

	window_hold(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 4; i++) {
		pid[i] = SPAWN(char c; i % 2 ? pread(fd, &c, 1, i) - 1 : !p[i]);
		sleeps(pid[i]);
	}
	EXPECT_TRUE(window_held(S, 1));
	window_go(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(ended(pid[i], 0));
	EXPECT_EQ(1, COUNT(FUSE_SETUPMAPPING));
	munmap(p, RANGE);
	close(fd);
}

/* T3: SIGKILL ends each wait, and T9: nobody else gets what comes late */
WINDOW_TEST(kill)
{
	int fd = open_file(S, 0, O_RDWR), i, pid;
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);
	char path[64];

	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < 4; i++) {
		window_hold(S, FUSE_SETUPMAPPING);
		pid = SPAWN(char c = 'x';
			    i == 0 ? pread(fd, &c, 1, i * RANGE) :
			    i == 1 ? pwrite(fd, &c, 1, i * RANGE) :
			    i == 2 ? p[i * RANGE] : (p[i * RANGE] = 'x'));
		ASSERT_TRUE(window_held(S, 1));
		sleeps(pid);
		/* a fault does not keep others from its address space */
		snprintf(path, sizeof(path), "/proc/%d/maps", pid);
		EXPECT_LT(0, read_text(path, (char *)self->buf, FILE_MAX));
		EXPECT_TRUE(killed(pid));
		CTL->error[FUSE_SETUPMAPPING] = -EDOM;
		window_go(S, FUSE_SETUPMAPPING);
		while (CTL->held)
			poll(NULL, 0, 1);
		CTL->error[FUSE_SETUPMAPPING] = 0;
		EXPECT_TRUE(has(fd, DISK(0) + i * RANGE, 10, i * RANGE));
		EXPECT_EQ(DISK(0)[i * RANGE], p[i * RANGE]);
	}
	/* upgrades: all are there, for reading */
	for (i = 0; i < 2; i++) {
		window_hold(S, FUSE_SETUPMAPPING);
		pid = SPAWN(i ? pwrite(fd, "x", 1, i * RANGE) :
				(p[i * RANGE] = 'x'));
		ASSERT_TRUE(window_held(S, 1));
		sleeps(pid);
		/* meanwhile it can be read */
		EXPECT_TRUE(has(fd, DISK(0) + i * RANGE, 10, i * RANGE));
		EXPECT_TRUE(killed(pid));
		CTL->error[FUSE_SETUPMAPPING] = -EDOM;
		window_go(S, FUSE_SETUPMAPPING);
		while (CTL->held)
			poll(NULL, 0, 1);
		CTL->error[FUSE_SETUPMAPPING] = 0;
		ASSERT_EQ(1, pwrite(fd, "y", 1, i * RANGE));
	}
	/* a write of the server's, and those who wait for it to end */
	window_hold(S, FUSE_WRITE);
	pid = SPAWN(pwrite(fd, "end", 3, 4 * RANGE));
	ASSERT_TRUE(window_held(S, 1));
	sleeps(pid);
	EXPECT_TRUE(killed(pid));
	pid = SPAWN(pwrite(fd, "END", 3, 4 * RANGE + 3));
	sleeps(pid);
	EXPECT_TRUE(killed(pid));
	window_go(S, FUSE_WRITE);
	while (CTL->held)
		poll(NULL, 0, 1);
	/* it was done, and is seen */
	EXPECT_TRUE(has(fd, "end", 3, 4 * RANGE));
	munmap(p, 4 * RANGE);
	close(fd);
}

/* A window that is all being set up, or removed */
WINDOW_TEST(kill_for_room)
{
	unsigned char *p[3];
	int fd[3], pid[9], i;

	for (i = 0; i < 3; i++) {
		/* the ring may be full when one is killed */
		CTL->file[i].open_flags |= FOPEN_NOFLUSH;
		fd[i] = open_file(S, i, O_RDWR);
		p[i] = map_file(fd[i], 4 * RANGE, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p[i]);
	}
	window_hold(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 8; i++)
		pid[i] = SPAWN(p[i / 4][i % 4 * RANGE] = 'a'; 0);
	ASSERT_TRUE(window_held(S, 8));
	pid[8] = SPAWN(p[2][0]);
	sleeps(pid[8]);
	EXPECT_EQ(8, COUNT(FUSE_SETUPMAPPING));
	EXPECT_TRUE(killed(pid[8]));
	window_go(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 8; i++)
		EXPECT_TRUE(ended(pid[i], 0));
	/* now all are to be written back before there is room */
	window_hold(S, FUSE_REMOVEMAPPING);
	pid[8] = SPAWN(p[2][0]);
	ASSERT_TRUE(window_held(S, 1));
	sleeps(pid[8]);
	/* one is enough for one */
	EXPECT_EQ(1, COUNT(FUSE_REMOVEMAPPING));
	EXPECT_TRUE(killed(pid[8]));
	/* past the window */
	window_hold(S, FUSE_READ);
	pid[8] = SPAWN(char c; pread(fd[2], &c, 1, RANGE));
	ASSERT_TRUE(window_held(S, 2));
	sleeps(pid[8]);
	EXPECT_TRUE(killed(pid[8]));
	/* truncate waits for removal, too */
	pid[0] = SPAWN(ftruncate(fd[0], 1));
	ASSERT_TRUE(window_held(S, 5));
	sleeps(pid[0]);
	EXPECT_TRUE(killed(pid[0]));
	EXPECT_EQ(0, COUNT(FUSE_SETATTR));
	/* and is not in anybody's way after that */
	window_go(S, FUSE_READ);
	window_go(S, FUSE_REMOVEMAPPING);
	EXPECT_TRUE(has(fd[0], "a", 1, 3 * RANGE));
	EXPECT_EQ(0, ftruncate(fd[0], 1));
	EXPECT_TRUE(has(fd[2], DISK(2), 4 * RANGE, 0));
	for (i = 0; i < 3; i++)
		close(fd[i]);
}

/* T2: the user's memory is a mapping of the window */
TEST(buffer_in_window)
{
	struct window_server s = { .size = RANGE };
	unsigned char *p, *q;
	int fd[2], i, out;

	SKIP_IF(setup(&s));
	for (i = 0; i < 2; i++) {
		put_file(&s, i, 4 * RANGE);
		fd[i] = open_file(&s, i, O_RDWR);
		ASSERT_LE(0, fd[i]);
	}
	out = open_file(&s, 1, O_RDWR);
	ASSERT_LE(0, out);
	/* one range, and two are needed at once; in sequence it is set up each time */
	p = map_file(fd[0], RANGE, MAP_SHARED);
	q = map_file(fd[1], RANGE, MAP_SHARED);
	for (i = 0; i < 8; i++) {
		unsigned char *from = s.ctl->file[1].data + RANGE + i * 8192;

		ASSERT_EQ(8192, pread(fd[1], p + 100, 8192, RANGE + i * 8192));
		EXPECT_EQ(0, memcmp(p + 100, from, 8192));
		ASSERT_EQ(4000, pwrite(out, p + 50, 4000, i * 4000));
		EXPECT_EQ(0, memcmp(q + i * 4000 + 50, from, 3950));
	}
	EXPECT_LT(16, s.ctl->count[FUSE_SETUPMAPPING]);
	/* its own file, and past the end */
	ASSERT_EQ(4096, pwrite(fd[0], p, 4096, 4 * RANGE));
	ASSERT_EQ(4096, pread(fd[0], p, 4096, 4 * RANGE));
	/* a file that grows while it is written from */
	ASSERT_EQ(2 * RANGE, copy_file_range(fd[0], &(loff_t){ 0 }, fd[1],
					     &(loff_t){ 3 * RANGE }, 2 * RANGE, 0));
	ASSERT_EQ(0, fsync(fd[0]) | fsync(fd[1]));
	EXPECT_EQ(0, memcmp(s.ctl->file[0].data,
			    s.ctl->file[1].data + 3 * RANGE, 2 * RANGE));
	EXPECT_STREQ("", s.ctl->violation);
	window_stop(&s);
	test_end();
}

/* A server that takes privileges from a file that is written to, has to see it */
TEST(killpriv)
{
	struct window_server s = { .init_flags = FUSE_HANDLE_KILLPRIV_V2 };
	struct log_entry *e;
	int fd[2], i;
	char c;

	SKIP_IF(setup(&s));
	for (i = 0; i < 2; i++) {
		put_file(&s, i, RANGE);
		s.ctl->file[i].mode = i ? 0777 : 04777;
		fd[i] = open_file(&s, i, O_RDWR);
		EXPECT_TRUE(ended(SPAWN(set_caps(1U << CAP_FSETID, false) ||
					pwrite(fd[i], "x", 1, 5) != 1), 0));
		ASSERT_EQ(1, pread(fd[i], &c, 1, 5));
		EXPECT_EQ('x', c);
		EXPECT_EQ(1, s.ctl->count[FUSE_WRITE]);
		EXPECT_EQ(i + 1, s.ctl->count[FUSE_SETUPMAPPING]);
	}
	for (e = s.ctl->log; e->opcode != FUSE_WRITE;)
		e++;
	EXPECT_EQ(FUSE_WRITE_KILL_SUIDGID, e->flags);
	/* one who may keep them writes to the window */
	ASSERT_EQ(1, pwrite(fd[0], "y", 1, 6));
	EXPECT_EQ(1, s.ctl->count[FUSE_WRITE]);
	EXPECT_STREQ("", s.ctl->violation);
	window_stop(&s);
	test_end();
}

/* Errors */

WINDOW_TEST(setup_errors)
{
	static const int errors[] = { EIO, ENOSPC, EINTR, ENOMEM, ENOSYS, EAGAIN };
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		CTL->error[FUSE_SETUPMAPPING] = -errors[i];
		EXPECT_EQ(-1, pread(fd, self->buf, 1, RANGE));
		EXPECT_EQ(errors[i], errno);
		EXPECT_EQ(-1, pwrite(fd, "x", 1, RANGE));
		EXPECT_EQ(errors[i], errno);
		EXPECT_EQ(SIGBUS, touch(p + RANGE, false));
		EXPECT_EQ(SIGBUS, touch(p + RANGE, true));
		/* what is read before it is not lost */
		CTL->error[FUSE_SETUPMAPPING] = 0;
		ASSERT_EQ(1, pread(fd, self->buf, 1, 0));
		CTL->error[FUSE_SETUPMAPPING] = -errors[i];
		EXPECT_EQ(5, pread(fd, self->buf, 10, RANGE - 5));
		CTL->error[FUSE_SETUPMAPPING] = 0;
	}
	EXPECT_EQ(7, ranges_of(S, "free"));
	EXPECT_EQ(DISK(0)[RANGE], p[RANGE]);
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	/* may be read, not written */
	CTL->error[FUSE_SETUPMAPPING] = -EROFS;
	EXPECT_EQ(-1, pwrite(fd, "x", 1, RANGE));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(SIGBUS, touch(p + RANGE, true));
	EXPECT_EQ(0, touch(p + RANGE, false));
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	CTL->error[FUSE_SETUPMAPPING] = 0;
	EXPECT_EQ(0, touch(p + RANGE, true));
	EXPECT_TRUE(has(fd, "x", 1, RANGE));
	munmap(p, 4 * RANGE);
	close(fd);
}

WINDOW_TEST(malformed_replies)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	CTL->bad[FUSE_SETUPMAPPING] = 1;
	EXPECT_EQ(-1, pread(fd, self->buf, 1, 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(SIGBUS, touch(p, true));
	CTL->bad[FUSE_SETUPMAPPING] = 0;
	EXPECT_EQ(0, touch(p, true));
	CTL->bad[FUSE_REMOVEMAPPING] = 1;
	window_inval(S, 0, 0, 1);
	EXPECT_TRUE(eventually(ranges_of(S, "free") == 8));
	EXPECT_EQ(-1, fsync(fd));
	EXPECT_EQ(EIO, errno);
	munmap(p, RANGE);
	close(fd);
}

/* What could not be written back is told at fsync(2), once */
WINDOW_TEST(remove_error)
{
	int fd = open_file(S, 0, O_RDWR);

	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	CTL->error[FUSE_REMOVEMAPPING] = -ENOSPC;
	window_inval(S, 0, 0, 1);
	EXPECT_TRUE(eventually(ranges_of(S, "free") == 8));
	EXPECT_EQ(-1, fsync(fd));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, fsync(fd));
	CTL->error[FUSE_REMOVEMAPPING] = 0;
	EXPECT_TRUE(has(fd, DISK(0), 100, 0));
	close(fd);
}

WINDOW_TEST(other_errors)
{
	int fd = open_file(S, 0, O_RDWR);

	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 3 * RANGE));
	CTL->error[FUSE_WRITE] = -EDQUOT;
	EXPECT_EQ(-1, pwrite(fd, "xx", 2, 4 * RANGE - 1));
	EXPECT_EQ(EDQUOT, errno);
	CTL->error[FUSE_SETATTR] = -EPERM;
	EXPECT_EQ(-1, ftruncate(fd, RANGE));
	EXPECT_EQ(EPERM, errno);
	CTL->error[FUSE_FALLOCATE] = -EFBIG;
	EXPECT_EQ(-1, fallocate(fd, 0, 0, 5 * RANGE));
	EXPECT_EQ(EFBIG, errno);
	CTL->error[FUSE_FSYNC] = -EIO;
	EXPECT_EQ(-1, fsync(fd));
	EXPECT_EQ(EIO, errno);
	/* nothing of it has changed the file, or is left behind */
	EXPECT_EQ('x', DISK(0)[3 * RANGE]);
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	EXPECT_EQ(0, pread(fd, self->buf, 1, 4 * RANGE));
	close(fd);
}

/* The end of the server */

WINDOW_TEST(server_dies)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'a';
	memcpy(self->want, p, RANGE);
	window_die(S);
	/* what is there stays */
	EXPECT_EQ(0, memcmp(p, self->want, RANGE));
	p[P] = self->want[P] = 'b';
	EXPECT_TRUE(has(fd, self->want, RANGE, 0));
	EXPECT_EQ(SIGBUS, touch(p + RANGE, false));
	EXPECT_EQ(-1, pread(fd, self->buf, 1, RANGE));
	EXPECT_EQ(ENOTCONN, errno);
	/* and can be written back by whoever has the window */
	EXPECT_EQ(3, window_dirty(self->s.fd, 0, self->s.size));
	EXPECT_EQ(0, memcmp(self->s.win, self->want, RANGE));
	EXPECT_EQ(0, window_dirty(self->s.fd, 0, self->s.size));
	p[2 * P] = 'c';
	EXPECT_EQ(4, window_dirty(self->s.fd, 0, self->s.size));
	munmap(p, 4 * RANGE);
	close(fd);
}

WINDOW_TEST(server_dies_in_waits)
{
	int fd = open_file(S, 0, O_RDWR), pid[3];
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);

	window_hold(S, FUSE_SETUPMAPPING);
	pid[0] = SPAWN(char c; pread(fd, &c, 1, 0) < 0 ? errno : 0);
	pid[1] = SPAWN(p[RANGE]);
	pid[2] = SPAWN(pwrite(fd, "x", 1, 0) < 0 ? errno : 0);
	ASSERT_TRUE(window_held(S, 2));
	sleeps(pid[2]);
	window_die(S);
	EXPECT_EQ(ECONNABORTED, WEXITSTATUS(status_of(pid[0], PROMPT_MS)));
	EXPECT_EQ(SIGBUS, WTERMSIG(status_of(pid[1], PROMPT_MS)));
	EXPECT_NE(0, WEXITSTATUS(status_of(pid[2], PROMPT_MS)));
	munmap(p, 4 * RANGE);
	close(fd);
}

/* T5: nothing is lost that was not written back at umount(2) */
WINDOW_TEST(umount_dirty)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'a';
	memcpy(self->want, p, RANGE);
	munmap(p, RANGE);
	ASSERT_EQ(1, pwrite(fd, "b", 1, 5 * P));
	self->want[5 * P] = 'b';
	close(fd);
	window_umount(S);
	EXPECT_EQ(1, ranges_of(S, "lost"));
	EXPECT_EQ(1 | 1 << 5, window_dirty(self->s.fd, 0, self->s.size));
	EXPECT_EQ(0, memcmp(self->s.win, self->want, RANGE));
}

/* T15: with requests that the server has not answered */
WINDOW_TEST(umount_meanwhile)
{
	int fd = open_file(S, 0, O_RDWR), pid[2], i;

	ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
	window_hold(S, FUSE_REMOVEMAPPING);
	window_inval(S, 0, 0, 1);
	ASSERT_TRUE(window_held(S, 1));
	window_hold(S, FUSE_SETUPMAPPING);
	for (i = 0; i < 2; i++)
		pid[i] = SPAWN(char c = 'b';
			       i ? pwrite(fd, &c, 1, RANGE) :
				   pread(fd, &c, 1, 2 * RANGE));
	ASSERT_TRUE(window_held(S, 3));
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(killed(pid[i]));
	close(fd);
	window_umount(S);
	/* what was to be written back is there still */
	EXPECT_EQ(1, ranges_of(S, "lost"));
	EXPECT_EQ(7, ranges_of(S, "free"));
	EXPECT_EQ(1, window_dirty(self->s.fd, 0, self->s.size));
	EXPECT_EQ('a', self->s.win[0]);
}

static int ask_forever(struct window_server *s)
{
	for (;;)
		window_dirty(s->fd, 0, s->size);
	return 0;
}

/* T6: a query of the server's against umount(2) */
TEST(query_against_umount)
{
	int round, pid, fd;

	SKIP_IF(test_begin());
	for (round = 0; round < 10; round++) {
		struct window_server s = {};
		unsigned char *p;

		SKIP_IF(window_start(&s));
		put_file(&s, 0, 4 * RANGE);
		fd = open_file(&s, 0, O_RDWR);
		p = map_file(fd, 4 * RANGE, MAP_SHARED);
		memset(p, 'a', 4 * RANGE);
		pid = SPAWN(munmap(p, 4 * RANGE); close(fd); ask_forever(&s));
		munmap(p, 4 * RANGE);
		close(fd);
		while (umount(s.mnt) && errno == EBUSY)
			sched_yield();
		s.mnt[0] = 0;
		EXPECT_TRUE(killed(pid));
		EXPECT_STREQ("", s.ctl->violation);
		window_stop(&s);
	}
	test_end();
}

static int store_often(unsigned char *p, uint64_t page)
{
	int i;

	for (i = 0; i < 2000; i++)
		p[i % 16 * page] = i;
	return 0;
}

/* T14: a store is in the query after it, whoever else asks meanwhile */
WINDOW_TEST(query_against_stores)
{
	int fd = open_file(S, 0, O_RDWR), pid, i;
	unsigned char *p = map_file(fd, RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	pid = SPAWN(store_often(p, P));
	for (i = 0; i < 300; i++) {
		p[P + 1] = i;
		if (i % 2)
			pwrite(fd, &i, 1, 2 * P + 1);
		ASSERT_EQ(0, fsync(fd));
		ASSERT_EQ((unsigned char)i, DISK(0)[P + 1]);
		if (i % 2)
			ASSERT_EQ((unsigned char)i, DISK(0)[2 * P + 1]);
	}
	EXPECT_TRUE(ended(pid, 0));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(p, DISK(0), RANGE));
	munmap(p, RANGE);
	close(fd);
}

static int write_often(int fd, int seed)
{
	int i;

	for (i = 0; i < 60; i++)
		if (pwrite(fd, &i, 4, (i * 37 + seed * 11) % 480 * 4096) != 4)
			return 1;
	return 0;
}

/* T17, T19: no memory to be had but by reclaim */
WINDOW_TEST(under_pressure)
{
	int fd = open_file(S, 0, O_RDWR), i, j, pid[3];

	put_file(S, 0, FILE_MAX);
	for (j = 0; j < 3; j++)
		pid[j] = SPAWN(write_often(fd, j));
	for (i = 0; i < 20; i++) {
		drop_caches();
		poll(NULL, 0, 5);
	}
	for (j = 0; j < 3; j++)
		EXPECT_TRUE(ended(pid[j], 0));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_TRUE(has(fd, DISK(0), FILE_MAX, 0));
	close(fd);
}

/* And it may be the server who is in reclaim */
WINDOW_TEST(reclaim_by_server)
{
	int fd, i;

	for (i = 0; i < 3; i++) {
		fd = open_file(S, i, O_RDWR);
		ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
		close(fd);
	}
	CTL->reclaim = 1;
	fd = open_file(S, 3, O_RDWR);
	EXPECT_TRUE(has(fd, DISK(3), RANGE, 0));
	ASSERT_EQ(1, pwrite(fd, "a", 1, 0));
	EXPECT_TRUE(eventually(COUNT(FUSE_REMOVEMAPPING) == 3));
	EXPECT_EQ('a', DISK(0)[0]);
	close(fd);
}

/* Where making room does not pay it is not done */
WINDOW_TEST(thrashing)
{
	unsigned int i, n = 600, x = 1, before;
	int fd, other;

	put_file(S, 0, FILE_MAX);
	fd = open_file(S, 0, O_RDWR);
	for (i = 0; i < n; i++) {
		x = x * 1103515245 + 12345;
		ASSERT_TRUE(has(fd, DISK(0) + (x >> 8) % 500 * P, P,
				(x >> 8) % 500 * P));
	}
	EXPECT_LT(COUNT(FUSE_SETUPMAPPING), n / 10);
	EXPECT_LT(n / 2, COUNT(FUSE_READ));
	/* much at once: as few requests as without a window */
	before = COUNT(FUSE_READ) + COUNT(FUSE_SETUPMAPPING);
	EXPECT_TRUE(has(fd, DISK(0), FILE_MAX, 0));
	EXPECT_GE(before + 8 + FILE_MAX / RANGE, COUNT(FUSE_READ) +
						 COUNT(FUSE_SETUPMAPPING));
	/* by request or not, it is one file */
	memcpy(self->want, DISK(0), FILE_MAX);
	for (i = 0; i < n; i++) {
		x = x * 1103515245 + 12345;
		self->want[x % FILE_MAX] = x >> 16;
		ASSERT_EQ(1, pwrite(fd, self->want + x % FILE_MAX, 1,
				    x % FILE_MAX));
	}
	EXPECT_LT(n / 2, COUNT(FUSE_WRITE));
	EXPECT_TRUE(has(fd, self->want, FILE_MAX, 0));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, memcmp(DISK(0), self->want, FILE_MAX));
	/* what is used often comes in, and what is used in small steps */
	before = COUNT(FUSE_READ);
	other = open_file(S, 1, O_RDONLY);
	for (i = 0; i < 40; i++)
		ASSERT_TRUE(has(other, DISK(1) + 3 * i, 1, 3 * i));
	EXPECT_TRUE(reads(fd, self->want, FILE_MAX, P));
	EXPECT_GE(before + 16, COUNT(FUSE_READ));
	close(other);
	close(fd);
}

/* Past the window the server is given the client's own pages, where it can be */
WINDOW_TEST(own_pages)
{
	static const uint64_t lengths[] = { 4096, 4097, 3 * 4096 + 5, RANGE - 1 };
	unsigned char *p = mmap(NULL, FILE_MAX, RW, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
	unsigned char *end = p + FILE_MAX - P;
	unsigned int i, from, range = 0, reads = 0;
	uint64_t pos;
	int fd, pid;

	ASSERT_NE(MAP_FAILED, p);
	displace(S, 1);
	put_file(S, 0, FILE_MAX);
	fd = open_file(S, 0, O_RDWR);
	for (i = 0; i < 4; i++)
		for (from = P - 1; from <= P + 1; from++) {
			uint64_t n = lengths[i];

			pos = range++ * RANGE + i;
			memset(p, 0, 2 * RANGE);
			ASSERT_EQ(n, pread(fd, p + from, n, pos));
			EXPECT_EQ(0, memcmp(p + from, DISK(0) + pos, n));
			EXPECT_TRUE(all(p, 0, from));
			EXPECT_TRUE(all(p + from + n, 0, 2 * RANGE - from - n));
			reads++;
			pattern(p + from, 2, pos, n);
			ASSERT_EQ(n, pwrite(fd, p + from, n, pos));
			EXPECT_EQ(0, memcmp(p + from, DISK(0) + pos, n));
		}
	/* never touched before */
	pos = range * RANGE;
	ASSERT_EQ(2 * P, pread(fd, p + FILE_MAX / 2, 2 * P, pos));
	EXPECT_EQ(0, memcmp(p + FILE_MAX / 2, DISK(0) + pos, 2 * P));
	ASSERT_EQ(2 * P, pwrite(fd, p + FILE_MAX / 2 + RANGE, 2 * P, pos));
	EXPECT_TRUE(all(DISK(0) + pos, 0, 2 * P));
	reads++;
	EXPECT_EQ(reads, COUNT(FUSE_READ));
	EXPECT_EQ(reads, COUNT(FUSE_WRITE));
	/* less than was asked for */
	pos += RANGE;
	CTL->file[0].size = pos + P + 1;
	memset(p, 0, 4 * P);
	EXPECT_EQ(P + 1, pread(fd, p + 1, 3 * P, pos));
	EXPECT_EQ(0, memcmp(p + 1, DISK(0) + pos, P + 1));
	EXPECT_TRUE(all(p + P + 2, 0, 2 * P));
	CTL->file[0].size = FILE_MAX;
	/* memory that ends, and that is not for the kernel to write to or read */
	pos += RANGE;
	ASSERT_EQ(0, mprotect(end, P, PROT_READ));
	EXPECT_EQ(P, pread(fd, end - P, 2 * P, pos));
	EXPECT_EQ(0, memcmp(end - P, DISK(0) + pos, P));
	EXPECT_EQ(-1, pread(fd, end, P, pos));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, mprotect(end, P, PROT_NONE));
	EXPECT_EQ(-1, pwrite(fd, end, P, pos));
	EXPECT_EQ(EFAULT, errno);
	/* the client goes before the reply comes */
	pos += RANGE;
	window_hold(S, FUSE_READ);
	pid = SPAWN(pread(fd, p, 2 * P, pos));
	ASSERT_TRUE(window_held(S, 1));
	sleeps(pid);
	EXPECT_TRUE(killed(pid));
	window_go(S, FUSE_READ);
	EXPECT_TRUE(has(fd, DISK(0) + pos, 2 * P, pos));
	close(fd);
	munmap(p, FILE_MAX);
}

/* A copy takes as many pages as it can, and ends where the client's memory does */
WINDOW_TEST(runs)
{
	const uint64_t lengths[] = { 1, P - 1, P, 3 * P + 5 };
	unsigned char *p = mmap(NULL, 2 * RANGE, RW, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
	unsigned char *end = p + 2 * RANGE - P;
	int i, fd = open_file(S, 0, O_RDWR);
	uint64_t n;

	ASSERT_NE(MAP_FAILED, p);
	/* of two ranges, into memory that is not there yet */
	ASSERT_EQ(RANGE + P, pread(fd, p, RANGE + P, P + 1));
	EXPECT_EQ(0, memcmp(p, DISK(0) + P + 1, RANGE + P));
	EXPECT_EQ(0, window_dirty(self->s.fd, 0, self->s.size));
	pattern(p, 3, 0, RANGE);
	ASSERT_EQ(RANGE, pwrite(fd, p, RANGE, P + 1));
	EXPECT_EQ(0x3fffe, window_dirty(self->s.fd, 0, self->s.size));
	EXPECT_TRUE(has(fd, p, RANGE, P + 1));
	EXPECT_TRUE(has(fd, DISK(0) + P + 1 + RANGE, P, P + 1 + RANGE));
	/* and of memory that ends */
	ASSERT_EQ(0, mprotect(end, P, PROT_NONE));
	for (i = 0; i < 4; i++) {
		n = lengths[i];
		EXPECT_EQ(n, pread(fd, end - n, n + P, 2 * RANGE + 100));
		EXPECT_EQ(0, memcmp(end - n, DISK(0) + 2 * RANGE + 100, n));
		memset(end - n, 'a' + i, n);
		EXPECT_EQ(n, pwrite(fd, end - n, n + P, 3 * RANGE + 100));
		EXPECT_EQ((2ULL << (100 + n - 1) / P) - 1,
			  window_dirty(self->s.fd, 3 * RANGE, RANGE));
		EXPECT_TRUE(has(fd, end - n, n, 3 * RANGE + 100));
		EXPECT_TRUE(has(fd, DISK(0) + 3 * RANGE + 100 + n, P,
				3 * RANGE + 100 + n));
	}
	EXPECT_EQ(-1, pread(fd, end, P, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pwrite(fd, end, P, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, window_dirty(self->s.fd, 0, self->s.size));
	close(fd);
	munmap(p, 2 * RANGE);
}

/* Pages that were not made one after the other do not follow each other in memory */
WINDOW_TEST(scattered)
{
	int fd = open_file(S, 0, O_RDWR);
	unsigned char *p = map_file(fd, 4 * RANGE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	atomic_store(&CTL->scattered, 1);
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	pattern(self->want, 3, 0, 3 * RANGE);
	ASSERT_EQ(3 * RANGE, pwrite(fd, self->want, 3 * RANGE, P + 1));
	EXPECT_EQ(0, memcmp(p, DISK(0), P + 1));
	EXPECT_EQ(0, memcmp(p + P + 1, self->want, 3 * RANGE));
	EXPECT_EQ(0, memcmp(p + P + 1 + 3 * RANGE, DISK(0) + P + 1 + 3 * RANGE,
			    RANGE - P - 1));
	munmap(p, 4 * RANGE);
	close(fd);
}

static int use_with_others(int fd, int own, int seed)
{
	unsigned char *p = map_file(fd, FILE_MAX, MAP_SHARED);
	unsigned char mine[64] = {}, c;
	unsigned int x = seed, i, slot;
	uint64_t pos;

	for (i = 0; i < 120; i++) {
		x = x * 1103515245 + 12345;
		slot = (x >> 8) % 64;
		/* bytes of all in the same page, and all over the file */
		pos = slot * (FILE_MAX / 64) + slot % 8 * 4096 + own;
		switch ((x >> 16) % 4) {
		case 0:
			mine[slot]++;
			p[pos] = mine[slot];
			break;
		case 1:
			c = ++mine[slot];
			if (pwrite(fd, &c, 1, pos) != 1)
				return 1;
			break;
		case 2:
			if (p[pos] != mine[slot])
				return 2;
			break;
		case 3:
			if (pread(fd, &c, 1, pos) != 1 || c != mine[slot])
				return 3;
		}
	}
	munmap(p, FILE_MAX);
	return 0;
}

/* In the window and past it at the same time */
WINDOW_TEST(clients)
{
	int fd, pid[4], i;

	CTL->concurrent = 1;
	CTL->file[0].size = FILE_MAX;
	memset(DISK(0), 0, FILE_MAX);
	fd = open_file(S, 0, O_RDWR);
	for (i = 0; i < 4; i++)
		pid[i] = SPAWN(use_with_others(fd, i, i));
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(ended(pid[i], 0));
	close(fd);
}

/* readahead(2) and its like do not wait */
WINDOW_TEST(advice)
{
	int fd = open_file(S, 0, O_RDONLY), fd2;

	window_hold(S, FUSE_SETUPMAPPING);
	ASSERT_EQ(0, posix_fadvise(fd, RANGE + 1, RANGE, POSIX_FADV_WILLNEED));
	ASSERT_TRUE(window_held(S, 2));
	ASSERT_EQ(0, readahead(fd, 0, 4 * RANGE));
	ASSERT_TRUE(window_held(S, 4));
	window_go(S, FUSE_SETUPMAPPING);
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	EXPECT_EQ(4, COUNT(FUSE_SETUPMAPPING));
	EXPECT_EQ(0, COUNT(FUSE_READ));
	EXPECT_EQ(EINVAL, posix_fadvise(fd, 0, -1, POSIX_FADV_WILLNEED));
	/* as far as there is room */
	CTL->file[1].size = FILE_MAX;
	fd2 = open_file(S, 1, O_RDONLY);
	ASSERT_EQ(0, posix_fadvise(fd2, 0, 0, POSIX_FADV_WILLNEED));
	EXPECT_GE(8, COUNT(FUSE_SETUPMAPPING));
	EXPECT_TRUE(has(fd, DISK(0), 4 * RANGE, 0));
	EXPECT_EQ(0, posix_fadvise(fd2, 0, 0, POSIX_FADV_DONTNEED));
	close(fd2);
	close(fd);
}

/* Random operations on a file, and on a plain one */

FIXTURE(window_random)
{
	struct window_server s;
};

/* In ranges.  An access that is not aligned needs two at once */
FIXTURE_VARIANT(window_random)
{
	uint64_t window;
	uint64_t file;
};

FIXTURE_VARIANT_ADD(window_random, ten_times) { .window = 60, .file = 6 };
FIXTURE_VARIANT_ADD(window_random, once) { .window = 10, .file = 10 };
FIXTURE_VARIANT_ADD(window_random, a_tenth) { .window = 2, .file = 20 };

FIXTURE_SETUP(window_random)
{
	self->s.size = variant->window * RANGE;
	SKIP_IF(setup(&self->s));
}

FIXTURE_TEARDOWN(window_random)
{
	if (!self->s.ctl)
		return;
	EXPECT_STREQ("", self->s.ctl->violation);
	window_stop(&self->s);
	test_end();
}

static bool on_disk(const struct fsx *fsx, const void *want, uint64_t size)
{
	struct disk_file *f = fsx->arg;

	return f->size == size && !memcmp(f->data, want, size);
}

TEST_F_TIMEOUT(window_random, operations, TIMEOUT_S)
{
	char plain[96];

	snprintf(plain, sizeof(plain), "%s/plain", test_dir());
	EXPECT_STREQ("", fsx_run(&(struct fsx) {
		.path = self->s.path[0],
		.plain = plain,
		.max = variant->file * RANGE,
		.ms = 4000,
		.stored = on_disk,
		.arg = &self->s.ctl->file[0],
	}));
}

TEST_HARNESS_MAIN
