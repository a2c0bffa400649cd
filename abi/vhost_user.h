// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_user.h - the vhost-user protocol, as both ends speak it
 *
 * Source: the "Vhost-user Protocol" specification in QEMU's documentation (docs/interop/vhost-user).
 * Section names below are that document's. Every message is a 12-byte header and a payload, in the byte
 * order of the host; file descriptors travel beside the header.
 *
 * The front end is the virtual machine (QEMU), the back end is the device (virtiofsd).
 */
#ifndef VIOFS_ABI_VHOST_USER_H
#define VIOFS_ABI_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

/* "Header": flags */
#define VU_VERSION      0x1u
#define VU_VERSION_MASK 0x3u
#define VU_REPLY        0x4u /* this is a reply */
#define VU_NEED_REPLY   0x8u /* REPLY_ACK: answer with a u64, 0 for success */

/* "Front-end message types" */
enum vu_request {
    VU_GET_FEATURES = 1,
    VU_SET_FEATURES = 2,
    VU_SET_OWNER = 3,
    VU_RESET_OWNER = 4,
    VU_SET_MEM_TABLE = 5,
    VU_SET_LOG_BASE = 6,
    VU_SET_LOG_FD = 7,
    VU_SET_VRING_NUM = 8,
    VU_SET_VRING_ADDR = 9,
    VU_SET_VRING_BASE = 10,
    VU_GET_VRING_BASE = 11,
    VU_SET_VRING_KICK = 12,
    VU_SET_VRING_CALL = 13,
    VU_SET_VRING_ERR = 14,
    VU_GET_PROTOCOL_FEATURES = 15,
    VU_SET_PROTOCOL_FEATURES = 16,
    VU_GET_QUEUE_NUM = 17,
    VU_SET_VRING_ENABLE = 18,
    VU_SEND_RARP = 19,
    VU_NET_SET_MTU = 20,
    VU_SET_BACKEND_REQ_FD = 21,
    VU_IOTLB_MSG = 22,
    VU_SET_VRING_ENDIAN = 23,
    VU_GET_CONFIG = 24,
    VU_SET_CONFIG = 25,
    VU_CREATE_CRYPTO_SESSION = 26,
    VU_CLOSE_CRYPTO_SESSION = 27,
    VU_POSTCOPY_ADVISE = 28,
    VU_POSTCOPY_LISTEN = 29,
    VU_POSTCOPY_END = 30,
    VU_GET_INFLIGHT_FD = 31,
    VU_SET_INFLIGHT_FD = 32,
    VU_GPU_SET_SOCKET = 33,
    VU_RESET_DEVICE = 34,
    VU_VRING_KICK = 35,
    VU_GET_MAX_MEM_SLOTS = 36,
    VU_ADD_MEM_REG = 37,
    VU_REM_MEM_REG = 38,
    VU_SET_STATUS = 39,
    VU_GET_STATUS = 40,
    VU_GET_SHARED_OBJECT = 41,
    VU_SET_DEVICE_STATE_FD = 42,
    VU_CHECK_DEVICE_STATE = 43,
};

/* Virtio feature bits that belong to vhost: "Migration", "Protocol features" */
#define VU_F_LOG_ALL           26
#define VU_F_PROTOCOL_FEATURES 30

/* "Protocol features": bit numbers */
enum vu_proto {
    VU_PROTO_MQ = 0,
    VU_PROTO_LOG_SHMFD = 1,
    VU_PROTO_RARP = 2,
    VU_PROTO_REPLY_ACK = 3,
    VU_PROTO_MTU = 4,
    VU_PROTO_BACKEND_REQ = 5,
    VU_PROTO_CROSS_ENDIAN = 6,
    VU_PROTO_CRYPTO_SESSION = 7,
    VU_PROTO_PAGEFAULT = 8,
    VU_PROTO_CONFIG = 9,
    VU_PROTO_BACKEND_SEND_FD = 10,
    VU_PROTO_HOST_NOTIFIER = 11,
    VU_PROTO_INFLIGHT_SHMFD = 12,
    VU_PROTO_RESET_DEVICE = 13,
    VU_PROTO_INBAND_NOTIFICATIONS = 14,
    VU_PROTO_CONFIGURE_MEM_SLOTS = 15,
    VU_PROTO_STATUS = 16,
    VU_PROTO_XEN_MMAP = 17,
    VU_PROTO_SHARED_OBJECT = 18,
    VU_PROTO_DEVICE_STATE = 19,
};

struct vu_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* bytes of payload */
};

/* "A vring state description" */
struct vu_vring_state {
    uint32_t index;
    uint32_t num;
};

/* "A vring address description"; addresses are the front end's own, log is a guest address */
struct vu_vring_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc;
    uint64_t used;
    uint64_t avail;
    uint64_t log;
};
#define VU_VRING_F_LOG 1u

/* SET_VRING_KICK, CALL, ERR carry a u64: index, and this bit when no descriptor is attached */
#define VU_VRING_INDEX_MASK 0xffu
#define VU_VRING_NO_FD      0x100u

/* "Memory region description" */
struct vu_mem_region {
    uint64_t guest_addr;
    uint64_t size;
    uint64_t user_addr;
    uint64_t mmap_offset;
};

/* "Multiple memory regions description": at most 8, one descriptor each */
#define VU_MAX_MEM_TABLE 8
struct vu_mem_table {
    uint32_t n_regions;
    uint32_t padding;
    struct vu_mem_region region[VU_MAX_MEM_TABLE];
};

/* "Single memory region description" */
struct vu_mem_reg_msg {
    uint64_t padding;
    struct vu_mem_region region;
};

/* "Log description": SET_LOG_BASE with LOG_SHMFD */
struct vu_log {
    uint64_t mmap_size;
    uint64_t mmap_offset;
};
#define VU_LOG_PAGE 4096u /* bytes of guest memory for one bit of the log */

/* "Device state transfer parameters": SET_DEVICE_STATE_FD */
struct vu_state_transfer {
    uint32_t direction;
    uint32_t phase;
};
#define VU_STATE_SAVE    0u
#define VU_STATE_LOAD    1u
#define VU_STATE_STOPPED 0u /* the only phase: all queues are stopped */
/* What it is answered with: an error in the low byte, and this bit when no descriptor of ours comes along */
#define VU_STATE_ERROR_MASK 0xffu
#define VU_STATE_NO_FD      0x100u

/* "Virtio device config space": the header; the contents follow */
struct vu_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
};
#define VU_CONFIG_MAX 256u

_Static_assert(sizeof(struct vu_header) == 12, "vhost-user, Header");
_Static_assert(sizeof(struct vu_vring_state) == 8, "vhost-user, vring state");
_Static_assert(sizeof(struct vu_vring_addr) == 40, "vhost-user, vring address");
_Static_assert(offsetof(struct vu_vring_addr, desc) == 8, "vhost-user, vring address");
_Static_assert(offsetof(struct vu_vring_addr, log) == 32, "vhost-user, vring address");
_Static_assert(sizeof(struct vu_mem_region) == 32, "vhost-user, memory region");
_Static_assert(offsetof(struct vu_mem_table, region) == 8, "vhost-user, memory regions");
_Static_assert(sizeof(struct vu_mem_table) == 8 + 32 * VU_MAX_MEM_TABLE,
               "vhost-user, memory regions");
_Static_assert(sizeof(struct vu_mem_reg_msg) == 40, "vhost-user, single memory region");
_Static_assert(sizeof(struct vu_log) == 16, "vhost-user, log description");
_Static_assert(sizeof(struct vu_state_transfer) == 8, "vhost-user, device state transfer");
_Static_assert(sizeof(struct vu_config) == 12, "vhost-user, config space");

#endif
