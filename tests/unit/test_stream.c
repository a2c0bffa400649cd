// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_stream.c - records through a pipe, whole, cut, and longer than any buffer
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/stream.h"

static struct stream_out out;
static struct stream_in in;

struct pipes {
    int rd, wr, stop;
};

static struct pipes pipes_new(void)
{
    int fd[2];

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    return (struct pipes){fd[0], fd[1], eventfd(0, EFD_CLOEXEC)};
}

static void pipes_close(struct pipes *p)
{
    close(p->rd);
    if (p->wr >= 0)
        close(p->wr);
    close(p->stop);
}

static void hang_up(struct pipes *p)
{
    close(p->wr);
    p->wr = -1;
}

static void test_what_is_put_is_what_is_got(void **state)
{
    struct pipes p = pipes_new();
    uint16_t len;
    (void)state;

    stream_out_begin(&out, p.wr, p.stop);
    stream_record(&out, STREAM_SESSION);
    stream_put_u8(&out, 0xfe);
    stream_put_u16(&out, 0xfedc);
    stream_put_u32(&out, 0xfedcba98u);
    stream_put_u64(&out, 0xfedcba9876543210u);
    stream_put_bytes(&out, "name", 4);
    stream_put_bytes(&out, NULL, 0);
    stream_record_end(&out);
    assert_int_equal(stream_out_end(&out), 0);
    hang_up(&p);

    assert_int_equal(stream_in_begin(&in, p.rd, p.stop), 0);
    assert_int_equal(stream_next(&in), STREAM_SESSION);
    assert_int_equal(stream_get_u8(&in), 0xfe);
    assert_int_equal(stream_get_u16(&in), 0xfedc);
    assert_int_equal(stream_get_u32(&in), 0xfedcba98u);
    assert_true(stream_get_u64(&in) == 0xfedcba9876543210u);
    assert_memory_equal(stream_get_bytes(&in, &len), "name", 4);
    assert_int_equal(len, 4);
    stream_get_bytes(&in, &len);
    assert_int_equal(len, 0);
    assert_int_equal(stream_record_done(&in), 0);
    assert_int_equal(stream_next(&in), STREAM_END);
    pipes_close(&p);
}

/* As little-endian numbers, on any machine: another host may be of another kind. */
static void test_numbers_lie_lowest_byte_first(void **state)
{
    struct pipes p = pipes_new();
    uint8_t b[64];
    (void)state;

    stream_out_begin(&out, p.wr, p.stop);
    stream_record(&out, STREAM_HANDLE);
    stream_put_u32(&out, 0x04030201);
    stream_record_end(&out);
    assert_int_equal(stream_out_end(&out), 0);
    assert_int_equal(read(p.rd, b, sizeof(b)), 12 + 6 + 4 + 6 + 16);
    assert_memory_equal(b, "viofsst\n\1\0\0\0\4\0\4\0\0\0\1\2\3\4\0\0\20\0\0\0\1", 29);
    pipes_close(&p);
}

static void *write_many(void *arg)
{
    const struct pipes *p = arg;
    static uint8_t bytes[60000];

    stream_out_begin(&out, p->wr, p->stop);
    for (unsigned i = 0; i < 200; i++) {
        memset(bytes, (int)i, sizeof(bytes));
        stream_record(&out, STREAM_INODE);
        stream_put_bytes(&out, bytes, (uint16_t)(i * 300));
        stream_record_end(&out);
    }
    (void)stream_out_end(&out);
    return NULL;
}

static void test_stream_may_be_longer_than_pipe_and_buffer(void **state)
{
    struct pipes p = pipes_new();
    pthread_t writer;
    uint16_t len;
    (void)state;

    assert_int_equal(pthread_create(&writer, NULL, write_many, &p), 0);
    assert_int_equal(stream_in_begin(&in, p.rd, p.stop), 0);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(stream_next(&in), STREAM_INODE);
        const uint8_t *bytes = stream_get_bytes(&in, &len);
        assert_int_equal(len, i * 300);
        assert_true(len == 0 || (bytes[0] == i && bytes[len - 1] == i));
        assert_int_equal(stream_record_done(&in), 0);
    }
    pthread_join(writer, NULL);
    hang_up(&p);
    assert_int_equal(stream_next(&in), STREAM_END);
    pipes_close(&p);
}

static void test_record_that_is_too_long_is_an_error_that_sticks(void **state)
{
    struct pipes p = pipes_new();
    static uint8_t bytes[40000];
    (void)state;

    stream_out_begin(&out, p.wr, p.stop);
    stream_record(&out, STREAM_INODE);
    stream_put_bytes(&out, bytes, sizeof(bytes));
    stream_put_bytes(&out, bytes, sizeof(bytes));
    stream_record_end(&out);
    assert_int_equal(stream_out_end(&out), -E2BIG);
    pipes_close(&p);
}

static void test_fields_past_the_end_of_a_record_are_zeros_and_an_error(void **state)
{
    struct pipes p = pipes_new();
    uint16_t len;
    (void)state;

    stream_out_begin(&out, p.wr, p.stop);
    stream_record(&out, STREAM_INODE);
    stream_put_u16(&out, 500); /* as if so many bytes followed */
    stream_record_end(&out);
    assert_int_equal(stream_out_end(&out), 0);
    hang_up(&p);
    assert_int_equal(stream_in_begin(&in, p.rd, p.stop), 0);
    assert_int_equal(stream_next(&in), STREAM_INODE);
    assert_null(stream_get_bytes(&in, &len));
    assert_int_equal(len, 0);
    assert_true(stream_get_u64(&in) == 0);
    assert_int_equal(stream_record_done(&in), -EPROTO);
    assert_int_equal(stream_next(&in), -EPROTO);
    pipes_close(&p);
}

static void test_nothing_may_follow_the_end(void **state)
{
    struct pipes p = pipes_new();
    (void)state;

    stream_out_begin(&out, p.wr, p.stop);
    assert_int_equal(stream_out_end(&out), 0);
    assert_int_equal(write(p.wr, "x", 1), 1);
    hang_up(&p);
    assert_int_equal(stream_in_begin(&in, p.rd, p.stop), 0);
    assert_int_equal(stream_next(&in), -EPROTO);
    pipes_close(&p);
}

static void test_one_that_is_stopped_does_not_wait_for_the_other_side(void **state)
{
    struct pipes p = pipes_new();
    (void)state;

    assert_int_equal(eventfd_write(p.stop, 1), 0);
    write_many(&p); /* nobody reads */
    assert_int_equal(out.err, -ECANCELED);
    hang_up(&p);
    pipes_close(&p);
    p = pipes_new();
    assert_int_equal(eventfd_write(p.stop, 1), 0);
    assert_int_equal(stream_in_begin(&in, p.rd, p.stop), -ECANCELED);
    pipes_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_is_what_is_got),
        cmocka_unit_test(test_numbers_lie_lowest_byte_first),
        cmocka_unit_test(test_stream_may_be_longer_than_pipe_and_buffer),
        cmocka_unit_test(test_record_that_is_too_long_is_an_error_that_sticks),
        cmocka_unit_test(test_fields_past_the_end_of_a_record_are_zeros_and_an_error),
        cmocka_unit_test(test_nothing_may_follow_the_end),
        cmocka_unit_test(test_one_that_is_stopped_does_not_wait_for_the_other_side),
    };

    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
