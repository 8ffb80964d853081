#!/bin/sh
# SPDX-License-Identifier: MIT
# Files that include kernels/compiled/kernels.hpp hold no kernels of their own: its list names every kernel that blocks
# call.  check_instances.sh <nm> <object file>...
set -eu
nm=$1
shift
"$nm" -C "$@" | awk '
  / [TtWw] / && /::kernels::(portable|avx2|avx512|neon)::/ { print "compiled here again:" $0; faults++ }
  / U .*::kernels::/ { used++ }
  END {
    printf "%d uses of compiled kernels, %d kernels compiled again\n", used, faults
    exit faults > 0 || used == 0
  }'
