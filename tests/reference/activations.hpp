#pragma once
// SPDX-License-Identifier: MIT

#include <algorithm>
#include <array>
#include <cmath>

namespace reference {

template <class T>
T relu(T x) {
  return x > 0 ? x : T(0);
}
template <class T>
T relu_derivative(T x) {
  return x > 0 ? T(1) : T(0);
}

/// ReLU^2 (So et al. 2021, "Primer").
template <class T>
T squared_relu(T x) {
  return x > 0 ? x * x : T(0);
}
template <class T>
T squared_relu_derivative(T x) {
  return x > 0 ? 2 * x : T(0);
}

/// 1 / (1 + e^-x), written for either sign so that the exponential never overflows.
template <class T>
T sigmoid(T x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
/// s (1 - s), where 1 - s(x) = s(-x) does not cancel.
template <class T>
T sigmoid_derivative(T x) {
  return sigmoid(x) * sigmoid(-x);
}

template <class T>
T hyperbolic_tangent(T x) {
  return std::tanh(x);
}
/// 1 - tanh^2 = 1 / cosh^2, which does not cancel.
template <class T>
T hyperbolic_tangent_derivative(T x) {
  return 1 / std::cosh(x) / std::cosh(x);
}

/// x s(x) (Elfwing et al. 2017; Ramachandran et al. 2017).
template <class T>
T silu(T x) {
  return x * sigmoid(x);
}
template <class T>
T silu_derivative(T x) {
  return sigmoid(x) + x * sigmoid_derivative(x);
}

/// x Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016). erfc keeps the small numbers of the
/// negative side, where 1 + erf cancels.
template <class T>
T gelu(T x) {
  return x * std::erfc(-x / std::sqrt(T(2))) / 2;
}
template <class T>
T gelu_derivative(T x) {
  const T pi = std::acos(T(-1));
  const T density = std::exp(-x * x / 2) / std::sqrt(2 * pi);
  return std::erfc(-x / std::sqrt(T(2))) / 2 + x * density;
}

/// x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), the same paper's approximation.
/// (1 + tanh u) / 2 = s(2 u), which does not cancel.
template <class T>
T gelu_tanh(T x) {
  const T pi = std::acos(T(-1));
  const T u = std::sqrt(2 / pi) * (x + T(0.044715L) * x * x * x);
  return x * sigmoid(2 * u);
}
template <class T>
T gelu_tanh_derivative(T x) {
  const T pi = std::acos(T(-1));
  const T u = std::sqrt(2 / pi) * (x + T(0.044715L) * x * x * x);
  const T du = std::sqrt(2 / pi) * (1 + 3 * T(0.044715L) * x * x);
  const T slope = sigmoid_derivative(2 * u);
  // Far out the slope is zero and du may be infinite.
  return slope == 0 ? sigmoid(2 * u) : sigmoid(2 * u) + x * slope * 2 * du;
}

/// x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, "MobileNetV3").
template <class T>
T hard_swish(T x) {
  return x * (std::min)((std::max)(x + 3, T(0)), T(6)) / 6;
}
template <class T>
T hard_swish_derivative(T x) {
  if (x <= -3) return 0;
  if (x >= 3) return 1;
  return x / 3 + T(0.5);
}

template <class T>
struct Activation {
  const char* name;
  T (*value)(T);
  T (*derivative)(T);
};

/// All of them, for sweeps.
template <class T = double>
std::array<Activation<T>, 8> activations() {
  return {{{"relu", relu<T>, relu_derivative<T>},
           {"squared_relu", squared_relu<T>, squared_relu_derivative<T>},
           {"sigmoid", sigmoid<T>, sigmoid_derivative<T>},
           {"tanh", hyperbolic_tangent<T>, hyperbolic_tangent_derivative<T>},
           {"silu", silu<T>, silu_derivative<T>},
           {"gelu", gelu<T>, gelu_derivative<T>},
           {"gelu_tanh", gelu_tanh<T>, gelu_tanh_derivative<T>},
           {"hard_swish", hard_swish<T>, hard_swish_derivative<T>}}};
}

}  // namespace reference
