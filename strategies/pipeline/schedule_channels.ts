/**
 * What the passes of a schedule hand on: which instruction sends what to whom, and whether both ends of every
 * channel agree on the order.
 *
 * There is one channel for each ordered pair of devices, and it is first in, first out: the k-th message that the
 * sender puts in is the k-th that the receiver takes. With two devices and v > 1 activations and gradients share a
 * channel, so their common order counts.
 */
import { deviceOfStage, type Instruction, type Schedule } from "./schedule.ts";
import { formatInstruction } from "./schedule_text.ts";

/** One hand-off between stages. */
export interface Transfer {
  /** Device that has it. If it is `to`, both stages stand on one device and nothing moves. */
  readonly from: number;
  /** Device that needs it. */
  readonly to: number;
  /** Activations go to the next stage, gradients to the one before. */
  readonly payload: "activations" | "gradients";
  /** Stage that needs it. */
  readonly stage: number;
  /** Micro-batch that it belongs to. */
  readonly microBatch: number;
}

/** What an instruction needs from another stage before it starts; undefined at the ends of the pipeline and for `W`. */
export function receiveOf(
  schedule: Pick<Schedule, "p" | "v">,
  { kind, stage, microBatch }: Instruction,
): Transfer | undefined {
  const source = kind === "F" ? stage - 1 : stage + 1;
  if (kind === "W" || source < 0 || source >= schedule.p * schedule.v) return undefined;
  const [from, to] = [deviceOfStage(schedule, source), deviceOfStage(schedule, stage)];
  return { from, to, payload: kind === "F" ? "activations" : "gradients", stage, microBatch };
}

/** What an instruction hands to another stage when it ends; undefined at the ends of the pipeline and for `W`. */
export function sendOf(
  schedule: Pick<Schedule, "p" | "v">,
  { kind, stage, microBatch }: Instruction,
): Transfer | undefined {
  const target = kind === "F" ? stage + 1 : stage - 1;
  if (kind === "W" || target < 0 || target >= schedule.p * schedule.v) return undefined;
  const [from, to] = [deviceOfStage(schedule, stage), deviceOfStage(schedule, target)];
  return { from, to, payload: kind === "F" ? "activations" : "gradients", stage: target, microBatch };
}

/** A name that the two ends of a transfer agree on. */
export function transferKey({ payload, stage, microBatch }: Transfer): string {
  return `${payload} of micro-batch ${microBatch} for stage ${stage}`;
}

/** A place in a schedule where the two ends of a channel disagree. */
export interface PairingFault {
  /** Device of the instruction. */
  readonly device: number;
  /** Place of the instruction in the list of its device. */
  readonly index: number;
  /** What is wrong, in one line. */
  readonly message: string;
}

/** One end of a message: the instruction that sends or receives it. */
interface End {
  readonly key: string;
  readonly device: number;
  readonly index: number;
  readonly text: string;
}

/** Sends that nobody receives, receives that nobody sends for, and the first message of each channel out of order. */
export function findPairingFaults(schedule: Schedule): PairingFault[] {
  const channels = collectEnds(schedule);
  return [...channels.values()].flatMap(({ from, to, sends, receives }) => {
    const sent = new Set(sends.map((end) => end.key)), received = new Set(receives.map((end) => end.key));
    const lostSends = sends.filter((end) => !received.has(end.key));
    const lostReceives = receives.filter((end) => !sent.has(end.key));
    const faults = [
      ...lostSends.map((end) => faultAt(end, `sends ${end.key}, which device ${to} never receives`)),
      ...lostReceives.map((end) => faultAt(end, `receives ${end.key}, which device ${from} never sends`)),
    ];
    const pairedSends = sends.filter((end) => received.has(end.key));
    const pairedReceives = receives.filter((end) => sent.has(end.key));
    const k = pairedReceives.findIndex((end, i) => end.key !== pairedSends[i]?.key);
    if (k < 0 || pairedSends[k] === undefined) return faults;
    const first = `${pairedSends[k].text} of device ${from} sends first`;
    return [...faults, faultAt(pairedReceives[k], `receives ${pairedReceives[k].key} but ${first}`)];
  });
}

function faultAt({ device, index, text }: End, what: string): PairingFault {
  return { device, index, message: `${text} ${what}` };
}

/** Both ends of every channel, in the order of the lists; hand-offs inside a device need no channel. */
function collectEnds(schedule: Schedule) {
  const channels = new Map<string, { from: number; to: number; sends: End[]; receives: End[] }>();
  const add = (side: "sends" | "receives", transfer: Transfer | undefined, end: Omit<End, "key">) => {
    if (transfer === undefined || transfer.from === transfer.to) return;
    const { from, to } = transfer;
    const name = `${from} -> ${to}`;
    const channel = channels.get(name) ?? { from, to, sends: [], receives: [] };
    channels.set(name, channel);
    channel[side].push({ ...end, key: transferKey(transfer) });
  };
  for (const [device, list] of schedule.devices.entries()) {
    for (const [index, instruction] of list.entries()) {
      const end = { device, index, text: formatInstruction(instruction) };
      add("receives", receiveOf(schedule, instruction), end);
      add("sends", sendOf(schedule, instruction), end);
    }
  }
  return channels;
}
