// SPDX-License-Identifier: BSD-3-Clause
/*
 * package.h - driver packages for virtio-fs devices: an INF as a file, and what Windows has published
 */
#ifndef VIOFS_SETUP_PACKAGE_H
#define VIOFS_SETUP_PACKAGE_H

#include <stdbool.h>

#include <windows.h>

/* virtio 1.2, 4.1.2: 0x1040 and device type 26 */
#define PKG_HARDWARE_ID L"PCI\\VEN_1AF4&DEV_105A"

#define PKG_NOT_TRUSTED 577 /* ERROR_INVALID_IMAGE_HASH, which mingw's winerror.h lacks */

struct pkg_info {
    wchar_t name[64]; /* of a published one: "oem3.inf" */
    wchar_t provider[64];
    wchar_t version[64]; /* DriverVer, as written: date,version */
    bool for_virtio_fs;  /* one of its models has our hardware id */
    bool ours;           /* and it is viofs' own */
};

#define PKG_MOST 32

/** pkg_is_hardware_id() - does an id name a virtio-fs device, with or without subsystem and revision? */
bool pkg_is_hardware_id(const wchar_t *id);

/**
 * pkg_read() - what an INF says of itself
 * @path: full path
 *
 * Return: ERROR_SUCCESS, or SetupAPI's reason why it cannot be read. `name` stays empty.
 */
DWORD pkg_read(const wchar_t *path, struct pkg_info *out);

/**
 * pkg_list() - published packages for virtio-fs devices, ours and others'
 * @out: room for PKG_MOST
 *
 * INFs that cannot be read are passed over. Return: how many.
 */
unsigned pkg_list(struct pkg_info *out);

/**
 * pkg_publish() - give a package to Windows' driver store
 * @name: room for 64 units; gets the published name
 *
 * A package that is there already is found again. Return: ERROR_SUCCESS when the published INF is really there;
 *   PKG_NOT_TRUSTED when Windows does not trust the signature, after a line that says what to do;
 *   else Windows' reason, after a line.
 */
DWORD pkg_publish(const wchar_t *path, wchar_t *name);

/** pkg_withdraw() - take a published package out of the store. Return: ERROR_SUCCESS when it is really gone. */
DWORD pkg_withdraw(const wchar_t *name);

#endif
