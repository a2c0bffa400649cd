// SPDX-License-Identifier: BSD-3-Clause
/*
 * find.c - paths to nodes, once for an operation
 *
 * Theory of operation
 *
 *   WinFsp names a file by its whole path, twice for an open: for the access check and for the open itself;
 *   and three times for a create: the file, its directory, the file. The last walk of the operation is kept
 *   (guard.c) and answers all of these: the same path, the directory of the path that was walked, and a
 *   name in the directory that was walked. Outside of an operation nothing is kept.
 *
 *   The client never follows symbolic links. A link with more components behind it ends the walk; WinFsp is
 *   told where it is and comes back with the link resolved (reparse.c).
 *
 * Ownership: the trail holds the references of its walk until it is replaced or the operation ends; what is
 * found gets references of its own. Locks: none; a trail belongs to its thread.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

/** svc_trail_end() - give back what the operation's walk refers to */
void svc_trail_end(struct svc_volume *v, struct svc_trail *t)
{
    if (t->walked)
        cli_walk_end(v->client, &t->walk);
    t->walked = false;
    svc_stream_put(t->stream);
    t->stream = NULL;
}

/* Walk a path, in place of what the trail had. Return: cli_walk()'s, or an error of the path itself. */
static int trail_walk(struct svc_volume *v, struct svc_trail *t, const WCHAR *path)
{
    size_t units = wcslen(path);
    int error;

    svc_trail_end(v, t);
    if (units >= SVC_PATH_UNITS)
        return -LE_ENAMETOOLONG;
    error = svc_path_parse(path, &t->path);
    if (error)
        return error;
    t->mark = cli_mark(v->client);
    t->result = cli_walk(v->client, t->path.names, t->path.count, &t->walk);
    t->walked = true;
    t->units = (uint32_t)units;
    memcpy(t->text, path, (units + 1) * sizeof(*path));
    return t->result;
}

static void name_set(struct svc_found *f, const char *bytes, uint32_t len)
{
    f->name_len = len;
    memcpy(f->name, bytes, len);
    f->name[len] = '\0';
}

/* The last component: as the host spells it where it was found. */
static void take_name(const struct svc_trail *t, struct svc_found *f)
{
    const struct cli_walk *w = &t->walk;
    uint32_t begin = w->spelling_len;

    if (t->path.count == 0)
        return;
    if (w->depth < t->path.count) {
        const struct cli_name *last = &t->path.names[t->path.count - 1];

        name_set(f, last->bytes, last->len);
        return;
    }
    while (begin > 0 && w->spelling[begin - 1] != '/')
        begin--;
    if (w->spelling_len - begin <= SVC_NAME_BYTES)
        name_set(f, w->spelling + begin, w->spelling_len - begin);
}

static struct cli_node *reference(struct cli_node *n)
{
    return n ? cli_node_get(n) : NULL;
}

/* -i: all components that were found, as on the host. */
static void take_spelling(const struct svc_volume *v, const struct cli_walk *w, struct svc_found *f)
{
    if (!v->options.case_insensitive || w->spelling_len > sizeof(f->spelling))
        return;
    f->spelling_len = w->spelling_len;
    memcpy(f->spelling, w->spelling, w->spelling_len);
}

/* What the trail's own path led to. */
static int take_walk(struct svc_volume *v, const struct svc_trail *t, struct svc_found *f)
{
    const struct cli_walk *w = &t->walk;

    f->node = reference(w->node);
    f->parent = reference(w->parent);
    f->depth = w->depth;
    f->count = t->path.count;
    if (t->result == CLI_WALK_SYMLINK && w->depth < t->path.count)
        f->link_units = t->path.start[w->depth];
    take_name(t, f);
    take_spelling(v, w, f);
    return t->result;
}

/* The directory that the trail's path is in. */
static int take_directory(const struct svc_trail *t, struct svc_found *f)
{
    f->node = cli_node_get(t->walk.parent);
    f->count = f->depth = t->path.count - 1;
    if (f->count > 0)
        name_set(f, t->path.names[f->count - 1].bytes, t->path.names[f->count - 1].len);
    return 0;
}

/* Does the trail know the directory of its path, and not one further up? */
static bool knows_directory(const struct svc_trail *t)
{
    return t->walk.parent && t->walk.depth + 1 >= t->path.count;
}

static int find_in(struct svc_volume *v, struct svc_trail *t, const WCHAR *path,
                   struct svc_found *f)
{
    int r;

    if (t->walked && wcscmp(t->text, path) == 0)
        return take_walk(v, t, f);
    if (t->walked && knows_directory(t) && svc_path_is_parent(path, t->text))
        return take_directory(t, f);
    r = trail_walk(v, t, path);
    return t->walked ? take_walk(v, t, f) : r;
}

/* With the operation's trail, or one for this call. */
static int with_trail(struct svc_volume *v, const WCHAR *path, struct svc_found *f,
                      int (*find)(struct svc_volume *, struct svc_trail *, const WCHAR *,
                                  struct svc_found *))
{
    struct svc_trail *t = svc_trail(v), *own = NULL;
    int r;

    memset(f, 0, offsetof(struct svc_found, spelling));
    if (!t) {
        t = own = calloc(1, sizeof(*own));
        if (!t)
            return -LE_ENOMEM;
    }
    r = find(v, t, path, f);
    if (own) {
        svc_trail_end(v, own);
        free(own);
    }
    return r;
}

/**
 * svc_find() - what is at a path [as many as cli_walk() needs, none if this operation was there before]
 * @path: from the volume's root
 *
 * Return: as cli_walk(); -LE_EILSEQ and -LE_ENAMETOOLONG for a path that cannot be. svc_found_end() in
 * every case.
 */
int svc_find(struct svc_volume *v, const WCHAR *path, struct svc_found *f)
{
    return with_trail(v, path, f, find_in);
}

/* The walked path is the directory of `path`: only the name is missing. */
static int take_below(struct svc_volume *v, const struct svc_trail *t, const WCHAR *path,
                      struct svc_found *f)
{
    const WCHAR *last = wcsrchr(path, L'\\') + 1;
    char name[SVC_NAME_BYTES];
    int len = svc_name_to_host(last, (uint32_t)wcslen(last), name);

    if (len < 0)
        return len;
    f->parent = cli_node_get(t->walk.node);
    f->depth = t->path.count;
    f->count = f->depth + 1;
    take_spelling(v, &t->walk, f);
    name_set(f, name, (uint32_t)len);
    return 0;
}

static int find_directory_in(struct svc_volume *v, struct svc_trail *t, const WCHAR *path,
                             struct svc_found *f)
{
    int r;

    if (t->walked && t->result == 0 && svc_path_is_parent(t->text, path))
        return take_below(v, t, path, f);
    if (!t->walked || wcscmp(t->text, path) != 0) {
        r = trail_walk(v, t, path);
        if (!t->walked)
            return r;
    }
    r = take_walk(v, t, f);
    if (t->path.count == 0)
        return -LE_EEXIST; /* the root is in no directory */
    return knows_directory(t) ? 0 : r;
}

/**
 * svc_find_directory() - the directory that a path is in, and the name in it
 *
 * Return: 0 with parent and name set, whether that name exists or not (f->node tells what this operation
 * already knows; NULL is no proof). Others as svc_find(); -LE_EEXIST for the root.
 */
int svc_find_directory(struct svc_volume *v, const WCHAR *path, struct svc_found *f)
{
    return with_trail(v, path, f, find_directory_in);
}

void svc_found_end(struct svc_volume *v, struct svc_found *f)
{
    cli_node_put(v->client, f->node);
    cli_node_put(v->client, f->parent);
    f->node = f->parent = NULL;
}

/* Did this operation's walk bring the attributes? */
static bool heard_in_operation(struct svc_volume *v, struct cli_node *n, struct cli_attr *out)
{
    const struct svc_trail *t = svc_trail(v);

    return t && t->walked && cli_attr_since(v->client, n, t->mark, out);
}

/** svc_getattr() - cli_getattr(), or what came since this operation began its walk [1, or none] */
int svc_getattr(struct svc_volume *v, struct cli_node *n, struct cli_attr *out)
{
    return heard_in_operation(v, n, out) ? 0 : cli_getattr(v->client, n, false, out);
}

/** svc_getmode() - the same for cli_getmode() [1, or none] */
int svc_getmode(struct svc_volume *v, struct cli_node *n, struct cli_attr *out)
{
    return heard_in_operation(v, n, out) ? 0 : cli_getmode(v->client, n, out);
}

struct cli_name svc_found_name(const struct svc_found *f)
{
    struct cli_name name = {f->name, f->name_len};

    return name;
}

/**
 * svc_find_status() - what svc_find()'s result is called on Windows
 *
 * Return: STATUS_REPARSE for a link on the way; OBJECT_PATH_NOT_FOUND when a directory on the way is missing or
 * none, OBJECT_NAME_NOT_FOUND when only the last component is missing.
 */
NTSTATUS svc_find_status(int result, const struct svc_found *f)
{
    bool on_the_way = f->depth + 1 < f->count || result == -LE_ENOTDIR;

    if (result == CLI_WALK_SYMLINK)
        return STATUS_REPARSE;
    return svc_status(result, on_the_way ? SVC_ABOUT_PATH : SVC_ABOUT_NAME);
}

/** svc_find_failure() - the same where WinFsp takes no STATUS_REPARSE: a link on the way is no directory */
NTSTATUS svc_find_failure(int result, const struct svc_found *f)
{
    NTSTATUS status = svc_find_status(result, f);

    return status == STATUS_REPARSE ? STATUS_OBJECT_PATH_NOT_FOUND : status;
}
