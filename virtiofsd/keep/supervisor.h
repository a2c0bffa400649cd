// SPDX-License-Identifier: BSD-3-Clause
/*
 * supervisor.h - the process that starts workers and keeps what they must not lose
 */
#ifndef VIOFS_KEEP_SUPERVISOR_H
#define VIOFS_KEEP_SUPERVISOR_H

#include <stdint.h>

struct supervisor;

/**
 * supervisor_new() - before any descriptor is given to it
 * @argv: the workers' arguments: this process' own
 * @ids:  keep_share_id() of each share; copied
 * Return: 0 or -errno (message printed).
 */
int supervisor_new(struct supervisor **s, char **argv, unsigned n_shares, const uint64_t *ids);

/** supervisor_keep() - keep @fd (taken over) for the first worker, as if one had put it. Return: 0 or -errno. */
int supervisor_keep(struct supervisor *s, unsigned share, int kind, int fd);

struct supervisor_params {
    const char *
        listen_fds; /* how many of systemd's sockets are among what is kept, for workers to see; NULL: none */
    const char *listen_names; /* their names, or NULL */
    int notify_fd;            /* service manager, or -1 */
    void (*ready)(void *ctx); /* a guest can connect; called once */
    /*
     * What a worker is started with beside its arguments. pass() hands it over, in the child; look_again() takes what there
     * is now, at a reload, for the @next worker only, until taken() says that it is that of all to come.
     */
    int (*pass)(void *ctx, bool next);
    int (*look_again)(void *ctx, int dir_fd);
    void (*taken)(void *ctx);
    void *ctx;
};

/** supervisor_run() - until the work is done. Return: the process' exit status. */
int supervisor_run(struct supervisor *s, const struct supervisor_params *p);

#endif
