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

#include "fuse_server.h"

/* Emulated debugging kernels need long for what hardware does at once */
#define TIMEOUT_S	180

/* What the kernel under test must have */
#define NEEDS_NOTHING	0		/* mainline will do */
#define NEEDS_SERIES	(1ULL << 62)	/* nothing is switched on */

static inline const char *fixture_start(struct server *s, struct client *c,
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

static inline void fixture_stop(struct server *s, struct client *c, bool failed)
{
	if (failed) {
		server_die(s);
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
};									\
									\
FIXTURE_SETUP(name)							\
{									\
	const char *why;						\
									\
	self->page = getpagesize();					\
	self->s.type = variant->type;					\
	why = fixture_start(&self->s, &self->c, needs,			\
			    FUSE_CLIENT);				\
	if (why) {							\
		test_end();						\
		SKIP(return, "%s", why);				\
	}								\
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

/* For what only one of them has */
#define FUSE_ONLY_FIXTURE(name, needs)					\
FUSE_FIXTURE_SETUP(name, needs)						\
FIXTURE_VARIANT_ADD(name, fuse) { .type = SERVER_FUSE }

#define CUSE_ONLY_FIXTURE(name, needs)					\
FUSE_FIXTURE_SETUP(name, needs)						\
FIXTURE_VARIANT_ADD(name, cuse) { .type = SERVER_CUSE }

#define FUSE_TEST(fixture, name)	TEST_F_TIMEOUT(fixture, name, TIMEOUT_S)

#define RW	(PROT_READ | PROT_WRITE)

#endif /* FUSE_FIXTURE_H */
