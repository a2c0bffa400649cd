// SPDX-License-Identifier: BSD-3-Clause
/*
 * ground.h - file systems under a share that are not like a disk's: overlayfs and FUSE
 *
 * In a mount namespace of the test's own. Each has a file "low" with "lower text" from below: "base/lower" of overlayfs,
 * "base/below" of FUSE. What cannot be mounted here skips the test.
 */
#ifndef VIOFS_TESTS_GROUND_H
#define VIOFS_TESTS_GROUND_H

#include "tests/wire/wire.h"

struct ground {
    const char *base; /* a tmpfs */
    char share[64];   /* to be shared */
    char at[80];      /* where the file system is mounted: the share, or a directory in it */
    pid_t server;     /* of FUSE; 0: none */
};

/** ground_lay() - mount one; @at: "" or "/name", the place in the share */
void ground_lay(struct ground *g, const char *at, void (*mount_it)(struct ground *));
void ground_overlay(struct ground *g);
/** ground_fuse() - bindfs, which keeps no names and attributes */
void ground_fuse(struct ground *g);
/** ground_clear() - the guest's end, the daemon's, and that of what was mounted */
void ground_clear(struct ground *g, struct wire *w);

#endif
