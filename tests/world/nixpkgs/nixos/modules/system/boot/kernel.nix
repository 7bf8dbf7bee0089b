# Kernel and initrd as packages, so that "needs a reboot" can be told by comparing links, as on NixOS
# (nixos/modules/system/boot/kernel.nix, stage-1.nix). Nothing boots them: a host shares the kernel of its machine.
{ config, lib, pkgs, ... }:
with lib;
let
  version = config.boot.kernelVersion;
  kernel = pkgs.runCommand "linux-${version}" { } ''
    mkdir -p $out
    echo "stand-in for Linux ${version}" > $out/bzImage
  '';
  modules = pkgs.runCommand "linux-${version}-modules" { } "mkdir -p $out/lib/modules/${version}";
  initrd = pkgs.runCommand "initrd-linux-${version}" { } ''
    mkdir -p $out
    echo "stand-in for the initrd of Linux ${version}" > $out/initrd
  '';
in
{
  options.boot = {
    kernelParams = mkOption { type = types.listOf types.str; default = [ ]; };
    kernelVersion = mkOption { type = types.str; default = "6.6.1"; description = "Stands for boot.kernelPackages."; };
    growPartition = mkOption { type = types.bool; default = true; };
  };
  options.fileSystems = mkOption { type = types.attrsOf types.attrs; default = { }; };
  options.swapDevices = mkOption { type = types.listOf types.attrs; default = [ ]; };
  config.system.systemBuilderCommands = ''
    ln -s ${kernel}/bzImage $out/kernel
    ln -s ${initrd}/initrd $out/initrd
    ln -s ${modules} $out/kernel-modules
    echo -n ${escapeShellArg (concatStringsSep " " config.boot.kernelParams)} > $out/kernel-params
  '';
}
