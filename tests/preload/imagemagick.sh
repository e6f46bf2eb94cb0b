#!/bin/sh
# SPDX-License-Identifier: MIT
# ImageMagick's convert: OpenMP threads, pixel caches aligned to cache lines, coders loaded late.
. "$(dirname "$0")/lib.sh"
need convert
in_use convert -version

cd "$scratch"
same convert -size 600x400 gradient:red-blue -swirl 120 -blur 0x3 -rotate 20 -resize 500x400! ppm:-
cp preloaded.out image.ppm
same convert image.ppm -quality 80 jpg:-
same convert image.ppm +set date:create +set date:modify +set date:timestamp \
    -define png:exclude-chunks=date,time png:-
same convert image.ppm -colors 64 -alpha on -channel A -evaluate multiply 0.5 +channel gif:-
same convert image.ppm -edge 2 -paint 3 -morphology dilate disk:3 ppm:-
same convert image.ppm -format '%w %h %[mean] %k %#' info:-
