// SPDX-License-Identifier: GPL-2.0
/* Files through a window: smaller than it, as large, ten times as large */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/fuse_window.h>

#include "server.h"

#define WINDOW_SIZE	(16 * MIB)
#define RANGE_SIZE	(256ULL << 10)
#define RANGES		(WINDOW_SIZE / RANGE_SIZE)
#define SEQUENTIAL	(128ULL << 10)

struct window {
	struct server s;
	bool windowed;
	bool tmpfs;
	int fd;
	uint64_t file_size;
	uint64_t random;
	char *data;
	/* the server's */
	char *content;
	char *mem;
	int window;
	uint64_t at[RANGES];
};

static void set_up(struct window *t, const struct fuse_setupmapping_in *in)
{
	uint64_t len = in->len;

	if (!(in->flags & FUSE_SETUPMAPPING_FLAG_READ))
		return;
	if (in->foffset + len > t->file_size)
		len = t->file_size - in->foffset;
	copy(t->mem + in->moffset, t->content + in->foffset, len);
	t->at[in->moffset / RANGE_SIZE] = in->foffset;
}

static void write_back(struct window *t, const struct fuse_removemapping_one *one)
{
	struct fuse_buffer_range dirty[RANGE_SIZE / PAGE];
	struct fuse_window_dirty arg = {
		.start = one->moffset,
		.len = one->len,
		.ranges = (uintptr_t)dirty,
		.count = ARRAY_SIZE(dirty),
	};
	uint32_t i;

	need(!ioctl(t->window, FUSE_WINDOW_IOC_DIRTY, &arg));
	for (i = 0; i < arg.count; i++)
		copy(t->content + t->at[one->moffset / RANGE_SIZE] +
		     dirty[i].start % RANGE_SIZE,
		     t->mem + dirty[i].start, dirty[i].len);
}

static void handle(struct server *s, struct request *r)
{
	struct window *t = s->data;
	const struct fuse_write_in *write_in = r->in;
	const struct fuse_read_in *read_in = r->in;
	const struct fuse_removemapping_in *remove_in = r->in;

	switch (r->h->opcode) {
	case FUSE_SETUPMAPPING:
		set_up(t, r->in);
		reply(s, r, 0, NULL, 0);
		break;
	case FUSE_REMOVEMAPPING:
		write_back(t, (const void *)(remove_in + 1));
		reply(s, r, 0, NULL, 0);
		break;
	case FUSE_READ:
		reply(s, r, 0, t->content + read_in->offset, read_in->size);
		break;
	case FUSE_WRITE:
		copy(t->content + write_in->offset, r->data, write_in->size);
		serve(s, r);
		break;
	default:
		serve(s, r);
	}
}

static void ready(struct server *s)
{
	struct window *t = s->data;
	struct fuse_window_attach arg = {
		.size = WINDOW_SIZE,
		.range_size = RANGE_SIZE,
		.flags = O_CLOEXEC | FUSE_WINDOW_ALL,
	};

	t->content = anonymous(t->file_size);
	if (!t->windowed)
		return;
	t->window = ioctl(s->fd, FUSE_DEV_IOC_WINDOW, &arg);
	need(t->window >= 0);
	t->mem = map_shared(t->window, WINDOW_SIZE);
}

/* What each contender reads and writes by */
enum by {
	BY_TMPFS,
	BY_REQUESTS,		/* FUSE_READ, FUSE_WRITE */
	BY_WINDOW,
};

static const char *start(struct contender *c)
{
	struct window *t = calloc(1, sizeof(*t));
	const uint64_t *file_size = c->options;
	const char *why;
	uint64_t i;

	c->data = t;
	t->file_size = *file_size;
	t->random = 1;
	t->data = malloc(SEQUENTIAL);
	t->tmpfs = c->arg == BY_TMPFS;
	t->windowed = c->arg == BY_WINDOW;
	if (t->tmpfs) {
		t->fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
		need(t->fd >= 0);
		for (i = 0; i < t->file_size; i += PAGE)
			need(pwrite(t->fd, t->data, PAGE, i) == PAGE);
		return NULL;
	}
	t->s.valid = 3600;
	t->s.file_size = t->file_size;
	t->s.features = t->windowed ? FUSE_FEATURE_WINDOW : 0;
	t->s.open_flags = t->windowed ? 0 : FOPEN_DIRECT_IO;
	t->s.data = t;
	t->s.ready = ready;
	t->s.handle = handle;
	why = server_start(&t->s);
	if (why)
		return why;
	t->fd = open(t->s.path, O_RDWR);
	need(t->fd >= 0);
	return NULL;
}

static void stop(struct contender *c)
{
	struct window *t = c->data;

	close(t->fd);
	if (!t->tmpfs)
		server_stop(&t->s);
}

/* The same pages at every run */
static uint64_t random_page(struct window *t)
{
	t->random = t->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (t->random >> 33) % (t->file_size / PAGE) * PAGE;
}

static uint64_t read_random(struct contender *c, unsigned int times)
{
	struct window *t = c->data;
	uint64_t begin = now();

	while (times--)
		need(pread(t->fd, t->data, PAGE, random_page(t)) == PAGE);
	return now() - begin;
}

static uint64_t write_random(struct contender *c, unsigned int times)
{
	struct window *t = c->data;
	uint64_t begin = now();

	while (times--)
		need(pwrite(t->fd, t->data, PAGE, random_page(t)) == PAGE);
	return now() - begin;
}

static uint64_t read_on(struct contender *c, unsigned int times)
{
	struct window *t = c->data;
	uint64_t begin = now(), pos = 0;

	while (times--) {
		ssize_t n = pread(t->fd, t->data, SEQUENTIAL, pos);

		need(n > 0);
		pos = (pos + n) % t->file_size;
	}
	return now() - begin;
}

/* A page after the other, through a mapping that is made anew */
static uint64_t walk(struct contender *c, unsigned int times)
{
	struct window *t = c->data;
	char *map = mmap(NULL, t->file_size, PROT_READ, MAP_SHARED, t->fd, 0);
	uint64_t begin = now(), pos = 0, ns;

	need(map != MAP_FAILED);
	while (times--) {
		*(volatile char *)(map + pos);
		pos = (pos + PAGE) % t->file_size;
	}
	ns = now() - begin;
	need(!munmap(map, t->file_size));
	return ns;
}

static void compare_files(const char *what, uint64_t size, const char *file,
			  uint64_t (*run)(struct contender *c, unsigned int times),
			  enum by reference, const char *goal, unsigned int times)
{
	struct contender contenders[] = {
		{ reference == BY_TMPFS ? "tmpfs" : "FUSE_READ, FUSE_WRITE", NULL,
		  start, run, stop, reference, &size },
		{ "window", goal, start, run, stop, BY_WINDOW, &size },
	};
	char name[96];

	snprintf(name, sizeof(name), "%s, %s%s", what, file,
		 reference == BY_TMPFS ? ", beside tmpfs" : "");
	compare(&(struct bench_case){
		.name = name,
		.times = times,
		CONTENDERS(contenders),
	});
}

void window(void)
{
	static const char small[] = "file of 1/10 of the window";
	static const char same[] = "file as large as the window";
	static const char large[] = "file of 10 times the window";
	const uint64_t tenth = WINDOW_SIZE / 10 / PAGE * PAGE;

	compare_files("read 4 KiB anywhere", tenth, small, read_random,
		      BY_REQUESTS, "<= 0.04", 500);
	compare_files("read 4 KiB anywhere", WINDOW_SIZE, same, read_random,
		      BY_REQUESTS, "<= 0.04", 500);
	compare_files("read 4 KiB anywhere", 10 * WINDOW_SIZE, large, read_random,
		      BY_REQUESTS, "<= 1", 500);
	compare_files("write 4 KiB anywhere", tenth, small, write_random,
		      BY_REQUESTS, NULL, 500);
	compare_files("write 4 KiB anywhere", WINDOW_SIZE, same, write_random,
		      BY_REQUESTS, NULL, 500);
	compare_files("write 4 KiB anywhere", 10 * WINDOW_SIZE, large,
		      write_random, BY_REQUESTS, "<= 1", 500);
	compare_files("read 128 KiB, on and on", 10 * WINDOW_SIZE, large, read_on,
		      BY_REQUESTS, "<= 1", 1280);
	compare_files("read 4 KiB anywhere", tenth, small, read_random, BY_TMPFS,
		      "<= 1", 500);
	compare_files("write 4 KiB anywhere", tenth, small, write_random, BY_TMPFS,
		      NULL, 500);
	compare_files("minor fault, read", tenth, small, walk, BY_TMPFS, "<= 1.5",
		      tenth / PAGE);
	compare_files("minor fault, read", WINDOW_SIZE, same, walk, BY_TMPFS,
		      "<= 1.5", WINDOW_SIZE / PAGE);
}
