# /etc as a tree of links into the store (nixos/modules/system/etc/etc.nix). A `mode` other than "symlink" means a
# copy with that mode, as there.
{ config, lib, pkgs, ... }:
with lib;
let
  file = { name, config, ... }: {
    options = {
      enable = mkOption { type = types.bool; default = true; };
      target = mkOption { type = types.str; default = name; };
      text = mkOption { type = types.nullOr types.lines; default = null; };
      source = mkOption { type = types.path; };
      mode = mkOption { type = types.str; default = "symlink"; };
    };
    config.source = mkIf (config.text != null)
      (mkDefault (pkgs.writeText "etc-${builtins.replaceStrings [ "/" ] [ "-" ] name}" config.text));
  };
  place = e: ''
    target=$out/etc/${escapeShellArg e.target}
    mkdir -p "$(dirname "$target")"
    ln -s ${e.source} "$target"
    ${optionalString (e.mode != "symlink") ''echo ${e.mode} > "$target.mode"''}
  '';
in
{
  options.environment.etc = mkOption { type = types.attrsOf (types.submodule file); default = { }; };
  config.system.build.etc = pkgs.runCommand "etc" { } ''
    mkdir -p $out/etc/systemd
    ln -s ${config.system.build.units} $out/etc/systemd/system
    ${concatMapStrings place (filter (e: e.enable) (attrValues config.environment.etc))}
  '';
}
