// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio_pci.h - virtio over PCI, modern layout only: what the registers are and where
 *
 * Source: virtio 1.2, 4.1.4 (capabilities and their structures) and 2.1 (device status).
 */
#ifndef VIOFS_DRIVER_VIRTIO_PCI_H
#define VIOFS_DRIVER_VIRTIO_PCI_H

#include <stddef.h>
#include <stdint.h>

/* PCI 3.0, 6.1 and 6.7 */
#define PCI_REG_COMMAND         0x04
#define PCI_REG_STATUS          0x06
#define PCI_REG_BAR0            0x10
#define PCI_REG_CAPABILITIES    0x34
#define PCI_COMMAND_MEMORY      0x0002u
#define PCI_COMMAND_MASTER      0x0004u
#define PCI_STATUS_CAPABILITIES 0x0010u
#define PCI_CAP_VENDOR          0x09
#define PCI_BAR_IS_IO           0x1u
#define PCI_BAR_TYPE_MASK       0x6u
#define PCI_BAR_TYPE_64         0x4u
#define PCI_BAR_FLAGS           0xFu
#define PCI_BARS                6

/* 4.1.4: vendor capability */
struct virtio_pci_cap {
    uint8_t cap_vndr, cap_next, cap_len, cfg_type;
    uint8_t bar, id, padding[2];
    uint32_t offset, length;
    uint32_t notify_off_multiplier; /* VIRTIO_PCI_CAP_NOTIFY only (4.1.4.4) */
};
_Static_assert(sizeof(struct virtio_pci_cap) == 20, "virtio 1.2, 4.1.4");

enum virtio_pci_cfg_type {
    VIRTIO_PCI_CAP_COMMON = 1,
    VIRTIO_PCI_CAP_NOTIFY = 2,
    VIRTIO_PCI_CAP_ISR = 3,
    VIRTIO_PCI_CAP_DEVICE = 4,
};

/* 4.1.4.3 */
struct virtio_pci_common {
    uint32_t device_feature_select, device_feature;
    uint32_t driver_feature_select, driver_feature;
    uint16_t config_msix_vector, num_queues;
    uint8_t device_status, config_generation;
    uint16_t queue_select, queue_size, queue_msix_vector, queue_enable, queue_notify_off;
    uint32_t queue_desc_lo, queue_desc_hi;
    uint32_t queue_driver_lo, queue_driver_hi;
    uint32_t queue_device_lo, queue_device_hi;
};
_Static_assert(sizeof(struct virtio_pci_common) == 56, "virtio 1.2, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common, device_status) == 20, "virtio 1.2, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common, queue_desc_lo) == 32, "virtio 1.2, 4.1.4.3");

#define VIRTIO_MSI_NO_VECTOR 0xFFFFu

/* 2.1 */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u
#define VIRTIO_STATUS_GONE        0xFFu /* what a read gives when no device answers */

/* 4.1.4.5 */
#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u

/* 6; the ring's own bits are in lib/ring/ring.h */
#define VIRTIO_F_ACCESS_PLATFORM 33

#endif
