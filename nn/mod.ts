/**
 * Tensors, the tape, layers and models of one device. Nothing here knows ranks or groups, so a model on one device
 * is the reference that every layout is compared with.
 *
 * @example A model of your own: a module whose default export builds it
 * ```ts
 * import { crossEntropy, Linear, type Model, relu, type Scope } from "@tessera/tessera/nn";
 *
 * export default function build(scope: Scope, config: { hidden: number }): Model {
 *   const first = new Linear(scope.child("first"), { inputs: 784, outputs: config.hidden });
 *   const second = new Linear(scope.child("second"), { inputs: config.hidden, outputs: 10 });
 *   return {
 *     loss(tape, images, digits) {
 *       return crossEntropy(tape, second.forward(tape, relu(tape, first.forward(tape, images))), digits);
 *     },
 *   };
 * }
 * ```
 *
 * @module
 */
export * from "./ops/attention_inputs.ts";
export * from "./entry.ts";
export * from "./decoder_layers.ts";
export * from "./exact_sums.ts";
export * from "./gradients.ts";
export * from "./layers.ts";
export * from "./loss.ts";
export * from "./lower_adamw.ts";
export * from "./lowering.ts";
export * from "./moe.ts";
export * from "./model.ts";
export * from "./ops/attention.ts";
export * from "./ops/attention_arguments.ts";
export * from "./ops/elementwise.ts";
export * from "./ops/experts.ts";
export * from "./ops/grouped_linear.ts";
export * from "./ops/head_norm.ts";
export * from "./ops/linear.ts";
export * from "./ops/loss.ts";
export * from "./ops/router.ts";
export * from "./ops/paged_attention.ts";
export * from "./ops/places.ts";
export * from "./ops/rotary.ts";
export * from "./ops/rows.ts";
export * from "./ops/swiglu.ts";
export * from "./optim.ts";
export * from "./pack_weights.ts";
export * from "./random.ts";
export * from "./recompute.ts";
export * from "./recompute_mode.ts";
export * from "./scope.ts";
export * from "./shape.ts";
export * from "./shard.ts";
export * from "./sum_chunks.ts";
export * from "./tape.ts";
export * from "./tape_options.ts";
export * from "./tensor.ts";
