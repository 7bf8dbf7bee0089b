# floe: makes this machine a host of a fleet.
let
  floe = builtins.fromJSON ''@parameters@'';
in {
  imports = [
    (import "${builtins.fetchTarball {inherit (floe.modules) url sha256;}}/bootstrap.nix" floe)
  ];
}
