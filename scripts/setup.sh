#!/bin/sh
# Checks what a build needs and installs what is missing: on Debian 12, Ubuntu 24.04, Raspberry Pi OS, and whatever
# else has apt. Says what it will do before it does it. Quiet when everything is there.
#
#   scripts/setup.sh          what `make demo` needs
#   scripts/setup.sh test     what `make test` needs as well: clippy and rustfmt
#   scripts/setup.sh net      what `make net-test` needs: tools for network namespaces and packet filters
#   scripts/setup.sh bench    what `make bench-audio` needs as well: encoders, and the players to compare with
#
# Packages: root just installs; others are asked when a terminal is there. YES=1 answers every question with yes.
# Without a terminal and without YES=1, it says the command and fails. The Rust toolchain is always asked for.
set -eu

cd "$(dirname "$0")/.."
PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH
export PATH

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# consent QUESTION COMMAND: yes, or an end that names the command.
consent() {
    if [ "${YES:-}" = 1 ]; then return 0; fi
    if [ ! -t 0 ]; then
        fail "$1 There is no terminal to ask at. Run this, or answer with YES=1: $2"
    fi
    printf 'setup: %s [y/N] ' "$1" >&2
    read -r answer || answer=
    case $answer in
    y | Y | yes | Yes) return 0 ;;
    *) fail "nothing was changed. It would be: $2" ;;
    esac
}

# ---- packages ----

packages=
need() { packages="$packages${packages:+ }$1"; }

has cc || need 'gcc libc6-dev'
has make || need make
if ! has pkg-config; then
    need 'pkg-config libasound2-dev'
elif ! pkg-config --exists alsa; then
    need libasound2-dev
fi

# The encoders are needed; a player or valgrind that does not come is left out of the comparison.
peers=
if [ "${1:-}" = bench ]; then
    for pair in python3:python3 ffmpeg:ffmpeg flac:flac lame:lame oggenc:vorbis-tools; do
        has "${pair%%:*}" || need "${pair#*:}"
    done
    for peer in mpd mpv mpg123 valgrind; do
        has "$peer" || peers="$peers${peers:+ }$peer"
    done
fi

if [ "${1:-}" = net ]; then
    # Tools of the administrator are not on everybody's path.
    PATH=$PATH:/usr/sbin:/sbin
    for pair in ip:iproute2 nft:nftables unshare:util-linux mount:mount; do
        has "${pair%%:*}" || need "${pair#*:}"
    done
fi

install_packages() {
    # shellcheck disable=SC2086 # a list of names, split on purpose
    set -- env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
    has apt-get || fail "missing: $packages. This is no system with apt; install what goes by these names there."
    if is_root; then
        say "installing: $packages"
        apt-get update || say 'the package lists could not be renewed; trying with those that are there'
        "$@"
    else
        has sudo || fail "missing: $packages. There is no sudo; run this as root: $*"
        consent "missing: $packages. Install with sudo apt-get?" "sudo $*"
        sudo apt-get update || say 'the package lists could not be renewed; trying with those that are there'
        sudo "$@"
    fi
}

if [ -n "$packages" ]; then install_packages; fi
if [ -n "$peers" ]; then (packages=$peers && install_packages) || say "left out of the comparison: $peers"; fi

# ---- Rust ----

# The oldest toolchain that builds this, as Cargo.toml says.
wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)
rustup_install="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component clippy,rustfmt"

# is_enough VERSION: at least the wanted one, number by number.
is_enough() {
    found_major=${1%%.*}
    found_rest=${1#*.}
    found_minor=${found_rest%%.*}
    wanted_rest=${wanted#*.}
    [ "$found_major" -gt "${wanted%%.*}" ] ||
        { [ "$found_major" -eq "${wanted%%.*}" ] && [ "$found_minor" -ge "${wanted_rest%%.*}" ]; }
}

# The version of the toolchain that a build would use; empty where there is none.
rust_version() {
    if has cargo && has rustc; then
        rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p'
    fi
}

install_rust() {
    if has rustup; then
        consent "$1 Update it with rustup?" 'rustup toolchain install stable && rustup default stable'
        rustup toolchain install stable --profile minimal --component clippy,rustfmt
        rustup default stable
    else
        consent "$1 Install it for this user with the official installer (https://rustup.rs)?" "$rustup_install"
        if ! has curl; then
            packages='curl ca-certificates'
            install_packages
        fi
        installer=$(mktemp)
        curl --proto '=https' --tlsv1.2 -sSf -o "$installer" https://sh.rustup.rs ||
            fail 'the installer could not be fetched; is there a network? https://rustup.rs shows other ways'
        sh "$installer" -y --profile minimal --component clippy,rustfmt
        rm -f "$installer"
    fi
}

version=$(rust_version)
if [ -z "$version" ]; then
    install_rust "there is no Rust toolchain (cargo, rustc); $wanted or newer is needed."
elif ! is_enough "$version"; then
    install_rust "the Rust toolchain is $version; $wanted or newer is needed."
fi
if [ -z "$version" ] || ! is_enough "$version"; then
    version=$(rust_version)
    if [ -z "$version" ] || ! is_enough "$version"; then
        fail "the toolchain that answers here is still ${version:-none}; does PATH or a rust-toolchain file name another?"
    fi
    say "Rust $version is installed. In your own shell, it is found after: . \"\$HOME/.cargo/env\""
fi

# ---- what only the tests need ----

if [ "${1:-}" = test ]; then
    missing=
    cargo clippy --version >/dev/null 2>&1 || missing=clippy
    cargo fmt --version >/dev/null 2>&1 || missing="$missing${missing:+ }rustfmt"
    if [ -n "$missing" ]; then
        has rustup || fail "the toolchain lacks: $missing. Install them the way the toolchain was installed."
        consent "the toolchain lacks: $missing. Add with rustup?" "rustup component add $missing"
        # shellcheck disable=SC2086 # a list of names, split on purpose
        rustup component add $missing
    fi
fi
