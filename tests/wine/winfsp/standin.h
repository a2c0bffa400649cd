// SPDX-License-Identifier: BSD-3-Clause
/*
 * standin.h - the inside of the stand-in for WinFsp's DLL and driver
 *
 * Theory of operation
 *
 *   Two halves that in Windows lie on the two sides of the kernel's border, in one ELF DLL:
 *
 *     nt_*     the I/O manager: what NtCreateFile and its family check before a driver sees a request
 *     fsd_*    WinFsp's driver: names, open files and what is known of them, share modes, caches
 *     queue_*  requests on their way between the two
 *     dll_*    WinFsp's DLL: dispatcher threads, access checks, the calls of the file system
 *
 *   A request is made by a thread of a door (door.c, fuse_door.c), which plays the Windows program's thread.
 *   It takes the locks that the driver takes, posts the request and sleeps. A dispatcher thread takes it,
 *   calls the file system and completes it; the door's thread wakes up, stores what was learned, and lets
 *   go. So what waits for what is as in WinFsp.
 *
 * Ownership: a volume is FspFileSystemCreate's, until FspFileSystemDelete. Nodes are counted (node.c). A file
 *   (an open) belongs to the door that opened it until nt_close().
 *
 * Locks, in this order: volume.rename, node.gate, volume.table, node.lock; queue.lock, volume.watch and
 *   volume.files are taken last and never held across anything else.
 */
#ifndef VIOFS_TESTS_STANDIN_H
#define VIOFS_TESTS_STANDIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef WIN32_NO_STATUS
#define WIN32_NO_STATUS
#endif
#include <windows.h>
#undef WIN32_NO_STATUS
#include <winternl.h>
#include <winioctl.h>
#include <ntstatus.h>

#include "abi/winfsp.h"
#include "tests/wine/winfsp/door.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define UNITS(bytes)  ((unsigned)((bytes) / sizeof(WCHAR)))

/* WinFsp's driver: a request is at most this long, less 64 bytes of its own header (fsctl.h). */
#define REQUEST_MAX    (WINFSP_MESSAGE_MAX - 64u)
#define RESPONSE_ROOM  (WINFSP_MESSAGE_MAX - sizeof(struct winfsp_response))
#define REQUEST_ROOM   (REQUEST_MAX - sizeof(struct winfsp_request))
#define DIR_BUFFER_MAX (16384u - 32u) /* one item of the driver's directory cache */
#define SECURITY_MAX   (4096u - 32u)  /* likewise, security; longer descriptors are not cached */
#ifndef SYMLINK_FLAG_RELATIVE
#define SYMLINK_FLAG_RELATIVE 1u
#endif
#define NO_REPARSE_LOOP 63u /* the I/O manager gives up after so many */

/* ---- small things ------------------------------------------------------------------------- */

/* A lock for many readers or one writer that any thread may release (an ERESOURCE with owner pointers). */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned readers, writers_waiting;
    bool writer;
};
void gate_init(struct gate *g);
void gate_shared(struct gate *g);
bool gate_try_shared(struct gate *g);
void gate_exclusive(struct gate *g);
void gate_release(struct gate *g);

uint64_t now_ms(void);

/** stop_loudly() - something that the stand-in does not model: name it and end the process */
_Noreturn void stop_loudly(const char *what, ...) __attribute__((format(printf, 1, 2)));

/** note() - a line on stderr */
void note(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* ---- names (name.c) ----------------------------------------------------------------------- */

/* Counted UTF-16; not terminated. */
struct name {
    const WCHAR *at;
    unsigned len;
};

struct name name_of(const WCHAR *terminated);
bool name_equal(struct name a, struct name b, bool fold);
uint32_t name_hash(struct name n, bool fold);
void name_upcase(WCHAR *at, unsigned len);
/**
 * name_path_valid() - a path that the driver takes
 * @stream: NULL: streams are not allowed; else the part behind the first colon, at NULL without one
 * @typed:  a stream's type was given, which is ":$DATA"
 */
bool name_path_valid(struct name path, unsigned max_component, struct name *stream, bool *typed);
bool name_pattern_valid(struct name pattern, unsigned max_component);
bool name_has_wildcards(struct name n);
bool name_matches(struct name pattern, struct name n, bool fold);
bool name_is_root(struct name path);
/** name_split() - "\a\b" into "\a" and "b"; the parent of "\b" is "\" */
void name_split(struct name path, struct name *parent, struct name *last);
/** name_below() - is `path` inside the directory `dir`? */
bool name_below(struct name path, struct name dir, bool fold);
/** name_print() - for messages; returns buf, UTF-8, always terminated */
const char *name_print(struct name n, char *buf, size_t cap);
size_t name_to_utf8(struct name n, char *buf, size_t cap);
int name_from_utf8(const char *text, WCHAR *buf, unsigned cap);

/* ---- requests (queue.c) ------------------------------------------------------------------- */

struct volume;

struct op {
    struct op *next;
    uint64_t hint, posted_ms;
    bool waited, taken, done;
    pthread_cond_t changed;
    struct winfsp_request *req;
    struct winfsp_response *rsp; /* WINFSP_MESSAGE_MAX bytes, valid when done */
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    struct op *first, **last; /* waiting for a dispatcher */
    struct op *taken;         /* in the file system's hands */
    unsigned waiting, in_progress, closes;
    uint64_t next_hint;
    bool stopped, cancelled, normally;
};

/* ---- the volume --------------------------------------------------------------------------- */

struct cached { /* what the driver keeps for a while */
    void *data;
    uint32_t len,
        change; /* change: counts stores, so that an answer older than one is not stored */
    uint64_t until_ms, generation;
};

struct lock_range {
    struct lock_range *next;
    struct file *owner;
    uint64_t offset, length;
    bool exclusive;
};

struct node {
    struct node *next; /* in its bucket */
    struct volume *vol;
    unsigned refs;           /* volume.table */
    bool listed;             /* volume.table: found by name */
    unsigned opens, handles; /* volume.table */
    unsigned share_opens, share_read, share_write, share_delete, shares_read, shares_write,
        shares_delete; /* volume.table; the last three count who allows it */
    bool delete_pending, posix_delete;
    struct node *main; /* of a stream: its file's node, referenced */
    unsigned deletes,
        stream_denies; /* of a file: opens for DELETE; opens of its streams that deny it */
    bool is_directory, is_root;
    WCHAR *path; /* volume.table and gate */
    unsigned path_len;
    uint64_t user_context, index_number;
    struct gate gate;

    pthread_mutex_t lock; /* for what follows */
    struct winfsp_file_info info;
    uint64_t allocation_size, file_size;
    struct cached info_life, security, dir, ea, streams;
    bool truncate_on_close;
    uint32_t ea_changes;
    struct lock_range *ranges;

    struct pages *pages; /* gate; see cache.c */
    atomic_bool written; /* some of them may be dirty */
};

struct watch;

struct volume {
    struct winfsp_file_system fs; /* what the file system holds; must be the first member */
    struct winfsp_volume_params params;
    struct queue queue;
    struct gate rename;
    pthread_mutex_t table;
    struct node *buckets[4096];
    bool notify_locked; /* queue.lock */
    pthread_mutex_t volume_info_lock;
    struct winfsp_volume_info volume_info;
    struct cached volume_info_life;
    _Atomic uint64_t generation; /* raised: every cache is stale */
    pthread_mutex_t watch_lock;
    pthread_cond_t watched;
    struct watch *watches;
    HANDLE leader; /* the dispatcher thread that waits for the others */
    atomic_uint dispatchers;
    _Atomic uint64_t calls[64], pended, violations;
    atomic_uint most_at_once;
    struct volume *next; /* all_volumes */
    void *door, *fuse;
    bool mounted;
    HANDLE lazy_thread; /* cache.c */
    atomic_bool lazy_stop;
};

static inline struct volume *volume_of(struct winfsp_file_system *fs)
{
    return (struct volume *)fs;
}
static inline bool volume_flag(const struct volume *v, uint32_t flag)
{
    return (v->params.flags & flag) != 0;
}
static inline bool volume_folds(const struct volume *v)
{
    return !volume_flag(v, WINFSP_CASE_SENSITIVE_SEARCH);
}
static inline uint64_t volume_unit(const struct volume *v)
{
    return (uint64_t)v->params.sector_size * v->params.sectors_per_allocation_unit;
}

/** violation() - the file system broke WinFsp's contract: a line on stderr, and counted */
void violation(struct volume *v, const char *text, ...) __attribute__((format(printf, 2, 3)));
/** counted() - the callback in this slot of the interface is about to be called */
void counted(struct volume *v, size_t offset_in_interface);
#define COUNTED(v, member) counted(v, offsetof(struct winfsp_interface, member))

/* Layouts of requests that abi/winfsp.h does not need (WinFsp inc/winfsp/fsctl.h). */
struct req_overwrite {
    uint64_t user_context, user_context2;
    uint32_t attributes;
    uint64_t allocation;
    uint32_t supersede;
    struct winfsp_span ea;
};
struct req_span { /* set EA */
    uint64_t user_context, user_context2;
    struct winfsp_span span;
};
struct req_control { /* file system control */
    uint64_t user_context, user_context2;
    uint32_t code;
    struct winfsp_span span;
};
struct req_security {
    uint64_t user_context, user_context2;
    uint32_t what;
    uint64_t access_token;
    struct winfsp_span span;
};
_Static_assert(sizeof(struct req_overwrite) <= 64 && sizeof(struct req_security) <= 64, "overlay");
#define OPENED_HAS_DESCRIPTOR 2u /* winfsp_response.opened.flags, past what a file system may set */
#define REQ_AS(type, req)     ((struct type *)(void *)&(req)->file)

void queue_init(struct queue *q);
/** op_new() - a request with `extra` bytes behind it; NULL when that is longer than WinFsp's requests are */
struct op *op_new(uint32_t kind, size_t extra);
/** op_path() - put a terminated path at the start of the buffer; it must fit */
void op_path(struct op *op, struct name path);
/** op_call() - post, wait; returns the response's status. The op stays the caller's. */
NTSTATUS op_call(struct volume *v, struct op *op, bool best_effort);
/** op_post() - post and forget (IRP_MJ_CLOSE), but wait when the queue is half full; the op is the queue's */
void op_post(struct volume *v, struct op *op);
void op_free(struct op *op);
/** queue_take() - a dispatcher's next request, copied to `req`; false when the queue was stopped */
bool queue_take(struct volume *v, struct winfsp_request *req);
void queue_complete(struct volume *v, const struct winfsp_response *rsp);
/** queue_stop() - no more requests; `cancel` also ends those that the file system still has */
void queue_stop(struct volume *v, bool normally, bool cancel);
/** queue_settle() - wait until no posted close is left */
void queue_settle(struct volume *v);

/* ---- the DLL ------------------------------------------------------------------------------ */

void dll_operation(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp);
NTSTATUS dll_create(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp);
NTSTATUS WINAPI dll_enter(struct winfsp_file_system *fs, struct winfsp_request *req,
                          struct winfsp_response *rsp);
NTSTATUS WINAPI dll_leave(struct winfsp_file_system *fs, struct winfsp_request *req,
                          struct winfsp_response *rsp);

/* Access checks before a file is opened or a name replaced (access.c). */
struct access_check {
    bool parent;         /* look at the directory that the name lies in */
    bool main;           /* look at the file that the stream belongs to */
    bool traverse;       /* and at those above it, for callers without the privilege */
    uint32_t desired;    /* ACCESS_MASK */
    uint32_t granted;    /* out; for STATUS_REPARSE the index of the link in the path */
    uint8_t *descriptor; /* out: the descriptor that was looked at, free() it; NULL: none */
    uint32_t descriptor_len;
    bool want_descriptor;
};
NTSTATUS access_check(struct volume *v, struct winfsp_request *req, struct access_check *c);

/* ---- security descriptors (sd.c) ---------------------------------------------------------- */

struct token {
    enum door_token kind;
    const uint8_t *sids[6]; /* the user first */
    unsigned sid_count;
    bool traverse, create_symlinks;
};
/**
 * token_handle() - what stands in a request for the caller's access token; never 0
 *
 * A handle of this process's own token, with which AccessCheck() works; the kind is in the two bits of a handle that
 * are the application's.
 */
uint64_t token_handle(uint32_t pid, const struct token *t);
/** token_of() - by kind, or by the handle in a request */
const struct token *token_of(uint32_t kind);

bool sd_valid(const void *sd, size_t len);
uint32_t sd_length(const void *sd);
/** sd_check() - what of `desired` does the descriptor give? 0 or STATUS_ACCESS_DENIED */
NTSTATUS sd_check(const void *sd, const struct token *t, uint32_t desired, uint32_t *granted);
/** sd_select() - the parts that `what` names; returns bytes needed, copies when they fit */
uint32_t sd_select(const void *sd, uint32_t what, void *out, uint32_t cap);
/** sd_inherit() - the descriptor of a new object; malloc()ed, *len set */
uint8_t *sd_inherit(const void *parent, const void *given, bool directory, const struct token *t,
                    uint32_t *len);

/* ---- the driver's open files -------------------------------------------------------------- */

struct file {
    struct volume *vol; /* with no node: the volume itself was opened */
    struct node *node;
    struct file *main; /* of a stream: its file, opened along */
    uint64_t user_context2;
    uint32_t access, share, options, attributes;
    uint64_t position;
    uint32_t pid;
    const struct token *token;
    bool share_counted, cleaned, modified, delete_on_close, posix_delete, delete_pending, caches;
    bool close_due; /* fsd_close() was called, but paging I/O still goes through it */
    bool did_attributes, did_access_time, did_write_time, did_change_time, did_security,
        did_metadata;
    NTSTATUS disposition;
    WCHAR *pattern; /* of the listing; NULL: none given yet */
    unsigned pattern_len;
    bool pattern_all, has_such_file;
    WCHAR *marker; /* name, or 4 units of an offset */
    unsigned marker_len;
    uint32_t dir_change, dir_hint; /* where the last answer from the directory cache stopped */
    uint32_t ea_index, ea_changes;
};

struct node *node_open(struct volume *v, struct node *fresh, struct file *f, uint32_t also,
                       NTSTATUS *status);
struct node *node_new(struct volume *v, struct name path);
struct node *node_find(struct volume *v, struct name path); /* referenced */
void node_put(struct node *n);
/** node_close() - one opener less; `f` or NULL: its share access goes as well; `handle`: and its handle */
void node_close(struct node *n, struct file *f, bool handle);
void node_unlist(
    struct node *n); /* volume.table held, as for the next: its streams, whose handles are gone */
void node_unlist_streams(struct node *n);
void node_unshare(struct node *n, struct file *f);
/** node_streams_pending() - the file was overwritten: its open streams go with their last handle */
void node_streams_pending(struct node *n);
void node_rename(struct node *n, struct name to);
/** node_open_below() - is a file open whose name is `path` or below it, other than `except`? */
NTSTATUS node_rename_check(struct volume *v, struct node *n, struct name path, bool old_name,
                           bool posix);
/** node_path() - a copy of its path, which a renamed directory above may change at any time; buf of PATH_MOST */
#define PATH_MOST (REQUEST_MAX / sizeof(WCHAR))
struct name node_path(struct node *n, WCHAR *buf);
/** node_name() - the path itself: under volume.table, or with volume.rename held exclusively */
static inline struct name node_name(const struct node *n)
{
    return (struct name){n->path, n->path_len};
}

bool cache_alive(const struct volume *v, const struct cached *c);
void cache_start(const struct volume *v, struct cached *c, uint32_t timeout);
void cache_drop(struct cached *c);
void cache_store(struct volume *v, struct cached *c, const void *data, uint32_t len,
                 uint32_t timeout, uint32_t max);

void node_set_info(struct node *n, const struct winfsp_file_info *info, bool truncate_on_close);
bool node_get_info(struct node *n, struct winfsp_file_info *info);
void node_drop_info(struct node *n);
void node_drop_parent_dir(struct node *n);
void node_drop_streams(struct node *n); /* what is known of its file's streams */

/** fsd_op() - a request on an open file, its two contexts set */
struct op *fsd_op(struct file *f, uint32_t kind, size_t extra);
/** fsd_op_path() - likewise with the file's path; *at: where the extra bytes begin in the buffer */
struct op *fsd_op_path(struct file *f, uint32_t kind, size_t extra, uint16_t *at);

struct create_args {
    struct name path;
    struct file *related; /* directory that path is relative to, or NULL */
    uint32_t access, disposition, options, attributes, share;
    const void *sd;
    uint32_t sd_len;
    const void *extra;
    uint32_t extra_len;
    bool target_directory;
    uint64_t allocation;
    uint32_t pid;
    const struct token *token;
};
struct create_result {
    struct file *file;
    uint64_t information;
    WCHAR *reparse_path; /* malloc()ed: STATUS_REPARSE, go on there */
    unsigned reparse_len;
    bool reparse_outside; /* it is a path of the NT namespace */
};
NTSTATUS fsd_create(struct volume *v, const struct create_args *a, struct create_result *r);
void fsd_cleanup(struct file *f);
void fsd_close(struct file *f);
NTSTATUS fsd_read(struct file *f, uint64_t offset, uint32_t len, bool paging, void *buf,
                  uint32_t *got);
NTSTATUS fsd_write(struct file *f, uint64_t offset, const void *buf, uint32_t len, bool paging,
                   uint32_t *put);
NTSTATUS fsd_flush(struct file *f);
/** fsd_page_in(), fsd_page_out() - paging I/O; node.gate held */
NTSTATUS fsd_page_in(struct file *f, uint64_t offset, uint32_t len, void *buf, uint32_t *got);
NTSTATUS fsd_page_out(struct file *f, uint64_t offset, const void *buf, uint32_t len);
NTSTATUS fsd_query_info(struct file *f, uint32_t class, void *buf, uint32_t cap, uint32_t *len);
NTSTATUS fsd_set_info(struct file *f, uint32_t class, const void *buf, uint32_t len);
NTSTATUS fsd_set_disposition(struct file *f, uint32_t class, const void *buf, uint32_t len);
NTSTATUS fsd_rename(struct file *f, struct file *target, uint32_t class, const void *buf,
                    uint32_t len);
NTSTATUS fsd_query_volume(struct volume *v, uint32_t class, void *buf, uint32_t cap, uint32_t *len);
NTSTATUS fsd_set_volume(struct volume *v, uint32_t class, const void *buf, uint32_t len);
NTSTATUS fsd_query_dir(struct file *f, uint32_t class, struct name pattern, uint32_t flags,
                       void *buf, uint32_t cap, uint32_t *len);
NTSTATUS fsd_query_security(struct file *f, uint32_t what, void *buf, uint32_t cap, uint32_t *len);
NTSTATUS fsd_set_security(struct file *f, uint32_t what, const void *sd, uint32_t sd_len);
/** fsd_blob() - what `c` of node `n` holds: cached, or asked for on `f` and cached; *out is the caller's to free() */
NTSTATUS fsd_blob(struct file *f, struct node *n, uint32_t kind, struct cached *c, uint32_t timeout,
                  uint32_t max, uint8_t **out, uint32_t *len);
NTSTATUS fsd_query_ea(struct file *f, bool restart, void *buf, uint32_t cap, uint32_t *len);
NTSTATUS fsd_set_ea(struct file *f, const void *ea, uint32_t ea_len, uint64_t *information);
NTSTATUS fsd_fsctl(struct file *f, uint32_t code, const void *in, uint32_t in_len, void *out,
                   uint32_t cap, uint32_t *len);
NTSTATUS fsd_lock(struct file *f, uint64_t offset, uint64_t length, bool exclusive);
NTSTATUS fsd_unlock(struct file *f, uint64_t offset, uint64_t length);
void fsd_unlock_all(struct file *f);
bool fsd_range_free(struct file *f, uint64_t offset, uint64_t length, bool write);
/** fsd_changed() - tell watchers; `caches`: the parent's listing and the volume's figures are stale as well */
void fsd_changed(struct node *n, uint32_t filter, uint32_t action, bool caches);
NTSTATUS fsd_notify(struct file *f, uint32_t filter, bool tree, uint32_t wait_ms, uint8_t *buf,
                    uint32_t cap, uint32_t *len);
void watch_close(struct file *f);
void watch_report(struct volume *v, struct name path, uint32_t filter, uint32_t action);
bool ea_valid(const uint8_t *ea, uint32_t len, uint32_t *bad);
NTSTATUS reparse_valid(const void *data, uint32_t len);

/* ---- cached data (cache.c); node.gate held exclusively ------------------------------------ */

/** cache_read(), cache_write() - within the file's size */
NTSTATUS cache_read(struct file *f, uint64_t offset, uint32_t len, void *buf);
NTSTATUS cache_write(struct file *f, uint64_t offset, const void *buf, uint32_t len);
/** cache_patch() - these bytes were written past the cache */
void cache_patch(struct node *n, uint64_t offset, const void *buf, uint32_t len);
/** cache_flush() - page out what is dirty; the first failure. cache_purge() - forget all pages, dirty ones too */
NTSTATUS cache_flush(struct node *n);
void cache_purge(struct node *n);
/** cache_cut() - the file ends here now; under node.lock */
void cache_cut(struct node *n, uint64_t size);
/** cache_end() - the last cleanup. Return: the file that paging I/O went through, or NULL */
struct file *cache_end(struct node *n);
bool cache_owned_by(const struct node *n, const struct file *f);
/** cache_flush_all() - of the volume; no gate held */
void cache_flush_all(struct volume *v);
void cache_start_writer(struct volume *v);
void cache_stop_writer(struct volume *v);

/* ---- the I/O manager (iomgr.c) ------------------------------------------------------------ */

NTSTATUS nt_create(struct volume *v, const struct create_args *a, struct create_result *r);
void nt_cleanup(struct file *f);
void nt_close(struct file *f);
NTSTATUS nt_read(struct file *f, uint64_t offset, uint32_t len, uint32_t flags, void *buf,
                 uint32_t *got);
NTSTATUS nt_write(struct file *f, uint64_t offset, const void *buf, uint32_t len, uint32_t flags,
                  uint32_t *put);
NTSTATUS nt_flush(struct file *f);
NTSTATUS nt_query_info(struct file *f, uint32_t class, void *buf, uint32_t cap, uint32_t *len);
/** nt_set_info() - `root`: the file behind the RootDirectory of a rename, or NULL */
NTSTATUS nt_set_info(struct file *f, uint32_t class, const void *buf, uint32_t len,
                     struct file *root);
NTSTATUS nt_query_dir(struct file *f, uint32_t class, struct name pattern, uint32_t flags,
                      void *buf, uint32_t cap, uint32_t *len);
NTSTATUS nt_query_security(struct file *f, uint32_t what, void *buf, uint32_t cap, uint32_t *len);
NTSTATUS nt_set_security(struct file *f, uint32_t what, const void *sd, uint32_t len);
NTSTATUS nt_query_ea(struct file *f, bool restart, void *buf, uint32_t cap, uint32_t *len);
NTSTATUS nt_set_ea(struct file *f, const void *ea, uint32_t len, uint64_t *information);
NTSTATUS nt_fsctl(struct file *f, uint32_t code, const void *in, uint32_t in_len, void *out,
                  uint32_t cap, uint32_t *len);
NTSTATUS nt_notify(struct file *f, uint32_t filter, bool tree, uint32_t wait_ms, uint8_t *buf,
                   uint32_t cap, uint32_t *len);
NTSTATUS nt_lock(struct file *f, uint64_t offset, uint64_t length, bool exclusive);

/* ---- doors -------------------------------------------------------------------------------- */

/** door_open() - the NT door of a volume that was just mounted */
void door_open(struct volume *v);
/** door_shut() - no new connections; those that are there keep their files, as open handles outlive a letter */
void door_shut(struct volume *v);
/** door_end() - the volume goes: connections end */
void door_end(struct volume *v);
/** fuse_open() - the FUSE mount, when the environment asks for one */
void fuse_open(struct volume *v);
void fuse_shut(struct volume *v);
/** door_suffix() - what distinguishes this volume's socket and mount: "Z" for Z:, the path otherwise */
void door_suffix(const struct volume *v, char *buf, size_t cap);

#endif
