/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The picture that cuse_mandelbrot has in its memory: one byte for each pixel,
 * a page for each tile, tiles row by row.
 */
#ifndef MANDELBROT_H
#define MANDELBROT_H

#include <stdint.h>

#define SIDE		(1UL << 18)		/* of the picture, in pixels */
#define TILE		64UL			/* of a tile */
#define PICTURE_SIZE	(SIDE * SIDE)

#define FRACTION	28			/* bits after the point */
#define MAX_STEPS	255

static inline uint64_t pixel_offset(uint64_t x, uint64_t y)
{
	return (y / TILE * (SIDE / TILE) + x / TILE) * TILE * TILE +
		y % TILE * TILE + x % TILE;
}

/* From -2 - 1.25i to 0.5 + 1.25i */
static inline uint8_t pixel(uint64_t x, uint64_t y)
{
	const int64_t step = (5LL << (FRACTION - 1)) / (int64_t)SIDE;
	int64_t c_re = -(2LL << FRACTION) + (int64_t)x * step;
	int64_t c_im = -(5LL << (FRACTION - 2)) + (int64_t)y * step;
	int64_t re = 0, im = 0;
	int i;

	for (i = 0; i < MAX_STEPS; i++) {
		int64_t re2 = re * re >> FRACTION, im2 = im * im >> FRACTION;

		if (re2 + im2 > 4LL << FRACTION)
			return 255 - i;
		im = (re * im >> (FRACTION - 1)) + c_im;
		re = re2 - im2 + c_re;
	}
	return 0;
}

#endif
