// SPDX-License-Identifier: GPL-2.0
/*
 * test_dsp - does a sound card behave as OSS says? For cuse_dsp, which must be
 * running; a --no-mmap card is one on a kernel without FUSE buffers.  With
 * --silence it only plays a ring in which one byte is written.
 *
 * Times are only checked for being too short: emulated machines are slow.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/soundcard.h>
#include <sys/wait.h>

static const char *device = "/dev/dsp";
static bool can_mmap = true;
static unsigned char sound[65536];
static int failed_here;

#define CHECK(cond)							\
	do {								\
		if (!(cond)) {						\
			printf("# %s:%d: not so: %s (errno: %s)\n",	\
			       __func__, __LINE__, #cond,		\
			       strerror(errno));			\
			failed_here++;					\
		}							\
	} while (0)

/* The result of an ioctl on an int, or -errno */
static int ctl(int fd, unsigned long cmd, int arg)
{
	return ioctl(fd, cmd, &arg) ? -errno : arg;
}

static int open_dsp(int flags)
{
	int fd = open(device, flags);

	CHECK(fd >= 0);
	return fd;
}

static int fragments(int fd, int count, int shift)
{
	return ctl(fd, SNDCTL_DSP_SETFRAGMENT, count << 16 | shift);
}

static struct audio_buf_info ospace(int fd)
{
	struct audio_buf_info info = { .fragments = -1 };

	CHECK(!ioctl(fd, SNDCTL_DSP_GETOSPACE, &info));
	return info;
}

static struct count_info optr(int fd)
{
	struct count_info info = { .bytes = -1 };

	CHECK(!ioctl(fd, SNDCTL_DSP_GETOPTR, &info));
	return info;
}

static unsigned char *map(int fd, size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(int ms)
{
	CHECK(poll(NULL, 0, ms) == 0);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Have a signal after some seconds */
static void interrupt_after(int seconds, int flags)
{
	struct sigaction act = { .sa_handler = nothing, .sa_flags = flags };

	sigaction(SIGALRM, &act, NULL);
	alarm(seconds);
}

static void test_open(void)
{
	int fd;

	CHECK(open(device, O_RDONLY) < 0 && errno == ENXIO);
	fd = open_dsp(O_RDWR);
	CHECK(open(device, O_WRONLY) < 0 && errno == EBUSY);
	CHECK(read(fd, sound, 10) < 0 && errno == ENXIO);
	close(fd);
	/* close(2) is over when open(2) is asked */
	for (int i = 0; i < 50 && fd >= 0; i++) {
		fd = open_dsp(O_WRONLY | O_NONBLOCK);
		CHECK(write(fd, sound, 100) == 100);
		CHECK(!ioctl(fd, SNDCTL_DSP_RESET));
		close(fd);
	}
}

static void test_parameters(void)
{
	int fd = open_dsp(O_WRONLY);

	CHECK(ctl(fd, SNDCTL_DSP_SPEED, 11025) == 11025);
	CHECK(ctl(fd, SNDCTL_DSP_SPEED, 1) == 4000);
	CHECK(ctl(fd, SNDCTL_DSP_SPEED, 999999) == 192000);
	CHECK(ctl(fd, SNDCTL_DSP_SPEED, 0) == 192000);
	CHECK(ctl(fd, SOUND_PCM_READ_RATE, 0) == 192000);
	CHECK(ctl(fd, SNDCTL_DSP_STEREO, 1) == 1);
	CHECK(ctl(fd, SOUND_PCM_READ_CHANNELS, 0) == 2);
	CHECK(ctl(fd, SNDCTL_DSP_STEREO, 0) == 0);
	CHECK(ctl(fd, SNDCTL_DSP_CHANNELS, 6) == 2);
	CHECK(ctl(fd, SNDCTL_DSP_CHANNELS, 1) == 1);
	CHECK(ctl(fd, SNDCTL_DSP_GETFMTS, 0) == (AFMT_U8 | AFMT_S16_LE));
	CHECK(ctl(fd, SNDCTL_DSP_SETFMT, AFMT_QUERY) == AFMT_U8);
	CHECK(ctl(fd, SNDCTL_DSP_SETFMT, AFMT_S16_BE) == AFMT_U8);
	CHECK(ctl(fd, SNDCTL_DSP_SETFMT, AFMT_S16_LE) == AFMT_S16_LE);
	CHECK(ctl(fd, SOUND_PCM_READ_BITS, 0) == 16);
	CHECK(ctl(fd, OSS_GETVERSION, 0) >= 0x030800);
	CHECK(ctl(fd, SNDCTL_DSP_GETCAPS, 0) ==
	      (DSP_CAP_TRIGGER | DSP_CAP_REALTIME |
	       (can_mmap ? DSP_CAP_MMAP : 0)));
	CHECK(ctl(fd, SNDCTL_DSP_GETTRIGGER, 0) == PCM_ENABLE_OUTPUT);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, PCM_ENABLE_INPUT) == -EINVAL);
	CHECK(ctl(fd, SNDCTL_DSP_GETISPACE, 0) == -EINVAL);
	CHECK(ioctl(fd, SNDCTL_DSP_SETDUPLEX) && errno == EIO);
	CHECK(ctl(fd, SOUND_MIXER_READ_VOLUME, 0) == -ENOTTY);
	CHECK(!isatty(fd) && errno == ENOTTY);
	close(fd);
}

static void test_fragments(void)
{
	int fd = open_dsp(O_WRONLY);
	struct audio_buf_info info;

	CHECK(fragments(fd, 4, 0) == -EINVAL);
	CHECK(fragments(fd, 4, 10) > 0);
	CHECK(ctl(fd, SNDCTL_DSP_GETBLKSIZE, 0) == 1024);
	info = ospace(fd);
	CHECK(info.fragments == 4 && info.fragstotal == 4);
	CHECK(info.fragsize == 1024 && info.bytes == 4096);

	/* Any number, and limits */
	CHECK(fragments(fd, 3, 9) > 0);
	CHECK(ospace(fd).bytes == 3 * 512);
	CHECK(fragments(fd, 0, 12) > 0);
	CHECK(ospace(fd).bytes == 256 * 1024);
	CHECK(fragments(fd, 1, 31) > 0);
	CHECK(ospace(fd).fragstotal == 2 && ospace(fd).bytes == 256 * 1024);
	close(fd);
}

static void test_nonblock(void)
{
	int fd = open_dsp(O_WRONLY | O_NONBLOCK);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct count_info ptr;
	double start;

	CHECK(fragments(fd, 4, 10) > 0);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	CHECK(write(fd, sound, 3000) == 3000);
	CHECK(write(fd, sound, 3000) == 1096);
	CHECK(write(fd, sound, 1) < 0 && errno == EAGAIN);
	CHECK(poll(&p, 1, 0) == 0);
	CHECK(fragments(fd, 4, 10) == -EINVAL);
	CHECK(ospace(fd).bytes == 0 && ospace(fd).fragments == 0);

	/* It does not play before the trigger */
	nap(50);
	CHECK(ctl(fd, SNDCTL_DSP_GETODELAY, 0) == 4096);
	start = now();
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, PCM_ENABLE_OUTPUT) ==
	      PCM_ENABLE_OUTPUT);
	CHECK(poll(&p, 1, 20000) == 1 && p.revents == POLLOUT);
	CHECK(now() - start >= 0.127);
	ptr = optr(fd);
	CHECK(ptr.bytes >= 1024 && ptr.blocks == ptr.bytes / 1024);
	CHECK(ptr.ptr == ptr.bytes % 4096);
	CHECK(!ioctl(fd, SNDCTL_DSP_SYNC));
	CHECK(now() - start >= 0.511);
	ptr = optr(fd);
	CHECK(ptr.bytes == 4096 && ptr.ptr == 0);
	CHECK(ctl(fd, SNDCTL_DSP_GETODELAY, 0) == 0);
	CHECK(!ioctl(fd, SNDCTL_DSP_RESET));
	CHECK(optr(fd).bytes == 0);
	close(fd);

	/* By ioctl, for good */
	fd = open_dsp(O_WRONLY);
	CHECK(fragments(fd, 2, 9) > 0);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	CHECK(!ioctl(fd, SNDCTL_DSP_NONBLOCK));
	CHECK(write(fd, sound, 2000) == 1024);
	CHECK(write(fd, sound, 2000) < 0 && errno == EAGAIN);
	close(fd);
}

static void test_block(void)
{
	int fd = open_dsp(O_WRONLY), status;
	double start = now();
	pid_t pid;

	CHECK(fragments(fd, 2, 9) > 0);
	CHECK(write(fd, sound, 9000) == 9000);
	CHECK(now() - start >= (9000 - 1024) / 8000.0);

	/* A signal ends it, with what was taken */
	interrupt_after(1, 0);
	CHECK(write(fd, sound, sizeof(sound)) >= 1024);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	CHECK(!ioctl(fd, SNDCTL_DSP_RESET));
	CHECK(write(fd, sound, 1024) == 1024);
	interrupt_after(1, 0);
	CHECK(write(fd, sound, 1) < 0 && errno == EINTR);

	/* So does death, and the card lives on */
	pid = fork();
	if (!pid)
		_exit(write(fd, sound, 1) == 1);
	nap(200);
	CHECK(waitpid(pid, &status, WNOHANG) == 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(ctl(fd, SNDCTL_DSP_GETODELAY, 0) == 1024);
	CHECK(!ioctl(fd, SNDCTL_DSP_RESET));
	close(fd);
}

static void test_sync(void)
{
	int fd = open_dsp(O_WRONLY);
	double start = now();

	CHECK(!ioctl(fd, SNDCTL_DSP_SYNC));
	CHECK(fragments(fd, 8, 11) > 0);
	CHECK(write(fd, sound, 16384) == 16384);
	interrupt_after(1, 0);
	CHECK(ioctl(fd, SNDCTL_DSP_SYNC) && errno == EINTR);
	if (can_mmap) {
		interrupt_after(1, SA_RESTART);
		CHECK(!ioctl(fd, SNDCTL_DSP_SYNC));
		CHECK(now() - start >= 16384 / 8000.0);
	}
	alarm(0);
	close(fd);
}

/* What was written is played after close(2); the next one waits for that */
static void test_close(void)
{
	int fd = open_dsp(O_WRONLY), status;
	double start = now();
	pid_t pid;

	CHECK(fragments(fd, 8, 12) > 0);
	CHECK(write(fd, sound, 32000) == 32000);
	close(fd);
	CHECK(open(device, O_WRONLY | O_NONBLOCK) < 0 && errno == EBUSY);
	interrupt_after(1, 0);
	CHECK(open(device, O_WRONLY) < 0 && errno == EINTR);
	pid = fork();
	if (!pid)
		_exit(open(device, O_WRONLY) < 0);
	nap(200);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	fd = open_dsp(O_WRONLY);
	CHECK(now() - start >= 4);
	close(fd);
}

static void test_no_mmap(void)
{
	int fd = open_dsp(O_RDWR);

	CHECK(map(fd, 4096) == MAP_FAILED && errno == ENODEV);
	CHECK(write(fd, sound, 100) == 100);
	close(fd);
}

static void test_mmap_args(void)
{
	int fd = open_dsp(O_RDWR);

	CHECK(fragments(fd, 3, 10) > 0);
	CHECK(mmap(NULL, 3072, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED &&
	      errno == ENXIO);
	CHECK(mmap(NULL, 3072, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) ==
	      MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, 3072, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096) ==
	      MAP_FAILED && errno == EINVAL);
	CHECK(map(fd, 8192) == MAP_FAILED && errno == EINVAL);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	CHECK(write(fd, sound, 100) == 100);
	CHECK(map(fd, 3072) == MAP_FAILED && errno == EBUSY);
	close(fd);
}

static void test_mmap(void)
{
	int fd = open_dsp(O_RDWR), bytes, old;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct audio_buf_info info;
	struct count_info ptr;
	unsigned char *ring;
	double start;

	CHECK(fragments(fd, 3, 10) > 0);
	ring = map(fd, 3072);
	CHECK(ring != MAP_FAILED);
	if (ring == MAP_FAILED)
		return;
	CHECK(ring[0] == 0x80 && ring[3071] == 0x80);
	CHECK(write(fd, sound, 10) < 0 && errno == ENXIO);
	info = ospace(fd);
	CHECK(info.fragstotal == 3 && info.fragsize == 1024);
	CHECK(fragments(fd, 3, 10) == -EINVAL);

	/* The trigger starts it */
	nap(50);
	CHECK(optr(fd).bytes == 0);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	start = now();
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, PCM_ENABLE_OUTPUT) ==
	      PCM_ENABLE_OUTPUT);
	CHECK(poll(&p, 1, 20000) == 1 && p.revents == POLLOUT);
	CHECK(now() - start >= 0.127);
	ptr = optr(fd);
	CHECK(ptr.bytes >= 1024 && ptr.blocks == ptr.bytes / 1024);

	/* It goes round and round, in real time */
	bytes = ptr.bytes;
	nap(1000);
	old = bytes / 1024;
	ptr = optr(fd);
	CHECK(ptr.bytes > 3 * 1024 && ptr.bytes > bytes);
	CHECK(ptr.bytes <= (now() - start) * 8000 + 1);
	CHECK(ptr.ptr == ptr.bytes % 3072);
	CHECK(ptr.blocks == ptr.bytes / 1024 - old);
	CHECK(!ioctl(fd, SNDCTL_DSP_SYNC));

	/* The trigger halts it */
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	bytes = optr(fd).bytes;
	nap(200);
	CHECK(optr(fd).bytes == bytes);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, PCM_ENABLE_OUTPUT) ==
	      PCM_ENABLE_OUTPUT);
	nap(50);
	CHECK(optr(fd).bytes > bytes);

	/* And back to write(2), then to another ring */
	CHECK(!munmap(ring, 3072));
	CHECK(write(fd, sound, 100) == 100);
	CHECK(!ioctl(fd, SNDCTL_DSP_SYNC));
	CHECK(optr(fd).bytes == 100);
	CHECK(fragments(fd, 2, 12) > 0);
	ring = map(fd, 8192);
	CHECK(ring != MAP_FAILED && ring[8191] == 0x80);

	/* The mapping keeps the card */
	close(fd);
	CHECK(open(device, O_WRONLY | O_NONBLOCK) < 0 && errno == EBUSY);
	if (ring != MAP_FAILED) {
		memset(ring, 1, 8192);
		CHECK(!munmap(ring, 8192));
	}
	fd = open_dsp(O_RDWR | O_NONBLOCK);

	/* Nobody hears or sees what the last one left */
	CHECK(fragments(fd, 2, 12) > 0);
	ring = map(fd, 8192);
	CHECK(ring != MAP_FAILED && ring[0] == 0x80 && ring[8191] == 0x80);
	close(fd);
	munmap(ring, 8192);
}

/* A player that dies leaves a card that is free and silent */
static void test_mmap_killed(void)
{
	int status, fd = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		fd = open(device, O_RDWR);
		if (map(fd, 4096) == MAP_FAILED)
			_exit(1);
		ctl(fd, SNDCTL_DSP_SETTRIGGER, PCM_ENABLE_OUTPUT);
		pause();
	}
	nap(500);
	CHECK(waitpid(pid, &status, WNOHANG) == 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	fd = open_dsp(O_RDWR | O_NONBLOCK);
	CHECK(optr(fd).bytes == 0);
	close(fd);
}

/*
 * Play a mapped ring in which one byte is written: how much the card copies for
 * that is for somebody else to see.
 */
static int play_silence(void)
{
	int fd = open_dsp(O_RDWR);
	unsigned char *ring;

	CHECK(fragments(fd, 8, 12) > 0);
	ring = map(fd, 32768);
	CHECK(ring != MAP_FAILED);
	if (ring == MAP_FAILED)
		return 1;
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, 0) == 0);
	CHECK(ctl(fd, SNDCTL_DSP_SETTRIGGER, PCM_ENABLE_OUTPUT) ==
	      PCM_ENABLE_OUTPUT);
	nap(700);
	CHECK(optr(fd).bytes > 0);
	ring[5000] = 1;
	nap(700);
	CHECK(optr(fd).bytes > 0);
	close(fd);
	return failed_here;
}

static const struct {
	const char *name;
	void (*run)(void);
	enum { ALWAYS, WITH_MMAP, WITHOUT_MMAP } when;
} tests[] = {
	{ "open",		test_open, ALWAYS },
	{ "parameters",		test_parameters, ALWAYS },
	{ "fragments",		test_fragments, ALWAYS },
	{ "nonblock",		test_nonblock, ALWAYS },
	{ "block",		test_block, ALWAYS },
	{ "sync",		test_sync, ALWAYS },
	{ "close",		test_close, ALWAYS },
	{ "mmap_refused",	test_no_mmap, WITHOUT_MMAP },
	{ "mmap_arguments",	test_mmap_args, WITH_MMAP },
	{ "mmap",		test_mmap, WITH_MMAP },
	{ "mmap_killed",	test_mmap_killed, WITH_MMAP },
};

int main(int argc, char **argv)
{
	int count = sizeof(tests) / sizeof(*tests), failed = 0;
	bool silence = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-mmap")) {
			can_mmap = false;
		} else if (!strcmp(argv[i], "--silence")) {
			silence = true;
		} else if (argv[i][0] == '/') {
			device = argv[i];
		} else {
			fprintf(stderr,
				"usage: test_dsp [--no-mmap | --silence] [/dev/dsp]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (silence)
		return play_silence();
	memset(sound, 0x80, sizeof(sound));
	printf("TAP version 13\n1..%d\n", count);
	for (int i = 0; i < count; i++) {
		if (tests[i].when == (can_mmap ? WITHOUT_MMAP : WITH_MMAP)) {
			printf("ok %d dsp.%s # SKIP %s mmap\n", i + 1,
			       tests[i].name, can_mmap ? "with" : "without");
			continue;
		}
		failed_here = 0;
		tests[i].run();
		printf("%s %d dsp.%s\n", failed_here ? "not ok" : "ok", i + 1,
		       tests[i].name);
		failed += failed_here != 0;
	}
	return failed != 0;
}
