/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The frames of cuse_camera: a test pattern with a moving box and the frame's
 * number in digits, under a strip by which a program can verify the frame.
 *
 * The strip is a row of FRAME_BLOCKS white (1) and black (0) blocks in the top
 * left corner, (width / FRAME_BLOCKS) & ~1 pixels wide and height / 16 high.
 * Most significant bit first they say: FRAME_SYNC, the frame's number (32
 * bits), the Adler-32 of all lines under the strip (32 bits), and the sum of
 * those eight bytes (8 bits).
 */
#ifndef CAMERA_FRAME_H
#define CAMERA_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_BLOCKS	80
#define FRAME_SYNC	0xac
#define FRAME_MIN_WIDTH	160
#define FRAME_MIN_HEIGHT 112

enum frame_pattern { FRAME_BARS, FRAME_RAMP, FRAME_CHECKS, FRAME_BLACK,
		     FRAME_PATTERNS };

/**
 * struct frame_format - layout of a frame
 * @rgb:	3 bytes a pixel, R, G, B; else 4 bytes two pixels, Y, U, Y, V
 * @width:	even, at least FRAME_MIN_WIDTH
 * @height:	at least FRAME_MIN_HEIGHT
 */
struct frame_format {
	int rgb;
	unsigned int width;
	unsigned int height;
};

/**
 * struct frame_look - what a camera's controls change
 * @brightness:	0 to 255, 128 is neutral
 * @contrast:	0 to 255, 128 is neutral
 * @hue:	-128 to 127, 0 is neutral
 * @pattern:	enum frame_pattern
 */
struct frame_look {
	int brightness;
	int contrast;
	int hue;
	int pattern;
};

static inline unsigned int frame_stride(const struct frame_format *f)
{
	return f->width * (f->rgb ? 3 : 2);
}

static inline size_t frame_size(const struct frame_format *f)
{
	return (size_t)frame_stride(f) * f->height;
}

void frame_draw(uint8_t *mem, const struct frame_format *f,
		const struct frame_look *look, uint32_t number);

#endif /* CAMERA_FRAME_H */
