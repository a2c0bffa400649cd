// SPDX-License-Identifier: BSD-3-Clause
/*
 * wire.h - AF_UNIX stream sockets, whole messages; for both ends of serve.h. No Windows header may be needed here.
 */
#ifndef VIOFS_NT_BENCH_WIRE_H
#define VIOFS_NT_BENCH_WIRE_H

#include <stddef.h>

/** wire_listen() - an old socket file is replaced. Return: descriptor, or -errno */
int wire_listen(const char *path);
/** wire_connect() - Return: descriptor, or -errno */
int wire_connect(const char *path);
/** wire_send() - all of the pieces (empty ones may be NULL), in one go. Return: 0 or -errno */
int wire_send(int fd, const void *first, size_t n, const void *second, size_t m, const void *third,
              size_t o);
/** wire_receive() - all of @n bytes. Return: 0; -ECONNRESET when they do not come; -errno */
int wire_receive(int fd, void *bytes, size_t n);

#endif
