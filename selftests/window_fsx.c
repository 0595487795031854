// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on a file of a mounted server that shows one elsewhere:
 *
 *	window_fsx FILE STORED PLAIN BYTES SECONDS
 *
 * STORED is where its data is after fsync(2), PLAIN what it is compared with.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsx.h"

static bool stored(const struct fsx *fsx, const void *want, uint64_t size)
{
	int fd = open(fsx->arg, O_RDONLY);
	bool same = false;
	struct stat st;
	void *p;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && (uint64_t)st.st_size == size) {
		p = mmap(NULL, size + 1, PROT_READ, MAP_SHARED, fd, 0);
		same = p != MAP_FAILED && !memcmp(p, want, size);
		munmap(p, size + 1);
	}
	close(fd);
	return same;
}

int main(int argc, char **argv)
{
	const char *why;

	if (argc != 6) {
		fprintf(stderr, "usage: %s FILE STORED PLAIN BYTES SECONDS\n", *argv);
		return 2;
	}
	why = fsx_run(&(struct fsx) {
		.path = argv[1],
		.arg = argv[2],
		.plain = argv[3],
		.max = strtoull(argv[4], NULL, 0),
		.ms = 1000 * atoi(argv[5]),
		.stored = stored,
	});
	if (*why)
		printf("# %s\n", why);
	return *why ? 1 : 0;
}
