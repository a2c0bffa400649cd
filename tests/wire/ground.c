// SPDX-License-Identifier: BSD-3-Clause
/*
 * ground.c - file systems under a share that are not like a disk's (see ground.h)
 */
#include "tests/wire/ground.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/** ground_overlay() - see ground.h */
void ground_overlay(struct ground *g)
{
    char options[256], path[80];

    for (const char *const *dir = (const char *const[]){"lower", "upper", "work", NULL}; *dir;
         dir++) {
        snprintf(path, sizeof(path), "%s/%s", g->base, *dir);
        assert_ok(mkdir(path, 0755));
    }
    snprintf(path, sizeof(path), "%s/lower/low", g->base); /* copied up when it is written */
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, "lower text", 10) == 10);
    close(fd);
    snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
             g->base, g->base, g->base);
    if (mount("overlay", g->at, "overlay", 0, options) < 0)
        skip();
}

/** ground_fuse() - see ground.h */
void ground_fuse(struct ground *g)
{
    struct stat under, over;
    char below[80], low[100];

    snprintf(below, sizeof(below), "%s/below", g->base);
    assert_ok(mkdir(below, 0755));
    snprintf(low, sizeof(low), "%s/low", below);
    int fd = open(low, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, "lower text", 10) == 10);
    close(fd);
    assert_ok(stat(g->at, &under));
    g->server = fork();
    assert_true(g->server >= 0);
    if (g->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("bindfs", "bindfs", "-f", "-o", "attr_timeout=0,entry_timeout=0", below, g->at,
               NULL);
        _exit(127);
    }
    for (unsigned i = 0; i < PATIENCE_MS; i++) {
        if (waitpid(g->server, NULL, WNOHANG) == g->server)
            skip(); /* there is no FUSE here */
        assert_ok(stat(g->at, &over));
        if (over.st_dev != under.st_dev)
            return;
        usleep(1000);
    }
    fail_msg("bindfs does not serve");
}

/** ground_lay() - see ground.h */
void ground_lay(struct ground *g, const char *at, void (*mount_it)(struct ground *))
{
    *g = (struct ground){.base = private_tmpfs("size=16m")};
    if (!g->base)
        skip();
    snprintf(g->share, sizeof(g->share), "%s/share", g->base);
    assert_ok(mkdir(g->share, 0755));
    snprintf(g->at, sizeof(g->at), "%s%s", g->share, at);
    if (*at)
        assert_ok(mkdir(g->at, 0755));
    mount_it(g);
}

/** ground_clear() - see ground.h */
void ground_clear(struct ground *g, struct wire *w)
{
    wire_disconnect(w);
    assert_int_equal(daemon_wait(&w->d, PATIENCE_MS, &(int){0}), 0);
    w->ended = true;
    assert_ok(umount2(g->at, MNT_DETACH));
    if (g->server > 0)
        waitpid(g->server, NULL, 0);
    umount2(g->base, MNT_DETACH);
    rmdir(g->base);
}
