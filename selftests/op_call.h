/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is alike for all system calls that send one request of which they wait
 * for the reply: to be included after fuse_fixture.h.
 */
#ifndef OP_CALL_H
#define OP_CALL_H

#include <sys/resource.h>
#include <sys/stat.h>

#define ANY_FD	INT64_MIN	/* of op_call.ret: a new file, to be closed */

/* Helpers of a test fail it by this, at the line that called them */
#define NEED(cond) do {							\
	if (!(cond))							\
		fail("%s", #cond);					\
} while (0)

struct op_call {
	uint32_t opcode;
	uint64_t nodeid;	/* 0: of the file */
	void (*start)(struct server *s, struct client *c, int fd);
	size_t in_len;		/* of the request without its header */
	const void *out;	/* a good reply */
	size_t len;
	int64_t ret;		/* what the call returns then */
	unsigned int not_bad;	/* bits of enum bad_reply that are good, too */
	bool by_name;		/* of which the VFS tries ESTALE again */
};

static inline struct request *op_check(struct server *s, struct client *c,
				       uint32_t opcode, uint64_t nodeid,
				       size_t len)
{
	struct request *r = server_take(s, opcode);

	NEED(r->h.nodeid == (nodeid ?: s->ino));
	NEED(!c || BODY_LEN(r) == len);
	NEED(r->h.uid == 0 && r->h.gid == 0);
	NEED(!c || r->h.pid == (uint32_t)c->pid);
	NEED(!r->h.total_extlen && !r->h.padding);
	return r;
}

/* Take a request of @c, or, NULL, of whoever comes along, and check its header */
#define op_take(s, c, opcode, nodeid, len) \
	HERE(op_check(s, c, opcode, nodeid, len))

static inline struct request *op_begin(struct server *s, struct client *c,
				       int fd, const struct op_call *op)
{
	op->start(s, c, fd);
	return op_check(s, c, op->opcode, op->nodeid, op->in_len);
}

static inline void op_end(struct client *c, const struct op_call *op,
			  int64_t ret)
{
	int64_t got = client_wait(c);

	if (ret == ANY_FD && got >= 0)
		sys(c, SYS_close, got);
	else if (got != ret)
		fail("opcode %u: expected %lld, seen %lld", op->opcode,
		     (long long)ret, (long long)got);
}

static inline void op_answer(struct server *s, struct client *c, int fd,
			     const struct op_call *op, int error, int64_t ret)
{
	struct request *r = op_begin(s, c, fd, op);

	if (error)
		NEED(!reply_error(s, r, error));
	else
		NEED(!reply(s, r, op->out, op->len));
	op_end(c, op, ret);
}

static inline void op_take_interrupt(struct server *s,
				     const struct request *r)
{
	struct request *i;

	if (s->transport->no_interrupts)
		return;
	i = server_take(s, FUSE_INTERRUPT);
	NEED(i->interrupt.unique == r->h.unique);
	NEED(BODY_LEN(i) == sizeof(i->interrupt));
}

/* A signal: the server is told and its reply counts, whatever it says */
static inline void op_interrupt(struct server *s, struct client *c, int fd,
				const struct op_call *op, int error,
				int64_t ret)
{
	struct request *r = op_begin(s, c, fd, op);

	client_kill(c, SIGUSR1);
	op_take_interrupt(s, r);
	if (error)
		NEED(!reply_error(s, r, error));
	else
		NEED(!reply(s, r, op->out, op->len));
	op_end(c, op, ret);
}

/* The client dies in its call: the server is told, and lives on */
static inline void op_kill(struct server *s, struct client *c, int fd,
			   const struct op_call *op)
{
	struct client child;
	struct request *r;

	client_fork(c, &child);
	r = op_begin(s, &child, fd, op);
	client_kill(&child, SIGKILL);
	op_take_interrupt(s, r);
	NEED(!reply(s, r, op->out, op->len));
	server_gone(s, &child);
}

/*
 * Each kind of reply: malformed ones, errors, that to a call which a signal
 * interrupted or which was killed, and, the connection being alive, a good one.
 * ENOSYS is for the test.
 */
static inline void op_all_replies(struct server *s, struct client *c, int fd,
				  const struct op_call *op)
{
	static const int errors[] = {
		-EPERM, -ENOENT, -EIO, -EAGAIN, -EACCES, -ENOSPC, -ESTALE,
	};
	enum bad_reply how;
	struct request *r;
	size_t i;
	int err;

	for (how = 0; how < BAD_REPLIES; how++) {
		if (op->not_bad & (1U << how) ||
		    (how == BAD_SHORT && !op->len))
			continue;
		r = op_begin(s, c, fd, op);
		err = server_reply_bad(s, r, how, op->out, op->len);
		op_end(c, op, err);
	}
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i] != -ESTALE || !op->by_name)
			op_answer(s, c, fd, op, errors[i], errors[i]);
	call(c, CLIENT_SIGACTION, SIGUSR1, 0);
	op_interrupt(s, c, fd, op, -EINTR, -EINTR);
	op_interrupt(s, c, fd, op, 0, op->ret);
	op_kill(s, c, fd, op);
	op_answer(s, c, fd, op, 0, op->ret);
}

#define all_replies(s, c, fd, op)	HERE(op_all_replies(s, c, fd, op))
#define answer_op(s, c, fd, op, error, ret) \
	HERE(op_answer(s, c, fd, op, error, ret))

static inline void op_attr(struct fuse_attr *attr, uint64_t ino, mode_t mode,
			   uint64_t size)
{
	*attr = (struct fuse_attr){
		.ino = ino,
		.mode = mode,
		.nlink = 1,
		.size = size,
		.blksize = getpagesize(),
	};
}

/* Open @name, which is not known yet, as a file of that nodeid and size */
static inline int op_open_mode(struct server *s, struct client *c,
			       const char *name, uint64_t nodeid, mode_t mode,
			       uint64_t size, int flags)
{
	struct fuse_entry_out out = {
		.nodeid = nodeid,
		.entry_valid = 3600,
		.attr_valid = 3600,
	};
	struct request *r;

	sys_start(c, SYS_openat, AT_FDCWD, path(c, s, name), flags, 0);
	r = take(s, FUSE_LOOKUP);
	op_attr(&out.attr, nodeid, mode, size);
	reply(s, r, &out, sizeof(out));
	return call_end(c);
}

#define op_open(s, c, name, nodeid, size, flags) \
	op_open_mode(s, c, name, nodeid, S_IFREG | 0666, size, flags)

/* Answer the FUSE_GETATTR that comes next */
static inline void op_getattr(struct server *s, uint64_t nodeid, uint64_t size)
{
	struct fuse_attr_out out = { .attr_valid = 3600 };
	struct request *r = server_take(s, FUSE_GETATTR);

	NEED(r->h.nodeid == nodeid);
	op_attr(&out.attr, nodeid, S_IFREG | 0666, size);
	NEED(!reply(s, r, &out, sizeof(out)));
}

#define take_getattr(s, nodeid, size)	HERE(op_getattr(s, nodeid, size))

/* @c waits for something else than a reply, a lock for example */
static inline bool op_stuck(struct client *c)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", c->pid);
	return read_text(path, text, sizeof(text)) > 0 &&
	       strrchr(text, ')')[2] == 'D';
}

#define stuck(c)	HERE(eventually(op_stuck(c)))

/* The size that the kernel believes in, without asking the server */
static inline uint64_t cached_size(struct client *c, int fd)
{
	NEED(!sys(c, SYS_statx, fd, str(c, ""), AT_EMPTY_PATH |
		  AT_STATX_DONT_SYNC, STATX_SIZE, ARG(0)));
	return ((struct statx *)out(c, ARG(0)))->stx_size;
}

/* Whatever was read, from @offset on */
static inline void op_reply_data(struct server *s, struct request *r, size_t len)
{
	char *data = malloc(len + 1);
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = (r->read.offset + i) * 7 + (r->read.offset + i) / 256;
	NEED(!reply(s, r, data, len));
	free(data);
}

static inline bool right_data(struct client *c, size_t len, uint64_t offset)
{
	char *data = out(c, ARG(0));
	size_t i;

	for (i = 0; i < len; i++)
		if (data[i] != (char)((offset + i) * 7 + (offset + i) / 256))
			return false;
	return true;
}

#define reply_data(s, r, len)	HERE(op_reply_data(s, r, len))

#endif /* OP_CALL_H */
