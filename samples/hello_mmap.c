// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/hello: a page of memory that all who map it share with this server,
 * which writes the time into it.  A client, in Python:
 *
 *	import mmap, os
 *	print(mmap.mmap(os.open("/dev/hello", os.O_RDWR), 4096).readline())
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <pthread.h>

#include "fuse_buffers.h"

#define HELLO	(FUSE_BUFFER_NODEID | 1)
#define SIZE	4096

static struct fuse_buffers *fb;

static void hello_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

static void hello_mmap(fuse_req_t req, fuse_ino_t ino,
		       const struct fuse_mmap_in *in)
{
	(void)ino;
	if (in->offset + in->len > SIZE)
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_mmap(req, HELLO, in->offset, SIZE, 0);
}

static void *clock_thread(void *page)
{
	for (;; usleep(10000))
		snprintf(page, SIZE, "Hello, it is %ld\n", (long)time(NULL));
	return NULL;
}

static void hello_ready(void *userdata)
{
	pthread_t thread;
	void *page;

	(void)userdata;
	if (!fuse_buffers_map(fb, HELLO, SIZE, 0, &page))
		pthread_create(&thread, NULL, clock_thread, page);
}

int main(void)
{
	static const char *info[] = { "DEVNAME=hello" };
	static const struct cuse_info ci = {
		.dev_info_argc = 1,
		.dev_info_argv = info,
	};
	static const struct fuse_buffer_ops buffer_ops = { .mmap = hello_mmap };
	static const struct cuse_lowlevel_ops ops = {
		.open = hello_open,
		.init_done = hello_ready,
	};
	int res;

	fb = fuse_buffers_new(&buffer_ops, NULL);
	res = fuse_buffers_cuse_main(fb, &ci, &ops, FUSE_FEATURE_BUFFERS,
				     0, NULL);
	fuse_buffers_free(fb);
	return res;
}
