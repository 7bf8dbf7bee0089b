# nixos/modules/virtualisation/amazon-init.nix: at each boot user data that is not a script and has a line of Nix in
# it becomes /etc/nixos/configuration.nix, and is switched to. Why a fleet must turn it off.
{ config, lib, ... }:
with lib;
{
  options.virtualisation.amazon-init.enable = mkOption { type = types.bool; default = true; };
  config.systemd.services.amazon-init = mkIf config.virtualisation.amazon-init.enable {
    description = "Reconfigure the system from EC2 userdata on startup";
    wantedBy = [ "multi-user.target" ];
    after = [ "multi-user.target" ];
    requires = [ "network-online.target" ];
    restartIfChanged = false;
    unitConfig.X-StopOnRemoval = false;
    environment = {
      HOME = "/root";
      NIX_PATH = "nixpkgs=/etc/nixos/pins/nixpkgs:nixos-config=/etc/nixos/configuration.nix";
    };
    script = ''
      data=/etc/ec2-metadata/user-data
      [ -s "$data" ] || exit 0
      case $(head -n 1 "$data") in "#!"*) exec sh "$data" ;; esac
      grep -qvE '^(#|SSH_HOST_|[[:space:]]*$)' "$data" || exit 0
      cp "$data" /etc/nixos/configuration.nix
      /run/current-system/sw/bin/nixos-rebuild switch
    '';
    serviceConfig = { Type = "oneshot"; RemainAfterExit = true; };
  };
}
