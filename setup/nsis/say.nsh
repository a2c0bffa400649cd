; SPDX-License-Identifier: BSD-3-Clause
; say.nsh - words, exit codes, and programs that are run
;
; Exit codes are Win32 errors where there is one; setup/README.md has the list. Everything that is said is in the
; details of the last page, and in the file that /LOG= names.

!define EXIT_FULL 112          ; ERROR_DISK_FULL
!define EXIT_OPTION 87         ; ERROR_INVALID_PARAMETER
!define EXIT_RIGHTS 5          ; ERROR_ACCESS_DENIED
!define EXIT_MACHINE 216       ; ERROR_EXE_MACHINE_TYPE_MISMATCH
!define EXIT_OLD_WINDOWS 1150  ; ERROR_OLD_WIN_VERSION
!define EXIT_NO_WINFSP 1285    ; ERROR_DELAY_LOAD_FAILED, as virtiofs.exe
!define EXIT_NOT_ALONE 1618    ; ERROR_INSTALL_ALREADY_RUNNING
!define EXIT_ELSEWHERE 1638    ; ERROR_PRODUCT_VERSION
!define EXIT_OTHERS 1073       ; ERROR_SERVICE_EXISTS
!define EXIT_NOT_STARTED 1062  ; ERROR_SERVICE_NOT_ACTIVE
!define EXIT_RESTART 3010      ; ERROR_SUCCESS_REBOOT_REQUIRED

Var LogFile
Var ExitCode ; of the program that was run last
Var Output   ; and what it said, 1023 characters at most

!define Say `!insertmacro SayCall`
!macro SayCall TEXT
  Push `${TEXT}`
  !ifdef __UNINSTALL__
    Call un.Say
  !else
    Call Say
  !endif
!macroend

; Refuse CODE TEXT - say why, and end setup; only before the first step
!define Refuse `!insertmacro RefuseCall`
!macro RefuseCall CODE TEXT
  SetErrorLevel ${CODE}
  ${Say} `${TEXT}`
  MessageBox MB_OK|MB_ICONSTOP `${TEXT}` /SD IDOK
  Quit
!macroend

; Run COMMAND - run a console program; $ExitCode is a number, $Output what it said
!define Run `!insertmacro RunCall`
!macro RunCall COMMAND
  nsExec::ExecToStack /TIMEOUT=300000 `${COMMAND}`
  Pop $ExitCode
  Pop $Output
  ${TrimNewLines} "$Output" $Output
  ${If} $ExitCode == "error"
    StrCpy $ExitCode 2
  ${ElseIf} $ExitCode == "timeout"
    StrCpy $ExitCode 1460
  ${EndIf}
!macroend

!macro SayFunctions UN
Function ${UN}Say
  Exch $0
  ${If} $LogFile != ""
    FileWrite $LogFile "$0$\r$\n"
  ${EndIf}
  ${WordReplace} "$0" "$\r$\n" " " "+" $0 ; a detail is one line
  DetailPrint "$0"
  Pop $0
FunctionEnd
!macroend
!insertmacro SayFunctions ""
!insertmacro SayFunctions "un."
