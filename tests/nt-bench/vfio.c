// SPDX-License-Identifier: BSD-3-Clause
/*
 * vfio.c - a real function, inside a virtual machine
 *
 * Theory of operation
 *
 *   The machine has several vhost-user-fs-pci functions that differ in queues, ring sizes, features and
 *   interrupts. vfio_survey() opens all of them once, in the process that scenarios are forked from; a
 *   scenario gets the first that is what it asks for. Behind each is a virtiofsd on the host. After a
 *   scenario, however it ended, vfio_quiet() sees that none of them goes on using memory.
 *
 *   Every access of the driver to a register traps and is then made, in its own width, to the real
 *   register. On the way it is seen where the driver puts its rings and when it rings a doorbell, which is all
 *   that vfio_rings.c needs. Chains are held back by withholding doorbells: the device does not know of what it
 *   was not told of. Nothing else can be made to go wrong here; scenarios that need more are for the model.
 *
 *   An interrupt arrives as an eventfd; one thread a function hands them to the driver's service routine.
 *
 *   To be unplugged, or to lose power, is played: the function is cut off from memory, and loses what its
 *   registers held.
 *
 * Ownership: device.c. Locks: v.lock guards the rings and is held during register accesses.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/nt-bench/vfio.h"

#define MOST_FUNCTIONS 32u
#define MOST_EVENTS    (VDEV_MAX_QUEUES + 1)

/* PCI power management 1.2, 3.2.4: control and status, two bits of power state */
#define CAP_POWER  0x01u
#define POWER_CSR  4u
#define POWER_MASK 3u
#define PCI_CAPS   0x34u

/* One of virtio's four areas */
struct area {
    unsigned bar;
    uint32_t offset, length;
};

struct function {
    struct vdev v;
    struct vfio_pci pci;
    struct area common, notify, config;
    uint32_t multiplier;
    uint8_t power_at; /* of the power management capability; 0: none */
    struct rings rings;
    bool hold;
    uint32_t n_events;
    int event[MOST_EVENTS];
    int quit; /* an event more, that ends the thread */
    pthread_t thread;
    bool listening;
    uint32_t resets_seen; /* by the line's thread */
};

/* What the machine has, looked at once for all scenarios. */
static struct found {
    struct vfio_pci pci;
    char tag[VIRTIO_FS_TAG_MAX + 1];
    uint32_t request_queues, queue_size, messages;
    uint64_t features;
    bool taken;
} found[MOST_FUNCTIONS];
static unsigned n_found;

static struct function *function_of(struct vdev *d)
{
    return (struct function *)d;
}

/* ---- registers ------------------------------------------------------------------------------- */

static uint64_t reg_read(const struct function *f, uint32_t reg, unsigned bytes)
{
    uint64_t v;

    vfio_pci_access(&f->pci, f->common.bar, f->common.offset + reg, bytes, false, &v);
    return v;
}

static void reg_write(const struct function *f, uint32_t reg, unsigned bytes, uint64_t v)
{
    vfio_pci_access(&f->pci, f->common.bar, f->common.offset + reg, bytes, true, &v);
}

static uint64_t reg_address(const struct function *f, uint32_t reg)
{
    return reg_read(f, reg, 4) | reg_read(f, reg + 4, 4) << 32;
}

static bool inside(const struct area *a, unsigned bar, uint32_t at)
{
    return bar == a->bar && at >= a->offset && at - a->offset < a->length;
}

/* Capabilities: virtio 1.2, 4.1.4; PCI 3.0, 6.7 */
static void find_areas(struct function *f)
{
    uint8_t at, head[16];

    vfio_pci_config(&f->pci, PCI_CAPS, &at, 1, false);
    for (; at; at = head[1]) {
        struct area *a;

        vfio_pci_config(&f->pci, at, head, sizeof(head), false);
        if (head[0] == CAP_POWER)
            f->power_at = at;
        if (head[0] != CAP_VENDOR || head[3] == CAP_ISR || head[3] > CAP_DEVICE)
            continue;
        a = head[3] == CAP_COMMON ? &f->common : head[3] == CAP_NOTIFY ? &f->notify : &f->config;
        a->bar = head[4];
        memcpy(&a->offset, head + 8, 4);
        memcpy(&a->length, head + 12, 4);
        if (head[3] == CAP_NOTIFY)
            vfio_pci_config(&f->pci, at + 16u, &f->multiplier, 4, false);
    }
    if (!f->common.length || !f->notify.length || !f->config.length)
        ver_stop("bench", "a function without virtio's capabilities");
}

static void set_command(struct function *f, uint16_t command)
{
    vfio_pci_config(&f->pci, PCI_COMMAND, &command, sizeof(command), true);
}

static void set_power_state(struct function *f, uint16_t state)
{
    uint16_t csr;

    if (!f->power_at)
        return;
    vfio_pci_config(&f->pci, f->power_at + POWER_CSR, &csr, sizeof(csr), false);
    csr = (uint16_t)((csr & ~POWER_MASK) | state);
    vfio_pci_config(&f->pci, f->power_at + POWER_CSR, &csr, sizeof(csr), true);
}

/* As at power-on; the command register stays what it is. */
static void forget(struct function *f)
{
    set_power_state(f, 0);
    set_command(f, PCI_MEMORY);
    reg_write(f, REG_STATUS, 1, 0);
    for (uint32_t ms = 0; reg_read(f, REG_STATUS, 1) != 0; ms++) {
        if (ms == 5000)
            ver_stop("bench", "the real device does not reset");
        clk_sleep_ms(1);
    }
    set_command(f, f->v.command);
}

/* ---- what the machine has -------------------------------------------------------------------- */

static void look_at_function(struct found *w, const char *address)
{
    struct function f = {0};
    uint64_t v;

    vfio_pci_open(&w->pci, address);
    f.pci = w->pci;
    find_areas(&f);
    set_command(&f, PCI_MEMORY);
    w->messages = f.pci.messages;
    w->request_queues = (uint32_t)reg_read(&f, REG_NUM_QUEUES, 2) - 1;
    reg_write(&f, REG_QUEUE_SELECT, 2, 1);
    w->queue_size = (uint32_t)reg_read(&f, REG_QUEUE_SIZE, 2);
    for (unsigned word = 0; word < 2; word++) {
        reg_write(&f, REG_FEATURE_SELECT, 4, word);
        w->features |= reg_read(&f, REG_FEATURE, 4) << (32 * word);
    }
    for (uint32_t i = 0; i < VIRTIO_FS_TAG_MAX; i++) {
        vfio_pci_access(&f.pci, f.config.bar, f.config.offset + i, 1, false, &v);
        w->tag[i] = (char)v;
    }
    ver_note("%s: \"%s\", %u request queues of %u, %u messages, features %#llx", address, w->tag,
             w->request_queues, w->queue_size, w->messages, (unsigned long long)w->features);
}

void vfio_survey(void)
{
    char address[MOST_FUNCTIONS][VFIO_ADDRESS_ROOM];

    n_found = vfio_pci_list(address, MOST_FUNCTIONS);
    for (unsigned i = 0; i < n_found; i++)
        look_at_function(&found[i], address[i]);
    vfio_quiet();
}

void vfio_quiet(void)
{
    for (unsigned i = 0; i < n_found; i++) {
        uint16_t nothing = 0;

        vfio_pci_config(&found[i].pci, PCI_COMMAND, &nothing, sizeof(nothing), true);
        vfio_pci_disconnect(&found[i].pci);
    }
}

static bool suits(const struct found *w, const struct vdev_options *o)
{
    const uint64_t optional = 1ull << RING_F_INDIRECT_DESC | 1ull << RING_F_EVENT_IDX;

    if (w->taken || o->iommu || o->bad_tag || o->mortal != share_daemon_mortal(w->tag))
        return false;
    if ((o->tag && strcmp(o->tag, w->tag) != 0) ||
        (o->queue_size && o->queue_size != w->queue_size) ||
        (o->request_queues && o->request_queues != w->request_queues))
        return false;
    if (o->messages ? w->messages < o->messages : w->messages != 0)
        return false;
    return ((w->features ^ ~o->withhold) & optional) == 0;
}

static struct found *choose(const struct vdev_options *o)
{
    for (unsigned i = 0; i < n_found; i++)
        if (suits(&found[i], o))
            return &found[i];
    ver_stop("bench",
             "this machine has no such device: tag %s, %u request queues of %u, %u messages",
             o->tag ? o->tag : "any", o->request_queues, o->queue_size, o->messages);
}

/* ---- what the driver does -------------------------------------------------------------------- */

static void ring_doorbell(const struct function *f, uint32_t q)
{
    uint64_t v = q;

    vfio_pci_access(&f->pci, f->notify.bar,
                    f->notify.offset + f->rings.ring[q].doorbell * f->multiplier, 2, true, &v);
}

static void doorbell(struct function *f, uint32_t at, uint64_t v)
{
    uint32_t q = (uint32_t)v & 0xffff;

    if (q >= VDEV_MAX_QUEUES || !f->rings.ring[q].live ||
        at != f->rings.ring[q].doorbell * f->multiplier) {
        ver_complain("virtio-notify", "doorbell at %#x rung with %llu", at, (unsigned long long)v);
        return;
    }
    __atomic_fetch_add(&ver_costs()->kicks, 1, __ATOMIC_RELAXED);
    rings_look(&f->rings);
    if (f->hold)
        f->rings.ring[q].withheld = true;
    else
        ring_doorbell(f, q);
}

/* After a write to the common configuration: what became of it? */
static void watch(struct function *f, uint32_t reg, uint64_t v)
{
    if (reg == REG_STATUS && (v & 0xff) == 0) {
        rings_stop(&f->rings);
        atomic_fetch_add(&f->v.resets, 1);
    } else if (reg == REG_QUEUE_ENABLE && v == 1) {
        const uint64_t address[3] = {reg_address(f, REG_QUEUE_DESC),
                                     reg_address(f, REG_QUEUE_AVAIL),
                                     reg_address(f, REG_QUEUE_USED)};

        rings_start(&f->rings, (uint32_t)reg_read(f, REG_QUEUE_SELECT, 2),
                    (uint16_t)reg_read(f, REG_QUEUE_SIZE, 2),
                    (uint16_t)reg_read(f, REG_QUEUE_NOTIFY, 2), address);
    }
}

static void vfio_access(struct vdev *d, unsigned bar, uint32_t at, unsigned bytes, bool write,
                        uint64_t *v)
{
    struct function *f = function_of(d);

    if (write && inside(&f->notify, bar, at)) {
        doorbell(f, at - f->notify.offset, *v);
        return;
    }
    vfio_pci_access(&f->pci, bar, at, bytes, write, v);
    if (write && inside(&f->common, bar, at))
        watch(f, at - f->common.offset, *v);
}

static bool vfio_running(struct vdev *d)
{
    return (d->command & PCI_MEMORY) &&
           (reg_read(function_of(d), REG_STATUS, 1) & STATUS_DRIVER_OK);
}

/* ---- configuration space and states ---------------------------------------------------------- */

static bool vfio_bar(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size)
{
    const struct vfio_pci *p = &((const struct function *)d)->pci;

    if (i >= VFIO_BARS || !p->bar[i].map)
        return false;
    *phys = p->bar[i].phys;
    *size = p->bar[i].size;
    return true;
}

static void vfio_config(struct vdev *d, uint32_t offset, void *bytes, uint32_t n, bool write)
{
    struct function *f = function_of(d);

    vfio_pci_config(&f->pci, offset, bytes, n, write);
    if (write)
        vfio_pci_config(&f->pci, PCI_COMMAND, &d->command, sizeof(d->command), false);
}

static void vfio_decode(struct vdev *d, bool on)
{
    pthread_mutex_lock(&d->lock);
    d->command = on ? PCI_MEMORY : 0;
    set_command(function_of(d), d->command);
    pthread_mutex_unlock(&d->lock);
}

/* D3hot as Windows sets it; the loss of the registers' contents is played on the way back. */
static void vfio_power(struct vdev *d, bool on)
{
    struct function *f = function_of(d);

    pthread_mutex_lock(&d->lock);
    rings_stop(&f->rings);
    if (on)
        forget(f);
    else
        set_power_state(f, 3);
    pthread_mutex_unlock(&d->lock);
}

static void vfio_unplug(struct vdev *d)
{
    struct function *f = function_of(d);

    pthread_mutex_lock(&d->lock);
    rings_stop(&f->rings);
    set_command(f, 0);
    pthread_mutex_unlock(&d->lock);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static void signal_event(int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) < 0)
        ver_stop("bench", "cannot signal an event");
}

static void look(struct function *f)
{
    pthread_mutex_lock(&f->v.lock);
    rings_look(&f->rings);
    pthread_mutex_unlock(&f->v.lock);
}

/* The line was asserted, and is masked until the service routine has been asked. */
static void raise_line(struct function *f)
{
    uint32_t resets = vdev_resets(&f->v);

    /* What a reset took back while it was on its way is nobody's. */
    if (vdev_raise(&f->v, 0) == VDEV_REFUSED && resets == f->resets_seen)
        ver_complain("interrupt", "nobody claimed the line interrupt");
    f->resets_seen = resets;
    vfio_pci_unmask(&f->pci);
}

static void *listen_main(void *arg)
{
    struct function *f = arg;
    struct pollfd fd[MOST_EVENTS + 1] = {{.fd = f->quit, .events = POLLIN}};
    uint64_t ignored;

    thr_self()->name = "device";
    for (uint32_t i = 0; i < f->n_events; i++)
        fd[i + 1] = (struct pollfd){.fd = f->event[i], .events = POLLIN};
    while (poll(fd, f->n_events + 1, -1) > 0 && !fd[0].revents)
        for (uint32_t i = 0; i < f->n_events; i++) {
            if (!fd[i + 1].revents || read(f->event[i], &ignored, sizeof(ignored)) < 0)
                continue;
            look(f);
            if (f->v.messages)
                (void)vdev_raise(&f->v, i);
            else
                raise_line(f);
        }
    return NULL;
}

static void vfio_connect(struct vdev *d)
{
    struct function *f = function_of(d);

    f->n_events = d->messages ? d->messages : 1;
    if (f->n_events > MOST_EVENTS)
        ver_stop("bench", "too many messages");
    f->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t i = 0; i < f->n_events; i++)
        f->event[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vfio_pci_connect(&f->pci, f->event, d->messages);
    if (pthread_create(&f->thread, NULL, listen_main, f) != 0)
        ver_stop("bench", "no thread for interrupts");
    f->listening = true;
}

static void vfio_disconnect(struct vdev *d)
{
    struct function *f = function_of(d);

    if (!f->listening)
        return;
    vfio_pci_disconnect(&f->pci);
    signal_event(f->quit);
    pthread_join(f->thread, NULL);
    for (uint32_t i = 0; i < f->n_events; i++)
        close(f->event[i]);
    close(f->quit);
    f->listening = false;
}

/* ---- misbehaviour and observation ------------------------------------------------------------ */

static void vfio_release(struct vdev *d, uint32_t n)
{
    struct function *f = function_of(d);

    if (n != 0)
        ver_stop("bench", "a real device cannot be told how many chains to take");
    pthread_mutex_lock(&d->lock);
    for (uint32_t q = 0; q < VDEV_MAX_QUEUES; q++) {
        if (f->rings.ring[q].live && f->rings.ring[q].withheld)
            ring_doorbell(f, q);
        f->rings.ring[q].withheld = false;
    }
    pthread_mutex_unlock(&d->lock);
}

static void vfio_fault(struct vdev *d, enum vdev_fault fault)
{
    if (fault != FAULT_NONE && fault != FAULT_HOLD)
        ver_stop("bench", "a real device cannot be made to misbehave");
    if (fault == FAULT_HOLD)
        clk_sleep_ms(5); /* what it was told of, it has looked at */
    pthread_mutex_lock(&d->lock);
    function_of(d)->hold = fault == FAULT_HOLD;
    pthread_mutex_unlock(&d->lock);
}

static void no_needs_reset(struct vdev *d)
{
    (void)d;
    ver_stop("bench", "a real device asks for no reset");
}

static void no_config_change(struct vdev *d, const void *config, uint32_t n)
{
    (void)d;
    (void)config;
    (void)n;
    ver_stop("bench", "a real device does not change its configuration");
}

static void no_lie(struct vdev *d, enum vdev_lie lie)
{
    (void)d;
    (void)lie;
    ver_stop("bench", "a real device does not lie");
}

static uint32_t vfio_held(struct vdev *d)
{
    uint32_t n;

    pthread_mutex_lock(&d->lock);
    n = rings_held(&function_of(d)->rings);
    pthread_mutex_unlock(&d->lock);
    return n;
}

static uint32_t vfio_opcodes(struct vdev *d, uint32_t *opcodes, uint32_t room)
{
    struct function *f = function_of(d);
    uint32_t n;

    pthread_mutex_lock(&d->lock);
    rings_look(&f->rings);
    n = rings_opcodes(&f->rings, opcodes, room);
    pthread_mutex_unlock(&d->lock);
    return n;
}

static uint64_t vfio_queue_count(struct vdev *d, uint32_t queue)
{
    struct function *f = function_of(d);
    uint64_t n;

    pthread_mutex_lock(&d->lock);
    rings_look(&f->rings);
    n = f->rings.ring[queue].taken;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void vfio_free(struct vdev *d)
{
    struct function *f = function_of(d);

    vfio_disconnect(d);
    for (unsigned i = 0; i < n_found; i++)
        if (strcmp(found[i].tag, d->o.tag) == 0)
            found[i].taken = false;
    set_command(f, 0);
    dma_free(d->dma);
    pthread_mutex_destroy(&d->lock);
    free(f);
}

static const struct vdev_back_end back_end = {
    .free = vfio_free,
    .bar = vfio_bar,
    .config = vfio_config,
    .access = vfio_access,
    .decode = vfio_decode,
    .power = vfio_power,
    .unplug = vfio_unplug,
    .running = vfio_running,
    .connect = vfio_connect,
    .disconnect = vfio_disconnect,
    .fault = vfio_fault,
    .release = vfio_release,
    .needs_reset = no_needs_reset,
    .config_change = no_config_change,
    .lie = no_lie,
    .held = vfio_held,
    .opcodes = vfio_opcodes,
    .queue_count = vfio_queue_count,
};

struct vdev *vfio_new(const struct vdev_options *o)
{
    struct function *f = bench_alloc(sizeof(*f));
    struct found *w = choose(o);
    struct vdev *d = &f->v;

    w->taken = true;
    d->ops = &back_end;
    pthread_mutex_init(&d->lock, NULL);
    d->o = *o;
    d->o.tag = w->tag;
    d->o.request_queues = w->request_queues;
    d->o.queue_size = w->queue_size;
    d->dma = dma_new(false);
    f->rings.dma = d->dma;
    f->pci = w->pci;
    find_areas(f);
    forget(f); /* whatever the scenario before left */
    return d;
}
