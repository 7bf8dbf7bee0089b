# `<nixpkgs/nixos>`: what `nixos-rebuild` builds `config.system.build.toplevel` of (nixos/default.nix).
{ configuration ? <nixos-config>, system ? builtins.currentSystem }:
let
  eval = import ./lib/eval-config.nix { inherit system; modules = [ configuration ]; };
in
{
  inherit (eval) pkgs config options;
  system = eval.config.system.build.toplevel;
}
