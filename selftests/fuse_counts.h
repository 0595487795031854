/* SPDX-License-Identifier: GPL-2.0 */
/* What the servers of a test exchanged with the kernel: see fuse_counts.c */
#ifndef FUSE_COUNTS_H
#define FUSE_COUNTS_H

#include <stdint.h>

enum count {
	COUNT_REQUEST,		/* received, or sent for notify and ioctl */
	COUNT_OK,		/* answered by success; no reply: fields checked */
	COUNT_ERROR,		/* answered by an errno */
	COUNT_MALFORMED,	/* sent so on purpose */
	COUNTS,
};

/* @kind: opcode, notify or ioctl */
void count(const char *kind, unsigned long number, const char *transport,
	   enum count what);
/* Before the file's path is hidden by a mount, and at the end of the test */
void counts_open(void);
void counts_write(void);
/* In a child: what there is will be written by its parent */
void counts_clear(void);
const char *opcode_name(uint32_t number);

#endif /* FUSE_COUNTS_H */
