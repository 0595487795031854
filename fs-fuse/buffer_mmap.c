// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients map buffers: FUSE_MMAP, FUSE_MUNMAP.
 *
 * Every mmap(2) gets a file of its own, of the buffer's inode.  All VMAs that
 * descend from that mmap(2), by fork, split or mremap, share the file and no
 * others do, so it is released just when the last of them is gone: that is when
 * the FUSE_MUNMAP is due.
 */

#include "fuse_i.h"
#include "dev.h"
#include "fuse_dev_i.h"
#include "buffer.h"
#include "buffer_trace.h"

#include <linux/file.h>
#include <linux/mman.h>
#include <linux/slab.h>

enum fuse_mapping_state {
	/* The client waits for the reply to FUSE_MMAP */
	FUSE_MAPPING_ASKED,
	/* The reply came, the mapping is the client's */
	FUSE_MAPPING_ANSWERED,
	/* The client was killed, the mapping is fuse_mmap_end()'s */
	FUSE_MAPPING_ABANDONED,
};

static void fuse_munmap_end(struct fuse_args *args, int error)
{
	kfree(container_of(args, struct fuse_mapping, args));
}

/* The mapping is gone, or did not come about */
static void fuse_mapping_free(struct fuse_mapping *m)
{
	struct fuse_file *ff = m->ff;
	struct file *file = m->file;
	struct fuse_buffer *buffer = m->buffer;
	struct fuse_conn *fc = fuse_conn_get(ff->fm->fc);

	if (m->answered) {
		m->munmap_in = (struct fuse_munmap_in) {
			.fh = ff->fh,
			.nodeid = m->nodeid,
			.offset = m->offset,
			.len = m->len,
		};
		m->args = (struct fuse_args) {
			.opcode = FUSE_MUNMAP,
			.noreply = true,
			.nodeid = ff->nodeid,
			.in_numargs = 1,
			.in_args[0].size = sizeof(m->munmap_in),
			.in_args[0].value = &m->munmap_in,
			.end = fuse_munmap_end,
		};
		/* From here on @m is fuse_munmap_end()'s */
		fuse_chan_send_async(fc->chan, &m->args, 0);
	} else {
		kfree(m);
	}

	if (buffer)
		fuse_buffer_put(buffer);
	fuse_file_put(ff, false);
	if (file)
		fput(file);
	fuse_conn_put(fc);
}

static int fuse_mapping_release(struct inode *inode, struct file *file)
{
	struct fuse_mapping *m = file->private_data;

	trace_fuse_buffer_unmap(m->buffer, m->offset, m->len);
	atomic_dec(&m->buffer->mappings);
	fuse_mapping_free(m);

	return 0;
}

static const struct file_operations fuse_mapping_fops = {
	.owner		= THIS_MODULE,
	/* For msync(2), as there is nothing to sync to */
	.fsync		= noop_fsync,
	.release	= fuse_mapping_release,
};

static const struct vm_operations_struct fuse_mapping_vm_ops[] = {
	[0] = {
		.fault		= fuse_buffer_fault,
		.map_pages	= filemap_map_pages,
	},
	[FUSE_BUFFER_DEMAND] = {
		.fault		= fuse_demand_fault,
		.map_pages	= filemap_map_pages,
	},
	[FUSE_BUFFER_LOG] = {
		.fault		= fuse_buffer_fault,
		.map_pages	= filemap_map_pages,
		.page_mkwrite	= fuse_dirty_mkwrite,
	},
	[FUSE_BUFFER_DEMAND | FUSE_BUFFER_LOG] = {
		.fault		= fuse_demand_fault,
		.map_pages	= filemap_map_pages,
		.page_mkwrite	= fuse_dirty_mkwrite,
	},
};

/* What the server said; called in the context of the server */
static int fuse_mmap_answer(struct fuse_mapping *m)
{
	const struct fuse_mmap_out *out = &m->out;
	struct fuse_buffer *buffer;

	m->answered = out->nodeid;
	m->nodeid = out->nodeid;
	m->offset = out->offset;

	if (out->flags & ~FUSE_BUFFER_FLAGS || out->padding)
		return -EIO;
	if (!out->nodeid)
		return out->offset || out->size || out->flags ? -EIO : 0;
	if (!PAGE_ALIGNED(out->offset))
		return -EIO;

	/*
	 * Made here, not in the client, so that it exists when the server's
	 * write(2) of the reply returns.
	 */
	buffer = fuse_buffer_get(m->ff->fm->fc, out->nodeid, out->size,
				 out->flags);
	if (IS_ERR(buffer))
		return -EIO;

	m->buffer = buffer;
	if (m->offset > buffer->size || m->len > buffer->size - m->offset)
		return -EIO;

	return 0;
}

static void fuse_mmap_end(struct fuse_args *args, int error)
{
	struct fuse_mapping *m = container_of(args, typeof(*m), args);

	m->error = error ?: fuse_mmap_answer(m);

	if (atomic_cmpxchg(&m->state, FUSE_MAPPING_ASKED,
			   FUSE_MAPPING_ANSWERED) == FUSE_MAPPING_ABANDONED)
		fuse_mapping_free(m);
	else
		complete(&m->done);
}

/*
 * Ask the server what to map.  No server can answer -ERESTARTSYS: it says that
 * the client was killed, and that @m is no longer the caller's.
 */
static int fuse_mapping_ask(struct fuse_mapping *m, struct vm_area_struct *vma)
{
	struct fuse_file *ff = m->ff;

	if (vma->vm_flags & VM_READ)
		m->mmap_in.prot |= PROT_READ;
	if (vma->vm_flags & VM_WRITE)
		m->mmap_in.prot |= PROT_WRITE;
	if (vma->vm_flags & VM_EXEC)
		m->mmap_in.prot |= PROT_EXEC;
	m->mmap_in.flags = vma->vm_flags & VM_MAYSHARE ? MAP_SHARED :
							 MAP_PRIVATE;
	m->mmap_in.fh = ff->fh;
	m->mmap_in.addr = vma->vm_start;
	m->mmap_in.len = m->len;
	m->mmap_in.offset = (u64)vma->vm_pgoff << PAGE_SHIFT;

	m->args.opcode = FUSE_MMAP;
	m->args.nodeid = ff->nodeid;
	m->args.in_numargs = 1;
	m->args.in_args[0].size = sizeof(m->mmap_in);
	m->args.in_args[0].value = &m->mmap_in;
	m->args.out_numargs = 1;
	m->args.out_args[0].size = sizeof(m->out);
	m->args.out_args[0].value = &m->out;
	m->args.end = fuse_mmap_end;

	if (!fuse_simple_killable(ff->fm, &m->args, &m->done))
		return m->error;

	/* Killed; but the answer may have come at the last moment */
	if (atomic_cmpxchg(&m->state, FUSE_MAPPING_ASKED,
			   FUSE_MAPPING_ABANDONED) == FUSE_MAPPING_ASKED)
		return -ERESTARTSYS;

	wait_for_completion(&m->done);
	return m->error;
}

/**
 * fuse_buffer_mmap - map a buffer into a client
 * @file: the client's file
 * @vma: the new mapping
 *
 * Return: 0, -errno, or %FUSE_MMAP_NO_BUFFER if the server leaves this mmap(2)
 * to what would happen without buffers.
 */
int fuse_buffer_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct fuse_file *ff = file->private_data;
	struct fuse_conn *fc = ff->fm->fc;
	struct fuse_mapping *m;
	struct file *mapped;
	int err;

	if (!fuse_has_feature(fc, FUSE_FEATURE_BUFFERS))
		return FUSE_MMAP_NO_BUFFER;
	if (!READ_ONCE(fc->chan->connected))
		return -ENOTCONN;

	m = kzalloc_obj(*m, GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;

	init_completion(&m->done);
	m->ff = fuse_file_get(ff);
	m->len = vma->vm_end - vma->vm_start;

	if (!fuse_buffer_bound(ff, (u64)vma->vm_pgoff << PAGE_SHIFT, m->len,
			       &m->buffer, &m->offset)) {
		err = FUSE_MMAP_NO_BUFFER;
		if (fc->no_mmap)
			goto out_free;

		err = fuse_mapping_ask(m, vma);
		if (err == -ERESTARTSYS)
			return -EINTR;
		if (err == -ENOSYS) {
			fc->no_mmap = 1;
			err = FUSE_MMAP_NO_BUFFER;
		} else if (!err && !m->buffer) {
			err = FUSE_MMAP_NO_BUFFER;
		}
		if (err)
			goto out_free;
	}

	mapped = fuse_buffer_file(m->buffer,
				  file->f_mode & FMODE_WRITE ? O_RDWR : O_RDONLY,
				  &fuse_mapping_fops, m);
	if (IS_ERR(mapped)) {
		err = PTR_ERR(mapped);
		goto out_free;
	}

	m->file = get_file(file);
	atomic_inc(&m->buffer->mappings);
	trace_fuse_buffer_map(m->buffer, m->offset, m->len);

	vma_set_file(vma, mapped);
	fput(mapped);
	vma->vm_pgoff = m->offset >> PAGE_SHIFT;
	vma->vm_ops = &fuse_mapping_vm_ops[m->buffer->flags];
	/* More than was granted is not to be reached by growing */
	vm_flags_set(vma, VM_DONTEXPAND);

	return 0;

out_free:
	fuse_mapping_free(m);
	return err;
}
EXPORT_SYMBOL_GPL(fuse_buffer_mmap);
