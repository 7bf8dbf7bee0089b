# The `activate` script (nixos/modules/system/activation/activation-script.nix): snippets that run one after the other;
# one that fails does not end the rest but makes the whole fail. Each comes after those that it depends on.
{ config, lib, pkgs, ... }:
with lib;
let
  cfg = config.standin;
  faults =
    optionalAttrs (cfg.activationDelay > 0) { "0delay" = "sleep ${toString cfg.activationDelay}"; }
    // optionalAttrs cfg.activationFails { "0fails" = "echo 'stand-in: activation fails, as asked' >&2; false"; }
    // optionalAttrs cfg.activationDies { "1dies" = "echo 'stand-in: activation ends early, as asked' >&2; exit 1"; };
  snippets = mapAttrs (_: s: if isString s then noDepEntry s else s) (faults // config.system.activationScripts);
  snippet = name: ''

    # --- ${name}
    snippetstatus=0
    ${snippets.${name}.text}
    [ $snippetstatus = 0 ] || echo "Activation script snippet '${name}' failed ($snippetstatus)"
  '';
  script.options = {
    deps = mkOption { type = types.listOf types.str; default = [ ]; };
    text = mkOption { type = types.lines; };
  };
in
{
  options.system.activationScripts = mkOption {
    type = types.attrsOf (types.either types.str (types.submodule script));
    default = { };
  };
  # `/proc` and its kind, which stage 1 has brought here.
  config.system.activationScripts.specialfs = "";
  config.system.build.activate = pkgs.writeText "activate" (
    builtins.readFile ./activate-head.sh
    + concatMapStrings snippet (textClosureList snippets (attrNames snippets))
    + ''

      # What runs is never garbage.
      ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
      ln -sfn "$systemConfig" /run/current-system
      exit $status
    ''
  );
}
