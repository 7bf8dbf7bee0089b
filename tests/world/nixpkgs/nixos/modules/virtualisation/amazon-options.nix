# nixos/modules/virtualisation/amazon-options.nix; `ec2.hvm` as it was until 24.11 (amazon-image.nix).
{ lib, ... }:
with lib;
{
  options.ec2 = {
    hvm = mkOption { type = types.bool; default = true; };
    efi = mkOption { type = types.bool; default = false; };
    zfs.enable = mkEnableOption "zfs";
  };
}
