// SPDX-License-Identifier: BSD-3-Clause
/*
 * escape_mounts.c - file systems that the host has mounted inside the share, its control knobs among them
 *
 * Theory of operation
 *
 *   The tests mount in a mount namespace of their own, which the daemon inherits. Its propagation is
 *   shared, as on a host with systemd, so what is mounted after the daemon's start reaches its sandbox.
 *
 *   proc, sysfs and their like are file systems whose regular files do something to the host when they
 *   are written, or show its memory: a daemon that runs as root must not open them for a guest, wherever
 *   they come into sight.
 */
#include "tests/sandbox/escape.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>

static bool may_mount(void)
{
    static int may = -1;

    if (may < 0)
        may = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 &&
              mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL) == 0;
    return may;
}

#define MOUNTING()                                                                                 \
    do {                                                                                           \
        (void)state;                                                                               \
        if (!may_mount())                                                                          \
            skip();                                                                                \
    } while (0)

/* A share that is there before its daemon; to be given to end_share(). */
static char *make_share(void)
{
    static char dir[64];

    strcpy(dir, "/tmp/viofs-mounts-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void make_sub(const char *share, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", share, name);
    assert_ok(mkdir(path, 0755));
}

static void mount_at(const char *share, const char *name, const char *type, const char *source,
                     unsigned long flags)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", share, name);
    assert_ok(mount(source, path, type, flags, NULL));
}

static void end_share(const char *share, const char *const *mounts)
{
    char path[PATH_MAX];

    for (; *mounts; mounts++) {
        snprintf(path, sizeof(path), "%s/%s", share, *mounts);
        umount2(path, MNT_DETACH);
        rmdir(path);
    }
    assert_ok(rmdir(share));
}

static struct wire *start_on(const char *share, const char *const *args)
{
    const struct wire_options o = {.args = args, .daemon = {.share = share}};

    return wire_start(&o);
}

/* ---- proc and its like ------------------------------------------------------------------------- */

static uint64_t walk(struct wire *w, const char *path)
{
    struct fuse_entry_out e;

    assert_ok(fc_lookup_path(&w->c, path, &e));
    return e.nodeid;
}

/* Neither read nor written. */
static void is_out_of_reach(struct wire *w, uint64_t id)
{
    char text[64];
    uint64_t fh;

    assert_true(read_node(w, id, text, sizeof(text)) < 0);
    assert_true(fc_open_file(&w->c, id, O_WRONLY, &fh) < 0);
    assert_true(fc_open_file(&w->c, id, O_RDWR | O_TRUNC, &fh) < 0);
    assert_true(fc_truncate(&w->c, id, 0) < 0);
}

/* A proc is mounted at "proc" in the share. */
static void try_proc(struct wire *w)
{
    char self[32], text[PATH_MAX];
    struct fuse_entry_out e;
    uint64_t id, fh;

    snprintf(self, sizeof(self), "proc/%d", (int)daemon_worker_pid(&w->d));
    static const char *const files[] = {"mem", "maps", "environ", "status", "oom_score_adj"};
    for (unsigned i = 0; i < ARRAY(files); i++) {
        snprintf(text, sizeof(text), "%s/%s", self, files[i]);
        if (fc_lookup_path(&w->c, text, &e) == 0)
            is_out_of_reach(w, e.nodeid);
    }
    is_out_of_reach(w, walk(w, "proc/sys/kernel/core_pattern"));
    is_out_of_reach(w, walk(w, "proc/uptime"));

    /* magic links are links, and lead nowhere */
    id = walk(w, "proc/self");
    assert_true(fc_lookup(&w->c, id, "fd", &e) < 0);
    static const char *const links[] = {"root", "cwd", "exe"};
    for (unsigned i = 0; i < ARRAY(links); i++) {
        snprintf(text, sizeof(text), "%s/%s", self, links[i]);
        if (fc_lookup_path(&w->c, text, &e) < 0)
            continue; /* not shown at all */
        assert_true(S_ISLNK(e.attr.mode));
        id = e.nodeid;
        assert_true(fc_lookup(&w->c, id, "etc", &e) < 0);
        assert_true(fc_opendir(&w->c, id, &fh) < 0);
        assert_true(fc_open_file(&w->c, id, O_RDONLY, &fh) < 0);
    }
    wire_alive(w);
}

static void test_files_of_a_proc_in_the_share_are_not_opened(void **state)
{
    MOUNTING();
    char *share = make_share();

    make_sub(share, "proc");
    mount_at(share, "proc", "proc", "proc", 0);
    try_proc(start_on(share, NULL));
    end_share(share, (const char *const[]){"proc", NULL});
}

static void test_files_of_a_proc_that_is_mounted_later_are_not_opened(void **state)
{
    MOUNTING();
    char *share = make_share();
    struct wire *w;

    make_sub(share, "proc");
    w = start_on(share, NULL);
    mount_at(share, "proc", "proc", "proc", 0);
    try_proc(w);
    end_share(share, (const char *const[]){"proc", NULL});
}

static void test_files_of_sysfs_in_the_share_are_not_opened(void **state)
{
    MOUNTING();
    char *share = make_share();
    struct wire *w;

    make_sub(share, "sys");
    mount_at(share, "sys", "sysfs", "sysfs", 0);
    w = start_on(share, NULL);
    is_out_of_reach(w, walk(w, "sys/kernel/uevent_seqnum"));
    is_out_of_reach(w, walk(w, "sys/kernel/mm/ksm/run"));
    wire_alive(w);
    end_share(share, (const char *const[]){"sys", NULL});
}

static void test_proc_itself_as_the_share_opens_no_file(void **state)
{
    MOUNTING();
    struct wire *w = start_on("/proc", NULL);

    is_out_of_reach(w, walk(w, "sys/kernel/core_pattern"));
    is_out_of_reach(w, walk(w, "version"));
    wire_alive(w);
}

/* ---- ordinary mounts --------------------------------------------------------------------------- */

static void test_a_mount_in_the_share_belongs_to_it_and_dotdot_leads_back(void **state)
{
    MOUNTING();
    char *share = make_share();
    struct wire *w;
    struct fuse_entry_out e;
    uint64_t sub, fh;

    make_sub(share, "sub");
    mount_at(share, "sub", "tmpfs", "inner", 0);
    w = start_on(share, NULL);
    sub = node(w, FC_ROOT, "sub");
    assert_ok(fc_create(&w->c, sub, "file", O_RDWR, 0644, &e, &fh));
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, "x", 1, 0), 1);
    assert_ok(fc_release(&w->c, e.nodeid, fh));
    assert_int_equal(node(w, sub, ".."), FC_ROOT);
    assert_errno(fc_rename(&w->c, sub, "file", FC_ROOT, "file", 0), EXDEV);
    assert_errno(fc_link(&w->c, e.nodeid, FC_ROOT, "file", &e), EXDEV);
    assert_true(fc_rmdir(&w->c, FC_ROOT, "sub") < 0);
    end_share(share, (const char *const[]){"sub", NULL});
}

static void test_dotdot_of_a_bind_mount_does_not_lead_to_its_origin(void **state)
{
    MOUNTING();
    char *share = make_share(), outside[64], path[PATH_MAX];
    struct wire *w;
    struct fuse_entry_out e;
    uint64_t sub;

    strcpy(outside, "/tmp/viofs-origin-XXXXXX");
    assert_non_null(mkdtemp(outside));
    make_sub(outside, "deep");
    make_sub(outside, "other");
    make_sub(share, "sub");
    snprintf(path, sizeof(path), "%s/deep", outside);
    mount_at(share, "sub", NULL, path, MS_BIND);
    w = start_on(share, NULL);
    sub = node(w, FC_ROOT, "sub");
    assert_int_equal(node(w, sub, ".."), FC_ROOT);
    assert_true(fc_lookup(&w->c, sub, "../other", &e) < 0);
    assert_errno(fc_lookup(&w->c, node(w, sub, ".."), "other", &e), ENOENT);
    end_share(share, (const char *const[]){"sub", NULL});
    end_share(outside, (const char *const[]){"deep", "other", NULL});
}

static void test_device_nodes_on_a_mount_in_the_share_are_not_opened(void **state)
{
    MOUNTING();
    char *share = make_share();
    struct wire *w;
    uint64_t fh;

    make_sub(share, "dev");
    mount_at(share, "dev", "devtmpfs", "devtmpfs", 0);
    w = start_on(share, NULL);
    assert_errno(fc_open_file(&w->c, walk(w, "dev/null"), O_RDWR, &fh), ENXIO);
    assert_errno(fc_open_file(&w->c, walk(w, "dev/zero"), O_RDONLY, &fh), ENXIO);
    end_share(share, (const char *const[]){"dev", NULL});
}

static void test_controls_cannot_be_changed(void **state)
{
    MOUNTING();
    char *share = make_share();
    struct fuse_setattr_in owner = {.valid = FATTR_UID, .uid = 1000};
    struct fuse_entry_out e;
    struct wire *w;
    uint64_t id;

    make_sub(share, "sys");
    mount_at(share, "sys", "sysfs", "sysfs", 0);
    w = start_on(share, NULL);
    id = walk(w, "sys/kernel/uevent_seqnum");
    assert_errno(fc_chmod(&w->c, id, 0666), EROFS);
    assert_errno(fc_setattr(&w->c, id, &owner, NULL), EROFS);
    assert_errno(fc_mkdir(&w->c, walk(w, "sys/fs"), "new", 0755, &e), EROFS);
    assert_errno(fc_rmdir(&w->c, walk(w, "sys/fs"), "cgroup"), EROFS);
    end_share(share, (const char *const[]){"sys", NULL});
}

/* ---- what leaves the share --------------------------------------------------------------------- */

static void test_a_name_shows_what_is_under_it_once_its_mount_is_gone(void **state)
{
    MOUNTING();
    char *share = make_share(), path[PATH_MAX];
    struct wire *w;
    struct fuse_entry_out e;

    make_sub(share, "sub");
    mount_at(share, "sub", "tmpfs", "inner", 0);
    snprintf(path, sizeof(path), "%s/sub", share);
    make_sub(share, "sub/dir");
    w = start_on(share, NULL);
    assert_ok(fc_lookup_path(&w->c, "sub/dir", &e));
    assert_ok(umount2(path, MNT_DETACH));
    assert_errno(fc_lookup_path(&w->c, "sub/dir", &e), ENOENT);
    wire_alive(w);
    end_share(share, (const char *const[]){"sub", NULL});
}

/*
 * A directory that the host moves out of the share stays what it is to a guest that knows it, as it
 * does to any process that has it open, or to an NFS client (no_subtree_check). But it is no way to
 * anything beside or above it.
 */
static void directory_moved_out(const char *handles)
{
    struct wire *w = wire_up(handles);
    struct fuse_entry_out e;
    uint64_t dir, deep;

    prize_make(w);
    host_mkdir(w, "dir");
    host_mkdir(w, "dir/deep");
    dir = node(w, FC_ROOT, "dir");
    deep = node(w, dir, "deep");
    assert_ok(rename(host(w, "dir"), prize(w, "dir")));
    if (fc_lookup(&w->c, deep, "..", &e) == 0)
        assert_int_equal(e.nodeid, dir);
    if (fc_lookup(&w->c, dir, "..", &e) == 0)
        assert_int_equal(e.nodeid, FC_ROOT);
    assert_true(fc_lookup(&w->c, dir, "secret", &e) < 0);
    assert_true(fc_lookup(&w->c, dir, "../secret", &e) < 0);
    assert_true(fc_rename(&w->c, dir, "deep", FC_ROOT, "../room", 0) < 0);
    assert_ok(rename(prize(w, "dir"), host(w, "dir")));
    assert_ok(utimensat(AT_FDCWD, prize(w, ""),
                        (struct timespec[2]){{.tv_sec = 1000000000}, {.tv_sec = 1000000000}}, 0));
    prize_untouched(w);
}

static void test_a_directory_that_the_host_moves_out_is_no_way_out(void **state)
{
    (void)state;
    directory_moved_out("--inode-file-handles=never");
    directory_moved_out("--inode-file-handles=prefer");
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_files_of_a_proc_in_the_share_are_not_opened),
    WIRE_TEST(test_files_of_a_proc_that_is_mounted_later_are_not_opened),
    WIRE_TEST(test_files_of_sysfs_in_the_share_are_not_opened),
    WIRE_TEST(test_proc_itself_as_the_share_opens_no_file),
    WIRE_TEST(test_a_mount_in_the_share_belongs_to_it_and_dotdot_leads_back),
    WIRE_TEST(test_dotdot_of_a_bind_mount_does_not_lead_to_its_origin),
    WIRE_TEST(test_device_nodes_on_a_mount_in_the_share_are_not_opened),
    WIRE_TEST(test_controls_cannot_be_changed),
    WIRE_TEST(test_a_name_shows_what_is_under_it_once_its_mount_is_gone),
    WIRE_TEST(test_a_directory_that_the_host_moves_out_is_no_way_out),
};
WIRE_MAIN("escape_mounts", tests)
