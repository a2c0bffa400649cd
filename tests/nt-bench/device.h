// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.h - the modelled function, as its two files share it
 *
 *   device.c     life, configuration space, mappings, state, interrupts, misbehaviour
 *   registers.c  what the registers in the virtio BAR do
 */
#ifndef VIOFS_NT_BENCH_DEVICE_H
#define VIOFS_NT_BENCH_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "abi/virtio_fs.h"
#include "tests/nt-bench/bench_host.h"

#define VDEV_MAX_QUEUES  34u
#define VDEV_CONFIG_SIZE 256u

enum area { AREA_COMMON, AREA_ISR, AREA_CONFIG, AREA_NOTIFY };
#define NOTIFY_MULTIPLIER 4u

/* PCI 3.0, 6.2.2 */
#define PCI_COMMAND    0x04u
#define PCI_MEMORY     2u
#define PCI_BUS_MASTER 4u

/* virtio 1.2, 2.1: of the device status, what more than the registers need */
#define VDEV_STATUS_NEEDS_RESET 64u
#define VDEV_NO_VECTOR          0xffffu

struct vdev_queue {
    uint16_t size, vector, enable;
    uint64_t address[3]; /* desc, avail, used */
};

struct vdev {
    pthread_mutex_t lock;
    struct vdev_options o;
    char tag[64];
    unsigned slot;
    struct dma *dma;
    struct proxy *proxy;
    uint8_t config[VDEV_CONFIG_SIZE];
    /* registers */
    uint32_t feature_select, guest_select;
    uint64_t guest_features;
    uint16_t config_vector, queue_select;
    uint8_t status, isr, generation;
    bool features_read_back, reset_seen;
    struct vdev_queue queue[VDEV_MAX_QUEUES];
    struct virtio_fs_config fs;
    enum vdev_lie lie;
    bool stuck;
    /* state of the function */
    bool unplugged, powered_down, running;
    atomic_uint resets;
    const char *forbidden;
    struct vdev_irq irq;
    uint32_t messages; /* connected; 0: line or none */
    bool connected;
    atomic_uint delivering; /* interrupts under way */
};

static inline uint32_t vdev_queues(const struct vdev *d)
{
    return d->o.request_queues + 1;
}

/* registers.c; with d->lock, which a reset gives up for a while */
void registers_clear(struct vdev *d);
void registers_access(struct vdev *d, uint32_t at, unsigned bytes, bool write, uint64_t *v);

#endif
