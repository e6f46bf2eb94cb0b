#!/bin/sh
# SPDX-License-Identifier: MIT
# PostgreSQL makes a cluster, sorts, joins in parallel and indexes, a process a connection.
. "$(dirname "$0")/lib.sh"
for directory in /usr/lib/postgresql/*/bin; do
    PATH=$directory:$PATH
done
need initdb postgres psql
in_use postgres --version
in_use psql --version

# The server refuses to run as root: the whole test is another user's then.
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$scratch"
fi

work()
{
    if [ "$(id -u)" -eq 0 ]; then
        chown 65534:65534 .
    fi
    # shellcheck disable=SC2086
    run $unprivileged initdb -D "$PWD/data" -U tester -A trust -N --no-locale -E UTF8 >initdb.out
    # shellcheck disable=SC2086
    start $unprivileged postgres -D "$PWD/data" -k "$PWD" -c listen_addresses= -c fsync=off \
        -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0
    wait_until psql -h "$PWD" -U tester -d postgres -c 'select 1'
    run psql -X -h "$PWD" -U tester -d postgres -v ON_ERROR_STOP=1 -At <<'END'
create table t as select i, i * 7919 % 10007 as n, repeat(md5(i::text), i % 20) as b
    from generate_series(1, 100000) i;
create index on t(n);
create index on t using gin(to_tsvector('simple', i || ' ' || n));
analyze t;
select n % 10, count(*), sum(length(b)), md5(string_agg(b, ',' order by i)) from t group by 1 order by 1;
set work_mem = '64kB';
select count(*) from (select * from t order by b, i desc offset 100) s;
select count(*) from t a join t c on a.n = c.i;
select count(*) from t where to_tsvector('simple', i || ' ' || n) @@ '77'::tsquery;
select json_agg(x)::jsonb -> 3 from (select i, n from t order by i limit 1000) x;
do $$ begin for k in 1..2000 loop
    begin perform 1 / (k % 2); exception when division_by_zero then null; end; end loop; end $$;
update t set b = b || 'x' where n % 3 = 0;
vacuum full t;
select md5(string_agg(b, '' order by i)) from t where b ~ '(a+)b.*\1';
END
    for _ in 1 2 3 4 5 6 7 8; do
        run psql -X -h "$PWD" -U tester -d postgres -At -c 'select count(distinct b) from t'
    done
    # Fast shutdown.
    kill -INT "$server"
    wait "$server" || give_up "$side: the server ended with status $?"
    server=
}
same_work
