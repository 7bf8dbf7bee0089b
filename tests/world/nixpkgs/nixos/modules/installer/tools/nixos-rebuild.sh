#!/bin/bash
# Stand-in of `nixos-rebuild` for a configuration without flakes. Written from what the real one (nixos-rebuild-ng of
# nixpkgs, pkgs/by-name/ni/nixos-rebuild-ng/src/nixos_rebuild/{__init__,nix,services}.py) is known to *issue*: the
# commands, their order and the exit status are the same; no line of it is copied.
#
#   nixos-rebuild build|switch|boot|test|dry-activate|dry-build
#                 [--no-reexec|--fast] [--no-flake] [-I NAME=PATH]… [--store-path PATH]
#                 [--profile-name NAME] [--rollback] [--install-bootloader]
#
# stdout carries only the store path; the status is that of the failing command.
set -euo pipefail

action='' reexec=1 store_path='' rollback='' profile=/nix/var/nix/profiles/system
includes=() original=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    build | switch | boot | test | dry-activate | dry-build) action=$1 ;;
    --no-reexec | --fast) reexec= ;;
    --no-flake | --no-ssh-tty | --quiet | -v | --verbose) ;;
    -I)
      includes+=(-I "$2")
      shift
      ;;
    --store-path)
      store_path=$2
      shift
      ;;
    -p | --profile-name)
      mkdir -p /nix/var/nix/profiles/system-profiles
      profile=/nix/var/nix/profiles/system-profiles/$2
      shift
      ;;
    --rollback) rollback=1 ;;
    --install-bootloader) export NIXOS_INSTALL_BOOTLOADER=1 ;;
    *)
      echo "nixos-rebuild: error: unrecognized arguments: $1" >&2
      exit 2
      ;;
  esac
  shift
done
[ -n "$action" ] || { echo "nixos-rebuild: error: the following arguments are required: action" >&2 && exit 2; }

changes_system() { case $action in switch | boot | test) ;; *) false ;; esac; }
builder() { nix-build '<nixpkgs/nixos>' --attr "$@" ${includes[@]+"${includes[@]}"}; }

# The new tree's own nixos-rebuild goes on, unless told not to.
if changes_system && [ -n "$reexec" ] && [ -z "$store_path$rollback${_NIXOS_REBUILD_REEXEC-}" ]; then
  if newer=$(builder config.system.build.nixos-rebuild --no-out-link); then
    export _NIXOS_REBUILD_REEXEC=1
    exec "$newer/bin/nixos-rebuild" "${original[@]}"
  fi
  echo "warning: could not build a newer version of nixos-rebuild, using current version" >&2
fi

if [ -n "$rollback" ]; then
  nix-env --rollback -p "$profile"
  system=$profile
elif [ -n "$store_path" ]; then
  system=$store_path
else
  nix-instantiate --find-file nixpkgs ${includes[@]+"${includes[@]}"} >/dev/null
  echo "building the system configuration..." >&2
  case $action in
    build) system=$(builder config.system.build.toplevel) ;;
    dry-build) exec nix-build '<nixpkgs/nixos>' --attr config.system.build.toplevel --dry-run ${includes[@]+"${includes[@]}"} ;;
    *) system=$(builder config.system.build.toplevel --no-out-link) ;;
  esac
fi

case $action in
  switch | boot)
    if [ ! -e "$system/nixos-version" ] && [ -z "${NIXOS_REBUILD_I_UNDERSTAND_THE_CONSEQUENCES_PLEASE_BREAK_MY_SYSTEM-}" ]; then
      echo "error: your NixOS configuration path seems to be missing essential files: $system" >&2
      exit 1
    fi
    [ -n "$rollback" ] || nix-env -p "$profile" --set "$system"
    ;;
esac
case $action in
  build) ;;
  *)
    launcher=()
    [ ! -d /run/systemd/system ] || launcher=(systemd-run
      -E LOCALE_ARCHIVE -E NIXOS_INSTALL_BOOTLOADER -E NIXOS_NO_CHECK
      --collect --no-ask-password --pipe --quiet --service-type=exec
      --unit=nixos-rebuild-switch-to-configuration)
    ${launcher[@]+"${launcher[@]}"} "$system/bin/switch-to-configuration" "$action" >&2
    ;;
esac
printf '%s\n' "$system"
