// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio_fs.h - the virtio file system device: numbers that driver and device agree on
 *
 * Source: virtio 1.2, 5.11 (device), 6 (reserved feature bits, see also lib/ring/ring.h).
 */
#ifndef VIOFS_ABI_VIRTIO_FS_H
#define VIOFS_ABI_VIRTIO_FS_H

#include <stddef.h>
#include <stdint.h>

/* 5.11.1; the PCI device id is 0x1040 plus this (4.1.2.1) */
#define VIRTIO_FS_DEVICE_ID 26

/* 5.11.2: queues. Without VIRTIO_FS_F_NOTIFICATION requests start at 1. */
#define VIRTIO_FS_QUEUE_HIPRIO  0u
#define VIRTIO_FS_QUEUE_REQUEST 1u

/* 5.11.3 */
#define VIRTIO_FS_F_NOTIFICATION 0

/* 5.11.4: UTF-8, padded with NUL, not terminated when all 36 bytes are used */
#define VIRTIO_FS_TAG_MAX 36u

struct virtio_fs_config {
    uint8_t tag[VIRTIO_FS_TAG_MAX];
    uint32_t num_request_queues; /* little-endian */
};

_Static_assert(sizeof(struct virtio_fs_config) == 40, "virtio 1.2, 5.11.4");
_Static_assert(offsetof(struct virtio_fs_config, num_request_queues) == 36, "virtio 1.2, 5.11.4");

#endif
