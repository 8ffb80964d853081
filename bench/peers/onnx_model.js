// SPDX-License-Identifier: MIT
// The little of ONNX's format that a graph of a few nodes needs, so that no package but the runtime is asked for: a
// model is a protocol buffer, fields of numbers, of bytes and of further messages (onnx.proto3 of the ONNX project says
// which number is which field).
'use strict';

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, content) => Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
const text = (field, content) => bytes(field, Buffer.from(content, 'utf8'));
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));

function float(field, value) {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), content]);
}

const FLOAT = 1;
const INT32 = 6;

const type = (element, dimensions) =>
  message(2, message(1, number(1, element), message(2, ...dimensions.map((d) => message(1, number(1, d))))));
const value = (field, name, dimensions, element = FLOAT) => message(field, text(1, name), type(element, dimensions));

/** A weight that the runtime may arrange as it likes when it loads the model. */
const initializer = (name, dimensions, data, element = FLOAT) =>
  message(5, ...dimensions.map((d) => number(1, d)), number(2, element), text(8, name),
    bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)));

function attribute(name, setting) {
  if (Number.isInteger(setting)) return message(5, text(1, name), number(3, setting), number(20, 2));
  if (typeof setting === 'number') return message(5, text(1, name), float(2, setting), number(20, 1));
  if (setting instanceof Float) return message(5, text(1, name), float(2, setting.value), number(20, 1));
  return message(5, text(1, name), bytes(4, Buffer.from(setting, 'utf8')), number(20, 3));
}

/** A number that is a float in the format even where it is whole. */
class Float {
  constructor(number_) {
    this.value = number_;
  }
}

/** node({operator, inputs, outputs, attributes, domain}); an input '' is left out. */
const node = ({ operator, inputs, outputs, attributes = {}, domain = '' }) =>
  message(1, ...inputs.map((name) => text(1, name)), ...outputs.map((name) => text(2, name)), text(4, operator),
    ...Object.entries(attributes).map(([name, setting]) => attribute(name, setting)), text(7, domain));

/** A model of nodes, weights, and inputs and outputs as [name, dimensions]. */
function model({ nodes, weights = [], inputs, outputs }) {
  const graph = message(7, ...nodes, text(2, 'work'), ...weights, ...inputs.map((each) => value(11, ...each)),
    ...outputs.map((each) => value(12, ...each)));
  const operators = (domain, version) => message(8, text(1, domain), number(2, version));
  return Buffer.concat([number(1, 8), graph, operators('', 17), operators('com.microsoft', 1)]);
}

module.exports = { Float, INT32, initializer, model, node };
