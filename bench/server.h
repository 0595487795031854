/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A server that does as little as can be: a process of its own, which serves a
 * file system of files that are all alike, or a device.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <sys/types.h>
#include <sys/uio.h>
#include <linux/fuse.h>
#include <linux/fuse_window.h>

#include "bench.h"

#define FILE_INO	2	/* of "file"; of "file1" it is 1 more, and so on */
#define FILE_FH		1
#define BUF(n)		(FUSE_BUFFER_NODEID | (n))
/* The largest READ, WRITE, STORE, RETRIEVE */
#define MAX_DATA	MIB

/* How messages travel */
enum transport {
	BY_DEV,
	BY_SPLICE,
	BY_RING,
	BY_RING_ZERO_COPY,	/* to and from a file */
	BY_VIRTIO,
};

struct request {
	const struct fuse_in_header *h;
	const void *in;		/* the structure of the opcode */
	char *data;		/* what follows that of FUSE_WRITE */
	char *room;		/* where the data of the reply may be made */
	void *entry;		/* of the ring */
	uint32_t queue, id;	/* of virtio */
};

struct ring;

struct server {
	/* to be set before server_start() */
	bool cuse;
	enum transport transport;
	uint64_t features;	/* FUSE_FEATURE_* */
	uint64_t init_flags;	/* FUSE_* */
	uint32_t open_flags;	/* FOPEN_* */
	uint32_t valid;		/* seconds that names and attributes are */
	uint64_t file_size;
	unsigned int workers;	/* processes that serve; 0: one */
	int backing;		/* of passthrough */
	/* In the server: what to do first, and with what is not known here */
	void (*ready)(struct server *s);
	void (*handle)(struct server *s, struct request *r);
	void *data;

	/* What the server tells */
	struct {
		uint64_t ns;
		uint64_t pages;
	} *told;

	char path[64];		/* the file, or the device */
	char dir[48];
	int fd;
	pid_t pid;

	/* The server's own */
	char *buf;		/* message */
	char *room;		/* MAX_DATA bytes */
	int pipe[2];
	int backing_id;
	struct ring *ring;
};

/* Returns why it cannot be, or NULL; *@fd: the file, or the device, open */
const char *server_start(struct server *s, int *fd);
void server_stop(struct server *s);

/* In the server */
void reply(struct server *s, struct request *r, int error, const void *data,
	   size_t len);
void serve(struct server *s, struct request *r);
int buffer_open(struct server *s, uint64_t nodeid, uint64_t size, uint32_t flags);
void buffer_bind(struct server *s, uint64_t start, uint64_t len, uint64_t nodeid,
		 uint64_t size, uint32_t flags);
/* For all files; its file descriptor */
int window_attach(struct server *s, uint64_t size, uint32_t range_size);
/* Drop all pages of a buffer */
void drop_all(struct server *s, uint64_t nodeid);
void *map_shared(int fd, size_t size);
void *anonymous(size_t size);

/* ring.c */
const char *ring_start(struct server *s);
void ring_serve(struct server *s);
void ring_reply(struct server *s, struct request *r, int error,
		const void *data, size_t len);

/* virtio.c */
const char *virtio_mount(struct server *s);
int virtio_map(struct server *s, const struct fuse_setupmapping_in *in);
int virtio_unmap(struct server *s, const struct fuse_removemapping_in *in);
void virtio_receive(struct server *s, struct request *r);
void virtio_reply(struct server *s, struct request *r, const struct iovec *iov,
		  int n);

#endif /* BENCH_SERVER_H */
