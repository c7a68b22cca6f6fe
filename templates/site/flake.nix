{
  description = "A static site: one derivation";

  # The sources of zeval. `zeval flake lock --override-input zeval REF` says where they are.
  inputs.zeval = {
    url = "zeval";
    flake = false;
  };

  outputs =
    { self, zeval }:
    let
      system = "x86_64-linux";
      busybox = (import "${zeval}/exprs/stage1.zx" { inherit system; }).protobusybox;
    in
    {
      packages.${system}.default = derivation {
        name = "site";
        inherit system;
        builder = "${busybox}/bin/ash";
        args = [
          "-eu"
          ./build.sh
        ];
        PATH = "${busybox}/bin";
        pages = ./pages;
      };
    };
}
