// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_fuse_reply.c - replies in one, two and many segments; directory entries; segment views
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fuse/fuse_reply.h"

/* A guest's room for a reply, cut as the test says; each segment its own heap block, for ASan. */
struct room {
    struct ring_seg seg[64];
    struct fuse_out out;
};

static struct room *room(const size_t *cut, uint32_t n)
{
    struct room *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    for (uint32_t i = 0; i < n; i++) {
        r->seg[i].base = malloc(cut[i]);
        r->seg[i].len = cut[i];
        memset(r->seg[i].base, 0xee, cut[i]);
        r->out.room += cut[i];
    }
    r->out.seg = r->seg;
    r->out.n_seg = n;
    return r;
}

static void done(struct room *r)
{
    for (uint32_t i = 0; i < r->out.n_seg; i++)
        free(r->seg[i].base);
    free(r);
}

static struct fuse_out_header header_of(const struct room *r)
{
    struct fuse_out_header h;

    assert_int_equal(seg_copy_out(&h, sizeof(h), r->seg, r->out.n_seg, 0), sizeof(h));
    return h;
}

#define ROOM(...)                                                                                  \
    room((const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

static void test_error_is_a_header(void **state)
{
    struct room *r = ROOM(16);
    struct fuse_out_header h;

    (void)state;
    assert_int_equal(fuse_reply_error(&r->out, 99, -ENOENT), 16);
    h = header_of(r);
    assert_int_equal(h.len, 16);
    assert_int_equal(h.error, -ENOENT);
    assert_int_equal(h.unique, 99);
    done(r);
}

static void test_nothing_is_written_without_room_for_a_header(void **state)
{
    struct room *r = ROOM(15);
    struct room *none = room(NULL, 0);

    (void)state;
    assert_int_equal(fuse_reply_error(&r->out, 99, -ENOENT), 0);
    assert_int_equal(fuse_reply_buf(&r->out, 99, "x", 1), 0);
    assert_int_equal(fuse_reply_buf(&r->out, 99, "", 0), 0);
    assert_int_equal(fuse_reply_header(&r->out, 99, 0), 0);
    assert_int_equal(fuse_reply_data(&r->out, 99, NULL, 0), 0);
    assert_int_equal(((unsigned char *)r->seg[0].base)[0], 0xee);
    assert_int_equal(fuse_reply_error(&none->out, 99, -ENOENT), 0);
    done(r);
    done(none);
}

static void check_payload(struct room *r)
{
    struct fuse_out_header h;
    char got[11];

    assert_int_equal(fuse_reply_buf(&r->out, 5, "hello world", 11), 27);
    h = header_of(r);
    assert_int_equal(h.len, 27);
    assert_int_equal(h.error, 0);
    assert_int_equal(seg_copy_out(got, 11, r->seg, r->out.n_seg, 16), 11);
    assert_memory_equal(got, "hello world", 11);
    done(r);
}

static void test_payload_goes_behind_the_header_however_the_room_is_cut(void **state)
{
    (void)state;
    check_payload(ROOM(27));
    check_payload(ROOM(4096));
    check_payload(ROOM(16, 11));
    check_payload(ROOM(16, 4096));
    check_payload(ROOM(7, 9, 5, 100));
    check_payload(ROOM(20, 3, 3, 1, 1, 1, 1));
    check_payload(
        ROOM(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
}

static void test_payload_beyond_the_room_becomes_eio(void **state)
{
    struct room *r = ROOM(16, 10);
    struct ring_seg parts[2] = {{(void *)"hello", 5}, {(void *)"world!", 6}};

    (void)state;
    assert_int_equal(fuse_reply_buf(&r->out, 5, "hello world", 11), 16);
    assert_int_equal(header_of(r).error, -EIO);
    assert_int_equal(fuse_reply_data(&r->out, 5, parts, 2), 16);
    assert_int_equal(header_of(r).error, -EIO);
    assert_int_equal(fuse_reply_header(&r->out, 5, 11), 16);
    assert_int_equal(header_of(r).error, -EIO);
    done(r);
}

static void test_parts_are_joined(void **state)
{
    struct room *r = ROOM(16, 4, 100);
    struct ring_seg parts[3] = {{(void *)"one", 3}, {NULL, 0}, {(void *)"three", 5}};
    char got[8];

    (void)state;
    assert_int_equal(fuse_reply_data(&r->out, 5, parts, 3), 24);
    seg_copy_out(got, 8, r->seg, r->out.n_seg, 16);
    assert_memory_equal(got, "onethree", 8);
    done(r);
}

static void test_header_alone_counts_a_payload_that_is_in_place(void **state)
{
    struct room *r = ROOM(16, 4096);

    (void)state;
    memset(r->seg[1].base, 'd', 100);
    assert_int_equal(fuse_reply_header(&r->out, 5, 100), 116);
    assert_int_equal(header_of(r).len, 116);
    assert_int_equal(((char *)r->seg[1].base)[99], 'd');
    done(r);
}

/* ---- segment views ------------------------------------------------------------------------- */

static void test_slice_covers_what_was_asked_for(void **state)
{
    char a[10], b[20], c[30];
    struct ring_seg seg[3] = {{a, 10}, {b, 20}, {c, 30}};
    struct ring_seg to[3];
    uint64_t got;

    (void)state;
    assert_int_equal(seg_slice(seg, 3, 5, 30, to, 3, &got), 3);
    assert_int_equal(got, 30);
    assert_ptr_equal(to[0].base, a + 5);
    assert_int_equal(to[0].len, 5);
    assert_ptr_equal(to[1].base, b);
    assert_int_equal(to[1].len, 20);
    assert_ptr_equal(to[2].base, c);
    assert_int_equal(to[2].len, 5);
}

static void test_slice_skips_whole_segments(void **state)
{
    char a[10], b[20];
    struct ring_seg seg[2] = {{a, 10}, {b, 20}};
    struct ring_seg to[2];
    uint64_t got;

    (void)state;
    assert_int_equal(seg_slice(seg, 2, 10, 20, to, 2, &got), 1);
    assert_ptr_equal(to[0].base, b);
    assert_int_equal(got, 20);
    assert_int_equal(seg_slice(seg, 2, 30, 1, to, 2, &got), 0);
    assert_int_equal(got, 0);
    assert_int_equal(seg_slice(seg, 2, UINT64_MAX, UINT64_MAX, to, 2, &got), 0);
    assert_int_equal(seg_slice(seg, 2, 0, 0, to, 2, &got), 0);
}

static void test_slice_says_when_the_list_or_the_array_ends_early(void **state)
{
    char a[10], b[20];
    struct ring_seg seg[2] = {{a, 10}, {b, 20}};
    struct ring_seg to[2];
    uint64_t got;

    (void)state;
    assert_int_equal(seg_slice(seg, 2, 0, UINT64_MAX, to, 2, &got), 2);
    assert_int_equal(got, 30);
    assert_int_equal(seg_slice(seg, 2, 0, 30, to, 1, &got), 1);
    assert_int_equal(got, 10);
    assert_int_equal(seg_slice(seg, 2, 0, 30, to, 0, NULL), 0);
}

static void test_copies_stop_at_the_end_of_the_list(void **state)
{
    char a[4] = "abcd", b[4] = "efgh", out[8] = {0};
    struct ring_seg seg[2] = {{a, 4}, {b, 4}};

    (void)state;
    assert_int_equal(seg_copy_out(out, 8, seg, 2, 6), 2);
    assert_memory_equal(out, "gh", 2);
    assert_int_equal(seg_copy_in(seg, 2, 3, "12345678", 8), 5);
    assert_memory_equal(a, "abc1", 4);
    assert_memory_equal(b, "2345", 4);
    assert_int_equal(seg_copy_in(seg, 2, 8, "x", 1), 0);
}

/* ---- directory entries --------------------------------------------------------------------- */

static void test_dirent_is_laid_out_as_the_kernel_reads_it(void **state)
{
    _Alignas(8) char buf[64];
    const struct fuse_dirent *d = (const struct fuse_dirent *)buf;

    (void)state;
    memset(buf, 0xee, sizeof(buf));
    assert_int_equal(fuse_dirent_put(buf, 32, 11, 22, 4, "name5", 5), 32);
    assert_int_equal(d->ino, 11);
    assert_int_equal(d->off, 22);
    assert_int_equal(d->type, 4);
    assert_int_equal(d->namelen, 5);
    assert_memory_equal(d->name, "name5\0\0\0", 8);
    assert_int_equal((unsigned char)buf[32], 0xee);
}

static void test_dirent_that_does_not_fit_writes_nothing(void **state)
{
    char *buf = malloc(31);

    (void)state;
    memset(buf, 0xee, 31);
    assert_int_equal(fuse_dirent_put(buf, 31, 11, 22, 4, "name5", 5), 0);
    assert_int_equal(fuse_dirent_put(buf, 31, 11, 22, 4, "n", SIZE_MAX), 0);
    assert_int_equal((unsigned char)buf[0], 0xee);
    free(buf);
}

static void test_direntplus_carries_the_entry_before_the_dirent(void **state)
{
    struct fuse_entry_out e = {.nodeid = 77};
    _Alignas(8) char buf[256];
    const struct fuse_direntplus *p = (const struct fuse_direntplus *)buf;

    (void)state;
    assert_int_equal(fuse_direntplus_size(1, 0), 160);
    assert_int_equal(fuse_direntplus_put(buf, 160, &e, NULL, 0, 11, 22, 8, "f", 1), 160);
    assert_int_equal(p->entry_out.nodeid, 77);
    assert_int_equal(p->dirent.off, 22);
    assert_int_equal(FUSE_DIRENTPLUS_SIZE(p), 160);
    assert_memory_equal(p->dirent.name, "f\0\0\0\0\0\0\0", 8);
    assert_int_equal(fuse_direntplus_put(buf, 159, &e, NULL, 0, 11, 22, 8, "f", 1), 0);
}

static void test_our_extension_sits_between_entry_and_dirent(void **state)
{
    struct fuse_entry_out e = {.nodeid = 77};
    struct fuse_viofs_ext ext = {.btime = 5, .flags = VIOFS_EXT_BTIME};
    struct fuse_dirent d;
    char *buf = malloc(192);

    (void)state;
    assert_int_equal(fuse_direntplus_size(8, sizeof(ext)), 192);
    assert_int_equal(fuse_direntplus_put(buf, 192, &e, &ext, sizeof(ext), 11, 22, 8, "eight888", 8),
                     192);
    assert_memory_equal(buf + 128, &ext, sizeof(ext));
    memcpy(&d, buf + 128 + 32, FUSE_NAME_OFFSET);
    assert_int_equal(d.ino, 11);
    assert_int_equal(d.namelen, 8);
    assert_memory_equal(buf + 184, "eight888", 8);
    free(buf);
}

static void test_names_of_every_length_are_padded_to_eight_bytes(void **state)
{
    char name[FUSE_LONGEST_NAME + 1];

    (void)state;
    memset(name, 'n', sizeof(name));
    for (size_t n = 1; n <= FUSE_LONGEST_NAME; n++) {
        size_t need = (24 + n + 7) / 8 * 8;
        char *buf = malloc(need);

        assert_int_equal(fuse_dirent_put(buf, need, 1, 2, 8, name, n), need);
        assert_int_equal(fuse_dirent_put(buf, need - 1, 1, 2, 8, name, n), 0);
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_a_header),
        cmocka_unit_test(test_nothing_is_written_without_room_for_a_header),
        cmocka_unit_test(test_payload_goes_behind_the_header_however_the_room_is_cut),
        cmocka_unit_test(test_payload_beyond_the_room_becomes_eio),
        cmocka_unit_test(test_parts_are_joined),
        cmocka_unit_test(test_header_alone_counts_a_payload_that_is_in_place),
        cmocka_unit_test(test_slice_covers_what_was_asked_for),
        cmocka_unit_test(test_slice_skips_whole_segments),
        cmocka_unit_test(test_slice_says_when_the_list_or_the_array_ends_early),
        cmocka_unit_test(test_copies_stop_at_the_end_of_the_list),
        cmocka_unit_test(test_dirent_is_laid_out_as_the_kernel_reads_it),
        cmocka_unit_test(test_dirent_that_does_not_fit_writes_nothing),
        cmocka_unit_test(test_direntplus_carries_the_entry_before_the_dirent),
        cmocka_unit_test(test_our_extension_sits_between_entry_and_dirent),
        cmocka_unit_test(test_names_of_every_length_are_padded_to_eight_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
