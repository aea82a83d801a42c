import { fillPieces } from "../checkpoint/mod.ts";
import { BLOCK_WEIGHTS, blockFormatOf, type TensorIndex, TensorReader } from "../files/mod.ts";
import { type DeviceHeap, panelsAt, placeBlocks, placeWeights, type WeightFormat } from "../kernels/mod.ts";
import { eachRun, type Parameter, type ParameterUse, type Shape } from "../nn/mod.ts";

/** What weights are computed with. */
export type WeightChoice = "f32" | WeightFormat;

/** Formats of the parameters of a model that is run in one of them. */
export function formatsOf(choice: WeightChoice) {
  if (choice === "f32") return undefined;
  return (name: string, { inputsDim, of }: ParameterUse, shape: Shape): WeightFormat | undefined => {
    // Adapters are small, and not trained to be rounded.
    if (shape[inputsDim] % BLOCK_WEIGHTS !== 0 || /\.lora_[AB]\./.test(name)) return undefined;
    // Four bits of a vocabulary cost more than they save.
    return choice === "q4_0" && of !== "layer" ? "q8_0" : choice;
  };
}

/**
 * Reads this device's parts of all parameters from the files to their places: the model is in memory once. Those with a
 * format are rounded on the way.
 *
 * Cost: a pass over the files; about 10 ns for each weight that is rounded.
 */
export function loadWeights(heap: DeviceHeap, parameters: readonly Parameter[], tensors: TensorIndex): void {
  const isPlain = ({ packing }: Parameter) => packing === undefined;
  const pieces = parameters.filter(isPlain).map((parameter) => ({
    parameter,
    start: 0,
    values: parameter.span,
  }));
  fillPieces(heap, pieces, ({ values }) => values, tensors);
  using reader = new TensorReader();
  for (const parameter of parameters) {
    const { packing } = parameter;
    if (packing !== undefined && packing !== "f32") loadPanels(heap, parameter, packing, { reader, tensors });
  }
}

interface Source {
  readonly reader: TensorReader;
  readonly tensors: TensorIndex;
}

function loadPanels(
  heap: DeviceHeap,
  parameter: Parameter,
  format: WeightFormat,
  { reader, tensors }: Source,
): void {
  const { name, span, use, shape, globalShape, shard } = parameter, { inputsDim } = use!;
  const inputs = shape[inputsDim], panels = panelsAt(heap, span, format, inputs), tensor = tensors.get(name)!;
  const place = (output: number, weights: Float32Array) => placeWeights(panels, output, weights);
  // Blocks of that format are taken as they are.
  let isAligned = inputsDim === 1;
  eachRun(globalShape, shard, (_, global, length) => {
    isAligned &&= global % BLOCK_WEIGHTS === 0 && length % inputs === 0;
  });
  if (isAligned && format !== "bf16" && blockFormatOf(tensor.dtype) === format) {
    eachRun(globalShape, shard, (local, global, length) => {
      for (let done = 0; done < length; done += inputs) {
        const blocks = reader.readBlocks(tensor, global + done, inputs);
        placeBlocks(panels, format, (local + done) / inputs, blocks);
      }
    });
    return;
  }
  // Rows of outputs are placed as they come; others only when all are there.
  const numRows = inputsDim === 1 ? 1 : shape[0], rows = new Float32Array(numRows * shape[1]);
  eachRun(globalShape, shard, (local, global, length) => {
    reader.visit(tensor, { start: global, length }, (values, offset) => {
      for (let done = 0; done < values.length;) {
        const at = (local + offset + done) % rows.length,
          count = Math.min(values.length - done, rows.length - at);
        rows.set(values.subarray(done, done + count), at);
        done += count;
        if (inputsDim === 1 && at + count === inputs) {
          place(Math.floor((local + offset + done - 1) / inputs), rows);
        }
      }
    });
  });
  if (inputsDim === 1) return;
  const column = new Float32Array(inputs), outputs = shape[1];
  for (let output = 0; output < outputs; output++) {
    for (let i = 0; i < inputs; i++) column[i] = rows[i * outputs + output];
    place(output, column);
  }
}
