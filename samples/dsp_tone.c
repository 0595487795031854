// SPDX-License-Identifier: GPL-2.0
/*
 * dsp_tone - play a sine tone on an OSS sound card, as the games of that time
 * did: map the ring that the card plays in circles, follow GETOPTR and keep
 * the ring filled ahead of it.
 *
 * Uses nothing but OSS: it runs on any /dev/dsp.
 */
#define _GNU_SOURCE

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/soundcard.h>

static const char *device = "/dev/dsp";
static double seconds = 3, freq = 440;
static int rate = 11025, channels = 1, bits = 16, frags = 16, frag_size = 2048;
static bool use_write, nonblock;

static int dsp, frame_size;
static uint64_t total_frames;		/* of the tone */

#define NEED_CAPS (DSP_CAP_TRIGGER | DSP_CAP_MMAP)

/* Put frame number n of the tone, silence when the tone is over */
static void put_frame(uint8_t *to, uint64_t n)
{
	for (int c = 0; c < channels; c++) {
		/* A fifth between the channels tells them apart */
		double f = c ? freq * 1.5 : freq;
		double v = n < total_frames ?
			   0.6 * sin(2 * M_PI * fmod(f * n / rate, 1)) : 0;

		if (bits == 16) {
			int16_t s = lrint(v * 32767);

			*to++ = s & 0xff;
			*to++ = s >> 8 & 0xff;
		} else {
			*to++ = 128 + lrint(v * 127);
		}
	}
}

/* Set a parameter that the card may change, but that we need as it is */
static void set(unsigned long cmd, const char *what, int want)
{
	int have = want;

	if (ioctl(dsp, cmd, &have))
		err(1, "%s: %s", device, what);
	if (have != want)
		errx(1, "%s: %s: asked for %d, got %d", device, what, want,
		     have);
}

static void setup(void)
{
	int version = 0, caps, fmts, shift = 0, arg;

	dsp = open(device, (use_write ? O_WRONLY : O_RDWR) |
			   (nonblock ? O_NONBLOCK : 0));
	if (dsp < 0)
		err(1, "%s", device);
	ioctl(dsp, OSS_GETVERSION, &version);
	if (ioctl(dsp, SNDCTL_DSP_GETCAPS, &caps))
		err(1, "%s: GETCAPS", device);
	if (ioctl(dsp, SNDCTL_DSP_GETFMTS, &fmts))
		err(1, "%s: GETFMTS", device);
	printf("%s: OSS %d.%d.%d, formats%s%s, capabilities%s%s%s\n", device,
	       version >> 16, version >> 8 & 0xff, version & 0xff,
	       fmts & AFMT_U8 ? " U8" : "", fmts & AFMT_S16_LE ? " S16_LE" : "",
	       caps & DSP_CAP_TRIGGER ? " trigger" : "",
	       caps & DSP_CAP_MMAP ? " mmap" : "",
	       caps & DSP_CAP_REALTIME ? " realtime" : "");
	if (!use_write && (caps & NEED_CAPS) != NEED_CAPS)
		errx(1, "%s: this card cannot be played by mmap (--write can)",
		     device);

	while (1 << shift < frag_size)
		shift++;
	arg = frags << 16 | shift;
	if (ioctl(dsp, SNDCTL_DSP_SETFRAGMENT, &arg))
		err(1, "%s: SETFRAGMENT", device);
	set(SNDCTL_DSP_SETFMT, "SETFMT", bits == 16 ? AFMT_S16_LE : AFMT_U8);
	set(SNDCTL_DSP_CHANNELS, "CHANNELS", channels);
	set(SNDCTL_DSP_SPEED, "SPEED", rate);
	frame_size = channels * bits / 8;
	total_frames = seconds * rate;
}

static void trigger(int on)
{
	int arg = on ? PCM_ENABLE_OUTPUT : 0;

	if (ioctl(dsp, SNDCTL_DSP_SETTRIGGER, &arg))
		err(1, "%s: SETTRIGGER", device);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void play_mmap(void)
{
	uint64_t filled = 0, played = 0, frame = 0, late = 0;
	struct audio_buf_info space;
	struct count_info ptr = { 0 };
	double start, moved;
	uint32_t ring_size, last = 0;
	uint8_t *ring;
	int blocks = 0;

	if (ioctl(dsp, SNDCTL_DSP_GETOSPACE, &space))
		err(1, "%s: GETOSPACE", device);
	ring_size = space.fragstotal * space.fragsize;
	ring = mmap(NULL, ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, dsp,
		    0);
	if (ring == MAP_FAILED)
		err(1, "%s: mmap of the ring (--write plays without)", device);
	printf("%s: mapped a ring of %d fragments of %d bytes, %.2f s of sound\n",
	       device, space.fragstotal, space.fragsize,
	       (double)ring_size / frame_size / rate);

	trigger(0);
	for (; filled + frame_size <= ring_size; filled += frame_size)
		put_frame(ring + filled, frame++);
	trigger(1);
	start = moved = now();

	/* The card plays for a while after the tone, which must be silence */
	while (played < (total_frames + rate / 10) * frame_size) {
		/* Half a fragment */
		poll(NULL, 0, 500 * space.fragsize / frame_size / rate + 1);
		if (ioctl(dsp, SNDCTL_DSP_GETOPTR, &ptr))
			err(1, "%s: GETOPTR", device);
		played += ((uint32_t)ptr.bytes - last) & INT32_MAX;
		last = ptr.bytes;
		blocks += ptr.blocks;
		if ((uint64_t)ptr.ptr != played % ring_size)
			errx(1, "%s: GETOPTR: ptr %d, but %llu bytes played of a ring of %u",
			     device, ptr.ptr, (unsigned long long)played,
			     ring_size);

		if (ptr.blocks)
			moved = now();
		else if (now() - moved > 10)
			errx(1, "%s: the card stopped at %llu bytes", device,
			     (unsigned long long)played);

		if (played > filled) {
			late++;
			frame += (played - filled) / frame_size;
			filled = played - played % frame_size;
		}
		/* A real card fetches ahead: stay out of the current fragment */
		while (filled + frame_size + space.fragsize <=
		       played + ring_size) {
			put_frame(ring + filled % ring_size, frame++);
			filled += frame_size;
		}
	}
	printf("%s: played %llu bytes, %d fragments, by mmap in %.2f s\n",
	       device, (unsigned long long)played, blocks, now() - start);

	trigger(0);
	if (munmap(ring, ring_size))
		err(1, "munmap");
	if (late)
		errx(1, "%s: this program came too late %llu times: use a larger ring",
		     device, (unsigned long long)late);
}

static void play_write(void)
{
	uint8_t *buf = malloc(frag_size);
	uint64_t frame = 0, full = 0;
	double start = now();

	if (!buf)
		err(1, "malloc");
	while (frame < total_frames) {
		size_t len = 0, done = 0;

		while (frame < total_frames &&
		       len + frame_size <= (size_t)frag_size) {
			put_frame(buf + len, frame++);
			len += frame_size;
		}
		while (done < len) {
			struct pollfd fd = { .fd = dsp, .events = POLLOUT };
			ssize_t n = write(dsp, buf + done, len - done);

			if (n > 0) {
				done += n;
				continue;
			}
			if (!n || !nonblock || errno != EAGAIN)
				err(1, "%s: write", device);
			full++;
			if (poll(&fd, 1, 10000) != 1)
				errx(1, "%s: still full after 10 s", device);
		}
	}
	free(buf);
	if (ioctl(dsp, SNDCTL_DSP_SYNC))
		err(1, "%s: SYNC", device);
	printf("%s: played %llu bytes by write in %.2f s, waited %llu times\n",
	       device, (unsigned long long)frame * frame_size, now() - start,
	       (unsigned long long)full);
}

static const struct option options[] = {
	{ "device",	required_argument, NULL, 'd' },
	{ "seconds",	required_argument, NULL, 's' },
	{ "freq",	required_argument, NULL, 'f' },
	{ "rate",	required_argument, NULL, 'r' },
	{ "channels",	required_argument, NULL, 'c' },
	{ "bits",	required_argument, NULL, 'b' },
	{ "fragments",	required_argument, NULL, 'n' },
	{ "fragsize",	required_argument, NULL, 'z' },
	{ "write",	no_argument, NULL, 'w' },
	{ "nonblock",	no_argument, NULL, 'o' },
	{ "help",	no_argument, NULL, 'h' },
	{ }
};

static void usage(FILE *to)
{
	fprintf(to,
		"usage: %s [options]\n"
		"Play a sine tone on an OSS sound card through its mapped ring.\n"
		"  --device FILE   (/dev/dsp)\n"
		"  --seconds N     length of the tone (3)\n"
		"  --freq HZ       of the left channel, the right has 1.5 times that (440)\n"
		"  --rate HZ       samples a second (11025)\n"
		"  --channels N    1 or 2 (1)\n"
		"  --bits N        8 or 16 (16)\n"
		"  --fragments N   of the ring (16)\n"
		"  --fragsize N    bytes of a fragment, a power of two (2048)\n"
		"  --write         play by write(2), not by mmap(2)\n"
		"  --nonblock      with --write: O_NONBLOCK and poll(2)\n",
		program_invocation_short_name);
}

/* A number between min and max */
static double number(const char *arg, const char *what, double min, double max)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= min && v <= max))
		errx(2, "%s: '%s' is not a number from %g to %g", what, arg,
		     min, max);
	return v;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "d:s:h", options, NULL)) != -1) {
		switch (opt) {
		case 'd':
			device = optarg;
			break;
		case 's':
			seconds = number(optarg, "seconds", 0.1, 3600);
			break;
		case 'f':
			freq = number(optarg, "freq", 1, 96000);
			break;
		case 'r':
			rate = number(optarg, "rate", 1000, 192000);
			break;
		case 'c':
			channels = number(optarg, "channels", 1, 2);
			break;
		case 'b':
			bits = number(optarg, "bits", 8, 16);
			break;
		case 'n':
			frags = number(optarg, "fragments", 2, 0x7fff);
			break;
		case 'z':
			frag_size = number(optarg, "fragsize", 16, 65536);
			break;
		case 'w':
			use_write = true;
			break;
		case 'o':
			nonblock = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc || (bits != 8 && bits != 16) ||
	    frag_size & (frag_size - 1)) {
		usage(stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	setup();
	if (use_write)
		play_write();
	else
		play_mmap();
	/* The card may refuse only now what it still had to play */
	if (close(dsp))
		err(1, "%s: close", device);
	return 0;
}
