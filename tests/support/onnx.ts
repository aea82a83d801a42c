/** Runs parts of graphs on onnxruntime's wasm backend. */
import { onnx } from "../../kernels/mod.ts";

/** The runtime of this test process; loading it takes a second. */
export const runtime = await onnx.openRuntime("wasm");

/** What outputs are for some inputs. */
export async function evaluate(
  outputs: readonly onnx.Value[],
  inputs: ReadonlyMap<onnx.Value, Float32Array | Int32Array>,
): Promise<Float32Array[]> {
  const program = await runtime.compile(onnx.partOf(outputs[0].graph, outputs));
  const feeds = new Map([...inputs].map(([value, elements]) => {
    return [value, runtime.feed(elements, value.shape as number[])] as const;
  }));
  const results = await program.run(feeds);
  const reads = outputs.map((value) => ({
    tensor: results.get(value)!,
    into: new Float32Array(onnx.countElements(value.shape)),
  }));
  await runtime.read(reads);
  return reads.map(({ into }) => into);
}
