// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

#define BUF_SIZE	(MAX_DATA + PAGE)
/* So much of a spliced message is read: FUSE_WRITE's */
#define HEAD_SIZE	(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
#define ENTRIES		64	/* of the directory */

void *map_shared(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	need(p != MAP_FAILED);
	return p;
}

void *anonymous(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	need(p != MAP_FAILED);
	return p;
}

int buffer_open(struct server *s, uint64_t nodeid, uint64_t size, uint32_t flags)
{
	struct fuse_buffer_open arg = {
		.nodeid = nodeid,
		.size = size,
		.flags = O_CLOEXEC | flags,
	};
	int fd = ioctl(s->fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg);

	need(fd >= 0);
	return fd;
}

void buffer_bind(struct server *s, uint64_t start, uint64_t len, uint64_t nodeid,
		 uint64_t size, uint32_t flags)
{
	struct fuse_buffer_bind arg = {
		.ino = s->cuse ? 0 : FILE_INO,
		.fh = FILE_FH,
		.start = start,
		.len = len,
		.nodeid = nodeid,
		.size = size,
		.flags = flags,
	};

	need(!ioctl(s->fd, FUSE_DEV_IOC_BUFFER_BIND, &arg));
}

int window_attach(struct server *s, uint64_t size, uint32_t range_size)
{
	struct fuse_window_attach arg = {
		.size = size,
		.range_size = range_size,
		.flags = O_CLOEXEC | FUSE_WINDOW_ALL,
	};
	int fd = ioctl(s->fd, FUSE_DEV_IOC_WINDOW, &arg);

	need(fd >= 0);
	return fd;
}

void drop_all(struct server *s, uint64_t nodeid)
{
	struct {
		struct fuse_out_header h;
		struct fuse_notify_inval_inode_out out;
	} m = {
		.h = { .len = sizeof(m), .error = FUSE_NOTIFY_INVAL_INODE },
		.out = { .ino = nodeid },
	};

	need(write(s->fd, &m, sizeof(m)) == sizeof(m));
}

static void splice_reply(struct server *s, const struct fuse_out_header *h,
			 const void *data, size_t len)
{
	struct iovec iov = { (void *)data, len };

	need(write(s->pipe[1], h, sizeof(*h)) == sizeof(*h));
	need(!len || vmsplice(s->pipe[1], &iov, 1, 0) == (ssize_t)len);
	need(splice(s->pipe[0], NULL, s->fd, NULL, h->len, 0) == h->len);
}

void reply(struct server *s, struct request *r, int error, const void *data,
	   size_t len)
{
	struct fuse_out_header h = {
		.len = sizeof(h) + len,
		.error = error,
		.unique = r->h->unique,
	};
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)data, len } };

	if (r->entry)
		ring_reply(s, r, error, data, len);
	else if (s->transport == BY_VIRTIO)
		virtio_reply(s, r, iov, 2);
	else if (s->transport == BY_SPLICE)
		splice_reply(s, &h, data, len);
	else
		/* what was interrupted is gone */
		need(writev(s->fd, iov, 2) == h.len || errno == ENOENT);
}

static void fill_attr(struct server *s, struct fuse_attr *attr, uint64_t ino)
{
	*attr = (struct fuse_attr){
		.ino = ino,
		.mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666,
		.nlink = 1,
		.size = ino == FUSE_ROOT_ID ? 0 : s->file_size,
		.blksize = PAGE,
	};
}

static uint64_t ino_of(const char *name)
{
	return strncmp(name, "file", 4) ? 0 : FILE_INO + atoi(name + 4);
}

static void reply_entry(struct server *s, struct request *r, const char *name)
{
	struct fuse_entry_out out = {
		.nodeid = ino_of(name),
		.entry_valid = s->valid,
		.attr_valid = s->valid,
	};

	if (!out.nodeid) {
		reply(s, r, -ENOENT, NULL, 0);
		return;
	}
	fill_attr(s, &out.attr, out.nodeid);
	reply(s, r, 0, &out, sizeof(out));
}

static void reply_create(struct server *s, struct request *r)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = {
		.entry = {
			.nodeid = FILE_INO + ENTRIES,
			.entry_valid = s->valid,
			.attr_valid = s->valid,
		},
		.open.fh = FILE_FH,
	};

	fill_attr(s, &out.entry.attr, out.entry.nodeid);
	reply(s, r, 0, &out, sizeof(out));
}

static void reply_dir(struct server *s, struct request *r)
{
	const struct fuse_read_in *in = r->in;
	size_t len = 0, size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 8);
	uint64_t i;

	for (i = in->offset; i < ENTRIES && len + size <= in->size; i++) {
		struct fuse_dirent *d = (void *)(s->room + len);

		memset(d, 0, size);
		d->ino = FILE_INO + i;
		d->off = i + 1;
		d->type = DT_REG;
		d->namelen = sprintf(d->name, "file%llu", (unsigned long long)i);
		len += FUSE_DIRENT_SIZE(d);
	}
	reply(s, r, 0, s->room, len);
}

static void reply_init(struct server *s, struct request *r)
{
	const struct fuse_init_in *in = r->in;
	uint64_t flags = s->init_flags | FUSE_INIT_EXT | FUSE_MAX_PAGES |
			 FUSE_BIG_WRITES | FUSE_ASYNC_READ;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.max_stack_depth = s->backing ? 1 : 0,
		.flags = flags,
		.flags2 = flags >> 32,
		.max_background = 16,
		.congestion_threshold = 12,
		.max_write = MAX_DATA,
		.max_pages = MAX_DATA / PAGE,
	};

	reply(s, r, 0, &out, sizeof(out));
}

static void reply_cuse_init(struct server *s, struct request *r)
{
	struct {
		struct cuse_init_out out;
		char info[64];
	} init = {
		.out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_read = MAX_DATA,
			.max_write = MAX_DATA,
		},
	};
	int len = snprintf(init.info, sizeof(init.info), "DEVNAME=%s",
			   s->path + strlen("/dev/"));

	reply(s, r, 0, &init, sizeof(init.out) + len + 1);
}

void serve(struct server *s, struct request *r)
{
	const struct fuse_write_in *write_in = r->in;
	const struct fuse_read_in *read_in = r->in;
	struct fuse_write_out write_out;
	struct fuse_attr_out attr = { .attr_valid = s->valid };
	struct fuse_open_out open = {
		.fh = FILE_FH,
		.open_flags = s->open_flags,
		.backing_id = s->backing_id,
	};

	switch (r->h->opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
	case FUSE_MUNMAP:
		break;
	case FUSE_INIT:
		reply_init(s, r);
		break;
	case CUSE_INIT:
		reply_cuse_init(s, r);
		break;
	case FUSE_LOOKUP:
		reply_entry(s, r, r->in);
		break;
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
		reply(s, r, -EPERM, NULL, 0);
		break;
	case FUSE_CREATE:
		reply_create(s, r);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		fill_attr(s, &attr.attr, r->h->nodeid);
		reply(s, r, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		reply(s, r, 0, &open, sizeof(open));
		break;
	case FUSE_OPENDIR:
		open = (struct fuse_open_out){};
		reply(s, r, 0, &open, sizeof(open));
		break;
	case FUSE_READDIR:
		reply_dir(s, r);
		break;
	case FUSE_READ:
		reply(s, r, 0, r->room, read_in->size);
		break;
	case FUSE_WRITE:
		write_out = (struct fuse_write_out){ .size = write_in->size };
		reply(s, r, 0, &write_out, sizeof(write_out));
		break;
	case FUSE_UNLINK:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FSYNC:
		reply(s, r, 0, NULL, 0);
		break;
	default:
		reply(s, r, -ENOSYS, NULL, 0);
	}
}

static size_t dev_receive(struct server *s)
{
	ssize_t n;

	do
		n = read(s->fd, s->buf, BUF_SIZE);
	while (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT));
	if (n < 0)
		exit(errno != ENODEV);
	return n;
}

/* By splice: the head is read, the data of FUSE_WRITE when it is asked for */
static void splice_receive(struct server *s)
{
	size_t len, head;
	ssize_t n;

	do
		n = splice(s->fd, NULL, s->pipe[1], NULL, BUF_SIZE, 0);
	while (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT));
	if (n < 0)
		exit(errno != ENODEV);
	len = n;
	head = len < HEAD_SIZE ? len : HEAD_SIZE;
	need(read(s->pipe[0], s->buf, head) == (ssize_t)head);
	need(len == head ||
	     read(s->pipe[0], s->buf + head, len - head) == (ssize_t)(len - head));
}

static void receive(struct server *s)
{
	struct fuse_in_header *h = (void *)s->buf;
	struct request r = {
		.h = h,
		.in = h + 1,
		.data = s->buf + HEAD_SIZE,
		.room = s->room,
	};

	if (s->transport == BY_VIRTIO)
		virtio_receive(s, &r);
	else if (s->transport == BY_SPLICE)
		splice_receive(s);
	else
		dev_receive(s);
	if (s->handle && h->opcode != FUSE_INIT && h->opcode != CUSE_INIT)
		s->handle(s, &r);
	else
		serve(s, &r);
}

static void get_buffers(struct server *s)
{
	s->buf = anonymous(BUF_SIZE);
	s->room = anonymous(MAX_DATA);
	if (s->transport == BY_SPLICE) {
		need(!pipe(s->pipe));
		need(fcntl(s->pipe[1], F_SETPIPE_SZ, 2 * MAX_DATA) > 0);
	}
}

/* More processes that do the same */
static void fork_workers(struct server *s)
{
	unsigned int i;

	for (i = 1; i < s->workers; i++) {
		pid_t pid = fork();

		need(pid >= 0);
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		get_buffers(s);
		break;
	}
}

/* What comes by the device though there is a ring */
static void *serve_device(void *s)
{
	for (;;)
		receive(s);
	return NULL;
}

static __attribute__((noreturn)) void be_server(struct server *s, int started)
{
	const char *why = "";
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	get_buffers(s);
	/* FUSE_INIT */
	receive(s);
	if (s->backing) {
		struct fuse_backing_map map = { .fd = s->backing };

		s->backing_id = ioctl(s->fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
		need(s->backing_id > 0);
	}
	if (s->features) {
		struct fuse_enable arg = { .features = s->features };

		if (ioctl(s->fd, FUSE_DEV_IOC_ENABLE, &arg))
			why = "the kernel is without the series";
	}
	if (!*why && (s->transport == BY_RING ||
		      s->transport == BY_RING_ZERO_COPY))
		why = ring_start(s) ?: "";
	if (!*why && s->ready)
		s->ready(s);
	need(write(started, why, strlen(why) + 1) == (ssize_t)strlen(why) + 1);
	close(started);
	fork_workers(s);
	if (s->ring) {
		need(!pthread_create(&thread, NULL, serve_device, s));
		ring_serve(s);
	}
	for (;;)
		receive(s);
}

/* Returns why it cannot be, or NULL */
static const char *connect_to(struct server *s)
{
	static int number;
	char options[64];

	number++;
	if (s->cuse) {
		snprintf(s->path, sizeof(s->path), "/dev/bench%d", number);
		s->fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);
		need(s->fd >= 0);
		return NULL;
	}
	snprintf(s->dir, sizeof(s->dir), "/tmp/bench%d", number);
	snprintf(s->path, sizeof(s->path), "%s/file", s->dir);
	need(!mkdir(s->dir, 0755));
	if (s->transport == BY_VIRTIO)
		return virtio_mount(s);
	s->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	need(s->fd >= 0);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", s->fd);
	need(!mount("bench", s->dir, "fuse", 0, options));
	return NULL;
}

const char *server_start(struct server *s, int *fd)
{
	static char why[128];
	const char *missing = connect_to(s);
	int started[2];

	if (missing)
		return missing;
	s->told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(s->told != MAP_FAILED);
	need(!pipe2(started, O_CLOEXEC));
	fflush(stdout);
	s->pid = fork();
	need(s->pid >= 0);
	if (!s->pid) {
		close(started[0]);
		be_server(s, started[1]);
	}
	close(started[1]);
	close(s->fd);
	if (read(started[0], why, sizeof(why)) <= 0)
		die("the server did not start");
	close(started[0]);
	if (*why) {
		server_stop(s);
		return why;
	}
	*fd = open(s->path, O_RDWR);
	need(*fd >= 0);
	return NULL;
}

void server_stop(struct server *s)
{
	if (!s->cuse)
		umount2(s->dir, MNT_DETACH);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	munmap(s->told, PAGE);
	if (!s->cuse)
		rmdir(s->dir);
}
