// SPDX-License-Identifier: GPL-2.0
/*
 * 1 MiB is produced by the client and looked at by the server, then the other
 * way round; the memory is there and has been used before.
 *
 * Who shares memory rings the doorbell: an ioctl, which returns when the server
 * is done.  READ and WRITE need none, they are messages themselves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server.h"

#define SIZE		MIB
#define DOORBELL	_IO('b', 0)

enum shared {
	NOTHING,
	MEMFD,
	BUFFER,
	WINDOW,
};

/* How the server gets at what the client has mapped */
enum access {
	MAPPED,
	PREAD,
	COPIED,			/* RETRIEVE, STORE */
	MOVED,			/* as above, by splice */
};

struct way {
	enum shared shared;
	enum access access;
	struct server s;
};

struct transfer {
	struct server s;
	const struct way *way;
	int fd;			/* the client's */
	int memfd;
	char *map;
	uint64_t value;
	/* the server's */
	int buffer;
	char *window;
	char *mem;
};

static void get_retrieved(struct server *s, struct transfer *t)
{
	struct {
		struct fuse_out_header h;
		struct fuse_notify_retrieve_out out;
	} m = {
		.h = { .len = sizeof(m), .error = FUSE_NOTIFY_RETRIEVE },
		.out = { .nodeid = BUF(1), .size = SIZE },
	};
	size_t head = sizeof(struct fuse_in_header) +
		      sizeof(struct fuse_notify_retrieve_in);

	need(write(s->fd, &m, sizeof(m)) == sizeof(m));
	if (t->way->access == MOVED) {
		char in[head];

		need(splice(s->fd, NULL, s->pipe[1], NULL, 2 * SIZE, 0) ==
		     (ssize_t)(head + SIZE));
		need(read(s->pipe[0], in, head) == (ssize_t)head);
		need(read(s->pipe[0], t->mem, SIZE) == (ssize_t)SIZE);
	} else {
		char in[head];
		struct iovec iov[2] = { { in, head }, { t->mem, SIZE } };

		need(readv(s->fd, iov, 2) == (ssize_t)(head + SIZE));
	}
}

static void store(struct server *s, struct transfer *t)
{
	struct {
		struct fuse_out_header h;
		struct fuse_notify_store_out out;
	} m = {
		.h = { .len = sizeof(m) + SIZE, .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = BUF(1), .size = SIZE },
	};
	struct iovec iov[2] = { { &m, sizeof(m) }, { t->mem, SIZE } };

	if (t->way->access == MOVED) {
		/* what is in a buffer is not replaced */
		drop_all(s, BUF(1));
		need(write(s->pipe[1], &m, sizeof(m)) == sizeof(m));
		need(write(s->pipe[1], t->mem, SIZE) == (ssize_t)SIZE);
		need(splice(s->pipe[0], NULL, s->fd, NULL, m.h.len,
			    SPLICE_F_MOVE) == m.h.len);
	} else {
		need(writev(s->fd, iov, 2) == m.h.len);
	}
}

/* The doorbell */
static void work(struct server *s, struct transfer *t)
{
	uint64_t value;

	if (t->way->access == PREAD)
		need(pread(t->buffer, t->mem, SIZE, 0) == (ssize_t)SIZE);
	else if (t->way->access != MAPPED)
		get_retrieved(s, t);
	value = consume(t->mem, SIZE);
	produce(t->mem, SIZE, value + 1);
	if (t->way->access == PREAD)
		need(pwrite(t->buffer, t->mem, SIZE, 0) == (ssize_t)SIZE);
	else if (t->way->access != MAPPED)
		store(s, t);
}

static void handle(struct server *s, struct request *r)
{
	struct transfer *t = s->data;
	const struct fuse_write_in *in = r->in;
	const struct fuse_setupmapping_in *setup;
	struct fuse_in_header h = *r->h;

	switch (h.opcode) {
	case FUSE_IOCTL:
		/* the work may need the room of the request */
		work(s, t);
		reply(s, &(struct request){ .h = &h, .entry = r->entry }, 0,
		      &(struct fuse_ioctl_out){}, sizeof(struct fuse_ioctl_out));
		break;
	case FUSE_SETUPMAPPING:
		setup = r->in;
		t->mem = t->window + setup->moffset;
		reply(s, r, 0, NULL, 0);
		break;
	case FUSE_WRITE:
		t->value = consume(r->data, in->size);
		serve(s, r);
		break;
	case FUSE_READ:
		produce(r->room, in->size, t->value + 1);
		serve(s, r);
		break;
	default:
		serve(s, r);
	}
}

static void ready(struct server *s)
{
	struct transfer *t = s->data;

	if (t->way->shared == BUFFER) {
		t->buffer = buffer_open(s, BUF(1), SIZE, 0);
		buffer_bind(s, 0, SIZE, BUF(1), SIZE, 0);
	}
	if (t->way->shared == WINDOW)
		t->window = map_shared(window_attach(s, SIZE, SIZE), SIZE);
	else if (t->way->access != MAPPED)
		t->mem = malloc(SIZE);
	else if (t->way->shared)
		t->mem = map_shared(t->way->shared == BUFFER ? t->buffer : t->memfd,
				    SIZE);
	if (t->way->access == MOVED) {
		need(!pipe(s->pipe));
		need(fcntl(s->pipe[1], F_SETPIPE_SZ, 2 * SIZE) > 0);
	}
}

static const char *start(struct contender *c)
{
	struct transfer *t = calloc(1, sizeof(*t));
	const char *why;

	t->way = c->options;
	t->s = t->way->s;
	t->s.valid = 3600;
	t->s.file_size = SIZE;
	t->s.data = t;
	t->s.ready = ready;
	t->s.handle = handle;
	if (t->way->shared == MEMFD) {
		t->memfd = memfd_create("shared", MFD_CLOEXEC);
		need(!ftruncate(t->memfd, SIZE));
		if (t->s.init_flags & FUSE_PASSTHROUGH)
			t->s.backing = t->memfd;
	}
	why = server_start(&t->s, &t->fd);
	if (why)
		return why;
	if (!t->way->shared)
		t->map = malloc(SIZE);
	else
		t->map = map_shared(t->way->shared == MEMFD && !t->s.backing ?
				    t->memfd : t->fd, SIZE);
	c->data = t;
	return NULL;
}

static uint64_t run(struct contender *c, unsigned int times)
{
	struct transfer *t = c->data;
	uint64_t start = now();

	while (times--) {
		t->value++;
		produce(t->map, SIZE, t->value);
		if (t->way->shared) {
			need(!ioctl(t->fd, DOORBELL));
		} else {
			need(pwrite(t->fd, t->map, SIZE, 0) == (ssize_t)SIZE);
			need(pread(t->fd, t->map, SIZE, 0) == (ssize_t)SIZE);
		}
		if (consume(t->map, SIZE) != ++t->value)
			die("%s: not what the server made", c->name);
	}
	return now() - start;
}

static void stop(struct contender *c)
{
	struct transfer *t = c->data;

	if (t->way->shared)
		munmap(t->map, SIZE);
	close(t->fd);
	if (t->memfd)
		close(t->memfd);
	server_stop(&t->s);
}

#define BUFFERS	.features = FUSE_FEATURE_BUFFERS
#define CONTENDER(title, wanted, ...)					\
	{ .name = title, .goal = wanted,				\
	  .start = start, .run = run, .stop = stop,			\
	  .options = &(const struct way){ __VA_ARGS__ } }

static struct contender contenders[] = {
	CONTENDER("memfd", NULL, .shared = MEMFD),
	CONTENDER("mmap", ">= 0.98", .shared = BUFFER, .s = { BUFFERS }),
	CONTENDER("mmap, CUSE", ">= 0.98", .shared = BUFFER,
		  .s = { BUFFERS, .cuse = true }),
	CONTENDER("window", NULL, .shared = WINDOW,
		  .s = { .features = FUSE_FEATURE_WINDOW }),
	CONTENDER("passthrough to memfd", NULL, .shared = MEMFD,
		  .s = { .init_flags = FUSE_PASSTHROUGH,
			 .open_flags = FOPEN_PASSTHROUGH }),
	CONTENDER("pread, pwrite of the buffer", NULL, .shared = BUFFER,
		  .access = PREAD, .s = { BUFFERS }),
	CONTENDER("RETRIEVE, STORE", NULL, .shared = BUFFER, .access = COPIED,
		  .s = { BUFFERS }),
	CONTENDER("RETRIEVE, STORE by splice", NULL, .shared = BUFFER,
		  .access = MOVED, .s = { BUFFERS }),
	CONTENDER("WRITE, READ", NULL, .s = { .open_flags = FOPEN_DIRECT_IO }),
	CONTENDER("WRITE, READ, CUSE", NULL, .s = { .cuse = true }),
	CONTENDER("WRITE, READ by splice", NULL,
		  .s = { .transport = BY_SPLICE, .open_flags = FOPEN_DIRECT_IO }),
	CONTENDER("WRITE, READ by io_uring", NULL,
		  .s = { .transport = BY_RING,
			 .init_flags = FUSE_OVER_IO_URING,
			 .open_flags = FOPEN_DIRECT_IO }),
	CONTENDER("WRITE, READ by io_uring, zero copy", NULL,
		  .s = { .transport = BY_RING_ZERO_COPY,
			 .init_flags = FUSE_OVER_IO_URING,
			 .open_flags = FOPEN_DIRECT_IO | FOPEN_IO_URING_ZERO_COPY }),
};

void transfer(void)
{
	compare(&(struct bench_case){
		.name = "1 MiB there and back",
		.times = 4,
		.bytes = 2 * SIZE,
		CONTENDERS(contenders),
	});
}
