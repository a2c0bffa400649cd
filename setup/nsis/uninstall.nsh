; SPDX-License-Identifier: BSD-3-Clause
; uninstall.nsh - the steps backwards
;
; Each is undone if the record says that it was begun. The record goes when nothing stayed, the entry in "Apps" after
; it, the uninstaller itself last: one that was killed can be run again until then.

; Defaults that setup wrote, if they are still what it wrote.
!macro RemoveDefault NAME KIND
  ReadRegStr $0 HKLM "${KEY_RECORD}" "Set${NAME}"
  ReadReg${KIND} $1 HKLM "${KEY_SETTINGS}" "${NAME}"
  ${If} $0 != ""
  ${AndIf} $0 == $1
    DeleteRegValue HKLM "${KEY_SETTINGS}" "${NAME}"
  ${EndIf}
!macroend

Function un.UndoSettings
  ${If} $Purge == 1
    DeleteRegKey HKLM "${KEY_SETTINGS}"
  ${ElseIf} $KeepDefaults != 1
    !insertmacro RemoveDefault "CaseInsensitive" DWORD
    !insertmacro RemoveDefault "FileSystemName" Str
  ${EndIf}
  DeleteRegKey /ifempty HKLM "${KEY_SETTINGS}"
  ${Undone} "Settings"
FunctionEnd

Function un.UndoLinks
  Delete "$SMPROGRAMS\viofs\Shares of the host.lnk"
  RMDir "$SMPROGRAMS\viofs"
  ${Undone} "Links"
FunctionEnd

!macro RemoveFile NAME
  Delete "$INSTDIR\${NAME}.old"
  Delete "$INSTDIR\new\${NAME}"
  Delete /REBOOTOK "$INSTDIR\${NAME}"
!macroend

Function un.UndoFiles
  !insertmacro EachFile RemoveFile
  RMDir "$INSTDIR\new"
  ${Undone} "Files"
FunctionEnd

!macro UndoStep STEP
  ${If} ${WasBegun} "${STEP}"
    Call un.Undo${STEP}
  ${EndIf}
!macroend

Function un.AllSteps
  StrCpy $Stayed 0
  DeleteRegValue HKLM "${KEY_RECORD}" "Version" ; from here on it is half an installation
  SetOutPath "$TEMP"
  !insertmacro UndoStep Service
  !insertmacro UndoStep Launcher
  !insertmacro UndoStep Links
  !insertmacro UndoStep Settings
  !insertmacro UndoStep Driver
  ${If} $Stayed != 0
    ${Say} "Something could not be removed. Try again after a restart of Windows."
    SetErrorLevel $Stayed
    Abort "Something could not be removed"
  ${EndIf}
  !insertmacro UndoStep Files
  DeleteRegKey HKLM "${KEY_UNINSTALL}"
  DeleteRegKey HKLM "${KEY_RECORD}"
  DeleteRegKey /ifempty HKLM "Software\viofs"
  Delete "$INSTDIR\uninstall.exe"
  ${If} ${RebootFlag} ; a program is in use still, and goes with the next start
    RMDir /REBOOTOK "$INSTDIR"
  ${Else}
    RMDir "$INSTDIR"
  ${EndIf}
  ${Say} "viofs is removed."
  ${If} ${RebootFlag}
    SetErrorLevel ${EXIT_RESTART}
  ${Else}
    SetErrorLevel 0
  ${EndIf}
FunctionEnd
