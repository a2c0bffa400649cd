// SPDX-License-Identifier: BSD-3-Clause
/*
 * escape_special.c - device nodes, FIFOs and sockets are names with attributes, never opened
 */
#include "tests/sandbox/escape.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define DEV_NULL makedev(1, 3)
#define DEV_MEM  makedev(1, 1)

/* Requests that would have to open @id; none may succeed, or block. */
static void cannot_be_opened(struct wire *w, uint64_t id)
{
    char text[16];
    uint64_t fh;

    assert_errno(fc_open_file(&w->c, id, O_RDONLY, &fh), ENXIO);
    assert_errno(fc_open_file(&w->c, id, O_WRONLY, &fh), ENXIO);
    assert_errno(fc_open_file(&w->c, id, O_RDWR | O_TRUNC, &fh), ENXIO);
    assert_true(fc_opendir(&w->c, id, &fh) < 0);
    assert_true(fc_truncate(&w->c, id, 0) < 0);
    assert_true(read_node(w, id, text, sizeof(text)) < 0);
    wire_alive(w);
}

static void cannot_be_created_over(struct wire *w, const char *name)
{
    struct fuse_entry_out e;
    uint64_t fh;

    assert_true(fc_create(&w->c, FC_ROOT, name, O_RDWR, 0644, &e, &fh) < 0);
    assert_true(fc_create(&w->c, FC_ROOT, name, O_WRONLY | O_TRUNC, 0644, &e, &fh) < 0);
    assert_true(fc_create(&w->c, FC_ROOT, name, O_RDWR | O_EXCL, 0644, &e, &fh) < 0);
    wire_alive(w);
}

static void test_device_nodes_of_the_host_are_not_opened(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(mknod(host(w, "null"), S_IFCHR | 0666, DEV_NULL));
    assert_ok(mknod(host(w, "mem"), S_IFCHR | 0600, DEV_MEM));
    assert_ok(mknod(host(w, "disk"), S_IFBLK | 0600, makedev(7, 0)));
    assert_ok(fc_lookup(&w->c, FC_ROOT, "null", &e));
    assert_true(S_ISCHR(e.attr.mode));
    cannot_be_opened(w, e.nodeid);
    cannot_be_opened(w, node(w, FC_ROOT, "mem"));
    cannot_be_opened(w, node(w, FC_ROOT, "disk"));
    cannot_be_created_over(w, "null");
    cannot_be_created_over(w, "mem");
    cannot_be_created_over(w, "disk");
}

static void test_device_nodes_of_the_guest_are_not_opened(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    /* CVE-2020-35517 */
    assert_ok(fc_mknod(&w->c, FC_ROOT, "mem", S_IFCHR | 0666, (uint32_t)DEV_MEM, &e));
    assert_true(S_ISCHR(host_stat(w, "mem").st_mode));
    cannot_be_opened(w, e.nodeid);
    cannot_be_created_over(w, "mem");
    assert_ok(fc_mknod(&w->c, FC_ROOT, "disk", S_IFBLK | 0666, (uint32_t)makedev(8, 0), &e));
    cannot_be_opened(w, e.nodeid);
    /* a hard link to it is no other */
    assert_ok(fc_link(&w->c, e.nodeid, FC_ROOT, "disk2", &e));
    cannot_be_opened(w, e.nodeid);
}

static void test_fifos_are_not_opened_and_do_not_block(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(mkfifo(host(w, "fifo"), 0666));
    cannot_be_opened(w, node(w, FC_ROOT, "fifo"));
    cannot_be_created_over(w, "fifo");
    assert_ok(fc_mknod(&w->c, FC_ROOT, "mine", S_IFIFO | 0666, 0, &e));
    cannot_be_opened(w, e.nodeid);
}

static void test_sockets_are_not_opened(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct fuse_entry_out e;

    assert_true(snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", host(w, "sock")) <
                (int)sizeof(addr.sun_path));
    assert_ok(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
    cannot_be_opened(w, node(w, FC_ROOT, "sock"));
    cannot_be_created_over(w, "sock");
    assert_ok(fc_mknod(&w->c, FC_ROOT, "mine", S_IFSOCK | 0666, 0, &e));
    cannot_be_opened(w, e.nodeid);
    close(fd);
}

static void test_a_known_file_that_became_a_fifo_is_not_opened(void **state)
{
    (void)state;
    static const char *const modes[] = {"--inode-file-handles=never",
                                        "--inode-file-handles=prefer"};

    for (unsigned i = 0; i < ARRAY(modes); i++) {
        struct wire *w = wire_up(modes[i]);
        uint64_t fh, file;

        host_write(w, "file", "mine");
        file = node(w, FC_ROOT, "file");
        assert_ok(unlink(host(w, "file")));
        assert_ok(mkfifo(host(w, "file"), 0666));
        assert_true(fc_open_file(&w->c, file, O_RDONLY, &fh) < 0);
        assert_true(fc_truncate(&w->c, file, 0) < 0);
        wire_alive(w);
    }
}

/* ---- in a race --------------------------------------------------------------------------------- */

struct swapper {
    char a[256], b[256];
    _Atomic bool stop;
};

static void *swap(void *arg)
{
    struct swapper *s = arg;

    while (!s->stop)
        (void)!renameat2(AT_FDCWD, s->a, AT_FDCWD, s->b, 2 /* RENAME_EXCHANGE */);
    return NULL;
}

static void test_a_fifo_that_comes_and_goes_never_blocks(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct swapper s = {.stop = false};
    pthread_t thread;
    unsigned read = 0;

    host_write(w, "file", "mine");
    assert_ok(mkfifo(host(w, "fifo"), 0666));
    snprintf(s.a, sizeof(s.a), "%s", host(w, "file"));
    snprintf(s.b, sizeof(s.b), "%s", host(w, "fifo"));
    assert_ok(pthread_create(&thread, NULL, swap, &s));
    for (int i = 0; i < 3000; i++) {
        struct fuse_entry_out e;
        char text[16];
        uint64_t fh;

        if (fc_create(&w->c, FC_ROOT, "file", O_RDWR, 0644, &e, &fh) == 0) {
            assert_true(S_ISREG(e.attr.mode));
            assert_ok(fc_release(&w->c, e.nodeid, fh));
            fc_forget(&w->c, e.nodeid, 1);
        }
        if (fc_lookup(&w->c, FC_ROOT, "file", &e) < 0)
            continue;
        if (read_node(w, e.nodeid, text, sizeof(text)) == 4)
            read++;
        fc_forget(&w->c, e.nodeid, 1);
    }
    s.stop = true;
    pthread_join(thread, NULL);
    assert_true(read > 0);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_device_nodes_of_the_host_are_not_opened),
    WIRE_TEST(test_device_nodes_of_the_guest_are_not_opened),
    WIRE_TEST(test_fifos_are_not_opened_and_do_not_block),
    WIRE_TEST(test_sockets_are_not_opened),
    WIRE_TEST(test_a_known_file_that_became_a_fifo_is_not_opened),
    WIRE_TEST(test_a_fifo_that_comes_and_goes_never_blocks),
};
WIRE_MAIN("escape_special", tests)
