#!/bin/sh
# Tests over a real network between two namespaces, with cables, lost packets and a name server of their own
# (tests/net/). Needs the right to make namespaces: root, or a system that lets everybody make user namespaces.
#
#   scripts/net-test.sh         all of them, some minutes; fails where they cannot be run
#   scripts/net-test.sh short   a short form; where it cannot be run, says so loudly and goes on
set -eu

cd "$(dirname "$0")/.."
PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH:/usr/sbin:/sbin
export PATH
form=${1:-all}

not_run() {
    {
        echo '*******************************************************************************'
        echo "NOT RUN: the tests over a real network: $1"
        echo 'Run them where that is possible: make net-test (as root, or with user namespaces)'
        echo '*******************************************************************************'
    } >&2
    if [ "$form" = short ]; then exit 0; else exit 1; fi
}

for tool in ip nft unshare mount; do
    command -v "$tool" >/dev/null 2>&1 || not_run "$tool is missing (scripts/setup.sh net installs it)"
done
# A namespace of networks, and one of mounts for the name server's address; as nobody in particular, one of users too.
kinds='--net --mount'
if [ "$(id -u)" != 0 ]; then kinds="$kinds --user --map-root-user"; fi
# shellcheck disable=SC2086 # a list of options, split on purpose
why=$(unshare $kinds sh -c 'ip link add name here type veth peer name there && ip link delete here && nft "table inet t { }" &&
    mount --bind /dev/null /etc/hosts' 2>&1) || not_run "no right to make a network of its own here: $why"

cargo test --locked --test net --no-run

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
# Only the name server of the tests is asked, and it is waited for shortly.
printf 'nameserver 10.77.0.1\noptions timeout:1 attempts:1\n' >"$files/resolv.conf"
printf 'hosts: dns\n' >"$files/nsswitch.conf"
: >"$files/hosts"
case $form in
short) filter=short_ ;;
all) filter= ;;
*) filter=$form ;;
esac
export TONEARM_NET_TEST=1
# shellcheck disable=SC2086,SC2016 # as above; the inner shell is to expand its own
unshare $kinds sh -c '
    set -eu
    files=$1
    filter=$2
    for file in resolv.conf nsswitch.conf hosts; do
        [ -e "/etc/$file" ] || continue
        mount --bind "$files/$file" "$(readlink -f "/etc/$file")"
    done
    cargo --offline test --locked --test net -- --ignored --nocapture --test-threads=1 $filter
' net-test "$files" "$filter"
