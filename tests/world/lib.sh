# What the scripts of the test world share. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${FLOE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/floe}
# Debian keeps ip, nft and debootstrap where a user's PATH does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Paths inside a host, as root's shell on NixOS has them; Debian's own come last, for a host that was never activated.
host_path=/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { printf '%s\n' "$*" >&2; }
die() {
  say "${0##*/}: $*"
  exit 1
}

# One number for the content (names, modes, bytes) of files and directories, wherever they lie.
fingerprint() {
  local path
  for path; do
    if [ -d "$path" ]; then
      (cd "$path" && find . -type f -printf '%m ' -exec sha256sum {} + -o -type l -printf '%p %l\n' | LC_ALL=C sort)
    else
      sha256sum <"$path"
    fi
  done | sha256sum | cut -c1-20
}

# The archive of an agent, as `nixos/release` packs it, under the name that nixos/package.nix gives it in the store. It
# is the same for the same binary, and made once.
agent_archive() {
  local folder
  folder=$cache/release-$(sha256sum <"$1" | cut -c1-16)
  [ -e "$folder/floe-agent.tar.gz" ] || "$repository/nixos/release" --pack "$1" "$(uname -m)-linux" "$folder/floe-agent.tar.gz"
  touch "$folder"
  printf '%s\n' "$folder/floe-agent.tar.gz"
}

# locked FILE CMD… : only one process at a time; the lock goes with the process.
locked() {
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  (
    exec 9>"$file"
    flock 9
    "$@" 9>&-
  )
}

# The world's directory and its short name, which stands in the names of namespaces and cgroups.
world_dir() {
  [ -n "${FLOE_WORLD-}" ] || die "FLOE_WORLD is not set; it names the directory of this test world"
  mkdir -p "$FLOE_WORLD/machines"
  realpath "$FLOE_WORLD"
}
world_id() {
  printf %s "$1" | sha256sum | cut -c1-8
}

require_root() {
  [ "$(id -u)" = 0 ] || die "needs root: namespaces, mounts and cgroups of their own"
}
