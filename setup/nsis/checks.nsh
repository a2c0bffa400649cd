; SPDX-License-Identifier: BSD-3-Clause
; checks.nsh - what could be in the way, looked for before the first step
;
; Setup on 32-bit Windows is refused by Windows: this is a 64-bit program. WinFsp is judged by virtiofs.exe itself
; (`virtiofs.exe check`), so there is one rule for what is too old.

!define WINDOWS_10_1809 17763

Var Former       ; 1: viofs is installed already, or setup of it was cut short
Var WinFspMissing ; why WinFsp cannot be used; empty: it can
Var WinFspMsi    ; path of the one beside setup; empty: none
Var Others       ; what other vendors have installed, a line each; empty: nothing

; A section's choice, as pages and switches have it.
!macro SelectIf VARIABLE SECTION
  ${If} ${VARIABLE} == 1
    !insertmacro SelectSection ${SECTION}
  ${Else}
    !insertmacro UnselectSection ${SECTION}
  ${EndIf}
!macroend
!macro ReadSelected SECTION VARIABLE
  ${If} ${SectionIsSelected} ${SECTION}
    StrCpy ${VARIABLE} 1
  ${Else}
    StrCpy ${VARIABLE} 0
  ${EndIf}
!macroend

Function CheckMachine
  ${IfNot} ${IsNativeAMD64}
    ${Refuse} ${EXIT_MACHINE} "viofs has a driver for x64 processors only; this machine has another one."
  ${EndIf}
  ${IfNot} ${AtLeastBuild} ${WINDOWS_10_1809}
    ${WinVerGetBuild} $0
    ${Refuse} ${EXIT_OLD_WINDOWS} "viofs needs Windows 10 version 1809, or Windows Server 2019, or later (build ${WINDOWS_10_1809}). This is build $0."
  ${EndIf}
FunctionEnd

!macro CheckFunctions UN
Function ${UN}CheckRights
  UserInfo::GetAccountType
  Pop $0
  ${If} $0 != "Admin"
    ${Refuse} ${EXIT_RIGHTS} "This needs an administrator: right-click it, then 'Run as administrator'."
  ${EndIf}
FunctionEnd

; Two at a time would undo each other's steps.
Function ${UN}CheckAlone
  System::Call 'kernel32::CreateMutex(p 0, i 0, t "Global\viofs-setup") p .r1 ?e'
  Pop $0
  ${If} $0 == 183 ; ERROR_ALREADY_EXISTS
    ${Refuse} ${EXIT_NOT_ALONE} "viofs is being installed or removed already. Wait until that has ended."
  ${EndIf}
FunctionEnd
!macroend
!insertmacro CheckFunctions ""
!insertmacro CheckFunctions "un."

Function CheckDirectory
  ReadRegStr $0 HKLM "${KEY_RECORD}" "InstallDir"
  StrCpy $Former 0
  ${If} $0 != ""
    StrCpy $Former 1
    ${If} $0 != $INSTDIR
      ${Refuse} ${EXIT_ELSEWHERE} "viofs is installed in $0. Uninstall it first to have it in $INSTDIR."
    ${EndIf}
  ${EndIf}
FunctionEnd

; Room for the files twice: the new ones are there before the old ones go. In KiB.
Function CheckRoom
  IntOp $1 ${FILES_KB} * 2
  IntOp $1 $1 + 512
  StrCpy $2 $INSTDIR 3
  ${DriveSpace} "$2" "/D=F /S=K" $0
  ${If} $0 != ""
  ${AndIf} $0 < $1
    ${Refuse} ${EXIT_FULL} "There are $0 KiB free on $2, and $1 KiB are needed. Nothing was changed."
  ${EndIf}
FunctionEnd

; What the last setup was told, for what this one was not.
!macro FormerChoice VARIABLE STEP
  ${If} ${VARIABLE} == ""
    StrCpy ${VARIABLE} 1
    ${If} $Former == 1
    ${AndIfNot} ${WasBegun} ${STEP}
      StrCpy ${VARIABLE} 0
    ${EndIf}
  ${EndIf}
!macroend

Function ReadFormer
  ; A setup that was cut short has not begun what it was to install: only a finished one has chosen.
  ReadRegStr $0 HKLM "${KEY_RECORD}" "Version"
  ${If} $0 == ""
    StrCpy $Former 0
  ${EndIf}
  !insertmacro FormerChoice $WantDriver "Driver"
  !insertmacro FormerChoice $WantService "Service"
  !insertmacro FormerChoice $WantLauncher "Launcher"
  !insertmacro SelectIf $WantDriver ${SecDriver}
  !insertmacro SelectIf $WantService ${SecService}
  !insertmacro SelectIf $WantLauncher ${SecLauncher}
FunctionEnd

; ---- WinFsp ----------------------------------------------------------------------------------

; The first line after "-> " in what `virtiofs.exe check` says is its reason.
Function CheckWinFsp
  StrCpy $WinFspMissing ""
  ${Run} '"$PLUGINSDIR\virtiofs.exe" check'
  ${If} $ExitCode == ${EXIT_NO_WINFSP}
    ${WordFind} "$Output" "-> " "+2" $0
    ${WordFind} "$0" "$\r" "+1" $WinFspMissing
  ${EndIf}
  Call FindWinFspMsi
FunctionEnd

; The newest by its name: winfsp-2.0.23075.msi
Function FindWinFspMsi
  StrCpy $WinFspMsi ""
  FindFirst $0 $1 "$EXEDIR\winfsp-*.msi"
  ${DoWhile} $1 != ""
    ${If} "$EXEDIR\$1" S> $WinFspMsi
      StrCpy $WinFspMsi "$EXEDIR\$1"
    ${EndIf}
    FindNext $0 $1
  ${Loop}
  FindClose $0
FunctionEnd

; ---- other vendors ---------------------------------------------------------------------------

; Others - of what is chosen, what is there already and is not viofs': a line each
Function FindOthers
  StrCpy $Others ""
  ${If} $WantDriver == 1
    ${Run} '"$PLUGINSDIR\viofs-driver.exe" status'
    ${If} $ExitCode == 183 ; ERROR_ALREADY_EXISTS
      StrCpy $Others "$Others$\r$\nDriver: $Output"
    ${EndIf}
  ${EndIf}
  ${If} $WantService == 1
    ${Run} '"$PLUGINSDIR\viofs-service.exe" status "$INSTDIR\virtiofs.exe"'
    ${If} $ExitCode == 1073 ; ERROR_SERVICE_EXISTS
      StrCpy $Others "$Others$\r$\nService VirtioFsSvc: $Output"
    ${EndIf}
  ${EndIf}
  ${If} $WantLauncher == 1
    SetRegView 32
    ReadRegStr $0 HKLM "${KEY_LAUNCHER}\virtiofs" "Executable"
    SetRegView 64
    ${If} $0 != ""
    ${AndIf} $0 != "$INSTDIR\virtiofs.exe"
      StrCpy $Others "$Others$\r$\nWinFsp.Launcher's virtiofs: $0"
    ${EndIf}
  ${EndIf}
FunctionEnd

; What the pages would ask, when there are none.
Function CheckSilent
  Call CheckRoom
  ${If} $WinFspMissing != ""
    ${If} $InstallWinFsp == 1
      ${If} $WinFspMsi == ""
        ${Refuse} ${EXIT_NO_WINFSP} "/WINFSP: there is no winfsp-*.msi beside $EXEFILE. Get one from ${WINFSP_URL}"
      ${EndIf}
    ${ElseIf} $WithoutWinFsp != 1
      ${Refuse} ${EXIT_NO_WINFSP} "$WinFspMissing. Nothing was changed. /WINFSP runs the winfsp-*.msi that lies beside $EXEFILE, /WITHOUTWINFSP goes on."
    ${EndIf}
  ${EndIf}
  Call FindOthers
  ${If} $Others != ""
  ${AndIf} $Takeover != 1
    ${Refuse} ${EXIT_OTHERS} "Another vendor's virtio-fs is installed. Nothing was changed. /TAKEOVER takes its place.$Others"
  ${EndIf}
FunctionEnd
