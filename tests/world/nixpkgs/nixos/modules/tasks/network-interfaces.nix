# Host name and hosts file (nixos/modules/tasks/network-interfaces.nix, nixos/modules/config/networking.nix). As there,
# a name is set by activation, and an empty one leaves the kernel's alone (EC2 sets it).
{ config, lib, ... }:
with lib;
let
  cfg = config.networking;
in
{
  options.networking = {
    hostName = mkOption {
      type = types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$";
      default = "nixos";
    };
    domain = mkOption { type = types.nullOr types.str; default = null; };
    timeServers = mkOption { type = types.listOf types.str; default = [ ]; };
    extraHosts = mkOption { type = types.lines; default = ""; };
  };
  config = mkMerge [
    {
      environment.etc.hosts.text = ''
        127.0.0.1 localhost
        ::1 localhost
        ${optionalString (cfg.hostName != "") "127.0.0.2 ${cfg.hostName}"}
        ${cfg.extraHosts}
      '';
    }
    (mkIf (cfg.hostName != "") {
      environment.etc.hostname.text = cfg.hostName + "\n";
      system.activationScripts.hostname = "hostname ${escapeShellArg cfg.hostName}";
    })
  ];
}
