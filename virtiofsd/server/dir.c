// SPDX-License-Identifier: BSD-3-Clause
/*
 * dir.c - directories
 *
 * Theory of operation
 *
 *   A listing is read with getdents64 into a buffer that stays with the handle: a reply rarely ends where
 *   the buffer does, and the rest serves the next request. Cookies are the file system's own d_off values,
 *   so a guest may come back to any of them, also after a RELEASEDIR and a new open; when it does not
 *   go on where the last reply ended, the stream seeks.
 *
 *   READDIRPLUS looks up each entry by one statx (and what meta.c adds for a client that wants it); nothing is opened. The size of an entry is checked
 *   before the lookup, because a lookup that the guest does not hear of would never be forgotten. An entry
 *   that vanished meanwhile is left out; one that cannot be looked up is listed without attributes, so that
 *   no name is lost.
 *
 * Locks: each stream has a mutex, since two queues may read one handle.
 * syscalls: getdents64 lseek syncfs close
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "server/dir.h"
#include "server/feed.h"
#include "server/replay.h"

#define DIR_BUFFER      (32u * 1024u)
#define DIR_REPLY_MAX   (1u << 20)
#define DIR_BUFFERS_MAX 1024u /* 32 MiB */

struct dirent_raw { /* getdents(2): struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

struct dir_stream {
    pthread_mutex_t lock;
    uint8_t *buf;
    _Atomic uint32_t *count; /* of buffers that are kept, while buf is there */
    size_t pos, end;         /* unread part of buf */
    uint64_t next_off;       /* cookie at which buf + pos stands */
    bool lost; /* the descriptor stands behind next_off: a buffer was dropped half read */
};

static void stream_drop_buffer(struct dir_stream *d)
{
    if (d->buf)
        atomic_fetch_sub_explicit(d->count, 1, memory_order_relaxed);
    free(d->buf);
    d->buf = NULL;
    d->lost |= d->pos != d->end;
    d->pos = d->end = 0;
}

struct dir_stream *dir_stream_new(void)
{
    struct dir_stream *d = calloc(1, sizeof(*d));

    if (d)
        pthread_mutex_init(&d->lock, NULL);
    return d;
}

void dir_stream_free(struct dir_stream *d)
{
    if (!d)
        return;
    pthread_mutex_destroy(&d->lock);
    stream_drop_buffer(d);
    free(d);
}

int64_t op_opendir(struct srv_req *rq)
{
    struct server *srv = rq->srv;
    struct inode_fd hold = {-1, 0};
    struct fuse_open_out out = {0};

    if (inode_type(rq->inode) != S_IFDIR)
        return rq_error(rq, -ENOTDIR);
    feed_look(
        rq,
        rq->inode); /* attributes that are asked for next may then be kept, and so the listing */
    int fd = inode_open(srv->tree, rq->inode, O_RDONLY, &hold);
    if (fd < 0)
        return rq_error(rq, fd);
    int r = handle_new(srv->handles, rq->inode, fd, O_RDONLY, HANDLE_DIR, hold, &out.fh);
    if (r < 0) {
        opened_close(srv, rq->inode, fd, &hold);
        return rq_error(rq, r);
    }
    if (srv->conf->cache == CACHE_ALWAYS || srv->conf->cache == CACHE_METADATA)
        out.open_flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE;
    return rq_reply(rq, &out, sizeof(out));
}

int64_t op_releasedir(struct srv_req *rq)
{
    const struct fuse_release_in *in = rq->c->arg;

    return rq_error(
        rq, replay_gone(rq, handle_release(rq->srv, in->fh, HANDLE_DIR, rq->inode), -EBADF));
}

int64_t op_syncfs(struct srv_req *rq)
{
    if (rq_slow(rq))
        return rq_pool(rq);
    cleanup_close int fd = inode_open(rq->srv->tree, rq->inode, O_RDONLY, NULL);
    if (fd < 0)
        return rq_error(rq, fd);
    return rq_error(rq, syncfs(fd) < 0 ? -errno : 0);
}

/* ---- listing ------------------------------------------------------------------------------ */

/* Stand at @off. */
static int stream_seek(struct dir_stream *d, int fd, uint64_t off, _Atomic uint32_t *count)
{
    if (!d->buf) {
        d->buf = malloc(DIR_BUFFER);
        if (!d->buf)
            return -ENOMEM;
        d->count = count;
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    }
    if (d->next_off == off && !d->lost)
        return 0;
    if (off > INT64_MAX)
        return -EINVAL;
    d->pos = d->end = 0;
    d->next_off = off;
    d->lost = false;
    return lseek(fd, (off_t)off, SEEK_SET) < 0 ? -errno : 0;
}

/* The next entry, not yet consumed. Return: 1, 0 at the end, or -errno. */
static int stream_peek(struct dir_stream *d, int fd, struct dirent_raw **e)
{
    if (d->pos == d->end) {
        long n = syscall(SYS_getdents64, fd, d->buf, DIR_BUFFER);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        d->pos = 0;
        d->end = (size_t)n;
    }
    *e = (struct dirent_raw *)(void *)(d->buf + d->pos);
    return 1;
}

static void stream_consume(struct dir_stream *d, const struct dirent_raw *e)
{
    d->next_off = (uint64_t)e->off;
    d->pos += e->reclen;
}

static bool is_dot_or_dotdot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* One listing request. */
struct listing {
    struct srv_req *rq;
    struct handle *h;
    int dirfd; /* for statx */
    bool plus;
    size_t ext_len;
    uint8_t *buf;
    size_t used, room;
};

/*
 * Look the entry up for a READDIRPLUS. @ext: NULL, or to be filled.
 * Return: true with *@entry filled (node id 0 when it only is a name); false when it has vanished.
 */
static bool look_up(struct listing *l, const char *name, struct fuse_entry_out *entry,
                    struct fuse_viofs_ext *ext)
{
    struct server *srv = l->rq->srv;
    struct tree_met met = {0};
    struct statx stx;
    int r = 1;

    if (!is_dot_or_dotdot(name)) {
        r = statx(l->dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, TREE_STATX_MASK, &stx);
        r = r < 0 ? -errno : tree_meet_at(srv->tree, l->rq->inode, l->dirfd, name, &stx, &met);
    }
    if (r == 0) {
        entry_fill(srv, met, &stx, entry);
        if (ext) {
            ext_fill(&stx, ext);
            ext_add_name(l->rq, l->dirfd, name, stx.stx_mode, ext);
            feed_entry(l->rq, l->rq->inode, &stx, met, entry);
        }
        return true;
    }
    memset(entry, 0, sizeof(*entry));
    return r != -ENOENT;
}

/* Return: bytes appended; 0 when the entry was left out; -ENOSPC when it does not fit. */
static ssize_t append(struct listing *l, const struct dirent_raw *e)
{
    size_t len = strlen(e->name);
    uint8_t *to = l->buf + l->used; /* aligned: entries are padded to 8 bytes */
    size_t room = l->room - l->used;
    struct fuse_entry_out *entry = (struct fuse_entry_out *)(void *)to;
    struct fuse_viofs_ext ext = {0}, *want_ext = l->ext_len ? &ext : NULL;
    size_t n;

    if (len > FUSE_LONGEST_NAME)
        return 0; /* no request could name it */
    if (!l->plus) {
        n = fuse_dirent_put(to, room, e->ino, (uint64_t)e->off, e->type, e->name, len);
        return n ? (ssize_t)n : -ENOSPC;
    }
    if (fuse_direntplus_size(len, l->ext_len) > room)
        return -ENOSPC;
    if (!look_up(l, e->name, entry, want_ext))
        return 0;
    n = fuse_direntplus_put(to, room, entry, want_ext, l->ext_len,
                            entry->nodeid ? entry->attr.ino : e->ino, (uint64_t)e->off,
                            entry->nodeid ? (entry->attr.mode & S_IFMT) >> 12 : e->type, e->name,
                            len);
    return (ssize_t)n;
}

/* Return: 0, or -errno when not even one entry could be listed. */
static int fill(struct listing *l, uint64_t off)
{
    struct dir_stream *d = l->h->dir;
    struct dirent_raw *e = NULL;
    int r = stream_seek(d, l->h->fd, off, &l->rq->srv->dir_buffers);

    while (r == 0) {
        r = stream_peek(d, l->h->fd, &e);
        if (r <= 0 || !e) {
            stream_drop_buffer(d); /* at its end a stream needs none any more */
            break;
        }
        ssize_t n = append(l, e);
        if (n < 0) {
            r = l->used ? 0 : -EINVAL; /* as getdents(2): the buffer is too small for any entry */
            break;
        }
        l->used += (size_t)n;
        stream_consume(d, e);
        r = 0;
    }
    /* Of very many that are half read, some do without and read again. */
    if (atomic_load_explicit(&l->rq->srv->dir_buffers, memory_order_relaxed) > DIR_BUFFERS_MAX)
        stream_drop_buffer(d);
    /* An error in the middle is told by the next request, which meets it first. */
    return l->used ? 0 : r;
}

static int64_t list(struct srv_req *rq, bool plus)
{
    const struct fuse_read_in *in = rq->c->arg;
    struct server *srv = rq->srv;
    struct listing l = {.rq = rq, .plus = plus};

    l.ext_len = rq->c->in.opcode == VIOFS_READDIRPLUS ? sizeof(struct fuse_viofs_ext) : 0;
    l.room = in->size < DIR_REPLY_MAX ? in->size : DIR_REPLY_MAX;
    l.buf = thread_out(rq->t, l.room ? l.room : 1);
    if (!l.buf)
        return rq_error(rq, -ENOMEM);
    l.h = handle_get(srv, in->fh, HANDLE_DIR, rq->inode);
    if (!l.h)
        return rq_error(rq, -EBADF);
    l.dirfd = l.h->fd;
    feed_look(rq, rq->inode);
    pthread_mutex_lock(&l.h->dir->lock);
    int r = fill(&l, in->offset);
    pthread_mutex_unlock(&l.h->dir->lock);
    handle_put(srv, l.h);
    return r < 0 ? rq_error(rq, r) : rq_reply(rq, l.buf, l.used);
}

int64_t op_readdir(struct srv_req *rq)
{
    return list(rq, false);
}

int64_t op_readdirplus(struct srv_req *rq)
{
    /* Served whether it was offered or not: virtio-win's guest never looks at the answer to INIT. */
    return list(rq, true);
}
