#!/bin/sh
# Runs a guest that is INSTANCE, behind a new device TAP of the host: guest.sh FOLDER INSTANCE TAP (as root)
set -eu
folder=$1 instance=$2 tap=$3

ip tuntap add "$tap" mode tap
trap 'linklocal node detach "$instance" >/dev/null || true; ip link del "$tap"' EXIT
trap 'exit 1' INT TERM
# The service's address at the host's end, the guest's as its peer.
ip addr add 169.254.169.254/32 peer 169.254.8.2 dev "$tap"
ip link set "$tap" up
linklocal node attach "$instance" --device "$tap"

qemu-system-x86_64 -accel tcg -m 192 -nodefaults -no-reboot -display none -serial stdio \
  -kernel "$folder"/root/boot/vmlinuz-* -initrd "$folder/initramfs" \
  -append 'console=ttyS0 quiet panic=-1' \
  -netdev "tap,id=meta,ifname=$tap,script=no,downscript=no" -device virtio-net-pci,netdev=meta,romfile=
