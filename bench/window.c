// SPDX-License-Identifier: GPL-2.0
/*
 * Files through a window: smaller than it, as large, ten times as large.  The
 * window has been used before, for what follows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server.h"

#define WINDOW_SIZE	(16 * MIB)
#define RANGE_SIZE	(256ULL << 10)
#define RANGES		(WINDOW_SIZE / RANGE_SIZE)
#define SEQUENTIAL	(128ULL << 10)

/* What is read and written by; the first of those in a case is its reference */
enum by {
	BY_REQUESTS,		/* FUSE_READ, FUSE_WRITE */
	BY_CACHE,		/* FUSE_READ into the page cache, empty at first */
	BY_TMPFS,
	BY_DAX,			/* of virtiofs */
	BY_WINDOW,
};

static const struct {
	const char *name;
	const char *beside;
} names[] = {
	[BY_REQUESTS] = { "FUSE_READ, FUSE_WRITE", "" },
	[BY_CACHE] = { "FUSE_READ, page cache", "" },
	[BY_TMPFS] = { "tmpfs", ", beside tmpfs" },
	[BY_DAX] = { "virtiofs DAX", ", beside virtiofs" },
	[BY_WINDOW] = { "window" },
};

enum size {
	SMALL,
	SAME,
	LARGE,
};

static const struct {
	const char *name;
	uint64_t bytes;
} sizes[] = {
	[SMALL] = { "file of 1/10 of the window", WINDOW_SIZE / 10 / PAGE * PAGE },
	[SAME] = { "file as large as the window", WINDOW_SIZE },
	[LARGE] = { "file of 10 times the window", 10 * WINDOW_SIZE },
};

struct window;

struct work {
	const char *name;
	void (*do_it)(struct window *t);
	size_t len;
	bool writes;
};

struct window {
	struct server s;
	enum by by;
	const struct work *work;
	int fd;
	uint64_t file_size;
	uint64_t random;
	uint64_t pos;		/* of what goes on and on */
	char *map;
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

static void handle_dax(struct server *s, struct request *r)
{
	switch (r->h->opcode) {
	case FUSE_SETUPMAPPING:
		reply(s, r, virtio_map(s, r->in), NULL, 0);
		break;
	case FUSE_REMOVEMAPPING:
		reply(s, r, virtio_unmap(s, r->in), NULL, 0);
		break;
	default:
		serve(s, r);
	}
}

static void ready(struct server *s)
{
	struct window *t = s->data;

	t->content = anonymous(t->file_size);
	if (t->by != BY_WINDOW)
		return;
	t->window = window_attach(s, WINDOW_SIZE, RANGE_SIZE);
	t->mem = map_shared(t->window, WINDOW_SIZE);
}

static const char *open_file(struct window *t)
{
	uint64_t i;

	if (t->by == BY_TMPFS) {
		t->fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
		need(t->fd >= 0);
		for (i = 0; i < t->file_size; i += PAGE)
			need(pwrite(t->fd, t->data, PAGE, i) == PAGE);
		return NULL;
	}
	t->s.valid = 3600;
	t->s.file_size = t->file_size;
	t->s.data = t;
	t->s.handle = handle;
	switch (t->by) {
	case BY_REQUESTS:
		t->s.open_flags = FOPEN_DIRECT_IO;
		break;
	case BY_WINDOW:
		t->s.features = FUSE_FEATURE_WINDOW;
		break;
	case BY_DAX:
		t->s.transport = BY_VIRTIO;
		t->s.open_flags = FOPEN_KEEP_CACHE;
		t->s.handle = handle_dax;
		break;
	default:
		break;
	}
	if (t->by != BY_DAX)
		t->s.ready = ready;
	return server_start(&t->s, &t->fd);
}

/* The same pages at every run */
static void anywhere(struct window *t)
{
	t->random = t->random * 6364136223846793005ULL + 1442695040888963407ULL;
	t->pos = (t->random >> 33) % (t->file_size / t->work->len) * t->work->len;
}

/* The file begins anew after its end */
static void turn(struct window *t)
{
	if (t->pos + t->work->len > t->file_size)
		t->pos = 0;
}

static void move(struct window *t)
{
	ssize_t n;

	turn(t);
	if (t->work->writes)
		n = pwrite(t->fd, t->data, t->work->len, t->pos);
	else
		n = pread(t->fd, t->data, t->work->len, t->pos);
	need(n == (ssize_t)t->work->len);
	t->pos += n;
}

static void move_anywhere(struct window *t)
{
	anywhere(t);
	move(t);
}

static void touch(struct window *t)
{
	turn(t);
	*(volatile char *)(t->map + t->pos);
	t->pos += PAGE;
}

/* Once through the file, or as much of it as the window has room for */
static void warm_up(struct window *t)
{
	const struct work *work = t->work;
	const struct work pages = { .len = PAGE, .writes = work->writes };

	t->work = &pages;
	while (t->pos < t->file_size && t->pos < WINDOW_SIZE)
		move(t);
	t->work = work;
}

struct job {
	const struct work *work;
	enum size size;
};

static const char *start(struct contender *c)
{
	struct window *t = calloc(1, sizeof(*t));
	const struct job *job = c->options;
	const char *why;

	c->data = t;
	t->by = c->arg;
	t->work = job->work;
	t->file_size = sizes[job->size].bytes;
	t->random = 1;
	t->data = anonymous(t->work->len);
	why = open_file(t);
	if (!why)
		warm_up(t);
	return why;
}

static void stop(struct contender *c)
{
	struct window *t = c->data;

	munmap(t->data, t->work->len);
	close(t->fd);
	if (t->by != BY_TMPFS)
		server_stop(&t->s);
	free(t);
}

static uint64_t run(struct contender *c, unsigned int times)
{
	struct window *t = c->data;
	uint64_t begin, ns;

	if (t->by == BY_CACHE)
		need(!posix_fadvise(t->fd, 0, 0, POSIX_FADV_DONTNEED));
	/* each page is touched for the first time */
	if (t->work->do_it == touch) {
		t->map = mmap(NULL, t->file_size, PROT_READ, MAP_SHARED, t->fd, 0);
		need(t->map != MAP_FAILED);
	}
	begin = now();
	while (times--)
		t->work->do_it(t);
	ns = now() - begin;
	if (t->map)
		need(!munmap(t->map, t->file_size));
	return ns;
}

static const struct work read_anywhere = {
	"read 4 KiB anywhere", move_anywhere, PAGE,
};

static const struct work write_anywhere = {
	"write 4 KiB anywhere", move_anywhere, PAGE, true,
};

static const struct work read_pages = {
	"read 4 KiB, on and on", move, PAGE,
};

static const struct work write_pages = {
	"write 4 KiB, on and on", move, PAGE, true,
};

static const struct work read_much = {
	"read 128 KiB, on and on", move, SEQUENTIAL,
};

static const struct work write_much = {
	"write 128 KiB, on and on", move, SEQUENTIAL, true,
};

static const struct work walk = {
	"minor fault, read", touch, PAGE,
};

#define WITH(by)	(1U << (by))

static void compare_files(const struct work *work, enum size size,
			  unsigned int with, const char *goal)
{
	struct contender contenders[ARRAY_SIZE(names)];
	const struct job job = { work, size };
	/* on and on: once around, if it is as large as the window */
	unsigned int times = WINDOW_SIZE / work->len;
	const char *beside = NULL;
	size_t n = 0, by;
	char name[96];

	if (work == &walk)
		times = sizes[size].bytes / PAGE;
	else if (with & WITH(BY_DAX) && work->do_it == move_anywhere && size != SMALL)
		times = 40;	/* each a message to a device that takes long */

	for (by = 0; by < ARRAY_SIZE(names); by++) {
		if (!(with & WITH(by)))
			continue;
		if (!n)
			beside = names[by].beside;
		contenders[n++] = (struct contender){
			names[by].name, by == BY_WINDOW ? goal : NULL,
			start, run, stop, by, &job,
		};
	}
	snprintf(name, sizeof(name), "%s, %s%s", work->name, sizes[size].name,
		 beside);
	compare(&(struct bench_case){
		.name = name,
		.times = times,
		.contenders = contenders,
		.n = n,
	});
}

void window(void)
{
	const unsigned int requests = WITH(BY_REQUESTS) | WITH(BY_WINDOW);
	const unsigned int cache = WITH(BY_CACHE) | WITH(BY_WINDOW);
	const unsigned int tmpfs = WITH(BY_TMPFS) | WITH(BY_WINDOW);
	static const struct work *const others[] = {
		&write_anywhere, &read_pages, &write_pages, &read_much, &write_much,
	};
	size_t i;

	compare_files(&read_anywhere, SMALL, requests | tmpfs, "<= 0.04");
	compare_files(&read_anywhere, SAME, requests, "<= 0.04");
	compare_files(&read_anywhere, LARGE, requests, "<= 1");
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		compare_files(others[i], SMALL, requests, NULL);
		compare_files(others[i], SAME, requests, NULL);
		compare_files(others[i], LARGE, requests,
			      others[i]->writes ? NULL : "<= 1");
	}
	compare_files(&walk, LARGE, cache, "<= 1");
	compare_files(&read_anywhere, SMALL, tmpfs, "<= 1");
	compare_files(&write_anywhere, SMALL, tmpfs, NULL);
	compare_files(&walk, SMALL, tmpfs, "<= 1.5");
	compare_files(&walk, SAME, tmpfs, "<= 1.5");
}

static void compare_dax(enum size size)
{
	static const struct work *const works[] = {
		&read_anywhere, &write_anywhere, &read_much, &write_much, &walk,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(works); i++)
		compare_files(works[i], size, WITH(BY_DAX) | WITH(BY_WINDOW),
			      works[i]->writes ? NULL : "<= 1");
}

void virtiofs(void)
{
	compare_dax(SMALL);
}

/* With requests all the time: not to be counted, as the device is elsewhere */
void virtiofs_large(void)
{
	compare_dax(SAME);
	compare_dax(LARGE);
}
