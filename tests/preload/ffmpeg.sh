#!/bin/sh
# SPDX-License-Identifier: MIT
# ffmpeg, with hundreds of libraries and threads, makes, filters, encodes and decodes.
. "$(dirname "$0")/lib.sh"
need ffmpeg
in_use ffmpeg -version

set -- ffmpeg -nostdin -loglevel error
same "$@" -f lavfi -i testsrc2=size=320x240:rate=25:duration=3 -f lavfi -i sine=440:duration=3 \
    -vf 'scale=200:160,hue=s=2,split[a][b];[b]hflip[c];[a][c]overlay=20' \
    -c:v mpeg4 -threads 2 -c:a pcm_s16le -fflags +bitexact -flags +bitexact -f avi -
cp "$scratch/preloaded.out" "$scratch/video.avi"
same "$@" -i "$scratch/video.avi" -fflags +bitexact -f framemd5 -
same "$@" -i "$scratch/video.avi" -c:v ffv1 -threads 4 -slices 4 -c:a flac \
    -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -f matroska -
same "$@" -i "$scratch/video.avi" -c:v mjpeg -an -f mjpeg -
same "$@" -formats
