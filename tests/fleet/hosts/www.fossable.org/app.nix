# The website: answers "ok" and its version on 127.0.0.1:8080/healthz.
# VERSION and STATUS are variables of the unit, so that a story can change them:
#   systemd.services.website.environment = { VERSION = "2"; STATUS = "503"; };
{ lib, pkgs, ... }:

{
  systemd.services.website = {
    description = "www.fossable.org";
    wantedBy = [ "multi-user.target" ];
    environment.VERSION = lib.mkDefault "0";
    environment.STATUS = lib.mkDefault "200";
    serviceConfig = {
      Type = "notify";
      ExecStart = "${pkgs.python3}/bin/python3 ${./app.py}";
      DynamicUser = true;
    };
  };
}
