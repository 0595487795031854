/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Benchmarks of fs/fuse: contenders do the same, in turn, in one boot.
 *
 * To be run where time is the number of instructions (QEMU's -icount), or by
 * the clock.  Where memory is filled, read or copied as a whole, here or in the
 * kernel, an instruction does it for 8 bytes.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE		4096ULL
#define MIB		(1ULL << 20)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define CONTENDERS(a)	.contenders = (a), .n = ARRAY_SIZE(a)

#define die(...) bench_die(__FILE__, __LINE__, __VA_ARGS__)
#define need(ok) ((ok) ? (void)0 : die("%s", #ok))

__attribute__((noreturn)) void bench_die(const char *file, int line, const char *fmt, ...);

/* Nanoseconds: of the clock, or one for each instruction */
static inline uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline void copy(void *to, const void *from, size_t len)
{
	len /= 8;
	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
}

/* Make data, all of whose words are @value */
static inline void produce(void *to, size_t len, uint64_t value)
{
	len /= 8;
	asm volatile("rep stosq" : "+D"(to), "+c"(len) : "a"(value) : "memory");
}

/* Look at all of it: the value, of which a sample is checked */
static inline uint64_t consume(const void *from, size_t len)
{
	const uint64_t *words = from;
	uint64_t word;

	len /= 8;
	if (words[0] != words[len - 1] || words[0] != words[len / 2])
		die("what was to be %#llx is %#llx, %#llx",
		    (unsigned long long)words[0],
		    (unsigned long long)words[len / 2],
		    (unsigned long long)words[len - 1]);
	asm volatile("rep lodsq" : "+S"(from), "+c"(len), "=a"(word) : : "memory");
	return word;
}

/* One who does what a case is about */
struct contender {
	const char *name;
	const char *goal;	/* of the ratio to the reference, or NULL */
	/* Returns why it cannot be, or NULL */
	const char *(*start)(struct contender *c);
	/* Does it @times times, returns how long that took */
	uint64_t (*run)(struct contender *c, unsigned int times);
	void (*stop)(struct contender *c);
	long arg;
	const void *options;
	void *data;
	bool missing;
};

struct bench_case {
	const char *name;
	unsigned int times;	/* in each round */
	unsigned int rounds;	/* 0: the default */
	uint64_t bytes;		/* moved each time: the figure is a throughput */
	const char *unit;	/* of what run() returns, if not nanoseconds */
	const char *reference;	/* a contender, NULL: the first */
	struct contender *contenders;
	size_t n;
};

/* All start; then round by round, each has its turn; what they took is printed */
void compare(const struct bench_case *b);

/* The kernel that this is, see mainline.c */
extern const char *kernel_name;

void transfer(void);
void setup(void);
void store_pipe(void);
void dirty(void);
void mainline(void);
void scaling(void);
void window(void);
void virtiofs(void);
void virtiofs_large(void);
void memory(void);

#endif /* BENCH_H */
