#!/bin/sh
# SPDX-License-Identifier: MIT
# Java's virtual machine, whose compiler threads, collectors and zip code allocate outside the heap.
. "$(dirname "$0")/lib.sh"
need java
in_use java -version

export HOME="$scratch"
# The compiler is part of the modules even where the javac command is not installed.
cat >"$scratch/Work.java" <<'END'
import java.io.*;
import java.nio.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.zip.*;
public class Work {
    static long work(int seed) throws Exception {
        TreeMap<String, StringBuilder> words = new TreeMap<>();
        for (int i = 0; i < 100000; i++)
            words.computeIfAbsent("w" + (long) i * seed % 10007, k -> new StringBuilder())
                .append((char) ('A' + i % 26));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
            out.write(words.toString().getBytes());
        }
        CRC32 sum = new CRC32();
        sum.update(new GZIPInputStream(new ByteArrayInputStream(bytes.toByteArray())).readAllBytes());
        for (int i = 0; i < 500; i++)
            sum.update(ByteBuffer.allocateDirect(i * 100));
        return sum.getValue();
    }
    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> answers = new ArrayList<>();
        for (int seed = 1; seed < 12; seed++) {
            int s = seed;
            answers.add(pool.submit(() -> work(s)));
        }
        for (Future<Long> answer : answers)
            System.out.println(answer.get());
        pool.shutdown();
        System.gc();
    }
}
END
same java -XshowSettings:none -version
if java --list-modules | grep -q '^jdk.compiler'; then
    same java "$scratch/Work.java"
    same java -XX:+UseSerialGC "$scratch/Work.java"
    same java -XX:+UseG1GC -Xcomp -XX:TieredStopAtLevel=1 "$scratch/Work.java"
else
    same java --list-modules
    same java -Xshare:off -XX:+UseG1GC --list-modules
    same java -Xcomp -XX:+UseParallelGC --describe-module java.base
fi
