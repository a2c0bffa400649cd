// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_dir.c - OPENDIR, READDIR, READDIRPLUS, FSYNCDIR, RELEASEDIR, SYNCFS
 */
#include "tests/wire/wire.h"

#define MANY 500u

/* What a listing has shown so far: entries named 0 .. MANY-1. */
struct seen {
    struct wire *w;
    unsigned count[MANY];
    unsigned dots, others;
    uint64_t cookie[MANY + 8]; /* of each entry in order */
    unsigned n;
};

static int see(void *ctx, const struct fc_entry *e)
{
    struct seen *s = ctx;
    char *end;

    if (s->n < ARRAY(s->cookie))
        s->cookie[s->n++] = e->off;
    if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0) {
        s->dots++;
        return 0;
    }
    unsigned long i = strtoul(e->name, &end, 10);
    if (*end || i >= MANY) {
        s->others++;
        return 0;
    }
    s->count[i]++;
    if (e->entry && e->entry->nodeid)
        assert_int_equal(e->entry->attr.size, i % 10);
    return 0;
}

static void make_many(struct wire *w, unsigned n)
{
    char name[16];

    host_mkdir(w, "d");
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "d/%u", i);
        host_write(w, name, &"123456789"[9 - i % 10]);
    }
}

static void assert_complete(const struct seen *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(s->count[i], 1);
    assert_int_equal(s->others, 0);
}

static void test_listing_shows_every_entry_once_whatever_the_buffer(void **state)
{
    (void)state;
    static const uint32_t size[] = {320, 1000, 4096, 65536};
    struct wire *w = wire_up(NULL);

    make_many(w, MANY);
    uint64_t d = node(w, FC_ROOT, "d");
    for (unsigned i = 0; i < ARRAY(size); i++) {
        for (unsigned plus = 0; plus < 2; plus++) {
            struct seen s = {.w = w};
            assert_true(fc_list(&w->c, d, plus, size[i], see, &s) >= 0);
            assert_complete(&s, MANY);
        }
    }
}

static int expect_type(void *ctx, const struct fc_entry *e)
{
    struct wire *w = ctx;
    struct stat st = host_stat(w, e->name);

    if (strcmp(e->name, "..") == 0)
        return 0;
    assert_int_equal(e->type, st.st_mode >> 12);
    assert_int_equal(e->ino, st.st_ino);
    return 0;
}

static void test_entries_have_type_and_inode_number(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "file", "");
    host_mkdir(w, "directory");
    assert_ok(symlink("x", host(w, "link")));
    assert_ok(mkfifo(host(w, "fifo"), 0644));
    assert_true(fc_list(&w->c, FC_ROOT, false, 4096, expect_type, w) >= 0);
    assert_true(fc_list(&w->c, FC_ROOT, true, 4096, expect_type, w) >= 0);
}

struct plus_check {
    struct wire *w;
    uint64_t f;
    unsigned checked;
};

static int check_entry(void *ctx, const struct fc_entry *e)
{
    struct plus_check *p = ctx;

    assert_non_null(e->entry);
    if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0) {
        assert_int_equal(e->entry->nodeid, 0); /* the kernel ignores them: no lookup is counted */
        return 0;
    }
    assert_string_equal(e->name, "f");
    assert_int_equal(e->entry->attr.size, 4);
    p->f = e->entry->nodeid;
    p->checked++;
    return 0;
}

static void test_readdirplus_counts_as_one_lookup_of_each_entry(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct plus_check p = {.w = w};
    struct fuse_attr a;

    host_write(w, "f", "four");
    assert_true(fc_list(&w->c, FC_ROOT, true, 4096, check_entry, &p) >= 0);
    assert_int_equal(p.checked, 1);
    assert_ok(fc_getattr(&w->c, p.f, &a));
    assert_ok(fc_forget(&w->c, p.f, 1));
    assert_errno(fc_getattr(&w->c, p.f, &a), ESTALE);
}

static void test_cookies_lead_back_to_their_place(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct seen all = {.w = w};

    make_many(w, 100);
    uint64_t d = node(w, FC_ROOT, "d");
    assert_true(fc_list(&w->c, d, false, 4096, see, &all) >= 0);
    uint64_t fh = open_dir(w, d);
    for (unsigned i = 0; i < all.n; i += 7) {
        struct seen rest = {.w = w};
        unsigned total = 0;
        uint64_t at = all.cookie[i];
        for (ssize_t n; (n = fc_readdir_raw(&w->c, d, fh, at, 512, false)) > 0;) {
            int k = fc_parse_dirents(w->c.data, (size_t)n, false, see, &rest);
            assert_true(k > 0);
            total += (unsigned)k;
            at = rest.cookie[rest.n - 1];
        }
        assert_int_equal(total, all.n - 1 - i);
    }
}

static void test_odd_cookies_are_answered(void **state)
{
    (void)state;
    static const uint64_t odd[] = {1, 12345, UINT32_MAX, 1ULL << 62, 1ULL << 63, UINT64_MAX};
    struct wire *w = wire_up(NULL);
    struct seen s = {.w = w};

    make_many(w, 20);
    uint64_t d = node(w, FC_ROOT, "d"), fh = open_dir(w, d);
    for (unsigned i = 0; i < ARRAY(odd); i++)
        for (unsigned plus = 0; plus < 2; plus++)
            assert_int_not_equal(fc_readdir_raw(&w->c, d, fh, odd[i], 4096, plus), -ETIMEDOUT);
    assert_true(fc_readdir_raw(&w->c, d, fh, 0, 4096, false) > 0);
    assert_true(fc_list(&w->c, d, false, 4096, see, &s) >= 0);
    assert_complete(&s, 20);
}

static void test_buffer_too_small_for_one_entry_is_no_end_of_directory(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    host_mkdir(w, "d");
    char path[260];
    snprintf(path, sizeof(path), "d/%s", name);
    host_write(w, path, "");
    uint64_t d = node(w, FC_ROOT, "d"), fh = open_dir(w, d);
    ssize_t n = fc_readdir_raw(&w->c, d, fh, 0, 8, false);
    assert_true(n == -EINVAL || n == 0);
    n = fc_readdir_raw(&w->c, d, fh, 0, 0, false);
    assert_true(n == -EINVAL || n == 0);
}

static void test_empty_directory_lists_at_most_dots(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct seen s = {.w = w};

    host_mkdir(w, "d");
    assert_true(fc_list(&w->c, node(w, FC_ROOT, "d"), true, 4096, see, &s) >= 0);
    assert_int_equal(s.others, 0);
    assert_int_equal(s.n, s.dots);
}

static void test_names_that_come_and_go_during_a_listing_do_no_harm(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct seen s = {.w = w};
    char name[16];

    make_many(w, MANY);
    uint64_t d = node(w, FC_ROOT, "d"), fh = open_dir(w, d), at = 0;
    unsigned round = 0;
    for (ssize_t n; (n = fc_readdir_raw(&w->c, d, fh, at, 2048, true)) > 0; round++) {
        s.n = 0;
        assert_true(fc_parse_dirents(w->c.data, (size_t)n, true, see, &s) > 0);
        at = s.cookie[s.n - 1];
        snprintf(name, sizeof(name), "d/%u",
                 MANY - 1 - round); /* the even ones go, new ones come */
        if (round % 2 == 0)
            unlink(host(w, name));
        snprintf(name, sizeof(name), "d/x%u", round);
        host_write(w, name, "");
        assert_true(round < MANY);
    }
    for (unsigned i = 0; i < MANY / 2; i++) /* what was there all the time is shown once */
        assert_int_equal(s.count[i], 1);
}

static void test_removed_directory_can_still_be_read_to_its_end(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    uint64_t d = node(w, FC_ROOT, "d"), fh = open_dir(w, d);
    assert_ok(fc_rmdir(&w->c, FC_ROOT, "d"));
    assert_true(fc_readdir_raw(&w->c, d, fh, 0, 4096, false) <= 120); /* dots at most, or ENOENT */
    assert_ok(fc_releasedir(&w->c, d, fh));
}

static void test_opendir_of_a_file_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint64_t fh;

    host_write(w, "f", "");
    assert_ok(symlink("/", host(w, "l")));
    assert_errno(fc_opendir(&w->c, node(w, FC_ROOT, "f"), &fh), ENOTDIR);
    int err = fc_opendir(&w->c, node(w, FC_ROOT, "l"), &fh);
    assert_true(err == -ENOTDIR || err == -ELOOP);
}

static void test_directory_handle_belongs_to_its_directory(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    host_mkdir(w, "e");
    uint64_t d = node(w, FC_ROOT, "d"), e = node(w, FC_ROOT, "e"), fh = open_dir(w, d);
    assert_errno(fc_readdir_raw(&w->c, e, fh, 0, 4096, false), EBADF);
    assert_errno(fc_readdir_raw(&w->c, FC_ROOT, fh, 0, 4096, true), EBADF);
    assert_errno(fc_fsyncdir(&w->c, e, fh, false), EBADF);
    assert_errno(fc_releasedir(&w->c, e, fh), EBADF);
    assert_ok(fc_fsyncdir(&w->c, d, fh, false));
    assert_ok(fc_fsyncdir(&w->c, d, fh, true));
    assert_ok(fc_releasedir(&w->c, d, fh));
    assert_errno(fc_releasedir(&w->c, d, fh), EBADF);
    assert_errno(fc_readdir_raw(&w->c, d, fh, 0, 4096, false), EBADF);
}

static void test_readdir_larger_than_the_reply_is_refused(void **state)
{
    (void)state;
    static const uint32_t size[] = {4097, UINT32_MAX};
    struct wire *w = wire_up(NULL);
    uint64_t fh = open_dir(w, FC_ROOT);
    static uint8_t buf[4096];

    for (unsigned i = 0; i < ARRAY(size); i++) {
        struct fuse_read_in in = {.fh = fh, .size = size[i]};
        assert_errno(raw(w, FUSE_READDIR, FC_ROOT, &in, sizeof(in), buf, sizeof(buf)), EINVAL);
        assert_errno(raw(w, FUSE_READDIRPLUS, FC_ROOT, &in, sizeof(in), buf, sizeof(buf)), EINVAL);
    }
}

static void test_syncfs_succeeds(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    assert_ok(fc_syncfs(&w->c, FC_ROOT));
}

static void test_readdirplus_without_the_option_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up("-o", "no_readdirplus");

    assert_false(w->c.init_flags & FUSE_DO_READDIRPLUS);
    uint64_t fh = open_dir(w, FC_ROOT);
    assert_true(fc_readdir_raw(&w->c, FC_ROOT, fh, 0, 4096, false) > 0);
    /* virtio-win's guest sends it whatever was agreed; it is served or refused, not half served. */
    ssize_t n = fc_readdir_raw(&w->c, FC_ROOT, fh, 0, 4096, true);
    assert_true(n > 0 || n == -ENOSYS || n == -EOPNOTSUPP);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_listing_shows_every_entry_once_whatever_the_buffer),
    WIRE_TEST(test_entries_have_type_and_inode_number),
    WIRE_TEST(test_readdirplus_counts_as_one_lookup_of_each_entry),
    WIRE_TEST(test_cookies_lead_back_to_their_place),
    WIRE_TEST(test_odd_cookies_are_answered),
    WIRE_TEST(test_buffer_too_small_for_one_entry_is_no_end_of_directory),
    WIRE_TEST(test_empty_directory_lists_at_most_dots),
    WIRE_TEST(test_names_that_come_and_go_during_a_listing_do_no_harm),
    WIRE_TEST(test_removed_directory_can_still_be_read_to_its_end),
    WIRE_TEST(test_opendir_of_a_file_is_refused),
    WIRE_TEST(test_directory_handle_belongs_to_its_directory),
    WIRE_TEST(test_readdir_larger_than_the_reply_is_refused),
    WIRE_TEST(test_syncfs_succeeds),
    WIRE_TEST(test_readdirplus_without_the_option_is_refused),
};
WIRE_MAIN("dir", tests)
