# What an image of a role needs beyond its services: `imports = [ <floe/image.nix> ];` instead of agent.nix.
#
# A machine that boots from it knows whose signatures count and who the control plane is, has no identity yet, and takes
# orders from nobody else: neither from its user data nor from who holds a key pair of the account.
{
  config,
  lib,
  modulesPath,
  ...
}: let
  agent = config.services.floe-agent;
  limit = config.boot.loader.grub.configurationLimit;
  parameter = prefix: lib.any (lib.hasPrefix prefix) config.boot.kernelParams;
in {
  imports = [
    ./agent.nix
    # Root file system, drivers of EC2, GRUB, clock, kernel parameters, a login on the serial console.
    "${modulesPath}/virtualisation/amazon-image.nix"
  ];

  services.floe-agent = {
    enable = true;
    settings.attestation = lib.mkDefault "aws-iid";
  };

  # At each boot it would write user data over the configuration and switch to it: the one way around every signature.
  # nixos/modules/virtualisation/amazon-init.nix
  virtualisation.amazon-init.enable = false;

  # Who may send commands by AWS Systems Manager would be root here, around every signature; and since an account can let
  # all its instances be managed, that needs no role on the instance. amazon-image.nix has it on.
  # nixos/modules/services/misc/amazon-ssm-agent.nix
  services.amazon-ssm-agent.enable = lib.mkOverride 90 false;

  # An instance may ask for a larger disk than the image has, and a host builds on it.
  # nixos/modules/system/boot/grow-partition.nix
  boot.growPartition = true;

  # /boot is small where it is the EFI partition, since GRUB copies kernels there; 100 is nixpkgs' own default.
  # nixos/modules/system/boot/loader/grub/grub.nix
  boot.loader.grub.configurationLimit = lib.mkDefault 5;

  # The service that writes the key pair of the launch into this file leaves one alone that is there
  # (nixos/modules/virtualisation/ec2-data.nix). Who is to log in is a matter of the configuration:
  # users.users.<name>.openssh.authorizedKeys.
  # nixos/modules/system/boot/systemd/tmpfiles.nix
  systemd.tmpfiles.rules = [
    "d /root/.ssh 0700 root root -"
    "f /root/.ssh/authorized_keys 0600 root root -"
  ];

  # nixos/modules/misc/assertions.nix
  assertions = [
    {
      assertion = agent.trustRoot != null && agent.ca != null;
      message = "services.floe-agent.trustRoot and .ca must be set in an image: a machine that boots from it has nobody to ask whose signatures count.";
    }
    {
      assertion = limit >= 3;
      message = "boot.loader.grub.configurationLimit is ${toString limit}; the system that runs, the one that is tried and one to go back to need 3.";
    }
    {
      # nixos/modules/virtualisation/amazon-image.nix
      assertion = parameter "console=ttyS0";
      message = "boot.kernelParams has no console=ttyS0; nobody could read why a machine of this image does not boot.";
    }
    {
      # nixos/modules/profiles/headless.nix
      assertion = parameter "panic=" && parameter "boot.panic_on_fail";
      message = "boot.kernelParams needs panic= and boot.panic_on_fail; a kernel that panics, or finds no disk, would stand still instead of going back.";
    }
  ];
}
