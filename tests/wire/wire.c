// SPDX-License-Identifier: BSD-3-Clause
/*
 * wire.c - a daemon, a guest's front end and a FUSE session for one test (see wire.h)
 */
#include "tests/wire/wire.h"

#include <limits.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define MAX_OPTIONS 16u

static const char *sandbox = "none";
static bool supervised;   /* --supervise: all daemons of this program have a supervisor */
static struct wire *live; /* what this test has started */

const char *wire_sandbox(void)
{
    return sandbox;
}

struct wire *wire_start(const struct wire_options *o)
{
    const char *args[MAX_OPTIONS + 2] = {NULL};
    char mode[32];
    unsigned n = 0;
    struct wire *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    snprintf(mode, sizeof(mode), "--sandbox=%s", sandbox);
    args[n++] = mode;
    if (supervised)
        args[n++] = "--supervise";
    for (const char *const *a = o->args; a && *a; a++) {
        assert_true(n <= MAX_OPTIONS);
        args[n++] = *a;
    }
    assert_ok(daemon_start_ours(&w->d, args, &o->daemon));
    w->next = live;
    live = w;
    if (!o->no_connect)
        wire_connect(w, &o->fe, !o->no_init);
    return w;
}

void wire_connect(struct wire *w, const struct fe_options *o, bool init)
{
    assert_null(w->fe);
    assert_ok(fe_open(&w->fe, o, w->d.socket));
    assert_ok(fc_open(&w->c, w->fe, FE_REQUESTS));
    if (init)
        assert_ok(fc_init(&w->c));
}

void wire_disconnect(struct wire *w)
{
    if (w->fe && w->c.fe)
        fc_close(&w->c);
    fe_free(w->fe);
    w->fe = NULL;
}

void wire_alive(struct wire *w)
{
    struct fuse_attr a;

    assert_ok(fc_getattr(&w->c, FC_ROOT, &a));
    assert_true(S_ISDIR(a.mode));
}

/* Return: true if nothing is wrong with this daemon's end. */
static bool end_one(struct wire *w)
{
    bool good = true;

    wire_disconnect(w);
    if (!w->ended) {
        /* Without --keep-listening it may be on its way out by itself already. */
        int status = 0;
        daemon_kill(&w->d, SIGTERM);
        if (daemon_wait(&w->d, PATIENCE_MS, &status) < 0) {
            print_error("the daemon does not end\n");
            good = false;
        } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            print_error("the daemon ended with wait status 0x%x\n", (unsigned)status);
            good = false;
        }
    }
    good = !daemon_complained(&w->d) && good;
    if (!good) {
        char *log = daemon_log(&w->d);
        print_error("its log:\n%s\n", log ? log : "");
        free(log);
    }
    daemon_end(&w->d);
    free(w);
    return good;
}

int wire_teardown(void **state)
{
    bool good = true;

    (void)state;
    while (live) {
        struct wire *w = live;
        live = w->next;
        good = end_one(w) && good;
    }
    return good ? 0 : -1;
}

int wire_main(const char *name, int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
    static const char option[] = "--sandbox=";

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], option, strlen(option)) == 0)
            sandbox = argv[i] + strlen(option);
        else if (strcmp(argv[i], "--supervise") == 0)
            supervised = true;
        else
            cmocka_set_test_filter(argv[i]);
    }
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

/* ---- the host's side of the share ------------------------------------------------------------ */

const char *host(const struct wire *w, const char *rel)
{
    static char path[8][PATH_MAX];
    static unsigned turn;

    turn = (turn + 1) % 8;
    return daemon_share_path(&w->d, rel, path[turn]);
}

void host_write(const struct wire *w, const char *rel, const char *text)
{
    int fd = open(host(w, rel), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

const char *host_read(const struct wire *w, const char *rel)
{
    static char text[65536];
    int fd = open(host(w, rel), O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

void host_mkdir(const struct wire *w, const char *rel)
{
    assert_ok(mkdir(host(w, rel), 0755));
}

bool host_exists(const struct wire *w, const char *rel)
{
    struct stat st;

    return lstat(host(w, rel), &st) == 0;
}

struct stat host_stat(const struct wire *w, const char *rel)
{
    struct stat st;

    assert_ok(lstat(host(w, rel), &st));
    return st;
}

const char *private_tmpfs(const char *options)
{
    static bool alone;
    static char path[PATH_MAX];

    if (!alone) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            return NULL;
        alone = true;
    }
    snprintf(path, sizeof(path), "/tmp/viofs-wire.XXXXXX");
    if (!mkdtemp(path))
        return NULL;
    if (mount("tmpfs", path, "tmpfs", 0, options) < 0) {
        rmdir(path);
        return NULL;
    }
    return path;
}

/* ---- shorter tests --------------------------------------------------------------------------- */

uint64_t node(struct wire *w, uint64_t parent, const char *name)
{
    struct fuse_entry_out e;

    assert_ok(fc_lookup(&w->c, parent, name, &e));
    assert_int_not_equal(e.nodeid, 0);
    return e.nodeid;
}

uint64_t opened(struct wire *w, uint64_t nodeid, uint32_t flags)
{
    uint64_t fh;

    assert_ok(fc_open_file(&w->c, nodeid, flags, &fh));
    return fh;
}

uint64_t open_dir(struct wire *w, uint64_t nodeid)
{
    uint64_t fh;

    assert_ok(fc_opendir(&w->c, nodeid, &fh));
    return fh;
}

ssize_t raw(struct wire *w, uint32_t opcode, uint64_t nodeid, const void *arg, size_t len,
            void *reply, size_t room)
{
    struct fc_part p = {arg, len};

    return fc_call(&w->c, opcode, nodeid, &p, len ? 1 : 0, reply, room);
}

double wire_metric(const char *path, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    static char text[256 * 1024];
    size_t n = 0;
    ssize_t r;

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_ok(connect(fd, (struct sockaddr *)&a, sizeof(a)));
    assert_ok(shutdown(fd, SHUT_WR));
    while ((r = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)r;
    text[n] = '\0';
    close(fd);
    char line[128];
    snprintf(line, sizeof(line), "\n%s ", name);
    char *at = strstr(text, line);
    if (!at)
        fail_msg("no %s in\n%s", name, text);
    return strtod(at + strlen(line), NULL);
}
