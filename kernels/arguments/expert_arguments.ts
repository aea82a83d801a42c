/**
 * Arguments of the operations of a mixture of experts: which tokens go to which expert, and moving their rows.
 *
 * A router decides within fixed units of consecutive tokens. Expert e has `capacity` slots for each unit; slot
 * `(e * units + u) * capacity + place` is the row of its buffer that the place-th token of unit u gets.
 *
 * Sources: Shazeer et al., Outrageously Large Neural Networks, ICLR 2017 (top-k gating); Lepikhin et al., GShard, 2020
 * (capacity within local groups); Fedus et al., Switch Transformers, JMLR 2022, section 2.2 (load loss).
 *
 * @module
 */
import type { Span } from "../memory/span.ts";

/** Sizes of a routing plan. */
export interface RouteSizes {
  /** Groups of consecutive tokens; each is routed as if it were alone. */
  readonly units: number;
  /** Tokens of a unit. */
  readonly unitTokens: number;
  /** Number of experts. */
  readonly experts: number;
  /** Experts that a token asks for: k of top-k. */
  readonly choices: number;
  /** Slots of each expert for each unit. */
  readonly capacity: number;
  /** Weights of a token's choices are shares in their sum; by default they are if there are several. */
  readonly sharesWeights?: boolean;
}

/** Whether weights of choices are shares in their sum. */
export function sharesWeights({ choices, sharesWeights = choices > 1 }: RouteSizes): boolean {
  return sharesWeights;
}

/**
 * For each token, its `choices` most probable live experts, the lower index first where probabilities are equal. Slots
 * are given out in the order of tokens, and of choices within a token; who comes after `capacity` gets none.
 *
 * The weight of a choice is its probability or its share in the sum of the chosen ones: see `sharesWeights`.
 * `losses[u] = lossFactor * sum over e of wanted[u][e] * (sum over the unit of probabilities[t][e])`.
 */
export interface RouteArgs extends RouteSizes {
  /** [tokens, experts]. */
  readonly probabilities: Span;
  /** [experts]: 0, or -Infinity where the expert is dead; at least `choices` experts must live. */
  readonly mask: Span;
  /** Makes an imbalance a loss. */
  readonly lossFactor: number;
  /** i32 [tokens, choices]: the experts. */
  readonly chosen: Span;
  /** [tokens, choices]: what their results count for. */
  readonly weights: Span;
  /** i32 [tokens, choices]: the slot of each choice, negative if it was dropped. */
  readonly slots: Span;
  /** i32 [experts * units * capacity]: the token in each slot, negative if it is empty. */
  readonly slotTokens: Span;
  /** [experts * units * capacity]: the weight of the choice in each slot, 0 if it is empty. */
  readonly slotWeights: Span;
  /** i32 [units, experts]: choices of each expert, dropped ones included. */
  readonly wanted: Span;
  /** [units]. */
  readonly losses: Span;
}

/**
 * Gradient of the probabilities: that of the weights, and `lossFactor * wanted[u][e]` of the loss. Which experts were
 * chosen is a constant.
 */
export interface RouteBackwardArgs extends RouteSizes {
  /** [tokens, experts]. */
  readonly probabilities: Span;
  /** i32 [tokens, choices]. */
  readonly chosen: Span;
  /** [tokens, choices]. */
  readonly weights: Span;
  /** i32 [units, experts]. */
  readonly wanted: Span;
  /** [tokens, choices]. */
  readonly dWeights: Span;
  /** That of the forward pass times the gradient of the losses. */
  readonly lossFactor: number;
  /** [tokens, experts], overwritten. */
  readonly dProbabilities: Span;
}

/**
 * `out[r] = sum over i of weights[r][i] * table[ids[r][i]]`, in the order of i; a negative id adds nothing. Without
 * weights and with one id it gathers rows.
 */
export interface CombineRowsArgs {
  /** Rows of the result. */
  readonly rows: number;
  /** Elements of a row. */
  readonly cols: number;
  /** Terms of each sum. */
  readonly count: number;
  /** i32 [rows, count]. */
  readonly ids: Span;
  /** [rows, count]; by default all are 1. */
  readonly weights?: Span;
  /** [number of rows of the table, cols]. */
  readonly table: Span;
  /** [rows, cols]. */
  readonly out: Span;
  /** `out += ...`; by default it is overwritten. */
  readonly accumulate?: boolean;
}

/** `out[r][i] = x[r] . table[ids[r][i]]`, 0 for a negative id: gradient of the weights of {@link CombineRowsArgs}. */
export interface ChoiceDotsArgs {
  /** Rows of x. */
  readonly rows: number;
  /** Elements of a row. */
  readonly cols: number;
  /** Products for each row. */
  readonly count: number;
  /** i32 [rows, count]. */
  readonly ids: Span;
  /** [rows, cols]. */
  readonly x: Span;
  /** [number of rows of the table, cols]. */
  readonly table: Span;
  /** [rows, count]. */
  readonly out: Span;
}
