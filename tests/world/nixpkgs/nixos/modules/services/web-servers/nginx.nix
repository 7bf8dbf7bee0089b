# A unit of the right name that does nothing (nixos/modules/services/web-servers/nginx/default.nix).
{ config, lib, pkgs, ... }:
with lib;
{
  options.services.nginx = {
    enable = mkEnableOption "nginx";
    virtualHosts = mkOption { type = types.attrsOf types.attrs; default = { }; };
  };
  config = mkIf config.services.nginx.enable {
    environment.systemPackages = [ pkgs.nginx ];
    systemd.services.nginx = {
      description = "Nginx Web Server (stand-in)";
      wantedBy = [ "multi-user.target" ];
      script = "exec sleep infinity";
    };
  };
}
