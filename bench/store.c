// SPDX-License-Identifier: GPL-2.0
/* What has come by a pipe is stored into a buffer: by read and write, by splice */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server.h"

#define DOORBELL	_IO('b', 0)

struct way {
	uint32_t size;
	bool splice;
};

struct store {
	struct server s;
	const struct way *way;
	int fd;
	char *map;
	uint64_t value;
	/* the server's */
	int source[2];
	int message[2];
	char *mem;
};

struct message {
	struct fuse_out_header h;
	struct fuse_notify_store_out out;
};

static void store_read(struct server *s, struct store *t, struct message *m)
{
	struct iovec iov[2] = { { m, sizeof(*m) }, { t->mem, t->way->size } };

	need(read(t->source[0], t->mem, t->way->size) == t->way->size);
	need(writev(s->fd, iov, 2) == m->h.len);
}

static void store_spliced(struct server *s, struct store *t, struct message *m)
{
	need(write(t->message[1], m, sizeof(*m)) == sizeof(*m));
	need(splice(t->source[0], NULL, t->message[1], NULL, t->way->size,
		    SPLICE_F_MOVE) == t->way->size);
	need(splice(t->message[0], NULL, s->fd, NULL, m->h.len,
		    SPLICE_F_MOVE) == m->h.len);
}

/* The doorbell; what a buffer has is not replaced, so it is dropped before */
static void store(struct server *s, struct store *t)
{
	struct message m = {
		.h = { .len = sizeof(m) + t->way->size, .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = BUF(1), .size = t->way->size },
	};
	uint64_t start;

	drop_all(s, BUF(1));
	produce(t->mem, t->way->size, ++t->value);
	need(write(t->source[1], t->mem, t->way->size) == t->way->size);
	start = now();
	if (t->way->splice)
		store_spliced(s, t, &m);
	else
		store_read(s, t, &m);
	s->told->ns = now() - start;
}

static void handle(struct server *s, struct request *r)
{
	struct fuse_ioctl_out out = {};

	if (r->h->opcode == FUSE_IOCTL) {
		store(s, s->data);
		reply(s, r, 0, &out, sizeof(out));
	} else {
		serve(s, r);
	}
}

static void ready(struct server *s)
{
	struct store *t = s->data;

	buffer_bind(s, 0, t->way->size, BUF(1), t->way->size, 0);
	t->mem = malloc(t->way->size);
	need(!pipe(t->source) && !pipe(t->message));
	need(fcntl(t->source[1], F_SETPIPE_SZ, MAX_DATA) > 0);
	need(fcntl(t->message[1], F_SETPIPE_SZ, 2 * MAX_DATA) > 0);
}

static const char *start(struct contender *c)
{
	struct store *t = calloc(1, sizeof(*t));
	const char *why;

	c->data = t;
	t->way = c->options;
	t->s = (struct server){
		.features = FUSE_FEATURE_BUFFERS,
		.valid = 3600,
		.file_size = MAX_DATA,
		.data = t,
		.ready = ready,
		.handle = handle,
	};
	why = server_start(&t->s, &t->fd);
	if (why)
		return why;
	t->map = map_shared(t->fd, t->way->size);
	return NULL;
}

static uint64_t run(struct contender *c, unsigned int times)
{
	struct store *t = c->data;
	uint64_t ns = 0;

	while (times--) {
		need(!ioctl(t->fd, DOORBELL));
		ns += t->s.told->ns;
		need(consume(t->map, t->way->size) == ++t->value);
	}
	return ns;
}

static void stop(struct contender *c)
{
	struct store *t = c->data;

	munmap(t->map, t->way->size);
	close(t->fd);
	server_stop(&t->s);
}

static void compare_stores(const char *name, uint32_t size, const char *goal)
{
	const struct way copied = { .size = size };
	const struct way moved = { .size = size, .splice = true };
	struct contender contenders[] = {
		{ "read and write", NULL, start, run, stop, .options = &copied },
		{ "splice", goal, start, run, stop, .options = &moved },
	};

	compare(&(struct bench_case){
		.name = name,
		.times = 10,
		CONTENDERS(contenders),
	});
}

void store_pipe(void)
{
	compare_stores("STORE of 4 KiB from a pipe", 4 << 10, NULL);
	compare_stores("STORE of 128 KiB from a pipe", 128 << 10, "<= 0.5");
	compare_stores("STORE of 1 MiB from a pipe", 1 << 20, "<= 0.5");
}
