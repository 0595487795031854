// SPDX-License-Identifier: GPL-2.0
/*
 * bench [-k KERNEL] [-r ROUNDS] [GROUP...]: prints a line for each
 * contender of each case, fields separated by tabs:
 *
 *	case contender unit reference goal figure...
 *
 * with a figure for each round.  Unit is ns, for one time, or MiB/s, or KiB of
 * memory; where time is the number of instructions, a nanosecond is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "transfer", transfer },
	{ "store", store_pipe },
	{ "setup", setup },
	{ "dirty", dirty },
	{ "window", window },
	{ "virtiofs", virtiofs },
	{ "virtiofs_large", virtiofs_large },
	{ "memory", memory },
	{ "mainline", mainline },
	{ "scaling", scaling },
};

const char *kernel_name = "patched";
static unsigned int rounds = 5;

void bench_die(const char *file, int line, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "bench: %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (%s)\n", strerror(err));
	exit(1);
}

/* Until what others have left to do later, such as to free memory, is done */
static uint64_t take_turn(struct contender *c, unsigned int times)
{
	usleep(50000);
	return c->run(c, times);
}

static double figure(const struct bench_case *b, uint64_t ns)
{
	if (!ns)
		die("%s took no time", b->name);
	if (b->bytes)
		return (double)b->bytes * b->times / MIB * 1e9 / ns;
	return (double)ns / b->times;
}

void compare(const struct bench_case *b)
{
	unsigned int n = b->rounds ?: rounds, round;
	uint64_t ns[b->n][n];
	size_t i;

	for (i = 0; i < b->n; i++) {
		struct contender *c = &b->contenders[i];
		const char *why = c->start ? c->start(c) : NULL;

		c->missing = why;
		if (why)
			fprintf(stderr, "# %s: no %s: %s\n", b->name, c->name,
				why);
	}
	sleep(1);
	/* the first round does not count: much is done for the first time */
	for (round = 0; round <= n; round++)
		for (i = 0; i < b->n; i++) {
			struct contender *c = &b->contenders[i];

			if (!c->missing)
				ns[i][(round ?: 1) - 1] = take_turn(c, b->times);
		}
	for (i = 0; i < b->n; i++) {
		struct contender *c = &b->contenders[i];

		if (c->missing)
			continue;
		printf("%s\t%s\t%s\t%s\t%s", b->name, c->name,
		       b->unit ?: b->bytes ? "MiB/s" : "ns",
		       b->reference ?: b->contenders[0].name, c->goal ?: "");
		for (round = 0; round < n; round++)
			printf("\t%.2f", figure(b, ns[i][round]));
		printf("\n");
	}
	fflush(stdout);
	/* the last one first: its server has the files open of those before it */
	while (i--)
		if (!b->contenders[i].missing && b->contenders[i].stop)
			b->contenders[i].stop(&b->contenders[i]);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 16384, 16384 };
	int opt, i;
	size_t g;

	while ((opt = getopt(argc, argv, "k:r:")) != -1)
		switch (opt) {
		case 'k':
			kernel_name = optarg;
			break;
		case 'r':
			rounds = atoi(optarg);
			break;
		default:
			return 2;
		}
	need(!setrlimit(RLIMIT_NOFILE, &files));
	need(!unshare(CLONE_NEWNS));
	need(!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	for (g = 0; g < ARRAY_SIZE(groups); g++) {
		bool wanted = optind == argc;

		for (i = optind; i < argc; i++)
			wanted |= !strcmp(argv[i], groups[g].name);
		if (wanted)
			groups[g].run();
	}
	return 0;
}
