# What `/run/current-system/sw` holds (nixos/modules/config/system-path.nix).
{ config, lib, pkgs, ... }:
with lib;
{
  options = {
    environment.systemPackages = mkOption { type = types.listOf types.package; default = [ ]; };
    environment.variables = mkOption { type = types.attrsOf types.str; default = { }; };
    system.path = mkOption { type = types.package; };
  };
  config.system.path = pkgs.symlinkJoin {
    name = "system-path";
    paths = config.environment.systemPackages ++ [ pkgs.baseTools ];
  };
}
