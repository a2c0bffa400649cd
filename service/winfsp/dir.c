// SPDX-License-Identifier: BSD-3-Clause
/*
 * dir.c - ReadDirectory, GetDirInfoByName
 *
 * Theory of operation
 *
 *   A listing is streamed: each call fills WinFsp's buffer with as many entries as fit, from the place that
 *   the marker names, and nothing of the directory is kept here. The marker is the FUSE cookie of the last
 *   entry (DirectoryMarkerAsNextOffset), which the host understands on any handle of the directory, so
 *   WinFsp's own cache of listings may be filled by one handle and continued by another. "." and ".." come
 *   first, with two cookies that no file system uses.
 *
 *   WinFsp applies patterns itself, and does so to a listing it has cached; only a pattern without wildcards
 *   comes here, as GetDirInfoByName, and costs one lookup at most.
 *
 *   What the host sends without attributes, files of hosts that do not tell what is stored of them, and links, of which
 *   Windows wants to know whether they lead to a directory, take further questions. They are asked between two steps of the stream, never inside one.
 *
 *   An error in the middle is reported by the call that would have to start with it.
 *
 * Locks: o->lock while the stream moves.
 */
#include "service/winfsp/svc.h"

#include <string.h>

#define COOKIE_START   0
#define COOKIE_DOT     (UINT64_MAX - 2)
#define COOKIE_DOT_DOT (UINT64_MAX - 1)

enum { ALIGNMENT = 8 };

/* WinFsp's buffer, being filled. */
struct listing {
    struct svc_open *o;
    uint8_t *buf;
    ULONG room, used;
    bool full;
    bool asks_stored; /* the host has to be asked for what is stored of each file */
    /* the entry that the stream stopped at because it takes further questions */
    bool waiting;
    struct cli_dirent entry;
    char name[SVC_NAME_BYTES];
};

static bool put(struct listing *l, struct cli_name name, bool dots,
                const struct winfsp_file_info *info, uint64_t cookie)
{
    struct winfsp_dir_info *d = (struct winfsp_dir_info *)(void *)(l->buf + l->used);
    uint16_t units[SVC_NAME_UNITS] = {'.', '.'};
    uint32_t count = dots ? name.len : svc_name_from_host(name.bytes, name.len, units);
    ULONG size = (ULONG)(sizeof(*d) + count * sizeof(WCHAR));

    if (l->room - l->used < size) {
        l->full = true;
        return false;
    }
    memset(d, 0, sizeof(*d));
    d->size = (uint16_t)size;
    d->file_info = *info;
    d->next_offset = cookie;
    memcpy(d->name, units, count * sizeof(WCHAR));
    size = (size + ALIGNMENT - 1) & ~(ULONG)(ALIGNMENT - 1);
    l->used = l->room - l->used < size ? l->room : l->used + size;
    return true;
}

/* A zero size after the last entry tells WinFsp that there are no more. */
static void put_end(struct listing *l)
{
    uint16_t none = 0;

    if (l->room - l->used < sizeof(none))
        return;
    memcpy(l->buf + l->used, &none, sizeof(none));
    l->used += sizeof(none);
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static bool put_entry(struct listing *l, const struct cli_dirent *e, bool link_to_directory)
{
    struct cli_name name = {e->name, e->name_len};
    struct cli_attr bare = {.mode = e->type ? e->type : SVC_IFREG};
    struct winfsp_file_info info;

    svc_info_of(l->o->v, e->has_attr ? &e->attr : &bare, name, link_to_directory, &info);
    return put(l, name, false, &info, e->cookie);
}

static bool is_whole(const struct listing *l, const struct cli_dirent *e, uint32_t type)
{
    if (!e->has_attr || type == SVC_IFLNK)
        return false;
    return !l->asks_stored || e->attr.meta_known || (type != SVC_IFREG && type != SVC_IFDIR);
}

static bool take(void *user, const struct cli_dirent *e)
{
    struct listing *l = user;
    uint32_t type = e->has_attr ? e->attr.mode & SVC_IFMT : e->type;

    if (is_whole(l, e, type))
        return put_entry(l, e, false);
    if (e->name_len > SVC_NAME_BYTES)
        return true;
    l->waiting = true;
    l->entry = *e;
    memcpy(l->name, e->name, e->name_len);
    l->entry.name = l->name;
    return false;
}

/* The entry that waits: ask what is missing. Return: false when it does not fit. */
static bool put_waiting(struct listing *l)
{
    struct svc_open *o = l->o;
    struct cli *c = o->v->client;
    struct cli_name name = {l->name, l->entry.name_len};
    struct cli_node *n = NULL;
    bool to_directory = false, fits;
    int error = cli_lookup(c, o->node, name, &n, NULL);

    l->waiting = false;
    if (error == -LE_ENOENT)
        return true; /* gone meanwhile */
    if (!error) {
        l->entry.has_attr = cli_getattr(c, n, false, &l->entry.attr) == 0;
        l->entry.type = cli_node_type(n);
        if (l->entry.type == SVC_IFLNK)
            to_directory = svc_link_is_directory(o->v, o->path, n);
    }
    fits = put_entry(l, &l->entry, to_directory);
    cli_node_put(c, n);
    return fits;
}

/* Return: 0 at the end, 1 when the buffer is full, -errno. */
static int fill_from(struct listing *l, uint64_t cookie)
{
    struct svc_open *o = l->o;
    struct cli *c = o->v->client;
    int r = 0;

    if (!o->dir)
        r = cli_dir_open(c, o->node, &o->dir);
    while (r == 0) {
        r = cli_dir_read(c, o->dir, cookie, take, l);
        if (r != 1 || !l->waiting)
            return r;
        cookie = l->entry.cookie;
        r = put_waiting(l) ? 0 : 1;
    }
    return r;
}

/* "." and "..", which the root has not. Return: false when they do not fit. */
static bool put_dots(struct listing *l, uint64_t *cookie)
{
    struct svc_open *o = l->o;
    struct cli_name dots = {"..", 1};
    struct winfsp_file_info info;
    struct cli_attr a;

    if (!o->parent ||
        (*cookie != COOKIE_START && *cookie != COOKIE_DOT && *cookie != COOKIE_DOT_DOT))
        return true;
    if (*cookie == COOKIE_START) {
        if (cli_getattr(o->v->client, o->node, false, &a) == 0) {
            svc_info_of(o->v, &a, dots, false, &info);
            if (!put(l, dots, true, &info, COOKIE_DOT))
                return false;
        }
        *cookie = COOKIE_DOT;
    }
    if (*cookie == COOKIE_DOT) {
        dots.len = 2;
        if (cli_getattr(o->v->client, o->parent, false, &a) == 0) {
            svc_info_of(o->v, &a, dots, false, &info);
            if (!put(l, dots, true, &info, COOKIE_DOT_DOT))
                return false;
        }
    }
    *cookie = COOKIE_START;
    return true;
}

/**
 * svc_cb_read_directory() - as many entries as fit
 * @pattern: never given; see above
 * @marker:  NULL for the start, else eight bytes: next_offset of the entry to go on after
 */
NTSTATUS WINAPI svc_cb_read_directory(struct winfsp_file_system *fs, void *ctx, WCHAR *pattern,
                                      WCHAR *marker, void *buf, ULONG len, ULONG *got)
{
    struct svc_open *o = ctx;
    struct listing l = {.o = o, .buf = buf, .room = len};
    uint64_t cookie = COOKIE_START;
    struct cli_session session;
    int r = 1;

    (void)fs, (void)pattern;
    if (cli_node_type(o->node) != SVC_IFDIR)
        return STATUS_NOT_A_DIRECTORY;
    if (marker)
        memcpy(&cookie, marker, sizeof(cookie));
    cli_session_get(o->v->client, &session);
    l.asks_stored = o->v->rules.stored && !session.meta;
    AcquireSRWLockExclusive(&o->lock);
    if (put_dots(&l, &cookie))
        r = fill_from(&l, cookie);
    ReleaseSRWLockExclusive(&o->lock);
    if (r == 0)
        put_end(&l);
    *got = l.used;
    if (r < 0 && l.used == 0)
        return svc_status(r, SVC_ABOUT_HANDLE);
    return r == 1 && l.used == 0 ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS;
}

/* ---- one name --------------------------------------------------------------------------------------- */

/**
 * svc_cb_get_dir_info_by_name() - one entry of a directory [1, none if the name is known]
 * @info: with room for 255 units of name
 */
NTSTATUS WINAPI svc_cb_get_dir_info_by_name(struct winfsp_file_system *fs, void *ctx, WCHAR *name,
                                            struct winfsp_dir_info *info)
{
    struct svc_open *o = ctx;
    struct svc_volume *v = svc_volume_of(fs);
    char bytes[SVC_NAME_BYTES], actual[SVC_NAME_BYTES + 1];
    int len = svc_name_to_host(name, (uint32_t)wcslen(name), bytes);
    struct cli_name asked = {bytes, len > 0 ? (uint32_t)len : 0}, found = {actual, 0};
    struct cli_node *n = NULL;
    struct cli_attr a;
    int error;

    if (len < 0)
        return STATUS_OBJECT_NAME_NOT_FOUND; /* a listing has no such name */
    error = cli_lookup(v->client, o->node, asked, &n, actual);
    if (!error)
        error = cli_getattr(v->client, n, false, &a);
    if (error) {
        cli_node_put(v->client, n);
        return svc_status(error, SVC_ABOUT_NAME);
    }
    found.len = (uint32_t)strlen(actual);
    svc_info_of(v, &a, found, cli_node_type(n) == SVC_IFLNK && svc_link_is_directory(v, o->path, n),
                &info->file_info);
    info->size = (uint16_t)(sizeof(*info) +
                            svc_name_from_host(actual, found.len, info->name) * sizeof(WCHAR));
    cli_node_put(v->client, n);
    return STATUS_SUCCESS;
}
