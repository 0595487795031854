/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fs/fuse as one module beside a kernel that has a fuse of its own: included
 * before each file of it. What a kernel older than that of fs/fuse lacks is in
 * compat.h.
 */
#ifndef _FUSE_MODULE_H
#define _FUSE_MODULE_H

#include <linux/version.h>

#ifdef FUSE_MODULE_ONLY_CUSE
/* Whatever the kernel's configuration says */
#undef CONFIG_FUSE_DAX
#undef CONFIG_FUSE_PASSTHROUGH
#undef CONFIG_FUSE_IO_URING
#undef CONFIG_VIRTIO_FS
#undef CONFIG_VIRTIO_FS_MODULE
#endif

/* What is redefined below has to be included before */
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <linux/sysfs.h>

#include "compat.h"

int fuse_module_register_filesystem(struct file_system_type *fs);
int fuse_module_unregister_filesystem(struct file_system_type *fs);
int fuse_module_misc_register(struct miscdevice *misc);
void fuse_module_misc_deregister(struct miscdevice *misc);
struct ctl_table_header *fuse_module_register_sysctl(const struct ctl_table *table,
						     size_t size);
struct kobject *fuse_module_kobject(const char *name, struct kobject *parent);

int fuse_module_fuse_init(void);
void fuse_module_fuse_exit(void);
int fuse_module_cuse_init(void);
void fuse_module_cuse_exit(void);

#ifndef FUSE_MODULE_C

/* Names that the kernel's own fuse may have: see fuse_module.c */
#define register_filesystem	fuse_module_register_filesystem
#define unregister_filesystem	fuse_module_unregister_filesystem
#define misc_register		fuse_module_misc_register
#define misc_deregister		fuse_module_misc_deregister
#define kobject_create_and_add	fuse_module_kobject
#undef register_sysctl
#define register_sysctl(path, table) \
	fuse_module_register_sysctl(table, ARRAY_SIZE(table))

static inline struct kmem_cache *
fuse_module_cache(const char *name, unsigned int size, unsigned int align,
		  slab_flags_t flags, void (*ctor)(void *))
{
	return kmem_cache_create(name, size, align, flags, ctor);
}

#undef kmem_cache_create
#define kmem_cache_create(name, ...)	fuse_module_cache("cuse_ko_" name, __VA_ARGS__)

#define fuse_request_send		fuse_mmap_request_send
#define fuse_request_sent		fuse_mmap_request_sent
#define fuse_request_end		fuse_mmap_request_end
#define trace_fuse_request_send		trace_fuse_mmap_request_send
#define trace_fuse_request_sent		trace_fuse_mmap_request_sent
#define trace_fuse_request_end		trace_fuse_mmap_request_end

/* One module has one init */
#undef module_init
#define module_init(fn)	int __init fuse_module_##fn(void) { return fn(); }
#undef module_exit
#define module_exit(fn)	void fuse_module_##fn(void) { fn(); }
/* Called also where the second of the inits fails */
#undef __exit
#define __exit

#undef pr_fmt
#ifndef FUSE_MODULE_CUSE_C
#define pr_fmt(fmt) "fuse: " fmt

/* mount -t fuse and open("/dev/fuse") do not load cuse.ko */
#undef MODULE_ALIAS
#define MODULE_ALIAS(alias)
#endif

#endif /* FUSE_MODULE_C */
#endif
