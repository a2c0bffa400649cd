// SPDX-License-Identifier: BSD-3-Clause
/*
 * idmap.c - a user namespace and its maps
 *
 * Theory of operation
 *
 *   A process without root's powers needs a user namespace before it may have any other
 *   (user_namespaces(7)). A process in a new one may map only its own user and group, to themselves
 *   here, and must give up setgroups() for that. Ranges (--uid-map, --gid-map) are written from
 *   outside: by newuidmap(1) and newgidmap(1), which check them against /etc/subuid and /etc/subgid, or
 *   directly when the daemon was started by root. "Outside" is a helper process that is forked before
 *   the namespace is made, waits until it is, writes the maps and ends.
 *
 *   Where the maps have an id 0 we become that id: ids that are not mapped own nothing in there. Else we
 *   stay who we are.
 *
 * Ownership: idmap_prepare() makes the helper process and a pipe, idmap_apply() or idmap_cancel() end
 * both.   Locks: none; called while there is one thread.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cleanup.h"

#define MAX_LINES 340 /* user_namespaces(7): lines in a map */

struct map {
    const char *what; /* "uid" or "gid" */
    const struct conf_idmap *lines;
    size_t n;
};

/**
 * idmap_wanted() - does this process need a user namespace?
 *
 * Return: true without root's user id, or when there are maps.
 */
bool idmap_wanted(const struct conf *conf)
{
    return geteuid() != 0 || conf->n_uid_map > 0 || conf->n_gid_map > 0;
}

static bool one_id(const struct conf_idmap *lines, size_t n)
{
    return n == 0 || (n == 1 && lines[0].count == 1);
}

/**
 * idmap_one_id() - is only one user or only one group mapped?
 *
 * Of a process that idmap_wanted() a namespace. Return: true if acting as another user cannot work.
 */
bool idmap_one_id(const struct conf *conf)
{
    return one_id(conf->uid_map, conf->n_uid_map) || one_id(conf->gid_map, conf->n_gid_map);
}

static bool maps_zero(const struct conf_idmap *lines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lines[i].inside == 0)
            return true;
    return false;
}

/* The kernel takes a map in one write. */
static int write_once(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = write(fd, text, strlen(text));
    if (n < 0)
        return -errno;
    return (size_t)n == strlen(text) ? 0 : -EIO;
}

/* ---- the helper ---------------------------------------------------------------------------- */

/* By root, who may map what it likes. */
static int write_map_as_root(const struct map *map, pid_t pid)
{
    char path[64], text[MAX_LINES * 36];
    size_t len = 0;
    int err;

    for (size_t i = 0; i < map->n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%u %u %u\n", map->lines[i].inside,
                                map->lines[i].outside, map->lines[i].count);
    snprintf(path, sizeof path, "/proc/%d/%s_map", (int)pid, map->what);
    err = write_once(path, text);
    if (err)
        log_error("--%s-map: the kernel refuses the map: %s", map->what, strerror(-err));
    return err;
}

static void explain_refusal(const struct map *map, const char *program, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) != 127)
        log_error("--%s-map: %s refused (its message is above); every range of host ids must be "
                  "granted to this user in /etc/sub%s: usermod --add-sub%ss FIRST-LAST USER",
                  map->what, program, map->what, map->what);
    else
        log_error("--%s-map: %s failed with wait status %#x", map->what, program, status);
}

/* By newuidmap or newgidmap, which root has made able to. */
static int run_newidmap(const struct map *map, pid_t pid)
{
    char program[16], numbers[1 + 3 * MAX_LINES][12];
    char *argv[3 + 3 * MAX_LINES];
    size_t n = 0;
    pid_t child;
    int err, status;

    snprintf(program, sizeof program, "new%smap", map->what);
    argv[n++] = program;
    snprintf(numbers[0], sizeof numbers[0], "%d", (int)pid);
    argv[n++] = numbers[0];
    for (size_t i = 0; i < map->n; i++) {
        const uint32_t line[3] = {map->lines[i].inside, map->lines[i].outside, map->lines[i].count};

        for (size_t k = 0; k < 3; k++) {
            char *number = numbers[1 + 3 * i + k];

            snprintf(number, sizeof numbers[0], "%u", line[k]);
            argv[n++] = number;
        }
    }
    argv[n] = NULL;

    err = -posix_spawnp(&child, program, NULL, NULL, argv, environ);
    if (err == -ENOENT)
        log_error("--%s-map needs %s, which is not installed (Debian's package is uidmap)",
                  map->what, program);
    else if (err)
        log_error("--%s-map: %s does not start: %s", map->what, program, strerror(-err));
    if (err)
        return err;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (status == 0)
        return 0;
    explain_refusal(map, program, status);
    return -EPERM;
}

static int write_map(const struct map *map, pid_t pid)
{
    if (map->n == 0)
        return 0;
    if (map->n > MAX_LINES) {
        log_error("--%s-map: at most %d ranges", map->what, MAX_LINES);
        return -EINVAL;
    }
    return geteuid() == 0 ? write_map_as_root(map, pid) : run_newidmap(map, pid);
}

/* Wait for the word, then write the maps of the process that forked us. */
static _Noreturn void helper_main(const struct conf *conf, int go)
{
    const struct map uid = {"uid", conf->uid_map, conf->n_uid_map};
    const struct map gid = {"gid", conf->gid_map, conf->n_gid_map};
    pid_t pid = getppid();
    char word;

    if (TEMP_FAILURE_RETRY(read(go, &word, 1)) != 1)
        _exit(1); /* the parent gave up, and has said why */
    if (write_map(&gid, pid) < 0 || write_map(&uid, pid) < 0)
        _exit(1);
    _exit(0);
}

/**
 * idmap_prepare() - before unshare(): start the helper that can write maps from outside
 * @helper: filled; pid 0 when no map was asked for
 *
 * Return: 0 or -errno (message printed).
 */
int idmap_prepare(const struct conf *conf, struct idmap_helper *helper)
{
    int pipe_fds[2];

    *helper = (struct idmap_helper){.go = -1};
    if (conf->n_uid_map == 0 && conf->n_gid_map == 0)
        return 0;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return confine_fail(-errno, "no pipe for the id maps");
    helper->pid = fork();
    if (helper->pid < 0) {
        int err = -errno;

        confine_fail(err, "no process for the id maps");
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        helper->pid = 0;
        return err;
    }
    if (helper->pid == 0) {
        close(pipe_fds[1]);
        helper_main(conf, pipe_fds[0]);
    }
    close(pipe_fds[0]);
    helper->go = pipe_fds[1];
    return 0;
}

static int helper_end(struct idmap_helper *helper, bool start)
{
    int status = 0, err = 0;

    if (helper->pid == 0)
        return 0;
    if (start && TEMP_FAILURE_RETRY(write(helper->go, "", 1)) != 1)
        err = -errno;
    close(helper->go);
    if (TEMP_FAILURE_RETRY(waitpid(helper->pid, &status, 0)) < 0)
        err = -errno;
    *helper = (struct idmap_helper){.go = -1};
    if (start && !err && status != 0)
        err = -EPERM; /* the helper has said why */
    return err;
}

/** idmap_cancel() - give up between prepare and apply */
void idmap_cancel(struct idmap_helper *helper)
{
    (void)helper_end(helper, false); /* it ends without having done anything */
}

/* ---- inside -------------------------------------------------------------------------------- */

/* Our own id, to itself: all that an unprivileged process may map. */
static int map_own(const char *what, unsigned id)
{
    char path[32], text[40];
    int err = 0;

    if (strcmp(what, "gid") == 0)
        err = write_once("/proc/self/setgroups", "deny");
    if (!err) {
        snprintf(path, sizeof path, "/proc/self/%s_map", what);
        snprintf(text, sizeof text, "%u %u 1\n", id, id);
        err = write_once(path, text);
    }
    if (err)
        log_error("%s %u cannot be mapped into a user namespace: %s", what, id, strerror(-err));
    return err;
}

/* Where 0 is mapped the process is that: its own id may have no meaning in there. */
static int become_zero(const struct conf *conf)
{
    int err = 0;

    if (maps_zero(conf->gid_map, conf->n_gid_map) && setresgid(0, 0, 0) < 0)
        err = -errno;
    if (!err && maps_zero(conf->uid_map, conf->n_uid_map) && setresuid(0, 0, 0) < 0)
        err = -errno;
    if (err)
        log_error("id 0 of the new user namespace cannot be taken: %s", strerror(-err));
    return err;
}

int idmap_apply(const struct conf *conf, struct idmap_helper *helper, uid_t uid, gid_t gid)
{
    int err = helper_end(helper, true);

    if (!err && conf->n_uid_map == 0)
        err = map_own("uid", uid);
    if (!err && conf->n_gid_map == 0)
        err = map_own("gid", gid);
    if (!err)
        err = become_zero(conf);
    return err;
}
