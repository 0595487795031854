/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every allocation of a call fails once, by CONFIG_FAULT_INJECTION with FAILSLAB
 * or FAIL_PAGE_ALLOC.  The test itself, as the server:
 *
 *	struct faults f = { };
 *
 *	while (next_fault(&f)) {
 *		arm(&f);
 *		err = something();
 *		disarm(&f);
 *	}
 *	ASSERT_LT(0, f.hits);
 *
 * A client: C->fail_nth before the call, C->answer.fail_nth after it.
 */
#ifndef FUSE_FAULTS_H
#define FUSE_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse_server.h"

#define FAULTS_MAX	1000

/* A reason to skip, or NULL */
static inline const char *faults_try(struct client *c)
{
	if (call(c, CLIENT_FAULTS) < 0)
		return "kernel without fault injection";
	/* what fails are calls that may sleep, as all of these may */
	if (write_text("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") &&
	    write_text("/sys/kernel/debug/failslab/cache-filter", "N"))
		return "no failslab";
	write_text("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_text("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	/* no stacks of faults that are wanted */
	write_text("/sys/kernel/debug/failslab/verbose", "0");
	write_text("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	return NULL;
}

struct faults {
	int fd;
	int n;
	int hits;
	bool last;
};

static inline void write_nth(struct faults *f, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(f->fd, text, len, 0) != len)
		fail("fail-nth");
}

static inline void arm(struct faults *f)
{
	write_nth(f, f->n);
}

static inline void disarm(struct faults *f)
{
	char text[16] = "";

	if (pread(f->fd, text, sizeof(text) - 1, 0) <= 0)
		fail("fail-nth");
	write_nth(f, 0);
	if (atoi(text))
		f->last = true;
	else
		f->hits++;
}

static inline bool next_fault(struct faults *f)
{
	if (!f->n)
		f->fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (++f->n > FAULTS_MAX)
		fail("there is no end of faults");
	if (f->last)
		close(f->fd);
	return !f->last;
}

static inline bool no_memory(int err)
{
	return err == -ENOMEM || err == -ENFILE;
}

#endif /* FUSE_FAULTS_H */
