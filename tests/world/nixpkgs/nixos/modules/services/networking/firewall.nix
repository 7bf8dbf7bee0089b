# A real packet filter with the names, the unit and the meaning of nixos/modules/services/networking/firewall.nix and
# firewall-iptables.nix; the rules are nft's, as in firewall-nftables.nix: what is not allowed is dropped.
{ config, lib, pkgs, ... }:
with lib;
let
  cfg = config.networking.firewall;
  ports = mkOption { type = types.listOf types.port; default = [ ]; };
  allow = protocol: list: optionalString (list != [ ])
    "    ${protocol} dport { ${concatMapStringsSep ", " toString (unique list)} } accept\n";

  # The first two lines replace an older table in the same transaction.
  rules = pkgs.writeText "firewall.nft" ''
    table inet nixos-fw
    delete table inet nixos-fw
    table inet nixos-fw {
      chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state { established, related } accept
    ${allow "tcp" cfg.allowedTCPPorts}${allow "udp" cfg.allowedUDPPorts}${optionalString cfg.allowPing "    icmp type echo-request accept\n"}    icmpv6 type != { nd-redirect, 139 } accept
      }
    }
  '';
in
{
  options.networking.firewall = {
    enable = mkOption { type = types.bool; default = true; };
    allowPing = mkOption { type = types.bool; default = true; };
    allowedTCPPorts = ports;
    allowedUDPPorts = ports;
  };
  config.systemd.services.firewall = mkIf cfg.enable {
    description = "Firewall";
    wantedBy = [ "sysinit.target" ];
    wants = [ "network-pre.target" ];
    before = [ "network-pre.target" ];
    reloadIfChanged = true;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/usr/sbin/nft -f ${rules}";
      ExecReload = "/usr/sbin/nft -f ${rules}";
      ExecStop = "/usr/sbin/nft delete table inet nixos-fw";
    };
    unitConfig = { ConditionCapability = "CAP_NET_ADMIN"; DefaultDependencies = false; };
  };
}
