# nixos/modules/services/misc/nix-gc.nix: the service is always there, the timer only when it is automatic.
{ config, lib, ... }:
with lib;
let
  cfg = config.nix.gc;
in
{
  options.nix.gc = {
    automatic = mkOption { type = types.bool; default = false; };
    dates = mkOption { type = types.str; default = "03:15"; };
    options = mkOption { type = types.str; default = ""; };
    persistent = mkOption { type = types.bool; default = true; };
    randomizedDelaySec = mkOption { type = types.str; default = "0"; };
  };
  config = {
    systemd.services.nix-gc = {
      description = "Nix Garbage Collector";
      script = "exec nix-collect-garbage ${cfg.options}";
      serviceConfig.Type = "oneshot";
      startAt = optional cfg.automatic cfg.dates;
    };
    systemd.timers.nix-gc = mkIf cfg.automatic {
      timerConfig = { RandomizedDelaySec = cfg.randomizedDelaySec; Persistent = cfg.persistent; };
    };
  };
}
