// SPDX-License-Identifier: BSD-3-Clause
/*
 * winfsp.h - the binary interface of WinFsp's DLL (winfsp-x64.dll), in our own words
 *
 * Theory of operation
 *
 *   WinFsp's exception for free software lets virtiofs.exe link with the DLL; its headers are GPLv3 and stay
 *   away. What is here are facts of the x64 ABI: offsets, sizes, numbers and parameter lists, checked with
 *   static asserts. Names of exported functions are WinFsp's, everything else is named our way.
 *
 *   The file system fills struct winfsp_interface (64 slots) and calls the DLL through struct winfsp_api,
 *   whose members WINFSP_API_FUNCTIONS lists with the exports they are resolved from. The DLL calls back on
 *   its dispatcher threads.
 *
 *   The same header serves the service (mingw-w64) and the stand-in DLL of the tests (winelib): hence only
 *   types of <windows.h>, and WINAPI on every function pointer, which means nothing in a PE of x64 and
 *   chooses Microsoft's calling convention in an ELF.
 *
 * All strings are UTF-16, terminated unless a size is given; sizes are bytes. Times count 100 ns since 1601.
 * Facts from: WinFsp 2.x documentation ("WinFsp API", "FSP_FILE_SYSTEM_INTERFACE") and its DLL's ABI.
 *
 * WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos, https://github.com/winfsp/winfsp
 */
#ifndef VIOFS_WINFSP_H
#define VIOFS_WINFSP_H

#include <stddef.h>
#include <stdint.h>

#include <windows.h>
#include <winternl.h>

#define WINFSP_SAME_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "WinFsp's ABI")
#define WINFSP_SAME_PLACE(type, field, offset)                                                     \
    _Static_assert(offsetof(type, field) == (offset), "WinFsp's ABI")

_Static_assert(sizeof(WCHAR) == 2, "UTF-16 units");
_Static_assert(sizeof(void *) == 8, "x64 only");

/* ---- limits ------------------------------------------------------------------------------- */

#define WINFSP_DISK_DEVICE  L"WinFsp.Disk"
#define WINFSP_PATH_UNITS   1024u         /* of a path in a request, terminator included */
#define WINFSP_NAME_UNITS   255u          /* of one component */
#define WINFSP_MESSAGE_MAX  (16u * 1024u) /* bytes of a response with what follows it */
#define WINFSP_PREFIX_UNITS 192
#define WINFSP_FSNAME_UNITS 16
#define WINFSP_LABEL_UNITS  32
#define WINFSP_FOREVER      UINT32_MAX /* a timeout that never passes */

/* ---- a volume's parameters ---------------------------------------------------------------- */

enum winfsp_volume_flag {
    WINFSP_CASE_SENSITIVE_SEARCH = 1 << 0,
    WINFSP_CASE_PRESERVED_NAMES = 1 << 1,
    WINFSP_UNICODE_ON_DISK = 1 << 2,
    WINFSP_PERSISTENT_ACLS = 1 << 3,
    WINFSP_REPARSE_POINTS = 1 << 4,
    WINFSP_REPARSE_POINTS_ACCESS_CHECK = 1 << 5,
    WINFSP_NAMED_STREAMS = 1 << 6,
    WINFSP_HARD_LINKS = 1 << 7, /* not implemented by WinFsp */
    WINFSP_EXTENDED_ATTRIBUTES = 1 << 8,
    WINFSP_READ_ONLY_VOLUME = 1 << 9,
    WINFSP_POST_CLEANUP_WHEN_MODIFIED_ONLY = 1 << 10,
    WINFSP_PASS_QUERY_DIRECTORY_PATTERN = 1 << 11,
    WINFSP_ALWAYS_USE_DOUBLE_BUFFERING = 1 << 12,
    WINFSP_PASS_QUERY_DIRECTORY_FILE_NAME = 1 << 13,
    WINFSP_FLUSH_AND_PURGE_ON_CLEANUP = 1 << 14,
    WINFSP_DEVICE_CONTROL = 1 << 15,
    WINFSP_CONTEXT_IS_USER_CONTEXT2 = 1 << 16, /* one context for each open, not for each file */
    WINFSP_CONTEXT_IS_FULL_CONTEXT = 1 << 17,
    WINFSP_NO_REPARSE_POINTS_DIR_CHECK = 1 << 18,
    WINFSP_ALLOW_OPEN_IN_KERNEL_MODE = 1 << 24,
    WINFSP_CASE_PRESERVED_EXTENDED_ATTRIBUTES = 1 << 25,
    WINFSP_WSL_FEATURES = 1 << 26,
    WINFSP_DIRECTORY_MARKER_AS_NEXT_OFFSET = 1 << 27,
    WINFSP_REJECT_IRP_PRIOR_TO_TRANSACT0 = 1 << 28,
    WINFSP_SUPPORTS_POSIX_UNLINK_RENAME = 1 << 29,
    WINFSP_POST_DISPOSITION_WHEN_NECESSARY_ONLY = 1 << 30,
};

/* Which of the timeouts after `timeout_flags` count instead of file_info_timeout. */
enum winfsp_timeout_flag {
    WINFSP_VOLUME_INFO_TIMEOUT_VALID = 1 << 0,
    WINFSP_DIR_INFO_TIMEOUT_VALID = 1 << 1,
    WINFSP_SECURITY_TIMEOUT_VALID = 1 << 2,
    WINFSP_STREAM_INFO_TIMEOUT_VALID = 1 << 3,
    WINFSP_EA_TIMEOUT_VALID = 1 << 4,
};

struct winfsp_volume_params {
    uint16_t version; /* size of this struct */
    uint16_t sector_size;
    uint16_t sectors_per_allocation_unit;
    uint16_t max_component_length; /* 0: 255 */
    uint64_t volume_creation_time;
    uint32_t volume_serial_number;
    uint32_t transact_timeout;  /* unused by now */
    uint32_t irp_timeout;       /* ms, 60000..600000; 0: 300000 */
    uint32_t irp_capacity;      /* requests at once, 100..1000; 0: 1000 */
    uint32_t file_info_timeout; /* ms; WINFSP_FOREVER also turns data caching on */
    uint32_t flags;             /* enum winfsp_volume_flag */
    WCHAR prefix[WINFSP_PREFIX_UNITS];
    WCHAR file_system_name[WINFSP_FSNAME_UNITS];
    uint32_t timeout_flags; /* enum winfsp_timeout_flag */
    uint32_t volume_info_timeout;
    uint32_t dir_info_timeout;
    uint32_t security_timeout;
    uint32_t stream_info_timeout;
    uint32_t ea_timeout;
    uint32_t fsext_control_code;
    uint32_t reserved32;
    uint64_t reserved64[2];
};
WINFSP_SAME_SIZE(struct winfsp_volume_params, 504);
WINFSP_SAME_PLACE(struct winfsp_volume_params, sector_size, 2);
WINFSP_SAME_PLACE(struct winfsp_volume_params, volume_creation_time, 8);
WINFSP_SAME_PLACE(struct winfsp_volume_params, irp_timeout, 24);
WINFSP_SAME_PLACE(struct winfsp_volume_params, file_info_timeout, 32);
WINFSP_SAME_PLACE(struct winfsp_volume_params, flags, 36);
WINFSP_SAME_PLACE(struct winfsp_volume_params, prefix, 40);
WINFSP_SAME_PLACE(struct winfsp_volume_params, file_system_name, 424);
WINFSP_SAME_PLACE(struct winfsp_volume_params, timeout_flags, 456);
WINFSP_SAME_PLACE(struct winfsp_volume_params, ea_timeout, 476);
WINFSP_SAME_PLACE(struct winfsp_volume_params, reserved64, 488);

struct winfsp_volume_info {
    uint64_t total_size;
    uint64_t free_size;
    uint16_t volume_label_length; /* bytes */
    WCHAR volume_label[WINFSP_LABEL_UNITS];
};
WINFSP_SAME_SIZE(struct winfsp_volume_info, 88);
WINFSP_SAME_PLACE(struct winfsp_volume_info, volume_label_length, 16);
WINFSP_SAME_PLACE(struct winfsp_volume_info, volume_label, 18);

/* ---- files -------------------------------------------------------------------------------- */

struct winfsp_file_info {
    uint32_t file_attributes;
    uint32_t reparse_tag;
    uint64_t allocation_size;
    uint64_t file_size;
    uint64_t creation_time;
    uint64_t last_access_time;
    uint64_t last_write_time;
    uint64_t change_time;
    uint64_t index_number;
    uint32_t hard_links; /* WinFsp wants 0 */
    uint32_t ea_size;
};
WINFSP_SAME_SIZE(struct winfsp_file_info, 72);
WINFSP_SAME_PLACE(struct winfsp_file_info, reparse_tag, 4);
WINFSP_SAME_PLACE(struct winfsp_file_info, allocation_size, 8);
WINFSP_SAME_PLACE(struct winfsp_file_info, file_size, 16);
WINFSP_SAME_PLACE(struct winfsp_file_info, creation_time, 24);
WINFSP_SAME_PLACE(struct winfsp_file_info, change_time, 48);
WINFSP_SAME_PLACE(struct winfsp_file_info, index_number, 56);
WINFSP_SAME_PLACE(struct winfsp_file_info, ea_size, 68);

/*
 * What the file_info of create, create_ex and open lies in. On entry normalized_name_size says how many
 * bytes fit at normalized_name; a file system that knows the true spelling writes it there and sets the
 * size to the bytes written (without a terminator). Less than the room tells WinFsp that there is a name.
 */
struct winfsp_open_file_info {
    struct winfsp_file_info file_info;
    WCHAR *normalized_name;
    uint16_t normalized_name_size;
};
WINFSP_SAME_SIZE(struct winfsp_open_file_info, 88);
WINFSP_SAME_PLACE(struct winfsp_open_file_info, normalized_name, 72);
WINFSP_SAME_PLACE(struct winfsp_open_file_info, normalized_name_size, 80);

struct winfsp_dir_info {
    uint16_t size; /* 104 and the name's bytes; no terminator */
    struct winfsp_file_info file_info;
    union {
        uint64_t next_offset;
        uint8_t padding[24];
    };
    WCHAR name[];
};
WINFSP_SAME_SIZE(struct winfsp_dir_info, 104);
WINFSP_SAME_PLACE(struct winfsp_dir_info, file_info, 8);
WINFSP_SAME_PLACE(struct winfsp_dir_info, next_offset, 80);
WINFSP_SAME_PLACE(struct winfsp_dir_info, name, 104);

struct winfsp_stream_info {
    uint16_t size; /* 24 and the name's bytes */
    uint64_t stream_size;
    uint64_t stream_allocation_size;
    WCHAR name[];
};
WINFSP_SAME_SIZE(struct winfsp_stream_info, 24);
WINFSP_SAME_PLACE(struct winfsp_stream_info, name, 24);

struct winfsp_notify_info {
    uint16_t size;   /* 12 and the name's bytes */
    uint32_t filter; /* FILE_NOTIFY_CHANGE_* */
    uint32_t action; /* FILE_ACTION_* */
    WCHAR name[];    /* path from the volume's root */
};
WINFSP_SAME_SIZE(struct winfsp_notify_info, 12);
WINFSP_SAME_PLACE(struct winfsp_notify_info, filter, 4);
WINFSP_SAME_PLACE(struct winfsp_notify_info, action, 8);
WINFSP_SAME_PLACE(struct winfsp_notify_info, name, 12);

/* FILE_FULL_EA_INFORMATION (MS-FSCC 2.4.15), which user-mode headers lack. */
struct winfsp_full_ea {
    uint32_t next_entry_offset;
    uint8_t flags;
    uint8_t name_length; /* without the terminator that follows the name */
    uint16_t value_length;
    char name[];
};
WINFSP_SAME_SIZE(struct winfsp_full_ea, 8);

/* REPARSE_DATA_BUFFER (MS-FSCC 2.1.2), likewise. */
struct winfsp_reparse_data {
    uint32_t tag;
    uint16_t data_length; /* bytes after reserved */
    uint16_t reserved;
    union {
        struct {
            uint16_t substitute_name_offset, substitute_name_length; /* bytes, in path */
            uint16_t print_name_offset, print_name_length;
            uint32_t flags; /* 1: relative */
            WCHAR path[];
        } symlink;
        struct {
            uint16_t substitute_name_offset, substitute_name_length;
            uint16_t print_name_offset, print_name_length;
            WCHAR path[];
        } mount_point;
        struct {
            uint64_t type; /* of an NFS reparse point: the file's kind as four ASCII bytes */
            uint8_t data[];
        } nfs;
    };
};
WINFSP_SAME_PLACE(struct winfsp_reparse_data, symlink.path, 20);
WINFSP_SAME_PLACE(struct winfsp_reparse_data, mount_point.path, 16);
WINFSP_SAME_PLACE(struct winfsp_reparse_data, nfs.data, 16);

/* ---- messages between the driver and the DLL ---------------------------------------------- */

enum winfsp_kind {
    WINFSP_KIND_CREATE = 1,
    WINFSP_KIND_OVERWRITE,
    WINFSP_KIND_CLEANUP,
    WINFSP_KIND_CLOSE,
    WINFSP_KIND_READ,
    WINFSP_KIND_WRITE,
    WINFSP_KIND_QUERY_INFORMATION,
    WINFSP_KIND_SET_INFORMATION,
    WINFSP_KIND_QUERY_EA,
    WINFSP_KIND_SET_EA,
    WINFSP_KIND_FLUSH_BUFFERS,
    WINFSP_KIND_QUERY_VOLUME_INFORMATION,
    WINFSP_KIND_SET_VOLUME_INFORMATION,
    WINFSP_KIND_QUERY_DIRECTORY,
    WINFSP_KIND_FILE_SYSTEM_CONTROL,
    WINFSP_KIND_DEVICE_CONTROL,
    WINFSP_KIND_SHUTDOWN,
    WINFSP_KIND_LOCK_CONTROL,
    WINFSP_KIND_QUERY_SECURITY,
    WINFSP_KIND_SET_SECURITY,
    WINFSP_KIND_QUERY_STREAM_INFORMATION,
    WINFSP_KIND_COUNT
};
_Static_assert(WINFSP_KIND_COUNT == 22, "WinFsp's ABI");

/* A piece of the message's buffer. Paths are terminated, and size counts the terminator. */
struct winfsp_span {
    uint16_t offset;
    uint16_t size;
};

enum winfsp_create_flag {
    WINFSP_CREATE_USER_MODE = 1 << 0,
    WINFSP_CREATE_HAS_TRAVERSE_PRIVILEGE = 1 << 1,
    WINFSP_CREATE_HAS_BACKUP_PRIVILEGE = 1 << 2,
    WINFSP_CREATE_HAS_RESTORE_PRIVILEGE = 1 << 3,
    WINFSP_CREATE_OPEN_TARGET_DIRECTORY = 1 << 4,
    WINFSP_CREATE_CASE_SENSITIVE = 1 << 5,
    WINFSP_CREATE_HAS_TRAILING_BACKSLASH = 1 << 6,
    WINFSP_CREATE_ACCEPTS_SECURITY_DESCRIPTOR = 1 << 7,
    WINFSP_CREATE_EA_IS_REPARSE_POINT = 1 << 8,
};

struct winfsp_request {
    uint16_t version;
    uint16_t size;
    uint32_t kind; /* enum winfsp_kind */
    uint64_t hint; /* names the request; comes back in the response */
    union {
        struct {
            uint32_t create_options; /* disposition in the upper 8 bits */
            uint32_t file_attributes;
            struct winfsp_span security_descriptor;
            uint64_t allocation_size;
            uint64_t access_token; /* process id << 32 | handle */
            uint32_t desired_access;
            uint32_t granted_access;
            uint32_t share_access;
            struct winfsp_span ea; /* or a reparse buffer */
            uint32_t flags;        /* enum winfsp_create_flag */
            uint16_t named_stream; /* bytes before the colon in the name, 0: none */
        } create;
        struct { /* all but create and the volume's start with these two */
            uint64_t user_context;
            uint64_t user_context2;
            union {
                struct {
                    uint32_t flags; /* bit 0: delete, then as enum winfsp_cleanup in order */
                } cleanup;
                struct {
                    uint64_t address;
                    uint64_t offset;
                    uint32_t length;
                    uint32_t key;
                    uint32_t constrained; /* writes, bit 0 */
                } io;
                struct {
                    uint32_t information_class; /* FILE_INFORMATION_CLASS */
                    uint32_t padding;
                    union {
                        struct {
                            struct winfsp_span new_name;
                            uint32_t padding;
                            uint64_t access_token; /* 0: target not to be replaced */
                            uint32_t flags;        /* FileRenameInformationEx only */
                        } rename;
                        struct {
                            uint32_t flags; /* bit 0: delete; the Ex class has all its flags */
                        } disposition;
                        struct {
                            uint64_t size; /* end of file, or allocation */
                        } resize;
                        struct {
                            uint32_t file_attributes;
                            uint64_t creation_time, last_access_time, last_write_time, change_time;
                        } basic;
                    };
                } set_information;
                struct {
                    uint64_t address;
                    uint32_t length;
                    struct winfsp_span pattern;
                    struct winfsp_span marker;
                    uint32_t flags; /* bit 0: case sensitive, 1: the pattern is a name */
                } query_directory;
            };
        } file;
        struct {
            uint32_t information_class;
            uint32_t padding;
            struct winfsp_span label;
        } set_volume_information;
        uint8_t largest[64];
    };
    struct winfsp_span file_name;
    uint32_t padding;
    uint8_t buffer[];
};
WINFSP_SAME_SIZE(struct winfsp_request, 88);
WINFSP_SAME_PLACE(struct winfsp_request, hint, 8);
WINFSP_SAME_PLACE(struct winfsp_request, create.create_options, 16);
WINFSP_SAME_PLACE(struct winfsp_request, create.allocation_size, 32);
WINFSP_SAME_PLACE(struct winfsp_request, create.granted_access, 52);
WINFSP_SAME_PLACE(struct winfsp_request, create.flags, 64);
WINFSP_SAME_PLACE(struct winfsp_request, create.named_stream, 68);
WINFSP_SAME_PLACE(struct winfsp_request, file.user_context2, 24);
WINFSP_SAME_PLACE(struct winfsp_request, file.io.offset, 40);
WINFSP_SAME_PLACE(struct winfsp_request, file.io.constrained, 56);
WINFSP_SAME_PLACE(struct winfsp_request, file.set_information.rename.new_name, 40);
WINFSP_SAME_PLACE(struct winfsp_request, file.set_information.rename.access_token, 48);
WINFSP_SAME_PLACE(struct winfsp_request, file.set_information.rename.flags, 56);
WINFSP_SAME_PLACE(struct winfsp_request, file.set_information.basic.change_time, 72);
WINFSP_SAME_PLACE(struct winfsp_request, file.query_directory.marker, 48);
WINFSP_SAME_PLACE(struct winfsp_request, file_name, 80);
WINFSP_SAME_PLACE(struct winfsp_request, buffer, 88);

struct winfsp_response {
    uint16_t version;
    uint16_t size; /* this struct and what follows */
    uint32_t kind;
    uint64_t hint;
    uint32_t information; /* IO_STATUS_BLOCK's, narrowed */
    uint32_t status;      /* NTSTATUS */
    union {
        struct {
            uint64_t user_context;
            uint64_t user_context2;
            uint32_t granted_access;
            struct winfsp_span security_descriptor;
            struct winfsp_file_info file_info;
            struct winfsp_span file_name;
            uint32_t flags; /* bit 0: this file is not cached, 1: there is a security descriptor */
        } opened;
        struct winfsp_file_info file_info; /* overwrite, write, information, flush */
        struct winfsp_span span;           /* reparse data, EAs, security descriptor, streams */
        uint8_t largest[104];
    };
    uint8_t buffer[];
};
WINFSP_SAME_SIZE(struct winfsp_response, 128);
WINFSP_SAME_PLACE(struct winfsp_response, information, 16);
WINFSP_SAME_PLACE(struct winfsp_response, status, 20);
WINFSP_SAME_PLACE(struct winfsp_response, opened.granted_access, 40);
WINFSP_SAME_PLACE(struct winfsp_response, opened.file_info, 48);
WINFSP_SAME_PLACE(struct winfsp_response, opened.file_name, 120);
WINFSP_SAME_PLACE(struct winfsp_response, opened.flags, 124);
WINFSP_SAME_PLACE(struct winfsp_response, file_info, 24);
WINFSP_SAME_PLACE(struct winfsp_response, buffer, 128);

#define WINFSP_OPENED_DISABLE_CACHE 1u

/* What a callback can learn of the request it serves; only on the thread that serves it. */
struct winfsp_operation_context {
    struct winfsp_request *request;
    struct winfsp_response *response;
};

/* ---- the file system ---------------------------------------------------------------------- */

struct winfsp_file_system;

/* Brackets every operation instead of WinFsp's own lock. */
typedef NTSTATUS(WINAPI *winfsp_guard)(struct winfsp_file_system *, struct winfsp_request *,
                                       struct winfsp_response *);

struct winfsp_interface;
struct winfsp_file_system {
    uint16_t version;
    void *user_context; /* ours */
    WCHAR volume_name[256];
    HANDLE volume_handle;
    winfsp_guard
        enter_operation; /* FspFileSystemOpEnter unless replaced before the dispatcher starts */
    winfsp_guard leave_operation;
    void *operations[22]; /* by enum winfsp_kind; the DLL's */
    const struct winfsp_interface *interface_;
    HANDLE dispatcher_thread;
    uint32_t dispatcher_thread_count;
    NTSTATUS dispatcher_result;
    WCHAR *mount_point; /* where it is mounted; valid after FspFileSystemSetMountPoint */
    HANDLE mount_handle;
    uint32_t debug_log;
    uint32_t guard_strategy;
    void *guard_lock;
    uint8_t context_is_user_context2;
    uint8_t context_is_full_context;
};
WINFSP_SAME_SIZE(struct winfsp_file_system, 792);
WINFSP_SAME_PLACE(struct winfsp_file_system, user_context, 8);
WINFSP_SAME_PLACE(struct winfsp_file_system, volume_name, 16);
WINFSP_SAME_PLACE(struct winfsp_file_system, volume_handle, 528);
WINFSP_SAME_PLACE(struct winfsp_file_system, enter_operation, 536);
WINFSP_SAME_PLACE(struct winfsp_file_system, operations, 552);
WINFSP_SAME_PLACE(struct winfsp_file_system, interface_, 728);
WINFSP_SAME_PLACE(struct winfsp_file_system, dispatcher_thread, 736);
WINFSP_SAME_PLACE(struct winfsp_file_system, dispatcher_thread_count, 744);
WINFSP_SAME_PLACE(struct winfsp_file_system, mount_point, 752);
WINFSP_SAME_PLACE(struct winfsp_file_system, debug_log, 768);
WINFSP_SAME_PLACE(struct winfsp_file_system, guard_lock, 776);
WINFSP_SAME_PLACE(struct winfsp_file_system, context_is_user_context2, 784);

enum winfsp_cleanup {
    WINFSP_CLEANUP_DELETE = 0x01,
    WINFSP_CLEANUP_SET_ALLOCATION_SIZE = 0x02,
    WINFSP_CLEANUP_SET_ARCHIVE_BIT = 0x10,
    WINFSP_CLEANUP_SET_LAST_ACCESS_TIME = 0x20,
    WINFSP_CLEANUP_SET_LAST_WRITE_TIME = 0x40,
    WINFSP_CLEANUP_SET_CHANGE_TIME = 0x80,
};

#define WINFSP_FS struct winfsp_file_system *fs
/*
 * The callbacks, by slot. `ctx` is what create or open put into *ctx; `attributes` of UINT32_MAX and times of
 * 0 mean "as they are"; sizes behind pointers are room on entry and need on return.
 */
struct winfsp_interface {
    NTSTATUS(WINAPI *get_volume_info)(WINFSP_FS, struct winfsp_volume_info *info);
    NTSTATUS(WINAPI *set_volume_label)(WINFSP_FS, WCHAR *label, struct winfsp_volume_info *info);
    /* attributes: out, or the index of the reparse point in the path when STATUS_REPARSE is returned */
    NTSTATUS(WINAPI *get_security_by_name)
    (WINFSP_FS, WCHAR *path, UINT32 *attributes, void *sd, SIZE_T *sd_size);
    NTSTATUS(WINAPI *create)
    (WINFSP_FS, WCHAR *path, UINT32 options, UINT32 access, UINT32 attributes, void *sd,
     UINT64 allocation, void **ctx, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *open)
    (WINFSP_FS, WCHAR *path, UINT32 options, UINT32 access, void **ctx,
     struct winfsp_file_info *info);
    NTSTATUS(WINAPI *overwrite)
    (WINFSP_FS, void *ctx, UINT32 attributes, BOOLEAN replace_attributes, UINT64 allocation,
     struct winfsp_file_info *info);
    VOID(WINAPI *cleanup)(WINFSP_FS, void *ctx, WCHAR *path, ULONG flags);
    VOID(WINAPI *close)(WINFSP_FS, void *ctx);
    /* read, write and read_directory may return STATUS_PENDING and answer with FspFileSystemSendResponse */
    NTSTATUS(WINAPI *read)(WINFSP_FS, void *ctx, void *buf, UINT64 offset, ULONG len, ULONG *got);
    NTSTATUS(WINAPI *write)
    (WINFSP_FS, void *ctx, void *buf, UINT64 offset, ULONG len, BOOLEAN to_end, BOOLEAN constrained,
     ULONG *put, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *flush)(WINFSP_FS, void *ctx, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *get_file_info)(WINFSP_FS, void *ctx, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *set_basic_info)
    (WINFSP_FS, void *ctx, UINT32 attributes, UINT64 creation, UINT64 access, UINT64 write,
     UINT64 change, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *set_file_size)
    (WINFSP_FS, void *ctx, UINT64 size, BOOLEAN allocation, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *can_delete)(WINFSP_FS, void *ctx, WCHAR *path);
    NTSTATUS(WINAPI *rename)(WINFSP_FS, void *ctx, WCHAR *path, WCHAR *new_path, BOOLEAN replace);
    NTSTATUS(WINAPI *get_security)(WINFSP_FS, void *ctx, void *sd, SIZE_T *sd_size);
    NTSTATUS(WINAPI *set_security)(WINFSP_FS, void *ctx, SECURITY_INFORMATION what, void *sd);
    NTSTATUS(WINAPI *read_directory)
    (WINFSP_FS, void *ctx, WCHAR *pattern, WCHAR *marker, void *buf, ULONG len, ULONG *got);
    NTSTATUS(WINAPI *resolve_reparse_points)
    (WINFSP_FS, WCHAR *path, UINT32 index, BOOLEAN resolve_last, IO_STATUS_BLOCK *io, void *buf,
     SIZE_T *size);
    NTSTATUS(WINAPI *get_reparse_point)(WINFSP_FS, void *ctx, WCHAR *path, void *buf, SIZE_T *size);
    NTSTATUS(WINAPI *set_reparse_point)(WINFSP_FS, void *ctx, WCHAR *path, void *buf, SIZE_T size);
    NTSTATUS(WINAPI *delete_reparse_point)
    (WINFSP_FS, void *ctx, WCHAR *path, void *buf, SIZE_T size);
    NTSTATUS(WINAPI *get_stream_info)(WINFSP_FS, void *ctx, void *buf, ULONG len, ULONG *got);
    NTSTATUS(WINAPI *get_dir_info_by_name)
    (WINFSP_FS, void *ctx, WCHAR *name, struct winfsp_dir_info *info);
    NTSTATUS(WINAPI *control)
    (WINFSP_FS, void *ctx, UINT32 code, void *in, ULONG in_len, void *out, ULONG out_len,
     ULONG *got);
    NTSTATUS(WINAPI *set_delete)(WINFSP_FS, void *ctx, WCHAR *path, BOOLEAN del);
    /* extra: EAs, or a reparse buffer when extra_is_reparse */
    NTSTATUS(WINAPI *create_ex)
    (WINFSP_FS, WCHAR *path, UINT32 options, UINT32 access, UINT32 attributes, void *sd,
     UINT64 allocation, void *extra, ULONG extra_len, BOOLEAN extra_is_reparse, void **ctx,
     struct winfsp_file_info *info);
    NTSTATUS(WINAPI *overwrite_ex)
    (WINFSP_FS, void *ctx, UINT32 attributes, BOOLEAN replace_attributes, UINT64 allocation,
     struct winfsp_full_ea *ea, ULONG ea_len, struct winfsp_file_info *info);
    NTSTATUS(WINAPI *get_ea)
    (WINFSP_FS, void *ctx, struct winfsp_full_ea *ea, ULONG len, ULONG *got);
    NTSTATUS(WINAPI *set_ea)
    (WINFSP_FS, void *ctx, struct winfsp_full_ea *ea, ULONG len, struct winfsp_file_info *info);
    void *obsolete;
    VOID(WINAPI *dispatcher_stopped)(WINFSP_FS, BOOLEAN normally);
    void *reserved[31]; /* NULL */
};
WINFSP_SAME_SIZE(struct winfsp_interface, 512);
WINFSP_SAME_PLACE(struct winfsp_interface, create, 3 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, read, 8 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, can_delete, 14 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, read_directory, 18 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, get_reparse_point, 20 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, get_dir_info_by_name, 24 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, set_delete, 26 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, create_ex, 27 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, set_ea, 30 * 8);
WINFSP_SAME_PLACE(struct winfsp_interface, dispatcher_stopped, 32 * 8);

/* ---- what the DLL offers ------------------------------------------------------------------ */

/* For winfsp_resolve_reparse_points(): the reparse data of one path; `buf` may be NULL (is it one at all?). */
typedef NTSTATUS(WINAPI *winfsp_reparse_by_name)(WINFSP_FS, void *user, WCHAR *path,
                                                 BOOLEAN is_directory, void *buf, SIZE_T *size);

/*
 * X(member, export, result, parameters): the exports that the service uses. All must be there.
 *
 * version                 major << 16 | minor
 * create_fs               device is WINFSP_DISK_DEVICE; the interface is not copied
 * set_mount_point         NULL: first free letter from Z: down; waits; security may be NULL
 * start_dispatcher        0 threads: one for each CPU, 4..16
 * send_response           answer of a callback that returned STATUS_PENDING, from any thread
 * operation_context       of the calling thread
 * notify_begin            STATUS_CANT_WAIT while a rename is under way; blocks renames until notify_end
 * resolve_reparse_points  follows links until a path outside or a file is reached; STATUS_REPARSE or
 *                         STATUS_REPARSE_POINT_NOT_RESOLVED after 32
 * find_reparse_point      index: units up to and including the separator before the first link in path
 */
#define WINFSP_API_FUNCTIONS(X)                                                                    \
    X(version, FspVersion, NTSTATUS, (UINT32 * version))                                           \
    X(create_fs, FspFileSystemCreate, NTSTATUS,                                                    \
      (WCHAR * device, const struct winfsp_volume_params *params,                                  \
       const struct winfsp_interface *callbacks, struct winfsp_file_system **out))                 \
    X(delete_fs, FspFileSystemDelete, VOID, (WINFSP_FS))                                           \
    X(set_mount_point, FspFileSystemSetMountPointEx, NTSTATUS,                                     \
      (WINFSP_FS, WCHAR * mount_point, void *security))                                            \
    X(remove_mount_point, FspFileSystemRemoveMountPoint, VOID, (WINFSP_FS))                        \
    X(start_dispatcher, FspFileSystemStartDispatcher, NTSTATUS, (WINFSP_FS, ULONG threads))        \
    X(stop_dispatcher, FspFileSystemStopDispatcher, VOID, (WINFSP_FS))                             \
    X(send_response, FspFileSystemSendResponse, VOID,                                              \
      (WINFSP_FS, struct winfsp_response * response))                                              \
    X(operation_context, FspFileSystemGetOperationContext, struct winfsp_operation_context *,      \
      (VOID))                                                                                      \
    X(set_debug_log, FspFileSystemSetDebugLogF, VOID, (WINFSP_FS, UINT32 mask))                    \
    X(debug_log_handle, FspDebugLogSetHandle, VOID, (HANDLE handle))                               \
    X(notify_begin, FspFileSystemNotifyBegin, NTSTATUS, (WINFSP_FS, ULONG timeout_ms))             \
    X(notify, FspFileSystemNotify, NTSTATUS,                                                       \
      (WINFSP_FS, struct winfsp_notify_info * info, SIZE_T size))                                  \
    X(notify_end, FspFileSystemNotifyEnd, NTSTATUS, (WINFSP_FS))                                   \
    X(resolve_reparse_points, FspFileSystemResolveReparsePoints, NTSTATUS,                         \
      (WINFSP_FS, winfsp_reparse_by_name by_name, void *user, WCHAR *path, UINT32 index,           \
       BOOLEAN resolve_last, IO_STATUS_BLOCK *io, void *buf, SIZE_T *size))                        \
    X(find_reparse_point, FspFileSystemFindReparsePoint, BOOLEAN,                                  \
      (WINFSP_FS, winfsp_reparse_by_name by_name, void *user, WCHAR *path, UINT32 *index))

#define X(member, export, result, parameters) result(WINAPI *member) parameters;
struct winfsp_api {
    WINFSP_API_FUNCTIONS(X)
};
#undef X

#endif
