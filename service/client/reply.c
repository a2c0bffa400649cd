// SPDX-License-Identifier: BSD-3-Clause
/*
 * reply.c - what a host may answer
 *
 * Theory of operation
 *
 *   The host is hostile until checked. Lengths of whole answers are checked by call.c; what is inside of
 *   them is checked here, once, and the rest of the client works with the structures that come out:
 *   known file types, sizes that fit a signed number, times with less than a second of nanoseconds,
 *   validities of at most a day, names that are names. Nothing here depends on the alignment of the
 *   answer; everything is copied out before it is looked at.
 *
 * Ownership: borrows the answers; allocates nothing.   Locks: none.
 */
#include <string.h>

#include "service/client/client_int.h"

enum {
    LONGEST_VALIDITY_MS = 24 * 60 * 60 * 1000,
    /* A file system on the host may keep names of 255 UTF-16 units: more bytes than we can ask for by
     * name, but no lie. Linux' FUSE_NAME_MAX. */
    LONGEST_HONEST_NAME = 1024,
};

uint64_t cli_ms(uint64_t sec, uint32_t nsec)
{
    if (sec >= LONGEST_VALIDITY_MS / 1000)
        return LONGEST_VALIDITY_MS;
    return sec * 1000 + (nsec < 1000000000u ? nsec / 1000000 : 999);
}

static bool is_type(uint32_t type)
{
    switch (type) {
    case LX_S_IFREG:
    case LX_S_IFDIR:
    case LX_S_IFLNK:
    case LX_S_IFIFO:
    case LX_S_IFSOCK:
    case LX_S_IFCHR:
    case LX_S_IFBLK:
        return true;
    default:
        return false;
    }
}

/* Bounded to some 35,000 years around 1970, so that whoever calculates with times cannot overflow. */
static struct cli_time time_of(uint64_t wire, uint32_t nsec)
{
    const int64_t most = (int64_t)1 << 40;
    int64_t sec = (int64_t)wire;

    sec = sec > most ? most : sec < -most ? -most : sec;
    return (struct cli_time){.sec = sec, .nsec = nsec < 1000000000u ? nsec : 999999999u};
}

static bool is_before(struct cli_time a, struct cli_time b)
{
    return a.sec < b.sec || (a.sec == b.sec && a.nsec < b.nsec);
}

static void guess_btime(struct cli_attr *a)
{
    a->btime = a->mtime;
    if (is_before(a->ctime, a->btime))
        a->btime = a->ctime;
    if (is_before(a->atime, a->btime))
        a->btime = a->atime;
}

/** cli_attr_parse() - see client_int.h */
int cli_attr_parse(const struct fuse_attr *a, const struct fuse_viofs_ext *ext,
                   struct cli_attr *out)
{
    if (!is_type(a->mode & LX_S_IFMT) || a->size > INT64_MAX)
        return -LE_EIO;
    *out = (struct cli_attr){
        .ino = a->ino,
        .size = a->size,
        .blocks = a->blocks <= INT64_MAX / 512 ? a->blocks : INT64_MAX / 512,
        .atime = time_of(a->atime, a->atimensec),
        .mtime = time_of(a->mtime, a->mtimensec),
        .ctime = time_of(a->ctime, a->ctimensec),
        .mode = a->mode & 0177777,
        .nlink = a->nlink,
        .uid = a->uid,
        .gid = a->gid,
        .rdev = a->rdev,
        .blksize = a->blksize,
        .flags = a->flags,
    };
    guess_btime(out);
    if (ext) {
        out->extended = true;
        cli_meta_parse(ext, out);
        if (ext->flags & VIOFS_EXT_BTIME) {
            out->btime = time_of((uint64_t)ext->btime, ext->btimensec);
            out->has_btime = true;
        }
    }
    return 0;
}

/** cli_statx_parse() - see client_int.h */
int cli_statx_parse(const struct viofs_statx *x, struct cli_attr *out)
{
    if (!is_type(x->mode & LX_S_IFMT) || x->size > INT64_MAX)
        return -LE_EIO;
    *out = (struct cli_attr){
        .ino = x->ino,
        .size = x->size,
        .blocks = x->blocks <= INT64_MAX / 512 ? x->blocks : INT64_MAX / 512,
        .atime = time_of((uint64_t)x->atime.tv_sec, x->atime.tv_nsec),
        .mtime = time_of((uint64_t)x->mtime.tv_sec, x->mtime.tv_nsec),
        .ctime = time_of((uint64_t)x->ctime.tv_sec, x->ctime.tv_nsec),
        .mode = x->mode,
        .nlink = x->nlink,
        .uid = x->uid,
        .gid = x->gid,
        /* makedev() of 20 minor bits around 12 major ones, as the kernel's new_encode_dev() */
        .rdev = (x->rdev_minor & 0xff) | (x->rdev_major & 0xfff) << 8 |
                (x->rdev_minor & 0xfff00u) << 12,
        .blksize = x->blksize,
    };
    guess_btime(out);
    if (x->mask & VIOFS_STATX_BTIME) {
        out->btime = time_of((uint64_t)x->btime.tv_sec, x->btime.tv_nsec);
        out->has_btime = true;
    }
    return 0;
}

/** cli_entry_parse() - see client_int.h */
int cli_entry_parse(const struct fuse_entry_out *e, const struct fuse_viofs_ext *ext,
                    struct cli_entry *out)
{
    *out = (struct cli_entry){
        .id = e->nodeid,
        .generation = e->generation,
        .entry_ms = cli_ms(e->entry_valid, e->entry_valid_nsec),
        .attr_ms = cli_ms(e->attr_valid, e->attr_valid_nsec),
    };
    return e->nodeid ? cli_attr_parse(&e->attr, ext, &out->attr) : 0;
}

/* ---- pages of directories ---------------------------------------------------------------------- */

static bool is_dots(const char *name, uint32_t len)
{
    return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* The node that came with an entry. One that cannot be is not used, and given back. */
static void take_entry(const uint8_t *at, enum cli_page kind, struct cli_rawent *out)
{
    struct fuse_entry_out e;
    struct fuse_viofs_ext ext;

    if (kind == CLI_PAGE_PLAIN)
        return;
    memcpy(&e, at, sizeof(e));
    if (kind == CLI_PAGE_EXT)
        memcpy(&ext, at + sizeof(e), sizeof(ext));
    if (e.nodeid == 0)
        return;
    if (is_dots(out->name, out->name_len))
        return; /* no lookup is counted for these (linux/fs/fuse/readdir.c) */
    if (out->skip || e.nodeid == CLI_ROOT_ID ||
        cli_entry_parse(&e, kind == CLI_PAGE_EXT ? &ext : NULL, &out->entry) < 0) {
        out->orphan = e.nodeid;
        out->entry = (struct cli_entry){0};
        return;
    }
    out->has_entry = true;
    out->type = out->entry.attr.mode & LX_S_IFMT;
}

/** cli_dirent_next() - see client_int.h */
int cli_dirent_next(const void *page, uint32_t len, uint32_t *pos, enum cli_page kind,
                    struct cli_rawent *out)
{
    const uint8_t *at = (const uint8_t *)page + *pos;
    uint32_t left = len - *pos;
    uint32_t before = kind == CLI_PAGE_PLAIN ? 0 : sizeof(struct fuse_entry_out);
    struct fuse_dirent d;

    if (kind == CLI_PAGE_EXT)
        before += sizeof(struct fuse_viofs_ext);
    if (left == 0)
        return 0;
    if (left < before + FUSE_NAME_OFFSET)
        return -LE_EIO;
    memcpy(&d, at + before, FUSE_NAME_OFFSET);
    if (d.namelen == 0 || d.namelen > LONGEST_HONEST_NAME ||
        left < before + FUSE_NAME_OFFSET + d.namelen)
        return -LE_EIO;
    *out = (struct cli_rawent){
        .name = (const char *)at + before + FUSE_NAME_OFFSET,
        .name_len = d.namelen,
        .type = is_type(d.type << 12 & LX_S_IFMT) && d.type < 16 ? d.type << 12 : 0,
        .ino = d.ino,
        .cookie = d.off,
    };
    if (memchr(out->name, '/', d.namelen) || memchr(out->name, '\0', d.namelen))
        return -LE_EIO;
    out->skip = d.namelen > CLI_NAME_BYTES || is_dots(out->name, d.namelen);
    take_entry(at, kind, out);
    /* The last entry may come without its padding. */
    uint32_t whole = (uint32_t)FUSE_REC_ALIGN(before + FUSE_NAME_OFFSET + d.namelen);
    *pos += whole < left ? whole : left;
    return 1;
}
