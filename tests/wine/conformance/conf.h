// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf.h - conformance cases: NT file calls on a mounted volume, looked at from the host too
 *
 * Theory of operation
 *
 *   A case is one named behaviour. It gets an empty directory of the share, a connection to the NT door of the volume
 *   (tests/wine/winfsp/door.h), and a struct t through which everything goes. Names are UTF-8 with '\' or '/' between
 *   components, and relative to the case's directory; with a leading '\' they begin at the volume's root. Host
 *   functions (host_*) take the same names and use the shared directory itself.
 *
 *   A check that fails ends the case. Handles need not be closed: they go with the connection, as those of a
 *   process that dies. A case also fails when the file system broke WinFsp's contract while it ran.
 *
 *   Cases say in a comment what virtio-win's service does where it gets the behaviour wrong: "Incumbent: ...".
 *
 * Ownership: struct t is the runner's; what functions return lives until the case ends, unless they say less.
 */
#ifndef VIOFS_CONFORMANCE_CONF_H
#define VIOFS_CONFORMANCE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "tests/wine/conformance/ntdef.h"
#include "tests/wine/winfsp/door.h"

/* TRY() lays the caller's fields over defaults. */
#pragma GCC diagnostic ignored "-Woverride-init"

/* What a case needs of its volume. */
enum volume {
    VOLUME_PLAIN,    /* as mounted by default */
    VOLUME_FOLD,     /* CaseInsensitive */
    VOLUME_READONLY, /* ReadOnly */
    VOLUME_POLL,     /* PollSeconds 1 (-n 1) */
    VOLUME_ACL,      /* Acl stored */
    VOLUMES
};

struct t;
struct test_case {
    const char *name;
    void (*run)(struct t *t);
    enum volume volume;
    const char *mode; /* NULL: all; else it belongs to shares of this mode only (--mode) */
};
struct group {
    const char *name;
    const struct test_case *cases;
    unsigned n;
};
#define CASE_ON(fn, vol)                                                                           \
    {                                                                                              \
        .name = #fn, .run = fn, .volume = vol                                                      \
    }
#define CASE(fn) CASE_ON(fn, VOLUME_PLAIN)
#define CASE_IN(fn, what)                                                                          \
    {                                                                                              \
        .name = #fn, .run = fn, .volume = VOLUME_PLAIN, .mode = what                               \
    }
#define GROUP(group_name, table)                                                                   \
    const struct group group_##group_name = {#group_name, table, sizeof(table) / sizeof(table[0])}

/* ---- checks ---------------------------------------------------------------------------------- */

_Noreturn void t_fail(struct t *t, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void t_status(struct t *t, const char *file, int line, const char *what, uint32_t want,
              uint32_t got);
void t_equal(struct t *t, const char *file, int line, const char *what, int64_t want, int64_t got);
void t_text(struct t *t, const char *file, int line, const char *what, const char *want,
            const char *got);

#define CHECK(t, ok)                                                                               \
    do {                                                                                           \
        if (!(ok))                                                                                 \
            t_fail(t, __FILE__, __LINE__, "not so: %s", #ok);                                      \
    } while (0)
/* EXPECT(t, STATUS_X, call) - the call returns this status; OK(t, call) - it succeeds */
#define EXPECT(t, want, call) t_status(t, __FILE__, __LINE__, #call, (uint32_t)(want), call)
#define OK(t, call)           EXPECT(t, STATUS_SUCCESS, call)
/* EVENTUALLY(t, ok) - what may be cached for a second or so: asked again for ten seconds */
#define EVENTUALLY(t, ok)                                                                          \
    do {                                                                                           \
        int64_t until_ = t_now_ms() + 10000;                                                       \
        for (; !(ok); t_nap())                                                                     \
            if (t_now_ms() > until_)                                                               \
                t_fail(t, __FILE__, __LINE__, "not after 10 s: %s", #ok);                          \
    } while (0)
int64_t t_now_ms(void);
void t_nap(void); /* between two questions */
/** t_wait_for_names() - let the time pass for which the host allows names to be believed unasked */
void t_wait_for_names(struct t *t);
/* EQUAL(t, want, got) - integers; TEXT(t, want, got) - strings */
#define EQUAL(t, want, got) t_equal(t, __FILE__, __LINE__, #got, (int64_t)(want), (int64_t)(got))
#define TEXT(t, want, got)  t_text(t, __FILE__, __LINE__, #got, want, got)

/* ---- opening --------------------------------------------------------------------------------- */

typedef uint64_t handle; /* 0: none */

struct how {
    uint32_t access, disposition, options, attributes, share;
    uint64_t allocation;
    handle in; /* the name is relative to this directory */
    const void *sd, *ea;
    uint32_t sd_len, ea_len;
};
#define RW (FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE)
/* With SHARE_NONE nothing is shared; 0 stands for FILE_SHARE_ALL. */
#define SHARE_NONE 0x100u

/** nt_create() - NtCreateFile. On success *h is the handle; nt_information() FILE_OPENED and so on. Return: status */
uint32_t nt_create(struct t *t, const char *name, const struct how *how, handle *h);

/*
 * TRY(t, name, .field = value ...) - open for RW what exists, shared with all, unless said otherwise; the handle is
 * closed again
 */
#define HOW(...)          (&(struct how){.access = RW, .disposition = FILE_OPEN, ##__VA_ARGS__})
#define TRY(t, name, ...) nt_create(t, name, HOW(__VA_ARGS__), NULL)
/* OPEN(t, name, ...) - the same, must succeed. Return: handle */
#define OPEN(t, name, ...) nt_open(t, __FILE__, __LINE__, name, HOW(__VA_ARGS__))
/* MAKE(t, name, ...) - FILE_CREATE; MKDIR(t, name) - a directory, and its handle is closed; MAKE_FILE closes too */
#define MAKE(t, name, ...)                                                                         \
    nt_open(t, __FILE__, __LINE__, name, HOW(.disposition = FILE_CREATE, ##__VA_ARGS__))
#define MAKE_FILE(t, name) nt_close(t, MAKE(t, name))
#define MKDIR(t, name)     nt_close(t, MAKE(t, name, .options = FILE_DIRECTORY_FILE))
handle nt_open(struct t *t, const char *file, int line, const char *name, const struct how *how);
void nt_close(struct t *t, handle h);
/** nt_cleanup() - the last user handle goes; IRP_MJ_CLOSE comes with nt_close() */
void nt_cleanup(struct t *t, handle h);

/** nt_information() - of the last call; nt_path() - the normalised path that the last successful create told, UTF-8 */
uint64_t nt_information(const struct t *t);
const char *nt_path(const struct t *t);

/** nt_call() - any call. @reply_data: of the last call, nt_data() and nt_data_len() */
uint32_t nt_call(struct t *t, const struct door_call *call, const void *name, const void *data);
const void *nt_data(const struct t *t);
uint32_t nt_data_len(const struct t *t);

/* ---- data ------------------------------------------------------------------------------------ */

/**
 * nt_read() - into @buf; *got may be NULL. nt_write() - at @offset, -1: the end. @flags: DOOR_IO_*
 *
 * Return: status
 */
uint32_t nt_read(struct t *t, handle h, int64_t offset, void *buf, uint32_t n, uint32_t *got);
uint32_t nt_read_flags(struct t *t, handle h, int64_t offset, void *buf, uint32_t n, uint32_t *got,
                       uint32_t flags);
uint32_t nt_write(struct t *t, handle h, int64_t offset, const void *buf, uint32_t n);
uint32_t nt_write_flags(struct t *t, handle h, int64_t offset, const void *buf, uint32_t n,
                        uint32_t flags);
/** nt_puts() - write a string at @offset, which must work */
void nt_puts(struct t *t, handle h, int64_t offset, const char *text);
/** nt_gets() - up to 4095 bytes at @offset, terminated; "" at the end of the file */
const char *nt_gets(struct t *t, handle h, int64_t offset);
/** nt_flush() - @h 0: the volume */
uint32_t nt_flush(struct t *t, handle h);
uint32_t nt_lock(struct t *t, handle h, uint64_t offset, uint64_t n, bool exclusive);
uint32_t nt_unlock(struct t *t, handle h, uint64_t offset, uint64_t n);

/* ---- information ----------------------------------------------------------------------------- */

uint32_t nt_query(struct t *t, handle h, uint32_t class, void *out, uint32_t room);
uint32_t nt_set(struct t *t, handle h, uint32_t class, const void *in, uint32_t n);
/* These must work. */
struct basic_info nt_basic(struct t *t, handle h);
struct standard_info nt_standard(struct t *t, handle h);
struct network_info nt_network(struct t *t, handle h);
struct tag_info nt_tag(struct t *t, handle h);
uint64_t nt_index(struct t *t, handle h);
/** nt_name() - FileNameInformation: the path from the volume's root */
const char *nt_name(struct t *t, handle h);
/** nt_attributes() - of a name, by opening it for attributes only, links themselves */
uint32_t nt_attributes(struct t *t, const char *name);

uint32_t nt_set_attributes(struct t *t, handle h, uint32_t attributes);
uint32_t nt_set_size(struct t *t, handle h, int64_t size);
uint32_t nt_set_allocation(struct t *t, handle h, int64_t size);
/** nt_rename() - class 10; @name as everywhere. nt_rename_ex() - class 65 with RENAME_* */
uint32_t nt_rename(struct t *t, handle h, const char *name, bool replace);
uint32_t nt_rename_ex(struct t *t, handle h, const char *name, uint32_t flags);
/** nt_delete() - class 13; nt_delete_ex() - class 64 with DISPOSITION_* */
uint32_t nt_delete(struct t *t, handle h, bool on);
uint32_t nt_delete_ex(struct t *t, handle h, uint32_t flags);
/** nt_remove() - open for DELETE, set the disposition, close. Return: status of the first that fails */
uint32_t nt_remove(struct t *t, const char *name);
/** nt_move() - open for DELETE, rename, close */
uint32_t nt_move(struct t *t, const char *name, const char *to, bool replace);

/** nt_query_volume() - FS_INFORMATION_CLASS, on any handle */
uint32_t nt_query_volume(struct t *t, handle h, uint32_t class, void *out, uint32_t room);
uint32_t nt_set_volume(struct t *t, handle h, uint32_t class, const void *in, uint32_t n);

/* ---- directories ----------------------------------------------------------------------------- */

struct entry {
    char name[768]; /* UTF-8 */
    uint32_t attributes;
    int64_t size, allocation, created, written;
    uint64_t index; /* with FileId...; else 0 */
};
struct listing {
    unsigned n, room;
    struct entry *entry;
    uint32_t status; /* that ended it */
    unsigned calls;
};
/** nt_list() - everything in an open directory, by FileIdBothDirectoryInformation in buffers of 16 KiB */
const struct listing *nt_list(struct t *t, handle dir, const char *pattern);
/** nt_list_by() - with this class, room for @room bytes a call, and DOOR_DIR_* for the first */
const struct listing *nt_list_by(struct t *t, handle dir, const char *pattern, uint32_t class,
                                 uint32_t room, uint32_t flags);
/** nt_query_dir() - one call; the entries are added to @l */
uint32_t nt_query_dir(struct t *t, handle dir, const char *pattern, uint32_t class, uint32_t room,
                      uint32_t flags, struct listing *l);
/** nt_names() - open @dir, list it, close. Return: names, sorted, joined by ' ', without "." and ".." */
const char *nt_names(struct t *t, const char *dir, const char *pattern);
/** find() - the entry of this name, which must be there; has() */
const struct entry *find(struct t *t, const struct listing *l, const char *name);
bool has(const struct listing *l, const char *name);

/* ---- security, EAs, reparse points, changes -------------------------------------------------- */

/** nt_security() - the SDDL-like parts as bytes; nt_data() has them. Return: status */
uint32_t nt_security(struct t *t, handle h, uint32_t what, uint32_t room);
uint32_t nt_set_security(struct t *t, handle h, uint32_t what, const void *sd, uint32_t n);
uint32_t nt_ea(struct t *t, handle h, uint32_t room);
uint32_t nt_set_ea(struct t *t, handle h, const void *ea, uint32_t n);
/**
 * ea_entry() - put one FILE_FULL_EA_INFORMATION at @to
 * @last: nothing follows. Return: bytes, a multiple of 4 unless last
 */
uint32_t ea_entry(void *to, const char *name, const void *value, uint16_t n, bool last);

/** nt_fsctl() - Return: status */
uint32_t nt_fsctl(struct t *t, handle h, uint32_t code, const void *in, uint32_t n, uint32_t room);
/** nt_symlink() - an empty file or directory becomes a link; @target with '\' or '/'. Return: status */
uint32_t nt_symlink(struct t *t, const char *name, const char *target, bool directory,
                    bool relative);
/** nt_readlink() - the substitute name, which must be there; *relative may be NULL */
const char *nt_readlink(struct t *t, const char *name, bool *relative);

uint32_t nt_notify(struct t *t, handle dir, uint32_t filter, bool tree, uint32_t ms);
/**
 * nt_told() - what the last nt_notify() brought: "+name" added, "-name" removed, "*name" changed, "<old" and ">new"
 * renamed; separated by ' '
 */
const char *nt_told(struct t *t);

/* ---- who calls, and how many ----------------------------------------------------------------- */

void nt_run_as(struct t *t, enum door_token token);
/** nt_control() - enum door_control; nt_stats() - since the last nt_stats() on this volume */
void nt_control(struct t *t, uint32_t control, uint32_t value);
struct door_stats nt_stats(struct t *t);

/** another() - one more thread of Windows, in the same directory; used by the same Linux thread */
struct t *another(struct t *t);
/** t_die() - its connection ends, as when a process is killed */
void t_die(struct t *other);
/** together() - run @fn on @n threads at once, each with a struct t of its own and its number; fails when one fails */
void together(struct t *t, unsigned n, void (*fn)(struct t *t, unsigned number, void *ctx),
              void *ctx);
/** nt_barrier() - until @n threads have come */
void nt_barrier(struct t *t, uint32_t id, uint32_t n);

/* ---- the host's side ------------------------------------------------------------------------- */

/** host_path() - of a name, in the shared directory; what Windows has yet to write there comes first (--cached) */
const char *host_path(struct t *t, const char *name);
/* All of these fail the case when the host refuses. */
void host_write(struct t *t, const char *name, const void *bytes, size_t n);
void host_puts(struct t *t, const char *name, const char *text);
/** host_gets() - at most 4095 bytes, terminated */
const char *host_gets(struct t *t, const char *name);
/** host_gets_now() - the same, whatever Windows has yet to write */
const char *host_gets_now(struct t *t, const char *name);
size_t host_read(struct t *t, const char *name, void *buf, size_t room);
void host_mkdir(struct t *t, const char *name);
void host_symlink(struct t *t, const char *name, const char *target);
const char *host_readlink(struct t *t, const char *name);
void host_link(struct t *t, const char *name, const char *old);
void host_mknod(struct t *t, const char *name, mode_t mode);
void host_chmod(struct t *t, const char *name, mode_t mode);
void host_rename(struct t *t, const char *name, const char *to);
void host_remove(struct t *t, const char *name);
/** host_tmpfs() - a file system of its own on a new directory of the share, until the case ends; @options as mount's -o */
void host_tmpfs(struct t *t, const char *name, const char *options);
/** host_freeze() - make it read-only */
void host_freeze(struct t *t, const char *name);
/** host_append() - a string behind the end */
void host_append(struct t *t, const char *name, const char *text);
void host_truncate(struct t *t, const char *name, off_t size);
void host_times(struct t *t, const char *name, int64_t accessed_s, int64_t written_s);
struct stat host_stat(struct t *t, const char *name); /* of a link itself */
bool host_exists(struct t *t, const char *name);
/** host_users() - descriptors that any process has open for reading or writing, sockets and O_PATH left out */
unsigned host_users(struct t *t, const char *name);
mode_t host_mode(struct t *t, const char *name); /* permission bits */
/** host_names() - sorted, joined by ' ' */
const char *host_names(struct t *t, const char *name);
/** host_birth() - FILETIME, 0 when the host does not know */
int64_t host_birth(struct t *t, const char *name);
int64_t filetime(struct timespec ts);
/** host_xattr() - value as a string; NULL when there is none */
const char *host_xattr(struct t *t, const char *name, const char *attribute);
void host_setxattr(struct t *t, const char *name, const char *attribute, const char *value);

/* ---- odds and ends --------------------------------------------------------------------------- */

/** keep() - zeroed memory that lives as long as the case */
void *keep(struct t *t, size_t n);
char *keep_printf(struct t *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** pattern() - bytes that depend on their position and @seed; pattern_is() - are these? */
void pattern(void *to, uint64_t offset, size_t n, uint32_t seed);
bool pattern_is(const void *p, uint64_t offset, size_t n, uint32_t seed);
/** drive_letter() - of the volume, from the name of its door */
char drive_letter(const struct t *t);
/** nap() - let what the service believes of the host grow old: more than the second that the host allows */
void nap(struct t *t);
/** case_dir() - the case's directory, from the volume's root: "\name" */
const char *case_dir(const struct t *t);

#endif
