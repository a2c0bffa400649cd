// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_share.c - sections of a configuration file: several shares in one process
 *
 * Theory of operation
 *
 *   "[share NAME]" begins a section. Before the first one stands what all shares have in common, and what a process
 *   has only once: options whose row says so (conf_table.c) are refused inside a section, with the reason. A section
 *   begins as a copy of what is common, and what it says wins. The command line wins over both, for all shares; what
 *   no two shares can have alike it cannot say.
 *
 * Ownership: r->part is the reader's; each conf in it owns its strings and lists.   Locks: none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_table.h"
#include "host/notify.h"

#define NAME_LONGEST 64

static const size_t strings[] = {
    offsetof(struct conf, name),        offsetof(struct conf, source),
    offsetof(struct conf, socket_path), offsetof(struct conf, socket_group),
    offsetof(struct conf, tag),         offsetof(struct conf, stats_socket),
    offsetof(struct conf, xattrmap),    offsetof(struct conf, modcaps),
};
#define N_STRINGS (sizeof(strings) / sizeof(strings[0]))

static char **string_at(struct conf *conf, size_t i)
{
    return (char **)((char *)conf + strings[i]);
}

void conf_free(struct conf *conf)
{
    for (size_t i = 0; i < N_STRINGS; i++)
        free(*string_at(conf, i));
    free(conf->uid_map);
    free(conf->gid_map);
    free(conf->xlate_uid);
    free(conf->xlate_gid);
    *conf = (struct conf){.listen_fd = -1};
}

/* Exchange the pointer to a list for one to a copy. Return: false when out of memory; it is NULL then. */
static bool copy_list(void *list, size_t n, size_t size)
{
    void **at = list;
    const void *from = *at;

    *at = NULL;
    if (n == 0)
        return true;
    *at = calloc(n, size);
    if (*at)
        memcpy(*at, from, n * size);
    return *at;
}

int conf_copy(struct conf *to, const struct conf *from)
{
    bool ok = true;

    *to = *from;
    for (size_t i = 0; i < N_STRINGS; i++) {
        char **at = string_at(to, i);
        if (*at)
            ok = (*at = strdup(*at)) && ok;
    }
    ok = copy_list(&to->uid_map, to->n_uid_map, sizeof(*to->uid_map)) && ok;
    ok = copy_list(&to->gid_map, to->n_gid_map, sizeof(*to->gid_map)) && ok;
    ok = copy_list(&to->xlate_uid, to->n_xlate_uid, sizeof(*to->xlate_uid)) && ok;
    ok = copy_list(&to->xlate_gid, to->n_xlate_gid, sizeof(*to->xlate_gid)) && ok;
    if (ok)
        return 0;
    conf_free(to);
    return -ENOMEM;
}

/* ---- sections ------------------------------------------------------------------------------------ */

/* The name in "[share NAME]", in place; NULL if it is none. */
static char *share_name(char *line)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    char *name = line + 1 + strspn(line + 1, " \t");

    if (strncmp(name, "share", 5) != 0 || (name[5] != ' ' && name[5] != '\t'))
        return NULL;
    name += 5;
    name += strspn(name, " \t");
    size_t len = strspn(name, letters);
    char *end = name + len;
    end += strspn(end, " \t");
    if (len == 0 || len > NAME_LONGEST || strcmp(end, "]") != 0)
        return NULL;
    name[len] = '\0';
    return name;
}

/* What is being read, back to where it belongs. */
static void put_away(struct conf_reader *r)
{
    if (r->n_parts > 0 && r->in_share)
        memcpy(r->part[r->n_parts - 1].set_by, r->set_by, sizeof(r->set_by));
}

int conf_begin_share(struct conf_reader *r, const struct conf_part *common, char *line)
{
    const char *name = share_name(line);

    if (!name)
        return conf_fail(
            r,
            "is no section: they are called '[share NAME]', with a name of up to %d letters, "
            "digits, '.', '_' and '-'",
            NAME_LONGEST);
    for (size_t i = 0; i < r->n_parts; i++) {
        if (strcmp(r->part[i].conf.name, name) == 0)
            return conf_fail(r, "there is a share of this name already; give each its own");
    }
    if (r->n_parts == CONF_MAX_SHARES)
        return conf_fail(r, "more than %d shares; start another process for the rest",
                         CONF_MAX_SHARES);
    put_away(r);
    struct conf_part *part = reallocarray(r->part, r->n_parts + 1, sizeof(*part));
    if (!part)
        return conf_fail(r, "%s", strerror(ENOMEM));
    r->part = part;
    part += r->n_parts;
    char *copy = strdup(name);
    if (!copy || conf_copy(&part->conf, &common->conf) < 0) {
        free(copy);
        return conf_fail(r, "%s", strerror(ENOMEM));
    }
    part->conf.name = copy;
    r->n_parts++;
    r->in_share = true;
    r->conf = &part->conf;
    /* What was common is as a default to the section: it may say the same option once more. */
    for (size_t i = 0; i < CONF_MAX_OPTIONS; i++)
        r->set_by[i] = common->set_by[i] ? RANK_COMMON : RANK_DEFAULT;
    return 0;
}

void conf_end_share(struct conf_reader *r, struct conf_part *common)
{
    if (!r->in_share)
        return;
    put_away(r);
    r->in_share = false;
    r->conf = r->common;
    memcpy(r->set_by, common->set_by, sizeof(r->set_by));
}

int conf_fits_here(const struct conf_reader *r, const struct conf_option *o)
{
    if (r->in_share && o->process)
        return conf_fail(r, "is the same for all shares: %s; put it above the first section",
                         o->process);
    if (r->rank == RANK_COMMAND && r->n_parts > 0 && o->own && !r->files_only)
        return conf_fail(
            r, "is different for each share: put it into the sections of the configuration file");
    return 0;
}

/* ---- what two shares must not have in common ------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static int check_pair(struct conf_reader *r, const struct conf *a, const struct conf *b)
{
    snprintf(r->where, sizeof(r->where), "share %s", b->name);
    if (same(a->socket_path, b->socket_path))
        return conf_fail(r, "socket-path: %s is that of share %s already; each needs its own",
                         b->socket_path, a->name);
    if (a->listen_fd >= 0 && a->listen_fd == b->listen_fd)
        return conf_fail(r, "fd: %d is that of share %s already; each needs its own", b->listen_fd,
                         a->name);
    return 0;
}

/* Every socket from systemd has to be somebody's. */
static int check_activated(struct conf_reader *r)
{
    const struct notify_fds *fds = r->env->activated;

    for (int i = 0; fds && i < fds->n; i++) {
        bool known = false;
        for (size_t k = 0; k < r->n_parts; k++)
            known = known || same(notify_fd_name(fds, i), r->part[k].conf.name);
        if (known)
            continue;
        snprintf(r->where, sizeof(r->where), "LISTEN_FDNAMES");
        return conf_fail(
            r,
            "the socket \"%s\" is no share's: set FileDescriptorName= in its .socket unit to "
            "the name of a section",
            notify_fd_name(fds, i));
    }
    return 0;
}

int conf_check_shares(struct conf_reader *r)
{
    int err = check_activated(r);

    for (size_t i = 0; i < r->n_parts; i++) {
        for (size_t k = 0; k < i && !err; k++)
            err = check_pair(r, &r->part[k].conf, &r->part[i].conf);
    }
    return err;
}
