// SPDX-License-Identifier: BSD-3-Clause
/*
 * message.c - what comes back from the driver, understood without Windows
 *
 * Theory of operation
 *
 *   A request ends with an NTSTATUS. The client speaks Linux errno, so each status becomes one; those of
 *   the driver itself are in docs/driver.md. On virtio-win's codes the reply comes back whole, and neither
 *   that driver nor the host has checked it: length, unique and error are checked here before anyone
 *   uses a byte of it.
 *
 * Ownership: none.   Locks: none.
 * Sources: MS-ERREF 2.3.1 for the values; include/uapi/linux/fuse.h for fuse_out_header.
 */
#include "service/win/message.h"

#include <stdbool.h>
#include <string.h>

#include "abi/viofs_ioctl.h"
#include "lib/fuse/fuse_proto.h"
#include "service/client/linux_errno.h"

int32_t svc_status_errno(uint32_t status)
{
    static const struct {
        uint32_t status;
        int32_t errnum;
    } table[] = {
        {0xC0000184u, LE_ENOTCONN},  /* INVALID_DEVICE_STATE: the session is of another epoch */
        {0xC00000A3u, LE_ENOTCONN},  /* DEVICE_NOT_READY */
        {0xC00002B6u, LE_ENOTCONN},  /* DEVICE_REMOVED */
        {0xC000009Du, LE_ENOTCONN},  /* DEVICE_NOT_CONNECTED */
        {0xC000000Eu, LE_ENOTCONN},  /* NO_SUCH_DEVICE */
        {0xC00000C0u, LE_ENOTCONN},  /* DEVICE_DOES_NOT_EXIST */
        {0xC0000056u, LE_ENOTCONN},  /* DELETE_PENDING: the device is going */
        {0xC0000008u, LE_ENOTCONN},  /* INVALID_HANDLE: it is closed */
        {0xC00000B5u, LE_ETIMEDOUT}, /* IO_TIMEOUT */
        {0xC0000120u, LE_EINTR},     /* CANCELLED */
        {0xC0000043u, LE_EBUSY},     /* SHARING_VIOLATION: another handle owns the session */
        {0x80000011u, LE_EAGAIN},    /* DEVICE_BUSY: the last owner's session is being ended */
        {0xC0000022u, LE_EACCES},    /* ACCESS_DENIED */
        {0xC000009Au, LE_ENOMEM},    /* INSUFFICIENT_RESOURCES */
        {0xC0000017u, LE_ENOMEM},    /* NO_MEMORY */
        {0xC0000044u, LE_ENOMEM},    /* QUOTA_EXCEEDED */
        {0xC00000A1u, LE_ENOMEM},    /* WORKING_SET_QUOTA */
        {0xC0000010u, LE_ENOSYS},    /* INVALID_DEVICE_REQUEST: an older driver */
    };
    int32_t host = viofs_status_errno(status);

    if (host)
        return host < 4096 ? -host : -LE_EIO;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status)
            return -table[i].errnum;
    return status >> 30 < 2 ? 0 : -LE_EIO; /* severity success or informational */
}

int32_t svc_reply_check(const void *reply, uint64_t received, uint64_t unique)
{
    struct fuse_out_header head;

    if (received < sizeof(head))
        return -LE_EIO;
    memcpy(&head, reply, sizeof(head));
    if (head.len < sizeof(head) || head.len > received || head.unique != unique)
        return -LE_EIO;
    if (head.error > 0 || head.error < -4095)
        return -LE_EIO;
    if (head.error)
        return head.error;
    return (int32_t)(head.len - sizeof(head)) < 0 ? -LE_EIO : (int32_t)(head.len - sizeof(head));
}

static bool is_high_surrogate(uint16_t c)
{
    return c >= 0xD800 && c < 0xDC00;
}

static bool is_low_surrogate(uint16_t c)
{
    return c >= 0xDC00 && c < 0xE000;
}

/* Characters that a message must not contain: controls, line separators, marks of direction. */
static bool is_unfit(uint16_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
           c >= 0xFFFE;
}

void svc_tag_copy(const uint16_t *from, size_t units, uint16_t *to)
{
    size_t i = 0;

    while (i < units && from[i]) {
        bool pair = i + 1 < units && is_high_surrogate(from[i]) && is_low_surrogate(from[i + 1]);

        if (pair) {
            to[i] = from[i];
            to[i + 1] = from[i + 1];
            i += 2;
            continue;
        }
        to[i] = is_unfit(from[i]) || is_high_surrogate(from[i]) || is_low_surrogate(from[i])
                    ? 0xFFFD
                    : from[i];
        i++;
    }
    to[i] = 0;
}

size_t svc_utf8(const uint16_t *from, char *to, size_t cap)
{
    size_t n = 0;

    while (*from) {
        uint32_t c = *from++;
        unsigned len = c < 0x80 ? 1 : c < 0x800 ? 2 : 3;

        if (is_high_surrogate((uint16_t)c) && is_low_surrogate(*from)) {
            c = 0x10000 + ((c & 0x3FF) << 10) + (*from++ & 0x3FFu);
            len = 4;
        }
        if (n + len >= cap)
            break;
        for (unsigned i = len; i-- > 1; c >>= 6)
            to[n + i] = (char)(0x80 | (c & 0x3F));
        to[n] = (char)(len == 1 ? c : (0xF00u >> len & 0xF0u) | c);
        n += len;
    }
    to[n] = 0;
    return n;
}
