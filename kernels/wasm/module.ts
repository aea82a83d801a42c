import type { DeviceHeap } from "../memory/heap.ts";
import { addRowKernels } from "../rows/wasm.ts";
import { addAttentionRows } from "./attention_rows.ts";
import { type Kernels, ModuleBuilder } from "./builder.ts";
import { compileOnce } from "./compile_once.ts";
import { addElementwise, addEpilogues } from "./elementwise.ts";
import { addExperts } from "./experts.ts";
import { addFewRows, addGemm, type Tile } from "./gemm.ts";
import { addLoss } from "./loss.ts";
import { addOptimizer } from "./optimizer.ts";
import { addRotary } from "./rotary.ts";
import { addSingleRow } from "./single_row.ts";
import { addSpreadLoss } from "./spread_loss.ts";
import { addSumUnits } from "./sum_units.ts";
import { addTreeGemm } from "./tree_gemm.ts";
import { addTreeScatter } from "./tree_scatter.ts";

/** The module with every kernel of a device; emitted and compiled once per tile. */
export function kernelModule(tile: Tile): WebAssembly.Module {
  return compileOnce(`kernels, ${tile.rows} x ${tile.vectors}`, () => {
    const builder = new ModuleBuilder();
    addGemm(builder, tile);
    addFewRows(builder, tile);
    addSingleRow(builder, tile);
    addTreeGemm(builder, tile);
    addEpilogues(builder);
    addAttentionRows(builder);
    addElementwise(builder);
    addRowKernels(builder);
    addRotary(builder);
    addSumUnits(builder);
    addTreeScatter(builder);
    addLoss(builder);
    addSpreadLoss(builder);
    addExperts(builder);
    addOptimizer(builder);
    return builder.encode();
  });
}

/** Kernels bound to the memory of a heap; none for a phantom heap, which has no memory to compute on. */
export function instantiateKernels(heap: DeviceHeap, tile: Tile): Kernels {
  if (heap.memory === undefined) return {};
  const env = { memory0: heap.memory };
  return new WebAssembly.Instance(kernelModule(tile), { env }).exports as Kernels;
}
