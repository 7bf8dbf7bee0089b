# Only what others see of nixos/modules/services/networking/ssh/sshd.nix: the port in the firewall. No daemon: the
# hosts of the test world have nobody to log in, and floe needs none.
{ config, lib, ... }:
with lib;
let
  cfg = config.services.openssh;
in
{
  options.services.openssh = {
    enable = mkOption { type = types.bool; default = false; };
    ports = mkOption { type = types.listOf types.port; default = [ 22 ]; };
    openFirewall = mkOption { type = types.bool; default = true; };
    settings = mkOption { type = types.attrsOf types.anything; default = { }; };
  };
  config.networking.firewall.allowedTCPPorts = mkIf (cfg.enable && cfg.openFirewall) cfg.ports;
}
