{
  description = "Runs fleets of NixOS machines on EC2, without SSH";

  # The branch that has the newest Rust: floe needs the version that Cargo.toml names.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = {
    self,
    nixpkgs,
  }: let
    each = f:
      nixpkgs.lib.genAttrs ["x86_64-linux" "aarch64-linux"]
      (system:
        f (import nixpkgs {
          inherit system;
          overlays = [self.overlays.default];
        }));
  in {
    overlays.default = final: _: import ./nixos/source.nix {pkgs = final;};

    packages = each (pkgs: {
      inherit (pkgs) floe floe-agent;
      default = pkgs.floe;
    });

    apps = each (pkgs: rec {
      floe = {
        type = "app";
        program = pkgs.lib.getExe pkgs.floe;
        meta.description = pkgs.floe.meta.description;
      };
      default = floe;
    });

    nixosModules = import ./nixos/modules.nix;

    # Parameters to the text that turns a stock image into a host (nixos/user-data).
    lib.userData = import ./nixos/user-data;

    checks = each (pkgs:
      import ./nixos/tests {
        inherit pkgs;
        packages = {inherit (pkgs) floe floe-agent;};
      });

    devShells = each (pkgs: {
      default = pkgs.mkShell {
        inputsFrom = [pkgs.floe pkgs.floe-agent];
        packages = [pkgs.clippy pkgs.rustfmt pkgs.rust-analyzer pkgs.alejandra];
      };
    });

    formatter = each (pkgs: pkgs.alejandra);
  };
}
