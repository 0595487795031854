// SPDX-License-Identifier: GPL-2.0
/*
 * What has been there before: the same on the kernel with the series and on the
 * one without, which are told apart by the contender's name.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server.h"

#define SIZE	MIB

struct workload {
	const char *name;
	void (*run)(struct server *s, unsigned int times);
	struct server s;
	unsigned int times;
};

/* The client's */
static char data[SIZE] __attribute__((aligned(PAGE)));
static int file;
static char name[80];

static void do_stat(struct server *s, unsigned int times)
{
	struct stat st;

	while (times--)
		need(!stat(s->path, &st));
}

static void do_open(struct server *s, unsigned int times)
{
	while (times--)
		close(open(s->path, O_RDWR));
}

static void do_create(struct server *s, unsigned int times)
{
	snprintf(name, sizeof(name), "%s/new", s->dir);
	while (times--) {
		int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

		need(fd >= 0);
		close(fd);
		need(!unlink(name));
	}
}

static void do_readdir(struct server *s, unsigned int times)
{
	while (times--) {
		DIR *dir = opendir(s->dir);
		unsigned int n = 0;

		need(dir);
		while (readdir(dir))
			n++;
		need(n == 64);
		closedir(dir);
	}
}

static void do_read_4k(struct server *s, unsigned int times)
{
	(void)s;
	while (times--)
		need(pread(file, data, PAGE, 0) == PAGE);
}

static void do_write_4k(struct server *s, unsigned int times)
{
	(void)s;
	while (times--)
		need(pwrite(file, data, PAGE, 0) == PAGE);
}

static void do_read_1m(struct server *s, unsigned int times)
{
	(void)s;
	while (times--)
		need(pread(file, data, SIZE, 0) == (ssize_t)SIZE);
}

static void do_write_1m(struct server *s, unsigned int times)
{
	(void)s;
	while (times--)
		need(pwrite(file, data, SIZE, 0) == (ssize_t)SIZE);
}

/* Into the page cache, which open(2) has emptied */
static void do_fill(struct server *s, unsigned int times)
{
	while (times--) {
		int fd = open(s->path, O_RDONLY);

		need(read(fd, data, SIZE) == (ssize_t)SIZE);
		close(fd);
	}
}

static void do_map(struct server *s, unsigned int times)
{
	(void)s;
	while (times--) {
		char *map = map_shared(file, SIZE);
		unsigned int i;

		for (i = 0; i < SIZE; i += PAGE)
			*(volatile char *)(map + i);
		need(!munmap(map, SIZE));
	}
}

static void do_map_write(struct server *s, unsigned int times)
{
	(void)s;
	while (times--) {
		char *map = map_shared(file, 16 * PAGE);
		unsigned int i;

		for (i = 0; i < 16 * PAGE; i += PAGE)
			*(volatile char *)(map + i) = 1;
		need(!msync(map, 16 * PAGE, MS_SYNC));
		need(!munmap(map, 16 * PAGE));
	}
}

static void do_ioctl(struct server *s, unsigned int times)
{
	(void)s;
	while (times--)
		need(!ioctl(file, _IO('b', 0)));
}

static void handle(struct server *s, struct request *r)
{
	struct fuse_ioctl_out out = {};

	if (r->h->opcode == FUSE_IOCTL)
		reply(s, r, 0, &out, sizeof(out));
	else
		serve(s, r);
}

#define DIRECT	.open_flags = FOPEN_DIRECT_IO
#define RING	.transport = BY_RING, .init_flags = FUSE_OVER_IO_URING

static const struct workload workloads[] = {
	{ "stat, not cached", do_stat, {}, 200 },
	{ "open and close", do_open, { .valid = 3600 }, 200 },
	{ "create and unlink", do_create, { .valid = 3600 }, 100 },
	{ "readdir of 64", do_readdir, { .valid = 3600 }, 100 },
	{ "READ 4 KiB", do_read_4k, { DIRECT }, 200 },
	{ "WRITE 4 KiB", do_write_4k, { DIRECT }, 200 },
	{ "READ 1 MiB", do_read_1m, { DIRECT }, 10 },
	{ "WRITE 1 MiB", do_write_1m, { DIRECT }, 10 },
	{ "READ 1 MiB by splice", do_read_1m,
	  { DIRECT, .transport = BY_SPLICE }, 10 },
	{ "WRITE 1 MiB by splice", do_write_1m,
	  { DIRECT, .transport = BY_SPLICE }, 10 },
	{ "READ 4 KiB by io_uring", do_read_4k, { DIRECT, RING }, 200 },
	{ "WRITE 1 MiB by io_uring", do_write_1m, { DIRECT, RING }, 10 },
	{ "READ 1 MiB into the page cache", do_fill, { .valid = 3600 }, 10 },
	{ "the same by splice", do_fill,
	  { .valid = 3600, .transport = BY_SPLICE }, 10 },
	{ "read 4 KiB of the page cache", do_read_4k, { .valid = 3600 }, 400 },
	{ "write through 4 KiB", do_write_4k, { .valid = 3600 }, 200 },
	{ "write back 4 KiB", do_write_4k,
	  { .valid = 3600, .init_flags = FUSE_WRITEBACK_CACHE }, 400 },
	{ "mmap, read 256 pages", do_map, { .valid = 3600 }, 20 },
	{ "mmap, write 16 pages, msync", do_map_write,
	  { .valid = 3600, .init_flags = FUSE_WRITEBACK_CACHE }, 20 },
	{ "ioctl", do_ioctl, { .valid = 3600 }, 200 },
	{ "CUSE, read 4 KiB", do_read_4k, { .cuse = true }, 200 },
	{ "CUSE, write 4 KiB", do_write_4k, { .cuse = true }, 200 },
	{ "CUSE, ioctl", do_ioctl, { .cuse = true }, 200 },
};

static struct server server;

static const char *start(struct contender *c)
{
	const struct workload *w = c->options;

	server = w->s;
	server.file_size = SIZE;
	server.handle = handle;
	return server_start(&server, &file);
}

static uint64_t run(struct contender *c, unsigned int times)
{
	const struct workload *w = c->options;
	uint64_t start = now();

	w->run(&server, times);
	return now() - start;
}

static void stop(struct contender *c)
{
	(void)c;
	close(file);
	server_stop(&server);
}

void mainline(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workloads); i++) {
		struct contender c = {
			.name = kernel_name,
			.goal = "<= 1.01",
			.start = start,
			.run = run,
			.stop = stop,
			.options = &workloads[i],
		};

		compare(&(struct bench_case){
			.name = workloads[i].name,
			.times = workloads[i].times,
			.reference = "mainline",
			.contenders = &c,
			.n = 1,
		});
	}
}
