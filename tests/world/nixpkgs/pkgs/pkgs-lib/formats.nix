# `pkgs.formats.toml { }` with the interface of nixpkgs' pkgs/pkgs-lib/formats.nix: `type` for the option, `generate`
# for the file. There a Python program renders it; here Nix does. JSON's strings, numbers, booleans and arrays are
# also TOML's, so only tables need care; one in a list is written in one line.
{ lib, pkgs }:
let
  key = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else builtins.toJSON name;
  isTable = value: builtins.isAttrs value && !(lib.isDerivation value);

  inline = value:
    if isTable value
    then "{ ${lib.concatStringsSep ", " (lib.mapAttrsToList (name: v: "${key name} = ${inline v}") value)} }"
    else if builtins.isList value then "[${lib.concatMapStringsSep ", " inline value}]"
    else if lib.isDerivation value then builtins.toJSON "${value}"
    else if value == null then throw "TOML has no null"
    else builtins.toJSON value;

  table = path: values:
    let
      plain = lib.filterAttrs (_: value: !(isTable value)) values;
      tables = lib.filterAttrs (_: isTable) values;
    in
    lib.concatStrings (
      lib.optional (path != [ ] && (plain != { } || tables == { })) "\n[${lib.concatMapStringsSep "." key path}]\n"
      ++ lib.mapAttrsToList (name: value: "${key name} = ${inline value}\n") plain
      ++ lib.mapAttrsToList (name: table (path ++ [ name ])) tables
    );
in
{
  toml = { }: {
    type = let
      value = with lib.types; oneOf [ bool int float str path (attrsOf value) (listOf value) ] // { description = "TOML value"; };
    in lib.types.attrsOf value;
    generate = name: value: pkgs.writeText name (table [ ] value);
  };
}
