#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the example on a published model:  run_llama.sh <program> <folder of the model> <case>
# Ends with status 77, which CTest takes for skipped, where the folder is not there.
set -eu

program=$1
model=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
  echo "FAILED: $1" >&2
  for file in out err; do echo "--- $file" >&2 && cat "$file" >&2; done
  exit 1
}
# run STATUS ARGUMENT...: the program ends with that status; its output is in out and err.
run() {
  expected=$1
  shift
  status=0
  "$program" "$@" >out 2>err || status=$?
  [ "$status" -eq "$expected" ] || fail "status $status instead of $expected for: $*"
}
# refuse STATUS MESSAGE ARGUMENT...: says so on stderr and writes no text.
refuse() {
  expected_status=$1
  message=$2
  shift 2
  run "$expected_status" "$@"
  grep -qF -- "$message" err || fail "no '$message' for: $*"
  [ ! -s out ] || fail "a text after an error"
}
said() { grep -q -- "$1" err || fail "no '$1' on stderr"; }

case $3 in
  help)
    run 0 --help
    for option in temperature top-p max-tokens seed threads cache tokenizer follow-links help; do
      grep -q -- "^  --$option" out || fail "--help says nothing of --$option"
    done
    [ ! -s err ] || fail "--help writes to stderr"
    ;;

  command_line)
    refuse 2 "expected a checkpoint"
    refuse 2 "unknown option or missing value: '--tempo'" x --tempo 3
    refuse 2 "unknown option or missing value: '--seed'" x --seed
    refuse 2 "--temperature: expected a number in 0 .. 100, got 'nan'" x --temperature nan
    refuse 2 "--temperature: expected a number in 0 .. 100, got '-1'" x --temperature -1
    refuse 2 "--top-p: expected a number in 0 .. 1, got '1.5'" x --top-p 1.5
    refuse 2 "--max-tokens: expected a number in 0 .. 1000000000, got '3x'" x --max-tokens 3x
    refuse 2 "--threads: expected a number in 1 .. 1024, got '0'" x --threads 0
    refuse 2 "--seed: expected a number in 0 .. 18446744073709551615, got ''" x --seed ''
    refuse 2 "--cache: expected float32, bfloat16 or float16, got 'int8'" x --cache int8
    refuse 2 "unexpected argument 'time': quote a prompt of several words" x Once time
    ;;

  files)
    refuse 1 "'nowhere' does not exist: expected a folder or a model file of llama2.c" nowhere
    mkdir empty
    refuse 1 "config: empty/config.json: cannot open: No such file or directory" empty
    printf '{"model_type": "mistral"}' >empty/config.json
    refuse 1 'model_type: expected "llama", got "mistral"' empty
    cat >empty/config.json <<'EOF'
{"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
 "vocab_size": 300}
EOF
    refuse 1 "safetensors: empty: the folder holds neither model.safetensors nor model.safetensors.index.json" empty
    : >short.bin
    refuse 1 "llama2.c: short.bin: expected at least 28 bytes" short.bin
    head -c 100 /dev/zero >zeros.bin
    refuse 1 "llama2.c: zeros.bin: dim: expected 1 .. 1048576, got 0" zeros.bin
    : >m.safetensors
    refuse 1 "'m.safetensors': expected the folder that it is in" m.safetensors
    ;;

  *)
    [ -d "$model" ] || { echo "skipped: there is no $model" && exit 77; }
    ;;
esac

case $3 in
  text)
    # What run.c of llama2.c writes, from either format, with any number of threads.
    cat >expected <<'EOF'
Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.
EOF
    for checkpoint in "$model" "$model/stories260K.bin"; do
      for threads in 1 2; do
        run 0 "$checkpoint" "Once upon a time" --max-tokens 64 --threads $threads
        head -n 1 out | cmp - expected || fail "another text from $checkpoint"
        said 'model        260032 parameters stored as F32: 5 layers of 64 features, 8 query and 4 key/value heads'
        said 'prefill      5 tokens, [0-9]* tokens/s'
        said 'decoding     63 tokens, [0-9]* tokens/s'
        said 'stopped      after 64 tokens, as --max-tokens says'
      done
    done
    run 0 "$model" --max-tokens 64
    head -n 1 out | cmp - expected || fail "another text without a prompt"
    run 0 "$model" "One, two" --max-tokens 0
    [ "$(cat out)" = "One, two" ] || fail "no bare prompt"
    ;;

  drawing)
    for seed in 1 1 2; do
      run 0 "$model" "Lily" --temperature 1 --top-p 0.9 --seed $seed --max-tokens 100
      mv out "out.$seed.$(ls | grep -c out)"
    done
    cmp out.1.* || fail "the same seed writes another text"
    ! cmp -s out.1.0 out.2.* || fail "another seed writes the same text"
    run 0 "$model" "Lily" --max-tokens 50
    mv out greedy
    run 0 "$model" "Lily" --temperature 1 --top-p 0 --max-tokens 50
    cmp out greedy || fail "the smallest share is not the likeliest token"
    ;;

  storage)
    # The same weights cut to the upper halves of their floats, in a file of its own and in one that an index lists.
    command -v perl >/dev/null || { echo "skipped: there is no perl to write the file" && exit 77; }
    cp "$model/config.json" "$model/tok512.bin" .
    perl -0777 -ne '
      my $length = unpack("Q<", substr($_, 0, 8));
      my ($header, $data) = (substr($_, 8, $length), substr($_, 8 + $length));
      $header =~ s/"F32"/"BF16"/g;
      $header =~ s/\[(\d+),(\d+)\]\}/"[" . $1 \/ 2 . "," . $2 \/ 2 . "]}"/ge;
      $data =~ s/..(..)/$1/sg;
      print pack("Q<", length($header)) . $header . $data' <"$model/model.safetensors" >model.safetensors
    run 0 . "Once upon a time" --max-tokens 20
    said 'model        260032 parameters stored as BF16'
    grep -q '^Once upon a time, there was a' out || fail "no sense in bfloat16"
    for cache in bfloat16 float16; do
      run 0 "$model" "Once upon a time" --max-tokens 20 --cache $cache
      grep -q '^Once upon a time, there was a' out || fail "no sense with a cache of $cache"
    done
    run 0 . "Once upon a time" --max-tokens 20
    mv model.safetensors part.safetensors
    perl -0777 -ne '
      my %files;
      $files{$1} = 1 while /"(model\.[^"]*)":\{/g;
      print "{\"weight_map\":{" . join(",", map { "\"$_\":\"part.safetensors\"" } sort keys %files) . "}}"
      ' <part.safetensors >model.safetensors.index.json
    mv out whole
    run 0 . "Once upon a time" --max-tokens 20
    cmp out whole || fail "another text from a checkpoint with an index"
    ;;

  links)
    # As HuggingFace's cache has it: the files of a snapshot are links to where the content is.
    mkdir snapshot
    for file in config.json model.safetensors tok512.bin; do ln -s "$model/$file" snapshot/; done
    refuse 1 "got a symbolic link that leads out of it" snapshot "Once upon a time" --max-tokens 20
    run 0 snapshot "Once upon a time" --max-tokens 20 --follow-links
    mv out linked
    run 0 "$model" "Once upon a time" --max-tokens 20
    cmp out linked || fail "another text through links"
    ;;

  endings)
    run 0 "$model" "Once upon a time" --max-tokens 10000
    grep -q "at the model's context of 512 tokens\|where the model ended the text" err || fail "does not say why it stopped"
    # A text is at an end at the token that the configuration calls so; 426 is the full stop.
    cp "$model/config.json" "$model/model.safetensors" "$model/tok512.bin" .
    sed -i 's/"eos_token_id": 2/"eos_token_id": [426]/' config.json
    run 0 . "Once upon a time" --max-tokens 64
    [ "$(cat out)" = "Once upon a time, there was a little girl named Lily" ] || fail "goes on behind the end"
    said 'stopped      where the model ended the text'
    sed -i 's/"max_position_embeddings": 512/"max_position_embeddings": 8/' config.json
    run 0 . "Once upon a time" --max-tokens 64
    said "stopped      at the model's context of 8 tokens"
    refuse 1 "the prompt has 9 tokens, but the model was made for 8" . "Once upon a time, there was a"
    mv tok512.bin elsewhere.bin
    refuse 1 "neither tokenizer.bin nor tok512.bin in '.': say with --tokenizer where it is" .
    run 0 . "Once upon a time" --tokenizer elsewhere.bin
    head -c 5000 elsewhere.bin >tokenizer.bin
    refuse 1 "tokenizer './tokenizer.bin': ends" .
    head -c 500000 "$model/stories260K.bin" >cut.bin
    refuse 1 "expected a file of 1056540 bytes, as the numbers at its start imply, got 500000" cut.bin
    sed -i 's/"intermediate_size": 172/"intermediate_size": 170/' config.json
    refuse 1 "wrong shape: model.layers.4.mlp.down_proj.weight: expected [64, 170], got [64, 172]" .
    ;;

  help | command_line | files) ;;

  *)
    echo "no such case: $3" >&2
    exit 2
    ;;
esac
