# Boot loader: one link, /boot/loader/default, that the next boot follows. Stands for GRUB's default entry
# (nixos/modules/system/boot/loader/grub/install-grub.pl), which is the system whose `switch-to-configuration boot`
# ran last. Replaced by a rename: a power cut leaves either entry, never none.
{ config, lib, pkgs, ... }:
with lib;
{
  options.boot.loader = {
    grub.enable = mkOption { type = types.bool; default = true; };
    grub.device = mkOption { type = types.str; default = ""; };
    systemd-boot.enable = mkOption { type = types.bool; default = false; };
    timeout = mkOption { type = types.int; default = 1; };
  };
  config.system.build.installBootLoader = pkgs.writeShellScript "install-bootloader" ''
    ${optionalString config.standin.bootloaderFails "echo 'stand-in: the boot loader fails, as asked' >&2; exit 7"}
    mkdir -p /boot/loader
    ln -sfn "$1" /boot/loader/default.new
    exec mv -T /boot/loader/default.new /boot/loader/default
  '';
}
