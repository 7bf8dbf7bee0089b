# nixos/modules/misc/assertions.nix
{ lib, ... }:
with lib;
{
  options.assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; };
  options.warnings = mkOption { type = types.listOf types.str; default = [ ]; };
}
