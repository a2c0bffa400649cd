// SPDX-License-Identifier: BSD-3-Clause
/*
 * door_client.h - the Linux side of the NT door: one function a call, and helpers that read well in tests
 *
 * Every function that returns uint32_t returns the NTSTATUS of the call. Paths and names are UTF-8 here and
 * UTF-16 on the wire; what is not UTF-8 (lone surrogates) is spelt as UTF-8 would spell it (WTF-8).
 *
 * A client is one connection, hence one thread of a Windows program. A lost connection ends the test program
 * with a message: no test can mean anything after that.
 */
#ifndef VIOFS_TESTS_DOOR_CLIENT_H
#define VIOFS_TESTS_DOOR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/wine/nt_numbers.h"
#include "tests/wine/winfsp/door.h"

struct door_client;

/** door_connect() - wait_ms: how long to wait for the socket to be there; NULL: nobody came */
struct door_client *door_connect(const char *path, unsigned wait_ms);
void door_disconnect(struct door_client *d);

/** door_call() - any call; data and name may be NULL. The reply's data are in d until the next call. */
uint32_t door_call(struct door_client *d, const struct door_call *call, const char *name,
                   const void *data, struct door_reply *reply);
/** door_data() - the last reply's data */
const void *door_data(struct door_client *d, uint32_t *len);
/** door_text() - the last reply's data as UTF-8; in d until the next call */
const char *door_text(struct door_client *d);

/* ---- files --------------------------------------------------------------------------------- */

struct door_open {
    const char *path;
    uint32_t access, disposition, options, attributes;
    uint32_t share;     /* 0: FILE_SHARE_ALL, DOOR_SHARE_NONE: none */
    uint64_t directory; /* handle that path is relative to */
    uint64_t allocation;
    const void *sd, *ea;
    uint32_t sd_len, ea_len;
    uint32_t flags;       /* enum door_create of door.h */
    uint64_t information; /* out */
};
#define DOOR_SHARE_NONE 0x80000000u

uint32_t door_create(struct door_client *d, struct door_open *c, uint64_t *handle);
/** door_open_path() - FILE_OPEN, shared with all; any kind of file */
uint32_t door_open_path(struct door_client *d, const char *path, uint32_t access, uint64_t *handle);
/** door_make() - FILE_CREATE, shared with all, all access; options: FILE_DIRECTORY_FILE or 0 */
uint32_t door_make(struct door_client *d, const char *path, uint32_t options, uint64_t *handle);
uint32_t door_cleanup(struct door_client *d, uint64_t handle);
uint32_t door_close(struct door_client *d, uint64_t handle);
/** door_exists() - can the path's attributes be opened? Its status. */
uint32_t door_exists(struct door_client *d, const char *path);

/** door_read() - *got bytes into buf; door_write(): offset UINT64_MAX appends */
uint32_t door_read(struct door_client *d, uint64_t handle, uint64_t offset, void *buf, uint32_t len,
                   uint32_t flags, uint32_t *got);
uint32_t door_write(struct door_client *d, uint64_t handle, uint64_t offset, const void *buf,
                    uint32_t len, uint32_t flags, uint32_t *put);
/** door_flush() - handle 0: the volume */
uint32_t door_flush(struct door_client *d, uint64_t handle);

/* ---- information --------------------------------------------------------------------------- */

struct door_info {
    uint64_t creation, access, write, change; /* 100 ns since 1601 */
    uint64_t size, allocation, index;
    uint32_t attributes, ea_size, tag;
    bool delete_pending, directory;
};
/** door_info() - FileAllInformation and the reparse tag, without the name */
uint32_t door_info(struct door_client *d, uint64_t handle, struct door_info *info);
/** door_info_of() - of a path; links are not followed */
uint32_t door_info_of(struct door_client *d, const char *path, struct door_info *info);
/** door_query() - any class; the structure is at door_data() */
uint32_t door_query(struct door_client *d, uint64_t handle, uint32_t class, uint32_t room);
uint32_t door_set(struct door_client *d, uint64_t handle, uint32_t class, const void *data,
                  uint32_t len);
/** door_set_basic() - 0: as it is */
uint32_t door_set_basic(struct door_client *d, uint64_t handle, uint32_t attributes,
                        uint64_t creation, uint64_t access, uint64_t write, uint64_t change);
uint32_t door_set_size(struct door_client *d, uint64_t handle, uint64_t size);
uint32_t door_set_allocation(struct door_client *d, uint64_t handle, uint64_t size);
uint32_t door_set_delete(struct door_client *d, uint64_t handle, bool del);
/** door_delete_ex() - FileDispositionInformationEx */
uint32_t door_delete_ex(struct door_client *d, uint64_t handle, uint32_t flags);
/** door_rename() - to: "\dir\name" from the root, or a bare name in the same directory */
uint32_t door_rename(struct door_client *d, uint64_t handle, const char *to, bool replace);
uint32_t door_rename_ex(struct door_client *d, uint64_t handle, const char *to, uint32_t flags);
/** door_remove() - open, mark deleted, close */
uint32_t door_remove(struct door_client *d, const char *path);

/* ---- listings ------------------------------------------------------------------------------ */

struct door_entry {
    char name[1024];
    struct door_info info; /* no index with classes that have none */
};
/** door_list() - one call: up to `most` entries of FileIdBothDirectoryInformation; *count got */
uint32_t door_list(struct door_client *d, uint64_t handle, const char *pattern, uint32_t flags,
                   uint32_t room, struct door_entry *entries, unsigned most, unsigned *count);
/** door_list_all() - calls until STATUS_NO_MORE_FILES; the names, "." and ".." too; NULL and *status on failure */
struct door_entry *door_list_all(struct door_client *d, uint64_t handle, const char *pattern,
                                 unsigned *count, uint32_t *status);

/* ---- the rest ------------------------------------------------------------------------------ */

uint32_t door_query_volume(struct door_client *d, uint32_t class, uint32_t room);
uint32_t door_set_label(struct door_client *d, const char *label);
uint32_t door_query_security(struct door_client *d, uint64_t handle, uint32_t what, uint32_t room);
uint32_t door_set_security(struct door_client *d, uint64_t handle, uint32_t what, const void *sd,
                           uint32_t len);
uint32_t door_query_ea(struct door_client *d, uint64_t handle, bool restart, uint32_t room);
uint32_t door_set_ea(struct door_client *d, uint64_t handle, const void *ea, uint32_t len);
/** door_ea() - one FILE_FULL_EA_INFORMATION; returns its bytes */
uint32_t door_ea(void *buf, const char *name, const void *value, uint16_t len);
uint32_t door_fsctl(struct door_client *d, uint64_t handle, uint32_t code, const void *in,
                    uint32_t len, uint32_t room);
/** door_symlink_data() - reparse data of a symbolic link; returns its bytes */
uint32_t door_symlink_data(void *buf, const char *target, bool relative);
uint32_t door_set_symlink(struct door_client *d, uint64_t handle, const char *target);
/** door_get_symlink() - the target, in d until the next call */
uint32_t door_get_symlink(struct door_client *d, uint64_t handle, const char **target,
                          uint32_t *flags);
uint32_t door_notify(struct door_client *d, uint64_t handle, uint32_t filter, bool tree,
                     uint32_t wait_ms);
uint32_t door_lock(struct door_client *d, uint64_t handle, uint64_t offset, uint64_t length,
                   bool exclusive);
uint32_t door_unlock(struct door_client *d, uint64_t handle, uint64_t offset, uint64_t length);
void door_token(struct door_client *d, enum door_token token);
void door_stats(struct door_client *d, struct door_stats *stats);
void door_barrier(struct door_client *d, uint32_t id, uint32_t count);
void door_control(struct door_client *d, enum door_control control);

#endif
