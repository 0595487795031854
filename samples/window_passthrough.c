// SPDX-License-Identifier: GPL-2.0
/*
 * A file system that shows a directory elsewhere, through a window: what is in
 * the window is read, written and mapped without this server.
 *
 *	window_passthrough [--size MIB] [--range KIB] [-f] [-o OPT] SOURCE MOUNTPOINT
 *	fusermount3 -u MOUNTPOINT
 *
 * On unmodified libfuse3: the two messages that it does not know are answered
 * before it sees them.  The rules are those of fuse-window.rst.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <linux/fuse_window.h>

/* An object of the source that the kernel knows */
struct node {
	struct node *next;
	dev_t dev;
	ino_t ino;
	uint64_t nlookup;
	int path;	/* O_PATH */
	int fd;		/* of its data, when it was first needed, or -1 */
	bool writable;
	int error;	/* of writing back, that nobody was told of */
};

static struct options {
	unsigned int size_mib;
	unsigned int range_kib;
} options = { .size_mib = 64, .range_kib = 256 };

static struct node root;
static struct node *nodes = &root;

/* What is in the window */
static struct range {
	struct node *node;
	uint64_t offset;
	bool writable;
} *ranges;
static unsigned int nr_ranges;
static size_t range_size;
static char *window;
static int window_fd = -1;

static struct {
	unsigned long setups, upgrades, removals, reads, writes;
} counts;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)ino;
}

static const char *proc_path(struct node *node)
{
	static char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node->path);
	return path;
}

/* Open the data of a file, for writing if it must be: 0 or an errno */
static int need_fd(struct node *node, bool write)
{
	int fd;

	if (node->fd >= 0 && (node->writable || !write))
		return 0;
	fd = open(proc_path(node), O_RDWR | O_CLOEXEC);
	if (fd < 0 && !write)
		fd = open(proc_path(node), O_RDONLY | O_CLOEXEC);
	else if (fd >= 0)
		node->writable = true;
	if (fd < 0)
		return errno;
	if (node->fd >= 0)
		close(node->fd);
	node->fd = fd;
	return 0;
}

/* The window */

/* Write to the source what clients have written to a part of the window */
static int write_back(unsigned int nr)
{
	struct range *range = &ranges[nr];
	struct fuse_buffer_range dirty[64];
	struct fuse_window_dirty arg = {
		.start = nr * range_size,
		.len = range_size,
		.ranges = (uintptr_t)dirty,
	};
	struct stat st;
	unsigned int i;
	int err = 0;

	if (!range->writable)
		return 0;
	if (fstat(range->node->fd, &st))
		return errno;
	while (arg.len) {
		arg.count = 64;
		if (ioctl(window_fd, FUSE_WINDOW_IOC_DIRTY, &arg))
			return errno;
		for (i = 0; i < arg.count; i++) {
			uint64_t pos = range->offset + dirty[i].start % range_size;
			uint64_t len = dirty[i].len;
			const char *from = window + dirty[i].start;

			/* the last page reaches behind the end of the file */
			if (pos >= (uint64_t)st.st_size)
				continue;
			if (len > st.st_size - pos)
				len = st.st_size - pos;
			while (len) {
				ssize_t n = pwrite(range->node->fd, from, len, pos);

				if (n <= 0) {
					err = n ? errno : EIO;
					break;
				}
				from += n;
				pos += n;
				len -= n;
			}
		}
	}
	return err;
}

static void write_back_node(struct node *node)
{
	unsigned int i;
	int err;

	for (i = 0; i < nr_ranges; i++)
		if (ranges[i].node == node) {
			err = write_back(i);
			if (err)
				node->error = err;
		}
}

static int setup_mapping(struct node *node, const struct fuse_setupmapping_in *in)
{
	bool write = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE;
	unsigned int nr = in->moffset / range_size;
	size_t done = 0;
	ssize_t n;
	int err;

	err = need_fd(node, write);
	if (err)
		return err;
	/* an upgrade: what is there stays */
	if (!(in->flags & FUSE_SETUPMAPPING_FLAG_READ)) {
		counts.upgrades++;
		ranges[nr].writable = true;
		return 0;
	}
	/* the rest, behind the end of the file, is zeros */
	while (done < in->len) {
		n = pread(node->fd, window + in->moffset + done, in->len - done,
			  in->foffset + done);
		if (n < 0)
			return errno;
		if (!n)
			break;
		done += n;
	}
	counts.setups++;
	ranges[nr].node = node;
	ranges[nr].offset = in->foffset;
	ranges[nr].writable = write;
	return 0;
}

static int remove_mapping(const struct fuse_removemapping_in *in)
{
	const struct fuse_removemapping_one *one = (const void *)(in + 1);
	unsigned int nr;
	int err = 0, ret;
	uint32_t i;

	for (i = 0; i < in->count; i++) {
		nr = one[i].moffset / range_size;
		ret = write_back(nr);
		if (!err)
			err = ret;
		ranges[nr].node = NULL;
		ranges[nr].writable = false;
		counts.removals++;
	}
	return err;
}

/* Answer what libfuse does not know; return whether that was it */
static bool window_request(int fd, const struct fuse_in_header *h)
{
	struct fuse_out_header out = { .len = sizeof(out), .unique = h->unique };

	if (h->opcode == FUSE_SETUPMAPPING)
		out.error = -setup_mapping(node_of(h->nodeid), (const void *)(h + 1));
	else if (h->opcode == FUSE_REMOVEMAPPING)
		out.error = -remove_mapping((const void *)(h + 1));
	else
		return false;
	if (write(fd, &out, sizeof(out)) < 0 && errno != ENODEV)
		warn("reply");
	return true;
}

static ssize_t read_request(int fd, void *buf, size_t len, void *userdata)
{
	ssize_t n;

	(void)userdata;
	do {
		n = read(fd, buf, len);
	} while (n >= (ssize_t)sizeof(struct fuse_in_header) &&
		 window_request(fd, buf));
	return n;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)userdata;
	return writev(fd, iov, count);
}

static int window_attach(int fd)
{
	struct fuse_enable enable = { .features = FUSE_FEATURE_WINDOW };
	struct fuse_window_attach attach = {
		.size = (uint64_t)options.size_mib << 20,
		.range_size = options.range_kib << 10,
		.flags = O_CLOEXEC | FUSE_WINDOW_ALL,
	};

	if (ioctl(fd, FUSE_DEV_IOC_ENABLE, &enable)) {
		warn("a kernel without the window");
		return -1;
	}
	window_fd = ioctl(fd, FUSE_DEV_IOC_WINDOW, &attach);
	if (window_fd < 0) {
		warn("attaching the window");
		return -1;
	}
	window = mmap(NULL, attach.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      window_fd, 0);
	range_size = attach.range_size;
	nr_ranges = attach.size / range_size;
	ranges = calloc(nr_ranges, sizeof(*ranges));
	if (window == MAP_FAILED || !ranges) {
		warn("mapping the window");
		return -1;
	}
	return 0;
}

/* The rest is what any file system that shows another does */

static int find_node(fuse_ino_t parent, const char *name, struct node **found,
		     struct stat *st)
{
	int path = openat(node_of(parent)->path, name,
			  O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct node *node;
	int err;

	if (path < 0)
		return errno;
	if (fstatat(path, "", st, AT_EMPTY_PATH))
		goto fail;
	for (node = nodes; node; node = node->next)
		if (node->ino == st->st_ino && node->dev == st->st_dev)
			break;
	if (node) {
		close(path);
	} else {
		node = calloc(1, sizeof(*node));
		if (!node)
			goto fail;
		node->ino = st->st_ino;
		node->dev = st->st_dev;
		node->path = path;
		node->fd = -1;
		node->next = nodes;
		nodes = node;
	}
	*found = node;
	return 0;
fail:
	err = errno;
	close(path);
	return err;
}

static int make_entry(fuse_ino_t parent, const char *name,
		      struct fuse_entry_param *e)
{
	struct node *node = NULL;
	int err;

	*e = (struct fuse_entry_param){ .attr_timeout = 1, .entry_timeout = 1 };
	err = find_node(parent, name, &node, &e->attr);
	if (err)
		return err;
	node->nlookup++;
	e->ino = node == &root ? FUSE_ROOT_ID : (fuse_ino_t)node;
	return 0;
}

static void reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	int err = make_entry(parent, name, &e);

	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_entry(req, &e);
}

static void pt_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* requests are read as they are, to be looked at */
	conn->want &= ~FUSE_CAP_SPLICE_READ;
}

static void pt_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_entry(req, parent, name);
}

static void forget_one(fuse_ino_t ino, uint64_t nlookup)
{
	struct node *node = node_of(ino), **p;
	unsigned int i;

	if (node == &root)
		return;
	node->nlookup -= nlookup;
	if (node->nlookup)
		return;
	/* what could be written to was removed before; the rest is only ours */
	for (i = 0; i < nr_ranges; i++)
		if (ranges[i].node == node)
			ranges[i].node = NULL;
	for (p = &nodes; *p != node; p = &(*p)->next)
		;
	*p = node->next;
	if (node->fd >= 0)
		close(node->fd);
	close(node->path);
	free(node);
}

static void pt_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget_one(ino, nlookup);
	fuse_reply_none(req);
}

static void pt_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	size_t i;

	for (i = 0; i < count; i++)
		forget_one(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, struct node *node)
{
	struct stat st;

	/* so that the times tell of what was written through the window */
	write_back_node(node);
	if (fstatat(node->path, "", &st, AT_EMPTY_PATH))
		fuse_reply_err(req, errno);
	else
		fuse_reply_attr(req, &st, 1);
}

static void pt_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	reply_attr(req, node_of(ino));
}

static int set_attr(struct node *node, const struct stat *st, int to_set)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_nsec = UTIME_OMIT },
	};
	int err;

	if (to_set & FUSE_SET_ATTR_MODE && chmod(proc_path(node), st->st_mode))
		return errno;
	if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
	    fchownat(node->path, "",
		     to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1,
		     to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1,
		     AT_EMPTY_PATH))
		return errno;
	if (to_set & FUSE_SET_ATTR_SIZE) {
		err = need_fd(node, true);
		if (err)
			return err;
		if (ftruncate(node->fd, st->st_size))
			return errno;
	}
	if (to_set & FUSE_SET_ATTR_ATIME)
		times[0] = st->st_atim;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	if (to_set & FUSE_SET_ATTR_MTIME)
		times[1] = st->st_mtim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	/* what was written before must not come after it */
	write_back_node(node);
	return utimensat(AT_FDCWD, proc_path(node), times, 0) ? errno : 0;
}

static void pt_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
		       int to_set, struct fuse_file_info *fi)
{
	int err = set_attr(node_of(ino), st, to_set);

	(void)fi;
	if (err)
		fuse_reply_err(req, err);
	else
		reply_attr(req, node_of(ino));
}

static void pt_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[4097];
	ssize_t n = readlinkat(node_of(ino)->path, "", target, sizeof(target) - 1);

	if (n < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[n] = 0;
	fuse_reply_readlink(req, target);
}

static void pt_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	if (mkdirat(node_of(parent)->path, name, mode))
		fuse_reply_err(req, errno);
	else
		reply_entry(req, parent, name);
}

static void pt_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	if (symlinkat(target, node_of(parent)->path, name))
		fuse_reply_err(req, errno);
	else
		reply_entry(req, parent, name);
}

static void pt_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		    const char *name)
{
	if (linkat(AT_FDCWD, proc_path(node_of(ino)), node_of(parent)->path,
		   name, AT_SYMLINK_FOLLOW))
		fuse_reply_err(req, errno);
	else
		reply_entry(req, parent, name);
}

static void pt_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, unlinkat(node_of(parent)->path, name, 0) ? errno : 0);
}

static void pt_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, unlinkat(node_of(parent)->path, name, AT_REMOVEDIR) ?
		       errno : 0);
}

static void pt_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t to, const char *to_name, unsigned int flags)
{
	fuse_reply_err(req, renameat2(node_of(parent)->path, name,
				      node_of(to)->path, to_name, flags) ?
		       errno : 0);
}

static void pt_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *node = node_of(ino);
	int err = need_fd(node, (fi->flags & O_ACCMODE) != O_RDONLY);

	if (!err && fi->flags & O_TRUNC && ftruncate(node->fd, 0))
		err = errno;
	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_open(req, fi);
}

static void pt_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	struct node *node;
	int fd, err;

	/* read for what is set up, and written back whole */
	fd = openat(node_of(parent)->path, name,
		    (fi->flags & ~(O_APPEND | O_ACCMODE)) |
		    O_RDWR | O_CREAT | O_CLOEXEC, mode);
	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	err = make_entry(parent, name, &e);
	if (err) {
		close(fd);
		fuse_reply_err(req, err);
		return;
	}
	node = node_of(e.ino);
	/* its mode may not let us open it again */
	if (node->fd >= 0)
		close(node->fd);
	node->fd = fd;
	node->writable = true;
	fuse_reply_create(req, &e, fi);
}

static void pt_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(size);

	(void)fi;
	counts.reads++;
	buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buf.buf[0].fd = node_of(ino)->fd;
	buf.buf[0].pos = offset;
	fuse_reply_data(req, &buf, 0);
}

static void pt_write(fuse_req_t req, fuse_ino_t ino, const char *data,
		     size_t size, off_t offset, struct fuse_file_info *fi)
{
	ssize_t n = pwrite(node_of(ino)->fd, data, size, offset);

	(void)fi;
	counts.writes++;
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, n);
}

static void pt_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	struct node *node = node_of(ino);
	int err;

	(void)fi;
	write_back_node(node);
	err = node->error;
	node->error = 0;
	if (!err && (datasync ? fdatasync(node->fd) : fsync(node->fd)))
		err = errno;
	fuse_reply_err(req, err);
}

static void pt_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
			 off_t length, struct fuse_file_info *fi)
{
	(void)fi;
	fuse_reply_err(req, fallocate(node_of(ino)->fd, mode, offset, length) ?
		       errno : 0);
}

static void pt_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	off_t pos;

	(void)fi;
	/* what is dirty may fill a hole */
	write_back_node(node_of(ino));
	pos = lseek(node_of(ino)->fd, off, whence);
	if (pos < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_lseek(req, pos);
}

static void pt_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int fd = openat(node_of(ino)->path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fuse_reply_err(req, errno);
		return;
	}
	fi->fh = (uintptr_t)dir;
	fuse_reply_open(req, fi);
}

static void pt_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	DIR *dir = (DIR *)(uintptr_t)fi->fh;
	char *buf = malloc(size);
	struct dirent *d;
	size_t len = 0, n;

	(void)ino;
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	seekdir(dir, offset);
	while ((d = readdir(dir))) {
		struct stat st = {
			.st_ino = d->d_ino,
			.st_mode = DTTOIF(d->d_type),
		};

		n = fuse_add_direntry(req, buf + len, size - len, d->d_name, &st,
				      d->d_off);
		if (n > size - len)
			break;
		len += n;
	}
	fuse_reply_buf(req, buf, len);
	free(buf);
}

static void pt_releasedir(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	(void)ino;
	closedir((DIR *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

static void pt_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	if (fstatvfs(root.path, &st))
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops ops = {
	.init		= pt_init,
	.lookup		= pt_lookup,
	.forget		= pt_forget,
	.forget_multi	= pt_forget_multi,
	.getattr	= pt_getattr,
	.setattr	= pt_setattr,
	.readlink	= pt_readlink,
	.mkdir		= pt_mkdir,
	.symlink	= pt_symlink,
	.link		= pt_link,
	.unlink		= pt_unlink,
	.rmdir		= pt_rmdir,
	.rename		= pt_rename,
	.open		= pt_open,
	.create		= pt_create,
	.read		= pt_read,
	.write		= pt_write,
	.fsync		= pt_fsync,
	.fallocate	= pt_fallocate,
	.lseek		= pt_lseek,
	.opendir	= pt_opendir,
	.readdir	= pt_readdir,
	.releasedir	= pt_releasedir,
	.statfs		= pt_statfs,
};

static const struct fuse_opt option_spec[] = {
	{ "--size %u", offsetof(struct options, size_mib), 0 },
	{ "--range %u", offsetof(struct options, range_kib), 0 },
	FUSE_OPT_END
};

static char *source;

static int take_source(void *data, const char *arg, int key,
		       struct fuse_args *args)
{
	(void)data;
	(void)args;
	if (key != FUSE_OPT_KEY_NONOPT || source)
		return 1;
	source = strdup(arg);
	return 0;
}

static int serve(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {
		.read = read_request,
		.writev = write_reply,
	};
	unsigned int i;
	int ret;

	ret = fuse_session_custom_io(se, &io, fuse_session_fd(se));
	if (ret)
		return ret;
	ret = fuse_session_loop(se);
	/* from here on nobody writes, but through mappings that are left */
	fuse_session_unmount(se);
	/* what the end of the mount did not leave time for */
	for (i = 0; i < nr_ranges; i++)
		if (ranges[i].node && write_back(i))
			warnx("a range of a file is lost");
	return ret;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts opts;
	struct fuse_session *se = NULL;
	struct stat st;
	int ret = 1;

	if (fuse_opt_parse(&args, &options, option_spec, take_source) ||
	    fuse_parse_cmdline(&args, &opts))
		return 1;
	if (opts.show_help || !source || !opts.mountpoint) {
		fprintf(stderr,
			"usage: %s [--size MIB] [--range KIB] [-f] [-o OPT] SOURCE MOUNTPOINT\n",
			argv[0]);
		return !opts.show_help;
	}
	root.fd = -1;
	root.path = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root.path < 0 || fstat(root.path, &st)) {
		perror(source);
		return 1;
	}
	root.dev = st.st_dev;
	root.ino = st.st_ino;
	umask(0);

	fuse_opt_add_arg(&args, "-odefault_permissions,fsname=window_passthrough");
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se || fuse_set_signal_handlers(se))
		goto out;
	if (fuse_session_mount(se, opts.mountpoint))
		goto out_handlers;
	if (!window_attach(fuse_session_fd(se)) &&
	    !fuse_daemonize(opts.foreground))
		ret = serve(se) ? 1 : 0;
	fuse_session_unmount(se);
	if (opts.foreground)
		printf("setups %lu upgrades %lu removals %lu reads %lu writes %lu\n",
		       counts.setups, counts.upgrades, counts.removals,
		       counts.reads, counts.writes);
out_handlers:
	fuse_remove_signal_handlers(se);
out:
	if (se)
		fuse_session_destroy(se);
	free(opts.mountpoint);
	fuse_opt_free_args(&args);
	return ret;
}
