// SPDX-License-Identifier: BSD-3-Clause
/*
 * watch.c - devices that come and go
 *
 * Theory of operation
 *
 *   CM_Register_Notification() calls back for a class of interfaces and for open handles, without a window.
 *   It is looked up at run time: Wine has none. There a hidden window on a thread of its own gets
 *   WM_DEVICECHANGE; being asked before a removal is not to be had there, and Wine never asks. A service that Wine
 *   starts with itself is told nothing, ever, so for the first minute the window also has a timer.
 *
 * Ownership: registrations are theirs who made them.   Locks: none.
 * Source: the documentation of CM_Register_Notification and RegisterDeviceNotification.
 */
#include "service/win/watch.h"

#include <stdlib.h>

#include <cfgmgr32.h>
#include <dbt.h>

#include "service/win/devices.h"

#define TIMER_MS    2000u
#define TIMER_TICKS 30

typedef CONFIGRET(WINAPI *cm_register)(CM_NOTIFY_FILTER *filter, void *context,
                                       PCM_NOTIFY_CALLBACK callback, HCMNOTIFICATION *out);
typedef CONFIGRET(WINAPI *cm_unregister)(HCMNOTIFICATION handle);

struct svc_watch {
    void (*changed)(void *user);
    void *user;
    HCMNOTIFICATION notification; /* or NULL: there is a window */
    HANDLE thread;                /* of the window */
    DWORD thread_id;
    HANDLE ready;   /* the thread has its window, or cannot have it */
    unsigned ticks; /* of the window's timer */
};

struct svc_watch_handle {
    const struct svc_watch_handle_ops *ops;
    void *user;
    HCMNOTIFICATION notification;
};

/* A function of cfgmgr32.dll, which is loaded anyway; NULL where it is too old. */
static FARPROC cm_function(const char *name)
{
    HMODULE module = LoadLibraryExW(L"cfgmgr32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);

    return module ? GetProcAddress(module, name) : NULL;
}

static HCMNOTIFICATION register_filter(CM_NOTIFY_FILTER *filter, void *context,
                                       PCM_NOTIFY_CALLBACK callback)
{
    cm_register function = (cm_register)(void *)cm_function("CM_Register_Notification");
    HCMNOTIFICATION out = NULL;

    filter->cbSize = sizeof(*filter);
    if (!function || function(filter, context, callback, &out) != CR_SUCCESS)
        return NULL;
    return out;
}

static void unregister(HCMNOTIFICATION notification)
{
    cm_unregister function = (cm_unregister)(void *)cm_function("CM_Unregister_Notification");

    if (function && notification)
        function(notification);
}

/* ---- interfaces ----------------------------------------------------------------------------- */

static DWORD CALLBACK on_interface(HCMNOTIFICATION notification, void *context,
                                   CM_NOTIFY_ACTION action, CM_NOTIFY_EVENT_DATA *data, DWORD size)
{
    struct svc_watch *w = context;

    (void)notification;
    (void)data;
    (void)size;
    if (action == CM_NOTIFY_ACTION_DEVICEINTERFACEARRIVAL ||
        action == CM_NOTIFY_ACTION_DEVICEINTERFACEREMOVAL)
        w->changed(w->user);
    return ERROR_SUCCESS;
}

static LRESULT CALLBACK on_message(HWND window, UINT message, WPARAM wparam, LPARAM lparam)
{
    struct svc_watch *w = (struct svc_watch *)GetWindowLongPtrW(window, GWLP_USERDATA);

    if (message == WM_DEVICECHANGE && w &&
        (wparam == DBT_DEVICEARRIVAL || wparam == DBT_DEVICEREMOVECOMPLETE))
        w->changed(w->user);
    if (message == WM_TIMER && w) {
        w->changed(w->user);
        if (++w->ticks == TIMER_TICKS)
            KillTimer(window, wparam);
    }
    return DefWindowProcW(window, message, wparam, lparam);
}

static HWND make_window(struct svc_watch *w)
{
    const WNDCLASSW class = {.lpfnWndProc = on_message,
                             .hInstance = GetModuleHandleW(NULL),
                             .lpszClassName = L"viofs device watch"};
    DEV_BROADCAST_DEVICEINTERFACE_W filter = {.dbcc_size = sizeof(filter),
                                              .dbcc_devicetype = DBT_DEVTYP_DEVICEINTERFACE,
                                              .dbcc_classguid = svc_interface_guid};
    HWND window;

    RegisterClassW(&class);
    window = CreateWindowW(class.lpszClassName, L"", 0, 0, 0, 0, 0, HWND_MESSAGE, NULL,
                           class.hInstance, NULL);
    if (!window)
        return NULL;
    SetWindowLongPtrW(window, GWLP_USERDATA, (LONG_PTR)w);
    SetTimer(window, 1, TIMER_MS, NULL);
    if (RegisterDeviceNotificationW(window, &filter, DEVICE_NOTIFY_WINDOW_HANDLE))
        return window;
    DestroyWindow(window);
    return NULL;
}

static DWORD WINAPI window_thread(void *arg)
{
    struct svc_watch *w = arg;
    HWND window = make_window(w);
    MSG message;

    PeekMessageW(&message, NULL, 0, 0, PM_NOREMOVE); /* there is a queue now, for WM_QUIT */
    SetEvent(w->ready);
    while (window && GetMessageW(&message, NULL, 0, 0) > 0)
        DispatchMessageW(&message);
    if (window)
        DestroyWindow(window); /* its registration goes with it */
    return window == NULL;
}

static bool start_window(struct svc_watch *w)
{
    w->ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    w->thread = w->ready ? CreateThread(NULL, 0, window_thread, w, 0, &w->thread_id) : NULL;
    if (!w->thread)
        return false;
    WaitForSingleObject(w->ready, INFINITE);
    return WaitForSingleObject(w->thread, 0) == WAIT_TIMEOUT;
}

struct svc_watch *svc_watch_open(void (*changed)(void *user), void *user)
{
    CM_NOTIFY_FILTER filter = {.FilterType = CM_NOTIFY_FILTER_TYPE_DEVICEINTERFACE,
                               .u.DeviceInterface.ClassGuid = svc_interface_guid};
    struct svc_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->changed = changed;
    w->user = user;
    w->notification = register_filter(&filter, w, on_interface);
    if (w->notification || start_window(w))
        return w;
    svc_watch_close(w);
    return NULL;
}

void svc_watch_close(struct svc_watch *w)
{
    if (!w)
        return;
    unregister(w->notification);
    if (w->thread) {
        PostThreadMessageW(w->thread_id, WM_QUIT, 0, 0);
        WaitForSingleObject(w->thread, INFINITE);
        CloseHandle(w->thread);
    }
    if (w->ready)
        CloseHandle(w->ready);
    free(w);
}

/* ---- handles -------------------------------------------------------------------------------- */

static DWORD CALLBACK on_handle(HCMNOTIFICATION notification, void *context,
                                CM_NOTIFY_ACTION action, CM_NOTIFY_EVENT_DATA *data, DWORD size)
{
    struct svc_watch_handle *h = context;

    (void)notification;
    (void)data;
    (void)size;
    switch (action) {
    case CM_NOTIFY_ACTION_DEVICEQUERYREMOVE:
        return h->ops->leave(h->user) ? ERROR_SUCCESS : ERROR_CANCELLED;
    case CM_NOTIFY_ACTION_DEVICEQUERYREMOVEFAILED:
        h->ops->stayed(h->user);
        break;
    case CM_NOTIFY_ACTION_DEVICEREMOVEPENDING:
    case CM_NOTIFY_ACTION_DEVICEREMOVECOMPLETE:
        h->ops->gone(h->user);
        break;
    default:
        break;
    }
    return ERROR_SUCCESS;
}

struct svc_watch_handle *svc_watch_handle(HANDLE device, const struct svc_watch_handle_ops *ops,
                                          void *user)
{
    CM_NOTIFY_FILTER filter = {.FilterType = CM_NOTIFY_FILTER_TYPE_DEVICEHANDLE,
                               .u.DeviceHandle.hTarget = device};
    struct svc_watch_handle *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->ops = ops;
    h->user = user;
    h->notification = register_filter(&filter, h, on_handle);
    if (h->notification)
        return h;
    free(h);
    return NULL;
}

void svc_unwatch_handle(struct svc_watch_handle *h)
{
    if (!h)
        return;
    unregister(h->notification);
    free(h);
}
