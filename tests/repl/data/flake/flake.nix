{ outputs = { self }: { hello = "hi"; twice = x: x + x; }; }
