// SPDX-License-Identifier: GPL-2.0
/*
 * What the servers exchanged with the kernel: for each opcode, notify code and
 * ioctl of the uapi headers, by transport.  At the end of a test, its counts
 * are appended to the file named by FUSE_COUNTS in the environment, a record a
 * line: kind, name, number, transport, requests, ok, error, malformed.  The
 * first to write says all the names, so that what nobody sends is seen, too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fuse_window.h>

#include "fuse_counts.h"

#define TRANSPORTS	8

static const struct {
	const char *kind;
	const char *name;
	unsigned long number;
} names[] = {
	/* { "opcode", "FUSE_LOOKUP", FUSE_LOOKUP }, ... out of the headers */
#include "fuse_names.h"
};

#define NAMES	(sizeof(names) / sizeof(names[0]))

static unsigned int counts[NAMES][TRANSPORTS][COUNTS];
static const char *transports[TRANSPORTS];
static int out = -1;

static long find(const char *kind, unsigned long number)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (names[i].number == number && !strcmp(names[i].kind, kind))
			return i;
	return -1;
}

const char *opcode_name(uint32_t number)
{
	static char text[16];
	long i = find("opcode", number);

	if (i >= 0)
		return names[i].name;
	snprintf(text, sizeof(text), "opcode %u", number);
	return text;
}

void count(const char *kind, unsigned long number, const char *transport,
	   enum count what)
{
	long i = find(kind, number);
	int t = 0;

	if (i < 0)
		return;
	while (transports[t] && strcmp(transports[t], transport))
		if (++t == TRANSPORTS)
			return;
	transports[t] = transport;
	counts[i][t][what]++;
}

void counts_open(void)
{
	const char *path = getenv("FUSE_COUNTS");

	if (path)
		out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void write_record(size_t i, const char *transport, const unsigned int *n)
{
	char line[160];
	int len = snprintf(line, sizeof(line), "%s %s %lu %s %u %u %u %u\n",
			   names[i].kind, names[i].name, names[i].number,
			   transport, n[COUNT_REQUEST], n[COUNT_OK],
			   n[COUNT_ERROR], n[COUNT_MALFORMED]);

	if (write(out, line, len) != len)
		perror("FUSE_COUNTS");
}

void counts_clear(void)
{
	memset(counts, 0, sizeof(counts));
}

void counts_write(void)
{
	static const unsigned int none[COUNTS];
	size_t i, n;
	int t;

	if (out < 0)
		return;
	n = lseek(out, 0, SEEK_END) ? 0 : NAMES;
	for (i = 0; i < n; i++)
		write_record(i, "-", none);
	for (i = 0; i < NAMES; i++)
		for (t = 0; t < TRANSPORTS && transports[t]; t++)
			if (memcmp(counts[i][t], none, sizeof(none)))
				write_record(i, transports[t], counts[i][t]);
	close(out);
	out = -1;
}
