# The NixOS module of the control plane: `imports = [ <floe/control.nix> ];`.
#
# Runs `floe serve` as a user of its own that can do nothing but listen, reach AWS and write to its data directory. What
# must be backed up is /var/lib/floe-control: the CA and the state of the fleet.
#
# Above each option of NixOS that is set here stands the file of nixpkgs that declares it.
{
  config,
  lib,
  pkgs,
  ...
}: let
  inherit (lib) mkDefault mkEnableOption mkIf mkOption types;
  cfg = config.services.floe;
  toml = pkgs.formats.toml {};

  name = "floe-control";
  data = "/var/lib/${name}";

  said = lib.filterAttrs (_: value: value != null);
  settings = said (cfg.settings // {serve = said cfg.settings.serve;});

  # floe.toml and what lies beside it, checked while the system is built by the program that will read it.
  configuration = pkgs.runCommand "floe-control" {} ''
    mkdir -p $out
    cp ${toml.generate "floe.toml" settings} $out/floe.toml
    cp ${cfg.trustRoot} $out/trust.json
    ${cfg.package}/bin/floe serve --config $out/floe.toml --check
  '';

  # The port of an address such as [::]:7443.
  port = address: lib.toInt (lib.last (lib.splitString ":" address));

  setting = type: description: example:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description example;
    };
in {
  options.services.floe = {
    enable = mkEnableOption "floe's control plane, which takes signed bundles to the hosts of a fleet";

    package = mkOption {
      type = types.package;
      default = pkgs.floe;
      defaultText = lib.literalExpression "pkgs.floe";
      description = "A package with bin/floe. The overlay of floe's flake adds `pkgs.floe`.";
    };

    trustRoot = mkOption {
      type = types.path;
      example = lib.literalExpression "./trust.json";
      description = "The fleet's signed trust root, as `floe init` writes it. Required.";
    };

    settings = mkOption {
      description = ''
        Content of floe.toml. Tables and keys that are not listed here are passed on as they are; `floe serve --check`
        judges the file while the system is built.
      '';
      example = lib.literalExpression ''
        {
          fleet = "fossable.org";
          server = "https://floe.fossable.org:7443";
          aws = { accounts = [ "123456789012" ]; regions = [ "eu-central-1" ]; };
        }
      '';
      default = {};
      type = types.submodule {
        freeformType = toml.type;
        options = {
          fleet = setting types.str "The fleet that is served; its trust root's. Required." "fossable.org";
          server = setting types.str ''
            How operators and hosts reach it; the port is that of `serve.listen`, unless something before this machine
            forwards another. Required.
          '' "https://floe.fossable.org:7443";
          serve = {
            listen = mkOption {
              type = types.str;
              default = "[::]:7443";
              example = "10.0.0.5:7443";
              description = "Where operators and hosts are listened for: an address and a port.";
            };
            public_url = setting types.str "How they reach it. null: `server`." "https://floe.fossable.org:7443";
            objects_listen = mkOption {
              type = types.str;
              default = "[::]:7444";
              example = "10.0.0.5:7444";
              description = "Where payloads are served: an address and a port.";
            };
            objects_url = setting types.str ''
              How hosts, operators and this machine itself reach them. null: the name of `server`, and the port of
              `objects_listen`.
            '' "https://floe.fossable.org:7444";
          };
        };
      };
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the two ports are opened in this machine's firewall.";
    };

    awsCredentialsFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/run/secrets/aws-credentials";
      description = ''
        A file with credentials of AWS, in the form of ~/.aws/credentials; its owner may be root, and nobody else need
        be able to read it. null: those of the instance's role, which is what a control plane on EC2 should have.
      '';
    };
  };

  config = mkIf cfg.enable {
    # nixos/modules/misc/assertions.nix
    assertions =
      map (key: {
        assertion = cfg.settings.${key} != null;
        message = "services.floe.settings.${key} is not set; the control plane cannot know it otherwise.";
      }) ["fleet" "server"]
      ++ [
        {
          assertion = (cfg.settings.serve.data or data) == data;
          message = "services.floe.settings.serve.data cannot be chosen: the unit may write to ${data} alone. Mount there what should hold it.";
        }
        {
          assertion = !lib.hasPrefix builtins.storeDir (toString cfg.awsCredentialsFile);
          message = ''
            services.floe.awsCredentialsFile is in the Nix store, which everybody can read. Name a file outside of it, as
            a string: "/run/secrets/aws-credentials".
          '';
        }
      ];

    services.floe.settings.serve = {
      data = mkDefault data;
      public_url = mkDefault cfg.settings.server;
      objects_url = mkDefault (
        if cfg.settings.server == null
        then null
        else let
          host = builtins.match "(https://(\\[[^]]*]|[^:/]*)).*" cfg.settings.server;
        in
          if host == null
          then cfg.settings.server
          else "${lib.head host}:${toString (port cfg.settings.serve.objects_listen)}"
      );
    };

    # The administrator's commands: `floe hosts list`, and what the first start wrote.
    # nixos/modules/config/system-path.nix
    environment.systemPackages = [cfg.package];

    # nixos/modules/services/networking/firewall.nix
    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [
      (port cfg.settings.serve.listen)
      (port cfg.settings.serve.objects_listen)
    ];

    # A user that stays, so that a backup of its files can be put back.
    # nixos/modules/config/users-groups.nix
    users.users.${name} = {
      isSystemUser = true;
      group = name;
      home = data;
      description = "floe's control plane";
    };
    users.groups.${name} = {};

    # nixos/modules/system/boot/systemd.nix
    systemd.services.floe = {
      description = "floe control plane";
      documentation = ["man:floe-serve(1)"];
      wantedBy = ["multi-user.target"];
      wants = ["network-online.target"];
      after = ["network-online.target"];
      # It is not to be given up because of a bad hour: hosts renew their certificates here.
      unitConfig.StartLimitIntervalSec = 0;
      environment = mkIf (cfg.awsCredentialsFile != null) {
        AWS_SHARED_CREDENTIALS_FILE = "%d/aws-credentials";
      };
      serviceConfig =
        {
          Type = "notify";
          ExecStart = "${cfg.package}/bin/floe serve --config ${configuration}/floe.toml";
          Restart = "always";
          RestartSec = "2s";
          WatchdogSec = "60s";
          TimeoutStopSec = "30s";
          # Each host holds a connection, and each connection a file.
          LimitNOFILE = 65536;
          StandardOutput = "journal";
          StandardError = "journal";
          User = name;
          Group = name;
          LoadCredential = mkIf (cfg.awsCredentialsFile != null) ["aws-credentials:${cfg.awsCredentialsFile}"];
        }
        // (import ./sandbox.nix).control name;
    };
  };
}
