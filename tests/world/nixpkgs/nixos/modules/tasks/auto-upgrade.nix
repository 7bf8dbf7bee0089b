# nixos/modules/tasks/auto-upgrade.nix: that it exists, and is off. Nothing in the test world upgrades itself.
{ lib, ... }:
with lib;
{
  options.system.autoUpgrade.enable = mkOption { type = types.bool; default = false; };
}
