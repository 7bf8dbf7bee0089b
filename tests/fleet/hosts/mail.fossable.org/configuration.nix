{ pkgs, ... }:

{
  imports = [ <nixpkgs/nixos/modules/virtualisation/amazon-image.nix> ./floe.nix ];
  ec2.hvm = true;

  # Don't replace configuration.nix with user data on boot
  systemd.services.amazon-init.enable = false;

  i18n.defaultLocale = "en_US.UTF-8";
  networking = { hostName = "mail"; };
  networking.firewall.allowedTCPPorts = [ 25 465 993 ];

  nix.optimise.automatic = true;
  nix.gc = {
    automatic = true;
    options = "--delete-older-than 30d";
  };

  users = {
    mutableUsers = false;
    users = {
      root = {
        hashedPassword = "$6$floe.example$dyokFgl6g2Q8eXF7GPuQiGJ/GakCY294KMVXpOrOy858GVNO9hu/vSGC8P0HcaNVYnuKAFLM0p5hzfZShV/.w.";
      };
    };
  };

  # Never change!
  system.stateVersion = "24.11";
}
