#!/bin/sh
# SPDX-License-Identifier: MIT
# MariaDB's server, bootstrapped and then asked over a socket: a thread a connection, InnoDB's
# buffers. PHP's client asks as well, where it is installed.
. "$(dirname "$0")/lib.sh"
need mariadbd mariadb mariadb-install-db
in_use mariadb --version
in_use mariadbd --version

same_output mariadbd --no-defaults --verbose --help --user=root

cat >"$scratch/work.sql" <<'END'
create database d; use d;
create table t(i int primary key, n int, b longtext) engine=innodb;
insert into t select seq, seq * 7919 % 10007, repeat(md5(seq), seq % 20) from seq_1_to_30000;
create index tn on t(n);
select n % 10 m, count(*), sum(length(b)), md5(group_concat(b order by i)) from t group by m order by m;
select count(*) from t a join t c on a.n = c.i;
select json_length(json_arrayagg(json_object('i', i))) from t;
update t set b = concat(b, 'x') where n % 3 = 0;
alter table t engine=aria;
select md5(group_concat(b order by i)) from t where b regexp '(a)b.*\\1';
create procedure p() begin declare k int default 0;
while k < 2000 do set k = k + 1; end while; select k; end;
END
sed -i 's/^create procedure/delimiter \/\/\n&/; s/select k; end;$/&\/\/\ndelimiter ;\ncall p();/' \
    "$scratch/work.sql"
cat >"$scratch/work.php" <<'END'
<?php
$connection = mysqli_connect('localhost', 'root', '', 'd', 0, $argv[1]);
for ($i = 0; $i < 20; $i++) {
    $statement = $connection->prepare('select i, b from t where n > ? order by i');
    $bound = $i * 400;
    $statement->bind_param('i', $bound);
    $statement->execute();
    echo md5(serialize($statement->get_result()->fetch_all())), "\n";
}
$base = new PDO("mysql:unix_socket=$argv[1];dbname=d", 'root', '');
foreach ($base->query('select n, b from t order by i limit 2000') as $row) {
    $sum = md5(($sum ?? '') . $row['b']);
}
echo $sum, "\n";
END

work()
{
    run mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$PWD/data" \
        --auth-root-authentication-method=normal --skip-test-db >install.out
    start mariadbd --no-defaults --user="$(id -un)" --datadir="$PWD/data" --skip-networking \
        --socket="$PWD/socket" --pid-file="$PWD/pid" --innodb-buffer-pool-size=32M
    wait_until mariadb --no-defaults -u root -S "$PWD/socket" -e 'select 1'
    run mariadb --no-defaults -u root -S "$PWD/socket" -N <"$scratch/work.sql"
    if php -r 'exit(extension_loaded("mysqli") && extension_loaded("pdo_mysql") ? 0 : 1);' \
        2>/dev/null; then
        run php "$scratch/work.php" "$PWD/socket"
    fi
    kill "$server"
    wait "$server" || give_up "$side: the server ended with status $?"
    server=
}
same_work
