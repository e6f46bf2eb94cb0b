#!/bin/sh
# SPDX-License-Identifier: MIT
# Ruby: its collector, compaction, extensions, threads, fork.
. "$(dirname "$0")/lib.sh"
need ruby
in_use ruby -e 1

cat >"$scratch/work.rb" <<'END'
require 'json'
require 'zlib'
require 'digest'
require 'stringio'
require 'bigdecimal'
words = Hash.new { |h, k| h[k] = [] }
100_000.times { |i| words["w#{i * 7919 % 10007}"] << (65 + i % 26).chr * (i % 90) }
text = JSON.generate(words.sort.to_h)
puts Digest::SHA256.hexdigest(text), JSON.parse(text).size
puts Digest::MD5.hexdigest(Zlib::Inflate.inflate(Zlib::Deflate.deflate(text)))
puts text.scan(/(A+)"/).size, (2**20_000).to_s.size, BigDecimal('2').sqrt(200).to_s
GC.start
GC.compact if GC.respond_to?(:compact)
GC.stress = true
10.times { |i| "#{i}" * 100 }
GC.stress = false
results = 8.times.map { |n| Thread.new { (1..20_000).map { |i| "#{n} #{i}" }.uniq.size } }.map(&:value)
p results
5.times do |n|
  child = fork { exit!(words.keys.grep(/#{n}/).size % 200) }
  Process.wait(child)
  p $?.exitstatus
end
ObjectSpace.each_object(String).count
p (1..2000).map { |i| Fiber.new { Fiber.yield i.to_s * 50 }.resume.size }.sum
END
same ruby "$scratch/work.rb"
