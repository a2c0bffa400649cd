// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_check.c - options that contradict, need or imply each other
 *
 * Runs once, after everything has been read. What the command line says wins over a file even where
 * the two use different options for one thing (--fd over a file's socket-path); a contradiction within
 * either is an error that names both options and what to do. A socket that systemd hands over wins over a
 * file, too, so that one file serves with and without a .socket unit.
 *
 * Ownership: edits the struct conf of its reader.   Locks: none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf_table.h"
#include "host/notify.h"

/* Report a problem of the option @name, which no longer is the one being read. */
static int complain(struct conf_reader *r, const char *name, const char *text)
{
    if (r->conf->name)
        snprintf(r->where, sizeof(r->where), "share %s: %s", r->conf->name, name);
    else
        snprintf(r->where, sizeof(r->where), "--%s", name);
    return conf_fail(r, "%s", text);
}

static void drop(const char **string)
{
    free((char *)*string);
    *string = NULL;
}

static int check_cache(struct conf_reader *r)
{
    const struct conf *c = r->conf;

    if (c->writeback && (c->cache == CACHE_NEVER || c->cache == CACHE_METADATA))
        return complain(r, "writeback",
                        "needs a cache of file data to delay writes in: use --cache=auto or "
                        "--cache=always, or leave it out");
    return 0;
}

/* One of several shares takes the socket from systemd that has its name. */
static void take_named(struct conf_reader *r)
{
    const struct notify_fds *fds = r->env->activated;
    struct conf *c = r->conf;

    for (int i = 0; fds && i < fds->n; i++) {
        if (strcmp(notify_fd_name(fds, i), c->name) != 0)
            continue;
        drop(&c->socket_path);
        drop(&c->socket_group);
        c->listen_fd = fds->first + i;
        c->activated = true;
    }
}

/* A socket from systemd, in place of what a file says. */
static int take_activated(struct conf_reader *r)
{
    struct conf *c = r->conf;
    const char *other = conf_rank_of(r, "fd") == RANK_COMMAND            ? "fd"
                        : conf_rank_of(r, "socket-path") == RANK_COMMAND ? "socket-path"
                                                                         : NULL;

    if (c->name) {
        take_named(r);
        return 0;
    }
    if (r->env->activated_fd == NOTIFY_NO_SOCKET)
        return 0;
    if (other)
        return complain(r, other,
                        "cannot go with the socket that systemd hands over: leave out the option, "
                        "or the .socket unit");
    if (r->env->activated_fd == NOTIFY_MANY_SOCKETS) {
        snprintf(r->where, sizeof(r->where), "LISTEN_FDS");
        return conf_fail(r, "systemd hands over several sockets, and a share has one: leave one "
                            "ListenStream= in its .socket unit");
    }
    drop(&c->socket_path);
    if (conf_rank_of(r, "socket-group") < RANK_COMMAND)
        drop(&c->socket_group);
    c->listen_fd = r->env->activated_fd;
    c->activated = true;
    return 0;
}

static int check_socket(struct conf_reader *r)
{
    struct conf *c = r->conf;
    enum conf_rank fd = conf_rank_of(r, "fd"), path = conf_rank_of(r, "socket-path");
    int err = take_activated(r);

    if (err)
        return err;
    if (fd != RANK_DEFAULT && fd == path)
        return complain(r, "fd", "cannot go with --socket-path: give one socket to listen on");
    if (c->activated) {
        /* settled */
    } else if (fd > path) {
        drop(&c->socket_path);
        if (conf_rank_of(r, "socket-group") < fd)
            drop(&c->socket_group);
    } else if (path > fd) {
        c->listen_fd = -1;
    }
    if (!c->socket_path && c->listen_fd < 0)
        return complain(r, "socket-path",
                        "nothing to listen on: add --socket-path PATH (or --fd N "
                        "for a listening socket that was inherited)");
    if (!c->socket_path && c->socket_group)
        return complain(r, "socket-group",
                        "needs --socket-path: a socket that was handed over has "
                        "its permissions already; set them where it is made");
    if (c->socket_path && c->stats_socket && strcmp(c->socket_path, c->stats_socket) == 0)
        return complain(r, "stats-socket", "is the same path as --socket-path; use another");
    return 0;
}

/* What one of several shares has or cannot have. */
static int check_share(struct conf_reader *r)
{
    struct conf *c = r->conf;

    if (!c->name)
        return 0;
    if (!c->keep_listening && conf_rank_of(r, "keep-listening") != RANK_DEFAULT)
        return complain(r, "keep-listening",
                        "several shares always wait for the next guest: leave it out");
    c->keep_listening = true;
    if (c->watch == WATCH_FANOTIFY)
        return complain(r, "watch",
                        "fanotify is for a share with a process of its own: use inotify here");
    return 0;
}

static int check_attributes(struct conf_reader *r)
{
    struct conf *c = r->conf;
    const char *needs = c->xattrmap                       ? "xattrmap"
                        : c->posix_acl != WHEN_NEVER      ? "posix-acl"
                        : c->security_label != WHEN_NEVER ? "security-label"
                                                          : NULL;

    if (needs && !c->xattr && conf_rank_of(r, "xattr") >= conf_rank_of(r, needs))
        return complain(r, needs, "needs extended attributes: remove --no-xattr");
    if (needs)
        c->xattr = true;
    if (c->posix_acl != WHEN_NEVER && (c->n_xlate_uid || c->n_xlate_gid))
        return complain(r, "posix-acl",
                        "cannot go with --translate-uid or --translate-gid: the ids "
                        "inside ACLs are not translated; use --uid-map/--gid-map, "
                        "or leave ACLs off");
    if (conf_rank_of(r, "readdirplus") == RANK_DEFAULT)
        c->readdirplus = c->cache != CACHE_NEVER;
    return 0;
}

static int check_limits(struct conf_reader *r)
{
    const struct conf *c = r->conf;
    const char *quota = c->limit_bytes ? "limit-bytes" : c->limit_inodes ? "limit-inodes" : NULL;

    if (c->project_id >= 0 && !quota)
        return complain(r, "project-id",
                        "is for --limit-bytes and --limit-inodes: add one, or leave it out");
    if (quota && c->modcaps &&
        (strcasestr(c->modcaps, "+sys_resource") || strcasestr(c->modcaps, "+cap_sys_resource")))
        return complain(
            r, quota,
            "cannot go with --modcaps=+sys_resource, to which ext4 knows no limit: leave "
            "one of the two out");
    return 0;
}

static bool overlap(uint32_t a, uint32_t n, uint32_t b, uint32_t m)
{
    return a < (uint64_t)b + m && b < (uint64_t)a + n;
}

static int check_idmap(struct conf_reader *r, const char *name, const struct conf_idmap *m,
                       size_t n)
{
    if (n == 0)
        return 0;
    if (r->conf->sandbox != SANDBOX_NAMESPACE)
        return complain(r, name, "is a map of the user namespace: it needs --sandbox namespace");
    if (r->env->euid == 0)
        return complain(r, name,
                        "is for starting as an ordinary user; root gets no user "
                        "namespace: use --translate-uid and --translate-gid to change "
                        "owners");
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (overlap(m[i].inside, m[i].count, m[j].inside, m[j].count) ||
                overlap(m[i].outside, m[i].count, m[j].outside, m[j].count))
                return complain(r, name, "two of the ranges overlap; each id can be mapped once");
        }
    }
    return 0;
}

/* Where a rule takes guest ids from (or host ids): its first id, or false when it takes none. */
static bool guest_base(const struct conf_xlate *x, uint32_t *base)
{
    *base = x->from;
    return x->kind != XLATE_HOST && x->kind != XLATE_SQUASH_HOST;
}

static bool host_base(const struct conf_xlate *x, uint32_t *base)
{
    *base = x->kind == XLATE_MAP ? x->to : x->from;
    return x->kind == XLATE_HOST || x->kind == XLATE_SQUASH_HOST || x->kind == XLATE_MAP;
}

static int check_xlate(struct conf_reader *r, const char *name, const struct conf_xlate *x,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            uint32_t a, b;
            if ((guest_base(&x[i], &a) && guest_base(&x[j], &b) &&
                 overlap(a, x[i].count, b, x[j].count)) ||
                (host_base(&x[i], &a) && host_base(&x[j], &b) &&
                 overlap(a, x[i].count, b, x[j].count)))
                return complain(r, name,
                                "two rules take the same id in the same direction; make "
                                "the ranges disjoint");
        }
    }
    return 0;
}

int conf_check(struct conf_reader *r)
{
    struct conf *c = r->conf;
    int err;

    if (!c->source)
        return complain(r, "shared-dir",
                        "nothing to share: add --shared-dir DIR (or -o source=DIR)");
    if ((err = check_share(r)) || (err = check_cache(r)) || (err = check_socket(r)) ||
        (err = check_attributes(r)) || (err = check_limits(r)) ||
        (err = check_idmap(r, "uid-map", c->uid_map, c->n_uid_map)) ||
        (err = check_idmap(r, "gid-map", c->gid_map, c->n_gid_map)) ||
        (err = check_xlate(r, "translate-uid", c->xlate_uid, c->n_xlate_uid)) ||
        (err = check_xlate(r, "translate-gid", c->xlate_gid, c->n_xlate_gid)))
        return err;
    return 0;
}

int conf_check_source(struct conf *conf)
{
    const char *source = conf->source;
    char *path = realpath(source, NULL);
    struct stat st;
    char where[128] = "--shared-dir";

    if (conf->name)
        snprintf(where, sizeof(where), "share %s: shared-dir", conf->name);
    if (!path || stat(path, &st) < 0) {
        fprintf(stderr, "virtiofsd: %s: %s: %s; create it, or correct the path\n", where, source,
                strerror(errno));
        free(path);
        return -EINVAL;
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        fprintf(stderr,
                "virtiofsd: %s: %s is neither a directory nor a regular file; "
                "share the directory that holds it\n",
                where, source);
        free(path);
        return -EINVAL;
    }
    free((char *)conf->source);
    conf->source = path;
    return 0;
}
