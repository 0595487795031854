// SPDX-License-Identifier: GPL-2.0
/*
 * cuse.ko beside a kernel that has a fuse of its own.
 *
 * Without fuse=1 this is /dev/cuse, in place of the kernel's cuse.ko.
 *
 * With fuse=1 it is also /dev/fuse and "mount -t fuse". The kernel's fuse is
 * built in and cannot be unloaded, but what it offers is found by names: those
 * of file systems, and a minor of the misc devices. These are taken over, and
 * given back when the module goes. What is mounted, and who has /dev/fuse open,
 * stays with the fuse that it began with: it is held by references.
 */
#include "fuse_module.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/device/class.h>

static bool fuse;
module_param(fuse, bool, 0444);
MODULE_PARM_DESC(fuse, "also take over /dev/fuse and mount -t fuse");

#ifndef FUSE_MODULE_ONLY_CUSE

/* The kernel's file systems whose names we have; fuse, fuseblk, fusectl */
static struct {
	struct file_system_type *ours, *theirs;
} taken[3];
static struct miscdevice *taken_misc;

/*
 * Not if it was kept from starting by initcall_blacklist=fuse_init. If nothing
 * is taken over, it was not looked for.
 */
static bool has_other_fuse(void)
{
	return !fuse || taken[0].theirs;
}

int fuse_module_register_filesystem(struct file_system_type *fs)
{
	struct file_system_type *theirs;
	int err, i;

	if (!fuse)
		return 0;

	err = register_filesystem(fs);
	if (err != -EBUSY)
		return err;

	theirs = get_fs_type(fs->name);
	if (!theirs)
		return err;

	/* A module can go away, and its file system with it */
	if (theirs->owner) {
		pr_err("file system %s is of the module %s, which has to be unloaded first\n",
		       fs->name, module_name(theirs->owner));
		module_put(theirs->owner);
		return err;
	}

	for (i = 0; taken[i].ours; i++)
		;
	err = unregister_filesystem(theirs);
	if (err)
		return err;
	err = register_filesystem(fs);
	if (err) {
		WARN_ON(register_filesystem(theirs));
		return err;
	}
	taken[i].ours = fs;
	taken[i].theirs = theirs;
	return 0;
}

int fuse_module_unregister_filesystem(struct file_system_type *fs)
{
	int err, i;

	if (!fuse)
		return 0;

	err = unregister_filesystem(fs);
	for (i = 0; i < ARRAY_SIZE(taken); i++) {
		if (taken[i].ours != fs)
			continue;
		if (register_filesystem(taken[i].theirs))
			pr_err("somebody else has the name of file system %s now\n",
			       fs->name);
		taken[i].ours = NULL;
		taken[i].theirs = NULL;
	}
	return err;
}

/* The class of misc devices is not exported: have one of them */
static struct miscdevice *find_misc(int minor)
{
	static const struct file_operations fops = { .owner = THIS_MODULE };
	struct miscdevice probe = {
		.minor = MISC_DYNAMIC_MINOR,
		.name = "cuse-probe",
		.fops = &fops,
		.mode = 0400,
	};
	struct miscdevice *found = NULL;
	struct device *dev;

	if (misc_register(&probe))
		return NULL;
	dev = class_find_device_by_devt(probe.this_device->class,
					MKDEV(MISC_MAJOR, minor));
	if (dev) {
		found = dev_get_drvdata(dev);
		put_device(dev);
	}
	misc_deregister(&probe);
	return found;
}

static int take_misc(struct miscdevice *misc)
{
	struct miscdevice *theirs = find_misc(misc->minor);
	int err;

	if (!theirs || theirs->minor != misc->minor || theirs->fops->owner ||
	    strcmp(theirs->name, misc->name)) {
		pr_err("/dev/%s is not of a built-in fuse\n", misc->name);
		return -EBUSY;
	}

	misc_deregister(theirs);
	err = misc_register(misc);
	if (err) {
		WARN_ON(misc_register(theirs));
		return err;
	}
	taken_misc = theirs;
	return 0;
}

int fuse_module_misc_register(struct miscdevice *misc)
{
	int err;

	if (misc->minor == CUSE_MINOR) {
		err = misc_register(misc);
		if (err)
			pr_err("/dev/%s is somebody else's: %pe\n", misc->name, ERR_PTR(err));
		return err;
	}

	if (!fuse)
		return 0;

	err = misc_register(misc);
	return err == -EBUSY ? take_misc(misc) : err;
}

void fuse_module_misc_deregister(struct miscdevice *misc)
{
	if (misc->minor == CUSE_MINOR) {
		misc_deregister(misc);
		return;
	}

	if (!fuse)
		return;

	misc_deregister(misc);
	if (taken_misc && misc_register(taken_misc))
		pr_err("somebody else has /dev/%s now\n", misc->name);
	taken_misc = NULL;
}

/* Of these the kernel's fuse keeps its own */
struct kobject *fuse_module_kobject(const char *name, struct kobject *parent)
{
	return kobject_create_and_add(has_other_fuse() ? "fuse_mmap" : name, parent);
}

struct ctl_table_header *fuse_module_register_sysctl(const struct ctl_table *table,
						     size_t size)
{
	return register_sysctl_sz(has_other_fuse() ? "fs/fuse_mmap" : "fs/fuse",
				  table, size);
}

#else /* FUSE_MODULE_ONLY_CUSE */

int fuse_module_misc_register(struct miscdevice *misc)
{
	return misc->minor == CUSE_MINOR ? misc_register(misc) : 0;
}

void fuse_module_misc_deregister(struct miscdevice *misc)
{
	if (misc->minor == CUSE_MINOR)
		misc_deregister(misc);
}

struct ctl_table_header *fuse_module_register_sysctl(const struct ctl_table *table,
						     size_t size)
{
	/* Not const before 6.13 */
	return register_sysctl_sz("fs/fuse_mmap", (struct ctl_table *)table, size);
}

#endif /* FUSE_MODULE_ONLY_CUSE */

static int __init fuse_module_init(void)
{
	int err;

	if (fuse && IS_ENABLED(FUSE_MODULE_ONLY_CUSE)) {
		pr_err("fuse=1 needs Linux 7.2 or later: this fs/fuse is built on its page cache; only CUSE is offered here\n");
		return -EOPNOTSUPP;
	}

	err = fuse_module_fuse_init();
	if (err)
		return err;
	err = fuse_module_cuse_init();
	if (err)
		fuse_module_fuse_exit();
	return err;
}

static void __exit fuse_module_exit(void)
{
	fuse_module_cuse_exit();
	fuse_module_fuse_exit();
}

module_init(fuse_module_init);
module_exit(fuse_module_exit);
MODULE_LICENSE("GPL");
