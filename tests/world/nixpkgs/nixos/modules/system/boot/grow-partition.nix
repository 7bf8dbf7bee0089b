# nixos/modules/system/boot/grow-partition.nix: a disk here is a directory, so that there is nothing to grow.
{ lib, ... }:
with lib;
{
  options.boot.growPartition = mkEnableOption "growing the root partition on boot";
}
