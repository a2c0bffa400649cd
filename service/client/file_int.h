// SPDX-License-Identifier: BSD-3-Clause
/*
 * file_int.h - what file.c and io.c share: the open handles of a node
 *
 * See file.c for who owns what.
 */
#ifndef VIOFS_CLIENT_FILE_INT_H
#define VIOFS_CLIENT_FILE_INT_H

#include "service/client/client_int.h"

struct cli_file {
    struct cli_node *node; /* a reference */
    uint32_t access;       /* enum cli_access: what its opener asked for */
};

/* What a handle is wanted for. */
enum cli_purpose {
    CLI_FOR_READ,
    CLI_FOR_WRITE,
    CLI_FOR_APPEND, /* opened with O_APPEND: the host puts each WRITE at the end of the file */
    CLI_PURPOSES
};

/* A FUSE handle of a file. Whoever holds one keeps it from being released. */
struct cli_open {
    struct cli_node *node; /* a reference */
    uint64_t fh;
    uint32_t session;
    uint32_t access; /* enum cli_access: what it can be used for */
    atomic_uint holders;
    atomic_bool
        unknown; /* the host says EBADF in a session that it knows: not used for anything new */

    /* CLI_FOR_APPEND: appends go one after the other, in the order they came (io.c). node->lock */
    bool appending;
    struct cli_link appends; /* those that wait */
};

/**
 * cli_open_hold() - a handle for a purpose, opened if the node has none [0 or 1, another if O_RDWR is refused]
 * @n: has at least one struct cli_file
 *
 * Return: 0 with a handle of the live session, to be given back by cli_open_drop(); -errno.
 */
int cli_open_hold(struct cli *c, struct cli_node *n, enum cli_purpose purpose,
                  struct cli_open **out);
/** cli_open_hold_now() - the same, but -LE_ENOTCONN when the session ends, instead of patience */
int cli_open_hold_now(struct cli *c, struct cli_node *n, enum cli_purpose purpose,
                      struct cli_open **out);

/** cli_open_drop() - the last holder's drop sends RELEASE, which is not waited for */
void cli_open_drop(struct cli *c, struct cli_open *o);

#endif
