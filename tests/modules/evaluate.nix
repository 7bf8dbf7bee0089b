# What the tests of the modules ask Nix. `module` is the file of a configuration; it is evaluated with the stand-in for
# nixpkgs and all modules of floe that it imports.
{module}: let
  nixpkgs = ../world/nixpkgs;
  ours = toString ../../nixos;
  eval = import (nixpkgs + "/nixos/lib/eval-config.nix") {modules = [(import module)];};
  inherit (eval) lib config options;

  strip = value:
    if (value._type or null) == "if"
    then strip value.content
    else value;
  isOurs = file: lib.hasPrefix ours (toString file);
  below = root: file: builtins.replaceStrings ["${toString root}/"] [""] (toString file);

  # What floe's modules set of an option: the option, where it is declared, and by which of them.
  settings = option:
    map (definition: {
      option = lib.showOption option.loc;
      declared = map (below nixpkgs) option.declarations;
      by = below ours definition.file;
    }) (builtins.filter (definition: isOurs definition.file) option.definitionsWithFiles)
    # A unit has options of its own (nixos/lib/systemd-unit-options.nix).
    ++ lib.concatMap (definition:
      lib.concatMap (unit:
        map (name: {
          option = "${lib.showOption option.loc}.<name>.${name}";
          declared = ["nixos/lib/systemd-unit-options.nix"];
          by = below ours definition.file;
        }) (builtins.attrNames (strip unit)))
      (builtins.attrValues (strip definition.value)))
    (builtins.filter (definition: isOurs definition.file && lib.showOption option.loc == "systemd.services")
      option.definitionsWithFiles);

  walk = tree:
    lib.concatMap (name: let
      node = tree.${name};
    in
      if lib.isOption node
      then settings node
      else if builtins.isAttrs node
      then walk node
      else []) (builtins.attrNames tree);
in {
  # Everything that the system needs; what is wrong with the configuration is an error.
  system = config.system.build.toplevel.drvPath;

  # The files whose content a module of floe makes, to be built.
  units = config.system.build.units;
  etc = config.system.build.etc;

  ports = config.networking.firewall.allowedTCPPorts;

  settings = builtins.filter (s: !(lib.hasPrefix "services.floe" s.option)) (walk (removeAttrs options ["_module"]));
}
