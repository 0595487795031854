// SPDX-License-Identifier: GPL-2.0
/*
 * holder - for test_module.sh: have a name that cuse.ko wants
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static char *fs;
module_param(fs, charp, 0444);
MODULE_PARM_DESC(fs, "name of a file system");

static int minor;
module_param(minor, int, 0444);
MODULE_PARM_DESC(minor, "minor number of a misc device");

static struct file_system_type type = { .owner = THIS_MODULE };

static const struct file_operations fops = { .owner = THIS_MODULE };

static struct miscdevice misc = { .name = "holder", .fops = &fops };

static int __init holder_init(void)
{
	int err = 0;

	if (fs) {
		type.name = fs;
		err = register_filesystem(&type);
	}
	if (!err && minor) {
		misc.minor = minor;
		err = misc_register(&misc);
		if (err && fs)
			unregister_filesystem(&type);
	}
	return err;
}

static void __exit holder_exit(void)
{
	if (minor)
		misc_deregister(&misc);
	if (fs)
		unregister_filesystem(&type);
}

module_init(holder_init);
module_exit(holder_exit);
MODULE_DESCRIPTION("Have a name that another module wants");
MODULE_LICENSE("GPL");
