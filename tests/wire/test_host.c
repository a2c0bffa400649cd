// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_host.c - the host changes the share while a guest uses it
 *
 * What a guest knows is either still the same file, under whatever name, or ESTALE. It is never another one.
 */
#include "tests/wire/wire.h"

#include <sys/stat.h>

static char text[64];

/* Text of a node, opened afresh. Return: its text or NULL when it cannot be opened. */
static const char *text_of(struct wire *w, uint64_t nodeid)
{
    uint64_t fh;

    if (fc_open_file(&w->c, nodeid, O_RDONLY, &fh) < 0)
        return NULL;
    ssize_t n = fc_read(&w->c, nodeid, fh, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_ok(fc_release(&w->c, nodeid, fh));
    return text;
}

static void assert_text_or_stale(struct wire *w, uint64_t nodeid, const char *expected)
{
    const char *t = text_of(w, nodeid);

    if (t)
        assert_string_equal(t, expected);
}

/* Every test in both worlds: with and without file handles. */
static struct wire *up(unsigned round)
{
    return wire_up(round ? "--inode-file-handles=never" : "--inode-file-handles=prefer");
}

#define IN_BOTH_WORLDS(body)                                                                       \
    for (unsigned round_ = 0; round_ < 2; round_++) {                                              \
        struct wire *w = up(round_);                                                               \
        body(w);                                                                                   \
        assert_ok(wire_teardown(NULL));                                                            \
    }

static void renamed(struct wire *w)
{
    struct fuse_entry_out e;

    host_write(w, "a", "first");
    uint64_t a = node(w, FC_ROOT, "a");
    assert_ok(rename(host(w, "a"), host(w, "b")));
    assert_text_or_stale(w, a, "first");
    assert_errno(fc_lookup(&w->c, FC_ROOT, "a", &e), ENOENT);
    assert_int_equal(node(w, FC_ROOT, "b"), a);
    assert_string_equal(text_of(w, a), "first"); /* found again by its new name at the latest */
}

static void test_file_that_the_host_renames_is_found_again(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(renamed);
}

static void swapped(struct wire *w)
{
    host_write(w, "a", "first");
    host_write(w, "b", "second");
    uint64_t a = node(w, FC_ROOT, "a"), b = node(w, FC_ROOT, "b");
    assert_ok(rename(host(w, "a"), host(w, "t")));
    assert_ok(rename(host(w, "b"), host(w, "a")));
    assert_ok(rename(host(w, "t"), host(w, "b")));
    assert_text_or_stale(w, a, "first");
    assert_text_or_stale(w, b, "second");
    assert_int_equal(node(w, FC_ROOT, "a"), b);
    assert_int_equal(node(w, FC_ROOT, "b"), a);
    assert_string_equal(text_of(w, a), "first");
}

static void test_files_that_the_host_swaps_are_not_confused(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(swapped);
}

static void deleted(struct wire *w)
{
    struct fuse_entry_out e;
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(unlink(host(w, "f")));
    int err = fc_getattr(&w->c, f, &a);
    assert_true(err == -ESTALE || (err == 0 && a.nlink == 0));
    assert_errno(fc_lookup(&w->c, FC_ROOT, "f", &e), ENOENT);
    assert_errno(fc_unlink(&w->c, FC_ROOT, "f"), ENOENT);
    wire_alive(w);
}

static void test_file_that_the_host_deletes_is_stale(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(deleted);
}

static void replaced(struct wire *w)
{
    host_write(w, "f", "old");
    uint64_t old = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < 20; i++) {
        assert_ok(unlink(host(w, "f")));
        host_write(w, "f", "new");
        assert_text_or_stale(w, old, "old");
    }
    uint64_t new = node(w, FC_ROOT, "f");
    assert_int_not_equal(new, old);
    assert_string_equal(text_of(w, new), "new");
    assert_text_or_stale(w, old, "old");
    fc_truncate(&w->c, old, 0); /* of the old one, if anything */
    assert_string_equal(host_read(w, "f"), "new");
}

static void test_file_that_the_host_replaces_is_another_node(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(replaced);
}

static void replaced_by_link(struct wire *w)
{
    char outside[300];

    snprintf(outside, sizeof(outside), "%s/outside", w->d.dir);
    int fd = open(outside, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret", 6), 6);
    close(fd);
    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(unlink(host(w, "f")));
    assert_ok(symlink(outside, host(w, "f")));
    const char *t = text_of(w, f);
    assert_true(!t || strcmp(t, "secret") != 0);
    fc_truncate(&w->c, f, 1);
    fc_chmod(&w->c, f, 0777);
    struct stat st;
    assert_ok(stat(outside, &st));
    assert_int_equal(st.st_size, 6);
    assert_int_equal(st.st_mode & 0777, 0644);
}

static void test_file_that_becomes_a_symlink_is_not_followed(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(replaced_by_link);
}

static void directory_replaced_by_link(struct wire *w)
{
    struct fuse_entry_out e;
    char outside[300], inner[320];
    uint64_t fh;

    snprintf(outside, sizeof(outside), "%s/outside", w->d.dir);
    snprintf(inner, sizeof(inner), "%s/secret", outside);
    assert_ok(mkdir(outside, 0755));
    assert_ok(mkdir(inner, 0755));
    host_mkdir(w, "d");
    uint64_t d = node(w, FC_ROOT, "d");
    assert_ok(rmdir(host(w, "d")));
    assert_ok(symlink(outside, host(w, "d")));
    assert_true(fc_lookup(&w->c, d, "secret", &e) < 0);
    assert_true(fc_mkdir(&w->c, d, "made", 0755, &e) < 0);
    assert_true(fc_create(&w->c, d, "made", O_RDWR, 0644, &e, &fh) < 0);
    assert_true(fc_rmdir(&w->c, d, "secret") < 0);
    struct stat st;
    assert_ok(stat(inner, &st));
    snprintf(inner, sizeof(inner), "%s/made", outside);
    assert_int_equal(stat(inner, &st), -1);
}

static void test_directory_that_becomes_a_symlink_is_not_followed(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(directory_replaced_by_link);
}

static void parent_moved(struct wire *w)
{
    host_mkdir(w, "a");
    host_mkdir(w, "a/b");
    host_write(w, "a/b/f", "text");
    uint64_t f = node(w, node(w, node(w, FC_ROOT, "a"), "b"), "f");
    assert_ok(rename(host(w, "a"), host(w, "z")));
    assert_text_or_stale(w, f, "text");
    assert_int_equal(node(w, node(w, node(w, FC_ROOT, "z"), "b"), "f"), f);
    assert_string_equal(text_of(w, f), "text");
}

static void test_tree_that_the_host_moves_is_found_again(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(parent_moved);
}

static void open_and_deleted(struct wire *w)
{
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_ok(unlink(host(w, "f")));
    assert_int_equal(fc_read(&w->c, f, fh, NULL, 10, 0), 4);
    assert_int_equal(fc_write(&w->c, f, fh, "more", 4, 4), 4);
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_int_equal(a.size, 8);
    assert_int_equal(a.nlink, 0);
    assert_ok(fc_release(&w->c, f, fh));
}

static void test_open_file_that_the_host_deletes_goes_on_working(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(open_and_deleted);
}

static void type_changed(struct wire *w)
{
    struct fuse_attr a;
    uint64_t fh;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(unlink(host(w, "f")));
    host_mkdir(w, "f");
    assert_true(fc_opendir(&w->c, f, &fh) < 0);
    int err = fc_getattr(&w->c, f, &a);
    assert_true(err == -ESTALE || (err == 0 && S_ISREG(a.mode)));
    uint64_t d = node(w, FC_ROOT, "f");
    assert_int_not_equal(d, f);
    assert_ok(fc_opendir(&w->c, d, &fh));
}

static void test_file_that_becomes_a_directory_is_another_node(void **state)
{
    (void)state;
    IN_BOTH_WORLDS(type_changed);
}

static void test_share_whose_directory_is_deleted_answers_errors(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(rmdir(w->d.share));
    assert_errno(fc_lookup(&w->c, FC_ROOT, "x", &e), ENOENT);
    assert_errno(fc_mkdir(&w->c, FC_ROOT, "x", 0755, &e), ENOENT);
    assert_ok(mkdir(w->d.share, 0755)); /* for the clean-up */
}

static void test_what_the_guest_does_is_seen_by_the_host_at_once(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    for (unsigned i = 0; i < 50; i++) {
        snprintf(text, sizeof(text), "round %02u", i);
        assert_int_equal(fc_write(&w->c, e.nodeid, fh, text, 8, 0), 8);
        assert_string_equal(host_read(w, "f"), text);
        text[0] = 'R';
        host_write(w, "f", text);
        char back[16] = {0};
        assert_int_equal(fc_read(&w->c, e.nodeid, fh, back, 8, 0), 8);
        assert_string_equal(back, text);
    }
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_file_that_the_host_renames_is_found_again),
    WIRE_TEST(test_files_that_the_host_swaps_are_not_confused),
    WIRE_TEST(test_file_that_the_host_deletes_is_stale),
    WIRE_TEST(test_file_that_the_host_replaces_is_another_node),
    WIRE_TEST(test_file_that_becomes_a_symlink_is_not_followed),
    WIRE_TEST(test_directory_that_becomes_a_symlink_is_not_followed),
    WIRE_TEST(test_tree_that_the_host_moves_is_found_again),
    WIRE_TEST(test_open_file_that_the_host_deletes_goes_on_working),
    WIRE_TEST(test_file_that_becomes_a_directory_is_another_node),
    WIRE_TEST(test_share_whose_directory_is_deleted_answers_errors),
    WIRE_TEST(test_what_the_guest_does_is_seen_by_the_host_at_once),
};
WIRE_MAIN("host", tests)
