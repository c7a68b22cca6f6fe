{
  description = "A C library";

  # The sources of zeval. `zeval flake lock --override-input zeval REF` says where they are.
  inputs.zeval = {
    url = "zeval";
    flake = false;
  };

  outputs =
    { self, zeval }:
    let
      system = "x86_64-linux";
      stage1 = import "${zeval}/exprs/stage1.zx" { inherit system; };

      # One a target: the folder whose bin/ has its compiler.
      compilers.x86_64-linux-musl = stage1.tinycc;

      library =
        target: compiler:
        derivation {
          name = "greeting-${target}";
          inherit system;
          builder = "${stage1.protobusybox}/bin/ash";
          args = [
            "-eu"
            ./build.sh
          ];
          PATH = "${compiler}/bin:${stage1.protobusybox}/bin";
          src = ./src;
        };

      libraries = builtins.mapAttrs library compilers;
    in
    {
      packages.${system} = libraries // {
        default = libraries.x86_64-linux-musl;
      };

      checks.${system}.greeting = derivation {
        name = "greeting-test";
        inherit system;
        builder = "${stage1.protobusybox}/bin/ash";
        args = [
          "-eu"
          ./test.sh
        ];
        PATH = "${stage1.tinycc}/bin:${stage1.protobusybox}/bin";
        library = libraries.x86_64-linux-musl;
        test = ./test.c;
      };
    };
}
