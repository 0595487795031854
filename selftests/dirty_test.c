// SPDX-License-Identifier: GPL-2.0
/*
 * What clients have written to a buffer since when (FUSE_BUFFER_LOG).
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_TRANSPORTS_FIXTURE(dirty, FUSE_FEATURE_BUFFERS);

#define P	(self->page)
#define PAGES	32
#define SIZE	(PAGES * P)

#define map_with(fd, map_flags, buffer_flags) \
	map(C, S, fd, .fh = S->fh, .len = SIZE, .prot = RW, .flags = map_flags, \
	    .out = { .nodeid = BUF(1), .size = SIZE, .flags = buffer_flags })
#define map_logged(fd)	map_with(fd, MAP_SHARED, FUSE_BUFFER_LOG)

static int logged_open(struct server *s, uint64_t size)
{
	return buffer_open_flags(s, BUF(1), size, size ? FUSE_BUFFER_LOG : 0);
}

/* What a query says, a bit for each page */
static uint64_t dirty(int fd, uint64_t *since)
{
	struct fuse_buffer_range ranges[64];
	struct fuse_buffer_dirty arg = {
		.since = *since, .ranges = (uintptr_t)ranges, .count = 64,
	};
	uint64_t page = getpagesize(), bits = 0, i, j;
	int err = counted_ioctl(fd, FUSE_BUFFER_IOC_DIRTY, &arg);

	if (err)
		fail("FUSE_BUFFER_IOC_DIRTY: %s", strerror(-err));
	if (arg.since < *since)
		fail("@since went back");
	for (i = 0; i < arg.count; i++)
		for (j = 0; j < ranges[i].len / page; j++)
			bits |= 1ULL << (ranges[i].start / page + j);
	*since = arg.since;
	return bits;
}

#define PAGE_BIT(n)	(1ULL << (n))

FUSE_TEST(dirty, written_pages)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	EXPECT_EQ(0, dirty(buf, &since));
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + 3 * P, 1, 'x'));
	ASSERT_EQ(P + 2, call(C, CLIENT_FILL, p + 10 * P - 1, P + 2, 'x'));
	EXPECT_EQ(PAGE_BIT(3) | PAGE_BIT(9) | PAGE_BIT(10) | PAGE_BIT(11),
		  dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
	/* again, and once however often */
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + 3 * P, 1, 'y'));
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + 3 * P, 1, 'z'));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
}

FUSE_TEST(dirty, reads_and_the_server_are_not_reported)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	char data[P], *mem;
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	mem = mmap(NULL, SIZE, RW, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	memset(data, 's', P);

	EXPECT_EQ(SIZE, call(C, CLIENT_DIFF, p, SIZE, 0));
	mem[P] = 's';
	ASSERT_EQ(0, store(S, BUF(1), 2 * P, data, P));
	ASSERT_EQ(P, pwrite(buf, data, P, 3 * P));
	EXPECT_EQ(1, call(C, CLIENT_PEEK, p + 3 * P, 1));
	EXPECT_EQ(0, dirty(buf, &since));
	/* nor is the server after a query has protected the page */
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + P, 1, 'c'));
	EXPECT_EQ(PAGE_BIT(1), dirty(buf, &since));
	mem[P] = 't';
	EXPECT_EQ(1, call(C, CLIENT_PEEK, p + P, 1));
	EXPECT_EQ('t', C->answer.data[0]);
	EXPECT_EQ(0, dirty(buf, &since));
}

FUSE_TEST(dirty, two_watchers)
{
	int fd = client_open(C, S, O_RDWR), a, b;
	int64_t p = map_logged(fd);
	uint64_t sa = 0, sb = 0;

	ASSERT_LT(0, p);
	a = logged_open(S, 0);
	b = logged_open(S, 0);
	ASSERT_LE(0, b);
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'x'));
	EXPECT_EQ(PAGE_BIT(0), dirty(a, &sa));
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + P, 1, 'x'));
	EXPECT_EQ(PAGE_BIT(1), dirty(a, &sa));
	EXPECT_EQ(PAGE_BIT(0) | PAGE_BIT(1), dirty(b, &sb));
	EXPECT_EQ(0, dirty(a, &sa));
	EXPECT_EQ(0, dirty(b, &sb));
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'y'));
	EXPECT_EQ(PAGE_BIT(0), dirty(b, &sb));
	EXPECT_EQ(PAGE_BIT(0), dirty(a, &sa));
}

/* Whatever becomes of the mapping, the write was */
FUSE_TEST(dirty, write_then)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd), q;
	struct client child;
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);

	/* munmap of a part */
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'x'));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	EXPECT_EQ(PAGE_BIT(0), dirty(buf, &since));
	/* mremap */
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + P, 1, 'x'));
	q = call(C, CLIENT_MREMAP, p + P, (PAGES - 1) * P, (PAGES - 1) * P,
		 MREMAP_MAYMOVE, 0);
	ASSERT_LT(0, q);
	EXPECT_EQ(PAGE_BIT(1), dirty(buf, &since));
	ASSERT_EQ(1, call(C, CLIENT_FILL, q, 1, 'y'));
	EXPECT_EQ(PAGE_BIT(1), dirty(buf, &since));
	/* mprotect */
	ASSERT_EQ(1, call(C, CLIENT_FILL, q + P, 1, 'x'));
	ASSERT_EQ(0, call(C, CLIENT_MPROTECT, q, (PAGES - 1) * P, PROT_READ));
	EXPECT_EQ(PAGE_BIT(2), dirty(buf, &since));
	ASSERT_EQ(0, call(C, CLIENT_MPROTECT, q, (PAGES - 1) * P, RW));
	EXPECT_EQ(0, dirty(buf, &since));
	/* fork: parent and child */
	client_fork(C, &child);
	ASSERT_EQ(1, call(&child, CLIENT_FILL, q + 2 * P, 1, 'x'));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	ASSERT_EQ(1, call(C, CLIENT_FILL, q + 2 * P, 1, 'y'));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	/* the child's table is its own */
	ASSERT_EQ(1, call(&child, CLIENT_FILL, q + 2 * P, 1, 'z'));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	/* exit, and exec */
	ASSERT_EQ(1, call(&child, CLIENT_FILL, q + 3 * P, 1, 'x'));
	client_exit(&child);
	EXPECT_EQ(PAGE_BIT(4), dirty(buf, &since));
	ASSERT_EQ(1, call(C, CLIENT_FILL, q + 4 * P, 1, 'x'));
	client_exec(C);
	EXPECT_EQ(PAGE_BIT(5), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
	take_munmap(S, S->fh, BUF(1), 0, SIZE);
}

FUSE_TEST(dirty, private_mappings_are_not_reported)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_with(fd, MAP_PRIVATE, FUSE_BUFFER_LOG);
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	ASSERT_EQ(SIZE, call(C, CLIENT_FILL, p, SIZE, 'x'));
	EXPECT_EQ(0, dirty(buf, &since));
}

/* In one client and in another, before and behind the shared mapping */
FUSE_TEST(dirty, private_neighbours)
{
	int fd = client_open(C, S, O_RDWR), other, buf;
	int64_t before = map_with(fd, MAP_PRIVATE, FUSE_BUFFER_LOG);
	int64_t p = map_logged(fd);
	int64_t behind = map_with(fd, MAP_PRIVATE, FUSE_BUFFER_LOG);
	struct client c2;
	uint64_t since = 0;
	int64_t q;
	int i;

	ASSERT_LT(0, before);
	ASSERT_LT(0, p);
	ASSERT_LT(0, behind);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	client_start(&c2, FUSE_CLIENT);
	other = client_open(&c2, S, O_RDWR);
	q = map(&c2, S, other, .len = SIZE, .prot = RW, .flags = MAP_PRIVATE,
		.out = { .nodeid = BUF(1) });
	ASSERT_LT(0, q);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(4 * P, call(C, CLIENT_FILL, before, 4 * P, 'p'));
		ASSERT_EQ(P, call(C, CLIENT_FILL, p + 2 * P, P, 's'));
		ASSERT_EQ(4 * P, call(C, CLIENT_FILL, behind, 4 * P, 'p'));
		ASSERT_EQ(4 * P, call(&c2, CLIENT_FILL, q, 4 * P, 'p'));
		EXPECT_EQ(PAGE_BIT(2), dirty(buf, &since));
	}
	EXPECT_EQ(0, dirty(buf, &since));
	client_exit(&c2);
	take_munmap(S, S->fh, BUF(1), 0, SIZE);
}

FUSE_TEST(dirty, written_and_killed)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + 4 * P, 1, 'x'));
	client_kill(C, SIGKILL);
	client_gone(C);
	take_munmap(S, S->fh, BUF(1), 0, SIZE);
	EXPECT_EQ(PAGE_BIT(4), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
}

/* Reported as long as it is written to by nobody knows whom */
FUSE_TEST(dirty, direct_io)
{
	int fd, buf;
	uint64_t since = 0, fh;
	struct request *r;
	char data[P];
	int64_t p;

	S->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(C, S, O_RDWR);
	fh = S->fh;
	p = map_logged(fd);
	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	memset(data, 'f', P);
	call_start(C, CLIENT_READ_TO, fd, p + 3 * P, P);
	r = take(S, FUSE_READ);
	EXPECT_EQ(fh, r->read.fh);
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	ASSERT_EQ(0, reply(S, r, data, P));
	EXPECT_EQ(P, call_end(C));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + 3 * P, P, 'f'));
	/* to be read from is not to be written to */
	sys_start(C, SYS_write, fd, p + 3 * P, P);
	r = take(S, FUSE_WRITE);
	EXPECT_EQ(0, dirty(buf, &since));
	ASSERT_EQ(0, reply(S, r, &(struct fuse_write_out){ .size = P },
			   sizeof(struct fuse_write_out)));
	EXPECT_EQ(P, call_end(C));
	EXPECT_EQ(0, dirty(buf, &since));
}

/* A pin for ever would be a write for ever */
FUSE_TEST(dirty, io_uring_fixed_buffer)
{
	int fd = client_open(C, S, O_RDWR), buf, zero;
	int64_t p = map_logged(fd), ret;
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	zero = call_data(C, CLIENT_OPEN, "/dev/zero", 10, O_RDONLY);
	ASSERT_LE(0, zero);
	ret = call(C, CLIENT_READ_FIXED, zero, p, P);
	if (ret == -ENOSYS)
		SKIP(return, "no io_uring");
	EXPECT_EQ(-EFAULT, ret);
	EXPECT_EQ(0, dirty(buf, &since));
}

FUSE_TEST(dirty, debuggers_write)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	struct iovec local = { "d", 1 }, remote;
	uint64_t since = 0;
	char path[64];
	int mem;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	remote = (struct iovec){ (void *)(uintptr_t)(p + 6 * P), 1 };
	ASSERT_EQ(1, process_vm_writev(C->pid, &local, 1, &remote, 1, 0));
	EXPECT_EQ(PAGE_BIT(6), dirty(buf, &since));
	snprintf(path, sizeof(path), "/proc/%d/mem", C->pid);
	mem = open(path, O_RDWR);
	ASSERT_LE(0, mem);
	ASSERT_EQ(1, pwrite(mem, "m", 1, p + 6 * P));
	EXPECT_EQ(PAGE_BIT(6), dirty(buf, &since));
	ASSERT_EQ(1, pread(mem, path, 1, p + 6 * P));
	EXPECT_EQ(0, dirty(buf, &since));
	close(mem);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* A query costs what was written since, not what there is */
FUSE_TEST(dirty, cost)
{
	const uint64_t size = 1ULL << 44, pages = 512;
	int fd = client_open(C, S, O_RDWR), buf, i;
	uint64_t since = 0, start, many, one = UINT64_MAX;
	struct fuse_buffer_open arg = {
		.nodeid = BUF(1), .size = size,
		.flags = FUSE_BUFFER_LOG | FUSE_BUFFER_DEMAND,
	};
	struct fuse_buffer_range ranges[64];
	struct fuse_buffer_dirty query = {
		.ranges = (uintptr_t)ranges, .count = 64,
	};
	char data[16 * P];
	int64_t p;

	buf = ioctl(S->fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg);
	ASSERT_LE(0, buf);
	memset(data, 's', sizeof(data));
	for (since = 0; since < pages * P; since += sizeof(data))
		ASSERT_EQ(0, store(S, BUF(1), size / 2 + since, data,
				   sizeof(data)));
	p = map(C, S, fd, .len = pages * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .offset = size / 2 });
	ASSERT_LT(0, p);
	ASSERT_EQ(pages * P, call(C, CLIENT_FILL, p, pages * P, 'x'));
	start = now_ns();
	ASSERT_EQ(0, ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &query));
	many = now_ns() - start;
	ASSERT_EQ(1, query.count);
	EXPECT_EQ(size / 2, ranges[0].start);
	EXPECT_EQ(pages * P, ranges[0].len);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(1, call(C, CLIENT_FILL, p + i * P, 1, 'y'));
		query.count = 64;
		start = now_ns();
		ASSERT_EQ(0, ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &query));
		if (now_ns() - start < one)
			one = now_ns() - start;
		ASSERT_EQ(1, query.count);
		EXPECT_EQ(size / 2 + i * P, ranges[0].start);
		EXPECT_EQ(P, ranges[0].len);
	}
	TH_LOG("%llu ns for 1 page, %llu ns for %llu",
	       (unsigned long long)one, (unsigned long long)many,
	       (unsigned long long)pages);
	EXPECT_LT(8 * one, many);
}

FUSE_TEST(dirty, kernel_writes)
{
	int fd = client_open(C, S, O_RDWR), buf, zero;
	int64_t p = map_logged(fd);
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	zero = call_data(C, CLIENT_OPEN, "/dev/zero", 10, O_RDONLY);
	ASSERT_LE(0, zero);
	ASSERT_EQ(10, call(C, CLIENT_READ_TO, zero, p + 5 * P, 10));
	EXPECT_EQ(PAGE_BIT(5), dirty(buf, &since));
	ASSERT_EQ(10, call(C, CLIENT_READ_TO, zero, p + 5 * P, 10));
	EXPECT_EQ(PAGE_BIT(5), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
}

FUSE_TEST(dirty, partial_answers)
{
	int fd = client_open(C, S, O_RDWR), buf, i;
	int64_t p = map_logged(fd);
	struct fuse_buffer_range range;
	struct fuse_buffer_dirty arg = {
		.ranges = (uintptr_t)&range, .count = 1,
	};
	uint64_t bits = 0, since;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	for (i = 0; i < PAGES; i += 4)
		ASSERT_EQ(2 * P, call(C, CLIENT_FILL, p + i * P, 2 * P, 'x'));
	for (i = 0; i < PAGES; i += 4) {
		arg.count = 1;
		ASSERT_EQ(0, ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &arg));
		ASSERT_EQ(1, arg.count);
		EXPECT_EQ(2 * P, range.len);
		EXPECT_EQ(0, bits & PAGE_BIT(range.start / P));
		bits |= PAGE_BIT(range.start / P);
		/* what is written meanwhile comes last */
		if (!i)
			ASSERT_EQ(2 * P, call(C, CLIENT_FILL, p, 2 * P, 'y'));
	}
	EXPECT_EQ(0x11111111, bits);
	since = arg.since;
	EXPECT_EQ(PAGE_BIT(0) | PAGE_BIT(1), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
}

/* An answer that cannot be delivered is given again */
FUSE_TEST(dirty, bad_vector)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	struct fuse_buffer_dirty arg = { .ranges = 1, .count = 4 };
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	ASSERT_EQ(1, call(C, CLIENT_FILL, p + 2 * P, 1, 'x'));
	EXPECT_EQ(-EFAULT, counted_ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &arg));
	EXPECT_EQ(PAGE_BIT(2), dirty(buf, &since));
	EXPECT_EQ(0, dirty(buf, &since));
}

FUSE_TEST(dirty, poll)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	struct pollfd pfd;
	uint64_t since = 0;
	pid_t pid;
	int status;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	pfd = (struct pollfd){ .fd = buf, .events = POLLIN };
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	/* somebody sleeps in it */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(poll(&pfd, 1, WAIT_MS) == 1 && pfd.revents == POLLIN);
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'x'));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(1 << 8, status);
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(PAGE_BIT(0), dirty(buf, &since));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'x'));
	EXPECT_EQ(1, poll(&pfd, 1, 0));
}

FUSE_TEST(dirty, dropped_pages)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	uint64_t since = 0;

	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'x'));
	ASSERT_EQ(0, inval(S, BUF(1), 0, P));
	EXPECT_EQ(PAGE_BIT(0), dirty(buf, &since));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p, P, 0));
	EXPECT_EQ(0, dirty(buf, &since));
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'x'));
	EXPECT_EQ(PAGE_BIT(0), dirty(buf, &since));
}

static int retrieve_dirty(struct server *s, uint64_t offset, uint32_t len,
			  uint32_t flags)
{
	struct fuse_notify_retrieve_out out = {
		.notify_unique = 1, .nodeid = BUF(1), .offset = offset,
		.size = len, .padding = flags,
	};

	return server_notify(s, FUSE_NOTIFY_RETRIEVE, &out, sizeof(out), NULL, 0);
}

#define expect_retrieved(pos, len, byte)				\
	do {								\
		struct request *r = take(S, FUSE_NOTIFY_REPLY);		\
		char *data = r->body + sizeof(r->retrieve);		\
		EXPECT_EQ((uint64_t)(pos), r->retrieve.offset);		\
		EXPECT_EQ((len), r->retrieve.size);			\
		if (r->retrieve.size)					\
			EXPECT_EQ(byte, data[0]);			\
	} while (0)

FUSE_TEST(dirty, retrieve)
{
	int fd = client_open(C, S, O_RDWR), buf;
	int64_t p = map_logged(fd);
	uint64_t since = 0;

	ASSERT_LT(0, p);
	ASSERT_EQ(0, retrieve_dirty(S, 0, SIZE, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(0, 0, 0);
	ASSERT_EQ(P, call(C, CLIENT_FILL, p + 3 * P, P, 'a'));
	ASSERT_EQ(2 * P, call(C, CLIENT_FILL, p + 7 * P, 2 * P, 'b'));
	ASSERT_EQ(P, call(C, CLIENT_FILL, p + 20 * P, P, 'c'));
	ASSERT_EQ(0, retrieve_dirty(S, 4 * P, SIZE, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(7 * P, 2 * P, 'b');
	ASSERT_EQ(0, retrieve_dirty(S, 0, 10 * P, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(3 * P, P, 'a');
	ASSERT_EQ(0, retrieve_dirty(S, 0, 10 * P, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(0, 0, 0);
	ASSERT_EQ(0, retrieve_dirty(S, 0, SIZE, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(20 * P, P, 'c');
	/* it is another watcher */
	buf = logged_open(S, 0);
	EXPECT_EQ(PAGE_BIT(3) | PAGE_BIT(7) | PAGE_BIT(8) | PAGE_BIT(20),
		  dirty(buf, &since));
	ASSERT_EQ(P, call(C, CLIENT_FILL, p + 3 * P, P, 'd'));
	EXPECT_EQ(PAGE_BIT(3), dirty(buf, &since));
	ASSERT_EQ(0, retrieve_dirty(S, 0, SIZE, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(3 * P, P, 'd');
	EXPECT_EQ(-EINVAL, retrieve_dirty(S, 0, SIZE, 1U << 1));
}

/* More than fits into a message comes in pieces */
FUSE_TEST(dirty, retrieve_much)
{
	int fd = client_open(C, S, O_RDWR);
	uint64_t size = 512 * P, pos = 0;
	int64_t p;

	p = map(C, S, fd, .len = size, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = size,
			 .flags = FUSE_BUFFER_LOG });
	ASSERT_LT(0, p);
	ASSERT_EQ(size, call(C, CLIENT_FILL, p, size, 'a'));
	while (pos < size) {
		struct request *r;

		ASSERT_EQ(0, retrieve_dirty(S, 0, size, FUSE_RETRIEVE_DIRTY));
		r = take(S, FUSE_NOTIFY_REPLY);
		ASSERT_EQ(pos, r->retrieve.offset);
		ASSERT_LT(0, r->retrieve.size);
		pos += r->retrieve.size;
	}
	ASSERT_EQ(0, retrieve_dirty(S, 0, size, FUSE_RETRIEVE_DIRTY));
	expect_retrieved(0, 0, 0);
}

FUSE_TEST(dirty, errors)
{
	struct fuse_buffer_range range;
	struct fuse_buffer_dirty arg = {
		.ranges = (uintptr_t)&range, .count = 1,
	}, bad;
	int plain, buf;

	plain = buffer_open(S, BUF(2), P);
	ASSERT_LE(0, plain);
	EXPECT_EQ(-EOPNOTSUPP, counted_ioctl(plain, FUSE_BUFFER_IOC_DIRTY, &arg));
	buf = logged_open(S, SIZE);
	ASSERT_LE(0, buf);
	bad = arg;
	bad.count = 0;
	EXPECT_EQ(-EINVAL, counted_ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &bad));
	bad = arg;
	bad.count = 65537;
	EXPECT_EQ(-EINVAL, counted_ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &bad));
	bad = arg;
	bad.padding = 1;
	EXPECT_EQ(-EINVAL, counted_ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &bad));
	bad = arg;
	bad.since = 1;
	EXPECT_EQ(-EINVAL, counted_ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &bad));
	EXPECT_EQ(-EFAULT, counted_ioctl(buf, FUSE_BUFFER_IOC_DIRTY, NULL));
	EXPECT_EQ(-1, ioctl(buf, FUSE_DEV_IOC_ENABLE, NULL));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(0, ioctl(buf, FUSE_BUFFER_IOC_DIRTY, &arg));
	EXPECT_EQ(0, arg.count);
}

/* To fill is not to write */
FUSE_TEST(dirty, filled_on_demand)
{
	int fd = client_open(C, S, O_RDWR), buf;
	uint64_t since = 0;
	struct request *r;
	char data[P];
	int64_t p;

	p = map_with(fd, MAP_SHARED, FUSE_BUFFER_LOG | FUSE_BUFFER_DEMAND);
	ASSERT_LT(0, p);
	buf = logged_open(S, 0);
	ASSERT_LE(0, buf);
	memset(data, 'f', P);
	call_start(C, CLIENT_PEEK, p, 1);
	r = take(S, FUSE_READ);
	ASSERT_EQ(0, reply(S, r, data, P));
	EXPECT_EQ(1, call_end(C));
	EXPECT_EQ(0, dirty(buf, &since));
	call_start(C, CLIENT_FILL, p + 8 * P, 1, 'x');
	r = take(S, FUSE_READ);
	ASSERT_EQ(0, reply(S, r, data, P));
	EXPECT_EQ(1, call_end(C));
	EXPECT_EQ(PAGE_BIT(8), dirty(buf, &since));
}

TEST_HARNESS_MAIN
