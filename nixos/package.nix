# A released floe-agent, by the hash of its archive (`release`, beside this file, makes it). `url` may be any, since the
# store path depends on the name that is given here and on the hash alone: a store that has the archive already, such
# as an image's, downloads nothing.
{
  pkgs,
  url,
  sha256,
}: let
  archive = builtins.fetchurl {
    name = "floe-agent.tar.gz";
    inherit url sha256;
  };
in
  pkgs.runCommand "floe-agent"
  {
    meta = {
      description = "Keeps one NixOS machine on what its fleet signed for it";
      homepage = "https://github.com/fossable/floe";
      license = pkgs.lib.licenses.asl20;
      sourceProvenance = [pkgs.lib.sourceTypes.binaryNativeCode];
      platforms = ["x86_64-linux" "aarch64-linux"];
      mainProgram = "floe-agent";
    };
  }
  ''
    mkdir $out
    tar -xzf ${archive} -C $out
    # An archive for another system, or a binary that needs a loader, is told here and not by a host that cannot start it.
    $out/bin/floe-agent --version >/dev/null || { echo "the floe-agent of ${url} does not run on this machine" >&2; exit 1; }
  ''
