// SPDX-License-Identifier: BSD-3-Clause
/*
 * fe_state.c - moving a guest from one daemon to another, as QEMU does in a live migration
 *
 * Theory of operation
 *
 *   The guest's memory, rings and requests in flight stay what they are; only the daemon behind them changes. So one
 *   struct fe plays both hosts: it stops its queues, asks the daemon for its state, connects to the next
 *   one, gives the state to it and starts the queues where they were.
 *
 * Ownership: the caller frees what fe_state_save() read. Locks: none; no thread may use a queue meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/frontend/frontend_internal.h"

int fe_suspend(struct fe *fe)
{
    int err = 0;

    for (unsigned q = 0; q < fe->o.queues && err == 0; q++) {
        if (fe->queue[q].running)
            err = fe_queue_stop(fe, q, &fe->queue[q].base);
    }
    return err;
}

int fe_resume(struct fe *fe)
{
    int err = 0;

    for (unsigned q = 0; q < fe->o.queues && err == 0; q++) {
        if (fe->queue[q].slots)
            err = fe_queue_resume(fe, q, fe->queue[q].base);
    }
    return err;
}

int fe_state_begin(struct fe *fe, uint32_t direction, int *fd)
{
    struct vu_state_transfer t = {.direction = direction, .phase = VU_STATE_STOPPED};
    bool save = direction == VU_STATE_SAVE;
    uint32_t request, flags;
    uint64_t answer = 0;
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -errno;
    int err = fe_vu_send(fe, VU_SET_DEVICE_STATE_FD, VU_VERSION, UINT32_MAX, &t, sizeof(t),
                         &pipes[save ? 1 : 0], 1);
    close(pipes[save ? 1 : 0]);
    int n = err ? err : fe_vu_recv(fe, &request, &flags, &answer, sizeof(answer), NULL);
    if (n == (int)sizeof(answer) && request == VU_SET_DEVICE_STATE_FD && answer == VU_STATE_NO_FD) {
        *fd = pipes[save ? 0 : 1];
        return 0;
    }
    close(pipes[save ? 0 : 1]);
    return n < 0 ? n : answer & VU_STATE_ERROR_MASK ? -EREMOTEIO : -EPROTO;
}

int fe_state_check(struct fe *fe)
{
    uint64_t failed = 0;
    int err = fe_vu_get_u64(fe, VU_CHECK_DEVICE_STATE, &failed);

    return err ? err : failed ? -EREMOTEIO : 0;
}

/* Until the daemon closes its end. */
static int read_all(int fd, int timeout_ms, uint8_t **bytes, size_t *len)
{
    size_t room = 0, n = 0;
    uint8_t *buf = NULL;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (n == room) {
            uint8_t *more = realloc(buf, room = room ? room * 2 : 65536);
            if (!more)
                break;
            buf = more;
        }
        if (poll(&p, 1, timeout_ms) <= 0)
            break;
        ssize_t got = read(fd, buf + n, room - n);
        if (got < 0)
            break;
        if (got == 0) {
            *bytes = buf;
            *len = n;
            return 0;
        }
        n += (size_t)got;
    }
    free(buf);
    return -ETIMEDOUT;
}

int fe_state_save(struct fe *fe, uint8_t **bytes, size_t *len)
{
    int fd, err = fe_state_begin(fe, VU_STATE_SAVE, &fd);

    if (err < 0)
        return err;
    err = read_all(fd, fe->o.timeout_ms, bytes, len);
    close(fd);
    if (err < 0)
        return err;
    err = fe_state_check(fe);
    if (err < 0) {
        free(*bytes);
        *bytes = NULL;
    }
    return err;
}

int fe_state_load(struct fe *fe, const uint8_t *bytes, size_t len)
{
    int fd, err = fe_state_begin(fe, VU_STATE_LOAD, &fd);

    if (err < 0)
        return err;
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, bytes + done, len - done);
        if (n < 0)
            break; /* it has given up: the check says so */
        done += (size_t)n;
    }
    close(fd);
    return fe_state_check(fe);
}

int fe_move(struct fe *fe, const char *socket_path)
{
    fe_hang_up(fe);
    int err = fe_dial(fe, socket_path);
    return err ? err : fe_handshake(fe);
}
