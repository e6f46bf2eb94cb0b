#!/bin/sh
# SPDX-License-Identifier: MIT
# Ghostscript, with an allocator of its own above malloc, draws pages.
. "$(dirname "$0")/lib.sh"
need gs
in_use gs -q -dBATCH -dNODISPLAY

cat >"$scratch/work.ps" <<'END'
%!PS
/Times-Roman findfont 20 scalefont setfont
1 1 5 {
    /page exch def
    0 1 60 { dup 10 mul 20 exch 12 mul moveto (line ) show 10 string cvs show } for
    0 5 355 { gsave 300 400 translate rotate page 40 mul 0 moveto 100 page 20 mul lineto
        page 5 div 0.5 0.2 setrgbcolor stroke grestore } for
    /words 500 dict def
    0 1 2000 { dup 20 string cvs cvn exch words 3 1 roll put } for
    100 { 5000 string pop 500 array pop } repeat
    vmreclaim
    showpage
} for
END
sed -i 's/^    vmreclaim$/    2 vmreclaim/' "$scratch/work.ps"
set -- gs -q -dBATCH -dNOPAUSE -dSAFER -r72
same "$@" -sDEVICE=ppmraw -sOutputFile=- "$scratch/work.ps"
same "$@" -sDEVICE=pnggray -dNumRenderingThreads=4 -dBandHeight=50 -dMaxBitmap=10000 \
    -sOutputFile=- "$scratch/work.ps"
same "$@" -sDEVICE=bbox "$scratch/work.ps"
same "$@" -sDEVICE=txtwrite -sOutputFile=- "$scratch/work.ps"
