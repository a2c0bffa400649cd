// SPDX-License-Identifier: BSD-3-Clause
/*
 * vfio.h - a real function in a virtual machine, as its files share it
 *
 *   vfio_pci.c     one PCI function through Linux' VFIO: configuration space, BARs, interrupts
 *   vfio_rings.c   what is in the rings that the driver and the device share
 *   vfio.c         the back end for device.c that these two make
 */
#ifndef VIOFS_NT_BENCH_VFIO_H
#define VIOFS_NT_BENCH_VFIO_H

#include "tests/nt-bench/device.h"

/* ---- vfio_pci.c ------------------------------------------------------------------------------ */

#define VFIO_BARS         6u
#define VFIO_ADDRESS_ROOM 16u /* "0000:01:00.0" */

struct vfio_pci {
    int container, group, device;
    uint64_t config_at; /* offset of configuration space in the device's file */
    struct {
        uint8_t *map; /* NULL: none, or no memory BAR */
        uint64_t size, phys;
    } bar[VFIO_BARS];
    uint32_t messages; /* MSI-X vectors that the function has; 0: none */
};

/*
 * vfio_pci_list() - addresses of the virtio-fs functions that are bound to vfio-pci, sorted
 * Return: how many, at most @room
 */
unsigned vfio_pci_list(char (*address)[VFIO_ADDRESS_ROOM], unsigned room);
/* vfio_pci_open() - take the function, for as long as the process and its children live */
void vfio_pci_open(struct vfio_pci *p, const char *address);
void vfio_pci_config(const struct vfio_pci *p, uint32_t offset, void *bytes, uint32_t n,
                     bool write);
/* vfio_pci_access() - one register access of @bytes (1, 2, 4, 8), which the BAR must decode */
void vfio_pci_access(const struct vfio_pci *p, unsigned bar, uint32_t at, unsigned bytes,
                     bool write, uint64_t *v);
/*
 * vfio_pci_connect() - @n messages, or the line when @n is 0, signal these eventfds
 * vfio_pci_disconnect() - neither does any more, if one did
 * vfio_pci_unmask() - the line may be raised again; it is masked when it is
 */
void vfio_pci_connect(const struct vfio_pci *p, const int *events, uint32_t n);
void vfio_pci_disconnect(const struct vfio_pci *p);
void vfio_pci_unmask(const struct vfio_pci *p);

/* ---- vfio_rings.c ---------------------------------------------------------------------------- */

#define RINGS_LOG 4096u

struct watched_ring {
    bool live;
    bool withheld; /* its doorbell was rung and the device has not heard of it */
    uint16_t size, doorbell;
    uint16_t looked; /* index up to which chains were looked at */
    uint64_t taken;
    const struct ring_desc *desc;
    const struct ring_avail *avail;
    const struct ring_used *used;
};

/* Guarded by the device's lock. */
struct rings {
    struct dma *dma;
    struct watched_ring ring[VDEV_MAX_QUEUES];
    uint32_t opcode[RINGS_LOG];
    uint32_t n_opcodes;
};

/* rings_start() - queue @q is used from now on, with rings at these bus addresses; complains if it cannot be */
void rings_start(struct rings *r, uint32_t q, uint16_t size, uint16_t doorbell,
                 const uint64_t address[3]);
/* rings_stop() - none is used any more, and nobody looks at their memory */
void rings_stop(struct rings *r);
/* rings_look() - note which requests were made available since the last look */
void rings_look(struct rings *r);
/* rings_held() - chains that were made available and have not come back */
uint32_t rings_held(const struct rings *r);
uint32_t rings_opcodes(struct rings *r, uint32_t *opcodes, uint32_t room);

#endif
