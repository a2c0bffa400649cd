// SPDX-License-Identifier: BSD-3-Clause
/*
 * rig.c - a share, a daemon on it, and the client, for one test (see rig.h)
 */
#include "tests/client/rig.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PEER      "/usr/lib/qemu/virtiofsd"
#define MAX_ARGS  16u
#define MAX_PATH  64u /* components */
#define NO_DAEMON 77  /* meson: skipped */

enum host_kind { AUTO, NEVER, NEVER_PLAIN, PLAIN, PEER_PLUS, PEER_NAMES };
static const char *const kinds[] = {"auto", "never", "never-plain", "plain", "peer", "peer-names"};
static enum host_kind kind;

struct live {
    struct rig rig; /* first */
    struct rig_options o;
    struct daemon home; /* runs nothing: the share's directory outlives daemons */
    struct live *next;
};
static struct live *live; /* what this test has started */

bool rig_is_ours(void)
{
    return kind <= PLAIN;
}

bool rig_has_extension(void)
{
    return kind == AUTO || kind == NEVER;
}

bool rig_caches(void)
{
    return kind != NEVER && kind != NEVER_PLAIN;
}

bool rig_lists_attributes(void)
{
    return kind != PEER_NAMES && kind != NEVER_PLAIN;
}

bool rig_soak(void)
{
    return getenv("VIOFS_SOAK") != NULL;
}

/* ---- life ---------------------------------------------------------------------------------------- */

/* Options in the making. */
struct args {
    const char *v[MAX_ARGS];
    unsigned n;
    char timeout[32];
};

static void add(struct args *a, const char *word)
{
    assert_true(a->n + 1 < MAX_ARGS);
    a->v[a->n++] = word;
}

static int start_peer(struct daemon *d, const struct live *l, const struct daemon_options *o)
{
    struct args a = {.n = 0};

    add(&a, PEER);
    add(&a, "--socket-path={socket}");
    add(&a, "-osource={dir}");
    add(&a, "-osandbox=chroot,cache=auto,xattr");
    if (kind == PEER_NAMES)
        add(&a, "-ono_readdirplus");
    if (l->o.timeout) {
        snprintf(a.timeout, sizeof(a.timeout), "-otimeout=%u", l->o.timeout);
        add(&a, a.timeout);
    }
    return daemon_start(d, a.v, o);
}

static int start_ours(struct daemon *d, const struct live *l, const struct daemon_options *o)
{
    struct args a = {.n = 0};

    add(&a, "--sandbox=none");
    add(&a, "--xattr");
    if (!rig_caches())
        add(&a, "--cache=never");
    if (l->o.timeout && rig_caches()) {
        snprintf(a.timeout, sizeof(a.timeout), "--timeout=%u", l->o.timeout);
        add(&a, a.timeout);
    }
    if (l->o.stats)
        add(&a, "--stats-socket={work}/stats");
    for (const char *const *more = l->o.args; more && *more; more++)
        add(&a, *more);
    return daemon_start_ours(d, a.v, o);
}

void rig_start_daemon(struct rig *r)
{
    struct live *l = (struct live *)r;
    struct daemon_options o = {.share = l->home.share};

    assert_ok(rig_is_ours() ? start_ours(&l->rig.d, l, &o) : start_peer(&l->rig.d, l, &o));
}

static void print_log(void *user, int level, const char *text)
{
    (void)user;
    if (level < 2)
        print_message("client: %s\n", text);
}

struct rig *rig_start(const struct rig_options *o)
{
    struct live *l = calloc(1, sizeof(*l));
    struct rig *r = &l->rig;

    assert_non_null(l);
    l->o = *o;
    l->o.cli.no_extension = l->o.cli.no_extension || kind == PLAIN || kind == NEVER_PLAIN;
    l->o.cli.log = print_log;
    assert_ok(daemon_start(&l->home, NULL, &(struct daemon_options){.share = o->share}));
    rig_start_daemon(r);
    l->next = live;
    live = l;
    assert_ok(vht_open(&r->t, r->d.socket, &l->o.vht));
    assert_ok(cli_open(&r->c, vht_transport(r->t), &l->o.cli));
    r->root = cli_root(r->c);
    return r;
}

struct rig *rig_up(void)
{
    return rig_start(&(struct rig_options){0});
}

void rig_replace_daemon(struct rig *r)
{
    int status;

    assert_ok(daemon_kill(&r->d, SIGKILL));
    assert_ok(daemon_wait(&r->d, PATIENCE_MS, &status));
    daemon_end(&r->d);
    rig_start_daemon(r);
}

void rig_replace_daemon_with(struct rig *r, const char *const *args)
{
    ((struct live *)r)->o.args = args;
    rig_replace_daemon(r);
}

/* Return: true if nothing is wrong with this rig's end. */
static bool end_one(struct live *l)
{
    struct rig *r = &l->rig;
    int status = 0;
    bool good = true;

    if (r->c) {
        cli_node_put(r->c, r->root);
        cli_close(r->c);
    }
    vht_close(r->t);
    daemon_kill(&r->d, SIGTERM);
    if (daemon_wait(&r->d, PATIENCE_MS, &status) < 0) {
        print_error("the daemon does not end\n");
        good = false;
    } else if (rig_is_ours() && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        print_error("the daemon ended with wait status 0x%x\n", (unsigned)status);
        good = false;
    }
    good = !daemon_complained(&r->d) && good;
    daemon_end(&r->d);
    daemon_end(&l->home);
    free(l);
    return good;
}

void rig_down(struct rig *r)
{
    struct live *l = (struct live *)r;

    for (struct live **at = &live; *at; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    assert_true(end_one(l));
}

int rig_teardown(void **state)
{
    bool good = true;

    (void)state;
    while (live) {
        struct live *l = live;

        live = l->next;
        good = end_one(l) && good;
    }
    return good ? 0 : -1;
}

int rig_main(const char *name, int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
    static const char option[] = "--host=";
    char full[128];

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], option, strlen(option)) != 0) {
            cmocka_set_test_filter(argv[i]);
            continue;
        }
        for (kind = AUTO; strcmp(kinds[kind], argv[i] + strlen(option)) != 0; kind++) {
            if (kind + 1 == ARRAY(kinds)) {
                fprintf(stderr, "no host '%s'\n", argv[i]);
                return 2;
            }
        }
    }
    if (!rig_is_ours() && access(PEER, X_OK) != 0) {
        fprintf(stderr, "skipped: no %s\n", PEER);
        return NO_DAEMON;
    }
    snprintf(full, sizeof(full), "client_%s_%s", name, kinds[kind]);
    return _cmocka_run_group_tests(full, tests, n, NULL, NULL);
}

/* ---- the host's side --------------------------------------------------------------------------- */

const char *host(const struct rig *r, const char *rel)
{
    static _Thread_local char paths[8][PATH_MAX];
    static _Thread_local unsigned turn;

    return daemon_share_path(&r->d, rel, paths[turn++ % ARRAY(paths)]);
}

void host_write(const struct rig *r, const char *rel, const void *data, size_t len)
{
    int fd = open(host(r, rel), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

void host_mkdir(const struct rig *r, const char *rel)
{
    assert_ok(mkdir(host(r, rel), 0755));
}

struct stat host_stat(const struct rig *r, const char *rel)
{
    struct stat st;

    assert_ok(lstat(host(r, rel), &st));
    return st;
}

size_t host_read(const struct rig *r, const char *rel, void *buf, size_t cap)
{
    int fd = open(host(r, rel), O_RDONLY | O_CLOEXEC);
    size_t got = 0;
    ssize_t n = 1;

    assert_true(fd >= 0);
    while (got < cap && (n = read(fd, (char *)buf + got, cap - got)) > 0)
        got += (size_t)n;
    assert_true(n >= 0);
    close(fd);
    return got;
}

long rig_gauge(const struct rig *r, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char text[65536], *line = text;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len = 0, name_len = strlen(name);
    ssize_t n;

    assert_true(snprintf(a.sun_path, sizeof(a.sun_path), "%s/stats", r->d.dir) <
                (int)sizeof(a.sun_path));
    assert_ok(connect(fd, (struct sockaddr *)&a, sizeof(a)));
    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    while (line && (strncmp(line, name, name_len) != 0 || line[name_len] != ' ')) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return line ? strtol(line + name_len, NULL, 10) : -1;
}

/* ---- shorter tests ------------------------------------------------------------------------------- */

struct cli_name name_of(const char *text)
{
    return (struct cli_name){text, (uint32_t)strlen(text)};
}

int walk(struct rig *r, const char *path, struct cli_node **out)
{
    struct cli_name names[MAX_PATH];
    struct cli_walk *w = malloc(sizeof(*w));
    unsigned n = 0;
    int e;

    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");

        assert_true(n < MAX_PATH);
        names[n++] = (struct cli_name){at, (uint32_t)len};
        at += len;
        at += *at == '/';
    }
    e = cli_walk(r->c, names, n, w);
    if (e == 0)
        *out = cli_node_get(w->node);
    cli_walk_end(r->c, w);
    free(w);
    return e;
}

struct cli_node *node_at(struct rig *r, const char *path)
{
    struct cli_node *n = NULL;

    assert_ok(walk(r, path, &n));
    return n;
}

void put(struct rig *r, struct cli_node *n)
{
    cli_node_put(r->c, n);
}

struct cli_file *create(struct rig *r, const char *name, uint32_t access)
{
    struct cli_node *n;
    struct cli_file *f;

    assert_ok(cli_create(r->c, r->root, name_of(name), 0644, access, &n, &f));
    cli_node_put(r->c, n);
    return f;
}

struct cli_file *open_at(struct rig *r, const char *path, uint32_t access)
{
    struct cli_node *n = node_at(r, path);
    struct cli_file *f;

    assert_ok(cli_file_open(r->c, n, access, &f));
    cli_node_put(r->c, n);
    return f;
}

static long outcome(int e, const struct cli_io *io)
{
    if (e)
        return e;
    return io->error && io->bytes == 0 ? io->error : (long)io->bytes;
}

long read_at(struct rig *r, struct cli_file *f, void *buf, uint32_t len, uint64_t offset)
{
    struct cli_io io = {.buf = buf, .len = len, .offset = offset};
    int e = cli_read(r->c, f, &io);

    return outcome(e, &io);
}

long write_at(struct rig *r, struct cli_file *f, const void *buf, uint32_t len, uint64_t offset,
              uint32_t flags)
{
    struct cli_io io = {
        .buf = (void *)(uintptr_t)buf, .len = len, .offset = offset, .flags = flags};
    int e = cli_write(r->c, f, &io);

    return outcome(e, &io);
}

uint64_t requests(struct rig *r)
{
    struct cli_counters n;

    cli_counters_get(r->c, &n);
    return n.requests;
}

uint64_t requests_of(struct rig *r, uint32_t opcode)
{
    struct cli_counters n;

    cli_counters_get(r->c, &n);
    return n.by_opcode[opcode];
}

void fill(void *buf, size_t len, uint64_t offset, uint64_t seed)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++) {
        uint64_t at = offset + i;
        uint64_t word = (at >> 3) * 0x9e3779b97f4a7c15u + seed * 0xff51afd7ed558ccdu;

        p[i] = (uint8_t)((word ^ word >> 32) >> (at & 7) * 4);
    }
}

uint32_t rng(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

uint8_t *buffer(size_t len)
{
    uint8_t *p = malloc(len ? len : 1);

    assert_non_null(p);
    return p;
}

void host_pattern(struct rig *r, const char *name, size_t len, uint64_t seed)
{
    uint8_t *p = buffer(len);

    fill(p, len, 0, seed);
    host_write(r, name, p, len);
    free(p);
}

void assert_pattern(const uint8_t *p, size_t len, uint64_t offset, uint64_t seed)
{
    uint8_t *want = buffer(len);

    fill(want, len, offset, seed);
    assert_memory_equal(p, want, len);
    free(want);
}
