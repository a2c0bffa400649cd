// SPDX-License-Identifier: BSD-3-Clause
/*
 * ring_proxy.c - the data path of the device: from the driver's rings to the daemon's and back
 *
 * Theory of operation
 *
 *   The rings that the driver laid out are taken over by the device side of lib/ring, as a daemon
 *   takes them. Each chain is checked first: every byte that it names must be mapped for DMA, in the right
 *   direction, for as long as the device holds it. Then it goes to a real virtiofsd, by its physical
 *   addresses, over a second set of rings (tests/frontend) in the same shared memory, so the daemon reads
 *   and writes the driver's own pages. Completions come back the same way.
 *
 *   Standing between the two makes every misuse of memory visible at the chain that made it, and lets
 *   a scenario hold chains back or return them wrongly (enum vdev_fault).
 *
 *   One thread a device does all of it. It sleeps on the driver's kick, the daemon's calls and its own
 *   orders; it delivers interrupts itself, with no lock held.
 *
 * Ownership: struct vdev owns its proxy; the proxy owns chains from pop to push. Locks: p->lock guards all
 * but the wake-up descriptor; taken after the device's lock (kick) or without it (stop), never while
 * an interrupt is delivered.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/frontend/frontend_internal.h"
#include "tests/nt-bench/chain.h"

#define MAX_QUEUES     34u
#define MAX_SEGS       (2 * RING_MAX_SEGS)
#define DAEMON_RING    1024u
#define OPCODE_LOG     8192u
#define MACHINE_REGION 1 /* of the front end; its own memory is region 0 */

#define ALL_FEATURES                                                                               \
    (1ull << RING_F_VERSION_1 | 1ull << RING_F_INDIRECT_DESC | 1ull << RING_F_EVENT_IDX)

/* One chain that the device has. On the held list, or with the daemon. */
struct chain {
    struct chain *prev, *next;
    uint32_t queue;
    uint16_t head;
    bool held, with_daemon;
    struct fuse_in_header header;
    struct ring_desc *table; /* with the daemon */
    uint32_t table_entries;
    struct chain_list segs;
};

struct queue {
    bool live, kicked;
    struct ring_dev ring;
    struct proxy_queue at;
    uint64_t taken;
};

struct proxy {
    pthread_mutex_t lock;
    pthread_cond_t replaced;
    struct vdev *vdev;
    struct dma *dma;
    struct fe *fe; /* NULL: no daemon */
    uint32_t n_queues;
    uint64_t offered;
    struct queue queue[MAX_QUEUES];
    struct chain all; /* list head, oldest first */
    uint32_t n_chains;
    enum vdev_fault fault;
    int wake;
    bool quit, daemon_lost, replace;
    pthread_t thread;
    uint32_t opcode[OPCODE_LOG];
    uint32_t n_opcodes;
    struct ring_chain popped;
};

static void wake(struct proxy *p)
{
    uint64_t one = 1;

    if (write(p->wake, &one, sizeof(one)) < 0)
        ver_stop("bench", "cannot wake the device");
}

/* ---- connecting to the daemon ---------------------------------------------------------------- */

/* The machine's memory becomes a second region, at its own physical addresses. */
static void adopt_memory(struct fe *fe)
{
    struct fe_region *r = &fe->region[MACHINE_REGION];

    *r = (struct fe_region){.live = true, .size = mem_phys_size(), .gpa = MEM_PHYS_BASE};
    r->fd = dup(mem_fd());
    r->map = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd(), 0);
    if (r->fd < 0 || r->map == MAP_FAILED)
        ver_stop("bench", "cannot map the machine's memory");
}

static void connect_daemon(struct proxy *p)
{
    struct fe_options o = {.queues = p->n_queues,
                           .queue_size = DAEMON_RING,
                           .memory = (size_t)32 << 20,
                           .timeout_ms = 5000};
    int err = fe_new(&p->fe, &o);

    if (err == 0) {
        adopt_memory(p->fe);
        err = fe_start(p->fe, share_socket());
    }
    if (err < 0)
        ver_stop("bench", "cannot reach the daemon: %s", strerror(-err));
    p->offered = fe_virtio(p->fe) & ALL_FEATURES;
}

static void *proxy_main(void *arg);

struct proxy *proxy_new(struct vdev *d)
{
    const struct vdev_options *o = vdev_options(d);
    struct proxy *p = calloc(1, sizeof(*p));

    if (!p)
        ver_stop("bench", "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->replaced, NULL);
    p->vdev = d;
    p->dma = vdev_dma(d);
    p->n_queues = o->request_queues + 1;
    p->offered = ALL_FEATURES;
    p->all.prev = p->all.next = &p->all;
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!o->no_daemon)
        connect_daemon(p);
    if (p->wake < 0 || pthread_create(&p->thread, NULL, proxy_main, p) != 0)
        ver_stop("bench", "no thread for the device");
    return p;
}

uint64_t proxy_features(struct proxy *p)
{
    return p->offered;
}

/* ---- chains ---------------------------------------------------------------------------------- */

static void forget_chain(struct proxy *p, struct chain *c)
{
    chain_pin(p->dma, &c->segs, -1);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    p->n_chains--;
    if (c->table)
        fe_free_mem(p->fe, c->table, c->table_entries * sizeof(*c->table));
    free(c->segs.seg);
    free(c);
}

/* The chain that the driver has made available next; complains when the device may not touch it. */
static struct chain *look_at_next(struct proxy *p, uint32_t qi)
{
    struct queue *q = &p->queue[qi];
    struct chain *c = calloc(1, sizeof(*c));

    if (!c || !(c->segs.seg = calloc(MAX_SEGS, sizeof(*c->segs.seg))))
        ver_stop("bench", "out of memory");
    c->segs.room = MAX_SEGS;
    c->queue = qi;
    c->head = q->ring.avail->ring[q->ring.last_avail & (q->ring.size - 1)];
    if (c->head < q->ring.size &&
        chain_walk(p->dma, &c->segs, q->ring.desc, q->ring.size, c->head)) {
        chain_copy(p->dma, &c->segs, false, 0, &c->header, sizeof(c->header));
        return c;
    }
    free(c->segs.seg);
    free(c);
    return NULL;
}

/* ---- with the daemon ------------------------------------------------------------------------- */

/* As the daemon sees them: physically contiguous runs. Return: entries, 0 when there are too many. */
static uint32_t describe(struct proxy *p, const struct chain *c, struct ring_bus_seg *to,
                         uint32_t room, uint32_t *n_out)
{
    uint32_t n = 0;

    *n_out = 0;
    for (uint32_t i = 0; i < c->segs.n; i++) {
        for (uint64_t at = 0, run; at < c->segs.seg[i].len; at += run) {
            uint8_t *host;

            run = c->segs.seg[i].len - at;
            host = dma_translate(p->dma, c->segs.seg[i].bus + at, &run);
            if (!host || n == room)
                return 0;
            to[n++] = (struct ring_bus_seg){
                MEM_PHYS_BASE + (uint64_t)(host - mem_linear(MEM_PHYS_BASE, NULL)), (uint32_t)run};
        }
        if (!c->segs.seg[i].write)
            *n_out = n;
    }
    return n;
}

static void forward(struct proxy *p, struct chain *c)
{
    struct ring_bus_seg segs[RING_MAX_SEGS];
    uint32_t n_out, n = describe(p, c, segs, RING_MAX_SEGS, &n_out);
    struct ring_drv *ring = fe_ring(p->fe, c->queue);
    bool indirect = fe_virtio(p->fe) >> RING_F_INDIRECT_DESC & 1;
    int err;

    if (indirect && n) {
        c->table_entries = n;
        c->table = fe_alloc(p->fe, n * sizeof(*c->table));
    }
    err = n == 0 || (indirect && !c->table)
              ? -ENOMEM
              : ring_drv_add(ring, segs, n_out, n - n_out, c->table,
                             c->table ? fe_gpa(p->fe, c->table) : 0, c);
    if (err < 0)
        ver_stop("bench", "chain of %u segments cannot be handed to the daemon: %d", n, err);
    c->with_daemon = true;
    if (ring_drv_publish(ring))
        (void)fe_kick(p->fe, c->queue);
}

/* A device without a daemon: agrees to FUSE_INIT and knows nothing else. */
static uint32_t answer(struct proxy *p, const struct chain *c)
{
    struct {
        struct fuse_out_header h;
        struct fuse_init_out init;
    } r = {.h = {.len = sizeof(r.h), .unique = c->header.unique}};

    if (c->segs.in_len < sizeof(r.h))
        return 0;
    if (c->header.opcode == FUSE_INIT && c->segs.in_len >= sizeof(r)) {
        r.h.len = sizeof(r);
        r.init.major = FUSE_KERNEL_VERSION;
        r.init.minor = FUSE_KERNEL_MINOR_VERSION;
        r.init.max_write = 1 << 20;
        r.init.max_pages = 256;
    } else {
        r.h.error = -ENOSYS;
    }
    chain_copy(p->dma, &c->segs, true, 0, &r, r.h.len);
    return r.h.len;
}

/* ---- returning chains ------------------------------------------------------------------------ */

static void spoil_reply(struct proxy *p, const struct chain *c)
{
    struct fuse_out_header h;

    if (c->segs.in_len < sizeof(h))
        return;
    memset(&h, 0, sizeof(h));
    h.len = p->fault == FAULT_REPLY_LEN ? 0x7fffffff : (uint32_t)sizeof(h);
    h.unique = p->fault == FAULT_REPLY_UNIQUE ? c->header.unique + 1 : c->header.unique;
    h.error = p->fault == FAULT_REPLY_ERROR ? INT32_MIN : 0;
    chain_copy(p->dma, &c->segs, true, 0, &h, sizeof(h));
}

static uint16_t idle_head(const struct proxy *p, const struct queue *q, uint16_t head)
{
    for (uint16_t i = 0; i < q->ring.size; i++) {
        const struct chain *c = p->all.next;

        while (c != &p->all && c->head != i)
            c = c->next;
        if (c == &p->all && i != head)
            return i;
    }
    return 0;
}

static void give_back(struct proxy *p, struct chain *c, uint32_t used)
{
    struct queue *q = &p->queue[c->queue];
    uint16_t head = c->head;

    if (p->fault >= FAULT_REPLY_LEN && p->fault <= FAULT_REPLY_ERROR)
        spoil_reply(p, c);
    switch (p->fault) {
    case FAULT_USED_ID_RANGE:
        head = (uint16_t)(q->ring.size + 7);
        break;
    case FAULT_USED_ID_IDLE:
        head = idle_head(p, q, head);
        break;
    case FAULT_USED_LEN_LONG:
        used = (uint32_t)c->segs.in_len + 4096;
        break;
    case FAULT_USED_LEN_SHORT:
        used = 4;
        break;
    case FAULT_USED_LEN_ZERO:
        used = 0;
        break;
    default:
        break;
    }
    forget_chain(p, c);
    if (p->fault == FAULT_USED_ID_RANGE) {
        struct ring_used_elem *e = &q->ring.used->ring[q->ring.next_used & (q->ring.size - 1)];

        ring_dev_push(&q->ring, 0, used);
        e->id = head;
        return;
    }
    ring_dev_push(&q->ring, head, used);
    if (p->fault == FAULT_USED_TWICE)
        ring_dev_push(&q->ring, head, used);
}

static void serve(struct proxy *p, struct chain *c)
{
    c->held = false;
    if (p->fe && !p->daemon_lost)
        forward(p, c);
    else if (!p->fe)
        give_back(p, c, answer(p, c));
}

/* A chain that cannot be served goes back empty. Return: false when the queue is to stop. */
static bool refuse(struct proxy *p, uint32_t qi, int r)
{
    struct queue *q = &p->queue[qi];

    ver_complain("ring", "queue %u: the device cannot serve chain %u (%d)", qi, p->popped.head, r);
    if (r == -RING_EINVAL)
        q->live = false;
    else
        ring_dev_push(&q->ring, p->popped.head, 0);
    return q->live;
}

static void take_over(struct proxy *p, struct chain *c)
{
    p->queue[c->queue].taken++;
    p->opcode[p->n_opcodes++ % OPCODE_LOG] = c->header.opcode;
    __atomic_fetch_add(&ver_costs()->requests, 1, __ATOMIC_RELAXED);
    chain_pin(p->dma, &c->segs, 1);
    c->next = &p->all;
    c->prev = p->all.prev;
    c->prev->next = p->all.prev = c;
    p->n_chains++;
    c->held = p->fault == FAULT_HOLD;
    if (!c->held)
        serve(p, c);
}

static void take_chains(struct proxy *p, uint32_t qi)
{
    struct queue *q = &p->queue[qi];

    while (q->live &&
           __atomic_load_n(&q->ring.avail->idx, __ATOMIC_ACQUIRE) != q->ring.last_avail) {
        struct chain *c = look_at_next(p, qi);
        int r = ring_dev_pop(&q->ring, &p->popped);

        if (r == 1 && c) {
            take_over(p, c);
            continue;
        }
        if (c) {
            free(c->segs.seg);
            free(c);
        }
        if (!refuse(p, qi, r))
            return;
    }
}

static void take_replies(struct proxy *p, uint32_t qi)
{
    struct ring_drv *ring = fe_ring(p->fe, qi);
    void *token;
    uint32_t used;
    int r;

    do {
        while ((r = ring_drv_get(ring, &token, &used)) == 1)
            give_back(p, token, used);
        if (r < 0 && !p->daemon_lost)
            ver_complain("daemon", "queue %u: bad used element", qi);
    } while (r == 0 && ring_drv_want_interrupt(ring));
}

/* ---- the thread ------------------------------------------------------------------------------ */

static uint64_t work(struct proxy *p)
{
    uint64_t interrupts = 0;

    for (uint32_t i = 0; i < p->n_queues; i++) {
        struct queue *q = &p->queue[i];

        if (!q->live)
            continue;
        do {
            ring_dev_no_kicks(&q->ring);
            take_chains(p, i);
            if (p->fe && !p->daemon_lost)
                take_replies(p, i);
        } while (q->live && ring_dev_want_kick(&q->ring));
        if (p->fault == FAULT_USED_JUMP && q->ring.published != q->ring.next_used) {
            q->ring.used->idx = (uint16_t)(q->ring.next_used + q->ring.size + 5);
            interrupts |= 1ull << i;
        } else if (ring_dev_publish(&q->ring)) {
            interrupts |= 1ull << i;
        }
    }
    return interrupts;
}

static void wait_for_work(struct proxy *p)
{
    struct pollfd fd[MAX_QUEUES + 1] = {{.fd = p->wake, .events = POLLIN}};
    uint32_t n = 1;
    uint64_t ignored;

    for (uint32_t i = 0; p->fe && i < p->n_queues; i++)
        fd[n++] = (struct pollfd){.fd = fe_call_fd(p->fe, i), .events = POLLIN};
    poll(fd, n, -1);
    for (uint32_t i = 0; i < n; i++)
        if ((fd[i].revents & POLLIN) && read(fd[i].fd, &ignored, sizeof(ignored)) < 0 &&
            errno != EAGAIN)
            ver_stop("bench", "cannot read an event");
}

/* On the thread that waits for the daemon's calls. */
static void replace_daemon(struct proxy *p)
{
    for (struct chain *c = p->all.next; c != &p->all; c = c->next)
        if (c->with_daemon) {
            c->with_daemon = false; /* nobody serves it any more */
            c->table = NULL;
        }
    fe_free(p->fe);
    connect_daemon(p);
    p->daemon_lost = false;
    p->replace = false;
    pthread_cond_broadcast(&p->replaced);
}

static void *proxy_main(void *arg)
{
    struct proxy *p = arg;

    thr_self()->name = "device";
    for (;;) {
        uint64_t interrupts;

        wait_for_work(p);
        pthread_mutex_lock(&p->lock);
        if (p->replace)
            replace_daemon(p);
        if (p->quit) {
            pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        interrupts = work(p);
        pthread_mutex_unlock(&p->lock);
        for (uint32_t i = 0; i < p->n_queues; i++)
            if (interrupts >> i & 1)
                vdev_interrupt(p->vdev, i);
    }
}

/* ---- orders from the device ------------------------------------------------------------------ */

static void *ring_area(struct proxy *p, uint64_t bus, size_t size, const char *what)
{
    uint64_t len = size;
    void *host;

    if (!dma_check(p->dma, bus, size, DMA_BOTH, what))
        return NULL;
    host = dma_translate(p->dma, bus, &len);
    if (len < size) {
        ver_complain("ring", "%s is not contiguous", what);
        return NULL;
    }
    return host;
}

static void pin_rings(struct proxy *p, const struct queue *q, int delta)
{
    dma_pin(p->dma, q->at.desc, ring_desc_bytes(q->at.size), delta);
    dma_pin(p->dma, q->at.avail, ring_avail_bytes(q->at.size), delta);
    dma_pin(p->dma, q->at.used, ring_used_bytes(q->at.size), delta);
}

static bool start_queue(struct proxy *p, struct queue *q, const struct proxy_queue *at,
                        uint64_t features)
{
    void *desc = ring_area(p, at->desc, ring_desc_bytes(at->size), "descriptor table");
    void *avail = ring_area(p, at->avail, ring_avail_bytes(at->size), "available ring");
    void *used = ring_area(p, at->used, ring_used_bytes(at->size), "used ring");

    if (!desc || !avail || !used ||
        ring_dev_init(&q->ring, at->size, desc, avail, used, 0, features,
                      (ring_translate_fn *)dma_translate, p->dma) < 0)
        return false;
    q->at = *at;
    q->live = true;
    pin_rings(p, q, 1);
    return true;
}

bool proxy_start(struct proxy *p, const struct proxy_queue *at, uint32_t n, uint64_t features)
{
    bool ok = true;

    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < n; i++)
        if (at[i].enabled && !start_queue(p, &p->queue[i], &at[i], features)) {
            ver_complain("ring", "queue %u cannot be used", i);
            ok = false;
        }
    pthread_mutex_unlock(&p->lock);
    wake(p);
    return ok;
}

static void reset_daemon(struct proxy *p)
{
    if (!p->fe || p->daemon_lost)
        return;
    for (uint32_t i = 0; i < p->n_queues; i++)
        while (ring_drv_reclaim(fe_ring(p->fe, i)))
            ;
    if (fe_reset_device(p->fe) < 0) {
        p->daemon_lost = true;
        if (!share_daemon_killed())
            ver_complain("daemon", "does not reset");
    }
}

void proxy_stop(struct proxy *p)
{
    bool was_live = false;

    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->n_queues; i++)
        if (p->queue[i].at.enabled) {
            was_live = true;
            pin_rings(p, &p->queue[i], -1);
            p->queue[i].live = false;
            p->queue[i].at.enabled = false;
        }
    if (was_live)
        reset_daemon(p);
    while (p->all.next != &p->all)
        forget_chain(p, p->all.next);
    pthread_mutex_unlock(&p->lock);
}

void proxy_kick(struct proxy *p, uint32_t queue)
{
    (void)queue;
    wake(p);
}

void proxy_free(struct proxy *p)
{
    proxy_stop(p);
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_mutex_unlock(&p->lock);
    wake(p);
    pthread_join(p->thread, NULL);
    fe_free(p->fe);
    close(p->wake);
    pthread_cond_destroy(&p->replaced);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void proxy_replace_daemon(struct proxy *p)
{
    pthread_mutex_lock(&p->lock);
    p->replace = true;
    wake(p);
    while (p->replace)
        pthread_cond_wait(&p->replaced, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void proxy_fault(struct proxy *p, enum vdev_fault f)
{
    pthread_mutex_lock(&p->lock);
    p->fault = f;
    pthread_mutex_unlock(&p->lock);
}

void proxy_release(struct proxy *p, uint32_t n)
{
    struct chain *c, *next;

    pthread_mutex_lock(&p->lock);
    n = n ? n : UINT32_MAX;
    for (c = p->all.next; c != &p->all && n > 0; c = next) {
        next = c->next;
        if (c->held) {
            serve(p, c);
            n--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

uint32_t proxy_held(struct proxy *p)
{
    uint32_t n;

    pthread_mutex_lock(&p->lock);
    n = p->n_chains;
    pthread_mutex_unlock(&p->lock);
    return n;
}

uint32_t proxy_opcodes(struct proxy *p, uint32_t *opcodes, uint32_t room)
{
    uint32_t n;

    pthread_mutex_lock(&p->lock);
    n = p->n_opcodes;
    for (uint32_t i = 0; i < room && i < n && i < OPCODE_LOG; i++)
        opcodes[i] = p->opcode[(n - (n < room ? n : room) + i) % OPCODE_LOG];
    pthread_mutex_unlock(&p->lock);
    return n;
}

uint64_t proxy_count(struct proxy *p, uint32_t queue)
{
    uint64_t n;

    pthread_mutex_lock(&p->lock);
    n = p->queue[queue].taken;
    pthread_mutex_unlock(&p->lock);
    return n;
}
