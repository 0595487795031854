// SPDX-License-Identifier: GPL-2.0-only
/*
 * Features that a server switches on by an ioctl on its device.
 *
 * INIT flags will not do: libfuse passes on only those it knows, and CUSE has
 * an INIT of its own.
 */

#include "fuse_i.h"
#include "dev.h"

#include <linux/fuse_buffer.h>
#include <linux/uaccess.h>

bool fuse_has_feature(struct fuse_conn *fc, u64 feature)
{
	return READ_ONCE(fc->features) & feature;
}

int fuse_ioctl_enable(struct fuse_conn *fc, void __user *argp)
{
	struct fuse_enable arg;
	int err = 0;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;

	if (arg.supported)
		return -EINVAL;

	spin_lock(&fc->lock);
	if (arg.features & ~FUSE_FEATURES)
		err = -EOPNOTSUPP;
	else
		WRITE_ONCE(fc->features, fc->features | arg.features);
	arg.features = fc->features;
	spin_unlock(&fc->lock);

	arg.supported = FUSE_FEATURES;
	if (copy_to_user(argp, &arg, sizeof(arg)))
		return -EFAULT;

	return err;
}
