/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What virtiofs_relay, the device of virtiofs on the host, and the server in
 * the guest, which is the test, say to each other through a port of
 * virtio-serial: frames, both ways.
 */
#ifndef VIRTIOFS_PORT_H
#define VIRTIOFS_PORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The first of several devices has a window, and is the one most tests use */
#define VIRTIOFS_DAX	"fuse-dax"
#define VIRTIOFS_PLAIN	"fuse-plain"

/* The memory that stands for the contents of all files of a device */
#define VIRTIOFS_MEMORY	(96ULL << 20)
/* As the drivers take it: FUSE_DAX_SZ */
#define VIRTIOFS_RANGE	(2ULL << 20)

enum virtiofs_frame_type {
	/* from the device */
	VIRTIOFS_REQUEST,	/* queue, id; data: the request */
	VIRTIOFS_DONE,		/* result of a command; data of VIRTIOFS_PEEK */

	/* to the device */
	VIRTIOFS_REPLY,		/* queue, id, len: what the used ring says; data */
	/* commands, each answered by VIRTIOFS_DONE */
	VIRTIOFS_ADOPT,		/* all as at first; requests come from now on */
	VIRTIOFS_RETIRE,	/* ENOTCONN is the answer from now on */
	VIRTIOFS_MAP,		/* window offset, offset in the memory, len */
	VIRTIOFS_UNMAP,		/* window offset, len */
	VIRTIOFS_PEEK,		/* offset in the memory, len */
	VIRTIOFS_POKE,		/* offset in the memory; data */
	VIRTIOFS_ZERO,		/* offset in the memory, len */
	VIRTIOFS_CONFIG,	/* data: struct virtio_fs_config */
};

struct virtiofs_frame {
	uint32_t type;
	uint32_t size;		/* of the data that follow */
	union {
		struct {
			uint32_t queue;
			uint32_t id;
			uint32_t len;
		};
		struct {
			uint64_t offset;
			uint64_t memory;
			uint64_t length;
		};
		int64_t result;
	};
};

/* The guest's side; what goes wrong is told by fail() */

struct virtiofs_message {
	struct virtiofs_message *next;
	struct virtiofs_frame f;
	char data[];
};

/* The port of the device of that tag, or -1 if there is none */
int virtiofs_port_open(const char *tag);
/* The size is that of the data */
void virtiofs_port_send(int fd, struct virtiofs_frame f, const struct iovec *iov,
			int n);
/* What comes next within so many milliseconds (-1: ever); to be freed */
struct virtiofs_message *virtiofs_port_receive(int fd, int ms);
/* The result of a command; requests that come meanwhile are given to @keep */
int64_t virtiofs_port_command(int fd, struct virtiofs_frame f,
			      const void *in, size_t in_len,
			      void *out, size_t out_len,
			      void (*keep)(struct virtiofs_message *m));

#endif /* VIRTIOFS_PORT_H */
