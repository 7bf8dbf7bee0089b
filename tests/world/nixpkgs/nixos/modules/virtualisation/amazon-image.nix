# nixos/modules/virtualisation/amazon-image.nix
{ config, lib, ... }:
with lib;
{
  imports = [ ../profiles/headless.nix ./amazon-options.nix ./amazon-init.nix ];
  config = {
    assertions = [ {
      assertion = config.ec2.hvm;
      message = "Paravirtualized EC2 instances are no longer supported.";
    } ];
    boot.loader.grub.device = mkDefault (if config.ec2.efi then "nodev" else "/dev/xvda");
    boot.kernelParams = [ "console=ttyS0,115200n8" "random.trust_cpu=on" ];
    networking.hostName = mkDefault "";
    networking.timeServers = mkDefault [ "169.254.169.123" ];
    services.openssh.enable = mkDefault true;
  };
}
