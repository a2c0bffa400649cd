# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# guest.sh - run by busybox in the virtual machine (tests/stages/driver-guest): hand the devices to the bench
#
# Devices on the root bus stay with Linux: the host's directory is mounted from there. What is behind root
# ports is for the bench. Of the ways to reset a function the cheap one is left: Linux uses it when the bench
# opens a device.
mount -t virtiofs my_virtiofs /mnt || exit 2
for device in /sys/bus/pci/devices/*; do
    name=${device##*/}
    case $name:$(cat "$device/device") in
    0000:00:*) ;;
    *:0x105a)
        echo vfio-pci >"$device/driver_override"
        [ ! -e "$device/driver" ] || echo "$name" >"$device/driver/unbind"
        echo "$name" >/sys/bus/pci/drivers_probe
        echo pm >"$device/reset_method"
        ;;
    esac
done
/nt-bench-pe -g /mnt -t 30 -d /viofs.sys
