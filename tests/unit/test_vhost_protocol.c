// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_protocol.c - the vhost-user protocol, with a front end that keeps to it and one that does not
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/vhost_user.h"
#include "tests/unit/capture.h"
#include "tests/unit/vhost_rig.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ACK    (VU_VERSION | VU_NEED_REPLY)

struct scene {
    struct rig rig;
    struct fe *fe;
    int fds_before;
};

static struct scene scene;

static void open_scene(const char *tag, bool keep_listening, const struct fe_options *o)
{
    memset(&scene, 0, sizeof(scene));
    scene.fds_before = count_fds();
    rig_start(&scene.rig, tag, keep_listening);
    assert_int_equal(fe_open(&scene.fe, o, scene.rig.socket), 0);
}

/* The front end leaves, the back end ends in good order, and nothing of both stays. */
static void close_scene(void)
{
    fe_free(scene.fe);
    assert_int_equal(rig_end(&scene.rig), 0);
    assert_int_equal(count_fds(), scene.fds_before + 1); /* the lock file's, for good */
}

static void send_ok(struct fe *fe, unsigned q)
{
    struct fe_req r;

    assert_int_equal(fe_req_init(fe, &r, 64, 64), 0);
    r.out_len = r.in_len = 64;
    strcpy(r.out, "ping");
    assert_int_equal(fe_call(fe, q, &r), 0);
    assert_string_equal(r.in, "ping");
    fe_req_release(fe, &r, 64, 64);
}

/* The back end hangs up within the front end's patience. */
static void assert_hangs_up(struct fe *fe)
{
    uint64_t answer;

    assert_int_equal(fe_vu_get_u64(fe, VU_GET_FEATURES, &answer), -ECONNRESET);
}

/* ---- negotiation ----------------------------------------------------------------------------- */

static void test_exactly_these_features_are_offered(void **state)
{
    (void)state;
    open_scene(NULL, false, NULL);
    assert_true(fe_virtio_offered(scene.fe) ==
                (BIT(RING_F_VERSION_1) | BIT(RING_F_INDIRECT_DESC) | BIT(RING_F_EVENT_IDX) |
                 BIT(VU_F_LOG_ALL) | BIT(VU_F_PROTOCOL_FEATURES)));
    assert_true(fe_proto_offered(scene.fe) ==
                (BIT(VU_PROTO_MQ) | BIT(VU_PROTO_LOG_SHMFD) | BIT(VU_PROTO_REPLY_ACK) |
                 BIT(VU_PROTO_BACKEND_REQ) | BIT(VU_PROTO_BACKEND_SEND_FD) |
                 BIT(VU_PROTO_RESET_DEVICE) | BIT(VU_PROTO_CONFIGURE_MEM_SLOTS)));
    assert_int_equal(fe_max_queues(scene.fe), VU_MAX_QUEUES);
    close_scene();
}

static void test_config_is_offered_only_with_a_tag(void **state)
{
    (void)state;
    open_scene("myfs", false, NULL);
    assert_true(fe_proto_offered(scene.fe) & BIT(VU_PROTO_CONFIG));
    close_scene();
}

static void test_features_that_were_not_offered_are_refused(void **state)
{
    (void)state;
    open_scene(NULL, false, NULL);
    assert_int_equal(fe_vu_set_u64(scene.fe, VU_SET_FEATURES, BIT(34)), -EREMOTEIO);
    assert_int_equal(fe_vu_set_u64(scene.fe, VU_SET_PROTOCOL_FEATURES, BIT(VU_PROTO_CONFIG)),
                     -EREMOTEIO);
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_a_front_end_without_protocol_features_is_served(void **state)
{
    struct fe_options o = {.refuse_virtio = BIT(VU_F_PROTOCOL_FEATURES),
                           .refuse_proto = UINT64_MAX};
    (void)state;

    open_scene(NULL, false, &o);
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_all_queues_work(void **state)
{
    struct fe_options o = {.queues = VU_MAX_QUEUES, .queue_size = 16};
    (void)state;

    open_scene(NULL, false, &o);
    for (unsigned q = 0; q < VU_MAX_QUEUES; q++)
        send_ok(scene.fe, q);
    close_scene();
}

static void test_a_queue_too_many_is_refused(void **state)
{
    struct vu_vring_state s = {.index = VU_MAX_QUEUES, .num = 256};
    (void)state;

    open_scene(NULL, false, NULL);
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_VRING_NUM, &s, sizeof(s), NULL, 0), -EREMOTEIO);
    s.index = UINT32_MAX;
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_VRING_ENABLE, &s, sizeof(s), NULL, 0), -EREMOTEIO);
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_impossible_queue_sizes_are_refused(void **state)
{
    static const uint32_t sizes[] = {0, 3, 65536, UINT32_MAX};
    (void)state;

    open_scene(NULL, false, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct vu_vring_state s = {.index = 1, .num = sizes[i]};
        assert_int_equal(fe_vu_set(scene.fe, VU_SET_VRING_NUM, &s, sizeof(s), NULL, 0), -EREMOTEIO);
    }
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

/* ---- configuration space --------------------------------------------------------------------- */

static void test_the_tag_is_read_in_growing_prefixes(void **state)
{
    struct fe_options o = {.want_config = true};
    char tag[36];
    (void)state;

    open_scene("my-share", false, &o);
    for (uint32_t n = 1; n <= sizeof(tag); n++) {
        memset(tag, 'x', sizeof(tag));
        assert_int_equal(fe_get_config(scene.fe, 0, n, tag), 0);
        assert_memory_equal(tag, "my-share\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                            n);
    }
    close_scene();
}

static void test_the_number_of_request_queues_follows_the_tag(void **state)
{
    struct fe_options o = {.want_config = true};
    uint32_t n = 0;
    (void)state;

    open_scene("my-share", false, &o);
    assert_int_equal(fe_get_config(scene.fe, 36, sizeof(n), &n), 0);
    assert_int_equal(n, 1);
    close_scene();
}

static void test_config_reads_as_zeros_beyond_its_end(void **state)
{
    struct fe_options o = {.want_config = true};
    uint8_t bytes[256];
    (void)state;

    open_scene("my-share", false, &o);
    assert_int_equal(fe_get_config(scene.fe, 38, sizeof(bytes), bytes), 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(fe_get_config(scene.fe, UINT32_MAX, 16, bytes), 0);
    close_scene();
}

static void test_too_much_config_is_answered_with_nothing(void **state)
{
    struct fe_options o = {.want_config = true};
    struct vu_config c = {.offset = 0, .size = 257};
    uint8_t bytes[512];
    uint32_t request, flags;
    (void)state;

    open_scene("my-share", false, &o);
    assert_int_equal(
        fe_vu_send(scene.fe, VU_GET_CONFIG, VU_VERSION, UINT32_MAX, &c, sizeof(c), NULL, 0), 0);
    assert_int_equal(fe_vu_recv(scene.fe, &request, &flags, bytes, sizeof(bytes), NULL), 0);
    close_scene();
}

static void test_config_cannot_be_written(void **state)
{
    struct fe_options o = {.want_config = true};
    uint8_t m[sizeof(struct vu_config) + 36] = {0};
    (void)state;

    open_scene("my-share", false, &o);
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_CONFIG, m, sizeof(m), NULL, 0), -EREMOTEIO);
    close_scene();
}

static void test_a_tag_of_36_bytes_fits_and_a_longer_one_is_refused(void **state)
{
    struct vu_params p = {.listen_fd = -1, .tag = "123456789012345678901234567890123456"};
    struct vu *vu;
    (void)state;

    assert_int_equal(vu_new(&vu, &p), 0);
    vu_free(vu);
    p.tag = "1234567890123456789012345678901234567";
    assert_int_equal(vu_new(&vu, &p), -EINVAL);
    p.tag = "";
    assert_int_equal(vu_new(&vu, &p), -EINVAL);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_a_memory_table_longer_than_needed_is_accepted(void **state)
{
    struct fe_options o = {.refuse_proto = BIT(VU_PROTO_CONFIGURE_MEM_SLOTS)};
    (void)state;

    open_scene(NULL, false, &o);
    assert_int_equal(fe_send_mem_table(scene.fe, 32), 0);
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_a_region_without_descriptor_gets_the_remedy(void **state)
{
    struct vu_mem_table t = {.n_regions = 1, .region = {{.guest_addr = 0, .size = 4096}}};
    (void)state;

    open_scene(NULL, false, NULL);
    struct capture c = capture_begin(STDERR_FILENO);
    int err = fe_vu_set(scene.fe, VU_SET_MEM_TABLE, &t, 40, NULL, 0);
    const char *said = capture_end(&c);
    assert_int_equal(err, -EREMOTEIO);
    assert_non_null(strstr(said, "memory-backend-memfd"));
    send_ok(scene.fe, FE_REQUESTS); /* the memory from before is still there */
    close_scene();
}

static void test_a_memory_table_that_lies_about_its_length_is_refused(void **state)
{
    struct vu_mem_table t = {.n_regions = 8};
    int fds[8];
    (void)state;

    open_scene(NULL, false, NULL);
    for (int i = 0; i < 8; i++)
        fds[i] = STDERR_FILENO;
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_MEM_TABLE, &t, 40, fds, 8), -EREMOTEIO);
    t.n_regions = UINT32_MAX;
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_MEM_TABLE, &t, sizeof(t), fds, 8), -EREMOTEIO);
    close_scene();
}

static void test_a_region_that_is_not_there_cannot_be_removed(void **state)
{
    struct vu_mem_reg_msg m = {.region = {.guest_addr = 1, .size = 2, .user_addr = 3}};
    (void)state;

    open_scene(NULL, false, NULL);
    assert_int_equal(fe_vu_set(scene.fe, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0), -EREMOTEIO);
    close_scene();
}

/* ---- a front end that breaks the rules ------------------------------------------------------- */

static void test_an_unknown_request_is_refused_or_ignored(void **state)
{
    (void)state;
    open_scene(NULL, false, NULL);
    assert_int_equal(fe_vu_set_u64(scene.fe, VU_POSTCOPY_LISTEN, 0), -EREMOTEIO);
    assert_int_equal(fe_vu_set_u64(scene.fe, 0, 0), -EREMOTEIO);
    assert_int_equal(fe_vu_set_u64(scene.fe, UINT32_MAX, 0), -EREMOTEIO);
    assert_int_equal(fe_vu_send(scene.fe, 4711, VU_VERSION, UINT32_MAX, NULL, 0, NULL, 0), 0);
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_a_failure_that_cannot_be_told_ends_the_connection(void **state)
{
    struct vu_vring_state s = {.index = 1, .num = 3};
    (void)state;

    open_scene(NULL, true, NULL);
    assert_int_equal(
        fe_vu_send(scene.fe, VU_SET_VRING_NUM, VU_VERSION, UINT32_MAX, &s, sizeof(s), NULL, 0), 0);
    assert_hangs_up(scene.fe);
    close_scene();
}

static void test_a_short_message_ends_the_connection(void **state)
{
    static const uint32_t with_payload[] = {
        VU_SET_FEATURES,   VU_SET_MEM_TABLE,  VU_SET_LOG_BASE,          VU_SET_VRING_NUM,
        VU_SET_VRING_ADDR, VU_SET_VRING_BASE, VU_GET_VRING_BASE,        VU_SET_VRING_KICK,
        VU_SET_VRING_CALL, VU_SET_VRING_ERR,  VU_SET_PROTOCOL_FEATURES, VU_SET_VRING_ENABLE,
        VU_GET_CONFIG,     VU_SET_CONFIG,     VU_ADD_MEM_REG,           VU_REM_MEM_REG};
    uint32_t half = 0;
    (void)state;

    open_scene("my-share", true, NULL);
    for (size_t i = 0; i < sizeof(with_payload) / sizeof(with_payload[0]); i++) {
        assert_int_equal(fe_vu_send(scene.fe, with_payload[i], ACK, 4, &half, 4, NULL, 0), 0);
        assert_hangs_up(scene.fe);
        assert_int_equal(fe_start(scene.fe, scene.rig.socket), 0);
    }
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_a_huge_message_ends_the_connection(void **state)
{
    (void)state;
    open_scene(NULL, true, NULL);
    assert_int_equal(fe_vu_send(scene.fe, VU_SET_FEATURES, ACK, UINT32_MAX - 1, NULL, 0, NULL, 0),
                     0);
    assert_hangs_up(scene.fe);
    close_scene();
}

static void test_surplus_descriptors_are_closed(void **state)
{
    static const uint32_t requests[] = {VU_SET_OWNER,      VU_SET_VRING_CALL,
                                        VU_SET_VRING_KICK, VU_SET_BACKEND_REQ_FD,
                                        VU_ADD_MEM_REG,    VU_SET_MEM_TABLE,
                                        VU_GET_QUEUE_NUM,  VU_SET_LOG_FD,
                                        VU_SET_LOG_BASE,   4711};
    uint64_t payload[8] = {2};
    int fds[8];
    (void)state;

    open_scene(NULL, true, NULL);
    for (int i = 0; i < 8; i++)
        fds[i] = fe_call_fd(scene.fe, 1);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        fe_vu_send(scene.fe, requests[i], VU_VERSION, UINT32_MAX, payload, sizeof(payload), fds, 8);
        fe_disconnect(scene.fe);
        assert_true(rig_until(&scene.rig.resets, (unsigned)i + 1));
        for (int j = 0; j < 8; j++)
            fds[j] = STDERR_FILENO;
        assert_int_equal(fe_start(scene.fe, scene.rig.socket), 0);
    }
    close_scene(); /* which counts them */
}

static void test_a_kick_descriptor_must_be_pollable(void **state)
{
    uint64_t index = 1;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    (void)state;

    open_scene(NULL, true, NULL);
    scene.fds_before--; /* fd, closed below */
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_VRING_KICK, &index, sizeof(index), &fd, 1),
                     -EREMOTEIO);
    close(fd);
    close_scene();
}

static void test_a_queue_without_kick_descriptor_is_refused(void **state)
{
    (void)state;
    open_scene(NULL, true, NULL);
    assert_int_equal(fe_vu_set_u64(scene.fe, VU_SET_VRING_KICK, 1 | VU_VRING_NO_FD), -EREMOTEIO);
    assert_int_equal(fe_vu_set_u64(scene.fe, VU_SET_VRING_KICK, 1), -EREMOTEIO);
    close_scene();
}

static void test_a_ring_outside_memory_is_refused(void **state)
{
    struct vu_vring_addr a = {.index = 1, .desc = 0x1000, .avail = 0x2000, .used = 0x3000};
    (void)state;

    open_scene(NULL, true, NULL);
    assert_int_equal(fe_vu_set(scene.fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), -EREMOTEIO);
    send_ok(scene.fe, FE_HIPRIO);
    close_scene();
}

/* ---- coming and going ------------------------------------------------------------------------ */

static void test_the_back_end_ends_when_its_front_end_leaves(void **state)
{
    (void)state;
    open_scene(NULL, false, NULL);
    send_ok(scene.fe, FE_REQUESTS);
    fe_disconnect(scene.fe);
    assert_int_equal(rig_join(&scene.rig), 0);
    assert_int_equal(scene.rig.resets, 1);
    close_scene();
}

static void test_a_second_front_end_is_refused(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;

    open_scene(NULL, false, NULL);
    strcpy(a.sun_path, scene.rig.socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    scene.fds_before--;
    close_scene();
}

static void test_with_keep_listening_the_next_front_end_is_served(void **state)
{
    (void)state;
    open_scene(NULL, true, NULL);
    for (unsigned i = 1; i <= 5; i++) {
        send_ok(scene.fe, FE_REQUESTS);
        fe_disconnect(scene.fe);
        assert_true(rig_until(&scene.rig.resets, i));
        assert_int_equal(fe_start(scene.fe, scene.rig.socket), 0);
    }
    close_scene();
}

static void test_stopping_ends_a_session_in_good_order(void **state)
{
    (void)state;
    open_scene(NULL, true, NULL);
    send_ok(scene.fe, FE_REQUESTS);
    vu_stop(scene.rig.vu);
    assert_int_equal(rig_join(&scene.rig), 0);
    assert_int_equal(scene.rig.resets, 1);
    assert_hangs_up(scene.fe);
    close_scene();
}

static void test_stopping_ends_the_wait_for_a_front_end(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, NULL, true);
    assert_int_equal(rig_end(&rig), 0);
    assert_int_equal(rig.resets, 0);
}

static void test_reset_forgets_the_session_and_queues_start_again(void **state)
{
    (void)state;
    open_scene(NULL, false, NULL);
    send_ok(scene.fe, FE_REQUESTS);
    assert_int_equal(fe_reset_device(scene.fe), 0);
    assert_int_equal(scene.rig.resets, 1);
    send_ok(scene.fe, FE_REQUESTS);
    close_scene();
}

static void test_a_reset_stops_queues_that_were_not_stopped_before(void **state)
{
    struct vu_vring_state s = {.index = 1};
    (void)state;

    open_scene(NULL, false, NULL);
    send_ok(scene.fe, FE_REQUESTS);
    assert_int_equal(fe_vu_set(scene.fe, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
    assert_int_equal(fe_vu_get(scene.fe, VU_GET_VRING_BASE, &s, sizeof(s), &s, sizeof(s)), 0);
    assert_int_equal(s.num, 0);
    close_scene();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_these_features_are_offered),
        cmocka_unit_test(test_config_is_offered_only_with_a_tag),
        cmocka_unit_test(test_features_that_were_not_offered_are_refused),
        cmocka_unit_test(test_a_front_end_without_protocol_features_is_served),
        cmocka_unit_test(test_all_queues_work),
        cmocka_unit_test(test_a_queue_too_many_is_refused),
        cmocka_unit_test(test_impossible_queue_sizes_are_refused),
        cmocka_unit_test(test_the_tag_is_read_in_growing_prefixes),
        cmocka_unit_test(test_the_number_of_request_queues_follows_the_tag),
        cmocka_unit_test(test_config_reads_as_zeros_beyond_its_end),
        cmocka_unit_test(test_too_much_config_is_answered_with_nothing),
        cmocka_unit_test(test_config_cannot_be_written),
        cmocka_unit_test(test_a_tag_of_36_bytes_fits_and_a_longer_one_is_refused),
        cmocka_unit_test(test_a_memory_table_longer_than_needed_is_accepted),
        cmocka_unit_test(test_a_region_without_descriptor_gets_the_remedy),
        cmocka_unit_test(test_a_memory_table_that_lies_about_its_length_is_refused),
        cmocka_unit_test(test_a_region_that_is_not_there_cannot_be_removed),
        cmocka_unit_test(test_an_unknown_request_is_refused_or_ignored),
        cmocka_unit_test(test_a_failure_that_cannot_be_told_ends_the_connection),
        cmocka_unit_test(test_a_short_message_ends_the_connection),
        cmocka_unit_test(test_a_huge_message_ends_the_connection),
        cmocka_unit_test(test_surplus_descriptors_are_closed),
        cmocka_unit_test(test_a_kick_descriptor_must_be_pollable),
        cmocka_unit_test(test_a_queue_without_kick_descriptor_is_refused),
        cmocka_unit_test(test_a_ring_outside_memory_is_refused),
        cmocka_unit_test(test_the_back_end_ends_when_its_front_end_leaves),
        cmocka_unit_test(test_a_second_front_end_is_refused),
        cmocka_unit_test(test_with_keep_listening_the_next_front_end_is_served),
        cmocka_unit_test(test_stopping_ends_a_session_in_good_order),
        cmocka_unit_test(test_stopping_ends_the_wait_for_a_front_end),
        cmocka_unit_test(test_reset_forgets_the_session_and_queues_start_again),
        cmocka_unit_test(test_a_reset_stops_queues_that_were_not_stopped_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
