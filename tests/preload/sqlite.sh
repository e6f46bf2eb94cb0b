#!/bin/sh
# SPDX-License-Identifier: MIT
# sqlite3: pages, sorts, text search, JSON; it asks malloc_usable_size for the size of its blocks.
. "$(dirname "$0")/lib.sh"
need sqlite3
in_use sqlite3 -version

cat >"$scratch/work.sql" <<'END'
create table t(i integer primary key, n integer, b text);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 100000)
    insert into t select i, i * 7919 % 10007, printf('%.*c row %d', i % 90, 'x', i) from c;
create index tn on t(n, b);
select n % 10, count(*), sum(length(b)), max(b) from t group by 1 order by 1;
create virtual table f using fts5(b);
insert into f select b from t where i % 5 = 0;
select count(*) from f where f match 'row AND 77*';
select json_array_length(json_group_array(json_object('i', i, 'b', b))) from t;
select count(*) from t x join t y on x.n = y.i where y.b like '%7%';
delete from t where i % 3 = 0;
vacuum;
pragma integrity_check;
select length(group_concat(b, ',')) from t;
select sum(row_number) from (select row_number() over (partition by n order by b) row_number from t);
END
same_from "$scratch/work.sql" sqlite3 -batch :memory:
work()
{
    run sqlite3 -batch base.db <"$scratch/work.sql"
    run sqlite3 base.db .dump | cksum
}
same_work
