/**
 * Parallel plans: which layers of a model are split over the devices of a tensor group, and how, as data. A plan is
 * written by the owner of a model, by names of its layers.
 *
 * Source: Shoeybi et al., Megatron-LM, 2019, section 3 (column, row, vocabulary); Korthikanti et al., Reducing Activation
 * Recomputation in Large Transformer Models, MLSys 2023, section 4.2 (sequence parallelism).
 */

/**
 * How one layer is split:
 * - `column`: its outputs, so that each device computes some of them from the whole input. The width consists of `parts`
 *   fused parts (3 for q, k, v), each split by whole `unit`s (the width of a head); by default one part and units of 1.
 *   Parts of unequal widths are a list: how many units each deals out at a time. `[4, 1, 1]` are q, k and v where four
 *   heads of q read one of k and v: they go to a device together.
 * - `row`: its inputs by whole units; products are summed over devices, and the bias is added once.
 * - `heads`: not split; a device applies it to its heads, so that its gradient is a sum over devices. A norm of heads.
 * - `vocab`: the rows of an embedding table.
 * - `head`: the output classes of a last layer, whose logits go straight to `crossEntropy`. With `table`, the layer is a
 *   `Head` over the table of the layer of that name (which is `vocab`, or the head itself); without, a `Linear`.
 * - `local`: not split; under sequence parallelism it sees this device's rows of its input.
 * - `whole`: not split; under sequence parallelism it sees all rows on every device.
 * - `mixture`: a layer of experts: under sequence parallelism it sees all rows on every device, and gives this device's.
 *   The layers inside it (`column`, `row`) work on tokens sorted by expert, so their rows are never spread.
 *
 * Weights are [inputs, outputs], or with `outputsFirst` [outputs, inputs]. What is split by heads may have a
 * {@link HeadSharing}.
 *
 * Layers that a plan does not name are not split; under sequence parallelism they must see this device's rows.
 */
export type LayerSplit =
  | (SplitWidth & { readonly kind: "column"; readonly parts?: number | readonly number[] })
  | (SplitWidth & { readonly kind: "row" })
  | (HeadSharing & { readonly kind: "heads"; readonly heads: number })
  | { readonly kind: "vocab" }
  | { readonly kind: "head"; readonly table?: string }
  | { readonly kind: "local" }
  | { readonly kind: "whole" }
  | { readonly kind: "mixture" };

/** What of a width is dealt out, and which dim it is. */
export interface SplitWidth extends HeadSharing {
  /** Elements that stay together; by default 1. */
  readonly unit?: number;
  /** The weight is [outputs, inputs]. */
  readonly outputsFirst?: boolean;
}

/**
 * How heads of q share those of k and v. A group of heads of q reads one head of k and v: it goes to one device, or is
 * shared out where there are more devices than groups, each of which then holds that head of k and v.
 */
export interface HeadSharing {
  /** Of heads of q: the number of their groups; by default as many. */
  readonly groups?: number;
  /** Of heads of k and v: the number of heads of q that read them all. */
  readonly readers?: number;
}

/** Splits by names of layers, in which `*` stands for one component: `h.*.attn.c_attn`. The first match counts. */
export type ParallelPlan = Readonly<Record<string, LayerSplit>>;

/** A place in a tensor group. */
export interface GroupPlace {
  /** Number of devices. */
  readonly size: number;
  /** Which of them, from 0. */
  readonly index: number;
}

/** How the layer at a path is split; undefined if the plan does not name it. */
export function splitOf(plan: ParallelPlan, path: string): LayerSplit | undefined {
  for (const pattern in plan) if (matchesPattern(pattern, path)) return plan[pattern];
  return undefined;
}

/** Whether a layer lies inside of a layer of experts. */
export function isInMixture(plan: ParallelPlan, path: string): boolean {
  const names = path.split(".");
  return Object.entries(plan).some(([pattern, { kind }]) => {
    const length = pattern.split(".").length;
    return kind === "mixture" && length < names.length &&
      matchesPattern(pattern, names.slice(0, length).join("."));
  });
}

/** Full name of the layer that a parameter belongs to. */
export function layerOf(parameter: string): string {
  return parameter.slice(0, Math.max(0, parameter.lastIndexOf(".")));
}

/** Whether a pattern of a plan names the layer at a path. */
export function matchesPattern(pattern: string, path: string): boolean {
  const wanted = pattern.split("."), names = path.split(".");
  return wanted.length === names.length && wanted.every((part, i) => part === "*" || part === names[i]);
}
