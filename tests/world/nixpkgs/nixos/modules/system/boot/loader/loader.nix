# nixos/modules/system/boot/loader/loader.nix, and what is done where no loader is on (nixos/modules/system/build.nix).
{ lib, pkgs, ... }:
with lib;
{
  options.boot.loader.timeout = mkOption { type = types.nullOr types.int; default = 5; };
  config.system.build.installBootLoader = mkDefault (pkgs.writeShellScript "no-bootloader" ''
    echo 'Warning: do not know how to make this configuration bootable; please enable a boot loader.' >&2
  '');
}
