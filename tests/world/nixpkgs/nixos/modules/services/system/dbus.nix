# What nobody may switch under a running system (nixos/modules/services/system/dbus.nix). The bus itself is the base's.
{ config, lib, ... }:
with lib;
{
  options.services.dbus.implementation = mkOption { type = types.enum [ "dbus" "broker" ]; default = "dbus"; };
  config.system.switch.inhibitors.dbus-implementation = config.services.dbus.implementation;
}
