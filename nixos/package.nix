# A released floe-agent, by hash. `url` must end in the name of the file (`…/floe-agent`); a store that has the file
# already, such as an image's, downloads nothing. On a real NixOS the binary must be static: there is no loader for others.
{ pkgs, url, sha256 }:
pkgs.runCommand "floe-agent" { } ''
  mkdir -p $out/bin
  cp ${builtins.fetchurl { inherit url sha256; }} $out/bin/floe-agent
  chmod 555 $out/bin/floe-agent
''
