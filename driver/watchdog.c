// SPDX-License-Identifier: BSD-3-Clause
/*
 * watchdog.c - is anybody there?
 *
 * Theory of operation
 *
 *   A dead daemon cannot be seen from here: the virtual machine keeps the device, and requests simply do
 *   not come back. Once a second a timer compares the number of completions with the last second's. While
 *   requests are with the device and nothing completes the seconds count; at 30 the share is "stalled":
 *   queries say so, requests that can be let go end with STATUS_IO_TIMEOUT, and there is a log entry. It
 *   counts on from 0, so later requests have their 30 seconds too. One completion ends it.
 *
 *   A request that waits for another client (SETLKW), for news (VIOFS_EVENTS) or for a large tree to be watched
 *   (VIOFS_WATCH) is no sign of a stall, and is not let go.
 *
 *   A second without a completion is also the time to look whether the device asks for a reset or is gone:
 *   such news has no interrupt of its own on a line, and a device that is gone raises none.
 *
 * Locks: drv_queue.lock, one after the other.
 */
#include "driver/drv.h"

static uint64_t count(struct drv_device *dev, bool *busy)
{
    uint64_t completions = 0;

    *busy = false;
    for (uint32_t i = 0; i < drv_n_queues(dev); i++) {
        struct drv_queue *q = &dev->queue[i];

        KeAcquireSpinLockAtDpcLevel(&q->lock);
        completions += q->completions;
        if (q->in_flight > 0)
            *busy = true;
        KeReleaseSpinLockFromDpcLevel(&q->lock);
    }
    return completions;
}

/* The timer's DPC. IRQL: DISPATCH_LEVEL. */
static void NTAPI tick(KDPC *dpc, void *context, void *arg1, void *arg2)
{
    struct drv_device *dev = context;
    struct drv_watch *w = &dev->watch;
    uint64_t completions;
    bool busy;

    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(arg1);
    UNREFERENCED_PARAMETER(arg2);
    drv_swap(&w->ticks, drv_load(&w->ticks) + 1);
    completions = count(dev, &busy);
    if (!busy || completions != w->completions) {
        if (completions != w->completions)
            drv_swap(&w->stalled, 0);
        w->completions = completions;
        w->quiet = 0;
        return;
    }
    drv_device_config_dpc(&dev->config_dpc, dev, NULL, NULL);
    if (++w->quiet < DRV_STALL_TICKS)
        return;
    w->quiet = 0;
    if (drv_swap(&w->stalled, 1) == 0)
        drv_log(dev, IO_ERR_TIMEOUT, DRV_WHY_STALLED, DRV_STALL_TICKS * DRV_TICK_MS / 1000);
    drv_cancel_stalled(dev);
}

/** drv_watch_init() - IRQL: PASSIVE_LEVEL, once per device object. */
void drv_watch_init(struct drv_device *dev)
{
    KeInitializeTimer(&dev->watch.timer);
    KeInitializeDpc(&dev->watch.dpc, tick, dev);
}

/** drv_watch_start() - IRQL: PASSIVE_LEVEL, queues are open. */
void drv_watch_start(struct drv_device *dev)
{
    LARGE_INTEGER due;

    dev->watch.quiet = 0;
    drv_swap(&dev->watch.stalled, 0);
    due.QuadPart = -10000LL * DRV_TICK_MS;
    KeSetTimerEx(&dev->watch.timer, due, DRV_TICK_MS, &dev->watch.dpc);
}

/** drv_watch_stop() - no tick runs or will run. IRQL: PASSIVE_LEVEL. */
void drv_watch_stop(struct drv_device *dev)
{
    KeCancelTimer(&dev->watch.timer);
    KeFlushQueuedDpcs();
}
