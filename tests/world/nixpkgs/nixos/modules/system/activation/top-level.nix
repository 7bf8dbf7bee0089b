# What a NixOS system consists of: nixos/modules/system/activation/top-level.nix (and switchable-system.nix for
# `bin/switch-to-configuration`). Every path in it that a tool looks at is there, some by systemBuilderCommands.
{ config, lib, pkgs, ... }:
with lib;
let
  cfg = config.standin;
  revision = config.system.configurationRevision;
in
{
  options.system = {
    name = mkOption {
      type = types.str;
      default = if config.networking.hostName == "" then "unnamed" else config.networking.hostName;
    };
    build = mkOption { type = types.lazyAttrsOf types.unspecified; default = { }; };
    extraDependencies = mkOption { type = types.listOf types.package; default = [ ]; };
    systemBuilderCommands = mkOption { type = types.lines; default = ""; };
    initInterfaceVersion = mkOption {
      type = types.str;
      default = "1";
      description = "A change makes switch-to-configuration end with 100.";
    };
  };
  options.specialisation = mkOption { type = types.attrsOf types.attrs; default = { }; };

  config.system.build.toplevel = pkgs.runCommand "nixos-system-${config.system.name}-${config.system.nixos.label}" { } ''
    ${optionalString (cfg.buildDelay > 0) "sleep ${toString cfg.buildDelay}"}
    ${optionalString cfg.buildFails "echo 'stand-in: the build fails, as asked' >&2; exit 1"}
    mkdir -p $out/bin $out/specialisation
    ln -s ${config.system.build.etc}/etc $out/etc
    ln -s ${config.system.build.units} $out/units
    ln -s ${config.system.path} $out/sw
    ln -s ${config.systemd.package} $out/systemd
    ${config.system.systemBuilderCommands}
    echo -n ${escapeShellArg config.system.nixos.version} > $out/nixos-version
    echo -n ${escapeShellArg config.nixpkgs.hostPlatform} > $out/system
    echo -n ${escapeShellArg config.system.stateVersion} > $out/state-version
    echo -n ${escapeShellArg config.system.initInterfaceVersion} > $out/init-interface-version
    ${optionalString (revision != null) "echo -n ${escapeShellArg revision} > $out/configuration-revision"}
    echo ${escapeShellArg (toString config.system.extraDependencies)} > $out/extra-dependencies
    sed "s|@out@|$out|g" ${config.system.build.activate} > $out/activate
    sed "s|@out@|$out|g" ${./stage-2-init.sh} > $out/init
    printf '#!/bin/sh\nexit 0\n' > $out/dry-activate
    sed -e "s|@out@|$out|g" \
      -e "s|@preSwitchCheck@|${config.system.preSwitchChecksScript}|" \
      -e "s|@installBootLoader@|${config.system.build.installBootLoader}|" \
      -e "s|@lockWaits@|${if cfg.lockWaits then "" else "--nonblock"}|" \
      ${./switch-to-configuration.sh} > $out/bin/switch-to-configuration
    chmod +x $out/activate $out/init $out/dry-activate $out/bin/switch-to-configuration
  '';
}
