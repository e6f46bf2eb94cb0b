#!/bin/sh
# SPDX-License-Identifier: MIT
# make expands large variables, follows pattern rules and starts hundreds of commands.
. "$(dirname "$0")/lib.sh"
need make
in_use make --version

cat >"$scratch/makefile" <<'END'
numbers := $(shell seq 1 300)
words := $(foreach a,$(numbers),$(foreach b,1 2 3 4 5,word$(a).$(b)))
all: $(numbers:%=%.out)
	@echo $(words $(words)) $(sort $(patsubst word%.3,%,$(filter %.3,$(words))))
	@cat $^ | cksum
%.mid:
	@echo $* $(wordlist $*,$(words $(words)),$(words)) > $@
%.out: %.mid
	@sed -e 's/word//g' $< > $@
.INTERMEDIATE: $(numbers:%=%.mid)
END
work()
{
    run make -s -j 4 -f "$scratch/makefile" 2>&1
    run make -n -B -f "$scratch/makefile" | cksum
    run make -s -f "$scratch/makefile"
}
same_work
