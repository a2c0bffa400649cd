// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_numbers.h - Windows' numbers for tests that run on Linux (MS-ERREF, MS-FSCC, MS-SMB2, ntifs.h documentation)
 */
#ifndef VIOFS_TESTS_NT_NUMBERS_H
#define VIOFS_TESTS_NT_NUMBERS_H

/* NTSTATUS */
#define STATUS_SUCCESS                    0x00000000u
#define STATUS_TIMEOUT                    0x00000102u
#define STATUS_PENDING                    0x00000103u
#define STATUS_REPARSE                    0x00000104u
#define STATUS_NOTIFY_CLEANUP             0x0000010Bu
#define STATUS_NOTIFY_ENUM_DIR            0x0000010Cu
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
#define STATUS_EA_CORRUPT_ERROR           0xC0000053u
#define STATUS_FILE_LOCK_CONFLICT         0xC0000054u
#define STATUS_LOCK_NOT_GRANTED           0xC0000055u
#define STATUS_DELETE_PENDING             0xC0000056u
#define STATUS_PRIVILEGE_NOT_HELD         0xC0000061u
#define STATUS_INVALID_ACL                0xC0000077u
#define STATUS_INVALID_SECURITY_DESCR     0xC0000079u
#define STATUS_RANGE_NOT_LOCKED           0xC000007Eu
#define STATUS_DISK_FULL                  0xC000007Fu
#define STATUS_INSUFFICIENT_RESOURCES     0xC000009Au
#define STATUS_MEDIA_WRITE_PROTECTED      0xC00000A2u
#define STATUS_IO_TIMEOUT                 0xC00000B5u
#define STATUS_FILE_IS_A_DIRECTORY        0xC00000BAu
#define STATUS_NOT_SUPPORTED              0xC00000BBu
#define STATUS_NOT_SAME_DEVICE            0xC00000D4u
#define STATUS_INTERNAL_ERROR             0xC00000E5u
#define STATUS_INVALID_USER_BUFFER        0xC00000E8u
#define STATUS_DIRECTORY_NOT_EMPTY        0xC0000101u
#define STATUS_NOT_A_DIRECTORY            0xC0000103u
#define STATUS_NAME_TOO_LONG              0xC0000106u
#define STATUS_TOO_MANY_OPENED_FILES      0xC000011Fu
#define STATUS_CANCELLED                  0xC0000120u
#define STATUS_CANNOT_DELETE              0xC0000121u
#define STATUS_FILE_DELETED               0xC0000123u
#define STATUS_FILE_CLOSED                0xC0000128u
#define STATUS_IO_DEVICE_ERROR            0xC0000185u
#define STATUS_USER_MAPPED_FILE           0xC0000243u
#define STATUS_VOLUME_DISMOUNTED          0xC000026Eu
#define STATUS_TOO_MANY_LINKS             0xC0000265u
#define STATUS_NOT_A_REPARSE_POINT        0xC0000275u
#define STATUS_IO_REPARSE_TAG_INVALID     0xC0000276u
#define STATUS_IO_REPARSE_TAG_MISMATCH    0xC0000277u
#define STATUS_IO_REPARSE_DATA_INVALID    0xC0000278u
#define STATUS_IO_REPARSE_TAG_NOT_HANDLED 0xC0000279u
#define STATUS_REPARSE_POINT_NOT_RESOLVED 0xC0000280u
#define STATUS_REPARSE_ATTRIBUTE_CONFLICT 0xC00002B2u
#define STATUS_FILE_TOO_LARGE             0xC0000904u
#define STATUS_DEVICE_NOT_CONNECTED       0xC000009Du

/* access rights */
#define FILE_READ_DATA         0x0001u
#define FILE_LIST_DIRECTORY    0x0001u
#define FILE_WRITE_DATA        0x0002u
#define FILE_ADD_FILE          0x0002u
#define FILE_APPEND_DATA       0x0004u
#define FILE_ADD_SUBDIRECTORY  0x0004u
#define FILE_READ_EA           0x0008u
#define FILE_WRITE_EA          0x0010u
#define FILE_EXECUTE           0x0020u
#define FILE_TRAVERSE          0x0020u
#define FILE_DELETE_CHILD      0x0040u
#define FILE_READ_ATTRIBUTES   0x0080u
#define FILE_WRITE_ATTRIBUTES  0x0100u
#define DELETE                 0x00010000u
#define READ_CONTROL           0x00020000u
#define WRITE_DAC              0x00040000u
#define WRITE_OWNER            0x00080000u
#define SYNCHRONIZE            0x00100000u
#define ACCESS_SYSTEM_SECURITY 0x01000000u
#define MAXIMUM_ALLOWED        0x02000000u
#define GENERIC_ALL            0x10000000u
#define GENERIC_EXECUTE        0x20000000u
#define GENERIC_WRITE          0x40000000u
#define GENERIC_READ           0x80000000u
#define FILE_ALL_ACCESS        0x001F01FFu
#define FILE_GENERIC_READ      0x00120089u
#define FILE_GENERIC_WRITE     0x00120116u
#define FILE_GENERIC_EXECUTE   0x001200A0u

#define FILE_SHARE_READ   1u
#define FILE_SHARE_WRITE  2u
#define FILE_SHARE_DELETE 4u
#define FILE_SHARE_ALL    7u

/* create dispositions, options, and what a create did */
#define FILE_SUPERSEDE    0u
#define FILE_OPEN         1u
#define FILE_CREATE       2u
#define FILE_OPEN_IF      3u
#define FILE_OVERWRITE    4u
#define FILE_OVERWRITE_IF 5u

#define FILE_DIRECTORY_FILE            0x00000001u
#define FILE_WRITE_THROUGH             0x00000002u
#define FILE_SEQUENTIAL_ONLY           0x00000004u
#define FILE_NO_INTERMEDIATE_BUFFERING 0x00000008u
#define FILE_SYNCHRONOUS_IO_ALERT      0x00000010u
#define FILE_SYNCHRONOUS_IO_NONALERT   0x00000020u
#define FILE_NON_DIRECTORY_FILE        0x00000040u
#define FILE_NO_EA_KNOWLEDGE           0x00000200u
#define FILE_RANDOM_ACCESS             0x00000800u
#define FILE_DELETE_ON_CLOSE           0x00001000u
#define FILE_OPEN_BY_FILE_ID           0x00002000u
#define FILE_OPEN_FOR_BACKUP_INTENT    0x00004000u
#define FILE_OPEN_REPARSE_POINT        0x00200000u

#define FILE_SUPERSEDED     0u
#define FILE_OPENED         1u
#define FILE_CREATED        2u
#define FILE_OVERWRITTEN    3u
#define FILE_EXISTS         4u
#define FILE_DOES_NOT_EXIST 5u

/* attributes */
#define FILE_ATTRIBUTE_READONLY            0x0001u
#define FILE_ATTRIBUTE_HIDDEN              0x0002u
#define FILE_ATTRIBUTE_SYSTEM              0x0004u
#define FILE_ATTRIBUTE_DIRECTORY           0x0010u
#define FILE_ATTRIBUTE_ARCHIVE             0x0020u
#define FILE_ATTRIBUTE_NORMAL              0x0080u
#define FILE_ATTRIBUTE_TEMPORARY           0x0100u
#define FILE_ATTRIBUTE_SPARSE_FILE         0x0200u
#define FILE_ATTRIBUTE_REPARSE_POINT       0x0400u
#define FILE_ATTRIBUTE_OFFLINE             0x1000u
#define FILE_ATTRIBUTE_NOT_CONTENT_INDEXED 0x2000u

/* FILE_INFORMATION_CLASS */
enum {
    FileDirectoryInformation = 1,
    FileFullDirectoryInformation = 2,
    FileBothDirectoryInformation = 3,
    FileBasicInformation = 4,
    FileStandardInformation = 5,
    FileInternalInformation = 6,
    FileEaInformation = 7,
    FileAccessInformation = 8,
    FileNameInformation = 9,
    FileRenameInformation = 10,
    FileLinkInformation = 11,
    FileNamesInformation = 12,
    FileDispositionInformation = 13,
    FilePositionInformation = 14,
    FileModeInformation = 16,
    FileAlignmentInformation = 17,
    FileAllInformation = 18,
    FileAllocationInformation = 19,
    FileEndOfFileInformation = 20,
    FileAlternateNameInformation = 21,
    FileStreamInformation = 22,
    FileCompressionInformation = 28,
    FileNetworkOpenInformation = 34,
    FileAttributeTagInformation = 35,
    FileIdBothDirectoryInformation = 37,
    FileIdFullDirectoryInformation = 38,
    FileValidDataLengthInformation = 39,
    FileHardLinkInformation = 46,
    FileNormalizedNameInformation = 48,
    FileIdInformation = 59,
    FileIdExtdDirectoryInformation = 60,
    FileDispositionInformationEx = 64,
    FileRenameInformationEx = 65,
    FileStatInformation = 68,
};

#define FILE_DISPOSITION_DELETE                    1u
#define FILE_DISPOSITION_POSIX_SEMANTICS           2u
#define FILE_DISPOSITION_FORCE_IMAGE_SECTION_CHECK 4u
#define FILE_DISPOSITION_ON_CLOSE                  8u
#define FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE 0x10u
#define FILE_RENAME_REPLACE_IF_EXISTS              1u
#define FILE_RENAME_POSIX_SEMANTICS                2u
#define FILE_RENAME_IGNORE_READONLY_ATTRIBUTE      0x40u

/* FS_INFORMATION_CLASS and attributes of a file system */
enum {
    FileFsVolumeInformation = 1,
    FileFsLabelInformation = 2,
    FileFsSizeInformation = 3,
    FileFsDeviceInformation = 4,
    FileFsAttributeInformation = 5,
    FileFsFullSizeInformation = 7,
    FileFsSectorSizeInformation = 11,
};
#define FILE_CASE_SENSITIVE_SEARCH        0x00000001u
#define FILE_CASE_PRESERVED_NAMES         0x00000002u
#define FILE_UNICODE_ON_DISK              0x00000004u
#define FILE_PERSISTENT_ACLS              0x00000008u
#define FILE_SUPPORTS_REPARSE_POINTS      0x00000080u
#define FILE_SUPPORTS_POSIX_UNLINK_RENAME 0x00000400u
#define FILE_READ_ONLY_VOLUME             0x00080000u
#define FILE_SUPPORTS_EXTENDED_ATTRIBUTES 0x00800000u

#define OWNER_SECURITY_INFORMATION 1u
#define GROUP_SECURITY_INFORMATION 2u
#define DACL_SECURITY_INFORMATION  4u
#define SACL_SECURITY_INFORMATION  8u

#define FSCTL_SET_REPARSE_POINT    0x000900A4u
#define FSCTL_GET_REPARSE_POINT    0x000900A8u
#define FSCTL_DELETE_REPARSE_POINT 0x000900ACu
#define IO_REPARSE_TAG_SYMLINK     0xA000000Cu
#define IO_REPARSE_TAG_MOUNT_POINT 0xA0000003u
#define IO_REPARSE_TAG_NFS         0x80000014u
#define IO_REPARSE_TAG_AF_UNIX     0x80000023u
#define IO_REPARSE_TAG_LX_FIFO     0x80000024u
#define IO_REPARSE_TAG_LX_CHR      0x80000025u
#define IO_REPARSE_TAG_LX_BLK      0x80000026u
#define IO_REPARSE_TAG_LX_SYMLINK  0xA000001Du
#define SYMLINK_FLAG_RELATIVE      1u

#define FILE_NOTIFY_CHANGE_FILE_NAME   0x001u
#define FILE_NOTIFY_CHANGE_DIR_NAME    0x002u
#define FILE_NOTIFY_CHANGE_ATTRIBUTES  0x004u
#define FILE_NOTIFY_CHANGE_SIZE        0x008u
#define FILE_NOTIFY_CHANGE_LAST_WRITE  0x010u
#define FILE_NOTIFY_CHANGE_LAST_ACCESS 0x020u
#define FILE_NOTIFY_CHANGE_CREATION    0x040u
#define FILE_NOTIFY_CHANGE_EA          0x080u
#define FILE_NOTIFY_CHANGE_SECURITY    0x100u
#define FILE_ACTION_ADDED              1u
#define FILE_ACTION_REMOVED            2u
#define FILE_ACTION_MODIFIED           3u
#define FILE_ACTION_RENAMED_OLD_NAME   4u
#define FILE_ACTION_RENAMED_NEW_NAME   5u

#endif
