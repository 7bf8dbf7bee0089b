# A machine for the control plane: what an operator writes, and nothing else.
{pkgs, ...}: let
  # Written by the test world: the address of this machine.
  site = import ./site.nix;
in {
  imports = [<nixpkgs/nixos/modules/virtualisation/amazon-image.nix> <floe/control.nix>];
  virtualisation.amazon-init.enable = false;
  networking.hostName = "control";

  services.floe = {
    enable = true;
    # The binary that the tests were built with, which lies beside this file.
    package = pkgs.runCommand "floe" {} ''
      mkdir -p $out/bin
      cp ${./floe} $out/bin/floe
      chmod 555 $out/bin/floe
    '';
    trustRoot = ./trust.json;
    openFirewall = true;
    awsCredentialsFile = "/etc/floe-aws-credentials";
    settings = {
      fleet = "fossable.org";
      inherit (site) server;
    };
  };

  system.stateVersion = "24.11";
}
