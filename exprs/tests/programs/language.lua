-- What an interpreter that was compiled wrongly gets wrong.
local function fibonacci(n) return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2) end
assert(fibonacci(22) == 17711)

local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do words[#words + 1] = word end
table.sort(words, function(left, right) return left > right end)
assert(table.concat(words, " ") == "the the quick over lazy jumps fox dog brown")
assert(("2026-11-21"):gsub("(%d+)-(%d+)-(%d+)", "%3.%2.%1") == "21.11.2026")
assert(string.format("%5.2f|%-6s|%x|%q", math.pi, "left", 48879, 'a "b"') == ' 3.14|left  |beef|"a \\"b\\""')
assert(tostring(0.1) == "0.1" and 2 ^ 53 == 9007199254740992 and -7 % 3 == 2 and 1 / 0 == math.huge)

local ok, message = pcall(function() error({ code = 42 }) end)
assert(not ok and message.code == 42)
ok, message = pcall(function() return nil + 1 end)
assert(not ok and message:find("arithmetic"))

local squares = coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i * i) end end)
local sum = 0
for square in squares do sum = sum + square end
assert(sum == 55)

local Point = {}
Point.__index = Point
Point.__add = function(left, right) return setmetatable({ x = left.x + right.x }, Point) end
assert((setmetatable({ x = 1 }, Point) + setmetatable({ x = 2 }, Point)).x == 3)

local weak = setmetatable({}, { __mode = "v" })
for i = 1, 1000 do weak[i] = {} end
collectgarbage()
assert(next(weak) == nil)

local big = {}
for i = 1, 200000 do big[i] = i * 7919 % 200003 end
table.sort(big)
for i = 2, #big do assert(big[i - 1] <= big[i]) end
print("all right")
