// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_replay.c - a worker ends right before or right after the system call of a request, and the next one serves the
 * request again (see replay_rig.h)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "conf.h"
#include "host/log.h"
#include "server/dispatch.h"
#include "server/request.h"
#include "tests/unit/replay_rig.h"

/* ---- making ------------------------------------------------------------------------------------ */

static struct request ask_mkdir(const struct world *w)
{
    const struct fuse_mkdir_in in = {.mode = 0755};
    struct request r = request(FUSE_MKDIR, 1);

    (void)w;
    put(&r, &in, sizeof(in));
    put_text(&r, "made");
    return r;
}
static const struct attempt mkdir_attempt = {.ask = ask_mkdir, .call = MKDIR};

static void test_a_directory_is_made_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &mkdir_attempt, AFTER), 0);
    assert_true(exists(w, "made"));
}

static void test_a_directory_that_was_not_made_yet_is_made(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &mkdir_attempt, BEFORE), 0);
    assert_true(exists(w, "made"));
}

static void test_a_directory_that_was_there_before_is_an_error(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdirat(w->fd, "made", 0755), 0);
    past_the_clock_tick();
    assert_int_equal(outcome(w, &mkdir_attempt, BEFORE), -EEXIST);
}

static void test_a_directory_that_is_not_empty_was_made_by_somebody_else(void **state)
{
    struct world *w = *state;

    end_first(w, &mkdir_attempt, BEFORE);
    assert_int_equal(mkdirat(w->fd, "made", 0755), 0);
    assert_int_equal(mkdirat(w->fd, "made/below", 0755), 0);
    assert_int_equal(next_worker(w, &mkdir_attempt), -EEXIST);
}

static struct request ask_mknod(const struct world *w)
{
    const struct fuse_mknod_in in = {.mode = S_IFREG | 0644};
    struct request r = request(FUSE_MKNOD, 1);

    (void)w;
    put(&r, &in, sizeof(in));
    put_text(&r, "made");
    return r;
}
static const struct attempt mknod_attempt = {.ask = ask_mknod, .call = MKNOD};

static void test_a_node_is_made_once(void **state)
{
    assert_int_equal(outcome(*state, &mknod_attempt, AFTER), 0);
}

static void test_a_node_of_another_kind_was_made_by_somebody_else(void **state)
{
    struct world *w = *state;

    end_first(w, &mknod_attempt, BEFORE);
    assert_int_equal(mkdirat(w->fd, "made", 0755), 0);
    assert_int_equal(next_worker(w, &mknod_attempt), -EEXIST);
}

static struct request ask_symlink(const struct world *w)
{
    struct request r = request(FUSE_SYMLINK, 1);

    (void)w;
    put_text(&r, "made");
    put_text(&r, "some/target");
    return r;
}
static const struct attempt symlink_attempt = {.ask = ask_symlink, .call = SYMLINK};

static void test_a_symlink_is_made_once(void **state)
{
    assert_int_equal(outcome(*state, &symlink_attempt, AFTER), 0);
}

static void test_a_symlink_to_elsewhere_was_made_by_somebody_else(void **state)
{
    struct world *w = *state;

    end_first(w, &symlink_attempt, BEFORE);
    assert_int_equal(symlinkat("elsewhere", w->fd, "made"), 0);
    assert_int_equal(next_worker(w, &symlink_attempt), -EEXIST);
}

static struct request ask_create(const struct world *w)
{
    const struct fuse_create_in in = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0644};
    struct request r = request(FUSE_CREATE, 1);

    (void)w;
    put(&r, &in, sizeof(in));
    put_text(&r, "made");
    return r;
}
static const struct attempt create_attempt = {.ask = ask_create, .call = OPEN};

static void test_a_file_is_created_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &create_attempt, AFTER), 0);
    assert_true(exists(w, "made"));
}

static void test_a_file_with_something_in_it_was_created_by_somebody_else(void **state)
{
    struct world *w = *state;

    end_first(w, &create_attempt, BEFORE);
    host_file(w, "made", "mine");
    assert_int_equal(next_worker(w, &create_attempt), -EEXIST);
    has_text(w, "made", "mine");
}

static void one_file(struct world *w)
{
    host_file(w, "one", "first");
    past_the_clock_tick();
}

static void learn_one(struct world *w)
{
    w->s->node = look_up(w, "one");
}

static struct request ask_link(const struct world *w)
{
    const struct fuse_link_in in = {.oldnodeid = w->s->node};
    struct request r = request(FUSE_LINK, 1);

    put(&r, &in, sizeof(in));
    put_text(&r, "made");
    return r;
}
static const struct attempt link_attempt = {one_file, learn_one, ask_link, LINK};

static void test_a_link_is_made_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &link_attempt, AFTER), 0);
    has_text(w, "made", "first");
}

static void test_a_link_that_was_there_before_is_an_error(void **state)
{
    struct world *w = *state;

    host_file(w, "one", "first");
    assert_int_equal(linkat(w->fd, "one", w->fd, "made", 0), 0);
    past_the_clock_tick();
    const struct attempt a = {NULL, learn_one, ask_link, LINK};
    assert_int_equal(outcome(w, &a, BEFORE), -EEXIST);
}

/* ---- removing and moving ----------------------------------------------------------------------- */

static struct request ask_unlink(const struct world *w)
{
    struct request r = request(FUSE_UNLINK, 1);

    (void)w;
    put_text(&r, "one");
    return r;
}
static const struct attempt unlink_attempt = {one_file, learn_one, ask_unlink, UNLINK};

static void test_a_name_is_removed_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &unlink_attempt, AFTER), 0);
    assert_false(exists(w, "one"));
}

static void test_a_name_that_was_not_removed_yet_is_removed(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &unlink_attempt, BEFORE), 0);
    assert_false(exists(w, "one"));
}

static void test_a_name_that_shows_something_else_by_now_is_left(void **state)
{
    struct world *w = *state;

    end_first(w, &unlink_attempt, AFTER);
    host_file(w, "one", "another");
    assert_int_equal(next_worker(w, &unlink_attempt), 0);
    has_text(w, "one", "another");
}

static void test_a_name_that_was_never_there_is_an_error(void **state)
{
    const struct attempt a = {.ask = ask_unlink, .call = UNLINK};

    assert_int_equal(outcome(*state, &a, AFTER), -ENOENT);
}

static void two_files(struct world *w)
{
    host_file(w, "one", "first");
    host_file(w, "two", "second");
}

static struct request rename_request(const char *from, const char *to, uint32_t flags)
{
    const struct fuse_rename2_in in = {.newdir = 1, .flags = flags};
    struct request r = request(FUSE_RENAME2, 1);

    put(&r, &in, sizeof(in));
    put_text(&r, from);
    put_text(&r, to);
    return r;
}

static struct request ask_rename(const struct world *w)
{
    (void)w;
    return rename_request("one", "two", 0);
}
static const struct attempt rename_attempt = {two_files, learn_one, ask_rename, RENAME};

static void test_a_rename_is_done_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &rename_attempt, AFTER), 0);
    assert_false(exists(w, "one"));
    has_text(w, "two", "first");
}

static void test_a_rename_that_was_not_done_yet_is_done(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &rename_attempt, BEFORE), 0);
    assert_false(exists(w, "one"));
    has_text(w, "two", "first");
}

static void test_a_new_file_under_the_old_name_is_not_renamed(void **state)
{
    struct world *w = *state;

    end_first(w, &rename_attempt, AFTER);
    host_file(w, "one", "new");
    assert_int_equal(next_worker(w, &rename_attempt), 0);
    has_text(w, "one", "new");
    has_text(w, "two", "first");
}

static void test_a_rename_that_nobody_can_tell_of_is_an_error(void **state)
{
    struct world *w = *state;

    end_first(w, &rename_attempt, BEFORE);
    assert_int_equal(unlinkat(w->fd, "one", 0), 0);
    assert_int_equal(next_worker(w, &rename_attempt), -EIO);
    has_text(w, "two", "second");
}

static struct request ask_exchange(const struct world *w)
{
    (void)w;
    return rename_request("one", "two", RENAME_EXCHANGE);
}
static const struct attempt exchange_attempt = {two_files, learn_one, ask_exchange, RENAME};

static void test_an_exchange_is_done_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &exchange_attempt, AFTER), 0);
    has_text(w, "one", "second");
    has_text(w, "two", "first");
}

static void test_an_exchange_that_was_not_done_yet_is_done(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &exchange_attempt, BEFORE), 0);
    has_text(w, "one", "second");
    has_text(w, "two", "first");
}

static struct request ask_noreplace(const struct world *w)
{
    (void)w;
    return rename_request("one", "new", RENAME_NOREPLACE);
}
static const struct attempt noreplace_attempt = {one_file, learn_one, ask_noreplace, RENAME};

static void test_a_rename_to_a_name_that_must_not_be_is_done_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &noreplace_attempt, AFTER), 0);
    has_text(w, "new", "first");
}

/* ---- contents ------------------------------------------------------------------------------------ */

static void learn_append(struct world *w)
{
    w->s->node = look_up(w, "one");
    w->s->fh = open_node(w, w->s->node, O_WRONLY | O_APPEND);
}

static struct request ask_append(const struct world *w)
{
    const struct fuse_write_in in = {.fh = w->s->fh, .size = 6};
    struct request r = request(FUSE_WRITE, w->s->node);

    put(&r, &in, sizeof(in));
    put(&r, "-added", 6);
    return r;
}
static const struct attempt append_attempt = {one_file, learn_append, ask_append, PWRITEV2};

static uint32_t written(const struct world *w)
{
    struct fuse_write_out out;

    memcpy(&out, w->s->reply + sizeof(struct fuse_out_header), sizeof(out));
    return out.size;
}

static void test_bytes_are_appended_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &append_attempt, AFTER), 0);
    assert_int_equal(written(w), 6);
    has_text(w, "one", "first-added");
}

static void test_bytes_that_were_not_appended_yet_are(void **state)
{
    struct world *w = *state;

    assert_int_equal(outcome(w, &append_attempt, BEFORE), 0);
    has_text(w, "one", "first-added");
}

static void test_what_is_missing_of_the_bytes_is_appended(void **state)
{
    struct world *w = *state;

    end_first(w, &append_attempt, BEFORE);
    host_file(w, "one", "first-ad");
    assert_int_equal(next_worker(w, &append_attempt), 0);
    assert_int_equal(written(w), 6);
    has_text(w, "one", "first-added");
}

static void test_bytes_behind_which_somebody_else_wrote_are_an_error(void **state)
{
    struct world *w = *state;

    end_first(w, &append_attempt, AFTER);
    host_file(w, "one", "first-added-more");
    assert_int_equal(next_worker(w, &append_attempt), -EIO);
    has_text(w, "one", "first-added-more");
}

/* ---- attributes, closing, forgetting ---------------------------------------------------------------- */

static struct request ask_setxattr(const struct world *w)
{
    const struct {
        uint32_t size, flags;
    } in = {5, XATTR_CREATE};
    struct request r = request(FUSE_SETXATTR, w->s->node);

    put(&r, &in, sizeof(in));
    put_text(&r, "user.note");
    put(&r, "value", 5);
    return r;
}

static void one_file_with_attributes(struct world *w)
{
    one_file(w);
    int fd = openat(w->fd, "one", O_RDONLY | O_CLOEXEC);
    if (fsetxattr(fd, "user.note", "value", 5, 0) < 0) {
        close(fd);
        skip(); /* tmpfs of Linux before 6.6 has no user.* */
    }
    close(fd);
}

static void one_file_with_room_for_attributes(struct world *w)
{
    one_file_with_attributes(w);
    int fd = openat(w->fd, "one", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fremovexattr(fd, "user.note"), 0);
    close(fd);
}
static const struct attempt setxattr_attempt = {one_file_with_room_for_attributes, learn_one,
                                                ask_setxattr, SETXATTR};

static void test_an_attribute_is_created_once(void **state)
{
    assert_int_equal(outcome(*state, &setxattr_attempt, AFTER), 0);
}

static struct request ask_removexattr(const struct world *w)
{
    struct request r = request(FUSE_REMOVEXATTR, w->s->node);

    put_text(&r, "user.note");
    return r;
}

static const struct attempt removexattr_attempt = {one_file_with_attributes, learn_one,
                                                   ask_removexattr, REMOVEXATTR};

static void test_an_attribute_is_removed_once(void **state)
{
    assert_int_equal(outcome(*state, &removexattr_attempt, AFTER), 0);
}

static struct request ask_release(const struct world *w)
{
    const struct fuse_release_in in = {.fh = w->s->fh};
    struct request r = request(FUSE_RELEASE, w->s->node);

    put(&r, &in, sizeof(in));
    return r;
}

static void test_a_handle_is_released_once(void **state)
{
    struct world *w = *state;
    const struct attempt a = {.ask = ask_release};

    one_file(w);
    pid_t worker = keep_rig_fork(w->keep);
    if (worker == 0) {
        start(w);
        init(w);
        learn_append(w);
        ask(w, ask_release(w));
        raise(SIGKILL);
    }
    assert_true(WIFSIGNALED(keep_rig_wait(w->keep, worker)));
    assert_int_equal(next_worker(w, &a), 0);
}

static void test_a_forget_is_answered_before_it_counts(void **state)
{
    struct world *w = *state;

    one_file(w);
    pid_t worker = keep_rig_fork(w->keep);
    if (worker == 0) {
        start(w);
        init(w);
        learn_one(w);
        const struct fuse_forget_in in = {.nlookup = 1};
        struct request r = request(FUSE_FORGET, w->s->node);
        put(&r, &in, sizeof(in));
        w->s->record.state = VU_RECORD_TAKEN;
        serve(w, &r, &w->s->record);
        raise(SIGKILL);
    }
    assert_true(WIFSIGNALED(keep_rig_wait(w->keep, worker)));
    assert_int_equal(w->s->record.state, VU_RECORD_ANSWERED);
    assert_int_equal(w->s->record.len, 0);
}

/* ---- what goes on ------------------------------------------------------------------------------------ */

static struct request ask_read(const struct world *w)
{
    const struct fuse_read_in in = {.fh = w->s->fh, .size = 64};
    struct request r = request(FUSE_READ, w->s->node);

    put(&r, &in, sizeof(in));
    return r;
}

/* A worker that is killed between two requests, and what a READ of the next one returns. */
static int read_by_the_next(struct world *w, void (*before)(struct world *w))
{
    const struct attempt a = {.ask = ask_read};

    one_file(w);
    pid_t worker = keep_rig_fork(w->keep);
    if (worker == 0) {
        start(w);
        init(w);
        before(w);
        raise(SIGKILL);
    }
    assert_true(WIFSIGNALED(keep_rig_wait(w->keep, worker)));
    return next_worker(w, &a);
}

static void is_read(const struct world *w, const char *text)
{
    assert_memory_equal(w->s->reply + sizeof(struct fuse_out_header), text, strlen(text));
}

static void open_one(struct world *w)
{
    w->s->node = look_up(w, "one");
    w->s->fh = open_node(w, w->s->node, O_RDWR);
}

static void test_an_open_file_is_read_by_the_next_worker(void **state)
{
    struct world *w = *state;

    assert_int_equal(read_by_the_next(w, open_one), 0);
    is_read(w, "first");
}

static void open_and_unlink(struct world *w)
{
    open_one(w);
    ask(w, ask_unlink(w));
}

static void test_an_open_file_without_a_name_is_read_by_the_next_worker(void **state)
{
    struct world *w = *state;

    assert_int_equal(read_by_the_next(w, open_and_unlink), 0);
    is_read(w, "first");
    assert_false(exists(w, "one"));
}

static void open_temporary(struct world *w)
{
    const struct fuse_create_in in = {.flags = O_RDWR, .mode = 0};
    struct request r = request(FUSE_TMPFILE, 1);

    put(&r, &in, sizeof(in));
    put_text(&r, "");
    const struct fuse_entry_out *entry = ask(w, r);
    w->s->node = entry->nodeid;
    w->s->fh = ((const struct fuse_open_out *)(const void *)(entry + 1))->fh;
    const struct fuse_write_in write_in = {.fh = w->s->fh, .size = 4};
    r = request(FUSE_WRITE, w->s->node);
    put(&r, &write_in, sizeof(write_in));
    put(&r, "temp", 4);
    ask(w, r);
}

static void test_a_file_that_never_had_a_name_is_read_by_the_next_worker(void **state)
{
    struct world *w = *state;

    assert_int_equal(read_by_the_next(w, open_temporary), 0);
    is_read(w, "temp");
}

static void lock_one(struct world *w)
{
    open_one(w);
    const struct fuse_lk_in in = {
        .fh = w->s->fh, .owner = 5, .lk = {.end = 99, .type = F_WRLCK, .pid = 3}};
    struct request r = request(FUSE_SETLK, w->s->node);
    put(&r, &in, sizeof(in));
    ask(w, r);
    const struct fuse_lk_in whole = {
        .fh = w->s->fh, .owner = 6, .lk = {.type = F_WRLCK}, .lk_flags = FUSE_LK_FLOCK};
    r = request(FUSE_SETLK, w->s->node);
    put(&r, &whole, sizeof(whole));
    ask(w, r);
}

static void test_locks_are_held_while_there_is_no_worker(void **state)
{
    struct world *w = *state;
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};

    assert_int_equal(read_by_the_next(w, lock_one), 0);
    int fd = openat(w->fd, "one", O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), -1);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    close(fd);
    const struct attempt release = {.ask = ask_release};
    assert_int_equal(next_worker(w, &release), 0);
    fd = openat(w->fd, "one", O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(test_a_directory_is_made_once),
        TEST(test_a_directory_that_was_not_made_yet_is_made),
        TEST(test_a_directory_that_was_there_before_is_an_error),
        TEST(test_a_directory_that_is_not_empty_was_made_by_somebody_else),
        TEST(test_a_node_is_made_once),
        TEST(test_a_node_of_another_kind_was_made_by_somebody_else),
        TEST(test_a_symlink_is_made_once),
        TEST(test_a_symlink_to_elsewhere_was_made_by_somebody_else),
        TEST(test_a_file_is_created_once),
        TEST(test_a_file_with_something_in_it_was_created_by_somebody_else),
        TEST(test_a_link_is_made_once),
        TEST(test_a_link_that_was_there_before_is_an_error),
        TEST(test_a_name_is_removed_once),
        TEST(test_a_name_that_was_not_removed_yet_is_removed),
        TEST(test_a_name_that_shows_something_else_by_now_is_left),
        TEST(test_a_name_that_was_never_there_is_an_error),
        TEST(test_a_rename_is_done_once),
        TEST(test_a_rename_that_was_not_done_yet_is_done),
        TEST(test_a_new_file_under_the_old_name_is_not_renamed),
        TEST(test_a_rename_that_nobody_can_tell_of_is_an_error),
        TEST(test_an_exchange_is_done_once),
        TEST(test_an_exchange_that_was_not_done_yet_is_done),
        TEST(test_a_rename_to_a_name_that_must_not_be_is_done_once),
        TEST(test_bytes_are_appended_once),
        TEST(test_bytes_that_were_not_appended_yet_are),
        TEST(test_what_is_missing_of_the_bytes_is_appended),
        TEST(test_bytes_behind_which_somebody_else_wrote_are_an_error),
        TEST(test_an_attribute_is_created_once),
        TEST(test_an_attribute_is_removed_once),
        TEST(test_a_handle_is_released_once),
        TEST(test_a_forget_is_answered_before_it_counts),
        TEST(test_an_open_file_is_read_by_the_next_worker),
        TEST(test_an_open_file_without_a_name_is_read_by_the_next_worker),
        TEST(test_a_file_that_never_had_a_name_is_read_by_the_next_worker),
        TEST(test_locks_are_held_while_there_is_no_worker),
    };
    log_threshold = LOG_OFF_;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
