// SPDX-License-Identifier: BSD-3-Clause
/*
 * helper.c - what viofs-driver.exe and viofs-service.exe have in common
 *
 * Theory of operation
 *
 *   Both are run by the installer and by people. A command line is one command, its operand, and flags in any
 *   order. Everything is said on standard output, because the installer shows that and nothing else; the
 *   exit code says the same to a program.
 *
 * Ownership: none.   Locks: none; one thread.
 */
#include "setup/helper/helper.h"

#include "service/win/text.h"

static bool is_administrator(void)
{
    SID_IDENTIFIER_AUTHORITY nt = SECURITY_NT_AUTHORITY;
    BOOL member = FALSE;
    PSID sid;

    if (!AllocateAndInitializeSid(&nt, 2, SECURITY_BUILTIN_DOMAIN_RID, DOMAIN_ALIAS_RID_ADMINS, 0,
                                  0, 0, 0, 0, 0, &sid))
        return false;
    if (!CheckTokenMembership(NULL, sid, &member))
        member = FALSE;
    FreeSid(sid);
    return member;
}

static void usage(const struct hlp_program *p)
{
    for (const struct hlp_command *c = p->commands; c->name; c++)
        svc_print(L"%ls %ls%ls%ls\r\n    %ls\r\n", p->name, c->name, c->operand ? L" " : L"",
                  c->operand ? c->operand : L"", c->what);
    for (const struct hlp_flag *f = p->flags; f->name; f++)
        svc_print(L"%ls\r\n    %ls\r\n", f->name, f->what);
    svc_print(L"\r\nExit codes\r\n%ls", p->codes);
}

static DWORD wrong(const struct hlp_program *p, const wchar_t *what, const wchar_t *word)
{
    svc_print(L"%ls: %ls%ls\r\nTry: %ls --help\r\n", p->name, what, word, p->name);
    return ERROR_INVALID_PARAMETER;
}

static unsigned flag_bit(const struct hlp_program *p, const wchar_t *word)
{
    for (const struct hlp_flag *f = p->flags; f->name; f++)
        if (wcscmp(f->name, word) == 0)
            return f->bit;
    return 0;
}

static const struct hlp_command *find_command(const struct hlp_program *p, const wchar_t *word)
{
    for (const struct hlp_command *c = p->commands; c->name; c++)
        if (wcscmp(c->name, word) == 0)
            return c;
    return NULL;
}

int hlp_main(const struct hlp_program *p, int argc, wchar_t **argv)
{
    const wchar_t *word[2] = {NULL, NULL};
    const struct hlp_command *command;
    unsigned words = 0, flags = 0;

    for (int i = 1; i < argc; i++) {
        unsigned bit = flag_bit(p, argv[i]);

        if (wcscmp(argv[i], L"--help") == 0 || wcscmp(argv[i], L"-?") == 0) {
            usage(p);
            return ERROR_SUCCESS;
        }
        flags |= bit;
        if (bit)
            continue;
        if (argv[i][0] == L'-')
            return (int)wrong(p, L"there is no such option: ", argv[i]);
        if (words == ARRAYSIZE(word))
            return (int)wrong(p, L"one word too many: ", argv[i]);
        word[words++] = argv[i];
    }
    command = word[0] ? find_command(p, word[0]) : NULL;
    if (!command)
        return (int)wrong(p, word[0] ? L"there is no such command: " : L"a command is missing",
                          word[0] ? word[0] : L"");
    if (command->operand && !word[1])
        return (int)wrong(p, L"the command needs ", command->operand);
    if (!command->operand && word[1])
        return (int)wrong(p, L"one word too many: ", word[1]);
    if (command->changes && !is_administrator()) {
        svc_print(L"%ls %ls: run this as an administrator\r\n", p->name, command->name);
        return ERROR_ACCESS_DENIED;
    }
    return (int)command->run(word[1], flags);
}

DWORD hlp_fail(DWORD error, const wchar_t *what)
{
    wchar_t text[256];

    svc_error_text(error, text);
    svc_print(L"%ls: %ls (%lu)\r\n", what, text, error);
    return error;
}
