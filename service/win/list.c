// SPDX-License-Identifier: BSD-3-Clause
/*
 * list.c - `virtiofs.exe list`: what is shared, what is mounted where
 *
 * Theory of operation
 *
 *   Two things are put together: what processes that serve shares have said (running.c), which everyone may
 *   read, and the devices that are there, which only administrators may ask for their tags. A device that
 *   no process speaks of is shown as not mounted. Below a share that is mounted stands what is in force of its settings
 *   (service/winfsp/modes.c).
 *
 * Ownership: everything is this command's.   Locks: none.
 */
#include "service/win/process.h"

#include "service/win/text.h"
#include "service/win/transport.h"

struct seen {
    unsigned count;                                        /* of `device` */
    wchar_t device[SVC_MAX_DEVICES][SVC_DEVICE_UNITS + 1]; /* that some process speaks of */
    unsigned processes;
    DWORD last_pid;
};

#define LINE L"%-36ls  %-12ls  %-14ls  %ls\r\n"

/* The lines of svc_modes_text(): a name, a tab, what is in force. */
static void print_modes(const wchar_t *text)
{
    while (*text) {
        const wchar_t *tab = wcschr(text, L'\t'), *end = wcschr(text, L'\n');

        if (!tab || !end || tab > end)
            return;
        svc_print(L"    %-12.*ls%.*ls\r\n", (int)(tab - text), text, (int)(end - tab - 1), tab + 1);
        text = end + 1;
    }
}

static void print_share(const struct svc_process_status *process,
                        const struct svc_share_status *share)
{
    wchar_t by[MAX_PATH + 64];

    if (process->service)
        svc_format(by, ARRAYSIZE(by), L"service, process %lu", process->pid);
    else
        svc_format(by, ARRAYSIZE(by), L"process %lu", process->pid);
    svc_print(LINE, share->tag[0] ? share->tag : L"?",
              share->mount_point[0] ? share->mount_point : L"-",
              svc_share_state_names[share->state], by);
    if (share->message[0] && share->state != SVC_SHARE_NOT_OURS)
        svc_print(L"    %ls\r\n", share->message);
    print_modes(share->modes);
}

static bool on_share(void *user, const struct svc_process_status *process,
                     const struct svc_share_status *share)
{
    struct seen *seen = user;

    if (process->pid != seen->last_pid)
        seen->processes++;
    seen->last_pid = process->pid;
    if (!share || share->state == SVC_SHARE_NOT_OURS)
        return true;
    print_share(process, share);
    if (seen->count < SVC_MAX_DEVICES)
        svc_format(seen->device[seen->count++], SVC_DEVICE_UNITS + 1, L"%ls", share->device);
    return true;
}

static bool is_seen(const struct seen *seen, const wchar_t *device)
{
    for (unsigned i = 0; i < seen->count; i++)
        if (_wcsicmp(seen->device[i], device) == 0)
            return true;
    return false;
}

/* A device that nobody serves. */
static void print_device(const wchar_t *path)
{
    struct svc_device_facts facts;
    struct dev_io *d;
    DWORD error = dev_io_open(&d, path, 1);

    if (error) {
        svc_print(LINE, L"?", L"-", L"not mounted",
                  error == ERROR_ACCESS_DENIED ? L"its tag can be seen by administrators only"
                                               : L"the device cannot be opened");
        return;
    }
    if (svc_device_ask(d, &facts) == 0)
        svc_print(LINE, facts.tag, L"-", L"not mounted",
                  facts.owned ? L"another program has its session" : L"");
    else
        svc_print(LINE, L"?", L"-", L"not mounted", L"the driver does not answer");
    dev_io_close(d);
}

static void print_versions(unsigned processes)
{
    struct svc_winfsp winfsp;
    struct svc_error reason;

    svc_print(L"\r\nvirtiofs.exe " VIOFS_VERSION L", ");
    if (svc_winfsp_load(&winfsp, &reason) == ERROR_SUCCESS)
        svc_print(L"WinFsp %u.%u\r\n", winfsp.version >> 16, winfsp.version & 0xFFFF);
    else
        svc_print(L"no WinFsp\r\n");
    if (processes == 0)
        svc_print(L"No virtiofs.exe is running that mounts shares: sc start VirtioFsSvc\r\n");
}

DWORD svc_list_run(void)
{
    static struct seen seen; /* too large for a stack */
    struct svc_device_list list;

    svc_print(LINE, L"TAG", L"MOUNT POINT", L"STATE", L"BY");
    svc_running_each(on_share, &seen);
    if (svc_devices_list(&list) == ERROR_SUCCESS) {
        for (unsigned i = 0; i < list.count; i++)
            if (!is_seen(&seen, list.path[i]))
                print_device(list.path[i]);
        if (list.count == 0 && seen.count == 0)
            svc_print(L"(no virtio-fs device is there; see virtiofs.exe check)\r\n");
        svc_devices_free(&list);
    }
    print_versions(seen.processes);
    return ERROR_SUCCESS;
}
