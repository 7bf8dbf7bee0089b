# The nixpkgs that floe is built with outside of flakes: what flake.lock says, so that the pin is in one place. Where
# nobody has written a lock yet it is whatever <nixpkgs> is.
let
  lock = builtins.fromJSON (builtins.readFile ../flake.lock);
  inherit (lock.nodes.${lock.nodes.${lock.root}.inputs.nixpkgs}) locked;
in
  if builtins.pathExists ../flake.lock
  then
    builtins.fetchTarball {
      url = "https://github.com/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz";
      sha256 = locked.narHash;
    }
  else <nixpkgs>
