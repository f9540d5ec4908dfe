#!/usr/bin/env bash
# Packs a release: an archive for each machine, and SHA256SUMS.
#
#   ci/release.sh VERSION BINARIES OUT     BINARIES has a folder for each machine, with the program in it
#   ci/release.sh VERSION                  lists what a release has, and makes nothing
set -euo pipefail
cd "$(dirname "$0")/.."

# Machine, and the target it is built for. Linux builds are static.
machines="
linux-amd64   x86_64-unknown-linux-musl
linux-arm64   aarch64-unknown-linux-musl
macos-amd64   x86_64-apple-darwin
macos-arm64   aarch64-apple-darwin
windows-amd64 x86_64-pc-windows-msvc
"

version=${1:?usage: ci/release.sh VERSION [BINARIES OUT]}
stated=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
if [ "${version#v}" != "$stated" ]; then
    echo "the tag says ${version#v}, Cargo.toml says $stated" >&2
    exit 1
fi
binaries=${2:-} out=${3:-}

# Candidates run on Linux: elsewhere the program needs its Linux builds beside it (src/run/program.rs).
contents() {
    case $1 in
    linux-*) echo "exitone" ;;
    macos-*) echo "exitone exitone-linux-amd64 exitone-linux-arm64" ;;
    windows-*) echo "exitone.exe exitone-linux-amd64 exitone-linux-arm64" ;;
    esac
    echo "README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT"
}

file() {
    case $2 in
    exitone | exitone.exe) echo "$binaries/$1/$2" ;;
    exitone-linux-*) echo "$binaries/${2#exitone-}/exitone" ;;
    *) echo "$2" ;;
    esac
}

[ -z "$out" ] || mkdir -p "$out"
while read -r machine target; do
    [ -n "$machine" ] || continue
    name=exitone-$machine
    echo "$name.tar.gz ($target): $(contents "$machine" | tr '\n' ' ')"
    [ -n "$out" ] || continue
    folder=$(mktemp -d)
    mkdir "$folder/$name"
    for member in $(contents "$machine"); do
        cp -- "$(file "$machine" "$member")" "$folder/$name/$member"
        case $member in exitone*) chmod 755 "$folder/$name/$member" ;; esac
    done
    # The same files make the same archive.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$folder" -c "$name" | gzip -n >"$out/$name.tar.gz"
    rm -r "$folder"
done <<<"$machines"
echo "SHA256SUMS: the checksum of each archive"
[ -z "$out" ] || (cd "$out" && sha256sum exitone-*.tar.gz >SHA256SUMS)
