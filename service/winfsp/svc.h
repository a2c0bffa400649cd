// SPDX-License-Identifier: BSD-3-Clause
/*
 * svc.h - the parts of the WinFsp room among themselves
 *
 * Theory of operation
 *
 *   volume.c     life of a volume, WinFsp's settings, volume information
 *   guard.c      brackets every operation: locks, and what the operation found
 *   find.c       paths to nodes, once for an operation
 *   open.c, create.c, close.c, rename.c, data.c, info.c, dir.c, security.c, reparse.c, ea.c
 *                the callbacks, one family a file
 *   links.c      symbolic links: targets both ways, and whether one is a directory
 *   twins.c      -i: names that differ in case only, open at the same time
 *   owner.c      whom new files belong to
 *   notify.c, poll.c, report.c   changes on the host: told by it, looked for (-n), handed to WinFsp
 *   attr.c       struct winfsp_file_info
 *   cached.c     contents that Windows keeps (Cache=long)
 *   acl.c        security descriptors that are kept in extended attributes
 *   stored.c     attributes and creation times that are kept in extended attributes
 *   streams.c, stream_ops.c   alternate data streams: their contents, and the callbacks
 *   attributes.c, names.c, status.c, stream_name.c, times.c, sd.c, guard_key.c   portable
 *
 *   Every callback gets the volume from fs->user_context. What open or create put into their context is a
 *   struct svc_open, one for each handle; WinFsp calls close() for it exactly once, after all else.
 *
 * Ownership: an svc_open holds references to its node and directory, its file and directory handles, its
 *   twin entry and its path. A struct svc_found holds references until svc_found_end().
 *
 * Locks, in this order: guard stripes (guard.c), svc_open.lock, svc_stream.lock, svc_volume.opens_lock,
 *   svc_volume.streams_lock, svc_volume.twins_lock, svc_volume.label_lock, svc_volume.acls_lock,
 *   svc_volume.notify.lock. The client's own locks come after all of these. svc_open.lock and svc_stream.lock are held across round trips, the others never.
 */
#ifndef VIOFS_SERVICE_SVC_H
#define VIOFS_SERVICE_SVC_H

#include "service/winfsp/nt.h"

#include "service/winfsp/volume.h"

#include "service/client/linux_errno.h"
#include "service/winfsp/attributes.h"
#include "service/winfsp/names.h"
#include "service/winfsp/sd.h"
#include "service/winfsp/status.h"
#include "service/winfsp/times.h"

#define SVC_STRIPES      256 /* guard.c */
#define SVC_TWIN_BUCKETS 256

#define SVC_STALL_SECONDS 30 /* unless told otherwise */
/* Dispatcher threads, unless told otherwise. They wait for the host, not for a processor: WinFsp's own choice, one
 * for each processor, would let four creates at a time be under way on most machines. */
#define SVC_THREADS 16

/* Missing from user-mode headers: MS-SMB2 2.2.13, MS-FSCC 2.4.42.2 */
#define SVC_OPTION_DIRECTORY     0x00000001u
#define SVC_OPTION_NOT_DIRECTORY 0x00000040u
#define SVC_RENAME_POSIX         0x00000002u
enum svc_disposition {
    SVC_SUPERSEDE,
    SVC_OPEN,
    SVC_CREATE,
    SVC_OPEN_IF,
    SVC_OVERWRITE,
    SVC_OVERWRITE_IF
};
/* IO_STATUS_BLOCK.Information of a create */
enum svc_created { SVC_SUPERSEDED, SVC_OPENED, SVC_CREATED, SVC_OVERWRITTEN };

/* What a path led to. */
struct svc_found {
    struct cli_node *node;   /* NULL: not found */
    struct cli_node *parent; /* NULL for the root, or when a directory on the way is missing */
    unsigned depth;          /* components found */
    unsigned count;          /* components of the path */
    uint32_t link_units;     /* CLI_WALK_SYMLINK: units before the link in the path */
    uint32_t name_len; /* of the last component: as on the host if it is there, else as asked */
    char name[SVC_NAME_BYTES + 1];
    uint32_t spelling_len; /* -i: all found components as on the host */
    char spelling[CLI_SPELLING_MAX];
};

struct svc_twin;
struct svc_stream;
struct svc_snapshot;

/* One open file, directory, link or special file: WinFsp's context. */
struct svc_open {
    struct svc_volume *v;
    SRWLOCK lock;            /* guards what follows, but for what never changes */
    struct cli_node *node;   /* changes when a placeholder becomes a link (reparse.c) */
    struct cli_node *parent; /* NULL: the root */
    struct cli_file *file;   /* regular files, once data was wanted; then it stays */
    struct cli_dir *dir;     /* directories, once they were listed */
    bool hidden;             /* a dot file, and those are hidden */
    bool preallocated;       /* blocks past the end may be given back at cleanup */
    bool deleted;
    struct svc_stream *stream; /* never changes; NULL: the file itself */
    WCHAR *path;               /* as Windows spells it, from the root; heap */
    struct svc_twin *twin;

    /* v->opens_lock, which guards changes of path and node, too */
    struct svc_open *next, **link;
    struct svc_snapshot *snapshot; /* poll.c's thread only */
    struct cli_time mtime;         /* cached.c: that a program has set, if mtime_set */
    bool mtime_set;
    uint64_t opened_ms;
    bool lists;       /* a directory, opened by somebody who may list it or wait for changes */
    bool watch_tried; /* notify.c's */
    bool watched;     /* cli_unwatch() is due */
};

struct svc_scratch;
struct svc_change;

#define SVC_REPORT_ROOM 16384

/* Changes on their way to WinFsp (report.c). */
struct svc_report {
    struct svc_volume *v;
    NTSTATUS status; /* of the first that failed */
    uint32_t used;
    uint64_t buf[SVC_REPORT_ROOM / 8];
};

/* Changes that the host told of (notify.c). */
struct svc_notify {
    SRWLOCK lock;
    CONDITION_VARIABLE more;
    struct svc_change *first, **last;
    struct svc_change *half; /* of a rename: the other half comes next */
    uint32_t count, bytes;
    bool rescan, stop;
    HANDLE thread;
    struct svc_report *report; /* the thread's */
};

struct svc_volume {
    const struct winfsp_api *api;
    struct winfsp_file_system *fs;
    struct cli *client;
    struct svc_volume_options options; /* strings are copies or NULL */
    WCHAR *strings[4];                 /* those copies */
    WCHAR tag[40];
    WCHAR label[WINFSP_LABEL_UNITS];
    SRWLOCK label_lock;
    void *security; /* options.security as a self-relative descriptor, or NULL; LocalFree */
    uint32_t security_size;
    int eas_error; /* why the host keeps no extended attributes, or 0 */
    bool has_eas;
    struct svc_attribute_rules rules;
    volatile LONG said_unstored,
        said_no_streams; /* with which error; 0: not yet, as for said_no_acl */
    bool streams_on;
    struct svc_acl_slot *acls; /* acl.c; NULL unless descriptors are stored */
    SRWLOCK acls_lock;
    volatile LONG said_no_acl, said_unreadable;
    volatile uint32_t owner_uid, owner_gid; /* owner.c; any writer may win */

    DWORD scratch_slot; /* guard.c */
    SRWLOCK scratch_lock;
    struct svc_scratch *scratches;
    SRWLOCK stripes[SVC_STRIPES];

    SRWLOCK opens_lock;
    struct svc_open *opens; /* all handles */
    SRWLOCK streams_lock;
    struct svc_stream *streams; /* in use */
    SRWLOCK twins_lock;
    struct svc_twin *twins[SVC_TWIN_BUCKETS];

    SRWLOCK io_lock;
    CONDITION_VARIABLE io_idle;
    struct svc_io *ios; /* reads and writes that are under way */
    bool io_closed;     /* no more */

    struct svc_notify notify;
    volatile LONG session_lost;  /* since the last recovery */
    bool said_stalled;           /* the ticking thread's */
    struct svc_modes said_modes; /* likewise */
    bool side_by_side;           /* the driver's, see struct cli_limits */
    volatile LONG stopping;
    uint64_t polled_ms;
};

static inline struct svc_volume *svc_volume_of(struct winfsp_file_system *fs)
{
    return fs->user_context;
}

void svc_volume_log(struct svc_volume *v, int level, const WCHAR *format, ...);

/* ---- guard.c ---------------------------------------------------------------------------------------- */

int svc_guard_init(struct svc_volume *v);
void svc_guard_free(struct svc_volume *v);
NTSTATUS WINAPI svc_guard_enter(struct winfsp_file_system *fs, struct winfsp_request *request,
                                struct winfsp_response *response);
NTSTATUS WINAPI svc_guard_leave(struct winfsp_file_system *fs, struct winfsp_request *request,
                                struct winfsp_response *response);
/** svc_answer_instead() - this create ends with `information`, whatever the DLL thinks (enum svc_created) */
void svc_answer_instead(struct svc_volume *v, uint32_t information);
/* What find.c keeps of an operation; NULL outside of one. */
struct svc_trail *svc_trail(struct svc_volume *v);

/* ---- find.c ----------------------------------------------------------------------------------------- */

/* The last path that this operation resolved. */
struct svc_trail {
    bool walked;
    uint64_t mark;             /* cli_mark() before the walk */
    int result;                /* cli_walk()'s */
    struct svc_stream *stream; /* that was looked at, or NULL */
    struct svc_path path;
    struct cli_walk walk;
    uint32_t units;
    WCHAR text[SVC_PATH_UNITS];
};
void svc_trail_end(struct svc_volume *v, struct svc_trail *t);

int svc_find(struct svc_volume *v, const WCHAR *path, struct svc_found *f);
int svc_find_directory(struct svc_volume *v, const WCHAR *path, struct svc_found *f);
void svc_found_end(struct svc_volume *v, struct svc_found *f);
NTSTATUS svc_find_status(int result, const struct svc_found *f);
NTSTATUS svc_find_failure(int result, const struct svc_found *f);
struct cli_name svc_found_name(const struct svc_found *f);
int svc_getattr(struct svc_volume *v, struct cli_node *n, struct cli_attr *out);
int svc_getmode(struct svc_volume *v, struct cli_node *n, struct cli_attr *out);

/* ---- attr.c ----------------------------------------------------------------------------------------- */

/** svc_now() - the time, as Windows counts it; fine-grained, because programs compare times of writes */
static inline uint64_t svc_now(void)
{
    FILETIME t;

    GetSystemTimePreciseAsFileTime(&t);
    return (uint64_t)t.dwHighDateTime << 32 | t.dwLowDateTime;
}

/* Of what is not open: a name in a directory. */
void svc_info_of(struct svc_volume *v, const struct cli_attr *a, struct cli_name name,
                 bool link_to_directory, struct winfsp_file_info *out);
NTSTATUS svc_info(struct svc_open *o, struct winfsp_file_info *out);
bool svc_is_hidden(const struct svc_volume *v, struct cli_name name);

/* ---- open.c, close.c -------------------------------------------------------------------------------- */

NTSTATUS svc_open_new(struct svc_volume *v, const struct svc_found *f, const WCHAR *path,
                      UINT32 access, struct svc_open **out);
void svc_open_free(struct svc_open *o);
NTSTATUS svc_open_path_set(struct svc_open *o, const WCHAR *path);
NTSTATUS svc_open_data(struct svc_open *o, uint32_t access);
uint32_t svc_access_of(uint32_t granted);
void svc_normalize(const struct svc_open *o, struct winfsp_file_info *info);
NTSTATUS svc_directory_is_empty(struct svc_open *o);

/* ---- security.c ------------------------------------------------------------------------------------- */

NTSTATUS svc_security(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a, void *sd,
                      SIZE_T *size);
bool svc_access_allowed(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a,
                        UINT32 *granted);
bool svc_mode_of_new(struct svc_volume *v, struct cli_node *parent, const void *sd, uint32_t *mode);

/* ---- acl.c ------------------------------------------------------------------------------------------ */

int svc_acl_init(struct svc_volume *v);
void svc_acl_free(struct svc_volume *v);
int svc_acl_find(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a, uint8_t *sd);
NTSTATUS svc_acl_set(struct svc_open *o, const struct cli_attr *before, uint32_t what,
                     const void *sd, uint32_t size, struct cli_attr *a, uint32_t mask);
NTSTATUS svc_acl_keep(struct svc_open *o, const uint8_t *sd, int size);
bool svc_acl_mode_of_new(struct svc_volume *v, struct cli_node *parent, bool given, const void *sd,
                         uint32_t *mode);
NTSTATUS svc_acl_new(struct svc_open *o, const void *sd);
void svc_acl_try(struct svc_volume *v, struct cli_node *root);

/* ---- cached.c --------------------------------------------------------------------------------------- */

void svc_cached_open(struct svc_open *o);
NTSTATUS svc_cached_grow(struct svc_open *o, uint64_t size);
void svc_cached_time(struct svc_open *o, struct cli_time mtime);
void svc_cached_cleanup(struct svc_open *o, bool written);

/* ---- links.c ---------------------------------------------------------------------------------------- */

#define SVC_TARGET_BYTES 4096
int svc_link_target(struct svc_volume *v, struct cli_node *link, char *target);
bool svc_link_is_directory(struct svc_volume *v, const WCHAR *directory, struct cli_node *link);

/* ---- ea.c ------------------------------------------------------------------------------------------- */

NTSTATUS svc_eas_set(struct svc_open *o, const struct winfsp_full_ea *ea, uint32_t len);
NTSTATUS svc_eas_clear(struct svc_open *o);
bool svc_eas_work(struct svc_volume *v);
int svc_xattr_names(struct svc_volume *v, struct cli_node *n, char **out);

/* ---- stored.c --------------------------------------------------------------------------------------- */

NTSTATUS svc_store(struct svc_open *o, const struct cli_attr *now, uint32_t attributes,
                   uint64_t creation);
NTSTATUS svc_store_new(struct svc_open *o, uint32_t attributes);
void svc_store_archive(struct svc_open *o);

/* ---- streams.c -------------------------------------------------------------------------------------- */

int svc_stream_find(struct svc_volume *v, struct cli_node *n, const WCHAR *name,
                    struct svc_stream **out);
int svc_stream_make(struct svc_volume *v, struct cli_node *n, const WCHAR *name,
                    struct svc_stream **out);
void svc_stream_put(struct svc_stream *s);
uint32_t svc_stream_name(const struct svc_stream *s, WCHAR *units);
int svc_stream_size(struct svc_stream *s);
int svc_stream_read(struct svc_stream *s, void *buf, uint64_t offset, uint32_t len);
int svc_stream_write(struct svc_stream *s, const void *buf, uint64_t offset, uint32_t len,
                     uint32_t flags);
int svc_stream_resize(struct svc_stream *s, uint64_t size);
int svc_stream_delete(struct svc_stream *s);
int svc_streams_clear(struct svc_volume *v, struct cli_node *n);
int svc_streams_list(struct svc_volume *v, struct cli_node *n,
                     bool (*tell)(void *user, const WCHAR *name, uint32_t units, uint32_t size),
                     void *user);

/* ---- stream_ops.c ----------------------------------------------------------------------------------- */

/* The path of a stream: its file's, and its name. */
struct svc_stream_path {
    const WCHAR *name; /* in the path that was taken apart */
    WCHAR file[SVC_PATH_UNITS];
};

bool svc_stream_path(const struct svc_volume *v, const WCHAR *path, struct svc_stream_path *out);
NTSTATUS svc_stream_fail(struct svc_volume *v, const WCHAR *path, int error);
NTSTATUS svc_stream_info(struct svc_open *o, struct winfsp_file_info *out);
NTSTATUS svc_stream_check(struct svc_volume *v, const struct svc_found *f, const WCHAR *name,
                          UINT32 *attributes);
NTSTATUS svc_stream_open(struct svc_volume *v, const struct svc_stream_path *path, UINT32 options,
                         void **ctx, struct winfsp_file_info *info);
NTSTATUS svc_stream_create(struct svc_volume *v, const struct svc_stream_path *path,
                           UINT64 allocation, void **ctx, struct winfsp_file_info *info);
NTSTATUS svc_stream_read_at(struct svc_open *o, void *buf, UINT64 offset, ULONG len, ULONG *got);
NTSTATUS svc_stream_write_at(struct svc_open *o, const void *buf, UINT64 offset, ULONG len,
                             uint32_t flags, ULONG *put, struct winfsp_file_info *info);
NTSTATUS svc_stream_set_size(struct svc_open *o, UINT64 size, BOOLEAN allocation);

/* ---- twins.c ---------------------------------------------------------------------------------------- */

NTSTATUS svc_twin_open(struct svc_open *o, struct cli_name name);
void svc_twin_close(struct svc_open *o);
void svc_twin_renamed(struct svc_open *o, struct cli_node *directory, struct cli_name name);
void svc_twin_gone(struct svc_open *o);

/* ---- info.c ----------------------------------------------------------------------------------------- */

NTSTATUS svc_allocate(struct svc_open *o, uint64_t bytes);

/* ---- report.c, notify.c ------------------------------------------------------------------------------ */

NTSTATUS svc_report_begin(struct svc_report *r, struct svc_volume *v, uint32_t wait_ms);
void svc_report_room(struct svc_report *r, uint32_t records, uint32_t units);
void svc_report_add(struct svc_report *r, const WCHAR *path, uint32_t filter, uint32_t action);
NTSTATUS svc_report_end(struct svc_report *r);

void svc_notify_init(struct svc_volume *v);
NTSTATUS svc_notify_start(struct svc_volume *v);
void svc_notify_stop(struct svc_volume *v);
void svc_notify_free(struct svc_volume *v);
void svc_changed(void *user, const struct cli_change *change);
void svc_watch_opens(struct svc_volume *v);

/* ---- data.c, owner.c, poll.c ------------------------------------------------------------------------ */

void svc_io_close(struct svc_volume *v);
void svc_info_after_write(struct svc_open *o, struct winfsp_file_info *out);
void svc_owner_set(struct svc_volume *v, const struct cli_attr *root);
NTSTATUS svc_owner_find(struct svc_volume *v);
void svc_poll(struct svc_volume *v, bool told);
void svc_snapshot_free(struct svc_snapshot *s);

/* ---- the callbacks, in the order of struct winfsp_interface ------------------------------------------ */

#define SVC_CALLBACK(name) __typeof__(*((struct winfsp_interface *)0)->name) svc_cb_##name
SVC_CALLBACK(get_volume_info);
SVC_CALLBACK(set_volume_label);
SVC_CALLBACK(get_security_by_name);
SVC_CALLBACK(create_ex);
SVC_CALLBACK(open);
SVC_CALLBACK(overwrite_ex);
SVC_CALLBACK(cleanup);
SVC_CALLBACK(close);
SVC_CALLBACK(read);
SVC_CALLBACK(write);
SVC_CALLBACK(flush);
SVC_CALLBACK(get_file_info);
SVC_CALLBACK(set_basic_info);
SVC_CALLBACK(set_file_size);
SVC_CALLBACK(set_delete);
SVC_CALLBACK(rename);
SVC_CALLBACK(get_security);
SVC_CALLBACK(set_security);
SVC_CALLBACK(read_directory);
SVC_CALLBACK(resolve_reparse_points);
SVC_CALLBACK(get_reparse_point);
SVC_CALLBACK(set_reparse_point);
SVC_CALLBACK(delete_reparse_point);
SVC_CALLBACK(get_stream_info);
SVC_CALLBACK(get_dir_info_by_name);
SVC_CALLBACK(get_ea);
SVC_CALLBACK(set_ea);
SVC_CALLBACK(dispatcher_stopped);
#undef SVC_CALLBACK

#endif
