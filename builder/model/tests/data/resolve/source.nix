# nix-build of Nix 2.34.8 resolved two of these derivations to the two others beside this file.
let dep = derivation { name="dep"; system="x86_64-linux"; builder="/bin/sh"; args=["-c" "echo dep > $out"]; __contentAddressed=true; outputHashMode="recursive"; outputHashAlgo="sha256"; };
in {
 self = derivation { name="self"; system="x86_64-linux"; builder="/bin/sh"; args=["-c" "/bin/mkdir $out; echo $out/bin/x ${dep} > $out/b; echo start $out > $out/a; /bin/ln -s $out/a $out/l; echo no > $out/c"]; __contentAddressed=true; outputHashMode="recursive"; outputHashAlgo="sha256"; };
 multi = derivation { name="multi"; system="x86_64-linux"; builder="/bin/sh"; outputs = ["out" "dev"]; args=["-c" "echo $dev $out > $dev; echo plain > $out"]; __contentAddressed=true; outputHashMode="recursive"; outputHashAlgo="sha256"; };
 ia = derivation { name="ia"; system="x86_64-linux"; builder="/bin/sh"; args=["-c" "echo $out ${dep} > $out"]; };
}
