# floe and floe-agent from this repository's source: `import ./source.nix { inherit pkgs; }`, with a nixpkgs whose Rust
# is new enough (that of NixOS 24.11 is not; flake.nix pins one).
{pkgs}: let
  inherit (pkgs) lib stdenv rustPlatform;
  toml = path: builtins.fromTOML (builtins.readFile path);
  workspace = (toml ../Cargo.toml).workspace.package;

  # What cargo reads. A change elsewhere, as in docs/, builds nothing anew.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../agent
      ../control
      ../proto
      # Members of the workspace must be there, also where they are not built.
      ../tests/Cargo.toml
      ../tests/modules
      ../tests/src
      ../tests/stories
    ];
  };

  # The example <name>-pages of a package writes its manual pages and completions, as they are installed, below a folder.
  canWritePages = stdenv.buildPlatform.canExecute stdenv.hostPlatform;

  build = folder: let
    inherit ((toml (folder + "/Cargo.toml")).package) name description;
  in
    assert lib.assertMsg (lib.versionAtLeast pkgs.rustc.version workspace.rust-version)
    "floe needs Rust ${workspace.rust-version}, and this nixpkgs has ${pkgs.rustc.version}: take a newer one, or a released floe-agent (nixos/package.nix)";
      rustPlatform.buildRustPackage {
        pname = name;
        inherit (workspace) version;
        inherit src;
        cargoLock.lockFile = ../Cargo.lock;

        nativeBuildInputs = [pkgs.installShellFiles];
        cargoBuildFlags = ["--package" name "--bins"] ++ lib.optionals canWritePages ["--example" "${name}-pages"];
        # As in .cargo/config.toml, which says why.
        env.AWS_LC_SYS_NO_JITTER_ENTROPY = "1";

        # The tests are the repository's own `make test`: they boot machines, which a builder may not, and would build
        # everything a second time.
        doCheck = false;

        postInstall = lib.optionalString canWritePages ''
          $(find target -path '*/release/examples/${name}-pages' -type f | head -n 1) pages
          installManPage pages/share/man/man1/*
          installShellCompletion --cmd ${name} \
            --bash pages/share/bash-completion/completions/${name} \
            --zsh pages/share/zsh/site-functions/_${name} \
            --fish pages/share/fish/vendor_completions.d/${name}.fish
        '';

        meta = {
          inherit description;
          homepage = workspace.repository;
          license = lib.licenses.asl20;
          platforms = ["x86_64-linux" "aarch64-linux"];
          mainProgram = name;
        };
      };
in {
  floe = build ../control;
  floe-agent = build ../agent;
}
