// SPDX-License-Identifier: BSD-3-Clause
/*
 * drv.h - viofs.sys: the structures of one device and what its files offer each other
 *
 * Theory of operation (the long version is docs/driver.md)
 *
 *   One struct drv_device a PCI function. It has one struct drv_queue for each virtqueue, and a queue has
 *   one struct drv_slot for each entry of its ring. A slot owns all memory that a request needs while the
 *   device has it: header areas, an indirect table, a scatter/gather buffer. Nothing is allocated per
 *   request, and a slot whose caller went away stays whole until the device has given it back.
 *
 *   An IRP is checked (ioctl.c), queued to a virtqueue (submit.c), built into a slot (request.c), mapped
 *   (dma.c), given to the device, taken back in the queue's DPC (complete.c), turned into a status
 *   (request.c) and completed. Until it has a slot it stands in drv_queue.waiting.
 *
 * Locks, in order of acquisition; none is held while a routine of another driver or a completion is called
 *
 *   drv_device.state   mutex, PASSIVE_LEVEL: bringing the device up and down (device.c, pnp.c, power.c)
 *   drv_queue.lock     spin: ring, slots' states, lists of that queue; never two queues at once
 *   drv_device.lock    spin: session, tag, epoch; taken alone
 *   drv_device.map_lock spin: who may call BuildScatterGatherList; taken alone
 */
#ifndef VIOFS_DRIVER_DRV_H
#define VIOFS_DRIVER_DRV_H

#include <ntddk.h>
#include <ntiologc.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/viofs_ioctl.h"
#include "abi/virtio_fs.h"
#include "lib/ring/ring.h"

#include "driver/fuse_wire.h"
#include "driver/virtio_pci.h"

#define DRV_TAG 0x73666976u /* pool tag, "vifs" in memory */

/* Missing from mingw-w64's headers: wdm.h of the Windows 8 kit and later. */
#ifndef ALL_PROCESSOR_GROUPS
#define ALL_PROCESSOR_GROUPS 0xFFFF
#endif
#ifndef MdlMappingNoExecute
#define MdlMappingNoExecute 0x40000000
#endif

/*
 * What threads share without a lock. The compiler's atomics and not Interlocked*: as in lib/ring, they cost
 * the same, and ThreadSanitizer understands them.
 */
#define drv_load(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define drv_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define drv_swap(p, v)  __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define drv_add(p, n)   __atomic_add_fetch((p), (n), __ATOMIC_SEQ_CST)

/* ---- sizes ---------------------------------------------------------------------------------- */

#define DRV_MAX_REQUEST_QUEUES 16u
#define DRV_MAX_QUEUES         (DRV_MAX_REQUEST_QUEUES + 1u)
#define DRV_MAX_QUEUE_SIZE     1024u /* entries of one request queue */
#define DRV_MAX_SLOTS          2048u /* of all request queues: about 27 MiB */
#define DRV_HIPRIO_SIZE        64u

#define DRV_REQUEST_ROOM 1024u /* header and arguments that are copied into a slot */
#define DRV_REPLY_ROOM   1024u /* reply, header included, that is copied out of a slot */

/* Header and arguments of one request. SETXATTR with the longest value is the longest there is. */
#define DRV_MAX_REQUEST (128u * 1024u)
/* Payload of one request, and what virtio-win's guest may pass around it in the same buffer. */
#define DRV_MAX_TRANSFER (1024u * 1024u)
#define DRV_MAX_MAPPED   (DRV_MAX_TRANSFER + 64u * 1024u)
#define DRV_MAX_PAGES    (DRV_MAX_MAPPED / PAGE_SIZE + 1u)
/* Descriptors of one request: its pages, one more page of a second mapping, two headers. */
#define DRV_MAX_SEGS 280u
_Static_assert(DRV_MAX_SEGS >= DRV_MAX_PAGES + 4, "a request of the largest size must fit");
_Static_assert(DRV_MAX_SEGS <= RING_MAX_SEGS, "more than a device accepts");

/* One slot's share of a common buffer: request, reply, indirect table. */
#define DRV_SLOT_REPLY_AT DRV_REQUEST_ROOM
#define DRV_SLOT_TABLE_AT (DRV_REQUEST_ROOM + DRV_REPLY_ROOM)
#define DRV_SLOT_BYTES    (DRV_SLOT_TABLE_AT + DRV_MAX_SEGS * sizeof(struct ring_desc))
#define DRV_CHUNK_BYTES   (64u * 1024u)
#define DRV_CHUNK_SLOTS   (DRV_CHUNK_BYTES / DRV_SLOT_BYTES)

#define DRV_PAGE_UP(n) (((n) + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1))

/* ---- times ---------------------------------------------------------------------------------- */

#define DRV_TICK_MS        1000u
#define DRV_STALL_TICKS    30u   /* without a completion: the share does not respond */
#define DRV_RESET_MS       5000u /* a reset that takes longer has failed */
#define DRV_QUIESCE_MS     2000u /* for requests to end before a reset */
#define DRV_SETTLE_MS      1000u /* for requests of a closed handle to end before DESTROY */
#define DRV_DESTROY_MS     2000u /* that a cleanup waits for the reply to DESTROY */
#define DRV_MAX_RECOVERIES 5u    /* in a row; then the device has failed */
#define DRV_FORGIVE_TICKS  5u    /* of work, for which one recovery counts no longer */

/* ---- structures ----------------------------------------------------------------------------- */

struct drv_device;
struct drv_queue;

/* NONE, or how far a mapping is; LATE: its list will come when nobody waits for it. */
enum drv_map_phase { DRV_MAP_NONE, DRV_MAP_BUILDING, DRV_MAP_MAPPED, DRV_MAP_LATE };

/* A buffer that the device reads or writes in place. Guarded as its slot. */
struct drv_map {
    MDL *mdl;    /* NULL: nothing to map */
    uint8_t *va; /* where in the MDL, in its terms */
    uint32_t len;
    bool own_mdl;             /* made for this request */
    bool own_list;            /* list_buffer is from the pool, not the slot's */
    enum drv_map_phase phase; /* atomic */
    void *list_buffer;
    SCATTER_GATHER_LIST *list; /* set while mapped */
};
enum drv_map_index { DRV_MAP_OUT, DRV_MAP_IN, DRV_MAPS }; /* device reads, device writes */

enum drv_slot_state {
    DRV_SLOT_FREE,
    DRV_SLOT_PREPARING, /* belongs to who took it: being built, mapped or finished */
    DRV_SLOT_BLOCKED,   /* built; the ring has too few descriptors */
    DRV_SLOT_DEVICE,    /* the device has it */
};

enum drv_kind {
    DRV_KIND_REQUEST,     /* IOCTL_VIOFS_REQUEST */
    DRV_KIND_WRITE,       /* IOCTL_VIOFS_WRITE */
    DRV_KIND_NO_REPLY,    /* IOCTL_VIOFS_NO_REPLY, or virtio-win's code with such an opcode */
    DRV_KIND_COMPAT,      /* IOCTL_VIRTFS_FUSE_REQUEST */
    DRV_KIND_COMPAT_READ, /* IOCTL_VIRTFS_FUSE_REQUEST_READ */
    DRV_KIND_DESTROY,     /* the driver's own */
    DRV_KIND_INTERRUPT,   /* the driver's own */
};

/*
 * One request on its way. Owned by its queue for as long as the queue has memory. State, irp, returned,
 * cancel_ran, interrupt_due and link are guarded by the queue's lock, the rest belongs to whoever has the
 * slot in PREPARING.
 */
struct drv_slot {
    struct drv_queue *queue;
    LIST_ENTRY link; /* free, blocked, or a list of the routine that has it */
    enum drv_slot_state state;
    enum drv_kind kind;
    IRP *irp;           /* NULL: the driver's own, or the caller was let go */
    bool owned;         /* every buffer is the slot's: the caller may go any time */
    bool may_block;     /* waits for another client of the host: no sign of a stall */
    bool returned;      /* the device is done, the cancel routine finishes */
    bool cancel_ran;    /* cancelled, but waits for the device */
    bool interrupt_due; /* FUSE_INTERRUPT is to be sent */
    NTSTATUS status;    /* of a slot that did not come back with a reply */
    uint32_t used_len;  /* as the device said, at most what it was offered */
    uint32_t opcode;
    uint64_t unique;
    uint32_t request_len; /* bytes used of request */
    uint32_t reply_room;  /* bytes offered of reply */
    uint8_t *user;        /* caller's buffer, for a reply that is copied */
    uint32_t user_len;    /* bytes there; of a write, bytes to be written */
    struct drv_map map[DRV_MAPS];
    /* fixed while the queue has memory */
    uint8_t *request, *reply;
    struct ring_desc *table;
    uint64_t request_bus, reply_bus, table_bus;
    void *list_buffer; /* for one scatter/gather list */
};

/* Slots come in chunks of memory that is contiguous for the device. */
struct drv_chunk {
    void *va;
    PHYSICAL_ADDRESS bus;
    void *lists; /* scatter/gather buffers of its slots */
};

struct drv_queue {
    struct drv_device *dev;
    uint16_t index;  /* 0 hiprio, 1.. requests */
    uint16_t vector; /* interrupt message */
    KDPC dpc;
    KEVENT drained;
    LONG kickers; /* threads between the lock and the doorbell */

    KSPIN_LOCK lock; /* guards everything below */
    bool armed;      /* the ring may be touched */
    bool open;       /* requests may come in */
    bool hold;       /* requests may come in, and wait */
    bool pumping;    /* some thread is starting requests, and will see new slots */
    bool drain_wanted;
    bool hushed;            /* the doorbell does not ring until it is armed again */
    bool distrusted;        /* the used ring is broken: nothing is taken from it */
    NTSTATUS closed_status; /* for requests while not open */
    LIST_ENTRY waiting;     /* IRPs without a slot */
    LIST_ENTRY blocked;     /* slots without descriptors */
    LIST_ENTRY free;
    uint32_t busy;      /* slots that are not free */
    uint32_t in_flight; /* slots in DEVICE that may not block */
    uint64_t completions;
    struct ring_drv ring;

    /* memory, from the first arming to the release of the device's resources */
    uint32_t size;
    void *ring_mem;
    PHYSICAL_ADDRESS ring_bus;
    ULONG ring_len;
    struct ring_slot *ring_slots;
    struct ring_bus_seg *segs; /* scratch of DRV_MAX_SEGS, under lock */
    struct drv_slot *slots;
    uint32_t n_chunks;
    struct drv_chunk *chunks;
    volatile USHORT *doorbell;
};

struct drv_bar {
    uint64_t bus; /* as in the BAR register */
    uint64_t len;
    uint8_t *va;
};

struct drv_pci {
    BUS_INTERFACE_STANDARD bus;
    struct drv_bar bar[PCI_BARS];
    volatile struct virtio_pci_common *common;
    volatile UCHAR *isr;
    uint8_t *config;
    uint32_t config_len;
    uint8_t *notify;
    uint32_t notify_len;
    uint32_t notify_mult;
};

enum drv_pnp_state {
    DRV_PNP_NEW,
    DRV_PNP_STARTED,
    DRV_PNP_STOP_PENDING,
    DRV_PNP_STOPPED,
    DRV_PNP_REMOVE_PENDING,
    DRV_PNP_SURPRISE,
    DRV_PNP_REMOVED,
};

/* The session between one handle and the host. Guarded by drv_device.lock. */
struct drv_session {
    FILE_OBJECT *owner; /* also read without the lock, see drv_session_owns() */
    bool init_sent;     /* the host may have a session */
    bool live;          /* it answered INIT */
    bool closing;       /* DESTROY is under way */
    bool destroy_due;   /* and not yet sent */
    KEVENT closed;      /* set while not closing */
    uint64_t epoch;
    uint16_t tag[VIOFS_TAG_CHARS + 1];
};

struct drv_watch {
    KTIMER timer;
    KDPC dpc;
    uint64_t completions; /* at the last tick */
    uint32_t quiet;       /* ticks without a completion */
    LONG ticks;           /* so far, of all the time that the device was armed */
    LONG stalled;
};

struct drv_device {
    DEVICE_OBJECT *self, *lower, *pdo;
    IO_REMOVE_LOCK remove_lock;
    UNICODE_STRING link;
    PIO_WORKITEM power_work, recover_work;

    KMUTEX state; /* guards everything down to irq_connected */
    enum drv_pnp_state pnp, pnp_before;
    bool interface_on;
    bool resources;   /* BARs are mapped, interrupts connected */
    bool armed;       /* virtio is up, or on its way; read by DPCs */
    bool memory_lost; /* the device may still write: never free */
    bool in_d0;
    LONG failed;             /* gave up on the device */
    uint32_t recoveries;     /* that count */
    uint32_t recovered_tick; /* watch.ticks at the last of them */
    IRP *power_irp;          /* waits for power_work */
    struct drv_pci pci;
    uint64_t features;
    DMA_ADAPTER *dma;
    ULONG list_len;        /* bytes of one scatter/gather buffer */
    uint32_t dma_transfer; /* bytes that it maps at once */
    uint32_t max_transfer; /* bytes of payload that fit a chain as long as the queues are */
    uint32_t most_payload; /* bytes of payload that are accepted, see limit_transfer() */
    ULONG irq_version;     /* CONNECT_MESSAGE_BASED or CONNECT_LINE_BASED */
    void *irq_object;
    uint32_t irq_messages;
    bool irq_connected;
    bool irq_muted; /* registers are out of reach of the line's service routine; under its lock */

    uint32_t n_queues; /* hiprio included; read through drv_n_queues() */
    struct drv_queue queue[DRV_MAX_QUEUES];
    KDPC config_dpc;
    LONG broken;         /* recovery is under way */
    LONG interrupts_due; /* slots with interrupt_due */
    LONG bad_replies;    /* so far */
    struct drv_watch watch;

    KSPIN_LOCK lock;
    struct drv_session session;

    KSPIN_LOCK map_lock;
    struct drv_slot *mapping; /* for which BuildScatterGatherList was called */
    LIST_ENTRY map_waiting;
    KDPC map_dpc;
};

/* What an IRP in our hands carries in Tail.Overlay.DriverContext. */
enum drv_context { DRV_CTX_QUEUE, DRV_CTX_SLOT, DRV_CTX_USER_MDL, DRV_CTX_USER_VA };

/* ---- log.c ---------------------------------------------------------------------------------- */

/* Why an entry was written to the event log; the last word of its data. docs/driver.md lists them. */
enum drv_reason {
    DRV_WHY_NO_REGISTERS = 1,
    DRV_WHY_FEATURES,
    DRV_WHY_CONFIG,
    DRV_WHY_QUEUE,
    DRV_WHY_RESET_STUCK,
    DRV_WHY_USED_RING,
    DRV_WHY_NEEDS_RESET,
    DRV_WHY_REPLY,
    DRV_WHY_STALLED,
    DRV_WHY_GAVE_UP,
    DRV_WHY_INTERRUPT,
    DRV_WHY_MEMORY,
    DRV_WHY_GONE,
    DRV_WHY_RECOVERED,
    DRV_WHY_TRANSLATED,
};
void drv_log(struct drv_device *dev, NTSTATUS code, enum drv_reason why, uint32_t detail);

/* ---- pci.c, virtio.c ------------------------------------------------------------------------ */

NTSTATUS drv_pci_map(struct drv_device *dev, CM_RESOURCE_LIST *raw, CM_RESOURCE_LIST *translated);
void drv_pci_unmap(struct drv_device *dev);
bool drv_pci_gone(struct drv_device *dev);
bool drv_pci_bus_master(struct drv_device *dev, bool on);

NTSTATUS drv_virtio_reset(struct drv_device *dev);
NTSTATUS drv_virtio_negotiate(struct drv_device *dev);
NTSTATUS drv_virtio_config(struct drv_device *dev, struct virtio_fs_config *config);
uint8_t drv_virtio_status(struct drv_device *dev);
void drv_virtio_add_status(struct drv_device *dev, uint8_t bits);
NTSTATUS drv_virtio_config_vector(struct drv_device *dev);
uint32_t drv_virtio_queue_size(struct drv_device *dev, uint16_t index);
NTSTATUS drv_virtio_queue_enable(struct drv_device *dev, struct drv_queue *q);

/* ---- interrupt.c ---------------------------------------------------------------------------- */

NTSTATUS drv_interrupt_connect(struct drv_device *dev);
void drv_interrupt_disconnect(struct drv_device *dev);
void drv_interrupt_mute(struct drv_device *dev, bool mute);

/* ---- device.c ------------------------------------------------------------------------------- */

NTSTATUS drv_device_start(struct drv_device *dev, CM_RESOURCE_LIST *raw,
                          CM_RESOURCE_LIST *translated);
void drv_device_release(struct drv_device *dev);
NTSTATUS drv_device_arm(struct drv_device *dev);
void drv_device_disarm(struct drv_device *dev, NTSTATUS status, bool quiesce);
void drv_device_broken(struct drv_device *dev, enum drv_reason why, uint32_t detail);
void drv_device_lock(struct drv_device *dev);
void drv_device_unlock(struct drv_device *dev);
IO_WORKITEM_ROUTINE drv_device_recover;
KDEFERRED_ROUTINE drv_device_config_dpc;

/* ---- slab.c --------------------------------------------------------------------------------- */

NTSTATUS drv_dma_open(struct drv_device *dev);
void drv_dma_close(struct drv_device *dev);
NTSTATUS drv_queue_alloc(struct drv_queue *q, uint32_t size);
void drv_queue_free(struct drv_queue *q);

/* ---- queue.c -------------------------------------------------------------------------------- */

void drv_queue_init(struct drv_device *dev, struct drv_queue *q, uint16_t index);
NTSTATUS drv_queue_arm(struct drv_queue *q);
void drv_queue_open(struct drv_queue *q);
void drv_queue_close(struct drv_queue *q, NTSTATUS status);
void drv_queue_hold(struct drv_queue *q, bool hold);
bool drv_queue_drain(struct drv_queue *q, uint32_t ms);
void drv_queue_hush(struct drv_queue *q);
void drv_queue_reclaim(struct drv_queue *q, NTSTATUS status);
struct drv_queue *drv_queue_pick(struct drv_device *dev);

/* ---- submit.c ------------------------------------------------------------------------------- */

void drv_submit(struct drv_queue *q, IRP *irp);
void drv_pump(struct drv_queue *q);
struct drv_slot *drv_slot_take(struct drv_queue *q);
void drv_slot_ready(struct drv_slot *slot);
void drv_slot_fail(struct drv_slot *slot, NTSTATUS status);
void drv_slot_put(struct drv_slot *slot);
void drv_slot_return(struct drv_slot *slot);
bool drv_slot_claim(struct drv_slot *slot);

/* ---- complete.c ----------------------------------------------------------------------------- */

KDEFERRED_ROUTINE drv_queue_dpc;
void drv_slot_finish(struct drv_slot *slot);
void drv_finish_list(struct drv_queue *q, LIST_ENTRY *done);

/* ---- dma.c ---------------------------------------------------------------------------------- */

void drv_map_slot(struct drv_slot *slot);
void drv_unmap_slot(struct drv_slot *slot);
uint32_t drv_slot_segments(struct drv_slot *slot, struct ring_bus_seg *segs, uint32_t *n_out);
KDEFERRED_ROUTINE drv_map_dpc;

/* ---- request.c ------------------------------------------------------------------------------ */

NTSTATUS drv_request_build(struct drv_slot *slot);
NTSTATUS drv_request_reply(struct drv_slot *slot, ULONG_PTR *information);
void drv_irp_done(struct drv_device *dev, IRP *irp, NTSTATUS status, ULONG_PTR information);

/* ---- ioctl.c, compat.c, compat_seh.c -------------------------------------------------------- */

DRIVER_DISPATCH drv_dispatch_control;
NTSTATUS drv_compat_check(IRP *irp);
NTSTATUS drv_compat_read_buffer(IRP *irp);
NTSTATUS drv_compat_volume_name(struct drv_device *dev, IRP *irp, ULONG_PTR *information);
void drv_compat_release(IRP *irp);
NTSTATUS drv_compat_lock(MDL *mdl, KPROCESSOR_MODE mode);

/* ---- cancel.c ------------------------------------------------------------------------------- */

DRIVER_CANCEL drv_cancel;
void drv_cancel_file(struct drv_device *dev, FILE_OBJECT *file);
void drv_cancel_stalled(struct drv_device *dev);
void drv_interrupts_send(struct drv_device *dev);

/* ---- session.c ------------------------------------------------------------------------------ */

void drv_session_init(struct drv_device *dev);
NTSTATUS drv_session_enter(struct drv_device *dev, FILE_OBJECT *file, uint32_t opcode, bool ours);
bool drv_session_owns(struct drv_device *dev, FILE_OBJECT *file);
void drv_session_replied(struct drv_device *dev, uint32_t opcode, int32_t error);
void drv_session_cleanup(struct drv_device *dev, FILE_OBJECT *file);
void drv_session_send_destroy(struct drv_device *dev);
void drv_session_destroyed(struct drv_device *dev);
void drv_session_lost(struct drv_device *dev);
void drv_session_set_tag(struct drv_device *dev, const struct virtio_fs_config *config);

/* ---- watchdog.c ----------------------------------------------------------------------------- */

void drv_watch_init(struct drv_device *dev);
void drv_watch_start(struct drv_device *dev);
void drv_watch_stop(struct drv_device *dev);

/* ---- entry.c, pnp.c, power.c ---------------------------------------------------------------- */

DRIVER_INITIALIZE DriverEntry;
DRIVER_DISPATCH drv_dispatch_pnp;
DRIVER_DISPATCH drv_dispatch_power;
IO_WORKITEM_ROUTINE drv_power_up;
NTSTATUS drv_complete(IRP *irp, NTSTATUS status, ULONG_PTR information);
NTSTATUS drv_pass_down(struct drv_device *dev, IRP *irp);

/* ---- small helpers -------------------------------------------------------------------------- */

static inline struct drv_device *drv_of(DEVICE_OBJECT *object)
{
    return object->DeviceExtension;
}

/** drv_n_queues() - queues in use, hiprio included; 0 before the first start. IRQL: any. */
static inline uint32_t drv_n_queues(struct drv_device *dev)
{
    return drv_load(&dev->n_queues);
}

/** drv_sleep() - let @ms milliseconds pass. IRQL: PASSIVE_LEVEL. */
static inline void drv_sleep(uint32_t ms)
{
    LARGE_INTEGER interval;

    interval.QuadPart = -10000LL * ms;
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

#endif
