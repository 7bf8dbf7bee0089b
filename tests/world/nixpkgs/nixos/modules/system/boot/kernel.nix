# Kernel, modules and initrd as packages, so that "needs a reboot" can be told by comparing links, as on NixOS
# (nixos/modules/system/boot/kernel.nix, stage-1.nix). As there, the initrd is made from the modules and from systemd's
# udev, so that it changes with either; parameters are no part of it. Nothing here is run: the played boot loader looks
# into the kernel's file to see whether it panics, and a host shares the kernel of its machine.
{ config, lib, pkgs, ... }:
with lib;
let
  version = config.standin.kernel;
  kernel = pkgs.runCommand "linux-${version}" { } ''
    mkdir -p $out/lib/modules/${version}
    echo "stand-in for Linux ${version}" > $out/bzImage
    ${optionalString config.standin.kernelPanics "echo panics >> $out/bzImage"}
  '';
  modules = pkgs.runCommand "linux-${version}-modules" { } ''
    mkdir -p $out/lib/modules
    ln -s ${kernel}/lib/modules/${version} $out/lib/modules/${version}
    ${optionalString (config.standin.kernelModules != "") "echo ${escapeShellArg config.standin.kernelModules} > $out/extra"}
  '';
  initrd = pkgs.runCommand "initrd-linux-${version}" { inherit modules; udev = config.systemd.package; } ''
    mkdir -p $out
    echo "stand-in for the initrd of Linux ${version}" > $out/initrd
  '';
in
{
  options.boot = {
    kernelParams = mkOption { type = types.listOf types.str; default = [ ]; };
    consoleLogLevel = mkOption { type = types.int; default = 4; };
  };
  options.fileSystems = mkOption { type = types.attrsOf types.attrs; default = { }; };
  options.swapDevices = mkOption { type = types.listOf types.attrs; default = [ ]; };
  config.boot.kernelParams = [ "loglevel=${toString config.boot.consoleLogLevel}" ];
  config.system.systemBuilderCommands = ''
    ln -s ${kernel}/bzImage $out/kernel
    ln -s ${modules} $out/kernel-modules
    echo -n ${escapeShellArg (concatStringsSep " " config.boot.kernelParams)} > $out/kernel-params
    ln -s ${initrd}/initrd $out/initrd
  '';
}
