// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_int.h - what the framework's files share: struct t
 */
#ifndef VIOFS_CONFORMANCE_CONF_INT_H
#define VIOFS_CONFORMANCE_CONF_INT_H

#include <setjmp.h>

#include "tests/wine/conformance/conf.h"

struct kept {
    struct kept *next;
    max_align_t bytes[];
};

struct t {
    const char *door;  /* socket */
    const char *share; /* the host's directory */
    char dir[64];      /* of the case, in the share */
    bool cached;       /* Windows keeps contents there */
    int fd;            /* connection */
    jmp_buf end;
    bool failed;
    char why[1024]; /* failed */
    struct kept *kept;
    char *mounted[4]; /* by host_tmpfs(), kept */
    struct t *others; /* made by another() */
    struct t *next;   /* in others */
    uint64_t information;
    uint8_t *data; /* of the last reply */
    uint32_t data_len, data_room;
    char path[4096];
};

/** t_open() - connect; fails the case when it cannot. t_close() - end the connection and give back memory. */
void t_open(struct t *t);
void t_close(struct t *t);
/** host_unmount() - what host_tmpfs() mounted */
void host_unmount(struct t *t);

/** to_utf16() - Return: bytes at @to. Bytes that are no UTF-8 are a failure. to_utf8() - @n bytes, terminated */
uint32_t to_utf16(struct t *t, const char *text, uint16_t *to, uint32_t room);
void to_utf8(const void *units, uint32_t n, char *to, size_t room);
/** full_name() - of a case's name, UTF-16, from the volume's root. Return: bytes */
uint32_t full_name(struct t *t, const char *name, uint16_t *to, uint32_t room);

#define NAME_ROOM 40000u /* bytes of a name in UTF-16 */

#endif
