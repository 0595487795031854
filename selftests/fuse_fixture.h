/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture that most tests of FUSE buffers use: a server and a client, once
 * over FUSE and once over CUSE.  To be included after kselftest_harness.h.
 */
#ifndef FUSE_FIXTURE_H
#define FUSE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fuse_server.h"

/* Emulated debugging kernels need long for what hardware does at once */
#define TIMEOUT_S	180

/* What the kernel under test must have */
#define NEEDS_NOTHING	0		/* mainline will do */
#define NEEDS_SERIES	(1ULL << 62)	/* nothing is switched on */

static inline const char *fixture_try(struct server *s, struct client *c,
				      uint64_t needs, const char *program)
{
	const char *why = test_begin();
	int err;

	if (!why)
		why = server_start(s);
	if (why)
		return why;
	if (needs != NEEDS_NOTHING) {
		err = server_enable(s, needs & ~NEEDS_SERIES);
		if (err == -ENOTTY)
			return "kernel without FUSE_DEV_IOC_ENABLE";
		if (err)
			fail("FUSE_DEV_IOC_ENABLE: %s", strerror(-err));
	}
	return client_try(c, program);
}

/*
 * In a test or its set-up: what was begun ends, if there is a reason (or NULL)
 * to skip the test
 */
#define SKIP_IF(why)							\
do {									\
	const char *__why = why;					\
									\
	if (__why) {							\
		test_end();						\
		SKIP(return, "%s", __why);				\
	}								\
} while (0)

/* A reason to skip, or NULL */
#define fixture_start(s, c, needs, program)				\
	(skip_reason = &_metadata->results->reason,			\
	 fixture_try(s, c, needs, program))

static inline void fixture_stop(struct server *s, struct client *c, bool failed)
{
	if (failed) {
		server_die(s);
		clients_kill();
	} else {
		server_check(s);
		client_exit(c);
		server_stop(s);
	}
	test_end();
}

/* What the fixtures start */
#ifndef FUSE_CLIENT
#define FUSE_CLIENT	"fuse_client"
#endif

#define FUSE_FIXTURE_SETUP(name, needs)					\
FIXTURE(name)								\
{									\
	struct server s;						\
	struct client c;						\
	uint64_t page;							\
};									\
									\
FIXTURE_VARIANT(name)							\
{									\
	enum server_type type;						\
	const struct transport *transport;				\
};									\
									\
FIXTURE_SETUP(name)							\
{									\
	self->page = getpagesize();					\
	self->s.type = variant->type;					\
	self->s.transport = variant->transport;				\
	SKIP_IF(fixture_start(&self->s, &self->c, needs, FUSE_CLIENT));	\
}									\
									\
FIXTURE_TEARDOWN(name)							\
{									\
	fixture_stop(&self->s, &self->c,				\
		     _metadata->exit_code == KSFT_FAIL);		\
}

#define FUSE_FIXTURE(name, needs)					\
FUSE_FIXTURE_SETUP(name, needs)						\
FIXTURE_VARIANT_ADD(name, fuse) { .type = SERVER_FUSE };		\
FIXTURE_VARIANT_ADD(name, cuse) { .type = SERVER_CUSE }

/* For what is exchanged with the server, over each of the transports */
#define FUSE_TRANSPORTS_FIXTURE(name, needs)				\
FUSE_FIXTURE(name, needs);						\
FIXTURE_VARIANT_ADD(name, fuse_splice) {				\
	.type = SERVER_FUSE,						\
	.transport = &splice_transport,					\
};									\
FIXTURE_VARIANT_ADD(name, cuse_splice) {				\
	.type = SERVER_CUSE,						\
	.transport = &splice_transport,					\
};									\
FIXTURE_VARIANT_ADD(name, fuse_uring) {					\
	.type = SERVER_FUSE,						\
	.transport = &uring_transport,					\
}

/* For what only one of them has */
#define FUSE_ONLY_FIXTURE(name, needs)					\
FUSE_FIXTURE_SETUP(name, needs)						\
FIXTURE_VARIANT_ADD(name, fuse) { .type = SERVER_FUSE }

#define CUSE_ONLY_FIXTURE(name, needs)					\
FUSE_FIXTURE_SETUP(name, needs)						\
FIXTURE_VARIANT_ADD(name, cuse) { .type = SERVER_CUSE }

/*
 * For the tests of opcodes: a server on an unpatched kernel, over each of the
 * transports.  What else the server is to have, follows the name:
 *
 *	FUSE_OP_FIXTURE(lock, .init_flags = FUSE_POSIX_LOCKS);
 *
 *	FUSE_TEST(lock, getlk)
 *	{
 *		int fd = client_open(C, S, O_RDWR);
 *		struct fuse_lk_out out = { .lk.type = F_UNLCK };
 *		struct request *r;
 *		enum bad_reply how;
 *
 *		sys_start(C, SYS_fcntl, fd, F_GETLK, in(C, &lock, sizeof(lock)));
 *		r = take(S, FUSE_GETLK);
 *		ASSERT_EQ(s->fh, BODY(r, struct fuse_lk_in)->fh);
 *		...
 *		ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
 *		ASSERT_EQ(0, call_end(C));
 *
 *		for (how = 0; how < BAD_REPLIES; how++) {
 *			sys_start(C, SYS_fcntl, fd, F_GETLK, ...);
 *			r = take(S, FUSE_GETLK);
 *			err = reply_bad(S, r, how, &out, sizeof(out));
 *			ASSERT_EQ(err, call_end(C));
 *		}
 *	}
 *
 * take() names what must come next.  Opcodes that the server answers by itself
 * (see housekeeping()) are for the test if it waits for them in take() or if
 * S->manual has their bit; FUSE_FORGET and FUSE_BATCH_FORGET likewise.  What the
 * server exchanged is counted (fuse_counts.c): an opcode of the headers that no
 * test answers both by success and by an error fails a run of all tests.
 */
#define S	(&self->s)
#define C	(&self->c)

#define FUSE_OP_FIXTURE_SETUP(name, what, ...)				\
FIXTURE(name)								\
{									\
	struct server s;						\
	struct client c;						\
};									\
									\
FIXTURE_VARIANT(name)							\
{									\
	const struct transport *transport;				\
};									\
									\
FIXTURE_SETUP(name)							\
{									\
	self->s = (struct server){					\
		.type = what,						\
		.transport = variant->transport,			\
		__VA_ARGS__						\
	};								\
	SKIP_IF(fixture_start(&self->s, &self->c, NEEDS_NOTHING,	\
			      FUSE_CLIENT));				\
}									\
									\
FIXTURE_TEARDOWN(name)							\
{									\
	fixture_stop(&self->s, &self->c,				\
		     _metadata->exit_code == KSFT_FAIL);		\
}									\

/* For what the kernel does with replies, however they came */
#define FUSE_DEV_FIXTURE(name, ...)					\
FUSE_OP_FIXTURE_SETUP(name, SERVER_FUSE, __VA_ARGS__)			\
FIXTURE_VARIANT_ADD(name, dev) { .transport = &dev_transport }

/* For what always goes by the device */
#define FUSE_OP_FIXTURE_DEVICE(name, what, ...)				\
FUSE_OP_FIXTURE_SETUP(name, what, __VA_ARGS__)				\
FIXTURE_VARIANT_ADD(name, dev) { .transport = &dev_transport };		\
FIXTURE_VARIANT_ADD(name, splice) { .transport = &splice_transport }

#define FUSE_OP_FIXTURE(name, ...)					\
FUSE_OP_FIXTURE_DEVICE(name, SERVER_FUSE, __VA_ARGS__);			\
FIXTURE_VARIANT_ADD(name, uring) { .transport = &uring_transport }

/*
 * Also with what only matters to opcodes that carry data; zero copy is for files
 * that the server opened with FOPEN_IO_URING_ZERO_COPY
 */
#define FUSE_DATA_FIXTURE(name, ...)					\
FUSE_OP_FIXTURE(name, __VA_ARGS__);					\
FIXTURE_VARIANT_ADD(name, uring_pool) {					\
	.transport = &uring_pool_transport				\
};									\
FIXTURE_VARIANT_ADD(name, uring_zero_copy) {				\
	.transport = &uring_zero_copy_transport				\
}

/* Added to one of these: the same on a device, where there is one */
#define VIRTIOFS_VARIANT(name)						\
FIXTURE_VARIANT_ADD(name, virtiofs) { .transport = &virtiofs_transport }

#define CUSE_OP_FIXTURE(name, ...)					\
FUSE_OP_FIXTURE_DEVICE(name, SERVER_CUSE, __VA_ARGS__)

#define FUSE_TEST(fixture, name)	TEST_F_TIMEOUT(fixture, name, TIMEOUT_S)

#define RW	(PROT_READ | PROT_WRITE)

#endif /* FUSE_FIXTURE_H */
