/** Graphs of one product for onnxruntime, in protobuf's wire format. */

/** How the operands are stored. */
export interface Transposes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** `C = op(A) op(B)` with free sizes: ONNX IR 8, opset 17. MatMul, or Gemm where an operand is transposed. */
export function encodeGemmModel({ transposeA, transposeB }: Transposes): Uint8Array {
  const operator = transposeA || transposeB ? "Gemm" : "MatMul";
  const node = [
    ...[...text(1, "A"), ...text(1, "B"), ...text(2, "C"), ...text(4, operator)],
    ...(operator === "Gemm" ? [...flag("transA", transposeA), ...flag("transB", transposeB)] : []),
  ];
  const graph = [
    ...[...message(1, node), ...text(2, "g")],
    ...[...message(11, value("A")), ...message(11, value("B")), ...message(12, value("C"))],
  ];
  return new Uint8Array([...integer(1, 8), ...message(7, graph), ...message(8, integer(2, 17))]);
}

/** An attribute of a node with an integer value. */
function flag(name: string, isSet: boolean): number[] {
  const INT = 2;
  return message(5, [...text(1, name), ...integer(3, Number(isSet)), ...integer(20, INT)]);
}

/** A float32 matrix with free sizes. */
function value(name: string): number[] {
  const dims = [...message(1, text(2, `${name}0`)), ...message(1, text(2, `${name}1`))];
  const tensor = [...integer(1, 1), ...message(2, dims)];
  return [...text(1, name), ...message(2, message(1, tensor))];
}

function varint(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)];
}

function message(field: number, body: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(body.length), ...body];
}

function integer(field: number, n: number): number[] {
  return [...varint(field * 8), ...varint(n)];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}
