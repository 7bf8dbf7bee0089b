# What a stock NixOS image (24.11 or newer) becomes by its first boot: a host of a fleet, or a builder. Until its first
# activation it runs nothing but the agent. User data (user-data/) imports this file and says the rest:
#
#   import ./bootstrap.nix {
#     fleet = "fossable.org"; role = "www.fossable.org"; control_plane = "https://floe.fossable.org:7443";
#     release = { url = "…"; sha256 = "…"; };     # of the agent, for this machine's system
#     trust_root = "…"; ca = "…";                 # what trust.json and ca.pem say
#     settings = { };                             # optional: more of agent.toml
#   }
#
# amazon-init, which writes user data to /etc/nixos/configuration.nix and switches to it, is switched off by that switch
# and never runs again. It outlives its own removal: its unit has X-StopOnRemoval=false and restartIfChanged=false
# (nixos/modules/virtualisation/amazon-init.nix), so the switch that it waits for comes to its end.
{
  fleet,
  role,
  control_plane,
  release,
  trust_root,
  ca,
  settings ? {},
  ...
}: {lib, ...}: {
  imports = [./image.nix];

  services.floe-agent = {
    inherit release;
    settings = settings // {inherit fleet role control_plane;};
    trustRoot = builtins.toFile "trust.json" trust_root;
    ca = builtins.toFile "ca.pem" ca;
  };

  # The machine evaluates this itself and must stay able to boot as it did. Images are for EFI or for BIOS, and the
  # next system's boot loader is installed for what is said here.
  # nixos/modules/virtualisation/amazon-options.nix
  ec2.efi = lib.mkDefault (builtins.pathExists "/sys/firmware/efi");

  # The image's own, as in a configuration that says nothing, and without the warning.
  # nixos/modules/misc/version.nix
  system.stateVersion = lib.mkDefault lib.trivial.release;
}
