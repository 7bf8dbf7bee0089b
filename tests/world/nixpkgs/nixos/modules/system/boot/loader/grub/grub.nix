# The boot loader (nixos/modules/system/boot/loader/grub/grub.nix): which options the menu is made of, and where the
# tools are. As there, a system without a disk to install GRUB on (`nodev`: EFI, also on EC2, and specialisations) gets
# a menu, but no grub-reboot in its system path.
{ config, lib, pkgs, ... }:
with lib;
let
  cfg = config.boot.loader.grub;
  text = default: mkOption { type = types.str; inherit default; };
  timeout = config.boot.loader.timeout;
in
{
  options.boot.loader = {
    grub = {
      enable = mkOption { type = types.bool; default = true; };
      device = text "";
      devices = mkOption { type = types.listOf types.str; default = [ ]; };
      configurationLimit = mkOption { type = types.int; default = 100; };
      efiSupport = mkOption { type = types.bool; default = false; };
      default = mkOption { type = types.either types.int types.str; default = "0"; apply = toString; };
      entryOptions = text "--class nixos --unrestricted";
      subEntryOptions = text "--class nixos";
      extraConfig = mkOption { type = types.lines; default = ""; };
    };
    systemd-boot.enable = mkOption { type = types.bool; default = false; };
  };

  config = mkMerge [
    {
      assertions = [ {
        assertion = !config.boot.loader.systemd-boot.enable;
        message = "The test world plays GRUB, and no systemd-boot.";
      } ];
    }
    (mkIf cfg.enable {
      boot.loader.grub.devices = mkIf (cfg.device != "") [ cfg.device ];
      assertions = [ {
        assertion = cfg.devices != [ ];
        message = "You must set the option ‘boot.loader.grub.devices’ or 'boot.loader.grub.mirroredBoots' to make the system bootable.";
      } ];
      environment.systemPackages = optional (cfg.devices != [ "nodev" ]) pkgs.grub2;
      system.build.installBootLoader = "${pkgs.writeShellScript "install-grub.sh" ''
        set -eu
        limit=${toString cfg.configurationLimit}
        default=${escapeShellArg (if cfg.default == "saved" then "\"\${saved_entry}\"" else cfg.default)}
        timeout=${toString (if timeout == null then -1 else timeout)}
        entryOptions=${escapeShellArg cfg.entryOptions}
        subEntryOptions=${escapeShellArg cfg.subEntryOptions}
        extraConfig=${escapeShellArg cfg.extraConfig}
        fails=${optionalString config.standin.bootloaderFails "1"}
        failsLate=${optionalString config.standin.bootloaderFailsLate "1"}
        forgetsProfiles=${optionalString config.standin.bootloaderForgetsProfiles "1"}
        ${builtins.readFile ./install-grub.sh}
      ''}";
      system.systemBuilderCommands = "echo -n > $out/configuration-name";
    })
  ];
}
