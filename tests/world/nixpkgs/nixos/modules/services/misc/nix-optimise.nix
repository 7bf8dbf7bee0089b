# nixos/modules/services/misc/nix-optimise.nix
{ config, lib, ... }:
with lib;
let
  cfg = config.nix.optimise;
in
{
  options.nix.optimise = {
    automatic = mkOption { type = types.bool; default = false; };
    dates = mkOption { type = types.listOf types.str; default = [ "03:45" ]; };
  };
  config.systemd = {
    services.nix-optimise = {
      description = "Nix Store Optimiser";
      script = "exec nix-store --optimise";
      restartIfChanged = false;
      serviceConfig.Type = "oneshot";
      startAt = optionals cfg.automatic cfg.dates;
    };
    timers.nix-optimise = mkIf cfg.automatic {
      timerConfig = { Persistent = true; RandomizedDelaySec = 1800; };
    };
  };
}
