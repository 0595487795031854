// SPDX-License-Identifier: GPL-2.0
/*
 * The server with io_uring: a reply and the wait for the next request are one
 * system call.  With zero copy the pages of READ and WRITE are a buffer of the
 * ring, which the ring copies from and to a file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uring.h>

#include "server.h"

#define DEPTH	4	/* requests of a CPU at a time */

struct entry {
	struct fuse_uring_req_header *head;
	struct iovec iov[2];
	char *pool;		/* of the queue, or NULL */
	unsigned int pages;	/* number of the buffer that is the pages */
	uint16_t qid;
};

struct ring {
	struct uring queue;
	int file;		/* with zero copy, where data comes from and goes to */
	char *file_data;
	unsigned int filled;
};

static struct io_uring_sqe *new_sqe(struct ring *u, void *user_data)
{
	struct io_uring_sqe *sqe = uring_sqe(&u->queue, user_data);

	__atomic_store_n(u->queue.sq_tail, *u->queue.sq_tail + 1, __ATOMIC_RELEASE);
	u->filled++;
	return sqe;
}

static void enter(struct ring *u, unsigned int wait)
{
	int n = syscall(SYS_io_uring_enter, u->queue.fd, u->filled, wait,
			IORING_ENTER_GETEVENTS, NULL, 0);

	need(n >= 0 || errno == EINTR);
	if (n > 0)
		u->filled -= n;
}

/* What was given by the last new_sqe() without user data: its result */
static int do_now(struct ring *u)
{
	for (;;) {
		unsigned int i;

		enter(u, 1);
		for (i = *u->queue.cq_head; i != *u->queue.cq_tail; i++) {
			struct io_uring_cqe *cqe = u->queue.cqes + (i & u->queue.cq_mask);

			if (cqe->user_data)
				continue;
			/* the only one, but for requests after it */
			need(i == *u->queue.cq_head);
			__atomic_store_n(u->queue.cq_head, i + 1, __ATOMIC_RELEASE);
			return cqe->res;
		}
	}
}

static struct fuse_uring_cmd_req *fuse_cmd(struct server *s,
					   struct io_uring_sqe *sqe,
					   uint32_t op, uint16_t qid)
{
	struct fuse_uring_cmd_req *req = (void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = s->fd;
	sqe->cmd_op = op;
	if (s->ring->file_data && op != FUSE_IO_URING_CMD_ADD_QUEUE) {
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
		sqe->buf_index = qid;
	}
	req->qid = qid;
	return req;
}

static char *payload_of(struct entry *e)
{
	if (e->pool)
		return e->pool + e->head->ring_ent_in_out.offset;
	return e->iov[1].iov_base;
}

static bool has_pages(struct entry *e)
{
	return e->head->ring_ent_in_out.flags & FUSE_URING_ENT_ZERO_COPY;
}

/* Between the file and the pages of the request */
static void move_pages(struct ring *u, struct entry *e, int opcode, size_t len)
{
	struct io_uring_sqe *sqe = new_sqe(u, NULL);

	sqe->opcode = opcode;
	sqe->fd = u->file;
	sqe->len = len;
	sqe->buf_index = e->pages;
	need(do_now(u) == (int)len);
}

void ring_reply(struct server *s, struct request *r, int error,
		const void *data, size_t len)
{
	struct entry *e = r->entry;
	struct fuse_uring_ent_in_out *inout = &e->head->ring_ent_in_out;
	struct fuse_out_header *h = (void *)e->head->in_out;
	uint64_t unique = r->h->unique;
	char *payload = payload_of(e);

	if (has_pages(e) && data == s->ring->file_data)
		move_pages(s->ring, e, IORING_OP_READ_FIXED, len);
	else if (len && data != payload)
		memcpy(payload, data, len);
	*h = (struct fuse_out_header){
		.len = sizeof(*h) + len,
		.error = error,
		.unique = unique,
	};
	inout->payload_sz = len;
	fuse_cmd(s, new_sqe(s->ring, e), FUSE_IO_URING_CMD_COMMIT_AND_FETCH,
		 e->qid)->commit_id = unique;
}

void ring_serve(struct server *s)
{
	struct ring *u = s->ring;
	struct uring *q = &u->queue;

	for (;;) {
		enter(u, 1);
		while (*q->cq_head != __atomic_load_n(q->cq_tail, __ATOMIC_ACQUIRE)) {
			struct io_uring_cqe *cqe = q->cqes + (*q->cq_head & q->cq_mask);
			struct entry *e = (void *)(uintptr_t)cqe->user_data;
			int res = cqe->res;
			struct request r;

			__atomic_store_n(q->cq_head, *q->cq_head + 1, __ATOMIC_RELEASE);
			if (res < 0)
				_exit(res != -ENOTCONN);
			r = (struct request){
				.h = (void *)e->head->in_out,
				.in = e->head->op_in,
				.data = payload_of(e),
				.room = payload_of(e),
				.entry = e,
			};
			/* what has no such structure is all payload */
			if (r.h->opcode == FUSE_LOOKUP || r.h->opcode == FUSE_UNLINK)
				r.in = r.data;
			if (has_pages(e)) {
				r.data = u->file_data;
				r.room = u->file_data;
				if (r.h->opcode == FUSE_WRITE)
					move_pages(u, e, IORING_OP_WRITE_FIXED,
						   e->head->ring_ent_in_out.payload_sz);
			}
			if (s->handle)
				s->handle(s, &r);
			else
				serve(s, &r);
		}
	}
}

static bool add_pool(struct server *s, uint16_t qid, char *pool)
{
	struct fuse_uring_cmd_req *req;

	req = fuse_cmd(s, new_sqe(s->ring, NULL), FUSE_IO_URING_CMD_ADD_QUEUE, qid);
	req->flags = FUSE_URING_ZERO_COPY;
	if (do_now(s->ring))
		return false;
	req = fuse_cmd(s, new_sqe(s->ring, NULL), FUSE_IO_URING_CMD_ADD_BUFPOOL,
		       qid);
	req->bufpool.uaddr = (uintptr_t)pool;
	req->bufpool.len = DEPTH * MAX_DATA;
	return !do_now(s->ring);
}

static void add_entry(struct server *s, struct entry *e)
{
	struct io_uring_sqe *sqe = new_sqe(s->ring, e);
	struct fuse_uring_cmd_req *req;

	req = fuse_cmd(s, sqe, FUSE_IO_URING_CMD_REGISTER, e->qid);
	sqe->addr = (uintptr_t)e->iov;
	sqe->len = 2;
	req->ent_zero_copy_buf_index = e->pages;
}

const char *ring_start(struct server *s)
{
	/* as the kernel numbers its queues */
	unsigned int queues = sysconf(_SC_NPROCESSORS_CONF);
	unsigned int n = queues * DEPTH, i;
	struct entry *entries = calloc(n, sizeof(*entries));
	char *heads = anonymous(n * PAGE), *payloads = anonymous(n * MAX_DATA);
	struct ring *u = calloc(1, sizeof(*u));

	if (!uring_open(&u->queue, n, 2 * n))
		return "no io_uring";
	s->ring = u;
	if (s->transport == BY_RING_ZERO_COPY) {
		u->file = memfd_create("zero_copy", MFD_CLOEXEC);
		need(!ftruncate(u->file, MAX_DATA));
		u->file_data = map_shared(u->file, MAX_DATA);
		need(!uring_register(&u->queue, payloads, queues,
				     DEPTH * MAX_DATA, n));
	}
	for (i = 0; i < n; i++) {
		struct entry *e = &entries[i];

		e->qid = i / DEPTH;
		e->head = (void *)(heads + i * PAGE);
		e->iov[0].iov_base = e->head;
		e->iov[0].iov_len = sizeof(*e->head);
		if (u->file_data) {
			e->pages = queues + i;
			e->pool = payloads + e->qid * DEPTH * MAX_DATA;
			if (i % DEPTH == 0 && !add_pool(s, e->qid, e->pool))
				return "no zero copy";
		} else {
			e->iov[1].iov_base = payloads + i * MAX_DATA;
			e->iov[1].iov_len = MAX_DATA;
		}
		add_entry(s, e);
		enter(u, 0);
	}
	return NULL;
}
