#!/usr/bin/env bash
# Packs a release: an archive for each machine, the installer, the Homebrew formula, and SHA256SUMS.
#
#   ci/release.sh VERSION BINARIES OUT     BINARIES has a folder for each machine, with the program in it
#   ci/release.sh VERSION                  lists what a release has, and makes nothing
#
# GITHUB_REPOSITORY (OWNER/NAME), where it is set, must be the repository that Cargo.toml names.
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

field() {
    sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" Cargo.toml | head -n 1
}

version=${1:?usage: ci/release.sh VERSION [BINARIES OUT]}
version=${version#v}
repository=$(field repository)
if [ "$version" != "$(field version)" ]; then
    echo "the tag says $version, Cargo.toml says $(field version)" >&2
    exit 1
fi
if [ -n "${GITHUB_REPOSITORY:-}" ] && [ "${repository#https://github.com/}" != "$GITHUB_REPOSITORY" ]; then
    echo "this is the repository $GITHUB_REPOSITORY; Cargo.toml, install.sh and docs say $repository" >&2
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

# Completions and manual pages, written by the build for this machine.
pages() {
    local program
    program=$binaries/linux-$(case $(uname -m) in aarch64) echo arm64 ;; *) echo amd64 ;; esac)/exitone
    chmod 755 "$program"
    mkdir -p "$1/completions"
    "$program" completions bash >"$1/completions/exitone.bash"
    "$program" completions zsh >"$1/completions/_exitone"
    "$program" completions fish >"$1/completions/exitone.fish"
    "$program" completions powershell >"$1/completions/_exitone.ps1"
    "$program" man --folder "$1/man"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "$out" ]; then
    mkdir -p "$out"
    pages "$work/pages"
fi
while read -r machine target; do
    [ -n "$machine" ] || continue
    name=exitone-$machine
    echo "$name.tar.gz ($target): $(contents "$machine" | tr '\n' ' ')completions man"
    [ -n "$out" ] || continue
    mkdir "$work/$name"
    for member in $(contents "$machine"); do
        cp -- "$(file "$machine" "$member")" "$work/$name/$member"
        case $member in exitone*) chmod 755 "$work/$name/$member" ;; esac
    done
    cp -R "$work/pages/." "$work/$name/"
    # The same files make the same archive.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work" -c "$name" | gzip -n >"$out/$name.tar.gz"
done <<<"$machines"
echo "install.sh: the installer, which checks the checksum"
echo "exitone.rb: the Homebrew formula"
echo "SHA256SUMS: the checksum of each of these"
[ -n "$out" ] || exit 0

(cd "$out" && sha256sum exitone-*.tar.gz >SHA256SUMS)
formula=$(sed "s|@VERSION@|$version|g; s|@REPOSITORY@|$repository|g" ci/exitone.rb.in)
while read -r sum archive; do
    machine=${archive#exitone-}
    formula=${formula//"@SHA256:${machine%.tar.gz}@"/$sum}
done <"$out/SHA256SUMS"
printf '%s\n' "$formula" >"$out/exitone.rb"
cp install.sh "$out/install.sh"
(cd "$out" && sha256sum install.sh exitone.rb >>SHA256SUMS)
