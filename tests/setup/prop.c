// SPDX-License-Identifier: BSD-3-Clause
/*
 * prop.c - what the installer's tests need inside a Wine prefix
 *
 *   prop device add|remove     a virtio-fs device that can be given a driver
 *   prop save FILE KEY         a key below HKEY_LOCAL_MACHINE, as text
 *   prop powerless COMMAND     run a program without an administrator's rights
 *   prop alone COMMAND         run a program while setup's mutex is held
 *   prop kill STEP|-STEP COMMAND
 *                              run setup and kill it, with all that it started, when the record says that STEP is done
 *                              (-STEP: is undone); exit code 0 if it was killed, 1 if it ended before
 *   prop texts                 what is to be read in setup's window, a line each; exit code 1 without one
 *
 * The device stands for the PCI function that a bus would find: it is enumerated by the root, and has the hardware ids
 * that Windows gives a virtio-fs device. There is nothing behind it, so no driver can work with it; what can be
 * seen is which driver it was given.
 */
#include <windows.h>

#include <setupapi.h>
#include <stdio.h>
#include <wchar.h>

#define RECORD L"Software\\viofs\\Setup"

static const GUID system_class = {
    0x4d36e97d, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
static const WCHAR instance[] = L"root\\viofs-test\\0000";
static const WCHAR hardware_ids[] = L"PCI\\VEN_1AF4&DEV_105A&SUBSYS_11001AF4&REV_01\0"
                                    L"PCI\\VEN_1AF4&DEV_105A\0"; /* REG_MULTI_SZ */

static int fail(const char *what)
{
    printf("prop: %s: error %lu\n", what, GetLastError());
    return 2;
}

/* ---- device --------------------------------------------------------------------------------- */

static int add_device(HDEVINFO set)
{
    SP_DEVINFO_DATA d = {.cbSize = sizeof(d)};

    if (!SetupDiCreateDeviceInfoW(set, instance, &system_class, NULL, NULL, 0, &d))
        return fail("create");
    if (!SetupDiSetDeviceRegistryPropertyW(set, &d, SPDRP_HARDWAREID, (const BYTE *)hardware_ids,
                                           sizeof(hardware_ids)))
        return fail("hardware id");
    return SetupDiCallClassInstaller(DIF_REGISTERDEVICE, set, &d) ? 0 : fail("register");
}

static int remove_device(HDEVINFO set)
{
    SP_DEVINFO_DATA d = {.cbSize = sizeof(d)};

    if (!SetupDiOpenDeviceInfoW(set, instance, NULL, 0, &d))
        return fail("open");
    return SetupDiCallClassInstaller(DIF_REMOVE, set, &d) ? 0 : fail("remove");
}

static int device(const WCHAR *what)
{
    HDEVINFO set = SetupDiCreateDeviceInfoList(NULL, NULL);
    int status = wcscmp(what, L"add") == 0 ? add_device(set) : remove_device(set);

    SetupDiDestroyDeviceInfoList(set);
    return status;
}

/* ---- registry ------------------------------------------------------------------------------- */

static int save(const WCHAR *file, const WCHAR *path)
{
    TOKEN_PRIVILEGES backup = {.PrivilegeCount = 1,
                               .Privileges[0].Attributes = SE_PRIVILEGE_ENABLED};
    HANDLE token;
    LSTATUS error;
    HKEY key;

    LookupPrivilegeValueW(NULL, SE_BACKUP_NAME, &backup.Privileges[0].Luid);
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES, &token) ||
        !AdjustTokenPrivileges(token, FALSE, &backup, 0, NULL, NULL))
        return fail("privilege");
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &key))
        return fail("key");
    DeleteFileW(file);
    error = RegSaveKeyW(key, file, NULL);
    SetLastError((DWORD)error);
    return error ? fail("save") : 0;
}

/* ---- processes ------------------------------------------------------------------------------ */

static int run(HANDLE token, WCHAR *command, HANDLE *process)
{
    STARTUPINFOW start = {.cb = sizeof(start)};
    PROCESS_INFORMATION info;
    DWORD code;

    if (!(token ? CreateProcessAsUserW(token, NULL, command, NULL, NULL, TRUE, 0, NULL, NULL,
                                       &start, &info)
                : CreateProcessW(NULL, command, NULL, NULL, TRUE, process ? CREATE_SUSPENDED : 0,
                                 NULL, NULL, &start, &info)))
        return fail("run");
    if (process) {
        HANDLE job = CreateJobObjectW(NULL, NULL);

        AssignProcessToJobObject(job, info.hProcess);
        ResumeThread(info.hThread);
        process[0] = info.hProcess;
        process[1] = job;
        return 0;
    }
    WaitForSingleObject(info.hProcess, INFINITE);
    GetExitCodeProcess(info.hProcess, &code);
    return (int)code;
}

static int powerless(WCHAR *command)
{
    SID_IDENTIFIER_AUTHORITY nt = SECURITY_NT_AUTHORITY;
    SID_AND_ATTRIBUTES administrators = {0};
    HANDLE token, less;

    AllocateAndInitializeSid(&nt, 2, SECURITY_BUILTIN_DOMAIN_RID, DOMAIN_ALIAS_RID_ADMINS, 0, 0, 0,
                             0, 0, 0, &administrators.Sid);
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, &token) ||
        !CreateRestrictedToken(token, DISABLE_MAX_PRIVILEGE, 1, &administrators, 0, NULL, 0, NULL,
                               &less))
        return fail("token");
    return run(less, command, NULL);
}

static int alone(WCHAR *command)
{
    if (!CreateMutexW(NULL, FALSE, L"Global\\viofs-setup"))
        return fail("mutex");
    return run(NULL, command, NULL);
}

/* Has the record come to what is waited for? */
static BOOL reached(const WCHAR *step)
{
    DWORD state, size = sizeof(state);
    LSTATUS error = RegGetValueW(HKEY_LOCAL_MACHINE, RECORD, step + (step[0] == L'-'),
                                 RRF_RT_REG_DWORD, NULL, &state, &size);

    return step[0] == L'-' ? error != ERROR_SUCCESS : error == ERROR_SUCCESS && state == 2;
}

static int kill_at(const WCHAR *step, WCHAR *command)
{
    HANDLE process[2];
    int status = run(NULL, command, process);

    if (status)
        return status;
    while (!reached(step))
        if (WaitForSingleObject(process[0], 0) == WAIT_OBJECT_0)
            return 1;
    if (!TerminateJobObject(process[1], 99))
        return fail("kill");
    WaitForSingleObject(process[0], INFINITE);
    return 0;
}

/* ---- windows -------------------------------------------------------------------------------- */

static BOOL CALLBACK print_text(HWND window, LPARAM unused)
{
    WCHAR text[1024];
    char bytes[3072];

    (void)unused;
    if (IsWindowVisible(window) && GetWindowTextW(window, text, ARRAYSIZE(text)) > 0 &&
        WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof(bytes), NULL, NULL))
        printf("%s\n", bytes);
    return TRUE;
}

static BOOL CALLBACK print_dialog(HWND window, LPARAM found)
{
    WCHAR title[256];

    if (!IsWindowVisible(window) || GetWindowTextW(window, title, ARRAYSIZE(title)) <= 0 ||
        !wcsstr(title, L"viofs"))
        return TRUE;
    *(BOOL *)found = TRUE;
    print_text(window, 0);
    EnumChildWindows(window, print_text, 0);
    return TRUE;
}

static int texts(void)
{
    BOOL found = FALSE;

    EnumWindows(print_dialog, (LPARAM)&found);
    return found ? 0 : 1;
}

/* What follows the first @words words of the command line, as it was written. */
static WCHAR *rest(int words)
{
    WCHAR *at = GetCommandLineW();

    while (words-- > 0) {
        BOOL quoted = *at == L'"';

        at = wcschr(at + quoted, quoted ? L'"' : L' ') + quoted;
        while (*at == L' ')
            at++;
    }
    return at;
}

int wmain(int argc, wchar_t **argv)
{
    if (argc >= 3 && wcscmp(argv[1], L"device") == 0)
        return device(argv[2]);
    if (argc >= 4 && wcscmp(argv[1], L"save") == 0)
        return save(argv[2], argv[3]);
    if (argc >= 3 && wcscmp(argv[1], L"powerless") == 0)
        return powerless(rest(2));
    if (argc >= 3 && wcscmp(argv[1], L"alone") == 0)
        return alone(rest(2));
    if (argc >= 4 && wcscmp(argv[1], L"kill") == 0)
        return kill_at(argv[2], rest(3));
    if (argc == 2 && wcscmp(argv[1], L"texts") == 0)
        return texts();
    printf("prop: see prop.c\n");
    return 2;
}
