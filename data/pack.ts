import { UsageError } from "../files/mod.ts";
import type { TokenizedConversation } from "./conversations.ts";
import type { Samples } from "./samples.ts";
import { MASKED } from "./source.ts";

/** How conversations become samples. */
export interface PackOptions {
  /** Tokens of a sample. */
  readonly context: number;
  /** As many conversations share a sample as fit, in their order; none sees another. By default each has its own. */
  readonly packing?: boolean;
  /** Conversations that are too long are cut at the end; by default they are refused. */
  readonly truncate?: boolean;
}

/** Samples of conversations, and what became of them. */
export interface PackedConversations {
  /** Token ids, targets of which only trained tokens count, and where documents begin if they share samples. */
  readonly samples: Samples;
  /** One line on it. */
  readonly statement: string;
}

/**
 * Puts conversations into samples of `context` tokens. What is left of a sample is padded: its targets do not count.
 *
 * @param path For messages.
 * @throws {UsageError} If one is too long and may not be cut, or cutting leaves nothing to train.
 */
export function packConversations(
  conversations: readonly TokenizedConversation[],
  path: string,
  { context, packing = false, truncate = false }: PackOptions,
): PackedConversations {
  const fitting = conversations.map((conversation, i) => fit(conversation, i, { path, context, truncate }));
  const kept = fitting.filter(({ isTrained }) => isTrained.slice(1).includes(true));
  if (kept.length === 0) {
    throw new UsageError(`Cannot train on ${path}: all trained tokens are cut off; use a larger --context`);
  }
  const rows = placeRows(kept.map(({ ids }) => ids.length - 1), packing ? context : 0),
    numRows = rows.at(-1)!.row + 1;
  const inputs = new Int32Array(numRows * context), targets = new Int32Array(inputs.length).fill(MASKED);
  const documents = Int32Array.from(inputs, (_, i) => i % context);
  let trained = 0, total = 0;
  kept.forEach(({ ids, isTrained }, i) => {
    const { row, start } = rows[i], base = row * context + start;
    for (let t = 0; t + 1 < ids.length; t++) {
      inputs[base + t] = ids[t];
      documents[base + t] = start;
      if (isTrained[t + 1]) targets[base + t] = ids[t + 1];
      trained += Number(isTrained[t + 1]);
    }
    total += ids.length;
  });
  const count = (n: number) => n.toLocaleString("en-US");
  const cut = truncate ? `, ${fitting.filter((one, i) => one !== conversations[i]).length} cut` : "";
  const dropped = kept.length < fitting.length
    ? `, ${fitting.length - kept.length} left out as no answer is left`
    : "";
  return {
    samples: {
      inputs,
      targets,
      inputShape: [context],
      targetShape: [context],
      ...(packing && { documents }),
    },
    statement: `${path}: ${count(kept.length)} conversations in ${count(numRows)} samples${cut}${dropped}; ` +
      `${count(trained)} of ${count(total)} tokens are trained`,
  };
}

function fit(
  conversation: TokenizedConversation,
  index: number,
  { path, context, truncate }: {
    readonly path: string;
    readonly context: number;
    readonly truncate: boolean;
  },
): TokenizedConversation {
  const { ids, isTrained } = conversation;
  // The last token is a target only.
  if (ids.length <= context + 1) return conversation;
  if (truncate) return { ids: ids.slice(0, context + 1), isTrained: isTrained.slice(0, context + 1) };
  throw new UsageError(
    `Cannot train on ${path}: conversation ${
      index + 1
    } has ${ids.length} tokens, a sample of --context ${context} ` +
      `takes ${context + 1}; use a larger --context, or --truncate to cut it`,
  );
}

/** A row and a place in it for each length: the row before if it fits there, otherwise a new one. */
function placeRows(
  lengths: readonly number[],
  room: number,
): { readonly row: number; readonly start: number }[] {
  let row = 0, end = 0;
  return lengths.map((length, i) => {
    if (i > 0 && end + length > room) [row, end] = [row + 1, 0];
    const start = end;
    end += length;
    return { row, start };
  });
}
