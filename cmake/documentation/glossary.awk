# SPDX-License-Identifier: MIT
# What Doxygen reads a header through. Names that mean the same in every block are explained here, once, instead of in
# every header: this puts the explanation before each of them that has none of its own.
BEGIN {
  # The protocol of blocks.
  meaning["forward"] = "Writes y. Given a cache, keeps there what backward needs, and no more. Shapes and errors: see the class."
  meaning["backward"] = "Writes the gradient of what forward read, and adds to the gradients of trainable parameters. The cache is that of the forward before. Shapes and errors: see the class."
  meaning["members"] = "Calls visit(name, member) for each parameter and each block inside, in a fixed order; visit_parameters goes by it."
  meaning["input_features"] = "Last dimension of what forward reads."
  meaning["output_features"] = "Last dimension of what forward writes."
  meaning["output_like"] = "An owned tensor for y, of the shape that forward gives for x."
  meaning["visit_parameters"] = "Calls visitor(name, parameter) for every parameter, in the order of `members`."
  meaning["Scalar"] = "The type of number that it computes in."
  meaning["Options"] = "What it is made from, by designated initialisers."
  meaning["Cache"] = "What forward keeps for backward. A value: made by the caller, reused from call to call, copied deeply."
  meaning["Storage"] = "The type of number that weights are stored as; they are widened where they are read."
  meaning["options"] = "What it was made from, with what was left open filled in."
  meaning["block"] = "Its name in messages and profiles."

  # Parameters and parts.
  meaning["weight"] = "The weight, public as all parameters are."
  meaning["norm"] = "The norm, or its options."
  meaning["attention"] = "What mixes positions, or its options."
  meaning["feed_forward"] = "What maps each position on its own, or its options."
  meaning["attention_norm"] = "The norm of the branch with attention."
  meaning["feed_forward_norm"] = "The norm of the branch with the feed-forward."
  meaning["attention_output_norm"] = "The norm of what attention gives."
  meaning["feed_forward_output_norm"] = "The norm of what the feed-forward gives."
  meaning["inner_norm"] = "The norm of what the last projection reads, or what belongs to it."
  meaning["query_norm"] = "The norm of each head of the queries, or what belongs to it."
  meaning["key_norm"] = "The norm of each head of the keys, or what belongs to it."
  meaning["query_key_norm"] = "Of the norms of every head of queries and keys, over head_dim."
  meaning["input_norm"] = "The norm of what the input gives to the gates, or what belongs to it."
  meaning["hidden_norm"] = "The norm of what the step before gives to the gates, or what belongs to it."
  meaning["input_candidate_norm"] = "The norm of what the input gives to the candidate, or what belongs to it."
  meaning["hidden_candidate_norm"] = "The norm of what the step before gives to the candidate, or what belongs to it."
  meaning["query"] = "Queries: the projection that makes them, or what belongs to it."
  meaning["key"] = "Keys: the projection that makes them, or what belongs to it."
  meaning["value"] = "Values: the projection that makes them, or what belongs to it."
  meaning["output"] = "What comes last: a projection, or what belongs to it."
  meaning["up"] = "The projection to the hidden width, or what belongs to it."
  meaning["down"] = "The projection back from the hidden width, or what belongs to it."
  meaning["gate"] = "The projection whose activation multiplies the hidden features, or what belongs to it."
  meaning["projection"] = "The projection or convolution, or what belongs to it."
  meaning["interaction"] = "The token interaction, or what belongs to it."
  meaning["first_convolution"] = "The convolution before attention, or what belongs to it."
  meaning["first_network"] = "The feed-forward network before attention, or what belongs to it."
  meaning["mixer"] = "What mixes pixels, or what belongs to it."
  meaning["second_convolution"] = "The convolution after attention, or what belongs to it."
  meaning["second_network"] = "The feed-forward network after attention, or what belongs to it."
  meaning["position"] = "What gives queries and keys their positions, or its options."
  meaning["embedding"] = "A vector for each token, or what belongs to it."
  meaning["layers"] = "The layers, one after the other; among options, how many."
  meaning["Attention"] = "The type of what mixes positions."

  # Options and extents.
  meaning["dim"] = "Features of the model: the last dimension of what goes in and out."
  meaning["heads"] = "Number of query heads."
  meaning["kv_heads"] = "Number of key/value heads; each serves heads / kv_heads query heads."
  meaning["head_dim"] = "Features of one head of queries and keys."
  meaning["value_dim"] = "Features of one head of values."
  meaning["hidden"] = "Features between the projections."
  meaning["bias"] = "The bias added to each row; among options, whether there is one."
  meaning["epsilon"] = "Added where a division by zero would threaten."
  meaning["vocabulary"] = "Number of tokens: they are 0 .. vocabulary - 1."
  meaning["in_features"] = "Last dimension of x."
  meaning["out_features"] = "Last dimension of y."
  meaning["batch"] = "Number of sequences."
  meaning["length"] = "Number of positions."
  meaning["rows"] = "Number of rows, one for each token; or the rows themselves as a view."
  meaning["features"] = "Numbers in a row: the last dimension."
  meaning["stride"] = "Elements from the beginning of a row to that of the next."
  meaning["capacity"] = "Number of positions that there is room for."
  meaning["memory_dim"] = "Last dimension of what keys and values come from; dim unless it is cross-attention."
  meaning["softmax_scale"] = "Factor of the scores; 1 / sqrt(head_dim) unless given."
  meaning["softcap"] = "Bound c of the scores, c tanh(score / c); none if 0."
  meaning["dropout"] = "Which weights are dropped in training, or at which rate in [0, 1); none if 0."
  meaning["seed"] = "Of random numbers: the same seed gives the same ones."
  meaning["rope_base"] = "Base of the rotary frequencies."
  meaning["base"] = "Base of the frequencies: that of pair i is base^(-2i / dim)."
  meaning["segments"] = "Keys and values, in the order in which masks count them."
  meaning["y"] = "What forward writes, or has written."
  meaning["dy"] = "The gradient of y."
  meaning["log_sum_exp"] = "Of the scores of each query, [batch, heads, queries]: what backward needs of softmax."
  meaning["keys"] = "[batch, length, kv_heads, head_dim]."
  meaning["extent"] = "Batches, queries and keys of the call."
  meaning["lengths"] = "Live keys of each batch, [batch]; not owned."
  meaning["check"] = "Throws if it does not fit what it is used for; writes nothing."
  meaning["live_keys"] = "The run of keys that this query attends to."
  meaning["apply"] = "Gives x its positions, in place: row l is position start + l."
  meaning["apply_backward"] = "Takes a gradient back through apply, in place."
  meaning["threads"] = "Number of threads, the calling one included."
  meaning["instruction_set"] = "The instruction set that kernels run with."
  meaning["profiler"] = "Who is told when blocks begin and end, or null."
  meaning["scratch"] = "Memory for what lives no longer than a call."
  meaning["momentum"] = "Decay of the running sum of gradients; 0 for none."
  meaning["dampening"] = "Share of each gradient that the running sum leaves out."
  meaning["decay"] = "Which parameters decay."
  meaning["kind"] = "Which form of momentum."
  meaning["max_length"] = "Number of positions that it knows."
  meaning["ignore_index"] = "The target that takes no part in the loss."
  meaning["learning_rate"] = "Factor of a step; may change between steps."
  meaning["weight_decay"] = "Decoupled decay: the share of a weight, times the learning rate, that a step takes away."
  meaning["beta1"] = "Decay of the running mean of gradients."
  meaning["beta2"] = "Decay of the running mean of squared gradients."

  meaning["sinks"] = "[heads], numbers that take part in the softmax without a value; none if empty."
  meaning["first_segment"] = "[batch + 1], from which segment on each sequence has its own; empty where all share theirs."
  meaning["live_bits"] = "Which keys a query attends to where they are no single run: bit i is key first + i."
  meaning["live"] = "Which scores or blocks live, row by row; true lets attend. Not owned."
  meaning["block_queries"] = "Queries of a block."
  meaning["block_keys"] = "Keys of a block."
  meaning["first"] = "The first of several."
  meaning["second"] = "The second of two."
  meaning["segment"] = "What is there, to attend to."
  meaning["bandwidth"] = "Keys that a query attends to, its own among them."
  meaning["query_offsets"] = "The first query of each sequence, and behind the last; not owned."
  meaning["key_offsets"] = "The first key of each sequence, and behind the last; not owned."
  meaning["inner"] = "The mask of each sequence alone."
  meaning["free_pages"] = "Pages that no sequence has."
  meaning["num_buckets"] = "Number of buckets of distances."
  meaning["direction"] = "Whether keys behind the query have buckets of their own."
  meaning["left"] = "Keys before the own one; -1 is all of them."
  meaning["right"] = "Keys behind the own one; -1 is all of them."
  meaning["local"] = "Keys up to the own one that are seen whatever the stride."
  meaning["words"] = "Words of 64 keys for each query."
  meaning["heads_step"] = "From the numbers of one task's heads to those of the next."
  meaning["key_step"] = "From the numbers of a key to those of the next."
  meaning["cosine"] = "Cosines of the angles."
  meaning["sine"] = "Sines of the angles."
  meaning["EnvThread"] = "A thread."
  meaning["Task"] = "A function to run."
  meaning["OnCancel"] = "Nothing is to be done."
  meaning["f"] = "The function."

  # Containers and views.
  meaning["data"] = "The first element."
  meaning["size"] = "Number of elements."
  meaning["shape"] = "The dimensions, as messages show them."
  meaning["values"] = "All elements, as one span."
  meaning["Base"] = "The class that it extends."
  meaning["Map"] = "The Eigen map that it extends."
  meaning["Token"] = "The type of a token's number."
  meaning["gradients"] = "All elements of the gradient, as one span; empty as long as there is none."
  meaning["operator<<"] = "Writes it as messages show it."
  meaning["operator="] = "Becomes what the other is."
  meaning["operator=="] = "Whether both hold the same."
  meaning["operator[]"] = "The element at that place, which is not checked."
  meaning["channels"] = "Number of channels: the last dimension."
  meaning["gain"] = "Factor of what was normalised."
  meaning["groups"] = "Number of groups of adjacent channels that are normalised together."
  meaning["home"] = "Where most of the arrays lie."
  meaning["storage"] = "The type of number that is stored."
  meaning["length_stride"] = "Elements from a position to the next."
  meaning["head_stride"] = "Elements from a head to the next."
  meaning["z_stride"] = "Elements from the beginning of a row of z to that of the next."
  meaning["kernel"] = "Pixels along a side of the kernel."
  meaning["height"] = "Pixels from top to bottom."
  meaning["width"] = "Pixels from left to right."
  meaning["windows"] = "Number of windows."
  meaning["columns"] = "Number of columns."
  meaning["depth"] = "Length of the sums: columns of the first factor and rows of the second."
  meaning["x_stride"] = "Elements from the beginning of a row of x to that of the next."
  meaning["y_stride"] = "Elements from the beginning of a row of y to that of the next."
  meaning["dx_stride"] = "Elements from the beginning of a row of dx to that of the next."
  meaning["dy_stride"] = "Elements from the beginning of a row of dy to that of the next."
  meaning["c_stride"] = "Elements from the beginning of a row of c to that of the next."
  meaning["key_stride"] = "Elements from one position's keys to the next's."
  meaning["value_stride"] = "Elements from one position's values to the next's."
  meaning["row_stride"] = "Elements from a number to the one below it."
  meaning["column_stride"] = "Elements from a number to the one beside it."
  meaning["max_rank"] = "Most dimensions that it can hold."
  meaning["arrays"] = "Arrays of the stride that the memory has room for."
  meaning["least_maximum"] = "What gamma is not below."
  meaning["subtracts_minimum"] = "Whether the minimum of a row becomes the code 0."
  meaning["adds_minimum"] = "Whether the minimum comes back behind the product."
  meaning["levels"] = "What gamma stands for, in codes."
  meaning["smallest"] = "The smallest code."
  meaning["largest"] = "The largest code."
  meaning["rank"] = "Number of dimensions."
  meaning["view"] = "The text, which lives as long as this."
  meaning["empty"] = "Whether there is nothing in it."
  meaning["append"] = "Adds at the end; what does not fit is cut."
  meaning["contains"] = "Whether it holds that name."
  meaning["fault"] = "What is wrong; only where something is."
  meaning["operator bool"] = "Whether there is a value; false means a fault."
  meaning["operator*"] = "The value; only where there is one."
  meaning["operator->"] = "The value; only where there is one."
  meaning["rule"] = "The number of the rule that is broken, 0 if none of the format's."
  meaning["tensor"] = "The tensor that it is about, escaped; empty if none."
  meaning["header"] = "What the file says about its tensors."
  meaning["limits"] = "How much is believed of a file."
  meaning["links"] = "Whether symbolic links may lead out of the folder."
  meaning["narrowing"] = "What becomes of values that do not fit exactly."
  meaning["finite"] = "Whether infinities and NaN are let through."
  meaning["open"] = "Opens and checks it; a fault comes as a value."
  meaning["allocate"] = "Memory for so much, or a fault instead of an exception."
  meaning["find"] = "What has that name, or nothing."
  meaning["source"] = "Where it came from, for messages."
  meaning["format"] = "The name of the format, for messages."
  meaning["try_open"] = "Opens and checks it; a fault comes as a value."
  meaning["try_read"] = "Reads and checks it; a fault comes as a value."
  meaning["read"] = "Reads and checks it."
  meaning["parse"] = "Reads the whole text; a fault comes as a value."
  meaning["config"] = "What the model is made of, as the file says."
  meaning["metadata"] = "What the file says beside its tensors; never interpreted."
  meaning["name"] = "Its name, as messages show it."
  meaning["message"] = "What a person reads."
  meaning["str"] = "As text."
  meaning["to_string"] = "As text."
  meaning["clear"] = "Makes it empty; keeps the memory."
}

# Lines of a declaration are held back until it is known whose they are.
function flush_held(  i) {
  for (i = 1; i <= held; ++i) print line[i]
  held = 0
}
function explain(indent, text) {
  if (!documented && text != "") print indent "/// " text
}
function constructor_meaning(text) {
  if (owner == "Result") return "From either side, so that a function returns a value or a fault."
  if (owner ~ /View$/) return "Sees what is there, in place."
  if (text ~ /Options[A-Za-z<>]*&/) return "From options; throws OptionError for one that is out of range."
  if (text ~ /given_|norm_of_/) return "From given parts or weights."
  return ""
}

{ gsub(/::inline EIGENFORMER_ABI/, "") }  # readers need not know that the namespace has a version
/^ *\/\/\// { flush_held(); print; documented = 1; next }
/^(class|struct) (\[\[nodiscard\]\] )?[A-Za-z]+/ {
  owner = $2 ~ /^\[/ ? $3 : $2; sub(/[^A-Za-z].*/, "", owner)
  made = owner; sub(/Options$/, "", made)
  if (made != owner) explain("", "What " made " is made from or called with.")
  flush_held(); print; documented = 0; next
}
/^[A-Z][A-Za-z]*\(.*\) -> / { explain("", "From what it is made of follows its type."); flush_held(); print; documented = 0; next }
/^    (struct|class) [A-Za-z]+ \{$/ { explain("    ", meaning[$2]); flush_held(); print; documented = 0; next }
/^  struct [A-Za-z]+ \{$/ {
  explain("  ", meaning[$2]); flush_held(); print; nested = 1; documented = 0; next
}
/^  \};/ { flush_held(); print; nested = 0; documented = 0; next }
/^ *template </ || (/^  requires / && $0 !~ "[ >]" owner "\\(") { ++held; line[held] = $0; next }

# A member: indented by two, or by four or six within a struct of a class.
/^  [A-Za-z]/ || (nested && /^    (  )?[A-Za-z]/) {
  indent = $0; sub(/[A-Za-z].*/, "", indent)
  text = $0; name = ""
  plain = $0; while (gsub(/<[^<>]*>/, "", plain)) {}  # arguments of templates name nothing here
  if (text ~ /^  requires /) sub("requires .*[ >]" owner "\\(", owner "(", text)
  if (text ~ /^ *using [A-Za-z]+ =/) {
    name = text; sub(/^ *using /, "", name); sub(/ .*/, "", name)
  } else if (match(text, /operator( bool|->|<<|==|=|\[\]|\*)/)) {
    name = substr(text, RSTART, RLENGTH)
  } else if (match(plain, /[A-Za-z_]+\(/)) {
    name = substr(plain, RSTART, RLENGTH - 1)
  } else if (match(plain, /[A-Za-z_0-9]+( = .*|\{.*\})?;/)) {
    name = substr(plain, RSTART, RLENGTH); sub(/[^A-Za-z_0-9].*/, "", name)
  }
  if (text !~ /\/\/\/</ && name != "" && text !~ /^ *(return|public|private|static_assert)/) {
    if (text ~ owner "&& ?[a-z]*\\)") explain(indent, "Takes over what the other had.")
    else if (name == owner) explain(indent, constructor_meaning(text))
    else if (name in meaning) explain(indent, meaning[name])
  }
  flush_held(); print; documented = 0; next
}
{ flush_held(); print; documented = 0 }
END { flush_held() }
