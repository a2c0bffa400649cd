// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench.h - what the two halves of the bench know of each other
 *
 * Theory of operation
 *
 *   The bench is one Linux process that takes the place of a Windows machine. Its NT half (nt_*.c,
 *   rig*.c, scenario_*.c) is compiled from the same mingw headers as the driver, with Microsoft's
 *   calling convention, and never sees a libc header. Its Linux half is ordinary C. This header is the
 *   narrow bridge: every function here has the System V convention, whoever calls it, and only types
 *   that have the same size in both halves appear.
 *
 * Who owns what is said at each group. Nothing here fails softly: a bench that cannot do what it was
 * asked stops (ver_stop), because a test that goes on after that proves nothing.
 */
#ifndef VIOFS_NT_BENCH_H
#define VIOFS_NT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The NT half is compiled with -mabi=ms; what it shares with libc must say so. */
#define HOST __attribute__((sysv_abi))

#define BENCH_PAGE 4096u

/* ---- verifier.c: complaints and the ledger of things that must not leak ---------------------- */

/*
 * ver_complain() - the driver (or the daemon) broke a rule: the scenario fails, but goes on
 * @rule: short name of the rule; mutants are matched by it
 */
HOST void ver_complain(const char *rule, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* ver_stop() - as ver_complain(), for what cannot be survived: the scenario ends here */
HOST void ver_stop(const char *rule, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
/* ver_note() - a line for the log, no judgement */
HOST void ver_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* ver_hush() - no notes from now on */
HOST void ver_hush(void);
HOST unsigned ver_complaints(void);
/* ver_where() - "viofs.sys+0x1234" for an address in the driver; a static buffer of the thread */
HOST const char *ver_where(const void *address);

/* Things that a driver takes and must give back. */
enum ver_thing {
    VER_MDL,
    VER_LOCKED_PAGES,
    VER_MAPPED_PAGES,
    VER_IRP,
    VER_DEVICE,
    VER_ATTACHMENT,
    VER_INTERFACE,
    VER_BUS_INTERFACE,
    VER_WORK_ITEM,
    VER_REMOVE_LOCK,
    VER_ADAPTER,
    VER_COMMON_BUFFER,
    VER_SG_LIST,
    VER_IO_SPACE,
    VER_INTERRUPT,
    VER_REFERENCE,
    VER_ERROR_LOG,
    VER_THINGS
};
/* The key is the address (or any number) that names the thing; @detail is kept for the report. */
HOST void ver_take(enum ver_thing kind, const void *key, uint64_t detail, const void *caller);
/* Return: false when there was no such thing. */
HOST bool ver_give(enum ver_thing kind, const void *key, uint64_t *detail);
HOST bool ver_has(enum ver_thing kind, const void *key, uint64_t *detail);
HOST unsigned ver_count(enum ver_thing kind);
/* ver_leaks() - complain about everything still taken, pool included */
HOST void ver_leaks(void);

/* What the hot path costs. Counted atomically. */
struct ver_costs {
    uint64_t pool_allocations;
    uint64_t payload_mappings; /* of locked pages into system space: a copy needs one */
    uint64_t kicks;
    uint64_t interrupts;
    uint64_t dpcs;
    uint64_t register_accesses;
    uint64_t requests; /* chains that the device took */
};
HOST struct ver_costs *ver_costs(void);
/* ver_costs_take() - what it cost since the last call */
HOST struct ver_costs ver_costs_take(void);

/* bench_alloc() - zeroed memory of the bench itself, no driver ever sees it; bench_free() takes NULL */
HOST void *bench_alloc(size_t size);
HOST void bench_free(void *p);

/* ---- allocation failures --------------------------------------------------------------------- */

/* fail_after() - the @n-th allocation from now on (1: the next) fails, once; 0: none fails */
HOST void fail_after(unsigned n);
/* fail_now() - is this the one? Called by everything that may say "insufficient resources". */
HOST bool fail_now(void);
/* fail_happened() - was there an n-th allocation since fail_after()? */
HOST bool fail_happened(void);

/* ---- thread.c: processors and IRQLs ---------------------------------------------------------- */

#define THR_MAX_LOCKS 8

/* One virtual processor's worth of state, one for each thread of the process. */
struct thr {
    void *kthread;
    uint64_t irql;
    uint32_t cpu;
    uint32_t n_locks;
    const void *lock[THR_MAX_LOCKS];
    uint64_t lock_old_irql[THR_MAX_LOCKS];
    void *process;   /* address space whose user addresses are valid here */
    uint32_t exempt; /* the bench's own allocations do not fail */
    const char *name;
};
HOST struct thr *thr_self(void);
HOST void thr_start(const char *name, HOST void (*fn)(void *), void *arg);
HOST uint32_t thr_cpus(void);
HOST void thr_yield(void);
/* thr_point() - other processors may overtake this one here. The bench's do anyway; see solo/fiber.c. */
HOST void thr_point(void);

/* The big lock of the bench and the one condition that everything waits for. */
HOST void k_lock(void);
HOST void k_unlock(void);
/* k_wait() - with k_lock() held; until k_wake() or a moment of the virtual clock. */
HOST void k_wait(int64_t until_100ns);
HOST void k_wake(void);
#define K_FOREVER INT64_MAX

/* The virtual clock: 100 ns units; runs @factor times as fast as the wall's. */
HOST int64_t clk_now(void);
HOST void clk_speed(uint32_t factor);
HOST void clk_sleep_ms(uint32_t real_ms);
HOST uint64_t clk_real_us(void);

/* ---- memory.c: the machine's physical memory and the kernel's address space ------------------ */

enum mem_kind {
    MEM_NONE,
    MEM_POOL,
    MEM_DEVICE_EXTENSION,
    MEM_IRP,
    MEM_MDL,
    MEM_SYSTEM_BUFFER,
    MEM_COMMON_BUFFER,
    MEM_USER,    /* a program's memory: the driver has no business touching it by this address */
    MEM_MAPPING, /* a second address for pages that belong to another block */
    MEM_BENCH, /* the bench's own, as a driver sees it (PDO, file object): never reported as leak */
};
struct mem_info {
    enum mem_kind kind;
    bool live;
    uint8_t *base; /* first byte that the owner may use */
    size_t size;
    uint32_t tag;
    const void *caller; /* who allocated it */
    void *process;      /* MEM_USER */
    uint64_t serial;    /* unique */
};
#define MEM_CONTIGUOUS 1u /* physically; else every page lies somewhere else */
#define MEM_PAGE_START                                                                             \
    2u /* begins on a page; else ends at the end of one, so that overruns fault */
/*
 * mem_alloc() - memory with an inaccessible page on each side; never the same address twice
 * Return: NULL only when physical memory is used up.
 */
HOST void *mem_alloc(enum mem_kind kind, size_t size, uint32_t tag, unsigned flags,
                     const void *caller);
/* mem_free() - stops the scenario when @p is not a live block of this kind that starts there */
HOST void mem_free(enum mem_kind kind, void *p);
/* mem_look() - what @p belongs to, dead or alive. Return: false when it is none of the bench's. */
HOST bool mem_look(const void *p, struct mem_info *info);
/* mem_live() - is all of [@p, @p + @size) inside one live block? */
HOST bool mem_live(const void *p, size_t size);
/* mem_phys() - physical address behind a live address; stops for others */
HOST uint64_t mem_phys(const void *p);
/* mem_alias() - map the pages of [@phys] at consecutive addresses. Give back by mem_free(MEM_MAPPING). */
HOST void *mem_alias(const uint64_t *page_numbers, uint32_t n, bool writable, const void *caller);
/* mem_linear() - the bench's own view of physical memory, or NULL when there is none at @phys */
HOST uint8_t *mem_linear(uint64_t phys, uint64_t *contiguous);
/*
 * mem_user() - memory of a program: @offset bytes into its first page
 * @view: how the bench itself looks at it; the returned address is what the driver sees and may not touch
 */
HOST void *mem_user(size_t size, uint32_t offset, unsigned flags, void *process, uint8_t **view);
HOST void mem_user_free(void *user);
HOST uint64_t mem_live_bytes(enum mem_kind kind);

/* ---- pe.c, seh.c ----------------------------------------------------------------------------- */

struct pe_image {
    uint8_t *base;
    size_t size;
    void *entry;
    const uint8_t *functions; /* .pdata */
    uint32_t n_functions;
};
/*
 * pe_load() - map a native-subsystem PE32+ file, relocate it, bind its imports
 * @resolve: address for a name, NULL when the bench does not know it
 * Stops with the names when an import is unknown. In a build with the driver linked in, @path is ignored.
 */
HOST const struct pe_image *pe_load(const char *path, HOST void *(*resolve)(const char *));
HOST const struct pe_image *pe_loaded(void);

/* What MmProbeAndLockPages and __C_specific_handler resolve to; not to be called from C. */
extern void seh_probe_and_lock(void);
extern void seh_handler(void);
/* nt_mm.c: the work. Return: status that the exception carries, or 0 */
HOST uint32_t nt_lock_for_seh(void *mdl, uint32_t mode, uint32_t op, const void *caller);

/* ---- device.c: the virtio-pci function, and its wires ---------------------------------------- */

struct vdev;

struct vdev_options {
    const char *tag;         /* default "bench" */
    uint32_t request_queues; /* that the device offers; default 1 */
    uint32_t queue_size;     /* largest; default 128 */
    uint32_t messages;       /* MSI-X vectors of the function; 0: none, INTx only */
    uint64_t withhold;       /* virtio features not offered although the daemon has them */
    bool iommu;              /* bus addresses are not physical ones */
    bool no_daemon;          /* the device answers FUSE_INIT and GETATTR itself */
    bool bad_tag;            /* not UTF-8 */
    bool mortal;             /* share_kill_daemon() will be called */
};
/*
 * vdev_new() - a function as @o wants it: of our own (model.c), or a real one (vfio.c) when bench_guest().
 * A real one has a daemon, whatever @o says.
 */
HOST struct vdev *vdev_new(const struct vdev_options *o);
HOST void vdev_free(struct vdev *d);
HOST const struct vdev_options *vdev_options(const struct vdev *d);

/* PCI configuration space */
HOST void vdev_config(struct vdev *d, uint32_t offset, void *bytes, uint32_t n, bool write);
HOST bool vdev_bar(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size);
/* MmMapIoSpace and back. A mapping is a range that traps. */
HOST void *vdev_map(uint64_t phys, size_t size);
HOST bool vdev_unmap(void *mapping, size_t size);
/* The trap handler's: false when @address is no device's. */
HOST bool vdev_access(uintptr_t address, unsigned bytes, bool write, uint64_t *value);

/* How the machine treats the function. */
enum vdev_power { VDEV_D0, VDEV_D3 };
HOST void vdev_set_power(struct vdev *d, enum vdev_power p);
HOST void vdev_unplug(struct vdev *d); /* from now on every register reads as ones */
HOST void vdev_forbid(struct vdev *d, const char *why); /* registers may not be touched any more */
HOST void vdev_decode(struct vdev *d, bool on);         /* may it answer at its BARs? */
HOST bool vdev_bus_master(const struct vdev *d);

/* Interrupts: the NT side says where to. @line: INTx. */
struct vdev_irq {
    HOST void (*message)(void *ctx, uint32_t message);
    HOST bool (*line)(void *ctx); /* returns whether the driver claimed it */
    void *ctx;
};
HOST void vdev_connect(struct vdev *d, const struct vdev_irq *irq, uint32_t messages);
HOST void vdev_disconnect(struct vdev *d);

/* ---- dma.c: what the device may touch -------------------------------------------------------- */

enum dma_direction { DMA_FROM_DEVICE = 1, DMA_TO_DEVICE = 2, DMA_BOTH = 3 };
/*
 * dma_map() - let the device at a run of physical memory
 * Return: bus address. Without an IOMMU that is @phys; with one a fresh address that was never used.
 */
HOST uint64_t dma_map(struct vdev *d, uint64_t phys, uint64_t size, enum dma_direction dir);
/* dma_map_pages() - several pages that the IOMMU makes one run of; only with options.iommu */
HOST uint64_t dma_map_pages(struct vdev *d, const uint64_t *page_numbers, uint32_t offset,
                            uint64_t size, enum dma_direction dir);
HOST void dma_unmap(struct vdev *d, uint64_t bus, uint64_t size, const char *what);
HOST bool dma_iommu(const struct vdev *d);

/*
 * ---- what the device does wrong, and what it has ----
 *
 * A real device can hold chains back; the rest needs the model.
 */

enum vdev_fault {
    FAULT_NONE,
    FAULT_HOLD,           /* take chains, do nothing with them until vdev_release() */
    FAULT_USED_ID_RANGE,  /* return an id beyond the ring */
    FAULT_USED_ID_IDLE,   /* return an id that is not in flight */
    FAULT_USED_TWICE,     /* return every chain twice */
    FAULT_USED_LEN_LONG,  /* claim more than was offered */
    FAULT_USED_LEN_SHORT, /* claim 4 bytes */
    FAULT_USED_LEN_ZERO,  /* claim none */
    FAULT_USED_JUMP,      /* move the used index far ahead */
    FAULT_REPLY_LEN,      /* out header's length is not what was written */
    FAULT_REPLY_UNIQUE,   /* out header answers another request */
    FAULT_REPLY_ERROR,    /* out header's error is positive or huge */
    FAULT_NEEDS_RESET,    /* set DEVICE_NEEDS_RESET and stop */
    FAULT_STUCK_RESET,    /* the status never reads 0 again */
    FAULT_SPURIOUS,       /* interrupts with nothing to tell */
};
HOST void vdev_fault(struct vdev *d, enum vdev_fault f);
/* vdev_needs_reset() - set DEVICE_NEEDS_RESET and interrupt */
HOST void vdev_needs_reset(struct vdev *d);
/* vdev_release() - let held chains go. @n: how many, oldest first; 0: all */
HOST void vdev_release(struct vdev *d, uint32_t n);
/* vdev_held() - chains that the device has taken and not returned */
HOST uint32_t vdev_held(const struct vdev *d);
/* vdev_wait_held() - wait until so many are with the device; false after a second */
HOST bool vdev_wait_held(struct vdev *d, uint32_t n);
/* vdev_opcodes() - FUSE opcodes of all chains taken so far, newest last. Return: how many there were. */
HOST uint32_t vdev_opcodes(const struct vdev *d, uint32_t *opcodes, uint32_t room);
HOST uint64_t vdev_queue_count(const struct vdev *d,
                               uint32_t queue); /* chains taken from a queue */
HOST void vdev_config_change(struct vdev *d, const void *config, uint32_t n); /* and interrupt */
/* Field of a register set that a scenario wants to lie about. */
enum vdev_lie {
    LIE_NONE,
    LIE_QUEUE_SIZE_ZERO,
    LIE_QUEUE_SIZE_ODD,
    LIE_NO_QUEUES,
    LIE_NOTIFY_FAR,
    LIE_NO_VECTOR,
    LIE_FEATURES_REFUSED,
    LIE_MANY_QUEUES,
    LIE_CAP_LOOP,
    LIE_CAP_BAR,
    LIE_CAP_LENGTH,
    LIE_CAP_MISSING,
    LIE_NO_VERSION_1
};
HOST void vdev_lie(struct vdev *d, enum vdev_lie lie);
HOST bool vdev_running(const struct vdev *d); /* DRIVER_OK */
HOST uint32_t vdev_resets(const struct vdev *d);

/* ---- share.c: the daemon and the directory that it shares ------------------------------------ */

HOST const char *share_path(void);
/* All of these stop the scenario when the host refuses. */
HOST void share_write(const char *name, const void *bytes, size_t n);
HOST size_t share_read(const char *name, void *bytes, size_t room);
HOST uint64_t share_stat_ino(const char *name);
/* share_kill_daemon() - end all daemons; in a virtual machine the one behind the device with this tag */
HOST void share_kill_daemon(const char *tag);

/* ---- main.c ---------------------------------------------------------------------------------- */

struct scenario {
    const char *name; /* a sentence */
    void (*run)(void);
    enum scenario_where { ANYWHERE, MODEL_ONLY } where; /* MODEL_ONLY: see README.md */
};
/* bench_driver() - path of the driver under test */
HOST const char *bench_driver(void);
/*
 * bench_guest() - NULL, or in a virtual machine, where devices are real: the directory that the host sees too
 * bench_patience() - how many times as long as usual things may take
 */
HOST const char *bench_guest(void);
HOST uint32_t bench_patience(void);

#endif
