# The `activate` script (nixos/modules/system/activation/activation-script.nix): snippets that run one after the other;
# one that fails does not end the rest but makes the whole fail.
{ config, lib, pkgs, ... }:
with lib;
let
  cfg = config.standin;
  faults =
    optionalAttrs (cfg.activationDelay > 0) { "0delay" = "sleep ${toString cfg.activationDelay}"; }
    // optionalAttrs cfg.activationFails { "0fails" = "echo 'stand-in: activation fails, as asked' >&2; false"; }
    // optionalAttrs cfg.activationDies { "1dies" = "echo 'stand-in: activation ends early, as asked' >&2; exit 1"; };
  snippet = name: s: ''

    # --- ${name}
    snippetstatus=0
    ${if isString s then s else s.text}
    [ $snippetstatus = 0 ] || echo "Activation script snippet '${name}' failed ($snippetstatus)"
  '';
in
{
  options.system.activationScripts = mkOption {
    type = types.attrsOf (types.either types.lines types.attrs);
    default = { };
  };
  config.system.build.activate = pkgs.writeText "activate" (
    builtins.readFile ./activate-head.sh
    + concatStrings (mapAttrsToList snippet (faults // config.system.activationScripts))
    + ''

      # What runs is never garbage.
      ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
      ln -sfn "$systemConfig" /run/current-system
      exit $status
    ''
  );
}
