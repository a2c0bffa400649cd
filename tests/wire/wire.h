// SPDX-License-Identifier: BSD-3-Clause
/*
 * wire.h - a daemon, a guest's front end and a FUSE session for one test
 *
 * Theory of operation
 *
 *   Each program of this room runs the real virtiofsd ($VIOFS_DAEMON) in the sandbox that its --sandbox
 *   argument names (with a supervisor if --supervise is there), one fresh daemon and share for each test. When a test ends, well or badly, its
 *   teardown disconnects and demands that the daemon is alive, ends with status 0 when told to, and
 *   has logged no sanitizer report: a daemon that crashes behind a test's back fails that test.
 *
 *   Tests see both sides: requests go over the wire, effects are looked at in the shared directory.
 *
 * Ownership: wire_start() allocates what wire_teardown() frees.   Locks: none.
 */
#ifndef VIOFS_TESTS_WIRE_H
#define VIOFS_TESTS_WIRE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/frontend/daemon.h"
#include "tests/frontend/fuse_client.h"

struct wire {
    struct daemon d;
    struct fe *fe;
    struct fc c;
    bool ended; /* the test has seen the daemon's end itself */
    struct wire *next;
};

/* How wire_start() starts; all zero is the default. */
struct wire_options {
    const char *const *args; /* more options for the daemon, NULL-terminated */
    struct daemon_options daemon;
    struct fe_options fe;
    bool no_connect; /* the daemon only */
    bool no_init;    /* connected, no FUSE_INIT */
};

/** wire_up() - daemon, connection and FUSE_INIT, with more options; NULL for none */
#define wire_up(...)                                                                               \
    wire_start(&(struct wire_options){.args = (const char *const[]){__VA_ARGS__, NULL}})
struct wire *wire_start(const struct wire_options *o);
/** wire_connect() - connect once more, with a fresh session */
void wire_connect(struct wire *w, const struct fe_options *o, bool init);
/** wire_disconnect() - the guest's machine is killed */
void wire_disconnect(struct wire *w);
/** wire_alive() - the daemon answers: a GETATTR of the root */
void wire_alive(struct wire *w);
int wire_teardown(void **state);

/** wire_main() - parse --sandbox=MODE and run. Return: as main(). */
int wire_main(const char *name, int argc, char **argv, const struct CMUnitTest *tests, size_t n);
const char *wire_sandbox(void);

#define WIRE_TEST(f) cmocka_unit_test_teardown(f, wire_teardown)
#define WIRE_MAIN(name, tests)                                                                     \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return wire_main(name, argc, argv, tests, sizeof(tests) / sizeof((tests)[0]));             \
    }

/* ---- the host's side of the share ------------------------------------------------------------ */

/** host() - path of @rel in the share; one of eight static buffers */
const char *host(const struct wire *w, const char *rel);
void host_write(const struct wire *w, const char *rel, const char *text);
/** host_read() - whole file as text, in a static buffer of 64 KiB */
const char *host_read(const struct wire *w, const char *rel);
void host_mkdir(const struct wire *w, const char *rel);
bool host_exists(const struct wire *w, const char *rel); /* without following links */
struct stat host_stat(const struct wire *w, const char *rel);

/** private_tmpfs() - mount a tmpfs of @bytes in a mount namespace of our own. Return: its path; NULL if
 * this user may not. Its children see it too. */
const char *private_tmpfs(const char *options);

/** wire_metric() - one number that a daemon exports at --stats-socket=@path; it must be there */
double wire_metric(const char *path, const char *name);

/* ---- shorter tests --------------------------------------------------------------------------- */

/** node() - LOOKUP that must succeed */
uint64_t node(struct wire *w, uint64_t parent, const char *name);
/** opened() - OPEN that must succeed */
uint64_t opened(struct wire *w, uint64_t nodeid, uint32_t flags);
/** open_dir() - OPENDIR that must succeed */
uint64_t open_dir(struct wire *w, uint64_t nodeid);

/** raw() - send @arg as the whole body of a request. Return: payload bytes or -errno. */
ssize_t raw(struct wire *w, uint32_t opcode, uint64_t nodeid, const void *arg, size_t len,
            void *reply, size_t room);

#define assert_ok(expr)         assert_int_equal((expr), 0)
#define assert_errno(expr, err) assert_int_equal((expr), -(err))
#define ARRAY(a)                (sizeof(a) / sizeof((a)[0]))

#endif
