// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio_win.h - the device as virtio-win's driver would show it (nt-bench --serve --virtio-win)
 *
 * Theory of operation
 *
 *   virtiofs.exe also runs on the other project's driver, which cannot be run here. This stands before ours and lets
 *   through what that driver knows, as it takes it: three control codes and no question for a version; room
 *   for a reply of every request, FORGET's included; at most 1024 pieces of a page; one request after the
 *   other, whoever sends them.
 *
 *   What it does not show: that driver's way with a request that is cancelled, its READ by pointer (an address cannot
 *   be carried into this process), and that it lets several handles use one session. Behind this is our driver,
 *   which has one owner of a session.
 *
 * Source: virtio-win's interface as published, abi/viofs_ioctl.h.
 */
#ifndef VIOFS_NT_BENCH_VIRTIO_WIN_H
#define VIOFS_NT_BENCH_VIRTIO_WIN_H

#include <stdint.h>

/** virtio_win_refuses() - the NTSTATUS with which that driver ends a request at once; 0: it takes it */
uint32_t virtio_win_refuses(uint32_t code, uint32_t in_len, uint32_t out_len);

/** virtio_win_begin() - wait until no other request is with the driver */
void virtio_win_begin(void);

/** virtio_win_end() - the request of virtio_win_begin() has come back; any thread */
void virtio_win_end(void);

#endif
