# nixos/modules/system/boot/systemd/tmpfiles.nix: rules for systemd's own systemd-tmpfiles, which runs before services do
# and, through sysinit-reactivation.target, in each switch.
{ config, lib, ... }:
with lib;
{
  options.systemd.tmpfiles.rules = mkOption { type = types.listOf types.str; default = [ ]; };
  config.environment.etc = optionalAttrs (config.systemd.tmpfiles.rules != [ ]) {
    "tmpfiles.d/00-nixos.conf".text = concatMapStrings (rule: "${rule}\n") config.systemd.tmpfiles.rules;
  };
}
