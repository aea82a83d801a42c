import type { PeerLink } from "../kernels/mod.ts";
import type { AbortWord } from "./control/abort.ts";
import type { ControlBlock } from "./control/control_block.ts";
import type { Ledger } from "./control/ledger.ts";
import type { Waiter } from "./control/wait.ts";

/** What a group of one rank needs from its rank. */
export interface GroupParts {
  /** The words of the world. */
  control: ControlBlock;
  /** This rank. */
  rank: number;
  /** Place of the group in the topology. */
  group: number;
  /** Links by rank of the world. */
  links: readonly PeerLink[];
  /** What every wait reads. */
  abort: AbortWord;
  /** Where time and traffic are booked. */
  ledger: Ledger;
  /** Waits for this rank. */
  waiter: Waiter;
}
