/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all opcodes have in common, as a table of them.  A row says which system
 * call sends the opcode, what the request must hold and what a good reply is:
 *
 *	static const struct op ops[] = {
 *		{
 *			.opcode = FUSE_MKDIR,
 *			.start = start_mkdir,
 *			.check = check_mkdir,
 *			REPLY(new_dir),
 *		},
 *		...
 *	};
 *
 *	FUSE_OP_FIXTURE(entry);
 *	OP_TESTS(entry, ops, NULL);
 *
 * Of each row it is tested that the call succeeds; that each error reaches the
 * caller; that ENOSYS is remembered, where it is; that a reply that is short,
 * long or otherwise wrong is EIO and no more; that a signal interrupts it; and
 * that it ends with its caller.  Rows are started any number of times.
 */
#ifndef FUSE_OPS_H
#define FUSE_OPS_H

#include <sys/stat.h>

#include "fuse_faults.h"
#include "fuse_server.h"

enum op_enosys {
	ENOSYS_PASSES,		/* to the caller, each time */
	ENOSYS_LATCHED,		/* replaced; and nothing is sent from then on */
	ENOSYS_OTHERWISE,	/* something else is sent, and tested elsewhere */
};

struct op {
	const char *name;	/* if the opcode does not say it all */
	uint32_t opcode;
	uint64_t nodeid;	/* 0: the root */
	/* start the system call */
	void (*start)(struct client *c, struct server *s);
	/* check what follows the request's header */
	void (*check)(const struct request *r);
	const void *reply;
	uint32_t len;
	uint32_t max;		/* a reply may have any length up to this */
	int64_t ret;		/* of the call, with that reply */
	bool opens;		/* it is a file descriptor, to be closed */
	enum op_enosys enosys;
	int latched;		/* what replaces ENOSYS */
	unsigned int estale;	/* times that it is sent for ESTALE; 0: once */
	const int (*errors)[2];	/* those that the caller gets as others; to 0 */
};

#define REPLY(what)	.reply = &(what), .len = sizeof(what)
/* Path look-ups are done again when something was stale */
#define ESTALE_TWICE	.estale = 2

/* Start the call, take the request and check all of it */
struct request *op_take(struct client *c, struct server *s, const struct op *op);

void op_success(struct client *c, struct server *s, const struct op *op);
void op_errors(struct client *c, struct server *s, const struct op *op);
void op_enosys(struct client *c, struct server *s, const struct op *op);
void op_malformed(struct client *c, struct server *s, const struct op *op);
void op_interrupted(struct client *c, struct server *s, const struct op *op);
void op_killed(struct client *c, struct server *s, const struct op *op);
/* Each allocation of the caller's fails once; after faults_try() */
void op_faults(struct client *c, struct server *s, const struct op *op);

typedef void op_setup(struct client *c, struct server *s);
void op_each(struct client *c, struct server *s, const struct op *ops, size_t n,
	     op_setup *setup,
	     void (*test)(struct client *c, struct server *s,
			  const struct op *op));

/* The request ends with these strings, after a structure of @size, and nothing else */
void check_strings(const struct request *r, size_t size, const char *first,
		   const char *second);
/* It has no more than the structure */
void check_len(const struct request *r, size_t size);
/* What statx(2) told is what the server said; nanoseconds have a limit */
void check_told(const struct fuse_attr *attr, const struct statx *stx);

/* A reply that names a node; the name is to be looked up again */
#define ENTRY(number, type) {						\
	.nodeid = (number),						\
	.attr_valid = 3600,						\
	.attr = { .ino = (number), .mode = (type), .nlink = 1 },	\
}

#define OP_TEST(fixture, aspect, ops, setup)				\
FUSE_TEST(fixture, aspect)						\
{									\
	op_each(C, S, ops, ARRAY_SIZE(ops), setup, op_##aspect);	\
}

#define OP_TESTS(fixture, ops, setup)					\
OP_TEST(fixture, success, ops, setup)					\
OP_TEST(fixture, errors, ops, setup)					\
OP_TEST(fixture, enosys, ops, setup)					\
OP_TEST(fixture, malformed, ops, setup)					\
OP_TEST(fixture, interrupted, ops, setup)				\
OP_TEST(fixture, killed, ops, setup)

/* For a fixture of its own: it does not matter how requests travel */
#define OP_FAULTS_TEST(fixture, ops, setup)				\
FUSE_TEST(fixture, faults)						\
{									\
	SKIP_IF(faults_try(C));						\
	op_each(C, S, ops, ARRAY_SIZE(ops), setup, op_faults);		\
}

#endif /* FUSE_OPS_H */
