/**
 * Which kernels each device uses, and what cannot be combined with those of a GPU.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import { type BackendName, onnx } from "../../kernels/mod.ts";
import { flagOf } from "./option_names.ts";
import type { ExactSpread } from "./exact_rules.ts";

/** Kernels that a device may use: backends of its own memory, or graphs that onnxruntime runs. */
export const KERNEL_NAMES = ["wasm", "reference", "webgpu", "onnx"] as const;
/** One of {@link KERNEL_NAMES}. */
export type KernelName = typeof KERNEL_NAMES[number];

/** The part of a configuration that graphs depend on. */
export interface GraphSpread extends ExactSpread {
  /** Names by rank, joined by commas; the last one is that of all further ranks. */
  readonly kernels: string;
  /** Experts per layer. */
  readonly experts: number;
  /** What the data axis shards. */
  readonly zero: number;
  /** Only these parameters are trained. */
  readonly train?: string;
  /** Adapters are. */
  readonly loraRank?: number;
  /** Adapters are, of a directory. */
  readonly adapter?: string;
  /** Weights that are zero stay zero. */
  readonly keepZeros?: boolean;
}

/** The kernels of a rank. */
export function kernelsOfRank({ kernels }: Pick<GraphSpread, "kernels">, rank: number): KernelName {
  const names = kernels.split(",");
  return names[Math.min(rank, names.length - 1)] as KernelName;
}

/** The backend of a device's own memory, which collectives and checkpoints work on, too. */
export function hostKernels(name: KernelName): BackendName {
  return name === "reference" ? "reference" : "wasm";
}

/** Where onnxruntime computes for a device; undefined if the device computes in its own memory. */
export function graphProvider(name: KernelName): onnx.Provider | undefined {
  return name === "webgpu" ? "webgpu" : name === "onnx" ? "wasm" : undefined;
}

/** Whether some device of a run computes on a GPU. */
export function usesGpu({ kernels }: Pick<GraphSpread, "kernels">): boolean {
  return kernels.split(",").includes("webgpu");
}

/**
 * Refuses names that do not exist, and what graphs cannot do, each with its reason.
 *
 * @throws {UsageError} Says what does not go together, and what to do.
 */
export function checkKernels(config: GraphSpread): void {
  const names = config.kernels.split(","), known: readonly string[] = KERNEL_NAMES;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(
      `Cannot use --kernels ${config.kernels}: it must be one of ${known.join(", ")}, auto, ` +
        `or one of them for each rank, as in wasm,webgpu`,
    );
  }
  const world = config.dp * config.pp * config.tp * config.cp * config.ep;
  if (names.length > world) {
    throw new UsageError(
      `Cannot use --kernels ${config.kernels}: it names ${names.length} devices and there are ${world}; ` +
        `name at most ${world}`,
    );
  }
  const graph = names.find((name) => graphProvider(name as KernelName) !== undefined);
  const conflict = graph === undefined ? undefined : graphConflict(config);
  if (conflict === undefined) return;
  throw new UsageError(
    `Cannot use ${conflict.option} with --kernels ${graph}: ${conflict.why}; or use --kernels wasm`,
  );
}

/** What of a configuration graphs cannot do; undefined if they can do all of it. */
export function graphConflict(
  config: GraphSpread,
): { readonly option: string; readonly why: string } | undefined {
  for (const axis of ["tp", "cp", "ep"] as const) {
    if (config[axis] === 1) continue;
    const why = `devices would exchange tensors inside a graph; use --${axis} 1`;
    return { option: `--${axis} ${config[axis]}`, why };
  }
  const conflicts: [isUsed: boolean, option: string, why: string][] = [
    [
      config.experts > 0,
      `--experts ${config.experts}`,
      "the choice of experts has no ONNX form; use --experts 0",
    ],
    ...(["train", "loraRank", "adapter"] as const).map((key): [boolean, string, string] => [
      config[key] !== undefined,
      `${flagOf(key)} ${config[key]}`,
      "a graph makes the gradients of all parameters; leave it out",
    ]),
    [config.keepZeros === true, "--keep-zeros", "a graph updates all weights; leave it out"],
    [config.zero > 0, `--zero ${config.zero}`, "moments stay whole where they are updated; use --zero 0"],
    [
      config.numerics === "exact",
      "--numerics exact",
      "a GPU sums in an order of its own; use --numerics fast",
    ],
    [
      config.precision !== "f32",
      `--precision ${config.precision}`,
      "graphs are float32; use --precision f32",
    ],
    [
      config.recompute !== "none",
      `--recompute ${config.recompute}`,
      "a graph keeps what its gradients read; use --recompute none",
    ],
    [
      config.pp > 1 && config.schedule === "zero-bubble",
      "--schedule zero-bubble",
      "a graph makes both kinds of gradients at once; use --schedule 1f1b",
    ],
  ];
  const found = conflicts.find(([isUsed]) => isUsed);
  return found && { option: found[1], why: found[2] };
}

/**
 * Refuses a GPU for samples that hold several documents.
 *
 * @throws {UsageError} Says what to use.
 */
export function checkDocumentKernels({ kernels }: Pick<GraphSpread, "kernels">): void {
  const graph = kernels.split(",").find((name) => graphProvider(name as KernelName) !== undefined);
  if (graph === undefined) return;
  throw new UsageError(
    `Cannot use --kernels ${graph} for samples of several documents: which keys a token sees has no ONNX form ` +
      "while it is training; use --kernels wasm",
  );
}

/** What `--kernels auto` has found. */
export interface SettledKernels {
  /** Without `auto`. */
  readonly kernels: string;
  /** Whether the run may go on with wasm if the GPU fails. */
  readonly mayFallBack: boolean;
  /** One line on why a GPU is, or is not, used; undefined if nobody asked. */
  readonly statement?: string;
}

/**
 * Settles what `auto` means here: a GPU if there is one that can run this, otherwise wasm.
 *
 * @param find Looks for a GPU.
 */
export async function settleKernels(
  config: GraphSpread,
  find: () => Promise<onnx.AdapterFinding> = onnx.findAdapter,
): Promise<SettledKernels> {
  if (config.kernels !== "auto") return { kernels: config.kernels, mayFallBack: false };
  const conflict = graphConflict(config);
  if (conflict !== undefined) {
    const statement = `wasm kernels, as ${conflict.option} does not run on a GPU: ${conflict.why}`;
    return { kernels: "wasm", mayFallBack: false, statement };
  }
  const { isAvailable, isSoftware, reason } = await find();
  if (isAvailable && !isSoftware) {
    return { kernels: "webgpu", mayFallBack: true, statement: `webgpu kernels on ${reason}` };
  }
  const why = isAvailable
    ? `${reason} is software, slower than wasm; --kernels webgpu takes it`
    : `there is ${reason}`;
  return { kernels: "wasm", mayFallBack: false, statement: `wasm kernels, as ${why}` };
}

/**
 * Checks that there is a GPU if a device wants one.
 *
 * @throws {GpuError} Says what to do.
 */
export async function checkGpu(
  config: Pick<GraphSpread, "kernels">,
  find: () => Promise<onnx.AdapterFinding> = onnx.findAdapter,
): Promise<void> {
  if (!usesGpu(config)) return;
  const { isAvailable, reason } = await find();
  if (!isAvailable) {
    throw new onnx.GpuError(`Cannot use --kernels ${config.kernels}: there is ${reason}, or --kernels auto`);
  }
}
