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
    boot.growPartition = true;
    boot.loader.grub.device = mkDefault (if config.ec2.efi then "nodev" else "/dev/xvda");
    boot.loader.grub.extraConfig = ''
      serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1
      terminal_output console serial
      terminal_input console serial
    '';
    boot.loader.timeout = 1;
    boot.kernelParams = [ "console=ttyS0,115200n8" "random.trust_cpu=on" ];
    networking.hostName = mkDefault "";
    networking.timeServers = mkDefault [ "169.254.169.123" ];
    services.openssh.enable = mkDefault true;
    services.amazon-ssm-agent.enable = true;
  };
}
