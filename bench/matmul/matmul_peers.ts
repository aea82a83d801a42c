import { FAST_FLAGS } from "../../kernels/mod.ts";
import type { Row, Style } from "../comparison.ts";
import type { MatmulAnswer, MatmulTask } from "./matmul_contestant.ts";
import { MATMUL_SHAPES } from "./matmul.ts";
import { countFor, describeShape, type MatmulShape, operationsOf } from "./matmul_shapes.ts";
import { type Entry, type Lineup, openAll } from "../peer.ts";
import { measureInTurn } from "../rounds.ts";
import { denoCommand, NPM_PERMISSIONS, openServed } from "../served_process.ts";

/** A lineup of `bench matmul --peers`. */
export type MatmulLineup = Lineup<MatmulTask, MatmulAnswer>;

/** How its figures are shown. */
export const MATMUL_STYLE: Style = {
  what: "m x n x k",
  unit: "GFLOP/s on one thread",
  show: ({ speed }) => speed.toFixed(1),
};

function entry(
  name: string,
  program: string,
  options: { permissions: readonly string[]; v8Flags?: string; isOurs?: boolean },
): Entry<MatmulTask, MatmulAnswer> {
  return { name, open: () => openServed(denoCommand(name, program, options), options) };
}

const OURS = [
  entry("fast", "./matmul/matmul_program.ts", {
    permissions: ["--allow-read"],
    v8Flags: FAST_FLAGS,
    isOurs: true,
  }),
  entry("plain", "./matmul/matmul_program.ts", { permissions: ["--allow-read"], isOurs: true }),
];
const PEERS = [
  entry("OpenBLAS", "./peers/openblas_matmul.ts", { permissions: ["--allow-ffi"] }),
  entry("onnxruntime-web", "./peers/onnx_matmul.ts", { permissions: NPM_PERMISSIONS }),
  entry("TensorFlow.js", "./peers/tfjs_matmul.ts", { permissions: NPM_PERMISSIONS }),
  entry("jax-js", "./peers/jax_matmul.ts", { permissions: NPM_PERMISSIONS }),
];

/** Starts all who take part. */
export function openMatmulLineup({ hasPeers = true }: { hasPeers?: boolean } = {}): Promise<MatmulLineup> {
  return openAll(hasPeers ? [...OURS, ...PEERS] : OURS);
}

/** Work of one answer, in operations: some 5 ms at 100 GFLOP/s. */
const ANSWER_OPERATIONS = 5e8;
const ROUNDS = 9, ROUNDS_OF_LARGE = 5;

/** Measures products on all contestants in turn. */
export async function* compareMatmul(
  { contestants }: MatmulLineup,
  shapes: readonly MatmulShape[] = MATMUL_SHAPES,
  { rounds }: { rounds?: number } = {},
): AsyncGenerator<Row> {
  for (const shape of shapes) {
    const work = operationsOf(shape), isLarge = work > ANSWER_OPERATIONS;
    const task = { ...shape, count: countFor(shape, ANSWER_OPERATIONS) };
    const count = rounds ?? (isLarge ? ROUNDS_OF_LARGE : ROUNDS);
    const { ms, first } = await measureInTurn(contestants, task, count);
    checkAgreement(shape, first);
    // ms and operations: a speed in GFLOP/s is operations / ms / 1e6.
    yield { label: describeShape(shape), ms, work: work / 1e6 };
  }
}

/** A peer that computed something else would be no comparison. */
function checkAgreement(shape: MatmulShape, answers: ReadonlyMap<string, MatmulAnswer>): void {
  const [[firstName, { last: expected }], ...others] = answers;
  for (const [name, { last }] of others) {
    // Sums of k products of numbers up to 1/2, in any order, in float32.
    if (Math.abs(last - expected) <= shape.k * 0.25 * 2 ** -20) continue;
    throw new Error(`${describeShape(shape)}: ${name} gives ${last}, ${firstName} gives ${expected}`);
  }
}
