// SPDX-License-Identifier: MIT
// ONNX Runtime beside us: answers the questions of bench/report/peer.hpp. `npm install onnxruntime-node` in some folder,
// which EIGENFORMER_ONNXRUNTIME names (a folder with node_modules). Each work is a graph of its own, with weights that
// the runtime may pack when it loads them; its answer is held against plain loops in double before it is timed.
'use strict';

const path = require('path');
const readline = require('readline');
const { createRequire } = require('module');
const { Float, INT32, initializer, model, node } = require('./onnx_model.js');

let runtime;
try {
  const folder = process.env.EIGENFORMER_ONNXRUNTIME || process.cwd();
  runtime = createRequire(path.resolve(folder, 'x.js'))('onnxruntime-node');
} catch (failure) {
  process.stdout.write('absent\tno onnxruntime-node (npm install onnxruntime-node, EIGENFORMER_ONNXRUNTIME=<its folder>)\n');
  process.exit();
}

let seed = 1;
/** Uniform, mean 0. */
function random(count, deviation = 1) {
  const numbers = new Float32Array(count);
  for (let i = 0; i < count; ++i) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    numbers[i] = (seed / 2 ** 31 - 1) * Math.sqrt(3) * deviation;
  }
  return numbers;
}

const tensor = (data, dimensions) => new runtime.Tensor('float32', data, dimensions);

// Each makes { model, feeds, rows, expected(row), output }: some rows of the output, again in double. Rows are looked at
// a few at a time, so that plain loops do not take minutes.

function linear([rows, depth, columns], withBias) {
  const x = random(rows * depth);
  const weight = random(depth * columns, 1 / Math.sqrt(depth));  // [columns, depth], or [depth, columns] of a product
  const bias = withBias ? random(columns) : new Float32Array(columns);
  const nodes = withBias
    ? [node({ operator: 'Gemm', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: { transB: 1 } })]
    : [node({ operator: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] })];
  const weights = [initializer('w', withBias ? [columns, depth] : [depth, columns], weight)];
  if (withBias) weights.push(initializer('b', [columns], bias));
  const expected = (row) => Float64Array.from({ length: columns }, (_, n) => {
    let sum = bias[n];
    for (let k = 0; k < depth; ++k) sum += x[row * depth + k] * weight[withBias ? n * depth + k : k * columns + n];
    return sum;
  });
  return {
    model: model({ nodes, weights, inputs: [['x', [rows, depth]]], outputs: [['y', [rows, columns]]] }),
    feeds: { x: tensor(x, [rows, depth]) }, rows, expected,
  };
}

/** The function of a row, in double, and the nodes that compute it. */
function ofRows([rows, features], nodes, weights, expectedOf) {
  const x = random(rows * features, 3);
  return {
    model: model({ nodes, weights, inputs: [['x', [rows, features]]], outputs: [['y', [rows, features]]] }),
    feeds: { x: tensor(x, [rows, features]) }, rows,
    expected: (row) => expectedOf(Float64Array.from(x.subarray(row * features, (row + 1) * features))),
  };
}

const unary = (operator, attributes, each, domain) => (dimensions) =>
  ofRows(dimensions, [node({ operator, inputs: ['x'], outputs: ['y'], attributes, domain })], [], (row) => row.map(each));

function softmaxOf(row) {
  const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = row.map((x) => Math.exp(x - largest));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((x) => x / sum);
}

const mean = (row) => row.reduce((a, b) => a + b) / row.length;

function layerNorm(dimensions) {
  const weight = random(dimensions[1]);
  const bias = random(dimensions[1]);
  return ofRows(dimensions,
    [node({ operator: 'LayerNormalization', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: { axis: -1, epsilon: 1e-5 } })],
    [initializer('w', [dimensions[1]], weight), initializer('b', [dimensions[1]], bias)], (row) => {
      const middle = mean(row);
      const inverse = 1 / Math.sqrt(mean(row.map((x) => (x - middle) ** 2)) + 1e-5);
      return row.map((x, i) => (x - middle) * inverse * weight[i] + bias[i]);
    });
}

function rmsNorm(dimensions) {
  const weight = random(dimensions[1]);
  return ofRows(dimensions,
    [node({ operator: 'SimplifiedLayerNormalization', inputs: ['x', 'w'], outputs: ['y'], attributes: { axis: -1, epsilon: 1e-6 } })],
    [initializer('w', [dimensions[1]], weight)], (row) => {
      const inverse = 1 / Math.sqrt(mean(row.map((x) => x * x)) + 1e-6);
      return row.map((x, i) => x * inverse * weight[i]);
    });
}

/** A row is one query with all its heads. */
function attendInDouble(q, at, heads, kvHeads, dim, live) {
  const result = new Float64Array(heads * dim);
  for (let h = 0; h < heads; ++h) {
    const g = Math.floor(h / (heads / kvHeads));
    const scores = new Float64Array(live);
    for (let t = 0; t < live; ++t) {
      for (let d = 0; d < dim; ++d) scores[t] += q[h * dim + d] * at.key(t, g, d);
      scores[t] /= Math.sqrt(dim);
    }
    softmaxOf(scores).forEach((p, t) => {
      for (let d = 0; d < dim; ++d) result[h * dim + d] += p * at.value(t, g, d);
    });
  }
  return result;
}

function attention([queries, keys, heads, , dim], causal) {
  const width = heads * dim;
  const [q, k, v] = [random(queries * width), random(keys * width), random(keys * width)];
  const attributes = { num_heads: heads };
  if (causal) attributes.unidirectional = 1;
  const at = { key: (t, h, d) => k[t * width + h * dim + d], value: (t, h, d) => v[t * width + h * dim + d] };
  return {
    model: model({
      nodes: [node({ operator: 'MultiHeadAttention', inputs: ['q', 'k', 'v'], outputs: ['y'], attributes, domain: 'com.microsoft' })],
      inputs: [['q', [1, queries, width]], ['k', [1, keys, width]], ['v', [1, keys, width]]],
      outputs: [['y', [1, queries, width]]],
    }),
    feeds: { q: tensor(q, [1, queries, width]), k: tensor(k, [1, keys, width]), v: tensor(v, [1, keys, width]) },
    rows: queries,
    expected: (row) => attendInDouble(q.subarray(row * width, (row + 1) * width), at, heads, heads, dim, causal ? row + 1 : keys),
  };
}

/** The newest of `keys` positions; the runtime holds the others in its cache, which it writes again. */
function decoding([, keys, heads, kvHeads, dim]) {
  const past = keys - 1;
  const [q, k, v] = [random(heads * dim), random(kvHeads * dim), random(kvHeads * dim)];
  const [pastKey, pastValue] = [random(kvHeads * past * dim), random(kvHeads * past * dim)];
  const in_ = (old, fresh) => (t, g, d) => (t < past ? old[(g * past + t) * dim + d] : fresh[g * dim + d]);
  return {
    model: model({
      nodes: [node({
        operator: 'GroupQueryAttention', domain: 'com.microsoft', attributes: { num_heads: heads, kv_num_heads: kvHeads },
        inputs: ['q', 'k', 'v', 'past_key', 'past_value', 'last', 'total'], outputs: ['y', 'present_key', 'present_value'],
      })],
      weights: [initializer('last', [1], Int32Array.of(past), INT32), initializer('total', [], Int32Array.of(keys), INT32)],
      inputs: [['q', [1, 1, heads * dim]], ['k', [1, 1, kvHeads * dim]], ['v', [1, 1, kvHeads * dim]],
        ['past_key', [1, kvHeads, past, dim]], ['past_value', [1, kvHeads, past, dim]]],
      outputs: [['y', [1, 1, heads * dim]], ['present_key', [1, kvHeads, keys, dim]], ['present_value', [1, kvHeads, keys, dim]]],
    }),
    feeds: {
      q: tensor(q, [1, 1, heads * dim]), k: tensor(k, [1, 1, kvHeads * dim]), v: tensor(v, [1, 1, kvHeads * dim]),
      past_key: tensor(pastKey, [1, kvHeads, past, dim]), past_value: tensor(pastValue, [1, kvHeads, past, dim]),
    },
    rows: 1,
    expected: () => attendInDouble(q, { key: in_(pastKey, k), value: in_(pastValue, v) }, heads, kvHeads, dim, keys),
  };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
/** Phi(x), by the series of erf near zero and its continued fraction further out. */
function normal(x) {
  const z = Math.abs(x) / Math.SQRT2;
  let tail;
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-18; ++n) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    tail = (1 - (2 / Math.sqrt(Math.PI)) * sum) / 2;
  } else {
    let fraction = 0;
    for (let n = 60; n > 0; --n) fraction = n / 2 / (z + fraction);
    tail = Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction) / 2;
  }
  return x < 0 ? tail : 1 - tail;
}

const works = {
  product: (d) => linear(d, false),
  linear: (d) => linear(d, true),
  attention: (d) => attention(d, false),
  'causal attention': (d) => attention(d, true),
  'attention, decoding': decoding,
  LayerNorm: layerNorm,
  RMSNorm: rmsNorm,
  softmax: (d) => ofRows(d, [node({ operator: 'Softmax', inputs: ['x'], outputs: ['y'], attributes: { axis: -1 } })], [], softmaxOf),
  ReLU: unary('Relu', {}, (x) => Math.max(x, 0)),
  GELU: unary('Gelu', {}, (x) => x * normal(x), 'com.microsoft'),
  SiLU: unary('QuickGelu', { alpha: new Float(1) }, (x) => x * sigmoid(x), 'com.microsoft'),
};

/** The largest error of a few rows, as a share of the largest number in them. */
function errorOf(work, output) {
  const width = output.length / work.rows;
  const step = Math.max(1, Math.floor(work.rows / 4));
  let largest = 0;
  let scale = 0;
  for (let row = work.rows - 1; row >= 0; row -= step) {
    work.expected(row).forEach((wanted, i) => {
      const error = Math.abs(output[row * width + i] - wanted);
      if (!(error <= largest)) largest = error;
      scale = Math.max(scale, Math.abs(wanted));
    });
  }
  return largest / scale;
}

const made = new Map();

async function run([, name, threads, iterations, ...dimensions]) {
  const key = [name, threads, ...dimensions].join(' ');
  if (!made.has(key)) {
    const work = works[name](dimensions.map(Number));
    work.session = await runtime.InferenceSession.create(work.model, {
      intraOpNumThreads: Number(threads), interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 3,
      // Threads that wait must leave the processor to who is measured next.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
    work.error = errorOf(work, (await work.session.run(work.feeds)).y.data);
    made.set(key, work);
  }
  const work = made.get(key);
  const start = process.hrtime.bigint();
  for (let i = 0; i < Number(iterations); ++i) await work.session.run(work.feeds);
  return `done\t${Number(process.hrtime.bigint() - start) * 1e-9}\t${work.error}`;
}

async function main() {
  const version = createRequire(path.resolve(process.env.EIGENFORMER_ONNXRUNTIME || process.cwd(), 'x.js'))(
    'onnxruntime-node/package.json').version;
  process.stdout.write(`ready\tONNX Runtime ${version}\n`);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const words = line.split('\t');
    let text;
    try {
      text = words[0] === 'knows' ? (words[1] in works ? 'yes' : 'no') : await run(words);
    } catch (failure) {
      text = 'failed\t' + String(failure.message || failure).replace(/\s+/g, ' ');
    }
    process.stdout.write(text + '\n');
  }
}

main();
