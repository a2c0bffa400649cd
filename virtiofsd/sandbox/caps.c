// SPDX-License-Identifier: BSD-3-Clause
/*
 * caps.c - the capabilities that serving files takes
 *
 * Theory of operation
 *
 *   A daemon of root keeps what it needs to act for every user of a guest, and to write down any owner,
 *   mode and attribute: the table below says which and why. The rest leaves the permitted, effective,
 *   inheritable, ambient and bounding sets. --modcaps adds and removes. One started without root and
 *   without namespaces is left with what it was given on purpose (file or ambient capabilities), less
 *   what --modcaps takes.
 *
 *   Whether file handles can be opened is found out by trying: open_by_handle_at(2) wants
 *   CAP_DAC_READ_SEARCH in the first user namespace, and kernels from 6.11 on allow parts of it elsewhere.
 *
 * Ownership: none.   Locks: none; one thread. libcap-ng's state is per thread.
 */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cleanup.h"

#define CAPS_MAX 64 /* bits in the kernel's sets */

static const struct {
    unsigned cap;
    const char *why; /* completes "without it, ..." */
} needed[] = {
    {CAP_CHOWN, "owners of files cannot be changed"},
    {CAP_DAC_OVERRIDE, "files that others protect cannot be served"},
    {CAP_FOWNER, "modes, times and attributes of others' files cannot be changed"},
    {CAP_FSETID, "set-group-id bits are lost"},
    {CAP_SETGID, "files cannot be made for a guest's users"},
    {CAP_SETUID, "files cannot be made for a guest's users"},
    {CAP_MKNOD, "guests cannot make device nodes"},
    {CAP_SETFCAP, "file capabilities cannot be stored"},
};

/* Capabilities to keep, as bits. */
static uint64_t wanted_caps(const struct conf *conf, bool handles, uint64_t held)
{
    uint64_t want = 0;

    if (conf->sandbox == SANDBOX_NONE && geteuid() != 0)
        return held;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        want |= UINT64_C(1) << needed[i].cap;
    if (handles)
        want |= UINT64_C(1) << CAP_DAC_READ_SEARCH;
    return want;
}

/* One "+name" or "-name", up to ':' or the end. */
static int modify_one(const char *word, size_t len, uint64_t *want, uint64_t held)
{
    char name[32];
    int cap;

    if (len < 2 || len - 1 >= sizeof name || (word[0] != '+' && word[0] != '-')) {
        log_error("--modcaps: \"%.*s\" is not of the form +capability or -capability", (int)len,
                  word);
        return -EINVAL;
    }
    memcpy(name, word + 1, len - 1);
    name[len - 1] = '\0';
    cap = capng_name_to_capability(strncasecmp(name, "cap_", 4) == 0 ? name + 4 : name);
    if (cap < 0 || cap >= CAPS_MAX) {
        log_error("--modcaps: there is no capability \"%s\" (capabilities(7) lists them)", name);
        return -EINVAL;
    }
    if (word[0] == '-') {
        *want &= ~(UINT64_C(1) << cap);
        return 0;
    }
    if (!(held & UINT64_C(1) << cap)) {
        log_error("--modcaps=+%s: virtiofsd was started without that capability", name);
        return -EPERM;
    }
    *want |= UINT64_C(1) << cap;
    return 0;
}

static int modify_caps(const char *text, uint64_t *want, uint64_t held)
{
    while (text && *text) {
        size_t len = strcspn(text, ":");
        int err = modify_one(text, len, want, held);

        if (err)
            return err;
        text += len + (text[len] == ':');
    }
    return 0;
}

/* A root that lacks some of it (a container's) serves what it can, and the log says what it cannot. */
static void report_missing(uint64_t want, uint64_t held)
{
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        uint64_t bit = UINT64_C(1) << needed[i].cap;

        if ((want & bit) && !(held & bit))
            log_info("started without CAP_%s: %s", capng_capability_to_name(needed[i].cap),
                     needed[i].why);
    }
}

static uint64_t held_caps(void)
{
    uint64_t held = 0;

    for (unsigned cap = 0; cap < CAPS_MAX; cap++)
        if (capng_have_capability(CAPNG_PERMITTED, cap) > 0)
            held |= UINT64_C(1) << cap;
    return held;
}

/* Exactly @keep; the bounding set too where we may. */
static int apply(uint64_t keep, bool bounding)
{
    capng_clear(CAPNG_SELECT_ALL);
    for (unsigned cap = 0; cap < CAPS_MAX; cap++)
        if (keep & UINT64_C(1) << cap)
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, cap);
    if (capng_apply(bounding ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) < 0)
        return confine_fail(-EPERM, "capabilities cannot be dropped");
    return 0;
}

/** caps_drop_all() - no capability, now or later. Return: 0 or -errno (message printed). */
int caps_drop_all(void)
{
    if (capng_get_caps_process() < 0)
        return confine_fail(-EPERM, "capabilities cannot be read");
    return apply(0, capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) > 0);
}

/* ---- what works with them ------------------------------------------------------------------ */

/*
 * Open the root by its handle. A file system without handles gets one that is made up: permission is
 * checked before the handle is.
 * Return: 0 if opening is permitted; -errno. *@supported: the share's own file system has handles.
 */
static int try_handle(const struct sandbox *sb, bool *supported)
{
    union {
        struct file_handle h;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } u = {.h.handle_bytes = MAX_HANDLE_SZ};
    cleanup_close int mount_fd = -1, fd = -1;
    char name[12];
    int mount_id;

    snprintf(name, sizeof name, "%d", sb->root_fd);
    mount_fd = openat(sb->proc_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (mount_fd < 0)
        return -errno;
    *supported = name_to_handle_at(sb->root_fd, "", &u.h, &mount_id, AT_EMPTY_PATH) == 0;
    if (!*supported)
        u.h = (struct file_handle){.handle_bytes = 8, .handle_type = 1};
    fd = open_by_handle_at(mount_fd, &u.h, O_PATH | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    return *supported || errno == EPERM ? -errno : 0;
}

static int settle_handles(const struct conf *conf, struct sandbox *sb)
{
    bool supported = false;
    int err;

    sb->can_handles = false;
    if (conf->inode_file_handles == HANDLES_NEVER)
        return 0;
    err = try_handle(sb, &supported);
    sb->can_handles = err == 0;
    if (conf->inode_file_handles != HANDLES_MANDATORY)
        return 0;
    if (err)
        log_error("--inode-file-handles=mandatory: file handles cannot be opened: %s. This takes "
                  "CAP_DAC_READ_SEARCH outside user namespaces, that is root; use prefer or never",
                  strerror(-err));
    else if (!supported)
        log_error("--inode-file-handles=mandatory: the file system of the share has no file "
                  "handles; use prefer or never");
    else
        return 0;
    return -EOPNOTSUPP;
}

/**
 * caps_limit() - permitted, effective and bounding set down to what the daemon uses
 * @sb: one for each share; can_handles and can_setid are settled
 *
 * Return: 0 or -errno (message printed).
 */
int caps_limit(const struct conf_shares *shares, struct sandbox *sb)
{
    const struct conf *conf = &shares->at[0]; /* for what all have in common */
    uint64_t held, want;
    bool handles = false;
    int err;

    for (size_t i = 0; i < shares->n; i++)
        handles = handles || shares->at[i].inode_file_handles != HANDLES_NEVER;

    if (capng_get_caps_process() < 0)
        return confine_fail(-EPERM, "capabilities cannot be read");
    held = held_caps();
    want = wanted_caps(conf, handles, held);
    err = modify_caps(conf->modcaps, &want, held);
    if (err)
        return err;
    if (held)
        report_missing(want, held);
    want &= held;
    err = apply(want, capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) > 0);
    if (err)
        return err;
    for (size_t i = 0; i < shares->n && !err; i++) {
        if (!(want & UINT64_C(1) << CAP_SETUID) || !(want & UINT64_C(1) << CAP_SETGID))
            sb[i].can_setid = false;
        log_share(shares->at[i].name);
        err = settle_handles(&shares->at[i], &sb[i]);
    }
    log_share(NULL);
    return err;
}
