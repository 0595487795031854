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
	char dirs[300];
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
	snprintf(dirs, sizeof(dirs), "%s/upper", test_dir());
	mkdir(dirs, 0700);
	snprintf(dirs, sizeof(dirs), "%s/work", test_dir());
	mkdir(dirs, 0700);
	snprintf(dirs, sizeof(dirs), "%s/lower", test_dir());
	mkdir(dirs, 0700);
	snprintf(dirs, sizeof(dirs), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 test_dir(), test_dir(), test_dir());
	if (!mount("overlay", server_path(S, "../lower"), "overlay", 0, dirs)) {
		bad.fd = open(server_path(S, "../lower/file"), O_CREAT | O_RDWR, 0600);
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
		const char *param = i ?
			"/sys/module/fuse/parameters/max_user_congthresh" :
			"/sys/module/fuse/parameters/max_user_bgreq";

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

TEST_HARNESS_MAIN
