#!/bin/sh
# SPDX-License-Identifier: MIT
# rustc, threaded and large, compiles a program whose collections come from malloc, and it runs.
. "$(dirname "$0")/lib.sh"
need rustc cc
in_use rustc --version

cat >"$scratch/work.rs" <<'END'
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc;
use std::thread;
#[derive(Debug, Clone, Default)]
struct Node {
    name: String,
    children: Vec<Box<Node>>,
}
fn tree(depth: usize) -> Node {
    let children = (0..if depth == 0 { 0 } else { 6 }).map(|_| Box::new(tree(depth - 1))).collect();
    Node { name: format!("depth {}", depth), children }
}
fn count(node: &Node) -> usize {
    node.name.len() + node.children.iter().map(|c| count(c)).sum::<usize>()
}
#[repr(align(128))]
struct Aligned([u8; 128]);
fn main() {
    let (sender, receiver) = mpsc::channel();
    for n in 0..8u64 {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut words: HashMap<String, Vec<u64>> = HashMap::new();
            for i in 0..50000u64 {
                words.entry(format!("w{}", i * (n + 7919) % 1009)).or_default().push(i);
            }
            sender.send(words.into_iter().collect::<BTreeMap<_, _>>()).unwrap();
        });
    }
    drop(sender);
    let mut total = 0;
    let mut queue = VecDeque::new();
    for words in receiver {
        total += words.values().flatten().sum::<u64>() + words.len() as u64;
        queue.push_back(words);
        if queue.len() > 3 {
            queue.pop_front();
        }
    }
    let aligned: Vec<Box<Aligned>> = (0..1000).map(|i| Box::new(Aligned([i as u8; 128]))).collect();
    assert!(aligned.iter().all(|a| &a.0 as *const _ as usize % 128 == 0));
    println!("{} {} {}", total, count(&tree(6)), aligned[77].0[3]);
}
END
cd "$scratch"
same rustc --version --verbose
same rustc -O --edition 2021 --emit asm -C codegen-units=1 -o - work.rs
preloaded rustc -O --edition 2021 -o program work.rs || fail "rustc with the library: status $?"
same ./program
