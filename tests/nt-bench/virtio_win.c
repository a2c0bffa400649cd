// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio_win.c - the device as virtio-win's driver would show it
 *
 * Ownership: none.   Locks: `line`, a leaf.
 */
#include "tests/nt-bench/virtio_win.h"

#include <pthread.h>
#include <stdbool.h>

#include "abi/viofs_ioctl.h"

#define MIN_REQUEST 40u /* fuse_in_header */
#define MIN_REPLY   16u /* fuse_out_header */
#define MAX_PIECES  1024u
#define PIECE       4096u

#define NT_UNSUCCESSFUL     0xC0000001u
#define NT_INVALID_REQUEST  0xC0000010u
#define NT_BUFFER_TOO_SMALL 0xC0000023u

static struct {
    pthread_mutex_t lock;
    pthread_cond_t free;
    bool busy;
} line = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static uint32_t pieces(uint32_t len)
{
    return (len + PIECE - 1) / PIECE;
}

uint32_t virtio_win_refuses(uint32_t code, uint32_t in_len, uint32_t out_len)
{
    uint32_t min_out = MIN_REPLY;

    switch (code) {
    case IOCTL_VIRTFS_GET_VOLUME_NAME:
        return 0;
    case IOCTL_VIRTFS_FUSE_REQUEST_READ:
        min_out = sizeof(struct viofs_read_by_pointer);
        break;
    case IOCTL_VIRTFS_FUSE_REQUEST:
        break;
    default:
        return NT_INVALID_REQUEST;
    }
    if (in_len < MIN_REQUEST || out_len < min_out)
        return NT_BUFFER_TOO_SMALL;
    return pieces(in_len) + pieces(out_len) > MAX_PIECES ? NT_UNSUCCESSFUL : 0;
}

void virtio_win_begin(void)
{
    pthread_mutex_lock(&line.lock);
    while (line.busy)
        pthread_cond_wait(&line.free, &line.lock);
    line.busy = true;
    pthread_mutex_unlock(&line.lock);
}

void virtio_win_end(void)
{
    pthread_mutex_lock(&line.lock);
    line.busy = false;
    pthread_cond_signal(&line.free);
    pthread_mutex_unlock(&line.lock);
}
