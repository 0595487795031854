/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A FUSE server with a window, for tests, on the raw protocol.
 *
 * It is a child of the test, and serves a flat directory of a few files, F0 to
 * F3, out of shared memory.  The test is the client: it opens, reads, writes and
 * maps the files itself, and looks at what the server has in struct control,
 * where it can also make the server keep back replies or answer with errors.
 *
 * The server checks what the protocol promises (see "Rules" below); what breaks
 * one of them is in control->violation.
 */
#ifndef WINDOW_SERVER_H
#define WINDOW_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/fuse.h>
#include <linux/fuse_window.h>

#include "fuse_server.h"

#define RANGE		FUSE_WINDOW_MIN_RANGE
#define FILES		4
#define FILE_MAX	(2U << 20)
#define RANGES_MAX	64
#define LOG		256

/* Files' nodeids are FIRST_NODE + their number */
#define FIRST_NODE	2

struct disk_file {
	uint64_t size;
	bool put;		/* @data was written to */
	uint32_t open_flags;
	uint32_t attr_flags;
	uint32_t mode;		/* beside S_IFREG */
	/* times that the kernel has it looked up */
	atomic_ulong nlookup;
	unsigned char data[FILE_MAX];
};

struct log_entry {
	uint32_t opcode;
	uint32_t file;
	uint64_t offset;	/* of SETUPMAPPING, READ, WRITE, SETATTR: in the file */
	uint64_t len;
	uint64_t moffset;	/* of SETUPMAPPING, REMOVEMAPPING */
	uint64_t flags;		/* of SETUPMAPPING; of WRITE: write_flags */
};

struct control {
	/*
	 * by opcode: keep back what comes; errors to answer with; answer with
	 * more than there is room for; how many came
	 */
	atomic_int hold[64];
	atomic_int error[64];
	atomic_int bad[64];
	atomic_uint count[64];
	/* requests that are kept back now */
	atomic_uint held;
	atomic_int quit;
	/* requests are being served, or cannot be: a reason to skip */
	atomic_int serving;
	atomic_int no_transport;
	/* what is read and written may be in the window by then */
	atomic_int concurrent;
	/* the server runs out of memory when it is asked to fill a range */
	atomic_int reclaim;
	/* it touches the pages of a range in any order */
	atomic_int scattered;
	/* pages that were written back, and those set up with data in them */
	atomic_uint written_back;
	atomic_uint log_count;
	struct log_entry log[LOG];
	char violation[256];
	struct fuse_notify_inval_inode_out inval;
	struct disk_file file[FILES];
};

struct window_server {
	/* to be set before window_start(); 0: the default */
	uint64_t size;		/* of the window */
	uint32_t range;		/* size of a range */
	uint32_t flags;		/* FUSE_WINDOW_ALL */
	uint64_t init_flags;
	const struct transport *transport;
	uint32_t open_flags;	/* of all files, instead of FOPEN_WINDOW */

	struct control *ctl;
	unsigned char *win;	/* the test's view of the window */
	int fd;			/* the window */
	int dev;		/* the device, until the server runs */
	int pid;
	int wake[2];
	char mnt[64];
	char path[FILES][80];
};

/* A reason to skip, or NULL; the device is mounted, nothing is attached */
const char *window_mount(struct window_server *s);
/* 0 or -errno */
int window_enable(struct window_server *s);
/* The window's file descriptor, or -errno */
int window_attach(struct window_server *s, uint64_t size, uint32_t range,
		  uint32_t flags);
/* Begin to serve: a reason to skip, or NULL */
const char *window_serve(struct window_server *s);
/* All of these */
const char *window_start(struct window_server *s);
/* The server dies, the mount stays */
void window_die(struct window_server *s);
void window_umount(struct window_server *s);
void window_stop(struct window_server *s);

/* Keep back requests of this kind; let those go that are kept back */
void window_hold(struct window_server *s, int opcode);
void window_go(struct window_server *s, int opcode);
/* Until so many are kept back */
bool window_held(struct window_server *s, unsigned int n);
/* Send FUSE_NOTIFY_INVAL_INODE */
void window_inval(struct window_server *s, int file, int64_t offset, int64_t len);

/*
 * A bit for each page of the first 64 in @len of the window from @start that
 * the query returns, which then are clean.
 */
uint64_t window_dirty(int fd, uint64_t start, uint64_t len);

#endif /* WINDOW_SERVER_H */
