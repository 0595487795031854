// SPDX-License-Identifier: GPL-2.0
/* What it costs until memory is shared: mappings, first touches, look-ups */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server.h"

#define SIZE		MIB
#define PAGES		(SIZE / PAGE)
#define MANY		10000
#define DOORBELL	_IO('b', 0)

enum memory {
	OF_MEMFD,
	OF_BINDING,
	OF_REPLY,		/* the server is asked */
	OF_PAGE_CACHE,
};

struct way {
	enum memory memory;
	uint32_t flags;		/* FUSE_BUFFER_* */
	unsigned int buffers;	/* of a page each; 0: one */
	struct server s;
};

struct setup {
	struct server s;
	const struct way *way;
	int fd;
	int *memfds;
	char **maps;
};

static void handle(struct server *s, struct request *r)
{
	struct setup *t = s->data;
	const struct fuse_mmap_in *in = r->in;
	struct fuse_ioctl_out out = {};
	struct fuse_mmap_out map = { .flags = t->way->flags };

	switch (r->h->opcode) {
	case FUSE_MMAP:
		map.nodeid = BUF(in->offset / PAGE);
		map.size = in->len;
		reply(s, r, 0, &map, sizeof(map));
		break;
	case FUSE_IOCTL:
		if (t->way->buffers)
			close(buffer_open(s, BUF(t->way->buffers / 2), 0, 0));
		else
			drop_all(s, BUF(0));
		reply(s, r, 0, &out, sizeof(out));
		break;
	default:
		serve(s, r);
	}
}

static void ready(struct server *s)
{
	struct setup *t = s->data;
	unsigned int i;

	if (t->way->memory != OF_BINDING)
		return;
	if (!t->way->buffers)
		buffer_bind(s, 0, SIZE, BUF(0), SIZE, t->way->flags);
	for (i = 0; i < t->way->buffers; i++)
		buffer_bind(s, i * PAGE, PAGE, BUF(i), PAGE, 0);
}

static const char *start(struct contender *c)
{
	struct setup *t = calloc(1, sizeof(*t));
	unsigned int i, memfds;

	c->data = t;
	t->way = c->options;
	t->maps = calloc(MANY, sizeof(*t->maps));
	if (t->way->memory == OF_MEMFD) {
		memfds = t->way->buffers ?: 1;
		t->memfds = calloc(memfds, sizeof(*t->memfds));
		for (i = 0; i < memfds; i++) {
			t->memfds[i] = memfd_create("memory", MFD_CLOEXEC);
			need(t->memfds[i] >= 0);
			need(!ftruncate(t->memfds[i], SIZE));
		}
		t->fd = t->memfds[0];
		if (!t->way->s.init_flags)
			return NULL;
	}
	t->s = t->way->s;
	t->s.valid = 3600;
	t->s.file_size = SIZE;
	t->s.backing = t->fd;
	t->s.data = t;
	t->s.ready = ready;
	t->s.handle = handle;
	return server_start(&t->s, &t->fd);
}

static void stop(struct contender *c)
{
	struct setup *t = c->data;
	unsigned int i, memfds = t->way->buffers ?: 1;

	if (t->s.pid) {
		close(t->fd);
		server_stop(&t->s);
	}
	for (i = 0; t->memfds && i < memfds; i++)
		close(t->memfds[i]);
}

static char *map_at(struct setup *t, size_t size, uint64_t offset)
{
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd,
			 offset);

	need(map != MAP_FAILED);
	return map;
}

static uint64_t map_and_unmap(struct contender *c, unsigned int times)
{
	struct setup *t = c->data;
	/* the last one that is bound */
	uint64_t offset = (t->way->buffers ?: 1) * PAGE - PAGE;
	size_t size = t->way->buffers ? PAGE : SIZE;
	uint64_t start = now();

	while (times--)
		need(!munmap(map_at(t, size, offset), size));
	return now() - start;
}

static uint64_t touch_pages(struct contender *c, bool again)
{
	struct setup *t = c->data;
	char *map = map_at(t, SIZE, 0);
	uint64_t start, ns, i;

	if (again) {
		produce(map, SIZE, 1);
		need(!munmap(map, SIZE));
		map = map_at(t, SIZE, 0);
	} else if (t->memfds) {
		need(!fallocate(t->memfds[0],
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				SIZE));
	} else {
		need(!ioctl(t->fd, DOORBELL));
	}
	start = now();
	for (i = 0; i < PAGES; i++)
		*(volatile char *)(map + i * PAGE) = 1;
	ns = now() - start;
	need(!munmap(map, SIZE));
	return ns;
}

static uint64_t first_touch(struct contender *c, unsigned int times)
{
	(void)times;
	return touch_pages(c, false);
}

static uint64_t touch_again(struct contender *c, unsigned int times)
{
	(void)times;
	return touch_pages(c, true);
}

/* All stay mapped */
static uint64_t map_many(struct contender *c, unsigned int times)
{
	struct setup *t = c->data;
	unsigned int i;
	uint64_t start = now(), ns;

	for (i = 0; i < times; i++) {
		if (t->memfds)
			t->fd = t->memfds[i];
		t->maps[i] = map_at(t, PAGE, t->memfds ? 0 : i * PAGE);
	}
	ns = now() - start;
	for (i = 0; i < times; i++)
		need(!munmap(t->maps[i], PAGE));
	return ns;
}

static uint64_t ring_doorbell(struct contender *c, unsigned int times)
{
	struct setup *t = c->data;
	uint64_t start = now();

	while (times--)
		need(!ioctl(t->fd, DOORBELL));
	return now() - start;
}

#define BUFFERS	.s.features = FUSE_FEATURE_BUFFERS
#define CONTENDER(title, wanted, function, ...)				\
	{ .name = title, .goal = wanted,				\
	  .start = start, .run = function, .stop = stop,		\
	  .options = &(const struct way){ __VA_ARGS__ } }
#define PASSTHROUGH							\
	.s = { .init_flags = FUSE_PASSTHROUGH, .open_flags = FOPEN_PASSTHROUGH }

static struct contender mappings[] = {
	CONTENDER("memfd", NULL, map_and_unmap, OF_MEMFD),
	CONTENDER("bound range", "<= 1.3", map_and_unmap, OF_BINDING, BUFFERS),
	CONTENDER("bound range, CUSE", "<= 1.3", map_and_unmap, OF_BINDING,
		  BUFFERS, .s.cuse = true),
	CONTENDER("the server is asked", NULL, map_and_unmap, OF_REPLY, BUFFERS),
	CONTENDER("passthrough to memfd", NULL, map_and_unmap, OF_MEMFD, PASSTHROUGH),
	CONTENDER("page cache of FUSE", NULL, map_and_unmap, OF_PAGE_CACHE),
};

static struct contender first_touches[] = {
	CONTENDER("memfd", NULL, first_touch, OF_MEMFD),
	CONTENDER("buffer", "<= 1.2", first_touch, OF_BINDING, BUFFERS),
	CONTENDER("buffer, CUSE", "<= 1.2", first_touch, OF_BINDING, BUFFERS,
		  .s.cuse = true),
	CONTENDER("buffer with log", NULL, first_touch, OF_BINDING,
		  FUSE_BUFFER_LOG, BUFFERS),
	CONTENDER("buffer filled on demand", NULL, first_touch, OF_BINDING,
		  FUSE_BUFFER_DEMAND, BUFFERS),
	CONTENDER("passthrough to memfd", NULL, first_touch, OF_MEMFD, PASSTHROUGH),
};

static struct contender touches[] = {
	CONTENDER("memfd", NULL, touch_again, OF_MEMFD),
	CONTENDER("buffer", "<= 1.2", touch_again, OF_BINDING, BUFFERS),
	CONTENDER("buffer with log", NULL, touch_again, OF_BINDING,
		  FUSE_BUFFER_LOG, BUFFERS),
};

static struct contender many[] = {
	CONTENDER("memfds", NULL, map_many, OF_MEMFD, .buffers = MANY),
	CONTENDER("bound ranges", "<= 1.3", map_many, OF_BINDING,
		  .buffers = MANY, BUFFERS),
	CONTENDER("the server is asked", NULL, map_many, OF_REPLY, BUFFERS),
};

static struct contender look_ups[] = {
	CONTENDER("of 10", NULL, ring_doorbell, OF_BINDING, .buffers = 10, BUFFERS),
	CONTENDER("of 100,000", "<= 1.2", ring_doorbell, OF_BINDING,
		  .buffers = 100000, BUFFERS),
};

static struct contender bound[] = {
	CONTENDER("of 10", NULL, map_and_unmap, OF_BINDING, .buffers = 10, BUFFERS),
	CONTENDER("of 100,000", "<= 1.2", map_and_unmap, OF_BINDING,
		  .buffers = 100000, BUFFERS),
};

void setup(void)
{
	compare(&(struct bench_case){
		.name = "mmap and munmap of 1 MiB",
		.times = 100,
		CONTENDERS(mappings),
	});
	compare(&(struct bench_case){
		.name = "first touch of a page",
		.times = PAGES,
		CONTENDERS(first_touches),
	});
	compare(&(struct bench_case){
		.name = "touch of a page that is there",
		.times = PAGES,
		CONTENDERS(touches),
	});
	compare(&(struct bench_case){
		.name = "mmap of 10,000, each",
		.times = MANY,
		.rounds = 2,
		CONTENDERS(many),
	});
	compare(&(struct bench_case){
		.name = "the server opens a buffer",
		.times = 100,
		CONTENDERS(look_ups),
	});
	compare(&(struct bench_case){
		.name = "mmap and munmap of a bound page",
		.times = 100,
		CONTENDERS(bound),
	});
}
