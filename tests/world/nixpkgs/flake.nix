# nixpkgs as an input of other flakes: `lib.nixosSystem`, which is eval-config.nix under another name (flake.nix of
# nixpkgs). Evaluated purely, so the system must be said.
{
  outputs = { self }: {
    lib = import ./lib // {
      nixosSystem = import ./nixos/lib/eval-config.nix;
    };
  };
}
