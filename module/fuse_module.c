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
 *
 * A module whose init fails is freed, whatever refers to it. So nobody gets in
 * before nothing can fail any more: the inits of fs/fuse only leave word of what
 * they would register, /dev/cuse and /dev/fuse are there but cannot be opened, and
 * names of file systems come last.
 */
#include "fuse_module.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/device/class.h>

static bool fuse;
module_param(fuse, bool, 0444);
MODULE_PARM_DESC(fuse, "also take over /dev/fuse and mount -t fuse");

/* Our devices: /dev/fuse, /dev/cuse */
static struct device_entry {
	struct miscdevice *ours;
	/* The kernel's, while we have its minor */
	struct miscdevice *theirs;
	const struct file_operations *fops;
	bool registered;
} devices[2];

/* Devices can be opened */
static bool live;

static int gate_open(struct inode *inode, struct file *file)
{
	/* misc_open() has left it there */
	struct miscdevice *misc = file->private_data;
	const struct file_operations *fops = NULL;
	int i;

	/* Pairs with the release in fuse_module_init() */
	if (!smp_load_acquire(&live))
		return -ENODEV;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].ours == misc)
			fops = fops_get(devices[i].fops);
	if (!fops)
		return -ENODEV;

	replace_fops(file, fops);
	return file->f_op->open(inode, file);
}

static const struct file_operations gate_fops = {
	.owner	= THIS_MODULE,
	.open	= gate_open,
};

/* The class of misc devices is not exported: have one of them */
static struct miscdevice *find_misc(int minor)
{
	static const struct file_operations fops = { .owner = THIS_MODULE };
	static struct miscdevice probe = {
		.minor = MISC_DYNAMIC_MINOR,
		.name = "cuse-probe",
		.fops = &fops,
		.mode = 0400,
	};
	struct miscdevice *found = NULL;
	struct device *dev;
	int err;

	err = misc_register(&probe);
	if (err)
		return ERR_PTR(err);

	dev = class_find_device_by_devt(probe.this_device->class,
					MKDEV(MISC_MAJOR, minor));
	if (dev) {
		found = dev_get_drvdata(dev);
		put_device(dev);
	}
	misc_deregister(&probe);
	return found;
}

static void give_misc_back(struct device_entry *d)
{
	int err;

	if (!d->theirs)
		return;

	err = misc_register(d->theirs);
	if (err)
		pr_err("/dev/%s could not be given back: %pe\n",
		       d->theirs->name, ERR_PTR(err));
	d->theirs = NULL;
}

static int take_misc(struct device_entry *d)
{
	struct miscdevice *theirs = find_misc(d->ours->minor);
	int err;

	if (IS_ERR(theirs))
		return PTR_ERR(theirs);
	if (!theirs || theirs->minor != d->ours->minor || theirs->fops->owner ||
	    strcmp(theirs->name, d->ours->name)) {
		pr_err("/dev/%s is not of a built-in fuse\n", d->ours->name);
		return -EBUSY;
	}

	misc_deregister(theirs);
	d->theirs = theirs;
	err = misc_register(d->ours);
	if (err)
		give_misc_back(d);
	return err;
}

static int expose_misc(struct device_entry *d)
{
	int err = misc_register(d->ours);

	if (err == -EBUSY && d->ours->minor != CUSE_MINOR)
		err = take_misc(d);
	else if (err)
		pr_err("/dev/%s is somebody else's: %pe\n", d->ours->name,
		       ERR_PTR(err));
	d->registered = !err;
	return err;
}

static void withdraw_misc(struct device_entry *d)
{
	if (!d->registered)
		return;

	misc_deregister(d->ours);
	give_misc_back(d);
	d->registered = false;
}

int fuse_module_misc_register(struct miscdevice *misc)
{
	struct device_entry *d = &devices[misc->minor == CUSE_MINOR];

	if (misc->minor != CUSE_MINOR && !fuse)
		return 0;

	d->ours = misc;
	d->fops = misc->fops;
	misc->fops = &gate_fops;
	return 0;
}

void fuse_module_misc_deregister(struct miscdevice *misc)
{
	struct device_entry *d = &devices[misc->minor == CUSE_MINOR];

	if (!d->ours)
		return;

	withdraw_misc(d);
	misc->fops = d->fops;
	*d = (struct device_entry) { };
}

#ifndef FUSE_MODULE_ONLY_CUSE

/* fuse, fuseblk, fusectl: ours, and the kernel's whose names we have */
static struct fs_entry {
	struct file_system_type *ours, *theirs;
	bool registered;
} filesystems[3];

/* Has names in /sys and /proc; if it did not start (initcall_blacklist=), not */
static bool other_fuse = true;

static int take_filesystem(struct fs_entry *f)
{
	struct file_system_type *theirs = get_fs_type(f->ours->name);
	int err;

	if (!theirs)
		return -EBUSY;

	/* A module can go away, and its file system with it */
	if (theirs->owner) {
		pr_err("file system %s is of the module %s, which has to be unloaded first\n",
		       f->ours->name, module_name(theirs->owner));
		module_put(theirs->owner);
		return -EBUSY;
	}

	err = unregister_filesystem(theirs);
	if (err)
		return err;
	f->theirs = theirs;
	return register_filesystem(f->ours);
}

static void withdraw_filesystem(struct fs_entry *f)
{
	if (f->registered)
		unregister_filesystem(f->ours);
	f->registered = false;
	if (f->theirs && register_filesystem(f->theirs))
		pr_err("somebody else has the name of file system %s now\n",
		       f->ours->name);
	f->theirs = NULL;
}

static int expose_filesystems(void)
{
	int i, err = 0;

	for (i = 0; i < ARRAY_SIZE(filesystems) && filesystems[i].ours && !err; i++) {
		err = register_filesystem(filesystems[i].ours);
		if (err == -EBUSY)
			err = take_filesystem(&filesystems[i]);
		filesystems[i].registered = !err;
	}
	if (!err)
		return 0;

	while (i--)
		withdraw_filesystem(&filesystems[i]);
	return err;
}

int fuse_module_register_filesystem(struct file_system_type *fs)
{
	int i;

	for (i = 0; fuse && i < ARRAY_SIZE(filesystems); i++) {
		if (!filesystems[i].ours) {
			filesystems[i].ours = fs;
			break;
		}
	}
	return 0;
}

int fuse_module_unregister_filesystem(struct file_system_type *fs)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(filesystems); i++) {
		if (filesystems[i].ours == fs) {
			withdraw_filesystem(&filesystems[i]);
			filesystems[i].ours = NULL;
		}
	}
	return 0;
}

static int look_for_other_fuse(void)
{
	struct miscdevice *misc;

	if (!fuse)
		return 0;

	misc = find_misc(FUSE_MINOR);
	if (IS_ERR(misc))
		return PTR_ERR(misc);
	other_fuse = misc;
	return 0;
}

/* Of these the kernel's fuse keeps its own */
struct kobject *fuse_module_kobject(const char *name, struct kobject *parent)
{
	return kobject_create_and_add(other_fuse ? "fuse_mmap" : name, parent);
}

struct ctl_table_header *fuse_module_register_sysctl(const struct ctl_table *table,
						     size_t size)
{
	return register_sysctl_sz(other_fuse ? "fs/fuse_mmap" : "fs/fuse",
				  table, size);
}

#else /* FUSE_MODULE_ONLY_CUSE */

static int expose_filesystems(void)
{
	return 0;
}

static int look_for_other_fuse(void)
{
	if (!fuse)
		return 0;

	pr_err("fuse=1 needs Linux 7.2 or later: this fs/fuse is built on its page cache; only CUSE is offered here\n");
	return -EOPNOTSUPP;
}

struct ctl_table_header *fuse_module_register_sysctl(const struct ctl_table *table,
						     size_t size)
{
	/* Not const before 6.13 */
	return register_sysctl_sz("fs/fuse_mmap", (struct ctl_table *)table, size);
}

#endif /* FUSE_MODULE_ONLY_CUSE */

static int expose(void)
{
	int i, err = 0;

	/* /dev/cuse first: it can be somebody else's for good */
	for (i = ARRAY_SIZE(devices) - 1; i >= 0 && !err; i--)
		if (devices[i].ours)
			err = expose_misc(&devices[i]);
	return err ?: expose_filesystems();
}

static void fuse_module_end(void)
{
	fuse_module_cuse_exit();
	fuse_module_fuse_exit();
}

static int __init fuse_module_init(void)
{
	int err, i;

	err = look_for_other_fuse();
	if (err)
		return err;

	err = fuse_module_fuse_init();
	if (err)
		return err;
	err = fuse_module_cuse_init();
	if (err) {
		fuse_module_fuse_exit();
		return err;
	}

	err = expose();
	if (!err) {
		/* All is registered: pairs with the acquire in gate_open() */
		smp_store_release(&live, true);
		return 0;
	}

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		withdraw_misc(&devices[i]);
	/* Who has tried to open or mount meanwhile; one reference is of this init */
	for (i = 0; i < 50 && module_refcount(THIS_MODULE) > 1; i++)
		msleep(20);
	if (module_refcount(THIS_MODULE) > 1) {
		pr_err("in use already: stays loaded, but offers nothing (%pe)\n",
		       ERR_PTR(err));
		return 0;
	}
	fuse_module_end();
	return err;
}

static void __exit fuse_module_exit(void)
{
	fuse_module_end();
}

module_init(fuse_module_init);
module_exit(fuse_module_exit);
MODULE_LICENSE("GPL");
