# Evaluates a configuration together with all modules (nixos/lib/eval-config.nix); failed assertions and warnings
# are told as nixos/modules/system/activation/top-level.nix tells them.
{ system ? builtins.currentSystem, modules, specialArgs ? { }, lib ? import ../../lib }:
let
  pkgs = import ../.. { inherit system; };
  arguments = {
    _file = "eval-config.nix";
    config._module.args = { inherit pkgs; };
  };
  result = lib.evalModules {
    modules = import ../modules/module-list.nix ++ [ arguments ] ++ modules;
    # So that it can be used in imports (nixos/lib/eval-config-minimal.nix).
    specialArgs = { modulesPath = toString ../modules; } // specialArgs;
  };
  failed = map (x: x.message) (lib.filter (x: !x.assertion) result.config.assertions);
  config =
    if failed != [ ]
    then throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (x: "- ${x}") failed}"
    else lib.foldl' (c: w: builtins.trace "warning: ${w}" c) result.config result.config.warnings;
in
{
  inherit pkgs config lib;
  inherit (result) options;
}
