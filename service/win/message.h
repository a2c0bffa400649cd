// SPDX-License-Identifier: BSD-3-Clause
/*
 * message.h - what comes back from the driver, understood without Windows
 */
#ifndef VIOFS_SERVICE_MESSAGE_H
#define VIOFS_SERVICE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/**
 * svc_status_errno() - the Linux errno of a failed request
 * @status: an NTSTATUS; those of viofs_status() carry the host's errno
 *
 * Return: 0 for success, else a negative errno as transport.h lists them.
 */
int32_t svc_status_errno(uint32_t status);

/**
 * svc_reply_check() - the header of a reply that virtio-win's codes return whole
 * @reply:    fuse_out_header and payload
 * @received: bytes that the driver says it got
 * @unique:   the request's
 *
 * Return: bytes of payload; the host's errno, negative; -LE_EIO for what is no reply to this request.
 */
int32_t svc_reply_check(const void *reply, uint64_t received, uint64_t unique);

/**
 * svc_tag_copy() - a tag as a driver gives it, made fit for names and messages
 * @from:  UTF-16, ends with a NUL or after @units
 * @to:    room for @units + 1
 *
 * The host chose it. Control characters, marks that change the direction of text and unpaired surrogates
 * become U+FFFD, so that a tag can neither forge lines of a log nor be told apart by what nobody sees.
 */
void svc_tag_copy(const uint16_t *from, size_t units, uint16_t *to);

/**
 * svc_utf8() - UTF-16 to UTF-8
 * @from: terminated, without unpaired surrogates
 * @cap:  bytes at @to, at least 1; what does not fit is cut off between characters
 *
 * Return: bytes written without the NUL.
 */
size_t svc_utf8(const uint16_t *from, char *to, size_t cap);

#endif
