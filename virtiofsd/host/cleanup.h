// SPDX-License-Identifier: BSD-3-Clause
/*
 * cleanup.h - release on scope exit
 *
 * cleanup_free and cleanup_close release a local when it goes out of scope; steal_fd() and steal_ptr()
 * hand it on. errno is preserved.
 */
#ifndef VIOFS_CLEANUP_H
#define VIOFS_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *p)
{
    free(*(void **)p);
}
static inline void cleanup_close_(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}
#define cleanup_free  __attribute__((cleanup(cleanup_free_)))
#define cleanup_close __attribute__((cleanup(cleanup_close_)))

static inline int steal_fd(int *fd)
{
    int r = *fd;
    *fd = -1;
    return r;
}
#define steal_ptr(p)                                                                               \
    ({                                                                                             \
        __typeof__(p) r_ = (p);                                                                    \
        (p) = NULL;                                                                                \
        r_;                                                                                        \
    })

#endif
