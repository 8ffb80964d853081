# SPDX-License-Identifier: MIT
"""PyTorch beside us: answers the questions of bench/report/peer.hpp. Each work as a user of PyTorch writes it, its answer
held against the same in float64 before it is timed."""

import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as failure:
    print(f"absent\t{failure} (Debian: python3-torch)", flush=True)
    sys.exit()


def tensor(*shape):
    return torch.randn(*shape)


def causal_mask(queries, keys, dtype):
    hidden = torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1)
    return torch.zeros(queries, keys, dtype=dtype).masked_fill(hidden, float("-inf"))


def attend(q, k, v, mask=None):
    """[heads, length, head_dim]; as PyTorch 1.13 has no fused attention on a CPU, product by product."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask
    return torch.softmax(scores, -1) @ v


def heads_of(dimensions):
    queries, keys, heads, kv_heads, dim = dimensions
    return tensor(heads, queries, dim), tensor(kv_heads, keys, dim), tensor(kv_heads, keys, dim)


def attention(dimensions):
    return attend, heads_of(dimensions)


def causal_attention(dimensions):
    masks = {t: causal_mask(dimensions[0], dimensions[1], t) for t in (torch.float32, torch.float64)}
    return lambda q, k, v: attend(q, k, v, masks[q.dtype]), heads_of(dimensions)


def decoding(dimensions):
    """The heads that share keys and values as rows of one product."""
    queries, keys, heads, kv_heads, dim = dimensions
    q, k, v = heads_of(dimensions)
    return attend, (q.reshape(kv_heads, heads // kv_heads, dim), k, v)


def with_gradients(forward, inputs):
    """Forward, and backward to every input, from a gradient that comes last among the inputs."""

    def run(*given):
        leaves = [x.detach().requires_grad_(True) for x in given[:-1]]
        forward(*leaves).backward(given[-1])
        return torch.cat([x.grad.flatten() for x in leaves])

    with torch.no_grad():
        shape = forward(*inputs).shape
    return run, (*inputs, tensor(*shape))


def linear(dimensions):
    rows, depth, columns = dimensions
    scale = depth**-0.5
    return F.linear, (tensor(rows, depth), tensor(columns, depth) * scale, tensor(columns) * scale)


def product(dimensions):
    rows, depth, columns = dimensions
    return torch.mm, (tensor(rows, depth), tensor(depth, columns))


def rms_norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def of_rows(function, *weights):
    def make(dimensions):
        rows, features = dimensions
        return function, (3 * tensor(rows, features), *(tensor(features) for _ in range(weights[0] if weights else 0)))

    return make


def layer_norm(x, weight, bias):
    return F.layer_norm(x, (x.shape[-1],), weight, bias)


def scale_norm(x, g):
    return x * (g / x.norm(dim=-1, keepdim=True).clamp(min=1e-5))


def scaled_rows(dimensions):
    rows, features = dimensions
    return scale_norm, (tensor(rows, features), torch.full((1,), features**0.5))


def batch_norm_inference(dimensions):
    rows, channels = dimensions
    numbers = (3 * tensor(rows, channels), tensor(channels), tensor(channels), tensor(channels), tensor(channels).square())
    return lambda x, weight, bias, mean, var: F.batch_norm(x, mean, var, weight, bias), numbers


def batch_norm(dimensions):
    """By the statistics of the batch; [rows, channels] is what channels last is in memory."""
    rows, channels = dimensions
    numbers = (3 * tensor(rows, channels), tensor(channels), tensor(channels))
    return lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, training=True), numbers


def group_norm(dimensions):
    """Channels first, which is what PyTorch has kernels for."""
    batch, positions, channels, groups = dimensions
    numbers = (3 * tensor(batch, channels, positions), tensor(channels), tensor(channels))
    return lambda x, weight, bias: F.group_norm(x, groups, weight, bias), numbers


def convolution(x, weight, bias=None):
    """1 x 1, or depthwise with zeros around."""
    groups = 1 if weight.shape[1] == x.shape[1] else x.shape[1]
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2, groups=groups)


def convolution_norm(x, weight, gain, bias):
    return F.batch_norm(convolution(x, weight), None, None, gain, bias, training=True)


def cascade(x, layers, biases, layer, heads, key_dim):
    """The heads of cascaded group attention over windows [windows, dim, side, side], channels first as published."""
    part = x.shape[1] // heads
    given, y = [], 0
    for h, share in enumerate(x.chunk(heads, 1)):
        y = share + y
        q, k, v = layer(y, *layers[2 * h]).split([key_dim, key_dim, part], 1)
        q, k, v = layer(q, *layers[2 * h + 1]).flatten(2), k.flatten(2), v.flatten(2)
        scores = (q.transpose(-2, -1) @ k) * key_dim**-0.5 + biases[h]
        y = (v @ scores.softmax(-1).transpose(-2, -1)).reshape(x.shape[0], part, *x.shape[2:])
        given.append(y)
    return layer(F.relu(torch.cat(given, 1)), *layers[-1])


def in_windows(x, window, attend):
    """[images, dim, side, side], which the window divides."""
    images, dim, side, _ = x.shape
    if side == window:
        return attend(x)
    across = side // window
    cut = x.view(images, dim, across, window, across, window).permute(0, 2, 4, 1, 3, 5)
    y = attend(cut.reshape(images * across * across, dim, window, window))
    return y.view(images, across, across, dim, window, window).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def cascaded_layers(dimensions, per_layer):
    """Weights of all layers, each with what `per_layer(channels)` makes beside it."""
    images, side, window, dim, key_dim, *kernels = dimensions
    kernels = [kernel for kernel in kernels if kernel > 0]
    part = dim // len(kernels)
    layers = []
    for kernel in kernels:
        layers.append((tensor(2 * key_dim + part, part, 1, 1) * part**-0.5, *per_layer(2 * key_dim + part)))
        layers.append((tensor(key_dim, 1, kernel, kernel) / kernel, *per_layer(key_dim)))
    layers.append((tensor(dim, dim, 1, 1) * dim**-0.5, *per_layer(dim)))
    return tensor(images, dim, side, side), layers, len(kernels)


def offsets(window):
    at = torch.arange(window * window)
    rows, columns = at // window, at % window
    return (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()


def cascaded_attention(dimensions):
    """In inference: norms folded, biases spread once, as the published code does both."""
    window, key_dim = dimensions[2], dimensions[4]
    x, layers, heads = cascaded_layers(dimensions, lambda channels: (tensor(channels),))
    biases = tensor(heads, window * window)[:, offsets(window)]

    def run(x, biases, *flat):
        given = [flat[i : i + 2] for i in range(0, len(flat), 2)]
        return in_windows(x, window, lambda cut: cascade(cut, given, biases, convolution, heads, key_dim))

    return run, (x, biases, *(number for layer in layers for number in layer))


def trained_cascaded_attention(dimensions):
    """By the statistics of the batch."""
    window, key_dim = dimensions[2], dimensions[4]
    x, layers, heads = cascaded_layers(dimensions, lambda channels: (1 + 0.1 * tensor(channels), tensor(channels)))
    places = offsets(window)

    def run(x, table, *flat):
        given = [flat[i : i + 3] for i in range(0, len(flat), 3)]
        return in_windows(
            x, window, lambda cut: cascade(cut, given, table[:, places], convolution_norm, heads, key_dim)
        )

    return run, (x, tensor(heads, window * window), *(number for layer in layers for number in layer))


def embedding(dimensions):
    tokens, vocabulary, features = dimensions
    ids = torch.randint(vocabulary, (tokens,))
    return lambda table: F.embedding(ids, table), (tensor(vocabulary, features),)


def cross_entropy(dimensions):
    rows, classes = dimensions
    targets = torch.arange(rows) * 31 % classes

    def run(logits):
        leaf = logits.detach().requires_grad_(True)
        F.cross_entropy(leaf, targets).backward()
        return leaf.grad

    return run, (3 * tensor(rows, classes),)


def with_backward(make):
    """Forward and backward together."""
    return lambda dimensions: with_gradients(*make(dimensions))


BACKWARD = {
    "attention backward": attention,
    "causal attention backward": causal_attention,
    "linear backward": linear,
}
WORKS = {
    "product": product,
    "linear": linear,
    "attention": attention,
    "causal attention": causal_attention,
    "attention, decoding": decoding,
    "cascaded group attention": cascaded_attention,
    "cascaded group attention + backward": with_backward(trained_cascaded_attention),
    "LayerNorm": of_rows(layer_norm, 2),
    "LayerNorm + backward": with_backward(of_rows(layer_norm, 2)),
    "RMSNorm": of_rows(rms_norm, 1),
    "RMSNorm + backward": with_backward(of_rows(rms_norm, 1)),
    "ScaleNorm": scaled_rows,
    "ScaleNorm + backward": with_backward(scaled_rows),
    "BatchNorm, inference": batch_norm_inference,
    "BatchNorm, training": batch_norm,
    "BatchNorm, training + backward": with_backward(batch_norm),
    "GroupNorm": group_norm,
    "GroupNorm + backward": with_backward(group_norm),
    "softmax": of_rows(lambda x: torch.softmax(x, -1)),
    "log-softmax": of_rows(lambda x: torch.log_softmax(x, -1)),
    "ReLU": of_rows(F.relu),
    "GELU": of_rows(F.gelu),
    "GELU (tanh)": of_rows(lambda x: F.gelu(x, approximate="tanh")),
    "SiLU": of_rows(F.silu),
    "embedding": embedding,
    "cross entropy + gradient": cross_entropy,
}


class BackwardAlone:
    """Times backward of a graph that is kept, which is what a step of training pays after its forward."""

    def __init__(self, make, dimensions):
        self.forward, inputs = make(dimensions)
        self.run_twice, self.inputs = with_gradients(self.forward, inputs)
        self.leaves = [x.detach().requires_grad_(True) for x in inputs]
        self.y = self.forward(*self.leaves)

    def error(self):
        return largest_error(self.run_twice, self.inputs)

    def run(self):
        for leaf in self.leaves:
            leaf.grad = None
        self.y.backward(self.inputs[-1], retain_graph=True)


class Work:
    def __init__(self, make, dimensions):
        self.function, self.inputs = make(dimensions)

    def error(self):
        return largest_error(self.function, self.inputs)

    def run(self):
        self.function(*self.inputs)


def largest_error(function, inputs):
    exact = function(*(x.double() for x in inputs)).detach()
    return ((function(*inputs).detach() - exact).abs().max() / exact.abs().max()).item()


def seconds_of(work, iterations, inference):
    with torch.set_grad_enabled(not inference):
        start = time.perf_counter()
        for _ in range(iterations):
            work.run()
        return time.perf_counter() - start


def answer(words, made):
    if words[0] == "knows":
        return "yes" if words[1] in WORKS or words[1] in BACKWARD else "no"
    name, threads, iterations = words[1], int(words[2]), int(words[3])
    dimensions = tuple(int(word) for word in words[4:])
    torch.set_num_threads(threads)
    if (name, dimensions) not in made:
        backward = name in BACKWARD
        work = BackwardAlone(BACKWARD[name], dimensions) if backward else Work(WORKS[name], dimensions)
        made[name, dimensions] = (work, work.error())
    work, error = made[name, dimensions]
    inference = name in WORKS and "backward" not in name and "gradient" not in name
    seconds = seconds_of(work, iterations, inference) if iterations > 0 else 0
    return f"done\t{seconds!r}\t{error!r}"


def main():
    torch.manual_seed(1)
    print(f"ready\tPyTorch {torch.__version__}", flush=True)
    made = {}
    for line in sys.stdin:
        try:
            text = answer(line.rstrip("\n").split("\t"), made)
        except Exception as failure:  # whatever it is, the one who asked prints it and fails
            text = f"failed\t{failure!r}".replace("\n", " ")
        print(text, flush=True)


main()
