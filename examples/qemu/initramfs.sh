#!/bin/sh
# Makes FOLDER/initramfs out of what fetch.sh put there: busybox, the network's modules, and init.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
files=$(mktemp -d)
trap 'rm -r "$files"' EXIT
mkdir "$files/bin" "$files/modules" "$files/proc" "$files/dev"
busybox=$PWD/root/bin/busybox
[ -e "$busybox" ] || busybox=$PWD/root/usr/bin/busybox
cp "$busybox" "$files/bin/busybox"
cp "$here/init" "$files/init"

# In the order in which they are loaded: each needs those before it.
number=10
for name in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
  failover net_failover virtio_net; do
  module=$(find root -name "$name.ko*")
  case $module in
    *.xz) xz -dc "$module" >"$files/modules/$number-$name.ko" ;;
    *.ko) cp "$module" "$files/modules/$number-$name.ko" ;;
    *) echo "$name is not a module of this kernel; it must be built in" >&2 ;;
  esac
  number=$((number + 1))
done

(cd "$files" && find . | "$busybox" cpio -o -H newc) | gzip -1 >initramfs
