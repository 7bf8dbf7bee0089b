# What must hold before a switch (nixos/modules/system/activation/pre-switch-check.nix): scripts that are given the new
# system and the verb, one after the other, until one fails.
{ config, lib, pkgs, ... }:
with lib;
{
  options.system.preSwitchChecks = mkOption { type = types.attrsOf types.str; default = { }; };
  options.system.preSwitchChecksScript = mkOption { type = types.path; };
  config.system = {
    preSwitchChecks = mkIf config.standin.checkFails {
      standin = ''echo "stand-in: the check of $1 for $2 fails, as asked"; exit 1'';
    };
    preSwitchChecksScript = pkgs.writeShellScript "pre-switch-checks" (concatStrings (mapAttrsToList (name: text: ''
      # pre-switch check ${name}
      (
      ${text}
      ) >&2 || { echo "Pre-switch check '${name}' failed" >&2; exit 1; }
    '') config.system.preSwitchChecks));
  };
}
