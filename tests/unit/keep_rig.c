// SPDX-License-Identifier: BSD-3-Clause
/*
 * keep_rig.c - see keep_rig.h
 */
#include "tests/unit/keep_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KEPT_MAX 4096u

struct kept {
    uint32_t kind, index;
    int fd; /* -1: free */
};

struct keep {
    void *region[KEEP_REGIONS];
    size_t bytes[KEEP_REGIONS];
    int to, from; /* a socket: worker to test */
    bool resumes, is_worker, frozen;
    unsigned used; /* no more of what follows has been */
    struct kept at[KEPT_MAX];
};

struct message {
    uint32_t put, kind, index;
};

struct keep *keep_rig_open(void)
{
    struct keep *k = calloc(1, sizeof(*k));
    int s[2];

    assert_non_null(k);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    k->to = s[0];
    k->from = s[1];
    for (unsigned i = 0; i < KEPT_MAX; i++)
        k->at[i].fd = -1;
    /* Shared with children, which may be the first to want one: all regions, of the largest size. */
    for (unsigned r = 0; r < KEEP_REGIONS; r++) {
        k->bytes[r] = (size_t)16 << 30;
        k->region[r] = mmap(NULL, k->bytes[r], PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_true(k->region[r] != MAP_FAILED);
    }
    return k;
}

void keep_rig_close(struct keep *k)
{
    for (unsigned i = 0; i < KEPT_MAX; i++)
        if (k->at[i].fd >= 0)
            close(k->at[i].fd);
    for (unsigned r = 0; r < KEEP_REGIONS; r++)
        munmap(k->region[r], k->bytes[r]);
    close(k->to);
    close(k->from);
    free(k);
}

static struct kept *find(struct keep *k, uint32_t kind, uint32_t index, bool room)
{
    struct kept *free_one = NULL;

    for (unsigned i = 0; i < k->used; i++) {
        if (k->at[i].fd < 0)
            free_one = &k->at[i];
        else if (k->at[i].kind == kind && k->at[i].index == index)
            return &k->at[i];
    }
    if (room && !free_one && k->used < KEPT_MAX)
        free_one = &k->at[k->used++];
    return room ? free_one : NULL;
}

static void apply(struct keep *k, const struct message *m, int fd)
{
    struct kept *at = find(k, m->kind, m->index, m->put);

    if (!at) {
        assert_false(m->put);
        return;
    }
    if (at->fd >= 0)
        close(at->fd);
    *at = (struct kept){m->kind, m->index, fd};
}

static void drain(struct keep *k)
{
    struct message m;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;

    for (;;) {
        struct iovec iov = {&m, sizeof(m)};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
        if (recvmsg(k->from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
            return;
        int fd = -1;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        if (c)
            memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        apply(k, &m, fd);
    }
}

pid_t keep_rig_fork(struct keep *k)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        k->is_worker = true;
    return pid;
}

int keep_rig_wait(struct keep *k, pid_t worker)
{
    int status;

    /* What it sends must not fill the socket while it is waited for. */
    for (;;) {
        pid_t done = waitpid(worker, &status, WNOHANG);
        drain(k);
        if (done == worker)
            break;
        assert_int_equal(done, 0);
        usleep(200);
    }
    drain(k);
    return status;
}

int keep_rig_kill(struct keep *k, pid_t worker)
{
    kill(worker, SIGKILL);
    return keep_rig_wait(k, worker);
}

void keep_rig_resumes(struct keep *k, bool resumes)
{
    k->resumes = resumes;
}

void keep_rig_freeze(struct keep *k, bool freeze)
{
    k->frozen = freeze;
}

void *keep_rig_region(struct keep *k, enum keep_region region)
{
    return k->region[region];
}

void keep_rig_wipe(struct keep *k)
{
    for (unsigned i = 0; i < k->used; i++) {
        if (k->at[i].fd >= 0)
            close(k->at[i].fd);
        k->at[i].fd = -1;
    }
    k->used = 0;
    for (unsigned r = 0; r < KEEP_REGIONS; r++)
        assert_int_equal(madvise(k->region[r], k->bytes[r], MADV_REMOVE), 0);
}

unsigned keep_rig_count(const struct keep *k)
{
    unsigned n = 0;

    for (unsigned i = 0; i < KEPT_MAX; i++)
        n += k->at[i].fd >= 0;
    return n;
}

/* ---- keep.h --------------------------------------------------------------------------------- */

void *keep_map(struct keep *k, enum keep_region region, size_t bytes, uint32_t version)
{
    if (!k) {
        struct keep_head *own = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (own == MAP_FAILED)
            return NULL;
        own->bytes = bytes;
        return own;
    }
    struct keep_head *head = k->region[region];
    assert_true(bytes <= k->bytes[region]);
    if (head->magic == KEEP_MAGIC && head->version != version) {
        errno = EPROTO;
        return NULL;
    }
    *head = (struct keep_head){KEEP_MAGIC, version, bytes};
    return head;
}

void keep_unmap(struct keep *k, void *region)
{
    if (!k && region)
        munmap(region, (size_t)((struct keep_head *)region)->bytes);
}

bool keep_resumes(const struct keep *k)
{
    return k && k->resumes;
}

bool keep_lasted(const struct keep *k)
{
    (void)k;
    return false;
}

bool keep_is_supervised(const struct keep *k)
{
    return k != NULL;
}

static int send_message(struct keep *k, const struct message *m, int fd)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)m, sizeof(*m)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(k->to, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int keep_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd)
{
    struct message m = {1, kind, index};

    if (!k || k->frozen)
        return 0;
    if (k->is_worker)
        return send_message(k, &m, fd);
    apply(k, &m, fcntl(fd, F_DUPFD_CLOEXEC, 0));
    return 0;
}

void keep_drop(struct keep *k, enum keep_kind kind, uint32_t index)
{
    struct message m = {0, kind, index};

    if (k && k->is_worker)
        send_message(k, &m, -1);
    else if (k && !k->frozen)
        apply(k, &m, -1);
}

int keep_give(struct keep *k, enum keep_kind kind, uint32_t index, int fd)
{
    int err = keep_put(k, kind, index, fd);

    close(fd);
    return err;
}

void keep_close(struct keep *k, int fd)
{
    (void)k; /* it has copies */
    close(fd);
}

void keep_allow(struct keep *k, uint64_t n)
{
    (void)k;
    (void)n;
}

int keep_take(struct keep *k, enum keep_kind kind, uint32_t index)
{
    struct kept *at = k ? find(k, kind, index, false) : NULL;

    return at ? fcntl(at->fd, F_DUPFD_CLOEXEC, 0) : -1;
}
