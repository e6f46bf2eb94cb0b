/* SPDX-License-Identifier: MIT */
/*
 * The table of real programs. Each is what Debian's package has, and nothing else is needed: the
 * inputs are made by prepare from fixed seeds (a Lehmer generator whose products are exact in
 * awk's, Lua's and perl's numbers), and what run prints has no date, path, address or time in it.
 *
 * Checksums are taken of files, not of pipes, so that the program's own status counts. A run begins
 * with the same state each time, leaves nothing outside the scratch directory, and never a process:
 * servers listen on a socket in the scratch directory, and a trap ends them. Their peak is that of
 * all their own processes, added up, without clients.
 */
#include "programs.h"

#include <stddef.h>

/* Begins each script. Programs in /usr/bin come first: what else is in PATH may be a wrapper. */
#define SETUP                                                                                      \
    "set -eu\n"                                                                                    \
    "unset LD_PRELOAD LC_CTYPE LANGUAGE\n"                                                         \
    "export LC_ALL=C TZ=UTC HOME=\"$PWD\" TMPDIR=\"$PWD\" "                                        \
    "PATH=\"/usr/sbin:/usr/bin:/bin:$PATH\"\n"

/*
 * In the preparation of a row with a server: a script that prints the process and the peak in KiB
 * of $server and of each of its children. A peak in /proc is that of a process since it began or
 * took up its program; that of rusage goes on from what the process was before.
 */
#define NOTE_PEAKS                                                                                 \
    "cat >note_peaks.sh <<'END'\n"                                                                 \
    "set -eu\n"                                                                                    \
    "children=$(cat /proc/$server/task/$server/children)\n"                                        \
    "for id in $server $children; do\n"                                                            \
    "    sed -n \"s/^VmHWM:[^0-9]*\\([0-9]*\\).*/$id \\1/p\" /proc/$id/status || :\n"              \
    "done\n"                                                                                       \
    "END\n"

/*
 * Begins a script with a server, whose process is $server while it should run and whose output is
 * server.log. `wait_for command` repeats the command until it succeeds. `report_peak`, before the
 * server is asked to end, adds up the peaks of its processes, those in the file peaks as well.
 */
#define SERVER                                                                                     \
    "export server=\n"                                                                             \
    "end_signal=TERM\n"                                                                            \
    "rm -f peaks\n"                                                                                \
    "stop_now() {\n"                                                                               \
    "    cat server.log >&2 || :\n"                                                                \
    "    test -n \"$server\" || return 0\n"                                                        \
    "    kill -s $end_signal $server\n"                                                            \
    "    tries=500\n"                                                                              \
    "    while kill -0 $server 2>&1 && test $tries -gt 0; do\n"                                    \
    "        tries=$((tries - 1))\n"                                                               \
    "        sleep 0.01\n"                                                                         \
    "    done\n"                                                                                   \
    "    test $tries -gt 0 || kill -s KILL $server\n"                                              \
    "}\n"                                                                                          \
    "trap stop_now EXIT\n"                                                                         \
    "trap 'exit 1' HUP INT TERM\n"                                                                 \
    "wait_for() {\n"                                                                               \
    "    tries=1000\n"                                                                             \
    "    until \"$@\" >wait.log 2>&1; do\n"                                                        \
    "        kill -0 $server\n"                                                                    \
    "        test $tries -gt 0\n"                                                                  \
    "        tries=$((tries - 1))\n"                                                               \
    "        sleep 0.01\n"                                                                         \
    "    done\n"                                                                                   \
    "}\n"                                                                                          \
    "report_peak() {\n"                                                                            \
    "    sh note_peaks.sh >>peaks\n"                                                               \
    "    awk '$2 > most[$1] { most[$1] = $2 }\n"                                                   \
    "        END { for (id in most) sum += most[id]; print \"peak_kib\", sum }' peaks >&3\n"       \
    "}\n"

/*
 * After SERVER. PostgreSQL refuses to run as root, so root becomes the user postgres, but keeps the
 * right to pass by file permissions: scratch directory and allocator may lie where only root can
 * go. `start_server $PRELOADED` and `stop_server` do what they say.
 */
#define POSTGRES                                                                                   \
    "end_signal=INT\n"                                                                             \
    "bin=\n"                                                                                       \
    "for dir in /usr/lib/postgresql/*/bin; do\n"                                                   \
    "    test ! -x \"$dir/initdb\" || bin=$dir\n"                                                  \
    "done\n"                                                                                       \
    "as_user=\n"                                                                                   \
    "if test \"$(id -u)\" = 0; then\n"                                                             \
    "    as_user='setpriv --reuid=postgres --regid=postgres --clear-groups'\n"                     \
    "    as_user=\"$as_user --inh-caps=+dac_override --ambient-caps=+dac_override\"\n"             \
    "fi\n"                                                                                         \
    "export PGHOST=\"$PWD/data\" PGUSER=postgres\n"                                                \
    "start_server() {\n"                                                                           \
    "    $as_user \"$@\" \"$bin/postgres\" -D data >server.log 2>&1 &\n"                           \
    "    server=$!\n"                                                                              \
    "    wait_for \"$bin/pg_isready\" -q\n"                                                        \
    "}\n"                                                                                          \
    "stop_server() {\n"                                                                            \
    "    kill -s INT $server\n"                                                                    \
    "    wait $server\n"                                                                           \
    "    server=\n"                                                                                \
    "}\n"

const struct program programs[] = {
    {
        .name = "sqlite3",
        .about = "an SQL database in memory: inserts, indices, joins, deletes",
        .needs = "sqlite3 awk sha256sum",
        .package = "sqlite3",
        .preloaded = "sqlite3",
        .prepare = SETUP
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    print \"create table person (id integer primary key, name, town int, age int);\"\n"
        "    print \"create table sale (id integer primary key, person int, item, cents int);\"\n"
        "    print \"begin;\"\n"
        "    for (i = 1; i <= 20000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        printf \"insert into person values (%d, \", i\n"
        "        printf \"%cperson %d%c, %d, %d);\", 39, seed, 39, seed % 977, seed % 89\n"
        "        print \"\"\n"
        "    }\n"
        "    for (i = 1; i <= 50000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        printf \"insert into sale values (%d, %d, \", i, seed % 20000 + 1\n"
        "        printf \"%citem %d%c, %d);\", 39, seed % 5003, 39, seed % 10007\n"
        "        print \"\"\n"
        "    }\n"
        "    print \"commit;\"\n"
        "}' >work.sql\n"
        "cat >>work.sql <<'END'\n"
        "create index sale_person on sale (person);\n"
        "create index sale_item on sale (item, cents);\n"
        "create index person_name on person (name);\n"
        "select town, count(*), sum(cents) from person\n"
        "    join sale on sale.person = person.id group by town order by town;\n"
        "select item, group_concat(cents, '+')\n"
        "    from (select item, cents from sale order by id) group by item order by item;\n"
        "update person set name = upper(name) || ' ' || hex(name) where age < 40;\n"
        "delete from sale where cents % 3 = 0;\n"
        "select count(distinct item), sum(length(item)), sum(cents) from sale;\n"
        "select age, count(*), max(name) from person where name like '%7%'\n"
        "    group by age;\n"
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 60000)\n"
        "    select sum(length(t))\n"
        "    from (select distinct printf('%d-%s', i % 30011, hex(i)) as t from n);\n"
        "drop index person_name;\n"
        "select a.name, b.name from person a join person b on a.town = b.age and a.id < b.id\n"
        "    where a.age = 88 order by a.name, b.name;\n"
        "delete from person;\n"
        "pragma integrity_check;\n"
        "END\n",
        .run = SETUP "$PRELOADED sqlite3 -batch -bail :memory: <work.sql >result\n"
                     "sha256sum <result\n",
    },
    {
        .name = "python3",
        .about = "an interpreter with all objects from malloc: dicts, JSON, regexes, classes",
        .needs = "python3",
        .package = "python3",
        .preloaded = "python3",
        .prepare = SETUP
        "cat >work.py <<'END'\n"
        "import collections, hashlib, heapq, json, random, re\n"
        "\n"
        "random.seed(1)\n"
        "digest = hashlib.sha256()\n"
        "\n"
        "\n"
        "def note(*values):\n"
        "    digest.update(repr(values).encode())\n"
        "\n"
        "\n"
        "class Node:\n"
        "    def __init__(self, key):\n"
        "        self.key, self.left, self.right = key, None, None\n"
        "\n"
        "\n"
        "def insert(root, key):\n"
        "    while root.key != key:\n"
        "        side = 'left' if key < root.key else 'right'\n"
        "        if getattr(root, side) is None:\n"
        "            setattr(root, side, Node(key))\n"
        "        root = getattr(root, side)\n"
        "\n"
        "\n"
        "words = ['w%x' % random.getrandbits(14) for _ in range(40000)]\n"
        "counts = collections.Counter(words)\n"
        "note(counts.most_common(50))\n"
        "\n"
        "by_prefix = collections.defaultdict(list)\n"
        "for word in words:\n"
        "    by_prefix[word[:3]].append(word * 2)\n"
        "note(sorted((key, len(value), max(value)) for key, value in by_prefix.items()))\n"
        "\n"
        "records = [{'id': i, 'name': word, 'tags': [word, i / 7], 'next': {'to': i + 1}}\n"
        "           for i, word in enumerate(words[:8000])]\n"
        "text = json.dumps(records, indent=1)\n"
        "again = json.loads(text)\n"
        "note(len(text), again == records)\n"
        "\n"
        "text = re.sub(r'\"w([0-9a-f]+)\"', lambda match: match.group(1)[::-1], text)\n"
        "note(text, len(re.findall(r'[0-9a-f]{4}', text)))\n"
        "note(len(set(text.split())))\n"
        "del records, again\n"
        "\n"
        "root = Node(random.random())\n"
        "for _ in range(8000):\n"
        "    insert(root, random.random())\n"
        "stack, total = [root], 0\n"
        "while stack:\n"
        "    node = stack.pop()\n"
        "    total += 1\n"
        "    stack += [child for child in (node.left, node.right) if child]\n"
        "note(total)\n"
        "\n"
        "heap = []\n"
        "for i in range(40000):\n"
        "    heapq.heappush(heap, (random.random(), str(i)))\n"
        "    if len(heap) > 5000:\n"
        "        note(heapq.heappop(heap)[1])\n"
        "\n"
        "big = 1\n"
        "for i in range(1, 1000):\n"
        "    big *= i\n"
        "note(len(str(big)))\n"
        "print(digest.hexdigest())\n"
        "END\n",
        .run = SETUP "export PYTHONMALLOC=malloc PYTHONHASHSEED=0\n"
                     "$PRELOADED python3 -s work.py\n",
    },
    {
        .name = "lua",
        .about = "an interpreter with a realloc for all: tables, strings, closures",
        .needs = "lua5.4 sha256sum",
        .package = "lua5.4",
        .preloaded = "lua5.4",
        .prepare = SETUP
        "cat >work.lua <<'END'\n"
        "local seed = 1\n"
        "local function random(n)\n"
        "    seed = seed * 16807 % 2147483647\n"
        "    return seed % n + 1\n"
        "end\n"
        "\n"
        "local function tree(depth)\n"
        "    if depth == 0 then return {value = random(1000)} end\n"
        "    return {left = tree(depth - 1), right = tree(depth - 1), name = 'n' .. depth}\n"
        "end\n"
        "\n"
        "local function sum(node)\n"
        "    if node.value then return node.value end\n"
        "    return sum(node.left) + sum(node.right) + #node.name\n"
        "end\n"
        "\n"
        "for i = 1, 6 do print('tree', sum(tree(13))) end\n"
        "\n"
        "local words, counts = {}, {}\n"
        "for i = 1, 50000 do\n"
        "    words[i] = string.format('%x-%d', random(20000), random(7))\n"
        "end\n"
        "for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + 1 end\n"
        "local keys = {}\n"
        "for key in pairs(counts) do keys[#keys + 1] = key end\n"
        "table.sort(keys)\n"
        "for i = 1, #keys, 1000 do print(keys[i], counts[keys[i]]) end\n"
        "\n"
        "local text = table.concat(keys, ' ')\n"
        "text = text:gsub('%x+', function(hex) return '<' .. hex:reverse() .. '>' end)\n"
        "print(#text, select(2, text:gsub('<%x%x>', '')))\n"
        "\n"
        "local window = {}\n"
        "for i = 1, 100000 do\n"
        "    local n = random(20000)\n"
        "    local old = window[n]\n"
        "    window[n] = {i, tostring(i), function() return i + n end}\n"
        "    if old and i % 1000 == 0 then print(old[1], old[2], old[3]()) end\n"
        "end\n"
        "END\n",
        .run = SETUP "$PRELOADED lua5.4 work.lua >result\n"
                     "sha256sum <result\n",
    },
    {
        .name = "perl",
        .about = "an interpreter: hashes, regexes, sorts, strings that grow",
        .needs = "perl sha256sum",
        .package = "perl",
        .preloaded = "perl",
        .prepare = SETUP
        "cat >work.pl <<'END'\n"
        "use strict;\n"
        "use warnings;\n"
        "\n"
        "my $seed = 1;\n"
        "sub random { $seed = $seed * 16807 % 2147483647; return $seed % $_[0]; }\n"
        "\n"
        "my (%count, %list);\n"
        "for my $i (1 .. 40000) {\n"
        "    my $word = sprintf '%x:%d', random(30000), random(5);\n"
        "    $count{$word}++;\n"
        "    push @{$list{substr $word, 0, 2}}, \"$word/$i\";\n"
        "}\n"
        "for my $key (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count) {\n"
        "    print \"$key $count{$key} \";\n"
        "}\n"
        "for my $key (sort keys %list) {\n"
        "    my @sorted = sort @{$list{$key}};\n"
        "    print \"$key $sorted[0] $sorted[-1] \", scalar(@sorted), ' ';\n"
        "}\n"
        "\n"
        "my $text = join ' ', map { \"field$_=\" . random(1000000) } 1 .. 30000;\n"
        "my %value = $text =~ /(field[0-9]+)=([0-9]+)/g;\n"
        "print join ',', map { $value{\"field$_\"} } grep { $_ % 100 == 0 } 1 .. 30000;\n"
        "(my $swapped = $text) =~ s/([a-z]+)([0-9]+)=([0-9]+)/$3:$1:$2/g;\n"
        "print $swapped;\n"
        "\n"
        "my @rows = map { {id => $_, key => random(5000), path => [split /7/, random(2**31)]} }\n"
        "    1 .. 20000;\n"
        "for my $row (sort { $a->{key} <=> $b->{key} || $a->{id} <=> $b->{id} } @rows) {\n"
        "    print join('.', @{$row->{path}}), ' ';\n"
        "}\n"
        "delete $count{$_} for grep { $count{$_} < 2 } keys %count;\n"
        "print scalar keys %count;\n"
        "END\n",
        .run = SETUP "export PERL_HASH_SEED=0\n"
                     "$PRELOADED perl work.pl >result\n"
                     "sha256sum <result\n",
    },
    {
        .name = "ruby",
        .about = "an interpreter with a collecting heap of its own: objects, strings, GC",
        .needs = "ruby sha256sum",
        .package = "ruby",
        .preloaded = "ruby",
        .prepare = SETUP
        "cat >work.rb <<'END'\n"
        "require 'json'\n"
        "require 'set'\n"
        "\n"
        "$seed = 1\n"
        "def random(n)\n"
        "  $seed = $seed * 16807 % 2147483647\n"
        "  $seed % n\n"
        "end\n"
        "\n"
        "Point = Struct.new(:x, :y, :name)\n"
        "\n"
        "points = Array.new(60_000) do |i|\n"
        "  Point.new(random(1000), random(1000), \"point number #{i} of 60000\")\n"
        "end\n"
        "groups = points.group_by { |point| point.x / 10 }\n"
        "groups.sort.each { |key, list| puts \"#{key} #{list.size} #{list.map(&:name).max}\" }\n"
        "\n"
        "text = JSON.generate(points.first(20_000).map { |p| {x: p.x, tags: [p.y] * 5} })\n"
        "puts text.length\n"
        "back = JSON.parse(text)\n"
        "puts back.sum { |entry| entry['tags'].sum }\n"
        "puts text.gsub(/[0-9]+/) { |digits| digits.reverse }.sum\n"
        "\n"
        "words = Set.new\n"
        "100_000.times { words << \"the word #{random(50_000).to_s(36)} with padding\" }\n"
        "puts words.size, words.to_a.sort.first(10)\n"
        "\n"
        "window = Array.new(5_000)\n"
        "150_000.times { |i| window[random(5_000)] = [i, \"this does not fit a slot: #{i}\"] }\n"
        "puts window.compact.sort.map(&:last).join(' ')\n"
        "window = groups = points = nil\n"
        "GC.start\n"
        "GC.compact if GC.respond_to?(:compact)\n"
        "END\n",
        .run = SETUP "$PRELOADED ruby --disable=gems,rubyopt work.rb >result\n"
                     "sha256sum <result\n",
    },
    {
        .name = "redis",
        .about = "a server of strings, lists, sets and hashes; filled, half deleted, one "
                 "background thread frees",
        .needs = "redis-server redis-cli awk sed",
        .package = "redis-server",
        .preloaded = "redis-server",
        .has_own_malloc = true, /* Debian's is linked to jemalloc */
        .is_server = true,
        .prepare = SETUP
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    filler = \"0123456789abcdefghijklmnopqrstuvwxyz\"\n"
        "    while (length(filler) < 4000) filler = filler filler\n"
        "    for (i = 0; i < 60000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        key = seed % 20011\n"
        "        value = substr(filler, seed % 31 + 1, seed % (seed % 16 ? 300 : 3000) + 1)\n"
        "        kind = i % 8\n"
        "        if (kind < 3) print \"SET s\" key, value\n"
        "        else if (kind == 3) print \"APPEND s\" key, value\n"
        "        else if (kind == 4) print \"HSET h\" key % 1009, \"f\" seed % 499, value\n"
        "        else if (kind == 5) print \"RPUSH l\" key % 1009, value\n"
        "        else if (kind == 6) print \"ZADD z\" key % 211, seed % 100003, \"m\" seed % 997\n"
        "        else print \"SADD t\" key % 211, \"member:\" seed\n"
        "    }\n"
        "    for (i = 0; i < 20011; i += 2) print \"DEL s\" i\n"
        "    for (i = 0; i < 1009; i += 2) print \"UNLINK h\" i, \"l\" i\n"
        "    for (i = 0; i < 211; i += 2) print \"UNLINK z\" i, \"t\" i\n"
        "    for (i = 0; i < 10000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        print \"SET n\" i, substr(filler, 1, seed % 700 + 1)\n"
        "    }\n"
        "}' >commands\n" NOTE_PEAKS,
        .run = SETUP SERVER
        "rm -f redis.sock\n"
        "$PRELOADED redis-server --port 0 --unixsocket redis.sock --save '' --appendonly no \\\n"
        "    --daemonize no --enable-debug-command yes --lazyfree-lazy-user-del no \\\n"
        "    --jemalloc-bg-thread no --hz 10 >server.log 2>&1 &\n"
        "server=$!\n"
        "wait_for redis-cli -s redis.sock ping\n"
        "redis-cli -s redis.sock --pipe <commands >client.log\n"
        "grep errors: client.log\n"
        "redis-cli -s redis.sock dbsize\n"
        "redis-cli -s redis.sock debug digest\n"
        "report_peak\n"
        "redis-cli -s redis.sock shutdown nosave\n"
        "wait $server\n"
        "server=\n",
    },
    {
        .name = "gcc",
        .about = "a C compiler: a generated file of 24 functions",
        .needs = "gcc awk sha256sum",
        .package = "gcc",
        .preloaded = "gcc cc1 as",
        .prepare = SETUP
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    print \"struct item { long key; struct item *next; char text[24]; };\"\n"
        "    for (i = 0; i < 24; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        print \"long f\" i \"(struct item *item, long a, long b)\"\n"
        "        print \"{\"\n"
        "        print \"    long c[8] = {a, b, \" seed \", a + b, a ^ b};\"\n"
        "        for (j = 0; j < 6; j++) {\n"
        "            seed = seed * 16807 % 2147483647\n"
        "            print \"    for (long i = a; i < b + \" seed % 97 \"; i += \" j + 1 \") {\"\n"
        "            print \"        if (item && item->key > c[i & 7] + \" seed % 1009 \")\"\n"
        "            print \"            item = item->next;\"\n"
        "            print \"        else\"\n"
        "            print \"            c[(i + \" j \") & 7] += item ? item->text[i % 24] : i;\"\n"
        "            print \"    }\"\n"
        "        }\n"
        "        print \"    switch (c[\" i % 8 \"] & 15) {\"\n"
        "        for (j = 0; j < 16; j++)\n"
        "            print \"    case \" j \": a = c[\" j % 8 \"] * \" seed % 99 \"; break;\"\n"
        "        print \"    }\"\n"
        "        if (i) print \"    if (a > b) return f\" i - 1 \"(item, b, a);\"\n"
        "        print \"    return a - b;\"\n"
        "        print \"}\"\n"
        "    }\n"
        "}' >work.c\n",
        .run = SETUP "TMPDIR=$PWD $PRELOADED gcc -O1 -c work.c -o work.o\n"
                     "sha256sum work.o\n",
    },
    {
        .name = "g++",
        .about = "a C++ compiler: headers of the library and many templates",
        .needs = "g++ awk sha256sum",
        .package = "g++",
        .preloaded = "g++ cc1plus as",
        .prepare = SETUP
        "cat >work.cc <<'END'\n"
        "#include <algorithm>\n"
        "#include <functional>\n"
        "#include <map>\n"
        "#include <memory>\n"
        "#include <string>\n"
        "#include <tuple>\n"
        "#include <unordered_map>\n"
        "#include <variant>\n"
        "#include <vector>\n"
        "\n"
        "template <int N> struct tag {\n"
        "    int value = N;\n"
        "    bool operator<(const tag &other) const { return value < other.value; }\n"
        "};\n"
        "\n"
        "template <int N> struct fibonacci {\n"
        "    static constexpr long value = fibonacci<N - 1>::value + fibonacci<N - 2>::value;\n"
        "};\n"
        "template <> struct fibonacci<0> { static constexpr long value = 0; };\n"
        "template <> struct fibonacci<1> { static constexpr long value = 1; };\n"
        "\n"
        "template <int N> struct chain : chain<N - 1> {\n"
        "    std::tuple<tag<N>, chain<N - 1> *> link;\n"
        "    long walk() const override\n"
        "    {\n"
        "        return std::get<0>(link).value + chain<N - 1>::walk();\n"
        "    }\n"
        "};\n"
        "template <> struct chain<0> {\n"
        "    virtual ~chain() = default;\n"
        "    virtual long walk() const { return 0; }\n"
        "};\n"
        "\n"
        "template <int N> long use(const std::string &name)\n"
        "{\n"
        "    std::map<std::string, std::vector<tag<N>>> map;\n"
        "    map[name].push_back({});\n"
        "    std::variant<int, std::string, tag<N>> any = name;\n"
        "    std::function<long(long)> add = [&](long n) { return n + any.index(); };\n"
        "    std::sort(map[name].begin(), map[name].end());\n"
        "    return add(fibonacci<N * 5>::value) + chain<N * 4>().walk();\n"
        "}\n"
        "\n"
        "END\n"
        "awk 'BEGIN {\n"
        "    print \"long all(const std::string &name)\"\n"
        "    print \"{\"\n"
        "    print \"    long sum = 0;\"\n"
        "    for (i = 1; i <= 2; i++) print \"    sum += use<\" i \">(name);\"\n"
        "    print \"    return sum;\"\n"
        "    print \"}\"\n"
        "}' >>work.cc\n",
        .run = SETUP "TMPDIR=$PWD $PRELOADED g++ -std=c++17 -c work.cc -o work.o\n"
                     "sha256sum work.o\n",
    },
    {
        .name = "git",
        .about = "gc with two threads, check and log of a repository of 600 commits",
        .needs = "git awk sha256sum",
        .package = "git",
        .preloaded = "git",
        .prepare = SETUP
        "git init -q --bare --initial-branch=main start.git\n"
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    for (i = 1; i <= 600; i++) {\n"
        "        print \"commit refs/heads/main\"\n"
        "        print \"committer A U Thor <author@example.org> \" 1000000000 + i \" +0000\"\n"
        "        message = \"Change number \" i\n"
        "        print \"data \" length(message)\n"
        "        print message\n"
        "        for (j = 0; j < 4; j++) {\n"
        "            seed = seed * 16807 % 2147483647\n"
        "            file = seed % 60\n"
        "            line[file, i % 100] = \"line \" i \" has now \" seed\n"
        "            text = \"\"\n"
        "            for (k = 0; k < 100; k++) text = text line[file, k] \"|\" k % 13 \"\\n\"\n"
        "            print \"M 100644 inline directory\" file % 7 \"/file\" file\n"
        "            print \"data \" length(text)\n"
        "            printf \"%s\", text\n"
        "        }\n"
        "    }\n"
        "}' | git --git-dir=start.git fast-import --quiet\n",
        .run = SETUP
        "export GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat\n"
        "rm -rf work.git\n"
        "cp -R start.git work.git\n"
        "$PRELOADED git --git-dir=work.git -c pack.threads=2 -c gc.aggressiveWindow=20 \\\n"
        "    gc --quiet --aggressive --prune=now\n"
        "$PRELOADED git --git-dir=work.git fsck --full --strict --no-progress\n"
        "$PRELOADED git --git-dir=work.git log --stat --format=fuller main >log\n"
        "sha256sum <log\n"
        "git --git-dir=work.git count-objects -v | grep -v size\n",
    },
    {
        .name = "jq",
        .about = "JSON parsed, grouped, sorted, rebuilt and written",
        .needs = "jq awk sha256sum",
        .package = "jq",
        .preloaded = "jq",
        .prepare = SETUP
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    for (i = 0; i < 5000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        printf \"%d user%d t%d \", i, seed, seed % 211\n"
        "        printf \"a%d b%d %d.5 -%d\", seed % 17, seed % 1009, seed % 1000, seed % 777\n"
        "        print \"\"\n"
        "    }\n"
        "}' | jq --raw-input --compact-output 'split(\" \") | {\n"
        "    id: (.[0] | tonumber), name: .[1], town: .[2], tags: [.[3], .[4], null, true],\n"
        "    at: {x: (.[5] | tonumber), y: (.[6] | tonumber)}}' >work.json\n",
        .run = SETUP
        "$PRELOADED jq --slurp --compact-output --sort-keys '\n"
        "    (group_by(.town) | map({town: .[0].town, n: length, x: (map(.at.x) | add)})),\n"
        "    (map(.tags[0:2] | join(\"/\")) | unique | length),\n"
        "    (map(select(.name | test(\"7[0-9]*3\"))) | map(.name | ascii_upcase)),\n"
        "    (sort_by(.at.y, .id) | map({(.name): [.id, .at]}) | add),\n"
        "    (reduce .[] as $user ({}; .[$user.tags[1]] += 1))' work.json >result\n"
        "sha256sum <result\n",
    },
    {
        .name = "xz",
        .about = "compression and decompression with two threads, blocks of megabytes",
        .needs = "xz awk sha256sum",
        .package = "xz-utils",
        .preloaded = "xz",
        .prepare = SETUP
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    for (i = 0; i < 100000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        print \"line\", i, \"word\" seed % 101, seed % 100000, \"word\" seed % 1009\n"
        "    }\n"
        "}' >work.txt\n",
        .run = SETUP "$PRELOADED xz -T2 -3 --block-size=512KiB --stdout work.txt >work.xz\n"
                     "$PRELOADED xz -T2 --decompress --stdout work.xz >work.back\n"
                     "sha256sum work.xz work.back\n",
    },
    {
        .name = "zstd",
        .about = "compression with two threads and decompression, buffers of megabytes",
        .needs = "zstd awk sha256sum",
        .package = "zstd",
        .preloaded = "zstd",
        .prepare = SETUP
        "awk 'BEGIN {\n"
        "    seed = 1\n"
        "    for (i = 0; i < 400000; i++) {\n"
        "        seed = seed * 16807 % 2147483647\n"
        "        print \"line\", i, \"word\" seed % 101, seed % 100000, \"word\" seed % 1009\n"
        "    }\n"
        "}' >work.txt\n",
        .run = SETUP "$PRELOADED zstd -q -f -T2 -6 -B512K work.txt -o work.zst\n"
                     "$PRELOADED zstd -q -f -d work.zst -o work.back\n"
                     "sha256sum work.zst work.back\n",
    },
    {
        .name = "nginx",
        .about = "a web server with two worker processes: pages of 20 parts each, compressed",
        .needs = "nginx curl awk sed sha256sum sort",
        .package = "nginx-light curl",
        .preloaded = "nginx",
        .is_server = true,
        .prepare = SETUP
        "mkdir pages\n"
        "for i in 0 1 2 3 4 5 6 7 8 9; do\n"
        "    for j in 0 1 2 3 4 5 6 7 8 9; do\n"
        "        echo \"<p>part $i$j of the page: text that is always there</p>\" >pages/part$i$j\n"
        "    done\n"
        "done\n"
        "for i in 0 1 2 3 4; do\n"
        "    for j in 0 1 2 3 4 5 6 7 8 9; do\n"
        "        echo \"<!--#include virtual=/part$i$j --><!--#set var=v value=$j -->\"\n"
        "        echo \"<!--#include virtual=/part$((i + 5))$j --><!--#echo var=v -->\"\n"
        "    done >pages/page$i.html\n"
        "done\n"
        "cat >nginx.conf <<END\n"
        "daemon off;\n"
        "worker_processes 2;\n"
        "pid nginx.pid;\n"
        "error_log stderr;\n"
        "events { worker_connections 256; }\n"
        "http {\n"
        "    access_log off;\n"
        "    client_body_temp_path tmp-body;\n"
        "    proxy_temp_path tmp-proxy;\n"
        "    fastcgi_temp_path tmp-fastcgi;\n"
        "    uwsgi_temp_path tmp-uwsgi;\n"
        "    scgi_temp_path tmp-scgi;\n"
        "    default_type text/html;\n"
        "    server {\n"
        "        listen unix:nginx.sock;\n"
        "        root pages;\n"
        "        ssi on;\n"
        "        gzip on;\n"
        "        gzip_comp_level 1;\n"
        "    }\n"
        "}\n"
        "END\n"
        "if test \"$(id -u)\" = 0; then echo 'user root;' >>nginx.conf; fi\n" NOTE_PEAKS,
        .run = SETUP SERVER
        "rm -f nginx.sock\n"
        "$PRELOADED nginx -e stderr -p \"$PWD\" -c nginx.conf >server.log 2>&1 &\n"
        "server=$!\n"
        "wait_for curl -s -o page --unix-socket nginx.sock http://localhost/page0.html\n"
        "sha256sum page\n"
        "curl --no-progress-meter -Z --parallel-max 16 --unix-socket nginx.sock -H "
        "'Accept-Encoding: gzip' \\\n"
        "    -o /dev/null -w '%{url_effective} %{http_code} %{size_download}\\n' \\\n"
        "    'http://localhost/page[0-4].html?[1-600]' >answers\n"
        "sed 's/?[0-9]*//' answers | sort | uniq -c\n"
        "report_peak\n"
        "kill -s TERM $server\n"
        "wait $server\n"
        "server=\n"
        "! grep -E 'exited on signal|\\[(alert|emerg)\\]' server.log >&2\n",
    },
    {
        .name = "postgres",
        .about = "a database server of many processes: 4 clients' transactions, then big sorts and "
                 "hashes",
        .needs = "pgbench psql setpriv awk sed",
        .package = "postgresql",
        .preloaded = "postgres",
        .is_server = true,
        .prepare = SETUP SERVER POSTGRES
        "as_user=\"$as_user env\"\n"
        "$as_user \"$bin/initdb\" -D data --auth=trust --locale=C --no-sync >initdb.log\n"
        "cat >>data/postgresql.conf <<'END'\n"
        "listen_addresses = ''\n"
        "unix_socket_directories = '.'\n"
        "dynamic_shared_memory_type = mmap\n"
        "fsync = off\n"
        "autovacuum = off\n"
        "max_parallel_workers_per_gather = 0\n"
        "work_mem = '64MB'\n"
        "jit = off\n"
        "END\n"
        "cat >work.sql <<'END'\n"
        "select count(*), sum(delta) from pgbench_history;\n"
        "select sum(abalance), (select sum(tbalance) from pgbench_tellers),\n"
        "    (select sum(bbalance) from pgbench_branches) from pgbench_accounts;\n"
        "select count(*), sum(n)\n"
        "    from (select md5((aid % 20011)::text) as key, count(*) as n\n"
        "        from pgbench_accounts group by key) as hashed;\n"
        "select md5(string_agg(key, ',')) from (select md5(aid::text) as key\n"
        "    from pgbench_accounts order by key) as sorted;\n"
        "select count(*) from pgbench_accounts a join pgbench_accounts b\n"
        "    on a.aid = (b.aid::bigint * 7919 % 100003);\n"
        "\\! sh note_peaks.sh >>peaks\n"
        "END\n"
        "# After its last transaction, still connected, a client notes the peaks.\n"
        "\"$bin/pgbench\" --show-script=tpcb-like 2>&1 | grep -v '^--' >work.bench\n"
        "cat >>work.bench <<'END'\n"
        "\\set n :n + 1\n"
        "\\if :n = 150\n"
        "\\shell sh note_peaks.sh >>peaks\n"
        "\\endif\n"
        "END\n" NOTE_PEAKS "start_server env\n"
        "\"$bin/createdb\" first\n"
        "\"$bin/pgbench\" -i -q -s 1 first 2>init.log\n"
        "stop_server\n",
        .run = SETUP SERVER POSTGRES
        "start_server $PRELOADED\n"
        "\"$bin/psql\" -q -d postgres -c 'set client_min_messages to error' \\\n"
        "    -c 'drop database if exists work' \\\n"
        "    -c 'create database work template first'\n"
        "\"$bin/pgbench\" -n -c 4 -j 1 -t 150 -D n=0 --random-seed=1 -f work.bench work \\\n"
        "    >pgbench.log 2>&1\n"
        "grep 'actually processed' pgbench.log\n"
        "\"$bin/psql\" -q -A -t -d work -f work.sql\n"
        "report_peak\n"
        "stop_server\n",
    },
    {
        .name = "sort",
        .about = "GNU sort with two threads, of lines and of numbers",
        .needs = "sort awk sha256sum",
        .package = "coreutils",
        .preloaded = "sort",
        .prepare = SETUP "awk 'BEGIN {\n"
                         "    seed = 1\n"
                         "    for (i = 0; i < 400000; i++) {\n"
                         "        seed = seed * 16807 % 2147483647\n"
                         "        print seed, \"name\" seed % 7919, \"line \" i\n"
                         "    }\n"
                         "}' >work.txt\n",
        .run = SETUP "$PRELOADED sort --parallel=2 -S 64M -T . work.txt -o sorted\n"
                     "sha256sum <sorted\n"
                     "$PRELOADED sort --parallel=2 -S 64M -T . -k 2,2 -k 1n -u work.txt -o sorted\n"
                     "sha256sum <sorted\n",
    },
    {
        .name = "true",
        .about = "500 processes that only start and end",
        .needs = "true",
        .package = "coreutils",
        .preloaded = "true",
        .prepare = SETUP,
        .run = SETUP "setting=${PRELOADED#env }\n"
                     "test -z \"$setting\" || export $setting\n"
                     "i=0\n"
                     "while test $i -lt 500; do\n"
                     "    /bin/true\n"
                     "    i=$((i + 1))\n"
                     "done\n"
                     "echo $i\n",
    },
    {
        .name = "shell",
        .about = "a shell script that starts 1,000 short processes",
        .needs = "sh true expr cat awk",
        .package = "dash coreutils mawk",
        .preloaded = "sh true expr cat awk",
        .prepare = SETUP "cat >work.sh <<'END'\n"
                         "set -eu\n"
                         "i=0\n"
                         "while test $i -lt 250; do\n"
                         "    /bin/true\n"
                         "    i=$(expr $i + 1)\n"
                         "    echo \"$i\" | cat\n"
                         "    awk \"BEGIN { print $i * $i }\"\n"
                         "done\n"
                         "END\n",
        .run = SETUP "$PRELOADED sh work.sh >result\n"
                     "sha256sum <result\n",
    },
    {0},
};
