// SPDX-License-Identifier: BSD-3-Clause
/*
 * space.h - how much room a share has, as statfs(2) tells it
 */
#ifndef VIOFS_SPACE_H
#define VIOFS_SPACE_H

#include <sys/statfs.h>

#include "conf.h"
#include "host/stats.h"

struct space {
    const struct conf *conf; /* borrowed */
    int root_fd;             /* the shared directory; borrowed */
    int whole_fd; /* a file without a name, for the numbers of the whole file system; or -1 */
};

/** space_open() - for the directory (or file) @root_fd; inside the sandbox */
void space_open(struct space *sp, const struct conf *conf, int root_fd);
void space_close(struct space *sp);

/** space_gauges() - numbers for statistics, where there are limits. Return: 0 or -errno. */
int space_gauges(struct space *sp, struct stats *stats);

/** space_of() - what a guest is told of @s, statfs of any file in the share */
void space_of(const struct space *sp, struct statfs *s);

/**
 * space_narrow() - from what is free on a file system to what is free for the share
 * @s:     as space_of(); becomes the answer
 * @share: of the shared directory, where a project's quota shows
 * @whole: of a file to which the kernel does not apply the quota; NULL when there is none
 *
 * Files on other file systems, mounted inside the share, are left alone.
 */
void space_narrow(struct statfs *s, const struct statfs *share, const struct statfs *whole);

#endif
