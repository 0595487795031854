// SPDX-License-Identifier: GPL-2.0
/*
 * use - for test_module.sh: use what cuse.ko offers, while it comes and goes
 *
 * use opath         hold the inode of a buffer, and nothing else; look at it when
 *                   standard input ends
 * use open          open devices and mount, again and again; at SIGTERM, use all that
 * use write FILE TEXT SECONDS  to a file that comes and goes
 * use ring          a ring with a request in it, whose connection is aborted
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/fuse_buffer.h>

#define DIR "/tmp/use"

static char message[1 << 20];
static double end;
static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	stopped = sig;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int start_cuse(void)
{
	struct {
		struct fuse_out_header h;
		struct cuse_init_out out;
		char name[sizeof("DEVNAME=use")];
	} reply = {
		.h.len = sizeof(struct fuse_out_header) +
			 sizeof(struct cuse_init_out) + sizeof("DEVNAME=use"),
		.out = { .major = 7, .minor = 46, .max_read = 65536, .max_write = 65536 },
		.name = "DEVNAME=use",
	};
	int fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 || read(fd, message, sizeof(message)) < 0)
		err(1, "/dev/cuse");
	reply.h.unique = ((struct fuse_in_header *)message)->unique;
	if (write(fd, &reply, reply.h.len) < 0)
		err(1, "CUSE_INIT");
	return fd;
}

static int opath(void)
{
	struct fuse_enable enable = { .features = FUSE_FEATURE_BUFFERS };
	struct fuse_buffer_open open_arg = { .nodeid = FUSE_BUFFER_NODEID | 1, .size = 65536 };
	int fd = start_cuse(), buffer, inode;
	struct stat st;
	char path[64];

	if (ioctl(fd, FUSE_DEV_IOC_ENABLE, &enable))
		err(1, "FUSE_DEV_IOC_ENABLE");
	buffer = ioctl(fd, FUSE_DEV_IOC_BUFFER_OPEN, &open_arg);
	if (buffer < 0)
		err(1, "FUSE_DEV_IOC_BUFFER_OPEN");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", buffer);
	inode = open(path, O_PATH);
	if (inode < 0)
		err(1, "O_PATH");
	close(buffer);
	close(fd);
	while (read(0, message, sizeof(message)) > 0)
		;
	if (fstat(inode, &st))
		err(1, "fstat");
	/* whatever they say */
	fchmodat(AT_FDCWD, path, 0600, 0);
	truncate(path, 0);
	return 0;
}

static int mount_fuse(int fd, const char *dir)
{
	char options[80];

	mkdir(dir, 0755);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	return mount("use", dir, "fuse", 0, options);
}

static void *open_all(void *arg)
{
	static const char *const devices[] = { "/dev/fuse", "/dev/cuse" };
	int fds[300], n = 0, i;

	while (!stopped) {
		int fd = open(devices[n % 2], O_RDWR | O_NONBLOCK | O_CLOEXEC);
		int context;

		if (fd < 0)
			continue;
		if (!arg && n % 2 == 0 && !mount_fuse(fd, DIR) && n % 8)
			umount2(DIR, MNT_DETACH);
		context = syscall(SYS_fsopen, n % 4 ? "fuse" : "fusectl", 0);
		if (context >= 0 && n < 298)
			fds[n++] = context;
		if (n < 299)
			fds[n++] = fd;
		else
			close(fd);
	}
	/* of what became of them, something or an error is heard */
	for (i = 0; i < n; i++) {
		if (read(fds[i], message, 1) == 1)
			warnx("a byte was read");
		close(fds[i]);
	}
	return NULL;
}

static int open_until_stopped(void)
{
	pthread_t other;

	signal(SIGTERM, stop);
	if (pthread_create(&other, NULL, open_all, message))
		return 1;
	open_all(NULL);
	pthread_join(other, NULL);
	while (!umount2(DIR, MNT_DETACH))
		;
	return 0;
}

static int write_until(const char *file, const char *text, double seconds)
{
	int i;

	end = now() + seconds;
	while (now() < end) {
		int fd = open(file, O_WRONLY);

		for (i = 0; fd >= 0 && i < 20; i++)
			if (pwrite(fd, text, strlen(text), 0) < 0)
				break;
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

/* One queue: for a machine with one CPU */
static void start_ring(int dev)
{
	static struct fuse_uring_req_header header;
	struct iovec iov[2] = {
		{ &header, sizeof(header) },
		{ malloc(1 << 20), 1 << 20 },
	};
	struct io_uring_params p = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	struct io_uring_sqe *sqe;
	char *sq;
	int ring;

	ring = syscall(SYS_io_uring_setup, 8, &p);
	if (ring < 0)
		err(1, "io_uring_setup");
	sq = mmap(NULL, p.sq_off.array + 8 * sizeof(int), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, 8 * 2 * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
		   ring, IORING_OFF_SQES);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = dev;
	sqe->cmd_op = FUSE_IO_URING_CMD_REGISTER;
	sqe->addr = (uintptr_t)iov;
	sqe->len = 2;
	*(unsigned int *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned int *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		err(1, "io_uring_enter");
	if (!fork()) {
		close(dev);
		close(ring);
		munmap(sqe, 8 * 2 * sizeof(*sqe));
		munmap(sq, p.sq_off.array + 8 * sizeof(int));
		access(DIR "/name", F_OK);
		_exit(0);
	}
}

static int ring(void)
{
	struct {
		struct fuse_out_header h;
		struct fuse_init_out out;
	} reply = {
		.h.len = sizeof(reply),
		.out = {
			.major = 7, .minor = 46, .max_write = 65536,
			.max_background = 12, .flags = FUSE_INIT_EXT,
			.flags2 = FUSE_OVER_IO_URING >> 32,
		},
	};
	int dev = open("/dev/fuse", O_RDWR);

	if (dev < 0 || mount_fuse(dev, DIR))
		err(1, "mount");
	if (read(dev, message, sizeof(message)) < 0)
		err(1, "FUSE_INIT");
	reply.h.unique = ((struct fuse_in_header *)message)->unique;
	if (write(dev, &reply, sizeof(reply)) < 0)
		err(1, "reply");
	start_ring(dev);
	usleep(150000);
	mkdir(DIR ".ctl", 0755);
	if (mount("ctl", DIR ".ctl", "fusectl", 0, NULL) ||
	    system("for a in " DIR ".ctl/*/abort; do echo 1 >$a; done") ||
	    umount(DIR ".ctl"))
		err(1, "abort");
	umount2(DIR, MNT_DETACH);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "opath"))
		return opath();
	if (!strcmp(what, "open"))
		return open_until_stopped();
	if (!strcmp(what, "write") && argc == 5)
		return write_until(argv[2], argv[3], atof(argv[4]));
	if (!strcmp(what, "ring"))
		return ring();
	errx(2, "see the head of use.c");
}
