// SPDX-License-Identifier: GPL-2.0
/*
 * Transport: io_uring.  Requests come through entries that were registered for
 * the queue of each CPU, and replies go back through them; what the kernel
 * still sends by the device (FUSE_INIT, FUSE_FORGET, FUSE_INTERRUPT, ...) and
 * notifications travel as ever.  The payload of an entry is its own memory, or
 * a part of a pool of its queue; with zero copy, the pages of FUSE_READ and
 * FUSE_WRITE are a buffer of the ring, which no message holds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuse_server.h"
#include "uring.h"

/* Requests of one CPU that can be with the server at a time */
#define DEPTH		8

enum payload {
	PAYLOAD_ENTRY,
	PAYLOAD_POOL,
	PAYLOAD_ZERO_COPY,	/* and a pool */
};

struct ring_entry {
	struct fuse_uring_req_header *head;
	struct iovec iov[2];
	char *pool;		/* of the queue */
	uint64_t unique;	/* of the request that the server has, or 0 */
	unsigned int number;
	uint16_t qid;
};

struct ring {
	struct uring queue;
	int file;		/* whose pages are copied with zero copy */
	enum payload payload;
	size_t payload_size;
	size_t heads_size;	/* of all headers; then come the payloads */
	unsigned int depth;
	struct ring_entry *entries;
	char *memory;		/* headers and payloads */
	size_t memory_size;
};

static void submit(struct ring *u, unsigned int wait)
{
	__atomic_store_n(u->queue.sq_tail, *u->queue.sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, u->queue.fd, 1, wait,
		    wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0) != 1)
		fail("io_uring_enter: %s", strerror(errno));
}

/*
 * The result of @user_data, if it is there already and, where @any is not set,
 * is an error; it is then taken.
 */
static bool find_result(struct ring *u, void *user_data, bool any, int *res)
{
	unsigned int tail = __atomic_load_n(u->queue.cq_tail, __ATOMIC_ACQUIRE), i;

	for (i = *u->queue.cq_head; i != tail; i++) {
		struct io_uring_cqe *cqe = u->queue.cqes + (i & u->queue.cq_mask);

		if (cqe->user_data != (uintptr_t)user_data ||
		    (!any && cqe->res >= 0))
			continue;
		*res = cqe->res;
		cqe->user_data = 0;
		return true;
	}
	return false;
}

static struct fuse_uring_cmd_req *fuse_cmd(struct server *s,
					   struct io_uring_sqe *sqe,
					   uint32_t op, uint16_t qid)
{
	struct fuse_uring_cmd_req *req = (void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = s->fd;
	sqe->cmd_op = op;
	if (s->ring->payload == PAYLOAD_ZERO_COPY &&
	    op != FUSE_IO_URING_CMD_ADD_QUEUE) {
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
		sqe->buf_index = qid;
	}
	req->qid = qid;
	return req;
}

/* Do what was prepared, which ends at once or fails */
static int submit_now(struct ring *u, void *user_data)
{
	int res = 0;

	submit(u, 1);
	while (!find_result(u, user_data, true, &res))
		if (syscall(SYS_io_uring_enter, u->queue.fd, 0, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			fail("io_uring_enter: %s", strerror(errno));
	return res;
}

static int add_pool(struct server *s, uint16_t qid, char *pool)
{
	struct ring *u = s->ring;
	struct fuse_uring_cmd_req *req;
	int err;

	req = fuse_cmd(s, uring_sqe(&u->queue, u), FUSE_IO_URING_CMD_ADD_QUEUE, qid);
	if (u->payload == PAYLOAD_ZERO_COPY)
		req->flags = FUSE_URING_ZERO_COPY;
	err = submit_now(u, u);
	if (err)
		return err;
	req = fuse_cmd(s, uring_sqe(&u->queue, u), FUSE_IO_URING_CMD_ADD_BUFPOOL, qid);
	req->bufpool.uaddr = (uintptr_t)pool;
	req->bufpool.len = u->depth * u->payload_size;
	return submit_now(u, u);
}

static int add_entry(struct server *s, struct ring_entry *e)
{
	struct io_uring_sqe *sqe = uring_sqe(&s->ring->queue, e);
	struct fuse_uring_cmd_req *req;
	int err = 0;

	req = fuse_cmd(s, sqe, FUSE_IO_URING_CMD_REGISTER, e->qid);
	sqe->addr = (uintptr_t)e->iov;
	sqe->len = 2;
	if (s->ring->payload == PAYLOAD_ZERO_COPY)
		req->ent_zero_copy_buf_index = e->number;
	submit(s->ring, 0);
	find_result(s->ring, e, false, &err);
	return err;
}

/* As the kernel numbers its queues: the highest CPU that there can be, + 1 */
static unsigned int possible_cpus(void)
{
	char text[64], *last;

	if (read_text("/sys/devices/system/cpu/possible", text,
		      sizeof(text)) < 0)
		fail("no list of CPUs");
	last = strrchr(text, '-') ?: strrchr(text, ',');
	return atoi(last ? last + 1 : text) + 1;
}

/* Sleeping for a request: by the device or by the ring */
static int wait_for_both(struct server *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, s->fd, &event) ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, s->ring->queue.fd, &event))
		fail("epoll: %s", strerror(errno));
	return fd;
}

const char *ring_open(struct server *s)
{
	unsigned int depth = s->ring_depth ?: DEPTH;
	struct ring *u = calloc(1, sizeof(*u));
	unsigned int results = 2 * possible_cpus() * depth;

	u->depth = depth;
	if (!uring_open(&u->queue, DEPTH, results > 2 * DEPTH ? results : 2 * DEPTH)) {
		free(u);
		return "no io_uring";
	}
	s->ring = u;
	s->wait_fd = wait_for_both(s);
	return NULL;
}

int ring_cmd(struct server *s, uint32_t op, const struct fuse_uring_cmd_req *req,
	     const struct iovec *iov, int n)
{
	struct ring *u = s->ring;
	struct io_uring_sqe *sqe = uring_sqe(&u->queue, u);
	struct pollfd pfd = { .fd = u->queue.fd, .events = POLLIN };
	int res = -EINPROGRESS;

	*fuse_cmd(s, sqe, op, req->qid) = *req;
	sqe->addr = (uintptr_t)iov;
	sqe->len = n;
	submit(u, 0);
	if (find_result(u, u, true, &res))
		return res;
	/* a worker of the ring tries again what is to be tried again */
	poll(&pfd, 1, 1000);
	find_result(u, u, true, &res);
	return res;
}

static const char *uring_start(struct server *s, enum payload payload)
{
	unsigned int i, queues = possible_cpus(), n;
	const char *why = ring_open(s);
	size_t head_size = getpagesize();
	struct ring *u = s->ring;
	char *payloads, *heads;
	int err = 0;

	if (why)
		return why;
	n = queues * u->depth;
	u->payload = payload;
	/* the kernel's least, without FUSE_MAX_PAGES */
	u->payload_size = 32 * getpagesize();
	if (u->payload_size < s->max_write)
		u->payload_size = s->max_write;
	u->file = memfd_create("zero_copy", MFD_CLOEXEC);
	u->entries = calloc(n, sizeof(*u->entries));
	u->heads_size = n * head_size;
	u->memory_size = u->heads_size + n * u->payload_size;
	heads = mmap(NULL, u->memory_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (heads == MAP_FAILED)
		fail("ring: %s", strerror(errno));
	u->memory = heads;
	payloads = heads + u->heads_size;

	if (payload == PAYLOAD_ZERO_COPY)
		err = uring_register(&u->queue, payloads, queues,
				     u->depth * u->payload_size, n);
	for (i = 0; i < n && !err; i++) {
		struct ring_entry *e = &u->entries[i];

		e->qid = i / u->depth;
		e->number = queues + i;
		e->head = (void *)(heads + i * head_size);
		e->iov[0].iov_base = e->head;
		e->iov[0].iov_len = sizeof(*e->head);
		if (payload == PAYLOAD_ENTRY) {
			e->iov[1].iov_base = payloads + i * u->payload_size;
			e->iov[1].iov_len = u->payload_size;
		} else {
			e->pool = payloads + e->qid * u->depth * u->payload_size;
			if (i % u->depth == 0)
				err = add_pool(s, e->qid, e->pool);
		}
		if (!err)
			err = add_entry(s, e);
	}
	if (err == -EINVAL && payload != PAYLOAD_ENTRY)
		return "kernel without buffer pools";
	if (err)
		fail("registering with the ring: %s", strerror(-err));
	return NULL;
}

static const char *entry_start(struct server *s)
{
	return uring_start(s, PAYLOAD_ENTRY);
}

static const char *pool_start(struct server *s)
{
	return uring_start(s, PAYLOAD_POOL);
}

static const char *zero_copy_start(struct server *s)
{
	return uring_start(s, PAYLOAD_ZERO_COPY);
}

void ring_close(struct server *s)
{
	struct ring *u = s->ring;

	if (!u)
		return;
	close(s->wait_fd);
	s->wait_fd = s->fd;
	uring_close(&u->queue);
	if (u->file)
		close(u->file);
	if (u->memory)
		munmap(u->memory, u->memory_size);
	free(u->entries);
	free(u);
	s->ring = NULL;
}

void ring_protect(struct server *s, bool payloads, int prot)
{
	struct ring *u = s->ring;
	size_t from = payloads ? u->heads_size : 0;
	size_t to = payloads ? u->memory_size : u->heads_size;

	if (mprotect(u->memory + from, to - from, prot))
		fail("mprotect: %s", strerror(errno));
}

/* Between the file and the pages of the request, which are a buffer of the ring */
static void move_pages(struct ring *u, struct ring_entry *e, int opcode,
		       size_t len)
{
	struct io_uring_sqe *sqe = uring_sqe(&u->queue, u);
	int res;

	sqe->opcode = opcode;
	sqe->fd = u->file;
	sqe->len = len;
	sqe->buf_index = e->number;
	res = submit_now(u, u);
	if (res != (int)len)
		fail("%zu bytes of the pages of a request: %d", len, res);
}

static char *payload_of(struct ring_entry *e)
{
	if (e->pool)
		return e->pool + e->head->ring_ent_in_out.offset;
	return e->iov[1].iov_base;
}

/* The request as it would have come by the device */
static ssize_t assemble(struct server *s, struct ring_entry *e, char *buf,
			size_t size)
{
	struct ring *u = s->ring;
	struct fuse_uring_ent_in_out *inout = &e->head->ring_ent_in_out;
	struct fuse_in_header *h = (void *)e->head->in_out;
	size_t payload = inout->payload_sz, pages = 0;
	size_t op = h->len - sizeof(*h) - payload;

	if (h->len < sizeof(*h) + payload || op > sizeof(e->head->op_in) ||
	    h->len > size || payload > u->payload_size)
		fail("request of %u bytes with a payload of %zu", h->len,
		     payload);
	if (inout->commit_id != h->unique)
		fail("commit id %llu of request %llu",
		     (unsigned long long)inout->commit_id,
		     (unsigned long long)h->unique);
	if (inout->flags & FUSE_URING_ENT_ZERO_COPY) {
		s->zero_copied++;
		if (h->opcode == FUSE_WRITE)
			pages = payload;
	}
	memcpy(buf, h, sizeof(*h));
	memcpy(buf + sizeof(*h), e->head->op_in, op);
	buf += sizeof(*h) + op;
	memcpy(buf, payload_of(e), payload - pages);
	if (pages) {
		move_pages(u, e, IORING_OP_WRITE_FIXED, pages);
		if (pread(u->file, buf + payload - pages, pages, 0) !=
		    (ssize_t)pages)
			fail("zero copy: %s", strerror(errno));
	}
	e->unique = h->unique;
	return sizeof(*h) + op + payload;
}

static ssize_t uring_receive(struct server *s, void *buf, size_t size,
			     void **from)
{
	struct ring *u = s->ring;
	unsigned int tail;
	ssize_t n;

	if (!u)
		return dev_transport.receive(s, buf, size, from);
	/* what the device has, came before what is in the ring by now */
	tail = __atomic_load_n(u->queue.cq_tail, __ATOMIC_ACQUIRE);
	n = dev_transport.receive(s, buf, size, from);
	if (n != -EAGAIN)
		return n;
	while (*u->queue.cq_head != tail) {
		struct io_uring_cqe cqe = u->queue.cqes[*u->queue.cq_head & u->queue.cq_mask];

		__atomic_store_n(u->queue.cq_head, *u->queue.cq_head + 1, __ATOMIC_RELEASE);
		/* taken already, or an entry that ended with the connection */
		if (!cqe.user_data || cqe.res < 0)
			continue;
		*from = (void *)(uintptr_t)cqe.user_data;
		return assemble(s, *from, buf, size);
	}
	return -EAGAIN;
}

bool ring_has(struct server *s, uint64_t unique)
{
	struct ring *u = s->ring;
	unsigned int i, tail;

	if (!u)
		return false;
	tail = __atomic_load_n(u->queue.cq_tail, __ATOMIC_ACQUIRE);
	for (i = *u->queue.cq_head; i != tail; i++) {
		struct io_uring_cqe *cqe = u->queue.cqes + (i & u->queue.cq_mask);
		struct ring_entry *e = (void *)(uintptr_t)cqe->user_data;

		if (e && cqe->res >= 0 &&
		    ((struct fuse_in_header *)e->head->in_out)->unique == unique)
			return true;
	}
	return false;
}

static int uring_send(struct server *s, struct request *r,
		      const struct iovec *iov, int n)
{
	const struct fuse_out_header *h = iov[0].iov_base;
	struct ring_entry *e = r ? r->from : NULL;
	size_t room = s->ring ? s->ring->payload_size : 0, len;
	struct fuse_uring_ent_in_out *inout;
	int i, res = 0;
	char *payload;

	if (!e)
		return dev_transport.send(s, r, iov, n);
	if (e->unique != r->h.unique)
		return -ENOENT;
	inout = &e->head->ring_ent_in_out;
	payload = payload_of(e);
	if (inout->flags & FUSE_URING_ENT_ZERO_COPY &&
	    r->h.opcode == FUSE_READ && n > 1) {
		len = iov[1].iov_len;
		if (pwrite(s->ring->file, iov[1].iov_base, len, 0) !=
		    (ssize_t)len)
			fail("zero copy: %s", strerror(errno));
		if (len <= r->read.size)
			move_pages(s->ring, e, IORING_OP_READ_FIXED, len);
	} else {
		for (i = 1; i < n; i++) {
			len = iov[i].iov_len < room ? iov[i].iov_len : room;
			memcpy(payload, iov[i].iov_base, len);
			payload += len;
			room -= len;
		}
	}
	memcpy(e->head->in_out, h, sizeof(*h));
	inout->payload_sz = h->len > sizeof(*h) ? h->len - sizeof(*h) : 0;
	fuse_cmd(s, uring_sqe(&s->ring->queue, e), FUSE_IO_URING_CMD_COMMIT_AND_FETCH,
		 e->qid)->commit_id = r->h.unique;
	e->unique = 0;
	submit(s->ring, 0);
	if (find_result(s->ring, e, false, &res))
		e->unique = r->h.unique;
	return res;
}

const struct transport uring_transport = {
	.name = "uring",
	.init_flags = FUSE_OVER_IO_URING,
	.start = entry_start,
	.stop = ring_close,
	.receive = uring_receive,
	.send = uring_send,
};

const struct transport uring_pool_transport = {
	.name = "uring_pool",
	.init_flags = FUSE_OVER_IO_URING,
	.start = pool_start,
	.stop = ring_close,
	.receive = uring_receive,
	.send = uring_send,
};

const struct transport uring_zero_copy_transport = {
	.name = "uring_zero_copy",
	.init_flags = FUSE_OVER_IO_URING,
	.start = zero_copy_start,
	.stop = ring_close,
	.receive = uring_receive,
	.send = uring_send,
};
