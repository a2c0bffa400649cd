// SPDX-License-Identifier: BSD-3-Clause
/*
 * client.h - a FUSE client without a kernel: the tree of one share, as the Windows service uses it
 *
 * Theory of operation
 *
 *   struct cli is one FUSE session over one transport. It keeps what a kernel would keep: nodes with exact
 *   lookup counts, names that are known to be there or not to be there, attributes, each for as long as the
 *   host said (entry_valid, attr_valid), and file handles. Round trips are the currency: whatever is known
 *   and still valid is not asked again.
 *
 *   Names are UTF-8 components, 1..255 bytes, checked with lib/fuse/name.c: this layer knows no paths with
 *   separators, no drive letters and no NTSTATUS.
 *
 *   Every function may be called by any number of threads. Functions that may talk to the host say so with
 *   [n], the number of round trips that are waited for when nothing is cached (a bound, but for retries
 *   after ESTALE); cached answers cost none.
 *
 * Ownership: nodes are counted; every struct cli_node * that a function gives away is a reference that
 *   cli_node_put() returns. A node that nobody refers to stays cached until the bound on nodes pushes it
 *   out, and only then FORGET goes to the host, in batches. cli_close() needs all references back.
 *
 * Errors: 0 or more for success, negative Linux errno (linux_errno.h). -LE_ENOTCONN means that the session
 *   is gone; cli_recover() or cli_close() is next.
 *
 * Locks, taken in this order, never held across a round trip: cli.tree (names and nodes), node.lock
 *   (attributes, handles), cli.forget.
 */
#ifndef VIOFS_CLIENT_CLIENT_H
#define VIOFS_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/client/transport.h"

struct cli;
struct cli_node;
struct cli_file;
struct cli_dir;

/* ---- session ------------------------------------------------------------------------------- */

struct cli_change {
    uint32_t
        action; /* enum viofs_action (lib/fuse/fuse_proto.h); RESCAN and UNCOVERED speak of all below */
    bool is_dir;
    const char
        *path; /* from the root, components joined by '/', not terminated; valid during the call */
    uint32_t path_len; /* 0: the root */
};

struct cli_options {
    uint32_t max_nodes;    /* cached nodes that nobody refers to; 0: 65536 */
    uint32_t max_names;    /* cached names, negative ones included; 0: 131072 */
    bool case_insensitive; /* lookups fall back to a folded match (fold.c) */
    bool read_only;        /* everything that changes the share is -LE_EROFS without asking */
    bool no_extension;     /* do not look for VIOFS_PROBE (tests, other daemons) */
    bool want_btime;       /* ask hosts without the extension for birth times (STATX) */
    bool want_meta; /* have the extension tell what extended attributes say (struct cli_attr) */
    bool want_dos;  /* ask hosts that do not for user.DOSATTRIB (GETXATTR) */
    bool want_feed; /* have the host tell what changes there (docs/protocol.md) */
    uint32_t longest_ms; /* believe nothing for longer than this; 0: as long as the host says */
    /*
     * What somebody else changed, in the order in which it happened; on any thread, one at a time.
     * Must not wait for the host. Only with want_feed, and NULL is fine.
     */
    void (*changed)(void *user, const struct cli_change *change);
    /*
     * How long requests wait for cli_recover() when the session is over, instead of being -LE_ENOTCONN; what was under way and
     * changes nothing, or writes to a place, is then asked again (patience.c). 0: nothing waits.
     */
    uint32_t patience_ms;
    /* The session is over, cli_recover() is next; on any thread, once for each session. Must not wait for the host. */
    void (*lost)(void *user);
    uint32_t stall_ms; /* silence while a probe is out, before the host counts as gone; 0: 30000 */
    void (*log)(void *user, int level,
                const char *text); /* level: 0 error, 1 warning, 2 debug; or NULL */
    void *log_user;                /* the first argument of log(), changed() and lost() */
};

/* What INIT and the probe agreed on. */
struct cli_session {
    uint32_t minor;
    uint64_t flags;     /* FUSE_* of INIT as answered, flags2 in the upper half */
    uint32_t max_write; /* bytes in one WRITE: host, transport and us */
    uint32_t max_read;  /* bytes in one READ, likewise */
    bool extension;     /* birth times come along (docs/protocol.md) */
    bool meta;          /* and so does what extended attributes say */
    bool feed;          /* the host offers to tell changes */
    bool told;          /* and it does, now */
    bool live;          /* false: the session is gone, cli_recover() is next */
    uint32_t watches;   /* directories of cli_watch() */
    uint32_t partial;   /* of these, how many the host could not cover with all that is below */
};

/* Where the extension's own requests are counted. */
enum cli_count { CLI_COUNT_EVENTS = 61, CLI_COUNT_WATCH, CLI_COUNT_PROBE };

/* Counters since cli_open(), for tests and `make bench`; requests by opcode are exact. */
struct cli_counters {
    uint64_t requests;   /* with an answer, but for the one that waits for changes */
    uint64_t no_replies; /* FORGET and friends */
    uint64_t by_opcode
        [64]; /* standard opcodes; the extension's count as their standard ones, or enum cli_count */
    uint64_t forgotten; /* lookups given back */
    uint32_t nodes, names, in_flight, max_in_flight_seen;
};

/** cli_open() - INIT, probe and the root's attributes [3]. The transport must outlive the client. */
int cli_open(struct cli **out, struct cli_transport *t, const struct cli_options *o);

/**
 * cli_close() - send what is to be forgotten, DESTROY, free. All nodes, files and dirs are back.
 *
 * Return: 0; -LE_ETIMEDOUT when the host still has requests after stall_ms (10 s at most): then nothing is
 * freed, the transport must stay, and cli_close() may be called again.
 */
int cli_close(struct cli *c);

/**
 * cli_recover() - after -LE_ENOTCONN or a new epoch: INIT again, find known nodes by name when next used,
 * reopen files whose node is found again with the same host inode and birth time
 *
 * Return: 0; -errno when the host cannot be reached, -LE_ETIMEDOUT when it still has requests of the old
 * session, -LE_EBUSY while another thread is at it. Files that are not found again answer -LE_ESTALE. A root that is
 * another directory than before is another share: nothing is found again, and new names are those of the new one.
 */
int cli_recover(struct cli *c);

/** cli_hurry() - whoever waits for a session gets -LE_ENOTCONN now, and nobody will wait again (patience_ms) [0] */
void cli_hurry(struct cli *c);

void cli_session_get(struct cli *c, struct cli_session *out);
void cli_counters_get(struct cli *c, struct cli_counters *out);

/** cli_owner_set() - host uid and gid of what is created from now on (default 0:0) */
void cli_owner_set(struct cli *c, uint32_t uid, uint32_t gid);

/**
 * cli_responding() - false when nothing has completed for stall_ms although a probe was out, until something
 * does; whatever would have to ask the host is -LE_ETIMEDOUT meanwhile
 */
bool cli_responding(struct cli *c);

/** cli_tick() - call about once a second: looks at the epoch, sends batched FORGETs and the probe */
void cli_tick(struct cli *c);

/* ---- attributes ---------------------------------------------------------------------------- */

struct cli_time {
    int64_t sec; /* since 1970; from the host never beyond 2^40 either way */
    uint32_t nsec;
};

struct cli_attr {
    uint64_t ino, size, blocks; /* blocks of 512 bytes */
    struct cli_time atime, mtime, ctime, btime;
    uint32_t mode, nlink, uid, gid, rdev, blksize;
    bool has_btime; /* else btime is the oldest of the others */
    uint32_t flags; /* FUSE_ATTR_* */
    bool extended;  /* came with the extension: what it lacks the host does not have */

    /* What Windows or Samba have stored, if it was wanted (want_meta, want_dos). */
    bool meta_known;         /* attributes and creation time are as follows */
    bool has_dos;            /* attributes are stored, maybe none */
    uint32_t dos_attributes; /* FILE_ATTRIBUTE_* */
    uint64_t create_time;    /* 100 ns since 1601; 0: none stored */
    bool eas_known;          /* the rest is as follows; only with the extension */
    bool has_streams, has_acl;
    uint32_t ea_size; /* as NTFS counts: meta_ea_size() */
};

enum cli_set {
    CLI_SET_MODE = 1 << 0,
    CLI_SET_SIZE = 1 << 1,
    CLI_SET_ATIME = 1 << 2,
    CLI_SET_MTIME = 1 << 3,
    CLI_SET_CTIME = 1 << 4,
    CLI_SET_UID = 1 << 5,
    CLI_SET_GID = 1 << 6,
};

/** cli_getattr() - [1]; `fresh` asks the host even if the cached ones are still valid */
int cli_getattr(struct cli *c, struct cli_node *n, bool fresh, struct cli_attr *out);

/**
 * cli_mark(), cli_attr_since() - attributes that were heard after the mark was taken, if there are any [0]
 *
 * For an operation in several steps under a host that lets nothing be cached: what its LOOKUP brought need not
 * be asked for by the steps that follow. Our own changes end this.
 */
uint64_t cli_mark(struct cli *c);
bool cli_attr_since(struct cli *c, struct cli_node *n, uint64_t mark, struct cli_attr *out);

/**
 * cli_getmode() - cli_getattr() for who asks for type, mode, owner or DOS attributes only [1]
 *
 * Our own writing, and names that we make and remove in a directory, end the validity of times and sizes, but
 * not of these: a create does not have to ask for its directory's permissions each time.
 */
int cli_getmode(struct cli *c, struct cli_node *n, struct cli_attr *out);

/**
 * cli_attr_known() - what was last heard of a node, with our own writes since, however old [0]
 *
 * For answers that must not wait. Return: false if nothing was ever heard.
 */
bool cli_attr_known(struct cli *c, struct cli_node *n, struct cli_attr *out);

/** cli_setattr() - the fields of `a` that the mask names [1]; `out` (or NULL) gets all as they are now */
int cli_setattr(struct cli *c, struct cli_node *n, uint32_t mask, const struct cli_attr *a,
                struct cli_attr *out);

struct cli_statfs {
    uint64_t blocks, bfree, bavail, files, ffree;
    uint32_t bsize, frsize, namelen;
};
/** cli_statfs() - [1]; answers are kept for a second */
int cli_statfs(struct cli *c, struct cli_statfs *out);
/** cli_syncfs() - everything of the share to stable storage [1] */
int cli_syncfs(struct cli *c);

/* ---- names and nodes ----------------------------------------------------------------------- */

struct cli_name {
    const char *bytes; /* UTF-8, not terminated */
    uint32_t len;      /* 1..255 */
};

struct cli_node *cli_root(struct cli *c); /* a new reference */
struct cli_node *cli_node_get(struct cli_node *n);
void cli_node_put(struct cli *c, struct cli_node *n); /* NULL is fine */
uint32_t cli_node_type(const struct cli_node *n);     /* S_IFMT bits of the mode; never changes */

#define CLI_SPELLING_MAX 4096

struct cli_walk {
    struct cli_node *node; /* the last component's; NULL unless all were found */
    struct cli_node *
        parent; /* its directory (set even when only the last component is missing); NULL for the root */
    unsigned depth; /* components that were found */
    uint32_t spelling_len;
    char spelling
        [CLI_SPELLING_MAX]; /* the found components as on the host, joined by '/', not terminated */
};

enum { CLI_WALK_SYMLINK = 1 };

/**
 * cli_walk() - resolve a path from the root, component by component [n, only what is not cached]
 *
 * Return: 0: node and parent set. CLI_WALK_SYMLINK: component `depth` (0-based) is a symbolic link with more
 *   components after it; node is the link. -LE_ENOENT: component `depth` is missing (parent set when it is the
 *   last one). -LE_ENOTDIR: component `depth` is a file with more after it. Others: -errno.
 *   A last component that is a link is not followed. cli_walk_end() in every case.
 */
int cli_walk(struct cli *c, const struct cli_name *names, unsigned count, struct cli_walk *w);
void cli_walk_end(struct cli *c, struct cli_walk *w);

/**
 * cli_lookup() - one name in one directory [1; with case_insensitive at most a READDIR pass more]
 * @actual: NULL, or 256 bytes for the spelling on the host, terminated
 */
int cli_lookup(struct cli *c, struct cli_node *dir, struct cli_name name, struct cli_node **out,
               char *actual);

/**
 * cli_create() - a regular file that must not exist [1], opened for `access` (CLI_READ | CLI_WRITE)
 * cli_mkdir(), cli_symlink(), cli_mknod() - [1]
 *
 * With case_insensitive a name that differs only in case is -LE_EEXIST as well. All are made with owner ids
 * of cli_owner_set(). `file` may be NULL: the handle is released at once.
 */
int cli_create(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t mode,
               uint32_t access, struct cli_node **out, struct cli_file **file);
int cli_mkdir(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t mode,
              struct cli_node **out);
int cli_symlink(struct cli *c, struct cli_node *dir, struct cli_name name, const char *target,
                struct cli_node **out);
int cli_mknod(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t mode,
              uint32_t rdev, struct cli_node **out);
/** cli_readlink() - [1]; `buf` gets at most cap - 1 bytes and a NUL. Return: bytes, or -LE_ERANGE. */
int cli_readlink(struct cli *c, struct cli_node *n, char *buf, uint32_t cap);

/** cli_unlink(), cli_rmdir() - [1]; the node stays usable while it is referred to */
int cli_unlink(struct cli *c, struct cli_node *dir, struct cli_name name);
int cli_rmdir(struct cli *c, struct cli_node *dir, struct cli_name name);

enum cli_rename_flags { CLI_RENAME_NOREPLACE = 1, CLI_RENAME_EXCHANGE = 2 };
/**
 * cli_rename() - [1]; where the host cannot do NOREPLACE (EINVAL) the target is looked up freshly first, and a
 * target that exists is -LE_EEXIST: never overwritten silently by a fallback
 */
int cli_rename(struct cli *c, struct cli_node *from, struct cli_name old_name, struct cli_node *to,
               struct cli_name new_name, uint32_t flags);

/**
 * cli_watch() - have opt.changed told of everything below a directory, also of what nobody has looked at [1 a component
 * in a new session; the host's answer is not waited for]
 * @age_ms: changes since so long ago are wanted, as far as they can be found out
 *
 * Counted; a reference to the node is held. Return: 0; -LE_EOPNOTSUPP: changes are not told; -LE_ENOSPC; -errno.
 */
int cli_watch(struct cli *c, struct cli_node *n, uint32_t age_ms);
void cli_unwatch(struct cli *c, struct cli_node *n); /* [0] */
/** cli_watched() - is everything below it told, as far as is known by now? [0] */
bool cli_watched(struct cli *c, const struct cli_node *n);

/** cli_forget_name() - drop what is cached of a name or, with NULL bytes, of a directory's names (notified changes) */
void cli_forget_name(struct cli *c, struct cli_node *dir, struct cli_name name);
/** cli_forget_attr() - ask the host again next time */
void cli_forget_attr(struct cli *c, struct cli_node *n);

/* ---- extended attributes ------------------------------------------------------------------- */

/** Names are terminated UTF-8 with their prefix ("user.x"). Return: bytes, -LE_ENODATA, -LE_ERANGE (too small), ... [1] */
int cli_getxattr(struct cli *c, struct cli_node *n, const char *name, void *value, uint32_t cap);
int cli_listxattr(struct cli *c, struct cli_node *n, char *list, uint32_t cap);
int cli_setxattr(struct cli *c, struct cli_node *n, const char *name, const void *value,
                 uint32_t len, uint32_t flags);
int cli_removexattr(struct cli *c, struct cli_node *n, const char *name);

/**
 * cli_dos_set() - store attributes and creation time in user.DOSATTRIB [1]
 * @create_time: 100 ns since 1601, 0: none. What is cached follows at once.
 */
int cli_dos_set(struct cli *c, struct cli_node *n, uint32_t attributes, uint64_t create_time);

/* ---- files --------------------------------------------------------------------------------- */

enum cli_access { CLI_READ = 1, CLI_WRITE = 2 };

/**
 * cli_file_open() - one opener of a regular file [1, none if the node already has a fitting handle]
 *
 * FUSE handles belong to the node, one for each mode that was needed: any file of the node may be used for
 * any I/O (Windows sends paging I/O through whichever handle came first), which opens what is missing then.
 */
int cli_file_open(struct cli *c, struct cli_node *n, uint32_t access, struct cli_file **out);
/** cli_file_close() - the node's last closer sends RELEASE, not waited for [0] */
void cli_file_close(struct cli *c, struct cli_file *f);
struct cli_node *cli_file_node(struct cli_file *f); /* borrowed */

enum cli_io_flags {
    CLI_IO_APPEND = 1, /* at the end, atomically, offset ignored (writes) */
    CLI_IO_CONSTRAINED =
        2, /* never beyond the end of the file: clipped, maybe to nothing (paging writes) */
};

#define CLI_IO_PRIVATE 16

/*
 * One read or write. Longer than one request carries, it is split and its parts travel at the same time.
 * A read that meets the end of the file is short, with everything before the end counted.
 * A transfer that fails after leading parts went well reports their bytes, and the error.
 */
struct cli_io {
    void *buf; /* read: filled; write: only read */
    uint64_t offset;
    uint32_t len;
    uint32_t flags; /* enum cli_io_flags */
    int32_t error;  /* out: 0 or -errno */
    uint32_t bytes; /* out */
    uint64_t at;    /* out: offset of the first byte; of an append UINT64_MAX if nobody knows */
    void (*done)(struct cli_io *io); /* NULL: cli_read() and cli_write() wait */
    void *user;
    uint64_t priv[CLI_IO_PRIVATE];
};

/**
 * cli_read(), cli_write() - [n / max_read or max_write, at the same time; before that at most 1 for a handle and 1 for a size]
 *
 * Not to be called from a done(): the handle and the size are waited for.
 * Return: 0: done() is called once, maybe already (without done: it has finished, see error); -errno: nothing was started.
 */
int cli_read(struct cli *c, struct cli_file *f, struct cli_io *io);
int cli_write(struct cli *c, struct cli_file *f, struct cli_io *io);
/** cli_io_cancel() - end a transfer with -LE_EINTR if that is still possible; done() comes all the same */
void cli_io_cancel(struct cli *c, struct cli_io *io);

/** cli_fsync() - data and metadata to stable storage [1, 2 if nothing is open]; a directory too [2] */
int cli_fsync(struct cli *c, struct cli_node *n);
/** cli_truncate() is cli_setattr(CLI_SET_SIZE). cli_allocate() - FALLOCATE with KEEP_SIZE [1]; unsupported is -LE_EOPNOTSUPP */
int cli_allocate(struct cli *c, struct cli_file *f, uint64_t offset, uint64_t len);

/* ---- directories --------------------------------------------------------------------------- */

struct cli_dirent {
    const char *name; /* borrowed until the callback returns */
    uint32_t name_len;
    uint32_t type;   /* S_IFMT bits, 0 unknown */
    uint64_t cookie; /* position after this entry, for cli_dir_read() */
    bool has_attr;
    struct cli_attr attr;
};

/** cli_dir_open() - [1]; nothing is read yet */
int cli_dir_open(struct cli *c, struct cli_node *n, struct cli_dir **out);
void cli_dir_close(struct cli *c, struct cli_dir *d); /* not waited for */

/**
 * cli_dir_read() - entries from `cookie` on (0: the start), "." and ".." left out [1 for each max_transfer]
 * @each: called in order; returns false to stop after not taking this entry; must not use this dir
 *
 * One page is kept with the dir, so that continuing where the last call stopped costs nothing. Entries with
 * attributes enter the caches of nodes and names. Return: 0 at the end, 1 when stopped, -errno.
 */
int cli_dir_read(struct cli *c, struct cli_dir *d, uint64_t cookie,
                 bool (*each)(void *user, const struct cli_dirent *e), void *user);

#endif
