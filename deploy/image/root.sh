#!/bin/sh
# Run in a build stage of the image: root.sh ARCHITECTURE BINARY ROOT. Lays out the root of the
# image in ROOT: the binary without its debugging lines, the libraries that it asks for, the
# certificates that are trusted, a user, and the directory of the store.
set -eu
architecture=$1 binary=$2 root=$3

own=$(dpkg --print-architecture)
case ${architecture:-$own} in
  amd64) tools=x86_64-linux-gnu ;;
  arm64) tools=aarch64-linux-gnu ;;
  *) echo "root: amd64 or arm64, not $architecture" >&2; exit 64 ;;
esac
# Debian's cross compiler brings the other architecture's libraries to a place of its own.
if [ "${architecture:-$own}" = "$own" ]; then at="/lib/$tools /lib64 /lib"; else at="/usr/$tools/lib"; fi

install -D -m 0755 "$binary" "$root/usr/bin/portico"
# Names of functions stay, for what a panic says; lines of the sources are three quarters of it.
"$tools-strip" --strip-debug "$root/usr/bin/portico"

# library NAME: into the image under the name that is asked for, not under that of its version.
library() {
  for folder in $at; do
    if [ -e "$folder/$1" ]; then
      install -D -m 0755 "$(readlink -f "$folder/$1")" "$root/usr/lib/$tools/$1"
      return
    fi
  done
  echo "root: no $1 in $at" >&2
  exit 69
}

dynamic=$("$tools-readelf" --dynamic --wide --program-headers "$binary")
for name in $(echo "$dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do library "$name"; done
loader=$(echo "$dynamic" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
library "$(basename "$loader")"
# The places where the kernel and the loader look, as on a Debian with a merged /usr.
mkdir -p "$root/usr/lib64"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
if [ ! -e "$root$loader" ]; then
  ln -s "/usr/lib/$tools/$(basename "$loader")" "$root$loader"
fi

install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
install -D -m 0644 "$(dirname "$0")/LICENSE" "$root/usr/share/doc/portico/LICENSE"
printf '%s\n' 'root:x:0:0::/:/nologin' 'portico:x:65532:65532::/var/lib/portico:/nologin' \
  >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'portico:x:65532:' >"$root/etc/group"
# Names are found in files, then by DNS: nothing else is in the image.
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# Also for a uid of the cluster's choice, which is in the group 0 then (OpenShift).
install -d -o 65532 -g 0 -m 0770 "$root/var/lib/portico"
install -d -m 1777 "$root/tmp"
