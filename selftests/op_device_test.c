// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of /dev/fuse, each with its errors, and the files of a connection
 * in fusectl.  Those of FUSE buffers are in buffer_test and its kind.
 */
#include "../../kselftest_harness.h"
#include <linux/capability.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fuse_fixture.h"

#define DEVICE	"/dev/fuse"

FUSE_OP_FIXTURE(device, .init_flags = FUSE_PASSTHROUGH,
		.max_stack_depth = 1);

static int device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		fail("no %s", DEVICE);
	return fd;
}

FUSE_TEST(device, unknown_ioctl)
{
	EXPECT_EQ(-1, ioctl(S->fd, _IO(FUSE_DEV_IOC_MAGIC, 200)));
	EXPECT_EQ(ENOTTY, errno);
}

FUSE_TEST(device, clone)
{
	uint32_t old = S->fd, none = -1, other = open("/dev/null", O_RDWR);
	uint32_t unmounted = device();
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 },
	};
	struct fuse_out_header *h;
	struct fuse_in_header *in;
	struct pollfd pfd;
	char *buf = malloc(S->bufsize);
	struct request *r;
	int fd = device();

	EXPECT_EQ(-EFAULT, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, NULL));
	EXPECT_EQ(-EINVAL, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, &none));
	EXPECT_EQ(-EINVAL, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, &other));
	EXPECT_EQ(-EPERM, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, &unmounted));
	EXPECT_EQ(-1, read(fd, buf, S->bufsize));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, &old));
	/* it has a connection by now */
	EXPECT_EQ(-EINVAL, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, &old));

	/* whoever reads a request must answer it */
	S->manual = 1ULL << FUSE_GETATTR;
	if (variant->transport == &uring_transport) {
		sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
		r = take(S, FUSE_GETATTR);
		EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
		EXPECT_EQ(0, call_end(C));
		close(fd);
		return;
	}
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	pfd = (struct pollfd){ .fd = fd, .events = POLLIN };
	ASSERT_EQ(1, poll(&pfd, 1, WAIT_MS));
	ASSERT_LT(0, read(fd, buf, S->bufsize));
	in = (void *)buf;
	EXPECT_EQ(FUSE_GETATTR, in->opcode);
	r = calloc(1, sizeof(*r));
	r->h = *in;
	EXPECT_EQ(-ENOENT, reply(S, r, &out, sizeof(out)));
	h = (void *)buf;
	*h = (struct fuse_out_header){
		.len = sizeof(*h) + sizeof(out),
		.unique = r->h.unique,
	};
	memcpy(h + 1, &out, sizeof(out));
	EXPECT_EQ(h->len, write(fd, buf, h->len));
	EXPECT_EQ(0, call_end(C));

	/* closed with a request: who waits for it is told */
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	ASSERT_EQ(1, poll(&pfd, 1, WAIT_MS));
	ASSERT_LT(0, read(fd, buf, S->bufsize));
	close(fd);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
	/* and the connection lives */
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	r = take(S, FUSE_GETATTR);
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
}

FUSE_TEST(device, backing)
{
	struct fuse_backing_map map = {
		.fd = open(test_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
	}, bad;
	uint32_t none = 0, id;
	int pipes[2], fd;

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EFAULT, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, NULL));
	bad = map;
	bad.flags = 1;
	EXPECT_EQ(-EINVAL, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &bad));
	bad = map;
	bad.padding = 1;
	EXPECT_EQ(-EINVAL, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &bad));
	bad = map;
	bad.fd = -1;
	EXPECT_EQ(-EBADF, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &bad));
	bad.fd = open(test_dir(), O_RDONLY);
	EXPECT_EQ(-EISDIR, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &bad));
	bad.fd = pipes[0];
	EXPECT_EQ(-EINVAL, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &bad));

	/* itself on another file system */
	if (!mount_overlay(server_path(S, "../overlay"))) {
		bad.fd = open(server_path(S, "../overlay/file"), O_CREAT | O_RDWR, 0600);
		ASSERT_LE(0, bad.fd);
		EXPECT_EQ(-ELOOP, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN,
						&bad));
		close(bad.fd);
	}

	id = counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
	EXPECT_LT(0, (int)id);
	EXPECT_EQ(-EFAULT, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, NULL));
	EXPECT_EQ(-EINVAL, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, &none));
	none = id + 1;
	EXPECT_EQ(-ENOENT, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, &none));
	EXPECT_EQ(0, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, &id));
	EXPECT_EQ(-ENOENT, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, &id));
	/* one that stays open goes with the connection */
	EXPECT_LT(0, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &map));

	/* without a connection */
	fd = device();
	EXPECT_EQ(-EPERM, counted_ioctl(fd, FUSE_DEV_IOC_BACKING_OPEN, &map));
	EXPECT_EQ(-EPERM, counted_ioctl(fd, FUSE_DEV_IOC_BACKING_CLOSE, &id));
	close(fd);

	/* without CAP_SYS_ADMIN */
	ASSERT_EQ(0, seteuid(1));
	EXPECT_EQ(-EPERM, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_OPEN, &map));
	EXPECT_EQ(-EPERM, counted_ioctl(S->fd, FUSE_DEV_IOC_BACKING_CLOSE, &id));
	ASSERT_EQ(0, seteuid(0));
}

/* mount(2) waits until FUSE_INIT is answered, and then says how it went */
static int sync_mount(const char *dir, const struct fuse_init_out *out,
		      int error)
{
	char opts[100], buf[65536];
	struct {
		struct fuse_out_header h;
		struct fuse_init_out out;
	} answer = { .out = *out };
	struct fuse_in_header *in = (void *)buf;
	struct pollfd pfd = { .fd = device(), .events = POLLIN };
	int pid, status;

	snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=0,group_id=0",
		 pfd.fd);
	if (counted_ioctl(pfd.fd, FUSE_DEV_IOC_SYNC_INIT, NULL))
		fail("FUSE_DEV_IOC_SYNC_INIT");
	pid = fork();
	if (!pid)
		_exit(mount("fuse", dir, "fuse", 0, opts) ? errno : 0);
	if (poll(&pfd, 1, WAIT_MS) != 1 || read(pfd.fd, buf, sizeof(buf)) <= 0 ||
	    in->opcode != FUSE_INIT)
		fail("no FUSE_INIT");
	if (waitpid(pid, &status, WNOHANG))
		fail("mount did not wait");
	answer.h.unique = in->unique;
	answer.h.error = error;
	answer.h.len = error ? sizeof(answer.h) : sizeof(answer);
	if (write(pfd.fd, &answer, answer.h.len) != answer.h.len)
		fail("reply to FUSE_INIT: %s", strerror(errno));
	waitpid(pid, &status, 0);
	if (!WEXITSTATUS(status) &&
	    counted_ioctl(pfd.fd, FUSE_DEV_IOC_SYNC_INIT, NULL) != -EINVAL)
		fail("FUSE_DEV_IOC_SYNC_INIT after mount");
	umount2(dir, MNT_DETACH);
	close(pfd.fd);
	return WEXITSTATUS(status);
}

FUSE_TEST(device, sync_init)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
	};
	char dir[100];

	if (counted_ioctl(S->fd, FUSE_DEV_IOC_SYNC_INIT, NULL) != -EINVAL)
		SKIP(return, "kernel without FUSE_DEV_IOC_SYNC_INIT");
	snprintf(dir, sizeof(dir), "%s/sync", test_dir());
	mkdir(dir, 0700);
	EXPECT_EQ(0, sync_mount(dir, &out, 0));
	EXPECT_EQ(ENOTCONN, sync_mount(dir, &out, -EIO));
	out.major++;
	EXPECT_EQ(ENOTCONN, sync_mount(dir, &out, 0));
}

/* fusectl */

static int64_t ctl_open(struct client *c, struct server *s, const char *name,
			int flags)
{
	return sys(c, SYS_openat, AT_FDCWD, str(c, server_control(s, name)),
		   flags);
}

static long ctl_read(struct server *s, const char *name)
{
	char text[32];

	if (read_text(server_control(s, name), text, sizeof(text)) < 0)
		fail("no %s", name);
	return atol(text);
}

FUSE_TEST(device, waiting)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 },
	};
	struct request *r;
	int64_t fd;

	EXPECT_EQ(0, ctl_read(S, "waiting"));
	S->manual = 1ULL << FUSE_GETATTR;
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	r = take(S, FUSE_GETATTR);
	EXPECT_EQ(1, ctl_read(S, "waiting"));
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
	EXPECT_TRUE(eventually(!ctl_read(S, "waiting")));
	EXPECT_EQ(-EINVAL, write_text(server_control(S, "waiting"), "1"));
	/* in two pieces */
	fd = ctl_open(C, S, "waiting", O_RDONLY);
	EXPECT_EQ(1, sys(C, SYS_read, fd, ARG(0), 1));
	EXPECT_EQ(1, sys(C, SYS_read, fd, ARG(0), 5));
	EXPECT_EQ(0, sys(C, SYS_read, fd, ARG(0), 5));
}

FUSE_TEST(device, limits)
{
	static const char * const names[] = {
		"max_background", "congestion_threshold",
	};
	static const char * const bad[] = { "", "x", "-1", "65536", "1 2" };
	struct {
		struct __user_cap_header_struct h;
		struct __user_cap_data_struct d[2];
	} caps = { .h.version = _LINUX_CAPABILITY_VERSION_3 }, *now;
	char text[32];
	size_t i, j;
	int64_t at;
	long limit;

	EXPECT_EQ(16, ctl_read(S, "max_background"));
	EXPECT_EQ(12, ctl_read(S, "congestion_threshold"));
	for (i = 0; i < 2; i++) {
		const char *path = server_control(S, names[i]);

		for (j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			EXPECT_EQ(-EINVAL, write_text(path, bad[j])) {
				TH_LOG("%s", bad[j]);
			}
		}
		EXPECT_EQ(0, write_text(path, "0x10\n"));
		EXPECT_EQ(16, ctl_read(S, names[i]));
		EXPECT_EQ(0, write_text(path, "65535"));
		EXPECT_EQ(65535, ctl_read(S, names[i]));
	}

	/* who is not the administrator may not go beyond the system's limit */
	at = in(C, &caps, sizeof(caps));
	EXPECT_EQ(0, sys(C, SYS_capget, at, at + sizeof(caps.h)));
	now = out(C, at);
	now->d[0].effective &= ~(1 << CAP_SYS_ADMIN);
	caps = *now;
	at = in(C, &caps, sizeof(caps));
	EXPECT_EQ(0, sys(C, SYS_capset, at, at + sizeof(caps.h)));
	for (i = 0; i < 2; i++) {
		int64_t fd = ctl_open(C, S, names[i], O_WRONLY);
		const char *param = fuse_knob(i ? "max_user_congthresh" :
						  "max_user_bgreq");

		ASSERT_LT(0, read_text(param, text, sizeof(text)));
		limit = atol(text);
		ASSERT_LT(0, limit);
		snprintf(text, sizeof(text), "%ld", limit);
		EXPECT_EQ(strlen(text), sys(C, SYS_write, fd, str(C, text),
					    strlen(text)));
		EXPECT_EQ(limit, ctl_read(S, names[i]));
		snprintf(text, sizeof(text), "%ld", limit + 1);
		EXPECT_EQ(-EINVAL, sys(C, SYS_write, fd, str(C, text),
				       strlen(text)));
	}
}

FUSE_TEST(device, permissions)
{
	static const char * const names[] = {
		"waiting", "abort", "max_background", "congestion_threshold",
	};
	static const mode_t modes[] = { 0400, 0200, 0600, 0600 };
	struct stat st;
	size_t i;

	EXPECT_EQ(0, stat(server_control(S, ""), &st));
	EXPECT_EQ(S_IFDIR | 0500, st.st_mode);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, stat(server_control(S, names[i]), &st));
		EXPECT_EQ(S_IFREG | modes[i], st.st_mode);
	}
	EXPECT_EQ(0, sys(C, SYS_setresuid, -1, 1, -1));
	EXPECT_EQ(-EACCES, ctl_open(C, S, "abort", O_WRONLY));
	EXPECT_EQ(0, sys(C, SYS_setresuid, -1, 0, -1));
}

/* What is open of it when the connection goes, says no more */
FUSE_TEST(device, gone)
{
	int64_t waiting = ctl_open(C, S, "waiting", O_RDONLY);
	int64_t limit = ctl_open(C, S, "max_background", O_RDWR);
	int64_t threshold = ctl_open(C, S, "congestion_threshold", O_RDWR);
	int64_t abort_fd = ctl_open(C, S, "abort", O_WRONLY);
	struct stat st;

	ASSERT_LE(0, abort_fd);
	EXPECT_EQ(-EINVAL, sys(C, SYS_read, abort_fd, ARG(0), 1) ==
		  -EBADF ? -EINVAL : 0);
	server_abort(S);
	EXPECT_EQ(0, stat(server_control(S, "abort"), &st));
	server_die(S);
	EXPECT_EQ(0, sys(C, SYS_umount2, str(C, S->mnt), MNT_DETACH));
	EXPECT_TRUE(eventually(stat(server_control(S, "abort"), &st)));
	EXPECT_EQ(0, sys(C, SYS_read, waiting, ARG(0), 10));
	EXPECT_EQ(0, sys(C, SYS_read, limit, ARG(0), 10));
	EXPECT_EQ(0, sys(C, SYS_read, threshold, ARG(0), 10));
	EXPECT_EQ(1, sys(C, SYS_write, limit, str(C, "5"), 1));
	EXPECT_EQ(1, sys(C, SYS_write, threshold, str(C, "5"), 1));
	EXPECT_EQ(1, sys(C, SYS_write, abort_fd, str(C, "1"), 1));
}

/* SIGIO for a request, and for the end, if it was asked for */
FUSE_DEV_FIXTURE(async);

FUSE_TEST(async, sigio)
{
	const struct timespec soon = { .tv_sec = WAIT_MS / 1000 }, now = { };
	int fd = device(), i;
	sigset_t io;

	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &io, NULL));
	/* no connection yet */
	EXPECT_EQ(-1, fcntl(fd, F_SETFL, O_ASYNC));
	EXPECT_EQ(EPERM, errno);
	close(fd);

	ASSERT_EQ(0, fcntl(S->fd, F_SETOWN, getpid()));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, fcntl(S->fd, F_SETFL, O_NONBLOCK | (i ? 0 : O_ASYNC)));
		sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir"), 0700);
		server_wait_pending(S);
		EXPECT_EQ(i ? -1 : SIGIO, sigtimedwait(&io, NULL, i ? &now : &soon));
		EXPECT_EQ(0, reply_error(S, take(S, FUSE_MKDIR), -EPERM));
		EXPECT_EQ(-EPERM, call_end(C));
		/* mkdir(2) had two of them: LOOKUP came first */
		while (sigtimedwait(&io, NULL, &now) > 0)
			;
	}
	ASSERT_EQ(0, fcntl(S->fd, F_SETFL, O_NONBLOCK | O_ASYNC));
	server_abort(S);
	EXPECT_EQ(SIGIO, sigtimedwait(&io, NULL, &soon));
}

/* The least that a server may read at a time, and requests that are larger */
FUSE_OP_FIXTURE_DEVICE(narrow, SERVER_FUSE, .max_write = 4096);

#define LARGE	12000

FUSE_TEST(narrow, too_large)
{
	static const char large[4000];
	int fd = client_open(C, S, O_RDWR);
	int64_t memory;

	ASSERT_GT(LARGE, S->bufsize);
	ASSERT_LE(0, fd);
	memory = sys(C, SYS_mmap, 0, 1 << 16, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_LT(0, memory);
	/* nothing of them reaches the server, which can do nothing about it */
	S->keep = FUSE_SETXATTR;
	EXPECT_EQ(-E2BIG, sys(C, SYS_fsetxattr, fd, str(C, "user.large"), memory,
			      LARGE, 0));
	/* others are served */
	S->keep = FUSE_SETXATTR;
	sys_start(C, SYS_fsetxattr, fd, str(C, "user.small"),
		  in(C, large, sizeof(large)), sizeof(large), 0);
	EXPECT_EQ(0, reply(S, take(S, FUSE_SETXATTR), NULL, 0));
	EXPECT_EQ(0, call_end(C));
}

/* Memory of the server that is not there: at the begin of what it reads or later */
FUSE_DEV_FIXTURE(fault);

FUSE_TEST(fault, read)
{
	static const size_t there[] = {
		0,
		sizeof(struct fuse_in_header),
		sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
	};
	size_t page = getpagesize(), i;
	char *hole = mmap(NULL, S->bufsize + page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	S->open_flags = FOPEN_DIRECT_IO;
	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	S->deaf = true;
	ASSERT_EQ(0, mprotect(hole, page, RW));
	for (i = 0; i < 3; i++) {
		sys_start(C, SYS_pwrite64, fd, str(C, "data"), 4, 0);
		server_wait_pending(S);
		EXPECT_EQ(-1, read(S->fd, hole + page - there[i], S->bufsize));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-EIO, call_end(C));
	}
	/* nor is what it writes */
	EXPECT_EQ(-1, write(S->fd, hole + page, sizeof(struct fuse_out_header)));
	EXPECT_EQ(EFAULT, errno);
	S->deaf = false;
}

FUSE_TEST(fault, notify)
{
	struct fuse_notify_inval_entry_out entry = {
		.parent = FUSE_ROOT_ID,
		.namelen = 4,
	};
	struct fuse_notify_delete_out delete = {
		.parent = FUSE_ROOT_ID,
		.namelen = 4,
	};
	struct fuse_notify_prune_out prune = { .count = 1 };
	const void *nothing = (void *)8;

	ASSERT_LE(0, client_open(C, S, O_RDWR));
	EXPECT_EQ(-EFAULT, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &entry,
					 sizeof(entry), nothing, 5));
	EXPECT_EQ(-EFAULT, server_notify(S, FUSE_NOTIFY_DELETE, &delete,
					 sizeof(delete), nothing, 5));
	EXPECT_EQ(-EFAULT, server_notify(S, FUSE_NOTIFY_PRUNE, &prune,
					 sizeof(prune), nothing, 8));
	EXPECT_EQ(-EFAULT, store(S, FILE_INO, 0, nothing, 8));
}

/* The connection ends while the server's read(2) waits for memory of its own */
FUSE_DEV_FIXTURE(mute);
FUSE_DEV_FIXTURE(outspoken, .init_flags = FUSE_ABORT_ERROR);

static int read_aborted(struct server *s, struct client *c)
{
	struct server memory = { };
	const char *why = server_start(&memory);
	struct client reader;
	int64_t to;
	int fd;

	if (why)
		fail("%s", why);
	client_start(&reader, FUSE_CLIENT);
	fd = sys(&reader, SYS_pidfd_getfd, sys(&reader, SYS_pidfd_open, getpid(), 0),
		 s->fd, 0);
	to = sys(&reader, SYS_mmap, 0, s->bufsize, RW, MAP_PRIVATE,
		 client_open(&reader, &memory, O_RDWR), 0);
	if (fd < 0 || to <= 0)
		fail("no memory of a file");
	memory.manual = 1ULL << FUSE_READ;
	s->deaf = true;
	sys_start(c, SYS_mkdirat, AT_FDCWD, path(c, s, "dir"), 0700);
	server_wait_pending(s);
	sys_start(&reader, SYS_read, fd, to, s->bufsize);
	server_take(&memory, FUSE_READ);
	server_abort(s);
	CHECK(-ECONNABORTED, call_end(c));
	server_die(&memory);
	fd = call_end(&reader);
	client_exit(&reader);
	server_stop(&memory);
	return fd;
}

FUSE_TEST(mute, read_aborted)
{
	EXPECT_EQ(-ENODEV, read_aborted(S, C));
}

FUSE_TEST(outspoken, read_aborted)
{
	EXPECT_EQ(-ECONNABORTED, read_aborted(S, C));
}

/* What it was not told yet of nodes that are forgotten, it is not told any more */
FUSE_TEST(mute, forgotten)
{
	struct fuse_notify_inval_entry_out out = {
		.parent = FUSE_ROOT_ID,
		.namelen = 4,
	};

	ASSERT_EQ(0, sys(C, SYS_newfstatat, AT_FDCWD, path(C, S, "file"), ARG(0), 0));
	S->deaf = true;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out),
				   "file", 5));
	server_wait_pending(S);
	server_abort(S);
	S->deaf = false;
}

/* read(2) and splice(2) of a device that is not mounted, or has no request */
FUSE_TEST(mute, no_request)
{
	struct fuse_out_header h = { .len = sizeof(h) };
	int fd = device(), ends[2], i;
	int64_t to = call(C, CLIENT_MMAP, 0, S->bufsize, RW,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_LT(0, to);
	ASSERT_EQ(0, pipe(ends));
	EXPECT_EQ(-1, splice(fd, NULL, ends[1], NULL, S->bufsize, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, write(fd, &h, sizeof(h)));
	EXPECT_EQ(EPERM, errno);
	ASSERT_EQ(sizeof(h), write(ends[1], &h, sizeof(h)));
	EXPECT_EQ(-1, splice(ends[0], NULL, fd, NULL, sizeof(h), 0));
	EXPECT_EQ(EPERM, errno);

	/* waiting for the mount, and for a request: until there is a signal */
	call(C, CLIENT_SIGACTION, SIGUSR1, 0);
	ASSERT_EQ(0, fcntl(S->fd, F_SETFL, 0));
	S->deaf = true;
	for (i = 0; i < 2; i++) {
		int64_t pidfd = sys(C, SYS_pidfd_open, getpid(), 0), copy;

		if (i && counted_ioctl(fd, FUSE_DEV_IOC_SYNC_INIT, NULL))
			break;
		copy = sys(C, SYS_pidfd_getfd, pidfd, i ? fd : S->fd, 0);
		ASSERT_LE(0, copy);
		sys_start(C, SYS_read, copy, to, S->bufsize);
		client_sleeps(C);
		EXPECT_FALSE(serve_until(C->sock, 50));
		client_kill(C, SIGUSR1);
		EXPECT_EQ(-EINTR, call_end(C));
		EXPECT_EQ(0, call(C, CLIENT_CLOSE, copy));
	}
	ASSERT_EQ(0, fcntl(S->fd, F_SETFL, O_NONBLOCK));
	S->deaf = false;
	close(fd);
}

/* Parameters of the module */

static unsigned long parameter(const char *path)
{
	char text[32];

	if (read_text(path, text, sizeof(text)) <= 0)
		fail("no %s", path);
	return strtoul(text, NULL, 0);
}

FUSE_DEV_FIXTURE(parameters, .manual_init = true);

/* For servers without privilege: 0 is what suits the size of the memory */
FUSE_TEST(parameters, user_limits)
{
	const char *params[] = {
		fuse_knob("max_user_bgreq"), fuse_knob("max_user_congthresh"),
	};
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_background = 100,
		.congestion_threshold = 100,
	};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, set_sysctl(params[i], 65536));
		EXPECT_EQ(65535, parameter(params[i]));
		EXPECT_EQ(0, set_sysctl(params[i], 0));
		EXPECT_LT(0, parameter(params[i]));
		EXPECT_EQ(-EINVAL, write_text(params[i], "x"));
		EXPECT_EQ(0, set_sysctl(params[i], 7 + i));
	}
	/* whoever answers is the server */
	ASSERT_EQ(0, seteuid(1));
	EXPECT_EQ(0, reply(S, take(S, FUSE_INIT), &out, sizeof(out)));
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(7, ctl_read(S, "max_background"));
	EXPECT_EQ(8, ctl_read(S, "congestion_threshold"));
}

TEST_HARNESS_MAIN
