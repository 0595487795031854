/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An io_uring whose requests have 128 bytes, each of two of struct io_uring_sqe.
 * What goes wrong is told by fail().
 */
#ifndef URING_H
#define URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>

struct uring {
	int fd;
	unsigned int *sq_tail, sq_mask;
	unsigned int *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *maps[2];
	size_t sizes[2];
};

/* Is there io_uring?  For so many requests, and results, that are not taken yet */
bool uring_open(struct uring *u, unsigned int requests, unsigned int results);
void uring_close(struct uring *u);
/* The next request, empty; it is in the queue when *sq_tail is one more */
struct io_uring_sqe *uring_sqe(struct uring *u, void *user_data);
/*
 * Buffers of the ring: pools of @size bytes, which are one after the other, then
 * places for what is not there yet.  0 or -errno.
 */
int uring_register(struct uring *u, char *pools, unsigned int n, size_t size,
		   unsigned int places);

#endif /* URING_H */
