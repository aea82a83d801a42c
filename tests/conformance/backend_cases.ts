import type { Backend, DeviceHeap } from "../../kernels/mod.ts";
import { ATTENTION_CASES } from "./attention_cases.ts";
import { BackendPair } from "./backend_pair.ts";
import { EXPERT_CASES } from "./expert_cases.ts";
import { ELEMENT_CASES } from "./element_cases.ts";
import { MATMUL_CASES } from "./matmul_cases.ts";
import { ROW_CASES } from "./row_cases.ts";
import { ROW_KERNEL_CASES } from "./row_kernel_cases.ts";
import { SHARED_HEAD_CASES } from "./shared_head_cases.ts";
import { SPREAD_LOSS_CASES } from "./spread_loss_cases.ts";
import { TREE_CASES } from "./tree_cases.ts";

/** Registers the suite that every backend passes; bounds follow from float32 arithmetic. */
export function testBackend(name: string, create: (heap: DeviceHeap) => Backend, startBytes = 0): void {
  const cases = {
    ...ELEMENT_CASES,
    ...ROW_CASES,
    ...ROW_KERNEL_CASES,
    ...SPREAD_LOSS_CASES,
    ...TREE_CASES,
    ...MATMUL_CASES,
    ...ATTENTION_CASES,
    ...SHARED_HEAD_CASES,
    ...EXPERT_CASES,
  };
  for (const [title, run] of Object.entries(cases)) {
    Deno.test(`${name}: ${title}`, () => run(new BackendPair(create, startBytes)));
  }
}
