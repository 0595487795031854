// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse_server.h"
#include "uring.h"

static void *map_part(struct uring *u, int i, size_t size, off_t offset)
{
	u->maps[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
			  offset);
	if (u->maps[i] == MAP_FAILED)
		fail("ring: %s", strerror(errno));
	u->sizes[i] = size;
	return u->maps[i];
}

bool uring_open(struct uring *u, unsigned int requests, unsigned int results)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE,
		.cq_entries = results,
	};
	unsigned int i, *array;
	size_t size;
	char *base;

	u->fd = syscall(SYS_io_uring_setup, requests, &p);
	if (u->fd < 0)
		return false;
	size = p.cq_off.cqes + p.cq_entries * sizeof(*u->cqes);
	if (size < p.sq_off.array + p.sq_entries * sizeof(*array))
		size = p.sq_off.array + p.sq_entries * sizeof(*array);
	base = map_part(u, 0, size, IORING_OFF_SQ_RING);
	u->sqes = map_part(u, 1, p.sq_entries * 2 * sizeof(*u->sqes), IORING_OFF_SQES);
	u->sq_tail = (void *)(base + p.sq_off.tail);
	u->sq_mask = *(unsigned int *)(base + p.sq_off.ring_mask);
	u->cq_head = (void *)(base + p.cq_off.head);
	u->cq_tail = (void *)(base + p.cq_off.tail);
	u->cq_mask = *(unsigned int *)(base + p.cq_off.ring_mask);
	u->cqes = (void *)(base + p.cq_off.cqes);
	array = (void *)(base + p.sq_off.array);
	for (i = 0; i < p.sq_entries; i++)
		array[i] = i;
	return true;
}

void uring_close(struct uring *u)
{
	int i;

	close(u->fd);
	for (i = 0; i < 2; i++)
		munmap(u->maps[i], u->sizes[i]);
}

struct io_uring_sqe *uring_sqe(struct uring *u, void *user_data)
{
	struct io_uring_sqe *sqe = u->sqes + 2 * (*u->sq_tail & u->sq_mask);

	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->user_data = (uintptr_t)user_data;
	return sqe;
}

int uring_register(struct uring *u, char *pools, unsigned int n, size_t size,
		   unsigned int places)
{
	struct io_uring_rsrc_register reg = { .nr = n + places };
	struct iovec *iov = calloc(reg.nr, sizeof(*iov));
	unsigned int i;
	int ret;

	reg.data = (uintptr_t)iov;
	for (i = 0; i < n; i++) {
		iov[i].iov_base = pools + i * size;
		iov[i].iov_len = size;
	}
	ret = syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_BUFFERS2,
		      &reg, sizeof(reg));
	free(iov);
	return ret ? -errno : 0;
}
