// SPDX-License-Identifier: BSD-3-Clause
/*
 * transfer.h - the device's state on its way to or from another back end
 */
#ifndef VIOFS_VHOST_TRANSFER_H
#define VIOFS_VHOST_TRANSFER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vu;
struct transfer;

/* Owned by struct vu, zeros at first; the control thread's. */
struct transfers {
    struct transfer *now; /* running, or done and not yet asked about; NULL: none */
    bool saved;           /* the state has been handed out since the queues last ran */
};

/**
 * transfer_begin() - SET_DEVICE_STATE_FD
 * @fd: taken over in any case
 * Return: 0; -errno (the reason is logged), and nothing has begun.
 */
int transfer_begin(struct vu *vu, uint32_t direction, uint32_t phase, int fd);

/** transfer_check() - CHECK_DEVICE_STATE: wait for it. Return: how it went, 0 or -errno. */
int transfer_check(struct vu *vu);

/** transfer_end() - break off what runs and forget it; nothing is fine */
void transfer_end(struct vu *vu);

/** transfer_settle() - queues are about to run: what was handed out is taken back */
void transfer_settle(struct vu *vu);

#endif
