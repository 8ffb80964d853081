#!/bin/bash
# SPDX-License-Identifier: MIT
# The comparison of float, 1-bit and ternary models in small: each has its lines and points, and bad calls are refused.
#   bitnet.sh <program>
set -u
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*" >&2; exit 1; }

"$program" 2 "$folder/picture.svg" >"$folder/table" || fail "ended with $?"
for weights in "float" "1 bit" "ternary"; do
  for rate in 2e-03 8e-03; do
    grep -qE "^$weights +$rate +[0-9]+\.[0-9]{3}$" "$folder/table" || fail "no '$weights' at $rate: $(cat "$folder/table")"
  done
  grep -qE "^$weights +[0-9]+ +[1-9][0-9]* +[0-9.]+ +[0-9.]+$" "$folder/table" || fail "no costs of '$weights': $(cat "$folder/table")"
done
bytes() { grep -E "^$1 +[0-9]+ +[0-9]+ +" "$folder/table" | sed -E "s/^$1 +([0-9]+).*/\1/"; }
[ $(($(bytes "float"))) -gt $((29 * $(bytes "1 bit"))) ] || fail "1 bit is not a 29th: $(cat "$folder/table")"
[ $(($(bytes "float"))) -gt $((14 * $(bytes "ternary"))) ] || fail "ternary is not a 14th: $(cat "$folder/table")"
[ "$(grep -c "<polyline" "$folder/picture.svg")" = 6 ] || fail "expected 3 lines for each learning rate"
grep -q "nan\|inf" "$folder/picture.svg" && fail "a number of the picture is none"
"$program" 2 "$folder/picture.svg" >"$folder/again" || fail "ended with $? at the second time"
losses() { grep -E "\.[0-9]{3}$" "$1" | grep e-03; }
[ "$(losses "$folder/table")" = "$(losses "$folder/again")" ] || fail "not the same losses twice"
[ "$(losses "$folder/table" | wc -l)" = 6 ] || fail "expected 6 lines of losses"

"$program" 0 >"$folder/text" 2>&1 && fail "takes no steps"
grep -q "^usage: " "$folder/text" || fail "does not say how it is called"
"$program" 2 "$folder/none/picture.svg" 2>"$folder/text" && fail "writes where there is no folder"
grep -q "^bitnet: cannot write '$folder/none/picture.svg'$" "$folder/text" || fail "does not say what it cannot write"
echo "as it should"
