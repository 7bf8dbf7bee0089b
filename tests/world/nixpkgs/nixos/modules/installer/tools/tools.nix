# `nixos-rebuild` of this system (nixos/modules/installer/tools/tools.nix, nixos/modules/installer/tools/nixos-rebuild).
{ config, lib, pkgs, ... }:
{
  system.build.nixos-rebuild = pkgs.runCommand "nixos-rebuild" { } ''
    mkdir -p $out/bin
    cp ${./nixos-rebuild.sh} $out/bin/nixos-rebuild
    chmod +x $out/bin/nixos-rebuild
  '';
  environment.systemPackages = [ config.system.build.nixos-rebuild ];
}
