; SPDX-License-Identifier: BSD-3-Clause
; options.nsh - the command line: switches that say what the pages ask
;
; NSIS itself takes /S, /NCRC, /D= and the uninstaller's _?=. An unknown switch is refused, because a silent setup that
; overlooks one does what nobody asked for.

Var WantDriver    ; 0 or 1; before ReadFormer also "": not said
Var WantService
Var WantLauncher
Var CaseInsensitive ; 0, 1, or "": leave as it is
Var FileSystemName
Var GivenFileSystemName ; 1: change FileSystemName; empty means none
Var InstallWinFsp ; 1: run the MSI that lies beside setup
Var WithoutWinFsp ; 1: go on without it
Var Takeover      ; 1: from another vendor
Var KeepDefaults  ; uninstall: 1, leave what setup wrote to the settings
Var Rest          ; what is left of the command line
Var Word
Var Purge         ; uninstall: 1, remove all settings, the user's too

; A string has 1023 characters at most.
!define HELP "\
/S$\tsilent$\r$\n\
/DRIVER=0, /SERVICE=0, /LAUNCHER=0$\tleave a component out; 1 takes it$\r$\n\
/CASEINSENSITIVE=1$\tnames may differ in case; 0 undoes it$\r$\n\
/FILESYSTEMNAME=NTFS$\tname of the file system; empty undoes it$\r$\n\
/WINFSP$\tinstall WinFsp from the winfsp-*.msi beside this program$\r$\n\
/WITHOUTWINFSP$\tgo on without it; the service starts when it is there$\r$\n\
/TAKEOVER$\ttake the place of another vendor's driver and service$\r$\n\
/LOG=FILE$\twrite down what is done$\r$\n\
/D=DIR$\tdirectory, without quotation marks, at the end$\r$\n\
$\r$\n\
uninstall.exe: /S, /LOG=FILE,$\r$\n\
/KEEP$\tleave the defaults that setup wrote$\r$\n\
/PURGE$\tremove all settings, those of shares too$\r$\n\
$\r$\n${WINFSP_NOTICE}"

; Switch NAME VARIABLE / SwitchBit NAME VARIABLE / SwitchSet NAME VARIABLE - inside a loop over words: $1 is the
; word's name with its slash, $2 what follows its "=", $3 whether there is one
!macro SwitchText NAME VARIABLE
  ${If} $1 == "${NAME}"
  ${AndIf} $3 == 1
    StrCpy ${VARIABLE} $2
    StrCpy $4 1
  ${EndIf}
!macroend
!macro SwitchBit NAME VARIABLE
  ${If} $1 == "${NAME}"
  ${AndIf} $3 == 1
    ${If} $2 == "0"
    ${OrIf} $2 == "1"
      StrCpy ${VARIABLE} $2
      StrCpy $4 1
    ${EndIf}
  ${EndIf}
!macroend
!macro SwitchSet NAME VARIABLE
  ${If} $1 == "${NAME}"
  ${AndIf} $3 == 0
    StrCpy ${VARIABLE} 1
    StrCpy $4 1
  ${EndIf}
!macroend

!macro OptionFunctions UN

; NextWord - take a word off $Rest into $Word; quotation marks protect spaces and go
Function ${UN}NextWord
  Push $0 ; a character
  Push $1 ; inside quotation marks?
  StrCpy $Word ""
  StrCpy $1 0
  ${Do}
    StrCpy $0 $Rest 1
    ${If} $0 == ""
      ${Break}
    ${EndIf}
    StrCpy $Rest $Rest "" 1
    ${If} $0 == '"'
      IntOp $1 1 - $1
    ${ElseIf} $0 == " "
    ${AndIf} $1 == 0
      ${If} $Word != ""
        ${Break}
      ${EndIf}
    ${Else}
      StrCpy $Word "$Word$0"
    ${EndIf}
  ${Loop}
  Pop $1
  Pop $0
FunctionEnd

; SplitWord - $1 "/NAME=VALUE" → $1 "/NAME", $2 "VALUE", $3 1; without "=": $3 0
Function ${UN}SplitWord
  Push $5
  Push $6
  StrCpy $2 ""
  StrCpy $3 0
  StrCpy $5 0
  ${Do}
    StrCpy $6 $1 1 $5
    ${If} $6 == ""
      ${Break}
    ${EndIf}
    ${If} $6 == "="
      IntOp $6 $5 + 1
      StrCpy $2 $1 "" $6
      StrCpy $1 $1 $5
      StrCpy $3 1
      ${Break}
    ${EndIf}
    IntOp $5 $5 + 1
  ${Loop}
  Pop $6
  Pop $5
FunctionEnd
!macroend
!insertmacro OptionFunctions ""
!insertmacro OptionFunctions "un."

; LoopWords UN BODY - for each word of the command line
!macro LoopWords UN BODY
  ${GetParameters} $Rest
  ${Do}
    Call ${UN}NextWord
    ${If} $Word == ""
      ${Break}
    ${EndIf}
    StrCpy $1 $Word
    Call ${UN}SplitWord
    StrCpy $4 0
    ${If} $Word == "/S"
    ${OrIf} $Word == "/NCRC"
      StrCpy $4 1
    ${EndIf}
    !insertmacro ${BODY}
    ${If} $4 == 0
      ${Refuse} ${EXIT_OPTION} "There is no switch '$Word', or it cannot have this value.$\r$\n/? tells which there are."
    ${EndIf}
  ${Loop}
!macroend

!macro OpenLog
  ${If} $1 == "/LOG"
  ${AndIf} $2 != ""
    ClearErrors
    FileOpen $LogFile "$2" w
    ${If} ${Errors}
      StrCpy $LogFile ""
    ${Else}
      StrCpy $4 1
    ${EndIf}
  ${EndIf}
!macroend

!macro InstallSwitches
  !insertmacro OpenLog
  !insertmacro SwitchBit "/DRIVER" $WantDriver
  !insertmacro SwitchBit "/SERVICE" $WantService
  !insertmacro SwitchBit "/LAUNCHER" $WantLauncher
  !insertmacro SwitchBit "/CASEINSENSITIVE" $CaseInsensitive
  ${If} $1 == "/FILESYSTEMNAME"
    StrLen $6 $2
    ${If} $6 <= 15 ; WinFsp's limit
      !insertmacro SwitchText "/FILESYSTEMNAME" $FileSystemName
      StrCpy $GivenFileSystemName $3
    ${EndIf}
  ${EndIf}
  !insertmacro SwitchSet "/WINFSP" $InstallWinFsp
  !insertmacro SwitchSet "/WITHOUTWINFSP" $WithoutWinFsp
  !insertmacro SwitchSet "/TAKEOVER" $Takeover
  ${If} $Word == "/?"
    SetErrorLevel 0
    ${Say} "${HELP}"
    MessageBox MB_OK "${HELP}" /SD IDOK
    Quit
  ${EndIf}
!macroend

!macro UninstallSwitches
  !insertmacro OpenLog
  !insertmacro SwitchSet "/KEEP" $KeepDefaults
  !insertmacro SwitchSet "/PURGE" $Purge
!macroend

Function ReadOptions
  !insertmacro LoopWords "" InstallSwitches
FunctionEnd

Function un.ReadOptions
  !insertmacro LoopWords "un." UninstallSwitches
FunctionEnd
