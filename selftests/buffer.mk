# SPDX-License-Identifier: GPL-2.0
#
# Tests of FUSE buffers.  To be included in place of ../../lib.mk, which this
# includes.

BUFFER_TESTS := admin_test bind_test demand_test dirty_test buffer_notify_test buffer_test client_test
BUFFER_TESTS += fault_test kill_test limits_test mmap_test userns_test

TEST_GEN_FILES += fuse_client

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

LOCAL_HDRS += fuse_server.h fuse_client.h fuse_fixture.h

include ../../lib.mk

BUFFER_PROGS := $(addprefix $(OUTPUT)/,$(BUFFER_TESTS))

$(BUFFER_PROGS): fuse_server.c
$(OUTPUT)/compat_test: LOCAL_HDRS += mmap_test.c
$(OUTPUT)/compat_test: mmap_test.c
$(BUFFER_PROGS) $(OUTPUT)/fuse_client: LDFLAGS += $(BUFFER_STATIC)
$(OUTPUT)/fuse_client: LDLIBS += -lpthread

$(OUTPUT)/fuse_client32: fuse_client.c fuse_client.h
	$(call msg,CC,,$@)
	$(Q)$(CC) $(CFLAGS) $(BUFFER_M32) $< -lpthread -o $@
