#!/bin/sh
# Installs a release of exitone: downloads it, checks its SHA-256 checksum, and puts the program into a folder.
#
#   curl -fsSL https://github.com/OWNER/exitone/releases/latest/download/install.sh | sh
#
#   EXITONE_VERSION=0.1.0      another release than the latest
#   EXITONE_BIN=/usr/local/bin  another folder than ~/.local/bin
#   EXITONE_RELEASES=URL       a mirror of the releases
set -eu

repository=https://github.com/OWNER/exitone

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Downloads URL ($2) to a file ($1), by no other protocol than the URL's own.
download() {
    if has curl; then
        curl --fail --silent --show-error --location --retry 3 --proto "=${2%%:*}" --output "$1" "$2"
    elif has wget; then
        wget --quiet --output-document="$1" "$2"
    else
        fail "curl or wget is needed"
    fi
}

# The checksum of a file.
checksum() {
    if has sha256sum; then
        sha256sum "$1"
    elif has shasum; then
        shasum -a 256 "$1"
    else
        fail "sha256sum or shasum is needed: nothing is installed unchecked"
    fi | cut -d ' ' -f 1
}

# Everything is in functions, so that a download that breaks off runs nothing.
main() {
    case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-amd64) machine=linux-amd64 ;;
    Linux-aarch64 | Linux-arm64) machine=linux-arm64 ;;
    Darwin-x86_64) machine=macos-amd64 ;;
    Darwin-arm64) machine=macos-arm64 ;;
    *) fail "there is no release for $(uname -s) on $(uname -m); build it: cargo install --locked exitone" ;;
    esac
    releases=${EXITONE_RELEASES:-$repository/releases}
    version=${EXITONE_VERSION:-latest}
    bin=${EXITONE_BIN:-$HOME/.local/bin}
    case $version in
    latest) from=$releases/latest/download ;;
    *) from=$releases/download/v${version#v} ;;
    esac

    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 1' HUP INT TERM
    archive=exitone-$machine.tar.gz
    for file in "$archive" SHA256SUMS; do
        download "$folder/$file" "$from/$file" || fail "cannot download $from/$file"
    done
    stated=$(sed -n "s/^\([0-9a-f]\{64\}\)  $archive\$/\1/p" "$folder/SHA256SUMS")
    [ -n "$stated" ] || fail "SHA256SUMS has no checksum of $archive"
    found=$(checksum "$folder/$archive")
    [ "$found" = "$stated" ] || fail "$archive has the checksum $found, not $stated: nothing is installed"

    tar -xzf "$folder/$archive" -C "$folder"
    mkdir -p "$bin"
    # On macOS, the Linux builds that run inside containers stay beside the program.
    for program in "$folder/exitone-$machine"/exitone*; do
        # Moved, not copied over: a program that runs keeps its file.
        cp "$program" "$bin/.${program##*/}.new"
        chmod 755 "$bin/.${program##*/}.new"
        mv -f "$bin/.${program##*/}.new" "$bin/${program##*/}"
    done
    echo "installed $("$bin/exitone" --version) in $bin (checksum $found)"
    case :$PATH: in
    *:"$bin":*) echo "next: exitone doctor" ;;
    *) echo "next: add $bin to PATH, then run: exitone doctor" ;;
    esac
}

main
