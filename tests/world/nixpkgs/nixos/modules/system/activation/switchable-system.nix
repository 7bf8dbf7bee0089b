# Inhibitors: what a running system cannot be switched to (nixos/modules/system/activation/switchable-system.nix).
# A system lists them in `switch-inhibitors`; the check compares what both systems list, and a key of one alone never
# counts. As in the newest version seen, a `boot` is free, and so is a dry run.
{ config, lib, pkgs, ... }:
with lib;
{
  options.system.switch.inhibitors = mkOption { type = types.attrsOf types.str; default = { }; };
  config.system = {
    build.inhibitSwitch = pkgs.writeText "switch-inhibitors" (builtins.toJSON config.system.switch.inhibitors + "\n");
    systemBuilderCommands = "ln -s ${config.system.build.inhibitSwitch} $out/switch-inhibitors";
    preSwitchChecks.switchInhibitors = ''
      case "$2" in
        boot | dry-activate)
          echo "Not checking switch inhibitors (action = $2)"
          exit 0
          ;;
      esac
      printf 'Checking switch inhibitors...'
      changes=$(${pkgs.python3}/bin/python3 -IS ${./changed-inhibitors.py} /run/current-system/switch-inhibitors "$1/switch-inhibitors") || exit 1
      if [ -z "$changes" ]; then
        echo " done"
        exit 0
      fi
      echo "

      There are changes to critical components of the system:

      $changes

      Switching into this system is not recommended.
      You probably want to run 'nixos-rebuild boot' and reboot your system instead.

      If you really want to switch into this configuration directly, then
      you can set NIXOS_NO_CHECK=1 to ignore pre-switch checks.

      WARNING: doing so might cause the switch to fail or your system to become unstable.
      " | sed 's/^      //'
      exit 1
    '';
  };
}
