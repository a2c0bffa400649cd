// SPDX-License-Identifier: BSD-3-Clause
/*
 * status.c - what a Linux error is called on Windows
 *
 * Theory of operation
 *
 *   The numbers are Linux' own (client/linux_errno.h); a Windows compiler's <errno.h> has others for the same
 *   names. Each error has one status, and some have another one for open files, paths or EAs, because
 *   programs look at those: Explorer copies instead of renaming after NOT_SAME_DEVICE, installers retry
 *   after SHARING_VIOLATION, and OBJECT_PATH_NOT_FOUND makes them create the directory.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/status.h"

#include "service/client/linux_errno.h"

static NTSTATUS status_of_name(int error)
{
    switch (error) {
    case LE_EPERM:
    case LE_EACCES:
        return STATUS_ACCESS_DENIED;
    case LE_ENOENT:
    case LE_ESTALE:
        return STATUS_OBJECT_NAME_NOT_FOUND;
    case LE_EEXIST:
        return STATUS_OBJECT_NAME_COLLISION;
    case LE_EXDEV:
        return STATUS_NOT_SAME_DEVICE;
    case LE_ENOTDIR:
        return STATUS_NOT_A_DIRECTORY;
    case LE_EISDIR:
        return STATUS_FILE_IS_A_DIRECTORY;
    case LE_ENOTEMPTY:
        return STATUS_DIRECTORY_NOT_EMPTY;
    case LE_ENAMETOOLONG:
        return STATUS_NAME_TOO_LONG;
    case LE_ELOOP:
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    case LE_EILSEQ:
        return STATUS_OBJECT_NAME_INVALID;
    case LE_EMLINK:
        return STATUS_TOO_MANY_LINKS;
    case LE_EBUSY:
    case LE_ETXTBSY:
        return STATUS_SHARING_VIOLATION;
    default:
        return STATUS_UNSUCCESSFUL;
    }
}

/* Room, limits and what the host cannot do. */
static NTSTATUS status_of_resource(int error)
{
    switch (error) {
    case LE_ENOMEM:
    case LE_ENOLCK:
        return STATUS_INSUFFICIENT_RESOURCES;
    case LE_ENFILE:
    case LE_EMFILE:
        return STATUS_TOO_MANY_OPENED_FILES;
    case LE_EFBIG:
    case LE_EOVERFLOW:
        return STATUS_FILE_TOO_LARGE;
    case LE_ENOSPC:
    case LE_EDQUOT: /* as NTFS says it; programs know no other status for "no room" */
        return STATUS_DISK_FULL;
    case LE_EROFS:
        return STATUS_MEDIA_WRITE_PROTECTED;
    case LE_ERANGE:
        return STATUS_BUFFER_TOO_SMALL;
    case LE_EINVAL:
    case LE_EDOM:
    case LE_E2BIG:
        return STATUS_INVALID_PARAMETER;
    case LE_ENOSYS:
        return STATUS_NOT_IMPLEMENTED;
    case LE_EOPNOTSUPP:
        return STATUS_NOT_SUPPORTED;
    case LE_ENODATA:
        return STATUS_NOT_FOUND;
    default:
        return STATUS_UNSUCCESSFUL;
    }
}

/* The device, the session, the request itself. */
static NTSTATUS status_of_device(int error)
{
    switch (error) {
    case LE_EINTR:
    case LE_ECANCELED:
        return STATUS_CANCELLED;
    case LE_EIO:
        return STATUS_IO_DEVICE_ERROR;
    case LE_ENXIO:
    case LE_ENODEV:
        return STATUS_NO_SUCH_DEVICE;
    case LE_ENOTCONN:
    case LE_ESHUTDOWN:
        return STATUS_DEVICE_NOT_CONNECTED;
    case LE_ETIMEDOUT:
        return STATUS_IO_TIMEOUT;
    case LE_EBADF:
        return STATUS_INVALID_HANDLE;
    case LE_EAGAIN:
        return STATUS_CANT_WAIT;
    case LE_ESPIPE:
        return STATUS_INVALID_DEVICE_REQUEST;
    case LE_EPIPE:
        return STATUS_PIPE_BROKEN;
    case LE_EDEADLK:
        return STATUS_POSSIBLE_DEADLOCK;
    default:
        return STATUS_UNSUCCESSFUL;
    }
}

/* Errors that are called otherwise when they are about something else than the last name. */
static const struct {
    int error;
    enum svc_about about;
    NTSTATUS status;
} elsewhere[] = {
    {LE_ENOENT, SVC_ABOUT_PATH, STATUS_OBJECT_PATH_NOT_FOUND},
    {LE_ESTALE, SVC_ABOUT_PATH, STATUS_OBJECT_PATH_NOT_FOUND},
    {LE_ENOTDIR, SVC_ABOUT_PATH, STATUS_OBJECT_PATH_NOT_FOUND},
    {LE_ESTALE, SVC_ABOUT_HANDLE, STATUS_FILE_INVALID},
    {LE_EBADF, SVC_ABOUT_HANDLE, STATUS_FILE_CLOSED},
    {LE_EAGAIN, SVC_ABOUT_HANDLE, STATUS_FILE_LOCK_CONFLICT},
    {LE_ENODATA, SVC_ABOUT_EA, STATUS_NO_EAS_ON_FILE},
    {LE_EOPNOTSUPP, SVC_ABOUT_EA, STATUS_EAS_NOT_SUPPORTED},
    {LE_ENOSYS, SVC_ABOUT_EA, STATUS_EAS_NOT_SUPPORTED},
    {LE_E2BIG, SVC_ABOUT_EA, STATUS_EA_TOO_LARGE},
    {LE_ENOSPC, SVC_ABOUT_EA, STATUS_EA_TOO_LARGE}, /* ext4's xattrs share a block */
    {LE_ERANGE, SVC_ABOUT_EA, STATUS_EA_TOO_LARGE},
    {LE_ENODATA, SVC_ABOUT_STREAM, STATUS_OBJECT_NAME_NOT_FOUND},
    {LE_EOPNOTSUPP, SVC_ABOUT_STREAM, STATUS_OBJECT_NAME_INVALID}, /* as where there are none */
    {LE_ENOSYS, SVC_ABOUT_STREAM, STATUS_OBJECT_NAME_INVALID},
    {LE_E2BIG, SVC_ABOUT_STREAM, STATUS_DISK_FULL},
    {LE_ERANGE, SVC_ABOUT_STREAM, STATUS_DISK_FULL},
    {LE_ESTALE, SVC_ABOUT_STREAM, STATUS_FILE_INVALID},
};

/**
 * svc_status() - what a Linux error is called on Windows
 * @error: 0 or more for success, or a negative Linux errno
 *
 * Return: STATUS_SUCCESS, or the status of that error; STATUS_UNSUCCESSFUL for one that nobody expects.
 */
NTSTATUS svc_status(int error, enum svc_about about)
{
    static NTSTATUS (*const families[])(int) = {status_of_name, status_of_resource,
                                                status_of_device};

    if (error >= 0)
        return STATUS_SUCCESS;
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        if (elsewhere[i].error == -error && elsewhere[i].about == about)
            return elsewhere[i].status;
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        NTSTATUS status = families[i](-error);

        if (status != STATUS_UNSUCCESSFUL)
            return status;
    }
    return STATUS_UNSUCCESSFUL;
}
