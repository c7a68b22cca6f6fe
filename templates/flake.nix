{
  description = "Templates of zeval, which also has them within itself: zeval flake init -t site";

  outputs =
    { self }:
    {
      templates = {
        site = {
          path = ./site;
          description = "A static site of one derivation";
          welcomeText = builtins.readFile ./welcome.txt;
        };
        c-library = {
          path = ./c-library;
          description = "A C library with a test, by the compiler of zeval's stage 1";
          welcomeText = builtins.readFile ./welcome.txt;
        };
        default = self.templates.site;
      };
    };
}
