# The NixOS modules by name, for flake.nix and default.nix.
rec {
  agent = ./agent.nix;
  control = ./control.nix;
  image = ./image.nix;
  default = agent;
}
