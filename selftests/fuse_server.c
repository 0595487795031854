// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../kselftest.h"
#include "fuse_counts.h"
#include "fuse_fd.h"
#include "fuse_server.h"

#define HEADROOM	4096
#define MAX_SERVERS	4
#define VALID_S		3600
#define DIR_FH		0xd1d1d1d1d1d1d1d1

int test_line;
const char *test_file = "";
const char *test_case;

static struct server *servers;
static const char base[] = "/tmp";
static int program_dir = -1;
static int socks[CLIENT_MAX][2];
static bool sock_used[CLIENT_MAX];
static int pidfds[CLIENT_MAX];	/* or 0 */

static struct {
	char path[128];
	char text[32];
} saved_sysctl[4];

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

int write_text(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		err = -errno;
	close(fd);
	return err;
}

int read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	if (n < 0)
		return -errno;
	buf[len] = 0;
	return len;
}

/* /dev/fuse is of cuse.ko, which has been loaded with fuse=1 */
static bool module_has_fuse(void)
{
	char text[4];

	return read_text("/sys/module/cuse/parameters/fuse", text,
			 sizeof(text)) > 0 && text[0] == 'Y';
}

const char *fuse_knob(const char *name)
{
	static const char *const dirs[] = {
		"/sys/module/cuse/parameters", "/proc/sys/fs/fuse_mmap",
		"/sys/module/fuse/parameters", "/proc/sys/fs/fuse",
	};
	static char paths[8][80];
	static unsigned int next;
	int first = module_has_fuse() ? 0 : 2, i;
	char *path = paths[next++ % 8];

	/* CUSE's alone may be in the other's place */
	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(paths[0]), "%s/%s",
			 dirs[(first + i) % 4], name);
		if (!access(path, F_OK))
			break;
	}
	return path;
}

int set_sysctl(const char *path, unsigned long value)
{
	char text[32];
	size_t i;
	int err;

	for (i = 0; saved_sysctl[i].path[0]; i++)
		if (!strcmp(saved_sysctl[i].path, path))
			break;
	if (!saved_sysctl[i].path[0]) {
		err = read_text(path, saved_sysctl[i].text,
				sizeof(saved_sysctl[i].text));
		if (err < 0)
			return err;
		strncpy(saved_sysctl[i].path, path,
			sizeof(saved_sysctl[i].path) - 1);
	}
	snprintf(text, sizeof(text), "%lu", value);
	return write_text(path, text);
}

static void restore_sysctls(void)
{
	size_t i;

	for (i = 0; saved_sysctl[i].path[0]; i++)
		write_text(saved_sysctl[i].path, saved_sysctl[i].text);
}

/*
 * Without FUSE_DESTROY: to be asked for a reply while it dies, or over a ring
 * that is its own, would keep the server for good.
 */
static void force_umount(struct server *s)
{
	umount2(s->mnt, MNT_FORCE | MNT_DETACH);
}

void clients_kill(void)
{
	struct pollfd pfd = { .events = POLLIN };
	int i;

	for (i = 0; i < CLIENT_MAX; i++) {
		pfd.fd = pidfds[i];
		if (pfd.fd &&
		    !syscall(SYS_pidfd_send_signal, pfd.fd, SIGKILL, NULL, 0))
			poll(&pfd, 1, PROMPT_MS);
	}
}

/* What is to be in order before a test ends in its midst */
static void leave(void)
{
	struct server *s;

	/* nobody else will answer what the end of the mount sends */
	for (s = servers, servers = NULL; s; s = s->next) {
		if (s->transport->connect)
			s->transport->stop(s);
		force_umount(s);
		if (s->transport->connect)
			clients_kill();
	}
	restore_sysctls();
}

void fail(const char *fmt, ...)
{
	struct server *s;
	unsigned int i;
	va_list ap;

	fprintf(stderr, "# %s:%d: ", test_file, test_line);
	if (test_case)
		fprintf(stderr, "%s: ", test_case);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	for (s = servers; s; s = s->next) {
		fprintf(stderr, "#   %s received:", s->path);
		i = s->requests > 64 ? s->requests - 64 : 0;
		for (; i < s->requests; i++)
			fprintf(stderr, " %s", opcode_name(s->log[i % 64]));
		fputc('\n', stderr);
	}
	leave();
	abort();
}

void check_value(const char *what, uint64_t expected, uint64_t seen)
{
	if (expected != seen)
		fail("%s: expected %#llx, seen %#llx", what,
		     (unsigned long long)expected, (unsigned long long)seen);
}

const char *test_begin(void)
{
	char path[512];
	ssize_t n;
	int i;

	if (geteuid())
		return "needs root";
	counts_open();
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n < 0)
		return "no /proc";
	path[n] = 0;
	*strrchr(path, '/') = 0;
	program_dir = open(*path ? path : "/", O_PATH | O_CLOEXEC);

	if (unshare(CLONE_NEWNS))
		return "no mount namespaces";
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "cannot make mounts private";
	if (mount("none", base, "tmpfs", 0, "mode=0777"))
		return "no tmpfs";
	/* the clients' children outlive their parents */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; i < CLIENT_MAX; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			       socks[i]))
			return "no socketpair";
	return NULL;
}

const char *test_dir(void)
{
	return base;
}

int mount_overlay(const char *path)
{
	static const char * const names[] = { "lower", "upper", "work" };
	char options[256], dir[64];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(dir, sizeof(dir), "%s/%s", base, names[i]);
		if (mkdir(dir, 0700))
			fail("%s: %s", dir, strerror(errno));
	}
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 base, base, base);
	if (mkdir(path, 0700))
		fail("%s: %s", path, strerror(errno));
	return mount("overlay", path, "overlay", 0, options);
}

void test_end(void)
{
	restore_sysctls();
	counts_write();
}

/* Transport: read(2) and write(2) on the device */

static ssize_t dev_receive(struct server *s, void *buf, size_t size,
			   void **from)
{
	ssize_t n = read(s->fd, buf, size);

	(void)from;
	return n < 0 ? -errno : n;
}

static int dev_send(struct server *s, struct request *r,
		    const struct iovec *iov, int n)
{
	(void)r;
	return writev(s->fd, iov, n) < 0 ? -errno : 0;
}

const struct transport dev_transport = {
	.name = "dev",
	.receive = dev_receive,
	.send = dev_send,
};

/*
 * Transport: splice(2), as libfuse uses it, which moves references to pages:
 * those of the message when receiving, those of our memory when sending.
 */

static void need_pipe(struct server *s)
{
	if (s->pipe[1] > 0)
		return;
	if (pipe2(s->pipe, O_CLOEXEC) ||
	    fcntl(s->pipe[1], F_SETPIPE_SZ, 1 << 20) < 0)
		fail("pipe: %s", strerror(errno));
}

static ssize_t splice_receive(struct server *s, void *buf, size_t size,
			      void **from)
{
	ssize_t n;

	(void)from;
	need_pipe(s);
	n = splice(s->fd, NULL, s->pipe[1], NULL, size, 0);
	if (n < 0)
		return -errno;
	if (read(s->pipe[0], buf, n) != n)
		fail("pipe: %s", strerror(errno));
	return n;
}

static int splice_send(struct server *s, struct request *r,
		       const struct iovec *iov, int n)
{
	char rest[PIPE_BUF];
	size_t total = 0, len = 0;
	ssize_t ret;
	int i, err = 0;

	(void)r;
	need_pipe(s);
	for (i = 0; i < n; i++)
		total += iov[i].iov_len;
	while (len < total && !err) {
		struct iovec left[3];
		size_t skip = len;
		int m = 0;

		for (i = 0; i < n; i++) {
			size_t from = skip < iov[i].iov_len ? skip :
							      iov[i].iov_len;

			skip -= from;
			if (from == iov[i].iov_len)
				continue;
			left[m].iov_base = (char *)iov[i].iov_base + from;
			left[m++].iov_len = iov[i].iov_len - from;
		}
		ret = vmsplice(s->pipe[1], left, m, SPLICE_F_NONBLOCK);
		if (ret < 0)
			err = -errno;
		else
			len += ret;
	}
	if (!err && splice(s->pipe[0], NULL, s->fd, NULL, total, 0) < 0)
		err = -errno;
	/* what was refused is still there */
	fcntl(s->pipe[0], F_SETFL, O_NONBLOCK);
	while (read(s->pipe[0], rest, sizeof(rest)) > 0)
		;
	fcntl(s->pipe[0], F_SETFL, 0);
	return err;
}

const struct transport splice_transport = {
	.name = "splice",
	.receive = splice_receive,
	.send = splice_send,
};

/* What comes by the device although there is a ring, is no merit of the ring */
static const char *transport_of(struct server *s, struct request *r)
{
	return s->transport->start && !(r && r->from) ? dev_transport.name :
					    s->transport->name;
}

static struct request *receive(struct server *s)
{
	struct fuse_in_header *h;
	void *from = NULL;
	struct request *r;
	ssize_t n;

	n = s->transport->receive(s, s->buf, s->bufsize, &from);
	if (n == -EAGAIN || n == -EINTR)
		return NULL;
	if (n == -ENODEV || n == -ECONNABORTED) {
		s->gone = true;
		return NULL;
	}
	if (n < 0)
		fail("receive: %s", strerror(-n));
	h = (struct fuse_in_header *)s->buf;
	if ((size_t)n < sizeof(*h) || h->len != n)
		fail("request of %zd bytes says it has %u", n, h->len);
	r = calloc(1, sizeof(*r) + n);
	memcpy(&r->h, s->buf, n);
	r->from = from;
	count("opcode", h->opcode, transport_of(s, r), COUNT_REQUEST);
	s->log[s->requests++ % 64] = h->opcode;
	return r;
}

/* The reply to an opcode that opens a file ends with what FUSE_OPEN's is */
static void remember_file(struct server *s, uint32_t opcode, const void *data,
			  size_t len)
{
	size_t entry = opcode == FUSE_OPEN ? 0 : sizeof(struct fuse_entry_out);
	struct fuse_open_out open;
	struct server_file *f;

	if (opcode != FUSE_OPEN && opcode != FUSE_CREATE &&
	    opcode != FUSE_TMPFILE)
		return;
	if (len != entry + sizeof(open))
		return;
	memcpy(&open, (const char *)data + entry, sizeof(open));
	f = calloc(1, sizeof(*f));
	f->fh = s->fh = open.fh;
	f->next = s->files;
	s->files = f;
}

int server_reply(struct server *s, struct request *r, int error,
		 const void *data, size_t len)
{
	const struct fuse_mmap_out *out = data;
	struct fuse_out_header h = {
		.len = sizeof(h) + len,
		.error = error,
		.unique = r->h.unique,
	};
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)data, len } };
	struct server_map *m = NULL;
	int err;

	if (!error)
		remember_file(s, r->h.opcode, data, len);
	/* before sending: the FUSE_MUNMAP may be there at once */
	if (r->h.opcode == FUSE_MMAP && !error && len == sizeof(*out) &&
	    out->nodeid) {
		m = calloc(1, sizeof(*m));
		m->munmap = (struct fuse_munmap_in){
			.fh = r->mmap.fh,
			.nodeid = out->nodeid,
			.offset = out->offset,
			.len = r->mmap.len,
		};
		m->next = s->maps;
		s->maps = m;
	}
	err = s->transport->send(s, r, iov, len ? 2 : 1);
	if (err && m)
		s->maps = m->next;
	if (err == -EINVAL)
		count("opcode", r->h.opcode, transport_of(s, r), COUNT_MALFORMED);
	else if (!err)
		count("opcode", r->h.opcode, transport_of(s, r),
		      error ? COUNT_ERROR : COUNT_OK);
	return err;
}

int reply_header(struct server *s, struct request *r,
		 const struct fuse_out_header *h, const void *data, size_t len)
{
	struct iovec iov[2] = {
		{ (void *)h, sizeof(*h) },
		{ (void *)data, len },
	};

	count("opcode", r->h.opcode, transport_of(s, r), COUNT_MALFORMED);
	return s->transport->send(s, r, iov, len ? 2 : 1);
}

int reply_raw(struct server *s, struct request *r, uint32_t len_in_header,
	      int error, const void *data, size_t len)
{
	struct fuse_out_header h = {
		.len = len_in_header,
		.error = error,
		.unique = r->h.unique,
	};

	return reply_header(s, r, &h, data, len);
}

int server_reply_bad(struct server *s, struct request *r, enum bad_reply how,
		     const void *data, size_t len)
{
	struct fuse_out_header h = {
		.len = sizeof(h) + len,
		.unique = r->h.unique,
	};
	char *more = calloc(1, len + 8);
	int want = -EINVAL, err;
	bool ends = false;

	if (r->from && s->transport->start)
		needs_mended(s, "malformed replies over io_uring are not EIO");
	memcpy(more, data, len);
	switch (how) {
	case BAD_SHORT:
		h.len--;
		len--;
		ends = true;
		break;
	case BAD_LONG:
		h.len += 8;
		len += 8;
		ends = true;
		break;
	case BAD_ERROR_POSITIVE:
		h.error = EIO;
		h.len -= len;
		len = 0;
		break;
	case BAD_ERROR_RANGE:
		h.error = -512;
		h.len -= len;
		len = 0;
		break;
	case BAD_UNIQUE:
		/* by the device, the lowest bit is for replies to interrupts */
		h.unique ^= r->from ? 1 : 1ULL << 40;
		want = -ENOENT;
		break;
	case BAD_REPLIES:
		fail("no such bad reply");
	}
	err = reply_header(s, r, &h, more, len);
	free(more);
	if (r->from) {
		/* nothing is told to the server */
		if (err)
			fail("bad reply %d: %s", how, strerror(-err));
		return -EIO;
	}
	if (err != want)
		fail("bad reply %d: %s", how, strerror(-err));
	if (!ends && reply_error(s, r, -EIO))
		fail("the request ended with bad reply %d", how);
	return -EIO;
}

/* The node that has the number, or else the name */
static const struct server_node *find_node(struct server *s, uint64_t ino,
					   uint64_t parent, const char *name)
{
	const struct server_node *node;

	for (node = s->nodes; node && node->name; node++)
		if (name ? node->parent == parent && !strcmp(node->name, name) :
			   node->ino == ino)
			return node;
	return NULL;
}

static void file_attr(struct server *s, struct fuse_attr *attr, uint64_t ino)
{
	const struct server_node *node = find_node(s, ino, 0, NULL);
	uint32_t mode = node ? node->mode : S_IFREG | 0666;

	if (ino == FUSE_ROOT_ID)
		mode = S_IFDIR | 0755;
	*attr = (struct fuse_attr){
		.ino = ino,
		.mode = mode,
		.nlink = 1,
		.size = S_ISREG(mode) ? FILE_PAGES * getpagesize() : 0,
		.blksize = getpagesize(),
		.flags = node ? node->flags : 0,
	};
}

static void reply_lookup(struct server *s, struct request *r)
{
	const struct server_node *node = find_node(s, 0, r->h.nodeid, r->body);
	struct fuse_entry_out out = {
		.nodeid = node ? node->ino : s->ino,
		.entry_valid = VALID_S,
		.attr_valid = VALID_S,
	};

	if (!node && strcmp(r->body, "file")) {
		reply_error(s, r, -ENOENT);
		return;
	}
	file_attr(s, &out.attr, out.nodeid);
	reply(s, r, &out, sizeof(out));
}

static void reply_getattr(struct server *s, struct request *r)
{
	struct fuse_attr_out out = { .attr_valid = VALID_S };

	file_attr(s, &out.attr, r->h.nodeid);
	reply(s, r, &out, sizeof(out));
}

static void reply_open(struct server *s, struct request *r)
{
	static uint64_t fh = 0x1234567800000000;
	struct fuse_open_out out = {
		.fh = ++fh,
		.open_flags = s->open_flags,
	};

	reply(s, r, &out, sizeof(out));
}

static void reply_opendir(struct server *s, struct request *r)
{
	struct fuse_open_out out = { .fh = DIR_FH };

	reply(s, r, &out, sizeof(out));
}

static void reply_read(struct server *s, struct request *r)
{
	char *data = calloc(1, r->read.size);
	uint64_t i;

	for (i = 0; i < r->read.size; i++)
		data[i] = 1 + (r->read.offset + i) / getpagesize();
	reply(s, r, data, r->read.size);
	free(data);
}

static void reply_write(struct server *s, struct request *r)
{
	struct fuse_write_out out = { .size = r->write.size };

	reply(s, r, &out, sizeof(out));
}

/* Serve what every file system must; false if @r is not of that kind */
static bool housekeeping(struct server *s, struct request *r)
{
	struct fuse_statfs_out statfs = { .st = { .namelen = 255 } };

	switch (r->h.opcode) {
	case FUSE_LOOKUP:
		reply_lookup(s, r);
		return true;
	case FUSE_GETATTR:
		reply_getattr(s, r);
		return true;
	case FUSE_OPEN:
		reply_open(s, r);
		return true;
	case FUSE_STATFS:
		reply(s, r, &statfs, sizeof(statfs));
		return true;
	case FUSE_READ:
		if (s->io)
			reply_read(s, r);
		return s->io;
	case FUSE_WRITE:
		if (s->io)
			reply_write(s, r);
		return s->io;
	case FUSE_OPENDIR:
		reply_opendir(s, r);
		return true;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_ACCESS:
	case FUSE_FSYNC:
		reply(s, r, NULL, 0);
		return true;
	case FUSE_GETXATTR:
		reply_error(s, r, -ENOSYS);
		return true;
	}
	return false;
}

/* A server keeps what nobody waits for until the test takes it */
static bool wants_reply(struct request *r)
{
	switch (r->h.opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_MUNMAP:
	case FUSE_INTERRUPT:
	case FUSE_NOTIFY_REPLY:
		return false;
	}
	return true;
}

static void forget_map(struct server *s, struct fuse_munmap_in *in)
{
	struct server_map **p;

	for (p = &s->maps; *p; p = &(*p)->next)
		if (!memcmp(&(*p)->munmap, in, sizeof(*in))) {
			*p = (*p)->next;
			return;
		}
	if (s->checked)
		fail("FUSE_MUNMAP of nothing: fh %#llx nodeid %#llx offset %#llx len %#llx",
		     (unsigned long long)in->fh, (unsigned long long)in->nodeid,
		     (unsigned long long)in->offset, (unsigned long long)in->len);
}

static void forget_file(struct server *s, uint64_t fh)
{
	struct server_file **p;
	struct server_map *m;

	for (m = s->maps; m; m = m->next)
		if (m->munmap.fh == fh && s->checked)
			fail("FUSE_RELEASE before FUSE_MUNMAP of nodeid %#llx",
			     (unsigned long long)m->munmap.nodeid);
	for (p = &s->files; *p; p = &(*p)->next)
		if ((*p)->fh == fh) {
			*p = (*p)->next;
			return;
		}
	if (s->checked)
		fail("FUSE_RELEASE of what is not open");
}

static void account(struct server *s, struct request *r)
{
	size_t len = r->h.len - sizeof(r->h);

	switch (r->h.opcode) {
	case FUSE_MUNMAP:
		if (len != sizeof(r->munmap))
			fail("FUSE_MUNMAP of %zu bytes", len);
		forget_map(s, &r->munmap);
		break;
	case FUSE_MMAP:
		if (len != sizeof(r->mmap))
			fail("FUSE_MMAP of %zu bytes", len);
		break;
	case FUSE_RELEASE:
		forget_file(s, r->release.fh);
		break;
	}
}

/* Receive one request; @opcode is the one that the test waits for */
static void serve_one(struct server *s, uint32_t opcode)
{
	struct request *r = receive(s), **tail;
	uint32_t op;
	bool wanted;

	if (!r)
		return;
	op = r->h.opcode;
	wanted = op == opcode || op == s->keep ||
		 (op < 64 && s->manual & (1ULL << op));
	if (op == FUSE_FORGET || op == FUSE_BATCH_FORGET) {
		s->forgets++;
		if (!wanted) {
			free(r);
			return;
		}
	}
	/* the device is read first, but a request precedes what interrupts it */
	while (op == FUSE_INTERRUPT && ring_has(s, r->interrupt.unique))
		serve_one(s, opcode);
	account(s, r);
	if (wanted || !wants_reply(r)) {
		for (tail = &s->inbox; *tail; tail = &(*tail)->next)
			;
		*tail = r;
		return;
	}
	if (!(s->serve && s->serve(s, r)) && !housekeeping(s, r))
		fail("unexpected %s", opcode_name(op));
	free(r);
}

bool server_pending(struct server *s)
{
	struct pollfd pfd = { .fd = s->wait_fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

void server_wait_pending(struct server *s)
{
	struct pollfd pfd = { .fd = s->wait_fd, .events = POLLIN };

	if (poll(&pfd, 1, WAIT_MS) != 1)
		fail("no request");
}

struct request *server_take(struct server *s, uint32_t opcode)
{
	int64_t end = now_ms() + WAIT_MS, left;
	struct request *r;

	while (!s->inbox) {
		struct pollfd pfd = { .fd = s->wait_fd, .events = POLLIN };

		left = end - now_ms();
		if (left <= 0 || poll(&pfd, 1, left) != 1)
			fail("no %s", opcode ? opcode_name(opcode) : "request");
		serve_one(s, opcode);
		if (s->gone)
			fail("no %s: the connection ended", opcode_name(opcode));
	}
	r = s->inbox;
	s->inbox = r->next;
	if (opcode && r->h.opcode != opcode)
		fail("expected %s, got %s", opcode_name(opcode),
		     opcode_name(r->h.opcode));
	/* the test that takes it checks it */
	if (!wants_reply(r))
		count("opcode", r->h.opcode, transport_of(s, r), COUNT_OK);
	return r;
}

void server_take_forget(struct server *s, uint64_t nodeid, uint64_t nlookup)
{
	const uint64_t both = 1ULL << FUSE_FORGET | 1ULL << FUSE_BATCH_FORGET;
	static const struct fuse_forget_one *one;
	static uint32_t left;
	uint64_t manual = s->manual;
	struct fuse_forget_one single;
	struct request *r;

	s->manual |= both;
	while (!left && !s->inbox) {
		server_wait_pending(s);
		serve_one(s, 0);
	}
	s->manual = manual;
	if (left) {
		left--;
		one++;
	} else if (s->inbox->h.opcode == FUSE_BATCH_FORGET) {
		r = server_take(s, FUSE_BATCH_FORGET);
		left = BODY(r, struct fuse_batch_forget_in)->count;
		check_value("size of FUSE_BATCH_FORGET",
			    sizeof(struct fuse_batch_forget_in) +
			    left-- * sizeof(*one), BODY_LEN(r));
		one = (const void *)AFTER(r, struct fuse_batch_forget_in);
	} else {
		r = server_take(s, FUSE_FORGET);
		check_value("size of FUSE_FORGET",
			    sizeof(struct fuse_forget_in), BODY_LEN(r));
		single.nodeid = r->h.nodeid;
		single.nlookup = BODY(r, struct fuse_forget_in)->nlookup;
		one = &single;
	}
	check_value("forgotten nodeid", nodeid, one->nodeid);
	check_value("forgotten look-ups", nlookup, one->nlookup);
}

void server_answer(struct server *s, uint32_t opcode, const void *data,
		   size_t len)
{
	struct request *r = server_take(s, opcode);

	check_value("error of the reply", 0, reply(s, r, data, len));
	free(r);
}

void server_quiet(struct server *s)
{
	while (!s->gone && server_pending(s))
		serve_one(s, 0);
	if (s->inbox)
		fail("unexpected %s", opcode_name(s->inbox->h.opcode));
}

bool serve_until(int fd, int ms)
{
	int64_t end = now_ms() + ms, left;
	struct pollfd pfd[1 + MAX_SERVERS];
	struct server *s, *who[1 + MAX_SERVERS];
	int i, n;

	for (;;) {
		pfd[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
		n = 1;
		for (s = servers; s; s = s->next) {
			if (s->deaf || s->gone || s->fd < 0)
				continue;
			who[n] = s;
			pfd[n++] = (struct pollfd){ .fd = s->wait_fd,
						    .events = POLLIN };
		}
		left = end - now_ms();
		if (poll(pfd, n, left > 0 ? left : 0) < 0 && errno != EINTR)
			fail("poll: %s", strerror(errno));
		if (pfd[0].revents)
			return true;
		if (left <= 0)
			return false;
		for (i = 1; i < n; i++)
			if (pfd[i].revents)
				serve_one(who[i], 0);
	}
}

static const char *fuse_init(struct server *s)
{
	uint64_t flags = s->init_flags | s->transport->init_flags |
			 FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_BIG_WRITES;
	struct request *r = server_take(s, FUSE_INIT);
	const struct fuse_init_in *in = BODY(r, struct fuse_init_in);
	uint64_t offered = in->flags | (uint64_t)in->flags2 << 32;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = s->max_readahead,
		.max_stack_depth = s->max_stack_depth,
		.flags = flags,
		.flags2 = flags >> 32,
		.max_background = 16,
		.congestion_threshold = 12,
		.max_write = s->max_write,
		.max_pages = s->max_write / getpagesize(),
		.request_timeout = s->request_timeout,
	};

	if (s->transport->init_flags & ~offered)
		return "kernel without this transport";
	reply(s, r, &out, sizeof(out));
	return s->transport->start ? s->transport->start(s) : NULL;
}

/* The minor number of the mount, without asking the file system */
static unsigned int mount_dev(const char *mnt)
{
	unsigned int dev = 0, major, minor;
	char line[512], path[256];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d %*d %u:%u %*s %255s", &major, &minor,
			   path) == 3 && !strcmp(path, mnt))
			dev = minor;
	if (f)
		fclose(f);
	return dev;
}

/* NULL where there is none */
static const char *loop_device(void)
{
	static char path[32];
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop, n;

	n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE);
	close(ctl);
	if (n < 0)
		return NULL;
	snprintf(path, sizeof(path), "/dev/loop%d", n);
	loop = open(path, O_RDWR | O_CLOEXEC);
	config.fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (loop < 0 || ftruncate(config.fd, 1 << 20) ||
	    ioctl(loop, LOOP_CONFIGURE, &config))
		return NULL;
	close(config.fd);
	/* it ends with its last user: @loop must outlive the mount's begin */
	return path;
}

static const char *dev_connect(struct server *s)
{
	const char *source = s->block ? loop_device() : "fuse";
	char opts[256];

	if (!source)
		return "no loop device";
	s->fd = open(s->device ?: "/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0)
		return "no /dev/fuse";
	snprintf(opts, sizeof(opts),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s", s->fd,
		 getuid(), getgid(), s->options ? "," : "", s->options ?: "");
	if (mount(source, s->mnt, s->block ? "fuseblk" : "fuse",
		  MS_NOSUID | MS_NODEV, opts))
		return "cannot mount fuse";
	s->wait_fd = s->fd;
	return NULL;
}

static const char *fuse_start(struct server *s)
{
	const char *why;

	mkdir(s->mnt, 0755);
	why = s->transport->connect ? s->transport->connect(s) : dev_connect(s);
	if (why)
		return why;
	snprintf(s->path, sizeof(s->path), "%s/file", s->mnt);
	s->ino = FILE_INO;
	s->dev = mount_dev(s->mnt);
	if (!s->manual_init)
		return fuse_init(s);
	s->manual |= 1ULL << FUSE_INIT;
	return NULL;
}

static void cuse_init(struct server *s)
{
	struct request *r = server_take(s, CUSE_INIT);
	struct {
		struct cuse_init_out out;
		char info[64];
	} init = {
		.out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.flags = s->unrestricted ? CUSE_UNRESTRICTED_IOCTL : 0,
			.max_read = s->max_write,
			.max_write = s->max_write,
		},
	};
	int len = snprintf(init.info, sizeof(init.info), "DEVNAME=%s", s->name);

	reply(s, r, &init, sizeof(init.out) + len + 1);
}

const char *cuse_node(struct server *s)
{
	unsigned int major, minor;
	char path[128], text[32];

	/* a node of our own: names in /dev belong to the system */
	snprintf(path, sizeof(path), "/sys/class/cuse/%s/dev", s->name);
	if (read_text(path, text, sizeof(text)) < 0 ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		fail("no %s", path);
	snprintf(s->path, sizeof(s->path), "%s/%s", base, s->name);
	if (mknod(s->path, S_IFCHR | 0600, makedev(major, minor)))
		fail("mknod: %s", strerror(errno));
	return NULL;
}

static const char *cuse_start(struct server *s)
{
	s->fd = open("/dev/cuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0)
		return "no /dev/cuse";
	s->wait_fd = s->fd;
	if (s->manual_init) {
		s->keep = CUSE_INIT;
		return NULL;
	}
	cuse_init(s);
	return cuse_node(s);
}

static void close_device(struct server *s)
{
	if (s->transport->stop)
		s->transport->stop(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = s->wait_fd = -1;
}

const char *server_start(struct server *s)
{
	static int number;
	const char *why;

	if (!s->transport)
		s->transport = &dev_transport;
	if (!s->max_write)
		s->max_write = 32 * getpagesize();
	s->bufsize = s->max_write + HEADROOM;
	s->buf = malloc(s->bufsize);
	s->fd = s->wait_fd = -1;
	s->checked = true;
	snprintf(s->mnt, sizeof(s->mnt), "%s/mnt%d", base, number);
	snprintf(s->name, sizeof(s->name), "fuse_test_%d_%d", getpid(), number);
	number++;

	why = s->type == SERVER_CUSE ? cuse_start(s) : fuse_start(s);
	if (why) {
		close_device(s);
		return why;
	}
	s->next = servers;
	servers = s;
	return NULL;
}

void server_die(struct server *s)
{
	s->gone = true;
	s->checked = false;
	close_device(s);
}

const char *server_path(struct server *s, const char *name)
{
	static char path[PATH_MAX + 128];

	snprintf(path, sizeof(path), "%s/%s", s->mnt, name);
	return path;
}

const char *server_control(struct server *s, const char *name)
{
	static char path[192];
	char ctl[80];

	if (s->type == SERVER_CUSE) {
		snprintf(path, sizeof(path), "/sys/class/cuse/%s/%s", s->name,
			 name);
	} else {
		snprintf(ctl, sizeof(ctl), "%s/ctl", base);
		if (!mkdir(ctl, 0755) && mount("none", ctl, "fusectl", 0, NULL))
			fail("no fusectl");
		snprintf(path, sizeof(path), "%s/%u/%s", ctl, s->dev, name);
	}
	return path;
}

void server_abort(struct server *s)
{
	const char *path = server_control(s, "abort");

	if (write_text(path, "1"))
		fail("cannot write %s", path);
	s->checked = false;
}

/* The clients are gone: all that they had must come back */
static void server_drain(struct server *s)
{
	int64_t end = now_ms() + WAIT_MS;

	while (!s->gone && s->checked && (s->files || s->maps)) {
		if (now_ms() > end)
			fail("no FUSE_%s at the end",
			     s->maps ? "MUNMAP" : "RELEASE");
		serve_until(-1, 10);
	}
	while (!s->gone && server_pending(s))
		serve_one(s, 0);
	/* the books say that each of these was due */
	while (s->inbox && s->inbox->h.opcode == FUSE_MUNMAP)
		s->inbox = s->inbox->next;
}

void server_check(struct server *s)
{
	if (s->checked && s->inbox)
		fail("%s was not taken", opcode_name(s->inbox->h.opcode));
	s->deaf = false;
	s->manual = s->keep = 0;
	if (s->checked)
		server_quiet(s);
}

void server_stop(struct server *s)
{
	struct server **p;

	if (s->fd >= 0 && s->checked) {
		s->deaf = false;
		s->manual = s->keep = 0;
		server_drain(s);
		server_quiet(s);
	}
	close_device(s);
	force_umount(s);
	for (p = &servers; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	if (s->pipe[1] > 0) {
		close(s->pipe[0]);
		close(s->pipe[1]);
	}
	free(s->buf);
	s->buf = NULL;
}

/* Notifications */

int server_notify(struct server *s, int code, const void *out, size_t size,
		  const void *data, size_t len)
{
	struct fuse_out_header h = {
		.len = sizeof(h) + size + len,
		.error = code,
	};
	struct iovec iov[3] = {
		{ &h, sizeof(h) },
		{ (void *)out, size },
		{ (void *)data, len },
	};
	int err = s->transport->send(s, NULL, iov, len ? 3 : 2);
	const char *transport = transport_of(s, NULL);

	count("notify", code, transport, COUNT_REQUEST);
	count("notify", code, transport, err ? COUNT_ERROR : COUNT_OK);
	if (err == -EINVAL)
		count("notify", code, transport, COUNT_MALFORMED);
	return err;
}

int store(struct server *s, uint64_t nodeid, uint64_t offset, const void *data,
	  uint32_t len)
{
	struct fuse_notify_store_out out = {
		.nodeid = nodeid,
		.offset = offset,
		.size = len,
	};

	return server_notify(s, FUSE_NOTIFY_STORE, &out, sizeof(out), data, len);
}

int retrieve(struct server *s, uint64_t nodeid, uint64_t offset, uint32_t len,
	     uint64_t unique)
{
	struct fuse_notify_retrieve_out out = {
		.notify_unique = unique,
		.nodeid = nodeid,
		.offset = offset,
		.size = len,
	};

	return server_notify(s, FUSE_NOTIFY_RETRIEVE, &out, sizeof(out), NULL, 0);
}

int inval(struct server *s, uint64_t nodeid, int64_t offset, int64_t len)
{
	struct fuse_notify_inval_inode_out out = {
		.ino = nodeid,
		.off = offset,
		.len = len,
	};

	return server_notify(s, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out),
			     NULL, 0);
}

/* Ioctls of the device */

int counted_ioctl(int fd, unsigned long cmd, const void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	if (ret < 0)
		ret = -errno;
	count("ioctl", cmd, dev_transport.name, COUNT_REQUEST);
	count("ioctl", cmd, dev_transport.name, ret < 0 ? COUNT_ERROR : COUNT_OK);
	if (ret == -EINVAL)
		count("ioctl", cmd, dev_transport.name, COUNT_MALFORMED);
	return ret;
}

char (*skip_reason)[1024];

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(*skip_reason, sizeof(*skip_reason), fmt, ap);
	va_end(ap);
	leave();
	_exit(KSFT_SKIP);
}

void needs_mended(struct server *s, const char *fault)
{
	struct fuse_enable arg = { .features = 0 };
	int fd = s->transport->connect ? open("/dev/fuse", O_RDWR | O_CLOEXEC) :
					 s->fd;

	if (!ioctl(fd, FUSE_DEV_IOC_ENABLE, &arg) || errno != ENOTTY ||
	    getenv("FUSE_FAULTS"))
		return;
	skip("a fault of mainline: %s", fault);
}

int server_enable(struct server *s, uint64_t features)
{
	struct fuse_enable arg = { .features = features };

	return counted_ioctl(s->fd, FUSE_DEV_IOC_ENABLE, &arg);
}

int buffer_open_flags(struct server *s, uint64_t nodeid, uint64_t size,
		      uint32_t flags)
{
	struct fuse_buffer_open arg = {
		.nodeid = nodeid,
		.size = size,
		.flags = O_CLOEXEC | flags,
	};

	return counted_ioctl(s->fd, FUSE_DEV_IOC_BUFFER_OPEN, &arg);
}

int buffer_open(struct server *s, uint64_t nodeid, uint64_t size)
{
	return buffer_open_flags(s, nodeid, size, 0);
}

int buffer_bind(struct server *s, uint64_t fh, uint64_t start, uint64_t len,
		uint64_t nodeid, uint64_t offset, uint64_t size)
{
	struct fuse_buffer_bind arg = {
		.ino = s->ino,
		.fh = fh,
		.start = start,
		.len = len,
		.nodeid = nodeid,
		.offset = offset,
		.size = size,
	};

	return counted_ioctl(s->fd, FUSE_DEV_IOC_BUFFER_BIND, &arg);
}

int buffer_unbind(struct server *s, uint64_t fh, uint64_t start, uint64_t len)
{
	struct fuse_buffer_unbind arg = {
		.ino = s->ino,
		.fh = fh,
		.start = start,
		.len = len,
	};

	return counted_ioctl(s->fd, FUSE_DEV_IOC_BUFFER_UNBIND, &arg);
}

bool buffer_exists(struct server *s, uint64_t nodeid)
{
	int fd = buffer_open(s, nodeid, 0);

	if (fd >= 0)
		close(fd);
	else if (fd != -ENOENT)
		fail("buffer_open: %s", strerror(-fd));
	return fd >= 0;
}

uint64_t fdinfo(int fd, const char *key)
{
	char path[64], text[1024], *line;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_text(path, text, sizeof(text)) < 0)
		fail("no %s", path);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, key, strlen(key)) &&
		    line[strlen(key)] == ':')
			return strtoull(line + strlen(key) + 1, NULL, 0);
	fail("no %s in %s", key, path);
}

/* Clients */

static int pidfd_open(int pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		fail("pidfd_open: %s", strerror(errno));
	return fd;
}

void client_send(struct client *c, uint32_t op, const int64_t *a,
		 const void *data, size_t len, int fd)
{
	static struct client_cmd cmd;
	struct iovec iov = { &cmd, offsetof(struct client_cmd, data) + len };

	if (len > CLIENT_DATA)
		fail("command of %zu bytes", len);
	cmd.op = op;
	cmd.len = len;
	cmd.fail_nth = c->fail_nth;
	c->fail_nth = 0;
	memcpy(cmd.a, a, sizeof(cmd.a));
	if (len)
		memcpy(cmd.data, data, len);
	if (send_with_fd(c->sock, &iov, 1, fd) < 0)
		fail("client %d: %s", c->pid, strerror(errno));
}

int64_t client_in(struct client *c, const void *data, size_t len)
{
	int64_t at = CLIENT_OUT + c->in_len;

	if (at + len > CLIENT_DATA)
		fail("arguments of %zu bytes", c->in_len + len);
	memcpy(c->area + at, data, len);
	/* as a structure wants it */
	c->in_len += (len + 7) & ~7;
	return ARG(at);
}

void client_sys(struct client *c, const int64_t *a)
{
	client_send(c, CLIENT_SYSCALL, a, c->area, CLIENT_OUT + c->in_len, -1);
	c->in_len = 0;
}

int64_t client_wait(struct client *c)
{
	ssize_t n;

	if (!serve_until(c->sock, WAIT_MS))
		fail("client %d does not return", c->pid);
	n = recv(c->sock, &c->answer, sizeof(c->answer), 0);
	if (n <= 0)
		fail("client %d is gone", c->pid);
	c->wordsize = c->answer.wordsize;
	return c->answer.ret;
}

/* Our end of a pair that is not used, and the number of the client's */
static int client_socket(struct client *c)
{
	int i;

	for (i = 0; i < CLIENT_MAX && sock_used[i]; i++)
		;
	if (i == CLIENT_MAX)
		fail("too many clients");
	sock_used[i] = true;
	c->sock = socks[i][0];
	return i;
}

const char *client_try(struct client *c, const char *program)
{
	static char why[64];
	int i, number = client_socket(c);
	char index[16];
	char *argv[] = { (char *)program, index, NULL };

	snprintf(index, sizeof(index), "%d", number);
	/* a copy of our page tables is a third of the time */
	c->pid = vfork();
	if (c->pid < 0)
		fail("vfork: %s", strerror(errno));
	if (!c->pid) {
		for (i = 0; i < CLIENT_MAX; i++)
			dup2(socks[i][1], CLIENT_FD + i);
		syscall(SYS_execveat, program_dir, program, argv, environ, 0);
		_exit(127);
	}
	c->pidfd = pidfds[number] = pidfd_open(c->pid);
	while (!serve_until(c->sock, 10)) {
		if (!serve_until(c->pidfd, 0))
			continue;
		snprintf(why, sizeof(why), "cannot execute %s", program);
		return why;
	}
	client_wait(c);
	return NULL;
}

void client_start(struct client *c, const char *program)
{
	const char *why = client_try(c, program);

	if (why)
		fail("%s", why);
}

void client_fork(struct client *c, struct client *child)
{
	int number = client_socket(child);

	child->pid = call(c, CLIENT_FORK, number);
	if (child->pid < 0)
		fail("fork: %s", strerror(-child->pid));
	child->pidfd = pidfds[number] = pidfd_open(child->pid);
	client_wait(child);
}

void client_exec(struct client *c)
{
	if (call(c, CLIENT_EXEC) != c->pid)
		fail("exec failed");
}

/* What it had not received any more, and what of it we have not */
static void client_drain(const int sock[2])
{
	static struct client_cmd rest;

	while (recv(sock[0], &rest, sizeof(rest), MSG_DONTWAIT) > 0 ||
	       recv(sock[1], &rest, sizeof(rest), MSG_DONTWAIT) > 0)
		;
}

int client_gone(struct client *c)
{
	int64_t start = now_ms();
	int i;

	if (!serve_until(c->pidfd, PROMPT_MS))
		fail("client %d still lives", c->pid);
	/* reap it, if it is ours */
	waitpid(c->pid, NULL, 0);
	close(c->pidfd);
	c->pidfd = -1;
	for (i = 0; i < CLIENT_MAX; i++)
		if (socks[i][0] == c->sock) {
			client_drain(socks[i]);
			sock_used[i] = false;
			pidfds[i] = 0;
		}
	return now_ms() - start;
}

void server_gone(struct server *s, struct client *c)
{
	client_gone(c);
	while (s->inbox && s->inbox->h.opcode == FUSE_INTERRUPT)
		free(server_take(s, FUSE_INTERRUPT));
}

int set_caps(uint32_t caps, bool on)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -errno;
	d[0].effective = on ? d[0].effective | caps : d[0].effective & ~caps;
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

void client_drop_cap(struct client *c, int cap)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];
	int64_t at = in(c, &h, sizeof(h));
	int64_t err = sys(c, SYS_capget, at, ARG(0));

	memcpy(caps, out(c, ARG(0)), sizeof(caps));
	caps[0].effective &= ~(1U << cap);
	at = in(c, &h, sizeof(h));
	err = err ?: sys(c, SYS_capset, at, in(c, caps, sizeof(caps)));
	if (err)
		fail("capability %d: %s", cap, strerror(-err));
}

void client_exit(struct client *c)
{
	if (c->pidfd < 0)
		return;
	call_start(c, CLIENT_EXIT, 0);
	client_gone(c);
}

void client_kill(struct client *c, int sig)
{
	if (syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0))
		fail("kill: %s", strerror(errno));
}

void client_sleeps(struct client *c)
{
	char path[64], text[512], *state;
	int64_t end = now_ms() + WAIT_MS;

	snprintf(path, sizeof(path), "/proc/%d/stat", c->pid);
	do {
		if (read_text(path, text, sizeof(text)) < 0)
			fail("no %s", path);
		state = strrchr(text, ')') + 2;
		if (*state == 'S' || *state == 'D')
			return;
		poll(NULL, 0, 10);
	} while (now_ms() < end);
	fail("client %d is not asleep but %c", c->pid, *state);
}

/* Mapping */

struct request *take_mmap(struct client *c, struct server *s,
			  const struct map_args *m)
{
	struct request *r = server_take(s, FUSE_MMAP);
	uint64_t page = getpagesize();

	CHECK(s->ino, r->h.nodeid);
	CHECK((uint32_t)c->pid, r->h.pid);
	CHECK(getuid(), r->h.uid);
	CHECK(getgid(), r->h.gid);
	CHECK(m->fh ? m->fh : s->fh, r->mmap.fh);
	CHECK((m->len + page - 1) / page * page, r->mmap.len);
	CHECK(m->offset, r->mmap.offset);
	CHECK((uint32_t)m->prot, r->mmap.prot);
	CHECK((uint32_t)(m->flags & (MAP_SHARED | MAP_PRIVATE)), r->mmap.flags);
	if (m->addr)
		CHECK(m->addr, r->mmap.addr);
	return r;
}

int64_t client_map(struct client *c, struct server *s, const struct map_args *m)
{
	struct fuse_mmap_out out = m->out;
	struct request *r;
	int64_t ret;
	int err;

	client_send(c, CLIENT_MMAP,
		    (int64_t[7]){ m->addr, m->len, m->prot, m->flags, m->fd,
				  m->offset }, NULL, 0, -1);
	r = take_mmap(c, s, m);
	if (m->error)
		err = reply_error(s, r, m->error);
	else
		err = reply(s, r, &out, m->out_size ? m->out_size : sizeof(out));
	if (err && !m->out_size)
		fail("reply to FUSE_MMAP: %s", strerror(-err));
	ret = client_wait(c);
	if (ret > 0)
		CHECK((uint64_t)ret, r->mmap.addr);
	free(r);
	return ret;
}

void check_munmap(struct server *s, uint64_t fh, uint64_t nodeid,
		  uint64_t offset, uint64_t len)
{
	struct request *r = server_take(s, FUSE_MUNMAP);

	CHECK(s->ino, r->h.nodeid);
	CHECK(fh, r->munmap.fh);
	CHECK(nodeid, r->munmap.nodeid);
	CHECK(offset, r->munmap.offset);
	CHECK(len, r->munmap.len);
	free(r);
}
