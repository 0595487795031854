// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse_counts.h"
#include "fuse_server.h"
#include "window_server.h"

#define MAX_WRITE	(128U << 10)
#define WAIT_MS_HELD	30000

struct held {
	struct held *next;
	void *from;
	uint32_t opcode;
	char msg[];
};

/* The server's side */
static struct window_server *srv;
static struct control *ctl;
static struct held *held;
static struct server conn;
/* Whence the request came that is being answered */
static void *origin;

/* What the server believes to be in the window */
static struct {
	struct disk_file *f;
	uint64_t offset;
	bool writable;
} ranges[RANGES_MAX];

static void __attribute__((noreturn)) server_exit(int status)
{
	counts_write();
	_exit(status);
}

/* What comes by the device although there is a ring, is no merit of the ring */
static const char *transport(void)
{
	return origin ? conn.transport->name : dev_transport.name;
}

static void violation(const char *what, const struct fuse_in_header *h)
{
	if (!ctl->violation[0])
		snprintf(ctl->violation, sizeof(ctl->violation),
			 "opcode %u node %llu: %s", h->opcode,
			 (unsigned long long)h->nodeid, what);
}

static void send_answer(const struct fuse_in_header *h, int error, const void *data,
			size_t len)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + len,
		.error = error,
		.unique = h->unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)data, len } };
	struct request r = { .from = origin, .h = *h };
	/* ENOENT: whoever asked is gone */
	int err = conn.transport->send(&conn, &r, iov, len ? 2 : 1);

	if (err && err != -ENOENT)
		server_exit(err == -ENODEV ? 0 : 2);
	count("opcode", h->opcode, transport(), error ? COUNT_ERROR : COUNT_OK);
}

static void send_bad_answer(const struct fuse_in_header *h)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + 16,
		.unique = h->unique,
	};
	char data[16] = {};
	struct iovec iov[2] = { { &out, sizeof(out) }, { data, sizeof(data) } };
	struct request r = { .from = origin, .h = *h };

	if (!conn.transport->send(&conn, &r, iov, 2) && !origin)
		violation("a reply that is too long is taken", h);
	count("opcode", h->opcode, transport(), COUNT_MALFORMED);
}

static struct disk_file *node(uint64_t nodeid)
{
	if (nodeid < FIRST_NODE || nodeid >= FIRST_NODE + FILES)
		return NULL;
	return &ctl->file[nodeid - FIRST_NODE];
}

static void attr_of(struct fuse_attr *attr, uint64_t nodeid)
{
	struct disk_file *f = node(nodeid);

	*attr = (struct fuse_attr){
		.ino = nodeid,
		.mode = f ? S_IFREG | f->mode : S_IFDIR | 0755,
		.nlink = 1,
		.size = f ? f->size : 0,
		.blksize = 4096,
		.flags = f ? f->attr_flags : 0,
	};
}

/*
 * Rules: what clients may write is removed before the file is changed in another
 * way, it is in the window once, and its node is not forgotten before that.
 */
static void must_not_be_writable(const struct fuse_in_header *h, uint64_t start,
				 uint64_t end, const char *what)
{
	struct disk_file *f = node(h->nodeid);
	int i;

	for (i = 0; i < RANGES_MAX; i++)
		if (ranges[i].f == f && ranges[i].writable &&
		    ranges[i].offset < end &&
		    ranges[i].offset + srv->range > start)
			violation(what, h);
}

static void write_back(uint64_t moffset, uint64_t len)
{
	struct fuse_buffer_range dirty[16];
	struct fuse_window_dirty arg = {
		.start = moffset,
		.len = len,
		.ranges = (uintptr_t)dirty,
		.count = 16,
	};
	unsigned int i;

	while (arg.len) {
		arg.count = 16;
		if (counted_ioctl(srv->fd, FUSE_WINDOW_IOC_DIRTY, &arg))
			server_exit(3);
		for (i = 0; i < arg.count; i++) {
			unsigned int nr = dirty[i].start / srv->range;
			uint64_t pos = ranges[nr].offset +
				       dirty[i].start % srv->range;
			uint64_t n = dirty[i].len;
			struct disk_file *f = ranges[nr].f;

			atomic_fetch_add(&ctl->written_back, n / getpagesize());
			if (pos >= f->size)
				continue;
			if (n > f->size - pos)
				n = f->size - pos;
			memcpy(f->data + pos, srv->win + dirty[i].start, n);
		}
	}
}

static void do_setup(const struct fuse_in_header *h,
		     const struct fuse_setupmapping_in *in)
{
	bool write = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE;
	unsigned int nr = in->moffset / srv->range;
	struct disk_file *f = node(h->nodeid);
	unsigned char *to = srv->win + in->moffset;
	unsigned int i, pages = srv->range / getpagesize();
	uint64_t n = 0;

	if (in->len != srv->range || in->foffset % srv->range ||
	    in->moffset % srv->range || in->moffset + in->len > srv->size ||
	    in->fh != UINT64_MAX || !in->flags)
		violation("malformed", h);
	if (in->flags == FUSE_SETUPMAPPING_FLAG_WRITE) {
		if (ranges[nr].f != f || ranges[nr].offset != in->foffset ||
		    ranges[nr].writable)
			violation("upgrade of what is not there", h);
		ranges[nr].writable = true;
		send_answer(h, 0, NULL, 0);
		return;
	}
	if (ranges[nr].f && ranges[nr].writable)
		violation("set up over what was not removed", h);
	must_not_be_writable(h, in->foffset, in->foffset + in->len,
			     "set up twice");
	for (i = 0; i < pages && atomic_load(&ctl->scattered); i++)
		(void)*(volatile unsigned char *)(to + (i * 7 + 5) % pages * getpagesize());
	if (to[0] || memcmp(to, to + 1, in->len - 1))
		violation("old content", h);
	if (in->foffset < f->size)
		n = f->size - in->foffset < in->len ? f->size - in->foffset :
						      in->len;
	memcpy(to, f->data + in->foffset, n);
	ranges[nr].f = f;
	ranges[nr].offset = in->foffset;
	ranges[nr].writable = write;
	send_answer(h, 0, NULL, 0);
}

/* Of the file's last page */
static bool tail_is_zero(unsigned int nr)
{
	uint64_t size = ranges[nr].f ? ranges[nr].f->size : 0, at;

	if (size < ranges[nr].offset || size - ranges[nr].offset >= srv->range)
		return true;
	for (at = size - ranges[nr].offset; at % getpagesize(); at++)
		if (srv->win[(uint64_t)nr * srv->range + at])
			return false;
	return true;
}

static void do_remove(const struct fuse_in_header *h,
		      const struct fuse_removemapping_in *in)
{
	const struct fuse_removemapping_one *one = (const void *)(in + 1);
	unsigned int nr = one->moffset / srv->range;

	if (in->count != 1 || one->len != srv->range ||
	    one->moffset % srv->range)
		violation("malformed", h);
	if (!ranges[nr].writable)
		violation("removed what is not there", h);
	if (ranges[nr].f != node(h->nodeid))
		violation("of another node", h);
	if (!ctl->concurrent && !tail_is_zero(nr))
		violation("something behind the end", h);
	write_back(one->moffset, one->len);
	ranges[nr].f = NULL;
	ranges[nr].writable = false;
	send_answer(h, 0, NULL, 0);
}

static void set_size(struct disk_file *f, uint64_t size)
{
	if (size < f->size)
		memset(f->data + size, 0, f->size - size);
	f->size = size;
}

static void do_setattr(const struct fuse_in_header *h,
		       const struct fuse_setattr_in *in)
{
	struct disk_file *f = node(h->nodeid);
	struct fuse_attr_out out = { .attr_valid = 3600 };

	if (f && in->valid & FATTR_SIZE) {
		must_not_be_writable(h, in->size < f->size ? in->size : f->size,
				     UINT64_MAX, "range was not removed");
		set_size(f, in->size);
	}
	attr_of(&out.attr, h->nodeid);
	send_answer(h, 0, &out, sizeof(out));
}

static void do_lookup(const struct fuse_in_header *h, const char *name)
{
	struct fuse_entry_out out = { .entry_valid = 3600, .attr_valid = 3600 };

	if (name[0] != 'F' || !node(FIRST_NODE + name[1] - '0')) {
		send_answer(h, -ENOENT, NULL, 0);
		return;
	}
	out.nodeid = FIRST_NODE + name[1] - '0';
	atomic_fetch_add(&node(out.nodeid)->nlookup, 1);
	attr_of(&out.attr, out.nodeid);
	send_answer(h, 0, &out, sizeof(out));
}

static void do_open(const struct fuse_in_header *h,
		    const struct fuse_open_in *in)
{
	struct disk_file *f = node(h->nodeid);
	struct fuse_open_out out = {
		.fh = 1,
		.open_flags = h->opcode == FUSE_OPEN ? f->open_flags : 0,
	};

	if (in->flags & O_TRUNC) {
		must_not_be_writable(h, 0, UINT64_MAX, "range was not removed");
		set_size(f, 0);
	}
	send_answer(h, 0, &out, sizeof(out));
}

static void do_read(const struct fuse_in_header *h, const struct fuse_read_in *in)
{
	struct disk_file *f = node(h->nodeid);
	uint64_t n = in->offset < f->size ? f->size - in->offset : 0;

	if (!ctl->concurrent)
		must_not_be_writable(h, in->offset, in->offset + in->size,
				     "range is in the window");
	send_answer(h, 0, f->data + in->offset, n < in->size ? n : in->size);
}

static void do_write(const struct fuse_in_header *h,
		     const struct fuse_write_in *in)
{
	struct disk_file *f = node(h->nodeid);
	struct fuse_write_out out = { .size = in->size };

	must_not_be_writable(h, in->offset < f->size ? in->offset : f->size,
			     in->offset + in->size, "range is in the window");
	if (in->offset + in->size > FILE_MAX) {
		send_answer(h, -EFBIG, NULL, 0);
		return;
	}
	memcpy(f->data + in->offset, in + 1, in->size);
	if (in->offset + in->size > f->size)
		f->size = in->offset + in->size;
	send_answer(h, 0, &out, sizeof(out));
}

static void do_fallocate(const struct fuse_in_header *h,
			 const struct fuse_fallocate_in *in)
{
	struct disk_file *f = node(h->nodeid);
	uint64_t end = in->offset + in->length;

	must_not_be_writable(h, in->offset, end, "range was not removed");
	/* FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE */
	if (in->mode & 0x12 && in->offset < f->size)
		memset(f->data + in->offset, 0,
		       (end < f->size ? end : f->size) - in->offset);
	if (!(in->mode & 1) && end > f->size)
		f->size = end;
	send_answer(h, 0, NULL, 0);
}

static void do_fsync(const struct fuse_in_header *h)
{
	int i;

	for (i = 0; i < RANGES_MAX; i++)
		if (ranges[i].f && ranges[i].f == node(h->nodeid) &&
		    ranges[i].writable)
			write_back((uint64_t)i * srv->range, srv->range);
	send_answer(h, 0, NULL, 0);
}

static void forget(const struct fuse_in_header *h, uint64_t nodeid, uint64_t n)
{
	struct disk_file *f = node(nodeid);
	struct fuse_in_header of = *h;

	if (!f)
		return;
	of.nodeid = nodeid;
	count("opcode", h->opcode, transport(), COUNT_OK);
	if (atomic_fetch_sub(&f->nlookup, n) == n)
		must_not_be_writable(&of, 0, UINT64_MAX,
				     "forgotten before it was removed");
}

static void do_batch_forget(const struct fuse_in_header *h,
			    const struct fuse_batch_forget_in *in)
{
	const struct fuse_forget_one *one = (const void *)(in + 1);
	uint32_t i;

	for (i = 0; i < in->count; i++)
		forget(h, one[i].nodeid, one[i].nlookup);
}

static void do_init(const struct fuse_in_header *h,
		    const struct fuse_init_in *in)
{
	uint64_t offered = in->flags | (uint64_t)in->flags2 << 32;
	uint64_t flags = srv->init_flags | conn.transport->init_flags |
			 FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_BIG_WRITES |
			 FUSE_ATOMIC_O_TRUNC;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.flags = flags,
		.flags2 = flags >> 32,
		.max_background = 1,
		.congestion_threshold = 1,
		.max_write = MAX_WRITE,
		.max_pages = MAX_WRITE / getpagesize(),
	};

	if (conn.transport->init_flags & ~offered) {
		ctl->no_transport = 1;
		server_exit(0);
	}
	send_answer(h, 0, &out, sizeof(out));
	if (conn.transport->start && conn.transport->start(&conn)) {
		ctl->no_transport = 1;
		server_exit(0);
	}
	ctl->serving = 1;
}

static void serve(const char *msg, void *from)
{
	const struct fuse_in_header *h = (const void *)msg;
	const void *in = h + 1;
	struct fuse_attr_out attr = { .attr_valid = 3600 };
	struct fuse_statfs_out statfs = { .st = { .namelen = 255 } };
	int error = h->opcode < 64 ? ctl->error[h->opcode] : 0;

	origin = from;
	if (h->opcode < 64 && ctl->bad[h->opcode]) {
		send_bad_answer(h);
		return;
	}
	if (error && h->opcode == FUSE_REMOVEMAPPING) {
		const struct fuse_removemapping_in *rm = in;
		const struct fuse_removemapping_one *one =
			(const void *)(rm + 1);

		ranges[one->moffset / srv->range].f = NULL;
		ranges[one->moffset / srv->range].writable = false;
	}
	if (error) {
		send_answer(h, error, NULL, 0);
		return;
	}

	switch (h->opcode) {
	case FUSE_INIT:
		do_init(h, in);
		break;
	case FUSE_LOOKUP:
		do_lookup(h, in);
		break;
	case FUSE_GETATTR:
		attr_of(&attr.attr, h->nodeid);
		send_answer(h, 0, &attr, sizeof(attr));
		break;
	case FUSE_SETATTR:
		do_setattr(h, in);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		do_open(h, in);
		break;
	case FUSE_READ:
		do_read(h, in);
		break;
	case FUSE_WRITE:
		do_write(h, in);
		break;
	case FUSE_FALLOCATE:
		do_fallocate(h, in);
		break;
	case FUSE_FSYNC:
		do_fsync(h);
		break;
	case FUSE_SETUPMAPPING:
		if (ctl->reclaim)
			write_text("/proc/sys/vm/drop_caches", "2");
		do_setup(h, in);
		break;
	case FUSE_REMOVEMAPPING:
		do_remove(h, in);
		break;
	case FUSE_STATFS:
		send_answer(h, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_FORGET:
		forget(h, h->nodeid, ((const struct fuse_forget_in *)in)->nlookup);
		break;
	case FUSE_BATCH_FORGET:
		do_batch_forget(h, in);
		break;
	case FUSE_INTERRUPT:
		count("opcode", h->opcode, transport(), COUNT_OK);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_DESTROY:
		send_answer(h, 0, NULL, 0);
		break;
	default:
		send_answer(h, -ENOSYS, NULL, 0);
	}
}

static void record(const struct fuse_in_header *h, void *from)
{
	struct log_entry *e = &ctl->log[ctl->log_count % LOG];
	const void *in = h + 1;
	const struct fuse_setupmapping_in *setup = in;
	const struct fuse_removemapping_one *one =
		(const void *)((const struct fuse_removemapping_in *)in + 1);
	const struct fuse_setattr_in *setattr = in;
	const struct fuse_write_in *write = in;

	*e = (struct log_entry){
		.opcode = h->opcode,
		.file = h->nodeid - FIRST_NODE,
	};
	switch (h->opcode) {
	case FUSE_SETUPMAPPING:
		e->offset = setup->foffset;
		e->len = setup->len;
		e->moffset = setup->moffset;
		e->flags = setup->flags;
		break;
	case FUSE_REMOVEMAPPING:
		e->moffset = one->moffset;
		e->len = one->len;
		break;
	case FUSE_SETATTR:
		e->offset = setattr->size;
		break;
	case FUSE_READ:
	case FUSE_WRITE:
		e->offset = write->offset;
		e->len = write->size;
		e->flags = write->write_flags;
		break;
	}
	atomic_fetch_add(&ctl->log_count, 1);
	origin = from;
	count("opcode", h->opcode, transport(), COUNT_REQUEST);
	if (h->opcode < 64)
		atomic_fetch_add(&ctl->count[h->opcode], 1);
}

static void release_held(void)
{
	struct held **p = &held, *k;

	while ((k = *p)) {
		if (ctl->hold[k->opcode]) {
			p = &k->next;
			continue;
		}
		*p = k->next;
		serve(k->msg, k->from);
		atomic_fetch_sub(&ctl->held, 1);
		free(k);
	}
}

static void hold(const char *msg, size_t n, uint32_t opcode, void *from)
{
	struct held **tail = &held, *k = calloc(1, sizeof(*k) + n);

	memcpy(k->msg, msg, n);
	k->opcode = opcode;
	k->from = from;
	while (*tail)
		tail = &(*tail)->next;
	*tail = k;
	atomic_fetch_add(&ctl->held, 1);
}

static void send_inval(void)
{
	struct fuse_out_header h = {
		.len = sizeof(h) + sizeof(ctl->inval),
		.error = FUSE_NOTIFY_INVAL_INODE,
	};
	struct iovec iov[2] = {
		{ &h, sizeof(h) },
		{ &ctl->inval, sizeof(ctl->inval) },
	};

	if (writev(srv->dev, iov, 2) < 0)
		server_exit(4);
	ctl->inval.ino = 0;
}

static void __attribute__((noreturn)) server_loop(void)
{
	static char msg[MAX_WRITE + 4096];
	const struct fuse_in_header *h = (const void *)msg;
	struct pollfd pfd[2] = {
		{ .events = POLLIN },
		{ .fd = srv->wake[0], .events = POLLIN },
	};
	char c[64];
	ssize_t n;

	for (;;) {
		void *from = NULL;

		pfd[0].fd = conn.wait_fd;
		poll(pfd, 2, -1);
		if (pfd[1].revents && read(srv->wake[0], c, sizeof(c)) <= 0)
			server_exit(0);
		if (ctl->quit)
			server_exit(0);
		if (ctl->inval.ino)
			send_inval();
		release_held();
		n = conn.transport->receive(&conn, msg, sizeof(msg), &from);
		if (n == -EAGAIN || n == -EINTR || n == -ENOENT)
			continue;
		if (n <= 0)
			server_exit(0);
		record(h, from);
		if (h->opcode < 64 && ctl->hold[h->opcode])
			hold(msg, n, h->opcode, from);
		else
			serve(msg, from);
	}
}

/* The test's side */

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	return p;
}

const char *window_mount(struct window_server *s)
{
	static int number;
	char opts[128];
	int i;

	s->ctl = shared(sizeof(*s->ctl));
	s->fd = s->dev = -1;
	if (!s->range)
		s->range = RANGE;
	if (!s->size)
		s->size = 8 * s->range;
	snprintf(s->mnt, sizeof(s->mnt), "%s/w%d", test_dir(), number++);
	for (i = 0; i < FILES; i++) {
		snprintf(s->path[i], sizeof(s->path[i]), "%s/F%d", s->mnt, i);
		s->ctl->file[i].open_flags = s->open_flags ?: FOPEN_WINDOW;
		s->ctl->file[i].mode = 0666;
	}
	s->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->dev < 0)
		return "no /dev/fuse";
	mkdir(s->mnt, 0755);
	snprintf(opts, sizeof(opts),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u", s->dev,
		 getuid(), getgid());
	if (mount("fuse", s->mnt, "fuse", MS_NOSUID | MS_NODEV, opts))
		return "cannot mount fuse";
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(s->wake, O_CLOEXEC | O_NONBLOCK))
		fail("pipe: %s", strerror(errno));
	return NULL;
}

int window_enable(struct window_server *s)
{
	struct fuse_enable arg = { .features = FUSE_FEATURE_WINDOW };

	return counted_ioctl(s->dev, FUSE_DEV_IOC_ENABLE, &arg);
}

int window_attach(struct window_server *s, uint64_t size, uint32_t range,
		  uint32_t flags)
{
	struct fuse_window_attach arg = {
		.size = size,
		.range_size = range,
		.flags = flags,
	};

	return counted_ioctl(s->dev, FUSE_DEV_IOC_WINDOW, &arg);
}

const char *window_serve(struct window_server *s)
{
	int64_t end = now_ms() + WAIT_MS_HELD;

	s->pid = fork();
	if (s->pid < 0)
		fail("fork: %s", strerror(errno));
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(s->wake[1]);
		counts_clear();
		srv = s;
		ctl = s->ctl;
		conn = (struct server){
			.fd = s->dev,
			.wait_fd = s->dev,
			.max_write = MAX_WRITE,
			.transport = s->transport ?: &dev_transport,
		};
		server_loop();
	}
	close(s->dev);
	s->dev = -1;
	close(s->wake[0]);
	while (!s->ctl->serving && !s->ctl->no_transport && now_ms() < end)
		poll(NULL, 0, 1);
	if (s->ctl->no_transport)
		return "kernel without this transport";
	if (!s->ctl->serving)
		fail("no FUSE_INIT");
	return NULL;
}

const char *window_start(struct window_server *s)
{
	const char *why = window_mount(s);
	int err;

	if (why)
		return why;
	err = window_enable(s);
	if (err == -ENOTTY || err == -EOPNOTSUPP)
		return "kernel without the window";
	if (err)
		fail("FUSE_DEV_IOC_ENABLE: %s", strerror(-err));
	s->fd = window_attach(s, s->size, s->range, s->flags | O_CLOEXEC);
	if (s->fd < 0)
		fail("FUSE_DEV_IOC_WINDOW: %s", strerror(-s->fd));
	s->win = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->win == MAP_FAILED)
		fail("mmap of the window: %s", strerror(errno));
	return window_serve(s);
}

void window_die(struct window_server *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void window_umount(struct window_server *s)
{
	if (umount(s->mnt))
		fail("umount: %s", strerror(errno));
	s->mnt[0] = 0;
}

void window_stop(struct window_server *s)
{
	/* a close is not enough: others may have inherited the pipe */
	s->ctl->quit = 1;
	if (s->pid > 0) {
		/* EPIPE: it has seen the end of the mount */
		if (write(s->wake[1], "", 1) < 0 && errno != EPIPE)
			kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	close(s->wake[1]);
	if (s->dev >= 0)
		close(s->dev);
	if (s->mnt[0])
		umount2(s->mnt, MNT_DETACH);
	if (s->fd >= 0)
		close(s->fd);
}

void window_hold(struct window_server *s, int opcode)
{
	s->ctl->hold[opcode] = 1;
}

void window_go(struct window_server *s, int opcode)
{
	s->ctl->hold[opcode] = 0;
	if (write(s->wake[1], "", 1) != 1)
		fail("the server is gone");
}

bool window_held(struct window_server *s, unsigned int n)
{
	int64_t end = now_ms() + WAIT_MS_HELD;

	while (s->ctl->held < n && now_ms() < end)
		poll(NULL, 0, 1);
	return s->ctl->held >= n;
}

void window_inval(struct window_server *s, int file, int64_t offset, int64_t len)
{
	s->ctl->inval = (struct fuse_notify_inval_inode_out){
		.off = offset,
		.len = len,
	};
	atomic_thread_fence(memory_order_seq_cst);
	s->ctl->inval.ino = FIRST_NODE + file;
	if (write(s->wake[1], "", 1) != 1)
		fail("the server is gone");
	while (*(volatile uint64_t *)&s->ctl->inval.ino)
		poll(NULL, 0, 1);
}

uint64_t window_dirty(int fd, uint64_t start, uint64_t len)
{
	struct fuse_buffer_range dirty[64];
	struct fuse_window_dirty arg = {
		.start = start,
		.len = len,
		.ranges = (uintptr_t)dirty,
		.count = 64,
	};
	uint64_t page = getpagesize(), bits = 0, i, j;
	int err = counted_ioctl(fd, FUSE_WINDOW_IOC_DIRTY, &arg);

	if (err)
		fail("FUSE_WINDOW_IOC_DIRTY: %s", strerror(-err));
	if (arg.len)
		fail("FUSE_WINDOW_IOC_DIRTY left %llu bytes",
		     (unsigned long long)arg.len);
	for (i = 0; i < arg.count; i++)
		for (j = 0; j < dirty[i].len / page; j++)
			bits |= 1ULL << ((dirty[i].start - start) / page + j);
	return bits;
}
