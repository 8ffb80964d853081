#!/bin/sh
# SPDX-License-Identifier: MIT
# In a program built without -march, only functions whose name says avx2 or avx512 may use registers wider than 128 bits:
# anything else would run, and crash, on a machine without them.  check_wide_registers.sh <objdump> <program>
set -eu
"$1" -d --no-show-raw-insn "$2" | awk '
  /^[0-9a-f]+ <.*>:$/ { name = $2 }
  /%[yz]mm[0-9]/ {
    if (name ~ /avx2|avx512/) { expected[name] = 1 } else { stray[name] = 1 }
  }
  END {
    for (name in stray) { print "uses wide registers: " name; faults++ }
    for (name in expected) { found++ }
    printf "%d functions of avx2 and avx512 use wide registers, %d others do\n", found, faults
    exit faults > 0 || found == 0
  }'
