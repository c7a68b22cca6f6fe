# The derivations beside this file: nix-instantiate of Nix 2.34.8, with dynamic-derivations, impure-derivations,
# ca-derivations, git-hashing and blake3-hashes. show.json: `nix derivation show` of them all.
let
 ca = derivation { name="ca"; system="x"; builder="/bin/sh"; args=["-c" "x\ny\t\"\\"]; __contentAddressed=true; outputHashMode="recursive"; outputHashAlgo="sha256"; outputs=["out" "dev"];};
 ia = derivation { name="ia"; system="x"; builder="/bin/sh"; outputs=["lib" "out"]; src=./a.nix; };
 fo = derivation { name="fo"; system="x"; builder="/bin/sh"; outputHash="sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; outputHashMode="recursive"; };
 flat = derivation { name="flat"; system="x"; builder="/bin/sh"; outputHash="da39a3ee5e6b4b0d3255bfef95601890afd80709"; outputHashAlgo="sha1"; };
 def = derivation { name="def"; system="x"; builder="/bin/sh"; inherit ca; d = ca.dev; inherit ia;};
 def2 = derivation { name="def2"; system="x"; builder="/bin/sh"; inherit def ia fo flat; lib=ia.lib; };
 ia2 = derivation { name="ia2"; system="x"; builder="/bin/sh"; inherit ia fo flat; lib=ia.lib; };
 st = derivation { name="st"; system="x"; builder="/bin/sh"; __structuredAttrs=true; foo={a=[1 2.5 null "x"];}; inherit fo; outputs=["out" "lib"]; };
 imp = derivation { name="imp"; system="x"; builder="/bin/sh"; __impure=true; };
 useimp = derivation { name="useimp"; system="x"; builder="/bin/sh"; __impure=true; inherit imp fo;};
 txt = derivation { name="txt.drv"; system="x"; builder="/bin/sh"; __contentAddressed=true; outputHashMode="text"; outputHashAlgo="sha256"; };
 dyn = derivation { name="dyn"; system="x"; builder="/bin/sh"; d = builtins.outputOf txt.outPath "out"; e = builtins.outputOf (builtins.outputOf txt.outPath "out") "bin"; inherit fo;};
 dyn2 = derivation { name="dyn2"; system="x"; builder="/bin/sh"; inherit dyn txt;};
 gitm = derivation { name="gitm"; system="x"; builder="/bin/sh"; __contentAddressed=true; outputHashMode="git"; outputHashAlgo="sha1"; };
 b3 = derivation { name="b3"; system="x"; builder="/bin/sh"; __contentAddressed=true; outputHashMode="recursive"; outputHashAlgo="blake3"; };
in { inherit ca ia fo flat def def2 ia2 st imp useimp txt dyn dyn2 gitm b3; }
