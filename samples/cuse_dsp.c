// SPDX-License-Identifier: GPL-2.0
/*
 * cuse_dsp - an OSS sound card, /dev/dsp, that is a process
 *
 * What a client maps (mmap(2) on /dev/dsp) is a FUSE buffer, from which the card
 * fetches sound as it plays: by asking what was written since it fetched last,
 * and copying these pages into its own ring.  The client is not asked, and does
 * not ask, when sound goes in or out.  Clients that use write(2) fill the card's
 * ring through the server.
 *
 * The card's clock is CLOCK_MONOTONIC: whoever asks for the position gets what
 * the clock says, and a thread plays what is due.  Requests that must wait
 * (write(2) to a full ring, SYNC, open(2) while the last client's sound still
 * plays) are kept, and answered by that thread.  No handler blocks, so one loop
 * is enough, and it keeps RELEASE before the OPEN that follows it.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/soundcard.h>

#include "fuse_buffers.h"

#define MIN_RATE	4000
#define MAX_RATE	192000
#define MIN_FRAG_SHIFT	4
#define MAX_RING_SHIFT	18
#define NSEC		1000000000ULL

static const struct format {
	int afmt;
	int bits;
	int silence;
} formats[] = {
	{ AFMT_U8,	8,	0x80 },
	{ AFMT_S16_LE,	16,	0 },
};

/* A request that waits */
struct waiter {
	struct waiter *next;
	fuse_req_t req;
	enum { WAIT_OPEN, WAIT_WRITE, WAIT_SYNC } what;
	bool interrupted;
	int error;
	struct fuse_file_info fi;
	size_t len, done;
	char data[];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* the player has something new to do */
	bool quit;

	bool open;
	bool closing;			/* released, but still playing */
	bool nonblock;			/* SNDCTL_DSP_NONBLOCK */
	const struct format *format;
	int rate;
	int channels;
	int fragment;			/* SETFRAGMENT's argument, or 0 */

	uint8_t *ring;			/* NULL until it is needed */
	size_t ring_size;		/* what the card plays in circles */
	size_t map_size;		/* the same in whole pages */
	size_t frag_size;
	uint64_t nodeid;
	int buffer;			/* what clients map, or -1 */
	int maps;			/* by the client */
	uint64_t since;			/* what was written before is in the ring */
	uint64_t fetched;		/* bytes, of all rings */

	bool trigger;
	bool loop;			/* plays the ring for ever */
	bool running;
	uint64_t start_time, start_pos;
	uint64_t pos;			/* bytes played since RESET */
	uint64_t written;		/* bytes written since RESET */
	uint64_t blocks;		/* fragments told by GETOPTR */

	struct fuse_pollhandle *poll;
	struct waiter *waiters, **waiters_end;
} card = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.format = &formats[0],
	.rate = 8000,
	.channels = 1,
	.buffer = -1,
	.waiters_end = &card.waiters,
};

static struct {
	char path[PATH_MAX];		/* of the first file, empty: none */
	int fd;
	int files;
	const struct format *format;
	int rate;
	int channels;
	uint64_t bytes;
} wav = { .fd = -1 };

static struct fuse_buffers *buffers;
static bool have_buffers;

/*
 * The WAV.  Sound goes in first, then the header that counts it: a run that is
 * cut off leaves a valid file.
 */

static void put_le(uint8_t *to, int bytes, uint32_t v)
{
	for (; bytes--; v >>= 8)
		*to++ = v;
}

static int wav_header(void)
{
	int frame = wav.channels * wav.format->bits / 8;
	uint8_t h[44];

	memcpy(h, "RIFF", 4);
	put_le(h + 4, 4, sizeof(h) - 8 + wav.bytes);
	memcpy(h + 8, "WAVEfmt ", 8);
	put_le(h + 16, 4, 16);
	put_le(h + 20, 2, 1);
	put_le(h + 22, 2, wav.channels);
	put_le(h + 24, 4, wav.rate);
	put_le(h + 28, 4, wav.rate * frame);
	put_le(h + 32, 2, frame);
	put_le(h + 34, 2, wav.format->bits);
	memcpy(h + 36, "data", 4);
	put_le(h + 40, 4, wav.bytes);
	return pwrite(wav.fd, h, sizeof(h), 0) == sizeof(h) ? 0 : -1;
}

static void wav_stop(void)
{
	warn("%s: not recording any more", wav.path);
	close(wav.fd);
	wav.fd = -1;
}

/* Begin a file for sound in the current format: FILE.wav, FILE-2.wav, ... */
static int wav_begin(void)
{
	const char *dot = strrchr(wav.path, '.');
	char path[PATH_MAX + 16];

	if (!dot || strchr(dot, '/'))
		dot = wav.path + strlen(wav.path);
	if (wav.fd < 0 || wav.bytes) {
		if (wav.files++)
			snprintf(path, sizeof(path), "%.*s-%d%s",
				 (int)(dot - wav.path), wav.path, wav.files,
				 dot);
		else
			strcpy(path, wav.path);
		if (wav.fd >= 0)
			close(wav.fd);
		wav.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			      0666);
		if (wav.fd < 0)
			return -1;
	}
	wav.bytes = 0;
	wav.format = card.format;
	wav.rate = card.rate;
	wav.channels = card.channels;
	return wav_header();
}

static void wav_play(const uint8_t *data, size_t len)
{
	if (wav.fd < 0)
		return;
	if ((wav.format != card.format || wav.rate != card.rate ||
	     wav.channels != card.channels ||
	     wav.bytes + len > UINT32_MAX - 44) && wav_begin())
		goto fail;
	while (len) {
		ssize_t n = pwrite(wav.fd, data, len, 44 + wav.bytes);

		if (n <= 0)
			goto fail;
		wav.bytes += n;
		data += n;
		len -= n;
	}
	if (!wav_header())
		return;
fail:
	wav_stop();
}

/* The card.  All of this with card.lock held. */

static int frame_size(void)
{
	return card.channels * card.format->bits / 8;
}

static uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

/* Bytes that were written and not played yet, in whole frames */
static size_t queued(void)
{
	size_t n = card.loop ? 0 : card.written - card.pos;

	return n - n % frame_size();
}

static size_t space(void)
{
	return card.loop || card.maps ? card.ring_size :
	       card.ring_size - (card.written - card.pos);
}

static void start_clock(void)
{
	card.start_time = clock_now();
	card.start_pos = card.pos;
	card.running = true;
	pthread_cond_signal(&card.wake);
}

/* Have in the ring what the client has written to its memory */
static void fetch(void)
{
	struct fuse_buffer_range ranges[16];
	int n, i;

	if (card.buffer < 0)
		return;
	do {
		n = fuse_buffers_dirty(card.buffer, &card.since, ranges, 16);
		for (i = 0; i < n; i++)
			card.fetched += pread(card.buffer,
					      card.ring + ranges[i].start,
					      ranges[i].len, ranges[i].start);
	} while (n == 16);
}

/* Play what is due by now */
static void advance(void)
{
	uint64_t ns, due, max = card.ring_size;
	bool late;

	if (!card.running)
		return;
	if (!card.loop)
		max = queued();
	ns = clock_now() - card.start_time;
	due = ns / NSEC * card.rate + ns % NSEC * card.rate / NSEC;
	due = card.start_pos + due * frame_size() - card.pos;
	late = due > card.ring_size;
	if (due > max)
		due = max;
	if (due)
		fetch();
	while (due) {
		size_t at = card.pos % card.ring_size;
		size_t n = card.ring_size - at;

		if (n > due)
			n = due;
		wav_play(card.ring + at, n);
		card.pos += n;
		due -= n;
	}
	if (!card.loop && !queued())
		card.running = false;
	else if (late)		/* this process was stopped: so is its clock */
		start_clock();
}

static void stop(void)
{
	advance();
	card.running = false;
}

static void reset(void)
{
	stop();
	card.loop = false;
	card.pos = card.written = card.blocks = 0;
}

static void drop_buffer(void)
{
	if (card.buffer >= 0)
		close(card.buffer);
	card.buffer = -1;
}

static void drop_ring(void)
{
	drop_buffer();
	free(card.ring);
	card.ring = NULL;
}

/* Settle the size of the ring and have it */
static int need_ring(void)
{
	int bytes = card.rate * frame_size(), shift, min = MIN_FRAG_SHIFT;
	size_t page = sysconf(_SC_PAGESIZE), frags;

	if (card.ring)
		return 0;
	/* No card interrupts more often than each 4 ms */
	while (bytes >> min > 250)
		min++;
	if (card.fragment) {
		shift = card.fragment & 0xffff;
		frags = card.fragment >> 16 & 0x7fff ?: 0x7fff;
	} else {
		for (shift = min; bytes >> shift > 20;)
			shift++;
		frags = 16;
	}
	if (shift < min)
		shift = min;
	if (shift > MAX_RING_SHIFT - 1)
		shift = MAX_RING_SHIFT - 1;
	if (frags > 1U << (MAX_RING_SHIFT - shift))
		frags = 1U << (MAX_RING_SHIFT - shift);
	if (frags < 2)
		frags = 2;

	card.frag_size = 1U << shift;
	card.ring_size = frags << shift;
	card.map_size = (card.ring_size + page - 1) / page * page;
	card.ring = malloc(card.map_size);
	if (!card.ring)
		return -ENOMEM;
	memset(card.ring, card.format->silence, card.map_size);
	return 0;
}

/* Have what the client will map, silent as the ring then is */
static int need_buffer(void)
{
	if (card.buffer >= 0)
		return 0;
	/* The client's alone: never the last one's memory */
	card.nodeid = (card.nodeid + 1) | FUSE_BUFFER_NODEID;
	card.buffer = fuse_buffers_open(buffers, card.nodeid, card.map_size,
					FUSE_BUFFER_LOG);
	if (card.buffer < 0)
		return card.buffer;
	card.since = 0;
	memset(card.ring, card.format->silence, card.map_size);
	/* Lack of memory is an error here, a SIGBUS to the client later */
	if (pwrite(card.buffer, card.ring, card.map_size, 0) ==
	    (ssize_t)card.map_size)
		return 0;
	drop_buffer();
	return -ENOMEM;
}

/* To be called when a parameter is about to change */
static void change(void)
{
	advance();
	if (card.running)
		start_clock();
	else if (!card.maps && card.written == card.pos)
		drop_ring();
}

static void set_trigger(bool on)
{
	card.trigger = on;
	if (!on) {
		stop();
	} else if (!card.running) {
		if (card.maps)
			card.loop = true;
		if (card.loop || queued())
			start_clock();
	}
}

/* Put some of it into the ring */
static size_t feed(const char *data, size_t len)
{
	size_t done = 0;

	advance();
	drop_buffer();
	if (len > space())
		len = space();
	while (done < len) {
		size_t at = card.written % card.ring_size;
		size_t n = card.ring_size - at;

		if (n > len - done)
			n = len - done;
		memcpy(card.ring + at, data + done, n);
		card.written += n;
		done += n;
	}
	if (card.trigger && !card.running && queued())
		start_clock();
	return done;
}

static int poll_events(void)
{
	if (need_ring())
		return POLLERR;
	advance();
	if (card.maps || card.loop)
		return card.pos / card.frag_size != card.blocks ? POLLOUT : 0;
	return space() >= card.frag_size ? POLLOUT : 0;
}

static void open_card(void)
{
	card.open = true;
	card.closing = false;
	card.nonblock = false;
	card.format = &formats[0];
	card.rate = 8000;
	card.channels = 1;
	card.fragment = 0;
	card.trigger = true;
}

static void close_card(void)
{
	reset();
	drop_ring();
	card.open = false;
}

/*
 * Requests that wait.  libfuse calls interrupted() with a lock of the request
 * held, which fuse_req_interrupt_func() takes: so never call that one under
 * card.lock, and never answer in interrupted().
 */

static void interrupted(fuse_req_t req, void *data)
{
	struct waiter *w = data;

	(void)req;
	pthread_mutex_lock(&card.lock);
	w->interrupted = true;
	pthread_cond_signal(&card.wake);
	pthread_mutex_unlock(&card.lock);
}

/* Make a request wait; the player looks at it at once */
static void wait_for(fuse_req_t req, int what, const struct fuse_file_info *fi,
		     const char *data, size_t len, size_t done)
{
	struct waiter *w = calloc(1, sizeof(*w) + len);

	if (!w) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	w->req = req;
	w->what = what;
	w->fi = *fi;
	w->len = len;
	w->done = done;
	if (len)
		memcpy(w->data, data, len);
	fuse_req_interrupt_func(req, interrupted, w);
	pthread_mutex_lock(&card.lock);
	*card.waiters_end = w;
	card.waiters_end = &w->next;
	pthread_cond_signal(&card.wake);
	pthread_mutex_unlock(&card.lock);
}

/* Can it be answered? */
static bool ready(struct waiter *w, bool first_write)
{
	switch (w->what) {
	case WAIT_OPEN:
		if (card.open && card.closing)
			break;
		if (card.open)
			w->error = EBUSY;
		else
			open_card();
		return true;
	case WAIT_WRITE:
		if (!first_write)
			break;
		w->error = card.maps ? ENXIO : -need_ring();
		if (!w->error)
			w->done += feed(w->data + w->done, w->len - w->done);
		if (w->error || w->done == w->len)
			return true;
		break;
	case WAIT_SYNC:
		if (!card.running || card.loop)
			return true;
	}
	if (w->interrupted)
		w->error = EINTR;
	return w->interrupted;
}

/* Take those that can be answered off the list */
static struct waiter *take_ready(void)
{
	struct waiter **p = &card.waiters, *w, *done = NULL, **end = &done;
	bool first_write = true;

	while ((w = *p)) {
		if (ready(w, first_write)) {
			*p = w->next;
			*end = w;
			end = &w->next;
			w->next = NULL;
		} else {
			if (w->what == WAIT_WRITE)
				first_write = false;
			p = &w->next;
		}
	}
	card.waiters_end = p;
	return done;
}

static void answer_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->nonseekable = 1;
	if (fuse_reply_open(req, fi)) {
		/* The client is gone, and no RELEASE will come */
		pthread_mutex_lock(&card.lock);
		close_card();
		pthread_cond_signal(&card.wake);
		pthread_mutex_unlock(&card.lock);
	}
}

static void answer(struct waiter *w)
{
	fuse_req_interrupt_func(w->req, NULL, NULL);
	if (w->what == WAIT_WRITE && w->done)
		fuse_reply_write(w->req, w->done);
	else if (w->error)
		fuse_reply_err(w->req, w->error);
	else if (w->what == WAIT_OPEN)
		answer_open(w->req, &w->fi);
	else
		fuse_reply_ioctl(w->req, 0, NULL, 0);
	free(w);
}

static void *player(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&card.lock);
	while (!card.quit) {
		struct fuse_pollhandle *poll = NULL;
		struct waiter *w;

		advance();
		if (card.open && card.closing && !card.running)
			close_card();
		w = take_ready();
		if (card.poll && card.open && poll_events()) {
			poll = card.poll;
			card.poll = NULL;
		}
		if (w || poll) {
			pthread_mutex_unlock(&card.lock);
			while (w) {
				struct waiter *next = w->next;

				answer(w);
				w = next;
			}
			if (poll) {
				fuse_lowlevel_notify_poll(poll);
				fuse_pollhandle_destroy(poll);
			}
			pthread_mutex_lock(&card.lock);
		} else if (card.running) {
			uint64_t t = clock_now() + NSEC * card.frag_size /
				     (card.rate * frame_size());
			struct timespec until = { t / NSEC, t % NSEC };

			pthread_cond_timedwait(&card.wake, &card.lock, &until);
		} else {
			pthread_cond_wait(&card.wake, &card.lock);
		}
	}
	pthread_mutex_unlock(&card.lock);
	return NULL;
}

/* What the kernel asks */

static void dsp_open(fuse_req_t req, struct fuse_file_info *fi)
{
	bool busy, last;

	if ((fi->flags & O_ACCMODE) == O_RDONLY) {
		fuse_reply_err(req, ENXIO);	/* nothing to record from */
		return;
	}
	pthread_mutex_lock(&card.lock);
	busy = card.open;
	last = card.open && card.closing;
	if (!busy)
		open_card();
	pthread_mutex_unlock(&card.lock);

	if (!busy)
		answer_open(req, fi);
	else if (last && !(fi->flags & O_NONBLOCK))
		wait_for(req, WAIT_OPEN, fi, NULL, 0, 0);
	else
		fuse_reply_err(req, EBUSY);
}

static void dsp_release(fuse_req_t req, struct fuse_file_info *fi)
{
	(void)fi;
	pthread_mutex_lock(&card.lock);
	if (card.poll)
		fuse_pollhandle_destroy(card.poll);
	card.poll = NULL;
	advance();
	if (card.running && !card.loop)
		card.closing = true;	/* when it has played the rest */
	else
		close_card();
	pthread_cond_signal(&card.wake);
	pthread_mutex_unlock(&card.lock);
	fuse_reply_err(req, 0);
}

static void dsp_read(fuse_req_t req, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)size;
	(void)off;
	(void)fi;
	fuse_reply_err(req, ENXIO);
}

static void dsp_write(fuse_req_t req, const char *buf, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	size_t done = 0;
	bool block;
	int ret;

	(void)off;
	pthread_mutex_lock(&card.lock);
	block = !card.nonblock && !(fi->flags & O_NONBLOCK);
	if (card.loop && !card.maps)
		reset();
	ret = card.maps ? -ENXIO : need_ring();
	advance();
	/* Not a few bytes at a time: a fragment, as poll(2) says */
	if (!ret && !card.waiters &&
	    (space() >= size || space() >= card.frag_size))
		done = feed(buf, size);
	pthread_mutex_unlock(&card.lock);

	if (ret)
		fuse_reply_err(req, -ret);
	else if (done == size || (done && !block))
		fuse_reply_write(req, done);
	else if (block)
		wait_for(req, WAIT_WRITE, fi, buf, size, done);
	else
		fuse_reply_err(req, EAGAIN);
}

static void dsp_poll(fuse_req_t req, struct fuse_file_info *fi,
		     struct fuse_pollhandle *ph)
{
	unsigned int events;

	(void)fi;
	pthread_mutex_lock(&card.lock);
	events = poll_events();
	if (ph) {
		if (card.poll)
			fuse_pollhandle_destroy(card.poll);
		card.poll = ph;
	}
	pthread_mutex_unlock(&card.lock);
	fuse_reply_poll(req, events);
}

union result {
	int i;
	struct audio_buf_info space;
	struct count_info ptr;
};

/* Returns the result's size or an error */
static int do_ioctl(unsigned int cmd, int arg, union result *r)
{
	int ret = 0;

	switch (cmd) {
	case SNDCTL_DSP_SPEED:
		change();
		if (arg > MAX_RATE)
			arg = MAX_RATE;
		if (arg > 0)
			card.rate = arg < MIN_RATE ? MIN_RATE : arg;
		/* fall through */
	case SOUND_PCM_READ_RATE:
		r->i = card.rate;
		break;
	case SNDCTL_DSP_STEREO:
		change();
		card.channels = arg ? 2 : 1;
		r->i = card.channels - 1;
		break;
	case SNDCTL_DSP_CHANNELS:
		change();
		if (arg > 0)
			card.channels = arg > 1 ? 2 : 1;
		/* fall through */
	case SOUND_PCM_READ_CHANNELS:
		r->i = card.channels;
		break;
	case SNDCTL_DSP_SETFMT:
		change();
		for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
			if (formats[i].afmt == arg)
				card.format = &formats[i];
		r->i = card.format->afmt;
		break;
	case SOUND_PCM_READ_BITS:
		r->i = card.format->bits;
		break;
	case SNDCTL_DSP_GETFMTS:
		r->i = 0;
		for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
			r->i |= formats[i].afmt;
		break;
	case SNDCTL_DSP_SETFRAGMENT:
		change();
		if (card.ring || !(arg & 0xffff))
			return -EINVAL;
		card.fragment = arg;
		r->i = arg;
		break;
	case SNDCTL_DSP_GETBLKSIZE:
		ret = need_ring();
		r->i = card.frag_size;
		break;
	case SNDCTL_DSP_GETOSPACE:
		ret = need_ring();
		if (ret)
			break;
		advance();
		r->space.fragsize = card.frag_size;
		r->space.fragstotal = card.ring_size / card.frag_size;
		r->space.bytes = space();
		r->space.fragments = r->space.bytes / card.frag_size;
		return sizeof(r->space);
	case SNDCTL_DSP_GETOPTR:
		ret = need_ring();
		if (ret)
			break;
		advance();
		r->ptr.bytes = card.pos & INT_MAX;
		r->ptr.blocks = card.pos / card.frag_size - card.blocks;
		r->ptr.ptr = card.pos % card.ring_size;
		card.blocks = card.pos / card.frag_size;
		return sizeof(r->ptr);
	case SNDCTL_DSP_GETODELAY:
		advance();
		r->i = queued();
		break;
	case SNDCTL_DSP_GETCAPS:
		r->i = DSP_CAP_TRIGGER | DSP_CAP_REALTIME;
		if (have_buffers)
			r->i |= DSP_CAP_MMAP;
		break;
	case SNDCTL_DSP_SETTRIGGER:
		if (arg & ~PCM_ENABLE_OUTPUT)
			return -EINVAL;
		set_trigger(arg);
		/* fall through */
	case SNDCTL_DSP_GETTRIGGER:
		r->i = card.trigger ? PCM_ENABLE_OUTPUT : 0;
		break;
	case SNDCTL_DSP_RESET:
		reset();
		return 0;
	case SNDCTL_DSP_NONBLOCK:
		card.nonblock = true;
		return 0;
	case SNDCTL_DSP_POST:		/* writes start it anyway */
	case SNDCTL_DSP_SETSYNCRO:
		return 0;
	case SNDCTL_DSP_SETDUPLEX:
		return -EIO;
	case OSS_GETVERSION:
		r->i = SOUND_VERSION;
		break;
	default:
		return _IOC_TYPE(cmd) == 'P' ? -EINVAL : -ENOTTY;
	}
	return ret ?: (int)sizeof(r->i);
}

static void dsp_ioctl(fuse_req_t req, int cmd, void *p,
		      struct fuse_file_info *fi, unsigned int flags,
		      const void *in, size_t in_size, size_t out_size)
{
	union result r;
	int arg = 0, ret;

	(void)p;
	(void)flags;
	if (cmd == (int)SNDCTL_DSP_SYNC) {
		wait_for(req, WAIT_SYNC, fi, NULL, 0, 0);
		return;
	}
	if (in_size >= sizeof(arg))
		memcpy(&arg, in, sizeof(arg));
	pthread_mutex_lock(&card.lock);
	ret = do_ioctl(cmd, arg, &r);
	/* Space or a stop may be what someone waits for */
	pthread_cond_signal(&card.wake);
	pthread_mutex_unlock(&card.lock);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_ioctl(req, 0, &r, out_size ? ret : 0);
}

static void dsp_mmap(fuse_req_t req, fuse_ino_t ino,
		     const struct fuse_mmap_in *in)
{
	uint64_t nodeid;
	int ret;

	(void)ino;
	if (!(in->prot & PROT_WRITE)) {
		fuse_reply_err(req, ENXIO);	/* the ring of a recording */
		return;
	}
	if (!(in->flags & MAP_SHARED)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	pthread_mutex_lock(&card.lock);
	ret = need_ring();
	if (!ret && (in->offset || in->len > card.map_size))
		ret = -EINVAL;
	if (!ret && !card.loop && card.written != card.pos)
		ret = -EBUSY;
	if (!ret)
		ret = need_buffer();
	if (!ret && !card.maps++ && !card.loop)
		reset();
	nodeid = card.nodeid;
	pthread_mutex_unlock(&card.lock);

	if (ret) {
		fuse_reply_err(req, -ret);
	} else if (fuse_reply_mmap(req, nodeid, 0, 0, 0)) {
		pthread_mutex_lock(&card.lock);
		card.maps--;
		pthread_mutex_unlock(&card.lock);
	}
}

static void dsp_munmap(void *userdata, fuse_ino_t ino,
		       const struct fuse_munmap_in *in)
{
	(void)userdata;
	(void)ino;
	(void)in;
	pthread_mutex_lock(&card.lock);
	card.maps--;
	pthread_mutex_unlock(&card.lock);
}

static pthread_t player_thread;
static bool playing;

/* Runs when the node is there and this process is in the background */
static void dsp_init_done(void *unused)
{
	sigset_t all, old;

	(void)unused;
	have_buffers = fuse_buffers_features(buffers) & FUSE_FEATURE_BUFFERS;
	if (!have_buffers)
		warnx("this kernel has no FUSE buffers: write(2) plays, mmap(2) fails with ENODEV");

	/* Signals are for the loop */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&player_thread, NULL, player, NULL))
		errx(1, "cannot start a thread");
	playing = true;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Runs while the session can still be used */
static void dsp_destroy(void *unused)
{
	(void)unused;
	if (!playing)
		return;
	pthread_mutex_lock(&card.lock);
	card.quit = true;
	pthread_cond_signal(&card.wake);
	pthread_mutex_unlock(&card.lock);
	pthread_join(player_thread, NULL);
}

static const struct cuse_lowlevel_ops dsp_ops = {
	.init_done = dsp_init_done,
	.destroy = dsp_destroy,
	.open = dsp_open,
	.release = dsp_release,
	.read = dsp_read,
	.write = dsp_write,
	.poll = dsp_poll,
	.ioctl = dsp_ioctl,
};

static const struct fuse_buffer_ops dsp_buffer_ops = {
	.mmap = dsp_mmap,
	.munmap = dsp_munmap,
};

static const struct option options[] = {
	{ "name",	required_argument, NULL, 'n' },
	{ "wav",	required_argument, NULL, 'w' },
	{ "foreground",	no_argument, NULL, 'f' },
	{ "debug",	no_argument, NULL, 'd' },
	{ "help",	no_argument, NULL, 'h' },
	{ }
};

static const char usage[] =
	"usage: %s [options]\n"
	"An OSS sound card, /dev/dsp, whose ring clients can map.\n"
	"  -n, --name NAME   of the device in /dev (dsp)\n"
	"  -w, --wav FILE    write what is played to FILE; when the format changes,\n"
	"                    go on in FILE-2, FILE-3, ... (before the extension)\n"
	"  -f, --foreground  do not become a daemon; otherwise the command returns\n"
	"                    when the device is there; tell at the end how much was\n"
	"                    copied out of mapped rings\n"
	"  -d, --debug       log each request, in the foreground\n"
	"  -h, --help        this text\n";

int main(int argc, char **argv)
{
	unsigned int flags = FUSE_BUFFERS_SINGLE | FUSE_BUFFERS_OPTIONAL;
	char dev_name[NAME_MAX + 16], *name = "dsp";
	const char *dev_info[] = { dev_name };
	struct cuse_info info = {
		.dev_info_argc = 1,
		.dev_info_argv = dev_info,
	};
	pthread_condattr_t attr;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "n:w:fdh", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			name = optarg;
			break;
		case 'w':
			snprintf(wav.path, sizeof(wav.path), "%s", optarg);
			break;
		case 'd':
			flags |= FUSE_BUFFERS_DEBUG;
			/* fall through */
		case 'f':
			flags |= FUSE_BUFFERS_FOREGROUND;
			break;
		case 'h':
			printf(usage, program_invocation_short_name);
			return 0;
		default:
			fprintf(stderr, usage, program_invocation_short_name);
			return 2;
		}
	}
	if (optind < argc || !*name || strlen(name) > NAME_MAX) {
		fprintf(stderr, usage, program_invocation_short_name);
		return 2;
	}
	snprintf(dev_name, sizeof(dev_name), "DEVNAME=%s", name);

	if (*wav.path) {
		const char *file = strdupa(wav.path);

		/* The background has another directory */
		if (wav_begin() || !realpath(file, wav.path))
			err(1, "%s", file);
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&card.wake, &attr);

	buffers = fuse_buffers_new(&dsp_buffer_ops, NULL);
	if (!buffers)
		err(1, "fuse_buffers_new");
	ret = fuse_buffers_cuse_main(buffers, &info, &dsp_ops,
				     FUSE_FEATURE_BUFFERS |
				     FUSE_FEATURE_RESTART, flags, NULL);
	fuse_buffers_free(buffers);
	fprintf(stderr, "/dev/%s: %llu bytes were copied out of mapped rings\n",
		name, (unsigned long long)card.fetched);
	return ret;
}
