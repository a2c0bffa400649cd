// SPDX-License-Identifier: BSD-3-Clause
/*
 * function.h - the PCI function of the one-thread machine, as its two files share it
 */
#ifndef VIOFS_NT_BENCH_SOLO_FUNCTION_H
#define VIOFS_NT_BENCH_SOLO_FUNCTION_H

#include "driver/virtio_pci.h"
#include "tests/nt-bench/chain.h"
#include "tests/nt-bench/solo/solo.h"

#define SOLO_QUEUES 6u
#define SOLO_HELD   64u
#define SOLO_SEGS   300u

/* A queue as the driver set it up. Pointers are into the device's view of memory. */
struct solo_queue {
    uint16_t size, vector, enabled;
    uint32_t address[6]; /* desc, avail, used; low and high halves */
    bool live, kicked, dirty;
    uint16_t next_avail, next_used, shown; /* shown: used->idx */
    uint16_t signalled;                    /* used index at the last decision about a signal */
    struct ring_desc *desc;
    struct ring_avail *avail;
    struct ring_used *used;
};

struct solo_chain {
    bool live;
    uint32_t queue;
    uint16_t head;
    uint32_t header[16]; /* the request's first bytes: fuse_in_header and arguments */
    struct chain_list list;
    struct chain_seg seg[SOLO_SEGS];
};

struct vdev {
    struct vdev_options o;
    uint8_t config[256];
    struct dma *dma;
    /* registers */
    uint32_t feature_select, guest_select;
    uint64_t guest_features;
    uint16_t config_vector, queue_select;
    uint8_t status, isr, generation;
    struct solo_queue queue[SOLO_QUEUES];
    struct solo_lie lie[SOLO_LIES];
    uint32_t n_lies;
    bool stuck, unplugged, powered_down, running;
    bool lied;    /* about registers: what the driver then does to them is no fault of its */
    bool hostile; /* it scribbled where the driver writes: what it reads there is its own doing */
    const char *forbidden;
    uint32_t resets;
    /* interrupts */
    struct vdev_irq irq;
    uint32_t messages, delivering;
    bool connected;
    /* data */
    struct solo_chain chain[SOLO_HELD];
};

/* data.c: DRIVER_OK, and back */
void solo_data_start(struct vdev *d);
void solo_data_stop(struct vdev *d);

#endif
