// SPDX-License-Identifier: BSD-3-Clause
/*
 * rig.h - a share, a daemon on it, and the client, for one test
 *
 * Theory of operation
 *
 *   Each program of this room takes --host=KIND and runs all its tests against that host: "auto" is our
 *   daemon as it comes, "never" our daemon with cache=never, "plain" and "never-plain" the same to a client that
 *   does not look for the extension, "peer" Debian's C virtiofsd, "peer-names" the same without READDIRPLUS. Each test gets a fresh
 *   share, daemon and session. Its teardown closes all of them, and demands that every node came back, that the
 *   daemon is alive, ended when told to, and reported nothing.
 *
 *   Tests see both sides: the client's calls, and the shared directory as the host sees it.
 *
 * Ownership: rig_start() allocates what rig_teardown() frees. Locks: none.
 */
#ifndef VIOFS_TESTS_CLIENT_RIG_H
#define VIOFS_TESTS_CLIENT_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fuse/fuse_proto.h"
#include "service/client/client.h"
#include "service/client/linux_errno.h"
#include "tests/client/vhost_transport.h"
#include "tests/frontend/daemon.h"

struct rig {
    struct daemon d;
    struct vht *t;
    struct cli *c;
    struct cli_node *root;
};

/* All zero is the default. */
struct rig_options {
    struct cli_options cli;
    struct vht_options vht;
    const char *share;       /* a directory that is there; NULL: a fresh one */
    const char *const *args; /* more options for our daemon */
    unsigned timeout;        /* seconds that names and attributes hold; 0: the daemon's default */
    bool stats;              /* our daemon: rig_gauge() works */
};

/** rig_up() - everything, with defaults */
struct rig *rig_up(void);
struct rig *rig_start(const struct rig_options *o);

/** rig_replace_daemon() - SIGKILL, and another one on the same share and socket; nothing is told to the client */
void rig_replace_daemon(struct rig *r);
/** rig_replace_daemon_with() - the same, and it has other options than the first (our daemon) */
void rig_replace_daemon_with(struct rig *r, const char *const *args);
/** rig_start_daemon() - on the same share, when the test has ended the other */
void rig_start_daemon(struct rig *r);

/** rig_down() - end a rig before the test's end */
void rig_down(struct rig *r);
int rig_teardown(void **state);

/** rig_main() - parse --host=KIND and run. Return: as main(). */
int rig_main(const char *name, int argc, char **argv, const struct CMUnitTest *tests, size_t n);

bool rig_is_ours(void); /* not Debian's */
bool rig_has_extension(void);
bool rig_caches(void);           /* the host lets us keep names and attributes */
bool rig_lists_attributes(void); /* listings bring nodes and attributes */

#define RIG_TEST(f) cmocka_unit_test_teardown(f, rig_teardown)
#define RIG_MAIN(name, tests)                                                                      \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return rig_main(name, argc, argv, tests, sizeof(tests) / sizeof((tests)[0]));              \
    }

/** rig_soak() - does the long version run? */
bool rig_soak(void);

/* ---- the host's side --------------------------------------------------------------------------- */

/** host() - path in the share; one of eight static buffers a thread */
const char *host(const struct rig *r, const char *rel);
void host_write(const struct rig *r, const char *rel, const void *data, size_t len);
void host_mkdir(const struct rig *r, const char *rel);
struct stat host_stat(const struct rig *r, const char *rel);
/** host_read() - the whole file, at most @cap bytes. Return: its length. */
size_t host_read(const struct rig *r, const char *rel, void *buf, size_t cap);

/** rig_gauge() - a number of our daemon's statistics, or -1; needs rig_options.stats */
long rig_gauge(const struct rig *r, const char *name);

/* ---- shorter tests ------------------------------------------------------------------------------- */

struct cli_name name_of(const char *text);

/** walk() - resolve a path with '/'. Return: as cli_walk(); *@out gets a reference on 0 */
int walk(struct rig *r, const char *path, struct cli_node **out);
/** node_at() - the same, must succeed */
struct cli_node *node_at(struct rig *r, const char *path);
/** put() - return a reference */
void put(struct rig *r, struct cli_node *n);

/** create(), open_at() - must succeed */
struct cli_file *create(struct rig *r, const char *name, uint32_t access);
struct cli_file *open_at(struct rig *r, const char *path, uint32_t access);

/** read_at(), write_at() - waited for. Return: bytes, or the error if there were none. */
long read_at(struct rig *r, struct cli_file *f, void *buf, uint32_t len, uint64_t offset);
long write_at(struct rig *r, struct cli_file *f, const void *buf, uint32_t len, uint64_t offset,
              uint32_t flags);

/** requests() - with an answer, so far */
uint64_t requests(struct rig *r);
/** requests_of() - by opcode */
uint64_t requests_of(struct rig *r, uint32_t opcode);

/** fill() - bytes that tell where they belong: no two pages of no two seeds are alike */
void fill(void *buf, size_t len, uint64_t offset, uint64_t seed);

/** host_pattern() - a file of the host with the pattern of a seed; assert_pattern() - these bytes have it */
void host_pattern(struct rig *r, const char *name, size_t len, uint64_t seed);
void assert_pattern(const uint8_t *p, size_t len, uint64_t offset, uint64_t seed);

/** buffer() - memory to be freed, never NULL */
uint8_t *buffer(size_t len);

/** rng() - a small generator; the seed is printed when a test that uses it fails */
uint32_t rng(uint64_t *state);

#define assert_ok(expr)         assert_int_equal((expr), 0)
#define assert_errno(expr, err) assert_int_equal((expr), -(err))
#define ARRAY(a)                (sizeof(a) / sizeof((a)[0]))

#endif
