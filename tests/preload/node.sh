#!/bin/sh
# SPDX-License-Identifier: MIT
# Node: buffers outside of V8's heap, compressors and hashes on its thread pool, worker threads.
. "$(dirname "$0")/lib.sh"
need node
in_use node -e 1

cat >"$scratch/work.js" <<'END'
const crypto = require('crypto'), zlib = require('zlib'), util = require('util');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');
const md5 = (data) => crypto.createHash('md5').update(data).digest('hex');
function work(seed) {
    const words = new Map();
    for (let i = 0; i < 100000; i++) {
        const word = 'w' + (i * seed) % 10007;
        words.set(word, (words.get(word) || '') + String.fromCharCode(65 + i % 26));
    }
    const buffers = [];
    for (let i = 0; i < 3000; i++) {
        buffers.push(Buffer.alloc(i * 10 % 20000, i % 256));
        if (i % 3 == 0)
            buffers[i / 3 | 0] = null;
    }
    return md5(JSON.stringify([...words].sort())) + md5(Buffer.concat(buffers.filter(Boolean)));
}
async function main() {
    console.log(work(7919));
    const data = Buffer.from('some text '.repeat(50000));
    const packed = await Promise.all([1, 3, 6, 9].map((level) =>
        util.promisify(zlib.gzip)(data, {level})));
    for (const one of packed)
        console.log(md5(await util.promisify(zlib.gunzip)(one)));
    console.log(md5(zlib.brotliDecompressSync(zlib.brotliCompressSync(data))));
    const keys = await Promise.all([...Array(8).keys()].map((n) =>
        util.promisify(crypto.scrypt)('secret', 'salt' + n, 32)));
    console.log(keys.map((key) => key.toString('hex')).join(' '));
    const answers = await Promise.all([3, 5, 7, 11].map((seed) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, {workerData: seed});
        worker.on('message', resolve);
        worker.on('error', reject);
    })));
    console.log(answers.join(' '));
}
if (isMainThread)
    main();
else
    parentPort.postMessage(work(workerData));
END
same node "$scratch/work.js"
