/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fuse

#if !defined(_TRACE_FUSE_BUFFER_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_FUSE_BUFFER_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(fuse_buffer,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),

	TP_ARGS(buffer, offset, len),

	TP_STRUCT__entry(
		__field(dev_t,	connection)
		__field(u64,	nodeid)
		__field(u64,	offset)
		__field(u64,	len)
	),

	TP_fast_assign(
		__entry->connection	=	buffer->buffers->dev;
		__entry->nodeid		=	buffer->nodeid;
		__entry->offset		=	offset;
		__entry->len		=	len;
	),

	TP_printk("connection %u buffer 0x%016llx offset %llu len %llu",
		  __entry->connection, __entry->nodeid, __entry->offset,
		  __entry->len)
);

/* A buffer is made; len is its size */
DEFINE_EVENT(fuse_buffer, fuse_buffer_create,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),
	TP_ARGS(buffer, offset, len)
);

/* A client's mmap(2) has succeeded */
DEFINE_EVENT(fuse_buffer, fuse_buffer_map,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),
	TP_ARGS(buffer, offset, len)
);

/* The last piece of a client's mapping is gone */
DEFINE_EVENT(fuse_buffer, fuse_buffer_unmap,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),
	TP_ARGS(buffer, offset, len)
);

/* The server has stored by FUSE_NOTIFY_STORE */
DEFINE_EVENT(fuse_buffer, fuse_buffer_store,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),
	TP_ARGS(buffer, offset, len)
);

/* The server is sent what it asked for by FUSE_NOTIFY_RETRIEVE */
DEFINE_EVENT(fuse_buffer, fuse_buffer_retrieve,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),
	TP_ARGS(buffer, offset, len)
);

/* Pages are dropped: by FUSE_NOTIFY_INVAL_INODE, or all with the buffer */
DEFINE_EVENT(fuse_buffer, fuse_buffer_drop,
	TP_PROTO(const struct fuse_buffer *buffer, u64 offset, u64 len),
	TP_ARGS(buffer, offset, len)
);

#endif /* _TRACE_FUSE_BUFFER_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE buffer_trace
#include <trace/define_trace.h>
