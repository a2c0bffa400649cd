// SPDX-License-Identifier: BSD-3-Clause
/*
 * cred.c - acting as the guest's user
 *
 * Theory of operation
 *
 *   Whoever creates something must own it, so creating requests run with the request's uid and gid. The
 *   guest's kernel has checked permissions already (default_permissions), and until FUSE_CREATE_SUPP_GROUP
 *   it did not tell the user's supplementary groups, which may be what gave access: so CAP_DAC_OVERRIDE
 *   is raised again after the switch, unless the groups came with the request.
 *
 *   Ids are per thread here: the raw system calls are used, because the C library's would change every
 *   thread. With real, effective and saved ids of 0 before, switching only the effective ones keeps the way
 *   back open, and the kernel restores the effective capabilities on the way back.
 *
 *   When the ids are the daemon's own, or it may not change them, nothing is called at all.
 *
 * syscalls: setresuid setresgid setgroups capget capset umask
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/log.h"
#include "server/request.h"

/* What sandbox_lock() left permitted; read once, constant afterwards. */
static struct __user_cap_data_struct permitted[2];
static pthread_once_t permitted_once = PTHREAD_ONCE_INIT;

static void read_permitted(void)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};

    if (syscall(SYS_capget, &hdr, permitted) < 0)
        permitted[0].permitted = permitted[1].permitted = 0;
}

/* The calling thread's effective capabilities: what is permitted of those in the masks. */
static int set_effective(uint32_t effective_low, uint32_t effective_high)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    pthread_once(&permitted_once, read_permitted);
    for (int i = 0; i < 2; i++) {
        data[i].permitted = permitted[i].permitted;
        data[i].inheritable = 0;
    }
    data[0].effective = permitted[0].permitted & effective_low;
    data[1].effective = permitted[1].permitted & effective_high;
    return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

static int set_groups(const struct server *srv, const struct fuse_call *c)
{
    gid_t groups[FUSE_MAX_GROUPS];

    for (uint32_t i = 0; i < c->n_groups; i++) {
        groups[i] = c->groups[i];
        int r = idmap_gid_to_host(srv, &groups[i]);
        if (r < 0)
            return r;
    }
    return syscall(SYS_setgroups, (size_t)c->n_groups, groups) < 0 ? -errno : 0;
}

static void go_back(const struct server *srv, bool groups)
{
    /*
     * Failure here would leave a thread with a guest's identity: nothing sensible can follow. It cannot
     * fail while the saved ids are the daemon's.
     */
    if (syscall(SYS_setresuid, -1, srv->own_uid, -1) < 0 ||
        syscall(SYS_setresgid, -1, srv->own_gid, -1) < 0 ||
        (groups && syscall(SYS_setgroups, (size_t)0, NULL) < 0)) {
        log_error("cannot take the daemon's own identity back");
        abort();
    }
}

int cred_enter(struct srv_req *rq, struct cred *cred, bool full)
{
    struct server *srv = rq->srv;
    uint32_t uid = rq->c->in.uid, gid = rq->c->in.gid;

    cred->switched = false;
    /* -1 is nobody: no rule of --translate-uid covers it, and to setresuid(2) it means "as before". */
    if (uid == UINT32_MAX || gid == UINT32_MAX)
        return -EPERM;
    int r = idmap_uid_to_host(srv, &uid);
    if (r == 0)
        r = idmap_gid_to_host(srv, &gid);
    if (r < 0)
        return r;
    if (!srv->can_setid || (uid == srv->own_uid && gid == srv->own_gid && !rq->c->n_groups))
        return 0;
    cred->groups = rq->c->n_groups > 0;
    if (cred->groups) {
        r = set_groups(srv, rq->c);
        if (r < 0)
            return r;
    }
    if (syscall(SYS_setresgid, -1, gid, -1) < 0 || syscall(SYS_setresuid, -1, uid, -1) < 0) {
        r = -errno;
        go_back(srv, cred->groups);
        return r;
    }
    cred->switched = true;
    if (!full && !cred->groups && uid != 0) {
        /* Without it creation in a directory that a supplementary group opens would fail. */
        set_effective(1u << CAP_DAC_OVERRIDE, 0);
    }
    return 0;
}

void cred_leave(struct srv_req *rq, struct cred *cred)
{
    if (cred->switched)
        go_back(rq->srv, cred->groups);
    cred->switched = false;
}

int cred_drop_fsetid(void)
{
    return set_effective(~(1u << CAP_FSETID), UINT32_MAX);
}

void cred_raise_fsetid(void)
{
    if (set_effective(UINT32_MAX, UINT32_MAX) < 0)
        log_warn_limited("cannot take CAP_FSETID back: set-id bits will be cleared by every write");
}

void umask_enter(const struct srv_req *rq, uint32_t mask)
{
    if (rq->srv->session.flags & FUSE_DONT_MASK)
        umask(mask & 0777);
}

void umask_leave(const struct srv_req *rq)
{
    if (rq->srv->session.flags & FUSE_DONT_MASK)
        umask(0);
}
