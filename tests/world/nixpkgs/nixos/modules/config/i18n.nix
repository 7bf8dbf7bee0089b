# nixos/modules/config/i18n.nix, nixos/modules/config/locale.nix
{ config, lib, ... }:
with lib;
{
  options.i18n.defaultLocale = mkOption { type = types.str; default = "en_US.UTF-8"; };
  options.time.timeZone = mkOption { type = types.nullOr types.str; default = null; };
  config.environment.etc = {
    "locale.conf".text = "LANG=${config.i18n.defaultLocale}\n";
  } // optionalAttrs (config.time.timeZone != null) {
    localtime.source = "/usr/share/zoneinfo/${config.time.timeZone}";
  };
}
