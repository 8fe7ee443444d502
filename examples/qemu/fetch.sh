#!/bin/sh
# Unpacks a kernel and busybox of Debian into FOLDER, without installing them: fetch.sh FOLDER
set -eu
mkdir -p "$1"
cd "$1"
[ -e root ] && exit 0

# The package without a version has none but a dependency on the one with it.
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p')
apt-get -q download "$kernel" busybox-static
mkdir unpacked
for package in *.deb; do
  dpkg-deb -x "$package" unpacked
  rm "$package"
done
mv unpacked root
