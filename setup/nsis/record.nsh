; SPDX-License-Identifier: BSD-3-Clause
; record.nsh - what setup has done to this machine
;
; HKLM\Software\viofs\Setup has one DWORD a step: 1, begun; 2, done; absent, never begun or undone. A step that was
; begun has to be undone like one that was done: nobody knows how far it got. Beside them:
;
;   InstallDir, Version    what and where
;   Step                   the step that was done last, for people
;   ServiceRan             1 while files are exchanged under a service that has to be started again
;   SetCaseInsensitive, SetFileSystemName    what setup wrote to the settings where there was nothing before
;   FormerService, FormerLauncher            what was taken over

!define KEY_RECORD "Software\viofs\Setup"

!define Begun `!insertmacro MarkStep 1`
!define Done `!insertmacro MarkStep 2`
!macro MarkStep STATE STEP
  WriteRegDWORD HKLM "${KEY_RECORD}" "${STEP}" ${STATE}
  !if ${STATE} == 2
    WriteRegStr HKLM "${KEY_RECORD}" "Step" "${STEP}"
  !endif
!macroend

!define Undone `!insertmacro UnmarkStep`
!macro UnmarkStep STEP
  DeleteRegValue HKLM "${KEY_RECORD}" "${STEP}"
!macroend

; WasBegun - for ${If}: was the step at least begun?
!macro _WasBegun _a _step _t _f
  !insertmacro _LOGICLIB_TEMP
  ReadRegDWORD $_LOGICLIB_TEMP HKLM "${KEY_RECORD}" "${_step}"
  StrCmp $_LOGICLIB_TEMP "" `${_f}` `${_t}`
!macroend
!define WasBegun `"" WasBegun`

; EachFile MACRO - for each file that is installed. viofs.cat is there if setup/build found one.
!macro EachFile MACRO
  !insertmacro ${MACRO} "viofs.sys"
  !insertmacro ${MACRO} "viofs.inf"
  !ifdef WITH_CATALOG
    !insertmacro ${MACRO} "viofs.cat"
  !endif
  !insertmacro ${MACRO} "viofs-driver.exe"
  !insertmacro ${MACRO} "viofs-service.exe"
  !insertmacro ${MACRO} "virtiofs.exe"
  !insertmacro ${MACRO} "LICENSE"
!macroend
