// SPDX-License-Identifier: GPL-2.0
/*
 * mandelbrot_cut - map all of /dev/mandelbrot and cut a piece out of it
 *
 * Knows nothing of FUSE, or of who fills the memory that it reads.
 */
#define _GNU_SOURCE

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "mandelbrot.h"

static const char usage[] =
	"usage: %s DEVICE X Y WIDTH HEIGHT [FILE.pgm]\n"
	"Cut a piece out of the picture; without a FILE, check some of its pixels.\n";

int main(int argc, char **argv)
{
	uint64_t left, top, width, height, x, y, bad = 0;
	const volatile uint8_t *picture;
	FILE *file = NULL;
	int fd;

	if (argc != 6 && argc != 7) {
		fprintf(stderr, usage, program_invocation_short_name);
		return 2;
	}
	left = strtoul(argv[2], NULL, 10);
	top = strtoul(argv[3], NULL, 10);
	width = strtoul(argv[4], NULL, 10);
	height = strtoul(argv[5], NULL, 10);
	if (left > SIDE || width > SIDE - left || top > SIDE ||
	    height > SIDE - top)
		errx(2, "the picture is %lu x %lu", SIDE, SIDE);

	fd = open(argv[1], O_RDONLY);
	if (fd < 0)
		err(1, "%s", argv[1]);
	picture = mmap(NULL, PICTURE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (picture == MAP_FAILED)
		err(1, "mmap");

	if (argc == 7) {
		file = fopen(argv[6], "w");
		if (!file)
			err(1, "%s", argv[6]);
		fprintf(file, "P5\n%lu %lu\n255\n", width, height);
	}
	for (y = top; y < top + height; y++)
		for (x = left; x < left + width; x++) {
			uint8_t p = picture[pixel_offset(x, y)];

			if (file)
				putc(p, file);
			else if ((x + y) % 7 == 0)
				bad += p != pixel(x, y);
		}
	if (file && fclose(file))
		err(1, "%s", argv[6]);
	if (bad)
		errx(1, "%lu pixels are wrong", bad);
	return 0;
}
