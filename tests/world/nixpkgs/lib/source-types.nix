# lib/source-types.nix: what a package is made from.
{
  binaryNativeCode = {
    shortName = "binaryNativeCode";
    isSource = false;
  };
}
