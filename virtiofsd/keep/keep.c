// SPDX-License-Identifier: BSD-3-Clause
/*
 * keep.c - what outlives the process that serves: the worker's side
 *
 * Theory of operation
 *
 *   The supervisor has made the regions' memory, empty, and hands it to each worker at its start, before the sandbox
 *   closes. keep_map() gives it its size, once and for all, and maps it. Kept descriptors come when it is this
 *   worker's turn: the one before it has ended then, and all that it put has been received.
 *
 *   What a guest decides about is kept without a message (hold.c), where that can be done. For the rest it is known here
 *   which keys are kept, as one bit each, so that a drop of what is not there sends nothing and the supervisor's bound is
 *   met without asking it.
 *
 *   A thread listens to the supervisor: an order to leave, or its end. It also looks until the first
 *   request has been completed, and says so: a worker that never gets that far is not started for ever. And it sees
 *   the end of the parent, if that holds descriptors for this process.
 *
 *   When the supervisor has ended the worker goes on, unprotected, until its front end leaves.
 *
 * Ownership: the process' shares' struct keep belong to struct keep_worker. Locks: keep_worker.lock guards the
 * keys of what was sent and the order of messages.
 *
 * syscalls: write mmap munmap memfd_create fstat newfstatat ftruncate fcntl close poll ppoll futex
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "host/thread.h"
#include "keep/keep_int.h"

#define PROGRESS_MS  5 /* at first; an idle guest's worker looks less and less often */
#define PROGRESS_MAX 500
#define INDEX_MAX    KEEP_INDEX_MAX
#define DEVICE_PART  32 /* of a share's part: what a device usually has */
#define REGION_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/** keep_share_id() - see keep.h. FNV-1a: names that differ by mistake, not by design, are to be told apart. */
uint64_t keep_share_id(const char *name)
{
    uint64_t h = name ? UINT64_C(0xcbf29ce484222325) : 0;

    for (; name && *name; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return h;
}

/* ---- start --------------------------------------------------------------------------------- */

static int take_region(struct keep_worker *w, const struct channel_msg *m, int fd)
{
    if (m->kind >= KEEP_REGIONS || fd < 0)
        return -EPROTO;
    if (m->share >= w->n_shares)
        return -EXDEV;
    if (w->share[m->share].region[m->kind] >= 0)
        return -EPROTO;
    if (w->share[m->share].id != m->value)
        return -EXDEV;
    w->share[m->share].region[m->kind] = fd;
    return 0;
}

static bool has_all_regions(const struct keep_worker *w)
{
    for (unsigned i = 0; i < w->n_shares; i++) {
        for (unsigned r = 0; r < KEEP_REGIONS; r++) {
            if (w->share[i].region[r] < 0)
                return false;
        }
    }
    return true;
}

/* Until CHANNEL_STARTED. Return: 0 or -errno. */
static int receive_start(struct keep_worker *w)
{
    struct channel_msg m;
    bool hello = false;
    int fd, err;

    while ((err = channel_recv(w->fd, &m, &fd)) > 0) {
        if (m.op == CHANNEL_HELLO && m.index == CHANNEL_VERSION) {
            hello = true;
            w->max_kept = m.value;
            w->takes_back = m.kind & CHANNEL_TAKES_BACK;
        } else if (m.op == CHANNEL_STARTED && hello) {
            w->resumes = m.value != 0;
            return has_all_regions(w) ? 0 : -EXDEV;
        } else if (m.op != CHANNEL_REGION || (err = take_region(w, &m, fd)) < 0) {
            if (fd >= 0)
                close(fd);
            return err < 0 ? err : -EPROTO;
        }
    }
    return err == 0 ? -EPIPE : err;
}

/** keep_worker_new() - see keep.h */
int keep_worker_new(struct keep_worker **out, int fd, unsigned n_shares, const uint64_t *ids)
{
    struct keep_worker *w = calloc(1, sizeof(*w) + n_shares * sizeof(w->share[0]));

    if (!w)
        return -ENOMEM;
    w->fd = fd;
    w->n_shares = n_shares;
    w->parent_fd = -1;
    w->wake_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->hold_lock, NULL);
    for (unsigned i = 0; i < n_shares; i++) {
        w->share[i].worker = w;
        w->share[i].share = (uint16_t)i;
        w->share[i].id = ids[i];
        for (unsigned r = 0; r < KEEP_REGIONS; r++)
            w->share[i].region[r] = -1;
    }
    int err = w->wake_fd < 0 ? -errno : receive_start(w);
    if (err == -EXDEV)
        log_error("the configuration file has other shares than when virtiofsd was started, or has "
                  "them in "
                  "another order: that takes a restart, a reload is not enough");
    if (err < 0) {
        if (w->wake_fd >= 0)
            close(w->wake_fd);
        free(w);
        return err;
    }
    *out = w;
    return 0;
}

/** keep_of_share() - see keep.h */
struct keep *keep_of_share(struct keep_worker *w, unsigned share)
{
    return w && share < w->n_shares ? &w->share[share] : NULL;
}

/** keep_worker_descriptor() - see keep.h */
int keep_worker_descriptor(void)
{
    const char *text = getenv(CHANNEL_ENV);
    int type = 0;
    socklen_t len = sizeof(type);

    if (!text)
        return -1;
    char *end;
    long fd = strtol(text, &end, 10);
    bool number = end != text && *end == '\0' && fd > STDERR_FILENO && fd <= INDEX_MAX;
    unsetenv(CHANNEL_ENV);
    if (!number || getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
        type != SOCK_SEQPACKET || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int)fd;
}

/* ---- which keys are kept; under the lock --------------------------------------------------- */

static bool is_kept(const struct keep *k, enum keep_kind kind, uint32_t index)
{
    return index < k->kept_bits[kind] && (k->kept[kind][index / 8] >> (index % 8)) & 1;
}

/* Return: 0 or -ENOMEM. */
static int set_kept(struct keep *k, enum keep_kind kind, uint32_t index)
{
    if (index >= k->kept_bits[kind]) {
        uint32_t had = k->kept_bits[kind], bits = had ? had : 512;
        while (bits <= index)
            bits *= 2;
        uint8_t *more = realloc(k->kept[kind], bits / 8);
        if (!more)
            return -ENOMEM;
        memset(more + had / 8, 0, (bits - had) / 8);
        k->kept[kind] = more;
        k->kept_bits[kind] = bits;
    }
    if (!is_kept(k, kind, index)) {
        k->worker->n_kept++;
        k->n_kept += keep_is_guests(kind);
    }
    k->kept[kind][index / 8] |= (uint8_t)(1u << (index % 8));
    return 0;
}

static void unset_kept(struct keep *k, enum keep_kind kind, uint32_t index)
{
    k->kept[kind][index / 8] &= (uint8_t) ~(1u << (index % 8));
    k->worker->n_kept--;
    k->n_kept -= keep_is_guests(kind);
}

/** keep_is_full() - see keep_int.h. Each share may have its part, beside what its device takes. */
bool keep_is_full(const struct keep *k, enum keep_kind kind)
{
    const struct keep_worker *w = k->worker;
    uint64_t part = w->max_kept / w->n_shares;

    part = part > 2 * DEVICE_PART ? part - DEVICE_PART : part / 2;
    return w->n_kept >= w->max_kept || (keep_is_guests(kind) && k->n_kept >= part);
}

/* ---- its turn ------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    const struct given *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int take_given(struct keep_worker *w, const struct channel_msg *m, int fd)
{
    if (m->share >= w->n_shares || m->kind == 0 || m->kind >= KEEP_KINDS || fd < 0 ||
        m->index > INDEX_MAX)
        return -EPROTO;
    struct keep *k = &w->share[m->share];
    if (k->n_given == k->room) {
        size_t room = k->room ? 2 * k->room : 64;
        struct given *more = realloc(k->given, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        k->given = more;
        k->room = room;
    }
    const struct given g = {.kind = m->kind, .index = m->index, .fd = fd};
    int err = keep_is_held(w, m->kind) ? hold_given(k, &g) : set_kept(k, m->kind, m->index);
    if (err == 0)
        k->given[k->n_given++] = g;
    return err;
}

/* Until something comes. Return: 0; -EPIPE: the parent has ended. */
static int await_message(const struct keep_worker *w)
{
    struct pollfd p[] = {{.fd = w->fd, .events = POLLIN}, {.fd = w->parent_fd, .events = POLLIN}};

    while (poll(p, 2, -1) < 0 && errno == EINTR)
        continue;
    return p[1].revents ? -EPIPE : 0;
}

/* Until CHANNEL_GO. Return: 0 or -errno. */
static int receive_given(struct keep_worker *w)
{
    struct channel_msg m;
    int fd, err = await_message(w);

    if (err < 0)
        return err;
    while ((err = channel_recv(w->fd, &m, &fd)) > 0) {
        if (m.op == CHANNEL_GO) {
            w->lasted = m.kind & CHANNEL_LASTED;
            return 0;
        }
        if (m.op != CHANNEL_FD || (err = take_given(w, &m, fd)) < 0) {
            if (fd >= 0)
                close(fd);
            return err < 0 ? err : -EPROTO;
        }
    }
    return err == 0 ? -EPIPE : err;
}

static void hear_orders(struct keep_worker *w)
{
    struct channel_msg m;
    int fd, r = channel_recv(w->fd, &m, &fd);

    if (r > 0 && m.op == CHANNEL_QUIESCE)
        w->events.quiesce(w->events.ctx);
    if (r > 0 && fd >= 0)
        close(fd);
    if (r == 0 && !atomic_load(&w->ending)) {
        pthread_mutex_lock(&w->lock);
        w->lost = true;
        pthread_mutex_unlock(&w->lock);
        log_error(
            "the supervisor has ended: the share is served on until the guest leaves, and a crash "
            "would not be survived");
        w->events.lost(w->events.ctx);
    }
}

static void tell(struct keep_worker *w, enum channel_op op)
{
    struct channel_msg m = {.op = (uint8_t)op};

    pthread_mutex_lock(&w->lock);
    if (!w->lost)
        channel_send(w->fd, &m, -1, SEND_MS); /* one that has gone is noticed by the thread */
    pthread_mutex_unlock(&w->lock);
}

/* Until there is something to do. Return: has the supervisor said something? */
static bool wait_for_orders(struct keep_worker *w, int ms)
{
    struct pollfd p[] = {{.fd = w->wake_fd, .events = POLLIN},
                         {.fd = w->parent_fd, .events = POLLIN},
                         {.fd = w->lost ? -1 : w->fd, .events = POLLIN}};
    int n = poll(p, 3, ms);

    if (n > 0 && p[1].revents && !atomic_load(&w->ending))
        hold_orphaned(w);
    return n > 0 && p[2].revents && !p[0].revents;
}

static void *listen_to_supervisor(void *arg)
{
    struct keep_worker *w = arg;
    bool alive = false;
    int look_ms = PROGRESS_MS;

    thread_name("keep");
    while (!atomic_load(&w->ending)) {
        if (wait_for_orders(w, alive || w->lost ? -1 : look_ms))
            hear_orders(w);
        if (!alive && !atomic_load(&w->ending) && w->events.progress(w->events.ctx)) {
            alive = true;
            tell(w, CHANNEL_ALIVE);
        }
        look_ms += look_ms < PROGRESS_MAX ? 1 + look_ms / 16 : 0;
    }
    return NULL;
}

/** keep_await_turn() - see keep.h */
int keep_await_turn(struct keep_worker *w)
{
    const struct channel_msg ready = {.op = CHANNEL_READY}, held = {.op = CHANNEL_HELD};
    int err = channel_send(w->fd, &ready, -1, SEND_MS);

    if (err == 0)
        err = receive_given(w);
    if (err == 0 && w->holds)
        err = channel_send(w->fd, &held, -1, SEND_MS);
    for (unsigned i = 0; err == 0 && i < w->n_shares; i++) {
        struct keep *k = &w->share[i];
        if (k->n_given > 0)
            qsort(k->given, k->n_given, sizeof(*k->given), by_key);
    }
    return err;
}

/** keep_listen() - see keep.h */
int keep_listen(struct keep_worker *w, const struct keep_events *events)
{
    w->events = *events;
    int err = thread_start(&w->thread, listen_to_supervisor, w);
    w->listening = err == 0;
    return err;
}

/** keep_settle() - see keep.h */
void keep_settle(struct keep *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->n_given; i++) {
        const struct given *g = &k->given[i];
        if (g->fd >= 0 && keep_is_held(k->worker, g->kind))
            hold_not_taken(k, g);
        else if (g->fd >= 0)
            close(g->fd);
    }
    free(k->given);
    k->given = NULL;
    k->n_given = k->room = 0;
    for (unsigned r = 0; r < KEEP_REGIONS; r++) {
        if (k->region[r] >= 0)
            close(k->region[r]);
        k->region[r] = -1;
    }
}

/** keep_bye() - see keep.h */
void keep_bye(struct keep_worker *w)
{
    if (!w)
        return;
    tell(w, CHANNEL_BYE);
    if (w->held)
        held_end(w->held);
    if (!w->listening)
        return;
    atomic_store(&w->ending, true);
    eventfd_write(w->wake_fd, 1);
    pthread_join(w->thread, NULL);
    w->listening = false;
}

/* ---- memory -------------------------------------------------------------------------------- */

static size_t whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

/* Give an empty region its size. Return: 0; -EPROTO when it has another; -errno. */
static int size_region(int fd, size_t bytes)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size == 0 && ftruncate(fd, (off_t)bytes) < 0)
        return -errno;
    if (st.st_size == 0)
        return fcntl(fd, F_ADD_SEALS, REGION_SEALS) < 0 ? -errno : 0;
    return (size_t)st.st_size == bytes ? 0 : -EPROTO;
}

static void *map_file(int fd, size_t whole)
{
    return mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
}

/*
 * Address space, most of which is never touched. A host that counts all of it at once (vm.overcommit_memory=2) counts a
 * file's pages when they come.
 */
static void *map_own(size_t whole)
{
    void *own = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (own != MAP_FAILED || errno != ENOMEM)
        return own;
    cleanup_close int fd = memfd_create("virtiofsd", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)whole) < 0)
        return MAP_FAILED;
    return map_file(fd, whole);
}

/** keep_map() - see keep.h */
void *keep_map(struct keep *k, enum keep_region region, size_t bytes, uint32_t version)
{
    size_t whole = whole_pages(bytes);
    int fd = k ? k->region[region] : -1;
    int err = fd >= 0 ? size_region(fd, whole) : 0;

    if (err < 0) {
        errno = -err;
        return NULL;
    }
    struct keep_head *head = fd >= 0 ? map_file(fd, whole) : map_own(whole);
    if (head == MAP_FAILED)
        return NULL;
    if (__atomic_load_n(&head->magic, __ATOMIC_ACQUIRE) == 0) {
        /* New, or its maker ended right here. */
        head->version = version;
        head->bytes = whole;
        __atomic_store_n(&head->magic, KEEP_MAGIC, __ATOMIC_RELEASE);
    } else if (head->magic != KEEP_MAGIC || head->version != version || head->bytes != whole) {
        munmap(head, whole);
        errno = EPROTO;
        return NULL;
    }
    return head;
}

/** keep_unmap() - see keep.h */
void keep_unmap(struct keep *k, void *region)
{
    (void)k;
    if (region)
        munmap(region, (size_t)((struct keep_head *)region)->bytes);
}

/* ---- descriptors --------------------------------------------------------------------------- */

/** keep_resumes() - see keep.h */
bool keep_resumes(const struct keep *k)
{
    return k && k->worker->resumes;
}

/** keep_lasted() - see keep.h */
bool keep_lasted(const struct keep *k)
{
    return k && k->worker->lasted;
}

/** keep_is_supervised() - see keep.h */
bool keep_is_supervised(const struct keep *k)
{
    return k != NULL;
}

/* By a message, which has a copy. Return: 0 or -errno. */
static int send_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd)
{
    struct keep_worker *w = k->worker;
    struct channel_msg m = {
        .op = CHANNEL_PUT, .kind = (uint8_t)kind, .share = k->share, .index = index};
    int err = 0;

    pthread_mutex_lock(&w->lock);
    if (w->lost)
        goto out;
    bool first = !is_kept(k, kind, index);
    if (first && keep_is_full(k, kind))
        err = -ENFILE;
    if (err == 0)
        err = set_kept(k, kind, index);
    if (err < 0)
        goto out;
    err = channel_send(w->fd, &m, fd, SEND_MS);
    if (err < 0 && first)
        unset_kept(k, kind, index);
    if (err == -EPIPE)
        err = 0; /* the thread says so */
out:
    pthread_mutex_unlock(&w->lock);
    return err;
}

static void send_drop(struct keep *k, enum keep_kind kind, uint32_t index)
{
    struct keep_worker *w = k->worker;
    struct channel_msg m = {
        .op = CHANNEL_DROP, .kind = (uint8_t)kind, .share = k->share, .index = index};

    pthread_mutex_lock(&w->lock);
    if (!w->lost && is_kept(k, kind, index)) {
        int err = channel_send(w->fd, &m, -1, SEND_MS);
        if (err < 0 && err != -EPIPE)
            log_warn_limited("the supervisor keeps a descriptor too long: %s", strerror(-err));
        unset_kept(k, kind, index);
    }
    pthread_mutex_unlock(&w->lock);
}

/** keep_put() - see keep.h */
int keep_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd)
{
    if (!k)
        return 0;
    if (index > INDEX_MAX)
        return -ENFILE;
    if (keep_is_held(k->worker, kind))
        return hold_put(k, kind, index, fd, false);
    return send_put(k, kind, index, fd);
}

/** keep_give() - see keep.h */
int keep_give(struct keep *k, enum keep_kind kind, uint32_t index, int fd)
{
    if (k && index <= INDEX_MAX && keep_is_held(k->worker, kind))
        return hold_put(k, kind, index, fd, true);
    int err = keep_put(k, kind, index, fd);
    close(fd);
    return err;
}

/** keep_close() - see keep.h */
void keep_close(struct keep *k, int fd)
{
    if (k && k->worker->holds)
        hold_close(k, fd);
    else
        close(fd);
}

/** keep_drop() - see keep.h */
void keep_drop(struct keep *k, enum keep_kind kind, uint32_t index)
{
    if (k && keep_is_held(k->worker, kind))
        hold_drop(k, kind, index);
    else if (k)
        send_drop(k, kind, index);
}

/** keep_take() - see keep.h */
int keep_take(struct keep *k, enum keep_kind kind, uint32_t index)
{
    struct given key = {.kind = (uint8_t)kind, .index = index};

    if (!k || k->n_given == 0)
        return -1;
    struct given *g = bsearch(&key, k->given, k->n_given, sizeof(*g), by_key);
    if (!g)
        return -1;
    int fd = g->fd;
    g->fd = -1;
    return fd;
}
