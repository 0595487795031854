// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse_counts.h"
#include "fuse_ops.h"

static const int all_errors[] = {
	EPERM, ENOENT, EINTR, EIO, ENOMEM, EACCES, EEXIST, ENOSPC, EROFS,
	EOPNOTSUPP,
};

void check_len(const struct request *r, size_t size)
{
	CHECK(size, BODY_LEN(r));
}

static void check_time(uint64_t sec, uint32_t nsec,
		       const struct statx_timestamp *t)
{
	CHECK(sec, t->tv_sec);
	CHECK(nsec > 999999999 ? 999999999 : nsec, t->tv_nsec);
}

void check_told(const struct fuse_attr *attr, const struct statx *stx)
{
	CHECK(attr->ino, stx->stx_ino);
	CHECK(attr->size, stx->stx_size);
	CHECK(attr->blocks, stx->stx_blocks);
	CHECK(attr->mode, stx->stx_mode);
	CHECK(attr->nlink, stx->stx_nlink);
	CHECK(attr->uid, stx->stx_uid);
	CHECK(attr->gid, stx->stx_gid);
	CHECK(attr->blksize, stx->stx_blksize);
	check_time(attr->atime, attr->atimensec, &stx->stx_atime);
	check_time(attr->mtime, attr->mtimensec, &stx->stx_mtime);
	check_time(attr->ctime, attr->ctimensec, &stx->stx_ctime);
}

void check_strings(const struct request *r, size_t size, const char *first,
		   const char *second)
{
	const char *at = r->body + size;
	size_t len = strlen(first) + 1;

	CHECK(size + len + (second ? strlen(second) + 1 : 0), BODY_LEN(r));
	if (strcmp(at, first))
		fail("expected the string %s, seen %s", first, at);
	if (second && strcmp(at + len, second))
		fail("expected the string %s, seen %s", second, at + len);
}

static struct request *take_started(struct client *c, struct server *s,
				    const struct op *op)
{
	struct request *r = take(s, op->opcode);

	CHECK(op->nodeid ?: FUSE_ROOT_ID, r->h.nodeid);
	CHECK(getuid(), r->h.uid);
	CHECK(getgid(), r->h.gid);
	CHECK(c->pid, r->h.pid);
	CHECK(0, r->h.total_extlen);
	op->check(r);
	return r;
}

struct request *op_take(struct client *c, struct server *s, const struct op *op)
{
	op->start(c, s);
	return take_started(c, s, op);
}

static void good_reply(struct server *s, struct request *r, const struct op *op)
{
	CHECK(0, reply(s, r, op->reply, op->len));
	free(r);
}

static int64_t outcome(struct client *c, const struct op *op)
{
	int64_t ret = call_end(c);

	if (op->opens && ret >= 0) {
		call(c, CLIENT_CLOSE, ret);
		ret = 0;
	}
	return ret;
}

static void ends_with(struct client *c, const struct op *op, int64_t expected)
{
	CHECK(expected, outcome(c, op));
}

void op_success(struct client *c, struct server *s, const struct op *op)
{
	good_reply(s, op_take(c, s, op), op);
	ends_with(c, op, op->ret);
}

static int seen_as(const struct op *op, int error)
{
	const int (*e)[2];

	for (e = op->errors; e && (*e)[0]; e++)
		if ((*e)[0] == error)
			return (*e)[1];
	return error;
}

static void fails(struct client *c, struct server *s, const struct op *op,
		  int error, unsigned int times)
{
	struct request *r = op_take(c, s, op);

	CHECK(0, reply_error(s, r, -error));
	free(r);
	while (--times) {
		r = take_started(c, s, op);
		CHECK(0, reply_error(s, r, -error));
		free(r);
	}
	ends_with(c, op, -seen_as(op, error));
}

void op_errors(struct client *c, struct server *s, const struct op *op)
{
	size_t i;

	for (i = 0; i < sizeof(all_errors) / sizeof(*all_errors); i++)
		fails(c, s, op, all_errors[i], 1);
	fails(c, s, op, ESTALE, op->estale ?: 1);
	op_success(c, s, op);
}

void op_enosys(struct client *c, struct server *s, const struct op *op)
{
	struct request *r;

	if (op->enosys == ENOSYS_OTHERWISE)
		return;
	if (op->enosys == ENOSYS_PASSES) {
		fails(c, s, op, ENOSYS, 1);
		op_success(c, s, op);
		return;
	}
	r = op_take(c, s, op);
	CHECK(0, reply_error(s, r, -ENOSYS));
	ends_with(c, op, -op->latched);
	/* not answered by the server itself either */
	s->keep = op->opcode;
	op->start(c, s);
	ends_with(c, op, -op->latched);
	quiet(s);
	s->keep = 0;
}

void op_malformed(struct client *c, struct server *s, const struct op *op)
{
	char *data = calloc(1, op->max ?: op->len + 1);
	enum bad_reply how;
	struct request *r;
	size_t len;
	int err;

	memcpy(data, op->reply, op->len);
	for (how = 0; how < BAD_REPLIES; how++) {
		if (how == BAD_SHORT && (op->max || !op->len))
			continue;
		len = how == BAD_LONG && op->max ? op->max : op->len;
		r = op_take(c, s, op);
		err = reply_bad(s, r, how, data, len);
		free(r);
		ends_with(c, op, -seen_as(op, -err));
	}
	free(data);
	op_success(c, s, op);
}

void op_interrupted(struct client *c, struct server *s, const struct op *op)
{
	struct request *r, *i;

	r = op_take(c, s, op);
	client_kill(c, SIGUSR1);
	if (!s->transport->no_interrupts) {
		i = take(s, FUSE_INTERRUPT);
		check_len(i, sizeof(i->interrupt));
		CHECK(r->h.unique, i->interrupt.unique);
		CHECK(r->h.unique | 1, i->h.unique);
		CHECK(0, i->h.nodeid);
		free(i);
	}
	CHECK(0, reply_error(s, r, -EINTR));
	free(r);
	ends_with(c, op, -seen_as(op, EINTR));
	op_success(c, s, op);
}

/* The reply comes to a dead caller, and is good for those who still live */
void op_killed(struct client *c, struct server *s, const struct op *op)
{
	struct client child = { 0 };
	struct request *r;

	client_fork(c, &child);
	r = op_take(&child, s, op);
	client_kill(&child, SIGKILL);
	if (!s->transport->no_interrupts)
		free(take(s, FUSE_INTERRUPT));
	good_reply(s, r, op);
	server_gone(s, &child);
	op_success(c, s, op);
}

void op_faults(struct client *c, struct server *s, const struct op *op)
{
	bool last = false;
	int64_t ret;
	int n;

	s->keep = op->opcode;
	for (n = 1; !last; n++) {
		if (n > FAULTS_MAX)
			fail("there is no end of faults");
		c->fail_nth = n;
		op->start(c, s);
		while (!serve_until(c->sock, 1))
			if (s->inbox)
				good_reply(s, take(s, op->opcode), op);
		ret = outcome(c, op);
		last = c->answer.fail_nth;
		if (!no_memory(ret))
			CHECK(op->ret, ret);
	}
	s->keep = 0;
	CHECK(true, n > 2);
	op_success(c, s, op);
}

void op_each(struct client *c, struct server *s, const struct op *ops, size_t n,
	     op_setup *setup,
	     void (*test)(struct client *c, struct server *s,
			  const struct op *op))
{
	size_t i;

	call(c, CLIENT_SIGACTION, SIGUSR1, 0);
	if (setup)
		setup(c, s);
	for (i = 0; i < n; i++) {
		test_case = ops[i].name ?: opcode_name(ops[i].opcode);
		test(c, s, &ops[i]);
	}
	test_case = NULL;
}
