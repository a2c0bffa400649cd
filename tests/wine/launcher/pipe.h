// SPDX-License-Identifier: BSD-3-Clause
/*
 * pipe.h - what the stand-ins for launchctl-x64.exe and WinFsp.Launcher say to each other
 *
 * One message each way, UTF-16, words that end with a NUL: COMMAND CLASS INSTANCE ARGUMENT... there, and
 * one text back. WinFsp's own pipe has another name and other words; nothing of ours speaks to it.
 */
#ifndef VIOFS_TESTS_LAUNCHER_PIPE_H
#define VIOFS_TESTS_LAUNCHER_PIPE_H

#define PIPE_NAME  L"\\\\.\\pipe\\viofs stand-in for WinFsp.Launcher"
#define PIPE_UNITS 2048
#define PIPE_WORDS 12 /* command, class, instance, and the nine of %1 to %9 */

#endif
