// SPDX-License-Identifier: BSD-3-Clause
/*
 * dll.c - WinFsp's exports for the life of a file system: create, dispatch, stop, delete
 *
 * Theory of operation
 *
 *   The volume exists from FspFileSystemCreate() on, is reached through the doors from
 *   FspFileSystemSetMountPointEx() on (mount.c), and is served from FspFileSystemStartDispatcher() on.
 *   Requests that come before the dispatcher wait for it.
 *
 *   One dispatcher thread leads: it starts the others, waits for them at the end, and calls the file
 *   system's dispatcher_stopped. FspFileSystemStopDispatcher() waits for it (WinFsp src/dll/fs.c).
 *
 * Ownership: FspFileSystemDelete() frees the volume.   Locks: queue.lock.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

#define THREADS_LEAST 2u /* WinFsp's numbers */
#define DEFAULT_LEAST 4u
#define DEFAULT_MOST  16u

/* Not __thread: gcc forgets to save rdi and rsi around its access in functions of Microsoft's convention. */
static DWORD context_slot = TLS_OUT_OF_INDEXES;

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, void *reserved)
{
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        DisableThreadLibraryCalls(instance);
        context_slot = TlsAlloc();
    }
    return TRUE;
}

NTSTATUS WINAPI FspVersion(UINT32 *version)
{
    *version = 2u << 16 | 1;
    return STATUS_SUCCESS;
}

static void refuse_unknown(const struct winfsp_volume_params *p)
{
    if (p->flags & WINFSP_CONTEXT_IS_FULL_CONTEXT)
        stop_loudly("full contexts");
    if (p->flags & WINFSP_WSL_FEATURES)
        stop_loudly("WSL features");
    if (p->flags & WINFSP_DEVICE_CONTROL)
        stop_loudly("device control");
    if (p->file_info_timeout == WINFSP_FOREVER && !(p->flags & WINFSP_FLUSH_AND_PURGE_ON_CLEANUP))
        stop_loudly("cached data without FlushAndPurgeOnCleanup");
    if (p->prefix[0])
        stop_loudly("network file systems (a volume prefix)");
    if (p->fsext_control_code)
        stop_loudly("file system extensions");
}

static void set_defaults(struct winfsp_volume_params *p)
{
    uint32_t valid =
        p->version > offsetof(struct winfsp_volume_params, timeout_flags) ? p->timeout_flags : 0;
    uint32_t *timeouts = &p->volume_info_timeout;
    for (unsigned i = 0; i < 5; i++)
        if (!(valid & 1u << i))
            timeouts[i] = p->file_info_timeout;
    if (!p->sector_size)
        p->sector_size = 512;
    if (!p->sectors_per_allocation_unit)
        p->sectors_per_allocation_unit = 1;
    if (!p->max_component_length)
        p->max_component_length = WINFSP_NAME_UNITS;
    if (p->irp_timeout < 60000 || p->irp_timeout > 600000)
        p->irp_timeout = 300000;
    if (p->irp_capacity < 100 || p->irp_capacity > 1000)
        p->irp_capacity = 1000;
    p->file_system_name[WINFSP_FSNAME_UNITS - 1] = 0;
}

NTSTATUS WINAPI FspFileSystemCreate(WCHAR *device, const struct winfsp_volume_params *params,
                                    const struct winfsp_interface *callbacks,
                                    struct winfsp_file_system **out)
{
    *out = NULL;
    if (!name_equal(name_of(device), name_of(WINFSP_DISK_DEVICE), false))
        stop_loudly("devices other than WinFsp.Disk");
    if (params->version && params->version != sizeof *params &&
        params->version != offsetof(struct winfsp_volume_params, timeout_flags))
        return STATUS_INVALID_PARAMETER;
    refuse_unknown(params);
    struct volume *v = calloc(1, sizeof *v);
    if (!v)
        return STATUS_INSUFFICIENT_RESOURCES;
    memcpy(&v->params, params, params->version ? params->version : 456);
    set_defaults(&v->params);
    queue_init(&v->queue);
    gate_init(&v->rename);
    pthread_mutex_init(&v->table, NULL);
    pthread_mutex_init(&v->volume_info_lock, NULL);
    pthread_mutex_init(&v->watch_lock, NULL);
    pthread_cond_init(&v->watched, NULL);
    v->fs.interface_ = callbacks;
    v->fs.enter_operation = dll_enter;
    v->fs.leave_operation = dll_leave;
    v->fs.volume_handle = (HANDLE)(uintptr_t)0x1000;
    v->fs.context_is_user_context2 = volume_flag(v, WINFSP_CONTEXT_IS_USER_CONTEXT2);
    for (unsigned i = 0; i < ARRAY_SIZE(callbacks->reserved); i++)
        if (callbacks->reserved[i])
            violation(v, "reserved slot %u of the interface is not NULL", 33 + i);
    if (v->params.file_info_timeout == WINFSP_FOREVER)
        cache_start_writer(v);
    *out = &v->fs;
    return STATUS_SUCCESS;
}

VOID WINAPI FspFileSystemRemoveMountPoint(struct winfsp_file_system *fs);

VOID WINAPI FspFileSystemDelete(struct winfsp_file_system *fs)
{
    struct volume *v = volume_of(fs);
    if (fs->dispatcher_thread)
        violation(v, "deleted while its dispatcher runs");
    FspFileSystemRemoveMountPoint(fs);
    queue_stop(v, true, true);
    cache_stop_writer(v);
    door_end(v);
    if (v->notify_locked)
        violation(v, "deleted between FspFileSystemNotifyBegin and FspFileSystemNotifyEnd");
    free(v->volume_info_life.data);
    free(v);
}

static void serve(struct volume *v)
{
    /* Of Wine's: a file system may have its driver fill the response (guarded_new()). */
    uint8_t *messages =
        VirtualAlloc(NULL, 2 * WINFSP_MESSAGE_MAX, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    if (!messages)
        stop_loudly("being out of memory");
    struct winfsp_operation_context context = {(void *)messages,
                                               (void *)(messages + WINFSP_MESSAGE_MAX)};
    TlsSetValue(context_slot, &context);
    while (queue_take(v, context.request)) {
        struct winfsp_request *req = context.request;
        struct winfsp_response *rsp = context.response;
        uint64_t hint = req->hint;
        uint32_t kind = req->kind;
        memset(rsp, 0, sizeof *rsp);
        rsp->size = sizeof *rsp;
        rsp->kind = kind;
        rsp->hint = hint;
        rsp->status = (uint32_t)v->fs.enter_operation(&v->fs, req, rsp);
        if (NT_SUCCESS((NTSTATUS)rsp->status)) {
            dll_operation(v, req, rsp);
            v->fs.leave_operation(&v->fs, req, rsp);
        }
        if (rsp->status == (uint32_t)STATUS_PENDING) {
            atomic_fetch_add(&v->pended, 1);
            memset(req, 0xDD, sizeof *req); /* what a file system must not look at any more */
        } else {
            rsp->kind = kind;
            rsp->hint = hint;
            queue_complete(v, rsp);
        }
    }
    TlsSetValue(context_slot, NULL);
    VirtualFree(messages, 0, MEM_RELEASE);
}

static DWORD WINAPI follow(void *arg)
{
    serve(arg);
    return 0;
}

static DWORD WINAPI lead(void *arg)
{
    struct volume *v = arg;
    HANDLE others[DEFAULT_MOST * 4];
    DWORD count = 0;
    while (count + 1 < v->fs.dispatcher_thread_count && count < ARRAY_SIZE(others)) {
        others[count] = CreateThread(NULL, 0, follow, v, 0, NULL);
        if (!others[count])
            break;
        count++;
    }
    serve(v);
    for (DWORD i = 0; i < count; i++) {
        WaitForSingleObject(others[i], INFINITE);
        CloseHandle(others[i]);
    }
    if (v->fs.interface_->dispatcher_stopped) {
        COUNTED(v, dispatcher_stopped);
        v->fs.interface_->dispatcher_stopped(&v->fs, v->queue.normally);
    }
    return 0;
}

NTSTATUS WINAPI FspFileSystemStartDispatcher(struct winfsp_file_system *fs, ULONG threads)
{
    struct volume *v = volume_of(fs);
    if (fs->dispatcher_thread)
        return STATUS_INVALID_PARAMETER;
    if (!threads) {
        SYSTEM_INFO info;
        GetSystemInfo(&info);
        threads = info.dwNumberOfProcessors;
        threads = threads < DEFAULT_LEAST ? DEFAULT_LEAST : threads;
        threads = threads > DEFAULT_MOST ? DEFAULT_MOST : threads;
    }
    if (threads > DEFAULT_MOST * 4)
        stop_loudly("%u dispatcher threads", (unsigned)threads);
    fs->dispatcher_thread_count = threads < THREADS_LEAST ? THREADS_LEAST : threads;
    fs->dispatcher_thread = CreateThread(NULL, 0, lead, v, 0, NULL);
    return fs->dispatcher_thread ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

VOID WINAPI FspFileSystemStopDispatcher(struct winfsp_file_system *fs)
{
    struct volume *v = volume_of(fs);
    if (!fs->dispatcher_thread)
        return;
    queue_stop(v, true, false);
    WaitForSingleObject(fs->dispatcher_thread, INFINITE);
    CloseHandle(fs->dispatcher_thread);
    fs->dispatcher_thread = NULL;
    queue_stop(v, true, true);
}

VOID WINAPI FspFileSystemSendResponse(struct winfsp_file_system *fs,
                                      struct winfsp_response *response)
{
    struct volume *v = volume_of(fs);
    if (response->status == (uint32_t)STATUS_PENDING) {
        violation(v, "FspFileSystemSendResponse with STATUS_PENDING");
        response->status = (uint32_t)STATUS_INTERNAL_ERROR;
    }
    queue_complete(v, response);
}

struct winfsp_operation_context *WINAPI FspFileSystemGetOperationContext(void)
{
    return TlsGetValue(context_slot);
}

VOID WINAPI FspFileSystemSetDebugLogF(struct winfsp_file_system *fs, UINT32 mask)
{
    fs->debug_log = mask;
}

VOID WINAPI FspDebugLogSetHandle(HANDLE handle)
{
    (void)handle; /* the stand-in writes no debug log of its own */
}

VOID WINAPI FspFileSystemSetOperationGuardStrategyF(struct winfsp_file_system *fs, UINT32 strategy)
{
    fs->guard_strategy = strategy;
}
