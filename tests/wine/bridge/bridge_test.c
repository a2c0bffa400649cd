// SPDX-License-Identifier: BSD-3-Clause
/*
 * bridge_test.c - a Windows program that uses the device as virtiofs.exe does; speaks TAP
 *
 * usage: bridge-test TAG...   the tags of the devices that must be there, in any order
 *
 * What it proves: programs in Wine find the device by its interface, every control code that the bridge carries
 * reaches the driver that ships, with its buffers and statuses, many at once, and can be cancelled.
 */
#include <windows.h>
#include <linux/fuse.h>
#include <setupapi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winternl.h>

#include "abi/viofs_ioctl.h"

#define MANY 64

static const GUID interface_guid = VIOFS_INTERFACE_GUID;
static unsigned n_results, n_failed;
static uint64_t next_unique = 2;

static void result(bool ok, const char *name)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++n_results, name);
    n_failed += !ok;
}

struct message {
    struct fuse_in_header h;
    uint8_t args[128];
};

static DWORD message(struct message *m, uint32_t opcode, const void *args, uint32_t n)
{
    memset(m, 0, sizeof(*m));
    m->h = (struct fuse_in_header){.len = (uint32_t)sizeof(m->h) + n,
                                   .opcode = opcode,
                                   .unique = next_unique += 2,
                                   .nodeid = opcode == FUSE_INIT ? 0 : FUSE_ROOT_ID};
    if (n)
        memcpy(m->args, args, n);
    return m->h.len;
}

/* ---- one control code ------------------------------------------------------------------------ */

struct io {
    OVERLAPPED o;
    DWORD got;
    NTSTATUS status; /* when waited for */
};

static void start(HANDLE h, struct io *io, DWORD code, const void *in, DWORD in_len, void *out,
                  DWORD out_len)
{
    memset(io, 0, sizeof(*io));
    io->o.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    (void)DeviceIoControl(h, code, (void *)in, in_len, out, out_len, NULL, &io->o);
}

static NTSTATUS finish(HANDLE h, struct io *io)
{
    (void)GetOverlappedResult(h, &io->o, &io->got, TRUE);
    CloseHandle(io->o.hEvent);
    return io->status = (NTSTATUS)io->o.Internal;
}

static NTSTATUS call(HANDLE h, DWORD code, const void *in, DWORD in_len, void *out, DWORD out_len,
                     DWORD *got)
{
    struct io io;

    start(h, &io, code, in, in_len, out, out_len);
    (void)finish(h, &io);
    *got = io.got;
    return io.status;
}

/* ---- devices --------------------------------------------------------------------------------- */

static HANDLE open_path(const WCHAR *path)
{
    return CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                       OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
}

/* The n-th device that is present. Return: false after the last one. */
static bool device_path(DWORD n, WCHAR *path, size_t room)
{
    HDEVINFO set =
        SetupDiGetClassDevsW(&interface_guid, NULL, NULL, DIGCF_DEVICEINTERFACE | DIGCF_PRESENT);
    SP_DEVICE_INTERFACE_DATA d = {.cbSize = sizeof(d)};
    union {
        SP_DEVICE_INTERFACE_DETAIL_DATA_W d;
        BYTE bytes[1024];
    } detail = {.d.cbSize = sizeof(detail.d)};
    bool ok = SetupDiEnumDeviceInterfaces(set, NULL, &interface_guid, n, &d) &&
              SetupDiGetDeviceInterfaceDetailW(set, &d, &detail.d, sizeof(detail), NULL, NULL);

    if (ok)
        lstrcpynW(path, detail.d.DevicePath, (int)room);
    SetupDiDestroyDeviceInfoList(set);
    return ok;
}

static bool has_tag(HANDLE h, const char *tag)
{
    WCHAR name[40];
    char narrow[80] = "";
    DWORD got;

    if (!NT_SUCCESS(call(h, IOCTL_VIRTFS_GET_VOLUME_NAME, NULL, 0, name, sizeof(name), &got)))
        return false;
    WideCharToMultiByte(CP_UTF8, 0, name, -1, narrow, sizeof(narrow), NULL, NULL);
    return strcmp(narrow, tag) == 0;
}

/* The device with this tag, opened. */
static HANDLE find_tag(const char *tag)
{
    WCHAR path[512];

    for (DWORD i = 0; device_path(i, path, ARRAYSIZE(path)); i++) {
        HANDLE h = open_path(path);

        if (h != INVALID_HANDLE_VALUE && has_tag(h, tag))
            return h;
        CloseHandle(h);
    }
    return INVALID_HANDLE_VALUE;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static NTSTATUS init_session(HANDLE h)
{
    struct fuse_init_in in = {.major = 7, .minor = 31, .flags = FUSE_MAX_PAGES};
    struct fuse_init_out out = {0};
    struct message m;
    DWORD got;
    DWORD n = message(&m, FUSE_INIT, &in, 16);
    NTSTATUS status = call(h, IOCTL_VIOFS_REQUEST, &m, n, &out, sizeof(out), &got);

    return NT_SUCCESS(status) && out.major != 7 ? (NTSTATUS)0xC0000001 : status;
}

static void test_query(HANDLE h)
{
    struct viofs_query_in in = {.version = 1};
    struct viofs_query_out out;
    DWORD got;
    NTSTATUS status = call(h, IOCTL_VIOFS_QUERY, &in, sizeof(in), &out, sizeof(out), &got);

    result(NT_SUCCESS(status) && got == sizeof(out) && out.version == 1 && out.max_in_flight >= 16,
           "the query tells limits");
    status = call(h, IOCTL_VIOFS_QUERY, &in, 4, &out, sizeof(out), &got);
    result(status == (NTSTATUS)0xC0000023, "a short buffer is refused by the driver");
    status = call(h, 0x22E3FC, &in, sizeof(in), &out, sizeof(out), &got);
    result(status == (NTSTATUS)0xC0000010, "an unknown code is refused by the driver");
}

static void test_session(HANDLE h, const char *tag)
{
    HANDLE other = find_tag(tag);
    NTSTATUS status = init_session(h);
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    struct fuse_entry_out entry;
    struct message m;
    DWORD got, n;

    if (!NT_SUCCESS(status))
        printf("# INIT: %#lx\n", status);
    result(NT_SUCCESS(status), "INIT is answered by the daemon");
    result(init_session(other) == (NTSTATUS)0xC0000043, "another handle finds the session taken");
    n = message(&m, FUSE_GETATTR, &in, sizeof(in));
    status = call(h, IOCTL_VIOFS_REQUEST, &m, n, &out, sizeof(out), &got);
    result(NT_SUCCESS(status) && got == sizeof(out) && (out.attr.mode & 0170000) == 0040000,
           "GETATTR of the root is a directory");
    n = message(&m, FUSE_LOOKUP, "absent", 7);
    status = call(h, IOCTL_VIOFS_REQUEST, &m, n, &entry, sizeof(entry), &got);
    if ((uint32_t)status != viofs_status(-2))
        printf("# LOOKUP: %#lx, %lu bytes\n", status, got);
    result((uint32_t)status == viofs_status(-2) && got == 0, "an errno comes back as a status");
    CloseHandle(other);
}

static void test_many(HANDLE h)
{
    static struct io io[MANY];
    static struct fuse_attr_out out[MANY];
    static struct message m[MANY];
    struct fuse_getattr_in in = {0};
    unsigned good = 0;

    for (int i = 0; i < MANY; i++) {
        DWORD n = message(&m[i], FUSE_GETATTR, &in, sizeof(in));

        start(h, &io[i], IOCTL_VIOFS_REQUEST, &m[i], n, &out[i], sizeof(out[i]));
    }
    for (int i = 0; i < MANY; i++)
        good += NT_SUCCESS(finish(h, &io[i])) && io[i].got == sizeof(out[i]);
    result(good == MANY, "64 requests at once are all answered");
}

struct handles {
    uint64_t node, fh;
};

static bool create_file(HANDLE h, const char *name, struct handles *f)
{
    struct {
        struct fuse_create_in in;
        char name[32];
    } args = {.in = {.flags = 2, .mode = 0100644}};
    struct {
        struct fuse_entry_out e;
        struct fuse_open_out o;
    } out;
    struct message m;
    DWORD got, n;

    strcpy(args.name, name);
    n = message(&m, FUSE_CREATE, &args, (uint32_t)(sizeof(args.in) + strlen(name) + 1));
    if (!NT_SUCCESS(call(h, IOCTL_VIOFS_REQUEST, &m, n, &out, sizeof(out), &got)))
        return false;
    *f = (struct handles){out.e.nodeid, out.o.fh};
    return true;
}

static NTSTATUS write_file(HANDLE h, const struct handles *f, const void *data, DWORD n, DWORD *got)
{
    struct fuse_write_in in = {.fh = f->fh, .size = n};
    struct message m;
    DWORD len = message(&m, FUSE_WRITE, &in, sizeof(in));

    m.h.nodeid = f->node;
    m.h.len += n;
    return call(h, IOCTL_VIOFS_WRITE, &m, len, (void *)data, n, got);
}

static NTSTATUS read_file(HANDLE h, const struct handles *f, void *data, DWORD n, DWORD *got)
{
    struct fuse_read_in in = {.fh = f->fh, .size = n};
    struct message m;
    DWORD len = message(&m, FUSE_READ, &in, sizeof(in));

    m.h.nodeid = f->node;
    return call(h, IOCTL_VIOFS_REQUEST, &m, len, data, n, got);
}

static void test_payload(HANDLE h)
{
    DWORD n = 1 << 20, got;
    uint8_t *out = malloc(n), *in = calloc(1, n);
    struct handles f = {0};
    LARGE_INTEGER t0, t1, rate;

    for (DWORD i = 0; i < n; i++)
        out[i] = (uint8_t)(i * 7 + (i >> 12));
    result(create_file(h, "payload", &f), "a file is created");
    result(NT_SUCCESS(write_file(h, &f, out, n, &got)) && got == n, "a mebibyte is written");
    QueryPerformanceCounter(&t0);
    result(NT_SUCCESS(read_file(h, &f, in, n, &got)) && got == n && memcmp(in, out, n) == 0,
           "and read back");
    QueryPerformanceCounter(&t1);
    QueryPerformanceFrequency(&rate);
    printf("# a mebibyte in %lld us\n", (t1.QuadPart - t0.QuadPart) * 1000000 / rate.QuadPart);
    free(in);
    free(out);
}

static void test_speed(HANDLE h)
{
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    struct message m;
    LARGE_INTEGER t0, t1, rate;
    DWORD got;

    QueryPerformanceCounter(&t0);
    for (int i = 0; i < 1000; i++) {
        DWORD n = message(&m, FUSE_GETATTR, &in, sizeof(in));

        (void)call(h, IOCTL_VIOFS_REQUEST, &m, n, &out, sizeof(out), &got);
    }
    QueryPerformanceCounter(&t1);
    QueryPerformanceFrequency(&rate);
    printf("# %lld us a GETATTR, one at a time\n",
           (t1.QuadPart - t0.QuadPart) * 1000 / rate.QuadPart);
}

static void test_device(const char *tag)
{
    HANDLE h = find_tag(tag);

    result(h != INVALID_HANDLE_VALUE, "the device is found by its interface and tag");
    if (h == INVALID_HANDLE_VALUE)
        return;
    test_query(h);
    test_session(h, tag);
    test_many(h);
    test_payload(h);
    test_speed(h);
    CloseHandle(h);
    h = find_tag(tag);
    result(NT_SUCCESS(init_session(h)), "a closed handle gives the session up");
    CloseHandle(h);
}

int main(int argc, char **argv)
{
    WCHAR path[512];
    DWORD n = 0;

    setvbuf(stdout, NULL, _IONBF, 0);
    while (device_path(n, path, ARRAYSIZE(path)))
        n++;
    result(n == (DWORD)(argc - 1), "as many devices are present as are plugged in");
    for (int i = 1; i < argc; i++)
        test_device(argv[i]);
    printf("1..%u\n", n_results);
    return n_failed != 0;
}
