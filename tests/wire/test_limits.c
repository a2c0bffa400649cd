// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_limits.c - descriptors exhausted, disk full, read-only, and a guest that never forgets
 */
#include "tests/wire/wire.h"

#include <sys/mount.h>
#include <sys/wait.h>

static uint8_t block[FC_MAX_DATA];

/* Little more than virtiofsd insists on. */
#define FILES   "1024"
#define N_FILES 1024u

/* ---- descriptors ------------------------------------------------------------------------------------- */

static void test_guest_that_opens_too_much_is_told_so_and_nothing_else_fails(void **state)
{
    (void)state;
    struct wire *w = wire_up("--rlimit-nofile=" FILES);
    static uint64_t fh[2 * N_FILES];
    struct fuse_entry_out e;
    struct fuse_attr a;
    unsigned n = 0;
    int err = 0;

    host_write(w, "f", "text");
    host_write(w, "g", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    while (n < ARRAY(fh) && (err = fc_open_file(&w->c, f, O_RDONLY, &fh[n])) == 0)
        n++;
    assert_true(err == -ENFILE || err == -EMFILE);
    assert_true(n >= 50 && n < N_FILES);
    assert_ok(fc_lookup(&w->c, FC_ROOT, "g", &e));
    assert_ok(fc_getattr(&w->c, e.nodeid, &a));
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "d", 0755, &e));
    assert_int_equal(fc_read(&w->c, f, fh[n - 1], NULL, 10, 0), 4);
    for (unsigned i = 0; i < 10; i++)
        assert_ok(fc_release(&w->c, f, fh[i]));
    uint64_t again = opened(w, node(w, FC_ROOT, "g"), O_RDONLY);
    assert_int_equal(fc_read(&w->c, node(w, FC_ROOT, "g"), again, NULL, 10, 0), 4);
}

static void test_create_without_descriptors_leaves_no_file_or_a_whole_one(void **state)
{
    (void)state;
    struct wire *w = wire_up("--rlimit-nofile=" FILES);
    struct fuse_entry_out e;
    char name[16];
    uint64_t fh;
    int err = 0;
    unsigned n = 0;

    for (; n < 2 * N_FILES && err == 0; n++) {
        snprintf(name, sizeof(name), "f%u", n);
        err = fc_create(&w->c, FC_ROOT, name, O_RDWR | O_EXCL, 0644, &e, &fh);
    }
    assert_true(err == -ENFILE || err == -EMFILE);
    wire_alive(w);
    assert_ok(fc_destroy(&w->c));
    assert_ok(fc_init(&w->c));
    host_write(w, "g", "");
    opened(w, node(w, FC_ROOT, "g"), O_RDONLY);
}

static void test_too_many_directories_open_is_told_so(void **state)
{
    (void)state;
    struct wire *w = wire_up("--rlimit-nofile=" FILES);
    uint64_t fh, first = open_dir(w, FC_ROOT);
    int err = 0;

    for (unsigned n = 0; n < 2 * N_FILES && err == 0; n++)
        err = fc_opendir(&w->c, FC_ROOT, &fh);
    assert_true(err == -ENFILE || err == -EMFILE);
    assert_true(fc_readdir_raw(&w->c, FC_ROOT, first, 0, 4096, true) > 0);
}

static void test_limit_that_is_too_small_to_work_with_is_refused_at_the_start(void **state)
{
    (void)state;
    static const char *const args[] = {"--rlimit-nofile=16", NULL};
    struct daemon d;
    int status = 0;

    assert_ok(daemon_start_ours(&d, args, &(struct daemon_options){.no_wait = true}));
    assert_ok(daemon_wait(&d, 5000, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    assert_true(daemon_log_has(&d, "--rlimit-nofile", 0));
    daemon_end(&d);
}

/* ---- a guest that never forgets ------------------------------------------------------------------------ */

static uint64_t resident_bytes(const struct wire *w)
{
    char path[64];
    unsigned long size, resident = 0;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)daemon_worker_pid(&w->d));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void never_forget(const char *handles)
{
    unsigned many = getenv("VIOFS_SOAK") ? 1000000 : 30000;
    struct wire *w = wire_up("--rlimit-nofile=" FILES, handles);
    uint64_t *id = malloc(many * sizeof(*id)), before = 0;
    struct fuse_attr a;
    char name[24];

    assert_non_null(id);
    host_mkdir(w, "d");
    uint64_t d = node(w, FC_ROOT, "d");
    for (unsigned i = 0; i < many; i++) {
        snprintf(name, sizeof(name), "d/file-%u", i);
        assert_ok(mknod(host(w, name), S_IFREG | 0644, 0));
        id[i] = node(w, d, name + 2);
        if (i == many / 10)
            before = resident_bytes(w);
    }
    uint64_t each = (resident_bytes(w) - before) / (many - many / 10);
    assert_true((unsigned)daemon_fd_count(&w->d) < N_FILES);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(each, 0, 200);
#endif
    print_message("%u inodes, %u bytes each, %d descriptors\n", many, (unsigned)each,
                  daemon_fd_count(&w->d));
    for (unsigned i = 0; i < many; i += many / 100) {
        assert_ok(fc_getattr(&w->c, id[i], &a));
        uint64_t fh = opened(w, id[i], O_RDWR);
        assert_int_equal(fc_write(&w->c, id[i], fh, "x", 1, 0), 1);
        assert_ok(fc_release(&w->c, id[i], fh));
    }
    snprintf(name, sizeof(name), "d/file-%u", many / 100 * 7);
    assert_int_equal(host_stat(w, name).st_size, 1);
    free(id);
}

static void test_lookups_never_forgotten_cost_bytes_and_no_descriptors(void **state)
{
    (void)state;
    never_forget("--inode-file-handles=prefer");
}

static void test_lookups_never_forgotten_without_file_handles(void **state)
{
    (void)state;
    never_forget("--inode-file-handles=never");
}

/* Open, unlinked and forgotten by nobody: each pins a descriptor until there are no more. */
static void test_unlinked_files_that_the_guest_still_knows_do_not_exhaust_it(void **state)
{
    (void)state;
    struct wire *w = wire_up("--rlimit-nofile=" FILES);
    struct fuse_attr a;
    char name[16];
    uint64_t last = 0;

    for (unsigned i = 0; i < 3 * N_FILES; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        host_write(w, name, "text");
        last = node(w, FC_ROOT, name);
        assert_ok(fc_unlink(&w->c, FC_ROOT, name));
    }
    int err = fc_getattr(&w->c, last, &a);
    assert_true(err == 0 || err == -ESTALE);
    assert_true((unsigned)daemon_fd_count(&w->d) < N_FILES);
    host_write(w, "g", "text");
    uint64_t g = node(w, FC_ROOT, "g"), fh = opened(w, g, O_RDONLY);
    assert_int_equal(fc_read(&w->c, g, fh, NULL, 10, 0), 4);
}

/* ---- disk full ------------------------------------------------------------------------------------------- */

static struct wire *on_small_disk(const char *options)
{
    const char *disk = private_tmpfs(options);

    if (!disk)
        skip(); /* this user may not mount */
    return wire_start(&(struct wire_options){.daemon = {.share = disk}});
}

static void leave_small_disk(struct wire *w)
{
    char disk[256];

    strcpy(disk, w->d.share);
    wire_teardown(NULL);
    umount2(disk, MNT_DETACH);
    rmdir(disk);
}

static void test_full_disk_is_enospc_and_what_was_written_is_kept(void **state)
{
    (void)state;
    struct wire *w = on_small_disk("size=2m");
    struct fuse_entry_out e;
    uint64_t fh, at = 0;
    ssize_t n;

    memset(block, 'b', sizeof(block));
    assert_ok(fc_create(&w->c, FC_ROOT, "big", O_RDWR, 0644, &e, &fh));
    while ((n = fc_write(&w->c, e.nodeid, fh, block, sizeof(block), at)) > 0)
        at += (uint64_t)n; /* the last one is cut short, not lost */
    assert_int_equal(n, -ENOSPC);
    assert_int_equal(host_stat(w, "big").st_size, at);
    assert_true(at > 1 << 20);
    assert_errno(fc_fallocate(&w->c, e.nodeid, fh, at, 1 << 20, 0), ENOSPC);
    assert_int_equal(fc_read(&w->c, e.nodeid, fh, block, 4096, 0), 4096);
    assert_ok(fc_release(&w->c, e.nodeid, fh));
    assert_ok(fc_unlink(&w->c, FC_ROOT, "big"));
    assert_ok(fc_forget(&w->c, e.nodeid, 1));
    assert_ok(
        fc_create(&w->c, FC_ROOT, "next", O_RDWR, 0644, &e, &fh)); /* the space is free again */
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, block, sizeof(block), 0), sizeof(block));
    leave_small_disk(w);
}

static void test_disk_without_inodes_is_enospc_for_every_new_name(void **state)
{
    (void)state;
    struct wire *w = on_small_disk("size=2m,nr_inodes=8");
    struct fuse_entry_out e;
    uint64_t fh;
    char name[8] = "d0";

    while (fc_mkdir(&w->c, FC_ROOT, name, 0755, &e) == 0 && name[1] < 'z')
        name[1]++;
    assert_errno(fc_mkdir(&w->c, FC_ROOT, "x", 0755, &e), ENOSPC);
    assert_errno(fc_create(&w->c, FC_ROOT, "x", O_RDWR, 0644, &e, &fh), ENOSPC);
    assert_errno(fc_mknod(&w->c, FC_ROOT, "x", S_IFREG | 0644, 0, &e), ENOSPC);
    assert_errno(fc_symlink(&w->c, FC_ROOT, "x", "y", &e), ENOSPC);
    assert_errno(fc_tmpfile(&w->c, FC_ROOT, O_RDWR, 0600, &e, &fh), ENOSPC);
    assert_ok(fc_rmdir(&w->c, FC_ROOT, "d0"));
    wire_alive(w);
    leave_small_disk(w);
}

/* ---- read-only -------------------------------------------------------------------------------------------- */

static void assert_no_change_is_possible(struct wire *w, int expected)
{
    struct fuse_entry_out e;
    struct fuse_attr a;
    uint64_t fh, f = node(w, FC_ROOT, "f");

    assert_int_equal(fc_mkdir(&w->c, FC_ROOT, "n", 0755, &e), expected);
    assert_int_equal(fc_mknod(&w->c, FC_ROOT, "n", S_IFREG | 0644, 0, &e), expected);
    assert_int_equal(fc_create(&w->c, FC_ROOT, "n", O_RDWR, 0644, &e, &fh), expected);
    assert_int_equal(fc_tmpfile(&w->c, FC_ROOT, O_RDWR, 0600, &e, &fh), expected);
    assert_int_equal(fc_symlink(&w->c, FC_ROOT, "n", "t", &e), expected);
    assert_int_equal(fc_link(&w->c, f, FC_ROOT, "n", &e), expected);
    assert_int_equal(fc_unlink(&w->c, FC_ROOT, "f"), expected);
    assert_int_equal(fc_rmdir(&w->c, FC_ROOT, "d"), expected);
    assert_int_equal(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "n", 0), expected);
    assert_int_equal(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "n", 1), expected);
    assert_int_equal(fc_chmod(&w->c, f, 0600), expected);
    assert_int_equal(fc_truncate(&w->c, f, 0), expected);
    assert_int_equal(fc_open_file(&w->c, f, O_WRONLY, &fh), expected);
    assert_int_equal(fc_open_file(&w->c, f, O_RDWR, &fh), expected);
    assert_true(fc_open_file(&w->c, f, O_RDONLY | O_TRUNC, &fh) < 0);
    assert_int_equal(fc_setxattr(&w->c, f, "user.x", "v", 1, 0), expected);
    assert_int_equal(fc_removexattr(&w->c, f, "user.x"), expected);
    fh = opened(w, f, O_RDONLY);
    assert_int_equal(fc_read(&w->c, f, fh, block, 100, 0), 4);
    assert_true(fc_write(&w->c, f, fh, "x", 1, 0) < 0);
    assert_true(fc_fallocate(&w->c, f, fh, 0, 8192, 0) < 0);
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_int_equal(a.size, 4);
    assert_true(fc_readdir_raw(&w->c, FC_ROOT, open_dir(w, FC_ROOT), 0, 4096, true) > 0);
    assert_string_equal(host_read(w, "f"), "text");
    assert_true(host_exists(w, "d") && !host_exists(w, "n"));
}

static void test_readonly_share_refuses_every_change(void **state)
{
    (void)state;
    struct wire *w = wire_up("--readonly", "--xattr");

    host_write(w, "f", "text");
    host_mkdir(w, "d");
    assert_no_change_is_possible(w, -EROFS);
}

static void test_readonly_mount_of_the_host_refuses_every_change(void **state)
{
    (void)state;
    const char *disk = private_tmpfs("size=2m");

    if (!disk)
        skip();
    struct wire bare = {0};
    strcpy(bare.d.share, disk);
    host_write(&bare, "f", "text");
    host_mkdir(&bare, "d");
    assert_ok(mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, NULL));
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--xattr", NULL}, .daemon = {.share = disk}});
    assert_no_change_is_possible(w, -EROFS);
    leave_small_disk(w);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_guest_that_opens_too_much_is_told_so_and_nothing_else_fails),
    WIRE_TEST(test_create_without_descriptors_leaves_no_file_or_a_whole_one),
    WIRE_TEST(test_too_many_directories_open_is_told_so),
    WIRE_TEST(test_limit_that_is_too_small_to_work_with_is_refused_at_the_start),
    WIRE_TEST(test_lookups_never_forgotten_cost_bytes_and_no_descriptors),
    WIRE_TEST(test_lookups_never_forgotten_without_file_handles),
    WIRE_TEST(test_unlinked_files_that_the_guest_still_knows_do_not_exhaust_it),
    WIRE_TEST(test_full_disk_is_enospc_and_what_was_written_is_kept),
    WIRE_TEST(test_disk_without_inodes_is_enospc_for_every_new_name),
    WIRE_TEST(test_readonly_share_refuses_every_change),
    WIRE_TEST(test_readonly_mount_of_the_host_refuses_every_change),
};
WIRE_MAIN("limits", tests)
