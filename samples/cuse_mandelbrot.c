// SPDX-License-Identifier: GPL-2.0
/*
 * cuse_mandelbrot - /dev/mandelbrot, a picture of 64 GiB that clients can map
 *
 * No part of it exists before somebody looks at it: the kernel asks for a page
 * when a client touches it first.  The server computes it, and drops the page
 * that it made longest ago, so that never more than --pages are in memory.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse_buffers.h"
#include "mandelbrot.h"

#define PICTURE	(FUSE_BUFFER_NODEID | 1)

static struct fuse_buffers *fb;
static size_t page_size;

/* Offsets of the pages that may be present, as a ring, oldest first at @next */
static struct {
	pthread_mutex_t lock;
	uint64_t *offset;
	size_t size, used, next;
} pages = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.size = 256,
};

/* Make room for pages that are about to be filled */
static void make_room(uint64_t offset, size_t count)
{
	pthread_mutex_lock(&pages.lock);
	while (count--) {
		if (pages.used < pages.size)
			pages.used++;
		else
			fuse_buffers_inval(fb, PICTURE,
					   pages.offset[pages.next], page_size);
		pages.offset[pages.next] = offset;
		pages.next = (pages.next + 1) % pages.size;
		offset += page_size;
	}
	pthread_mutex_unlock(&pages.lock);
}

static void draw_tile(uint8_t *data, uint64_t number)
{
	uint64_t left = number % (SIDE / TILE) * TILE, x;
	uint64_t top = number / (SIDE / TILE) * TILE, y;

	for (y = top; y < top + TILE; y++)
		for (x = left; x < left + TILE; x++)
			*data++ = pixel(x, y);
}

static void picture_fill(fuse_req_t req, uint64_t nodeid, uint64_t offset,
			 size_t size)
{
	uint8_t *data;
	size_t i;

	(void)nodeid;
	/* The rest is asked for again if it is needed */
	if (size > pages.size * page_size)
		size = pages.size * page_size;
	data = malloc(size);
	if (!data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (i = 0; i < size; i += TILE * TILE)
		draw_tile(data + i, (offset + i) / (TILE * TILE));
	make_room(offset, size / page_size);
	fuse_reply_buf(req, (char *)data, size);
	free(data);
}

static void picture_mmap(fuse_req_t req, fuse_ino_t ino,
			 const struct fuse_mmap_in *in)
{
	(void)ino;
	if (in->offset > PICTURE_SIZE || in->len > PICTURE_SIZE - in->offset)
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_mmap(req, PICTURE, in->offset, 0, 0);
}

/* So that nobody draws on it */
static void picture_open(fuse_req_t req, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) == O_RDONLY)
		fuse_reply_open(req, fi);
	else
		fuse_reply_err(req, EACCES);
}

/* The descriptor keeps the picture between clients */
static void picture_ready(void *unused)
{
	int fd = fuse_buffers_open(fb, PICTURE, PICTURE_SIZE,
				   FUSE_BUFFER_DEMAND);

	(void)unused;
	if (fd < 0) {
		errno = -fd;
		err(1, "cannot make the picture");
	}
}

static const struct cuse_lowlevel_ops picture_ops = {
	.init_done = picture_ready,
	.open = picture_open,
};

static const struct fuse_buffer_ops picture_buffer_ops = {
	.mmap = picture_mmap,
	.fill = picture_fill,
};

static const struct option options[] = {
	{ "name",	required_argument, NULL, 'n' },
	{ "pages",	required_argument, NULL, 'p' },
	{ "foreground",	no_argument, NULL, 'f' },
	{ "help",	no_argument, NULL, 'h' },
	{ }
};

static const char usage[] =
	"usage: %s [options]\n"
	"A picture of 64 GiB, /dev/mandelbrot, that can be mapped.\n"
	"  -n, --name NAME   of the device in /dev (mandelbrot)\n"
	"  -p, --pages N     that are in memory at the most (256)\n"
	"  -f, --foreground  do not become a daemon; otherwise the command returns\n"
	"                    when the device is there\n"
	"  -h, --help        this text\n";

int main(int argc, char **argv)
{
	char dev_name[NAME_MAX + 16], *name = "mandelbrot";
	const char *dev_info[] = { dev_name };
	struct cuse_info info = {
		.dev_info_argc = 1,
		.dev_info_argv = dev_info,
	};
	unsigned int flags = 0;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "n:p:fh", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			name = optarg;
			break;
		case 'p':
			pages.size = strtoul(optarg, NULL, 10);
			break;
		case 'f':
			flags |= FUSE_BUFFERS_FOREGROUND;
			break;
		case 'h':
			printf(usage, program_invocation_short_name);
			return 0;
		default:
			fprintf(stderr, usage, program_invocation_short_name);
			return 2;
		}
	}
	if (optind < argc || !pages.size || strlen(name) > NAME_MAX) {
		fprintf(stderr, usage, program_invocation_short_name);
		return 2;
	}
	snprintf(dev_name, sizeof(dev_name), "DEVNAME=%s", name);

	page_size = sysconf(_SC_PAGESIZE);
	pages.offset = calloc(pages.size, sizeof(*pages.offset));
	fb = fuse_buffers_new(&picture_buffer_ops, NULL);
	if (!pages.offset || !fb)
		err(1, "no memory");
	ret = fuse_buffers_cuse_main(fb, &info, &picture_ops,
				     FUSE_FEATURE_BUFFERS, flags, NULL);
	fuse_buffers_free(fb);
	return ret;
}
