// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench_host.h - what the files of the bench's Linux half share among themselves
 */
#ifndef VIOFS_NT_BENCH_HOST_H
#define VIOFS_NT_BENCH_HOST_H

#include <signal.h>
#include <sys/types.h>

#include "lib/ring/ring.h"
#include "tests/nt-bench/bench.h"

/* How the process of a scenario ends. */
#define BENCH_EXIT_PASSED     0
#define BENCH_EXIT_COMPLAINED 1
#define BENCH_EXIT_STOPPED    3

/* thread.c */
void thr_init(void);

/* memory.c: where the machine's memory lies */
#define MEM_PHYS_BASE 0x100000000ull
void mem_init(void);
/* mem_recycle() - for a machine that runs for long: addresses that were freed long ago are used again */
void mem_recycle(void);
void mem_leaks(void);
int mem_fd(void);
uint64_t mem_phys_size(void);
/* mem_describe() - in words, for a fault at @address */
void mem_describe(const void *address, char *text, size_t room);

/* trap.c */
void trap_init(void);

/* share.c */
void share_prepare(void); /* in a virtual machine: an empty directory for this scenario */
void share_stop(void);    /* complains when the daemon did not end well */
void share_show_log(void);
void share_abandon(
    void); /* show the logs, end the daemons, remove the directories; judge nothing */
const char *share_socket(void);
/* share_adopt() - use the daemon at this socket, which somebody else looks after, from now on */
void share_adopt(const char *socket);
bool share_daemon_killed(void);
/* share_daemon_mortal() - may the daemon behind the real device with this tag be killed, and does it live? */
bool share_daemon_mortal(const char *tag);

/* dma.c */
struct dma;
struct dma *dma_new(bool iommu);
void dma_free(struct dma *m);
struct dma *vdev_dma(struct vdev *d);
/*
 * dma_translate() - the device is about to touch @bus
 * @len: in: wanted, out: contiguous from there. Return: host address, NULL when the device may not.
 */
void *dma_translate(struct dma *m, uint64_t bus, uint64_t *len);
/* dma_check() - complain unless the device may touch [@bus, @bus + @len) in this direction */
bool dma_check(struct dma *m, uint64_t bus, uint64_t len, enum dma_direction dir, const char *what);
/* dma_pin()/dma_unpin() - the device owns this memory until it gives the chain back */
void dma_pin(struct dma *m, uint64_t bus, uint64_t len, int delta);
uint64_t dma_pinned(const struct dma *m);

/* ring_proxy.c: the device's side of the driver's rings */
struct proxy;
struct proxy_queue {
    bool enabled;
    uint32_t size;
    uint64_t desc, avail, used; /* bus addresses */
};
struct proxy *proxy_new(struct vdev *d);
void proxy_free(struct proxy *p);
/* proxy_start() - DRIVER_OK. Return: false when the queues are not sane */
bool proxy_start(struct proxy *p, const struct proxy_queue *q, uint32_t n, uint64_t features);
/* proxy_stop() - reset: when this returns the device touches nothing */
void proxy_stop(struct proxy *p);
void proxy_kick(struct proxy *p, uint32_t queue);
void proxy_fault(struct proxy *p, enum vdev_fault f);
void proxy_release(struct proxy *p, uint32_t n);
uint32_t proxy_held(struct proxy *p);
uint32_t proxy_opcodes(struct proxy *p, uint32_t *opcodes, uint32_t room);
uint64_t proxy_count(struct proxy *p, uint32_t queue);
uint64_t proxy_features(struct proxy *p);
/* proxy_replace_daemon() - connect again; what the old daemon had stays with the device until it is reset */
void proxy_replace_daemon(struct proxy *p);

/* vfio.c: look at the functions of this virtual machine, once, before the first scenario */
void vfio_survey(void);
/* vfio_quiet() - no function uses memory or raises interrupts, whatever became of the scenario that used it */
void vfio_quiet(void);

/* model.c, for the proxy */
void vdev_interrupt(struct vdev *d, uint32_t queue);

/* model.c: another daemon (share_adopt()) takes over; @tell: the device asks to be reset */
void model_replace_daemon(struct vdev *d, bool tell);

/* main.c, serve.c */
void bench_set_driver(const char *path);
int serve_main(int argc, char **argv);

/* nt_main.c: the NT half */
HOST const struct scenario *nt_scenarios(unsigned *n);
HOST void nt_begin(void);
HOST void nt_end(void);

#endif
