; SPDX-License-Identifier: BSD-3-Clause
; viofs.nsi - virtiofs-setup.exe, made by setup/build
;
; Theory of operation
;
;   Setup is a sequence of steps (nsis/steps.nsh). Each step marks itself as begun in a record in the registry
;   (nsis/record.nsh) before it changes anything, and as done afterwards; each can be done again, and undone when it
;   was only begun. So setup that was killed is completed by the next one, or removed by the uninstaller, which is
;   written first of all.
;
;   Whatever could be in the way is looked for before the first step (nsis/checks.nsh): setup that refuses has
;   changed nothing. What people are asked on pages (nsis/pages.nsh) has a switch (nsis/options.nsh), so that
;   a silent setup can do the same.
;
;   Everything that waits, or needs more than the registry and files, is done by viofs-driver.exe and
;   viofs-service.exe, which are installed, too, because the uninstaller needs them.
;
; Defined by setup/build: VERSION, OUT, and FILES, the directory with what is installed; SIGN_UNINSTALLER, a script that
; signs the file it is given, if what is installed is signed.

Unicode true
Target amd64-unicode
ManifestSupportedOS Win10
ManifestDPIAware true
RequestExecutionLevel admin
SetCompressor /SOLID lzma
SetDateSave off
CRCCheck on

!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include WordFunc.nsh
!include TextFunc.nsh
!include WinVer.nsh
!include x64.nsh
!include nsDialogs.nsh
!include Sections.nsh

!define PRODUCT "viofs"
!define WINFSP_URL "https://winfsp.dev/rel/"
!define WINFSP_NOTICE "This software uses WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos$\r$\nhttps://github.com/winfsp/winfsp"
!define KEY_SETTINGS "Software\virtiofs"
!define KEY_UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\viofs"
!define KEY_LAUNCHER "Software\WinFsp\Services"
!define KEY_EVENTS "SYSTEM\CurrentControlSet\Services\EventLog\Application\virtiofs"

Var FinishText ; what the last page says

Name "${PRODUCT} ${VERSION}"
Caption "viofs ${VERSION}: shares of the host"
UninstallCaption "Remove viofs"
BrandingText "viofs ${VERSION}"
OutFile "${OUT}"
!ifdef SIGN_UNINSTALLER
  !uninstfinalize 'bash "${SIGN_UNINSTALLER}" "%1"' = 0
!endif
InstallDir "$PROGRAMFILES64\viofs"
InstallDirRegKey HKLM "Software\viofs\Setup" "InstallDir"
ShowInstDetails show
ShowUninstDetails show

VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "viofs"
VIAddVersionKey "CompanyName" "viofs"
VIAddVersionKey "FileDescription" "Setup of viofs, virtio file systems for Windows"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "LegalCopyright" "Copyright the viofs authors. BSD-3-Clause."

!include "nsis/say.nsh"
!include "nsis/record.nsh"

; ---- pages -----------------------------------------------------------------------------------

!define MUI_ABORTWARNING
!define MUI_WELCOMEPAGE_TITLE "viofs ${VERSION}"
!define MUI_WELCOMEPAGE_TEXT "This makes directories that the host shares over virtio-fs appear as drives.$\r$\n$\r$\nIt installs a driver and a service, which mounts every share, from Z: down.$\r$\n$\r$\n${WINFSP_NOTICE}"
!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_LICENSE "${FILES}/LICENSE"
Page custom PageWinFsp PageWinFspLeave
!define MUI_PAGE_CUSTOMFUNCTION_LEAVE PageComponentsLeave
!insertmacro MUI_PAGE_COMPONENTS
Page custom PageTakeover PageTakeoverLeave
Page custom PageSettings PageSettingsLeave
!define MUI_PAGE_CUSTOMFUNCTION_PRE PageDirectoryPre
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!define MUI_FINISHPAGE_NOAUTOCLOSE ; the details say what was done
!define MUI_FINISHPAGE_TITLE "viofs ${VERSION} is installed"
!define MUI_FINISHPAGE_TEXT_LARGE
!define MUI_FINISHPAGE_TEXT "$FinishText"
!insertmacro MUI_PAGE_FINISH

UninstPage custom un.PageRemove un.PageRemoveLeave
!insertmacro MUI_UNPAGE_INSTFILES

!insertmacro MUI_LANGUAGE "English"

; ---- components ------------------------------------------------------------------------------

Section "-viofs"
  Call BeginSetup
SectionEnd

Section "Driver" SecDriver
SectionEnd

Section "Service" SecService
SectionEnd

Section "WinFsp.Launcher" SecLauncher
SectionEnd

; The steps are in one order, whatever is chosen.
Section "-steps"
  AddSize ${FILES_KB}
  Call AllSteps
SectionEnd

LangString DescDriver ${LANG_ENGLISH} "viofs.sys, into Windows' driver store, and for the virtio-fs devices that are there. Without it the service works with virtio-win's driver."
LangString DescService ${LANG_ENGLISH} "VirtioFsSvc mounts all shares, and starts with Windows."
LangString DescLauncher ${LANG_ENGLISH} "For launchctl: one process for each share, started and stopped by name, as 'virtiofs'. It does no harm beside the service as long as it is not used."
!insertmacro MUI_FUNCTION_DESCRIPTION_BEGIN
!insertmacro MUI_DESCRIPTION_TEXT ${SecDriver} $(DescDriver)
!insertmacro MUI_DESCRIPTION_TEXT ${SecService} $(DescService)
!insertmacro MUI_DESCRIPTION_TEXT ${SecLauncher} $(DescLauncher)
!insertmacro MUI_FUNCTION_DESCRIPTION_END

; ---- the parts, which know the components ----------------------------------------------------

!include "nsis/options.nsh"
!include "nsis/checks.nsh"
!include "nsis/pages.nsh"
!include "nsis/steps.nsh"
!include "nsis/uninstall.nsh"

Function .onInit
  SetRegView 64
  SetShellVarContext all
  InitPluginsDir
  StrCpy $FinishText ""
  Call ReadOptions
  Call CheckMachine
  Call CheckRights
  Call CheckAlone
  Call CheckDirectory
  SetOutPath "$PLUGINSDIR"
  File "${FILES}/virtiofs.exe"
  File "${FILES}/viofs-driver.exe"
  File "${FILES}/viofs-service.exe"
  Call ReadFormer
  Call CheckWinFsp
  ${If} ${Silent}
    Call CheckSilent
  ${EndIf}
FunctionEnd

Function .onInstFailed
  RMDir /r "$INSTDIR\new"
  ${Say} "Setup did not get to its end. Run it again to complete it, or uninstall what is there."
FunctionEnd

; ---- uninstaller -----------------------------------------------------------------------------

Function un.onInit
  SetRegView 64
  SetShellVarContext all
  InitPluginsDir
  Call un.ReadOptions
  Call un.CheckRights
  Call un.CheckAlone
FunctionEnd

Section "Uninstall"
  Call un.AllSteps
SectionEnd
