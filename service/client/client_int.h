// SPDX-License-Identifier: BSD-3-Clause
/*
 * client_int.h - the parts of the client among themselves
 *
 * Theory of operation
 *
 *   session.c  INIT, the probe, DESTROY           recover.c  a new session under the same nodes
 *   call.c     send a request, check its length   reply.c    what is inside of replies
 *   node.c     nodes, lookup counts, FORGET       names.c    names that are known
 *   enter.c    what replies make of both          lookup.c   from names to nodes
 *   attr.c     attributes                         ops.c      what changes directories
 *   fold*.c    names in any case                  share.c    what concerns the share as a whole
 *   health.c   is the host there?             patience.c  what waits for the next session
 *   file.c, io.c, dir.c, xattr.c, meta.c          handles, data, listings, extended attributes, what
 *                                                 Windows keeps in those
 *   feed.c     changes on the host                listing.c  listings that are kept
 *
 *   Sessions. Node ids and handles mean something in the session that gave them only. Sessions are
 *   numbered from 1 (c->session_no); every id is kept with its number, and call.c, under the gate, refuses
 *   to send an id into another session: a handle of yesterday never names somebody else's file.
 *   A node whose session is over is found again by one of its names, when it is next used, and is only
 *   taken for the same if type, host inode and birth time agree (recover.c).
 *
 *   Stamps. Answers travel at the same time and may arrive in any order. Whoever is about to ask takes a
 *   stamp (cli_stamp()); what arrives is only cached if nothing that the answer speaks of was changed by us
 *   since then. c->clock counts our own changes.
 *
 * Locks, in this order, none held across a round trip:
 *   c->tree     nodes' table, counts, links; names; sessions of nodes
 *   node->lock  attributes, the folded index' pointer, handles (file.c)
 *   c->forget.lock   ids to be forgotten
 *   c->park.lock     transfers that wait for a session
 *   c->gate.lock     requests in flight, the session's number and state
 *   c->misc     owner ids, statfs answer
 * c->feed.lock is taken before c->tree.
 */
#ifndef VIOFS_CLIENT_INT_H
#define VIOFS_CLIENT_INT_H

#include <stdatomic.h>

#include "lib/fuse/fuse_call.h"
#include "service/client/client.h"
#include "service/client/linux_errno.h"
#include "service/client/os.h"

/* Linux' numbers, whatever the compiler's headers say (asm-generic/fcntl.h, linux/stat.h; x86). */
enum {
    LX_O_RDONLY = 0,
    LX_O_WRONLY = 1,
    LX_O_RDWR = 2,
    LX_O_CREAT = 0100,
    LX_O_EXCL = 0200,
    LX_O_TRUNC = 01000,
    LX_O_APPEND = 02000,
    LX_O_DIRECTORY = 0200000,
};
enum {
    LX_S_IFMT = 0170000,
    LX_S_IFSOCK = 0140000,
    LX_S_IFLNK = 0120000,
    LX_S_IFREG = 0100000,
    LX_S_IFBLK = 0060000,
    LX_S_IFDIR = 0040000,
    LX_S_IFCHR = 0020000,
    LX_S_IFIFO = 0010000,
    LX_S_ISUID = 0004000,
    LX_S_ISGID = 0002000,
};

#define CLI_ROOT_ID    FUSE_ROOT_ID
#define CLI_NAME_BYTES 255

/* ---- doubly linked lists whose head is a link itself ---------------------------------------- */

struct cli_link {
    struct cli_link *prev, *next; /* both NULL: in no list */
};

static inline void cli_list_init(struct cli_link *head)
{
    head->prev = head->next = head;
}
static inline bool cli_list_empty(const struct cli_link *head)
{
    return head->next == head;
}
static inline void cli_list_add(struct cli_link *head, struct cli_link *l) /* at the end */
{
    l->prev = head->prev;
    l->next = head;
    l->prev->next = l;
    head->prev = l;
}
static inline void cli_list_del(struct cli_link *l) /* fine if it is in no list */
{
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}
#define CLI_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* ---- nodes and names -------------------------------------------------------------------------- */

struct cli_fold;    /* fold.c */
struct cli_node_io; /* file.c */
struct cli_listing; /* listing.c */

/*
 * An inode of the host. Lives while somebody refers to it, a name below it is known, or the cache keeps it.
 */
struct cli_node {
    struct cli *cli;
    uint32_t type; /* S_IFMT bits; never changes */

    /* c->tree */
    uint64_t id, generation;
    uint64_t lookups;  /* that the host counts for us under this id in this session */
    uint32_t session;  /* that id and lookups belong to */
    bool stale;        /* id is of no use any more although the session is (ESTALE) */
    bool hashed;       /* in the table under its id */
    uint32_t users;    /* references given away */
    uint32_t children; /* names of nodes whose directory this is */
    struct cli_node *hash_next;
    struct cli_link idle;  /* in c->idle while users == 0 and children == 0 */
    struct cli_link names; /* names that lead here: struct cli_dentry.alias */
    uint32_t n_names;
    struct cli_link dentries; /* of a directory: struct cli_dentry.sibling */
    uint64_t ino;             /* identity on the host, with btime, for finding it again */
    struct cli_time id_btime;
    bool has_id_btime;
    uint32_t era; /* of a directory: names of an older one hold no longer */

    cli_mutex lock;
    /* lock */
    struct cli_attr attr;
    bool has_attr;
    uint64_t attr_until;   /* cli_clock_ms() until which attr holds */
    uint64_t mode_until;   /* the same for what cli_getmode() is asked for */
    uint64_t meta_until;   /* and for what is stored, which not every answer brings */
    uint64_t heard;        /* c->heard when attr came; 0: changed by us since then */
    uint64_t attr_changed; /* stamp: answers to older questions are not cached */
    uint64_t size_set;     /* stamp of our last SETATTR of the size */
    bool own_change;       /* of a directory: the next new mtime is our doing */
    uint64_t times_ms;     /* of a directory: since when we know it with these times */
    bool btime_asked;      /* the host was asked for a birth time once (STATX) */
    bool
        size_doubt; /* something was changed and attr does not say how: not even the size is right */
    bool attr_long; /* attr came with a validity that is only given to what is watched */
    struct cli_listing *listing;
    struct cli_fold *fold;
    struct cli_node_io *io; /* file.c's: open handles; NULL whenever no file is open */
};

/* A name in a directory: known to lead to a node, or (node NULL) known to be missing. c->tree */
struct cli_dentry {
    struct cli_dentry *hash_next;
    struct cli_link sibling; /* in dir->dentries */
    struct cli_link alias;   /* in node->names, or in c->negative (oldest first) */
    struct cli_node *dir;    /* counted in dir->children if there is a node */
    struct cli_node *node;   /* not counted: it takes its names with it */
    uint64_t until;          /* cli_clock_ms() until which it holds; later it only serves to find
                                 the node again */
    uint32_t hash;
    uint32_t era; /* dir->era when it was learnt */
    uint8_t len;
    char name[]; /* len bytes */
};

#define CLI_ASYNC_REQ 128 /* header and arguments of what may be sent without waiting */

/* A request that is not waited for. The caller's, untouched until done(). */
struct cli_async {
    struct cli_msg msg; /* msg.result holds the checked result when done() is called */
    struct cli *c;
    uint32_t opcode, reply_min;
    uint32_t session;                  /* in which it was sent */
    void (*done)(struct cli_async *a); /* on any thread; may free `a`; must not wait for the host */
    void *user;
    uint64_t req[CLI_ASYNC_REQ / 8];
};

/* ---- the client ------------------------------------------------------------------------------- */

enum cli_state {
    CLI_DOWN, /* no session; requests are -LE_ENOTCONN */
    CLI_LIVE,
    CLI_ENDED, /* the transport said -LE_ENOTCONN, or the epoch changed: cli_recover() is next */
};

/* VIOFS_EVENTS; paused: the host sent it back for a moment, the next tick sends it again */
enum cli_feed_state { CLI_FEED_OFF, CLI_FEED_SENDING, CLI_FEED_OUT, CLI_FEED_PAUSED };
struct cli_watch; /* feed.c */

#define CLI_CHANGE_SLOTS 4096
#define CLI_OPCODES      64 /* standard opcodes are below, the extension has bits of its own */

struct cli {
    struct cli_transport *transport;
    struct cli_options opt;     /* with defaults filled in */
    struct cli_limits limits;   /* of this session; written by session.c while no request is out */
    struct cli_session session; /* gate.lock; see cli_session_get() */
    _Atomic bool extension;     /* session.extension */
    _Atomic bool meta;          /* session.meta */
    _Atomic bool open_attr;     /* VIOFS_OPEN is served */
    _Atomic bool killpriv;      /* FUSE_HANDLE_KILLPRIV_V2 was agreed */

    _Atomic uint64_t clock;   /* see "Stamps" */
    _Atomic uint64_t heard;   /* attributes that came, counted */
    _Atomic int64_t host_now; /* latest ctime seen: the host's clock is past it, seconds */
    _Atomic uint64_t unique;
    uint64_t seed; /* of hashes */

    cli_mutex tree;
    uint32_t node_session; /* gate.session_no; changes with both locks held */
    struct cli_node *root;
    bool root_known; /* its ino and birth time are those of this or the last session */
    struct cli_node **node_hash;
    struct cli_dentry **name_hash;
    uint32_t node_mask, name_mask;     /* buckets - 1 */
    uint32_t n_nodes, n_names, n_idle; /* n_idle: nodes with users == 0 */
    struct cli_link idle;              /* evictable nodes, longest unused first */
    struct cli_link negative;          /* names that are known to be missing, oldest first */
    /* by hash of directory and name: stamp of the last change that we made to such a name */
    uint64_t name_changed[CLI_CHANGE_SLOTS];

    struct {
        cli_mutex lock;
        struct fuse_forget_one *one;
        uint32_t n, cap;
        uint32_t session; /* that they belong to */
    } forget;

    struct {
        cli_mutex lock;
        cli_cond drained;
        enum cli_state state;
        uint32_t session_no; /* of the current session, from 1 */
        bool destroy;        /* a DESTROY is due when all is drained */
        bool hurry;          /* nobody is to wait for a session any more */
        cli_cond begun;      /* a session has begun, or hurry was set */
        uint32_t in_flight, max_in_flight;
        uint32_t resting;       /* of these, how many are answered when something happens */
        uint64_t last_done_ms;  /* cli_clock_ms() when something was last answered */
        uint64_t busy_since_ms; /* when something was sent while nothing was out */
    } gate;

    struct {
        bool probing; /* gate.lock: the probe below is out */
        bool stalled; /* gate.lock: silent for too long, until something is answered */
        bool told;    /* gate.lock: said so in the log */
        bool suspect; /* gate.lock: something failed as if another daemon had taken over */
        struct cli_async probe; /* whoever set probing */
        struct fuse_attr_out probe_reply;
        struct fuse_viofs_probe_out known_reply;
    } health;

    struct {
        cli_mutex lock;
        struct cli_link list; /* struct cli_parked */
        uint64_t turns;
        bool closed;
    } park;

    struct {
        _Atomic uint64_t requests, no_replies, forgotten;
        _Atomic uint64_t by_opcode[CLI_OPCODES];
    } count;
    _Atomic uint64_t nosys; /* bit: this opcode was answered ENOSYS in this session */

    struct {
        cli_mutex lock;
        cli_cond idle; /* the state is not SENDING any more */
        enum cli_feed_state state;
        bool stopping, answered;
        bool said_partial;          /* in this session */
        _Atomic bool offered, live; /* the host has one; its request is out, or about to be again */
        uint8_t *page;
        struct cli_async events;
        struct cli_watch *watches;
        uint32_t n_watches;
        uint64_t last_watch; /* number */
        uint64_t over_ms;    /* when the last one ended; 0: there was none */
        cli_mutex telling;   /* opt.changed is being called, for one page after the other */
    } feed;
    _Atomic uint64_t doubted; /* stamp: answers to older questions may be old news */

    struct {
        cli_mutex lock;
        cli_cond answered;
    } dos; /* meta.c: to wait for an answer */

    cli_mutex misc;
    uint32_t uid, gid;
    struct cli_statfs statfs;
    uint64_t statfs_until;

    _Atomic bool recovering;        /* one cli_recover() at a time */
    bool untold;                    /* cli_recover()'s: who watches has to hear of a gap */
    _Atomic uint64_t fold_bytes;    /* of all folded indexes, bounded (fold.c) */
    _Atomic uint64_t listing_bytes; /* the same of listings (listing.c) */
};

void cli_log(struct cli *c, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- requests (call.c) ------------------------------------------------------------------------ */

struct cli_arg {
    const void *p;
    uint32_t len;
};
#define CLI_ARGS 4

/*
 * A request as a part of the client describes it. Zero what does not apply.
 */
struct cli_req {
    uint32_t opcode;
    bool owner;             /* made with the ids of cli_owner_set(); else 0:0 */
    bool no_retry;          /* -LE_ESTALE to the caller instead of finding nodes again */
    bool urgent;            /* sent also while the host does not respond; nobody waits for it */
    bool no_wait;           /* -LE_ENOTCONN to the caller instead of waiting for the next session */
    uint32_t session;       /* in: that handles in the arguments belong to, 0 if there are none.
                              out: in which it was sent */
    struct cli_node *node;  /* named by the header; NULL: the root */
    struct cli_node *node2; /* whose id goes to *node2_id before the arguments are copied */
    uint64_t *node2_id;
    struct cli_arg arg[CLI_ARGS]; /* follow the header; strings with their NUL */
    const void *data;             /* see cli_msg.data */
    uint32_t data_len;
    void *reply;
    uint32_t reply_cap;
    uint32_t reply_min; /* a success with fewer bytes is -LE_EIO */
};

/**
 * cli_call() - send, wait, check [1, after ESTALE or in a new session the requests that find nodes again]
 *
 * Return: bytes at reply (reply_min..reply_cap), or -errno. Without asking: -LE_ENOSYS if the host said so
 * before, -LE_EROFS for what changes a read-only share, -LE_ENOTCONN without a session, -LE_ESTALE if
 * r->session is over or the node cannot be found in the new session. An error that the host cannot mean
 * (positive, or below -4095) is -LE_EIO.
 */
int32_t cli_call(struct cli *c, struct cli_req *r);

/**
 * cli_submit() - as cli_call(), but a->done() tells; ESTALE is not retried
 *
 * The node must be usable (cli_node_ready()): nothing is waited for here.
 * Return: 0: done() is called once, maybe already; -errno: never.
 */
int cli_submit(struct cli *c, struct cli_async *a, struct cli_req *r);

/** cli_release() - RELEASE or RELEASEDIR, not waited for; nothing happens if the session is over */
void cli_release(struct cli *c, struct cli_node *n, uint64_t fh, uint32_t session, bool dir);

/** cli_enosys() - did the host say that it does not know this opcode? */
bool cli_enosys(struct cli *c, uint32_t opcode);

/** cli_session_no() - number of the session that is live, 0 if none is */
uint32_t cli_session_no(struct cli *c);

/* ---- replies (reply.c): the one place that looks at what the host sent ----------------------- */

/* An entry of LOOKUP, CREATE, MKDIR, ..., READDIRPLUS, checked. */
struct cli_entry {
    uint64_t id; /* 0: the name is missing (LOOKUP) or was not looked up (READDIRPLUS) */
    uint64_t generation;
    uint64_t entry_ms, attr_ms; /* how long it holds, bounded to a day */
    uint32_t session;           /* in which it came; the caller's to fill in from cli_req */
    uint64_t stamp;             /* of the question; the caller's to fill in */
    struct cli_attr attr;
};

/** cli_stamp() - take one before asking */
uint64_t cli_stamp(struct cli *c);

/** cli_ms() - a validity of the host in milliseconds, at most a day */
uint64_t cli_ms(uint64_t sec, uint32_t nsec);

/** cli_attr_parse() - @ext: NULL without the extension. Return: 0, or -LE_EIO for a type or times that cannot be. */
int cli_attr_parse(const struct fuse_attr *a, const struct fuse_viofs_ext *ext,
                   struct cli_attr *out);

/** cli_statx_parse() - the same of STATX, birth time included */
int cli_statx_parse(const struct viofs_statx *x, struct cli_attr *out);
#define VIOFS_STATX_BTIME 0x800u /* linux/stat.h */
#define VIOFS_STATX_ALL   0xfffu /* STATX_BASIC_STATS | STATX_BTIME */

/** cli_entry_parse() - id 0 is fine and leaves attr zero. Return: 0, or -LE_EIO. */
int cli_entry_parse(const struct fuse_entry_out *e, const struct fuse_viofs_ext *ext,
                    struct cli_entry *out);

/* One entry of READDIR or READDIRPLUS. */
struct cli_rawent {
    struct cli_entry entry; /* READDIRPLUS; id 0 if the host gave no node */
    bool has_entry;
    bool skip;        /* ".", "..", or too long for us: to be left out */
    uint64_t orphan;  /* not 0: an unusable id that the host counts a lookup for: cli_forget() it */
    const char *name; /* in the buffer */
    uint32_t name_len; /* 1..255, no '/', no NUL */
    uint32_t type;     /* S_IFMT bits, 0 unknown */
    uint64_t ino, cookie;
};

enum cli_page { CLI_PAGE_PLAIN, CLI_PAGE_PLUS, CLI_PAGE_EXT };

/**
 * cli_dirent_next() - the entry at *pos, and move on
 * Return: 1; 0 at the end; -LE_EIO for a page that no honest host sends.
 * An entry without attributes that has a bad type is an error only for itself: has_entry is false then.
 */
int cli_dirent_next(const void *page, uint32_t len, uint32_t *pos, enum cli_page kind,
                    struct cli_rawent *out);

/* ---- nodes (node.c) --------------------------------------------------------------------------- */

int cli_nodes_init(struct cli *c); /* tables and the root */
void cli_nodes_free(struct cli *c);
/**
 * cli_nodes_forget_nameless() - what was deleted and is not used any more: while the host counts our lookups of it,
 * it keeps its blocks. Takes c->tree.
 */
void cli_nodes_forget_nameless(struct cli *c);
/** cli_nodes_forget_idle() - at the end: what nobody uses is to be forgotten. Takes c->tree. */
void cli_nodes_forget_idle(struct cli *c);

/**
 * cli_nodes_relieve() - the host has no descriptor left: half of the nodes that nobody uses are forgotten, at once,
 * and no more than that are kept from now on. Takes c->tree. Return: false if that would leave too few.
 */
bool cli_nodes_relieve(struct cli *c);

/**
 * cli_enter() - what an entry says becomes a node, its attributes and a name [0]
 * @dir, @name: where it was found; name.bytes NULL: nowhere
 * @out: a reference, or NULL to take none
 *
 * The one lookup that the entry stands for is counted here, also on failure: forget it nowhere else.
 * Return: 0; -LE_ENOENT for id 0 (cached as missing for entry_ms); -LE_EIO for an entry that contradicts what
 * is known (another type under the same id, a directory above itself); -LE_ENOTCONN if e->session is over.
 */
int cli_enter(struct cli *c, struct cli_node *dir, struct cli_name name, const struct cli_entry *e,
              struct cli_node **out);

/**
 * cli_node_ready() - find the node in the current session, if it is not of it [0, else 1 for each ancestor too]
 *
 * Return: 0; -LE_ESTALE if it is not there; -LE_ENOTCONN if the session ends: that is for the caller to wait for.
 */
int cli_node_ready(struct cli *c, struct cli_node *n);

/**
 * cli_ask() - LOOKUP without looking at caches, and enter what comes [1]
 * @session: NULL, or gets the session that was asked; then ESTALE is not retried, and no session waited for
 * @out: a reference, or NULL. Return: 0, -LE_ENOENT (entered as missing, if the host allows), -errno.
 */
int cli_ask(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t *session,
            struct cli_node **out);

/** cli_node_retry() - after ESTALE: find it again by name. @session: in which ESTALE came. Return: as above. */
int cli_node_retry(struct cli *c, struct cli_node *n, uint32_t session);

/** cli_node_id() - Return: 0; -LE_ESTALE if it has none in session @session */
int cli_node_id(struct cli *c, struct cli_node *n, uint32_t session, uint64_t *id);

/** cli_node_same() - may an entry be the node that we knew? Type, host inode, and birth time where both have one */
bool cli_node_same(const struct cli_node *n, const struct cli_attr *a);

/* c->tree held: */
/** cli_nodes_lose() - a new session: no node but the root has an id, no name holds, what nobody uses is gone */
void cli_nodes_lose(struct cli *c);
void cli_node_hold(struct cli *c, struct cli_node *n);
void cli_node_drop(struct cli *c, struct cli_node *n);
void cli_node_unhash(struct cli *c, struct cli_node *n); /* its lookups are to be forgotten */
void cli_node_hash(struct cli *c, struct cli_node *n);   /* under its id */
struct cli_node *cli_node_find(struct cli *c, uint64_t id);
struct cli_node *cli_node_new(struct cli *c, uint32_t type); /* unused, without an id; or NULL */
void cli_child_new(struct cli *c, struct cli_node *dir);
void cli_child_gone(struct cli *c, struct cli_node *dir);
void cli_node_nameless(struct cli *c, struct cli_node *n); /* it may have lost its last name */
void cli_nodes_trim(struct cli *c);                        /* keep the bounds */

/** cli_forget() - give back lookups, later, in a batch */
void cli_forget(struct cli *c, uint32_t session, uint64_t id, uint64_t lookups);
/** cli_forget_flush() - send what is due, if it is at least so many: 1 for all, CLI_FORGET_BATCH for what fills a message */
void cli_forget_flush(struct cli *c, uint32_t least);
#define CLI_FORGET_BATCH 128

/* ---- names (names.c) --------------------------------------------------------------------------- */

/* c->tree held: */
struct cli_dentry *cli_name_find(struct cli *c, struct cli_node *dir, struct cli_name name);
/** cli_name_set() - @node NULL: missing. Return: 0, -LE_EIO (loop), -LE_ENOMEM. */
int cli_name_set(struct cli *c, struct cli_node *dir, struct cli_name name, struct cli_node *node,
                 uint64_t until);
void cli_name_del(struct cli *c, struct cli_dentry *d);
void cli_names_of_node_del(struct cli *c, struct cli_node *n);
void cli_names_in_dir_del(struct cli *c, struct cli_node *dir);
/** cli_name_doubt() - answers about this name that are on their way are old news */
void cli_name_doubt(struct cli *c, const struct cli_node *dir, struct cli_name name);
/** cli_doubt_children() - no name in this directory holds, nor do the attributes of what they lead to */
void cli_doubt_children(struct cli *c, struct cli_node *dir);
/** cli_path_of() - names from the root down, joined by '/', not terminated. Return: bytes; -LE_ENOENT; -LE_ENAMETOOLONG. */
int cli_path_of(struct cli *c, struct cli_node *n, char *text, uint32_t cap);
/** cli_name_holds() - is what it says still valid? */
bool cli_name_holds(const struct cli_dentry *d);
/** cli_name_changed() - since the stamp, was this name changed by us? */
bool cli_name_changed(struct cli *c, const struct cli_node *dir, struct cli_name name,
                      uint64_t stamp);

/**
 * cli_dir_changed() - we changed a name of this directory: the directory's attributes, and answers about the
 * name that are on their way, are old. Takes the locks.
 */
void cli_dir_changed(struct cli *c, struct cli_node *dir, struct cli_name name);

/* ---- attributes (attr.c) ------------------------------------------------------------------------ */

/**
 * cli_attr_store() - cache what the host answered to a question of age @stamp
 *
 * A directory whose mtime is not what we knew, though we did not change it, loses its names.
 * Return: 0; -LE_EIO if the type is not the node's.
 */
int cli_attr_store(struct cli *c, struct cli_node *n, const struct cli_attr *a, uint64_t valid_ms,
                   uint64_t stamp);
/** cli_attr_take() - attributes that came with another answer; what cannot be is left out */
void cli_attr_take(struct cli *c, struct cli_node *n, const struct fuse_attr_out *out,
                   const struct fuse_viofs_ext *ext, uint64_t stamp);
/** cli_doubt_all() - nothing that was heard so far holds any more. Takes the locks. */
void cli_doubt_all(struct cli *c);
/** cli_is_below() - is it the directory itself, or somewhere below it? c->tree held. */
bool cli_is_below(const struct cli_node *n, const struct cli_node *dir);
/** cli_doubt_below() - the same of what is in a directory, however deep, and of itself; NULL: of all */
void cli_doubt_below(struct cli *c, const struct cli_node *dir);
/** cli_hold_ms() - for how long we believe what the host said */
uint64_t cli_hold_ms(struct cli *c, uint64_t valid_ms);
/**
 * cli_size_known() - is the size that is kept track of right, as far as our own changes go? [0]
 * @lately: and has it been heard as lately as the host wants?
 */
bool cli_size_known(struct cli *c, struct cli_node *n, bool lately);
/** cli_attr_changed() - we changed something: ask again next time, do not cache answers to older questions */
void cli_attr_changed(struct cli *c, struct cli_node *n);
/**
 * cli_attr_wrote() - a WRITE up to byte `end`, asked at @stamp, was answered: the cached size grows at once;
 * the rest may be up to a second old from then on (Windows keeps times of open files no better), then the
 * host is asked
 */
void cli_attr_wrote(struct cli *c, struct cli_node *n, uint64_t end, uint64_t stamp);
/** cli_attr_appended() - so many bytes went to an end that nobody knew: the size is a guess until it is asked for */
void cli_attr_appended(struct cli *c, struct cli_node *n, uint64_t bytes);
/** cli_attr_is_long() - do they hold, and for as long as only what is watched does? */
bool cli_attr_is_long(struct cli *c, struct cli_node *n);
/** cli_attr_peek() - what is cached and holds. Return: false if nothing does. */
bool cli_attr_peek(struct cli *c, struct cli_node *n, struct cli_attr *out);

/* ---- what extended attributes say (meta.c) -------------------------------------------------------- */

/** cli_meta_parse() - of the extension; cli_meta_copy() - the same from attributes of the same file */
void cli_meta_parse(const struct fuse_viofs_ext *ext, struct cli_attr *out);
void cli_meta_copy(struct cli_attr *to, const struct cli_attr *from);

/** cli_dos_wanted() - is this host to be asked for what is stored of this node? */
bool cli_dos_wanted(struct cli *c, const struct cli_node *n);

/* A question for user.DOSATTRIB on its way. */
struct cli_dos {
    struct cli_async a;
    uint64_t stamp;
    int32_t result;
    bool out; /* c->dos.lock */
    uint8_t value[256];
};
/**
 * cli_dos_begin() - ask, without waiting; cli_dos_end() has to follow
 * cli_dos_end() - wait; the node's attributes and `out` get what came, unless nothing did [1 together]
 */
void cli_dos_begin(struct cli *c, struct cli_node *n, struct cli_dos *d);
void cli_dos_end(struct cli *c, struct cli_node *n, struct cli_dos *d, struct cli_attr *out);

/* ---- listings that are kept (listing.c) ------------------------------------------------------------ */

/** cli_listing_begin() - a directory is about to be read from its start. Return: NULL unless it is watched. */
struct cli_listing *cli_listing_begin(struct cli *c, struct cli_node *dir, uint64_t stamp);
/** cli_listing_page() - the page that was asked for at cookie @start. Return: false: it cannot be kept. */
bool cli_listing_page(struct cli *c, struct cli_listing *l, uint64_t start, const void *page,
                      uint32_t len, enum cli_page kind);
/** cli_listing_end() - all of it was read: the directory keeps it, if nothing has changed. Takes the reference. */
void cli_listing_end(struct cli *c, struct cli_node *dir, struct cli_listing *l);
/** cli_listing_get() - the one that holds, a reference, or NULL */
struct cli_listing *cli_listing_get(struct cli *c, struct cli_node *dir);
void cli_listing_put(struct cli *c, struct cli_listing *l); /* NULL is fine */
void cli_listing_drop(struct cli *c, struct cli_node *dir); /* the directory's own */
/** cli_listing_seek() - @pos becomes that of the entry after @cookie. Return: false if it is of no entry. */
bool cli_listing_seek(const struct cli_listing *l, uint64_t cookie, uint32_t *pos);
/** cli_listing_next() - the entry at @pos, which moves on; without attributes. Return: false at the end. */
bool cli_listing_next(const struct cli_listing *l, uint32_t *pos, struct cli_dirent *out);
/** cli_listing_worth() - are almost all of its entries' attributes known? Else reading again is cheaper. */
bool cli_listing_worth(struct cli *c, struct cli_node *dir, const struct cli_listing *l);
/** cli_listing_fill() - the entry's attributes [0, else 1 or 2]. Return: 0, -LE_ENOENT if it is gone, -errno. */
int cli_listing_fill(struct cli *c, struct cli_node *dir, struct cli_dirent *e);

/* ---- names in any case (fold.c) ----------------------------------------------------------------- */

/** cli_fold_equal() - the same but for case? UTF-16 unit-wise simple upcase, as NTFS */
bool cli_fold_equal(struct cli_name a, struct cli_name b);

enum cli_guess { CLI_GUESS_NONE, CLI_GUESS_EXACT, CLI_GUESS_OTHER };
/** cli_fold_guess() - what the index, if there is one, says of the very spelling, unasked [0] */
enum cli_guess cli_fold_guess(struct cli *c, struct cli_node *dir, struct cli_name name);
/**
 * cli_fold_find() - the name in `dir` that is spelled like `name` in any case; the very spelling first
 * [1 at most if the index holds, else a READDIR pass]
 * @actual: 256 bytes, terminated. Return: its length, -LE_ENOENT, -errno.
 */
int cli_fold_find(struct cli *c, struct cli_node *dir, struct cli_name name, char *actual);
/** cli_fold_added(), cli_fold_removed() - we made or removed a name [0] */
void cli_fold_added(struct cli *c, struct cli_node *dir, struct cli_name name);
void cli_fold_removed(struct cli *c, struct cli_node *dir, struct cli_name name);
/** cli_fold_doubt() - somebody else changed the directory: look at it before the index is used again */
void cli_fold_doubt(struct cli *c, struct cli_node *dir);
/** cli_fold_drop() - forget the index (node->lock not held) */
void cli_fold_drop(struct cli *c, struct cli_node *dir);

/* ---- looking up (lookup.c) ----------------------------------------------------------------------- */

/** cli_name_ok() - Return: 0, -LE_EINVAL, -LE_ENAMETOOLONG, -LE_ENOTDIR if `dir` is none */
int cli_name_ok(const struct cli_node *dir, struct cli_name name);
/**
 * cli_entry_call() - a request that is answered with an entry [1]
 * @viofs: the extension's opcode for it, or 0. @open: gets what follows the entry (CREATE), or NULL.
 *
 * Return: 0 with the entry parsed, session and stamp set; -errno. r->opcode is the standard one.
 */
int cli_entry_call(struct cli *c, struct cli_req *r, uint32_t viofs, struct fuse_open_out *open,
                   struct cli_entry *e);

/** cli_kills_priv() - should a write to this node ask the host to clear setuid and setgid? */
bool cli_kills_priv(struct cli *c, struct cli_node *n);

/* ---- files (file.c) ------------------------------------------------------------------------------ */

struct cli_open; /* file_int.h */

struct cli_handle {
    uint64_t fh;
    uint32_t session;
    struct cli_open *open;
};

/**
 * cli_file_adopt() - a file whose handle CREATE has opened already [0]
 * Takes the handle over also when it fails (released). Return: 0 or -errno.
 */
int cli_file_adopt(struct cli *c, struct cli_node *n, uint32_t access, uint64_t fh,
                   uint32_t open_flags, uint32_t session, struct cli_file **out);

/**
 * cli_handle_hold() - a handle of the node that is open now and good for `access` (SETATTR of a size goes
 * through it: the file may be read-only or have no name) [0]. Return: true: cli_handle_drop() is due.
 */
bool cli_handle_hold(struct cli *c, struct cli_node *n, uint32_t access, struct cli_handle *out);
void cli_handle_drop(struct cli *c, struct cli_node *n, const struct cli_handle *h);

/* ---- the session (session.c, recover.c, health.c) ----------------------------------------------- */

/**
 * cli_session_begin() - INIT, the probe and the root's attributes, into c->session and c->limits; the gate is down
 *
 * A root that is another directory than before takes all nodes' names with it: none is found again.
 * Return: 0 or -errno.
 */
int cli_session_begin(struct cli *c);
/** cli_root_ask() - the root's attributes, without the gate, into its cache. Return: 0 or -errno. */
int cli_root_ask(struct cli *c, struct cli_attr *out);
/** cli_nodes_strand() - nothing but the root is found again: whatever has been known is of another share */
void cli_nodes_strand(struct cli *c);
/** cli_call_raw() - cli_call() without gate, retry and memory, to node @id: for the session's own requests */
int32_t cli_call_raw(struct cli *c, uint64_t id, struct cli_req *r);

/**
 * cli_gate_enter() - something is about to be sent in session @want (0: in the current one)
 * @urgent: also to a host that does not respond
 * Return: 0 and the session's number: it will not end before cli_gate_leave(); -LE_ENOTCONN; -LE_ESTALE;
 * -LE_ETIMEDOUT.
 */
int cli_gate_enter(struct cli *c, uint32_t want, bool urgent, uint32_t *session);
/** cli_gate_leave() - with what came of it, if it was sent; finds out whether -LE_ENOTCONN means the session. Return: the result. */
int32_t cli_gate_leave(struct cli *c, int32_t result, bool sent);

/**
 * cli_gate_close() - let nothing in any more, and wait for what is out: stall_ms, but 10 s at most
 * Return: 0 or -LE_ETIMEDOUT.
 */
int cli_gate_close(struct cli *c, enum cli_state state);
/** cli_gate_end() - the session is over: requests are -LE_ENOTCONN until cli_recover() */
void cli_gate_end(struct cli *c);
/** cli_session_is_gone() - what the transport says of the session; the gate is entered */
bool cli_session_is_gone(struct cli *c);

/** cli_feed_begin() - the session is live: ask for changes, if the host tells them [0] */
void cli_feed_begin(struct cli *c);
/**
 * cli_feed_stop() - no more; waits for the request to come back, ten seconds at most. Before the gate closes.
 * Return: true: nobody has been told yet that it has ended.
 */
bool cli_feed_stop(struct cli *c);
void cli_feed_free(struct cli *c);
/** cli_feed_describe() - the fields of a session that feed.c knows */
void cli_feed_describe(struct cli *c, struct cli_session *out);

/** cli_tell_lost() - whoever watches has to look for himself [0] */
void cli_tell_lost(struct cli *c);
/** cli_feed_tick() - go on if the host has sent the request back (a virtual machine that paused) [0] */
void cli_feed_tick(struct cli *c);

/**
 * cli_health_begin(), cli_health_send() - have the probe find out whether the host still knows the session [0]
 * @live: is it the session of now at all? If not, there is nothing to find out.
 * Return: true: cli_health_send() is due, and the client stays until the probe is answered.
 */
bool cli_health_begin(struct cli *c, uint32_t session, bool *live);
void cli_health_send(struct cli *c);
/**
 * cli_health_doubt() - the same, and wait for the answer [1, or 2]
 * Return: true: it does not, or @session is over, and another one may have begun; false: it does, or nobody can say.
 */
bool cli_health_doubt(struct cli *c, uint32_t session);
/** cli_may_be_lost() - is this what a host says that knows no session, or not this handle? */
static inline bool cli_may_be_lost(int32_t result)
{
    return result == -LE_EIO || result == -LE_EBADF;
}

/** cli_health_tick() - send the probe if it is time. cli_health_cancel() - if one is out, have it come back early. */
void cli_health_tick(struct cli *c);
void cli_health_cancel(struct cli *c);

/* ---- waiting for a session (patience.c) --------------------------------------------------------- */

/* A transfer that waits. Its functions are called once for each time that it is parked, without a lock. */
struct cli_parked {
    struct cli_link link; /* park.lock; in no list: not parked */
    uint64_t until;       /* cli_clock_ms(); 0: it has never been parked */
    uint64_t turn;        /* in which order they were parked */
    bool in_doubt;        /* its error may be the host's own */
    const atomic_bool *cancelled;
    void (*again)(struct cli_parked *p); /* there is a session; may wait for the host */
    void (*meant)(struct cli_parked *p); /* the host knows the session: the error is what it says */
    void (*give_up)(struct cli_parked *p, int32_t error); /* error: 0, or instead of its own */
};

/**
 * cli_await_session() - wait for cli_recover(), if the session is over and there is patience
 * @until: 0 at the first time; then when patience ends
 * Return: true: there is a session, or there was one just now.
 */
bool cli_await_session(struct cli *c, uint64_t *until);

/** cli_changes_nothing() - can this be asked twice? */
bool cli_changes_nothing(uint32_t opcode);

/**
 * cli_park() - have it wait for a session
 * @doubted: 0, or the session in which it failed, as it may also without one
 * Return: false: the caller ends it. After true it may be gone already.
 */
bool cli_park(struct cli *c, struct cli_parked *p, uint32_t doubted);
/** cli_unpark() - Return: true: it was parked, and is the caller's */
bool cli_unpark(struct cli *c, struct cli_parked *p);
/** cli_park_settle() - the probe was answered: @over: there is no session any more */
void cli_park_settle(struct cli *c, bool over);
/** cli_park_run() - begin what is parked again if there is a session; end what has waited for too long */
void cli_park_run(struct cli *c);

#endif
