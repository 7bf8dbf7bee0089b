# The VM tests: a control plane and two hosts of one role, real kernels, real NixOS. `nix flake check` runs them, and
# `nix-build -A checks.push` one. They need a machine with KVM, and boot by BIOS and GRUB, so x86_64 alone has them.
{
  pkgs,
  packages,
}: let
  story = path: import path {tell = import ./fleet.nix {inherit pkgs packages;};};
in
  pkgs.lib.optionalAttrs pkgs.stdenv.hostPlatform.isx86_64 {
    push = story ./push.nix;
    rollback = story ./rollback.nix;
    reboot = story ./reboot.nix;
  }
