#!/bin/bash
# SPDX-License-Identifier: MIT
# The comparison of norms in small: every model has its line and its curve, and bad calls are refused.
#   norm_placement.sh <program>
set -u
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*" >&2; exit 1; }

table=$("$program" 3 "$folder/picture.svg") || fail "ended with $?"
for model in "PreNorm LayerNorm" "PostNorm LayerNorm" "PreNorm RmsNorm" "PostNorm RmsNorm" "PreNorm ScaleNorm + FixNorm" \
  "PostNorm ScaleNorm + FixNorm"; do
  lines=$(grep -c "^$model  .*\(learnt\|diverged\)$" <<<"$table")
  [ "$lines" = 2 ] || fail "expected '$model' twice, got $lines in: $table"
done
[ "$(grep -c "<polyline" "$folder/picture.svg")" = 12 ] || fail "expected 12 curves"
grep -q "nan\|inf" "$folder/picture.svg" && fail "a number of the picture is none"
again=$("$program" 3 "$folder/again.svg" | sed 's/ *[0-9.]*  \(learnt\|diverged\)$/ \1/')
[ "$(sed 's/ *[0-9.]*  \(learnt\|diverged\)$/ \1/; s/picture/again/' <<<"$table")" = "$again" ] || fail "not the same twice"
cmp -s "$folder/picture.svg" "$folder/again.svg" || fail "two pictures of the same seed differ"

"$program" 0 >"$folder/text" 2>&1 && fail "takes no steps"
grep -q "^usage: " "$folder/text" || fail "does not say how it is called"
"$program" 3 "$folder/none/picture.svg" 2>"$folder/text" && fail "writes where there is no folder"
grep -q "^norm_placement: cannot write '$folder/none/picture.svg'$" "$folder/text" || fail "does not say what it cannot write"
echo "as it should"
