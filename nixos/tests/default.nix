# The VM tests: a control plane and two hosts of one role, real kernels, real NixOS. `nix flake check` runs them, and
# `nix-build -A checks.push` one. They need a machine with KVM.
{
  pkgs,
  packages,
}: let
  story = path: import path {tell = import ./fleet.nix {inherit pkgs packages;};};
in {
  push = story ./push.nix;
  rollback = story ./rollback.nix;
  reboot = story ./reboot.nix;
}
