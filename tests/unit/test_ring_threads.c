// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_ring_threads.c - both ends at once, each asleep whenever it may
 *
 * The driver and the device run on their own threads and wake each other through eventfds, only when
 * publish says so. A lost wake-up stops the test (alarm); a missing barrier is for ThreadSanitizer to
 * see, under which the suite "stress" runs. A third thread gives chains back, as the daemon's pool does, under the
 * used side's lock.
 */
#include "ring_rig.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define REQUESTS 60000u
#define DEPTH    16u
#define LATER    7u /* every seventh chain takes the long way */

struct stage {
    struct rig *g;
    int kick, call, later;
    pthread_mutex_t used; /* the used side of g->dev */
    pthread_mutex_t hand; /* later_* */
    uint16_t later_head[DEPTH];
    uint32_t later_len[DEPTH];
    unsigned n_later;
    bool done;
    unsigned kicks, calls;
};

static void ring_bell(int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) != sizeof(one))
        abort();
}

static void await_bell(int fd)
{
    uint64_t n;

    if (read(fd, &n, sizeof(n)) != sizeof(n))
        abort();
}

static void give_back(struct stage *s, uint16_t head, uint32_t len)
{
    pthread_mutex_lock(&s->used);
    ring_dev_push(&s->g->dev, head, len);
    if (ring_dev_publish(&s->g->dev)) {
        s->calls++;
        ring_bell(s->call);
    }
    pthread_mutex_unlock(&s->used);
}

static void *helper(void *arg)
{
    struct stage *s = arg;

    for (;;) {
        await_bell(s->later);
        pthread_mutex_lock(&s->hand);
        bool done = s->done;
        while (s->n_later > 0) {
            unsigned i = --s->n_later;
            give_back(s, s->later_head[i], s->later_len[i]);
        }
        pthread_mutex_unlock(&s->hand);
        if (done)
            return NULL;
    }
}

/* Echo: the writable segment receives the readable one's number plus one. */
static void serve(struct stage *s, struct ring_chain *c)
{
    uint32_t number = *(uint32_t *)c->seg[0].base;

    *(uint32_t *)c->seg[1].base = number + 1;
    if (number % LATER != 0) {
        give_back(s, c->head, 4);
        return;
    }
    pthread_mutex_lock(&s->hand);
    s->later_head[s->n_later] = c->head;
    s->later_len[s->n_later++] = 4;
    pthread_mutex_unlock(&s->hand);
    ring_bell(s->later);
}

static void *device(void *arg)
{
    struct stage *s = arg;
    unsigned served = 0;

    while (served < REQUESTS) {
        ring_dev_no_kicks(&s->g->dev);
        for (int got; (got = ring_dev_pop(&s->g->dev, &s->g->chain)) != 0; served++) {
            if (got != 1)
                abort();
            serve(s, &s->g->chain);
        }
        if (served < REQUESTS && !ring_dev_want_kick(&s->g->dev))
            await_bell(s->kick);
    }
    pthread_mutex_lock(&s->hand);
    s->done = true;
    pthread_mutex_unlock(&s->hand);
    ring_bell(s->later);
    return NULL;
}

struct shot {
    uint32_t number;
    bool busy;
};

static void drive(struct stage *s, bool indirect)
{
    struct shot shot[DEPTH] = {0};
    unsigned sent = 0, back = 0;

    while (back < REQUESTS) {
        ring_drv_no_interrupts(&s->g->drv);
        for (unsigned i = 0; i < DEPTH && sent < REQUESTS; i++) {
            uint64_t bus = RIG_DATA + i * 128;
            struct ring_bus_seg seg[2] = {{bus, 4}, {bus + 64, 4}};
            uint32_t off = i * 2;
            if (shot[i].busy)
                continue;
            shot[i] = (struct shot){.number = sent++, .busy = true};
            *(uint32_t *)(void *)rig_at(s->g, bus) = shot[i].number;
            assert_int_equal(
                ring_drv_add(&s->g->drv, seg, 1, 1, indirect ? rig_table(s->g) + off : NULL,
                             rig_table_bus() + off * sizeof(struct ring_desc), &shot[i]),
                0);
        }
        if (ring_drv_publish(&s->g->drv)) {
            s->kicks++;
            ring_bell(s->kick);
        }
        void *token;
        uint32_t len;
        int got;
        while ((got = ring_drv_get(&s->g->drv, &token, &len)) == 1) {
            struct shot *t = token;
            uint64_t bus = RIG_DATA + (uint64_t)(t - shot) * 128;
            assert_int_equal(*(uint32_t *)(void *)rig_at(s->g, bus + 64), t->number + 1);
            t->busy = false;
            back++;
        }
        assert_int_equal(got, 0);
        if (back < REQUESTS && back + DEPTH > sent && !ring_drv_want_interrupt(&s->g->drv) &&
            sent - back == DEPTH)
            await_bell(s->call);
    }
}

static void run(uint64_t features)
{
    struct stage s = {
        .g = rig_new(2 * DEPTH, features),
        .kick = eventfd(0, 0),
        .call = eventfd(0, 0),
        .later = eventfd(0, 0),
    };
    pthread_t dev, help;

    alarm(100);
    pthread_mutex_init(&s.used, NULL);
    pthread_mutex_init(&s.hand, NULL);
    assert_int_equal(pthread_create(&help, NULL, helper, &s), 0);
    assert_int_equal(pthread_create(&dev, NULL, device, &s), 0);
    drive(&s, features & RIG_INDIRECT);
    pthread_join(dev, NULL);
    pthread_join(help, NULL);
    print_message("%u requests, %u kicks, %u signals\n", REQUESTS, s.kicks, s.calls);
    assert_true(s.kicks >= 1 && s.kicks <= REQUESTS);
    close(s.kick);
    close(s.call);
    close(s.later);
    rig_free(s.g);
    alarm(0);
}

static void test_no_wakeup_is_lost_with_flags(void **state)
{
    (void)state;
    run(0);
}

static void test_no_wakeup_is_lost_with_event_idx(void **state)
{
    (void)state;
    run(RIG_EVENT_IDX);
}

static void test_no_wakeup_is_lost_with_event_idx_and_indirect_tables(void **state)
{
    (void)state;
    run(RIG_EVENT_IDX | RIG_INDIRECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_wakeup_is_lost_with_flags),
        cmocka_unit_test(test_no_wakeup_is_lost_with_event_idx),
        cmocka_unit_test(test_no_wakeup_is_lost_with_event_idx_and_indirect_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
