// SPDX-License-Identifier: BSD-3-Clause
/*
 * dir.c - listing directories
 *
 * Theory of operation
 *
 *   A listing is a stream of pages that the host fills; a page is as long as one request carries, so a directory
 *   of any size needs one page of memory and one round trip for some five thousand names. Each entry
 *   comes with its node and attributes (READDIRPLUS, or our extension's with birth times), which enter the
 *   caches: what a program does next with these names is not asked again.
 *
 *   The host counts one lookup for every entry of a page that it sends. All of them are therefore
 *   entered when the page arrives, once, whether or not anybody then takes the entries.
 *
 *   The page stays with the stream, and a cursor in it. The next call goes on at the cursor, or at any other
 *   entry of the page, without asking. The start is always asked for again: whoever starts over wants to
 *   see what is there now.
 *
 *   What is watched by the host and was read once is handed out from memory (listing.c), without opening anything.
 *
 *   A host without READDIRPLUS sends names only; each is then looked up when it is handed out.
 *
 *   A cookie is the host's word for a place in a directory. It outlives a session of ours (ext4, XFS, Btrfs
 *   keep it on disk), so a stream of an older session is opened again and goes on.
 *
 *   A host that sends page after page and no usable entry, or whose cookies stand still, is broken: -LE_EIO.
 *
 * Ownership: a struct cli_dir belongs to its opener and holds its node.
 * Locks: dir->turn is held for the whole of a cli_dir_read(), round trips and callbacks included, and guards
 *   the stream. It is taken before all other locks.
 */
#include <stdlib.h>

#include "service/client/client_int.h"

enum {
    LEAST_PAGE = 4096,
    MOST_PAGE = 1 << 20,
    EMPTY_PAGES = 16, /* in a row, with nothing but "." and ".." in them */
};

struct cli_dir {
    struct cli_node *node; /* a reference */
    cli_mutex turn;
    uint64_t fh;
    uint32_t session; /* that fh belongs to; 0: not opened on the host yet */

    struct cli_listing *kept; /* what is handed out, NULL: pages */
    uint32_t kept_pos;
    uint64_t kept_cookie;
    struct cli_listing *building; /* of the pages so far, or NULL */

    enum cli_page kind;
    uint8_t *page; /* NULL: none */
    uint32_t len;
    uint64_t start; /* cookie that the page was asked for */

    /* The cursor: an entry of the page, by its place and by its cookie. */
    uint32_t pos;
    uint64_t cookie;
};

/* What a caller of cli_dir_read() brings. */
struct reader {
    bool (*each)(void *user, const struct cli_dirent *e);
    void *user;
};

/* ---- opening --------------------------------------------------------------------------------- */

static int32_t ask_opendir(struct cli *c, struct cli_dir *d)
{
    struct fuse_open_in in = {.flags = LX_O_RDONLY | LX_O_DIRECTORY};
    struct fuse_open_out out;
    struct cli_req r = {
        .opcode = FUSE_OPENDIR,
        .node = d->node,
        .arg = {{&in, sizeof(in)}},
        .reply = &out,
        .reply_cap = sizeof(out),
        .reply_min = sizeof(out),
    };
    int32_t result = cli_call(c, &r);

    if (result < 0)
        return result;
    d->fh = out.fh;
    d->session = r.session;
    return 0;
}

/* A listing that holds, if reading it is cheaper than asking. */
static struct cli_listing *find_kept(struct cli *c, struct cli_node *n)
{
    struct cli_listing *l = cli_listing_get(c, n);

    if (l && !cli_listing_worth(c, n, l)) {
        cli_listing_put(c, l);
        l = NULL;
    }
    return l;
}

/*
 * Once opened a directory is watched, and attributes that are asked for then say so. Only what is known to be
 * watched before it is read can be kept.
 */
static int32_t open_on_host(struct cli *c, struct cli_dir *d)
{
    struct cli_attr attr;
    int32_t e = ask_opendir(c, d);

    if (!e && atomic_load(&c->feed.live) && !cli_attr_is_long(c, d->node))
        (void)cli_getattr(c, d->node, true, &attr);
    return e;
}

/** cli_dir_open() - see client.h */
int cli_dir_open(struct cli *c, struct cli_node *n, struct cli_dir **out)
{
    struct cli_dir *d;
    int32_t e;

    if (n->type != LX_S_IFDIR)
        return -LE_ENOTDIR;
    d = calloc(1, sizeof(*d));
    if (!d)
        return -LE_ENOMEM;
    d->node = n;
    d->kept = find_kept(c, n);
    e = d->kept ? 0 : open_on_host(c, d);
    if (e) {
        free(d);
        return e;
    }
    cli_node_get(n);
    *out = d;
    return 0;
}

/** cli_dir_close() - see client.h */
void cli_dir_close(struct cli *c, struct cli_dir *d)
{
    if (!d)
        return;
    if (d->session)
        cli_release(c, d->node, d->fh, d->session, true);
    cli_listing_put(c, d->kept);
    cli_listing_put(c, d->building);
    cli_node_put(c, d->node);
    free(d->page);
    free(d);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void page_drop(struct cli_dir *d)
{
    free(d->page);
    d->page = NULL;
    d->len = 0;
}

static enum cli_page kind_of(struct cli *c, const struct cli_session *s)
{
    if (s->extension)
        return CLI_PAGE_EXT;
    return (s->flags & FUSE_DO_READDIRPLUS) && !cli_enosys(c, FUSE_READDIRPLUS) ? CLI_PAGE_PLUS
                                                                                : CLI_PAGE_PLAIN;
}

/* Ask for a page in the session of the stream. Return: its length or -errno. */
static int32_t ask_page(struct cli *c, struct cli_dir *d, uint64_t cookie, uint32_t room,
                        struct cli_req *r)
{
    static const uint32_t opcode[] = {FUSE_READDIR, FUSE_READDIRPLUS, VIOFS_READDIRPLUS};
    struct fuse_read_in in = {.fh = d->fh, .offset = cookie, .size = room};

    *r = (struct cli_req){
        .opcode = opcode[d->kind],
        .node = d->node,
        .session = d->session,
        .arg = {{&in, sizeof(in)}},
        .reply = d->page,
        .reply_cap = room,
    };
    return cli_call(c, r);
}

/*
 * Check a page from end to end and enter its nodes. What cannot be entered is listed nevertheless.
 * Return: 0; -LE_EIO for a page that no honest host sends; -LE_ENOTCONN.
 */
static int page_enter(struct cli *c, struct cli_dir *d, uint32_t session, uint64_t stamp)
{
    struct cli_rawent raw;
    uint32_t pos = 0;
    int n;

    while ((n = cli_dirent_next(d->page, d->len, &pos, d->kind, &raw)) > 0) {
        struct cli_name name = {raw.name, raw.name_len};

        if (raw.orphan)
            cli_forget(c, session, raw.orphan, 1);
        if (!raw.has_entry)
            continue;
        raw.entry.session = session;
        raw.entry.stamp = stamp;
        if (cli_enter(c, d->node, name, &raw.entry, NULL) == -LE_ENOTCONN)
            return -LE_ENOTCONN;
    }
    return n;
}

/* The page that was asked for at @cookie, for the listing that may be kept. */
static void build(struct cli *c, struct cli_dir *d, uint64_t cookie, uint64_t stamp)
{
    struct cli_listing *l = d->building;

    d->building = NULL;
    if (cookie == 0) {
        cli_listing_put(c, l);
        l = cli_listing_begin(c, d->node, stamp);
    }
    if (!l)
        return;
    if (!cli_listing_page(c, l, cookie, d->page, d->len, d->kind))
        cli_listing_put(c, l);
    else if (d->len == 0)
        cli_listing_end(c, d->node, l);
    else
        d->building = l;
}

/* The page at a cookie becomes the stream's. Return: 0, also at the end (its length is 0 then); -errno. */
static int page_fetch_once(struct cli *c, struct cli_dir *d, uint64_t cookie, bool names_only)
{
    struct cli_session s;
    struct cli_req r;
    uint32_t room;
    int32_t n;

    cli_session_get(c, &s);
    d->kind = names_only ? CLI_PAGE_PLAIN : kind_of(c, &s);
    room = s.max_read < LEAST_PAGE ? LEAST_PAGE : s.max_read > MOST_PAGE ? MOST_PAGE : s.max_read;
    page_drop(d);
    d->page = malloc(room);
    if (!d->page)
        return -LE_ENOMEM;
    uint64_t stamp = cli_stamp(c);
    n = ask_page(c, d, cookie, room, &r);
    if (n >= 0) {
        d->len = (uint32_t)n;
        n = page_enter(c, d, r.session, stamp);
    }
    if (n < 0) {
        page_drop(d);
        return n;
    }
    build(c, d, cookie, stamp);
    /* Most directories are small; a page is not. */
    uint8_t *small = realloc(d->page, d->len ? d->len : 1);
    if (small)
        d->page = small;
    d->start = d->cookie = cookie;
    d->pos = 0;
    return 0;
}

/*
 * The same, with what may stand in the way of the first attempt: a session that is over; a host without
 * READDIRPLUS; and the C virtiofsd, which fails a whole page with ENOENT when its first name is deleted while
 * it looks.
 */
static int page_fetch(struct cli *c, struct cli_dir *d, uint64_t cookie)
{
    int e = d->session ? 0 : open_on_host(c, d);
    uint64_t until = 0;

    if (!e)
        e = page_fetch_once(c, d, cookie, false);
    /* The session can end between a page and what is entered of it. */
    if (e == -LE_ENOTCONN && cli_await_session(c, &until))
        e = -LE_ESTALE;

    if (e == -LE_ESTALE && d->session != cli_session_no(c)) {
        e = ask_opendir(c, d);
        if (!e)
            e = page_fetch_once(c, d, cookie, false);
    }
    if ((e == -LE_ENOSYS || e == -LE_ENOENT) && d->kind == CLI_PAGE_PLUS)
        e = page_fetch_once(c, d, cookie, true);
    return e;
}

/* Put the cursor on the entry at a cookie, if it is in the page. */
static bool page_seek(struct cli_dir *d, uint64_t cookie)
{
    struct cli_rawent raw;
    uint32_t pos = 0;

    if (!d->page || cookie == 0)
        return false;
    if (cookie == d->cookie)
        return d->pos < d->len;
    while (cli_dirent_next(d->page, d->len, &pos, d->kind, &raw) > 0) {
        if (raw.cookie == cookie) {
            d->pos = pos;
            d->cookie = cookie;
            return pos < d->len;
        }
    }
    return false;
}

/* ---- handing out ----------------------------------------------------------------------------- */

static bool is_known(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    struct cli_dentry *d;
    bool known;

    cli_mutex_lock(&c->tree);
    d = cli_name_find(c, dir, name);
    known = d && d->node && cli_name_holds(d);
    cli_mutex_unlock(&c->tree);
    return known;
}

/*
 * For a host that sends names only. What was asked for just now is not asked for again, even if nothing holds.
 * Return: 0; -LE_ENOENT when it is gone meanwhile; -errno.
 */
static int look_up(struct cli *c, struct cli_dir *d, struct cli_dirent *e)
{
    struct cli_name name = {e->name, e->name_len};
    bool known = is_known(c, d->node, name);
    struct cli_node *n;
    int err = known ? cli_lookup(c, d->node, name, &n, NULL) : cli_ask(c, d->node, name, NULL, &n);

    if (err)
        return err;
    e->has_attr = known ? cli_getattr(c, n, false, &e->attr) == 0 : cli_attr_known(c, n, &e->attr);
    e->type = n->type;
    cli_node_put(c, n);
    return 0;
}

/* Return: does the reader want more? */
static bool hand_out(struct cli *c, struct cli_dir *d, const struct cli_rawent *raw,
                     const struct reader *to)
{
    struct cli_dirent e = {
        .name = raw->name,
        .name_len = raw->name_len,
        .type = raw->type,
        .cookie = raw->cookie,
        .has_attr = raw->has_entry,
    };

    if (raw->has_entry)
        e.attr = raw->entry.attr;
    else if (d->kind == CLI_PAGE_PLAIN && look_up(c, d, &e) == -LE_ENOENT)
        return true;
    return to->each(to->user, &e);
}

/*
 * Hand out what is in the page from the cursor on. @took: any entry but "." and ".."?
 * Return: 0 at its end, with the cursor there; 1 when the reader stopped, with the cursor on what it did not
 * take; -LE_EIO when the host's cookies do not get on.
 */
static int page_hand_out(struct cli *c, struct cli_dir *d, const struct reader *to, bool *took)
{
    struct cli_rawent raw;
    uint32_t next = d->pos;

    while (cli_dirent_next(d->page, d->len, &next, d->kind, &raw) > 0) {
        if (!raw.skip) {
            *took = true;
            if (!hand_out(c, d, &raw, to))
                return 1;
        }
        d->pos = next;
        d->cookie = raw.cookie;
    }
    return d->cookie == d->start ? -LE_EIO : 0;
}

static int read_from(struct cli *c, struct cli_dir *d, uint64_t cookie, const struct reader *to)
{
    for (unsigned empty = 0; empty < EMPTY_PAGES; empty++) {
        bool took = false;
        int r = page_seek(d, cookie) ? 0 : page_fetch(c, d, cookie);

        if (r)
            return r;
        if (d->len == 0) {
            page_drop(d);
            return 0;
        }
        r = page_hand_out(c, d, to, &took);
        if (r)
            return r;
        cookie = d->cookie;
        if (took)
            empty = 0;
    }
    return -LE_EIO;
}

/* Go on in what is kept. Return: 0 at the end; 1 when the reader stopped; -errno. */
static int read_kept(struct cli *c, struct cli_dir *d, const struct reader *to)
{
    uint32_t next = d->kept_pos;
    struct cli_dirent e;

    while (cli_listing_next(d->kept, &next, &e)) {
        uint64_t cookie = e.cookie;
        int r = cli_listing_fill(c, d->node, &e);

        if (r < 0 && r != -LE_ENOENT)
            return r;
        if (r == 0 && !to->each(to->user, &e))
            return 1;
        d->kept_pos = next;
        d->kept_cookie = cookie;
    }
    return 0;
}

static int read_any(struct cli *c, struct cli_dir *d, uint64_t cookie, const struct reader *to)
{
    if (cookie == 0) {
        cli_listing_put(c, d->kept);
        d->kept = find_kept(c, d->node);
        d->kept_pos = 0;
        d->kept_cookie = 0;
    }
    if (d->kept && (cookie == d->kept_cookie || cli_listing_seek(d->kept, cookie, &d->kept_pos))) {
        d->kept_cookie = cookie;
        return read_kept(c, d, to);
    }
    return read_from(c, d, cookie, to);
}

/** cli_dir_read() - see client.h */
int cli_dir_read(struct cli *c, struct cli_dir *d, uint64_t cookie,
                 bool (*each)(void *user, const struct cli_dirent *e), void *user)
{
    struct reader to = {.each = each, .user = user};
    int r;

    cli_mutex_lock(&d->turn);
    r = read_any(c, d, cookie, &to);
    cli_mutex_unlock(&d->turn);
    return r;
}
