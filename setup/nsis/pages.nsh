; SPDX-License-Identifier: BSD-3-Clause
; pages.nsh - what the wizard asks, beside NSIS' own pages
;
; A page that has nothing to ask is passed over.

Var Dialog
Var Check1
Var Check2
Var Field

!macro BeginPage TITLE SUBTITLE
  !insertmacro MUI_HEADER_TEXT "${TITLE}" "${SUBTITLE}"
  nsDialogs::Create 1018
  Pop $Dialog
  ${If} $Dialog == error
    Abort
  ${EndIf}
!macroend

!macro ReadCheck CONTROL VARIABLE
  ${NSD_GetState} ${CONTROL} $0
  ${If} $0 == ${BST_CHECKED}
    StrCpy ${VARIABLE} 1
  ${Else}
    StrCpy ${VARIABLE} 0
  ${EndIf}
!macroend

; ---- WinFsp ----------------------------------------------------------------------------------

Function OpenWinFspPage
  Pop $0 ; the control
  ExecShell "open" "${WINFSP_URL}"
FunctionEnd

Function PageWinFsp
  ${If} $WinFspMissing == ""
    Abort
  ${EndIf}
  !insertmacro BeginPage "WinFsp" "viofs mounts drives through WinFsp, a product of its own."
  ${NSD_CreateLabel} 0 0 100% 36u "$WinFspMissing."
  Pop $0
  ${If} $WinFspMsi != ""
    ${NSD_CreateCheckbox} 0 42u 100% 12u "&Install it now: $WinFspMsi"
    Pop $Check1
    ${NSD_Check} $Check1
  ${Else}
    ${NSD_CreateLink} 0 42u 100% 12u "${WINFSP_URL}"
    Pop $Check1
    ${NSD_OnClick} $Check1 OpenWinFspPage
  ${EndIf}
  ${NSD_CreateLabel} 0 62u 100% 36u "viofs can be installed before WinFsp, too. There are no drives until WinFsp is there and the service has been started."
  Pop $0
  ${NSD_CreateLabel} 0 -24u 100% 24u "${WINFSP_NOTICE}"
  Pop $0
  nsDialogs::Show
FunctionEnd

Function PageWinFspLeave
  ${If} $WinFspMsi != ""
    !insertmacro ReadCheck $Check1 $InstallWinFsp
  ${Else}
    Call CheckWinFsp ; it may have been installed meanwhile
  ${EndIf}
FunctionEnd

; ---- another vendor's ------------------------------------------------------------------------

Function PageComponentsLeave
  !insertmacro ReadSelected ${SecDriver} $WantDriver
  !insertmacro ReadSelected ${SecService} $WantService
  !insertmacro ReadSelected ${SecLauncher} $WantLauncher
FunctionEnd

Function PageTakeover
  Call FindOthers
  ${If} $Others == ""
    Abort
  ${EndIf}
  !insertmacro BeginPage "Another virtio-fs is installed" "viofs can take its place, or leave it alone."
  ${NSD_CreateLabel} 0 0 100% 72u "Found:$Others"
  Pop $0
  ${NSD_CreateRadioButton} 0 78u 100% 12u "Ta&ke its place (its driver package stays in Windows' driver store)"
  Pop $Check1
  ${NSD_CreateRadioButton} 0 92u 100% 12u "Leave it &alone, and end setup (or go back, and choose fewer components)"
  Pop $Check2
  ${NSD_Check} $Check2
  ${If} $Takeover == 1
    ${NSD_Check} $Check1
    ${NSD_Uncheck} $Check2
  ${EndIf}
  nsDialogs::Show
FunctionEnd

Function PageTakeoverLeave
  !insertmacro ReadCheck $Check1 $Takeover
  ${If} $Takeover != 1
    SetErrorLevel ${EXIT_OTHERS}
    Quit
  ${EndIf}
FunctionEnd

; ---- settings --------------------------------------------------------------------------------

Function PageSettings
  !insertmacro BeginPage "Settings" "For all shares; docs/windows.md has more, and settings of single shares."
  ${If} $CaseInsensitive == ""
    ReadRegDWORD $CaseInsensitive HKLM "${KEY_SETTINGS}" "CaseInsensitive"
  ${EndIf}
  ${If} $GivenFileSystemName != 1
    ReadRegStr $FileSystemName HKLM "${KEY_SETTINGS}" "FileSystemName"
  ${EndIf}
  ${NSD_CreateCheckbox} 0 0 100% 12u "Names that &differ only in case are the same (CaseInsensitive)"
  Pop $Check1
  ${If} $CaseInsensitive != ""
  ${AndIf} $CaseInsensitive != 0
    ${NSD_Check} $Check1
  ${EndIf}
  ${NSD_CreateLabel} 0 24u 100% 20u "&File system's name (FileSystemName). NTFS is what some installers and elevated programs want to see; empty is the usual one."
  Pop $0
  ${NSD_CreateText} 0 46u 40% 12u "$FileSystemName"
  Pop $Field
  ${NSD_SetTextLimit} $Field 15
  nsDialogs::Show
FunctionEnd

Function PageSettingsLeave
  !insertmacro ReadCheck $Check1 $CaseInsensitive
  ${NSD_GetText} $Field $FileSystemName
  StrCpy $GivenFileSystemName 1
FunctionEnd

; An installation does not move.
Function PageDirectoryPre
  ReadRegStr $0 HKLM "${KEY_RECORD}" "InstallDir"
  ${If} $0 != ""
    Abort
  ${EndIf}
FunctionEnd

; ---- removal ---------------------------------------------------------------------------------

Function un.PageRemove
  !insertmacro BeginPage "Remove viofs" "$INSTDIR"
  ${NSD_CreateLabel} 0 0 100% 24u "The drives disappear; what is on them is on the host, and stays. WinFsp stays, too."
  Pop $0
  ${NSD_CreateCheckbox} 0 34u 100% 12u "&Keep the defaults that setup wrote (CaseInsensitive, FileSystemName)"
  Pop $Check1
  ${NSD_CreateCheckbox} 0 50u 100% 12u "&Remove all settings, those of shares too (HKLM\${KEY_SETTINGS})"
  Pop $Check2
  nsDialogs::Show
FunctionEnd

Function un.PageRemoveLeave
  !insertmacro ReadCheck $Check1 $KeepDefaults
  !insertmacro ReadCheck $Check2 $Purge
FunctionEnd
