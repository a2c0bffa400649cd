// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_exports.c - what ntoskrnl.exe and hal.dll export, as far as the bench goes
 *
 * An import that is not here stops the load with its name.
 */
#include "tests/nt-bench/nt.h"

#undef ExAcquireFastMutex
#undef ExReleaseFastMutex
#undef KeInitializeSpinLock
#undef IoGetCurrentProcess
#undef ExFreePool

#define EXPORT(name)                                                                               \
    {                                                                                              \
#name, (PVOID)(ULONG_PTR)name                                                              \
    }

static const struct {
    const char *name;
    PVOID address;
} exports[] = {
    EXPORT(DbgPrint),
    EXPORT(DbgPrintEx),
    EXPORT(ExAcquireFastMutex),
    EXPORT(ExAllocatePoolWithTag),
    EXPORT(ExFreePool),
    EXPORT(ExFreePoolWithTag),
    EXPORT(ExReleaseFastMutex),
    EXPORT(IoAcquireCancelSpinLock),
    EXPORT(IoAcquireRemoveLockEx),
    EXPORT(IoAllocateErrorLogEntry),
    EXPORT(IoAllocateIrp),
    EXPORT(IoAllocateMdl),
    EXPORT(IoAllocateWorkItem),
    EXPORT(IoAttachDeviceToDeviceStack),
    EXPORT(IoAttachDeviceToDeviceStackSafe),
    EXPORT(IoBuildPartialMdl),
    EXPORT(IoBuildSynchronousFsdRequest),
    EXPORT(IoCancelIrp),
    EXPORT(IoConnectInterruptEx),
    EXPORT(IoCreateDevice),
    EXPORT(IoDeleteDevice),
    EXPORT(IoDetachDevice),
    EXPORT(IoDisconnectInterruptEx),
    EXPORT(IoForwardIrpSynchronously),
    EXPORT(IoFreeErrorLogEntry),
    EXPORT(IoFreeIrp),
    EXPORT(IoFreeMdl),
    EXPORT(IoFreeWorkItem),
    EXPORT(IoGetAttachedDeviceReference),
    EXPORT(IoGetCurrentProcess),
    EXPORT(IoGetDeviceProperty),
    EXPORT(IoGetDmaAdapter),
    EXPORT(IoInitializeRemoveLockEx),
    EXPORT(IoInvalidateDeviceState),
    EXPORT(IoQueueWorkItem),
    EXPORT(IoRegisterDeviceInterface),
    EXPORT(IoReleaseCancelSpinLock),
    EXPORT(IoReleaseRemoveLockAndWaitEx),
    EXPORT(IoReleaseRemoveLockEx),
    EXPORT(IoSetDeviceInterfaceState),
    EXPORT(IoWriteErrorLogEntry),
    EXPORT(IofCallDriver),
    EXPORT(IofCompleteRequest),
    EXPORT(KeAcquireInterruptSpinLock),
    EXPORT(KeAcquireSpinLockAtDpcLevel),
    EXPORT(KeAcquireSpinLockRaiseToDpc),
    EXPORT(KeCancelTimer),
    EXPORT(KeClearEvent),
    EXPORT(KeDelayExecutionThread),
    EXPORT(KeFlushQueuedDpcs),
    EXPORT(KeGetCurrentProcessorNumberEx),
    EXPORT(KeInitializeDpc),
    EXPORT(KeInitializeEvent),
    EXPORT(KeInitializeMutex),
    EXPORT(KeInitializeSpinLock),
    EXPORT(KeInitializeTimer),
    EXPORT(KeInitializeTimerEx),
    EXPORT(KeInsertQueueDpc),
    EXPORT(KeQueryActiveProcessorCountEx),
    EXPORT(KeQueryInterruptTimePrecise),
    EXPORT(KeQueryPerformanceCounter),
    EXPORT(KeReadStateEvent),
    EXPORT(KeReleaseInterruptSpinLock),
    EXPORT(KeReleaseMutex),
    EXPORT(KeReleaseSpinLock),
    EXPORT(KeReleaseSpinLockFromDpcLevel),
    EXPORT(KeRemoveQueueDpc),
    EXPORT(KeResetEvent),
    EXPORT(KeSetEvent),
    EXPORT(KeSetTimer),
    EXPORT(KeSetTimerEx),
    EXPORT(KeStallExecutionProcessor),
    EXPORT(KeWaitForSingleObject),
    EXPORT(MmBuildMdlForNonPagedPool),
    EXPORT(MmGetPhysicalAddress),
    EXPORT(MmGetSystemRoutineAddress),
    EXPORT(MmMapIoSpace),
    EXPORT(MmMapLockedPagesSpecifyCache),
    {"MmProbeAndLockPages", (PVOID)(ULONG_PTR)seh_probe_and_lock},
    EXPORT(MmUnlockPages),
    EXPORT(MmUnmapIoSpace),
    EXPORT(MmUnmapLockedPages),
    EXPORT(ObfDereferenceObject),
    EXPORT(ObfReferenceObject),
    EXPORT(PoCallDriver),
    EXPORT(PoRequestPowerIrp),
    EXPORT(PoSetPowerState),
    EXPORT(PoStartNextPowerIrp),
    EXPORT(RtlFreeUnicodeString),
    EXPORT(RtlInitUnicodeString),
    EXPORT(RtlUTF8ToUnicodeN),
    {"__C_specific_handler", (PVOID)(ULONG_PTR)seh_handler},
    EXPORT(memcmp),
    EXPORT(memcpy),
    EXPORT(memmove),
    EXPORT(memset),
};

static BOOLEAN same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

HOST void *nt_resolve(const char *name)
{
    for (size_t i = 0; i < RTL_NUMBER_OF(exports); i++)
        if (same(exports[i].name, name))
            return exports[i].address;
    return NULL;
}

PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING name)
{
    char text[64];
    ULONG n = 0;

    nt_irql("MmGetSystemRoutineAddress", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    for (; n < name->Length / 2u && n < sizeof(text) - 1; n++)
        text[n] = (char)name->Buffer[n];
    text[n] = 0;
    return nt_resolve(text);
}
