/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random operations on a file, and the same on a plain one: what they return, and
 * what is then in the files, has to be the same.
 */
#ifndef FSX_H
#define FSX_H

#include <stdbool.h>
#include <stdint.h>

struct fsx {
	const char *path;
	/* of a file on tmpfs, which is made */
	const char *plain;
	/* largest size of the file */
	uint64_t max;
	/* how long; some operations are done in any case */
	int ms;
	/* is that stored where the file's data come from? asked after fsync(2) */
	bool (*stored)(const struct fsx *fsx, const void *want, uint64_t size);
	void *arg;
};

/* "", or what was not the same */
const char *fsx_run(const struct fsx *fsx);

#endif /* FSX_H */
