# nixos/modules/misc/version.nix, and the platform of nixos/modules/misc/nixpkgs.nix
{ config, lib, pkgs, ... }:
with lib;
{
  options = {
    system.stateVersion = mkOption { type = types.str; default = "24.11"; };
    system.configurationRevision = mkOption { type = types.nullOr types.str; default = null; };
    system.nixos.version = mkOption { type = types.str; default = "24.11.mini"; };
    system.nixos.label = mkOption { type = types.str; default = config.system.nixos.version; };
    system.nixos.tags = mkOption { type = types.listOf types.str; default = [ ]; };
    nixpkgs.config = mkOption { type = types.attrs; default = { }; };
    nixpkgs.hostPlatform = mkOption { type = types.str; default = pkgs.system; };
  };
  config.environment.etc."os-release".text = ''
    NAME=NixOS
    ID=nixos
    VERSION_ID="24.11"
    PRETTY_NAME="NixOS 24.11 (stand-in of the floe test world)"
  '';
}
