// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - run conformance cases and say in TAP how they went
 *
 * usage: conformance [-l] [-v] --plain DOOR=SHARE [--fold DOOR=SHARE] [--readonly DOOR=SHARE] [--poll DOOR=SHARE]
 *        [--acl DOOR=SHARE] [--mode NAME] [--cached] [--without TEXT]... [TEXT...]
 *
 *   DOOR is the socket of a volume's NT door, SHARE the host's directory that it shows. Runs the cases whose
 *   "group: name" contains one of the texts; cases for a volume that is not given are skipped. -l lists.
 *   --mode names what is set for the shares, and adds the cases that belong to it; --without leaves those out whose
 *   names contain the text, because the mode is the opposite of what they are about; with --cached Windows keeps
 *   contents, and writes them back before a case looks at the host.
 */
#include <ftw.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/wine/conformance/conf_int.h"

extern const struct group group_create, group_open, group_overwrite, group_share, group_data,
    group_append, group_size, group_times, group_attributes, group_rename, group_delete, group_list,
    group_link, group_names, group_fold, group_volume;
extern const struct group group_security, group_posix, group_flush, group_paths, group_aliases,
    group_reparse, group_replay, group_notify, group_concurrency, group_ea, group_errors,
    group_host, group_meta, group_streams, group_acl, group_watch, group_modes;

static const struct group *const groups[] = {
    &group_create,  &group_open,     &group_overwrite, &group_share,      &group_data,
    &group_append,  &group_size,     &group_times,     &group_attributes, &group_rename,
    &group_delete,  &group_list,     &group_link,      &group_names,      &group_fold,
    &group_volume,  &group_security, &group_posix,     &group_flush,      &group_paths,
    &group_aliases, &group_reparse,  &group_replay,    &group_notify,     &group_concurrency,
    &group_ea,      &group_errors,   &group_host,      &group_meta,       &group_streams,
    &group_watch,   &group_acl,      &group_modes,
};

enum { MOST_WITHOUT = 64 };
static struct {
    char *door[VOLUMES], *share[VOLUMES];
    const char *mode, *without[MOST_WITHOUT];
    bool list, verbose, cached;
    unsigned n, failed, skipped, n_without;
} run;

/* ---- checks ---------------------------------------------------------------------------------- */

void t_fail(struct t *t, const char *file, int line, const char *format, ...)
{
    const char *base = strrchr(file, '/');
    va_list args;
    int n = snprintf(t->why, sizeof(t->why), "%s:%d: ", base ? base + 1 : file, line);

    va_start(args, format);
    vsnprintf(t->why + n, sizeof(t->why) - (size_t)n, format, args);
    va_end(args);
    t->failed = true;
    longjmp(t->end, 1);
}

void t_status(struct t *t, const char *file, int line, const char *what, uint32_t want,
              uint32_t got)
{
    if (want != got)
        t_fail(t, file, line, "%s: status %#x, not %#x", what, got, want);
}

void t_equal(struct t *t, const char *file, int line, const char *what, int64_t want, int64_t got)
{
    if (want != got)
        t_fail(t, file, line, "%s: %lld (%#llx), not %lld (%#llx)", what, (long long)got,
               (unsigned long long)got, (long long)want, (unsigned long long)want);
}

void t_text(struct t *t, const char *file, int line, const char *what, const char *want,
            const char *got)
{
    if (strcmp(want, got) != 0)
        t_fail(t, file, line, "%s: \"%s\", not \"%s\"", what, got, want);
}

int64_t t_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void t_nap(void)
{
    usleep(20 * 1000);
}

void t_wait_for_names(struct t *t)
{
    (void)t;
    usleep(1100 * 1000); /* cache=auto: one second */
}

/* ---- one case -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void clear_away(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What WinFsp would have suffered from, and nobody else would notice. */
static void check_contract(struct t *t)
{
    struct door_stats s = nt_stats(t);

    EQUAL(t, 0, s.violations);
}

static void in_its_directory(struct t *t, const struct test_case *c)
{
    t_open(t);
    c->run(t);
    check_contract(t);
}

/* The one that failed may be another one than @t, made by another(). */
static const char *reason(const struct t *t)
{
    if (t->failed)
        return t->why;
    for (const struct t *o = t->others; o; o = o->next)
        if (o->failed)
            return o->why;
    return NULL;
}

static void run_case(const struct group *g, const struct test_case *c, const char *name)
{
    struct t t = {
        .door = run.door[c->volume], .share = run.share[c->volume], .fd = -1, .cached = run.cached};
    int64_t t0;
    char path[4200];
    const char *why;

    (void)g;
    /* Not a name that was another directory's a moment ago: Windows may not have heard of that yet. */
    snprintf(t.dir, sizeof(t.dir), "c%03u%s", run.n, run.mode ? run.mode : "");
    snprintf(path, sizeof(path), "%s/%s", t.share, t.dir);
    clear_away(path);
    if (mkdir(path, 0755) < 0) {
        printf("not ok %u - %s\n# cannot make %s\n", run.n, name, path);
        run.failed++;
        return;
    }
    t0 = t_now_ms();
    if (setjmp(t.end) == 0)
        in_its_directory(&t, c);
    why = reason(&t);
    printf("%sok %u - %s\n", why ? "not " : "", run.n, name);
    if (why)
        printf("# %s\n", why);
    if (run.verbose)
        printf("# %lld ms\n", (long long)(t_now_ms() - t0));
    run.failed += why != NULL;
    t_close(&t);
    clear_away(path);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool wanted(const char *name, char **texts)
{
    for (unsigned i = 0; i < run.n_without; i++)
        if (strstr(name, run.without[i]))
            return false;
    if (!*texts)
        return true;
    for (; *texts; texts++)
        if (strstr(name, *texts))
            return true;
    return false;
}

static void consider(const struct group *g, const struct test_case *c, char **texts)
{
    char name[256];

    if (c->mode && (!run.mode || strcmp(c->mode, run.mode) != 0))
        return;
    snprintf(name, sizeof(name), "%s: %s", g->name, c->name);
    for (char *p = name; *p; p++)
        *p = *p == '_' ? ' ' : *p;
    if (!wanted(name, texts))
        return;
    run.n++;
    if (run.list) {
        puts(name);
    } else if (!run.door[c->volume]) {
        printf("ok %u - %s # SKIP no volume of that kind\n", run.n, name);
        run.skipped++;
    } else {
        run_case(g, c, name);
    }
    fflush(stdout);
}

static bool take_volume(enum volume v, char *text)
{
    char *share = strchr(text, '=');

    if (!share)
        return false;
    *share = '\0';
    run.door[v] = text;
    run.share[v] = share + 1;
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"plain", required_argument, NULL, VOLUME_PLAIN},
                                            {"fold", required_argument, NULL, VOLUME_FOLD},
                                            {"readonly", required_argument, NULL, VOLUME_READONLY},
                                            {"poll", required_argument, NULL, VOLUME_POLL},
                                            {"acl", required_argument, NULL, VOLUME_ACL},
                                            {"mode", required_argument, NULL, 'm'},
                                            {"without", required_argument, NULL, 'w'},
                                            {"cached", no_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "lv", options, NULL)) != -1) {
        bool ok = true;

        if (c == 'l')
            run.list = true;
        else if (c == 'v')
            run.verbose = true;
        else if (c == 'c')
            run.cached = true;
        else if (c == 'm')
            run.mode = optarg;
        else if (c == 'w' && run.n_without < MOST_WITHOUT)
            run.without[run.n_without++] = optarg;
        else
            ok = c < VOLUMES && take_volume((enum volume)c, optarg);
        if (!ok) {
            fprintf(stderr, "usage: conformance [-l] [-v] --plain DOOR=SHARE [--fold DOOR=SHARE] "
                            "[--readonly DOOR=SHARE] [--poll DOOR=SHARE] "
                            "[--acl DOOR=SHARE] [--mode NAME] [--cached] [--without TEXT] "
                            "[TEXT...]\n");
            return 2;
        }
    }
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (unsigned i = 0; i < groups[g]->n; i++)
            consider(groups[g], &groups[g]->cases[i], argv + optind);
    if (!run.list)
        printf("1..%u\n", run.n);
    return run.failed || run.n == 0 ? 1 : 0;
}
