# Packages that differ in what profiles look at: names, versions, priorities, outputs. Another number at
# `recorded` makes them new to the store that sessions are recorded with.
{ ... }:
let
  mk = name: more:
    derivation ({
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/bash";
      args = [ "-c" "mkdir -p $out/bin; echo $name > $out/bin/\${prog-$name}" ];
      PATH = "/bin";
      recorded = "5";
    } // removeAttrs more [ "meta" ]) // { meta = { description = "The ${name}"; } // (more.meta or { }); };
in
rec {
  foo = mk "foo-1.0" { prog = "foo"; };
  foo2 = mk "foo-2.0" { prog = "foo"; };
  bar = mk "bar-0.1" { prog = "bar"; };
  bar2 = mk "bar-0.1.1" { prog = "bar"; };
  clash = mk "clash-1" { prog = "foo"; };
  multi = derivation {
    name = "multi-3";
    system = "x86_64-linux";
    builder = "/bin/bash";
    args = [ "-c" "mkdir -p $out/bin $dev/bin; echo > $out/bin/mo; echo > $dev/bin/md" ];
    outputs = [ "out" "dev" ];
    PATH = "/bin";
    recorded = "5";
  } // { meta = { outputsToInstall = [ "out" "dev" ]; priority = 3; licences = [ "a" "b" ]; of = { x = "y"; }; f = x: x; }; };
  broken = throw "it is broken";
  sub = { recurseForDerivations = true; deep = mk "deep-1" { }; };
  nosub = { deep = mk "deeper-1" { }; };
  other = derivation { name = "alien-1"; system = "riscv-none"; builder = "x"; };
}
