# SPDX-License-Identifier: GPL-2.0
#
# Tests of FUSE buffers.  To be included in place of ../../lib.mk, which this
# includes.

BUFFER_DIR := $(dir $(lastword $(MAKEFILE_LIST)))
BUFFER_TESTS := admin_test bind_test demand_test dirty_test buffer_notify_test buffer_stress_test
BUFFER_TESTS += buffer_test client_test
BUFFER_TESTS += fault_test kill_test limits_test mmap_test splice_test userns_test window_test
BUFFER_TESTS += virtiofs_test virtiofs_device_test
BUFFER_TESTS += $(patsubst %.c,%,$(notdir $(wildcard $(BUFFER_DIR)op_*_test.c)))

TEST_GEN_FILES += fuse_client virtiofs_relay window_fsx

# $(call buffer_cc,options): whether programs can be linked with them
buffer_cc = $(shell echo 'int main(void) { return 0; }' | \
	$(if $(LLVM),clang,$(CROSS_COMPILE)gcc) $(1) -x c - -o /dev/null 2>/dev/null && echo y)

BUFFER_STATIC := $(if $(call buffer_cc,-static),-static)
BUFFER_M32 := $(if $(call buffer_cc,-m32),$(if $(call buffer_cc,-m32 -static),-m32 -static,-m32))

# Skips by name where there is no 32-bit client
BUFFER_TESTS += compat_test
ifneq ($(BUFFER_M32),)
TEST_GEN_FILES += fuse_client32
endif

TEST_GEN_PROGS += $(BUFFER_TESTS)

LOCAL_HDRS += fuse_server.h fuse_client.h fuse_fd.h fuse_layout.h fuse_counts.h fuse_fixture.h fuse_ops.h op_call.h fuse_faults.h
LOCAL_HDRS += window_server.h fsx.h fuse_virtio.h virtiofs_port.h uring.h

include ../../lib.mk

BUFFER_PROGS := $(addprefix $(OUTPUT)/,$(BUFFER_TESTS))

BUFFER_OBJS := $(addprefix $(OUTPUT)/,fuse_server.o fuse_uring.o fuse_counts.o fuse_ops.o fuse_virtio.o virtiofs_port.o uring.o)
WINDOW_OBJS := $(OUTPUT)/window_server.o $(OUTPUT)/fsx.o
EXTRA_CLEAN += $(BUFFER_OBJS) $(WINDOW_OBJS) $(OUTPUT)/fuse_names.h

$(BUFFER_OBJS) $(WINDOW_OBJS): $(OUTPUT)/%.o: %.c $(LOCAL_HDRS)
	$(call msg,CC,,$@)
	$(Q)$(CC) $(CFLAGS) -I$(OUTPUT) -c $< -o $@

# Opcodes, notify codes and ioctls of the headers under test, as fuse_counts.c
# has them
define BUFFER_NAMES
/^enum fuse_opcode/		{ kind = "opcode" }
/^enum fuse_notify_code/	{ kind = "notify" }
/^}/				{ kind = "" }
kind && $$2 == "=" && $$1 !~ /RESERVED|_MAX$$/	{ name(kind, $$1) }
/^#define FUSE_[A-Z]+ [0-9]+$$/ && $$3 > 4096 && $$3 < 8192 {
	name("opcode", $$2)
}
/^#define FUSE_[A-Z_]+ _IO[RW]*\(FUSE_DEV_IOC_MAGIC/ { name("ioctl", $$2) }
function name(kind, id)
{
	printf "{ \"%s\", \"%s\", %s },\n", kind, id, id
}
endef
export BUFFER_NAMES

$(OUTPUT)/fuse_counts.o: $(OUTPUT)/fuse_names.h
$(OUTPUT)/fuse_names.h: $(wildcard $(addsuffix /linux/fuse*.h,$(filter-out -isystem,$(KHDR_INCLUDES))))
	$(call msg,GEN,,$@)
	$(Q)echo '#include <linux/fuse_window.h>' | $(CC) $(KHDR_INCLUDES) -E -dD - | \
		awk "$$BUFFER_NAMES" >$@

$(BUFFER_PROGS): $(BUFFER_OBJS)
$(OUTPUT)/limits_test $(OUTPUT)/window_test: $(WINDOW_OBJS)
$(OUTPUT)/compat_test: LOCAL_HDRS += mmap_test.c
$(OUTPUT)/compat_test: mmap_test.c
$(OUTPUT)/window_fsx: $(OUTPUT)/fsx.o
$(BUFFER_PROGS) $(OUTPUT)/fuse_client $(OUTPUT)/virtiofs_relay $(OUTPUT)/window_fsx: LDFLAGS += $(BUFFER_STATIC)
$(OUTPUT)/fuse_client: LDLIBS += -lpthread

$(OUTPUT)/fuse_client32: fuse_client.c fuse_client.h fuse_layout.h
	$(call msg,CC,,$@)
	$(Q)$(CC) $(CFLAGS) $(BUFFER_M32) $< -lpthread -o $@
