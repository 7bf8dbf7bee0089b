# The mail server: greets on 127.0.0.1:25 and says goodbye.
# NAME is a variable of the unit, so that a story can change it.
{ lib, pkgs, ... }:

{
  systemd.services.mail = {
    description = "mail.fossable.org";
    wantedBy = [ "multi-user.target" ];
    environment.NAME = lib.mkDefault "mail.fossable.org";
    serviceConfig = {
      Type = "notify";
      ExecStart = "${pkgs.python3}/bin/python3 ${./app.py}";
    };
  };
}
