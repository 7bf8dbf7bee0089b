# nixos/modules/system/boot/emergency-mode.nix: that it exists. There is no console here to wait at.
{ lib, ... }:
with lib;
{
  options.systemd.enableEmergencyMode = mkOption { type = types.bool; default = true; };
}
