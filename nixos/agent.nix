# The NixOS module of the agent: `imports = [ <floe/agent.nix> ];`.
#
# Every generation of a host that floe keeps must contain it: the agent of the *new* system is the one that confirms. A
# switch therefore never restarts or stops it; it hands over by itself.
#
# Above each option of NixOS that is set here stands the file of nixpkgs that declares it.
{
  config,
  lib,
  options,
  pkgs,
  ...
}: let
  inherit (lib) mkEnableOption mkIf mkOption optional types;
  cfg = config.services.floe-agent;
  toml = pkgs.formats.toml {};
  grub = config.boot.loader.grub;

  # What is not said is left out: an older agent knows fewer options.
  said = lib.filterAttrs (_: value: value != null) cfg.settings;

  # Checked while the system is built, by the agent that will read it: a misspelt limit never reaches a machine.
  configFile = pkgs.runCommand "agent.toml" {} ''
    cp ${toml.generate "agent.toml" said} $out
    ${cfg.package}/bin/floe-agent check-config $out
  '';

  # The commands of whatever system runs now, which are those that an administrator would type; a list of packages here
  # would tie the agent to the nixos-rebuild and systemctl of the system that started it.
  searchPath = lib.mkForce "/run/wrappers/bin:/run/current-system/sw/bin:/run/current-system/sw/sbin";

  # Users are made by a unit where these are on, and by the activation script elsewhere.
  # (nixos/modules/system/boot/systemd/sysusers.nix, nixos/modules/services/system/userborn.nix)
  usersByUnit =
    (options.systemd ? sysusers && config.systemd.sysusers.enable)
    || (options.services ? userborn && config.services.userborn.enable);

  # The configuration by its place in the store: /etc is not there yet at a first boot. That secrets cannot be placed must
  # not keep a machine from booting; who needs one says so.
  placeSecrets = ''
    mkdir -p -m 0755 /run/floe
    mkdir -p -m 0751 /run/floe/secrets
    ${cfg.package}/bin/floe-agent place-secrets --config ${configFile} >/dev/null || true
  '';

  setting = type: description: example:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description example;
    };
in {
  options.services.floe-agent = {
    enable = mkEnableOption "the floe agent, which keeps this host on what its control plane assigns";

    release = mkOption {
      type = types.attrsOf types.str;
      default = {};
      example = {
        url = "https://example.org/floe-agent-0.1.0-x86_64-linux.tar.gz";
        sha256 = "…";
      };
      description = "Where the agent's release is, and its SHA-256. Ignored when `package` is set.";
    };

    package = mkOption {
      type = types.package;
      default =
        if cfg.release ? url && cfg.release ? sha256
        then import ./package.nix ({inherit pkgs;} // cfg.release)
        else
          throw ''
            services.floe-agent has no agent: set `release` to the url and the sha256 that nixos/release printed, or `package`.
          '';
      defaultText = lib.literalExpression "the release of `release`";
      example = lib.literalExpression "pkgs.floe-agent";
      description = "A package with bin/floe-agent.";
    };

    settings = mkOption {
      description = ''
        Content of /etc/floe/agent.toml. Options that are not listed here are passed on as they are; `floe-agent
        check-config` judges the file while the system is built.
      '';
      example = {
        fleet = "fossable.org";
        role = "www.fossable.org";
        control_plane = "https://floe.example.org:7443";
      };
      default = {};
      type = types.submodule {
        freeformType = toml.type;
        options = {
          fleet = setting types.str "The fleet whose trust root governs this machine. Required." "fossable.org";
          role = setting types.str "The one role whose bundles may run here. Required." "www.fossable.org";
          control_plane =
            setting types.str "Where the control plane listens for agents: https://NAME[:PORT]. Required."
            "https://floe.example.org:7443";
          attestation = setting (types.enum ["token" "aws-iid"]) ''
            How this machine proves who it is when it enrols: by the token in /var/lib/floe/join.toml, or by what EC2
            signed about it. null: `token`.
          '' "aws-iid";
          build_memory_max = setting types.str ''
            Memory that evaluation and build may use, as systemd's MemoryMax= takes it. null: `75%`.
          '' "2G";
          build_timeout = setting types.str "How long evaluation and build may take. null: `1h`." "90m";
          min_free_bytes =
            setting types.ints.unsigned "Bytes that must be free in the store before a system is built. null: 1 GiB."
            4294967296;
          min_free_memory =
            setting types.ints.unsigned ''
              Bytes of memory that must be available before a system is built. null: 64 MiB.
            ''
            268435456;
          gc_keep =
            setting types.ints.unsigned ''
              How many of the newest generations `floe-agent gc` leaves, whatever their age. null: 5.
            ''
            3;
          gc_older_than =
            setting types.str "How old a generation must be for `floe-agent gc` to delete it. null: `30d`." "14d";
        };
      };
    };

    trustRoot = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./trust.json";
      description = "The fleet's signed trust root, for /etc/floe/trust.json. null: it is put there by other means.";
    };

    ca = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./ca.pem";
      description = "Certificate of the fleet's CA, for /etc/floe/ca.pem. null: it is put there by other means.";
    };
  };

  config = mkIf cfg.enable {
    # nixos/modules/misc/assertions.nix
    assertions =
      map (key: {
        assertion = cfg.settings.${key} != null;
        message = "services.floe-agent.settings.${key} is not set; the agent cannot know it otherwise.";
      }) ["fleet" "role" "control_plane"]
      ++ [
        {
          # nixos/modules/tasks/auto-upgrade.nix
          assertion = !config.system.autoUpgrade.enable;
          message = ''
            system.autoUpgrade and services.floe-agent both decide what this host runs, and would undo each other's
            work. Set system.autoUpgrade.enable = false, and push new versions with `floe push`.
          '';
        }
        {
          # nixos/modules/services/system/nix-daemon.nix
          assertion = config.nix.enable;
          message = ''
            services.floe-agent builds systems and keeps their profile with Nix, which nix.enable = false takes away.
          '';
        }
      ];

    # Also the way to a system's agent: <toplevel>/sw/bin/floe-agent.
    # nixos/modules/config/system-path.nix
    environment.systemPackages =
      [cfg.package]
      # The choice for one boot (grub-reboot, grub-editenv). nixpkgs brings them only where GRUB is written to a disk, which
      # it is not on EFI (nixos/modules/system/boot/loader/grub/grub.nix).
      ++ optional grub.enable (
        if grub.efiSupport
        then pkgs.grub2_efi
        else pkgs.grub2
      );

    # nixos/modules/system/etc/etc.nix
    environment.etc = {
      "floe/agent.toml".source = configFile;
      "floe/trust.json" = mkIf (cfg.trustRoot != null) {source = cfg.trustRoot;};
      "floe/ca.pem" = mkIf (cfg.ca != null) {source = cfg.ca;};
    };

    # The place of secrets is there before anything that may want one of them: a user's password is read when users are
    # made. Who owns a secret may come to it; nobody can list them.
    # nixos/modules/system/activation/activation-script.nix
    system.activationScripts = mkIf (!usersByUnit) {
      floe-secrets = lib.stringAfter ["specialfs"] placeSecrets;
      users.deps = ["floe-secrets"];
      # Once more for owners who were just made.
      floe-secret-owners = lib.stringAfter ["users"] placeSecrets;
    };

    # A system whose disks do not mount would wait for somebody at the console, and the guard below would never run.
    # nixos/modules/system/boot/emergency-mode.nix
    systemd.enableEmergencyMode = lib.mkDefault false;

    # nixos/modules/system/boot/systemd.nix
    systemd.services = {
      floe-secrets = mkIf usersByUnit {
        description = "floe: secrets, before users are made";
        wantedBy = ["sysinit.target"];
        before = ["systemd-sysusers.service" "userborn.service" "sysinit.target" "shutdown.target"];
        conflicts = ["shutdown.target"];
        unitConfig.DefaultDependencies = false;
        script = placeSecrets;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
        };
      };

      # Once more for owners who were just made.
      floe-secret-owners = mkIf usersByUnit {
        description = "floe: secrets, for their owners";
        wantedBy = ["sysinit.target"];
        # Also where a switch makes users: as userborn itself (nixos/modules/services/system/userborn.nix).
        requiredBy = ["sysinit-reactivation.target"];
        restartTriggers = [(builtins.toJSON (builtins.attrNames config.users.users ++ builtins.attrNames config.users.groups))];
        after = ["floe-secrets.service" "systemd-sysusers.service" "userborn.service"];
        before = ["sysinit.target" "sysinit-reactivation.target" "shutdown.target"];
        conflicts = ["shutdown.target"];
        unitConfig.DefaultDependencies = false;
        script = placeSecrets;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
        };
      };

      # The dead man's timer of a boot in which a new system is tried. It does not wait for the agent, nor for the
      # network: where either never comes up, the machine is rebooted into the system that it came from. Ends at once in
      # every other boot. Nothing shuts it in: it is the way back, and must work on a machine on which little else does.
      floe-boot-guard = {
        description = "floe: goes back from a system that was booted to be tried";
        wantedBy = ["basic.target"];
        restartIfChanged = false;
        unitConfig = {
          X-StopOnRemoval = false;
          DefaultDependencies = false;
          # Not /boot: what boots without being asked for is the old system already.
          RequiresMountsFor = ["/var/lib/floe"];
        };
        after = ["local-fs.target" "dbus.socket"];
        conflicts = ["shutdown.target"];
        before = ["shutdown.target"];
        environment.PATH = searchPath;
        serviceConfig = {
          ExecStart = "${cfg.package}/bin/floe-agent guard --boot";
          Restart = "on-failure";
          RestartSec = "2s";
        };
      };

      floe-agent = {
        description = "floe agent";
        documentation = ["man:floe-agent(1)"];
        wantedBy = ["multi-user.target"];
        wants = ["network-online.target"];
        after = ["network-online.target"];
        restartIfChanged = false;
        # An agent that gives up is a host that nobody reaches any more: try for ever.
        unitConfig = {
          X-StopOnRemoval = false;
          StartLimitIntervalSec = 0;
        };
        environment = {
          # Nix wants one, and writes nothing of ours to it.
          HOME = "/var/lib/floe";
          PATH = searchPath;
        };
        serviceConfig =
          {
            Type = "notify";
            ExecStart = "${cfg.package}/bin/floe-agent run";
            Restart = "always";
            # A hand-over to the new system's agent is a restart, so that this is waited for in every activation.
            RestartSec = "100ms";
            SuccessExitStatus = 75;
            # Long enough for a machine that builds with all that it has; nobody else would see that the agent hangs.
            WatchdogSec = "60s";
            # The guard and the trial live in units of their own; only the agent itself is stopped with its unit.
            KillMode = "mixed";
            TimeoutStopSec = "20s";
            StandardOutput = "journal";
            StandardError = "journal";
          }
          // (import ./sandbox.nix).agent;
      };
    };
  };
}
