# `import <nixpkgs> { }` of the test world: no compiler, no download. A package is a small script or a link to a
# program of the base system; a derivation's builder is /bin/sh of the machine (the sandbox is off).
# Names and arguments are those of nixpkgs (pkgs/build-support/trivial-builders/default.nix).
{ system ? builtins.currentSystem, config ? { }, overlays ? [ ], ... }:
let
  lib = import ./lib;
  sh = "/bin/sh";
  toolPath = "/usr/bin:/bin:/usr/sbin:/sbin";

  # `meta` is no part of what is built (pkgs/stdenv/generic/make-derivation.nix).
  runCommand = name: env: script: derivation (removeAttrs env [ "meta" ] // {
    inherit name system;
    builder = sh;
    args = [ "-ec" "export PATH=${toolPath}; ${script}" ];
    preferLocalBuild = true;
    allowSubstitutes = false;
  }) // { meta = env.meta or { }; };

  # A package of the base system: its programs are links to those in /usr.
  fromBase = name: programs: runCommand name { } ''
    mkdir -p $out/bin
    for program in ${lib.concatStringsSep " " programs}; do ln -s /usr/bin/$program $out/bin/$program; done
  '';

  # A package that only names itself.
  fake = pname: version: pkgs.writeShellScriptBin pname ''echo ${pname} ${version} "$@"'';

  pkgs = {
    inherit lib system config runCommand;
    path = ./.;
    stdenv.hostPlatform = { inherit system; };
    formats = import ./pkgs/pkgs-lib/formats.nix { inherit lib pkgs; };

    writeTextFile = { name, text, executable ? false, destination ? "" }:
      runCommand name { inherit text; passAsFile = [ "text" ]; } ''
        target=$out${destination}
        mkdir -p "$(dirname "$target")"
        cat "$textPath" > "$target"
        ${lib.optionalString executable ''chmod +x "$target"''}
      '';
    writeText = name: text: pkgs.writeTextFile { inherit name text; };
    writeScript = name: text: pkgs.writeTextFile { inherit name text; executable = true; };
    writeShellScript = name: text: pkgs.writeScript name "#!${sh}\n${text}";
    writeShellScriptBin = name: text: pkgs.writeTextFile {
      inherit name;
      executable = true;
      destination = "/bin/${name}";
      text = "#!${sh}\n${text}";
    };

    # The first package that brings a file wins. (cp -n says "failed" for a file that is there, in some versions.)
    symlinkJoin = { name, paths }: runCommand name { paths = map toString paths; } ''
      mkdir -p $out
      for path in $paths; do cp -rsn --no-preserve=mode $path/. $out/ || true; done
    '';

    # All programs of the base: stands for what every NixOS has in its system path.
    baseTools = runCommand "base-tools" { } ''
      mkdir -p $out/bin
      ln -s -t $out/bin /usr/bin/*
      for program in /usr/sbin/*; do [ -e "$out/bin/''${program##*/}" ] || ln -s "$program" $out/bin/; done
    '';

    # `prepare` lays GRUB's tools where only a system that has them in its path finds them.
    grub2 = runCommand "grub-2.06" { } ''
      mkdir -p $out/bin
      ln -s -t $out/bin /opt/grub/*bin/grub-*
    '';

    grub2_efi = pkgs.grub2;

    python3 = fromBase "python3" [ "python3" ] // { withPackages = _: pkgs.python3; };
  } // lib.genAttrs [ "hello" "git" "vim" "curl" "htop" "nginx" "postgresql" "jq" "tmux" ] (name: fake name "1.0");
in
pkgs
