// SPDX-License-Identifier: BSD-3-Clause
/*
 * many_rig.h - one daemon with many shares, and guests of them
 *
 * A configuration file of N sections "s0" to "sN-1", each with its own directory and socket in one scratch directory,
 * and a front end for as many of them as a test likes. One for each test; many_end() is its teardown.
 */
#ifndef VIOFS_TESTS_MANY_RIG_H
#define VIOFS_TESTS_MANY_RIG_H

#include "tests/wire/wire.h"

struct many {
    struct daemon d;
    char dir[64];
    char conf[80]; /* the configuration file */
    unsigned n;
    struct fe **fe; /* by share, NULL: no guest */
    struct fc *c;
};

extern struct many many;

struct many_options {
    const char *first_lines; /* what stands above the sections; NULL: nothing */
    int cpu;                 /* as in struct daemon_options; so is the next */
    long nofile;
};

/** many_start() - a daemon of @n shares. @o: may be NULL */
void many_start(unsigned n, const struct many_options *o);
/** many_configure() - write the file anew, for what the daemon may read later */
void many_configure(unsigned n, const char *first_lines);
/** many_at() - path of what belongs to a share: "d" its directory, "s" its socket. One of four buffers. */
const char *many_at(unsigned i, const char *what);
/** many_join(), many_join_as() - a guest of share @i; many_leave() - and it goes */
void many_join(unsigned i);
void many_join_as(unsigned i, const struct fe_options *o);
void many_leave(unsigned i);
/** many_write() - a file on the host */
void many_write(unsigned i, const char *name, const char *text);
/** many_end() - guests leave, the daemon ends well and has not complained */
int many_end(void **state);

#endif
