# nixos/modules/services/misc/amazon-ssm-agent.nix: that it exists. amazon-image.nix turns it on.
{ lib, ... }:
with lib;
{
  options.services.amazon-ssm-agent.enable = mkEnableOption "Amazon SSM agent";
}
