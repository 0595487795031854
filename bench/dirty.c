// SPDX-License-Identifier: GPL-2.0
/* What has a client written to 1 GiB? */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server.h"

#define SIZE		(1024 * MIB)
#define PAGES		(SIZE / PAGE)
#define RANGES		256	/* a page: more is where the allocator finds it */
#define PARTS		16
#define DOORBELL	_IO('b', 0)

struct dirty {
	struct server s;
	int fd;
	char *map;		/* the client's */
	int buffer;
	char *mem;		/* the server's */
	uint64_t since;
};

static struct dirty d;
static struct fuse_buffer_range *ranges;
static int pagemap;
static char *memfd_map;

/* The doorbell */
static void query(struct server *s)
{
	struct fuse_buffer_dirty arg = {
		.since = d.since,
		.ranges = (uintptr_t)ranges,
	};
	uint64_t start = now();
	uint32_t i;

	s->told->pages = 0;
	do {
		arg.count = RANGES;
		need(!ioctl(d.buffer, FUSE_BUFFER_IOC_DIRTY, &arg));
		for (i = 0; i < arg.count; i++)
			s->told->pages += ranges[i].len / PAGE;
	} while (arg.count == RANGES);
	d.since = arg.since;
	s->told->ns = now() - start;
}

/* Emulated, it takes long: a part is measured, the rest takes as long */
static void read_all(struct server *s)
{
	uint64_t start = now();

	consume(d.mem, SIZE / PARTS);
	s->told->ns = (now() - start) * PARTS;
}

static void handle(struct server *s, struct request *r)
{
	const struct fuse_ioctl_in *in = r->in;
	struct fuse_ioctl_out out = {};

	if (r->h->opcode != FUSE_IOCTL) {
		serve(s, r);
		return;
	}
	if (in->cmd == DOORBELL)
		query(s);
	else
		read_all(s);
	reply(s, r, 0, &out, sizeof(out));
}

static void ready(struct server *s)
{
	buffer_bind(s, 0, SIZE, BUF(1), SIZE, FUSE_BUFFER_LOG);
	d.buffer = buffer_open(s, BUF(1), 0, 0);
	d.mem = map_shared(d.buffer, SIZE);
}

static void write_pages(char *map, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		*(volatile char *)(map + i * (PAGES / n) * PAGE) = 0;
}

static const char *start(void)
{
	const char *why;

	ranges = calloc(RANGES, sizeof(*ranges));
	d.s.features = FUSE_FEATURE_BUFFERS;
	d.s.valid = 3600;
	d.s.file_size = SIZE;
	d.s.ready = ready;
	d.s.handle = handle;
	why = server_start(&d.s, &d.fd);
	if (why)
		return why;
	d.map = map_shared(d.fd, SIZE);
	write_pages(d.map, PAGES);
	need(!ioctl(d.fd, DOORBELL));
	need(d.s.told->pages == PAGES);
	return NULL;
}

/* Writes to the memfd are seen by PAGEMAP_SCAN */
static void start_memfd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	int memfd = memfd_create("memory", MFD_CLOEXEC);
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	need(memfd >= 0 && uffd >= 0);
	need(!ftruncate(memfd, SIZE));
	memfd_map = map_shared(memfd, SIZE);
	close(memfd);
	reg.range.start = (uintptr_t)memfd_map;
	reg.range.len = SIZE;
	need(!ioctl(uffd, UFFDIO_API, &api));
	need(!ioctl(uffd, UFFDIO_REGISTER, &reg));
	write_pages(memfd_map, PAGES);
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	need(pagemap >= 0);
}

static uint64_t scan(struct contender *c)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)memfd_map,
		.end = (uintptr_t)memfd_map + SIZE,
		.vec = (uintptr_t)calloc(RANGES, sizeof(struct page_region)),
		.vec_len = RANGES,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	const struct page_region *regions = (void *)(uintptr_t)arg.vec;
	uint64_t begin, ns = 0, pages = 0;
	int i, n;

	if (c->arg)
		write_pages(memfd_map, c->arg);
	begin = now();
	do {
		n = ioctl(pagemap, PAGEMAP_SCAN, &arg);
		need(n >= 0);
		for (i = 0; i < n; i++)
			pages += (regions[i].end - regions[i].start) / PAGE;
		arg.start = arg.walk_end;
	} while (arg.start < arg.end);
	ns = now() - begin;
	if (pages != (uint64_t)c->arg && c->data)
		die("%llu pages", (unsigned long long)pages);
	/* the first scan finds all */
	c->data = c;
	free((void *)(uintptr_t)arg.vec);
	return ns;
}

static uint64_t run_scan(struct contender *c, unsigned int times)
{
	uint64_t ns = 0;

	while (times--)
		ns += scan(c);
	return ns;
}

static uint64_t run_query(struct contender *c, unsigned int times)
{
	uint64_t ns = 0;

	while (times--) {
		if (c->arg)
			write_pages(d.map, c->arg);
		need(!ioctl(d.fd, DOORBELL));
		if (d.s.told->pages != (uint64_t)c->arg)
			die("%llu pages", (unsigned long long)d.s.told->pages);
		ns += d.s.told->ns;
	}
	return ns;
}

static uint64_t run_query_each(struct contender *c, unsigned int times)
{
	return run_query(c, times) / c->arg;
}

static uint64_t run_read(struct contender *c, unsigned int times)
{
	(void)c;
	need(!ioctl(d.fd, DOORBELL + 1));
	return d.s.told->ns * times;
}

static void compare_queries(const char *name, long pages, const char *goal,
			    unsigned int times, unsigned int rounds)
{
	struct contender contenders[] = {
		{ .name = "reading it all", .run = run_read },
		{ .name = "dirty query", .goal = goal, .run = run_query, .arg = pages },
		{ .name = "PAGEMAP_SCAN of memfd", .run = run_scan, .arg = pages },
	};

	compare(&(struct bench_case){
		.name = name,
		.times = times,
		.rounds = rounds,
		CONTENDERS(contenders),
	});
}

void dirty(void)
{
	struct contender each[] = {
		{ .name = "of 1,000", .run = run_query_each, .arg = 1000 },
		{ .name = "of 262,144", .goal = "<= 1.2",
		  .run = run_query_each, .arg = PAGES },
	};
	const char *why = start();

	if (why) {
		fprintf(stderr, "# no dirty query: %s\n", why);
		return;
	}
	start_memfd();
	compare_queries("1 GiB, nothing was written", 0, "<= 0.001", 50, 3);
	compare_queries("1 GiB, 1 page was written", 1, NULL, 50, 3);
	compare_queries("1 GiB, 1,000 pages were written", 1000, NULL, 5, 3);
	compare_queries("1 GiB, all was written", PAGES, NULL, 1, 1);
	compare(&(struct bench_case){
		.name = "dirty query, each page that was written",
		.times = 1,
		.rounds = 1,
		CONTENDERS(each),
	});
	munmap(memfd_map, SIZE);
	munmap(d.map, SIZE);
	close(d.fd);
	server_stop(&d.s);
}
