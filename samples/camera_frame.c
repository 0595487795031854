// SPDX-License-Identifier: GPL-2.0
#include <math.h>
#include <string.h>

#include "camera_frame.h"

struct colour {
	uint8_t y, u, v;
	uint8_t r, g, b;
};

static const struct colour white = { 235, 128, 128, 255, 255, 255 };
static const struct colour black = { 16, 128, 128, 0, 0, 0 };

static uint8_t clamp(int x)
{
	return x < 0 ? 0 : x > 255 ? 255 : x;
}

/* ITU-R BT.601, limited range */
static struct colour seen(const struct frame_look *look, int r, int g, int b)
{
	double angle = look->hue * M_PI / 128;
	int y = ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16;
	int u = (-38 * r - 74 * g + 112 * b + 128) >> 8;
	int v = (112 * r - 94 * g - 18 * b + 128) >> 8;
	struct colour c;
	int d, e;

	y = (y - 128) * look->contrast / 128 + look->brightness;
	d = lround(u * cos(angle) - v * sin(angle));
	e = lround(u * sin(angle) + v * cos(angle));

	c.y = clamp(y);
	c.u = clamp(d + 128);
	c.v = clamp(e + 128);
	y = 298 * (y - 16) + 128;
	c.r = clamp((y + 409 * e) >> 8);
	c.g = clamp((y - 100 * d - 208 * e) >> 8);
	c.b = clamp((y + 516 * d) >> 8);
	return c;
}

static void put(uint8_t *line, const struct frame_format *f, unsigned int x,
		struct colour c)
{
	if (f->rgb) {
		line[3 * x] = c.r;
		line[3 * x + 1] = c.g;
		line[3 * x + 2] = c.b;
	} else {
		line[2 * x] = c.y;
		line[2 * x + 1] = x & 1 ? c.v : c.u;
	}
}

static void draw_rect(uint8_t *mem, const struct frame_format *f,
		      unsigned int left, unsigned int top, unsigned int width,
		      unsigned int height, struct colour c)
{
	unsigned int stride = frame_stride(f), bytes = stride / f->width;
	uint8_t *line = mem + (size_t)stride * top, *first = line;
	unsigned int x, y;

	for (x = left; x < left + width; x++)
		put(first, f, x, c);
	for (y = 1; y < height; y++) {
		line += stride;
		memcpy(line + left * bytes, first + left * bytes,
		       width * bytes);
	}
}

static struct colour pattern_colour(const struct frame_format *f,
				    const struct frame_look *look,
				    unsigned int x, unsigned int odd)
{
	static const uint8_t bars[8][3] = {
		{ 191, 191, 191 }, { 191, 191, 0 }, { 0, 191, 191 },
		{ 0, 191, 0 }, { 191, 0, 191 }, { 191, 0, 0 }, { 0, 0, 191 },
		{ 0, 0, 0 },
	};
	const uint8_t *bar = bars[x * 8 / f->width];
	int grey;

	switch (look->pattern) {
	case FRAME_BARS:
		return seen(look, bar[0], bar[1], bar[2]);
	case FRAME_RAMP:
		grey = x * 256 / f->width;
		return seen(look, grey, grey, grey);
	case FRAME_CHECKS:
		grey = (x / 16 + odd) & 1 ? 255 : 0;
		return seen(look, grey, grey, grey);
	default:
		return seen(look, 0, 0, 0);
	}
}

/* Lines repeat every 32, in two kinds */
static void draw_pattern(uint8_t *mem, const struct frame_format *f,
			 const struct frame_look *look)
{
	unsigned int stride = frame_stride(f), x, y;

	for (x = 0; x < f->width; x++) {
		/* the same for both pixels of a pair, which share u and v */
		put(mem, f, x, pattern_colour(f, look, x & ~1U, 0));
		put(mem + (size_t)16 * stride, f, x,
		    pattern_colour(f, look, x & ~1U, 1));
	}
	for (y = 1; y < f->height; y++)
		if (y != 16)
			memcpy(mem + (size_t)y * stride,
			       mem + (size_t)(y & 16) * stride, stride);
}

static void draw_number(uint8_t *mem, const struct frame_format *f,
			uint32_t number)
{
	/* 3 by 5 dots, the top line in the highest three bits */
	static const uint16_t font[10] = {
		075557, 026227, 071747, 071717, 055711, 074717, 074757,
		071111, 075757, 075717,
	};
	unsigned int dot = f->height / 60 & ~1U;
	unsigned int left, top, digit, x, y;

	if (!dot)
		dot = 2;
	left = f->width - 4 * dot;
	top = f->height - 7 * dot;
	do {
		draw_rect(mem, f, left - dot, top - dot, 5 * dot, 7 * dot,
			  black);
		digit = font[number % 10];
		for (y = 0; y < 5; y++)
			for (x = 0; x < 3; x++)
				if (digit >> (14 - 3 * y - x) & 1)
					draw_rect(mem, f, left + x * dot,
						  top + y * dot, dot, dot,
						  white);
		number /= 10;
		left -= 4 * dot;
	} while (number);
}

static uint32_t adler32(const uint8_t *p, size_t len)
{
	uint32_t a = 1, b = 0;
	size_t n;

	while (len) {
		/* as many as cannot overflow b */
		n = len < 5552 ? len : 5552;
		len -= n;
		while (n--) {
			a += *p++;
			b += a;
		}
		a %= 65521;
		b %= 65521;
	}
	return b << 16 | a;
}

static void draw_strip(uint8_t *mem, const struct frame_format *f,
		       uint32_t number)
{
	unsigned int width = f->width / FRAME_BLOCKS & ~1U;
	unsigned int height = f->height / 16, i;
	size_t skip = (size_t)height * frame_stride(f);
	uint32_t sum = adler32(mem + skip, frame_size(f) - skip);
	uint8_t code[FRAME_BLOCKS / 8] = {
		FRAME_SYNC,
		number >> 24, number >> 16, number >> 8, number,
		sum >> 24, sum >> 16, sum >> 8, sum,
	};

	for (i = 1; i < 9; i++)
		code[9] += code[i];

	draw_rect(mem, f, 0, 0, f->width, height, black);
	for (i = 0; i < FRAME_BLOCKS; i++)
		if (code[i / 8] >> (7 - i % 8) & 1)
			draw_rect(mem, f, i * width, 0, width, height, white);
}

void frame_draw(uint8_t *mem, const struct frame_format *f,
		const struct frame_look *look, uint32_t number)
{
	unsigned int box = f->height / 8 & ~1U;
	unsigned int step = f->width / 80 & ~1U;
	unsigned int x = number * (uint64_t)step % (2 * (f->width - box));

	/* there and back again */
	if (x > f->width - box)
		x = 2 * (f->width - box) - x;

	draw_pattern(mem, f, look);
	draw_rect(mem, f, x & ~1U, f->height / 2 - box / 2, box, box,
		  seen(look, 255, 128, 0));
	draw_number(mem, f, number);
	draw_strip(mem, f, number);
}
