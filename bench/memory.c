// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the kernel that stands for 1 GiB of files' contents that are mapped,
 * beside those contents
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server.h"

#define SIZE		(1024 * MIB)
#define RANGE_SIZE	(2 * MIB)
/* Of the device, see scripts/vm */
#define DAX_SIZE	(16 * MIB)

static uint64_t number_in(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[128];
	uint64_t n = 0;

	need(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			n = strtoull(line + strlen(name), NULL, 10);
	fclose(file);
	return n;
}

static uint64_t used(void)
{
	return number_in("/proc/meminfo", "Slab:") +
	       number_in("/proc/meminfo", "VmallocUsed:");
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void handle(struct server *s, struct request *r)
{
	/* contents are for others to have */
	if (r->h->opcode == FUSE_SETUPMAPPING)
		reply(s, r, 0, NULL, 0);
	else
		serve(s, r);
}

static void ready(struct server *s)
{
	window_attach(s, SIZE, RANGE_SIZE);
}

static uint64_t run_window(struct contender *c, unsigned int times)
{
	struct server s = {
		.valid = 3600,
		.file_size = SIZE,
		.features = FUSE_FEATURE_WINDOW,
		.ready = ready,
		.handle = handle,
	};
	uint64_t before = used(), n;
	const char *why;
	int fd;

	(void)c;
	(void)times;
	why = server_start(&s, &fd);
	if (why)
		die("%s", why);
	/* as much of it as is filled ahead */
	need(!posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	usleep(50000);
	n = used() - before;
	close(fd);
	server_stop(&s);
	return n;
}

static const char *start_dax(struct contender *c)
{
	(void)c;
	return number_in("/proc/vmstat", "nr_memmap_pages") ? NULL :
							      "no virtiofs device";
}

/* What describes its pages; since the boot */
static uint64_t run_dax(struct contender *c, unsigned int times)
{
	(void)c;
	(void)times;
	return number_in("/proc/vmstat", "nr_memmap_pages") * PAGE / 1024 *
	       (SIZE / DAX_SIZE);
}

void memory(void)
{
	static struct contender contenders[] = {
		{ .name = "virtiofs DAX", .start = start_dax, .run = run_dax },
		{ .name = "window", .goal = "<= 1", .run = run_window },
	};

	write_text("/proc/sys/fs/fuse/max_buffer_pages", "1000000");
	need(!setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }));
	compare(&(struct bench_case){
		.name = "memory for 1 GiB that is mapped",
		.times = 1,
		.unit = "KiB",
		CONTENDERS(contenders),
	});
}
