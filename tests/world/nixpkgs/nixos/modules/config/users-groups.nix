# Users and groups, and the activation that makes them so (nixos/modules/config/users-groups.nix and
# update-users-groups.pl). As there: with `mutableUsers = false` the declared password holds at each activation, else
# only for a user that is new; no password means a locked one.
{ config, lib, ... }:
with lib;
let
  text = default: mkOption { type = types.str; inherit default; };
  maybe = mkOption { type = types.nullOr types.str; default = null; };
  flag = mkOption { type = types.bool; default = false; };

  user = { name, ... }: {
    options = {
      name = text name;
      uid = mkOption { type = types.nullOr types.int; default = null; };
      isNormalUser = flag;
      isSystemUser = flag;
      group = text "users";
      extraGroups = mkOption { type = types.listOf types.str; default = [ ]; };
      home = text "/home/${name}";
      description = text "";
      shell = mkOption { type = types.nullOr types.unspecified; default = null; };
      packages = mkOption { type = types.listOf types.package; default = [ ]; };
      hashedPassword = maybe;
      hashedPasswordFile = maybe;
      initialHashedPassword = maybe;
      password = maybe;
      openssh.authorizedKeys.keys = mkOption { type = types.listOf types.singleLineStr; default = [ ]; };
    };
  };

  # `ensure NAME UID GROUP HOME` adds a user that is not there and says so by its status.
  ensure = ''
    ensure() {
      ! grep -q "^$1:" /etc/passwd || return 1
      grep -q "^$3:" /etc/group || groupadd --system "$3"
      useradd --system --no-create-home ''${2:+--uid "$2"} --gid "$3" --home-dir "$4" "$1"
    }
    set_password() {
      printf '%s:%s\n' "$1" "$2" | chpasswd --encrypted
    }
    # nixos/modules/config/update-users-groups.pl: without the file a warning, and no password fits.
    read_hash() {
      if [ -e "$1" ]; then cat "$1"; else echo "warning: password file ‘$1’ does not exist" >&2; echo '!'; fi
    }
  '';
  declare = u:
    let
      # As a word of the shell.
      fixed =
        if u.hashedPasswordFile != null
        then ''"$(read_hash ${escapeShellArg u.hashedPasswordFile})"''
        else escapeShellArg (if u.hashedPassword != null then u.hashedPassword else "!");
      first = if u.initialHashedPassword != null then escapeShellArg u.initialHashedPassword else fixed;
      initial = if config.users.mutableUsers then first else fixed;
    in
    ''
      if ensure ${escapeShellArg u.name} ${escapeShellArg (optionalString (u.uid != null) (toString u.uid))} ${escapeShellArg u.group} ${escapeShellArg u.home}; then
        set_password ${escapeShellArg u.name} ${initial}
      ${optionalString (!config.users.mutableUsers) ''
      else
        set_password ${escapeShellArg u.name} ${fixed}
      ''}
      fi
    '';
in
{
  options.users = {
    mutableUsers = mkOption { type = types.bool; default = true; };
    groups = mkOption { type = types.attrsOf types.attrs; default = { }; };
    users = mkOption { type = types.attrsOf (types.submodule user); default = { }; };
  };
  config = {
    users.users.root = { uid = mkDefault 0; group = mkDefault "root"; home = mkDefault "/root"; };
    system.activationScripts.users.text = ensure + concatMapStrings declare (attrValues config.users.users);
  };
}
