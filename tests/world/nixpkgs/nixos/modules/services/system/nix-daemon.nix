# nixos/modules/services/system/nix-daemon.nix: that Nix is there. Hosts of the test world have no daemon; root needs none.
{ lib, ... }:
with lib;
{
  options.nix.enable = mkOption { type = types.bool; default = true; };
}
