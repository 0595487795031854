// SPDX-License-Identifier: GPL-2.0
/* FUSE_PASSTHROUGH: files whose data is that of another file */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define PAGE	((uint64_t)getpagesize())
#define SIZE	(FILE_PAGES * PAGE)

/* The mapping of a file is the same by either transport */
FUSE_OP_FIXTURE(passthrough, .init_flags = FUSE_PASSTHROUGH |
					   FUSE_DIRECT_IO_ALLOW_MMAP,
		.max_stack_depth = 1);

static int backing_open(struct server *s, int fd)
{
	struct fuse_backing_map map = { .fd = fd };

	return counted_ioctl(s->fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
}

static int backing_close(struct server *s, int id)
{
	return counted_ioctl(s->fd, FUSE_DEV_IOC_BACKING_CLOSE, &id);
}

/* A file of its size, of byte @c */
static int new_file(const char *name, char c)
{
	char path[64], *data = malloc(SIZE);
	int fd;

	snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(data, c, SIZE);
	NEED(fd >= 0 && write(fd, data, SIZE) == (ssize_t)SIZE);
	free(data);
	return fd;
}

/* A file of bytes 'b', and its number; or why there is none */
static const char *backing_start(struct server *s, int *file, int *id)
{
	*file = new_file("backing", 'b');
	*id = backing_open(s, *file);
	if (*id == -EPERM)
		return "kernel without FUSE_PASSTHROUGH";
	NEED(*id > 0);
	return NULL;
}

static int open_path(struct server *s, struct client *c, const char *path,
		     int how, uint32_t flags, int id)
{
	static uint64_t fh = 0x77;
	struct fuse_open_out out = {
		.fh = ++fh,
		.open_flags = flags,
		.backing_id = id,
	};

	sys_start(c, SYS_openat, AT_FDCWD, str(c, path), how);
	NEED(!reply(s, take(s, FUSE_OPEN), &out, sizeof(out)));
	return call_end(c);
}

static int open_backed(struct server *s, struct client *c, int how,
		       uint32_t flags, int id)
{
	return open_path(s, c, s->path, how, flags, id);
}

static void open_pipe(struct client *c, int *from, int *to)
{
	int *ends;

	NEED(!sys(c, SYS_pipe2, ARG(0), 0));
	ends = out(c, ARG(0));
	*from = ends[0];
	*to = ends[1];
}

/*
 * It holds the backing file system against a freeze, then locks the pipe; with
 * splice to other files of FUSE, and write to these, that is a circle, as is
 * any splice to a file of the backing file system. So it is with overlayfs.
 */
static const char *splice_in_skips(void)
{
	return access("/proc/lockdep_stats", F_OK) ? NULL :
		"lockdep tells of sb_writers and the pipe";
}

FUSE_TEST(passthrough, content)
{
	int file, id, fd, i, from, to;
	char data[PAGE];
	int64_t addr;

	SKIP_IF(backing_start(S, &file, &id));
	/* whoever opens it: once for both names of a file */
	fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id);
	ASSERT_LE(0, fd);
	i = open_backed(S, C, O_RDONLY, FOPEN_PASSTHROUGH, id);
	ASSERT_LE(0, i);
	ASSERT_EQ(0, sys(C, SYS_close, i));

	/* the server sees nothing of this */
	S->manual = 1ULL << FUSE_READ | 1ULL << FUSE_WRITE;
	ASSERT_EQ(100, sys(C, SYS_pread64, fd, ARG(0), 100, 200));
	memset(data, 'b', PAGE);
	ASSERT_EQ(0, memcmp(data, out(C, ARG(0)), 100));
	ASSERT_EQ(0, sys(C, SYS_pread64, fd, ARG(0), 0, 0));
	ASSERT_EQ(3, sys(C, SYS_pwrite64, fd, str(C, "new"), 3, SIZE + 5));
	ASSERT_EQ(0, sys(C, SYS_pwrite64, fd, str(C, ""), 0, 0));
	ASSERT_EQ(SIZE + 8, cached_size(C, fd));
	ASSERT_EQ(8, pread(file, data, 10, SIZE));
	ASSERT_EQ(0, memcmp("\0\0\0\0\0new", data, 8));

	/* splice(2) out of it */
	HERE(open_pipe(C, &from, &to));
	ASSERT_EQ(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	ASSERT_EQ(3, sys(C, SYS_splice, fd, 0, to, 0, 3, 0));
	ASSERT_EQ(3, sys(C, SYS_lseek, fd, 0, SEEK_CUR));
	ASSERT_EQ(3, sys(C, SYS_read, from, ARG(0), 3));
	ASSERT_EQ(0, memcmp("bbb", out(C, ARG(0)), 3));

	/* mmap(2) */
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, PAGE);
	ASSERT_LT(0, addr);
	ASSERT_EQ(PAGE, call(C, CLIENT_DIFF, addr, PAGE, 'b'));
	ASSERT_EQ(3, call_data(C, CLIENT_POKE, "map", 3, addr));
	ASSERT_EQ(4, pread(file, data, 4, PAGE));
	ASSERT_EQ(0, memcmp("mapb", data, 4));
	/* it outlives the number and the open file */
	ASSERT_EQ(0, backing_close(S, id));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_EQ(1, pwrite(file, "!", 1, PAGE));
	ASSERT_EQ(PAGE - 3, call(C, CLIENT_DIFF, addr + 3, PAGE - 3, 'b'));
	ASSERT_EQ(1, call(C, CLIENT_PEEK, addr, 1));
	ASSERT_EQ('!', C->answer.data[0]);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
	close(file);
}

/* splice(2) into it, and to an open file of it whose data the server writes */
FUSE_TEST(passthrough, splice_in)
{
	int file, id, fd, direct, from, to;
	struct fuse_write_out written = { .size = 3 };
	int flags = FS_APPEND_FL;
	loff_t offset = SIZE + 5;
	struct request *r;
	char data[16];

	SKIP_IF(backing_start(S, &file, &id));
	needs_mended(S, "splice to passthrough locks the inode before the pipe");
	SKIP_IF(splice_in_skips());
	fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id);
	ASSERT_LE(0, fd);
	direct = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, id);
	ASSERT_LE(0, direct);
	HERE(open_pipe(C, &from, &to));

	S->manual = 1ULL << FUSE_WRITE;
	ASSERT_EQ(3, sys(C, SYS_write, to, str(C, "one"), 3));
	sys_start(C, SYS_splice, from, 0, direct, 0, 3, 0);
	r = take(S, FUSE_WRITE);
	ASSERT_EQ(0, memcmp(AFTER(r, struct fuse_write_in), "one", 3));
	ASSERT_EQ(0, reply(S, r, &written, sizeof(written)));
	ASSERT_EQ(3, call_end(C));
	/* the server sees nothing of this, and the size is new */
	ASSERT_EQ(3, sys(C, SYS_write, to, str(C, "two"), 3));
	ASSERT_EQ(3, sys(C, SYS_splice, from, 0, fd,
			 in(C, &offset, sizeof(offset)), 3, 0));
	ASSERT_EQ(SIZE + 8, cached_size(C, fd));
	ASSERT_EQ(8, pread(file, data, 10, SIZE));
	ASSERT_EQ(0, memcmp("\0\0\0\0\0two", data, 8));

	/* at the file's position, which moves on */
	ASSERT_EQ(2, sys(C, SYS_lseek, fd, 2, SEEK_SET));
	ASSERT_EQ(3, sys(C, SYS_write, to, str(C, "six"), 3));
	ASSERT_EQ(3, sys(C, SYS_splice, from, 0, fd, 0, 3, 0));
	ASSERT_EQ(5, sys(C, SYS_lseek, fd, 0, SEEK_CUR));
	ASSERT_EQ(6, pread(file, data, 6, 0));
	ASSERT_EQ(0, memcmp("bbsixb", data, 6));
	/* who may not write elsewhere than at the end */
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	fd = open_backed(S, C, O_RDWR | O_APPEND, FOPEN_PASSTHROUGH, id);
	ASSERT_LE(0, fd);
	if (!ioctl(file, FS_IOC_SETFLAGS, &flags)) {
		ASSERT_EQ(3, sys(C, SYS_write, to, str(C, "no!"), 3));
		ASSERT_EQ(-EINVAL, sys(C, SYS_splice, from, 0, fd, 0, 3, 0));
		ASSERT_EQ(0, sys(C, SYS_fcntl, fd, F_SETFL, O_RDWR));
		ASSERT_EQ(-EPERM, sys(C, SYS_splice, from, 0, fd, 0, 3, 0));
		flags = 0;
		ASSERT_EQ(0, ioctl(file, FS_IOC_SETFLAGS, &flags));
		ASSERT_EQ(3, sys(C, SYS_splice, from, 0, fd, 0, 3, 0));
	}
	close(file);
}

/* The set-user-ID bit goes, by way of the server, before the data comes */
FUSE_TEST(passthrough, splice_in_privileges)
{
	struct fuse_attr_out suid = { .attr_valid = 3600 };
	int file, id, fd, from, to, refused;
	const struct fuse_setattr_in *set;
	struct request *r;
	char data[3];

	SKIP_IF(backing_start(S, &file, &id));
	needs_mended(S, "splice to passthrough locks the inode before the pipe");
	SKIP_IF(splice_in_skips());
	op_attr(&suid.attr, 5, S_IFREG | S_ISUID | 0777, SIZE);
	fd = op_open_mode(S, C, "suid", 5, suid.attr.mode, SIZE, O_PATH);
	ASSERT_LE(0, fd);
	fd = open_path(S, C, server_path(S, "suid"), O_RDWR, FOPEN_PASSTHROUGH, id);
	ASSERT_LE(0, fd);
	HERE(open_pipe(C, &from, &to));
	ASSERT_EQ(3, sys(C, SYS_write, to, str(C, "new"), 3));
	HERE(client_drop_cap(C, CAP_FSETID));

	S->manual = 1ULL << FUSE_GETATTR;
	for (refused = 1; refused >= 0; refused--) {
		sys_start(C, SYS_splice, from, 0, fd, 0, 3, 0);
		ASSERT_EQ(0, reply(S, take(S, FUSE_GETATTR), &suid, sizeof(suid)));
		r = take(S, FUSE_SETATTR);
		set = BODY(r, struct fuse_setattr_in);
		ASSERT_EQ(FATTR_MODE, set->valid & FATTR_MODE);
		ASSERT_EQ(S_IFREG | 0777, set->mode);
		if (refused) {
			ASSERT_EQ(0, reply_error(S, r, -EACCES));
			ASSERT_EQ(-EACCES, call_end(C));
		}
		ASSERT_EQ(3, pread(file, data, 3, 0));
		ASSERT_EQ(0, memcmp("bbb", data, 3));
	}
	suid.attr.mode &= ~S_ISUID;
	ASSERT_EQ(0, reply(S, r, &suid, sizeof(suid)));
	ASSERT_EQ(3, call_end(C));
	ASSERT_EQ(3, pread(file, data, 3, 0));
	ASSERT_EQ(0, memcmp("new", data, 3));
	close(file);
}

/* Also one that comes while the splice waits for data, which nobody waits for */
FUSE_TEST(passthrough, splice_in_after_chmod)
{
	struct fuse_attr_out attr = { .attr_valid = 3600 };
	const struct fuse_setattr_in *set;
	int file, id, fd, from, to;
	struct client other;
	struct request *r;
	char data[3];

	SKIP_IF(backing_start(S, &file, &id));
	needs_mended(S, "splice to passthrough locks the inode before the pipe");
	SKIP_IF(splice_in_skips());
	op_attr(&attr.attr, 5, S_IFREG | 0777, SIZE);
	fd = op_open_mode(S, C, "tool", 5, attr.attr.mode, SIZE, O_PATH);
	ASSERT_LE(0, fd);
	fd = open_path(S, C, server_path(S, "tool"), O_RDWR, FOPEN_PASSTHROUGH, id);
	ASSERT_LE(0, fd);
	HERE(open_pipe(C, &from, &to));
	client_fork(C, &other);
	HERE(client_drop_cap(C, CAP_FSETID));
	sys_start(C, SYS_splice, from, 0, fd, 0, 3, 0);
	client_sleeps(C);

	sys_start(&other, SYS_fchmod, fd, S_ISUID | 0777);
	attr.attr.mode |= S_ISUID;
	ASSERT_EQ(0, reply(S, take(S, FUSE_SETATTR), &attr, sizeof(attr)));
	ASSERT_EQ(0, call_end(&other));
	S->manual = 1ULL << FUSE_GETATTR;
	ASSERT_EQ(3, sys(&other, SYS_write, to, str(&other, "new"), 3));
	ASSERT_EQ(0, reply(S, take(S, FUSE_GETATTR), &attr, sizeof(attr)));
	r = take(S, FUSE_SETATTR);
	set = BODY(r, struct fuse_setattr_in);
	ASSERT_EQ(FATTR_MODE, set->valid & FATTR_MODE);
	ASSERT_EQ(S_IFREG | 0777, set->mode);
	ASSERT_EQ(3, pread(file, data, 3, 0));
	ASSERT_EQ(0, memcmp("bbb", data, 3));
	attr.attr.mode &= ~S_ISUID;
	ASSERT_EQ(0, reply(S, r, &attr, sizeof(attr)));
	ASSERT_EQ(3, call_end(C));
	ASSERT_EQ(3, pread(file, data, 3, 0));
	ASSERT_EQ(0, memcmp("new", data, 3));
	client_exit(&other);
	close(file);
}

/* A mapping can do no more than one of the backing file itself */
FUSE_TEST(passthrough, seals)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };
	int file, id, fd, i;
	int64_t addr;

	SKIP_IF(backing_start(S, &file, &id));
	needs_mended(S, "mappings by passthrough do not heed seals");
	close(file);
	ASSERT_EQ(0, backing_close(S, id));
	for (i = 0; i < 2; i++) {
		file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		ASSERT_EQ(0, ftruncate(file, SIZE));
		id = backing_open(S, file);
		ASSERT_LT(0, id);
		fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id);
		ASSERT_LE(0, fd);
		/* not yet */
		addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
		ASSERT_LT(0, addr);
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
		ASSERT_EQ(0, fcntl(file, F_ADD_SEALS, seals[i]));
		ASSERT_EQ(-EPERM, sys(C, SYS_pwrite64, fd, str(C, "new"), 3, 0));
		ASSERT_EQ(-EPERM, call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED,
				       fd, 0));
		addr = call(C, CLIENT_MMAP, 0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_LT(0, addr);
		ASSERT_EQ(PAGE, call(C, CLIENT_DIFF, addr, PAGE, 0));
		ASSERT_EQ(-EACCES, sys(C, SYS_mprotect, addr, PAGE, RW));
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
		/* a copy of one's own */
		addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_PRIVATE, fd, 0);
		ASSERT_LT(0, addr);
		ASSERT_EQ(PAGE, call(C, CLIENT_FILL, addr, PAGE, 'c'));
		ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
		ASSERT_EQ(0, sys(C, SYS_close, fd));
		ASSERT_EQ(0, backing_close(S, id));
		close(file);
	}
}

/* What is no data, the server is asked */
FUSE_TEST(passthrough, others)
{
	int file, id, fd;

	SKIP_IF(backing_start(S, &file, &id));
	fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH | FOPEN_NOFLUSH |
			 FOPEN_PARALLEL_DIRECT_WRITES, id);
	ASSERT_LE(0, fd);
	sys_start(C, SYS_fsync, fd);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_FSYNC), -EIO));
	ASSERT_EQ(-EIO, call_end(C));
	sys_start(C, SYS_fallocate, fd, 0, 0, 10);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_FALLOCATE), -ENOSPC));
	ASSERT_EQ(-ENOSPC, call_end(C));
	sys_start(C, SYS_lseek, fd, 0, SEEK_DATA);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_LSEEK), -ENXIO));
	ASSERT_EQ(-ENXIO, call_end(C));
	S->manual = 1ULL << FUSE_FLUSH;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	close(file);
}

/* Data by the server, mappings by the file */
FUSE_TEST(passthrough, direct)
{
	struct fuse_write_out written = { .size = 3 };
	int file, id, fd, first;
	int64_t addr;

	SKIP_IF(backing_start(S, &file, &id));
	/* one of before, which is neither */
	S->open_flags = FOPEN_DIRECT_IO;
	first = client_open(C, S, O_RDWR);
	fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, id);
	ASSERT_LE(0, fd);
	sys_start(C, SYS_pread64, fd, ARG(0), 100, 0);
	reply_data(S, take(S, FUSE_READ), 100);
	ASSERT_EQ(100, call_end(C));
	ASSERT_TRUE(right_data(C, 100, 0));
	sys_start(C, SYS_pwrite64, fd, str(C, "new"), 3, 0);
	ASSERT_EQ(0, reply(S, take(S, FUSE_WRITE), &written, sizeof(written)));
	ASSERT_EQ(3, call_end(C));
	addr = call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_LT(0, addr);
	ASSERT_EQ(PAGE, call(C, CLIENT_DIFF, addr, PAGE, 'b'));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, addr, PAGE));
	/* pages of another kind would not be coherent with that */
	ASSERT_EQ(-ENODEV, call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, first, 0));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_LT(0, call(C, CLIENT_MMAP, 0, PAGE, RW, MAP_SHARED, first, 0));
	close(file);
}

/* Mistakes of the server: EIO to who opens the file, which is then released */
FUSE_TEST(passthrough, refused)
{
	static const uint32_t bad_flags[] = {
		FOPEN_KEEP_CACHE, FOPEN_NONSEEKABLE, FOPEN_STREAM, FOPEN_CACHE_DIR,
	};
	int file, second, busy, id[2], busy_id, fd;
	size_t i;

	SKIP_IF(backing_start(S, &file, &id[0]));
	second = new_file("second", 's');
	id[1] = backing_open(S, second);
	ASSERT_LT(id[0], id[1]);
	for (i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++)
		ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH |
					    bad_flags[i], id[0]));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, 0));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, -1));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id[1] + 1));

	/* a file that cannot be opened like this: this program is being run */
	busy = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	busy_id = backing_open(S, busy);
	ASSERT_LT(0, busy_id);
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, busy_id));
	ASSERT_EQ(0, backing_close(S, busy_id));
	close(busy);

	/* cached before */
	fd = open_backed(S, C, O_RDWR, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id[0]));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	/* and after; or another file; or uncached, but not passed through */
	fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, 0, 0));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_DIRECT_IO, 0));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id[1]));
	ASSERT_EQ(0, backing_close(S, id[0]));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id[0]));
	ASSERT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	/* it is over with the last one */
	fd = open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, id[1]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	fd = open_backed(S, C, O_RDWR, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	close(file);
	close(second);
}

FUSE_TEST(passthrough, ioctls)
{
	struct fuse_backing_map map = { };
	int file, id, dir, ends[2], fd, own;

	SKIP_IF(backing_start(S, &file, &id));
	map.fd = file;
	map.flags = 1;
	ASSERT_EQ(-EINVAL, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &map));
	map.flags = 0;
	map.padding = 1;
	ASSERT_EQ(-EINVAL, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &map));
	ASSERT_EQ(-EFAULT, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, NULL));
	ASSERT_EQ(-EBADF, backing_open(S, -1));
	ASSERT_EQ(-EBADF, backing_open(S, 1000));
	dir = open(test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(-EISDIR, backing_open(S, dir));
	close(dir);
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	ASSERT_EQ(-EINVAL, backing_open(S, ends[0]));
	close(ends[0]);
	close(ends[1]);
	/*
	 * a file of such a file system: how deep this could go; the server can
	 * close it without waiting for itself
	 */
	S->open_flags = FOPEN_NOFLUSH;
	fd = client_open(C, S, O_RDWR);
	own = syscall(SYS_pidfd_getfd, C->pidfd, fd, 0);
	ASSERT_LE(0, own);
	ASSERT_EQ(-ELOOP, backing_open(S, own));
	close(own);
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	ASSERT_EQ(-EINVAL, backing_close(S, 0));
	ASSERT_EQ(-EINVAL, backing_close(S, -1));
	ASSERT_EQ(-ENOENT, backing_close(S, id + 1));
	ASSERT_EQ(-EFAULT, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, NULL));
	ASSERT_EQ(0, set_caps(1U << CAP_SYS_ADMIN, false));
	ASSERT_EQ(-EPERM, backing_open(S, file));
	ASSERT_EQ(-EPERM, backing_close(S, id));
	ASSERT_EQ(0, set_caps(1U << CAP_SYS_ADMIN, true));
	ASSERT_EQ(0, backing_close(S, id));
	ASSERT_EQ(-ENOENT, backing_close(S, id));
	/* one that nobody closes, goes with the connection */
	ASSERT_LT(id, backing_open(S, file));
	close(file);
}

/* A server that has not asked for it */
FUSE_OP_FIXTURE(no_passthrough);

FUSE_TEST(no_passthrough, refused)
{
	int file = new_file("backing", 'b');

	ASSERT_EQ(-EPERM, backing_open(S, file));
	ASSERT_EQ(-EPERM, backing_close(S, 1));
	ASSERT_EQ(-EIO, open_backed(S, C, O_RDWR, FOPEN_PASSTHROUGH, 1));
	close(file);
}

TEST_HARNESS_MAIN
