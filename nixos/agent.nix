# The NixOS module of the agent: `imports = [ <floe/agent.nix> ];`.
#
# Every generation of a host that floe keeps must contain it: the agent of the *new* system is the one that confirms.
# A switch therefore never restarts or stops it; it hands over by itself.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkIf mkOption optionalAttrs types;
  cfg = config.services.floe-agent;
  toml = pkgs.formats.toml { };
  grub = config.boot.loader.grub;
in
{
  options.services.floe-agent = {
    enable = mkEnableOption "the floe agent, which keeps this host on what its control plane assigns";

    release = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = { url = "https://example.org/v0.1.0/x86_64-linux/floe-agent"; sha256 = "…"; };
      description = "Where the agent's binary is, and its SHA-256. Ignored when `package` is set.";
    };

    package = mkOption {
      type = types.package;
      default = import ./package.nix { inherit pkgs; inherit (cfg.release) url sha256; };
      description = "A package with bin/floe-agent.";
    };

    settings = mkOption {
      type = toml.type;
      default = { };
      example = { fleet = "fossable.org"; role = "www.fossable.org"; control_plane = "https://floe.example.org:7443"; };
      description = "Content of /etc/floe/agent.toml.";
    };

    attestation = mkOption {
      type = types.enum [ "token" "aws-iid" ];
      default = "token";
      description = "How this machine proves who it is when it enrols: by the token in join.toml, or by what EC2 signed about it.";
    };

    gc = {
      keep = mkOption {
        type = types.nullOr types.ints.unsigned;
        default = null;
        example = 3;
        description = "How many of the newest generations `floe-agent gc` leaves, whatever their age. null: 5.";
      };

      olderThan = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "14d";
        description = "How old a generation must be for `floe-agent gc` to delete it. null: 30d.";
      };
    };

    trustRoot = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "The fleet's signed trust root, for /etc/floe/trust.json. null: it is put there by other means.";
    };

    ca = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "Certificate of the fleet's CA, for /etc/floe/ca.pem. null: it is put there by other means.";
    };
  };

  config = mkIf cfg.enable {
    assertions = map
      (key: {
        assertion = cfg.settings ? ${key};
        message = "services.floe-agent.settings.${key} is not set; the agent cannot know it otherwise.";
      }) [ "fleet" "role" "control_plane" ];

    # Also the way to a system's agent: <toplevel>/sw/bin/floe-agent.
    environment.systemPackages = [ cfg.package ]
      # The choice for one boot (grub-reboot, grub-editenv). nixpkgs brings them only where GRUB is written to a disk, which
      # it is not on EFI (nixos/modules/system/boot/loader/grub/grub.nix).
      ++ lib.optional grub.enable (if grub.efiSupport then pkgs.grub2_efi else pkgs.grub2);

    environment.etc = {
      "floe/agent.toml".source = toml.generate "agent.toml"
        # What is not said is left out: an older agent knows fewer options.
        (optionalAttrs (cfg.attestation != "token") { inherit (cfg) attestation; }
          // optionalAttrs (cfg.gc.keep != null) { gc_keep = cfg.gc.keep; }
          // optionalAttrs (cfg.gc.olderThan != null) { gc_older_than = cfg.gc.olderThan; }
          // cfg.settings);
    }
    // optionalAttrs (cfg.trustRoot != null) { "floe/trust.json".source = cfg.trustRoot; }
    // optionalAttrs (cfg.ca != null) { "floe/ca.pem".source = cfg.ca; };

    # The dead man's timer of a boot in which a new system is tried. It does not wait for the agent, nor for the network:
    # where either never comes up, the machine is rebooted into the system that it came from. Ends at once in every other
    # boot.
    systemd.services.floe-boot-guard = {
      description = "floe: goes back from a system that was booted to be tried";
      wantedBy = [ "basic.target" ];
      restartIfChanged = false;
      unitConfig = { X-StopOnRemoval = false; DefaultDependencies = false; RequiresMountsFor = [ "/var/lib/floe" "/boot" ]; };
      after = [ "local-fs.target" "dbus.socket" ];
      conflicts = [ "shutdown.target" ];
      before = [ "shutdown.target" ];
      environment.PATH = lib.mkForce "/run/wrappers/bin:/run/current-system/sw/bin:/run/current-system/sw/sbin";
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/floe-agent guard --boot";
        Restart = "on-failure";
        RestartSec = "2s";
      };
    };

    systemd.services.floe-agent = {
      description = "floe agent";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      restartIfChanged = false;
      # An agent that gives up is a host that nobody reaches any more: try for ever.
      unitConfig = { X-StopOnRemoval = false; StartLimitIntervalSec = 0; };
      environment = {
        HOME = "/root";
        # The commands of whatever system runs now, which are those that an administrator would type; a list of
        # packages here would tie the agent to the nixos-rebuild and systemctl of the system that started it.
        PATH = lib.mkForce "/run/wrappers/bin:/run/current-system/sw/bin:/run/current-system/sw/sbin";
      };
      serviceConfig = {
        Type = "notify";
        ExecStart = "${cfg.package}/bin/floe-agent run";
        Restart = "always";
        # A hand-over to the new system's agent is a restart, so that this is waited for in every activation.
        RestartSec = "100ms";
        SuccessExitStatus = 75;
        StateDirectory = "floe";
        StateDirectoryMode = "0700";
        # The guard and the trial live in units of their own; only the agent itself is stopped with its unit.
        KillMode = "mixed";
        TimeoutStopSec = "20s";
      };
    };
  };
}
