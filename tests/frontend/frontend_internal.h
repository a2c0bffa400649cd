// SPDX-License-Identifier: BSD-3-Clause
/*
 * frontend_internal.h - what the files of the front end share
 *
 *   fe_memory.c   guest memory: regions, addresses, allocator
 *   fe_vhost.c    the socket: messages, handshake, connection
 *   fe_queue.c    queues: rings, eventfds, start and stop, raw access
 *   fe_request.c  requests on rings, waiting
 *   fe_state.c    from one daemon to another
 */
#ifndef VIOFS_TESTS_FRONTEND_INTERNAL_H
#define VIOFS_TESTS_FRONTEND_INTERNAL_H

#include <pthread.h>

#include "abi/vhost_user.h"
#include "tests/frontend/frontend.h"

#define FE_PAGE 4096u

/* Allocator: sizes are powers of two, 1 << 6 to 1 << 30. */
#define FE_MIN_SHIFT 6u
#define FE_MAX_SHIFT 30u

struct fe_region {
    bool live;
    int fd;
    uint8_t *map;
    size_t size;
    uint64_t gpa;
};

struct fe_queue {
    bool running;
    int kick_rd, kick_wr; /* the same descriptor for an eventfd */
    int call_rd, call_wr;
    struct ring_drv drv;
    struct ring_slot *slots;
    struct ring_desc *desc;
    struct ring_avail *avail;
    struct ring_used *used;
    unsigned layout;
    enum fe_wait wait;
    uint32_t base;      /* where fe_suspend() stopped it */
    bool armed;         /* an interrupt was asked for... */
    uint16_t armed_at;  /* ...when this much was taken */
    uint16_t raw_avail; /* fe_raw_*(): next avail->idx */
    uint16_t raw_used;  /* fe_raw_*(): next used entry to look at */
    struct fe_queue_counts counts;
};

struct fe {
    struct fe_options o;
    int sock;
    int backend_req; /* our end of the back-end channel, -1: none */
    uint64_t virtio_offered, virtio;
    uint64_t proto_offered, proto;
    uint64_t max_queues;
    uint64_t max_slots;
    struct fe_region region[FE_MAX_REGIONS];
    struct fe_queue queue[FE_MAX_QUEUES];
    bool logging;
    int log_fd;
    uint8_t *log;
    size_t log_size;
    pthread_mutex_t alloc_lock; /* guards brk and free_list */
    size_t brk;
    void *free_list[FE_MAX_SHIFT + 1];
};

static inline bool fe_has_virtio(const struct fe *fe, unsigned bit)
{
    return fe->virtio >> bit & 1;
}
static inline bool fe_has_proto(const struct fe *fe, unsigned bit)
{
    return fe->proto >> bit & 1;
}

/** fe_memory_init(), fe_memory_release() - the first region; all regions */
int fe_memory_init(struct fe *fe);
void fe_memory_release(struct fe *fe);

/** fe_memory_top() - first guest address above all regions */
uint64_t fe_memory_top(const struct fe *fe);

/** fe_hang_up() - close the connection, leave the queues; fe_dial() - connect, nothing else. 0 or -errno. */
void fe_hang_up(struct fe *fe);
int fe_dial(struct fe *fe, const char *socket_path);

/** fe_send_regions() - ADD_MEM_REG for every region */
int fe_send_regions(struct fe *fe);

/** fe_queue_init(), fe_queue_release() - bookkeeping only, nothing is sent */
void fe_queue_init(struct fe *fe, unsigned q);
void fe_queue_release(struct fe *fe, unsigned q);

/** fe_queue_drop() - take back what is in flight: it will never be answered */
void fe_queue_drop(struct fe *fe, unsigned q);

/** fe_queue_sleep() - until called, hung up or late. Return: 0, -ETIMEDOUT, -ECONNRESET. */
int fe_queue_sleep(struct fe *fe, unsigned q, int timeout_ms);

/** fe_send_vring_addr() - SET_VRING_ADDR, with the log flag while logging */
int fe_send_vring_addr(struct fe *fe, unsigned q);

/** fe_now_ms() - monotonic milliseconds */
int64_t fe_now_ms(void);

#endif
