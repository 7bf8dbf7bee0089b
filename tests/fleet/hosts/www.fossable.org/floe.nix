# What makes this role a floe host, and what it serves.
{ lib, ... }:
let
  # Written by the test world: { server, release = { url, sha256 }; }. In a real fleet these are literals here.
  site = import ./site.nix;
in
{
  # story.nix is where a test or the demo puts the change that it pushes.
  imports = [ <floe/agent.nix> ./app.nix ] ++ lib.optional (builtins.pathExists ./story.nix) ./story.nix;

  services.floe-agent = {
    enable = true;
    inherit (site) release;
    settings = {
      fleet = "fossable.org";
      role = "www.fossable.org";
      control_plane = site.server;
    };
  };
}
