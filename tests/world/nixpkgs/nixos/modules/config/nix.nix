# /etc/nix/nix.conf from options (nixos/modules/config/nix.nix). The defaults are those of the test world: root only,
# no sandbox, and nothing to substitute from.
{ config, lib, ... }:
with lib;
let
  render = value:
    if isBool value then (if value then "true" else "false")
    else if isList value then concatMapStringsSep " " toString value
    else toString value;
in
{
  options.nix.settings = mkOption { type = types.attrsOf types.anything; default = { }; };
  options.nix.extraOptions = mkOption { type = types.lines; default = ""; };
  config.nix.settings = {
    sandbox = mkDefault false;
    build-users-group = mkDefault "";
    substituters = mkDefault [ ];
  };
  config.environment.etc."nix/nix.conf".text =
    concatStrings (mapAttrsToList (name: value: "${name} = ${render value}\n") config.nix.settings)
    + config.nix.extraOptions;
}
