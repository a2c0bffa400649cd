// SPDX-License-Identifier: BSD-3-Clause
/*
 * model.h - the modelled function, as its files share it
 *
 *   model.c        life, configuration space, state, interrupts, misbehaviour
 *   registers.c    what the registers in the virtio BAR do
 *   ring_proxy.c   the data path, behind the functions of bench_host.h
 */
#ifndef VIOFS_NT_BENCH_MODEL_H
#define VIOFS_NT_BENCH_MODEL_H

#include "tests/nt-bench/device.h"

/* Pages of the virtio BAR */
enum area { AREA_COMMON, AREA_ISR, AREA_CONFIG, AREA_NOTIFY };
#define NOTIFY_MULTIPLIER 4u
#define NO_VECTOR         0xffffu

struct model_queue {
    uint16_t size, vector, enable;
    uint64_t address[3]; /* desc, avail, used */
};

struct model {
    struct vdev v;
    struct proxy *proxy;
    uint8_t config[VDEV_CONFIG_SIZE];
    /* registers, guarded by v.lock */
    uint32_t feature_select, guest_select;
    uint64_t guest_features;
    uint16_t config_vector, queue_select;
    uint8_t status, isr, generation;
    bool features_read_back, reset_seen, running;
    struct model_queue queue[VDEV_MAX_QUEUES];
    struct virtio_fs_config fs;
    enum vdev_lie lie;
    bool stuck;
};

/* registers.c; with v.lock, which a reset gives up for a while */
void registers_clear(struct model *m);
void registers_access(struct model *m, uint32_t at, unsigned bytes, bool write, uint64_t *v);

#endif
