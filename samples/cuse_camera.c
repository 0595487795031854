// SPDX-License-Identifier: GPL-2.0
/*
 * A V4L2 capture device in user space: what a program sees of it is what
 * videobuf2 and the control framework do for a driver in the kernel.
 *
 * Each V4L2 buffer is a FUSE buffer, which the clients map and into which the
 * sensor thread draws.  REQBUFS binds the buffers to the file, so that mmap(2)
 * need not ask; mmap(2) through another file does, and is answered as well.  A
 * buffer that is freed while clients have it mapped stays theirs: nodeids are
 * never used twice.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "camera_frame.h"
#include "fuse_buffers.h"

#ifndef V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS
#define V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS (1 << 4)
#endif

#define MIN_BUFFERS	2
#define MAX_BUFFERS	32
#define CAPTURE		V4L2_BUF_TYPE_VIDEO_CAPTURE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

union arg {
	int input;
	uint32_t priority;
	uint32_t type;
	struct v4l2_capability cap;
	struct v4l2_fmtdesc fmtdesc;
	struct v4l2_format format;
	struct v4l2_frmsizeenum size;
	struct v4l2_frmivalenum interval;
	struct v4l2_streamparm parm;
	struct v4l2_input inputdesc;
	struct v4l2_requestbuffers req;
	struct v4l2_buffer buffer;
	struct v4l2_queryctrl query;
	struct v4l2_query_ext_ctrl query_ext;
	struct v4l2_querymenu menu;
	struct v4l2_control control;
	struct v4l2_ext_controls controls;
	struct v4l2_event_subscription subscription;
	struct v4l2_event event;
};

enum { BRIGHTNESS = 1, CONTRAST, HUE, PATTERN = 5, CONTROLS };

/* by id, as programs expect when they ask for the next */
static const struct control {
	uint32_t id;
	uint32_t type;
	const char *name;
	int min, max, def;
	uint32_t flags;
} controls[CONTROLS] = {
	{ V4L2_CID_USER_CLASS, V4L2_CTRL_TYPE_CTRL_CLASS, "User Controls",
	  0, 0, 0, V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY },
	[BRIGHTNESS] = { V4L2_CID_BRIGHTNESS, V4L2_CTRL_TYPE_INTEGER,
	  "Brightness", 0, 255, 128, V4L2_CTRL_FLAG_SLIDER },
	[CONTRAST] = { V4L2_CID_CONTRAST, V4L2_CTRL_TYPE_INTEGER,
	  "Contrast", 0, 255, 128, V4L2_CTRL_FLAG_SLIDER },
	[HUE] = { V4L2_CID_HUE, V4L2_CTRL_TYPE_INTEGER,
	  "Hue", -128, 127, 0, V4L2_CTRL_FLAG_SLIDER },
	{ V4L2_CID_IMAGE_PROC_CLASS, V4L2_CTRL_TYPE_CTRL_CLASS,
	  "Image Processing Controls",
	  0, 0, 0, V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY },
	[PATTERN] = { V4L2_CID_TEST_PATTERN, V4L2_CTRL_TYPE_MENU,
	  "Test Pattern", 0, FRAME_PATTERNS - 1, FRAME_BARS, 0 },
};

static const char * const patterns[FRAME_PATTERNS] = {
	[FRAME_BARS] = "Colour Bars",
	[FRAME_RAMP] = "Grey Ramp",
	[FRAME_CHECKS] = "Checkerboard",
	[FRAME_BLACK] = "Black",
};

static const struct {
	uint32_t fourcc;
	const char *name;
} formats[] = {
	{ V4L2_PIX_FMT_YUYV, "YUYV 4:2:2" },
	{ V4L2_PIX_FMT_RGB24, "24-bit RGB 8-8-8" },
};

/* the last of each is for the command line */
static struct { unsigned int width, height; } sizes[6] = {
	{ 160, 120 }, { 320, 240 }, { 640, 480 }, { 1280, 720 },
	{ 1920, 1080 },
};
static unsigned int nr_sizes = 5;
static unsigned int rates[7] = { 60, 30, 25, 15, 10, 5 };
static unsigned int nr_rates = 6;

struct subscription {
	bool on;
	bool queued;
	uint32_t flags;
	struct v4l2_event event;
};

/* An open file */
struct handle {
	struct handle *next;
	bool nonblock;
	uint32_t priority;
	uint32_t events;
	struct subscription subs[CONTROLS];
	struct fuse_pollhandle *poll;
};

struct buffer {
	enum { IDLE, QUEUED, ACTIVE, DONE } state;
	uint64_t nodeid;
	void *mem;
	unsigned int mapped;
	uint64_t order;
	uint32_t sequence;
	struct timespec time;
};

/* An ioctl that waits for a frame or an event */
struct waiter {
	struct waiter *next;
	fuse_req_t req;
	struct handle *handle;
	const struct command *cmd;
	size_t size;
	union arg arg;
};

static struct {
	const char *name;
	bool keep_all;
	bool bind;
	long frames_left;
	struct fuse_buffers *fb;

	/* held while drawing, taken under lock: waits until no frame is drawn */
	pthread_mutex_t drawing;

	pthread_mutex_t lock;	/* protects what follows */
	pthread_cond_t changed;	/* for the sensor */
	struct handle *handles;
	struct waiter *waiters;
	struct frame_format format;
	unsigned int rate;
	int values[CONTROLS];

	struct handle *owner;
	struct buffer buffers[MAX_BUFFERS];
	unsigned int nr_buffers;
	size_t buffer_size;
	uint64_t nodeids;
	uint64_t order;
	bool primed;		/* a buffer was queued since the last stop */
	bool streaming;
	uint64_t generation;	/* changes when streaming starts or stops */
	uint32_t sequence;
	struct timespec next_frame;
	bool unplugged;		/* --frames are over, or the server ends */
	bool ending;
	pthread_t sensor;
} cam = {
	.name = "video0",
	.bind = true,
	.frames_left = -1,
	.format = { .rgb = false, .width = 640, .height = 480 },
	.rate = 30,
	.drawing = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static void run_waiters(void);

/*
 * Formats
 */

static void fill_format(struct v4l2_pix_format *pix,
			const struct frame_format *f)
{
	*pix = (struct v4l2_pix_format) {
		.width = f->width,
		.height = f->height,
		.pixelformat = formats[f->rgb].fourcc,
		.field = V4L2_FIELD_NONE,
		.bytesperline = frame_stride(f),
		.sizeimage = frame_size(f),
		.colorspace = V4L2_COLORSPACE_SRGB,
		.priv = V4L2_PIX_FMT_PRIV_MAGIC,
		.ycbcr_enc = V4L2_YCBCR_ENC_601,
		.quantization = f->rgb ? V4L2_QUANTIZATION_FULL_RANGE :
					 V4L2_QUANTIZATION_LIM_RANGE,
		.xfer_func = V4L2_XFER_FUNC_SRGB,
	};
}

static int nearest_format(const struct v4l2_format *format,
			  struct frame_format *f)
{
	const struct v4l2_pix_format *pix = &format->fmt.pix;
	unsigned int distance, best = -1U, nearest = 0, i;

	if (format->type != CAPTURE)
		return -EINVAL;

	f->rgb = pix->pixelformat == V4L2_PIX_FMT_RGB24;
	for (i = 0; i < nr_sizes; i++) {
		/* so far off that they are no sizes do not overflow */
		distance = abs((int)(pix->width & 0xfffff) -
			       (int)sizes[i].width) +
			   abs((int)(pix->height & 0xfffff) -
			       (int)sizes[i].height);
		if (distance < best) {
			best = distance;
			nearest = i;
		}
	}
	f->width = sizes[nearest].width;
	f->height = sizes[nearest].height;
	return 0;
}

static int querycap(struct handle *h, union arg *arg)
{
	struct v4l2_capability *cap = &arg->cap;
	unsigned int major = 0, minor = 0;
	struct utsname kernel;

	(void)h;
	memset(cap, 0, sizeof(*cap));
	strcpy((char *)cap->driver, "cuse_camera");
	strcpy((char *)cap->card, "CUSE Camera");
	snprintf((char *)cap->bus_info, sizeof(cap->bus_info),
		 "platform:cuse-%.16s", cam.name);
	if (!uname(&kernel))
		sscanf(kernel.release, "%u.%u", &major, &minor);
	cap->version = major << 16 | minor << 8;
	cap->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING |
			   V4L2_CAP_EXT_PIX_FORMAT;
	cap->capabilities = cap->device_caps | V4L2_CAP_DEVICE_CAPS;
	return 0;
}

static int enum_fmt(struct handle *h, union arg *arg)
{
	uint32_t i = arg->fmtdesc.index;

	(void)h;
	if (arg->fmtdesc.type != CAPTURE || i >= ARRAY_SIZE(formats))
		return -EINVAL;

	arg->fmtdesc = (struct v4l2_fmtdesc) {
		.index = i,
		.type = CAPTURE,
		.pixelformat = formats[i].fourcc,
	};
	strcpy((char *)arg->fmtdesc.description, formats[i].name);
	return 0;
}

static int g_fmt(struct handle *h, union arg *arg)
{
	(void)h;
	if (arg->format.type != CAPTURE)
		return -EINVAL;

	fill_format(&arg->format.fmt.pix, &cam.format);
	return 0;
}

static int try_fmt(struct handle *h, union arg *arg)
{
	struct frame_format f;
	int err;

	(void)h;
	err = nearest_format(&arg->format, &f);
	if (!err)
		fill_format(&arg->format.fmt.pix, &f);
	return err;
}

static int s_fmt(struct handle *h, union arg *arg)
{
	struct frame_format f;
	int err;

	(void)h;
	err = nearest_format(&arg->format, &f);
	if (err)
		return err;
	if (cam.nr_buffers)
		return -EBUSY;

	cam.format = f;
	fill_format(&arg->format.fmt.pix, &f);
	return 0;
}

static bool known_format(uint32_t fourcc)
{
	return fourcc == formats[0].fourcc || fourcc == formats[1].fourcc;
}

static int enum_framesizes(struct handle *h, union arg *arg)
{
	struct v4l2_frmsizeenum old = arg->size;

	(void)h;
	if (!known_format(old.pixel_format) || old.index >= nr_sizes)
		return -EINVAL;

	arg->size = (struct v4l2_frmsizeenum) {
		.index = old.index,
		.pixel_format = old.pixel_format,
		.type = V4L2_FRMSIZE_TYPE_DISCRETE,
		.discrete.width = sizes[old.index].width,
		.discrete.height = sizes[old.index].height,
	};
	return 0;
}

static int enum_frameintervals(struct handle *h, union arg *arg)
{
	struct v4l2_frmivalenum old = arg->interval;
	unsigned int i;

	(void)h;
	for (i = 0; i < nr_sizes; i++)
		if (old.width == sizes[i].width &&
		    old.height == sizes[i].height)
			break;
	if (!known_format(old.pixel_format) || i == nr_sizes ||
	    old.index >= nr_rates)
		return -EINVAL;

	arg->interval = (struct v4l2_frmivalenum) {
		.index = old.index,
		.pixel_format = old.pixel_format,
		.width = old.width,
		.height = old.height,
		.type = V4L2_FRMIVAL_TYPE_DISCRETE,
		.discrete.numerator = 1,
		.discrete.denominator = rates[old.index],
	};
	return 0;
}

static int g_parm(struct handle *h, union arg *arg)
{
	(void)h;
	if (arg->parm.type != CAPTURE)
		return -EINVAL;

	memset(&arg->parm, 0, sizeof(arg->parm));
	arg->parm.type = CAPTURE;
	arg->parm.parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
	arg->parm.parm.capture.timeperframe.numerator = 1;
	arg->parm.parm.capture.timeperframe.denominator = cam.rate;
	return 0;
}

static int s_parm(struct handle *h, union arg *arg)
{
	struct v4l2_fract t = arg->parm.parm.capture.timeperframe;
	unsigned int best = 0, i;
	double want;

	if (arg->parm.type != CAPTURE)
		return -EINVAL;
	if (cam.streaming)
		return -EBUSY;

	/* 0 asks for the default */
	want = t.numerator && t.denominator ?
		(double)t.denominator / t.numerator : 30;
	for (i = 1; i < nr_rates; i++)
		if (abs((int)(rates[i] * 1000) - (int)(want * 1000)) <
		    abs((int)(rates[best] * 1000) - (int)(want * 1000)))
			best = i;
	cam.rate = rates[best];
	return g_parm(h, arg);
}

static int enuminput(struct handle *h, union arg *arg)
{
	(void)h;
	if (arg->inputdesc.index)
		return -EINVAL;

	memset(&arg->inputdesc, 0, sizeof(arg->inputdesc));
	arg->inputdesc.type = V4L2_INPUT_TYPE_CAMERA;
	strcpy((char *)arg->inputdesc.name, "Camera");
	return 0;
}

static int g_input(struct handle *h, union arg *arg)
{
	(void)h;
	arg->input = 0;
	return 0;
}

static int s_input(struct handle *h, union arg *arg)
{
	(void)h;
	return arg->input ? -EINVAL : 0;
}

static int g_priority(struct handle *h, union arg *arg)
{
	uint32_t max = V4L2_PRIORITY_UNSET;

	(void)h;
	for (h = cam.handles; h; h = h->next)
		if (h->priority > max)
			max = h->priority;
	arg->priority = max;
	return 0;
}

static int s_priority(struct handle *h, union arg *arg)
{
	if (arg->priority < V4L2_PRIORITY_BACKGROUND ||
	    arg->priority > V4L2_PRIORITY_RECORD)
		return -EINVAL;

	h->priority = arg->priority;
	return 0;
}

/*
 * Streaming
 */

static void wake_poll(struct handle *h)
{
	if (h->poll) {
		fuse_lowlevel_notify_poll(h->poll);
		fuse_pollhandle_destroy(h->poll);
		h->poll = NULL;
	}
}

static void stream_changed(void)
{
	struct handle *h;

	run_waiters();
	for (h = cam.handles; h; h = h->next)
		wake_poll(h);
}

static struct buffer *oldest(int state)
{
	struct buffer *b, *found = NULL;

	for (b = cam.buffers; b < cam.buffers + cam.nr_buffers; b++)
		if ((int)b->state == state &&
		    (!found || b->order < found->order))
			found = b;
	return found;
}

static void stop_streaming(void)
{
	unsigned int i;

	cam.streaming = false;
	cam.primed = false;
	cam.generation++;
	for (i = 0; i < cam.nr_buffers; i++)
		cam.buffers[i].state = IDLE;

	/* until the last frame is drawn */
	pthread_mutex_lock(&cam.drawing);
	pthread_mutex_unlock(&cam.drawing);

	pthread_cond_signal(&cam.changed);
	stream_changed();
}

static void free_buffers(void)
{
	unsigned int i;

	if (!cam.nr_buffers)
		return;

	stop_streaming();
	if (cam.bind)
		fuse_buffers_unbind(cam.fb, 0, (uintptr_t)cam.owner, 0,
				    cam.nr_buffers * cam.buffer_size);
	for (i = 0; i < cam.nr_buffers; i++)
		munmap(cam.buffers[i].mem, cam.buffer_size);
	cam.nr_buffers = 0;
}

static int alloc_buffer(struct handle *h)
{
	struct buffer *b = &cam.buffers[cam.nr_buffers];
	struct fuse_buffer_bind bind = {
		.fh = (uintptr_t)h,
		.start = cam.nr_buffers * cam.buffer_size,
		.len = cam.buffer_size,
	};
	int err;

	memset(b, 0, sizeof(*b));
	b->nodeid = FUSE_BUFFER_NODEID | ++cam.nodeids;
	err = fuse_buffers_map(cam.fb, b->nodeid, cam.buffer_size, 0, &b->mem);
	if (err)
		return err;
	cam.nr_buffers++;

	if (cam.bind) {
		bind.nodeid = b->nodeid;
		/* if it fails, mmap(2) asks */
		fuse_buffers_bind(cam.fb, &bind);
	}
	return 0;
}

static bool not_owner(struct handle *h)
{
	return cam.owner && cam.owner != h;
}

static int reqbufs(struct handle *h, union arg *arg)
{
	struct v4l2_requestbuffers *req = &arg->req;
	size_t page = sysconf(_SC_PAGESIZE);
	uint32_t count = req->count;
	int err = 0;

	if (req->type != CAPTURE || req->memory != V4L2_MEMORY_MMAP)
		return -EINVAL;
	if (not_owner(h) || cam.streaming)
		return -EBUSY;

	free_buffers();
	cam.owner = NULL;
	if (count) {
		if (count < MIN_BUFFERS)
			count = MIN_BUFFERS;
		if (count > MAX_BUFFERS)
			count = MAX_BUFFERS;
		cam.buffer_size = (frame_size(&cam.format) + page - 1) & -page;
		cam.owner = h;
		while (cam.nr_buffers < count && !err)
			err = alloc_buffer(h);
		if (cam.nr_buffers < MIN_BUFFERS) {
			free_buffers();
			cam.owner = NULL;
			return -ENOMEM;
		}
	}

	*req = (struct v4l2_requestbuffers) {
		.count = cam.nr_buffers,
		.type = CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
		.capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP |
				V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS,
	};
	return 0;
}

static void fill_buffer(struct v4l2_buffer *v, const struct buffer *b)
{
	unsigned int index = b - cam.buffers;

	*v = (struct v4l2_buffer) {
		.index = index,
		.type = CAPTURE,
		.flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC,
		.field = V4L2_FIELD_NONE,
		.sequence = b->sequence,
		.timestamp.tv_sec = b->time.tv_sec,
		.timestamp.tv_usec = b->time.tv_nsec / 1000,
		.memory = V4L2_MEMORY_MMAP,
		.m.offset = index * cam.buffer_size,
		.length = frame_size(&cam.format),
	};
	if (b->time.tv_sec || b->time.tv_nsec)
		v->bytesused = v->length;
	if (b->mapped)
		v->flags |= V4L2_BUF_FLAG_MAPPED;
	if (b->state == QUEUED || b->state == ACTIVE)
		v->flags |= V4L2_BUF_FLAG_QUEUED;
	if (b->state == DONE)
		v->flags |= V4L2_BUF_FLAG_DONE;
}

static int querybuf(struct handle *h, union arg *arg)
{
	struct v4l2_buffer *v = &arg->buffer;

	(void)h;
	if (v->type != CAPTURE || v->index >= cam.nr_buffers)
		return -EINVAL;

	fill_buffer(v, &cam.buffers[v->index]);
	return 0;
}

static int qbuf(struct handle *h, union arg *arg)
{
	struct v4l2_buffer *v = &arg->buffer;
	struct buffer *b;

	if (not_owner(h))
		return -EBUSY;
	if (v->type != CAPTURE || v->index >= cam.nr_buffers ||
	    v->memory != V4L2_MEMORY_MMAP)
		return -EINVAL;
	if (v->flags & V4L2_BUF_FLAG_REQUEST_FD)
		return -EBADR;
	b = &cam.buffers[v->index];
	if (b->state != IDLE)
		return -EINVAL;

	b->state = QUEUED;
	b->order = cam.order++;
	b->time = (struct timespec) { 0 };
	b->sequence = 0;
	cam.primed = true;
	pthread_cond_signal(&cam.changed);
	fill_buffer(v, b);
	return 0;
}

static int dqbuf(struct handle *h, union arg *arg)
{
	struct buffer *b;

	if (not_owner(h))
		return -EBUSY;
	if (arg->buffer.type != CAPTURE || !cam.streaming)
		return -EINVAL;
	b = oldest(DONE);
	if (!b)
		return cam.unplugged ? -ENODEV : -EAGAIN;

	b->state = IDLE;
	fill_buffer(&arg->buffer, b);
	return 0;
}

static void advance(struct timespec *t)
{
	t->tv_nsec += 1000000000 / cam.rate;
	if (t->tv_nsec >= 1000000000) {
		t->tv_nsec -= 1000000000;
		t->tv_sec++;
	}
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec :
					a->tv_nsec < b->tv_nsec;
}

static int streamon(struct handle *h, union arg *arg)
{
	if (not_owner(h))
		return -EBUSY;
	if (arg->type != CAPTURE || !cam.nr_buffers)
		return -EINVAL;
	if (cam.unplugged)
		return -ENODEV;
	if (cam.streaming)
		return 0;

	cam.streaming = true;
	cam.generation++;
	cam.sequence = 0;
	clock_gettime(CLOCK_MONOTONIC, &cam.next_frame);
	advance(&cam.next_frame);
	pthread_cond_signal(&cam.changed);
	return 0;
}

static int streamoff(struct handle *h, union arg *arg)
{
	if (not_owner(h))
		return -EBUSY;
	if (arg->type != CAPTURE)
		return -EINVAL;

	stop_streaming();
	return 0;
}

static void shoot(void)
{
	struct frame_look look = {
		.brightness = cam.values[BRIGHTNESS],
		.contrast = cam.values[CONTRAST],
		.hue = cam.values[HUE],
		.pattern = cam.values[PATTERN],
	};
	struct frame_format format = cam.format;
	uint64_t generation = cam.generation;
	uint32_t sequence = cam.sequence++;
	struct buffer *b = oldest(QUEUED);

	if (!b)
		return;

	b->state = ACTIVE;
	pthread_mutex_lock(&cam.drawing);
	pthread_mutex_unlock(&cam.lock);
	frame_draw(b->mem, &format, &look, sequence);
	pthread_mutex_unlock(&cam.drawing);
	pthread_mutex_lock(&cam.lock);
	if (generation != cam.generation)
		return;

	b->state = DONE;
	b->sequence = sequence;
	clock_gettime(CLOCK_MONOTONIC, &b->time);
	if (cam.frames_left > 0 && !--cam.frames_left)
		cam.unplugged = true;
	stream_changed();
}

static void *sensor(void *unused)
{
	struct timespec now;
	uint64_t generation;

	pthread_mutex_lock(&cam.lock);
	while (!cam.ending) {
		if (!cam.streaming || cam.unplugged ||
		    (cam.keep_all && !oldest(QUEUED))) {
			pthread_cond_wait(&cam.changed, &cam.lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (is_before(&now, &cam.next_frame)) {
			pthread_cond_timedwait(&cam.changed, &cam.lock,
					       &cam.next_frame);
			continue;
		}

		generation = cam.generation;
		shoot();
		if (generation == cam.generation) {
			/* a camera that is late leaves out, not behind */
			advance(&cam.next_frame);
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (is_before(&cam.next_frame, &now))
				cam.next_frame = now;
		}
	}
	pthread_mutex_unlock(&cam.lock);
	return unused;
}

static void camera_mmap(fuse_req_t req, fuse_ino_t ino,
			const struct fuse_mmap_in *in)
{
	struct buffer *b;

	(void)ino;
	pthread_mutex_lock(&cam.lock);
	for (b = cam.buffers; b < cam.buffers + cam.nr_buffers; b++)
		if (in->offset == (b - cam.buffers) * cam.buffer_size)
			break;
	if (!(in->flags & MAP_SHARED) || !(in->prot & PROT_READ) ||
	    b == cam.buffers + cam.nr_buffers || in->len > cam.buffer_size) {
		fuse_reply_err(req, EINVAL);
	} else {
		/* before the reply, which a munmap may follow at once */
		b->mapped++;
		if (fuse_reply_mmap(req, b->nodeid, 0, cam.buffer_size, 0))
			b->mapped--;
	}
	pthread_mutex_unlock(&cam.lock);
}

static void camera_munmap(void *userdata, fuse_ino_t ino,
			  const struct fuse_munmap_in *in)
{
	struct buffer *b;

	(void)userdata;
	(void)ino;
	pthread_mutex_lock(&cam.lock);
	for (b = cam.buffers; b < cam.buffers + cam.nr_buffers; b++)
		if (b->nodeid == in->nodeid && b->mapped)
			b->mapped--;
	pthread_mutex_unlock(&cam.lock);
}

/*
 * Controls
 */

static const struct control *find_control(uint32_t id)
{
	unsigned int i;

	for (i = 0; i < CONTROLS; i++)
		if (controls[i].id == id)
			return &controls[i];
	return NULL;
}

static const struct control *find_next(uint32_t id)
{
	const uint32_t next = V4L2_CTRL_FLAG_NEXT_CTRL |
			      V4L2_CTRL_FLAG_NEXT_COMPOUND;
	unsigned int i;

	if (!(id & next))
		return find_control(id);
	/* there are no compound ones */
	if (!(id & V4L2_CTRL_FLAG_NEXT_CTRL))
		return NULL;
	for (i = 0; i < CONTROLS; i++)
		if (controls[i].id > (id & ~next))
			return &controls[i];
	return NULL;
}

static unsigned int step(const struct control *c)
{
	return c->type == V4L2_CTRL_TYPE_CTRL_CLASS ? 0 : 1;
}

static int queryctrl(struct handle *h, union arg *arg)
{
	const struct control *c = find_next(arg->query.id);

	(void)h;
	if (!c)
		return -EINVAL;

	arg->query = (struct v4l2_queryctrl) {
		.id = c->id,
		.type = c->type,
		.minimum = c->min,
		.maximum = c->max,
		.step = step(c),
		.default_value = c->def,
		.flags = c->flags,
	};
	strcpy((char *)arg->query.name, c->name);
	return 0;
}

static int query_ext_ctrl(struct handle *h, union arg *arg)
{
	const struct control *c = find_next(arg->query_ext.id);

	(void)h;
	if (!c)
		return -EINVAL;

	arg->query_ext = (struct v4l2_query_ext_ctrl) {
		.id = c->id,
		.type = c->type,
		.minimum = c->min,
		.maximum = c->max,
		.step = step(c),
		.default_value = c->def,
		.flags = c->flags,
		.elem_size = sizeof(int32_t),
		.elems = 1,
	};
	strcpy(arg->query_ext.name, c->name);
	return 0;
}

static int querymenu(struct handle *h, union arg *arg)
{
	uint32_t id = arg->menu.id, index = arg->menu.index;

	(void)h;
	if (id != V4L2_CID_TEST_PATTERN || index >= FRAME_PATTERNS)
		return -EINVAL;

	memset(&arg->menu, 0, sizeof(arg->menu));
	arg->menu.id = id;
	arg->menu.index = index;
	strcpy((char *)arg->menu.name, patterns[index]);
	return 0;
}

static void queue_event(struct handle *h, const struct control *c,
			uint32_t changes)
{
	struct subscription *s = &h->subs[c - controls];

	if (!s->on)
		return;

	/* one that was not fetched yet gives way to the new one */
	if (s->queued)
		changes |= s->event.u.ctrl.changes;
	s->event = (struct v4l2_event) {
		.type = V4L2_EVENT_CTRL,
		.u.ctrl.changes = changes,
		.u.ctrl.type = c->type,
		.u.ctrl.value = cam.values[c - controls],
		.u.ctrl.flags = c->flags,
		.u.ctrl.minimum = c->min,
		.u.ctrl.maximum = c->max,
		.u.ctrl.step = c->type == V4L2_CTRL_TYPE_INTEGER,
		.u.ctrl.default_value = c->def,
		.sequence = h->events++,
		.id = c->id,
	};
	clock_gettime(CLOCK_MONOTONIC, &s->event.timestamp);
	s->queued = true;
	wake_poll(h);
}

static void set_control(struct handle *h, const struct control *c, int value)
{
	struct handle *other;

	if (cam.values[c - controls] == value)
		return;

	cam.values[c - controls] = value;
	for (other = cam.handles; other; other = other->next)
		if (other != h || other->subs[c - controls].flags &
				  V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK)
			queue_event(other, c, V4L2_EVENT_CTRL_CH_VALUE);
	run_waiters();
}

/* Like the kernel's: numbers are moved into the range, menus are not */
static int check_value(const struct control *c, int value)
{
	if (c->flags & V4L2_CTRL_FLAG_READ_ONLY)
		return -EACCES;
	if (c->type == V4L2_CTRL_TYPE_MENU &&
	    (value < c->min || value > c->max))
		return -ERANGE;
	return 0;
}

static int in_range(const struct control *c, int value)
{
	return value < c->min ? c->min : value > c->max ? c->max : value;
}

static int g_ctrl(struct handle *h, union arg *arg)
{
	const struct control *c = find_control(arg->control.id);

	(void)h;
	if (!c)
		return -EINVAL;
	if (c->flags & V4L2_CTRL_FLAG_WRITE_ONLY)
		return -EACCES;

	arg->control.value = cam.values[c - controls];
	return 0;
}

static int s_ctrl(struct handle *h, union arg *arg)
{
	const struct control *c = find_control(arg->control.id);
	int err;

	if (!c)
		return -EINVAL;
	err = check_value(c, arg->control.value);
	if (!err) {
		arg->control.value = in_range(c, arg->control.value);
		set_control(h, c, arg->control.value);
	}
	return err;
}

/* Sets error_idx to the first bad control, or count */
static int check_controls(struct v4l2_ext_controls *cs, bool write)
{
	const struct control *c;
	uint32_t which = cs->which;
	int err;

	cs->error_idx = cs->count;
	if (which == V4L2_CTRL_WHICH_REQUEST_VAL ||
	    (which == V4L2_CTRL_WHICH_DEF_VAL && write))
		return -EINVAL;
	if (which == V4L2_CTRL_WHICH_DEF_VAL)
		which = V4L2_CTRL_WHICH_CUR_VAL;
	if (which && !find_control(which | 1))
		return -EINVAL;

	for (cs->error_idx = 0; cs->error_idx < cs->count; cs->error_idx++) {
		struct v4l2_ext_control *e = &cs->controls[cs->error_idx];

		c = find_control(e->id);
		if (!c || (which && V4L2_CTRL_ID2WHICH(e->id) != which))
			return -EINVAL;
		if (!write && c->flags & V4L2_CTRL_FLAG_WRITE_ONLY)
			return -EACCES;
		if (!write)
			continue;
		err = check_value(c, e->value);
		if (err)
			return err;
		e->value = in_range(c, e->value);
	}
	return 0;
}

static int g_ext_ctrls(struct handle *h, union arg *arg)
{
	struct v4l2_ext_controls *cs = &arg->controls;
	const struct control *c;
	uint32_t i;
	int err;

	(void)h;
	err = check_controls(cs, false);
	cs->error_idx = cs->count;
	for (i = 0; i < cs->count && !err; i++) {
		c = find_control(cs->controls[i].id);
		cs->controls[i].value =
			cs->which == V4L2_CTRL_WHICH_DEF_VAL ?
			c->def : cam.values[c - controls];
	}
	return err;
}

static int try_ext_ctrls(struct handle *h, union arg *arg)
{
	(void)h;
	return check_controls(&arg->controls, true);
}

static int s_ext_ctrls(struct handle *h, union arg *arg)
{
	struct v4l2_ext_controls *cs = &arg->controls;
	uint32_t i;
	int err;

	err = check_controls(cs, true);
	/* nothing was set: the number tells that, not which one is bad */
	cs->error_idx = cs->count;
	for (i = 0; i < cs->count && !err; i++)
		set_control(h, find_control(cs->controls[i].id),
			    cs->controls[i].value);
	return err;
}

static int subscribe(struct handle *h, union arg *arg)
{
	const struct control *c = find_control(arg->subscription.id);
	struct subscription *s;

	if (arg->subscription.type != V4L2_EVENT_CTRL || !c)
		return -EINVAL;
	s = &h->subs[c - controls];
	if (s->on)
		return 0;

	s->on = true;
	s->flags = arg->subscription.flags;
	if (s->flags & V4L2_EVENT_SUB_FL_SEND_INITIAL &&
	    c->type != V4L2_CTRL_TYPE_CTRL_CLASS) {
		queue_event(h, c, V4L2_EVENT_CTRL_CH_VALUE |
				  V4L2_EVENT_CTRL_CH_FLAGS);
		run_waiters();
	}
	return 0;
}

static int unsubscribe(struct handle *h, union arg *arg)
{
	unsigned int i;

	for (i = 0; i < CONTROLS; i++)
		if (arg->subscription.type == V4L2_EVENT_ALL ||
		    (arg->subscription.type == V4L2_EVENT_CTRL &&
		     arg->subscription.id == controls[i].id))
			h->subs[i] = (struct subscription) { 0 };
	return 0;
}

static struct subscription *first_event(struct handle *h,
					unsigned int *pending)
{
	struct subscription *s, *first = NULL;

	*pending = 0;
	for (s = h->subs; s < h->subs + CONTROLS; s++) {
		if (!s->queued)
			continue;
		++*pending;
		if (!first || s->event.sequence - first->event.sequence >
			      UINT32_MAX / 2)
			first = s;
	}
	return first;
}

static int dqevent(struct handle *h, union arg *arg)
{
	struct subscription *s;
	unsigned int pending;

	s = first_event(h, &pending);
	if (!s)
		return -EAGAIN;

	arg->event = s->event;
	arg->event.pending = pending - 1;
	s->queued = false;
	return 0;
}

/*
 * Ioctls, native and of 32-bit x86 programs
 */

struct command {
	unsigned long cmd;
	int (*run)(struct handle *h, union arg *arg);
	enum { PLAIN, BUFFER, FORMAT, INPUT, EVENT, LIST } kind;
	bool guarded;		/* needs the priority */
	int empty;		/* if not 0: waits, or fails with this */
};

static const struct command commands[] = {
	{ VIDIOC_QUERYCAP, querycap, PLAIN, false, 0 },
	{ VIDIOC_ENUM_FMT, enum_fmt, PLAIN, false, 0 },
	{ VIDIOC_G_FMT, g_fmt, FORMAT, false, 0 },
	{ VIDIOC_S_FMT, s_fmt, FORMAT, true, 0 },
	{ VIDIOC_TRY_FMT, try_fmt, FORMAT, false, 0 },
	{ VIDIOC_ENUM_FRAMESIZES, enum_framesizes, PLAIN, false, 0 },
	{ VIDIOC_ENUM_FRAMEINTERVALS, enum_frameintervals, PLAIN, false, 0 },
	{ VIDIOC_G_PARM, g_parm, PLAIN, false, 0 },
	{ VIDIOC_S_PARM, s_parm, PLAIN, true, 0 },
	{ VIDIOC_ENUMINPUT, enuminput, INPUT, false, 0 },
	{ VIDIOC_G_INPUT, g_input, PLAIN, false, 0 },
	{ VIDIOC_S_INPUT, s_input, PLAIN, true, 0 },
	{ VIDIOC_G_PRIORITY, g_priority, PLAIN, false, 0 },
	{ VIDIOC_S_PRIORITY, s_priority, PLAIN, true, 0 },
	{ VIDIOC_REQBUFS, reqbufs, PLAIN, true, 0 },
	{ VIDIOC_QUERYBUF, querybuf, BUFFER, false, 0 },
	{ VIDIOC_QBUF, qbuf, BUFFER, false, 0 },
	{ VIDIOC_DQBUF, dqbuf, BUFFER, false, EAGAIN },
	{ VIDIOC_STREAMON, streamon, PLAIN, true, 0 },
	{ VIDIOC_STREAMOFF, streamoff, PLAIN, true, 0 },
	{ VIDIOC_QUERYCTRL, queryctrl, PLAIN, false, 0 },
	{ VIDIOC_QUERY_EXT_CTRL, query_ext_ctrl, PLAIN, false, 0 },
	{ VIDIOC_QUERYMENU, querymenu, PLAIN, false, 0 },
	{ VIDIOC_G_CTRL, g_ctrl, PLAIN, false, 0 },
	{ VIDIOC_S_CTRL, s_ctrl, PLAIN, true, 0 },
	{ VIDIOC_G_EXT_CTRLS, g_ext_ctrls, LIST, false, 0 },
	{ VIDIOC_S_EXT_CTRLS, s_ext_ctrls, LIST, true, 0 },
	{ VIDIOC_TRY_EXT_CTRLS, try_ext_ctrls, LIST, false, 0 },
	{ VIDIOC_SUBSCRIBE_EVENT, subscribe, PLAIN, false, 0 },
	{ VIDIOC_UNSUBSCRIBE_EVENT, unsubscribe, PLAIN, false, 0 },
	{ VIDIOC_DQEVENT, dqevent, EVENT, false, ENOENT },
};

/* What differs in 32-bit programs is told by the size, which cmd contains */
static bool is_size_of(const struct command *c, size_t size)
{
	if (size == _IOC_SIZE(c->cmd))
		return true;
	switch (c->kind) {
	case BUFFER:	/* 32-bit and 64-bit time */
		return size == 68 || size == 76;
	case EVENT:	/* the same */
		return size == 120 || size == 128;
	case FORMAT:
		return size == 204;
	case INPUT:
		return size == 76;
	case LIST:
		return size == 24;
	default:
		return false;
	}
}

static const struct command *find_command(unsigned int cmd)
{
	const struct command *c;

	for (c = commands; c < commands + ARRAY_SIZE(commands); c++)
		if ((cmd & ~IOCSIZE_MASK) == (c->cmd & ~IOCSIZE_MASK) &&
		    is_size_of(c, _IOC_SIZE(cmd)))
			return c;
	return NULL;
}

/*
 * struct v4l2_buffer: 20 bytes up to the field, two words of time, 24 bytes up
 * to the memory, a pointer's worth of offset, 12 bytes of the rest.
 */
static void decode_buffer(struct v4l2_buffer *b, const char *p, size_t size)
{
	size_t at = size - 40;

	memset(b, 0, sizeof(*b));
	memcpy(b, p, 20);
	memcpy(&b->timecode, p + at, 24);
	memcpy(&b->m.offset, p + at + 24, 4);
	memcpy(&b->length, p + at + 28, 12);
}

static void encode_buffer(const struct v4l2_buffer *b, char *p, size_t size)
{
	int64_t time64[2] = { b->timestamp.tv_sec, b->timestamp.tv_usec };
	int32_t time32[2] = { time64[0], time64[1] };
	size_t at = size - 40;

	memcpy(p, b, 20);
	if (size == 68)
		memcpy(p + 20, time32, sizeof(time32));
	else
		memcpy(p + 20, time64, sizeof(time64));
	memcpy(p + at, &b->timecode, 24);
	memcpy(p + at + 24, &b->m.offset, 4);
	memcpy(p + at + 28, &b->length, 12);
}

static void encode_event(const struct v4l2_event *e, char *p, size_t size)
{
	int64_t time64[2] = { e->timestamp.tv_sec, e->timestamp.tv_nsec };
	int32_t time32[2] = { time64[0], time64[1] };

	memset(p, 0, size);
	memcpy(p, &e->type, 4);
	memcpy(p + 4, &e->u, 64);
	memcpy(p + 68, &e->pending, 8);
	if (size == 120)
		memcpy(p + 76, time32, sizeof(time32));
	else
		memcpy(p + 76, time64, sizeof(time64));
	memcpy(p + size - 36, &e->id, 4);
}

static void decode(const struct command *c, union arg *arg, const char *p,
		   size_t size)
{
	uint32_t pointer;

	memset(arg, 0, sizeof(*arg));
	if (size == _IOC_SIZE(c->cmd)) {
		memcpy(arg, p, size);
		return;
	}
	switch (c->kind) {
	case BUFFER:
		decode_buffer(&arg->buffer, p, size);
		break;
	case FORMAT:
		memcpy(&arg->format.type, p, 4);
		memcpy(&arg->format.fmt, p + 4, 200);
		break;
	case LIST:
		memcpy(&arg->controls, p, 20);
		memcpy(&pointer, p + 20, 4);
		arg->controls.controls = (void *)(uintptr_t)pointer;
		break;
	default:
		memcpy(arg, p, size);
	}
}

static void encode(const struct command *c, const union arg *arg, char *p,
		   size_t size)
{
	if (size == _IOC_SIZE(c->cmd)) {
		memcpy(p, arg, size);
		return;
	}
	switch (c->kind) {
	case BUFFER:
		encode_buffer(&arg->buffer, p, size);
		break;
	case EVENT:
		encode_event(&arg->event, p, size);
		break;
	case FORMAT:
		memcpy(p, &arg->format.type, 4);
		memcpy(p + 4, &arg->format.fmt, 200);
		break;
	case LIST:
		memcpy(p, &arg->controls, 20);
		break;
	default:
		memcpy(p, arg, size);
	}
}

static void reply(fuse_req_t req, const struct command *c, size_t size,
		  const union arg *arg, int res)
{
	char out[sizeof(*arg)];

	if (res) {
		fuse_reply_err(req, -res);
	} else if (_IOC_DIR(c->cmd) & _IOC_READ) {
		encode(c, arg, out, size);
		fuse_reply_ioctl(req, 0, out, size);
	} else {
		fuse_reply_ioctl(req, 0, NULL, 0);
	}
}

static void run_waiters(void)
{
	struct waiter **p = &cam.waiters, *w;
	int res;

	while ((w = *p)) {
		res = w->cmd->run(w->handle, &w->arg);
		if (res == -EAGAIN) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		reply(w->req, w->cmd, w->size, &w->arg, res);
		free(w);
	}
}

static void interrupted(fuse_req_t req, void *unused)
{
	struct waiter **p, *w;

	(void)unused;
	pthread_mutex_lock(&cam.lock);
	for (p = &cam.waiters; *p && (*p)->req != req; p = &(*p)->next)
		;
	w = *p;
	if (w)
		*p = w->next;
	pthread_mutex_unlock(&cam.lock);

	if (w) {
		fuse_reply_err(req, EINTR);
		free(w);
	}
}

/* Returns what to reply, or -EAGAIN if that comes later */
static int wait_for(fuse_req_t req, struct handle *h, const struct command *c,
		    size_t size, const union arg *arg)
{
	struct waiter *w, **p;

	if (fuse_req_interrupted(req))
		return -EINTR;
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;

	*w = (struct waiter) {
		.req = req,
		.handle = h,
		.cmd = c,
		.size = size,
		.arg = *arg,
	};
	for (p = &cam.waiters; *p; p = &(*p)->next)
		;
	*p = w;
	return -EAGAIN;
}

static int run(struct handle *h, const struct command *c, union arg *arg)
{
	union arg max;

	g_priority(NULL, &max);
	if (c->guarded && h->priority < max.priority)
		return -EBUSY;
	return c->run(h, arg);
}

/* The controls follow the list, and go back with it even if it failed */
static void run_list(fuse_req_t req, struct handle *h, const struct command *c,
		     size_t size, union arg *arg, const char *in,
		     const void *user, size_t in_size)
{
	size_t length = arg->controls.count * sizeof(struct v4l2_ext_control);
	struct iovec iov[2] = {
		{ (void *)user, size },
		{ arg->controls.controls, length },
	};
	char *copy;
	int res;

	if (arg->controls.count > V4L2_CID_MAX_CTRLS) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (length && in_size == size) {
		fuse_reply_ioctl_retry(req, iov, 2, iov, 2);
		return;
	}
	/* another thread of the client may have changed the count */
	copy = in_size == size + length ? malloc(in_size) : NULL;
	if (!copy) {
		fuse_reply_err(req, in_size == size + length ? ENOMEM : EINVAL);
		return;
	}

	memcpy(copy, in, in_size);
	arg->controls.controls = (void *)(copy + size);
	pthread_mutex_lock(&cam.lock);
	res = run(h, c, arg);
	pthread_mutex_unlock(&cam.lock);
	/* the client's pointer stays as it is */
	memcpy(copy, &arg->controls, 20);
	fuse_reply_ioctl(req, res, copy, in_size);
	free(copy);
}

static void camera_ioctl(fuse_req_t req, int cmd, void *user,
			 struct fuse_file_info *fi, unsigned int flags,
			 const void *in, size_t in_size, size_t out_size)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;
	const struct command *c = find_command(cmd);
	size_t size = _IOC_SIZE(cmd);
	struct iovec iov = { user, size };
	bool reads, writes, nonblock;
	union arg arg;
	int res;

	if (!c) {
		fuse_reply_err(req, ENOTTY);
		return;
	}

	/* ask for what cmd says; later, lists ask for more */
	writes = _IOC_DIR(cmd) & _IOC_WRITE;
	reads = _IOC_DIR(cmd) & _IOC_READ;
	if ((writes && in_size < size) || (reads && out_size < size)) {
		fuse_reply_ioctl_retry(req, &iov, writes, &iov, reads);
		return;
	}

	if (writes)
		decode(c, &arg, in, size);
	else
		memset(&arg, 0, sizeof(arg));
	if (c->kind == LIST) {
		run_list(req, h, c, size, &arg, in, user, in_size);
		return;
	}

	/* not under the lock, which interrupted() takes */
	if (c->empty)
		fuse_req_interrupt_func(req, interrupted, NULL);

	pthread_mutex_lock(&cam.lock);
	res = run(h, c, &arg);
	if (res == -EAGAIN) {
		if (fuse_buffers_features(cam.fb) & FUSE_FEATURE_NONBLOCK)
			nonblock = flags & FUSE_IOCTL_NONBLOCK;
		else
			nonblock = h->nonblock;
		if (nonblock) {
			res = -c->empty;
		} else {
			res = wait_for(req, h, c, size, &arg);
			if (res == -EAGAIN)
				req = NULL;
		}
	}
	pthread_mutex_unlock(&cam.lock);

	if (req)
		reply(req, c, size, &arg, res);
}

/*
 * Files
 */

static void camera_open(fuse_req_t req, struct fuse_file_info *fi)
{
	struct handle *h = calloc(1, sizeof(*h)), **p;

	if (!h) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	h->nonblock = fi->flags & O_NONBLOCK;
	h->priority = V4L2_PRIORITY_DEFAULT;
	fi->fh = (uintptr_t)h;

	pthread_mutex_lock(&cam.lock);
	h->next = cam.handles;
	cam.handles = h;
	/* under the lock, as a file that did not get open sends no release */
	if (fuse_reply_open(req, fi)) {
		for (p = &cam.handles; *p != h; p = &(*p)->next)
			;
		*p = h->next;
		free(h);
	}
	pthread_mutex_unlock(&cam.lock);
}

static void camera_release(fuse_req_t req, struct fuse_file_info *fi)
{
	struct handle *h = (void *)(uintptr_t)fi->fh, **p;
	bool last;

	pthread_mutex_lock(&cam.lock);
	if (cam.owner == h) {
		free_buffers();
		cam.owner = NULL;
	}
	for (p = &cam.handles; *p != h; p = &(*p)->next)
		;
	*p = h->next;
	last = cam.unplugged && !cam.handles;
	pthread_mutex_unlock(&cam.lock);

	if (h->poll)
		fuse_pollhandle_destroy(h->poll);
	free(h);
	fuse_reply_err(req, 0);
	if (last)
		kill(getpid(), SIGTERM);
}

static void camera_poll(fuse_req_t req, struct fuse_file_info *fi,
			struct fuse_pollhandle *ph)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;
	unsigned int events = 0, pending;

	pthread_mutex_lock(&cam.lock);
	if (ph) {
		if (h->poll)
			fuse_pollhandle_destroy(h->poll);
		h->poll = ph;
	}
	if (fi->poll_events & (POLLIN | POLLRDNORM)) {
		if (!cam.streaming || !cam.primed)
			events = POLLERR;
		else if (oldest(DONE))
			events = POLLIN | POLLRDNORM;
		else if (cam.unplugged)
			events = POLLERR | POLLHUP;
	}
	if (first_event(h, &pending))
		events |= POLLPRI;
	pthread_mutex_unlock(&cam.lock);

	fuse_reply_poll(req, events);
}

/* V4L2 without V4L2_CAP_READWRITE */
static void camera_read(fuse_req_t req, size_t size, off_t off,
			struct fuse_file_info *fi)
{
	(void)size;
	(void)off;
	(void)fi;
	fuse_reply_err(req, EINVAL);
}

static void camera_write(fuse_req_t req, const char *buf, size_t size,
			 off_t off, struct fuse_file_info *fi)
{
	(void)buf;
	(void)size;
	(void)off;
	(void)fi;
	fuse_reply_err(req, EINVAL);
}

static void camera_ready(void *userdata)
{
	sigset_t all, old;

	(void)userdata;
	/* signals are for the thread that runs the loop */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (pthread_create(&cam.sensor, NULL, sensor, NULL))
		errx(1, "cannot start a thread");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The sensor must not use the session when that is gone */
static void camera_destroy(void *userdata)
{
	(void)userdata;
	pthread_mutex_lock(&cam.lock);
	cam.ending = true;
	cam.unplugged = true;
	run_waiters();
	pthread_cond_signal(&cam.changed);
	pthread_mutex_unlock(&cam.lock);
	pthread_join(cam.sensor, NULL);
}

static void usage(void)
{
	printf("Usage: %s [option]...\n"
	       "A V4L2 camera that shows a test pattern.\n\n"
	       "  -n, --name=NAME    make /dev/NAME (default video0)\n"
	       "      --size=WxH     size at the start (default 640x480)\n"
	       "      --fps=N        frames a second at the start (default 30)\n"
	       "      --frames=N     after N frames, be unplugged, and end when\n"
	       "                     no program has the device open any more\n"
	       "      --keep-all     wait for a buffer rather than lose a frame\n"
	       "      --no-bind      let each mmap(2) ask the server\n"
	       "  -f, --foreground   do not become a daemon; otherwise the\n"
	       "                     command returns when the device is there\n"
	       "  -s, --single       single-threaded loop\n"
	       "  -d, --debug        log each request (with -f)\n"
	       "  -h, --help         this text\n",
	       program_invocation_short_name);
}

static bool add_size(const char *text)
{
	unsigned int width, height;
	char end;

	if (sscanf(text, "%ux%u%c", &width, &height, &end) != 2 ||
	    width < FRAME_MIN_WIDTH || width > 8192 || width % 2 ||
	    height < FRAME_MIN_HEIGHT || height > 8192) {
		warnx("--size must be even x any, from %dx%d to 8192x8192",
		      FRAME_MIN_WIDTH, FRAME_MIN_HEIGHT);
		return false;
	}

	cam.format.width = width;
	cam.format.height = height;
	for (nr_sizes = 0; nr_sizes < 5; nr_sizes++)
		if (sizes[nr_sizes].width == width &&
		    sizes[nr_sizes].height == height)
			break;
	sizes[nr_sizes].width = width;
	sizes[nr_sizes].height = height;
	nr_sizes = nr_sizes < 5 ? 5 : 6;
	return true;
}

static bool add_rate(const char *text)
{
	unsigned int rate;
	char end;

	if (sscanf(text, "%u%c", &rate, &end) != 1 || !rate || rate > 1000) {
		warnx("--fps must be 1 to 1000");
		return false;
	}

	cam.rate = rate;
	for (nr_rates = 0; nr_rates < 6; nr_rates++)
		if (rates[nr_rates] == rate)
			break;
	rates[nr_rates] = rate;
	nr_rates = nr_rates < 6 ? 6 : 7;
	return true;
}

int main(int argc, char **argv)
{
	enum { SIZE = 256, FPS, FRAMES, KEEP_ALL, NO_BIND };
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, SIZE },
		{ "fps", required_argument, NULL, FPS },
		{ "frames", required_argument, NULL, FRAMES },
		{ "keep-all", no_argument, NULL, KEEP_ALL },
		{ "no-bind", no_argument, NULL, NO_BIND },
		{ "foreground", no_argument, NULL, 'f' },
		{ "single", no_argument, NULL, 's' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	static const struct fuse_buffer_ops buffer_ops = {
		.mmap = camera_mmap,
		.munmap = camera_munmap,
	};
	static const struct cuse_lowlevel_ops ops = {
		.init_done = camera_ready,
		.destroy = camera_destroy,
		.open = camera_open,
		.release = camera_release,
		.read = camera_read,
		.write = camera_write,
		.ioctl = camera_ioctl,
		.poll = camera_poll,
	};
	pthread_condattr_t attr;
	unsigned int flags = 0;
	char devname[64], end;
	const char *info[] = { devname };
	struct cuse_info ci = {
		.dev_info_argc = 1,
		.dev_info_argv = info,
		.flags = CUSE_UNRESTRICTED_IOCTL,
	};
	int i, res;

	while ((i = getopt_long(argc, argv, "n:fsdh", options, NULL)) != -1) {
		switch (i) {
		case 'n':
			cam.name = optarg;
			break;
		case SIZE:
			if (!add_size(optarg))
				return 2;
			break;
		case FPS:
			if (!add_rate(optarg))
				return 2;
			break;
		case FRAMES:
			if (sscanf(optarg, "%ld%c", &cam.frames_left, &end) != 1 ||
			    cam.frames_left < 1) {
				warnx("--frames must be 1 or more");
				return 2;
			}
			break;
		case KEEP_ALL:
			cam.keep_all = true;
			break;
		case NO_BIND:
			cam.bind = false;
			break;
		case 'f':
			flags |= FUSE_BUFFERS_FOREGROUND;
			break;
		case 's':
			flags |= FUSE_BUFFERS_SINGLE;
			break;
		case 'd':
			flags |= FUSE_BUFFERS_DEBUG;
			break;
		case 'h':
			usage();
			return 0;
		default:
			fprintf(stderr, "Try %s --help\n",
				program_invocation_short_name);
			return 2;
		}
	}
	if (optind < argc) {
		warnx("what is %s? Try --help", argv[optind]);
		return 2;
	}
	if (snprintf(devname, sizeof(devname), "DEVNAME=%s", cam.name) >=
	    (int)sizeof(devname)) {
		warnx("--name is too long");
		return 2;
	}

	for (i = 0; i < CONTROLS; i++)
		cam.values[i] = controls[i].def;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cam.changed, &attr);

	cam.fb = fuse_buffers_new(&buffer_ops, NULL);
	if (!cam.fb) {
		warn("no memory");
		return 1;
	}
	res = fuse_buffers_cuse_main(cam.fb, &ci, &ops, FUSE_FEATURE_BUFFERS |
				     FUSE_FEATURE_NONBLOCK |
				     FUSE_FEATURE_RESTART, flags, NULL);
	fuse_buffers_free(cam.fb);
	return res;
}
