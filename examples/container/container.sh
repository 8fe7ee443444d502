#!/bin/sh
# Runs program.sh in a container-like process that is the instance given: container.sh INSTANCE (as root)
set -eu
instance=$1
here=$(dirname "$0")
folder=$(mktemp -d)
mkfifo "$folder/start"
exec 3<>"$folder/start"
rm -r "$folder"

unshare --net --uts --pid --fork --kill-child sh "$here/program.sh" <&3 &
container=$!
trap 'kill "$container" 2>/dev/null || true; linklocal node detach "$instance" >/dev/null || true' EXIT
trap 'exit 1' INT TERM

# A moment passes until the process has its own network; if it ends before that, so does this script.
until [ "$(readlink "/proc/$container/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do
  kill -0 "$container"
  sleep 0.05
done

linklocal node attach "$instance" --pid "$container"
echo start >&3
wait "$container"
