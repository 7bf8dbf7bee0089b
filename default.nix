# floe for those who use no flakes: packages, modules and the overlay, as in flake.nix.
#
#   nix-build -A floe
#   imports = [ (import /path/to/floe { }).nixosModules.agent ];
#
# nixpkgs is the one that flake.lock pins; where there is no lock, or with `pkgs`, another.
{
  system ? builtins.currentSystem,
  pkgs ? import (import ./nixos/nixpkgs.nix) {inherit system;},
}: let
  packages = import ./nixos/source.nix {inherit pkgs;};
in
  packages
  // {
    nixosModules = import ./nixos/modules.nix;
    overlays.default = final: _: import ./nixos/source.nix {pkgs = final;};
    userData = import ./nixos/user-data;
    checks = import ./nixos/tests {inherit pkgs packages;};
  }
