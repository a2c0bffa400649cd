// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_message.c - framing of vhost-user messages
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/vhost_rig.h"
#include "virtiofsd/vhost/message.h"

struct wire {
    int ours, theirs, stop;
    int fds_before;
};

static int wire_open(void **state)
{
    static struct wire w;
    int pair[2];

    w.fds_before = count_fds();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    w.ours = pair[0];
    w.theirs = pair[1];
    w.stop = eventfd(0, EFD_CLOEXEC);
    *state = &w;
    return 0;
}

static int wire_close(void **state)
{
    struct wire *w = *state;

    close(w->ours);
    if (w->theirs >= 0)
        close(w->theirs);
    close(w->stop);
    return count_fds() == w->fds_before ? 0 : -1; /* nothing may stay open */
}

static void put(struct wire *w, const void *data, size_t len, unsigned n_fds)
{
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))] = {0};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > 0) {
        h.msg_control = control;
        h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &w->stop, sizeof(int));
    }
    assert_int_equal(sendmsg(w->theirs, &h, 0), len);
}

static void put_header(struct wire *w, uint32_t request, uint32_t flags, uint32_t size,
                       unsigned n_fds)
{
    struct vu_header h = {.request = request, .flags = flags, .size = size};

    put(w, &h, sizeof(h), n_fds);
}

static void end(struct wire *w)
{
    close(w->theirs);
    w->theirs = -1;
}

static void test_a_message_comes_with_payload_and_descriptors(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;
    uint64_t payload = 0x1234;

    put_header(w, VU_SET_FEATURES, VU_VERSION, sizeof(payload), 2);
    put(w, &payload, sizeof(payload), 0);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 1);
    assert_int_equal(m.head.request, VU_SET_FEATURES);
    assert_int_equal(m.u64, 0x1234);
    assert_int_equal(m.n_fds, 2);
    int fd = vu_msg_take_fd(&m, 1);
    assert_true(fd >= 0);
    assert_int_equal(vu_msg_take_fd(&m, 2), -1);
    vu_msg_drop_fds(&m);
    close(fd);
}

static void test_payload_that_was_not_sent_is_zero(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    memset(&m, 0xff, sizeof(m));
    put_header(w, VU_GET_FEATURES, VU_VERSION, 0, 0);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 1);
    assert_int_equal(m.u64, 0);
    assert_int_equal(m.bytes[sizeof(m.bytes) - 1], 0);
}

static void *send_bytewise(void *arg)
{
    struct wire *w = arg;
    struct {
        struct vu_header h;
        uint8_t payload[8];
    } out = {.h = {VU_SET_FEATURES, VU_VERSION, 8}, .payload = "abcdefg"};

    for (size_t i = 0; i < sizeof(out); i++) {
        put(w, (char *)&out + i, 1, i == 3);
        usleep(200);
    }
    return NULL;
}

static void test_a_message_may_come_in_pieces(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;
    pthread_t id;

    pthread_create(&id, NULL, send_bytewise, w);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 1);
    pthread_join(id, NULL);
    assert_string_equal((char *)m.bytes, "abcdefg");
    assert_int_equal(m.n_fds, 1);
    vu_msg_drop_fds(&m);
}

static void test_an_end_between_messages_is_an_end(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    end(w);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 0);
}

static void test_an_end_inside_a_header_is_an_error(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put(w, "abc", 3, 3);
    end(w);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_an_end_inside_a_payload_is_an_error(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_SET_FEATURES, VU_VERSION, 8, 1);
    put(w, "abc", 3, 0);
    end(w);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_a_payload_that_never_begins_is_an_error(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_SET_FEATURES, VU_VERSION, 8, 1);
    end(w);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_a_huge_size_is_refused(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_SET_FEATURES, VU_VERSION, UINT32_MAX, 4);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_another_version_is_refused(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_GET_FEATURES, 2, 0, 0);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_eight_descriptors_are_accepted(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_SET_MEM_TABLE, VU_VERSION, 0, 8);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 1);
    assert_int_equal(m.n_fds, 8);
    vu_msg_drop_fds(&m);
}

static void test_too_many_descriptors_are_refused_and_closed(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_SET_MEM_TABLE, VU_VERSION, 0, 30);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_descriptors_that_come_in_portions_are_counted_together(void **state)
{
    struct wire *w = *state;
    struct vu_header h = {VU_SET_MEM_TABLE, VU_VERSION, 0};
    struct vu_msg m;

    put(w, &h, 4, 8);
    put(w, (char *)&h + 4, 8, 1);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), -EPROTO);
}

static void test_descriptors_beside_the_payload_are_not_taken(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    put_header(w, VU_SET_FEATURES, VU_VERSION, 8, 0);
    put(w, "12345678", 8, 5);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 1);
    assert_int_equal(m.n_fds, 0);
}

static void test_waiting_ends_when_told_to_stop(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;

    eventfd_write(w->stop, 1);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 0);
    put(w, "abc", 3, 1); /* in the middle of a message too */
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 0);
}

static void *stop_soon(void *arg)
{
    struct wire *w = arg;

    usleep(20000);
    eventfd_write(w->stop, 1);
    return NULL;
}

static void test_a_payload_that_does_not_come_holds_nobody_back(void **state)
{
    struct wire *w = *state;
    struct vu_msg m;
    pthread_t id;

    put_header(w, VU_SET_FEATURES, VU_VERSION, 8, 1);
    put(w, "abc", 3, 0);
    pthread_create(&id, NULL, stop_soon, w);
    assert_int_equal(vu_msg_recv(w->ours, w->stop, false, &m), 0);
    pthread_join(id, NULL);
}

static void test_a_reply_carries_the_request_and_the_reply_flag(void **state)
{
    struct wire *w = *state;
    struct vu_msg m = {.head = {.request = VU_GET_FEATURES, .flags = VU_VERSION | VU_NEED_REPLY},
                       .u64 = 77};
    struct {
        struct vu_header h;
        uint32_t lo, hi;
    } in;

    assert_int_equal(vu_msg_reply(w->ours, w->stop, &m, 8), 0);
    assert_int_equal(recv(w->theirs, &in, sizeof(in), 0), 20);
    assert_int_equal(in.h.request, VU_GET_FEATURES);
    assert_int_equal(in.h.flags, VU_VERSION | VU_REPLY);
    assert_int_equal(in.h.size, 8);
    assert_int_equal(in.lo, 77);
}

static void test_a_front_end_that_does_not_read_cannot_hold_us(void **state)
{
    struct wire *w = *state;
    struct vu_msg m = {.head.request = VU_GET_CONFIG};
    int err = 0;

    eventfd_write(w->stop, 1);
    for (unsigned i = 0; i < 100000 && err == 0; i++)
        err = vu_msg_reply(w->ours, w->stop, &m, 256);
    assert_int_equal(err, -ECANCELED);
}

static void test_a_front_end_that_left_is_an_error_and_not_a_signal(void **state)
{
    struct wire *w = *state;
    struct vu_msg m = {.head.request = VU_GET_FEATURES};

    end(w);
    assert_int_equal(vu_msg_reply(w->ours, w->stop, &m, 8), -EPIPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_open, wire_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_message_comes_with_payload_and_descriptors),
        TEST(test_payload_that_was_not_sent_is_zero),
        TEST(test_a_message_may_come_in_pieces),
        TEST(test_an_end_between_messages_is_an_end),
        TEST(test_an_end_inside_a_header_is_an_error),
        TEST(test_an_end_inside_a_payload_is_an_error),
        TEST(test_a_payload_that_never_begins_is_an_error),
        TEST(test_a_huge_size_is_refused),
        TEST(test_another_version_is_refused),
        TEST(test_eight_descriptors_are_accepted),
        TEST(test_too_many_descriptors_are_refused_and_closed),
        TEST(test_descriptors_that_come_in_portions_are_counted_together),
        TEST(test_descriptors_beside_the_payload_are_not_taken),
        TEST(test_waiting_ends_when_told_to_stop),
        TEST(test_a_payload_that_does_not_come_holds_nobody_back),
        TEST(test_a_reply_carries_the_request_and_the_reply_flag),
        TEST(test_a_front_end_that_does_not_read_cannot_hold_us),
        TEST(test_a_front_end_that_left_is_an_error_and_not_a_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
