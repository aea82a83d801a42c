/**
 * What data were: kept in checkpoints, so that a run does not go on with other data without a word.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { ArrayData, DataSpec } from "./data_spec.ts";
import { visitSpread } from "./spread_blocks.ts";
import type { Tokens } from "./tokens.ts";

/** Identity of data. */
export interface Fingerprint {
  /** Tokens or samples, all of them. */
  readonly length: number;
  /** SHA-256 over them in hex, of large data over blocks that are spread evenly, and over how they are divided. */
  readonly hash: string;
}

/** Finds the identity of data. Cost: reads up to 64 MiB, of larger data a few MiB. */
export function fingerprintOf(spec: DataSpec): Fingerprint {
  const hash = createHash("sha256");
  const add = (tokens: Tokens) => {
    hash.update(`${tokens.dtype} ${tokens.length};`);
    // A copy, as shared memory cannot be hashed.
    visitSpread(tokens, (block) => hash.update(new Uint8Array(block.slice().buffer)));
  };
  if (spec.kind === "tokens") {
    add(spec.tokens);
    if (spec.validationTokens !== undefined) add(spec.validationTokens);
    return { length: spec.tokens.length, hash: hash.digest("hex") };
  }
  hash.update(`${spec.numTrain} [${spec.inputShape}];`);
  for (const { buffer, byteOffset, byteLength } of valuesOf(spec)) {
    const values = new Uint8Array(buffer, byteOffset, byteLength);
    add({ kind: "memory", values, dtype: "uint8", length: byteLength });
  }
  return { length: spec.numSamples, hash: hash.digest("hex") };
}

function valuesOf({ inputs, targets, documents }: ArrayData): (Float32Array | Int32Array)[] {
  return documents === undefined ? [inputs, targets] : [inputs, targets, documents];
}
