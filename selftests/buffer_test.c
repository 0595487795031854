// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE buffers from the server's side: FUSE_DEV_IOC_ENABLE,
 * FUSE_DEV_IOC_BUFFER_OPEN and the file descriptor that it returns.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

#define PAGES	4
#define ALL	(FUSE_FEATURE_BUFFERS | FUSE_FEATURE_NONBLOCK | \
		 FUSE_FEATURE_RESTART)

/* FUSE_DEV_IOC_ENABLE */

FUSE_FIXTURE(enable, NEEDS_SERIES);

static int enable(struct server *s, struct fuse_enable *arg)
{
	return counted_ioctl(s->fd, FUSE_DEV_IOC_ENABLE, arg);
}

FUSE_TEST(enable, features_add_up)
{
	struct fuse_enable arg = { 0 };

	ASSERT_EQ(0, enable(&self->s, &arg));
	EXPECT_EQ(0, arg.features);
	EXPECT_EQ(ALL, arg.supported & ALL);

	arg = (struct fuse_enable){ .features = FUSE_FEATURE_NONBLOCK };
	ASSERT_EQ(0, enable(&self->s, &arg));
	EXPECT_EQ(FUSE_FEATURE_NONBLOCK, arg.features);

	arg = (struct fuse_enable){ .features = FUSE_FEATURE_BUFFERS };
	ASSERT_EQ(0, enable(&self->s, &arg));
	EXPECT_EQ(FUSE_FEATURE_NONBLOCK | FUSE_FEATURE_BUFFERS, arg.features);
}

FUSE_TEST(enable, unknown_feature_enables_nothing)
{
	struct fuse_enable arg = {
		.features = FUSE_FEATURE_BUFFERS | 1ULL << 63,
	};

	ASSERT_EQ(-EOPNOTSUPP, enable(&self->s, &arg));
	EXPECT_EQ(ALL, arg.supported & ALL);
	EXPECT_EQ(0, arg.supported & 1ULL << 63);
	arg = (struct fuse_enable){ 0 };
	ASSERT_EQ(0, enable(&self->s, &arg));
	EXPECT_EQ(0, arg.features);
	EXPECT_EQ(-EOPNOTSUPP, buffer_open(&self->s, BUF(1), self->page));
}

FUSE_TEST(enable, bad_arguments)
{
	struct fuse_enable arg = { .supported = 1 };

	EXPECT_EQ(-EINVAL, enable(&self->s, &arg));
	EXPECT_EQ(-EFAULT, enable(&self->s, NULL));
}

FUSE_TEST(enable, buffers_off)
{
	ASSERT_EQ(0, server_enable(&self->s, ALL & ~FUSE_FEATURE_BUFFERS));
	EXPECT_EQ(-EOPNOTSUPP, buffer_open(&self->s, BUF(1), self->page));
	EXPECT_EQ(-EOPNOTSUPP, buffer_bind(&self->s, 1, 0, self->page, BUF(1),
					   0, self->page));
	ASSERT_EQ(0, server_enable(&self->s, FUSE_FEATURE_BUFFERS));
	EXPECT_LE(0, buffer_open(&self->s, BUF(1), self->page));
}

FUSE_TEST(enable, before_mount)
{
	struct fuse_enable arg = { 0 };
	int fd, ret;

	/* /dev/cuse is connected from the start */
	fd = open(variant->type == SERVER_CUSE ? "/dev/cuse" : "/dev/fuse",
		  O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ret = ioctl(fd, FUSE_DEV_IOC_ENABLE, &arg);
	if (variant->type == SERVER_CUSE) {
		EXPECT_EQ(0, ret);
	} else {
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EPERM, errno);
	}
}

FUSE_TEST(enable, after_abort)
{
	server_abort(&self->s);
	/* no crash, and no buffer of a dead connection */
	server_enable(&self->s, FUSE_FEATURE_BUFFERS);
	EXPECT_GT(0, buffer_open(&self->s, BUF(1), self->page));
}

/* FUSE_DEV_IOC_BUFFER_OPEN */

FUSE_FIXTURE(buffer, FUSE_FEATURE_BUFFERS);

FUSE_TEST(buffer, open_errors)
{
	struct fuse_buffer_open arg = {
		.nodeid = BUF(1),
		.size = self->page,
		.flags = O_NONBLOCK,
	};

	EXPECT_EQ(-1, ioctl(self->s.fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg));
	EXPECT_EQ(EINVAL, errno);
	arg.flags = 0;
	arg.padding = 1;
	EXPECT_EQ(-1, ioctl(self->s.fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->s.fd, FUSE_DEV_IOC_BUFFER_OPEN, NULL));
	EXPECT_EQ(EFAULT, errno);

	EXPECT_EQ(-EINVAL, buffer_open(&self->s, 0, self->page));
	EXPECT_EQ(-EINVAL, buffer_open(&self->s, 1, self->page));
	EXPECT_EQ(-EINVAL, buffer_open(&self->s, ~FUSE_BUFFER_NODEID, self->page));
	EXPECT_EQ(-EINVAL, buffer_open(&self->s, BUF(1), 1));
	EXPECT_EQ(-EINVAL, buffer_open(&self->s, BUF(1), self->page + 1));
	EXPECT_EQ(-EINVAL, buffer_open(&self->s, BUF(1), self->page - 1));
	EXPECT_EQ(-EFBIG, buffer_open(&self->s, BUF(1), 1ULL << 62));
	EXPECT_EQ(-EFBIG, buffer_open(&self->s, BUF(1), -self->page));
	EXPECT_EQ(-ENOENT, buffer_open(&self->s, BUF(1), 0));
	EXPECT_FALSE(buffer_exists(&self->s, BUF(1)));
}

FUSE_TEST(buffer, open_existing)
{
	int a, b, c;
	char byte;

	a = buffer_open(&self->s, BUF(1), PAGES * self->page);
	ASSERT_LE(0, a);
	EXPECT_EQ(-EEXIST, buffer_open(&self->s, BUF(1), self->page));
	EXPECT_EQ(-EEXIST, buffer_open(&self->s, BUF(1),
				       (PAGES + 1) * self->page));
	b = buffer_open(&self->s, BUF(1), PAGES * self->page);
	ASSERT_LE(0, b);
	c = buffer_open(&self->s, BUF(1), 0);
	ASSERT_LE(0, c);

	ASSERT_EQ(1, pwrite(a, "x", 1, 3));
	ASSERT_EQ(1, pread(b, &byte, 1, 3));
	EXPECT_EQ('x', byte);
	byte = 0;
	ASSERT_EQ(1, pread(c, &byte, 1, 3));
	EXPECT_EQ('x', byte);
}

/* nodeids at the ends of their range, and all at once */
FUSE_TEST(buffer, nodeids)
{
	static const uint64_t ids[] = { 0, 1, 2, 1ULL << 32, (1ULL << 62) };
	size_t i, n = ARRAY_SIZE(ids);
	int fd[ARRAY_SIZE(ids) + 1];
	char text[32], seen[32];

	for (i = 0; i <= n; i++) {
		fd[i] = buffer_open(&self->s, i < n ? BUF(ids[i]) : ~0ULL,
				    self->page);
		ASSERT_LE(0, fd[i]);
		snprintf(text, sizeof(text), "buffer %zu", i);
		ASSERT_EQ(sizeof(text), pwrite(fd[i], text, sizeof(text), 0));
	}
	for (i = 0; i <= n; i++) {
		snprintf(text, sizeof(text), "buffer %zu", i);
		ASSERT_EQ(sizeof(seen), pread(fd[i], seen, sizeof(seen), 0));
		EXPECT_STREQ(text, seen);
		EXPECT_EQ(i < n ? BUF(ids[i]) : ~0ULL, fdinfo(fd[i], "nodeid"));
	}
}

FUSE_TEST(buffer, gone_after_last_close)
{
	char byte = 1;
	int fd;

	fd = buffer_open(&self->s, BUF(1), self->page);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	close(fd);
	EXPECT_FALSE(buffer_exists(&self->s, BUF(1)));

	/* the next one of that name has another size and no old data */
	fd = buffer_open(&self->s, BUF(1), 2 * self->page);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pread(fd, &byte, 1, 0));
	EXPECT_EQ(0, byte);
}

FUSE_TEST(buffer, mapping_keeps_it)
{
	char *p;
	int fd;

	fd = buffer_open(&self->s, BUF(1), self->page);
	ASSERT_LE(0, fd);
	p = mmap(NULL, self->page, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	p[0] = 'x';
	EXPECT_TRUE(buffer_exists(&self->s, BUF(1)));
	EXPECT_EQ('x', p[0]);
	munmap(p, self->page);
	EXPECT_FALSE(buffer_exists(&self->s, BUF(1)));
}

/* A buffer that is given up and made again, by many at a time */
FUSE_TEST(buffer, make_and_drop)
{
	int i, j, fd, pid, status;
	pid_t child[2];

	for (j = 0; j < 2; j++) {
		child[j] = fork();
		ASSERT_LE(0, child[j]);
		if (child[j])
			continue;
		for (i = 0; i < 300; i++) {
			fd = buffer_open(&self->s, BUF(1), self->page);
			if (fd < 0 || pwrite(fd, "x", 1, 0) != 1)
				_exit(1);
			close(fd);
		}
		_exit(0);
	}
	for (j = 0; j < 2; j++) {
		pid = waitpid(child[j], &status, 0);
		ASSERT_EQ(child[j], pid);
		EXPECT_EQ(0, status);
	}
	EXPECT_FALSE(buffer_exists(&self->s, BUF(1)));
}

FUSE_TEST(buffer, cloexec)
{
	struct fuse_buffer_open arg = { .nodeid = BUF(1), .size = self->page };
	int fd;

	fd = ioctl(self->s.fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	arg.flags = O_CLOEXEC;
	fd = ioctl(self->s.fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
}

FUSE_TEST(buffer, emfile_leaves_nothing)
{
	struct rlimit old, limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = (struct rlimit){ 3, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, buffer_open(&self->s, BUF(1), self->page));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_FALSE(buffer_exists(&self->s, BUF(1)));
}

/* The file descriptor, in every use */

FIXTURE(buffer_fd)
{
	struct server s;
	struct client c;
	uint64_t page, size;
	int fd;
	char *data;
};

FIXTURE_VARIANT(buffer_fd)
{
	enum server_type type;
};

FIXTURE_VARIANT_ADD(buffer_fd, fuse) { .type = SERVER_FUSE };
FIXTURE_VARIANT_ADD(buffer_fd, cuse) { .type = SERVER_CUSE };

FIXTURE_SETUP(buffer_fd)
{
	self->page = getpagesize();
	self->size = PAGES * self->page;
	self->s.type = variant->type;
	SKIP_IF(fixture_start(&self->s, &self->c, FUSE_FEATURE_BUFFERS,
			      "fuse_client"));
	self->fd = buffer_open(&self->s, BUF(0x1234), self->size);
	ASSERT_LE(0, self->fd);
	self->data = malloc(2 * self->size);
	ASSERT_NE(NULL, self->data);
	memset(self->data, 0x55, 2 * self->size);
}

FIXTURE_TEARDOWN(buffer_fd)
{
	fixture_stop(&self->s, &self->c, _metadata->exit_code == KSFT_FAIL);
}

static bool all(const char *p, size_t len, char byte)
{
	while (len && *p == byte) {
		p++;
		len--;
	}
	return !len;
}

FUSE_TEST(buffer_fd, zero_at_first)
{
	ASSERT_EQ(self->size, pread(self->fd, self->data, 2 * self->size, 0));
	EXPECT_TRUE(all(self->data, self->size, 0));
	/* reading makes no pages */
	EXPECT_EQ(0, fdinfo(self->fd, "present"));
}

FUSE_TEST(buffer_fd, pread_pwrite)
{
	uint64_t off = self->page - 3;
	char *data = self->data;

	/* over the border of pages, of which one is there */
	ASSERT_EQ(1, pwrite(self->fd, "a", 1, self->page + 5));
	ASSERT_EQ(6, pwrite(self->fd, "foobar", 6, off));
	ASSERT_EQ(self->size, pread(self->fd, data, self->size, 0));
	EXPECT_TRUE(all(data, off, 0));
	EXPECT_EQ(0, memcmp(data + off, "foobar", 6));
	EXPECT_EQ('a', data[self->page + 5]);
	EXPECT_TRUE(all(data + self->page + 6, self->size - self->page - 6, 0));
	EXPECT_EQ(2, fdinfo(self->fd, "present"));

	ASSERT_EQ(2, pread(self->fd, data, 2, off + 2));
	EXPECT_EQ(0, memcmp(data, "ob", 2));
	/* the file position did not move */
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
}

FUSE_TEST(buffer_fd, past_the_end)
{
	ASSERT_EQ(3, pwrite(self->fd, self->data, 10, self->size - 3));
	EXPECT_EQ(3, pread(self->fd, self->data, 10, self->size - 3));
	EXPECT_EQ(0, pread(self->fd, self->data, 10, self->size));
	EXPECT_EQ(0, pread(self->fd, self->data, 10, self->size + 5));
	EXPECT_EQ(-1, pwrite(self->fd, self->data, 10, self->size));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-1, pwrite(self->fd, self->data, 10, self->size + 5));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, pwrite(self->fd, self->data, 0, self->size));
	EXPECT_EQ(0, pread(self->fd, self->data, 0, 0));
	EXPECT_EQ(self->size, lseek(self->fd, 0, SEEK_END));
}

FUSE_TEST(buffer_fd, bad_memory)
{
	char *nowhere = mmap(NULL, self->page, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, nowhere);
	EXPECT_EQ(-1, pwrite(self->fd, nowhere, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, fdinfo(self->fd, "present"));
	EXPECT_EQ(-1, pread(self->fd, nowhere, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 0));
	EXPECT_EQ(-1, pread(self->fd, nowhere, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pwrite(self->fd, nowhere, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, pread(self->fd, self->data, 1, 0));
	EXPECT_EQ('x', self->data[0]);
}

/* A part of the data cannot be read: what is stored is what is returned */
FUSE_TEST(buffer_fd, partly_bad_memory)
{
	char *p = mmap(NULL, 2 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	ssize_t n;

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'p', self->page);
	ASSERT_EQ(0, munmap(p + self->page, self->page));
	n = pwrite(self->fd, p + self->page / 2, self->page, 0);
	ASSERT_LT(0, n);
	ASSERT_GE(self->page / 2, n);
	ASSERT_EQ(self->page, pread(self->fd, self->data, self->page, 0));
	EXPECT_TRUE(all(self->data, n, 'p'));
	EXPECT_TRUE(all(self->data + n, self->page - n, 0));
}

FUSE_TEST(buffer_fd, lseek)
{
	char c;

	ASSERT_EQ(6, write(self->fd, "foobar", 6));
	EXPECT_EQ(6, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(3, lseek(self->fd, 3, SEEK_SET));
	ASSERT_EQ(1, read(self->fd, &c, 1));
	EXPECT_EQ('b', c);
	EXPECT_EQ(4, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(self->size - 2, lseek(self->fd, -2, SEEK_END));
	EXPECT_EQ(2, write(self->fd, "xyz", 3));
	EXPECT_EQ(self->size, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, read(self->fd, &c, 1));
	EXPECT_EQ(-1, lseek(self->fd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
}

FUSE_TEST(buffer_fd, mmap_shared)
{
	char *p, *q;

	p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	q = mmap(NULL, self->page, PROT_READ, MAP_SHARED, self->fd, self->page);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_TRUE(all(p, self->size, 0));
	p[self->page + 1] = 'm';
	EXPECT_EQ('m', q[1]);
	ASSERT_EQ(1, pread(self->fd, self->data, 1, self->page + 1));
	EXPECT_EQ('m', self->data[0]);
	ASSERT_EQ(1, pwrite(self->fd, "n", 1, self->page + 1));
	EXPECT_EQ('n', q[1]);
	EXPECT_EQ(0, msync(p, self->size, MS_SYNC));
	EXPECT_EQ(0, fsync(self->fd));
}

FUSE_TEST(buffer_fd, mmap_private)
{
	char *p;

	p = mmap(NULL, self->size, RW, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(1, pwrite(self->fd, "s", 1, 0));
	EXPECT_EQ('s', p[0]);
	p[0] = 'p';
	ASSERT_EQ(1, pread(self->fd, self->data, 1, 0));
	EXPECT_EQ('s', self->data[0]);
}

FUSE_TEST(buffer_fd, mmap_past_the_end)
{
	pid_t pid;
	int status;
	char *p;

	p = mmap(NULL, 2 * self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	p[self->size - 1] = 1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		p[self->size] = 1;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
}

/* Its own mapping as the source and the target of read and write */
FUSE_TEST(buffer_fd, own_memory)
{
	char *p;

	p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	/* the page that is written is the page that is read, and is absent */
	ASSERT_EQ(self->page, pwrite(self->fd, p, self->page, 0));
	ASSERT_EQ(self->page, pread(self->fd, p + self->page, self->page,
				    self->page));
	memcpy(p, "abc", 3);
	ASSERT_EQ(self->page, pwrite(self->fd, p, self->page, 2 * self->page));
	EXPECT_EQ(0, memcmp(p + 2 * self->page, "abc", 3));
}

FUSE_TEST(buffer_fd, splice_in)
{
	loff_t off = self->page - 2;
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(6, write(pipefd[1], "foobar", 6));
	ASSERT_EQ(6, splice(pipefd[0], NULL, self->fd, &off, 6, 0));
	EXPECT_EQ(self->page + 4, off);
	ASSERT_EQ(6, pread(self->fd, self->data, 6, self->page - 2));
	EXPECT_EQ(0, memcmp(self->data, "foobar", 6));
}

FUSE_TEST(buffer_fd, splice_out)
{
	loff_t off = self->page - 2;
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(6, pwrite(self->fd, "foobar", 6, self->page - 2));
	ASSERT_EQ(6, splice(self->fd, &off, pipefd[1], NULL, 6, 0));
	ASSERT_EQ(6, read(pipefd[0], self->data, 6));
	EXPECT_EQ(0, memcmp(self->data, "foobar", 6));
	/* a hole, and the end */
	off = self->size - 3;
	ASSERT_EQ(3, splice(self->fd, &off, pipefd[1], NULL, 6, 0));
	ASSERT_EQ(3, read(pipefd[0], self->data, 6));
	EXPECT_TRUE(all(self->data, 3, 0));
	EXPECT_EQ(0, splice(self->fd, &off, pipefd[1], NULL, 6, 0));
}

FUSE_TEST(buffer_fd, sendfile)
{
	int out, in;
	off_t off = 0;

	out = memfd_create("out", MFD_CLOEXEC);
	ASSERT_LE(0, out);
	ASSERT_EQ(6, pwrite(self->fd, "foobar", 6, self->page));
	ASSERT_EQ(self->size, sendfile(out, self->fd, &off, self->size));
	ASSERT_EQ(self->size, pread(out, self->data, self->size, 0));
	EXPECT_TRUE(all(self->data, self->page, 0));
	EXPECT_EQ(0, memcmp(self->data + self->page, "foobar", 6));

	in = memfd_create("in", MFD_CLOEXEC);
	ASSERT_LE(0, in);
	memset(self->data, 'i', self->size);
	ASSERT_EQ(self->size, write(in, self->data, self->size));
	off = 0;
	ASSERT_EQ(self->size, sendfile(self->fd, in, &off, self->size));
	memset(self->data, 0, self->size);
	ASSERT_EQ(self->size, pread(self->fd, self->data, self->size, 0));
	EXPECT_TRUE(all(self->data, self->size, 'i'));
}

FUSE_TEST(buffer_fd, vectors)
{
	struct iovec iov[2] = { { "foo", 3 }, { "barbaz", 6 } };

	ASSERT_EQ(9, pwritev(self->fd, iov, 2, self->page - 4));
	iov[0] = (struct iovec){ self->data, 5 };
	iov[1] = (struct iovec){ self->data + 5, 4 };
	ASSERT_EQ(9, preadv(self->fd, iov, 2, self->page - 4));
	EXPECT_EQ(0, memcmp(self->data, "foobarbaz", 9));
}

FUSE_TEST(buffer_fd, size_is_fixed)
{
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
	EXPECT_EQ(-1, ftruncate(self->fd, 2 * self->size));
	EXPECT_EQ(-1, fallocate(self->fd, 0, 0, 2 * self->size));
	EXPECT_EQ(-1, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, self->page));
	EXPECT_EQ(self->size, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(self->size, fdinfo(self->fd, "size"));
}

/* What was stored has no other copy: nothing but the server may drop it */
FUSE_TEST(buffer_fd, nothing_drops_it)
{
	char *p;

	ASSERT_EQ(self->size, pwrite(self->fd, self->data, self->size, 0));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, write_text("/proc/sys/vm/drop_caches", "3"));
	p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(all(p, self->size, 0x55));
	madvise(p, self->size, MADV_REMOVE);
	madvise(p, self->size, MADV_PAGEOUT);
	madvise(p, self->size, MADV_DONTNEED);
	EXPECT_TRUE(all(p, self->size, 0x55));
	EXPECT_EQ(PAGES, fdinfo(self->fd, "present"));
}

FUSE_TEST(buffer_fd, no_reopen)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	EXPECT_EQ(-1, open(path, O_RDWR));
}

FUSE_TEST(buffer_fd, fdinfo)
{
	char *p;

	EXPECT_EQ(self->s.dev, fdinfo(self->fd, "fuse_connection"));
	EXPECT_EQ(BUF(0x1234), fdinfo(self->fd, "nodeid"));
	EXPECT_EQ(self->size, fdinfo(self->fd, "size"));
	EXPECT_EQ(0, fdinfo(self->fd, "present"));
	EXPECT_EQ(0, fdinfo(self->fd, "mappings"));
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 0));
	EXPECT_EQ(1, fdinfo(self->fd, "present"));
	/* a page that is only read is there too, once it is mapped */
	p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, p[self->page]);
	EXPECT_EQ(2, fdinfo(self->fd, "present"));
	/* the server's own mappings do not count */
	EXPECT_EQ(0, fdinfo(self->fd, "mappings"));
}

FUSE_TEST(buffer_fd, dup)
{
	int fd = dup(self->fd);

	ASSERT_LE(0, fd);
	ASSERT_EQ(3, write(self->fd, "foo", 3));
	EXPECT_EQ(3, lseek(fd, 0, SEEK_CUR));
	close(self->fd);
	ASSERT_EQ(3, pread(fd, self->data, 3, 0));
	EXPECT_EQ(0, memcmp(self->data, "foo", 3));
	close(fd);
	EXPECT_FALSE(buffer_exists(&self->s, BUF(0x1234)));
}

FUSE_TEST(buffer_fd, fork)
{
	int status;
	pid_t pid;
	char *p;

	p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		p[0] = 'c';
		_exit(pwrite(self->fd, "d", 1, 1) != 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ('c', p[0]);
	EXPECT_EQ('d', p[1]);
}

/* To another process, which may do with it what the server may */
FUSE_TEST(buffer_fd, scm_rights)
{
	int64_t fd, p;
	char c;

	client_send(&self->c, CLIENT_RECVFD, (int64_t[7]){ 0 }, NULL, 0,
		    self->fd);
	fd = call_end(&self->c);
	ASSERT_LE(0, fd);
	close(self->fd);
	p = call(&self->c, CLIENT_MMAP, 0, self->size, RW, MAP_SHARED, fd, 0);
	ASSERT_LT(0, p);
	ASSERT_EQ(3, call_data(&self->c, CLIENT_POKE, "foo", 3, p));
	self->fd = buffer_open(&self->s, BUF(0x1234), 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(1, pread(self->fd, &c, 1, 2));
	EXPECT_EQ('o', c);
	close(self->fd);
	ASSERT_EQ(0, call(&self->c, CLIENT_CLOSE, fd));
	EXPECT_TRUE(buffer_exists(&self->s, BUF(0x1234)));
	ASSERT_EQ(0, call(&self->c, CLIENT_MUNMAP, p, self->size));
	EXPECT_FALSE(buffer_exists(&self->s, BUF(0x1234)));
}

static void use_all(struct __test_metadata *_metadata, int fd, char *mapped,
		    uint64_t page)
{
	char c, *p;

	EXPECT_EQ('x', mapped[0]);
	mapped[page] = 'y';
	ASSERT_EQ(1, pread(fd, &c, 1, page));
	EXPECT_EQ('y', c);
	ASSERT_EQ(1, pwrite(fd, "z", 1, 2 * page));
	EXPECT_EQ('z', mapped[2 * page]);
	p = mmap(NULL, page, RW, MAP_SHARED, fd, 2 * page);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ('z', p[0]);
	EXPECT_EQ(PAGES * page, fdinfo(fd, "size"));
	EXPECT_EQ(3, fdinfo(fd, "present"));
	EXPECT_EQ(0, munmap(p, page));
}

FUSE_TEST(buffer_fd, after_abort)
{
	char *p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'x';
	server_abort(&self->s);
	use_all(_metadata, self->fd, p, self->page);
	EXPECT_EQ(-ENOTCONN, buffer_open(&self->s, BUF(0x1234), 0));
	EXPECT_EQ(-ENOTCONN, buffer_open(&self->s, BUF(2), self->page));
}

FUSE_TEST(buffer_fd, after_the_device_is_closed)
{
	char *p = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'x';
	client_exit(&self->c);
	server_die(&self->s);
	use_all(_metadata, self->fd, p, self->page);
	/* the last user of anything of the connection */
	close(self->fd);
	p[0] = 'z';
	EXPECT_EQ('z', p[2 * self->page]);
	EXPECT_EQ(0, munmap(p, self->size));
}

FUSE_ONLY_FIXTURE(buffer_umount, FUSE_FEATURE_BUFFERS);

FUSE_TEST(buffer_umount, after_umount)
{
	int fd = buffer_open(&self->s, BUF(1), PAGES * self->page);
	char *p;

	ASSERT_LE(0, fd);
	p = mmap(NULL, PAGES * self->page, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'x';
	ASSERT_EQ(0, umount2(self->s.mnt, 0));
	ASSERT_TRUE(eventually(self->s.gone));
	use_all(_metadata, fd, p, self->page);
}

TEST_HARNESS_MAIN
