// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the library against the running kernel; needs root, prints KTAP.
 *
 * A child is the server, of a CUSE device or of a file system with one file, in
 * a single- or multi-threaded loop.  The client lets it run one of its jobs by
 * an ioctl, to which a thread of the server replies with the result.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse_buffers.h"

#define FEATURES (FUSE_FEATURE_BUFFERS | FUSE_FEATURE_NONBLOCK | \
		  FUSE_FEATURE_RESTART | FUSE_FEATURE_UNSIZED)
#define FILE_INO 2
#define FH	0x1234
#define PAGE	4096UL
#define BIG	(3UL << 20)

/* file offsets, which say what the mmap operation does */
#define AT_SMALL	0UL			/* buffer 1, PAGE * 4 */
#define AT_BIG		(16UL << 20)		/* buffer 2, BIG */
#define AT_LATER	(32UL << 20)		/* buffer 3, late reply */
#define AT_NEVER	(48UL << 20)		/* until it is interrupted */
#define AT_ERROR	(64UL << 20)		/* EACCES */
#define AT_BOUND	(80UL << 20)		/* buffer 4, PAGE, job BIND */
#define AT_DEMAND	(96UL << 20)		/* buffer 5, DEMAND_PAGES */

/* pages of buffer 5, which say what the fill operation does */
#define DEMAND_PAGES	32
#define FILL_SHORT	20			/* half of it */
#define FILL_LATER	22			/* by another thread */
#define FILL_ERROR	24			/* EIO */
#define FILL_TOO_MUCH	26			/* the reply fails */
#define FILL_STORE	28			/* STORE it, then EIO */
#define FILL_FILE	30			/* out of a file */
#define FILL_BAD_FILE	31			/* that cannot be read */

#define NODE(n)		(FUSE_BUFFER_NODEID | (n))
#define DO(job)		_IOWR('T', job, int)

enum job { MMAPS, MUNMAPS, WAITING, INTERRUPTS, LAST_LEN, STORE, STORE_BIG,
	   STOREV, RETRIEVE, RETRIEVE_ASYNC, RETRIEVE_LOOP, RETRIEVE_END,
	   RETRIEVE_NONE, INVAL, OPEN, MAP, BIND, UNBIND, OWN_RETRIEVE,
	   NONBLOCK, POLL_NONBLOCK, CLIENT_WROTE, FILLS, LARGEST_FILL, FILL_RESULT,
	   DIRTY, DIRTY_STEPS, DIRTY_NONE, DIRTY_WAIT, DIRTY_ERROR,
	   STORE_DEMAND, RETRIEVE_DIRTY, STORE_FD, STORE_PIPE, STORE_FD_ERROR };

static struct fuse_buffers *fb;
static struct fuse_session *session;
static bool is_cuse, is_mt;

static atomic_int mmaps, munmaps, waiting, interrupts, poll_nonblock, last_len;
static atomic_int fills, largest_fill, fill_result;
static char *big;

/*
 * Server
 */

static void *reply_later(void *req)
{
	usleep(100000);
	mmaps++;
	fuse_reply_mmap(req, NODE(3), 0, PAGE, 0);
	return NULL;
}

static void run_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, arg))
		abort();
	pthread_detach(thread);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	(void)data;
	interrupts++;
	fuse_reply_err(req, EINTR);
}

static void server_mmap(fuse_req_t req, fuse_ino_t ino,
			const struct fuse_mmap_in *in)
{
	if (ino != (is_cuse ? 0 : FILE_INO) || in->fh != FH) {
		fuse_reply_err(req, EBADMSG);
		return;
	}

	last_len = in->len;
	switch (in->offset & ~0xfffffUL) {
	case AT_SMALL:
		mmaps++;
		fuse_reply_mmap(req, NODE(1), in->offset, 4 * PAGE, 0);
		break;
	case AT_BIG:
		mmaps++;
		fuse_reply_mmap(req, NODE(2), 0, BIG, 0);
		break;
	case AT_DEMAND:
		mmaps++;
		fuse_reply_mmap(req, NODE(5), 0, DEMAND_PAGES * PAGE,
				FUSE_BUFFER_DEMAND | FUSE_BUFFER_LOG);
		break;
	case AT_LATER:
		run_thread(reply_later, req);
		break;
	case AT_NEVER:
		waiting++;
		fuse_req_interrupt_func(req, on_interrupt, NULL);
		break;
	default:
		fuse_reply_err(req, EACCES);
	}
}

static void server_munmap(void *userdata, fuse_ino_t ino,
			  const struct fuse_munmap_in *in)
{
	if (userdata == &fb && ino == (is_cuse ? 0 : FILE_INO) &&
	    in->fh == FH && in->nodeid & FUSE_BUFFER_NODEID) {
		munmaps++;
		last_len = in->len;
	}
}

/* What is in a page of buffer 5: never zeros */
static char fill_byte(uint64_t offset)
{
	return 'A' + offset / PAGE;
}

/* Left open: there are few of them */
static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("data", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return fd;
}

static void *fill_later(void *req)
{
	char page[PAGE];

	usleep(100000);
	memset(page, fill_byte(FILL_LATER * PAGE), PAGE);
	fuse_reply_buf(req, page, PAGE);
	return NULL;
}

static void server_fill(fuse_req_t req, uint64_t nodeid, uint64_t offset,
			size_t size)
{
	char *data = malloc(size + 1);
	size_t i;

	fills++;
	if ((int)size > largest_fill)
		largest_fill = size;
	for (i = 0; i < size; i++)
		data[i] = fill_byte(offset + i);

	if (nodeid != NODE(5) || size % PAGE) {
		fuse_reply_err(req, EBADMSG);
		return;
	}
	switch (offset / PAGE) {
	case FILL_SHORT:
		fuse_reply_buf(req, data, PAGE / 2);
		break;
	case FILL_LATER:
		run_thread(fill_later, req);
		break;
	case FILL_ERROR:
		fuse_reply_err(req, EIO);
		break;
	case FILL_TOO_MUCH:
		fill_result = fuse_reply_buf(req, data, size + 1);
		break;
	case FILL_STORE:
		fuse_buffers_store(fb, nodeid, offset, data, PAGE);
		fuse_reply_err(req, EIO);
		break;
	case FILL_FILE:
		fuse_reply_fd(req, file_of(data, PAGE), NULL, size);
		break;
	case FILL_BAD_FILE:
		fuse_reply_fd(req, -1, NULL, size);
		break;
	default:
		fuse_reply_buf(req, data, size);
	}
	free(data);
}

/* What is stored out of a file, to where it ends, is in the buffer then */
static int store_fd(void)
{
	int fd = file_of(big, BIG - 100), buffer;
	char *copy = malloc(BIG);
	off_t pos = PAGE;
	ssize_t n;
	bool good;

	fuse_buffers_inval(fb, NODE(2), 0, 0);
	n = fuse_buffers_store_fd(fb, NODE(2), PAGE, fd, &pos, BIG - PAGE);
	if (n != (ssize_t)(BIG - 100 - PAGE) || pos != (off_t)BIG - 100)
		return n < 0 ? n : -EIO;
	if (fuse_buffers_store_fd(fb, NODE(2), 0, fd, &pos, PAGE))
		return -EBADE;

	buffer = fuse_buffers_open(fb, NODE(2), 0, 0);
	good = pread(buffer, copy, BIG, 0) == BIG &&
	       !memcmp(copy + PAGE, big + PAGE, BIG - 100 - PAGE);
	close(buffer);
	close(fd);
	free(copy);
	return good ? 0 : -EBADMSG;
}

/* A pipe has no position, and a directory knows no splice(2) */
static int store_pipe(void)
{
	char text[8] = "";
	int p[2], buffer;
	ssize_t n;

	if (pipe(p) || write(p[1], "by pipe", 7) != 7)
		return -errno;
	n = fuse_buffers_store_fd(fb, NODE(2), 3, p[0], NULL, BIG - 3);
	close(p[0]);
	close(p[1]);
	if (n != 7)
		return n < 0 ? n : -EIO;
	buffer = fuse_buffers_open(fb, NODE(2), 0, 0);
	n = pread(buffer, text, 7, 3);
	close(buffer);
	return strcmp(text, "by pipe") ? -EBADMSG : 0;
}

static int store_fd_error(void)
{
	int fd = file_of("text", 4), dir = open("/", O_RDONLY);
	off_t pos = 0;

	if (fuse_buffers_store_fd(fb, NODE(99), 0, fd, &pos, 4) != -ENOENT ||
	    fuse_buffers_store_fd(fb, NODE(2), 0, dir, NULL, 4) != -EISDIR ||
	    fuse_buffers_store_fd(fb, NODE(2), 0, -1, NULL, 4) != -EBADF ||
	    fuse_buffers_store_fd(fb, NODE(2), BIG, fd, NULL, 4) != -EINVAL)
		return -1;
	/* no half message was left in the thread's pipe */
	pos = 0;
	return fuse_buffers_store_fd(fb, NODE(2), 0, fd, &pos, 9) == 4 ? 0 : -2;
}

/* A bit for each page of buffer 5 that was written since, in steps of @count */
static int dirty(uint64_t *since, int count)
{
	struct fuse_buffer_range ranges[16];
	uint64_t end;
	int fd, bits = 0, n, i;

	fd = fuse_buffers_open(fb, NODE(5), 0, 0);
	if (fd < 0)
		return fd;
	do {
		n = fuse_buffers_dirty(fd, since, ranges, count);
		for (i = 0; i < n; i++) {
			end = ranges[i].start + ranges[i].len;
			for (; ranges[i].start < end; ranges[i].start += PAGE)
				bits |= 1 << ranges[i].start / PAGE;
		}
	} while (n == count);
	close(fd);
	return n < 0 ? n : bits;
}

static int dirty_wait(int timeout)
{
	int fd, res;

	fd = fuse_buffers_open(fb, NODE(5), 0, 0);
	if (fd < 0)
		return fd;
	res = fuse_buffers_dirty_wait(fd, timeout);
	close(fd);
	return res;
}

struct collected {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t at;
	bool done, good;
	int err;
};

static void collect(void *cookie, int err, uint64_t offset, const void *data,
		    size_t size)
{
	struct collected *c = cookie;

	pthread_mutex_lock(&c->lock);
	if (data) {
		if (offset != c->at || memcmp(data, big + offset, size))
			c->good = false;
		c->at += size;
		/* from a thread of the loop */
		if (fuse_buffers_retrieve(fb, NODE(2), 0, &err, 1) != -EDEADLK)
			c->good = false;
	} else {
		c->err = err;
		c->done = true;
		pthread_cond_signal(&c->cond);
	}
	pthread_mutex_unlock(&c->lock);
}

/* Its pages have one byte each, as the client filled them */
static void collect_dirty(void *cookie, int err, uint64_t offset,
			  const void *data, size_t size)
{
	struct collected *c = cookie;
	const char *byte = data;

	pthread_mutex_lock(&c->lock);
	for (; size; size -= PAGE, byte += PAGE, offset += PAGE)
		if (*byte == (char)(offset / PAGE))
			c->at |= 1UL << offset / PAGE;
	if (!data) {
		c->err = err;
		c->done = true;
		pthread_cond_signal(&c->cond);
	}
	pthread_mutex_unlock(&c->lock);
}

static int retrieve_dirty(void)
{
	struct collected c = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	int err;

	err = fuse_buffers_retrieve_dirty(fb, NODE(5), 0, DEMAND_PAGES * PAGE,
					  collect_dirty, &c);
	if (err)
		return err;
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	return c.err ?: (int)c.at;
}

static int retrieve_async(void)
{
	struct collected c = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
		.good = true,
	};
	int err;

	err = fuse_buffers_retrieve_async(fb, NODE(2), 0, BIG, collect, &c);
	if (err)
		return err;
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	if (c.err)
		return c.err;
	return c.good && c.at == BIG ? 0 : -EBADMSG;
}

static int retrieve(void)
{
	char *copy = malloc(BIG);
	int err;

	/* odd ends */
	err = fuse_buffers_retrieve(fb, NODE(2), 7, copy, BIG - 13);
	if (!err && memcmp(copy, big + 7, BIG - 13))
		err = -EBADMSG;
	free(copy);
	return err;
}

static int open_buffer(void)
{
	char c[6] = "";
	struct stat st;
	int fd;

	fd = fuse_buffers_open(fb, NODE(1), 0, 0);
	if (fd < 0)
		return fd;
	if (pread(fd, c, 5, PAGE) != 5 || strcmp(c, "store"))
		return -EBADMSG;
	if (pwrite(fd, "pwrite", 6, 2 * PAGE) != 6)
		return -errno;
	if (fstat(fd, &st) || st.st_size != 4 * PAGE)
		return -EBADMSG;
	if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return -EBADMSG;
	close(fd);
	return 0;
}

static int map_buffer(void)
{
	void *p;
	int err;

	err = fuse_buffers_map(fb, NODE(1), 4 * PAGE, 0, &p);
	if (err)
		return err;
	strcpy((char *)p + 3 * PAGE, "mapped");
	munmap(p, 4 * PAGE);
	return 0;
}

static atomic_int own_retrieve_done;

static void retrieve_reply(fuse_req_t req, void *cookie, fuse_ino_t ino,
			   off_t offset, struct fuse_bufvec *bufv)
{
	char buf[8] = "";
	struct fuse_bufvec dst = FUSE_BUFVEC_INIT(6);

	dst.buf[0].mem = buf;
	if (cookie == &own_retrieve_done && ino == FILE_INO && !offset &&
	    fuse_buf_copy(&dst, bufv, 0) == 6 && !strcmp(buf, "cached"))
		own_retrieve_done = 1;
	else
		own_retrieve_done = -1;
	fuse_reply_none(req);
}

/* Libfuse's, which must find its replies in spite of ours */
static int own_retrieve(void)
{
	struct fuse_bufvec src = FUSE_BUFVEC_INIT(PAGE);
	char page[PAGE] = "cached";
	int err, i;

	src.buf[0].mem = page;
	err = fuse_lowlevel_notify_store(session, FILE_INO, 0, &src, 0);
	if (!err)
		err = fuse_lowlevel_notify_retrieve(session, FILE_INO, 6, 0,
						    &own_retrieve_done);
	for (i = 0; i < 100 && !err && !own_retrieve_done; i++)
		usleep(10000);
	return err ? err : own_retrieve_done;
}

static int do_job(enum job job)
{
	struct fuse_buffer_bind bind = {
		.ino = is_cuse ? 0 : FILE_INO,
		.fh = FH,
		.start = AT_BOUND,
		.len = PAGE,
		.nodeid = NODE(4),
		.size = PAGE,
	};
	struct iovec iov[3] = { { "one", 3 }, { NULL, 0 }, { "two", 3 } };
	static uint64_t since, since_other;
	uint64_t never = 12345;
	char c;

	switch (job) {
	case MMAPS:
		return mmaps;
	case MUNMAPS:
		return munmaps;
	case WAITING:
		return waiting;
	case INTERRUPTS:
		return interrupts;
	case LAST_LEN:
		return last_len;
	case STORE:
		return fuse_buffers_store(fb, NODE(1), PAGE, "store", 5);
	case STOREV:
		return fuse_buffers_storev(fb, NODE(1), 2 * PAGE - 3, iov, 3);
	case STORE_BIG:
		return fuse_buffers_store(fb, NODE(2), 0, big, BIG);
	case STORE_DEMAND:
		return fuse_buffers_store(fb, NODE(5), PAGE, "store", 5);
	case RETRIEVE:
		return retrieve();
	case RETRIEVE_ASYNC:
		return retrieve_async();
	case RETRIEVE_END:
		return fuse_buffers_retrieve(fb, NODE(1), 4 * PAGE, &c, 1);
	case RETRIEVE_NONE:
		return fuse_buffers_retrieve(fb, NODE(99), 0, &c, 1);
	case INVAL:
		return fuse_buffers_inval(fb, NODE(1), PAGE, PAGE);
	case OPEN:
		return open_buffer();
	case MAP:
		return map_buffer();
	case BIND:
		return fuse_buffers_bind(fb, &bind);
	case UNBIND:
		return fuse_buffers_unbind(fb, bind.ino, FH, AT_BOUND, PAGE);
	case OWN_RETRIEVE:
		return own_retrieve();
	case POLL_NONBLOCK:
		return poll_nonblock;
	case FILLS:
		return fills;
	case LARGEST_FILL:
		return largest_fill;
	case FILL_RESULT:
		return fill_result;
	case DIRTY:
		return dirty(&since, 16);
	case DIRTY_STEPS:
		return dirty(&since_other, 1);
	case DIRTY_NONE:
		return dirty_wait(0);
	case DIRTY_WAIT:
		waiting++;
		return dirty_wait(60000);
	case RETRIEVE_DIRTY:
		return retrieve_dirty();
	case DIRTY_ERROR:
		return dirty(&never, 16);
	case STORE_FD:
		return store_fd();
	case STORE_PIPE:
		return store_pipe();
	case STORE_FD_ERROR:
		return store_fd_error();
	case CLIENT_WROTE:
		return fuse_buffers_retrieve(fb, NODE(1), 5, &c, 1) ?: c;
	default:
		return -ENOSYS;
	}
}

struct job_req {
	fuse_req_t req;
	enum job job;
};

static void *job_thread(void *data)
{
	struct job_req *j = data;
	int res = do_job(j->job);

	fuse_reply_ioctl(j->req, 0, &res, sizeof(res));
	free(j);
	return NULL;
}

static void start_job(fuse_req_t req, int cmd, unsigned int flags)
{
	struct job_req *j;
	int res;
	char c;

	switch (_IOC_NR(cmd)) {
	case NONBLOCK:
		res = !!(flags & FUSE_IOCTL_NONBLOCK);
		fuse_reply_ioctl(req, 0, &res, sizeof(res));
		return;
	case RETRIEVE_LOOP:
		res = fuse_buffers_retrieve(fb, NODE(2), 0, &c, 1);
		fuse_reply_ioctl(req, 0, &res, sizeof(res));
		return;
	}
	j = malloc(sizeof(*j));
	j->req = req;
	j->job = _IOC_NR(cmd);
	run_thread(job_thread, j);
}

static void ll_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
		     void *arg, struct fuse_file_info *fi, unsigned int flags,
		     const void *in, size_t in_size, size_t out_size)
{
	(void)ino;
	(void)arg;
	(void)fi;
	(void)in;
	(void)in_size;
	(void)out_size;
	start_job(req, cmd, flags);
}

static void cuse_ioctl(fuse_req_t req, int cmd, void *arg,
		       struct fuse_file_info *fi, unsigned int flags,
		       const void *in, size_t in_size, size_t out_size)
{
	(void)arg;
	(void)fi;
	(void)in;
	(void)in_size;
	(void)out_size;
	start_job(req, cmd, flags);
}

static void cuse_poll(fuse_req_t req, struct fuse_file_info *fi,
		      struct fuse_pollhandle *ph)
{
	poll_nonblock = !!(fi->poll_events & FUSE_POLL_NONBLOCK);
	if (ph)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, fi->poll_events & ~FUSE_POLL_NONBLOCK & POLLIN);
}

static void ll_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
		    struct fuse_pollhandle *ph)
{
	(void)ino;
	cuse_poll(req, fi, ph);
}

static void cuse_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->fh = FH;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void ll_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	cuse_open(req, fi);
}

static void fill_stat(struct stat *st, fuse_ino_t ino)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = ino == FILE_INO ? S_IFREG | 0600 : S_IFDIR | 0700;
	st->st_nlink = 1;
	st->st_size = ino == FILE_INO ? 1 << 20 : 0;
}

static void ll_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = FILE_INO };

	(void)parent;
	(void)name;
	fill_stat(&e.attr, FILE_INO);
	fuse_reply_entry(req, &e);
}

static void ll_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fill_stat(&st, ino);
	fuse_reply_attr(req, &st, 1);
}

static const struct fuse_buffer_ops buffer_ops = {
	.mmap = server_mmap,
	.munmap = server_munmap,
	.fill = server_fill,
};

/* Asks for what bypasses the library, unless that sees to it */
static void server_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & FUSE_CAP_SPLICE_READ;
}

static int serve_cuse(const char *name)
{
	static const struct cuse_lowlevel_ops ops = {
		.init = server_init,
		.open = cuse_open,
		.ioctl = cuse_ioctl,
		.poll = cuse_poll,
	};
	char devname[80];
	const char *info[] = { devname };
	struct cuse_info ci = { .dev_info_argc = 1, .dev_info_argv = info };

	snprintf(devname, sizeof(devname), "DEVNAME=%s", name);
	return fuse_buffers_cuse_main(fb, &ci, &ops, FEATURES,
				      FUSE_BUFFERS_FOREGROUND |
				      (is_mt ? 0 : FUSE_BUFFERS_SINGLE), &fb);
}

static int serve_fuse(const char *dir)
{
	struct fuse_lowlevel_ops ops = {
		.init = server_init,
		.lookup = ll_lookup,
		.getattr = ll_getattr,
		.open = ll_open,
		.ioctl = ll_ioctl,
		.poll = ll_poll,
		.retrieve_reply = retrieve_reply,
	};
	char *argv[] = { "test" };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_loop_config *config;
	uint64_t enabled;
	int res;

	fuse_buffers_wrap(fb, &ops);
	session = fuse_session_new(&args, &ops, sizeof(ops), &fb);
	if (!session || fuse_set_signal_handlers(session) ||
	    fuse_session_mount(session, dir))
		return 1;
	res = fuse_buffers_attach(fb, session, FEATURES | 1ULL << 63, &enabled);
	if (res || enabled != FEATURES ||
	    fuse_buffers_features(fb) != FEATURES ||
	    fuse_buffers_attach(fb, session, FEATURES, NULL) != -EBUSY) {
		fprintf(stderr, "attach: %s\n", strerror(-res));
		return 1;
	}
	if (is_mt) {
		config = fuse_loop_cfg_create();
		res = fuse_session_loop_mt(session, config);
		fuse_loop_cfg_destroy(config);
	} else {
		res = fuse_session_loop(session);
	}
	fuse_buffers_detach(fb);
	if (fuse_buffers_store(fb, NODE(1), 0, "x", 1) != -ENOTCONN)
		res = -EBADMSG;
	fuse_remove_signal_handlers(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	/* a signal's number is no failure */
	return res < 0;
}

/*
 * Client
 */

static int number, bad;
static const char *variant;

static void result(bool good, const char *what, int line)
{
	number++;
	printf("%sok %d libfuse.%s.%s\n", good ? "" : "not ", number, variant,
	       what);
	if (!good) {
		printf("# line %d, errno %d: %s\n", line, errno,
		       strerror(errno));
		bad++;
	}
	fflush(stdout);
}

#define RESULT(good, what) result(good, what, __LINE__)

static int job(int fd, enum job job)
{
	int res;

	return ioctl(fd, DO(job), &res) ? -errno : res;
}

static char *map(int fd, size_t len, off_t offset)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

static bool zeros(const char *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

static sigjmp_buf fault;

static void on_sigbus(int sig)
{
	siglongjmp(fault, sig);
}

/* What a page of buffer 5 has at @offset, or -1 if reading it is SIGBUS */
static int peek(const volatile char *demand, int page, int offset)
{
	if (sigsetjmp(fault, 1))
		return -1;
	return demand[page * PAGE + offset];
}

static void client_demand(int fd)
{
	char *demand = map(fd, DEMAND_PAGES * PAGE, AT_DEMAND);
	int byte = 'A', before, i, status;
	pid_t pid;

	signal(SIGBUS, on_sigbus);
	RESULT(demand != MAP_FAILED && !job(fd, FILLS), "mmap_on_demand");
	if (demand == MAP_FAILED)
		return;
	RESULT(peek(demand, 3, 5) == byte + 3 && job(fd, FILLS) == 1 &&
	       (size_t)job(fd, LARGEST_FILL) == PAGE, "fill");
	for (i = 4; i < 18 && peek(demand, i, 0) == byte + i; i++)
		;
	RESULT(i == 18 && (size_t)job(fd, LARGEST_FILL) > PAGE, "fill_ahead");
	RESULT(peek(demand, FILL_SHORT, PAGE / 2 - 1) == byte + FILL_SHORT &&
	       peek(demand, FILL_SHORT, PAGE / 2) == 0, "fill_short");
	RESULT(peek(demand, FILL_LATER, 0) == byte + FILL_LATER,
	       "fill_replied_by_other_thread");
	RESULT(peek(demand, FILL_ERROR, 0) == -1, "fill_error");
	status = peek(demand, FILL_TOO_MUCH, 0);
	/* the client may hear of it before the server does */
	for (i = 0; i < 500 && !job(fd, FILL_RESULT); i++)
		usleep(10000);
	RESULT(status == -1 && job(fd, FILL_RESULT) == -EINVAL, "fill_too_much");
	RESULT(peek(demand, FILL_STORE, 0) == byte + FILL_STORE, "fill_store");
	RESULT(peek(demand, FILL_FILE, PAGE - 1) == byte + FILL_FILE,
	       "fill_out_of_file");
	RESULT(peek(demand, FILL_BAD_FILE, 0) == -1, "fill_out_of_bad_file");

	RESULT(job(fd, DIRTY) == 0 && job(fd, DIRTY_NONE) == 0, "dirty_none");
	demand[5 * PAGE] = 1;
	demand[7 * PAGE] = 1;
	demand[8 * PAGE] = 1;
	RESULT(job(fd, DIRTY_NONE) == 1 &&
	       job(fd, DIRTY) == (1 << 5 | 1 << 7 | 1 << 8) &&
	       job(fd, DIRTY_NONE) == 0 && job(fd, DIRTY) == 0, "dirty");
	demand[9 * PAGE] = 1;
	RESULT(job(fd, DIRTY_STEPS) == (1 << 5 | 1 << 7 | 1 << 8 | 1 << 9) &&
	       job(fd, DIRTY) == 1 << 9, "dirty_in_steps_by_another");
	RESULT(job(fd, DIRTY_ERROR) == -EINVAL, "dirty_since_never");
	before = job(fd, WAITING);
	pid = fork();
	if (!pid)
		_exit(job(fd, DIRTY_WAIT));
	for (i = 0; i < 500 && job(fd, WAITING) == before; i++)
		usleep(10000);
	demand[3 * PAGE] = 1;
	RESULT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 1 && job(fd, DIRTY) == 1 << 3,
	       "dirty_wait");
	RESULT(job(fd, RETRIEVE_DIRTY) >= 0, "retrieve_dirty_old");
	demand[4 * PAGE] = 4;
	demand[10 * PAGE] = 10;
	demand[11 * PAGE] = 11;
	RESULT(job(fd, RETRIEVE_DIRTY) == (1 << 4 | 1 << 10 | 1 << 11) &&
	       job(fd, RETRIEVE_DIRTY) == 0, "retrieve_dirty");
	munmap(demand, DEMAND_PAGES * PAGE);
	signal(SIGBUS, SIG_DFL);
}

static void client(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char *small, *large, *late, *bound;
	int before, status, i;
	pid_t pid;

	small = map(fd, 4 * PAGE, AT_SMALL);
	RESULT(small != MAP_FAILED && zeros(small, 4 * PAGE) &&
	       job(fd, MMAPS) == 1 && job(fd, LAST_LEN) == 4 * PAGE, "mmap");
	large = map(fd, BIG, AT_BIG);
	RESULT(large != MAP_FAILED && job(fd, MMAPS) == 2, "mmap_large");
	if (small == MAP_FAILED || large == MAP_FAILED)
		return;

	late = map(fd, PAGE, AT_LATER);
	RESULT(late != MAP_FAILED && job(fd, MMAPS) == 3,
	       "mmap_replied_by_other_thread");
	RESULT(map(fd, PAGE, AT_ERROR) == MAP_FAILED && errno == EACCES,
	       "mmap_error");

	pid = fork();
	if (!pid) {
		map(fd, PAGE, AT_NEVER);
		_exit(0);
	}
	for (i = 0; i < 500 && !job(fd, WAITING); i++)
		usleep(10000);
	usleep(100000);
	kill(pid, SIGKILL);
	RESULT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status),
	       "mmap_killed");
	for (i = 0; i < 500 && !job(fd, INTERRUPTS); i++)
		usleep(10000);
	RESULT(job(fd, INTERRUPTS) == 1, "mmap_interrupt");

	before = job(fd, MUNMAPS);
	RESULT(before == 0 && !munmap(late, PAGE) &&
	       job(fd, MUNMAPS) == 1 && job(fd, LAST_LEN) == PAGE, "munmap");

	RESULT(!job(fd, STORE) && !memcmp(small + PAGE, "store", 5), "store");
	RESULT(!job(fd, STOREV) && !memcmp(small + 2 * PAGE - 3, "onetwo", 6),
	       "storev");
	RESULT(!job(fd, STORE_BIG) && !memcmp(large, big, BIG), "store_large");
	small[5] = 77;
	RESULT(job(fd, CLIENT_WROTE) == 77, "retrieve");
	RESULT(!job(fd, RETRIEVE), "retrieve_large");
	RESULT(!job(fd, RETRIEVE_ASYNC), "retrieve_async");
	RESULT(job(fd, RETRIEVE_LOOP) == -EDEADLK, "retrieve_in_loop");
	/* the loop's state must not stick to other threads */
	RESULT(!job(fd, RETRIEVE), "retrieve_after");
	RESULT(job(fd, RETRIEVE_END) < 0, "retrieve_beyond_end");
	RESULT(job(fd, RETRIEVE_NONE) == -ENOENT, "retrieve_of_nothing");
	RESULT(!job(fd, OPEN) && !memcmp(small + 2 * PAGE, "pwrite", 6),
	       "open");
	RESULT(!job(fd, MAP) && !strcmp(small + 3 * PAGE, "mapped"), "map");
	RESULT(!job(fd, INVAL) && zeros(small + PAGE, PAGE) && small[5] == 77,
	       "inval");

	RESULT(!job(fd, STORE_FD), "store_fd");
	RESULT(!job(fd, STORE_PIPE), "store_pipe");
	RESULT(!job(fd, STORE_FD_ERROR), "store_fd_error");

	RESULT(!job(fd, BIND) && job(fd, BIND) == -EEXIST, "bind");
	before = job(fd, MMAPS);
	bound = map(fd, PAGE, AT_BOUND);
	RESULT(bound != MAP_FAILED && job(fd, MMAPS) == before, "mmap_bound");
	RESULT(!job(fd, UNBIND) && job(fd, UNBIND) == -ENOENT, "unbind");
	RESULT(map(fd, PAGE, AT_BOUND) == MAP_FAILED && errno == EACCES,
	       "mmap_unbound");

	RESULT(job(fd, NONBLOCK) == 0 && !fcntl(fd, F_SETFL, O_NONBLOCK) &&
	       job(fd, NONBLOCK) == 1, "ioctl_nonblock");
	RESULT(poll(&pfd, 1, 1000) == 1 && pfd.revents == POLLIN &&
	       job(fd, POLL_NONBLOCK) == 1 && !fcntl(fd, F_SETFL, 0) &&
	       poll(&pfd, 1, 1000) == 1 && pfd.revents == POLLIN &&
	       job(fd, POLL_NONBLOCK) == 0, "poll_nonblock");
	if (!is_cuse)
		RESULT(job(fd, OWN_RETRIEVE) == 1, "retrieve_of_libfuse");
	client_demand(fd);
	RESULT(!munmap(small, 4 * PAGE) && !munmap(large, BIG) &&
	       job(fd, MUNMAPS) == 4, "munmap_last");
}

/* Of a server that has no fill operation */
static void client_no_fill(int fd)
{
	char *demand = map(fd, DEMAND_PAGES * PAGE, AT_DEMAND);

	signal(SIGBUS, on_sigbus);
	RESULT(demand != MAP_FAILED && peek(demand, 0, 0) == -1 &&
	       job(fd, FILLS) == 0, "fill");
	signal(SIGBUS, SIG_DFL);
	RESULT(!job(fd, STORE_DEMAND) && demand[PAGE] == 's', "store");
}

static void run(const char *name, bool cuse, bool mt, void (*client)(int fd))
{
	char dir[] = "/tmp/fuse_buffers.XXXXXX", path[64];
	int fd = -1, status, i;
	pid_t pid;

	is_cuse = cuse;
	is_mt = mt;
	variant = name;
	if (!mkdtemp(dir)) {
		RESULT(false, "mkdtemp");
		return;
	}
	if (cuse)
		snprintf(path, sizeof(path), "/dev/%s", strrchr(dir, '/') + 1);
	else
		snprintf(path, sizeof(path), "%s/file", dir);

	pid = fork();
	if (!pid)
		exit(cuse ? serve_cuse(path + 5) : serve_fuse(dir));
	for (i = 0; i < 500 && fd < 0; i++) {
		usleep(20000);
		fd = open(path, O_RDWR);
	}
	RESULT(fd >= 0, "open_file");
	if (fd >= 0) {
		client(fd);
		close(fd);
	}

	kill(pid, SIGTERM);
	RESULT(waitpid(pid, &status, 0) == pid && !status, "server_ends");
	if (!cuse)
		umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static bool supported(const char *device)
{
	struct fuse_enable enable = { .features = 0 };
	int fd = open(device, O_RDWR | O_CLOEXEC);
	/* not mounted, which is another error than that of an ioctl unknown */
	bool yes = fd >= 0 && (!ioctl(fd, FUSE_DEV_IOC_ENABLE, &enable) ||
			       errno != ENOTTY);

	if (fd >= 0)
		close(fd);
	return yes;
}

int main(void)
{
	/* The module may be that of CUSE alone */
	bool fuse = supported("/dev/fuse"), cuse = supported("/dev/cuse");
	struct fuse_buffer_ops no_fill = buffer_ops;
	int i;

	if (!fuse && !cuse) {
		printf("TAP version 13\n1..0 # SKIP this kernel has no FUSE buffers\n");
		return 4;
	}

	big = malloc(BIG);
	for (i = 0; i < (int)BIG; i++)
		big[i] = i % 251;
	fb = fuse_buffers_new(&buffer_ops, &fb);
	if (!fb || fuse_buffers_new(&buffer_ops, &fb) || errno != EEXIST) {
		printf("Bail out! fuse_buffers_new\n");
		return 1;
	}

	printf("TAP version 13\n");
	if (fuse)
		run("fuse", false, false, client);
	if (cuse)
		run("cuse", true, false, client);
	if (fuse)
		run("fuse_mt", false, true, client);
	if (cuse)
		run("cuse_mt", true, true, client);

	fuse_buffers_free(fb);
	no_fill.fill = NULL;
	fb = fuse_buffers_new(&no_fill, &fb);
	run(fuse ? "no_fill" : "cuse_no_fill", !fuse, false, client_no_fill);
	printf("1..%d\n", number);
	fuse_buffers_free(fb);
	return bad ? 1 : 0;
}
