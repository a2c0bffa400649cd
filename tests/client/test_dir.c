// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_dir.c - listings: every name once, from anywhere, and what the caches keep of them
 */
#include "tests/client/rig.h"

#include <limits.h>
#include <poll.h>

#define MANY 10000u

/* What a listing has shown of the files "f0" .. "fN". */
struct seen {
    uint32_t n;      /* files expected */
    uint8_t *times;  /* how often each was seen */
    uint32_t others; /* names of another kind */
    uint32_t without_attr;
    uint32_t left; /* entries to take before stopping */
    uint64_t cookie;
};

static struct seen seen_new(uint32_t n)
{
    struct seen s = {.n = n, .times = calloc(n + 1, 1), .left = UINT32_MAX};

    assert_non_null(s.times);
    return s;
}

static bool take(void *user, const struct cli_dirent *e)
{
    struct seen *s = user;
    char name[256], *end;

    if (s->left == 0)
        return false;
    s->left--;
    s->cookie = e->cookie;
    memcpy(name, e->name, e->name_len);
    name[e->name_len] = '\0';
    unsigned long i = name[0] == 'f' ? strtoul(name + 1, &end, 10) : ULONG_MAX;
    if (i < s->n && !*end)
        s->times[i]++;
    else
        s->others++;
    s->without_attr += !e->has_attr;
    if (e->has_attr)
        assert_int_equal(e->attr.mode & S_IFMT, e->type);
    return true;
}

static void assert_each_once(const struct seen *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->times[i] != 1)
            fail_msg("f%u was seen %u times", i, s->times[i]);
}

static void host_files(struct rig *r, const char *dir, uint32_t n)
{
    char path[300];

    host_mkdir(r, dir);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/f%u", dir, i);
        host_write(r, path, "", 0);
    }
}

static struct cli_dir *open_dir(struct rig *r, const char *path)
{
    struct cli_node *n = node_at(r, path);
    struct cli_dir *d;

    assert_ok(cli_dir_open(r->c, n, &d));
    put(r, n);
    return d;
}

/* List all of a directory in one call. */
static void list_whole(struct rig *r, const char *path, uint32_t n)
{
    struct cli_dir *d = open_dir(r, path);
    struct seen s = seen_new(n);

    assert_ok(cli_dir_read(r->c, d, 0, take, &s));
    assert_each_once(&s);
    assert_int_equal(s.others, 0);
    assert_int_equal(s.without_attr, 0);
    cli_dir_close(r->c, d);
    free(s.times);
}

static void test_directories_of_any_size_show_every_name_once(void **state)
{
    static const uint32_t sizes[] = {0, 1, 2, 500, MANY};
    struct rig *r = rig_up();

    (void)state;
    for (unsigned i = 0; i < ARRAY(sizes); i++) {
        char dir[16];

        snprintf(dir, sizeof(dir), "d%u", i);
        host_files(r, dir, sizes[i]);
        list_whole(r, dir, sizes[i]);
    }
}

static void test_a_listing_goes_on_where_its_reader_stopped(void **state)
{
    struct rig *r = rig_up();
    struct seen s = seen_new(1000);
    uint64_t before;
    int again;

    (void)state;
    host_files(r, "d", 1000);
    struct cli_dir *d = open_dir(r, "d");
    s.left = 1;
    assert_int_equal(cli_dir_read(r->c, d, 0, take, &s), 1);
    before = requests_of(r, FUSE_READDIRPLUS) + requests_of(r, FUSE_READDIR);
    do {
        s.left = 7;
        again = cli_dir_read(r->c, d, s.cookie, take, &s);
    } while (again == 1);
    assert_ok(again);
    assert_each_once(&s);
    /* all of them came in one page, and one more request finds the end */
    assert_int_equal(requests_of(r, FUSE_READDIRPLUS) + requests_of(r, FUSE_READDIR), before + 1);
    cli_dir_close(r->c, d);
    free(s.times);
}

struct cookies {
    uint64_t cookie[MANY];
    uint32_t n;
};

static bool note(void *user, const struct cli_dirent *e)
{
    struct cookies *c = user;

    assert_true(c->n < MANY);
    c->cookie[c->n++] = e->cookie;
    return true;
}

static void test_a_listing_starts_again_at_any_cookie(void **state)
{
    struct rig *r = rig_up();
    struct cookies *all = calloc(1, sizeof(*all)), *rest = calloc(1, sizeof(*rest));

    (void)state;
    host_files(r, "d", MANY);
    struct cli_dir *d = open_dir(r, "d");
    assert_ok(cli_dir_read(r->c, d, 0, note, all));
    assert_int_equal(all->n, MANY);
    for (uint32_t i = 0; i < MANY; i += rig_lists_attributes() ? 1999 : 4999) {
        rest->n = 0;
        assert_ok(cli_dir_read(r->c, d, all->cookie[i], note, rest));
        assert_int_equal(rest->n, MANY - 1 - i);
        assert_memory_equal(rest->cookie, all->cookie + i + 1, rest->n * sizeof(rest->cookie[0]));
    }
    cli_dir_close(r->c, d);
    free(all);
    free(rest);
}

static void test_a_listing_that_starts_over_shows_what_is_new(void **state)
{
    struct rig *r = rig_up();
    struct seen s = seen_new(3);

    (void)state;
    host_files(r, "d", 2);
    struct cli_dir *d = open_dir(r, "d");
    s.left = 1;
    assert_int_equal(cli_dir_read(r->c, d, 0, take, &s), 1);
    host_write(r, "d/f2", "", 0);
    memset(s.times, 0, 3);
    s.left = 3;
    assert_ok(cli_dir_read(r->c, d, 0, take, &s));
    assert_each_once(&s);
    cli_dir_close(r->c, d);
    free(s.times);
}

/* ---- changes meanwhile --------------------------------------------------------------------------- */

struct churn {
    struct rig *r;
    atomic_bool stop;
    bool by_client;
};

static void churn_once(struct churn *ch, unsigned i)
{
    char name[32], path[64];

    snprintf(name, sizeof(name), "x%u", i % 97);
    snprintf(path, sizeof(path), "d/%s", name);
    if (ch->by_client) {
        struct cli_node *dir = node_at(ch->r, "d"), *n = NULL;

        if (cli_create(ch->r->c, dir, name_of(name), 0644, CLI_WRITE, &n, NULL) == 0)
            put(ch->r, n);
        else
            cli_unlink(ch->r->c, dir, name_of(name));
        put(ch->r, dir);
    } else if (unlink(host(ch->r, path)) < 0) {
        int fd = open(host(ch->r, path), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

        close(fd);
    }
}

static void *churn_run(void *arg)
{
    struct churn *ch = arg;

    for (unsigned i = 0; !atomic_load(&ch->stop); i++)
        churn_once(ch, i * 31);
    return NULL;
}

static void list_while_changing(bool by_client)
{
    enum { FILES = 3000 };
    struct rig *r = rig_up();
    struct churn ch = {.r = r, .by_client = by_client};
    pthread_t t;

    host_files(r, "d", FILES);
    assert_ok(pthread_create(&t, NULL, churn_run, &ch));
    for (unsigned round = 0; round < (rig_lists_attributes() ? 20u : 3u); round++) {
        struct cli_dir *d = open_dir(r, "d");
        struct seen s = seen_new(FILES);
        int again;

        do {
            s.left = 700;
            again = cli_dir_read(r->c, d, s.cookie, take, &s);
        } while (again == 1);
        assert_ok(again);
        assert_each_once(&s);
        cli_dir_close(r->c, d);
        free(s.times);
    }
    atomic_store(&ch.stop, true);
    pthread_join(t, NULL);
}

static void test_names_that_stay_are_seen_once_while_the_host_changes_others(void **state)
{
    (void)state;
    list_while_changing(false);
}

static void test_names_that_stay_are_seen_once_while_the_client_changes_others(void **state)
{
    (void)state;
    list_while_changing(true);
}

/* ---- what is kept ---------------------------------------------------------------------------------- */

static void test_what_was_listed_is_known(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.timeout = 60});
    struct cli_attr a;
    char path[32];

    (void)state;
    host_files(r, "d", 300);
    list_whole(r, "d", 300);
    uint64_t before = requests(r);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "d/f%u", i);
        struct cli_node *n = node_at(r, path);
        assert_ok(cli_getattr(r->c, n, false, &a));
        assert_true(S_ISREG(a.mode));
        put(r, n);
    }
    if (rig_caches())
        assert_int_equal(requests(r), before);
    else
        assert_true(requests(r) >= before + 300);
}

static void wait_inodes(struct rig *r, long most)
{
    for (int ms = 0; rig_gauge(r, "virtiofsd_inodes") > most; ms += 10) {
        if (ms > PATIENCE_MS)
            fail_msg("the daemon keeps %ld inodes, not %ld", rig_gauge(r, "virtiofsd_inodes"),
                     most);
        cli_tick(r->c);
        poll(NULL, 0, 10);
    }
}

static void test_lookups_of_listings_are_counted_and_given_back(void **state)
{
    struct rig *r;

    (void)state;
    if (!rig_is_ours())
        return; /* the C daemon does not tell */
    r = rig_start(&(struct rig_options){.stats = true, .cli = {.max_nodes = 64}});
    host_files(r, "d", 2000);
    for (unsigned i = 0; i < 3; i++) {
        struct cli_dir *d = open_dir(r, "d");
        struct seen s = seen_new(2000);

        s.left = i * 100; /* entries that nobody took count as well */
        assert_int_equal(cli_dir_read(r->c, d, 0, take, &s), 1);
        cli_dir_close(r->c, d);
        free(s.times);
    }
    wait_inodes(r, 64 + 2);
}

/* ---- errors ---------------------------------------------------------------------------------------- */

static void test_a_directory_that_is_gone_is_an_error_and_not_empty(void **state)
{
    struct rig *r = rig_up();
    struct cli_dir *d;

    (void)state;
    host_mkdir(r, "d");
    struct cli_node *n = node_at(r, "d");
    assert_ok(rmdir(host(r, "d")));
    int e = cli_dir_open(r->c, n, &d);
    if (e == 0 && !rig_is_ours()) { /* the C daemon holds it, and what it holds is empty */
        cli_dir_close(r->c, d);
        e = -LE_ENOENT;
    }
    assert_true(e == -LE_ENOENT || e == -LE_ESTALE);
    put(r, n);
}

static void test_a_file_is_not_listed(void **state)
{
    struct rig *r = rig_up();
    struct cli_dir *d;

    (void)state;
    host_write(r, "f", "", 0);
    struct cli_node *n = node_at(r, "f");
    assert_int_equal(cli_dir_open(r->c, n, &d), -LE_ENOTDIR);
    put(r, n);
}

/* ---- extended attributes ------------------------------------------------------------------------------ */

static void test_extended_attributes_are_set_listed_read_and_removed(void **state)
{
    struct rig *r = rig_up();
    char value[16], list[64];

    (void)state;
    host_write(r, "f", "", 0);
    struct cli_node *n = node_at(r, "f");
    int e = cli_setxattr(r->c, n, "user.a", "hello", 5, 0);
    if (e == -LE_EOPNOTSUPP) { /* tmpfs before Linux 6.6 has none: that answer is told */
        assert_int_equal(cli_getxattr(r->c, n, "user.a", value, 16), -LE_EOPNOTSUPP);
        return put(r, n);
    }
    assert_ok(e);
    assert_int_equal(cli_getxattr(r->c, n, "user.a", NULL, 0), 5);
    assert_int_equal(cli_getxattr(r->c, n, "user.a", value, sizeof(value)), 5);
    assert_memory_equal(value, "hello", 5);
    assert_int_equal(cli_getxattr(r->c, n, "user.a", value, 4), -LE_ERANGE);
    assert_int_equal(cli_setxattr(r->c, n, "user.a", "x", 1, 1 /* XATTR_CREATE */), -LE_EEXIST);
    int len = cli_listxattr(r->c, n, list, sizeof(list));
    assert_true(len >= 7 && memmem(list, (size_t)len, "user.a", 7));
    assert_int_equal(cli_listxattr(r->c, n, NULL, 0), len);
    assert_ok(cli_removexattr(r->c, n, "user.a"));
    assert_int_equal(cli_getxattr(r->c, n, "user.a", value, 16), -LE_ENODATA);
    put(r, n);
}

static void test_names_of_extended_attributes_are_checked_before_they_are_sent(void **state)
{
    struct rig *r = rig_up();
    char name[300] = "user.", value[4];

    (void)state;
    memset(name + 5, 'x', sizeof(name) - 6);
    uint64_t before = requests(r);
    assert_int_equal(cli_getxattr(r->c, r->root, name, value, 4), -LE_ERANGE);
    assert_int_equal(cli_setxattr(r->c, r->root, "", "x", 1, 0), -LE_ERANGE);
    assert_int_equal(cli_removexattr(r->c, r->root, name), -LE_ERANGE);
    assert_int_equal(requests(r), before);
}

static void test_long_values_of_extended_attributes_travel(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.share = NULL});
    char *value = malloc(60000), *got = malloc(65536);

    (void)state;
    host_write(r, "f", "", 0);
    struct cli_node *n = node_at(r, "f");
    memset(value, 'v', 60000);
    int e = cli_setxattr(r->c, n, "user.long", value, 60000, 0);
    /* what the host's file system says to that is the host's business, but the request must be sound */
    assert_true(e == 0 || e == -LE_ENOSPC || e == -LE_EOPNOTSUPP || e == -LE_E2BIG);
    if (e == 0) {
        assert_int_equal(cli_getxattr(r->c, n, "user.long", got, 65536), 60000);
        assert_memory_equal(got, value, 60000);
    }
    assert_int_equal(cli_setxattr(r->c, n, "user.long", value, 65537, 0), -LE_E2BIG);
    put(r, n);
    free(value);
    free(got);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_directories_of_any_size_show_every_name_once),
        RIG_TEST(test_a_listing_goes_on_where_its_reader_stopped),
        RIG_TEST(test_a_listing_starts_again_at_any_cookie),
        RIG_TEST(test_a_listing_that_starts_over_shows_what_is_new),
        RIG_TEST(test_names_that_stay_are_seen_once_while_the_host_changes_others),
        RIG_TEST(test_names_that_stay_are_seen_once_while_the_client_changes_others),
        RIG_TEST(test_what_was_listed_is_known),
        RIG_TEST(test_lookups_of_listings_are_counted_and_given_back),
        RIG_TEST(test_a_directory_that_is_gone_is_an_error_and_not_empty),
        RIG_TEST(test_a_file_is_not_listed),
        RIG_TEST(test_extended_attributes_are_set_listed_read_and_removed),
        RIG_TEST(test_names_of_extended_attributes_are_checked_before_they_are_sent),
        RIG_TEST(test_long_values_of_extended_attributes_travel),
    };

    return rig_main("dir", argc, argv, tests, ARRAY(tests));
}
