// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_wire.h - the little of FUSE that the driver has to read
 *
 * The driver carries messages; it looks at headers to check lengths, to know which queue a message goes
 * to and whether a reply will come. <linux/fuse.h> does not exist for the Windows compiler, hence this
 * excerpt, under the specification's names with a prefix of our own.
 *
 * Source: the kernel's include/uapi/linux/fuse.h, 7.27 and later.
 */
#ifndef VIOFS_DRIVER_FUSE_WIRE_H
#define VIOFS_DRIVER_FUSE_WIRE_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct drv_fuse_in {
    uint32_t len; /* of the whole message */
    uint32_t opcode;
    uint64_t unique;
    uint64_t nodeid;
    uint32_t uid, gid, pid;
    uint16_t total_extlen, padding;
};

struct drv_fuse_out {
    uint32_t len;
    int32_t error; /* 0 or a negative Linux errno */
    uint64_t unique;
};

struct drv_fuse_write_in {
    uint64_t fh, offset;
    uint32_t size, write_flags;
    uint64_t lock_owner;
    uint32_t flags, padding;
};

struct drv_fuse_write_out {
    uint32_t size, padding;
};

struct drv_fuse_interrupt_in {
    uint64_t unique; /* of the request that nobody waits for any more */
};

_Static_assert(sizeof(struct drv_fuse_in) == 40, "linux/fuse.h");
_Static_assert(sizeof(struct drv_fuse_out) == 16, "linux/fuse.h");
_Static_assert(sizeof(struct drv_fuse_write_in) == 40, "linux/fuse.h");
_Static_assert(sizeof(struct drv_fuse_write_out) == 8, "linux/fuse.h");

enum drv_fuse_opcode {
    DRV_FUSE_FORGET = 2,
    DRV_FUSE_READ = 15,
    DRV_FUSE_WRITE = 16,
    DRV_FUSE_INIT = 26,
    DRV_FUSE_SETLKW = 33,
    DRV_FUSE_INTERRUPT = 36,
    DRV_FUSE_DESTROY = 38,
    DRV_FUSE_NOTIFY_REPLY = 41,
    DRV_FUSE_BATCH_FORGET = 42,
    DRV_FUSE_LAST = 63,                /* room for what is younger than this driver */
    DRV_FUSE_VIOFS_FIRST = 0x76660000, /* our extension (lib/fuse/fuse_proto.h) */
    DRV_FUSE_VIOFS_WATCH = 0x76660006,
    DRV_FUSE_VIOFS_EVENTS = 0x76660008,
    DRV_FUSE_VIOFS_LAST = 0x7666FFFF,
};

/** drv_fuse_no_reply() - is this one of the messages that the device only swallows? */
static inline bool drv_fuse_no_reply(uint32_t opcode)
{
    return opcode == DRV_FUSE_FORGET || opcode == DRV_FUSE_BATCH_FORGET ||
           opcode == DRV_FUSE_INTERRUPT;
}

/** drv_fuse_may_block() - may the host take as long as it likes to answer this? */
static inline bool drv_fuse_may_block(uint32_t opcode)
{
    return opcode == DRV_FUSE_SETLKW || opcode == DRV_FUSE_VIOFS_WATCH ||
           opcode == DRV_FUSE_VIOFS_EVENTS;
}

/** drv_fuse_known() - may a caller send this opcode? (Numbers 7 and 19 were never assigned.) */
static inline bool drv_fuse_known(uint32_t opcode)
{
    if (opcode >= DRV_FUSE_VIOFS_FIRST && opcode <= DRV_FUSE_VIOFS_LAST)
        return true;
    return opcode >= 1 && opcode <= DRV_FUSE_LAST && opcode != 7 && opcode != 19 &&
           opcode != DRV_FUSE_NOTIFY_REPLY;
}

#endif
