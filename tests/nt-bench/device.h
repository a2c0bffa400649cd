// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.h - a virtio-fs PCI function, whatever is behind it
 *
 *   device.c     what holds for any function: mappings, promises not to touch it, interrupts
 *   model.c      back end: a function of our own; registers.c and ring_proxy.c are its parts
 *   vfio.c       back end: a real function, inside a virtual machine; vfio_pci.c and vfio_rings.c are its parts
 */
#ifndef VIOFS_NT_BENCH_DEVICE_H
#define VIOFS_NT_BENCH_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "abi/virtio_fs.h"
#include "tests/nt-bench/bench_host.h"

#define VDEV_MAX_QUEUES  34u
#define VDEV_CONFIG_SIZE 256u
#define VDEV_MAX         8u /* functions of one machine */

/* PCI 3.0, 6.2.2 */
#define PCI_COMMAND    0x04u
#define PCI_MEMORY     2u
#define PCI_BUS_MASTER 4u

/* virtio 1.2, 4.1.4: capability types */
#define CAP_VENDOR 0x09u
#define CAP_MSIX   0x11u
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };

/* virtio 1.2, 2.1 */
enum {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_NEEDS_RESET = 64,
    STATUS_FAILED = 128,
};

/* virtio 1.2, 4.1.4.3: offsets in the common configuration */
enum {
    REG_FEATURE_SELECT = 0x00,
    REG_FEATURE = 0x04,
    REG_GUEST_SELECT = 0x08,
    REG_GUEST_FEATURE = 0x0c,
    REG_CONFIG_VECTOR = 0x10,
    REG_NUM_QUEUES = 0x12,
    REG_STATUS = 0x14,
    REG_GENERATION = 0x15,
    REG_QUEUE_SELECT = 0x16,
    REG_QUEUE_SIZE = 0x18,
    REG_QUEUE_VECTOR = 0x1a,
    REG_QUEUE_ENABLE = 0x1c,
    REG_QUEUE_NOTIFY = 0x1e,
    REG_QUEUE_DESC = 0x20,
    REG_QUEUE_AVAIL = 0x28,
    REG_QUEUE_USED = 0x30,
    REG_COMMON_END = 0x38,
};

/*
 * What a back end does. All may be called by any thread; "locked" ones with d->lock held, which others
 * take themselves where they need it.
 */
struct vdev_back_end {
    void (*free)(struct vdev *d);
    bool (*bar)(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size);
    void (*config)(struct vdev *d, uint32_t offset, void *bytes, uint32_t n, bool write);
    /* Locked. One access to BAR @bar by the driver, which the function answers. */
    void (*access)(struct vdev *d, unsigned bar, uint32_t at, unsigned bytes, bool write,
                   uint64_t *v);
    void (*decode)(struct vdev *d, bool on); /* PCI command: memory or nothing */
    void (*power)(struct vdev *d, bool on);  /* either way the function forgets its registers */
    void (*unplug)(struct vdev *d);          /* it reaches no memory any more */
    bool (*running)(struct vdev *d);         /* locked */
    void (*connect)(struct vdev *d);         /* interrupts go to vdev_raise() from now on */
    void (*disconnect)(struct vdev *d);      /* none does any more */
    /* misbehaviour and observation, as the functions of bench.h */
    void (*fault)(struct vdev *d, enum vdev_fault f);
    void (*release)(struct vdev *d, uint32_t n);
    void (*needs_reset)(struct vdev *d);
    void (*config_change)(struct vdev *d, const void *config, uint32_t n);
    void (*lie)(struct vdev *d, enum vdev_lie lie);
    uint32_t (*held)(struct vdev *d);
    uint32_t (*opcodes)(struct vdev *d, uint32_t *opcodes, uint32_t room);
    uint64_t (*queue_count)(struct vdev *d, uint32_t queue);
};

/* The part that every function has; a back end's own structure begins with it. */
struct vdev {
    const struct vdev_back_end *ops;
    pthread_mutex_t lock;
    struct vdev_options o;
    unsigned slot; /* in the machine's table */
    struct dma *dma;
    uint16_t command; /* as in configuration space */
    /* state of the function */
    bool unplugged, powered_down;
    atomic_uint resets;
    const char *forbidden;
    struct vdev_irq irq;
    uint32_t messages; /* connected; 0: line or none */
    bool connected;
    atomic_uint delivering; /* interrupts under way */
};

/* model.c, vfio.c: a function as @o wants it, or the scenario stops; @slot: a number that no other one has */
struct vdev *model_new(const struct vdev_options *o, unsigned slot);
struct vdev *vfio_new(const struct vdev_options *o);

/*
 * device.c, for back ends: vdev_raise() - an interrupt: message @vector, or the line when no messages are
 * connected. With no lock held.
 */
enum vdev_raised { VDEV_UNHEARD, VDEV_REFUSED, VDEV_CLAIMED };
enum vdev_raised vdev_raise(struct vdev *d, uint32_t vector);

static inline uint32_t vdev_queues(const struct vdev *d)
{
    return d->o.request_queues + 1;
}

#endif
