# `pkgs.formats.toml { }` with the interface of nixpkgs' pkgs/pkgs-lib/formats.nix: `type` for the option, `generate`
# for the file. There a Python program renders it; here Nix does. JSON's strings, numbers, booleans and arrays are
# also TOML's, so only tables need care.
{ lib, pkgs }:
let
  key = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else builtins.toJSON name;
  isTable = value: builtins.isAttrs value && !(lib.isDerivation value);

  table = path: values:
    let
      plain = lib.filterAttrs (_: value: !(isTable value)) values;
      tables = lib.filterAttrs (_: isTable) values;
    in
    lib.concatStrings (
      lib.optional (path != [ ] && (plain != { } || tables == { })) "\n[${lib.concatMapStringsSep "." key path}]\n"
      ++ lib.mapAttrsToList (name: value: "${key name} = ${builtins.toJSON value}\n") plain
      ++ lib.mapAttrsToList (name: table (path ++ [ name ])) tables
    );
in
{
  toml = { }: {
    type = lib.types.attrsOf lib.types.anything;
    generate = name: value: pkgs.writeText name (table [ ] value);
  };
}
