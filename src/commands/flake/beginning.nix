{
  description = "A greeting";

  # inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self }: {
    greeting = "hello from ${self.outPath}";
  };
}
