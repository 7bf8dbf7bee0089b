# Unit files from options (nixos/modules/system/boot/systemd.nix, nixos/lib/systemd-lib.nix, systemd-unit-options.nix).
# As there: each service gets its own PATH, a disabled unit is a link to /dev/null, `startAt` makes a timer, and what
# switch-to-configuration must know stands in the unit as X-…. Targets come from the base's systemd, as NixOS takes
# them from its package (`upstreamSystemUnits`).
{ config, lib, pkgs, ... }:
with lib;
let
  names = mkOption { type = types.listOf types.str; default = [ ]; };
  flag = default: mkOption { type = types.bool; inherit default; };
  text = mkOption { type = types.lines; default = ""; };
  settings = mkOption { type = types.attrsOf types.unspecified; default = { }; };
  triggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };

  common = {
    enable = flag true;
    description = mkOption { type = types.str; default = ""; };
    documentation = names;
    wantedBy = names;
    requiredBy = names;
    wants = names;
    requires = names;
    after = names;
    before = names;
    conflicts = names;
    unitConfig = settings;
  };

  service = { name, config, ... }: {
    options = common // {
      script = text;
      preStart = text;
      path = mkOption { type = types.listOf types.package; default = [ ]; };
      environment = mkOption { type = types.attrsOf types.str; default = { }; };
      serviceConfig = settings;
      startAt = mkOption {
        type = types.either types.str (types.listOf types.str);
        default = [ ];
        apply = at: if isList at then at else [ at ];
      };
      restartIfChanged = flag true;
      stopIfChanged = flag true;
      reloadIfChanged = flag false;
      restartTriggers = triggers;
      reloadTriggers = triggers;
    };
    config = {
      environment.PATH = makeBinPath (config.path ++ [ pkgs.baseTools ]);
      serviceConfig.ExecStart = mkIf (config.script != "") "${script name "start" config.script}";
      serviceConfig.ExecStartPre = mkIf (config.preStart != "") "${script name "pre-start" config.preStart}";
    };
  };
  script = name: phase: body: pkgs.writeShellScript "unit-script-${name}-${phase}" "set -e\n${body}";

  timer.options = common // { timerConfig = settings; };

  render = v: if isBool v then (if v then "true" else "false") else toString v;
  lines = values: concatStrings (mapAttrsToList
    (key: v: concatMapStrings (x: "${key}=${render x}\n") (if isList v then v else [ v ])) values);
  nonEmpty = filterAttrs (_: v: v != [ ] && v != "");

  unitSection = u: triggered: "[Unit]\n" + lines (nonEmpty {
    Description = u.description;
    Documentation = u.documentation;
    After = u.after;
    Before = u.before;
    Requires = u.requires;
    Wants = u.wants;
    Conflicts = u.conflicts;
  } // triggered // u.unitConfig);

  serviceText = s: unitSection s (nonEmpty {
    X-Restart-Triggers = concatMapStringsSep " " toString s.restartTriggers;
    X-Reload-Triggers = concatMapStringsSep " " toString s.reloadTriggers;
  }) + "\n[Service]\n"
  + concatStrings (mapAttrsToList (key: v: "Environment=${builtins.toJSON "${key}=${v}"}\n") s.environment)
  + optionalString s.reloadIfChanged "X-ReloadIfChanged=true\n"
  + optionalString (!s.restartIfChanged) "X-RestartIfChanged=false\n"
  + optionalString (!s.stopIfChanged) "X-StopIfChanged=false\n"
  + lines s.serviceConfig;

  timerText = t: unitSection t { } + "\n[Timer]\n" + lines t.timerConfig;

  # Links UNIT into the tree, and into the targets that want it.
  link = file: u: body:
    if u.enable then ''
      ln -s ${pkgs.writeTextFile { name = "unit-${file}"; destination = "/${file}"; text = body; }}/${file} $out/${file}
      ${wire file "wants" u.wantedBy}${wire file "requires" u.requiredBy}
    '' else "ln -s /dev/null $out/${file}\n";
  wire = file: kind: concatMapStrings (target: ''
    mkdir -p $out/${target}.${kind}
    ln -s ../${file} $out/${target}.${kind}/${file}
  '');

  upstream = [ "sysinit.target" "basic.target" "sockets.target" "timers.target" "paths.target" "network-pre.target"
    "network.target" "network-online.target" "multi-user.target" ];
  reactivation = pkgs.writeText "sysinit-reactivation.target" "[Unit]\nDescription=Reactivate sysinit units\n";

  scheduled = filterAttrs (_: s: s.enable && s.startAt != [ ]) config.systemd.services;
in
{
  options.systemd = {
    package = mkOption { type = types.package; };
    services = mkOption { type = types.attrsOf (types.submodule service); default = { }; };
    timers = mkOption { type = types.attrsOf (types.submodule timer); default = { }; };
  };
  config = {
    # The base's, under a name of its own.
    systemd.package = pkgs.runCommand "systemd-${config.standin.systemd}" { } ''
      mkdir -p $out
      ln -s /usr/bin /usr/lib $out/
    '';
    systemd.services.standin-hang = mkIf config.standin.bootHangs {
      description = "A boot that hangs, as asked";
      wantedBy = [ "multi-user.target" ];
      before = [ "network-online.target" "multi-user.target" "floe-agent.service" ];
      script = "exec sleep infinity";
      serviceConfig = { Type = "oneshot"; TimeoutStartSec = "infinity"; };
    };
    systemd.timers = mapAttrs (_: s: {
      wantedBy = [ "timers.target" ];
      timerConfig.OnCalendar = s.startAt;
    }) scheduled;
    environment.etc."systemd/system.conf".text = "[Manager]\n";
    system.build.units = pkgs.runCommand "system-units" { } ''
      mkdir -p $out
      for target in ${concatStringsSep " " upstream}; do ln -s /usr/lib/systemd/system/$target $out/$target; done
      ln -s multi-user.target $out/default.target
      ln -s ${reactivation} $out/sysinit-reactivation.target
      ${concatStrings (mapAttrsToList (name: s: link "${name}.service" s (serviceText s)) config.systemd.services)}
      ${concatStrings (mapAttrsToList (name: t: link "${name}.timer" t (timerText t)) config.systemd.timers)}
    '';
  };
}
