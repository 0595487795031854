// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fsx.h"

#define ROUNDS_MIN	60
#define ROUNDS_MAX	4000

enum kind {
	READ,
	WRITE,
	LOAD,
	STORE,
	TRUNCATE,
	PUNCH,
	ZERO,
	ALLOCATE,
	COPY,
	SYNC,
	STAT,
	KINDS,
};

static const char *const names[KINDS] = {
	"read", "write", "load", "store", "truncate", "punch", "zero", "allocate",
	"copy", "sync", "stat",
};

struct op {
	enum kind kind;
	uint64_t pos;
	uint64_t len;
	uint64_t to;		/* of a copy */
	uint64_t size;		/* of the file */
	bool other;		/* by the other way there is */
};

/* One of the two files */
struct side {
	bool plain;
	int fd;
	int direct;		/* O_DIRECT */
	unsigned char *map;
	unsigned char *buf;	/* what was read */
};

static unsigned char *data;
static char why[256];

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* There may be no such thing on tmpfs */
static int64_t zero(struct side *s, const struct op *op)
{
	int ret = fallocate(s->fd, FALLOC_FL_ZERO_RANGE, op->pos, op->len);

	if (!ret || errno != EOPNOTSUPP)
		return ret;
	ret = fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			op->pos, op->len);
	if (!ret && op->pos + op->len > op->size)
		ret = ftruncate(s->fd, op->pos + op->len);
	return ret;
}

static int64_t copy(struct side *s, const struct op *op)
{
	loff_t from = op->pos, to = op->to;
	int64_t done = 0;
	ssize_t n;

	while ((uint64_t)done < op->len) {
		n = copy_file_range(s->fd, &from, s->fd, &to, op->len - done, 0);
		if (n <= 0)
			return n ? n : done;
		done += n;
	}
	return done;
}

static int64_t operate(struct side *s, const struct op *op)
{
	int fd = op->other ? s->direct : s->fd;
	struct stat st;

	switch (op->kind) {
	case READ:
		return pread(fd, s->buf, op->len, op->pos);
	case WRITE:
		return pwrite(fd, data + op->pos, op->len, op->pos);
	case LOAD:
		memcpy(s->buf, s->map + op->pos, op->len);
		return op->len;
	case STORE:
		memcpy(s->map + op->pos, data + op->pos, op->len);
		/* behind the end: never to be seen (but on tmpfs) */
		if (!s->plain && op->size % getpagesize())
			s->map[op->size] = 'x';
		return op->len;
	case TRUNCATE:
		return ftruncate(s->fd, op->pos);
	case PUNCH:
		return fallocate(s->fd, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, op->pos, op->len);
	case ZERO:
		return zero(s, op);
	case ALLOCATE:
		return fallocate(s->fd, 0, op->pos, op->len);
	case COPY:
		return copy(s, op);
	case SYNC:
		return op->other && op->size ?
			msync(s->map, op->size, MS_SYNC) : fsync(s->fd);
	case STAT:
		return fstat(s->fd, &st) ? -1 : st.st_size;
	default:
		return 0;
	}
}

static struct op choose(const struct fsx *fsx, uint64_t size)
{
	struct op op = {
		.kind = random() % KINDS,
		.pos = random() % fsx->max,
		.to = random() % fsx->max,
		.len = 1 + random() % (random() % 8 ? 5000 : fsx->max / 2),
		.size = size,
		.other = random() % 2,
	};
	uint64_t end = fsx->max;

	/* nothing is mapped behind the end */
	if ((op.kind == LOAD || op.kind == STORE) && op.pos >= size)
		op.kind = WRITE;
	if (op.kind == LOAD || op.kind == STORE)
		end = size;
	if (op.len > end - op.pos)
		op.len = end - op.pos;
	if (op.len > fsx->max - op.to)
		op.len = fsx->max - op.to;
	/* does not go with what overlaps */
	if (op.kind == COPY && op.pos < op.to + op.len &&
	    op.to < op.pos + op.len)
		op.kind = READ;
	return op;
}

static const char *differ(const char *what, int round, const struct op *op)
{
	snprintf(why, sizeof(why), "%s: round %d, %s %llu bytes at %llu of %llu",
		 what, round, names[op->kind], (unsigned long long)op->len,
		 (unsigned long long)op->pos, (unsigned long long)op->size);
	return why;
}

static const char *run(const struct fsx *fsx, struct side *side)
{
	int64_t ret[2], end = now_ms() + fsx->ms;
	int round, i, error[2];
	uint64_t size = 0, at;
	struct op op;

	for (round = 0; round < ROUNDS_MIN ||
	     (round < ROUNDS_MAX && now_ms() < end); round++) {
		op = choose(fsx, size);
		if (op.kind == WRITE || op.kind == STORE)
			for (at = op.pos; at < op.pos + op.len; at++)
				data[at] = at * 7 + at / 4096 + round;
		for (i = 0; i < 2; i++) {
			errno = 0;
			ret[i] = operate(&side[i], &op);
			error[i] = errno;
		}
		if (ret[0] != ret[1])
			return differ(ret[0] < 0 ? strerror(error[0]) :
				      "returns something else", round, &op);
		if ((op.kind == READ || op.kind == LOAD) && ret[0] > 0 &&
		    memcmp(side[0].buf, side[1].buf, ret[0]))
			return differ("other data", round, &op);
		size = lseek(side[1].fd, 0, SEEK_END);
		if (op.kind == SYNC && fsx->stored &&
		    !fsx->stored(fsx, side[1].map, size))
			return differ("not stored", round, &op);
	}
	for (i = 0; i < 2; i++)
		ret[i] = pread(side[i].fd, side[i].buf, fsx->max, 0);
	if (ret[0] != ret[1] || memcmp(side[0].buf, side[1].buf, ret[0]))
		return "other data at the end";
	return "";
}

const char *fsx_run(const struct fsx *fsx)
{
	const char *paths[2] = { fsx->path, fsx->plain }, *result = NULL;
	struct side side[2];
	int i;

	srandom(17);
	data = malloc(fsx->max);
	for (i = 0; i < 2; i++) {
		struct side *s = &side[i];

		s->plain = i;
		s->fd = open(paths[i], O_RDWR | O_CREAT | O_TRUNC, 0600);
		s->direct = open(paths[i], O_RDWR | O_DIRECT);
		s->map = mmap(NULL, fsx->max, PROT_READ | PROT_WRITE, MAP_SHARED,
			      s->fd, 0);
		s->buf = malloc(fsx->max);
		if (s->fd < 0 || s->direct < 0 || s->map == MAP_FAILED) {
			snprintf(why, sizeof(why), "%s: %s", paths[i],
				 strerror(errno));
			result = why;
		}
	}
	if (!result)
		result = run(fsx, side);
	for (i = 0; i < 2; i++) {
		if (side[i].map != MAP_FAILED)
			munmap(side[i].map, fsx->max);
		close(side[i].direct);
		close(side[i].fd);
		free(side[i].buf);
	}
	free(data);
	unlink(fsx->plain);
	return result;
}
