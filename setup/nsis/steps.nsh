; SPDX-License-Identifier: BSD-3-Clause
; steps.nsh - what setup does, in this order, and how each of it is undone
;
;   Uninstaller   the uninstaller and its entry in "Apps": from here on everything can be removed
;   WinFsp        its MSI, if asked; it is a product of its own and is not removed by viofs
;   Files         beside the old ones first; when all are there, the service stops and they change places
;   Driver        viofs-driver.exe
;   Service       viofs-service.exe
;   Launcher      the values that WinFsp's fsreg.bat writes, in the registry's 32-bit view
;   Settings      CaseInsensitive and FileSystemName, if they were said
;   Links         the Start menu
;   (start)       the service, if it is new or ran before
;
; Do* end setup when they fail; Undo* go on, and leave their mark in the record when something stayed.

Var Result      ; exit code of a setup that got to its end
Var Stayed      ; uninstall: 1, something could not be removed

; FailStep WHAT - a step could not be done: say so, and end with the code of the program that tried
!define FailStep `!insertmacro FailStepCall`
!macro FailStepCall WHAT
  ${Say} "${WHAT} (code $ExitCode). What was done stays; run setup again, or uninstall it."
  SetErrorLevel $ExitCode
  Abort "${WHAT}"
!macroend

; ---- the uninstaller -------------------------------------------------------------------------

Function BeginSetup
  StrCpy $Result 0
  !insertmacro ReadSelected ${SecDriver} $WantDriver
  !insertmacro ReadSelected ${SecService} $WantService
  !insertmacro ReadSelected ${SecLauncher} $WantLauncher
  Call CheckRoom
FunctionEnd

!define UninstallValue `WriteRegStr HKLM "${KEY_UNINSTALL}"`
Function DoUninstaller
  WriteRegStr HKLM "${KEY_RECORD}" "InstallDir" "$INSTDIR"
  ${Begun} "Uninstaller"
  SetErrorLevel ${EXIT_FULL} ; if NSIS ends setup here, that is why
  ClearErrors
  CreateDirectory "$INSTDIR"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  ${If} ${Errors}
    StrCpy $ExitCode ${EXIT_FULL}
    ${FailStep} "Cannot write to $INSTDIR"
  ${EndIf}
  ${UninstallValue} "DisplayName" "viofs (virtio file systems)"
  ${UninstallValue} "DisplayVersion" "${VERSION}"
  ${UninstallValue} "DisplayIcon" "$INSTDIR\uninstall.exe"
  ${UninstallValue} "Publisher" "viofs"
  ${UninstallValue} "InstallLocation" "$INSTDIR"
  ${UninstallValue} "UninstallString" '"$INSTDIR\uninstall.exe"'
  ${UninstallValue} "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${KEY_UNINSTALL}" "EstimatedSize" ${FILES_KB}
  WriteRegDWORD HKLM "${KEY_UNINSTALL}" "NoModify" 1
  WriteRegDWORD HKLM "${KEY_UNINSTALL}" "NoRepair" 1
  ${Done} "Uninstaller"
FunctionEnd

; ---- WinFsp ----------------------------------------------------------------------------------

Function DoWinFsp
  ${If} $InstallWinFsp != 1
  ${OrIf} $WinFspMissing == ""
  ${OrIf} $WinFspMsi == ""
    Return
  ${EndIf}
  ${Say} "Installing $WinFspMsi"
  ${If} ${Silent}
    ${Run} '"$SYSDIR\msiexec.exe" /i "$WinFspMsi" /qn /norestart'
  ${Else}
    ${Run} '"$SYSDIR\msiexec.exe" /i "$WinFspMsi" /qb /norestart'
  ${EndIf}
  ${If} $ExitCode == 3010
  ${OrIf} $ExitCode == 1641
    SetRebootFlag true
  ${ElseIf} $ExitCode != 0
    ${FailStep} "WinFsp could not be installed"
  ${EndIf}
  Call CheckWinFsp
  ${If} $WinFspMissing != ""
    StrCpy $ExitCode ${EXIT_NO_WINFSP}
    ${FailStep} "$WinFspMissing, even though its setup ended well"
  ${EndIf}
FunctionEnd

; ---- files -----------------------------------------------------------------------------------

; A file that a process still runs is renamed, and goes with the next start of Windows.
!macro SwapFile NAME
  ${If} ${FileExists} "$INSTDIR\new\${NAME}"
    Delete "$INSTDIR\${NAME}.old"
    Rename "$INSTDIR\${NAME}" "$INSTDIR\${NAME}.old"
    ClearErrors
    Rename "$INSTDIR\new\${NAME}" "$INSTDIR\${NAME}"
    ${If} ${Errors}
      StrCpy $ExitCode ${EXIT_RIGHTS}
      ${FailStep} "$INSTDIR\${NAME} cannot be replaced"
    ${EndIf}
    Delete /REBOOTOK "$INSTDIR\${NAME}.old"
  ${EndIf}
!macroend

!macro ExtractFile NAME
  File "${FILES}/${NAME}"
!macroend

Function DoFiles
  ${Begun} "Files"
  SetErrorLevel ${EXIT_FULL}
  RMDir /r "$INSTDIR\new"
  ClearErrors
  SetOutPath "$INSTDIR\new"
  SetOverwrite try
  !insertmacro EachFile ExtractFile
  SetOutPath "$INSTDIR"
  ${If} ${Errors}
    RMDir /r "$INSTDIR\new"
    StrCpy $ExitCode ${EXIT_FULL}
    ${FailStep} "Cannot write the files to $INSTDIR; is the disk full?"
  ${EndIf}
  Call StopService
  !insertmacro EachFile SwapFile
  RMDir "$INSTDIR\new"
  ${Done} "Files"
FunctionEnd

; Our own, or what is about to be taken over; it runs again at the end if it ran before.
Function StopService
  ${Run} '"$PLUGINSDIR\viofs-service.exe" status "$INSTDIR\virtiofs.exe"'
  ${If} $ExitCode == 0
    WriteRegDWORD HKLM "${KEY_RECORD}" "ServiceRan" 1
  ${EndIf}
  ${If} $ExitCode == 0
  ${OrIf} $Takeover == 1
    ${Say} "Stopping the service"
    ${Run} '"$PLUGINSDIR\viofs-service.exe" stop'
    ${If} $ExitCode != 0
      ${FailStep} "The service VirtioFsSvc does not stop. $Output"
    ${EndIf}
  ${EndIf}
FunctionEnd

; ---- driver ----------------------------------------------------------------------------------

Function DoDriver
  ${Begun} "Driver"
  StrCpy $0 ""
  ${If} $Takeover == 1
    StrCpy $0 " --takeover"
  ${EndIf}
  ${If} ${Silent}
    StrCpy $0 "$0 --quiet"
  ${EndIf}
  ${Run} '"$INSTDIR\viofs-driver.exe" install "$INSTDIR\viofs.inf"$0'
  ${Say} "$Output"
  ${If} $ExitCode == ${EXIT_RESTART}
    SetRebootFlag true
  ${ElseIf} $ExitCode != 0
    ${FailStep} "The driver could not be installed. $Output"
  ${EndIf}
  ${Done} "Driver"
FunctionEnd

; ---- service ---------------------------------------------------------------------------------

Function DoService
  ${Run} '"$INSTDIR\viofs-service.exe" status "$INSTDIR\virtiofs.exe"'
  StrCpy $0 ""
  ${If} $ExitCode == 1073
  ${AndIf} $Takeover == 1
    WriteRegStr HKLM "${KEY_RECORD}" "FormerService" "$Output"
    StrCpy $0 " --takeover"
  ${EndIf}
  ${IfNot} ${WasBegun} "Service"
    WriteRegDWORD HKLM "${KEY_RECORD}" "ServiceRan" 1 ; a new one shall run
  ${EndIf}
  ${Begun} "Service"
  ${Run} '"$INSTDIR\viofs-service.exe" install "$INSTDIR\virtiofs.exe"$0'
  ${Say} "$Output"
  ${If} $ExitCode != 0
    ${FailStep} "The service could not be registered. $Output"
  ${EndIf}
  ${Done} "Service"
FunctionEnd

; ---- launcher --------------------------------------------------------------------------------

Function DoLauncher
  SetRegView 32
  ReadRegStr $0 HKLM "${KEY_LAUNCHER}\virtiofs" "Executable"
  SetRegView 64
  ${If} $0 != ""
  ${AndIf} $0 != "$INSTDIR\virtiofs.exe"
    WriteRegStr HKLM "${KEY_RECORD}" "FormerLauncher" "$0"
  ${EndIf}
  ${Begun} "Launcher"
  SetRegView 32
  WriteRegStr HKLM "${KEY_LAUNCHER}\virtiofs" "Executable" "$INSTDIR\virtiofs.exe"
  WriteRegStr HKLM "${KEY_LAUNCHER}\virtiofs" "CommandLine" "-t %1 -m %2"
  WriteRegDWORD HKLM "${KEY_LAUNCHER}\virtiofs" "JobControl" 1
  SetRegView 64
  ${Done} "Launcher"
FunctionEnd

; ---- settings --------------------------------------------------------------------------------

; WriteSetting NAME KIND VALUE - KIND is Str or DWORD; an empty value means none
; What is written where there was nothing is setup's own, and goes with it as long as it is unchanged.
!macro WriteSetting NAME KIND VALUE
  ReadReg${KIND} $0 HKLM "${KEY_SETTINGS}" "${NAME}"
  ReadRegStr $1 HKLM "${KEY_RECORD}" "Set${NAME}"
  ${If} "${VALUE}" == ""
    DeleteRegValue HKLM "${KEY_SETTINGS}" "${NAME}"
    DeleteRegValue HKLM "${KEY_RECORD}" "Set${NAME}"
    DeleteRegKey /ifempty HKLM "${KEY_SETTINGS}"
  ${ElseIf} $0 != "${VALUE}"
    ${If} $0 == ""
    ${OrIf} $0 == $1
      WriteRegStr HKLM "${KEY_RECORD}" "Set${NAME}" "${VALUE}"
    ${Else}
      DeleteRegValue HKLM "${KEY_RECORD}" "Set${NAME}"
    ${EndIf}
    WriteReg${KIND} HKLM "${KEY_SETTINGS}" "${NAME}" "${VALUE}"
  ${EndIf}
!macroend

Function DoSettings
  ${Begun} "Settings"
  ${If} $CaseInsensitive == 1
    !insertmacro WriteSetting "CaseInsensitive" DWORD "1"
  ${ElseIf} $CaseInsensitive == 0
    !insertmacro WriteSetting "CaseInsensitive" DWORD ""
  ${EndIf}
  ${If} $GivenFileSystemName == 1
    !insertmacro WriteSetting "FileSystemName" Str "$FileSystemName"
  ${EndIf}
  ${Done} "Settings"
FunctionEnd

; ---- Start menu ------------------------------------------------------------------------------

Function DoLinks
  ${Begun} "Links"
  CreateDirectory "$SMPROGRAMS\viofs"
  ; /k: the window stays open
  CreateShortCut "$SMPROGRAMS\viofs\Shares of the host.lnk" "$SYSDIR\cmd.exe" '/k ""$INSTDIR\virtiofs.exe" list"' "$INSTDIR\uninstall.exe" 0
  ${Done} "Links"
FunctionEnd

; ---- start, and all of it --------------------------------------------------------------------

Function StartService
  ReadRegDWORD $0 HKLM "${KEY_RECORD}" "ServiceRan"
  ${If} $0 != 1
    Return
  ${EndIf}
  ${If} $WinFspMissing != ""
    StrCpy $FinishText "WinFsp is missing. Install it from ${WINFSP_URL}, then restart Windows, or start the service VirtioFsSvc."
  ${Else}
    ${Run} '"$INSTDIR\viofs-service.exe" start'
    ${If} $ExitCode != 0
      ${Say} "$Output"
      StrCpy $Result ${EXIT_NOT_STARTED}
      StrCpy $FinishText "Everything is installed, but the service did not start: $Output"
    ${EndIf}
  ${EndIf}
  DeleteRegValue HKLM "${KEY_RECORD}" "ServiceRan"
FunctionEnd

; Step VARIABLE STEP - do it if it is chosen, undo it if it was chosen before
!macro ChosenStep VARIABLE STEP
  ${If} ${VARIABLE} == 1
    Call Do${STEP}
  ${ElseIf} ${WasBegun} "${STEP}"
    Call Undo${STEP}
  ${EndIf}
!macroend

Function AllSteps
  Call DoUninstaller
  Call DoWinFsp
  Call DoFiles
  !insertmacro ChosenStep $WantDriver Driver
  !insertmacro ChosenStep $WantService Service
  !insertmacro ChosenStep $WantLauncher Launcher
  Call DoSettings
  Call DoLinks
  StrCpy $FinishText "Each share of the host is a drive now. 'Shares of the host' in the Start menu tells which."
  Call StartService
  WriteRegStr HKLM "${KEY_RECORD}" "Version" "${VERSION}"
  ${Say} "$FinishText"
  ${If} ${RebootFlag}
  ${AndIf} $Result == 0
    StrCpy $Result ${EXIT_RESTART}
  ${EndIf}
  SetErrorLevel $Result
FunctionEnd

; ---- undoing ---------------------------------------------------------------------------------

; Undo* leave the mark of a step in the record when something of it stayed.
!macro UndoFunctions UN
Function ${UN}UndoDriver
  ${Run} '"$INSTDIR\viofs-driver.exe" remove --quiet'
  ${Say} "$Output"
  ${If} $ExitCode == ${EXIT_RESTART}
    SetRebootFlag true
  ${ElseIf} $ExitCode != 0
    ${Say} "The driver could not be removed (code $ExitCode)."
    StrCpy $Stayed $ExitCode
    Return
  ${EndIf}
  ${Undone} "Driver"
FunctionEnd

Function ${UN}UndoService
  ${Run} '"$INSTDIR\viofs-service.exe" remove "$INSTDIR\virtiofs.exe"'
  ${Say} "$Output"
  ${If} $ExitCode != 0
    ${Say} "The service could not be removed (code $ExitCode)."
    StrCpy $Stayed $ExitCode
    Return
  ${EndIf}
  ReadRegStr $0 HKLM "${KEY_RECORD}" "FormerService"
  ${If} $0 != ""
    ${Say} "Before viofs, VirtioFsSvc ran $0. It is not registered again: repair that installation to have it back."
    DeleteRegValue HKLM "${KEY_RECORD}" "FormerService"
  ${EndIf}
  ; What the service itself has made; Shares stays if there is anything in it.
  DeleteRegKey HKLM "${KEY_SETTINGS}\Running"
  DeleteRegKey /ifempty HKLM "${KEY_SETTINGS}\Shares"
  DeleteRegKey /ifempty HKLM "${KEY_SETTINGS}"
  ReadRegStr $0 HKLM "${KEY_EVENTS}" "EventMessageFile"
  ${If} $0 == "$INSTDIR\virtiofs.exe"
    DeleteRegKey HKLM "${KEY_EVENTS}"
  ${EndIf}
  ${Undone} "Service"
FunctionEnd

Function ${UN}UndoLauncher
  SetRegView 32
  ReadRegStr $0 HKLM "${KEY_LAUNCHER}\virtiofs" "Executable"
  ${If} $0 == "$INSTDIR\virtiofs.exe"
    DeleteRegKey HKLM "${KEY_LAUNCHER}\virtiofs"
    DeleteRegKey /ifempty HKLM "${KEY_LAUNCHER}"
    DeleteRegKey /ifempty HKLM "Software\WinFsp"
  ${EndIf}
  SetRegView 64
  ReadRegStr $0 HKLM "${KEY_RECORD}" "FormerLauncher"
  ${If} $0 != ""
    ${Say} "Before viofs, WinFsp.Launcher's virtiofs was $0. It is not registered again: use WinFsp's fsreg.bat."
    DeleteRegValue HKLM "${KEY_RECORD}" "FormerLauncher"
  ${EndIf}
  ${Undone} "Launcher"
FunctionEnd
!macroend
!insertmacro UndoFunctions ""
!insertmacro UndoFunctions "un."
