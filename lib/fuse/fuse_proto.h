// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_proto.h - the FUSE wire format: the UAPI header, and what Debian 12's copy lacks
 *
 * The kernel's include/uapi/linux/fuse.h is the specification. Debian 12 ships minor 7.38; later
 * constants and structs are declared here, with their minor, under the kernel's own names so that a
 * newer header can take over.
 */
#ifndef VIOFS_FUSE_PROTO_H
#define VIOFS_FUSE_PROTO_H

#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

/* The oldest minor that is served: INIT with 64-byte replies and MAX_PAGES are older than that. */
#define FUSE_MIN_MINOR 27
/* The newest minor that this code knows. */
#define FUSE_OUR_MINOR 41

/* 7.38; Debian's copy has the extension header but not its one user beside the security context */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34)
#endif
#define VIOFS_FUSE_EXT_GROUPS 32 /* FUSE_EXT_GROUPS: an enum constant in newer headers */

struct viofs_supp_groups { /* struct fuse_supp_groups */
    uint32_t nr_groups;
    uint32_t groups[];
};

/* 7.39 */
#define VIOFS_FUSE_STATX 52 /* an enum constant in newer headers, so not to be tested for */
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif
/* 7.40 */
#ifndef FUSE_NO_EXPORT_SUPPORT
#define FUSE_NO_EXPORT_SUPPORT (1ULL << 38)
#endif
/* 7.41 */
#ifndef FUSE_ALLOW_IDMAP
#define FUSE_ALLOW_IDMAP (1ULL << 40)
#endif

struct viofs_sx_time {
    int64_t tv_sec;
    uint32_t tv_nsec;
    int32_t reserved;
};

struct viofs_statx { /* struct fuse_statx of 7.39 */
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare0;
    uint64_t ino, size, blocks, attributes_mask;
    struct viofs_sx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare2[14];
};

struct viofs_statx_in { /* struct fuse_statx_in */
    uint32_t getattr_flags, reserved;
    uint64_t fh;
    uint32_t sx_flags, sx_mask;
};

struct viofs_statx_out { /* struct fuse_statx_out */
    uint64_t attr_valid;
    uint32_t attr_valid_nsec, flags;
    uint64_t spare[2];
    struct viofs_statx stat;
};

_Static_assert(sizeof(struct viofs_sx_time) == 16, "linux/fuse.h 7.39");
_Static_assert(sizeof(struct viofs_statx) == 256, "linux/fuse.h 7.39");
_Static_assert(offsetof(struct viofs_statx, atime) == 64, "linux/fuse.h 7.39");
_Static_assert(sizeof(struct viofs_statx_in) == 24, "linux/fuse.h 7.39");
_Static_assert(sizeof(struct viofs_statx_out) == 288, "linux/fuse.h 7.39");

_Static_assert(sizeof(struct viofs_supp_groups) == 4, "linux/fuse.h 7.38");
_Static_assert(sizeof(struct fuse_ext_header) == 8, "linux/fuse.h 7.38");
_Static_assert(sizeof(struct fuse_secctx_header) == 8, "linux/fuse.h 7.36");
_Static_assert(sizeof(struct fuse_secctx) == 8, "linux/fuse.h 7.36");
_Static_assert(offsetof(struct fuse_in_header, total_extlen) == 36, "linux/fuse.h 7.38");

_Static_assert(sizeof(struct fuse_in_header) == 40, "linux/fuse.h");
_Static_assert(sizeof(struct fuse_out_header) == 16, "linux/fuse.h");
_Static_assert(sizeof(struct fuse_attr) == 88, "linux/fuse.h");
_Static_assert(sizeof(struct fuse_entry_out) == 128, "linux/fuse.h");
_Static_assert(sizeof(struct fuse_init_out) == 64, "linux/fuse.h");

/*
 * Our extension, spoken between our two halves only (docs/protocol.md)
 *
 * After INIT a client probes opcode VIOFS_PROBE; every other daemon answers ENOSYS, and the client then
 * never sends the others. LOOKUP, CREATE, GETATTR and READDIRPLUS are the standard requests with a struct
 * fuse_viofs_ext added to each entry: LOOKUP and CREATE reply {entry, ext[, open]}, GETATTR replies {attr_out,
 * ext}, READDIRPLUS entries are {entry, ext, dirent, name, padding}. OPEN replies {open, attr_out, ext}.
 */
#define VIOFS_PROBE       0x76660000u
#define VIOFS_LOOKUP      0x76660001u
#define VIOFS_CREATE      0x76660002u
#define VIOFS_GETATTR     0x76660003u
#define VIOFS_READDIRPLUS 0x76660004u
#define VIOFS_OPEN        0x76660005u /* only with VIOFS_FEATURE_OPEN */
#define VIOFS_WATCH       0x76660006u /* these three only with VIOFS_FEATURE_FEED */
#define VIOFS_UNWATCH     0x76660007u
#define VIOFS_EVENTS      0x76660008u

#define VIOFS_EXT_VERSION 1

struct fuse_viofs_probe_in {
    uint32_t version; /* highest that the client speaks */
    uint32_t wanted;  /* VIOFS_FEATURE_* that the client has a use for */
};
struct fuse_viofs_probe_out {
    uint32_t version;  /* smaller of both */
    uint32_t features; /* VIOFS_FEATURE_* that were wanted and are there */
    uint32_t ext_len;  /* bytes of struct fuse_viofs_ext on this wire */
    uint32_t reserved;
};
#define VIOFS_FEATURE_BTIME 1u /* fuse_viofs_ext.btime is filled where the file system has it */
#define VIOFS_FEATURE_META                                                                         \
    2u /* extended attributes are looked at for each entry (VIOFS_EXT_META) */
#define VIOFS_FEATURE_FEED                                                                         \
    4u /* changes are reported, and validities are long where they are watched */
#define VIOFS_FEATURE_OPEN 8u /* VIOFS_OPEN */

struct fuse_viofs_ext {
    int64_t btime; /* seconds since 1970 */
    uint32_t btimensec;
    uint32_t flags;          /* VIOFS_EXT_* */
    uint32_t dos_attributes; /* FILE_ATTRIBUTE_*, with VIOFS_EXT_DOS */
    uint32_t ea_size;     /* bytes of all EAs as NTFS counts them, with VIOFS_EXT_META: for each the
                                lengths of its name and value, and 5 */
    uint64_t create_time; /* FILETIME (100 ns since 1601), with VIOFS_EXT_CREATED */
};
#define VIOFS_EXT_BTIME   1u /* btime is valid */
#define VIOFS_EXT_META    2u /* extended attributes were looked at: the flags below say all there is */
#define VIOFS_EXT_DOS     4u  /* user.DOSATTRIB holds attributes */
#define VIOFS_EXT_CREATED 8u  /* user.DOSATTRIB holds a creation time */
#define VIOFS_EXT_STREAMS 16u /* at least one user.DosStream.* */
#define VIOFS_EXT_ACL     32u /* user.NTACL or security.NTACL */

/*
 * The change feed. WATCH asks for everything below a directory (header nodeid) to be reported until UNWATCH; what
 * the client may have cached is watched without being asked, as the daemon's budget allows. EVENTS is answered
 * as soon as there is something to report; a client has one of them out all the time.
 */
struct fuse_viofs_watch_in {
    uint64_t watch; /* the client's number for it, not 0, of no other watch of this session */
    uint32_t
        age_ms; /* changes since so long ago are wanted; what cannot be told any more is RESCAN */
    uint32_t reserved;
};
#define VIOFS_WATCH_MARGIN_MS                                                                      \
    250u /* the daemon looks back so much further, for the time that the request took to it */
struct fuse_viofs_watch_out {
    uint32_t flags;   /* VIOFS_WATCH_* */
    uint32_t took_ms; /* from the request's arrival to this answer */
};
#define VIOFS_WATCH_WHOLE                                                                          \
    1u /* all of the subtree is covered; else some of it is not, and goes unreported */

struct fuse_viofs_unwatch_in {
    uint64_t watch;
};
struct fuse_viofs_events_in {
    uint64_t reserved;
};

/* One change in the reply to EVENTS; the next record begins at the next multiple of 8. */
struct fuse_viofs_event {
    uint64_t
        nodeid; /* a directory that the client knows; 0: all of the share (VIOFS_RESCAN only) */
    uint32_t action;   /* enum viofs_action */
    uint32_t flags;    /* VIOFS_EVENT_* */
    uint32_t name_len; /* bytes of name, 0: the directory itself */
    uint32_t reserved;
    char name[]; /* path from nodeid to what changed: components joined by '/', not terminated */
};
#define VIOFS_EVENT_DIR 1u /* what changed is a directory */

enum viofs_action {
    VIOFS_ADDED = 1,
    VIOFS_REMOVED,
    VIOFS_MODIFIED,     /* content, size or times */
    VIOFS_ATTRIB,       /* mode, owner, extended attributes, link count */
    VIOFS_RENAMED_FROM, /* the record after it is RENAMED_TO, in the same reply */
    VIOFS_RENAMED_TO,
    VIOFS_RESCAN, /* anything at or below this may have changed: nothing that is cached may be used */
    VIOFS_UNCOVERED, /* the same, and validities are short again: changes here are not reported any more */
};
#define VIOFS_EVENT_PATH_MAX                                                                       \
    4096u /* longest name; what is deeper is reported as RESCAN of a directory above */

_Static_assert(sizeof(struct fuse_viofs_probe_in) == 8, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_probe_out) == 16, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_ext) == 32, "docs/protocol.md");
_Static_assert(offsetof(struct fuse_viofs_ext, create_time) == 24, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_watch_in) == 16, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_watch_out) == 8, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_unwatch_in) == 8, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_events_in) == 8, "docs/protocol.md");
_Static_assert(sizeof(struct fuse_viofs_event) == 24, "docs/protocol.md");

#endif
