#!/bin/sh
# SPDX-License-Identifier: MIT
# Lua, whose whole allocator is realloc and free: tables, strings, closures, coroutines.
. "$(dirname "$0")/lib.sh"
need lua5.4
in_use lua5.4 -v

cat >"$scratch/work.lua" <<'END'
local words, sum = {}, 0
for i = 1, 200000 do
    local word = 'w' .. i * 7919 % 10007
    words[word] = (words[word] or '') .. string.char(65 + i % 26)
end
local keys = {}
for key in pairs(words) do
    keys[#keys + 1] = key
end
table.sort(keys)
for _, key in ipairs(keys) do
    for c in words[key]:gmatch('[A-M]') do
        sum = (sum * 31 + c:byte()) % 1000003
    end
end
print(#keys, sum)
local threads = {}
for i = 1, 5000 do
    threads[i] = coroutine.wrap(function(x)
        while true do
            x = coroutine.yield(string.rep(x, i % 50))
        end
    end)
    sum = sum + #threads[i]('ab')
    if i % 7 == 0 then
        threads[i - 3] = nil
    end
end
print(sum)
collectgarbage('generational')
local grown = {}
for i = 1, 300000 do
    grown[i] = {i, tostring(i)}
end
print(#grown, #table.concat(keys, ','))
grown = nil
collectgarbage()
print(pcall(string.rep, 'x', 1 << 60))
END
same lua5.4 "$scratch/work.lua"
