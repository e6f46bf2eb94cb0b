#!/bin/sh
# SPDX-License-Identifier: MIT
# Perl: hashes, strings that grow, patterns, fork.
. "$(dirname "$0")/lib.sh"
need perl
in_use perl -e 1

cat >"$scratch/work.pl" <<'END'
use strict;
use warnings;
my (%words, @lists);
my $text = '';
for my $i (1 .. 60000) {
    my $word = 'w' . ($i * 7919 % 10007);
    $words{$word} .= chr(65 + $i % 26);
    push @{$lists[$i % 500]}, $word x ($i % 5);
    $text .= "$word " if $i % 3;
    $text = substr($text, 1000) if length($text) > 50000;
}
my $count = () = $text =~ /w(\d)\d*\1\b/g;
print join(',', map { "$_=$words{$_}" } (sort keys %words)[0 .. 50]), "\n";
print "$count ", scalar(@lists), ' ', length(join '', map { @$_ } @lists), "\n";
for my $n (1 .. 5) {
    my $child = fork() // die;
    if (!$child) {
        delete $words{$_} for grep { /$n/ } keys %words;
        exit(scalar(keys %words) % 200);
    }
    waitpid $child, 0;
    print "child $n: ", $? >> 8, ' ', $? & 127, "\n";
}
END
export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
same perl "$scratch/work.pl"
