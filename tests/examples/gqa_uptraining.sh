#!/bin/bash
# SPDX-License-Identifier: MIT
# The comparison of key/value heads in small: every way to convert has its lines and curves, and bad calls are refused.
#   gqa_uptraining.sh <program>
set -u
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*" >&2; exit 1; }

"$program" 2 "$folder/picture.svg" >"$folder/table" || fail "ended with $?"
for way in "mean of the group" "first head" "random heads"; do
  for heads in 4 2 1; do
    grep -qE "^$heads +$way +[0-9]+\.[0-9]{3} +[0-9]+\.[0-9]{3}$" "$folder/table" || fail "no '$way' of $heads: $(cat "$folder/table")"
  done
done
grep -qE "^8 +all as they are +[0-9.]+ +[0-9.]+$" "$folder/table" || fail "nothing to compare with: $(cat "$folder/table")"
for heads in 8 4 2 1; do
  grep -qE "^$heads +[1-9][0-9]*$" "$folder/table" || fail "no speed of $heads heads: $(cat "$folder/table")"
done
[ "$(grep -c "<polyline" "$folder/picture.svg")" = 7 ] || fail "expected 6 curves of loss and one of speed"
[ "$(grep -c "<circle" "$folder/picture.svg")" = 28 ] || fail "expected 4 points on each"
grep -q "nan\|inf" "$folder/picture.svg" && fail "a number of the picture is none"
"$program" 2 "$folder/picture.svg" >"$folder/again" || fail "ended with $? at the second time"
losses() { grep -E "\.[0-9]{3}$" "$1"; }
[ "$(losses "$folder/table")" = "$(losses "$folder/again")" ] || fail "not the same losses twice"
[ "$(losses "$folder/table" | wc -l)" = 10 ] || fail "expected 10 lines of losses"

"$program" 0 >"$folder/text" 2>&1 && fail "takes no steps"
grep -q "^usage: " "$folder/text" || fail "does not say how it is called"
"$program" 2 "$folder/none/picture.svg" 2>"$folder/text" && fail "writes where there is no folder"
grep -q "^gqa_uptraining: cannot write '$folder/none/picture.svg'$" "$folder/text" || fail "does not say what it cannot write"
echo "as it should"
