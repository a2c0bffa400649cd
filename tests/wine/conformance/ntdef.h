// SPDX-License-Identifier: BSD-3-Clause
/*
 * ntdef.h - numbers and structures of NT's file calls, for a Linux program
 *
 * Sources: MS-ERREF 2.3.1 (statuses), MS-FSCC 2.4 to 2.6 (classes and structures), wdm.h's documentation of ZwCreateFile
 * (access, dispositions, options).
 */
#ifndef VIOFS_CONFORMANCE_NTDEF_H
#define VIOFS_CONFORMANCE_NTDEF_H

#include <stdint.h>

#define STATUS_SUCCESS                    0u
#define STATUS_REPARSE                    0x104u
#define STATUS_NOTIFY_CLEANUP             0x10Bu
#define STATUS_NOTIFY_ENUM_DIR            0x10Cu
#define STATUS_TIMEOUT                    0x102u
#define STATUS_BUFFER_OVERFLOW            0x80000005u
#define STATUS_NO_MORE_FILES              0x80000006u
#define STATUS_NO_MORE_EAS                0x80000012u
#define STATUS_INVALID_EA_NAME            0x80000013u
#define STATUS_EA_LIST_INCONSISTENT       0x80000014u
#define STATUS_STOPPED_ON_SYMLINK         0x8000002Du
#define STATUS_UNSUCCESSFUL               0xC0000001u
#define STATUS_NOT_IMPLEMENTED            0xC0000002u
#define STATUS_INVALID_INFO_CLASS         0xC0000003u
#define STATUS_INFO_LENGTH_MISMATCH       0xC0000004u
#define STATUS_INVALID_HANDLE             0xC0000008u
#define STATUS_INVALID_PARAMETER          0xC000000Du
#define STATUS_NO_SUCH_FILE               0xC000000Fu
#define STATUS_INVALID_DEVICE_REQUEST     0xC0000010u
#define STATUS_END_OF_FILE                0xC0000011u
#define STATUS_ACCESS_DENIED              0xC0000022u
#define STATUS_BUFFER_TOO_SMALL           0xC0000023u
#define STATUS_OBJECT_NAME_INVALID        0xC0000033u
#define STATUS_OBJECT_NAME_NOT_FOUND      0xC0000034u
#define STATUS_OBJECT_NAME_COLLISION      0xC0000035u
#define STATUS_OBJECT_PATH_INVALID        0xC0000039u
#define STATUS_OBJECT_PATH_NOT_FOUND      0xC000003Au
#define STATUS_SHARING_VIOLATION          0xC0000043u
#define STATUS_EAS_NOT_SUPPORTED          0xC000004Fu
#define STATUS_EA_TOO_LARGE               0xC0000050u
#define STATUS_NONEXISTENT_EA_ENTRY       0xC0000051u
#define STATUS_NO_EAS_ON_FILE             0xC0000052u
#define STATUS_FILE_LOCK_CONFLICT         0xC0000054u
#define STATUS_LOCK_NOT_GRANTED           0xC0000055u
#define STATUS_DELETE_PENDING             0xC0000056u
#define STATUS_INVALID_ACL                0xC0000077u
#define STATUS_INVALID_SECURITY_DESCR     0xC0000079u
#define STATUS_RANGE_NOT_LOCKED           0xC000007Eu
#define STATUS_DISK_FULL                  0xC000007Fu
#define STATUS_MEDIA_WRITE_PROTECTED      0xC00000A2u
#define STATUS_FILE_IS_A_DIRECTORY        0xC00000BAu
#define STATUS_NOT_SUPPORTED              0xC00000BBu
#define STATUS_NOT_SAME_DEVICE            0xC00000D4u
#define STATUS_DIRECTORY_NOT_EMPTY        0xC0000101u
#define STATUS_NOT_A_DIRECTORY            0xC0000103u
#define STATUS_NAME_TOO_LONG              0xC0000106u
#define STATUS_CANNOT_DELETE              0xC0000121u
#define STATUS_FILE_DELETED               0xC0000123u
#define STATUS_FILE_CLOSED                0xC0000128u
#define STATUS_USER_MAPPED_FILE           0xC0000243u
#define STATUS_NOT_A_REPARSE_POINT        0xC0000275u
#define STATUS_IO_REPARSE_TAG_INVALID     0xC0000276u
#define STATUS_IO_REPARSE_TAG_MISMATCH    0xC0000277u
#define STATUS_IO_REPARSE_DATA_INVALID    0xC0000278u
#define STATUS_IO_REPARSE_TAG_NOT_HANDLED 0xC0000279u
#define STATUS_REPARSE_POINT_NOT_RESOLVED 0xC0000280u
#define STATUS_PRIVILEGE_NOT_HELD         0xC0000061u
#define STATUS_REPARSE_ATTRIBUTE_CONFLICT 0xC00002B2u
#define STATUS_FILE_TOO_LARGE             0xC0000904u

/* ---- access, as FILE_* and the generic ones mapped for files ---- */

#define FILE_READ_DATA        0x0001u
#define FILE_LIST_DIRECTORY   0x0001u
#define FILE_WRITE_DATA       0x0002u
#define FILE_ADD_FILE         0x0002u
#define FILE_APPEND_DATA      0x0004u
#define FILE_ADD_SUBDIRECTORY 0x0004u
#define FILE_READ_EA          0x0008u
#define FILE_WRITE_EA         0x0010u
#define FILE_EXECUTE          0x0020u
#define FILE_TRAVERSE         0x0020u
#define FILE_DELETE_CHILD     0x0040u
#define FILE_READ_ATTRIBUTES  0x0080u
#define FILE_WRITE_ATTRIBUTES 0x0100u
#define DELETE                0x00010000u
#define READ_CONTROL          0x00020000u
#define WRITE_DAC             0x00040000u
#define WRITE_OWNER           0x00080000u
#define SYNCHRONIZE           0x00100000u
#define MAXIMUM_ALLOWED       0x02000000u
#define FILE_GENERIC_READ     0x00120089u
#define FILE_GENERIC_WRITE    0x00120116u
#define FILE_GENERIC_EXECUTE  0x001200A0u
#define FILE_ALL_ACCESS       0x001F01FFu

enum { FILE_SHARE_READ = 1, FILE_SHARE_WRITE = 2, FILE_SHARE_DELETE = 4, FILE_SHARE_ALL = 7 };

/* dispositions */
enum {
    FILE_SUPERSEDE = 0,
    FILE_OPEN = 1,
    FILE_CREATE = 2,
    FILE_OPEN_IF = 3,
    FILE_OVERWRITE = 4,
    FILE_OVERWRITE_IF = 5
};
/* what a create did (Information) */
enum {
    FILE_SUPERSEDED = 0,
    FILE_OPENED = 1,
    FILE_CREATED = 2,
    FILE_OVERWRITTEN = 3,
    FILE_EXISTS = 4,
    FILE_DOES_NOT_EXIST = 5
};

#define FILE_DIRECTORY_FILE            0x00000001u
#define FILE_WRITE_THROUGH             0x00000002u
#define FILE_SEQUENTIAL_ONLY           0x00000004u
#define FILE_NO_INTERMEDIATE_BUFFERING 0x00000008u
#define FILE_NON_DIRECTORY_FILE        0x00000040u
#define FILE_DELETE_ON_CLOSE           0x00001000u
#define FILE_OPEN_BY_FILE_ID           0x00002000u
#define FILE_OPEN_REPARSE_POINT        0x00200000u

#define FILE_ATTRIBUTE_READONLY      0x0001u
#define FILE_ATTRIBUTE_HIDDEN        0x0002u
#define FILE_ATTRIBUTE_SYSTEM        0x0004u
#define FILE_ATTRIBUTE_DIRECTORY     0x0010u
#define FILE_ATTRIBUTE_ARCHIVE       0x0020u
#define FILE_ATTRIBUTE_NORMAL        0x0080u
#define FILE_ATTRIBUTE_TEMPORARY     0x0100u
#define FILE_ATTRIBUTE_REPARSE_POINT 0x0400u

/* ---- FILE_INFORMATION_CLASS ---- */

enum {
    FileDirectoryInformation = 1,
    FileFullDirectoryInformation = 2,
    FileBothDirectoryInformation = 3,
    FileBasicInformation = 4,
    FileStandardInformation = 5,
    FileInternalInformation = 6,
    FileEaInformation = 7,
    FileNameInformation = 9,
    FileRenameInformation = 10,
    FileLinkInformation = 11,
    FileNamesInformation = 12,
    FileDispositionInformation = 13,
    FilePositionInformation = 14,
    FileAllInformation = 18,
    FileAllocationInformation = 19,
    FileEndOfFileInformation = 20,
    FileAlternateNameInformation = 21,
    FileStreamInformation = 22,
    FileNetworkOpenInformation = 34,
    FileAttributeTagInformation = 35,
    FileIdBothDirectoryInformation = 37,
    FileIdFullDirectoryInformation = 38,
    FileValidDataLengthInformation = 39,
    FileNormalizedNameInformation = 48,
    FileDispositionInformationEx = 64,
    FileRenameInformationEx = 65,
};

struct basic_info { /* MS-FSCC 2.4.7 */
    int64_t created, accessed, written, changed;
    uint32_t attributes, reserved;
};
struct standard_info { /* 2.4.47 */
    int64_t allocation, size;
    uint32_t links;
    uint8_t delete_pending, directory;
    uint16_t reserved;
};
struct network_info { /* 2.4.33 */
    int64_t created, accessed, written, changed, allocation, size;
    uint32_t attributes, reserved;
};
struct tag_info { /* 2.4.6 */
    uint32_t attributes, tag;
};
struct dir_entry_head { /* 2.4.10: FileDirectoryInformation; the others begin so */
    uint32_t next, index;
    int64_t created, accessed, written, changed, size, allocation;
    uint32_t attributes, name_len;
};
struct rename_head { /* 2.4.42, FileRenameInformationEx has flags in place of replace */
    uint32_t replace_or_flags;
    uint32_t reserved;
    uint64_t root;
    uint32_t name_len;
};
_Static_assert(sizeof(struct basic_info) == 40, "MS-FSCC");
_Static_assert(sizeof(struct standard_info) == 24, "MS-FSCC");
_Static_assert(sizeof(struct network_info) == 56, "MS-FSCC");
_Static_assert(sizeof(struct dir_entry_head) == 64, "MS-FSCC");

/* FILE_DISPOSITION_INFORMATION_EX, FILE_RENAME_INFORMATION_EX */
#define DISPOSITION_DELETE          0x1u
#define DISPOSITION_POSIX           0x2u
#define DISPOSITION_FORCE_IMAGE     0x4u
#define DISPOSITION_ON_CLOSE        0x8u
#define DISPOSITION_IGNORE_READONLY 0x10u
#define RENAME_REPLACE              0x1u
#define RENAME_POSIX                0x2u
#define RENAME_IGNORE_READONLY      0x40u

/* ---- FS_INFORMATION_CLASS ---- */

enum {
    FileFsVolumeInformation = 1,
    FileFsLabelInformation = 2,
    FileFsSizeInformation = 3,
    FileFsDeviceInformation = 4,
    FileFsAttributeInformation = 5,
    FileFsFullSizeInformation = 7,
    FileFsSectorSizeInformation = 11,
};
struct fs_size { /* 2.5.8 */
    int64_t total, available;
    uint32_t sectors_per_unit, bytes_per_sector;
};
struct fs_full_size { /* 2.5.4 */
    int64_t total, available, free;
    uint32_t sectors_per_unit, bytes_per_sector;
};
struct fs_attribute_head { /* 2.5.1 */
    uint32_t flags, max_component, name_len;
};
struct __attribute__((packed)) fs_volume_head { /* 2.5.9 */
    int64_t created;
    uint32_t serial, label_len;
    uint8_t objects, reserved;
};
#define FILE_CASE_SENSITIVE_SEARCH        0x01u
#define FILE_CASE_PRESERVED_NAMES         0x02u
#define FILE_UNICODE_ON_DISK              0x04u
#define FILE_PERSISTENT_ACLS              0x08u
#define FILE_SUPPORTS_REPARSE_POINTS      0x80u
#define FILE_READ_ONLY_VOLUME             0x80000u
#define FILE_SUPPORTS_EXTENDED_ATTRIBUTES 0x800000u
#define FILE_SUPPORTS_POSIX_UNLINK_RENAME 0x400u

/* ---- security, MS-DTYP 2.4 ---- */

#define OWNER_SECURITY_INFORMATION 1u
#define GROUP_SECURITY_INFORMATION 2u
#define DACL_SECURITY_INFORMATION  4u

/* ---- reparse points, MS-FSCC 2.1.2 ---- */

#define FSCTL_SET_REPARSE_POINT    0x000900A4u
#define FSCTL_GET_REPARSE_POINT    0x000900A8u
#define FSCTL_DELETE_REPARSE_POINT 0x000900ACu
#define IO_REPARSE_TAG_SYMLINK     0xA000000Cu
#define IO_REPARSE_TAG_MOUNT_POINT 0xA0000003u
#define IO_REPARSE_TAG_LX_SYMLINK  0xA000001Du
#define IO_REPARSE_TAG_AF_UNIX     0x80000023u
#define IO_REPARSE_TAG_LX_FIFO     0x80000024u
#define IO_REPARSE_TAG_LX_CHR      0x80000025u
#define IO_REPARSE_TAG_LX_BLK      0x80000026u
#define SYMLINK_FLAG_RELATIVE      1u

/* ---- changes, MS-FSCC 2.7.1 ---- */

#define FILE_NOTIFY_CHANGE_FILE_NAME  0x001u
#define FILE_NOTIFY_CHANGE_DIR_NAME   0x002u
#define FILE_NOTIFY_CHANGE_ATTRIBUTES 0x004u
#define FILE_NOTIFY_CHANGE_SIZE       0x008u
#define FILE_NOTIFY_CHANGE_LAST_WRITE 0x010u
enum {
    FILE_ACTION_ADDED = 1,
    FILE_ACTION_REMOVED = 2,
    FILE_ACTION_MODIFIED = 3,
    FILE_ACTION_RENAMED_OLD_NAME = 4,
    FILE_ACTION_RENAMED_NEW_NAME = 5
};

#endif
