#!/bin/sh
# Install the servers of Ceph that the tests start, where they are missing. The packages configure no server, so none runs.
set -eu

packages="ceph-mon ceph-osd radosgw"
for command in $packages; do
    command -v "$command" >/dev/null || missing="${missing-} $command"
done
[ -n "${missing-}" ] || exit 0

command -v apt-get >/dev/null || { echo "missing:$missing; install them (on Debian and Ubuntu: packages $packages)" >&2; exit 1; }
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "missing:$missing; as root: apt-get install --no-install-recommends $packages" >&2
    exit 1
fi
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
